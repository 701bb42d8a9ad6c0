//! The close's last step: the trial balance, sums of the day by account.

use sqlx::PgConnection;

use super::store;
use crate::app::App;
use crate::base::{AccountRange, BusinessDay};

pub async fn plan(_: &mut PgConnection, _: BusinessDay, _: i64) -> sqlx::Result<Vec<AccountRange>> {
    Ok(vec![AccountRange::ALL])
}

/// Sums the postings of `day` by funder and account. Postings of a closed day are final: what comes later is dated later.
pub async fn run(connection: &mut PgConnection, _: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    Ok(store::sum_day(connection, day).await?)
}
