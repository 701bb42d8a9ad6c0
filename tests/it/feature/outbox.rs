//! Messages are delivered to a funder's core at least once and in order for each object, whatever the core does.

use std::time::Duration;

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::error::{Attempt, Step};
use fenqi::outbox::actions::{self, Asked};
use fenqi::outbox::carrier::Carrier;
use fenqi::outbox::jobs::{Summary, deliver_outbox, deliver_until};
use fenqi::outbox::{DeliverySettings, Message, event_store, kept_store, store};
use fenqi::partner::CallError;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{self, FaultShares, Matcher, Scripted, Silence, World};
use fenqi::verify::verify;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::partner::{DELIVER, call};
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
async fn a_funders_events_go_to_its_own_core_alone_except_in_a_trial(pool: PgPool) {
    let (trial, world, base_url) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
    let event = Message {
        partner: "other-bank".to_owned(),
        kind: "loan_made",
        object_id: Uuid::from_u128(1),
        body: json!({ "number": 0 }),
        created_at: trial.clock.now(),
    };
    store::enqueue(&mut trial.pool.acquire().await.unwrap(), &[event]).await.unwrap();
    // A house of its own, with one bank's core under the general name and another's under that bank's.
    let mut settings = sandbox::partner_settings(&base_url, house::SEED);
    let general = house::with_partners(&trial, &settings);
    assert_eq!(deliver_outbox(&general).await.unwrap().delivered, 0);
    assert!(arrived(&world, 1).is_empty(), "another's core hears nothing of it");
    assert!(Carrier::find(&general, "other-bank").is_err());
    assert!(Carrier::find(&trial, "other-bank").is_ok(), "one counterfeit core plays all of them");
    settings.iter_mut().filter(|one| one.name == "funder_core").for_each(|one| one.name = "other-bank".to_owned());
    let own = house::with_partners(&trial, &settings);
    own.clock.set(own.clock.now() + TimeDelta::hours(1));
    assert_eq!(deliver_outbox(&own).await.unwrap().delivered, 1);
    assert_eq!(arrived(&world, 1), [0]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_that_keeps_silent_holds_up_no_other_cores_next_messages(pool: PgPool) {
    let (trial, world, base_url) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let core_at = |base_url: &str, name: &str| {
        let mut settings = sandbox::partner_settings(base_url, house::SEED);
        settings.retain(|one| one.name == "funder_core");
        settings[0].name = name.to_owned();
        settings.remove(0)
    };
    let silent_at = format!("http://{}", silent.local_addr().unwrap());
    let own = house::with_partners(&trial, &[core_at(&silent_at, "silent-bank"), core_at(&base_url, "other-bank")]);
    let app = house::with_connections(&own, 12).await;
    let tell = async |partner: &str, object: u128| {
        let (partner, object_id, created_at) = (partner.to_owned(), Uuid::from_u128(object), app.clock.now());
        let message = Message { partner, kind: "loan_made", object_id, body: json!({ "number": 0 }), created_at };
        store::enqueue(&mut app.pool.acquire().await.unwrap(), &[message]).await.unwrap();
    };
    tell("silent-bank", 1).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let delivery = DeliverySettings { pause: Duration::from_millis(50), ..DeliverySettings::default() };
    let node = App { delivery, ..app.clone() };
    let delivering = tokio::spawn(async move { deliver_until(&node, stopped).await });
    let (call, _) = tokio::time::timeout(house::PATIENCE, silent.accept()).await.unwrap().unwrap();
    tell("other-bank", 2).await;
    house::until("the other core is told", async || !arrived(&world, 2).is_empty()).await;
    let tried = "select count(*) from outbox where partner = 'silent-bank' and attempts > 0";
    let tried: i64 = sqlx::query_scalar(tried).fetch_one(&app.pool).await.unwrap();
    assert_eq!(tried, 0, "it waited until the other's call had run into its limit");
    stop.send(true).unwrap();
    drop(call);
    delivering.await.unwrap();
    app.pool.close().await;
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
    // The connections are back as they were.
    let (mut idle, mut next) = (Vec::new(), Some(app.pool.acquire().await.unwrap()));
    while let Some(mut connection) = next {
        let kept = "select (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'),
                           current_setting('enable_seqscan'), current_setting('enable_sort')";
        let kept: (i64, String, String) = sqlx::query_as(kept).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(kept, (0, "on".to_owned(), "on".to_owned()));
        idle.push(connection);
        next = app.pool.try_acquire();
    }
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
    let failed = event_store::list_failed(&mut connection, None, (false, 0), 10).await.unwrap();
    assert_eq!(failed.iter().map(|message| message.attempts).collect::<Vec<_>>(), [18]);
    assert!(failed[0].dead_at.is_some());
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default(), "what follows a dead message waits");
    let dead: Vec<String> = verify(&app.pool).await.unwrap().into_iter().map(|finding| finding.subject).collect();
    assert_eq!(dead, [format!("funder_core message {}", failed[0].message_no)], "verify tells of it");
    let asked = Asked { partner: "funder_core", by: "li" };
    actions::retry(&app, asked, failed[0].message_no, Attempt::First).await.unwrap();
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

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_that_is_down_is_left_alone_by_every_node_and_tried_with_one_message(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    world.set_faults("funder_core", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    for object in 1..=20 {
        enqueue(&app, object, 1).await;
    }
    // Batches shrink until three lone messages failed in a row: the breaker is open, for all nodes.
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 3);
    let calls = async || -> i64 {
        app.partners.flush_log().await;
        sqlx::query_scalar("select count(*) from partner_call").fetch_one(&app.pool).await.unwrap()
    };
    let before = calls().await;
    assert_eq!(deliver_outbox(&app.clone()).await.unwrap(), Summary::default());
    assert_eq!(calls().await, before, "nobody calls while it is open");
    // Half open: one message decides.
    app.clock.set(app.clock.now() + TimeDelta::seconds(5));
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 1);
    assert_eq!(calls().await, before + 1);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default());
    // However long it was down, it is found back within five minutes.
    for _ in 0..12 {
        app.clock.set(app.clock.now() + TimeDelta::minutes(5));
        deliver_outbox(&app).await.unwrap();
    }
    world.set_faults("funder_core", FaultShares::default());
    app.clock.set(app.clock.now() + TimeDelta::minutes(5));
    assert!(deliver_outbox(&app).await.unwrap().delivered > 0);
    deliver_all(&app).await;
    assert_eq!(lock(&world.funder_core).accepted(), 20);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn neither_a_core_nor_a_message_waits_for_what_a_clock_that_ran_ahead_called_soon(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let now = app.clock.now();
    world.set_faults("funder_core", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    for object in 1..=20 {
        enqueue(&app, object, 1).await;
    }
    app.clock.set(now + TimeDelta::days(3));
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 3);
    world.set_faults("funder_core", FaultShares::default());
    app.clock.set(now);
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 20);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_run_in_which_nothing_is_due_does_not_find_a_core_back_that_is_down(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    world.set_faults("funder_core", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    for object in 1..=3 {
        enqueue(&app, object, 1).await;
    }
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 3);
    let failures = async || -> i16 {
        sqlx::query_scalar("select failures from outbox_partner").fetch_one(&app.pool).await.unwrap()
    };
    assert_eq!(failures().await, 1);
    // After some hours each message waits for longer than the core is left alone.
    let later = "update outbox set next_attempt_at = next_attempt_at + interval '1 hour'";
    sqlx::query(later).execute(&app.pool).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::minutes(5));
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default());
    assert_eq!(failures().await, 1, "nothing was heard of it");
    app.clock.set(app.clock.now() + TimeDelta::hours(1));
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 1, "one message tells whether it is there");
    assert_eq!(failures().await, 2);
    // Where none will be tried again, it is for the next one to find out.
    sqlx::query("update outbox set dead_at = created_at").execute(&app.pool).await.unwrap();
    // Nor will what stands behind one that was given up.
    enqueue(&app, 1, 1).await;
    app.clock.set(app.clock.now() + TimeDelta::minutes(5));
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default());
    assert_eq!(failures().await, 0);
    world.set_faults("funder_core", FaultShares::default());
    let asked = Asked { partner: "funder_core", by: "li" };
    assert_eq!(actions::retry_dead(&app, asked).await.unwrap(), 3);
    deliver_all(&app).await;
    assert_eq!((failures().await, lock(&world.funder_core).accepted()), (0, 4));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_sent_to_nobody_does_not_find_a_partner_back_that_is_down(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let enqueue = async |kind: &'static str, object| {
        let (partner, object_id) = ("sms".to_owned(), Uuid::from_u128(object));
        let message = Message { partner, kind, object_id, body: json!({}), created_at: app.clock.now() };
        store::enqueue(&mut app.pool.acquire().await.unwrap(), &[message]).await.unwrap();
    };
    // It is down, and what it was not told waits until tomorrow.
    enqueue("due_soon", 1).await;
    let failed =
        "update outbox set attempts = 1, last_error = 'silence', next_attempt_at = created_at + interval '1 day'";
    sqlx::query(failed).execute(&app.pool).await.unwrap();
    let down = "insert into outbox_partner (partner, failures, next_attempt_at) values ('sms', 3, $1)
                on conflict (partner) do update set failures = 3, next_attempt_at = $1";
    sqlx::query(down).bind(app.clock.now()).execute(&app.pool).await.unwrap();
    // No short message says this.
    enqueue("loan_made", 2).await;
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 1, failed: 0, died: 0 });
    let failures: i16 = sqlx::query_scalar("select failures from outbox_partner where partner = 'sms'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(failures, 3, "nothing was heard of it");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_call_that_a_core_refuses_outright_fails_what_it_refuses_and_nothing_else(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    for object in 1..=40 {
        enqueue(&app, object, 2).await;
    }
    // Three in a row among them: as many lone messages without an answer would mean that the core is down.
    let refused = [3, 17, 18, 19, 31].map(|object| Uuid::from_u128(object).to_string());
    for object in &refused {
        lock(&world.funder_core).reject(object, Some(422));
    }
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 70, failed: 5, died: 0 });
    let left_alone = "select count(*) from outbox_partner where failures > 0";
    assert_eq!(sqlx::query_scalar::<_, i64>(left_alone).fetch_one(&app.pool).await.unwrap(), 0);
    let failed = event_store::list_failed(&mut app.pool.acquire().await.unwrap(), None, (false, 0), 10).await.unwrap();
    assert_eq!(failed.iter().map(|one| one.object_id.to_string()).collect::<Vec<_>>(), refused);
    let why = "funder_core refused with 422 not_taken: the core takes no such call";
    assert_eq!(failed[0].last_error.as_deref(), Some(why));
    refused.iter().for_each(|object| lock(&world.funder_core).reject(object, None));
    app.clock.set(app.clock.now() + TimeDelta::seconds(5));
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 10, failed: 0, died: 0 });
    assert!((1..=40).all(|object| arrived(&world, object) == [0, 1]));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_that_was_down_and_refuses_the_one_message_that_it_is_tried_with_is_there(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    for object in 1..=6 {
        enqueue(&app, object, 1).await;
    }
    world.set_faults("funder_core", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 3);
    world.set_faults("funder_core", FaultShares::default());
    lock(&world.funder_core).reject(&Uuid::from_u128(1).to_string(), Some(400));
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 5, failed: 1, died: 0 });
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_where_nobody_takes_events_is_left_alone_and_no_event_is_blamed(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    for object in 1..=8 {
        enqueue(&app, object, 1).await;
    }
    for (run, status) in (1i16..).zip([401, 403, 404, 405, 429]) {
        lock(&world.funder_core).reject("/events", Some(status));
        assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default(), "{status}");
        let failures: i16 =
            sqlx::query_scalar("select failures from outbox_partner").fetch_one(&app.pool).await.unwrap();
        assert_eq!(failures, run, "{status}");
        app.clock.set(app.clock.now() + TimeDelta::minutes(5));
    }
    lock(&world.funder_core).reject("/events", None);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 8, failed: 0, died: 0 });
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_replayed_stays_ahead_of_what_was_never_sent_also_for_a_run_that_is_beyond_it(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let asked = Asked { partner: "funder_core", by: "li" };
    enqueue(&app, 1, 3).await;
    let mut connection = app.pool.acquire().await.unwrap();
    let now = app.clock.now();
    let sent = store::fresh(&mut connection, "funder_core", 0..=i64::MAX, &[], 10).await.unwrap();
    let numbers: Vec<i64> = sent.iter().map(|message| message.message_no).collect();
    let dead = |message: &store::Waiting| store::Failed {
        message_no: message.message_no,
        due_at: message.next_attempt_at,
        next_attempt_at: now,
        dead_at: Some(now),
        error: "no".into(),
    };
    store::mark_failed(&mut connection, &[dead(&sent[0]), dead(&sent[1])]).await.unwrap();
    let range = actions::Replay { from_no: Some(numbers[0]), to_no: Some(numbers[1]), ..actions::Replay::default() };
    assert_eq!(actions::replay(&app, asked, range, Attempt::First).await.unwrap(), 2);
    let beyond = store::fresh(&mut connection, "funder_core", numbers[2]..=i64::MAX, &[], 10).await.unwrap();
    assert!(beyond.is_empty(), "the third waits for those before it");
    let failed = event_store::list_failed(&mut connection, None, (false, 0), 10).await.unwrap();
    assert!(failed.is_empty(), "a replay is no failure");
    // The first fails once more; the second was tried as often and is due, but waits for it.
    let replayed = store::failed_due(&mut connection, "funder_core", now, &[], 10).await.unwrap();
    let later = store::Failed { dead_at: None, next_attempt_at: now + TimeDelta::seconds(5), ..dead(&replayed[0]) };
    store::mark_failed(&mut connection, &[later]).await.unwrap();
    assert!(store::failed_due(&mut connection, "funder_core", now, &[], 10).await.unwrap().is_empty());
    app.clock.set(now + TimeDelta::seconds(5));
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 3, failed: 0, died: 0 });
    assert_eq!(arrived(&world, 1), [0, 1, 2]);

    // What is on its way while its range is replayed comes again in its place, whatever becomes of it: the core may have lost it.
    enqueue(&app, 1, 1).await;
    let fresh = store::fresh(&mut connection, "funder_core", 0..=i64::MAX, &[], 10).await.unwrap();
    let range = actions::Replay { to_no: Some(fresh[0].message_no), ..range };
    assert_eq!(actions::replay(&app, asked, range, Attempt::First).await.unwrap(), 4);
    store::mark_delivered(&mut connection, &[&fresh[0]], app.clock.now()).await.unwrap();
    assert_eq!(pending(&app).await, 4);
    assert!(
        store::fresh(&mut connection, "funder_core", 0..=i64::MAX, &[], 10).await.unwrap().is_empty(),
        "it is the last"
    );
    app.clock.set(now + TimeDelta::seconds(6));
    let again = store::failed_due(&mut connection, "funder_core", app.clock.now(), &[], 10).await.unwrap();
    assert_eq!(actions::replay(&app, asked, range, Attempt::First).await.unwrap(), 4);
    store::mark_not_told(&mut connection, &[&again[0]], now).await.unwrap();
    store::mark_undeliverable(&mut connection, &[(&again[1], "nobody".to_owned())], now).await.unwrap();
    store::mark_failed(&mut connection, &[dead(&again[2])]).await.unwrap();
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 4, failed: 0, died: 0 });
    assert_eq!((pending(&app).await, lock(&world.funder_core).accepted()), (0, 4));

    // And what came before those that are replayed comes again behind them.
    enqueue(&app, 1, 1).await;
    let fresh = store::fresh(&mut connection, "funder_core", 0..=i64::MAX, &[], 10).await.unwrap();
    let range = actions::Replay { to_no: Some(numbers[1]), ..range };
    assert_eq!(actions::replay(&app, asked, range, Attempt::First).await.unwrap(), 2);
    store::mark_delivered(&mut connection, &[&fresh[0]], app.clock.now()).await.unwrap();
    assert_eq!(pending(&app).await, 3);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 3, failed: 0, died: 0 });
    assert_eq!((pending(&app).await, lock(&world.funder_core).accepted()), (0, 5));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_is_resumed_is_told_at_once_what_failed_before_but_not_what_was_given_up(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let asked = Asked { partner: "funder_core", by: "li" };
    let now = app.clock.now();
    enqueue(&app, 9, 1).await;
    let mut connection = app.pool.acquire().await.unwrap();
    let message_no = store::fresh(&mut connection, "funder_core", 0..=i64::MAX, &[], 1).await.unwrap()[0].message_no;
    let dead = store::Failed { message_no, due_at: now, next_attempt_at: now, dead_at: Some(now), error: "no".into() };
    store::mark_failed(&mut connection, &[dead]).await.unwrap();
    enqueue(&app, 1, 2).await;
    world.set_faults("funder_core", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    for _ in 0..5 {
        app.clock.set(app.clock.now() + TimeDelta::minutes(5));
        assert_eq!(deliver_outbox(&app).await.unwrap().failed, 1);
    }
    world.set_faults("funder_core", FaultShares::default());
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default(), "it is not due yet");
    assert_eq!(actions::resume(&app, asked).await.unwrap(), Step::Applied);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 2, failed: 0, died: 0 });
    assert_eq!((arrived(&world, 1), arrived(&world, 9)), (vec![0, 1], vec![]));
    assert_eq!(actions::resume(&app, asked).await.unwrap(), Step::AlreadyApplied);
    let noted: Vec<(String, Option<i64>)> =
        sqlx::query_as("select action, messages from outbox_action").fetch_all(&app.pool).await.unwrap();
    assert_eq!(noted, [("resume".to_owned(), Some(1))]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_failed_is_noted_in_the_order_of_its_numbers_beside_whoever_replays_it(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let now = app.clock.now();
    // By their objects, in the order of which they are read, the later one comes first.
    enqueue(&app, 2, 1).await;
    enqueue(&app, 1, 1).await;
    let mut connection = app.pool.acquire().await.unwrap();
    let waiting = store::fresh(&mut connection, "funder_core", 0..=i64::MAX, &[], 2).await.unwrap();
    let failure =
        |message_no| store::Failed { message_no, due_at: now, next_attempt_at: now, dead_at: None, error: "no".into() };
    let failed: Vec<store::Failed> = waiting.iter().map(|message| failure(message.message_no)).collect();
    store::mark_failed(&mut connection, &failed).await.unwrap();
    let mut replaying = fenqi::database::begin(&app.pool).await.unwrap();
    let touch = "update outbox set attempts = attempts where message_no = $1";
    sqlx::query(touch).bind(failed[0].message_no).execute(&mut *replaying).await.unwrap();
    let (delivered, ()) = tokio::join!(deliver_outbox(&app), async {
        house::until_somebody_waits(&app.pool).await;
        sqlx::query(touch).bind(failed[1].message_no).execute(&mut *replaying).await.unwrap();
        replaying.commit().await.unwrap();
    });
    assert_eq!(delivered.unwrap(), Summary { delivered: 2, failed: 0, died: 0 });
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_replays_for_long_holds_up_no_new_messages(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    enqueue(&app, 1, 1).await;
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 1);
    let mut replaying = fenqi::database::begin(&app.pool).await.unwrap();
    kept_store::forbid_removal(&mut replaying).await.unwrap();
    sqlx::raw_sql("update outbox set attempts = attempts").execute(&mut *replaying).await.unwrap();
    enqueue(&app, 2, 1).await;
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 1);
    assert_eq!(arrived(&world, 2), [0]);
    replaying.rollback().await.unwrap();
    // Who writes a message itself is waited for.
    let mut writing = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::raw_sql("update outbox set attempts = attempts").execute(&mut *writing).await.unwrap();
    enqueue(&app, 3, 1).await;
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 0);
    writing.rollback().await.unwrap();
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_is_resumed_is_called_by_a_node_whose_own_breaker_is_open(pool: PgPool) {
    let (app, world, base_url) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
    let other = house::with_partners(&app, &sandbox::partner_settings(&base_url, house::SEED));
    for object in 1..=20 {
        enqueue(&app, object, 1).await;
    }
    world.set_faults("funder_core", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    while !matches!(call(&other, &DELIVER).await, Err(CallError::NotSent { .. })) {
        app.clock.set(app.clock.now() + TimeDelta::minutes(5));
        assert!(deliver_outbox(&other).await.unwrap().failed > 0);
    }
    world.set_faults("funder_core", FaultShares::default());
    app.clock.set(app.clock.now() + TimeDelta::seconds(1));
    let asked = Asked { partner: "funder_core", by: "li" };
    assert_eq!(actions::resume(&app, asked).await.unwrap(), Step::Applied);
    let done = deliver_outbox(&other).await.unwrap();
    assert!(done.delivered > 0 && done.failed == 0, "{done:?}");
    assert!(call(&other, &DELIVER).await.is_ok(), "its own breaker is closed again");
    deliver_all(&app).await;
    assert_eq!(lock(&world.funder_core).accepted(), 20);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_pause_ends_a_run_in_its_middle(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let asked = Asked { partner: "funder_core", by: "li" };
    enqueue(&app, 1, 2).await;
    let mut connection = app.pool.acquire().await.unwrap();
    let mut next = async || store::fresh(&mut connection, "funder_core", 0..=i64::MAX, &[], 1).await.unwrap().len();
    assert_eq!(next().await, 1);
    let _ = actions::pause(&app, asked).await.unwrap();
    assert_eq!(next().await, 0);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default());
    let _ = actions::resume(&app, asked).await.unwrap();
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_many_that_ended_long_ago_all_go_but_those_behind_one_that_waits(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let old = "insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at, delivered_at)
               select (array['sms', 'wechat', 'harbour-bank'])[1 + number % 3], 'overdue', gen_random_uuid(), '{}'::jsonb,
                      $1::timestamptz, $1::timestamptz, case when number <> 6001 then $1::timestamptz end
               from generate_series(1, 12000) as number order by number";
    sqlx::query(old).bind(app.clock.now()).execute(&app.pool).await.unwrap();
    let left = async || -> Vec<(String, i64)> {
        let left = "select partner, count(*) from outbox group by partner order by partner";
        sqlx::query_as(left).fetch_all(&app.pool).await.unwrap()
    };
    app.clock.set(app.clock.now() + TimeDelta::days(401));
    enqueue(&app, 1, 1).await;
    actions::forget_old(&app).await.unwrap();
    assert_eq!(left().await, [("funder_core".to_owned(), 1), ("wechat".to_owned(), 2_000)]);
    let between = "select min(o.message_no) - min(f.up_to_no) from outbox o join outbox_forgotten f using (partner)";
    let between: i64 = sqlx::query_scalar(between).fetch_one(&app.pool).await.unwrap();
    assert_eq!(between, 3, "the one that waits is the first that is kept");
    // It has ended, too; two nodes find out at once, and one of them finds nothing left.
    sqlx::query("update outbox set delivered_at = created_at").execute(&app.pool).await.unwrap();
    let (one, other) = tokio::join!(actions::forget_old(&app), actions::forget_old(&app));
    one.and(other).unwrap();
    assert_eq!(left().await, [("funder_core".to_owned(), 1)]);
    assert!(verify(&app.pool).await.unwrap().is_empty());
}
