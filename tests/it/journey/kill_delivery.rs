//! `fenqi work` killed (SIGKILL) a hundred times while it delivers to a core that fails half of the time: every event arrives,
//! none before an earlier one of its loan.

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fenqi::base::{BusinessDay, Clock};
use fenqi::outbox::{Message, store};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Silence, World};
use fenqi::verify::verify;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::house;

const KILLS: usize = 100;
const LOANS: u128 = 40;
/// A node that delivers nothing is not a node killed during delivery.
const START_LIMIT: Duration = Duration::from_secs(30);
/// All of it, with the answers that never come.
const END_LIMIT: Duration = Duration::from_secs(120);
/// Half of the calls go unheard or unanswered after they were processed, and of the events in the others some are refused.
const FAILING: FaultShares = FaultShares {
    timeout_after: 250,
    timeout_before: 250,
    duplicate_callback: 0,
    late_answer: 0,
    lost_callback: 0,
    reorder: 0,
    refuse: 30,
};

/// The program as an operator starts it, but in more of a hurry: what a day of trouble does is to be seen in a minute.
fn start(database_url: &str, world_at: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_fenqi"))
        .args(["work", "--workers", "1"])
        .current_dir(std::env::temp_dir())
        .env("DATABASE_URL", database_url)
        .env("FENQI_MASTER_KEY", "07".repeat(32))
        .env("FENQI_SANDBOX_URL", world_at)
        .env("FENQI_SANDBOX_SEED", house::SEED.to_string())
        .env("FENQI_DELIVERY_PAUSE_MS", "10")
        .env("FENQI_DELIVERY_RETRY_MS", "10")
        .env("FENQI_DATABASE_CONNECTIONS", "4")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// One more event of each loan, in one transaction each, as purchases and repayments write them.
async fn tell(pool: &PgPool, round: usize) {
    for loan in 0..LOANS {
        let message = Message {
            partner: "funder_core".to_owned(),
            kind: "repayment",
            object_id: Uuid::from_u128(loan),
            body: json!({ "round": round }),
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        store::enqueue(&mut pool.acquire().await.unwrap(), &[message]).await.unwrap();
    }
}

async fn waiting(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from outbox where delivered_at is null").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_event_arrives_in_order_though_the_deliverer_is_killed_a_hundred_times(pool: PgPool) {
    // The program's own clock is the system's, so that this house lives today.
    let today = BusinessDay::at(Clock::System.now()).to_string();
    let (app, world, world_at) = house::open_in_world_that(pool, &today, Silence::Drop).await;
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&app.pool).await.unwrap();
    let database_url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name);
    world.set_faults("funder_core", FAILING);
    let mut in_flight = 0;
    for kill in 0..KILLS {
        if kill % 5 == 0 {
            tell(&app.pool, kill).await;
        }
        if waiting(&app.pool).await == 0 {
            tell(&app.pool, kill).await;
        }
        let calls_before = lock(&world.funder_core).calls();
        let mut child = start(&database_url, &world_at);
        let began = Instant::now();
        // Killed at another moment of its work each time: after the first call, or the next ones.
        let wanted = 1 + kill as u64 % 4;
        while lock(&world.funder_core).calls() < calls_before + wanted && waiting(&app.pool).await > 0 {
            assert!(began.elapsed() < START_LIMIT, "node {kill} delivers nothing");
            assert!(child.try_wait().unwrap().is_none(), "node {kill} ended by itself");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        in_flight += u64::from(waiting(&app.pool).await > 0);
    }
    assert!(in_flight >= KILLS as u64 / 2, "only {in_flight} were killed with something left to deliver");
    let mut last = start(&database_url, &world_at);
    let began = Instant::now();
    while waiting(&app.pool).await > 0 {
        assert!(began.elapsed() < END_LIMIT, "{} messages still wait", waiting(&app.pool).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    last.kill().unwrap();
    last.wait().unwrap();

    let written: Vec<i64> = sqlx::query_scalar("select message_no from outbox").fetch_all(&app.pool).await.unwrap();
    heard_in_order(&world, &written);
    assert_eq!(verify(&app.pool).await.unwrap(), []);
}

/// The core has every event that was written and no other, each loan's in order.
fn heard_in_order(world: &World, written: &[i64]) {
    let book = lock(&world.funder_core);
    let arrived: HashSet<i64> = (0..LOANS)
        .flat_map(|loan| book.events_of(Uuid::from_u128(loan)).into_iter().map(|event| event.event_no))
        .collect();
    assert_eq!(arrived, written.iter().copied().collect(), "every event, and nothing else");
    assert_eq!(book.out_of_order(), [0i64; 0]);
    for loan in 0..LOANS {
        let numbers: Vec<i64> = book.events_of(Uuid::from_u128(loan)).iter().map(|event| event.event_no).collect();
        assert!(numbers.is_sorted(), "loan {loan}: {numbers:?}");
    }
    let summary = book.summary();
    assert!(summary["duplicates"].as_u64().unwrap() > 0 && book.refused() > 0, "{summary}");
}
