//! The close's step for funders' files: it only writes down that they are to be made.
//!
//! The rows of a day are final once its close has ended, so that a job can make the files of them at any time after and the
//! close does not grow with what they hold.

use sqlx::PgConnection;

use super::store;
use crate::app::App;
use crate::base::{AccountRange, BusinessDay};

/// One chunk: funders are few.
///
/// # Errors
/// None.
pub async fn plan(_: &mut PgConnection, _: BusinessDay, _: i64) -> sqlx::Result<Vec<AccountRange>> {
    Ok(vec![AccountRange::ALL])
}

/// Records the day's files for every funder.
///
/// # Errors
/// Failures of the database.
pub async fn run(connection: &mut PgConnection, app: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    Ok(store::record_day(connection, day, app.clock.now()).await?)
}
