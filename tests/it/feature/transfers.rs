//! A transfer counts from the day on which the bank had it. A wrongly recorded one is reversed by two people, only once, and only as it
//! was shown to them.

use fenqi::base::id::RepaymentId;
use fenqi::base::{AccountRange, BusinessDay, Fen};
use fenqi::repayment::jobs::submit_withholdings;
use fenqi::repayment::{
    self, PayoffOrder, Proposal, RepayRefusal, ReversalRefusal, TakeBackRefusal, Transfer, confirm_taking_back,
    propose_taking_back,
};
use fenqi::settlement::PaidBack;
use sqlx::PgPool;

use crate::book::{self, Book};
use crate::house;
use crate::town::refused;

/// A book on the due day of its first bill, of 103,600, of which nothing has been collected.
async fn due(pool: PgPool) -> Book {
    let (app, _world) = house::open_in_world(pool, "2026-02-05").await;
    let book = book::keep(app).await;
    book.live_until("2026-02-25").await;
    book
}

async fn record(book: &Book, fen: i64, bank_reference: &str) -> RepaymentId {
    let (line_id, amount) = (book.line_id, Fen::new(fen));
    let transfer = Transfer {
        line_id,
        amount,
        bank_reference: bank_reference.into(),
        received_on: None,
        operator: "Li Na".into(),
    };
    repayment::record_transfer(&book.app, &transfer).await.unwrap().repayment_id
}

async fn propose(book: &Book, repayment_id: RepaymentId, by: &str) -> i32 {
    let proposal = Proposal { by: by.into(), reason: "another line's".into() };
    propose_taking_back(&book.app, repayment_id, &proposal).await.unwrap()
}

/// Every posting of days that were closed by 2 March 2026.
const CLOSED_BOOKS: &str = "select md5(string_agg(p::text, ' ' order by p.posting_id)) from posting p
                            where p.business_day < '2026-03-02' and $1::uuid is not null";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_counts_from_the_day_on_which_the_bank_had_it_and_is_booked_today(pool: PgPool) {
    let book = due(pool).await;
    book.live_until("2026-03-02").await;
    let status = "select status || coalesce(' ' || frozen_for, '') from credit_line where line_id = $1";
    assert_eq!(book.words(status).await, ["frozen overdue"]);
    let closed_before = book.words(CLOSED_BOOKS).await;
    let (line_id, amount) = (book.line_id, Fen::new(103_600));
    let received = |day: &str| {
        let (bank_reference, operator) = ("T-1".to_owned(), "Li Na".to_owned());
        Transfer { line_id, amount, bank_reference, received_on: Some(day.parse().unwrap()), operator }
    };
    let days = ("2026-01-30".parse().unwrap(), "2026-03-02".parse().unwrap());
    for wrong in ["2026-01-29", "2026-03-03"] {
        let recorded = repayment::record_transfer(&book.app, &received(wrong)).await;
        assert_eq!(refused(recorded), RepayRefusal::NotReceivedThen { first: days.0, last: days.1 });
    }
    // On the fifth day 500 fen of penalty have run; the bank had the money on the third, which was within grace.
    let repaid = repayment::record_transfer(&book.app, &received("2026-02-28")).await.unwrap();
    assert_eq!((repaid.taken().total(), repaid.taken().penalty, repaid.excess), (amount, Fen::ZERO, Fen::ZERO));
    assert_eq!(book.words(status).await, ["active"]);
    assert_eq!(book.words("select paid_on::text from bill where line_id = $1").await, ["2026-03-02"]);
    let told = "select concat_ws(' ', body ->> 'business_day', body ->> 'value_on') from outbox
                where kind = 'repayment' and $1::uuid is not null";
    assert_eq!(book.words(told).await, ["2026-03-02 2026-02-28"]);
    assert_eq!(book.words(CLOSED_BOOKS).await, closed_before);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn penalty_that_was_paid_while_an_earlier_transfer_was_not_recorded_goes_back(pool: PgPool) {
    let book = due(pool).await;
    book.live_until("2026-03-02").await;
    // The borrower pays once more, with penalty; then the transfer of the due day is found.
    record(&book, 104_100, "T-2").await;
    let (line_id, amount, received_on) = (book.line_id, Fen::new(60_000), Some("2026-02-25".parse().unwrap()));
    let found = Transfer { line_id, amount, bank_reference: "T-1".into(), received_on, operator: "Li Na".into() };
    let repaid = repayment::record_transfer(&book.app, &found).await.unwrap();
    // Of 100,000 late fen it could have paid 60,000, so that 300 of the 500 were not due; nor what ran on as much as goes back.
    assert_eq!((repaid.taken().penalty, repaid.excess), (Fen::new(-302), Fen::new(60_302)));
    assert_eq!(book.fen("select penalty_paid_fen from bill_line where line_id = $1").await, [198]);
    assert_eq!(book.fen("select amount_fen from payout where line_id = $1").await, [60_302]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn two_confirmations_at_once_take_a_transfer_back_once(pool: PgPool) {
    let book = due(pool).await;
    let transfer = record(&book, 103_600, "T-1").await;
    assert_eq!(book.used().await, Fen::new(200_000));
    let shown = propose(&book, transfer, "Li Na").await;
    let (one, other) = tokio::join!(
        confirm_taking_back(&book.app, transfer, shown, "Wang Wei"),
        confirm_taking_back(&book.app, transfer, shown, "Chen Li")
    );
    let (done, late) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(done.unwrap().amount, Fen::new(-103_600));
    assert_eq!(refused(late), TakeBackRefusal::TakenBack);
    assert_eq!(
        book.fen("select amount_fen from repayment where line_id = $1 order by 1 desc").await,
        [103_600, -103_600]
    );
    let corrected = "select corrects::text from posting where event = 'repayment_reversed' and line_id = $1";
    assert_eq!(book.words(corrected).await, [transfer.uuid().to_string()]);
    assert_eq!(book.words("select status from bill where line_id = $1").await, ["open"]);
    assert_eq!(book.used().await, Fen::new(300_000));
    let told = "select body ->> 'amount_fen' from outbox
                where partner = 'sms' and kind = 'transfer_taken_back' and $1::uuid is not null";
    assert_eq!(book.words(told).await, ["103600"], "who believes to have paid hears of it, and once");
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn money_that_comes_while_a_transfer_is_taken_back_is_kept(pool: PgPool) {
    let book = due(pool).await;
    let transfer = record(&book, 103_600, "T-1").await;
    let shown = propose(&book, transfer, "Li Na").await;
    let (taken_back, _) =
        tokio::join!(confirm_taking_back(&book.app, transfer, shown, "Wang Wei"), record(&book, 50_000, "T-2"));
    taken_back.unwrap();
    assert_eq!(book.fen("select sum(amount_fen)::bigint from repayment where line_id = $1").await, [50_000]);
    // It pays interest of 3,600 first; or it came while nothing was due, and goes back.
    let owed_back = book.fen("select amount_fen from payout where line_id = $1").await;
    match (book.used().await.get(), owed_back.as_slice()) {
        (253_600, []) | (300_000, [50_000]) => {}
        other => panic!("{other:?}"),
    }
    book.assert_whole().await;
}

const TOLD_OVERDUE: &str =
    "select count(*) from outbox where partner = 'test-bank' and kind = 'overdue' and $1::uuid is not null";

const BEGUN: &str = "insert into close_run (business_day, started_at) values ('2026-03-01', now())";
const PLANNED: &str = "insert into close_chunk (business_day, step, chunk_no, line_from, line_to)
                       values ('2026-03-01', 'overdue', 1, '00000000-0000-0000-0000-000000000000',
                               'ffffffff-ffff-ffff-ffff-ffffffffffff')";

/// The day on which the bill would be overdue has ended, and its close stands still after it has written `control_rows`, before it has
/// looked for late bills.
async fn end_the_day(book: &Book, control_rows: &[&'static str]) -> BusinessDay {
    let day: BusinessDay = "2026-03-01".parse().unwrap();
    let mut ending = fenqi::database::begin(&book.app.pool).await.unwrap();
    assert!(fenqi::business_day::store::advance(&mut ending, day).await.unwrap());
    for insert in control_rows {
        sqlx::query(*insert).execute(&mut *ending).await.unwrap();
    }
    ending.commit().await.unwrap();
    book.set_time("2026-03-02", "00:05:00");
    day
}

/// The close looks for late bills.
async fn look_for_late(book: &Book, day: BusinessDay) {
    let mut closing = fenqi::database::begin(&book.app.pool).await.unwrap();
    fenqi::overdue::close::run(&mut closing, &book.app, day, AccountRange::ALL).await.unwrap();
    closing.commit().await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn that_a_bill_is_overdue_which_is_owed_again_before_the_close_looks_for_late_ones_is_told_once(pool: PgPool) {
    is_told_once(pool, &[BEGUN]).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn that_a_bill_is_overdue_which_is_owed_again_before_the_close_comes_to_it_is_told_once(pool: PgPool) {
    is_told_once(pool, &[BEGUN, PLANNED]).await;
}

async fn is_told_once(pool: PgPool, control_rows: &[&'static str]) {
    let book = due(pool).await;
    let transfer = record(&book, 103_600, "T-1").await;
    let shown = propose(&book, transfer, "Li Na").await;
    book.live_until("2026-03-01").await;
    let day = end_the_day(&book, control_rows).await;
    confirm_taking_back(&book.app, transfer, shown, "Wang Wei").await.unwrap();
    assert_eq!(book.fen(TOLD_OVERDUE).await, [1]);
    // The worker that has the line's chunk in hand may be anywhere in it, or die and leave it to another one.
    look_for_late(&book, day).await;
    assert_eq!(book.fen(TOLD_OVERDUE).await, [1]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn that_a_bill_is_overdue_which_was_paid_before_the_close_came_to_it_is_told_when_it_is_owed_again(pool: PgPool) {
    let book = due(pool).await;
    book.live_until("2026-03-01").await;
    let day = end_the_day(&book, &[BEGUN]).await;
    let transfer = record(&book, 110_000, "T-1").await;
    let shown = propose(&book, transfer, "Li Na").await;
    look_for_late(&book, day).await;
    assert_eq!(book.fen(TOLD_OVERDUE).await, [0], "it was paid by then");
    confirm_taking_back(&book.app, transfer, shown, "Wang Wei").await.unwrap();
    assert_eq!(book.fen(TOLD_OVERDUE).await, [1]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_a_bill_that_was_paid_before_the_close_came_to_its_line_is_told_once_it_is_owed_again(pool: PgPool) {
    let book = due(pool).await;
    book.live_until("2026-03-01").await;
    let day = end_the_day(&book, &[BEGUN, PLANNED]).await;
    // With five days of 100 of penalty. The close finds it paid.
    let transfer = record(&book, 104_100, "T-1").await;
    assert_eq!(book.words("select status from bill where line_id = $1").await, ["paid"]);
    look_for_late(&book, day).await;
    let done = "update close_chunk set done_at = '2026-03-02 00:06:00+08';
                update close_run set finished_at = '2026-03-02 00:06:00+08'";
    sqlx::raw_sql(done).execute(&book.app.pool).await.unwrap();
    assert_eq!(book.fen(TOLD_OVERDUE).await, [0]);
    book.set_time("2026-03-02", "10:00:00");
    let shown = propose(&book, transfer, "Li Na").await;
    confirm_taking_back(&book.app, transfer, shown, "Wang Wei").await.unwrap();
    assert_eq!(book.fen(TOLD_OVERDUE).await, [1]);
    let people = "select count(*) from notice where kind = 'overdue' and $1::uuid is not null";
    assert_eq!(book.fen(people).await, [1]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn that_a_bill_is_overdue_which_was_paid_after_it_was_told_is_not_told_again(pool: PgPool) {
    let book = due(pool).await;
    book.live_until("2026-03-01").await;
    let day = end_the_day(&book, &[BEGUN]).await;
    look_for_late(&book, day).await;
    assert_eq!(book.fen(TOLD_OVERDUE).await, [1]);
    let transfer = record(&book, 110_000, "T-1").await;
    let shown = propose(&book, transfer, "Li Na").await;
    confirm_taking_back(&book.app, transfer, shown, "Wang Wei").await.unwrap();
    assert_eq!(book.fen(TOLD_OVERDUE).await, [1]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_second_person_confirms_only_the_proposal_that_was_shown(pool: PgPool) {
    let book = due(pool).await;
    let transfer = record(&book, 103_600, "T-1").await;
    let shown = propose(&book, transfer, "Li Na").await;
    let changed = propose(&book, transfer, "Chen Li").await;
    let confirm = async |proposal, by| confirm_taking_back(&book.app, transfer, proposal, by).await;
    assert_eq!(refused(confirm(shown, "Wang Wei").await), TakeBackRefusal::ProposalChanged);
    assert_eq!(refused(confirm(changed, "CHEN  LI").await), TakeBackRefusal::OwnProposal);
    assert_eq!(refused(confirm(changed, " ").await), TakeBackRefusal::NameMissing);
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [1]);
    // The table holds it too.
    let update =
        "update transfer_by_bank_reference set confirmed_by = upper(proposed_by), reversal_id = gen_random_uuid()";
    let refusal = sqlx::query(update).execute(&book.app.pool).await.unwrap_err().to_string();
    assert!(refusal.contains("transfer_two_people"), "{refusal}");
    confirm(changed, "Li Na").await.unwrap();
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_stands_once_what_it_left_over_may_be_on_the_card(pool: PgPool) {
    let book = due(pool).await;
    let transfer = record(&book, 103_700, "T-1").await;
    let shown = propose(&book, transfer, "Li Na").await;
    let payout_as = async |change: &'static str| sqlx::raw_sql(change).execute(&book.app.pool).await.unwrap();
    let confirm = async || confirm_taking_back(&book.app, transfer, shown, "Wang Wei").await;
    payout_as("update payout set status = 'unknown'").await;
    assert!(matches!(refused(confirm().await), TakeBackRefusal::LeftOverUnderWay { .. }));
    // The channel has not heard of it; it may still.
    payout_as(
        "insert into payout_event (payout_id, attempt_no, status, occurred_at)
         select payout_id, attempt_no, 'submitted', now() from payout;
         update payout set status = 'created'",
    )
    .await;
    assert!(matches!(refused(confirm().await), TakeBackRefusal::LeftOverUnderWay { .. }));
    payout_as("update payout set status = 'succeeded', bank_reference = 'BANK1'").await;
    assert!(matches!(refused(confirm().await), TakeBackRefusal::LeftOverPaid { .. }));
    // The channel denies what is booked: nobody knows yet whether it was paid.
    payout_as(
        "update payout set contradicted_attempt = 1, contradiction = 'we_succeeded_they_failed', contradicted_on = pay_on",
    )
    .await;
    assert!(matches!(refused(confirm().await), TakeBackRefusal::LeftOverUnderWay { .. }));
    payout_as(
        "update payout set status = 'failed', bank_reference = null, failure = 'closed', contradiction = 'we_failed_they_succeeded'",
    )
    .await;
    assert!(matches!(refused(confirm().await), TakeBackRefusal::LeftOverUnderWay { .. }));
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [1]);
    // Refused for good, and nobody says anything else: it is not tried again.
    payout_as("update payout set contradicted_attempt = null, contradiction = null, contradicted_on = null").await;
    assert_eq!(confirm().await.unwrap().excess, Fen::new(-100));
    assert_eq!(book.words("select status from payout where line_id = $1").await, ["cancelled"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_stands_where_a_loan_was_paid_off_for_less_by_it(pool: PgPool) {
    let book = due(pool).await;
    let transfer = record(&book, 103_600, "T-1").await;
    let (line_id, loan_id) = (book.line_id, book.loan_id);
    let quoted = repayment::payoff_quote(&book.app, line_id, loan_id).await.unwrap().total();
    let order = PayoffOrder { loan_id, line_id, quoted, card_id: None, idempotency_key: "k1".into() };
    repayment::early_payoff(&book.app, &order).await.unwrap();
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.words("select status from loan where line_id = $1").await, ["paid"]);
    let shown = propose(&book, transfer, "Li Na").await;
    let confirmed = confirm_taking_back(&book.app, transfer, shown, "Wang Wei").await;
    assert_eq!(refused(confirmed), TakeBackRefusal::NotReversed(ReversalRefusal::PaidOffSince));
    assert_eq!(book.used().await, Fen::ZERO);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_left_over_is_paid_back_under_its_number_among_those_of_the_line(pool: PgPool) {
    let book = due(pool).await;
    // It leaves nothing over, and has no number.
    record(&book, 103_600, "T-1").await;
    record(&book, 100, "T-2").await;
    let wrong = record(&book, 50, "T-3").await;
    let shown = propose(&book, wrong, "Li Na").await;
    confirm_taking_back(&book.app, wrong, shown, "Wang Wei").await.unwrap();
    record(&book, 60, "T-3").await;
    // That which was cancelled keeps its key.
    let paid =
        "select payout_id || ' ' || amount_fen || ' ' || status from payout where line_id = $1 order by amount_fen";
    let line_id = book.line_id;
    let keyed = |number, rest: &str| format!("{} {rest}", PaidBack::Excess { line_id, number }.payout_id().uuid());
    assert_eq!(book.words(paid).await, [keyed(2, "50 cancelled"), keyed(3, "60 created"), keyed(1, "100 created")]);
    book.assert_whole().await;
}
