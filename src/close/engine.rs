//! Runs the close: advances the business day once, then works through each step's chunks, on several workers and nodes at once. Start with
//! [`close_day`].
//!
//! A chunk's work and its control row are committed together, so a close that was killed anywhere resumes there and ends with the same
//! result.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::watch;

use super::step::{CHUNK_ROWS, Step};
use super::store;
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::{BusinessDay, Clock, When};
use crate::business_day;
use crate::database;
use crate::funder;
use crate::purchase::trading_store;

/// Workers of one node beside the leader. The database is the bottleneck; more workers would only queue.
const HELPERS: usize = 1;
/// How often helpers check whether purchases are still being made. Not more often, because each check wakes another process of the
/// database, and a batch of purchases that needs the same core then waits milliseconds for the kernel's next tick.
const TRADING_POLL: Duration = Duration::from_millis(200);
/// How often a node checks again while other nodes work on the last chunks of a step.
const OTHER_NODE_POLL: Duration = Duration::from_millis(200);

/// What a close did.
#[derive(Clone, Debug)]
pub struct Closed {
    pub day: BusinessDay,
    pub steps: Vec<StepDone>,
}

#[derive(Clone, Debug)]
pub struct StepDone {
    pub step: Step,
    /// Rows that this run wrote; none where the step was done before.
    pub rows: u64,
    pub took: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    #[error("the business day is {today}: {asked} has not come to its end, and days are closed in order")]
    NotYet { today: BusinessDay, asked: BusinessDay },
    #[error("no business day has been opened in this database; `fenqi house open --date DAY` opens the first")]
    NoHouse,
    #[error("{asked} is not a day that this house has lived through; the business day is {today}")]
    NeverOpened { today: BusinessDay, asked: BusinessDay },
    #[error("the close of {unfinished} has not ended: end it first, days are closed in order")]
    Unfinished { unfinished: BusinessDay },
    #[error(
        "{today} is over by this machine's clock ({now}) and not by the database's ({database}); set the one that is wrong"
    )]
    ClocksDiffer { today: BusinessDay, now: DateTime<Utc>, database: DateTime<Utc> },
    #[error("step {step} of the close of {day} failed; start the close again when the cause is mended")]
    Step { step: &'static str, day: BusinessDay, source: anyhow::Error },
    #[error("the database failed during the close")]
    Database(#[from] sqlx::Error),
}

/// The day to close next: one whose close was interrupted, else the business day once the calendar has left it behind.
///
/// # Errors
/// A clock of this machine that runs ahead of the database's, and failures of the database.
pub async fn next_to_close(app: &App) -> Result<Option<BusinessDay>, CloseError> {
    let mut connection = app.pool.acquire().await?;
    if let Some(unfinished) = store::find_unfinished(&mut connection).await? {
        return Ok(Some(unfinished));
    }
    // Before the house was opened there is no business day.
    let Some(today) = business_day::store::find_today(&mut connection).await? else { return Ok(None) };
    drop(connection);
    Ok(has_ended(app, today).await?.then_some(today))
}

/// Whether the business day `today` is over by the calendar.
///
/// # Errors
/// Those of [`next_to_close`].
pub async fn has_ended(app: &App, today: BusinessDay) -> Result<bool, CloseError> {
    let now = app.clock.now();
    // Only the system's clock is compared: a clock that a demo or a test has moved differs on purpose.
    let by_database = match app.clock {
        Clock::System => database::time(&mut *app.pool.acquire().await?).await?,
        Clock::Moved(_) => now,
    };
    is_over(today, now, by_database)
}

/// Whether a day is over by this machine's clock and by the database's. Both must agree: one wrong clock alone would close days that have
/// not happened yet, and a closed day is never opened again.
fn is_over(today: BusinessDay, now: DateTime<Utc>, database: DateTime<Utc>) -> Result<bool, CloseError> {
    if today >= BusinessDay::at(now) {
        return Ok(false);
    }
    if today >= BusinessDay::at(database) {
        return Err(CloseError::ClocksDiffer { today, now, database });
    }
    Ok(true)
}

/// Closes `day`, or resumes a close of it that was interrupted. A day that is closed already is left as it is.
pub async fn close_day(app: &App, day: BusinessDay) -> Result<Closed, CloseError> {
    close_day_in_chunks(app, day, CHUNK_ROWS, &|_, _| ()).await
}

/// Reports progress: called as a step begins and after each of its chunks, with the step and the number of its chunks that are left.
pub type Progress<'a> = &'a (dyn Fn(Step, u64) + Sync);

/// As [`close_day`], with steps that are not planned yet cut into chunks of about `chunk_rows` rows.
pub async fn close_day_in_chunks(
    app: &App,
    day: BusinessDay,
    chunk_rows: i64,
    told: Progress<'_>,
) -> Result<Closed, CloseError> {
    begin(app, day).await?;
    let mut steps = Vec::with_capacity(Step::ALL.len());
    for step in Step::ALL {
        let started = Instant::now();
        let failed = |source| CloseError::Step { step: step.name(), day, source };
        let mut left = plan(app, day, step, chunk_rows).await?;
        let mut rows = 0;
        told(step, left);
        while left > 0 {
            let is_over = watch::Sender::new(false);
            let shift = Shift { app, day, step, left, done: AtomicU64::new(0), is_over, told };
            // No more helpers than chunks beside the leader's.
            let helpers = (1..left).take(HELPERS).map(|_| shift.help());
            let (led, helped) = tokio::join!(shift.lead(), futures_util::future::join_all(helpers));
            let mut claimed = 0;
            for done in helped.into_iter().chain([led]) {
                let done = done.map_err(failed)?;
                claimed += done.chunks;
                rows += done.rows;
            }
            // Done chunks stay done: if our workers did all that were left, there is no need to ask the database again.
            if claimed == left {
                break;
            }
            if claimed == 0 {
                tokio::time::sleep(OTHER_NODE_POLL).await;
            }
            // `plan` again, not only a count: a crash of the database may have lost the control rows (they are committed without waiting
            // for the disk), and a step without rows is not done.
            left = plan(app, day, step, chunk_rows).await?;
        }
        steps.push(StepDone { step, rows, took: started.elapsed() });
    }
    let mut connection = app.pool.acquire().await?;
    store::finish(&mut connection, day, app.clock.now()).await?;
    Ok(Closed { day, steps })
}

/// Advances the business day, and books on `day` what purchases have used of the slices of reserves until now. `false` if the day has been
/// advanced already.
pub async fn cut_off(connection: &mut PgConnection, day: BusinessDay, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let advanced = business_day::store::advance(&mut *connection, day).await?;
    if advanced {
        funder::book_slices(connection, When { business_day: day, at: now }).await?;
    }
    Ok(advanced)
}

/// The cut-off: records the run and advances the business day, in one transaction.
async fn begin(app: &App, day: BusinessDay) -> Result<(), CloseError> {
    let mut transaction = database::begin(&app.pool).await?;
    if cut_off(&mut transaction, day, app.clock.now()).await? {
        if let Some(unfinished) = store::find_unfinished(&mut transaction).await? {
            return Err(CloseError::Unfinished { unfinished });
        }
        store::begin(&mut transaction, day, app.clock.now()).await?;
        audit::record(&mut transaction, app, Act::new(Action::DayEnded, day, json!({}))).await?;
    } else {
        let today = match business_day::store::today(&mut transaction).await {
            Err(sqlx::Error::RowNotFound) => return Err(CloseError::NoHouse),
            found => found?,
        };
        if day >= today {
            return Err(CloseError::NotYet { today, asked: day });
        }
        if !store::has_begun(&mut transaction, day).await? {
            return Err(CloseError::NeverOpened { today, asked: day });
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Writes the step's control rows unless they are there, and returns how many of its chunks are not done. The lock on the run keeps two
/// nodes from planning at once.
async fn plan(app: &App, day: BusinessDay, step: Step, chunk_rows: i64) -> Result<u64, CloseError> {
    let mut transaction = database::begin(&app.pool).await?;
    store::lock_run(&mut transaction, day).await?;
    let left = if store::is_planned(&mut transaction, day, step).await? {
        chunks_left(&mut transaction, day, step).await?
    } else {
        store::forbid_parallel_plans(&mut transaction).await?;
        let planned = step.plan(&mut transaction, app, day, chunk_rows).await;
        let ranges = planned.map_err(|source| CloseError::Step { step: step.name(), day, source })?;
        store::insert_chunks(&mut transaction, day, step, &ranges).await?;
        ranges.len() as u64
    };
    transaction.commit().await?;
    Ok(left)
}

async fn chunks_left(connection: &mut PgConnection, day: BusinessDay, step: Step) -> sqlx::Result<u64> {
    Ok(u64::try_from(store::chunks_left(connection, day, step).await?).unwrap_or_default())
}

/// What one worker did.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    chunks: u64,
    rows: u64,
}

/// What a node's workers share while they work on a step.
struct Shift<'a> {
    app: &'a App,
    day: BusinessDay,
    step: Step,
    /// Chunks of the step that were not done when the shift began.
    left: u64,
    /// How many of these this node's workers have done.
    done: AtomicU64,
    /// Whether the leader has ended, well or not: helpers then end, too.
    is_over: watch::Sender<bool>,
    told: Progress<'a>,
}

impl Shift<'_> {
    /// Works on chunks until all that are left are done or in other hands.
    async fn lead(&self) -> anyhow::Result<Work> {
        let mut done = Work::default();
        let ended = loop {
            if done.chunks == self.left {
                break Ok(done);
            }
            match self.work(&mut done).await {
                Ok(true) => {}
                Ok(false) => break Ok(done),
                Err(error) => break Err(error),
            }
        };
        self.is_over.send_replace(true);
        ended
    }

    /// As [`Shift::lead`], but takes no chunk while purchases are being made: customers wait for those, and nobody waits for the close.
    async fn help(&self) -> anyhow::Result<Work> {
        let mut done = Work::default();
        let mut is_over = self.is_over.subscribe();
        while !*is_over.borrow() {
            if trading_store::is_going_on(&mut *self.app.pool.acquire().await?).await? {
                if tokio::time::timeout(TRADING_POLL, is_over.wait_for(|is_over| *is_over)).await.is_ok() {
                    break;
                }
            } else if !self.work(&mut done).await? {
                break;
            }
        }
        Ok(done)
    }

    /// Works on the next chunk; `false` when there is none.
    async fn work(&self, done: &mut Work) -> anyhow::Result<bool> {
        let Shift { app, day, step, .. } = *self;
        let mut transaction = database::begin(&app.pool).await?;
        let Some(chunk) = store::claim_chunk(&mut transaction, day, step).await? else { return Ok(false) };
        store::forbid_parallel_plans(&mut transaction).await?;
        let written = step.run(&mut transaction, app, day, chunk.range).await?;
        store::finish_chunk(&mut transaction, day, step, &chunk, written, app.clock.now()).await?;
        transaction.commit().await?;
        let together = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        (self.told)(step, self.left.saturating_sub(together));
        done.chunks += 1;
        done.rows += written;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_clock_that_runs_ahead_ends_no_day() {
        let is_over = |now: &str, database: &str| {
            let (now, database) = (now.parse().unwrap(), database.parse().unwrap());
            super::is_over("2026-03-02".parse().unwrap(), now, database)
        };
        let (evening, after_midnight, next_month) =
            ("2026-03-02T15:59:59Z", "2026-03-02T16:05:00Z", "2026-04-02T00:00:00Z");
        assert!(is_over(after_midnight, after_midnight).unwrap());
        assert!(!is_over(evening, evening).unwrap());
        assert!(is_over("2026-03-02T16:00:00Z", "2026-03-02T16:00:00Z").unwrap());
        // One that is behind waits until it is midnight there too.
        assert!(!is_over(evening, after_midnight).unwrap());
        let refused = is_over(next_month, evening).unwrap_err().to_string();
        assert!(refused.contains("2026-03-02 is over by this machine's clock (2026-04-02"), "{refused}");
    }
}
