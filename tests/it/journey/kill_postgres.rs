//! What was answered survives SIGKILL of PostgreSQL's postmaster during purchases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fenqi::purchase::Authoriser;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::kill_authorise::{
    DAY, LIMIT_FEN, LINES, RESERVE_FEN, TILLS, assert_one_outcome_each, first_open, lines_of, wish, word,
};
use crate::feature::launcher::{Place, said, signal};
use crate::house;
use crate::town::{self, LineWish};

/// How often the server is killed; after each it goes on where it was.
const KILLS: usize = 3;
/// Purchases that are answered before each kill.
const ANSWERED_BEFORE: usize = 200;

/// Starts the private server of this place, which is durable as an operator's is, and connects.
async fn start(place: &Place) -> PgPool {
    let started = place.run(&["db", "start"]);
    assert!(started.status.success(), "{}", said(&started.stderr));
    PgPoolOptions::new().acquire_timeout(Duration::from_secs(5)).connect(&said(&started.stdout)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn purchases_that_were_answered_stand_when_the_server_itself_is_killed() {
    let place = Place::new("killed");
    let pool = start(&place).await;
    fenqi::MIGRATOR.run(&pool).await.unwrap();
    let town = town::found(house::open(pool.clone(), DAY).await, RESERVE_FEN).await;
    let line = LineWish { limit_fen: LIMIT_FEN, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
    town.open_lines(LINES, line).await;
    pool.close().await;

    let mut answered = BTreeMap::new();
    for _ in 0..KILLS {
        let pool = start(&place).await;
        buy_until_the_server_is_killed(&place, pool, &mut answered).await;
    }
    assert!(answered.len() >= KILLS * ANSWERED_BEFORE);
    let pool = start(&place).await;
    let town = town::find(house::open(pool.clone(), DAY).await).await;
    let lines = lines_of(&town).await;
    assert_one_outcome_each(&town, &lines, &answered).await;
    pool.close().await;
}

/// Buys at many tills; whoever was answered is kept, whoever was not finds a server that is gone.
async fn buy_until_the_server_is_killed(place: &Place, pool: PgPool, answered: &mut BTreeMap<usize, String>) {
    let town = Arc::new(town::find(house::open(pool.clone(), DAY).await).await);
    let lines = Arc::new(lines_of(&town).await);
    let authoriser = Authoriser::start(town.app.clone());
    let said = Arc::new(Mutex::new(Vec::new()));
    // From the first purchase that nobody was answered, so that some are asked for again under their keys.
    let next = Arc::new(AtomicUsize::new(first_open(answered)));
    let tills: Vec<_> = (0..TILLS)
        .map(|_| {
            let (town, lines, authoriser) = (town.clone(), lines.clone(), authoriser.clone());
            let (next, said) = (next.clone(), said.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Ok(receipt) = authoriser.authorise(wish(&town, &lines, number)).await else { return };
                    said.lock().unwrap().push((number, word(&receipt)));
                }
            })
        })
        .collect();
    house::until("enough are answered", async || said.lock().unwrap().len() >= ANSWERED_BEFORE).await;
    signal(place.postmaster().expect("the server runs"), "-KILL");
    for till in tills {
        tokio::time::timeout(house::PATIENCE, till).await.expect("a till waits for ever").unwrap();
    }
    let said = std::mem::take(&mut *said.lock().unwrap());
    for (number, word) in said {
        let before = answered.insert(number, word.clone());
        assert!(before.is_none_or(|before| before == word), "{number} was answered twice, and differently");
    }
    pool.close().await;
}
