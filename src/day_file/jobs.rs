//! Background jobs that make the files of closed days, and delete the bytes of old ones.

use super::actions::{Making, make_day};
use super::store;
use crate::app::App;
use crate::base::BusinessDay;

/// The most days made in one run; the next run makes the rest.
const DAYS_MAX: i64 = 1_000;

/// Makes the days that are not made yet, the oldest first, and returns how many it made. A day that cannot be made does not hold up the
/// others.
///
/// # Errors
/// The failure of the first day that could not be made, after all others were.
pub async fn make_files(app: &App) -> anyhow::Result<u64> {
    let unmade = store::list_unmade(&mut *app.pool.acquire().await?, DAYS_MAX).await?;
    let (mut made, mut failed) = (0, None);
    for key in &unmade {
        match make_day(app, key).await {
            Ok(Making::Made) => made += 1,
            Ok(Making::There | Making::Elsewhere) => {}
            Err(error) => {
                let error = error.context(format!("the files of {} for {} cannot be made", key.day, key.funder_code));
                tracing::error!("{error:#}");
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(made), Err)
}

/// Deletes the bytes of files that were kept long enough; their manifests stay, and they can be made again.
///
/// # Errors
/// Failures of the database.
pub async fn forget_old(app: &App) -> anyhow::Result<()> {
    let before = BusinessDay::at(app.clock.now()).minus_days(app.day_files.kept_days);
    store::prune_chunks(&mut *app.pool.acquire().await?, before.date()).await?;
    Ok(())
}
