//! The timetable: every scheduled job. When a time comes, its job is only enqueued, once per kind and time, however many
//! nodes do so; `jobs` runs it. [`run`] also delivers the outbox and keeps watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Asia::Shanghai;
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use tokio::sync::watch;
use tokio_cron_scheduler::{Job, JobScheduler};

use crate::app::App;
use crate::base::clock::CLOCKS_APART_MAX;
use crate::jobs::{JobKind, NewJob, store};
use crate::outbox;
use crate::watch::jobs::watch_repeatedly;

/// One line of the timetable.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Second, minute, hour, day, month and weekday, in Asia/Shanghai.
    pub cron: &'static str,
    pub kind: JobKind,
}

/// Everything that is scheduled; docs/OPERATIONS.md has the same table.
pub const TIMETABLE: &[Entry] = &[
    Entry { cron: "0 5 0 * * *", kind: JobKind::DailyClose },
    Entry { cron: "0 30 3 * * *", kind: JobKind::PruneJobs },
    // Often, because products say at which times of day money is withheld, and each order carries its own.
    Entry { cron: "0 */5 * * * *", kind: JobKind::Withhold },
    // Often, because a payout that the channel did not take is a merchant's money of the day: it must not wait for an hour,
    // nor in the evening for the next morning.
    Entry { cron: "0 */10 9-20 * * *", kind: JobKind::PayOut },
    Entry { cron: "0 * * * * *", kind: JobKind::AskPartners },
    Entry { cron: "0 */10 * * * *", kind: JobKind::WatchReserves },
    // Channels hand over the day before in the night. A late file is asked for as long as somebody is there to look at its
    // breaks: orders with an unknown result wait for it, and nothing else is collected from their lines.
    Entry { cron: "0 15,45 6-20 * * *", kind: JobKind::CompareFiles },
    // After the daily close and well before funders may fetch the files; later again, for a close that was late.
    Entry { cron: "0 15 0-12,16,20 * * *", kind: JobKind::MakeFiles },
];

/// A time that passed while no node was up is made up for if it is not longer ago than this.
const CATCH_UP: TimeDelta = TimeDelta::days(1);

/// How often it is checked whether the scheduler has missed a time. It waits for a time that it has worked out before; where
/// the machine's clock was set ahead meanwhile, and back again, that is long after the next one.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// How often each node keeps watch; see [`crate::watch`].
const WATCH_AGAIN: Duration = Duration::from_secs(600);

/// Enqueues jobs by the timetable, delivers messages and keeps watch, until `stop` says true.
///
/// # Errors
/// If the timetable cannot be started.
pub async fn run(app: &App, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    catch_up(app).await?;
    let mut scheduler = JobScheduler::new().await.context("the scheduler does not start")?;
    let missed = Arc::new(AtomicBool::new(false));
    for entry in TIMETABLE {
        let (app, missed) = (app.clone(), missed.clone());
        let ticking = Job::new_async_tz(entry.cron, Shanghai, move |_, _| {
            let (app, missed) = (app.clone(), missed.clone());
            Box::pin(async move {
                if let Err(error) = tick(&app, *entry, &missed).await {
                    tracing::error!(kind = entry.kind.name(), "a tick could not be enqueued: {error:#}");
                }
            })
        });
        scheduler.add(ticking.with_context(|| format!("{} is no cron entry", entry.cron))?).await?;
    }
    scheduler.start().await?;
    tokio::select! {
        () = outbox::jobs::deliver_until(app, stop) => {}
        () = catch_up_repeatedly(app, LOOK_AGAIN) => {}
        () = watch_repeatedly(app, WATCH_AGAIN) => {}
    }
    scheduler.shutdown().await?;
    Ok(())
}

/// Enqueues the job of an entry. If the database did not take it, `missed` is set, and the next tick of any entry, at most a
/// minute later, enqueues the last job of every entry. So the day's close need not wait for the next midnight.
///
/// # Errors
/// Failures of the database.
pub async fn tick(app: &App, entry: Entry, missed: &AtomicBool) -> anyhow::Result<()> {
    let ticked = match missed.swap(false, Ordering::Relaxed) {
        true => catch_up(app).await,
        false => enqueue_last(app, entry).await,
    };
    if ticked.is_err() {
        missed.store(true, Ordering::Relaxed);
    }
    ticked
}

/// Enqueues, for every entry, the job of its last time, unless that was done.
///
/// # Errors
/// Failures of the database.
pub async fn catch_up(app: &App) -> anyhow::Result<()> {
    for entry in TIMETABLE {
        enqueue_last(app, *entry).await?;
    }
    Ok(())
}

/// Calls [`catch_up`] repeatedly, until it is dropped.
pub async fn catch_up_repeatedly(app: &App, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = catch_up(app).await {
            tracing::error!("what the timetable asked for last could not be enqueued: {error:#}");
        }
    }
}

async fn enqueue_last(app: &App, entry: Entry) -> anyhow::Result<()> {
    let now = app.clock.now();
    let last = last_time(entry.cron, now)?;
    if now - last > CATCH_UP {
        return Ok(());
    }
    let job = NewJob { kind: entry.kind, unique_key: key_of(last), created_at: now };
    let mut connection = app.pool.acquire().await?;
    if !store::enqueue(&mut connection, &job).await? {
        store::enqueue_anew(&mut connection, &job, CLOCKS_APART_MAX).await?;
        store::forget_ahead(&mut connection, entry.kind, &key_of(now + CLOCKS_APART_MAX)).await?;
    }
    Ok(())
}

/// The key of an entry's job for this time. Keys sort as their times do.
fn key_of(time: DateTime<Utc>) -> String {
    time.with_timezone(&Shanghai).format("%Y-%m-%d %H:%M").to_string()
}

/// The times of the timetable after `from`, up to and including `to`, in order. An entry that comes more often than every
/// `apart` is taken only once in each such time: a house whose clock is moved need not live through every minute.
///
/// # Errors
/// If an entry of the table is no cron entry.
pub fn ticks(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    apart: TimeDelta,
) -> anyhow::Result<Vec<(DateTime<Utc>, JobKind)>> {
    let mut ticks = Vec::new();
    for Entry { cron, kind } in TIMETABLE {
        let times = parse(cron)?;
        let mut after = from.with_timezone(&Shanghai);
        loop {
            let next = times.find_next_occurrence(&after, false).with_context(|| format!("{cron} names no time"))?;
            if next > to {
                break;
            }
            ticks.push((next.with_timezone(&Utc), *kind));
            // The next occurrence is looked for strictly after this.
            after = next + apart - TimeDelta::seconds(1);
        }
    }
    // The sort is stable, so that entries of the same time keep the order of the table.
    ticks.sort_by_key(|(at, _)| *at);
    Ok(ticks)
}

/// The last time, up to and including `now`, that an entry names.
fn last_time(cron: &str, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let now: DateTime<Tz> = now.with_timezone(&Shanghai);
    let last = parse(cron)?.find_previous_occurrence(&now, true).with_context(|| format!("{cron} names no time"))?;
    Ok(last.with_timezone(&Utc))
}

fn parse(cron: &str) -> anyhow::Result<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    parser.parse(cron).with_context(|| format!("{cron} is no cron entry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn every_entry_names_a_time_of_the_last_day() {
        let now = at("2026-03-01T02:00:00Z");
        for Entry { cron, .. } in TIMETABLE {
            let last = last_time(cron, now).unwrap();
            assert!(last <= now && now - last <= CATCH_UP, "{cron} was last at {last}");
        }
    }

    #[test]
    fn times_are_those_of_shanghai() {
        assert_eq!(last_time("0 5 0 * * *", at("2026-01-05T02:00:00Z")).unwrap(), at("2026-01-04T16:05:00Z"));
        assert_eq!(last_time("0 5 0 * * *", at("2026-01-04T16:05:00Z")).unwrap(), at("2026-01-04T16:05:00Z"));
    }

    #[test]
    fn a_day_of_ticks_runs_in_order_and_not_through_every_minute() {
        let (from, to) = (at("2026-01-05T16:00:00Z"), at("2026-01-06T16:00:00Z"));
        let ticks = ticks(from, to, TimeDelta::hours(4)).unwrap();
        assert!(ticks.is_sorted_by_key(|(at, _)| *at));
        let count = |kind| ticks.iter().filter(|(_, ticked)| *ticked == kind).count();
        assert_eq!(count(JobKind::DailyClose), 1);
        assert_eq!(count(JobKind::PayOut), 3);
        assert_eq!(count(JobKind::AskPartners), 6);
    }
}
