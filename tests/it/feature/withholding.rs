//! Withholding orders end and are booked correctly, from the due day to the ledger, for every kind of answer of a channel.

use chrono::TimeDelta;
use fenqi::base::id::{CardId, LoanId, WithholdingId};
use fenqi::base::{BusinessDay, Fen};
use fenqi::business_day;
use fenqi::demo::report::Report;
use fenqi::error::Fault;
use fenqi::jobs::{JobKind, dispatch};
use fenqi::partner::withholding::{Answer, ChannelFailure, ChannelName, Heard};
use fenqi::repayment::jobs::{query_unknowns, retry_withholdings, submit_withholdings};
use fenqi::repayment::{
    self, ChannelResult, PayoffOrder, Proposal, RepayRefusal, RepayRequest, ReversalRefusal, Transfer,
    confirm_taking_back, propose_taking_back,
};
use fenqi::sandbox::{self, Matcher, Scripted};
use sqlx::PgPool;

use crate::book::{self, AGREEMENT, Book};
use crate::house;
use crate::town::{self, LineWish, refused};

const DUE_DAY: &str = "2026-02-25";

/// A book on the morning of its first due day, its order not yet sent, and how the card's next orders go.
async fn due(pool: PgPool, outcomes: Vec<Scripted>) -> Book {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    if !outcomes.is_empty() {
        world.script("withholding_a", Some(Matcher::new("card", AGREEMENT)), outcomes);
    }
    let book = book::keep(app).await;
    book.live_until(DUE_DAY).await;
    assert_eq!(book.orders().await, ["alpha created 103600 0"]);
    book
}

async fn button(book: &Book, amount: i64, key: &str) -> Result<repayment::Withholding, Fault<RepayRefusal>> {
    let request = RepayRequest {
        line_id: book.line_id,
        amount: Fen::new(amount),
        card_id: None,
        idempotency_key: key.to_owned(),
    };
    repayment::repay(&book.app, &request).await
}

async fn paid_bills(book: &Book) -> Vec<String> {
    book.words("select due_on::text from bill where line_id = $1 and status = 'paid' order by due_on").await
}

/// How many orders were updated without an entry in any index, where all are sent and asked about; nothing of it stays.
async fn updated_in_place(book: &Book) -> i64 {
    let mut transaction = fenqi::database::begin(&book.app.pool).await.unwrap();
    let sent = "update withholding set status = 'submitted', amount_fen = amount_fen - 1, submitted_at = now(), query_at = now(),
                                       queries = 1 where status = 'created'";
    sqlx::query(sent).execute(&mut *transaction).await.unwrap();
    let counted = "select pg_stat_get_xact_tuples_hot_updated('withholding'::regclass)";
    let counted = sqlx::query_scalar(counted).fetch_one(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    counted
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_due_is_taken_and_the_line_restored(pool: PgPool) {
    let book = due(pool, vec![]).await;
    assert_eq!(updated_in_place(&book).await, 1, "an index hears that an order is sent, or asked about");
    let posted = submit_withholdings(&book.app).await.unwrap();
    assert_eq!((posted.succeeded, posted.collected), (1, Fen::new(103_600)));
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    assert_eq!(paid_bills(&book).await, [DUE_DAY]);
    assert_eq!(book.used().await, Fen::new(200_000));
    assert_eq!(
        book.words("select kind from outbox where partner <> 'sms' and $1::uuid is not null").await,
        ["repayment"]
    );
    assert_eq!(submit_withholdings(&book.app).await.unwrap(), repayment::Posted::default());
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_else_collects_while_the_answer_is_unknown_and_then_it_succeeds(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    assert_eq!(refused(button(&book, 1_000, "k1").await), RepayRefusal::CollectionInProgress);
    let transfer = Transfer {
        line_id: book.line_id,
        amount: Fen::new(5),
        bank_reference: "B1".into(),
        received_on: None,
        operator: "Li".into(),
    };
    assert_eq!(refused(repayment::record_transfer(&book.app, &transfer).await), RepayRefusal::CollectionInProgress);
    assert_eq!(retry_withholdings(&book.app).await.unwrap(), 0);
    // Too early to ask; a minute later the channel says what became of it.
    assert_eq!(query_unknowns(&book.app).await.unwrap(), repayment::Posted::default());
    book.app.clock.set(book.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(query_unknowns(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_channel_is_asked_though_applications_cannot_be_decided(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    let broken = "alter table application rename to application_of_before";
    sqlx::query(broken).execute(&book.app.pool).await.unwrap();
    book.app.clock.set(book.app.clock.now() + TimeDelta::minutes(2));
    let failed = format!("{:#}", dispatch::run(&book.app, JobKind::AskPartners).await.unwrap_err());
    assert!(failed.contains("\"application\" does not exist"), "it is tried again for their sake alone: {failed}");
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn unknown_then_failure_is_tried_again_at_the_next_time_of_day(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("insufficient_funds").with(sandbox::Fault::TimeoutAfter)]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    book.app.clock.set(book.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(query_unknowns(&book.app).await.unwrap().failed, 1);
    assert_eq!(retry_withholdings(&book.app).await.unwrap(), 0, "before 15:00 there is no next time");
    book.set_time(DUE_DAY, "15:00:30");
    assert_eq!(retry_withholdings(&book.app).await.unwrap(), 1);
    assert_eq!(retry_withholdings(&book.app).await.unwrap(), 0, "one is pending");
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha failed insufficient_funds 103600 0", "alpha succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_sent_while_the_clock_ran_ahead_is_asked_about_once_it_is_right(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)]).await;
    let now = book.app.clock.now();
    book.app.clock.set(now + TimeDelta::days(1));
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    book.app.clock.set(now);
    // The counterfeit channel goes by the same clock, and does not know yet what it will be told tomorrow.
    query_unknowns(&book.app).await.unwrap();
    assert_eq!(book.words("select queries::text from withholding where line_id = $1").await, ["1"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_order_is_made_for_a_day_that_ends_meanwhile(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("insufficient_funds")]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().failed, 1);
    book.set_time(DUE_DAY, "23:59:30");
    let mut closing = fenqi::database::begin(&book.app.pool).await.unwrap();
    let day: BusinessDay = DUE_DAY.parse().unwrap();
    assert!(business_day::store::advance(&mut closing, day).await.unwrap());
    let (made, ()) = tokio::join!(retry_withholdings(&book.app), async {
        house::until_somebody_waits(&book.app.pool).await;
        closing.commit().await.unwrap();
    });
    assert_eq!(made.unwrap(), 0);
    assert_eq!(book.orders().await, ["alpha failed insufficient_funds 103600 0"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_never_arrived_goes_to_the_next_channel_once_that_is_certain(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutBefore)]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    book.app.clock.set(book.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(query_unknowns(&book.app).await.unwrap().failed, 0, "it may still be on its way");
    book.app.clock.set(book.app.clock.now() + TimeDelta::minutes(10));
    assert_eq!(query_unknowns(&book.app).await.unwrap().failed, 1);
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha failed channel_down 103600 0", "beta succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_channel_that_is_down_gives_way_to_the_next_at_once(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("channel_down")]).await;
    let posted = submit_withholdings(&book.app).await.unwrap();
    assert_eq!((posted.failed, posted.succeeded), (1, 1));
    assert_eq!(book.orders().await, ["alpha failed channel_down 103600 0", "beta succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_failure_is_told_once_a_day_also_where_the_next_channel_meets_it(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    let card = || Some(Matcher::new("card", AGREEMENT));
    let too_little = || Scripted::answer("insufficient_funds");
    world.script("withholding_a", card(), vec![Scripted::answer("channel_down")]);
    world.script("withholding_b", card(), vec![too_little(), too_little()]);
    let book = book::keep(app).await;
    book.live_until(DUE_DAY).await;
    let told = "select concat_ws(' of ', body->>'failure', body->>'tried_on') from notice
                where kind = 'withholding_failed' and $1::uuid is not null";
    let once = [format!("insufficient_funds of {DUE_DAY}")];
    assert_eq!(submit_withholdings(&book.app).await.unwrap().failed, 2);
    assert_eq!(book.words(told).await, once);
    book.set_time(DUE_DAY, "15:00:30");
    assert_eq!(retry_withholdings(&book.app).await.unwrap(), 1);
    assert_eq!(submit_withholdings(&book.app).await.unwrap().failed, 1);
    assert_eq!(book.words(told).await, once, "the borrower has been told today");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_that_nobody_mapped_is_unknown_until_a_mapped_one_comes(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("unmapped")]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
    book.app.clock.set(book.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(query_unknowns(&book.app).await.unwrap().succeeded, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_unknown_order_counts_as_resolved_though_the_channel_calls_back_before_it_is_asked(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    let unknowns = async || {
        let unknowns = Report::gather(&book.app).await.unwrap().unknown_withholdings;
        (unknowns.resolved, unknowns.open)
    };
    assert_eq!(unknowns().await, (0, 1));
    let amount = Fen::new(103_600);
    let result = result_of(&book, Answer::Succeeded { collected: amount, reference: "T1".into() }).await;
    let (merchant_id, withholding_id, answer) = (sandbox::PLATFORM.to_owned(), result.withholding_id, result.answer);
    let heard = Heard { merchant_id, withholding_id, amount, answer };
    assert_eq!(repayment::hear(&book.app, ChannelName::Alpha, heard).await.unwrap().succeeded, 1);
    assert_eq!(unknowns().await, (1, 0));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_the_channel_does_not_find_just_after_its_submission_is_unknown(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("not_exist")]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
    book.app.clock.set(book.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(query_unknowns(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_the_channel_does_not_take_does_not_hold_up_the_others_of_its_batch(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app.clone(), 10_000_000).await;
    let wish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2029-01-05" };
    let lines = town.open_lines(3, wish).await;
    let bag = |line_id| town.wish(line_id, "bag", 120_000, ("harbour-standard", 3));
    town.buy(lines.iter().copied().map(bag).collect()).await;
    let broken = "update bank_card set agreement_number = ''
                  where borrower_id = (select borrower_id from credit_line where line_id = $1)";
    sqlx::query(broken).bind(lines[1]).execute(&app.pool).await.unwrap();
    town.live_until("2026-01-26").await;
    let of_day = "select concat_ws(' ', channel, status, failure) from withholding
                  where line_id = $1 and business_day = '2026-01-25' order by created_at";
    for (line_id, ended) in lines.into_iter().zip(["alpha succeeded", "alpha failed refused", "alpha succeeded"]) {
        let found: Vec<String> = sqlx::query_scalar(of_day).bind(line_id).fetch_all(&app.pool).await.unwrap();
        assert_eq!(found, [ended]);
    }
    let told = "select body->>'channel' || ' ' || (body->>'code') from notice
                where kind = 'withholding_rejected' and audience = 'operator'";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_all(&app.pool).await.unwrap();
    assert_eq!(told, ["alpha INCOMPLETE"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_cannot_be_booked_does_not_hold_up_the_others_of_its_batch(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app.clone(), 10_000_000).await;
    let wish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2029-01-05" };
    let lines = town.open_lines(3, wish).await;
    let bags = lines.iter().zip([120_000, 240_000, 120_000]);
    town.buy(bags.map(|(line_id, fen)| town.wish(*line_id, "bag", fen, ("harbour-standard", 3))).collect()).await;
    town.live_until("2026-01-25").await;
    let spoil =
        "create function spoil() returns trigger language plpgsql as $$ begin raise exception 'spoiled'; end $$;
                 create trigger spoiled before insert on repayment
                     for each row when (new.amount_fen > 60000) execute function spoil()";
    sqlx::raw_sql(spoil).execute(&app.pool).await.unwrap();
    let failure = submit_withholdings(&app).await.unwrap_err();
    assert!(format!("{failure:#}").contains("spoiled"), "{failure:#}");
    let statuses = async || {
        let mut statuses: Vec<String> = Vec::new();
        for line_id in &lines {
            let found = sqlx::query_scalar("select status from withholding where line_id = $1").bind(line_id);
            statuses.push(found.fetch_one(&app.pool).await.unwrap());
        }
        statuses
    };
    assert_eq!(statuses().await, ["succeeded", "submitted", "succeeded"]);
    sqlx::raw_sql("drop trigger spoiled on repayment").execute(&app.pool).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(query_unknowns(&app).await.unwrap().succeeded, 1);
    assert_eq!(statuses().await, ["succeeded"; 3]);
    town.assert_whole("after what could not be booked").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_part_settles_interest_before_principal_and_leaves_the_bill_open(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("partial").amount(50_000)]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().collected, Fen::new(50_000));
    assert!(paid_bills(&book).await.is_empty());
    assert_eq!(book.used().await, Fen::new(300_000 - 46_400));
    book.set_time(DUE_DAY, "15:00:30");
    assert_eq!(retry_withholdings(&book.app).await.unwrap(), 0, "the card is empty for today");
    // The next day of the timetable takes the rest; within grace there is no penalty.
    book.live_until("2026-02-26").await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().collected, Fen::new(53_600));
    assert_eq!(paid_bills(&book).await, [DUE_DAY]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refused_card_is_taken_out_of_use_and_the_borrower_asked(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("card_invalid")]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().failed, 1);
    book.live_until("2026-02-26").await;
    assert_eq!(book.orders().await.len(), 1, "there is no card to take it from");
    let told = book.words("select kind from notice where $1::uuid is not null order by notice_no").await;
    assert_eq!(told, ["bill_issued", "due_soon", "card_invalid", "no_card"]);
    assert_eq!(refused(button(&book, 1_000, "k1").await), RepayRefusal::NoCard);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_card_that_was_bound_anew_stays_whatever_is_said_of_its_former_agreement(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("card_invalid").with(sandbox::Fault::TimeoutAfter)]).await;
    submit_withholdings(&book.app).await.unwrap();
    // An order of the holder's other line was refused first, and the card was bound again since.
    let anew = "update bank_card set agreement_number = 'AG-2', agreement_signed_at = $1";
    sqlx::query(anew).bind(book.app.clock.now() + TimeDelta::minutes(5)).execute(&book.app.pool).await.unwrap();
    let ended = Answer::Failed { failure: ChannelFailure::CardInvalid, code: "AGREEMENT_ENDED".into() };
    let result = result_of(&book, ended).await;
    assert_eq!(repayment::post_results(&book.app, &[result]).await.unwrap().failed, 1);
    let statuses = book.words("select status from bank_card where $1::uuid is not null").await;
    assert_eq!(statuses, ["bound"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_borrower_whose_card_is_gone_before_their_order_is_sent_is_told(pool: PgPool) {
    let book = due(pool, vec![]).await;
    button(&book, 50_000, "k1").await.unwrap();
    let unbound = "update bank_card set status = 'unbound', is_default = false";
    sqlx::query(unbound).execute(&book.app.pool).await.unwrap();
    assert_eq!(submit_withholdings(&book.app).await.unwrap(), repayment::Posted::default());
    assert_eq!(book.orders().await, ["alpha failed superseded 103600 0", "alpha failed card_invalid 50000 0"]);
    let told = "select body->>'failure' from notice where kind = 'withholding_failed' and $1::uuid is not null";
    assert_eq!(book.words(told).await, ["card_invalid"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_counts_once_however_often_and_wherever_it_comes(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)]).await;
    submit_withholdings(&book.app).await.unwrap();
    let result = result_of(&book, Answer::Succeeded { collected: Fen::new(103_600), reference: "T1".into() }).await;
    let both = [result.clone(), result.clone()];
    let (one, other) =
        tokio::join!(repayment::post_results(&book.app, &both), repayment::post_results(&book.app, &both));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.succeeded + other.succeeded, one.already_applied + other.already_applied), (1, 3));
    assert_eq!(book.used().await, Fen::new(200_000));
    // The opposite later is no answer but a break, for a person to look at.
    let failed = Answer::Failed { failure: ChannelFailure::Refused, code: "X".into() };
    let opposite = ChannelResult { answer: failed, ..result };
    assert_eq!(repayment::post_results(&book.app, &[opposite]).await.unwrap().contradicted, 1);
    let breaks = book.words("select kind from reconciliation_break where $1::uuid is not null").await;
    assert_eq!(breaks, ["we_succeeded_they_failed"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_that_says_what_is_known_waits_for_nobody(pool: PgPool) {
    let book = due(pool, vec![]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    let mut somebody = fenqi::database::begin(&book.app.pool).await.unwrap();
    let held = "select 1 from credit_line where line_id = $1 for update";
    sqlx::query(held).bind(book.line_id.uuid()).execute(&mut *somebody).await.unwrap();
    let amount = Fen::new(103_600);
    let result = result_of(&book, Answer::Succeeded { collected: amount, reference: "T1".into() }).await;
    let (merchant_id, withholding_id, answer) = (sandbox::PLATFORM.to_owned(), result.withholding_id, result.answer);
    let heard = Heard { merchant_id, withholding_id, amount, answer };
    let posted = repayment::hear(&book.app, ChannelName::Alpha, heard).await.unwrap();
    assert_eq!(posted, repayment::Posted { already_applied: 1, ..repayment::Posted::default() });
    somebody.rollback().await.unwrap();
    book.assert_whole().await;
}

async fn result_of(book: &Book, answer: Answer) -> ChannelResult {
    let id = sqlx::query_scalar("select withholding_id from withholding where line_id = $1")
        .bind(book.line_id.uuid())
        .fetch_one(&book.app.pool)
        .await
        .unwrap();
    ChannelResult { withholding_id: WithholdingId::from_uuid(id), line_id: book.line_id, answer }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_button_goes_before_an_order_that_was_not_sent(pool: PgPool) {
    let book = due(pool, vec![]).await;
    let owed = Fen::new(103_600);
    assert_eq!(refused(button(&book, 200_000, "k0").await), RepayRefusal::MoreThanOwed { owed });
    let free = "select count(*) from (select 1 from withholding where line_id = $1 for update skip locked) free";
    assert_eq!(book.fen(free).await, [1], "the next run does not pass over the order that was in the way");
    let order = button(&book, 103_600, "k1").await.unwrap();
    assert_eq!(button(&book, 103_600, "k1").await.unwrap(), order, "the same key is the same order");
    assert_eq!(refused(button(&book, 5, "k1").await), RepayRefusal::KeyReused);
    let on_card = async |card_id| {
        let request = RepayRequest {
            line_id: book.line_id,
            amount: owed,
            card_id: Some(card_id),
            idempotency_key: "k1".to_owned(),
        };
        repayment::repay(&book.app, &request).await
    };
    assert_eq!(on_card(order.card_id).await.unwrap(), order);
    let other = CardId::mint(book.app.clock.now());
    assert_eq!(refused(on_card(other).await), RepayRefusal::KeyReused, "the money was asked for of another card");
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha failed superseded 103600 0", "alpha succeeded 103600 103600"]);
    assert_eq!(refused(button(&book, 5, "k2").await), RepayRefusal::NothingDue);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_button_orders_what_exists_though_the_timetable_was_quicker(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("insufficient_funds")]).await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().failed, 1);
    let mut timetable = fenqi::database::begin(&book.app.pool).await.unwrap();
    let next = "insert into withholding (withholding_id, line_id, borrower_id, purpose, idempotency_key, card_id, channel,
                                         amount_fen, partial_allowed, attempt_no, business_day, created_at, submit_at, status)
                select gen_random_uuid(), line_id, borrower_id, purpose, 'due/2026-02-25/2', card_id, channel, amount_fen,
                       partial_allowed, 2, business_day, created_at, submit_at, 'created'
                from withholding where line_id = $1";
    sqlx::query(next).bind(book.line_id.uuid()).execute(&mut *timetable).await.unwrap();
    let commit_once_waited_for = async {
        // The button meets the timetable's order.
        house::until_somebody_waits(&book.app.pool).await;
        timetable.commit().await.unwrap();
    };
    let (ordered, ()) = tokio::join!(button(&book, 103_600, "k1"), commit_once_waited_for);
    let ordered = ordered.unwrap();
    let found = repayment::button_actions::find_own(&book.app, ordered.borrower_id, ordered.withholding_id).await;
    assert_eq!(found.unwrap().unwrap().status, "created");
    assert_eq!(
        book.orders().await,
        ["alpha failed insufficient_funds 103600 0", "alpha created 103600 0", "alpha failed superseded 103600 0"]
    );
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payoff_ends_the_loan_for_exactly_what_was_quoted(pool: PgPool) {
    let book = due(pool, vec![]).await;
    let quote = repayment::payoff_quote(&book.app, book.line_id, book.loan_id).await.unwrap();
    assert_eq!(quote.billed_unpaid, Fen::new(103_600));
    assert_eq!((quote.principal, quote.fee), (Fen::new(200_000), Fen::new(2_000)));
    assert_eq!(quote.interest, Fen::ZERO, "interest was billed up to today");
    let payoff = |quoted: Fen, key: &str| PayoffOrder {
        loan_id: book.loan_id,
        line_id: book.line_id,
        quoted,
        card_id: None,
        idempotency_key: key.to_owned(),
    };
    let outcome = repayment::early_payoff(&book.app, &payoff(Fen::new(1), "p0")).await;
    assert_eq!(refused(outcome), RepayRefusal::QuoteChanged { now: quote.total() });
    repayment::early_payoff(&book.app, &payoff(quote.total(), "p1")).await.unwrap();
    assert_eq!(submit_withholdings(&book.app).await.unwrap().collected, quote.total());
    assert_eq!(book.words("select status from loan where line_id = $1").await, ["paid"]);
    assert_eq!(book.used().await, Fen::ZERO);
    let versions = book.words("select reason from schedule where line_id = $1 order by version").await;
    assert_eq!(versions, ["made", "payoff"]);
    book.live_until("2026-03-26").await;
    assert_eq!(book.fen("select count(*) from bill where line_id = $1").await, [1], "nothing more is billed");
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payoff_whose_answer_comes_after_the_next_statement_settles_what_was_quoted(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    let book = book::keep(app).await;
    book.live_until("2026-03-05").await;
    let quote = repayment::payoff_quote(&book.app, book.line_id, book.loan_id).await.unwrap();
    let order = PayoffOrder {
        loan_id: book.loan_id,
        line_id: book.line_id,
        quoted: quote.total(),
        card_id: None,
        idempotency_key: "p1".to_owned(),
    };
    world.script(
        "withholding_a",
        Some(Matcher::new("card", AGREEMENT)),
        vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)],
    );
    // The first bill's own orders failed for want of an answer to their script; the payoff is what is asked about.
    repayment::early_payoff(&book.app, &order).await.unwrap();
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    book.live_until("2026-03-06").await;
    assert_eq!(book.fen("select count(*) from bill where line_id = $1").await, [2]);
    assert_eq!(query_unknowns(&book.app).await.unwrap().collected, quote.total());
    assert_eq!(book.words("select status from loan where line_id = $1").await, ["paid"]);
    assert_eq!(paid_bills(&book).await, [DUE_DAY, "2026-03-25"]);
    assert_eq!(book.fen("select coalesce(sum(excess_fen), 0)::bigint from repayment where line_id = $1").await, [0]);
    // Until it was told of, what paid the new bill was there for this loan.
    let ordered_on: BusinessDay = "2026-03-05".parse().unwrap();
    assert_eq!(idle_since(&book, "2026-03-01").await, [(Fen::new(100_000), ordered_on, Some(book.loan_id))]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payoff_that_waived_what_the_last_statement_asked_for_is_not_taken_back(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    let book = book::keep(app).await;
    book.live_until("2026-04-05").await;
    let (line_id, loan_id) = (book.line_id, book.loan_id);
    let quoted = repayment::payoff_quote(&book.app, line_id, loan_id).await.unwrap().total();
    let order = PayoffOrder { loan_id, line_id, quoted, card_id: None, idempotency_key: "p1".into() };
    world.script(
        "withholding_a",
        Some(Matcher::new("card", AGREEMENT)),
        vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)],
    );
    let ordered = repayment::early_payoff(&book.app, &order).await.unwrap();
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    book.live_until("2026-04-06").await;
    assert_eq!(query_unknowns(&book.app).await.unwrap().collected, quoted);
    // 100,000 × 24 % × 11 ÷ 365 days of 1,200; the fee of 1,000 for paying off early has no row to stand in.
    let last = "select interest_paid_fen from bill_line where line_id = $1 and period = 3
                union all select interest_returned_fen from bill_line where line_id = $1 and period = 3
                union all select excess_fen from repayment where line_id = $1";
    assert_eq!(book.fen(last).await, [723, 477, 1_000]);
    book.assert_whole().await;
    // Not taken back with less owed than before it came. What is left over would stand in the way first.
    sqlx::query("update repayment set excess_fen = 0").execute(&book.app.pool).await.unwrap();
    let mut transaction = fenqi::database::begin(&book.app.pool).await.unwrap();
    let ids = [ordered.withholding_id.uuid()];
    let booked = repayment::load_withholdings(&mut transaction, &ids).await.unwrap().pop().unwrap();
    match repayment::take_back(&mut transaction, &book.app, &booked, "Li Na").await {
        Err(Fault::Refused(refusal)) => assert_eq!(refusal, ReversalRefusal::LoanMovedOn),
        other => panic!("not refused: {other:?}"),
    }
}

/// What money was there for some days without paying anything, from which day, and for which loan.
async fn idle_since(book: &Book, day: &str) -> Vec<(Fen, BusinessDay, Option<LoanId>)> {
    let mut connection = book.app.pool.acquire().await.unwrap();
    let idle = repayment::store::load_idle(&mut connection, book.line_id, day.parse().unwrap()).await.unwrap();
    idle.iter().map(|idle| (idle.amount, idle.from, idle.pays_off)).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payoff_that_falls_short_was_there_for_no_loan_before_another(pool: PgPool) {
    let book = due(pool, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)]).await;
    let (line_id, loan_id, amount) = (book.line_id, book.loan_id, Fen::new(103_600));
    let transfer =
        Transfer { line_id, amount, bank_reference: "B1".into(), received_on: None, operator: "Li Na".into() };
    let paid = repayment::record_transfer(&book.app, &transfer).await.unwrap();
    let quoted = repayment::payoff_quote(&book.app, line_id, loan_id).await.unwrap().total();
    assert_eq!(quoted, Fen::new(202_000));
    let order = PayoffOrder { loan_id, line_id, quoted, card_id: None, idempotency_key: "p1".into() };
    repayment::early_payoff(&book.app, &order).await.unwrap();
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    book.live_until("2026-02-26").await;
    // The transfer was another line's: the loan owes more than was quoted.
    let proposal = Proposal { by: "Li Na".into(), reason: "another line's".into() };
    let shown = propose_taking_back(&book.app, paid.repayment_id, &proposal).await.unwrap();
    confirm_taking_back(&book.app, paid.repayment_id, shown, "Wang Wei").await.unwrap();
    assert_eq!(query_unknowns(&book.app).await.unwrap().collected, quoted);
    assert_eq!(paid_bills(&book).await, [DUE_DAY]);
    assert_eq!(book.words("select status from loan where line_id = $1").await, ["open"]);
    assert_eq!(book.used().await, Fen::new(200_000));
    let left = book.fen("select excess_fen from repayment where line_id = $1 and source = 'withholding'").await;
    assert_eq!(left, [98_400]);
    let ordered_on: BusinessDay = DUE_DAY.parse().unwrap();
    assert_eq!(idle_since(&book, "2026-02-20").await, [(Fen::new(98_400), ordered_on, None)]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_late_line_is_frozen_and_active_again_once_penalty_and_all_is_paid(pool: PgPool) {
    let book = due(pool, vec![]).await;
    // Nobody sends the orders: the bill stays unpaid through grace.
    book.live_until("2026-03-02").await;
    let status = "select status || coalesce(' ' || frozen_for, '') from credit_line where line_id = $1";
    assert_eq!(book.words(status).await, ["frozen overdue"]);
    let told = book.words("select kind from notice where $1::uuid is not null order by notice_no").await;
    assert_eq!(told, ["bill_issued", "due_soon", "overdue", "line_frozen"]);
    // Five days at 0.001 a day on 100,000 of principal.
    let transfer = Transfer {
        line_id: book.line_id,
        amount: Fen::new(104_200),
        bank_reference: "B1".into(),
        received_on: None,
        operator: "Li".into(),
    };
    let repayment = repayment::record_transfer(&book.app, &transfer).await.unwrap();
    assert_eq!((repayment.taken().penalty, repayment.excess), (Fen::new(500), Fen::new(100)));
    assert_eq!(book.words(status).await, ["active"]);
    assert_eq!(refused(repayment::record_transfer(&book.app, &transfer).await), RepayRefusal::KeyReused);
    assert_eq!(book.fen("select amount_fen from payout where $1::uuid is not null").await, [100]);
    book.assert_whole().await;
}
