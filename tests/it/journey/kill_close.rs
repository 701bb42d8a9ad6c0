//! A close that is killed (SIGKILL) at any point finishes when started again, with the same books as one that ran undisturbed.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fenqi::base::Fen;
use fenqi::base::id::LineId;
use fenqi::repayment::{Transfer, record_transfer};
use fenqi::sandbox::world::lock;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use super::{kill, program};
use crate::house;
use crate::town::{self, LineWish, Town};

/// The day whose close is killed. Bills are cut, others fall due the next day, others are late enough to freeze their lines.
const DAY: &str = "2026-03-10";
/// Lines of each of the three kinds, with three loans each.
const LINES: usize = 60;
/// Lines without any debt whose last day it is.
const IDLE_LINES: usize = 15;
const STANDARD: (&str, u16) = ("harbour-standard", 3);

/// Few enough that the steps over accounts are cut into many chunks, some done and some not when the close is killed.
const CHUNK_ROWS: &str = "25";

/// Tables that the steps write, in the close's order: a lock on one holds the close there, before the step's commit.
const HELD_AT: [&str; 13] = [
    "business_day",
    "close_run",
    "close_chunk",
    "settlement_part",
    "reserve_entry",
    "bill",
    "bill_line",
    "withholding",
    "notice",
    "interest_span",
    "line_entry",
    "remittance",
    "ledger_day",
];

/// What the books say, without what is drawn anew in each run: ids minted by the close, and times.
const BOOKS: [(&str, &str); 21] = [
    ("business day", "select today from business_day"),
    ("lines", "select line_id, status, frozen_for, limit_fen, used_fen, last_entry_no from credit_line"),
    (
        "line journal",
        "select line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen, reason, business_day from line_entry",
    ),
    ("loans", "select loan_id, status, principal_paid_fen, principal_returned_fen, schedule_version from loan"),
    ("bills", "select * from bill"),
    ("bill lines", "select * from bill_line"),
    (
        "withholding",
        "select line_id, purpose, idempotency_key, card_id, channel, amount_fen, partial_allowed, attempt_no, status, failure,
                business_day, submit_at from withholding",
    ),
    (
        "settlement",
        "select merchant_id, business_day, gross_fen, refunds_fen, discount_fee_fen, subsidy_fen, net_fen, carried_in_fen,
                payable_fen, status, pay_on from settlement",
    ),
    (
        "settlement parts",
        "select s.business_day, p.funder_id, p.gross_fen, p.refunds_fen, p.discount_fee_fen, p.discount_returned_fen,
                p.subsidy_fen, p.subsidy_returned_fen, p.carried_in_fen
         from settlement_part p join settlement s on s.settlement_id = p.settlement_id",
    ),
    (
        "remittance",
        "select funder_id, business_day, collected_fen, subsidy_fen, share_fen, net_fen, payable_fen, status, pay_on
         from remittance",
    ),
    ("payouts", "select kind, beneficiary_id, amount_fen, status, pay_on, attempt_no from payout"),
    ("reserve", "select * from reserve"),
    ("slices of the reserve", "select * from reserve_slice"),
    (
        "reserve journal",
        "select entry_no, kind, amount_fen, available_after_fen, held_after_fen, business_day from reserve_entry",
    ),
    ("postings", "select line_id, funder_id, event, debit, credit, amount_fen, business_day from posting"),
    ("trial balance", "select * from ledger_day"),
    ("interest", "select * from interest_span"),
    (
        "messages",
        "select partner, kind, body - '{settlement_id,remittance_id}'::text[] as body from outbox",
    ),
    ("days that funders get files of", "select funder_id, business_day from funder_day"),
    ("notices", "select audience, recipient_id, kind, body, business_day from notice"),
    ("chunks", "select business_day, step, chunk_no, line_from, line_to, rows from close_chunk"),
];

/// A copy of the prepared house, in a database of its own.
struct Copy {
    name: String,
    url: String,
}

impl Copy {
    async fn make(template: &str, purpose: &str) -> Copy {
        let name = format!("{}_{purpose}", &template[..template.len().min(40)]);
        run_on_server(&format!("drop database if exists \"{name}\" with (force)")).await;
        run_on_server(&format!("create database \"{name}\" template \"{template}\"")).await;
        let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name);
        Copy { name, url }
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    fn start_close(&self) -> Child {
        self.command(&["close", "--date", DAY, "--chunk-rows", CHUNK_ROWS]).spawn().unwrap()
    }

    fn finish_close(&self) {
        let output = self.command(&["close", "--date", DAY, "--chunk-rows", CHUNK_ROWS]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.url);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Each book as the number of its rows and their fingerprint, whatever their order.
    async fn books(&self) -> BTreeMap<&'static str, (i64, String)> {
        let mut connection = self.connect().await;
        let mut books = BTreeMap::new();
        for (name, rows) in BOOKS {
            let fingerprint = format!(
                "select count(*), coalesce(md5(string_agg(line, E'\\n' order by line collate \"C\")), '')
                 from (select rows::text as line from ({rows}) as rows) as lines"
            );
            let found = sqlx::query_as(AssertSqlSafe(fingerprint)).fetch_one(&mut connection).await.unwrap();
            books.insert(name, found);
        }
        books
    }

    /// The books are those of `reference` and hold together by the program's own word; then the copy is removed.
    async fn settle_against(self, reference: &BTreeMap<&'static str, (i64, String)>) {
        for (name, found) in self.books().await {
            assert_eq!(&found, &reference[name], "{name} of {}", self.name);
        }
        self.settle().await;
    }

    async fn settle(self) {
        let verified = self.command(&["verify"]).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success() && said.is_empty(), "{}: {said}", self.name);
        run_on_server(&format!("drop database \"{}\" with (force)", self.name)).await;
    }
}

async fn run_on_server(statement: &str) {
    let mut server = PgConnection::connect(&std::env::var("DATABASE_URL").unwrap()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut server).await.unwrap();
}

/// A house on the evening of [`DAY`], whose close has work in each of its steps.
async fn prepare(pool: PgPool) -> String {
    let (app, world) = house::open_in_world(pool, "2026-03-01").await;
    let town = town::found(app, 200_000_000).await;
    let kind =
        |statement_day, due_day| LineWish { limit_fen: 1_000_000, statement_day, due_day, expires_on: "2029-03-01" };
    let late = town.open_lines(LINES, kind(3, 6)).await;
    let due = town.open_lines(LINES, kind(4, 11)).await;
    let billed = town.open_lines(LINES, kind(10, 30)).await;
    town.open_lines(IDLE_LINES, LineWish { expires_on: DAY, ..kind(10, 30) }).await;
    for line_id in &late {
        lock(&world.withholding).set_balance(&format!("AG-{}", line_id.uuid()), Fen::ZERO);
    }
    let mut receipts = Vec::new();
    for (number, product) in [STANDARD, ("harbour-free", 6), ("harbour-shared-fee", 12)].into_iter().enumerate() {
        let lines = late.iter().chain(&due).chain(&billed);
        let key = format!("first-{number}");
        receipts.extend(town.buy(lines.map(|line_id| town.wish(*line_id, &key, 36_000, product)).collect()).await);
    }
    town.live_until(DAY).await;
    town.buy(billed.iter().map(|line_id| town.wish(*line_id, "last", 12_345, STANDARD)).collect()).await;
    for receipt in receipts.iter().step_by(25) {
        town.refund(receipt, 20_000, "back").await;
    }
    for line_id in due.iter().take(8) {
        pay_by_transfer(&town, *line_id).await;
    }
    town.assert_whole("before the close").await;
    let name = town.database_name().await;
    town.app.pool.close().await;
    name
}

async fn pay_by_transfer(town: &Town, line_id: LineId) {
    let (bank_reference, operator) = (format!("B-{line_id}"), "Li".to_owned());
    let transfer = Transfer { line_id, amount: Fen::new(12_345), bank_reference, received_on: None, operator };
    record_transfer(&town.app, &transfer).await.unwrap();
}

/// Waits until somebody stands before a lock in this database; `false` if the process ended without.
async fn is_held(connection: &mut PgConnection, child: &mut Child) -> bool {
    let began = Instant::now();
    while began.elapsed() < house::PATIENCE {
        if house::somebody_waits(connection).await {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let doing = "select concat_ws(' ', state, wait_event_type, wait_event, left(query, 200)) from pg_stat_activity
                 where datname = current_database()";
    let doing: Vec<String> = sqlx::query_scalar(doing).fetch_all(connection).await.unwrap();
    panic!("the close neither waits nor ends: {doing:#?}");
}

/// Kills a close held before each table that it writes, one after the other, then lets it finish.
async fn kill_at_each_step(copy: &Copy) {
    let mut holder = copy.connect().await;
    for table in HELD_AT {
        let mut held = holder.begin().await.unwrap();
        let lock = format!("lock table {table} in share mode");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *held).await.unwrap();
        let mut child = copy.start_close();
        assert!(is_held(&mut held, &mut child).await, "the close never came to {table}");
        kill(child);
        held.rollback().await.unwrap();
    }
    copy.finish_close();
}

/// Kills the close after longer and longer times until it gets through, on a busy machine too; returns how often it was killed.
async fn kill_after_delays(copy: &Copy) -> usize {
    for attempt in 0..100_u64 {
        let mut child = copy.start_close();
        tokio::time::sleep(Duration::from_millis(10 + 12 * attempt + attempt.pow(3) / 50)).await;
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success());
            return attempt as usize;
        }
        kill(child);
    }
    panic!("the close never came through");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_close_that_is_killed_anywhere_ends_with_the_same_books(pool: PgPool) {
    let template = prepare(pool).await;
    let untouched = Copy::make(&template, "whole").await;
    untouched.finish_close();
    let reference = untouched.books().await;
    let mut connection = untouched.connect().await;
    let idle: Vec<String> = sqlx::query_scalar(
        "select step from close_chunk where business_day = $1::date group by step having sum(rows) = 0",
    )
    .bind(DAY.parse::<fenqi::base::BusinessDay>().unwrap())
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(idle.is_empty(), "steps without work prove nothing: {idle:?}");
    for step in ["statements", "withholding", "overdue"] {
        let chunks: i64 =
            sqlx::query_scalar("select count(*) from close_chunk where business_day = $1::date and step = $2")
                .bind(DAY.parse::<fenqi::base::BusinessDay>().unwrap())
                .bind(step)
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert!(chunks >= 3, "{step} has {chunks} chunks only");
    }
    connection.close().await.unwrap();

    let held = Copy::make(&template, "held").await;
    kill_at_each_step(&held).await;
    held.settle_against(&reference).await;

    let timed = Copy::make(&template, "timed").await;
    let kills = kill_after_delays(&timed).await;
    assert!(kills >= 4, "killed {kills} times only");
    timed.settle_against(&reference).await;

    let shared = Copy::make(&template, "shared").await;
    let mut looking = shared.connect().await;
    let (dying, mut other) = (shared.start_close(), shared.start_close());
    let begun = "select exists (select from close_chunk where business_day = $1 and done_at is not null)";
    house::until("a part of the close is done", async || {
        let begun = sqlx::query_scalar::<_, bool>(begun).bind(DAY.parse::<fenqi::base::BusinessDay>().unwrap());
        begun.fetch_one(&mut looking).await.unwrap()
    })
    .await;
    kill(dying);
    looking.close().await.unwrap();
    assert!(other.wait().unwrap().success());
    shared.finish_close();
    shared.settle_against(&reference).await;
    untouched.settle().await;
}
