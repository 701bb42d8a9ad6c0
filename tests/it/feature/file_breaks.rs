//! A channel's daily files open breaks for money that does not add up: an order that is named twice, one that is not ours, one that no
//! file names, or a payment reference that two orders share; and each break is settled with the right bookings.

use fenqi::base::Fen;
use fenqi::base::id::{BreakId, WithholdingId};
use fenqi::error::Fault;
use fenqi::partner::withholding::{Answer, ChannelFailure, ChannelName, DailyFile, FileLine};
use fenqi::reconcile::{self, BreakRefusal, Correction, fetch_channel_files};
use fenqi::repayment::jobs::submit_withholdings;
use fenqi::repayment::{self, ChannelResult};
use fenqi::sandbox::{self, Matcher, Scripted};
use sqlx::PgPool;

use super::breaks::{balances, confirm, post_success, the_open_break};
use super::reconcile::{file_of, on_alpha, refused, sent, taken, the_break, the_order};
use crate::book::{self, AGREEMENT, Book};
use crate::house;

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
    reconcile::propose_correction(&book.app, break_id, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    let told = "select kind || ' ' || (body->>'amount_fen') from outbox
                where kind like 'repayment%' and partner <> 'sms' and $1::uuid is not null order by message_no";
    assert_eq!(book.words(told).await, ["repayment 103600", "repayment_reversed -103600"]);
    let borrower = "select body->>'amount_fen' from outbox
                    where kind = 'repayment_reversed' and partner = 'sms' and $1::uuid is not null";
    assert_eq!(book.words(borrower).await, ["103600"], "and who believed to have paid, by SMS");
    crate::journey::told_as_documented(&book.app.pool).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn money_for_an_order_that_is_not_ours_waits_in_suspense_for_two_people(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let ours = the_order(&book).await;
    let line = |withholding_id, amount| FileLine { cost: Fen::new(10), ..taken(withholding_id, amount) };
    let foreign = WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let lines = vec![line(ours, 103_600), line(foreign, 5_000)];
    let mut file = DailyFile::default();
    (file.amount, file.cost, file.lines) = (Fen::new(108_600), Fen::new(20), lines);
    let key = reconcile::FileKey { channel: ChannelName::Alpha, day: "2026-02-25".parse().unwrap() };
    assert_eq!(reconcile::take_in(&book.app, key, b"file", &file).await.unwrap().breaks, 1);
    // The bank account foots with what the channel paid; what is not ours is owed to nobody that we know.
    assert_eq!(balances(&book).await, [108_580, 0, -5_000]);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "missing_here ask_channel open");
    let not_ours = reconcile::propose_correction(&book.app, break_id, Correction::Post, "Li").await;
    not_ours.unwrap();
    let refused = confirm(&book, break_id, "Wang").await;
    assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::DoesNotFit))), "{refused:?}");
    reconcile::propose_correction(&book.app, break_id, Correction::AskChannel, "Li").await.unwrap();
    let own = confirm(&book, break_id, "Li").await;
    assert!(matches!(own, Err(Fault::Refused(BreakRefusal::OwnProposal))), "{own:?}");
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_580, 0, 0]);
    book.assert_whole().await;
    // Nor is it ours where one channel has money for an order that the other was sent, and has paid.
    let key = reconcile::FileKey { channel: ChannelName::Beta, ..key };
    let beside = reconcile::take_in(&book.app, key, b"beside", &file_of(vec![taken(ours, 103_600)])).await.unwrap();
    assert_eq!(beside.breaks, 1);
    assert_eq!(balances(&book).await, [206_973, 0, -103_600]);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_373, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_payment_that_a_file_names_for_two_orders_is_a_break_until_one_of_them_is_taken_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let foreign = WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let ours = taken(the_order(&book).await, 103_600);
    let beside = FileLine { channel_reference: ours.channel_reference.clone(), ..taken(foreign, 5_000) };
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file_of(vec![ours, beside])).await;
    assert_eq!(compared.unwrap().breaks, 2);
    let open = "select kind || ' ' || proposed || ' ' || our_fen || ' ' || their_fen from reconciliation_break
                where status = 'open' and $1::uuid is not null order by kind";
    assert_eq!(book.words(open).await, ["missing_here ask_channel 0 5000", "shared_reference ask_channel 103600 0"]);
    assert_eq!(balances(&book).await, [108_186, 0, -5_000]);
    confirm(&book, break_of_kind(&book, "missing_here").await, "Wang").await.unwrap();
    // It was the other order that was paid, and the channel has taken back what it paid for ours.
    let shared = break_of_kind(&book, "shared_reference").await;
    reconcile::propose_correction(&book.app, shared, Correction::Post, "Li").await.unwrap();
    let refused = confirm(&book, shared, "Wang").await;
    assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::DoesNotFit))), "{refused:?}");
    reconcile::propose_correction(&book.app, shared, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, shared, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [-414, 0, 0]);
    assert_eq!(book.used().await, Fen::new(300_000));
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_that_a_file_names_for_two_orders_and_that_the_channel_has_explained_stays_booked(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let foreign = WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let ours = taken(the_order(&book).await, 103_600);
    // A refusal names no payment, whatever stands in the place of its reference.
    let refusal = FileLine { channel_reference: ours.channel_reference.clone(), ..refused(foreign) };
    let take_in = async |day: &str, lines: Vec<FileLine>| {
        reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file_of(lines)).await.unwrap().breaks
    };
    assert_eq!(take_in("2026-02-24", vec![taken(foreign, 5_000), refusal]).await, 1);
    let beside = FileLine { channel_reference: ours.channel_reference.clone(), ..taken(foreign, 5_000) };
    assert_eq!(take_in("2026-02-25", vec![ours, beside]).await, 2);
    confirm(&book, break_of_kind(&book, "shared_reference").await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1..], [0, -10_000]);
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_failed_order_whose_payment_a_file_names_for_another_one_too_is_posted_once_it_is_explained(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("fails_but_collects")).await;
    book.live_until("2026-02-26").await;
    let foreign = WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let ours = taken(the_first_order(&book).await, 103_600);
    let beside = FileLine { channel_reference: ours.channel_reference.clone(), ..taken(foreign, 5_000) };
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file_of(vec![ours, beside])).await;
    assert_eq!(compared.unwrap().breaks, 3);
    let before = balances(&book).await;
    // The channel says that it took it: no money has left the bank.
    confirm(&book, break_of_kind(&book, "shared_reference").await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, before);
    confirm(&book, break_of_kind(&book, "we_failed_they_succeeded").await, "Wang").await.unwrap();
    assert_eq!(book.words("select source from repayment where line_id = $1").await, ["channel_file"]);
    assert_eq!(book.used().await, Fen::new(200_000));
    // The order that was made for the next day meanwhile finds nothing owed and is not sent.
    submit_withholdings(&book.app).await.unwrap();
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_fills_the_place_of_a_reference_names_no_payment(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let (ours, foreign) = (the_order(&book).await, WithholdingId::from_uuid(uuid::Uuid::from_u128(5)));
    let both = |reference: &str| {
        let under = |line: FileLine| FileLine { channel_reference: reference.to_owned(), ..line };
        file_of(vec![under(taken(ours, 103_600)), under(taken(foreign, 5_000))])
    };
    let shared = "select count(*) from reconciliation_break where kind = 'shared_reference' and $1::uuid is not null";
    for (day, reference, breaks) in [
        ("2026-02-22", "-", 0),
        ("2026-02-23", "0000000000", 0),
        ("2026-02-24", "N/A", 0),
        ("2026-02-25", "T0000000001", 1),
    ] {
        reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &both(reference)).await.unwrap();
        assert_eq!(book.fen(shared).await, [breaks], "{reference}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_reference_that_names_a_batch_puts_none_of_its_orders_in_doubt(pool: PgPool) {
    let (mut book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let mut partners = sandbox::partner_settings("http://127.0.0.1:9", house::SEED);
    let alpha = partners.iter_mut().find(|partner| partner.name == ChannelName::Alpha.partner()).unwrap();
    alpha.references_name_batches = true;
    book.app = house::with_partners(&book.app, &partners);
    let foreign = WithholdingId::from_uuid(uuid::Uuid::from_u128(5));
    let ours = taken(the_order(&book).await, 103_600);
    let beside = FileLine { channel_reference: ours.channel_reference.clone(), ..taken(foreign, 5_000) };
    let file = file_of(vec![ours.clone(), beside.clone(), beside]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await;
    assert_eq!(compared.unwrap().breaks, 1);
    // What is nobody's is found as ever: both of its lines are one break.
    let open =
        "select kind || ' ' || their_fen from reconciliation_break where status = 'open' and $1::uuid is not null";
    assert_eq!(book.words(open).await, ["missing_here 10000"]);
    // So is a second payment of an order.
    let again = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"again", &file_of(vec![ours])).await;
    assert_eq!(again.unwrap().breaks, 1);
    assert_eq!(book.words(open).await, ["missing_here 10000", "named_twice 207200"]);
}

/// The order of the day itself, whatever was made for the next one.
async fn the_first_order(book: &Book) -> WithholdingId {
    let first = "select withholding_id from withholding order by created_at limit 1";
    WithholdingId::from_uuid(sqlx::query_scalar(first).fetch_one(&book.app.pool).await.unwrap())
}

async fn break_of_kind(book: &Book, kind: &str) -> BreakId {
    let open = "select break_id from reconciliation_break where status = 'open' and kind = $1";
    let id: uuid::Uuid = sqlx::query_scalar(open).bind(kind).fetch_one(&book.app.pool).await.unwrap();
    BreakId::from_uuid(id)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_of_an_order_that_is_still_to_be_sent_is_a_break_and_is_booked_once(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    world.script("withholding_a", Some(Matcher::new("card", AGREEMENT)), vec![Scripted::answer("success")]);
    let book = book::keep(app).await;
    book.live_until("2026-02-25").await;
    assert_eq!(book.orders().await, ["alpha created 103600 0"]);
    // As in a house that was restored from a back-up of the moment before.
    let file = file_of(vec![taken(the_order(&book).await, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-24"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_failed_they_succeeded post open");
    let does_not_fit = async |correction: Correction| {
        reconcile::propose_correction(&book.app, break_id, correction, "Li").await.unwrap();
        let refused = confirm(&book, break_id, "Wang").await;
        assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::DoesNotFit))), "{correction:?}: {refused:?}");
    };
    // Nothing is settled over what is about to be collected.
    does_not_fit(Correction::AskChannel).await;
    does_not_fit(Correction::Post).await;
    // The channel takes an order number once.
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    does_not_fit(Correction::Post).await;
    reconcile::dismiss_break(&book.app, break_id, "Wang", "it was sent again").await.unwrap();
    assert_eq!(balances(&book).await, [103_393, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_file_names_twice_of_an_order_that_is_still_to_be_sent_is_settled_once_that_is_booked(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-02-05").await;
    world.script("withholding_a", Some(Matcher::new("card", AGREEMENT)), vec![Scripted::answer("success")]);
    let book = book::keep(app).await;
    book.live_until("2026-02-25").await;
    let line = taken(the_order(&book).await, 103_600);
    let file = file_of(vec![line.clone(), line]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-24"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 2);
    let twice = break_of_kind(&book, "named_twice").await;
    let refused = confirm(&book, twice, "Wang").await;
    assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::DoesNotFit))), "{refused:?}");
    assert_eq!(submit_withholdings(&book.app).await.unwrap().succeeded, 1);
    let once = break_of_kind(&book, "we_failed_they_succeeded").await;
    reconcile::dismiss_break(&book.app, once, "Wang", "it was sent again").await.unwrap();
    // The channel keeps 207 of each of two payments of 103,600, and has the second one back.
    assert_eq!(balances(&book).await, [206_786, -103_600, 0]);
    confirm(&book, twice, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_186, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn until_a_file_is_compared_another_one_takes_its_place_and_afterwards_none(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let (key, order) = (on_alpha("2026-02-25"), the_order(&book).await);
    // As by a program that was killed before it compared.
    let mut killed = fenqi::database::begin(&book.app.pool).await.unwrap();
    let first = file_of(vec![taken(order, 90_000)]);
    assert!(reconcile::store::keep_file(&mut killed, key, b"first", &first).await.unwrap());
    reconcile::store::insert_file_lines(&mut killed, key, &first).await.unwrap();
    killed.commit().await.unwrap();
    let second = file_of(vec![taken(order, 103_600)]);
    assert_eq!(reconcile::take_in(&book.app, key, b"second", &second).await.unwrap().breaks, 0);
    assert_eq!(balances(&book).await, [103_393, 0, 0]);
    let third = reconcile::take_in(&book.app, key, b"third", &first).await.unwrap_err();
    assert!(third.to_string().contains("compared before with other bytes"), "{third:#}");
    assert_eq!(reconcile::take_in(&book.app, key, b"second", &second).await.unwrap().breaks, 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_other_file_takes_the_place_of_one_that_is_being_compared(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let (key, order) = (on_alpha("2026-02-25"), the_order(&book).await);
    let (first, second) = (file_of(vec![taken(order, 103_600)]), file_of(vec![taken(order, 90_000)]));
    let (app, pool) = (&book.app, &book.app.pool);
    let mut held = fenqi::database::begin(pool).await.unwrap();
    sqlx::query("lock table reconciliation_break in exclusive mode").execute(&mut *held).await.unwrap();
    let later = async {
        house::until_as_many_wait(pool, 1).await;
        reconcile::take_in(app, key, b"second", &second).await
    };
    let both_wait = async {
        house::until_as_many_wait(pool, 2).await;
        held.rollback().await.unwrap();
    };
    let (compared, later, ()) = tokio::join!(reconcile::take_in(app, key, b"first", &first), later, both_wait);
    assert_eq!(compared.unwrap().breaks, 0);
    let refused = later.unwrap_err();
    assert!(refused.to_string().contains("compared before with other bytes"), "{refused:#}");
    assert_eq!(balances(&book).await, [103_393, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_keeps_for_an_order_that_failed_is_a_cost_as_well(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let line = FileLine { cost: Fen::new(10), ..refused(the_order(&book).await) };
    assert_eq!(book.orders().await, ["alpha failed insufficient_funds 103600 0"]);
    book.live_until("2026-02-26").await;
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file_of(vec![line])).await.unwrap();
    assert_eq!(compared.breaks, 0);
    // The bank foots with what the channel paid, and the channel owes nothing for it.
    assert_eq!(balances(&book).await, [-10, 0, 0]);
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
    confirm(&book, the_break(&book).await.0, "Wang").await.unwrap();
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
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_186, 0, 0]);
    book.assert_whole().await;
    // Settled is settled: only a third time is a break again.
    book.live_until("2026-02-27").await;
    let third = file_of(vec![taken(the_order(&book).await, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"third", &third).await.unwrap();
    assert_eq!(compared.breaks, 1);
    assert_eq!(balances(&book).await[1], -103_600);
    // That one was charged: only it goes back to the card, not what the channel has taken back already.
    let third = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, third, Correction::Refund, "Li").await.unwrap();
    confirm(&book, third, "Wang").await.unwrap();
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [103_600]);
    assert_eq!(balances(&book).await[1..], [0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_that_a_file_names_after_the_channel_paid_it_by_hand_is_a_break(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("not_in_file")).await;
    book.live_until("2026-02-27").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 1);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_600, 0, 0]);
    book.live_until("2026-02-28").await;
    let late = file_of(vec![taken(the_order(&book).await, 103_600)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-27"), b"late", &late).await.unwrap();
    assert_eq!(compared.breaks, 1);
    assert_eq!(balances(&book).await[1], -103_600);
    let kind = "select kind from reconciliation_break where status = 'open' and $1::uuid is not null";
    assert_eq!(book.words(kind).await, ["named_twice"]);
    // The channel has its money back.
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1..], [0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_paid_by_hand_is_not_booked_again_with_what_it_took_beyond_that(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let order = the_order(&book).await;
    // The file names too little, and the channel pays the rest by hand.
    let file = file_of(vec![taken(order, 80_000)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_393, 0, 0]);
    // Then it says that it took more than was ordered, which it has yet to pay.
    assert_eq!(post_success(&book, order, 110_000).await.contradicted, 1);
    let more = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, more, Correction::Post, "Li").await.unwrap();
    confirm(&book, more, "Wang").await.unwrap();
    let booked = "select amount_fen from repayment where line_id = $1 order by amount_fen desc";
    assert_eq!(book.fen(booked).await, [103_600, 6_400]);
    assert_eq!(balances(&book).await, [103_393, 6_400, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_is_not_taken_back_for_another_amount_that_could_not_be_booked(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let order = the_order(&book).await;
    let take_in = async |day: &str, fen: i64| {
        let file = file_of(vec![taken(order, fen)]);
        let compared = reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file).await;
        assert_eq!(compared.unwrap().breaks, 1);
    };
    // The channel took more than we booked, which goes back to the card.
    take_in("2026-02-25", 110_000).await;
    let more = the_open_break(&book).await;
    // Not if that is forgotten, in whatever way the amount is put right.
    let erased = r"insert into borrower (borrower_id, name_sealed, id_number_sealed, mobile_sealed, created_at)
                   select borrower_id, '\x00', '\x00', '\x00', now() from credit_line";
    sqlx::query(erased).execute(&book.app.pool).await.unwrap();
    reconcile::propose_correction(&book.app, more, Correction::Reverse, "Li").await.unwrap();
    let refused = confirm(&book, more, "Wang").await;
    assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::BorrowerErased))), "{refused:?}");
    sqlx::query("delete from borrower").execute(&book.app.pool).await.unwrap();
    reconcile::propose_correction(&book.app, more, Correction::Post, "Li").await.unwrap();
    confirm(&book, more, "Wang").await.unwrap();
    // Then the channel says that it took less. The money beside the order's own is booked once.
    assert_eq!(post_success(&book, order, 90_000).await.contradicted, 1);
    let less = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, less, Correction::Reverse, "Li").await.unwrap();
    let refused = confirm(&book, less, "Wang").await;
    assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::BookedBefore))), "{refused:?}");
    assert_eq!(book.orders().await, ["alpha succeeded 103600 103600"]);
    let booked = "select amount_fen from repayment where line_id = $1 order by amount_fen desc";
    assert_eq!(book.fen(booked).await, [103_600, 6_400]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_file_paid_for_a_success_that_a_later_one_denies_goes_back_to_the_channel_with_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-27").await;
    let order = the_order(&book).await;
    let take_in = async |day: &str, line: FileLine| {
        let compared = reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file_of(vec![line])).await;
        compared.unwrap().breaks
    };
    assert_eq!(take_in("2026-02-25", taken(order, 103_600)).await, 0);
    assert_eq!(take_in("2026-02-26", refused(order)).await, 1);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_succeeded_they_failed reverse open");
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(book.used().await, Fen::new(300_000));
    // The channel has its money back but for what it keeps of each order, and neither side owes the other anything.
    assert_eq!(balances(&book).await, [-207, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_file_paid_beyond_what_the_channel_says_since_goes_back_to_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let order = the_order(&book).await;
    let file = file_of(vec![taken(order, 103_600)]);
    reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap();
    assert_eq!(post_success(&book, order, 90_000).await.contradicted, 1);
    let less = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, less, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, less, "Wang").await.unwrap();
    // Interest of 3,600 comes first.
    assert_eq!(book.used().await, Fen::new(300_000 - 86_400));
    assert_eq!(balances(&book).await, [89_793, 0, 0]);
    book.assert_whole().await;
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
    reconcile::propose_correction(&book.app, break_id, Correction::Refund, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [103_600]);
    assert_eq!(balances(&book).await, [206_786, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_charged_twice_goes_back_whole_though_the_next_bill_is_open(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    // The second installment is billed, and not due before the 25th.
    book.live_until("2026-03-06").await;
    let file = file_of(vec![taken(the_order(&book).await, 103_600)]);
    for (day, breaks) in [("2026-02-25", 0), ("2026-02-26", 1)] {
        let compared = reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file).await.unwrap();
        assert_eq!(compared.breaks, breaks);
    }
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "named_twice ask_channel open");
    reconcile::propose_correction(&book.app, break_id, Correction::Refund, "Li").await.unwrap();
    confirm(&book, break_id, "Wang").await.unwrap();
    let owed_back = "select amount_fen from payout where kind = 'borrower' and line_id = $1";
    assert_eq!(book.fen(owed_back).await, [103_600]);
    assert_eq!(book.used().await, Fen::new(200_000));
    let paid = "select principal_paid_fen from bill_line where line_id = $1 order by period";
    assert_eq!(book.fen(paid).await, [100_000, 0]);
    assert_eq!(balances(&book).await, [206_786, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_two_files_name_is_a_break_though_two_nodes_compare_them_at_the_same_moment(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-27").await;
    let file = file_of(vec![taken(the_order(&book).await, 103_600)]);
    let (app, pool) = (&book.app, &book.app.pool);
    let take_in = async |day: &str| {
        let compared = reconcile::take_in(app, on_alpha(day), day.as_bytes(), &file).await;
        compared.unwrap().breaks
    };
    // Whoever has compared waits to book what the channel settles.
    let mut held = fenqi::database::begin(pool).await.unwrap();
    sqlx::query("lock table posting in share mode").execute(&mut *held).await.unwrap();
    let both_wait = async {
        house::until_as_many_wait(pool, 2).await;
        held.rollback().await.unwrap();
    };
    let (one, other, ()) = tokio::join!(take_in("2026-02-25"), take_in("2026-02-26"), both_wait);
    assert_eq!(one + other, 1);
    // The channel keeps 207 of each of two payments of 103,600, and has the second one back.
    assert_eq!(balances(&book).await, [206_786, -103_600, 0]);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "named_twice ask_channel open");
    confirm(&book, break_id, "Wang").await.unwrap();
    assert_eq!(balances(&book).await, [103_186, 0, 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_break_that_was_dismissed_tells_of_its_difference_and_of_no_more(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let file = file_of(vec![taken(the_order(&book).await, 90_000)]);
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-25"), b"file", &file).await.unwrap();
    assert_eq!(compared.breaks, 1);
    let less = the_open_break(&book).await;
    reconcile::dismiss_break(&book.app, less, "Wang", "the channel pays the rest next month").await.unwrap();
    book.live_until("2026-02-28").await;
    let none = file_of(Vec::new());
    let compared = reconcile::take_in(&book.app, on_alpha("2026-02-26"), b"none", &none).await.unwrap();
    assert_eq!(compared.breaks, 0);
    book.assert_whole().await;
    // The line's file is changed behind it.
    sqlx::query("update channel_file_line set amount_fen = 80000").execute(&book.app.pool).await.unwrap();
    let sentence = "what a channel owes of an order is on its way, or a break tells of it";
    let findings = fenqi::verify::verify(&book.app.pool).await.unwrap();
    let of_orders: Vec<(i64, i64)> =
        findings.iter().filter(|one| one.identity == sentence).map(|one| (one.expected, one.found)).collect();
    assert_eq!(of_orders, [(0, 23_600)]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_success_that_a_later_file_denies_too_is_one_break_with_the_word_before_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    let (withholding_id, line_id) = (the_order(&book).await, book.line_id);
    let answer = Answer::Failed { failure: ChannelFailure::InsufficientFunds, code: "51".into() };
    let denied = ChannelResult { withholding_id, line_id, answer };
    assert_eq!(repayment::post_results(&book.app, &[denied]).await.unwrap().contradicted, 1);
    book.live_until("2026-02-28").await;
    let take_in = async |day: &str| {
        let file = file_of(vec![refused(withholding_id)]);
        reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file).await.unwrap().breaks
    };
    assert_eq!(take_in("2026-02-26").await, 0);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_succeeded_they_failed ask_channel open");
    // What people make of it does not stand in the way of a file that denies it once more.
    reconcile::dismiss_break(&book.app, break_id, "Wang", "the channel says that it took it").await.unwrap();
    assert_eq!(take_in("2026-02-27").await, 1);
    let open = "select concat_ws(' ', kind, proposed) from reconciliation_break
                where status = 'open' and $1::uuid is not null";
    assert_eq!(book.words(open).await, ["we_succeeded_they_failed reverse"]);
    book.assert_whole().await;
}
