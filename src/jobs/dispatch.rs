//! What each kind of job does: the features' own functions, in one match.

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};

use super::model::JobKind;
use super::store;
use crate::app::App;
use crate::base::Clock;
use crate::{
    access, borrower, close, credit, database, day_file, funder, merchant, notice, outbox, page, passcode, reconcile,
    repayment, settlement,
};

/// How long the record of a done job is kept.
const DONE_KEPT: TimeDelta = TimeDelta::days(90);
/// How far this machine's clock may be ahead of the database's when old rows are removed: nobody misses a row that goes a day too early.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);

/// Does a stored job by the name of its kind. It may have been done in part before.
///
/// # Errors
/// The kind is unknown, or the job failed; the worker tries it again later.
pub async fn run_named(app: &App, kind: &str) -> anyhow::Result<()> {
    let kind = JobKind::from_name(kind).ok_or_else(|| anyhow!("no job is of kind {kind}"))?;
    run(app, kind).await
}

/// Does all the work of a kind that is due. Workers, the demo and the replay all call this.
///
/// # Errors
/// The first failure. Calling it again goes on where this call stopped.
pub async fn run(app: &App, kind: JobKind) -> anyhow::Result<()> {
    match kind {
        JobKind::DailyClose => close_past_days(app).await,
        JobKind::PruneJobs => forget_old(app).await,
        JobKind::Withhold => {
            let made = repayment::jobs::retry_withholdings(app).await.map(|_| ());
            let sent = repayment::jobs::submit_withholdings(app).await.map(|_| ());
            first_failure([made, sent])
        }
        JobKind::PayOut => {
            settlement::submit_payouts(app).await?;
            Ok(())
        }
        JobKind::AskPartners => {
            let collected = repayment::jobs::query_unknowns(app).await.map(|_| ());
            let paid = settlement::query_payouts(app).await.map(|_| ());
            let decided = credit::jobs::decide_waiting(app).await.map(|_| ());
            let defaulted = credit::jobs::apply_silence(app).await.map(|_| ());
            first_failure([collected, paid, decided, defaulted])
        }
        JobKind::WatchReserves => {
            funder::jobs::watch_reserves(app).await?;
            Ok(())
        }
        JobKind::CompareFiles => {
            reconcile::fetch_channel_files(app).await?;
            Ok(())
        }
        JobKind::MakeFiles => {
            day_file::jobs::make_files(app).await?;
            Ok(())
        }
    }
}

async fn forget_old(app: &App) -> anyhow::Result<()> {
    // Only the system's clock is compared: a clock that a demo or a test has moved differs on purpose.
    if let Clock::System = app.clock {
        let database = database::time(&mut *app.pool.acquire().await?).await?;
        ensure_not_ahead(app.clock.now(), database)?;
    }
    let jobs = store::prune(&mut *app.pool.acquire().await?, app.clock.now() - DONE_KEPT).await;
    let jobs = jobs.map(|_| ()).map_err(anyhow::Error::from);
    let sessions = page::session::sweep(app).await.map(|_| ());
    let codes = passcode::sweep(app).await.map(|_| ());
    let signings = borrower::forget_signings(app).await.map(|_| ());
    let drafts = merchant::join_actions::sweep(app).await.map(|_| ());
    let files = day_file::jobs::forget_old(app).await;
    let calls = access::jobs::forget_old(app).await;
    let notices = notice::jobs::forget_old(app).await;
    let messages = outbox::actions::forget_old(app).await;
    first_failure([jobs, sessions, codes, signings, drafts, files, calls, notices, messages])
}

/// Checks this machine's clock before old rows are removed: a clock set years ahead would remove rows that must be kept for years.
///
/// # Errors
/// The clock is ahead of the database's by more than [`AHEAD_MAX`].
fn ensure_not_ahead(machine: DateTime<Utc>, database: DateTime<Utc>) -> anyhow::Result<()> {
    anyhow::ensure!(
        machine - database <= AHEAD_MAX,
        "this machine's clock ({machine}) is ahead of the database's ({database}), and too much would be forgotten; set the one that is wrong"
    );
    Ok(())
}

/// The first failure among the parts of a job; the others are logged. Callers run every part even if an earlier one failed, so that a fault
/// in one part neither delays money in another nor lets the disk fill.
fn first_failure<const PARTS: usize>(parts: [anyhow::Result<()>; PARTS]) -> anyhow::Result<()> {
    let mut failures = parts.into_iter().filter_map(Result::err);
    let first = failures.next();
    for failure in failures {
        tracing::error!("another part of the job failed: {failure:#}");
    }
    first.map_or(Ok(()), Err)
}

/// Ends every close that was interrupted, and closes every business day that the calendar has left behind, so that a node that
/// was down catches up.
async fn close_past_days(app: &App) -> anyhow::Result<()> {
    while let Some(day) = close::next_to_close(app).await? {
        close::close_day(app, day).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forgotten_by_a_clock_that_runs_ahead() {
        let at = |day: i64| DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + day);
        assert!(ensure_not_ahead(at(0), at(0)).is_ok());
        assert!(ensure_not_ahead(at(1), at(0)).is_ok());
        assert!(ensure_not_ahead(at(0), at(3_650)).is_ok());
        let refused = ensure_not_ahead(at(3_650), at(0)).unwrap_err().to_string();
        assert!(refused.contains("set the one that is wrong"), "{refused}");
    }
}
