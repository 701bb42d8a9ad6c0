//! `fenqi bench close`: the whole daily close of a large book, against a plain copy of the rows that it writes.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::authorise::Buying;
use super::figure::{Figure, rate_per_second, seconds};
use super::store::{self, BookOf, LoansDue};
use super::world::World;
use crate::base::{BusinessDay, Fen};
use crate::close::{Closed, close_day};

/// One line in so many is overdue.
const OVERDUE_EVERY: i64 = 20;
/// Callers that buy while the close runs.
const CALLERS: usize = 8;
/// The smaller book for the comparisons is this part of the whole.
const SMALLER: i64 = 10;

/// Closes four days: all loans billed; a tenth of them alone; a tenth beside ten times as many with nothing due; and a tenth
/// while purchases are made.
pub async fn measure(world: &World, loans: i64, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<Figure> {
    let first = world.day();
    let (alone, beside, busy) = (first.next(), first.plus_days(2), first.plus_days(3));
    let tenth = (loans / SMALLER).max(2);
    fill(world, LoansDue { loans, loans_per_line: 2, statement_on: first, overdue_every: OVERDUE_EVERY }).await?;
    for day in [alone, beside, busy] {
        fill(world, LoansDue { loans: tenth, loans_per_line: 2, statement_on: day, overdue_every: OVERDUE_EVERY })
            .await?;
    }
    let mut whole = whole_close(world, first).await?;
    say(&whole);

    // The first close has billed the large book; nothing of it is due again for a month.
    let nothing_due = extra(world, alone, beside, loans).await?;
    say(&nothing_due);
    let during = purchases_during(world, busy).await?;
    say(&during);
    whole.more = vec![nothing_due, during];
    Ok(whole)
}

async fn fill(world: &World, due: LoansDue) -> anyhow::Result<()> {
    let terms = world.open_book(Fen::MAX, 1, 1).await?;
    let (funder_id, product_id) = (terms.funder_id, terms.product_id);
    let book = BookOf { funder_id, product_id, day: world.day(), at: world.app.clock.now() };
    let mut connection = world.app.pool.acquire().await?;
    store::insert_loans_due(&mut connection, book, due).await?;
    Ok(store::settle_down(&mut connection).await?)
}

async fn timed_close(world: &World, day: BusinessDay) -> anyhow::Result<(Closed, Duration)> {
    let started = Instant::now();
    let closed = close_day(&world.app, day).await?;
    Ok((closed, started.elapsed()))
}

async fn whole_close(world: &World, day: BusinessDay) -> anyhow::Result<Figure> {
    let (closed, took) = timed_close(world, day).await?;
    for step in &closed.steps {
        tracing::info!("{:<14} {:>9} rows {:>7} ms", step.step.name(), step.rows, step.took.as_millis());
    }
    let mut connection = world.app.pool.acquire().await?;
    store::make_copies(&mut connection).await?;
    let started = Instant::now();
    let copied = store::copy_written(&mut connection, day).await?;
    let plain = rate_per_second(copied, started.elapsed());
    let rows = store::count_written(&mut connection, day).await?.unsigned_abs();
    let mut figure = Figure::new("close, every loan billed", rate_per_second(rows, took), "rows/s").against(plain);
    figure.seconds = Some(seconds(took));
    figure.rows = Some(rows);
    figure.runs = Some(1);
    Ok(figure)
}

/// A tenth of the book due, before and after ten times as many loans with nothing due are added.
async fn extra(world: &World, alone: BusinessDay, beside: BusinessDay, loans: i64) -> anyhow::Result<Figure> {
    let (_, without) = timed_close(world, alone).await?;
    // Due days far from those that are closed here.
    let elsewhere = alone.plus_days(14);
    fill(world, LoansDue { loans, loans_per_line: 2, statement_on: elsewhere, overdue_every: i64::MAX }).await?;
    let (_, with) = timed_close(world, beside).await?;
    let mut figure =
        Figure::new("close, ten times more loans with nothing due", seconds(with), "s").against(seconds(without));
    figure.runs = Some(1);
    Ok(figure)
}

/// The slowest hundredth of purchases, without and during a close: of those that were answered between its begin and its end.
async fn purchases_during(world: &World, day: BusinessDay) -> anyhow::Result<Figure> {
    let buying = Buying::open(world, CALLERS).await?;
    let quiet = buying.during(tokio::time::sleep(Duration::from_secs(3))).await?.p99_ms;
    let mut closed = None;
    let busy = buying.during(async { closed = Some(timed_close(world, day).await) }).await?;
    let (_, took) = closed.context("the close runs while purchases do")??;
    let mut figure = Figure::new("p99 of purchases during the close", busy.p99_ms, "ms").against(quiet);
    figure.seconds = Some(seconds(took));
    figure.runs = Some(1);
    Ok(figure)
}
