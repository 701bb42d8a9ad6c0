//! If two people booked money on a channel's word and its files pay less, a break says so.

use fenqi::base::id::WithholdingId;
use fenqi::error::Fault;
use fenqi::partner::withholding::FileLine;
use fenqi::reconcile::{self, BreakRefusal, Correction};
use fenqi::repayment::ReversalRefusal;
use fenqi::sandbox::{self, Scripted};
use sqlx::PgPool;

use super::breaks::{balances, confirm, post_success, the_open_break};
use super::reconcile::{file_of, on_alpha, sent, taken, the_order};
use crate::book::Book;

/// Two people book what the channel says that it took for an order of 1,036 yuan.
async fn post(book: &Book, order: WithholdingId, fen: i64) {
    assert_eq!(post_success(book, order, fen).await.contradicted, 1);
    let word = the_open_break(book).await;
    reconcile::propose_correction(&book.app, word, Correction::Post, "Li").await.unwrap();
    confirm(book, word, "Wang").await.unwrap();
}

/// Compares alpha's file of a day, and returns how many breaks that opens.
async fn take_in(book: &Book, day: &str, lines: Vec<FileLine>) -> u64 {
    let compared = reconcile::take_in(&book.app, on_alpha(day), day.as_bytes(), &file_of(lines)).await;
    compared.unwrap().breaks
}

async fn open_breaks(book: &Book) -> Vec<String> {
    let open = "select concat_ws(' ', kind, our_fen, their_fen, proposed) from reconciliation_break
                where status = 'open' and $1::uuid is not null";
    book.words(open).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_booked_beyond_what_the_file_names_is_a_break_until_the_channel_pays_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    let order = the_order(&book).await;
    post(&book, order, 110_000).await;
    book.live_until("2026-02-26").await;
    assert_eq!(take_in(&book, "2026-02-25", vec![taken(order, 103_600)]).await, 1);
    assert_eq!(open_breaks(&book).await, ["amount_differs 110000 103600 ask_channel"]);
    assert_eq!(balances(&book).await[1], 6_400);
    book.assert_whole().await;
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1], 0);
    assert_eq!(take_in(&book, "2026-02-25", vec![taken(order, 103_600)]).await, 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_no_file_names_is_missing_with_what_was_booked_beyond_the_order(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    post(&book, the_order(&book).await, 110_000).await;
    book.live_until("2026-02-27").await;
    assert_eq!(take_in(&book, "2026-02-25", Vec::new()).await, 0);
    assert_eq!(take_in(&book, "2026-02-26", Vec::new()).await, 1);
    assert_eq!(open_breaks(&book).await, ["missing_there 110000 0 ask_channel"]);
    let missing = the_open_break(&book).await;
    reconcile::dismiss_break(&book.app, missing, "Wang", "the channel pays it next month").await.unwrap();
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_booked_beyond_what_the_file_has_named_before_is_a_break_a_day_later(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success")).await;
    book.live_until("2026-02-26").await;
    let order = the_order(&book).await;
    // The file names too little, and the channel pays the rest by hand.
    assert_eq!(take_in(&book, "2026-02-25", vec![taken(order, 80_000)]).await, 1);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    // Then it says that it took more than was ordered, which it never pays.
    post(&book, order, 110_000).await;
    book.live_until("2026-02-28").await;
    assert_eq!(take_in(&book, "2026-02-26", Vec::new()).await, 0);
    assert_eq!(take_in(&book, "2026-02-27", Vec::new()).await, 1);
    assert_eq!(open_breaks(&book).await, ["amount_differs 110000 103600 ask_channel"]);
    let beyond = the_open_break(&book).await;
    reconcile::dismiss_break(&book.app, beyond, "Wang", "the channel will not pay it").await.unwrap();
    assert_eq!(take_in(&book, "2026-02-27", Vec::new()).await, 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_failed_order_that_was_booked_over_more_than_its_file_names_is_settled_with_the_channel(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    post(&book, order, 103_600).await;
    book.live_until("2026-02-26").await;
    assert_eq!(take_in(&book, "2026-02-25", vec![taken(order, 90_000)]).await, 1);
    assert_eq!(open_breaks(&book).await, ["amount_differs 103600 90000 ask_channel"]);
    confirm(&book, the_open_break(&book).await, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_booked_and_taken_back_is_a_break_again_once_a_late_file_pays_it(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    post(&book, order, 103_600).await;
    book.live_until("2026-02-28").await;
    assert_eq!(take_in(&book, "2026-02-25", Vec::new()).await, 0);
    assert_eq!(take_in(&book, "2026-02-26", Vec::new()).await, 1);
    assert_eq!(open_breaks(&book).await, ["missing_there 103600 0 ask_channel"]);
    let missing = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, missing, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, missing, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1], 0);
    book.assert_whole().await;
    // The channel did take it: the same amount as at first, and nothing of it is booked any more.
    for breaks in [1, 0] {
        assert_eq!(take_in(&book, "2026-02-27", vec![taken(order, 103_600)]).await, breaks);
        assert_eq!(open_breaks(&book).await, ["we_failed_they_succeeded 0 103600 post"]);
        assert_eq!(balances(&book).await[1], -103_600);
        book.assert_whole().await;
    }
    // It is booked once on the channel's word, so that the channel gives this back.
    let paid = the_open_break(&book).await;
    let refused = confirm(&book, paid, "Wang").await;
    assert!(matches!(refused, Err(Fault::Refused(BreakRefusal::BookedBefore))), "{refused:?}");
    reconcile::propose_correction(&book.app, paid, Correction::AskChannel, "Li").await.unwrap();
    confirm(&book, paid, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1], 0);
    assert_eq!(open_breaks(&book).await, [""; 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_says_again_of_money_that_was_taken_back_is_a_break_once(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("insufficient_funds")).await;
    let order = the_order(&book).await;
    post(&book, order, 103_600).await;
    // While it is booked, the same word is no news.
    assert_eq!(post_success(&book, order, 103_600).await.contradicted, 1);
    assert_eq!(open_breaks(&book).await, [""; 0]);
    book.live_until("2026-02-28").await;
    assert_eq!(take_in(&book, "2026-02-26", Vec::new()).await, 1);
    let missing = the_open_break(&book).await;
    reconcile::propose_correction(&book.app, missing, Correction::Reverse, "Li").await.unwrap();
    confirm(&book, missing, "Wang").await.unwrap();
    for _ in 0..2 {
        assert_eq!(post_success(&book, order, 103_600).await.contradicted, 1);
        assert_eq!(open_breaks(&book).await, ["we_failed_they_succeeded 0 103600 post"]);
    }
    let again = the_open_break(&book).await;
    reconcile::dismiss_break(&book.app, again, "Wang", "the channel says that it erred").await.unwrap();
    assert_eq!(post_success(&book, order, 103_600).await.contradicted, 1);
    assert_eq!(open_breaks(&book).await, [""; 0]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_booked_beyond_a_success_is_a_break_of_its_own_once_that_is_taken_back(pool: PgPool) {
    let (book, _world) = sent(pool, Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)).await;
    post(&book, the_order(&book).await, 110_000).await;
    book.live_until("2026-02-27").await;
    assert_eq!(take_in(&book, "2026-02-26", Vec::new()).await, 1);
    assert_eq!(open_breaks(&book).await, ["missing_there 110000 0 ask_channel"]);
    let reverse = async |break_id| {
        reconcile::propose_correction(&book.app, break_id, Correction::Reverse, "Li").await.unwrap();
        confirm(&book, break_id, "Wang").await
    };
    reverse(the_open_break(&book).await).await.unwrap();
    assert_eq!(book.orders().await, ["alpha failed reversed 103600 0"]);
    assert_eq!(open_breaks(&book).await, ["missing_there 6400 0 ask_channel"]);
    assert_eq!(balances(&book).await[1], 6_400);
    book.assert_whole().await;
    // It is owed back to the card already.
    let rest = the_open_break(&book).await;
    let refused = reverse(rest).await;
    let owed_back = BreakRefusal::NotReversed(ReversalRefusal::ExcessOwedBack);
    assert!(matches!(&refused, Err(Fault::Refused(refusal)) if *refusal == owed_back), "{refused:?}");
    reconcile::propose_correction(&book.app, rest, Correction::AskChannel, "Li").await.unwrap();
    confirm(&book, rest, "Wang").await.unwrap();
    assert_eq!(balances(&book).await[1], 0);
    assert_eq!(open_breaks(&book).await, [""; 0]);
    book.assert_whole().await;
}
