//! The close's last step: the trial balance, which is the day's postings summed by account.

use sqlx::PgConnection;

use super::store;
use crate::app::App;
use crate::base::{AccountRange, BusinessDay};

/// Sums the postings of `day` by funder and account, and returns the sums written. A closed day's postings are final: whatever is
/// booked later is dated later.
pub async fn run(connection: &mut PgConnection, _: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    Ok(store::sum_day(connection, day).await?)
}
