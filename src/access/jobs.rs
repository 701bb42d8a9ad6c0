//! Removes what no request can need any more: old nonces, counts and first answers; and old rows of the interface log.

use chrono::TimeDelta;

use super::{answer_store, store};
use crate::app::App;
use crate::http::api::idempotency::ANSWERS_KEPT;
use crate::partner;

/// Counts of past minutes are of no use but to look at.
const RATES_KEPT: TimeDelta = TimeDelta::hours(1);
/// How many blocks of answers one statement looks through: half a gigabyte.
const BLOCKS_AT_ONCE: i64 = 65_536;
/// Calls forgotten in one statement, so that none holds the log for long after the rule was tightened.
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
    // What is written meanwhile, behind them too, is young.
    let (blocks, mut from) = (answer_store::count_blocks(&mut connection).await?, 0);
    while from < blocks {
        let some = from..from + BLOCKS_AT_ONCE;
        answer_store::prune_answers(&mut connection, some, now - ANSWERS_KEPT).await?;
        from += BLOCKS_AT_ONCE;
    }
    let at = app.clock.now();
    let before = at - TimeDelta::days(app.kept.calls_days.into());
    // What a clock that ran ahead has dated is passed over until its time has come; a single part may be such calls whose time has. Where
    // two parts in a row hold none that is old, no later one does.
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
