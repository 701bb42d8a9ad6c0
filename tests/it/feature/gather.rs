//! A gathered batch of queries passes its database connection on to one that waits for it, and otherwise back to the pool.

use std::sync::Arc;

use anyhow::ensure;
use fenqi::gather::{Answered, Gatherer, Left};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Semaphore;

use crate::house;

/// A question whose batch fails.
const NOTHING: u8 = 0;

/// Tells everybody which process of the server has served the batch, once it may.
async fn tell_process(pool: PgPool, may: Arc<Semaphore>, asked: Vec<u8>, left: Left) -> anyhow::Result<Answered<i32>> {
    let mut connection = left.take(&pool).await?;
    may.acquire().await?.forget();
    ensure!(!asked.contains(&NOTHING), "nothing was asked");
    let process: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await?;
    Ok(Answered { answers: vec![process; asked.len()], left: Left::of(connection, &pool) })
}

#[sqlx::test(migrations = false)]
async fn a_batch_leaves_its_connection_to_one_that_waits_and_else_to_the_pool(pool: PgPool) {
    // One of its own: those that rest are not closed while the test runs.
    let pool = PgPoolOptions::new().max_connections(2).connect_with((*pool.connect_options()).clone()).await.unwrap();
    let resting = async |many: usize| {
        house::until("as many connections rest", async || pool.num_idle() == many).await;
    };
    let both = tokio::try_join!(pool.acquire(), pool.acquire()).unwrap();
    drop(both);
    resting(2).await;
    let may = Arc::new(Semaphore::new(0));
    let (for_batches, allowed) = (pool.clone(), may.clone());
    let processes = Gatherer::start(move |asked, left| tell_process(for_batches.clone(), allowed.clone(), asked, left));
    // The first is with the database when the other one is asked.
    let ask = async |first: u8, other: u8| {
        let beside = async {
            resting(1).await;
            tokio::join!(processes.ask(other), async { may.add_permits(2) }).0
        };
        tokio::join!(processes.ask(first), beside)
    };
    let (first, other) = ask(1, 2).await;
    assert_eq!(first.unwrap(), other.unwrap(), "not the one that has rested longer");
    resting(2).await;
    let (failed, other) = ask(NOTHING, 3).await;
    assert!(failed.unwrap_err().to_string().contains("nothing was asked"));
    other.unwrap();
    resting(2).await;
    pool.close().await;
}
