//! Callbacks and daily files of the counterfeit channels: what is believed, what ends an order, what becomes a break.

use std::sync::Arc;

use fenqi::access::PartnerKind;
use fenqi::base::Fen;
use fenqi::base::id::{BreakId, WithholdingId};
use fenqi::error::{Fault, Outcome};
use fenqi::partner::key::Algorithm;
use fenqi::partner::withholding::{Answer, ChannelName, DailyFile, FileLine, Heard};
use fenqi::reconcile::{self, BreakRefusal, fetch_channel_files};
use fenqi::repayment::jobs::submit_withholdings;
use fenqi::repayment::{self, CallbackRefusal, ChannelResult, Posted, RepayRequest, hear};
use fenqi::sandbox::{self, Matcher, Scripted, World};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::authoriser::until_somebody_waits;
use crate::book::{self, AGREEMENT, Book};
use crate::desk::{self, Desk};
use crate::house;

/// A book whose first order has been sent, in a world that calls back to it.
pub(super) async fn sent(pool: PgPool, outcome: Scripted) -> (Book, Arc<World>) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    world.script("withholding_a", Some(Matcher::new("card", AGREEMENT)), vec![outcome]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.set_callback_base(Some(format!("http://{}/partner", listener.local_addr().unwrap())));
    let pages = fenqi::router::router(app.clone());
    tokio::spawn(async move { axum::serve(listener, pages).await });
    let book = book::keep(app).await;
    book.live_until("2026-02-25").await;
    submit_withholdings(&book.app).await.unwrap();
    (book, world)
}

/// Waits until every callback has been heard, also those that are on their way: as many calls in as expected.
async fn heard(book: &Book, calls: i64) {
    for _ in 0..500 {
        book.app.partners.flush_log().await;
        let count = book.fen("select count(*) from partner_call where direction = 'in' and $1::uuid is not null").await;
        if count[0] >= calls {
            // The answer to the last call is recorded before it is booked.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the callbacks did not come");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_that_comes_twice_is_booked_once(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::DuplicateCallback)).await;
    heard(&book, 2).await;
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [1]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_is_believed_only_if_all_of_it_is_what_was_sent(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    let id = sqlx::query_scalar("select withholding_id from withholding").fetch_one(&book.app.pool).await.unwrap();
    let true_one = Heard {
        merchant_id: sandbox::PLATFORM.to_owned(),
        withholding_id: fenqi::base::id::WithholdingId::from_uuid(id),
        amount: Fen::new(103_600),
        answer: Answer::Succeeded { collected: Fen::new(103_600), reference: "T1".into() },
    };
    let refusal = async |channel, heard| match hear(&book.app, channel, heard).await {
        Err(Fault::Refused(refusal)) => refusal,
        other => panic!("believed: {other:?}"),
    };
    let alpha = ChannelName::Alpha;
    let other = Heard { amount: Fen::new(1), ..true_one.clone() };
    assert_eq!(refusal(alpha, other).await, CallbackRefusal::OtherAmount);
    let other = Heard { merchant_id: "another".into(), ..true_one.clone() };
    assert_eq!(refusal(alpha, other).await, CallbackRefusal::OtherMerchant);
    let unknown_id = fenqi::base::id::WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let other = Heard { withholding_id: unknown_id, ..true_one.clone() };
    assert_eq!(refusal(alpha, other).await, CallbackRefusal::UnknownOrder);
    assert_eq!(refusal(ChannelName::Beta, true_one.clone()).await, CallbackRefusal::UnknownOrder);
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
    assert_eq!(hear(&book.app, alpha, true_one.clone()).await.unwrap().succeeded, 1);
    let again = Posted { already_applied: 1, ..Posted::default() };
    assert_eq!(hear(&book.app, alpha, true_one).await.unwrap(), again);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_that_knows_no_such_order_ends_none(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    let absent = Heard {
        merchant_id: sandbox::PLATFORM.to_owned(),
        withholding_id: the_order(&book).await,
        amount: Fen::new(103_600),
        answer: Answer::Absent { code: "NOT_EXIST".into() },
    };
    let posted = hear(&book.app, ChannelName::Alpha, absent).await.unwrap();
    assert_eq!(posted, Posted { unknown: 1, ..Posted::default() });
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_lost_callback_is_made_up_for_by_the_daily_file_which_is_booked_once(pool: PgPool) {
    let (book, world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::LostCallback)).await;
    assert_eq!(world.deliver_callbacks().await, 0);
    assert_eq!(book.orders().await, ["alpha submitted 103600 0"]);
    book.live_until("2026-02-26").await;
    let done = fetch_channel_files(&book.app).await.unwrap();
    assert_eq!((done.resolved, done.breaks, done.failed), (1, 0, 0));
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    // The channel owes nothing any more: what it took stands at the bank, less 0.2 %.
    let moved =
        book.fen("select unnest(amount_fen) from posting where event = 'channel_settles' and $1::uuid is not null");
    assert_eq!(moved.await, [103_393, 207]);
    assert_eq!(fetch_channel_files(&book.app).await.unwrap(), reconcile::Reconciled::default());
    book.assert_whole().await;
}

async fn the_order(book: &Book) -> WithholdingId {
    let id = sqlx::query_scalar("select withholding_id from withholding").fetch_one(&book.app.pool).await.unwrap();
    WithholdingId::from_uuid(id)
}

fn on_alpha(day: &str) -> reconcile::FileKey {
    reconcile::FileKey { channel: ChannelName::Alpha, day: day.parse().unwrap() }
}

/// A line that says that so much was taken, less 207 fen.
fn taken(withholding_id: WithholdingId, fen: i64) -> FileLine {
    let amount = Fen::new(fen);
    let answer = Answer::Succeeded { collected: amount, reference: "T1".into() };
    FileLine { withholding_id, channel_reference: "T1".into(), answer, amount, cost: Fen::new(207) }
}

/// A line in a word that nobody mapped.
fn unmapped(withholding_id: WithholdingId) -> FileLine {
    let answer = Answer::Unclear { code: "E_777".into() };
    FileLine { answer, amount: Fen::ZERO, cost: Fen::ZERO, ..taken(withholding_id, 0) }
}

fn file_of(lines: Vec<FileLine>) -> DailyFile {
    let mut file = DailyFile::default();
    let (amount, cost) = (lines.iter().map(|line| line.amount).sum(), lines.iter().map(|line| line.cost).sum());
    (file.amount, file.cost, file.lines) = (amount, cost, lines);
    file
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_daily_files_failure_keeps_its_class_so_that_a_closed_card_is_not_tried_again(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("card_invalid").with(sandbox::Fault::LostCallback)).await;
    assert_eq!(book.orders().await, ["alpha submitted 103600 0"]);
    book.live_until("2026-02-26").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().resolved, 1);
    assert_eq!(book.orders().await, ["alpha failed card_invalid 103600 0"]);
    assert_eq!(book.words("select channel_code from withholding where line_id = $1").await, ["CARD_CLOSED"]);
    let cards = "select c.status from bank_card c join credit_line l using (borrower_id) where l.line_id = $1";
    assert_eq!(book.words(cards).await, ["invalid"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_failed_in_the_file_because_the_bank_was_down_goes_to_the_next_channel(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("channel_down").with(sandbox::Fault::LostCallback)).await;
    book.live_until("2026-02-26").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().resolved, 1);
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha failed channel_down 103600 0", "beta succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_of_the_file_that_nobody_mapped_ends_no_order(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    let order = the_order(&book).await;
    book.live_until("2026-02-27").await;
    let file = file_of(vec![unmapped(order)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"first", &file).await.unwrap();
    assert_eq!((compared.resolved, compared.breaks), (Posted::default(), 0));
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
    let file = file_of(vec![taken(order, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"second", &file).await.unwrap();
    assert_eq!((compared.resolved.succeeded, compared.breaks), (1, 0));
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_that_the_files_name_in_a_code_that_nobody_mapped_is_not_denied_but_missing(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-27").await;
    let file = file_of(vec![unmapped(the_order(&book).await)]);
    let first = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"first", &file).await.unwrap();
    assert_eq!(first.breaks, 0);
    let second = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"second", &DailyFile::default()).await;
    assert_eq!(second.unwrap().breaks, 1);
    assert_eq!(the_break(&book).await.1, "missing_there ask_channel open");
}

pub(super) async fn the_break(book: &Book) -> (BreakId, String) {
    let (id, words): (uuid::Uuid, String) =
        sqlx::query_as("select break_id, kind || ' ' || proposed || ' ' || status from reconciliation_break")
            .fetch_one(&book.app.pool)
            .await
            .unwrap();
    (BreakId::from_uuid(id), words)
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
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::Post, "Li").await.unwrap();
    let own = reconcile::confirm_break(&book.app, break_id, "Li").await;
    assert!(matches!(own, Err(Fault::Refused(BreakRefusal::OwnProposal))), "{own:?}");
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    let again = reconcile::confirm_break(&book.app, break_id, "Wang").await;
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
    let refused = |outcome: Outcome<(), BreakRefusal>| match outcome {
        Err(Fault::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    };
    let propose = async |person| {
        reconcile::propose_correction(&book.app, break_id, reconcile::Correction::AskChannel, person).await
    };
    assert_eq!(refused(propose(" ").await), BreakRefusal::NameMissing);
    propose("Chen Wei").await.unwrap();
    for name in ["Chen Wei", "chen  wei ", "CHEN WEI"] {
        assert_eq!(refused(reconcile::confirm_break(&book.app, break_id, name).await), BreakRefusal::OwnProposal);
        let dismissed = reconcile::dismiss_break(&book.app, break_id, name, "nothing to do").await;
        assert_eq!(refused(dismissed), BreakRefusal::OwnProposal);
    }
    assert_eq!(refused(reconcile::confirm_break(&book.app, break_id, "").await), BreakRefusal::NameMissing);
    assert_eq!(refused(reconcile::dismiss_break(&book.app, break_id, "Li Na", " ").await), BreakRefusal::ReasonMissing);
    // The table holds it too.
    let update =
        "update reconciliation_break set status = 'corrected', confirmed_by = upper(owner), closed_on = opened_on";
    let refusal = sqlx::query(update).execute(&book.app.pool).await.unwrap_err().to_string();
    assert!(refusal.contains("reconciliation_break_two_people"), "{refusal}");
    let nowhere = BreakId::from_uuid(uuid::Uuid::from_u128(5));
    let unknown = reconcile::propose_correction(&book.app, nowhere, reconcile::Correction::Post, "Li Na").await;
    assert_eq!(refused(unknown), BreakRefusal::Unknown);
    reconcile::confirm_break(&book.app, break_id, "Chen Li").await.unwrap();
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
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [103_600]);
    assert_eq!(book.used().await, Fen::new(200_000));
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_that_no_file_tells_of_within_a_day_is_a_break(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("not_in_file")).await;
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    book.live_until("2026-02-26").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 0, "it may stand in the next file");
    book.live_until("2026-02-27").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 1);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "missing_there ask_channel open");
    // The channel says that it never took it: two people take it back, and the funder hears of it.
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::Reverse, "Li").await.unwrap();
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    let told = "select kind || ' ' || (body->>'amount_fen') from outbox
                where kind like 'repayment%' and partner <> 'sms' and $1::uuid is not null order by message_no";
    assert_eq!(book.words(told).await, ["repayment 103600", "repayment_reversed -103600"]);
    crate::journey::told_as_documented(&book.app.pool).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_reads_which_repayment_a_reversal_takes_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("not_in_file")).await;
    book.live_until("2026-02-27").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 1);
    let (break_id, _) = the_break(&book).await;
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::Reverse, "Li").await.unwrap();
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
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

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn money_for_an_order_that_is_not_ours_waits_in_suspense_for_two_people(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let ours = the_order(&book).await;
    let line = |withholding_id, amount| FileLine { cost: Fen::new(10), ..taken(withholding_id, amount) };
    let foreign = fenqi::base::id::WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let lines = vec![line(ours, 103_600), line(foreign, 5_000)];
    let mut file = DailyFile::default();
    (file.amount, file.cost, file.lines) = (Fen::new(108_600), Fen::new(20), lines);
    let key = reconcile::FileKey { channel: ChannelName::Alpha, day: "2026-02-25".parse().unwrap() };
    assert_eq!(reconcile::take_in(&book.app, key, b"file", &file).await.unwrap().breaks, 1);
    // The bank account foots with what the channel paid; what is not ours is owed to nobody that we know.
    assert_eq!(balances(&book).await, [108_580, 0, -5_000]);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "missing_here ask_channel open");
    let not_ours = reconcile::propose_correction(&book.app, break_id, reconcile::Correction::Post, "Li").await;
    not_ours.unwrap();
    let refused = reconcile::confirm_break(&book.app, break_id, "Wang").await;
    assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::DoesNotFit))), "{refused:?}");
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::AskChannel, "Li").await.unwrap();
    let own = reconcile::confirm_break(&book.app, break_id, "Li").await;
    assert!(matches!(own, Err(Fault::Refused(BreakRefusal::OwnProposal))), "{own:?}");
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_580, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn all_the_money_of_a_foreign_order_goes_back_where_a_file_names_it_twice(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let foreign = WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let lines = vec![taken(the_order(&book).await, 103_600), taken(foreign, 5_000), taken(foreign, 5_000)];
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file_of(lines)).await.unwrap();
    assert_eq!(compared.breaks, 1);
    assert_eq!(balances(&book).await, [112_979, 0, -10_000]);
    reconcile::confirm_break(&book.app, the_break(&book).await.0, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [102_979, 0, 0]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_a_file_names_twice_is_a_break_until_the_channel_has_its_money_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let line = taken(the_order(&book).await, 103_600);
    let file = file_of(vec![line.clone(), line]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    // The bank foots with what the channel paid; what is too much stands against what it owes.
    assert_eq!(balances(&book).await, [206_786, -103_600, 0]);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "named_twice ask_channel open");
    let sides = "select unnest(array[our_fen, their_fen]) from reconciliation_break where $1::uuid is not null";
    assert_eq!(book.fen(sides).await, [103_600, 207_200]);
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_186, 0, 0]);
    book.assert_whole().await;
    // Settled is settled: only a third time is a break again.
    book.live_until("2026-02-27").await;
    let third = file_of(vec![taken(the_order(&book).await, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"third", &third).await.unwrap();
    assert_eq!(compared.breaks, 1);
    assert_eq!(balances(&book).await[1], -103_600);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_two_files_name_is_a_break_though_the_earlier_comes_late(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-27").await;
    let file = file_of(vec![taken(the_order(&book).await, 103_600)]);
    let take_in = async |day: &str| {
        let compared = reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file).await;
        compared.unwrap().breaks
    };
    assert_eq!(take_in("2026-02-26").await, 0);
    assert_eq!(take_in("2026-02-25").await, 1);
    assert_eq!(take_in("2026-02-25").await, 0);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "named_twice ask_channel open");
    // The card was charged twice: the second payment goes back to it.
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::Refund, "Li").await.unwrap();
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [103_600]);
    assert_eq!(balances(&book).await, [206_786, 0, 0]);
    book.assert_whole().await;
}

/// Debits less credits of bank, channel receivable and suspense.
async fn balances(book: &Book) -> Vec<i64> {
    book.fen(
        "select coalesce(sum(case when leg.debit = a.account then leg.amount_fen else 0 end
                             - case when leg.credit = a.account then leg.amount_fen else 0 end), 0)::bigint
         from unnest(array[101, 107, 112]) with ordinality as a(account, nth)
         cross join posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
         where $1::uuid is not null group by a.nth order by a.nth",
    )
    .await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_is_not_held_for_unheard_while_the_next_days_file_is_missing(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    book.live_until("2026-02-28").await;
    let key = |day: &str| reconcile::FileKey { channel: ChannelName::Alpha, day: day.parse().unwrap() };
    for day in ["2026-02-25", "2026-02-27"] {
        reconcile::take_in(&book.app, key(day), day.as_bytes(), &DailyFile::default()).await.unwrap();
    }
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
    let file = file_of(vec![taken(the_order(&book).await, 103_600)]);
    let compared = reconcile::take_in(&book.app, key("2026-02-26"), b"late", &file).await.unwrap();
    assert_eq!((compared.resolved.succeeded, compared.breaks), (1, 0));
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    assert_eq!(book.fen("select amount_fen from repayment where line_id = $1").await, [103_600]);
    book.assert_whole().await;
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

async fn post_success(book: &Book, withholding_id: fenqi::base::id::WithholdingId, fen: i64) -> Posted {
    let answer = Answer::Succeeded { collected: Fen::new(fen), reference: "T1".into() };
    let result = ChannelResult { withholding_id, line_id: book.line_id, answer };
    repayment::post_results(&book.app, &[result]).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_once_a_day_of_a_channel_that_contradicts_itself(pool: PgPool) {
    let (book, _) = collected_in_part(pool).await;
    let pending = "select withholding_id from withholding where status = 'unknown'";
    let id = sqlx::query_scalar(pending).fetch_one(&book.app.pool).await.unwrap();
    let again = post_success(&book, fenqi::base::id::WithholdingId::from_uuid(id), 50_000).await;
    assert_eq!(again.contradicted, 1);
    let told = "select kind from notice where audience = 'operator' and $1::uuid is not null";
    assert_eq!(book.words(told).await, ["withholding_contradiction"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_over_whose_amount_the_channel_differs_ends_with_it_on_two_peoples_word(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::Post, "Li").await.unwrap();
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    assert_eq!(book.orders().await, ["alpha failed superseded 103600 0", "alpha succeeded 103600 50000"]);
    book.assert_whole().await;
    // The button works again, for what is left.
    press(&book, 53_600, "k2").await;
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.used().await, Fen::new(200_000));
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_people_have_settled_with_the_channel_ends_as_failed(pool: PgPool) {
    let (book, break_id) = collected_in_part(pool).await;
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
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
    for correction in [reconcile::Correction::Post, reconcile::Correction::Refund] {
        reconcile::propose_correction(&book.app, break_id, correction, "Li").await.unwrap();
        let refused = reconcile::confirm_break(&book.app, break_id, "Wang").await;
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
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::AskChannel, "Li").await.unwrap();
    let mut closing = fenqi::database::begin(&book.app.pool).await.unwrap();
    let today = "2026-02-27".parse().unwrap();
    assert!(fenqi::business_day::store::advance(&mut closing, today).await.unwrap());
    let (confirmed, ()) = tokio::join!(reconcile::confirm_break(&book.app, break_id, "Wang"), async {
        until_somebody_waits(&book.app.pool).await;
        closing.commit().await.unwrap();
    });
    confirmed.unwrap();
    let posted = "select business_day::text from posting where event = 'break_settled' and $1::uuid is not null";
    assert_eq!(book.words(posted).await, ["2026-02-28"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_file_that_waits_for_a_break_does_not_keep_the_day_from_ending(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("not_in_file")).await;
    for day in ["2026-02-26", "2026-02-27"] {
        book.live_until(day).await;
        fetch_channel_files(&book.app).await.unwrap();
    }
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "missing_there ask_channel open");
    let withholding_id = fenqi::base::id::WithholdingId::from_uuid(
        sqlx::query_scalar("select withholding_id from withholding").fetch_one(&book.app.pool).await.unwrap(),
    );
    let file = file_of(vec![taken(withholding_id, 103_600)]);
    let key = reconcile::FileKey { channel: ChannelName::Alpha, day: "2026-02-27".parse().unwrap() };
    let mut holder = fenqi::database::begin(&book.app.pool).await.unwrap();
    reconcile::store::lock_break(&mut holder, break_id).await.unwrap();
    let (compared, is_free) = tokio::join!(reconcile::take_in(&book.app, key, b"late", &file), async {
        until_somebody_waits(&book.app.pool).await;
        // The lock that ends the day.
        let free = "select pg_try_advisory_xact_lock(4240230)";
        let is_free = sqlx::query_scalar::<_, bool>(free).fetch_one(&book.app.pool).await.unwrap();
        holder.commit().await.unwrap();
        is_free
    });
    assert_eq!(compared.unwrap().breaks, 0);
    assert!(is_free, "the day is held before the break");
    assert_eq!(the_break(&book).await.1, "missing_there ask_channel corrected");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_of_a_later_day_than_its_orders_is_a_break_too_where_no_file_tells_of_it(pool: PgPool) {
    let (book, world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutBefore)).await;
    let silent = Scripted::answer("not_in_file");
    world.script("withholding_b", Some(Matcher::new("card", AGREEMENT)), vec![silent]);
    // Two files in which the first channel does not name it: it never heard of it, and the second is asked.
    book.live_until("2026-02-27").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().resolved, 1);
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha failed channel_down 103600 0", "beta succeeded 103600 103600"]);
    book.live_until("2026-02-28").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 0, "it may stand in the next file");
    book.live_until("2026-03-01").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 1);
    assert_eq!(the_break(&book).await.1, "missing_there ask_channel open");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_demos_served_house_compares_the_channels_files(pool: PgPool) {
    let (book, world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let keeping = tokio::spawn(fenqi::demo::serving::keep_house(book.app.clone(), world));
    let compared = "select count(*) from channel_file where compared_at is not null and $1::uuid is not null";
    for _ in 0..300 {
        if book.fen(compared).await == [1] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    keeping.abort();
    assert_eq!(book.fen(compared).await, [1]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_took_beyond_the_order_is_owed_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    let id = sqlx::query_scalar("select withholding_id from withholding").fetch_one(&book.app.pool).await.unwrap();
    let withholding_id = fenqi::base::id::WithholdingId::from_uuid(id);
    assert_eq!(post_success(&book, withholding_id, 110_000).await.contradicted, 1);
    let (break_id, _) = the_break(&book).await;
    reconcile::propose_correction(&book.app, break_id, reconcile::Correction::Post, "Li").await.unwrap();
    reconcile::confirm_break(&book.app, break_id, "Wang").await.unwrap();
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [6_400]);
    book.assert_whole().await;
}
