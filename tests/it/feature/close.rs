//! The daily close does not make purchases and repayments wait, writes nothing for loans of which nothing is due, and posts interest
//! correctly where it became smaller.

use std::collections::BTreeMap;

use fenqi::base::id::{LineId, WithholdingId};
use fenqi::base::{AccountRange, BusinessDay, Fen};
use fenqi::close::close_day;
use fenqi::close::engine::cut_off;
use fenqi::jobs::{JobKind, dispatch};
use fenqi::partner::withholding::Answer;
use fenqi::repayment::{ChannelResult, Transfer, post_results, record_transfer};
use fenqi::{bill, loan, repayment};
use sqlx::{AssertSqlSafe, PgPool};

use crate::book::{self, Book};
use crate::house;
use crate::tables::LIST_TABLES;
use crate::town::{self, LineWish, Town};

const PLAN: (&str, u16) = ("harbour-standard", 3);

/// What nobody keeps waiting; fails the test where somebody does.
async fn at_once<T>(what: &str, done: impl Future<Output = T>) -> T {
    tokio::time::timeout(house::PATIENCE, done).await.unwrap_or_else(|_| panic!("{what} is kept waiting"))
}

/// The line's order, sent to a channel that has not answered yet, with the answer that is to come.
async fn answer_to_come(town: &Town, line_id: LineId) -> ChannelResult {
    let sent = "update withholding set status = 'submitted', submitted_at = created_at, query_at = created_at
                where line_id = $1 and status = 'created' returning withholding_id, amount_fen";
    let (withholding_id, fen): (WithholdingId, i64) =
        sqlx::query_as(sent).bind(line_id).fetch_one(&town.app.pool).await.unwrap();
    let answer = Answer::Succeeded { collected: Fen::new(fen), reference: "T-1".into() };
    ChannelResult { withholding_id, line_id, answer }
}

/// Ends the day as a close begins: whatever comes now belongs to the next one.
pub(super) async fn cut_off_today(town: &Town) -> BusinessDay {
    let day = town.today().await;
    town.set_time(day.next(), "00:05:00");
    let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
    assert!(cut_off(&mut transaction, day, town.app.clock.now()).await.unwrap());
    let begun = "insert into close_run (business_day, started_at) values ($1, now())";
    sqlx::query(begun).bind(day).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    day
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn statements_that_are_being_cut_keep_nobody_waiting_but_a_refund(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-02-09").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 10, due_day: 9, expires_on: "2029-03-01" };
    let lines = town.open_lines(2, wish).await;
    let wishes = vec![town.wish(lines[0], "a-0", 90_000, PLAN), town.wish(lines[1], "b-0", 90_000, PLAN)];
    let bought = town.buy(wishes).await;
    // The first bill of each is due, and on the day after it the second is cut.
    town.live_until("2026-03-09").await;
    let answer = answer_to_come(&town, lines[0]).await;
    town.close_today().await;
    let day = cut_off_today(&town).await;
    // A chunk for each loan that is due: the first is everybody's up to the later line.
    let later = lines.iter().max().unwrap().uuid();
    let planned = bill::close::plan(&mut town.app.pool.acquire().await.unwrap(), day, 1).await.unwrap();
    assert_eq!(planned, AccountRange::cut_at(&[later]));
    let mut chunk = fenqi::database::begin(&town.app.pool).await.unwrap();
    // Of one line first: whatever is there already keeps nothing else from being cut.
    let first = AccountRange { from: lines[0].uuid(), to: lines[0].uuid() };
    for range in [first, AccountRange::ALL] {
        assert!(bill::close::run(&mut chunk, &town.app, day, range).await.unwrap() > 0, "{range:?}");
    }

    at_once("a purchase", town.buy(vec![town.wish(lines[0], "a-1", 20_000, PLAN)])).await;
    let transfer = Transfer {
        line_id: lines[1],
        amount: Fen::new(10_000),
        bank_reference: "B-1".into(),
        received_on: None,
        operator: "Li".into(),
    };
    at_once("a transfer", record_transfer(&town.app, &transfer)).await.unwrap();
    assert_eq!(at_once("a result", post_results(&town.app, &[answer])).await.unwrap().succeeded, 1);

    // A refund writes a new schedule, of which a statement must not bill a part.
    let refunding = tokio::spawn({
        let (town, sold) = (town.clone(), bought[1]);
        async move { town.refund(&sold, 5_000, "r-0").await }
    });
    house::until_somebody_waits(&town.app.pool).await;
    let elsewhere =
        "select count(*) from pg_locks l join pg_stat_activity a on a.pid = l.pid and a.datname = current_database()
                     where not l.granted and l.relation is distinct from 'schedule_gate'::regclass";
    assert_eq!(town.fen(elsewhere).await, 0, "it waits at the statements' gate");
    at_once("a purchase beside it", town.buy(vec![town.wish(lines[0], "a-2", 20_000, PLAN)])).await;
    assert!(!refunding.is_finished());
    chunk.commit().await.unwrap();
    at_once("a refund after the statements", refunding).await.unwrap();

    close_day(&town.app, day).await.unwrap();
    assert_eq!(town.fen("select count(*) from bill where statement_on = '2026-03-10'").await, 2);
    let told = "select count(*) from notice where kind = 'bill_issued' and business_day = '2026-03-10'";
    assert_eq!(town.fen(told).await, 2, "each is told once, however often they are cut");
    town.assert_whole("after the close").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refund_waits_for_no_other_change_of_schedules_and_statements_wait_for_it(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-03-09").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 10, due_day: 9, expires_on: "2029-03-01" };
    let line_id = town.open_lines(1, wish).await[0];
    let sold = town.buy(vec![town.wish(line_id, "a", 90_000, PLAN)]).await[0];
    town.close_today().await;
    let mut other = fenqi::database::begin(&town.app.pool).await.unwrap();
    bill::store::enter_schedules(&mut other).await.unwrap();
    at_once("a refund beside another", town.refund(&sold, 5_000, "r-0")).await;

    let day = cut_off_today(&town).await;
    let cutting = tokio::spawn({
        let town = town.clone();
        async move { close_day(&town.app, day).await.unwrap() }
    });
    house::until_somebody_waits(&town.app.pool).await;
    assert_eq!(town.fen("select count(*) from bill").await, 0);
    other.commit().await.unwrap();
    at_once("a close after the change", cutting).await.unwrap();
    assert_eq!(town.fen("select count(*) from bill").await, 1);
    town.assert_whole("after the close").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn days_that_nobody_closed_are_closed_in_order_and_what_was_due_meanwhile_bears_no_penalty(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-02-09").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 10, due_day: 25, expires_on: "2029-03-01" };
    let lines = town.open_lines(1, wish).await;
    town.buy(vec![town.wish(lines[0], "a", 90_000, PLAN)]).await;
    town.live_until("2026-02-23").await;
    // No node is up until the bill is late enough to freeze the line.
    let back: BusinessDay = "2026-03-02".parse().unwrap();
    town.set_time(back, "00:10:00");
    dispatch::run(&town.app, JobKind::DailyClose).await.unwrap();
    assert_eq!(town.today().await, back);
    let closed = "select count(*) from close_run where business_day >= '2026-02-23' and finished_at is not null";
    assert_eq!(town.fen(closed).await, 7);
    let frozen = "select count(*) from credit_line where status = 'frozen'";
    assert_eq!(town.fen(frozen).await, 1);
    // The order of the due day is sent now, for what was owed then.
    dispatch::run(&town.app, JobKind::Withhold).await.unwrap();
    let paid = "select count(*) from bill where due_on = '2026-02-25' and status = 'paid' and paid_on = '2026-03-02'";
    assert_eq!(town.fen(paid).await, 1);
    assert_eq!(town.fen("select sum(penalty_paid_fen)::bigint from bill_line").await, 0);
    assert_eq!(town.fen(frozen).await, 0);
    town.live_until("2026-03-04").await;
    town.assert_whole("after the days that nobody closed").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_plan_that_the_database_forgot_is_made_again(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-03-09").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 10, due_day: 9, expires_on: "2029-03-01" };
    let line_id = town.open_lines(1, wish).await[0];
    town.buy(vec![town.wish(line_id, "a", 90_000, PLAN)]).await;
    let day = cut_off_today(&town).await;
    // Another node has planned the first step, and works on its only chunk.
    let planned =
        "insert into close_chunk (business_day, step, chunk_no, line_from, line_to) values ($1, 'clearing', 1, $2, $3)";
    let AccountRange { from, to } = AccountRange::ALL;
    sqlx::query(planned).bind(day).bind(from).bind(to).execute(&town.app.pool).await.unwrap();
    let mut elsewhere = fenqi::database::begin(&town.app.pool).await.unwrap();
    let worked_on = "select 1 from close_chunk where business_day = $1 for update";
    sqlx::query(worked_on).bind(day).execute(&mut *elsewhere).await.unwrap();

    let planning = "select 1 from close_run where business_day = $1 for update";
    let mut first = fenqi::database::begin(&town.app.pool).await.unwrap();
    sqlx::query(planning).bind(day).execute(&mut *first).await.unwrap();
    let closing = tokio::spawn({
        let town = town.clone();
        async move { close_day(&town.app, day).await.unwrap() }
    });
    house::until_somebody_waits(&town.app.pool).await;
    // Behind the close: once it has read that there is a chunk, all of that is gone, as after a crash.
    let forgetting = tokio::spawn(async move {
        sqlx::query(planning).bind(day).execute(&mut *elsewhere).await.unwrap();
        let forget = "delete from close_chunk where business_day = $1";
        sqlx::query(forget).bind(day).execute(&mut *elsewhere).await.unwrap();
        elsewhere.commit().await.unwrap();
    });
    house::until_as_many_wait(&town.app.pool, 2).await;
    first.rollback().await.unwrap();
    at_once("what is forgotten", forgetting).await.unwrap();
    at_once("a close whose plan was forgotten", closing).await.unwrap();
    assert_eq!(town.fen("select count(*) from settlement").await, 1);
    town.assert_whole("after the close").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn bills_that_the_timetable_no_longer_collects_are_not_planned_for(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-02-09").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 10, due_day: 9, expires_on: "2029-03-01" };
    let lines = town.open_lines(2, wish).await;
    town.buy(lines.iter().map(|line_id| town.wish(*line_id, "a", 90_000, PLAN)).collect()).await;
    // The first bills are due tomorrow.
    town.live_until("2026-03-08").await;
    let day = town.today().await;
    let later = lines.iter().max().unwrap().uuid();
    let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
    // A chunk for each bill.
    let planned = repayment::close::plan(&mut transaction, &town.app, day, 1).await.unwrap();
    assert_eq!(planned, AccountRange::cut_at(&[later]));
    let long_ago = "update bill set due_on = due_on - 400 where line_id = $1";
    sqlx::query(long_ago).bind(later).execute(&mut *transaction).await.unwrap();
    let planned = repayment::close::plan(&mut transaction, &town.app, day, 1).await.unwrap();
    assert_eq!(planned, [AccountRange::ALL]);
    transaction.rollback().await.unwrap();
}

/// What is posted of the first row's interest once that of a day has been: 3,600 fen run for 31 days, from 25 January on.
async fn posted_by(book: &Book, day: &str) -> Vec<i64> {
    let mut transaction = fenqi::database::begin(&book.app.pool).await.unwrap();
    let day: BusinessDay = day.parse().unwrap();
    loan::close::run(&mut transaction, &book.app, day, AccountRange::ALL).await.unwrap();
    transaction.commit().await.unwrap();
    book.fen("select accrued_fen from interest_span where to_on = '2026-02-25' and $1::uuid is not null").await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn interest_that_became_smaller_to_just_what_was_posted_is_posted_by_day_again(pool: PgPool) {
    let book = book::keep(house::open(pool, "2026-02-05").await).await;
    assert_eq!(posted_by(&book, "2026-01-25").await, [0]);
    assert_eq!(posted_by(&book, "2026-02-10").await, [1_858]);
    let smaller =
        "insert into schedule select loan_id, line_id, 2, 'refund', due_on, principal_fen, '{1858,2400,1200}', fee_fen,
                                               '2026-02-11' from schedule where version = 1";
    sqlx::query(smaller).execute(&book.app.pool).await.unwrap();
    // 17 of 31 days of 1,858.
    assert_eq!(posted_by(&book, "2026-02-11").await, [1_019]);
    assert_eq!(posted_by(&book, "2026-02-25").await, [1_858]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn interest_that_an_older_house_has_posted_in_full_before_its_end_is_posted_by_day_again(pool: PgPool) {
    let book = book::keep(house::open(pool, "2026-02-05").await).await;
    assert_eq!(posted_by(&book, "2026-01-25").await, [0]);
    let in_full = "update interest_span set accrued_fen = amount_fen where to_on = '2026-02-25'";
    sqlx::query(in_full).execute(&book.app.pool).await.unwrap();
    // 16 of 31 days of 3,600.
    assert_eq!(posted_by(&book, "2026-02-10").await, [1_858]);
    let taken_back = "select unnest(amount_fen) from posting where event = 'interest' and business_day = '2026-02-10'
                      and debit[1] = 205 and $1::uuid is not null";
    assert_eq!(book.fen(taken_back).await, [1_742]);
    assert_eq!(posted_by(&book, "2026-02-25").await, [3_600]);
}

/// How many rows of each table today's close writes, new or changed.
async fn written_by_close(town: &Town) -> BTreeMap<String, i64> {
    let since = town.fen("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint % 4294967296").await;
    town.close_today().await;
    let tables: Vec<String> = sqlx::query_scalar(LIST_TABLES).fetch_all(&town.app.pool).await.unwrap();
    let counts = tables
        .iter()
        .map(|table| format!("select '{table}'::text, count(*) from {table} where xmin::text::bigint >= {since}"));
    let counts = counts.collect::<Vec<_>>().join(" union all ");
    let rows: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(counts)).fetch_all(&town.app.pool).await.unwrap();
    rows.into_iter().filter(|(_, rows)| *rows > 0).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_on_which_nothing_is_due_writes_the_same_whatever_the_number_of_loans(pool: PgPool) {
    let town = town::found(house::open(pool, "2026-03-02").await, 10_000_000).await;
    // No statement is cut before the 25th.
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 25, due_day: 15, expires_on: "2029-03-01" };
    let lines = town.open_lines(40, wish).await;
    let buy = async |lines: &[LineId]| {
        town.buy(lines.iter().map(|line_id| town.wish(*line_id, "sofa", 60_000, PLAN)).collect()).await;
        // What was bought is cleared at the end of its day.
        town.close_today().await;
        town.close_today().await;
    };
    buy(&lines[..4]).await;
    let mut few = written_by_close(&town).await;
    buy(&lines[4..]).await;
    let mut many = written_by_close(&town).await;
    // Interest runs by the dates that loans share: one span for those of the first day, and one for those of the other.
    let spans = [&mut few, &mut many].map(|written| written.remove("interest_span"));
    assert_eq!(spans, [Some(1), Some(2)]);
    assert_eq!(many, few);
    assert_eq!(many["posting"], 1, "the interest of all loans of the product: {many:?}");
}
