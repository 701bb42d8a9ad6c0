//! Breaks are corrected or dismissed only by two people, and each correction books the right money.

use fenqi::access::PartnerKind;
use fenqi::base::Fen;
use fenqi::base::id::{BreakId, WithholdingId};
use fenqi::error::{Fault, Outcome};
use fenqi::partner::key::Algorithm;
use fenqi::partner::withholding::{Answer, ChannelFailure, FileLine};
use fenqi::reconcile::{self, BreakRefusal, Correction, fetch_channel_files};
use fenqi::repayment::jobs::submit_withholdings;
use fenqi::repayment::{self, ChannelResult, Posted, RepayRequest};
use fenqi::sandbox::{self, Matcher, Scripted};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::reconcile::{file_of, on_alpha, sent, taken, the_break, the_order};
use crate::book::{self, AGREEMENT, Book};
use crate::desk::{self, Desk};
use crate::house;
use crate::town::refused;

/// Confirms what is proposed for a break at present, whatever that is.
pub(super) async fn confirm(book: &Book, break_id: BreakId, person: &str) -> Outcome<(), BreakRefusal> {
    let proposal_no = sqlx::query_scalar("select proposal_no from reconciliation_break where break_id = $1")
        .bind(break_id.uuid())
        .fetch_one(&book.app.pool)
        .await
        .unwrap();
    reconcile::confirm_break(&book.app, break_id, proposal_no, person).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_second_person_confirms_only_the_proposal_that_was_shown(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    let shown = reconcile::propose_correction(&book.app, break_id, Correction::AskChannel, "Li Na").await.unwrap();
    // While Wang Wei looks at it, somebody proposes something else.
    let changed = reconcile::propose_correction(&book.app, break_id, Correction::Post, "Chen Li").await.unwrap();
    assert_ne!(shown, changed);
    let confirmed = reconcile::confirm_break(&book.app, break_id, shown, "Wang Wei").await;
    assert_eq!(refused(confirmed), BreakRefusal::ProposalChanged);
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [0]);
    assert_eq!(the_break(&book).await.1, "amount_differs post open");
    reconcile::confirm_break(&book.app, break_id, changed, "Wang Wei").await.unwrap();
    assert_eq!(the_break(&book).await.1, "amount_differs post corrected");
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_that_we_hold_for_a_failure_is_posted_on_a_second_persons_word(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("fails_but_collects")).await;
    assert_eq!(book.orders().await, ["alpha failed insufficient_funds 103600 0"]);
    book.app.clock.set(book.app.clock.now() + chrono::TimeDelta::hours(13));
    book.live_until("2026-02-26").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 1);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_failed_they_succeeded post open");
    reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await.unwrap();
    let own = confirm(&book, break_id, "Li").await;
    assert!(matches!(own, Err(Fault::Refused(BreakRefusal::OwnProposal))), "{own:?}");
    confirm(&book, break_id, "Wang").await.unwrap();
    let again = confirm(&book, break_id, "Wang").await;
    assert!(matches!(again, Err(Fault::Refused(BreakRefusal::NotOpen))), "{again:?}");
    assert_eq!(book.used().await, Fen::new(200_000));
    assert_eq!(book.words("select source from repayment where line_id = $1").await, ["channel_file"]);
    // The order that was made for the next day meanwhile finds nothing owed and is not sent.
    submit_withholdings(&book.app).await.unwrap();
    assert_eq!(book.orders().await, ["alpha failed insufficient_funds 103600 0", "alpha failed superseded 103600 0"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_second_person_is_another_one_however_the_name_is_written(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    let propose =
        async |person| reconcile::propose_correction(&book.app, break_id, Correction::AskChannel, person).await;
    assert_eq!(refused(propose(" ").await), BreakRefusal::NameMissing);
    propose("Chen Wei").await.unwrap();
    for name in ["Chen Wei", "chen  wei ", "CHEN WEI"] {
        assert_eq!(refused(confirm(&book, break_id, name).await), BreakRefusal::OwnProposal);
        let dismissed = reconcile::dismiss_break(&book.app, break_id, name, "nothing to do").await;
        assert_eq!(refused(dismissed), BreakRefusal::OwnProposal);
    }
    assert_eq!(refused(confirm(&book, break_id, "").await), BreakRefusal::NameMissing);
    assert_eq!(refused(reconcile::dismiss_break(&book.app, break_id, "Li Na", " ").await), BreakRefusal::ReasonMissing);
    // The table holds it too.
    let update =
        "update reconciliation_break set status = 'corrected', confirmed_by = upper(owner), closed_on = opened_on";
    let refusal = sqlx::query(update).execute(&book.app.pool).await.unwrap_err().to_string();
    assert!(refusal.contains("reconciliation_break_two_people"), "{refusal}");
    let nowhere = BreakId::from_uuid(uuid::Uuid::from_u128(5));
    let unknown = reconcile::propose_correction(&book.app, nowhere, Correction::Post, "Li Na").await;
    assert_eq!(refused(unknown), BreakRefusal::Unknown);
    confirm(&book, break_id, "Chen Li").await.unwrap();
    assert_eq!(refused(propose("Li Na").await), BreakRefusal::NotOpen);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_that_is_not_owed_any_more_is_owed_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("fails_but_collects")).await;
    // The retry of the afternoon took the money a second time.
    book.set_time("2026-02-25", "15:01:00");
    assert_eq!(fenqi::repayment::jobs::retry_withholdings(&book.app).await.unwrap(), 1);
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    book.live_until("2026-02-26").await;
    fetch_channel_files(&book.app).await.unwrap();
    let (break_id, _) = the_break(&book).await;
    // Not to somebody whose card is forgotten.
    let erased = r"insert into borrower (borrower_id, name_sealed, id_number_sealed, mobile_sealed, created_at)
                   select borrower_id, '\x00', '\x00', '\x00', now() from credit_line";
    sqlx::query(erased).execute(&book.app.pool).await.unwrap();
    assert_eq!(refused(confirm(&book, break_id, "Wang").await), BreakRefusal::BorrowerErased);
    sqlx::query("delete from borrower").execute(&book.app.pool).await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [103_600]);
    assert_eq!(book.used().await, Fen::new(200_000));
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_reads_which_repayment_a_reversal_takes_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("not_in_file")).await;
    book.live_until("2026-02-27").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 1);
    let (break_id, _) = the_break(&book).await;
    reconcile::propose_correction(&book.app, break_id, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    desk::add_partner(&book.app, "test-core", PartnerKind::Funder, Some("test-bank".into())).await;
    let key = desk::add_key(&book.app, "test-core", "T-1", Algorithm::Sm2Sm3).await;
    let core = Desk::new(&book.app, &desk::serve(&book.app).await, key).await;
    let listed = core.get("/funder/repayments").await.ok();
    let [repayment, reversal] = listed["items"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&repayment["source"], &repayment["reverses"]), (&json!("withholding"), &Value::Null));
    assert_eq!((&reversal["source"], &reversal["reverses"]), (&json!("reversal"), &repayment["repayment_id"]));
    assert_eq!((&repayment["amount_fen"], &reversal["amount_fen"]), (&json!(103_600), &json!(-103_600)));
    let one = format!("/funder/repayments/{}", reversal["repayment_id"].as_str().unwrap());
    assert_eq!(&core.get(&one).await.ok(), reversal);
}

pub(super) async fn the_open_break(book: &Book) -> BreakId {
    let open = "select break_id from reconciliation_break where status = 'open'";
    BreakId::from_uuid(sqlx::query_scalar(open).fetch_one(&book.app.pool).await.unwrap())
}

/// Debits less credits of bank, channel receivable and suspense.
pub(super) async fn balances(book: &Book) -> Vec<i64> {
    book.fen(
        "select coalesce(sum(case when leg.debit = a.account then leg.amount_fen else 0 end
                             - case when leg.credit = a.account then leg.amount_fen else 0 end), 0)::bigint
         from unnest(array[101, 107, 112]) with ordinality as a(account, nth)
         cross join posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
         where $1::uuid is not null group by a.nth order by a.nth",
    )
    .await
}

async fn press(book: &Book, amount: i64, key: &str) -> repayment::Withholding {
    let (line_id, amount, idempotency_key) = (book.line_id, Fen::new(amount), key.to_owned());
    let request = RepayRequest { line_id, amount, card_id: None, idempotency_key };
    repayment::repay(&book.app, &request).await.unwrap()
}

/// A book whose channel says that it collected a part for the button, which allows none, and the break over it.
async fn collected_in_part(pool: PgPool) -> (Book, BreakId) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    let silent = Scripted::answer("success").with(sandbox::Fault::TimeoutAfter);
    world.script("withholding_a", Some(Matcher::new("card", AGREEMENT)), vec![silent]);
    let book = book::keep(app).await;
    book.live_until("2026-02-25").await;
    let order = press(&book, 103_600, "k1").await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().unknown, 1);
    assert_eq!(post_success(&book, order.withholding_id, 50_000).await.contradicted, 1);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "amount_differs ask_channel open");
    (book, break_id)
}

pub(super) async fn post_success(book: &Book, withholding_id: WithholdingId, fen: i64) -> Posted {
    let answer = Answer::Succeeded { collected: Fen::new(fen), reference: "T1".into() };
    let result = ChannelResult { withholding_id, line_id: book.line_id, answer };
    repayment::post_results(&book.app, &[result]).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_once_of_a_channel_that_contradicts_itself_however_often_it_is_asked(pool: PgPool) {
    let (book, _) = collected_in_part(pool).await;
    let pending = "select withholding_id from withholding where status = 'unknown'";
    let id = sqlx::query_scalar(pending).fetch_one(&book.app.pool).await.unwrap();
    let say_again = async || {
        let again = post_success(&book, WithholdingId::from_uuid(id), 50_000).await;
        assert_eq!(again.contradicted, 1);
    };
    say_again().await;
    book.live_until("2026-02-26").await;
    say_again().await;
    let told = "select kind from notice where audience = 'operator' and $1::uuid is not null";
    assert_eq!(book.words(told).await, ["withholding_contradiction"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_over_whose_amount_the_channel_differs_ends_with_it_on_two_peoples_word(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(book.orders().await, ["alpha failed superseded 103600 0", "alpha succeeded 103600 50000"]);
    book.assert_whole().await;
    // The button works again, for what is left.
    press(&book, 53_600, "k2").await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.used().await, Fen::new(200_000));
    book.assert_whole().await;
}

/// The order that was made by the button.
async fn pressed(book: &Book) -> WithholdingId {
    let pressed = "select withholding_id from withholding where purpose = 'button'";
    WithholdingId::from_uuid(sqlx::query_scalar(pressed).fetch_one(&book.app.pool).await.unwrap())
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_channel_that_has_named_an_amount_does_not_end_the_order_by_saying_that_it_took_nothing(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    let (withholding_id, line_id) = (pressed(&book).await, book.line_id);
    let down = Answer::Failed { failure: ChannelFailure::ChannelDown, code: "BANK_DOWN".into() };
    for answer in [down, Answer::Absent { code: "NOT_EXIST".into() }] {
        let result = ChannelResult { withholding_id, line_id, answer };
        assert_eq!(repayment::post_results(&book.app, &[result]).await.unwrap().contradicted, 1);
    }
    // Neither has the next channel been asked for the same money.
    assert_eq!(book.orders().await, ["alpha failed superseded 103600 0", "alpha unknown 103600 0"]);
    assert_eq!(the_break(&book).await, (break_id, "amount_differs ask_channel open".to_owned()));
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(book.orders().await[1], "alpha failed refused 103600 0");
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_amount_that_the_file_names_is_a_break_though_people_have_booked_another_one_before(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(pressed(&book).await, 60_000)]);
    let take_in = async || reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap().breaks;
    assert_eq!(take_in().await, 1);
    assert_eq!(take_in().await, 0);
    let open = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, open, Correction::Post, "Li").await.unwrap();
    confirm(&book, open, "Wang").await.unwrap();
    let booked = "select amount_fen from repayment where line_id = $1 order by amount_fen desc";
    assert_eq!(book.fen(booked).await, [50_000, 10_000]);
    assert_eq!(balances(&book).await[1], 0);
    assert_eq!(take_in().await, 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_waits_over_its_amount_ends_with_what_the_file_names(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    let shown = reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await.unwrap();
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(pressed(&book).await, 60_000)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    let confirmed = reconcile::confirm_break(&book.app, break_id, shown, "Wang").await;
    assert_eq!(refused(confirmed), BreakRefusal::ProposalChanged);
    assert_eq!(the_break(&book).await.1, "amount_differs ask_channel open");
    reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(book.fen("select amount_fen from repayment where line_id = $1").await, [60_000]);
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn each_amount_that_a_channel_names_on_one_day_is_a_break(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    let order = pressed(&book).await;
    for fen in [60_000, 70_000] {
        for _ in 0..2 {
            assert_eq!(post_success(&book, order, fen).await.contradicted, 1);
        }
        let open = the_open_break(&book).await;
        reconcile::dismiss_break(&book.app, open, "Wang", "the channel has corrected itself").await.unwrap();
    }
    // Once they are closed, the same words again are no news.
    assert_eq!(post_success(&book, order, 60_000).await.contradicted, 1);
    let breaks = "select their_fen from reconciliation_break where $1::uuid is not null order by their_fen";
    assert_eq!(book.fen(breaks).await, [50_000, 60_000, 70_000]);
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(order, 70_000)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    let open = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, open, Correction::Post, "Li").await.unwrap();
    confirm(&book, open, "Wang").await.unwrap();
    let booked = "select amount_fen from repayment where line_id = $1 order by amount_fen desc";
    assert_eq!(book.fen(booked).await, [50_000, 20_000]);
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_open_over_a_failed_order_takes_the_amount_that_the_file_names(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    assert_eq!(post_success(&book, order, 60_000).await.contradicted, 1);
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(order, 103_600)]);
    let take_in = async || reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap().breaks;
    assert_eq!(take_in().await, 1);
    assert_eq!(take_in().await, 0);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_failed_they_succeeded post open");
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(book.used().await, Fen::new(200_000));
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_file_of_the_day_after_names_is_one_break_with_what_is_open_over_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    assert_eq!(post_success(&book, order, 60_000).await.contradicted, 1);
    book.live_until("2026-02-27").await;
    let file = file_of(vec![taken(order, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    let breaks = "select their_fen from reconciliation_break where $1::uuid is not null";
    assert_eq!(book.fen(breaks).await, [103_600]);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_channel_says_after_the_file_of_the_day_after_is_no_other_break(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    book.live_until("2026-02-27").await;
    let file = file_of(vec![taken(order, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    for fen in [103_600, 60_000] {
        assert_eq!(post_success(&book, order, fen).await.contradicted, 1);
    }
    let breaks = "select their_fen from reconciliation_break where $1::uuid is not null";
    assert_eq!(book.fen(breaks).await, [103_600]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_channel_says_while_its_file_is_compared_takes_the_amount_that_the_file_names(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(order, 103_600)]);
    // Once the comparison looks what was booked, it has looked what is open already.
    let mut calling_back = fenqi::database::begin(&book.app.pool).await.unwrap();
    sqlx::query("lock table repayment in access exclusive mode").execute(&mut *calling_back).await.unwrap();
    let said =
        "insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen,
                                           proposed, proposed_by, owner, status, opened_on)
         select gen_random_uuid(), channel, business_day, 'we_failed_they_succeeded', withholding_id, 0, 60000,
                'post', 'callback', 'callback', 'open', '2026-02-26'
         from withholding where withholding_id = $1";
    let (compared, ()) = tokio::join!(reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file), async {
        house::until_somebody_waits(&book.app.pool).await;
        sqlx::query(said).bind(order.uuid()).execute(&mut *calling_back).await.unwrap();
        calling_back.commit().await.unwrap();
    });
    assert_eq!(compared.unwrap().breaks, 1);
    let breaks = "select their_fen from reconciliation_break where $1::uuid is not null";
    assert_eq!(book.fen(breaks).await, [103_600]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_dismissed_is_a_break_again_once_the_file_says_it_too(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    assert_eq!(post_success(&book, order, 103_600).await.contradicted, 1);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_failed_they_succeeded post open");
    reconcile::dismiss_break(&book.app, break_id, "Wang", "the channel says that it took nothing").await.unwrap();
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(order, 103_600)]);
    let take_in = async || reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap().breaks;
    assert_eq!(take_in().await, 1);
    assert_eq!(take_in().await, 0);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(book.used().await, Fen::new(200_000));
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_dismissed_over_an_order_that_waits_is_a_break_again_once_the_file_says_it_too(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    reconcile::dismiss_break(&book.app, break_id, "Wang", "the channel says that it erred").await.unwrap();
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(pressed(&book).await, 50_000)]);
    let take_in = async || reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap().breaks;
    assert_eq!(take_in().await, 1);
    assert_eq!(take_in().await, 0);
    // The bank has its money, and it pays what it was taken for.
    let open = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, open, Correction::Post, "Li").await.unwrap();
    confirm(&book, open, "Wang").await.unwrap();
    assert_eq!(book.orders().await[1], "alpha succeeded 103600 50000");
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_given_back_before_the_file_came_is_a_break_again_where_the_channel_pays_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    assert_eq!(post_success(&book, order, 103_600).await.contradicted, 1);
    let (break_id, _) = the_break(&book).await;
    reconcile::propose_correction(&book.app, break_id, Correction::AskChannel, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(order, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    assert_eq!(balances(&book).await, [103_393, -103_600, 0]);
    let open = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, open, Correction::AskChannel, "Li").await.unwrap();
    confirm(&book, open, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [-207, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_people_have_settled_with_the_channel_ends_as_failed(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(book.orders().await, ["alpha failed superseded 103600 0", "alpha failed refused 103600 0"]);
    book.assert_whole().await;
    press(&book, 103_600, "k2").await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_break_over_an_order_that_has_ended_since_books_no_money_that_never_came(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    book.app.clock.set(book.app.clock.now() + chrono::TimeDelta::minutes(2));
    assert_eq!(fenqi::repayment::jobs::query_unknowns(&book.app).await.unwrap().succeeded, 1);
    for correction in [Correction::Post, Correction::Refund] {
        reconcile::propose_correction(&book.app, break_id, correction, "Li").await.unwrap();
        let refused = confirm(&book, break_id, "Wang").await;
        assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::DoesNotFit))), "{refused:?}");
    }
    assert_eq!(book.fen("select amount_fen from repayment where line_id = $1").await, [103_600]);
    assert_eq!(book.fen("select amount_fen from payout where line_id = $1").await, [0; 0]);
    reconcile::dismiss_break(&book.app, break_id, "Wang", "the channel has corrected itself").await.unwrap();
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_settled_by_hand_while_the_day_ends_is_posted_to_the_day_that_begins(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("not_in_file")).await;
    for day in ["2026-02-26", "2026-02-27"] {
        book.live_until(day).await;
        fetch_channel_files(&book.app).await.unwrap();
    }
    let (break_id, _) = the_break(&book).await;
    reconcile::propose_correction(&book.app, break_id, Correction::AskChannel, "Li").await.unwrap();
    let mut closing = fenqi::database::begin(&book.app.pool).await.unwrap();
    let today = "2026-02-27".parse().unwrap();
    assert!(fenqi::business_day::store::advance(&mut closing, today).await.unwrap());
    let (confirmed, ()) = tokio::join!(confirm(&book, break_id, "Wang"), async {
        house::until_somebody_waits(&book.app.pool).await;
        closing.commit().await.unwrap();
    });
    confirmed.unwrap();
    let posted = "select business_day::text from posting where event = 'break_settled' and $1::uuid is not null";
    assert_eq!(book.words(posted).await, ["2026-02-28"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_people_make_of_an_order_while_a_file_comes_counts_when_the_file_is_compared(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let order = the_order(&book).await;
    let answer = Answer::Failed { failure: ChannelFailure::InsufficientFunds, code: "51".into() };
    let failed = FileLine { answer, amount: Fen::ZERO, cost: Fen::ZERO, ..taken(order, 0) };
    reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"failed", &file_of(vec![failed])).await.unwrap();
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_succeeded_they_failed reverse open");
    book.live_until("2026-02-27").await;
    // The channel names it a success after all, at the moment at which two people settle by hand that it was not.
    let mut settling = fenqi::database::begin(&book.app.pool).await.unwrap();
    reconcile::store::lock_break(&mut settling, break_id).await.unwrap();
    reconcile::store::save_settled(&mut settling, break_id, Fen::new(103_600)).await.unwrap();
    let file = file_of(vec![taken(order, 103_600)]);
    let (compared, ()) = tokio::join!(reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"taken", &file), async {
        house::until_somebody_waits(&book.app.pool).await;
        settling.commit().await.unwrap();
    });
    assert_eq!(compared.unwrap().breaks, 1, "its money came twice");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_took_beyond_the_order_is_owed_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    let id = sqlx::query_scalar("select withholding_id from withholding").fetch_one(&book.app.pool).await.unwrap();
    let withholding_id = WithholdingId::from_uuid(id);
    assert_eq!(post_success(&book, withholding_id, 110_000).await.contradicted, 1);
    let (break_id, _) = the_break(&book).await;
    reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [6_400]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_booked_on_the_channels_word_alone_is_taken_back_where_no_file_says_so(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let used = book.used().await;
    let order = the_order(&book).await;
    assert_eq!(post_success(&book, order, 103_600).await.contradicted, 1);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(book.words("select source from repayment where line_id = $1").await, ["channel_file"]);
    // The files say that it failed, as it had said first, and name no success.
    let failure = ChannelFailure::InsufficientFunds;
    let answer = Answer::Failed { failure, code: "NSF".into() };
    let failed = FileLine { answer, amount: Fen::ZERO, cost: Fen::ZERO, ..taken(order, 0) };
    let take_in = async |day: &str, lines: Vec<FileLine>| {
        let compared = reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file_of(lines)).await;
        compared.unwrap().breaks
    };
    assert_eq!(take_in("2026-02-25", vec![failed]).await, 0);
    assert_eq!(take_in("2026-02-26", Vec::new()).await, 1);
    let found = the_open_break(&book).await;
    let kind = "select concat_ws(' ', kind, our_fen, their_fen, proposed) from reconciliation_break
                where status = 'open' and $1::uuid is not null";
    assert_eq!(book.words(kind).await, ["missing_there 103600 0 ask_channel"]);
    reconcile::propose_correction(&book.app, found, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, found, "Wang").await.unwrap();
    assert_eq!(book.used().await, used);
    assert_eq!(balances(&book).await[1], 0);
    assert_eq!(book.orders().await, ["alpha failed insufficient_funds 103600 0"]);
    book.assert_whole().await;

    // The button pays it late, with penalty of four days, and the channel took less: that pays as much penalty, since nothing has run
    // on what was held for paid.
    book.live_until("2026-03-01").await;
    let late = press(&book, 104_000, "late").await.withholding_id;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    book.live_until("2026-03-04").await;
    assert_eq!(take_in("2026-03-01", vec![taken(late, 90_000)]).await, 1);
    let found = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, found, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, found, "Wang").await.unwrap();
    let penalty = "select penalty_fen[1] from repayment where line_id = $1 and business_day >= '2026-03-01'
                   order by business_day, penalty_fen[1]";
    assert_eq!(book.fen(penalty).await, [400, -400, 400]);
    assert_eq!(book.used().await, used - Fen::new(86_000));
    book.assert_whole().await;
}
