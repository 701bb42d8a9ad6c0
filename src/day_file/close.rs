//! The close's step for funders' files: it only records that they are to be made.
//!
//! The rows of a day are final once its close has ended. So a job can make the files at any time after it, and the close takes no
//! longer however large they are.

use sqlx::PgConnection;

use super::store;
use crate::app::App;
use crate::base::{AccountRange, BusinessDay};

/// Records for every funder that the day's files are to be made. Returns how many funders that were.
///
/// # Errors
/// Failures of the database.
pub async fn run(connection: &mut PgConnection, app: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    Ok(store::record_day(connection, day, app.clock.now()).await?)
}
