//! Removes what no request can need any more: old nonces, counts and first answers; and old rows of the interface log.

use chrono::TimeDelta;

use super::{answer_store, store};
use crate::app::App;
use crate::http::api::idempotency::ANSWERS_KEPT;
use crate::partner;

/// Counts of past minutes are of no use but to look at.
const RATES_KEPT: TimeDelta = TimeDelta::hours(1);

/// Removes what is too old; repeatable.
///
/// # Errors
/// Failures of the database.
pub async fn forget_old(app: &App) -> anyhow::Result<()> {
    let now = app.access.now();
    let mut connection = app.pool.acquire().await?;
    partner::store::prune_nonces(&mut connection, now).await?;
    store::prune_rates(&mut connection, now - RATES_KEPT).await?;
    while answer_store::prune_answers(&mut connection, now - ANSWERS_KEPT).await? > 0 {}
    let before = app.clock.now() - TimeDelta::days(app.kept.calls_days.into());
    while partner::store::prune_calls(&mut connection, before).await? > 0 {}
    Ok(())
}
