//! `fenqi bench close`: the whole daily close of a large book, compared with a plain copy of the rows that it writes.

use std::time::{Duration, Instant};

use anyhow::Context;
use rust_decimal::Decimal;

use super::authorise::Buying;
use super::book_store::{self, Part};
use super::figure::{Figure, median, rate_per_second, seconds};
use super::store::{self, Billed, IdleLines};
use super::world::{DAYS_TO_DUE, World};
use super::written_store;
use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen};
use crate::close::{Closed, close_day};
use crate::error::Fault;
use crate::overdue::Stage;
use crate::product::Terms;
use crate::repayment::{Transfer, record_transfer};

const LOANS_PER_LINE: i32 = 2;
/// One in this many lines owes an installment of the previous month, and is frozen for it by the close.
const LATE_EVERY: i64 = 20;
/// For every so many billed lines, there is one more with a bill that falls due on the next day.
const DUE_TOMORROW_EVERY: i64 = 20;
/// For every so many loans of the book, one more is made on the day that is closed.
const LOANS_PER_PURCHASE: i64 = 100;
/// The most borrowers who pay by transfer on that day, one by one, if as many have a bill.
const TRANSFERS: i64 = 500;
/// Lines without debt that expire on that day.
const EXPIRING_LINES: i32 = 100;
/// How many days ahead the statement days of loans with nothing due are: more than any benchmark closes.
const NOT_DUE_DAYS: u32 = 14;
/// Callers that buy while the close runs.
const CALLERS: usize = 8;
/// How long they buy before each close, for the baseline.
const QUIET: Duration = Duration::from_secs(3);
/// The book for the comparisons is this many times smaller than the whole.
const SMALLER: i64 = 10;

/// Closes one day on which all loans are billed, and then `runs` days on which a tenth as many are, while purchases are made. `say`
/// gets each figure as soon as it is known.
pub async fn measure(world: &World, loans: i64, runs: usize, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<Figure> {
    let due = live_until_close(world, world.day(), loans).await?;
    let mut whole = whole_close(world, due).await?;
    say(&whole);
    let during = purchases_during(world, due.day.next(), smaller(loans), runs).await?;
    say(&during);
    world.ensure_books_foot().await?;
    whole.more = vec![during];
    Ok(whole)
}

/// The number of loans that are billed in the smaller comparisons.
fn smaller(loans: i64) -> i64 {
    loans / SMALLER
}

/// Compares how long the same due work takes alone, and beside a large book in which nothing is due.
#[derive(Debug, Default)]
pub struct NothingDue {
    alone: Vec<Decimal>,
    beside: Vec<Decimal>,
}

impl NothingDue {
    /// Closes a day on which a tenth of `loans` is billed, in a new world without any other loans.
    pub async fn measure_alone(&mut self, world: &World, loans: i64) -> anyhow::Result<()> {
        let due = live_until_close(world, world.day(), smaller(loans)).await?;
        self.alone.push(seconds(timed_close(world, due).await?.1));
        Ok(())
    }

    /// Adds ten times as many loans with nothing due to the world that was measured alone, and closes `runs` days on which as many
    /// loans are billed as before.
    pub async fn measure_beside(&mut self, world: &World, loans: i64, runs: usize) -> anyhow::Result<()> {
        let mut eve = world.day().plus_days(2);
        let lines = smaller(loans) * SMALLER / i64::from(LOANS_PER_LINE);
        world.lend(eve, &[not_due(eve, lines, LOANS_PER_LINE)]).await?;
        for _ in 0..runs {
            let due = live_until_close(world, eve, smaller(loans)).await?;
            self.beside.push(seconds(timed_close(world, due).await?.1));
            eve = due.day.next();
        }
        world.ensure_books_foot().await
    }

    pub fn figure(self) -> Figure {
        let runs = self.beside.len();
        let mut figure = Figure::new("close, ten times more loans with nothing due", median(self.beside), "s")
            .against(median(self.alone));
        figure.seconds = Some(figure.value);
        figure.runs = Some(runs);
        figure
    }
}

/// What a close is expected to bill: all loans of a funder's lines.
#[derive(Clone, Copy, Debug)]
struct Due {
    day: BusinessDay,
    funder_id: FunderId,
    lines: i64,
}

/// Makes the loans that the close of the day after `eve` is to bill, closes `eve`, and lives the next day until just before its close,
/// so that each step of that close has work.
async fn live_until_close(world: &World, eve: BusinessDay, loans: i64) -> anyhow::Result<Due> {
    let day = eve.next();
    let funder_id = world.lend(eve, &parts_due(world.terms(), day, loans)).await?.funder_id;
    close_day(&world.app, eve).await?;
    let book = world.lend(day, &[not_due(day, (loans / LOANS_PER_PURCHASE).max(1), 1)]).await?;
    let mut connection = world.app.pool.acquire().await?;
    let expiring = IdleLines { count: EXPIRING_LINES, limit: Fen::MAX, expires_on: day };
    store::insert_lines(&mut connection, book, expiring).await?;
    let lines_due_tomorrow = lines_of(loans) / DUE_TOMORROW_EVERY;
    let payers = TRANSFERS.min(lines_due_tomorrow.div_euclid(2).max(1));
    for bill in book_store::list_open_bills(&mut connection, day.next(), payers).await? {
        let (line_id, amount) = (bill.line_id, bill.amount);
        let transfer = Transfer {
            line_id,
            amount,
            bank_reference: format!("bench-{line_id}"),
            received_on: None,
            operator: "bench".into(),
        };
        record_transfer(&world.app, &transfer).await.map_err(Fault::into_error)?;
    }
    store::settle_down(&mut connection).await?;
    Ok(Due { day, funder_id, lines: lines_of(loans) })
}

fn lines_of(loans: i64) -> i64 {
    (loans / i64::from(LOANS_PER_LINE)).max(2 * LATE_EVERY)
}

/// The lines whose loans are billed on `day`: most regularly, some so late that they are frozen, and others with a bill that falls due
/// on the next day.
fn parts_due(terms: &Terms, day: BusinessDay, loans: i64) -> [Part; 3] {
    let lines = lines_of(loans);
    let late = lines / LATE_EVERY;
    let part = |lines, first_statement_on, first_due_on| Part {
        lines,
        loans_per_line: LOANS_PER_LINE,
        first_statement_on,
        first_due_on,
        is_billed: first_statement_on < day,
    };
    let statement_before = day.minus_days(DAYS_TO_DUE - 1);
    [
        part(lines - late, day, day.plus_days(DAYS_TO_DUE)),
        part(late, day.minus_months(1), Stage::Freeze.due_on(terms, terms.penalty.grace_days, day)),
        part(lines / DUE_TOMORROW_EVERY, statement_before, day.next()),
    ]
}

/// Lines with loans of which nothing is due during a benchmark.
fn not_due(day: BusinessDay, lines: i64, loans_per_line: i32) -> Part {
    let first_statement_on = day.plus_days(NOT_DUE_DAYS);
    let first_due_on = first_statement_on.plus_days(DAYS_TO_DUE);
    Part { lines, loans_per_line, first_statement_on, first_due_on, is_billed: false }
}

/// Closes a day and measures the time. Fails if the figure would prove nothing: if a step had no work, or loans were not billed exactly
/// once.
async fn timed_close(world: &World, due: Due) -> anyhow::Result<(Closed, Duration)> {
    let Due { day, funder_id, lines } = due;
    let started = Instant::now();
    let closed = close_day(&world.app, day).await?;
    let took = started.elapsed();
    for step in &closed.steps {
        tracing::info!("{:<14} {:>9} rows {:>7} ms", step.step.name(), step.rows, step.took.as_millis());
    }
    let idle: Vec<&str> = closed.steps.iter().filter(|step| step.rows == 0).map(|step| step.step.name()).collect();
    anyhow::ensure!(idle.is_empty(), "steps of the close of {day} had no work: {}", idle.join(", "));
    let loans = lines * i64::from(LOANS_PER_LINE);
    let billed = store::count_billed(&mut *world.app.pool.acquire().await?, funder_id, day).await?;
    anyhow::ensure!(
        billed == Billed { bills: lines, bill_lines: loans, loans },
        "the close of {day} was to bill {loans} loans on {lines} lines: {billed:?}"
    );
    Ok((closed, took))
}

async fn whole_close(world: &World, due: Due) -> anyhow::Result<Figure> {
    let mut connection = world.app.pool.acquire().await?;
    let since = written_store::next_transaction(&mut connection).await?;
    let (_, took) = timed_close(world, due).await?;
    let written = written_store::set_aside(&mut connection, since).await?;
    let started = Instant::now();
    let copied = written_store::copy(&mut connection, &written).await?;
    let plain = rate_per_second(copied, started.elapsed());
    anyhow::ensure!(copied == written.rows, "{} rows were written and {copied} copied", written.rows);
    let mut figure =
        Figure::new("close, every loan billed", rate_per_second(written.rows, took), "rows/s").against(plain);
    figure.seconds = Some(seconds(took));
    figure.rows = Some(written.rows);
    figure.runs = Some(1);
    Ok(figure)
}

/// The 99th percentile of purchases without and during a close, measured alternately, `runs` times. Only purchases that were answered
/// between the start and the end of a close count for it.
async fn purchases_during(world: &World, first_eve: BusinessDay, loans: i64, runs: usize) -> anyhow::Result<Figure> {
    let buying = Buying::open(world, CALLERS).await?;
    let (mut quiet, mut p50, mut p99, mut took) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut eve = first_eve;
    for _ in 0..runs {
        let due = live_until_close(world, eve, loans).await?;
        quiet.push(buying.during(tokio::time::sleep(QUIET)).await?.p99_ms);
        let mut closed = None;
        let busy = buying.during(async { closed = Some(timed_close(world, due).await) }).await?;
        took.push(seconds(closed.context("the close runs while purchases do")??.1));
        p50.push(busy.p50_ms);
        p99.push(busy.p99_ms);
        eve = due.day.next();
    }
    let mut figure = Figure::new("p99 of purchases during the close", median(p99), "ms").against(median(quiet));
    figure.p50_ms = Some(median(p50));
    figure.p99_ms = Some(figure.value);
    figure.seconds = Some(median(took));
    figure.runs = Some(runs);
    Ok(figure)
}
