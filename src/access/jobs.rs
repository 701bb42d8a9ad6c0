//! Removes old rows: nonces, counts and first answers that no request can need any more, and calls in the interface log.

use chrono::TimeDelta;

use super::{answer_store, store};
use crate::app::App;
use crate::http::api::idempotency::ANSWERS_KEPT;
use crate::partner;

/// Counts of past minutes are kept only for people to look at.
const RATES_KEPT: TimeDelta = TimeDelta::hours(1);
/// How many blocks of answers one statement goes through: half a gigabyte.
const BLOCKS_AT_ONCE: i64 = 65_536;
/// Calls deleted in one statement, so that no statement is long even after the time they are kept was shortened.
const CALLS_AT_ONCE: i64 = 20_000;

/// Removes what is too old; repeatable.
///
/// # Errors
/// Failures of the database.
pub async fn forget_old(app: &App) -> anyhow::Result<()> {
    let now = app.access.now();
    let mut connection = app.pool.acquire().await?;
    partner::store::prune_nonces(&mut connection, now).await?;
    store::prune_rates(&mut connection, now - RATES_KEPT).await?;
    // Rows that are written meanwhile, also in new blocks, are too young to be removed.
    let (blocks, mut from) = (answer_store::count_blocks(&mut connection).await?, 0);
    while from < blocks {
        let some = from..from + BLOCKS_AT_ONCE;
        answer_store::prune_answers(&mut connection, some, now - ANSWERS_KEPT).await?;
        from += BLOCKS_AT_ONCE;
    }
    let at = app.clock.now();
    let before = at - TimeDelta::days(app.kept.calls_days.into());
    // Numbers ascend with time, so this goes up in parts, and stops after two parts in a row without an old call. One is not enough: it may
    // hold calls that a clock running ahead has dated later than those around them. Calls dated in the future are skipped.
    let (mut from_no, mut without) = (0, 0);
    while without < 2
        && let Some(first_no) = partner::store::first_call_no(&mut connection, from_no, at).await?
    {
        from_no = first_no + CALLS_AT_ONCE;
        let forgotten = partner::store::prune_calls(&mut connection, first_no..from_no, before).await?;
        without = if forgotten > 0 { 0 } else { without + 1 };
    }
    Ok(())
}
