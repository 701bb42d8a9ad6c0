//! Delivery to the funder's core: at least once, in order per object, whatever the partner does.

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::outbox::jobs::{Summary, deliver_outbox};
use fenqi::outbox::{Message, store};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Matcher, Scripted, World};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::house;

async fn enqueue(app: &App, object: u128, count: usize) {
    let messages: Vec<Message> = (0..count)
        .map(|number| Message {
            partner: "funder_core".to_owned(),
            kind: "loan_made",
            object_id: Uuid::from_u128(object),
            body: json!({ "number": number }),
            created_at: app.clock.now(),
        })
        .collect();
    store::enqueue(&mut app.pool.acquire().await.unwrap(), &messages).await.unwrap();
}

async fn pending(app: &App) -> i64 {
    sqlx::query_scalar("select count(*) from outbox where delivered_at is null").fetch_one(&app.pool).await.unwrap()
}

/// Delivers and lets time pass until nothing waits.
async fn deliver_all(app: &App) {
    for _ in 0..2_000 {
        deliver_outbox(app).await.unwrap();
        if pending(app).await == 0 {
            return;
        }
        app.clock.set(app.clock.now() + TimeDelta::seconds(30));
    }
    panic!("{} messages still wait", pending(app).await);
}

/// The numbers in the bodies of the events about an object, as they arrived.
fn arrived(world: &World, object: u128) -> Vec<i64> {
    let book = lock(&world.funder_core);
    book.events_of(Uuid::from_u128(object)).iter().map(|event| event.body["number"].as_i64().unwrap()).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_message_arrives_once_and_in_order(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    enqueue(&app, 1, 700).await;
    enqueue(&app, 2, 3).await;
    let summary = deliver_outbox(&app).await.unwrap();
    assert_eq!(summary, Summary { delivered: 703, failed: 0, died: 0 });
    assert_eq!(arrived(&world, 1), (0..700).collect::<Vec<_>>());
    assert_eq!(arrived(&world, 2), [0, 1, 2]);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_that_fails_half_of_the_time_still_hears_everything_in_order(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let shares = FaultShares { timeout_after: 250, timeout_before: 250, refuse: 20, ..FaultShares::default() };
    world.set_faults("funder_core", shares);
    for object in 1..=60 {
        enqueue(&app, object, 5).await;
    }
    for object in 1..=60 {
        enqueue(&app, object, 5).await;
    }
    deliver_all(&app).await;
    for object in 1..=60 {
        assert_eq!(arrived(&world, object), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4], "object {object}");
    }
    assert!(lock(&world.funder_core).out_of_order().is_empty());
    assert!(lock(&world.funder_core).refused() > 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refused_message_holds_back_its_own_object_only(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let first = Uuid::from_u128(1);
    world.script("funder_core", Some(Matcher::new("object", first)), vec![Scripted::answer("refused")]);
    enqueue(&app, 1, 2).await;
    enqueue(&app, 2, 2).await;
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 2, failed: 1, died: 0 });
    assert_eq!(arrived(&world, 1), [0i64; 0]);
    enqueue(&app, 1, 1).await;
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default(), "it is not due yet");
    app.clock.set(app.clock.now() + TimeDelta::seconds(5));
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 3);
    assert_eq!(arrived(&world, 1), [0, 1, 0]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_message_that_never_succeeds_dies_visibly_and_can_be_replayed(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let refusing = FaultShares { refuse: 1_000, ..FaultShares::default() };
    let unheard = FaultShares { timeout_before: 1_000, ..FaultShares::default() };
    enqueue(&app, 1, 2).await;
    let mut died = 0;
    for attempt in 1..=18 {
        // A call of which nothing is known is an attempt too, though the partner refused one message less. A busy machine cuts
        // calls short by itself; so refusals are not counted out here but last until the message is dead.
        world.set_faults("funder_core", if attempt == 7 { unheard } else { refusing });
        died += deliver_outbox(&app).await.unwrap().died;
        app.clock.set(app.clock.now() + TimeDelta::days(1));
    }
    assert_eq!(died, 1);
    world.set_faults("funder_core", FaultShares::default());
    let mut connection = app.pool.acquire().await.unwrap();
    let troubled = store::troubled(&mut connection, 10).await.unwrap();
    assert_eq!(troubled.iter().map(|message| message.attempts).collect::<Vec<_>>(), [18]);
    assert!(troubled[0].dead_at.is_some());
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default(), "what follows a dead message waits");
    assert!(store::replay(&mut connection, troubled[0].message_no, app.clock.now()).await.unwrap());
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 2, failed: 0, died: 0 });
    assert_eq!(arrived(&world, 1), [0, 1]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_run_that_has_ended_does_not_stand_in_the_way_of_the_next(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    for _ in 0..40 {
        enqueue(&app, 1, 1).await;
        assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 1);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn two_deliverers_do_not_disturb_each_other(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    enqueue(&app, 1, 2_000).await;
    let (one, two) = tokio::join!(deliver_outbox(&app), deliver_outbox(&app));
    assert_eq!(one.unwrap().delivered + two.unwrap().delivered, 2_000);
    assert_eq!(lock(&world.funder_core).summary()["duplicates"], 0);
    assert_eq!(arrived(&world, 1), (0..2_000).collect::<Vec<_>>());
}
