//! The close's withholding step: makes tomorrow's orders for what is due then, or overdue and on the timetable.

use sqlx::PgConnection;

use super::attempt::NextAttempt;
use super::due_actions::{Candidate, Timetable, create_due_orders};
use super::notices;
use super::queue_store::{self, ChunkBills};
use crate::app::App;
use crate::base::{AccountRange, BusinessDay, When};
use crate::notice;
use crate::partner::withholding::ChannelName;

/// Making the order for one bill is as much work as billing this many loans. If bills counted like loans, a day's orders would often be
/// a single chunk, and all workers but one would be idle.
const LOANS_PER_ORDER: i64 = 3;

/// With fewer bills than this in a chunk, a second worker would cost more than it saves.
const BILLS_MIN: i64 = 500;

/// Divides the lines with open bills that tomorrow's timetable collects into ranges, each as much work as billing about `chunk_rows`
/// loans; into two halves if that would be fewer than two ranges. Bills off the timetable, such as long overdue ones, are no work and
/// do not count.
pub async fn plan(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    chunk_rows: i64,
) -> anyhow::Result<Vec<AccountRange>> {
    let timetable = Timetable::load(connection, app, day.next()).await?;
    let bills = ChunkBills { min: BILLS_MIN, max: chunk_rows / LOANS_PER_ORDER };
    let starts = queue_store::cut_due(connection, &timetable.due_days, bills).await?;
    Ok(AccountRange::cut_at(&starts))
}

/// Writes the orders of `range` for the day after `day`, and notices to borrowers without a card. Returns the number of orders.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    let tomorrow = day.next();
    let timetable = Timetable::load(connection, app, tomorrow).await?;
    let mut candidates = Vec::new();
    for line in queue_store::load_due_lines(connection, &timetable.due_days, range).await? {
        let Some(product) = timetable.product(&line) else { continue };
        let Some(first_time) = product.terms.withholding.times.first() else { continue };
        let submit_at = tomorrow.instant(*first_time);
        let next = NextAttempt { channel: ChannelName::FIRST, attempt_no: 1, submit_at };
        candidates.push(Candidate::new(&line, product, next));
    }
    let created = create_due_orders(connection, app, &candidates, tomorrow).await?;
    let when = When { business_day: tomorrow, at: app.clock.now() };
    let told = created.without_card.iter().map(|line| notices::no_card(line, when));
    notice::raise(connection, &told.collect::<Vec<_>>()).await?;
    Ok(created.orders)
}
