//! `fenqi bench collect`: posting results of withholding with their allocation, compared with a plain copy of the rows that they write.

use std::time::Instant;

use sqlx::PgConnection;
use uuid::Uuid;

use super::book_store::Part;
use super::figure::{Figure, rate_per_second, seconds};
use super::store::{self, PendingOrder};
use super::world::{DAYS_TO_DUE, World};
use crate::close::close_day;
use crate::partner::withholding::{Answer, ChannelFailure};
use crate::repayment::result_actions::{ChannelResult, Posted, post_results};

/// Bills `lines` lines, orders their withholding by the real close, and posts one result for each.
pub async fn measure(world: &World, lines: i64) -> anyhow::Result<Figure> {
    let results = ordered(world, lines).await?;
    let app = &world.app;
    let started = Instant::now();
    let posted = post_results(app, &results).await?;
    let took = started.elapsed();
    check(posted, results.len())?;
    let again = post_results(app, &results).await?;
    anyhow::ensure!(again.already_applied == results.len() as u64, "a result was applied twice: {again:?}");

    let mut connection = app.pool.acquire().await?;
    let booked = store::count_repayments(&mut connection).await?.unsigned_abs();
    anyhow::ensure!(booked == posted.succeeded, "{} successes made {booked} repayments", posted.succeeded);
    ensure_each_once(&mut connection, &results).await?;
    world.ensure_books_foot().await?;
    store::make_receipt_copies(&mut connection).await?;
    let copying = Instant::now();
    let copied = store::copy_receipts(&mut connection).await?;
    let plain = rate_per_second(copied, copying.elapsed());
    let rows_per_line = copied / booked.max(1);
    let mut figure = Figure::new("collect, results posted", rate_per_second(results.len() as u64, took), "lines/s")
        .against(plain / rust_decimal::Decimal::from(rows_per_line.max(1)));
    figure.seconds = Some(seconds(took));
    figure.rows = Some(copied);
    figure.runs = Some(1);
    Ok(figure)
}

fn check(posted: Posted, results: usize) -> anyhow::Result<()> {
    let answered = posted.succeeded + posted.failed;
    anyhow::ensure!(answered == results as u64, "{results} results were posted as {posted:?}");
    Ok(())
}

/// Checks that what the channel took from each line is booked once, and restores the line by its principal.
async fn ensure_each_once(connection: &mut PgConnection, results: &[ChannelResult]) -> anyhow::Result<()> {
    let collected = |result: &ChannelResult| match result.answer {
        Answer::Succeeded { collected, .. } => collected.get(),
        _ => 0,
    };
    let line_ids: Vec<Uuid> = results.iter().map(|result| result.line_id.uuid()).collect();
    let differing =
        store::count_differing(connection, &line_ids, &results.iter().map(collected).collect::<Vec<_>>()).await?;
    anyhow::ensure!(differing == 0, "{differing} of {} lines do not say what the channel said", results.len());
    Ok(())
}

/// Lives from the statement day to the eve of the due day, and returns the channel's future answer to each order: of ten, eight pay
/// everything, one pays half, and one has no money.
async fn ordered(world: &World, lines: i64) -> anyhow::Result<Vec<ChannelResult>> {
    let first = world.day();
    let statement_on = first.next();
    let first_due_on = statement_on.plus_days(DAYS_TO_DUE);
    let part = Part { lines, loans_per_line: 1, first_statement_on: statement_on, first_due_on, is_billed: false };
    world.lend(first, &[part]).await?;
    // The day on which the loans are made, and all others up to the eve of the due day.
    for day in 0..=DAYS_TO_DUE {
        close_day(&world.app, first.plus_days(day)).await?;
    }
    let mut connection = world.app.pool.acquire().await?;
    let orders = store::submit_orders(&mut connection, world.app.clock.now()).await?;
    anyhow::ensure!(orders.len() as i64 == lines, "{} orders were made for {lines} lines", orders.len());
    store::settle_down(&mut connection).await?;
    Ok(orders.into_iter().enumerate().map(|(number, order)| said(number, order)).collect())
}

fn said(number: usize, order: PendingOrder) -> ChannelResult {
    let reference = format!("bench-{number}");
    let answer = match number % 10 {
        0 => Answer::Failed { failure: ChannelFailure::InsufficientFunds, code: "BALANCE_LOW".into() },
        1 => Answer::Succeeded { collected: order.amount.share(1, 2), reference },
        _ => Answer::Succeeded { collected: order.amount, reference },
    };
    ChannelResult { withholding_id: order.withholding_id, line_id: order.line_id, answer }
}
