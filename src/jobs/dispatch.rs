//! What each kind of job does: the features' own functions, in one match.

use anyhow::anyhow;
use chrono::TimeDelta;
use serde_json::Value;

use super::model::JobKind;
use super::store;
use crate::app::App;

/// How long the record of a done job is kept.
const DONE_KEPT: TimeDelta = TimeDelta::days(90);

/// Does a job, whatever was done of it before.
///
/// # Errors
/// Whatever keeps it from being done; it is tried again.
pub async fn run(app: &App, kind: &str, _payload: &Value) -> anyhow::Result<()> {
    let kind = JobKind::parse(kind).ok_or_else(|| anyhow!("no job is of kind {kind}"))?;
    match kind {
        JobKind::PruneJobs => {
            let before = app.clock.now() - DONE_KEPT;
            store::prune(&mut *app.pool.acquire().await?, before).await?;
            Ok(())
        }
    }
}
