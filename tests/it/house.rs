//! A house to test in: an app on an empty database, opened on a chosen business day with a clock that can be moved.

use std::sync::Arc;

use fenqi::app::App;
use fenqi::base::{BusinessDay, Clock};
use fenqi::vault::Vault;
use sqlx::PgPool;

/// The app on the morning (10:00 in Shanghai) of `today`. The one place in the tests that builds an [`App`].
pub async fn open(pool: PgPool, today: &str) -> App {
    let today: BusinessDay = today.parse().unwrap();
    let mut connection = pool.acquire().await.unwrap();
    fenqi::business_day::store::open(&mut connection, today).await.unwrap();
    drop(connection);
    let morning = today.instant("10:00:00".parse().unwrap());
    App { pool, clock: Clock::moved(morning), vault: Arc::new(Vault::with_master([7; 32])) }
}
