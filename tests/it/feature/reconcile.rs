//! Callbacks and daily files of the counterfeit channels: which are accepted, which end an order, and which open a break.

use std::sync::Arc;

use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{BreakId, WithholdingId};
use fenqi::error::Fault;
use fenqi::partner::withholding::{Answer, ChannelFailure, ChannelName, DailyFile, FileLine, Heard};
use fenqi::reconcile::{self, fetch_channel_files};
use fenqi::repayment::jobs::submit_withholdings;
use fenqi::repayment::{CallbackRefusal, Posted, hear};
use fenqi::sandbox::{self, Matcher, Scripted, World};
use sqlx::PgPool;

use crate::book::{self, AGREEMENT, Book};
use crate::house;

/// A book whose first order has been sent, in a world that calls back to it.
pub(super) async fn sent(pool: PgPool, outcome: Scripted) -> (Book, Arc<World>) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    world.script("withholding_a", Some(Matcher::new("card", AGREEMENT)), vec![outcome]);
    let pages = house::serve(fenqi::router::router(app.clone())).await;
    world.set_callback_base(format!("{pages}/partner"));
    let book = book::keep(app).await;
    book.live_until("2026-02-25").await;
    submit_withholdings(&book.app).await.unwrap();
    (book, world)
}

/// Waits until every callback has been heard, also those that are on their way: as many calls in as expected.
async fn heard(book: &Book, calls: i64) {
    house::until("the callbacks are heard", async || {
        // What is called back is booked before it is written down.
        book.app.partners.flush_log().await;
        let count = book.fen("select count(*) from partner_call where direction = 'in' and $1::uuid is not null").await;
        count[0] >= calls
    })
    .await;
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

pub(super) async fn the_order(book: &Book) -> WithholdingId {
    let id = sqlx::query_scalar("select withholding_id from withholding").fetch_one(&book.app.pool).await.unwrap();
    WithholdingId::from_uuid(id)
}

pub(super) fn on_alpha(day: &str) -> reconcile::FileKey {
    reconcile::FileKey { channel: ChannelName::Alpha, day: day.parse().unwrap() }
}

/// A line that says that so much was taken, less 207 fen, under a reference of the order's own.
pub(super) fn taken(withholding_id: WithholdingId, fen: i64) -> FileLine {
    let (amount, reference) = (Fen::new(fen), format!("T-{withholding_id}"));
    let answer = Answer::Succeeded { collected: amount, reference: reference.clone() };
    FileLine { withholding_id, channel_reference: reference, answer, amount, cost: Fen::new(207) }
}

/// A line in a word that nobody mapped.
fn unmapped(withholding_id: WithholdingId) -> FileLine {
    let answer = Answer::Unclear { code: "E_777".into() };
    FileLine { answer, amount: Fen::ZERO, cost: Fen::ZERO, ..taken(withholding_id, 0) }
}

/// A line that says that there was too little to take.
pub(super) fn refused(withholding_id: WithholdingId) -> FileLine {
    let answer = Answer::Failed { failure: ChannelFailure::InsufficientFunds, code: "51".into() };
    FileLine { answer, amount: Fen::ZERO, cost: Fen::ZERO, ..taken(withholding_id, 0) }
}

pub(super) fn file_of(lines: Vec<FileLine>) -> DailyFile {
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
async fn a_code_of_the_file_that_nobody_mapped_ends_no_order_and_a_success_does_whatever_stands_beside_it(
    pool: PgPool,
) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    let order = the_order(&book).await;
    book.live_until("2026-02-27").await;
    let file = file_of(vec![unmapped(order)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"first", &file).await.unwrap();
    assert_eq!((compared.resolved, compared.breaks), (Posted::default(), 0));
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
    // Held for a failure, it would be taken again by the next try of the timetable.
    let file = file_of(vec![refused(order), taken(order, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"second", &file).await.unwrap();
    assert_eq!((compared.resolved, compared.breaks), (one_paid(103_600), 1));
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    assert_eq!(the_break(&book).await.1, "we_succeeded_they_failed reverse open");
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

fn one_paid(fen: i64) -> Posted {
    Posted { succeeded: 1, collected: Fen::new(fen), ..Posted::default() }
}

/// Both files in which an order of 25 February would have to stand, and does not.
async fn take_in_two_empty_files(app: &App) -> Posted {
    let mut resolved = Posted::default();
    for day in ["2026-02-25", "2026-02-26"] {
        let taken_in = reconcile::take_in(app, on_alpha(day), day.as_bytes(), &DailyFile::default()).await;
        resolved += taken_in.unwrap().resolved;
    }
    resolved
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_no_file_names_is_asked_about_before_another_channel_collects_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    book.live_until("2026-02-27").await;
    assert_eq!(take_in_two_empty_files(&book.app).await.succeeded, 1);
    assert_eq!(submit_withholdings(&book.app).await.unwrap(), Posted::default());
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    assert_eq!(book.fen("select amount_fen from repayment where line_id = $1").await, [103_600]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_no_file_names_waits_while_its_channel_is_silent(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutBefore)).await;
    book.live_until("2026-02-27").await;
    let unreached = house::with_partners(&book.app, &[]);
    assert_eq!(take_in_two_empty_files(&unreached).await.failed, 0);
    assert_eq!(book.orders().await, ["alpha unknown 103600 0"]);
    // It answers again when the next file has come.
    book.live_until("2026-02-28").await;
    let taken_in = reconcile::take_in(&book.app, on_alpha("2026-02-27"), b"third", &DailyFile::default()).await;
    assert_eq!(taken_in.unwrap().resolved.failed, 1);
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    assert_eq!(book.orders().await, ["alpha failed channel_down 103600 0", "beta succeeded 103600 103600"]);
    book.assert_whole().await;
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
        house::until_somebody_waits(&book.app.pool).await;
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
    house::until("the file is compared", async || book.fen(compared).await == [1]).await;
    keeping.abort();
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_file_that_cannot_be_kept_holds_up_no_other(pool: PgPool) {
    let (book, world) = sent(pool, Scripted::answer("channel_down").with(sandbox::Fault::LostCallback)).await;
    let unheard = Scripted::answer("success").with(sandbox::Fault::LostCallback);
    world.script("withholding_b", Some(Matcher::new("card", AGREEMENT)), vec![unheard]);
    book.live_until("2026-02-26").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().resolved, 1);
    submit_withholdings(&book.app).await.unwrap();
    assert_eq!(book.orders().await, ["alpha failed channel_down 103600 0", "beta submitted 103600 0"]);
    let broken = "alter table channel_file add constraint none_of_alpha check (channel <> 'alpha') not valid";
    sqlx::query(broken).execute(&book.app.pool).await.unwrap();
    book.live_until("2026-02-27").await;
    let failed = format!("{:#}", fetch_channel_files(&book.app).await.unwrap_err());
    assert!(failed.contains("none_of_alpha"), "it is tried again for the sake of alpha's file: {failed}");
    assert_eq!(book.orders().await[1], "beta succeeded 103600 103600");
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_once_a_day_of_files_that_do_not_come(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    let unreached = house::with_partners(&book.app, &[]);
    let told = "select body::text from notice
                where kind = 'files_missing' and audience = 'operator' and $1::uuid is not null order by notice_no";
    book.live_until("2026-02-26").await;
    assert_eq!(fetch_channel_files(&unreached).await.unwrap().failed, 1);
    assert!(book.words(told).await.is_empty(), "it may come later in the morning");
    book.set_time("2026-02-26", "12:15:00");
    assert_eq!(fetch_channel_files(&unreached).await.unwrap().failed, 1);
    let first = r#"{"files": 1, "first": "2026-02-25", "channel": "alpha"}"#;
    assert_eq!(book.words(told).await, [first]);
    book.live_until("2026-02-28").await;
    for _ in 0..2 {
        assert_eq!(fetch_channel_files(&unreached).await.unwrap().failed, 3);
    }
    let third = r#"{"files": 2, "first": "2026-02-25", "channel": "alpha"}"#;
    assert_eq!(book.words(told).await, [first, third]);
}
