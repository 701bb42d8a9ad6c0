//! What each kind of job does: the features' own functions, in one match.

use anyhow::anyhow;
use chrono::TimeDelta;

use super::model::JobKind;
use super::store;
use crate::app::App;
use crate::{
    access, close, credit, day_file, funder, merchant, notice, outbox, page, passcode, reconcile, repayment, settlement,
};

/// How long the record of a done job is kept.
const DONE_KEPT: TimeDelta = TimeDelta::days(90);

/// Does a stored job, whatever was done of it before.
///
/// # Errors
/// Whatever keeps it from being done; it is tried again.
pub async fn run_named(app: &App, kind: &str) -> anyhow::Result<()> {
    let kind = JobKind::from_name(kind).ok_or_else(|| anyhow!("no job is of kind {kind}"))?;
    run(app, kind).await
}

/// Does all that is due of a kind. Workers, the demo and the replay come through here.
///
/// # Errors
/// Whatever keeps it from being done; doing it again goes on where it was.
pub async fn run(app: &App, kind: JobKind) -> anyhow::Result<()> {
    match kind {
        JobKind::DailyClose => close_past_days(app).await,
        JobKind::PruneJobs => {
            let before = app.clock.now() - DONE_KEPT;
            store::prune(&mut *app.pool.acquire().await?, before).await?;
            page::session::sweep(app).await?;
            passcode::sweep(app).await?;
            merchant::join_actions::sweep(app).await?;
            day_file::jobs::forget_old(app).await?;
            access::jobs::forget_old(app).await?;
            notice::jobs::forget_old(app).await?;
            outbox::actions::forget_old(app).await
        }
        JobKind::Withhold => {
            let made = repayment::jobs::retry_withholdings(app).await.map(|_| ());
            let sent = repayment::jobs::submit_withholdings(app).await.map(|_| ());
            all_of([made, sent])
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
            all_of([collected, paid, decided, defaulted])
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

/// Fails as the first part of a job that did. All of them have been done by then as far as they could be: what is broken in one keeps
/// no money waiting in another.
fn all_of<const PARTS: usize>(parts: [anyhow::Result<()>; PARTS]) -> anyhow::Result<()> {
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
