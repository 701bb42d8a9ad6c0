//! Removes old notices.

use super::store;
use crate::app::App;
use crate::base::BusinessDay;

/// Removes notices older than `Kept::notices_days`; it may be repeated. What they told of is still stored where it happened.
///
/// # Errors
/// Failures of the database.
pub async fn forget_old(app: &App) -> anyhow::Result<()> {
    let before = BusinessDay::at(app.clock.now()).minus_days(app.kept.notices_days.into());
    let mut connection = app.pool.acquire().await?;
    let mut after_no = Some(0);
    while let Some(number) = after_no {
        after_no = store::forget(&mut connection, number, before).await?;
    }
    Ok(())
}
