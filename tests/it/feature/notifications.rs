//! Payments, voids and refunds are notified to the merchant's cashier: signed, in order, and until it accepts them.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use fenqi::access::PLATFORM;
use fenqi::app::App;
use fenqi::base::id::CodeId;
use fenqi::error::Fault;
use fenqi::merchant::notification;
use fenqi::merchant::notify_actions::{NotifyRefusal, Wanted, set_notify_url};
use fenqi::outbox::jobs::{Summary, deliver_outbox, deliver_until};
use fenqi::outbox::{DeliverySettings, Message, store};
use fenqi::partner::key::Algorithm;
use fenqi::purchase::PurchaseRequest;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, World};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 5, due_day: 25, expires_on: "2027-12-31" };

/// A cashier that knows our keys, and the address at which it is notified.
async fn open(pool: PgPool) -> (Town, Desk, Arc<World>, String) {
    let (app, world, world_at) = house::open_in_world_that(pool, "2026-01-05", fenqi::sandbox::Silence::Drop).await;
    let town = town::found(app, 10_000_000).await;
    let desk = desk::of_cashier(&town.app, town.merchant_id).await;
    for algorithm in Algorithm::ALL {
        let signer = town.app.access.signer(algorithm).await.unwrap();
        assert!(lock(&world.merchant_cashier).trust(PLATFORM, &signer.serial_no, &signer.public_key()));
    }
    // What the funder is told is another story.
    deliver_outbox(&town.app).await.unwrap();
    (town, desk, world, format!("{world_at}/merchant_cashier/notify"))
}

/// Reads where it is, then sets it.
async fn set_url(desk: &Desk, key: &str, body: Value) -> desk::Answer {
    let tag = desk.get("/merchant/notify-url").await.header("etag").to_owned();
    put_url(desk, key, &tag, body).await
}

async fn put_url(desk: &Desk, key: &str, tag: &str, body: Value) -> desk::Answer {
    let headers = [("idempotency-key", key), ("if-match", tag)];
    desk.send_with("PUT", "/merchant/notify-url", &headers, &body.to_string()).await
}

/// A new borrower scans the order's code and confirms.
async fn pay(town: &Town, order: &Value, key: &str) {
    let line_id = town.open_lines(1, WISH).await[0];
    let order_id: CodeId = order["order_id"].as_str().unwrap().parse().unwrap();
    let wish = town.wish(line_id, key, order["amount_fen"].as_i64().unwrap(), ("harbour-standard", 12));
    town.buy(vec![PurchaseRequest { order_code: Some(order_id), ..wish }]).await;
}

async fn order(desk: &Desk, reference: &str) -> Value {
    let body = json!({ "reference": reference, "amount_fen": 128_800, "expires_at": "2026-01-05T20:00:00+08:00" });
    desk.post("/merchant/orders", reference, &body).await.ok()
}

/// Kinds and references as the cashier took them.
fn taken(world: &World) -> Vec<(String, Value)> {
    let book = lock(&world.merchant_cashier);
    book.taken().iter().map(|one| (one.kind.clone(), one.body["reference"].clone())).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_hears_of_a_payment_its_void_and_a_refund(pool: PgPool) {
    let (town, desk, world, url) = open(pool).await;
    // Before it has said where, nothing is written for it.
    let silent = order(&desk, "A-0").await;
    pay(&town, &silent, "p-0").await;
    assert_eq!(town.fen("select count(*) from outbox where partner like 'merchant:%'").await, 0);
    assert_eq!(desk.get("/merchant/notify-url").await.ok(), json!({ "url": null, "algorithm": null }));
    let set = set_url(&desk, "u-1", json!({ "url": url })).await.ok();
    assert_eq!(set, json!({ "url": url, "algorithm": "rsa_sha256" }));

    let first = order(&desk, "A-1").await;
    pay(&town, &first, "p-1").await;
    deliver_outbox(&town.app).await.unwrap();
    assert_eq!(taken(&world), [("payment_succeeded".to_owned(), json!("A-1"))]);
    let paid = desk.get("/merchant/orders/A-1").await.ok();
    {
        let book = lock(&world.merchant_cashier);
        assert_eq!(book.taken()[0].body["purchase_id"], paid["purchase_id"]);
        assert_eq!(book.taken()[0].merchant_id, town.merchant_id, "nobody else is told by it");
        assert_eq!(book.not_believed(), 0);
    }
    // In the other algorithm too.
    set_url(&desk, "u-2", json!({ "url": url, "algorithm": "sm2_sm3" })).await.ok();
    let void = format!("/merchant/purchases/{}/void", paid["purchase_id"].as_str().unwrap());
    desk.post(&void, "v-1", &Value::Null).await.ok();
    let second = order(&desk, "A-2").await;
    pay(&town, &second, "p-2").await;
    town.close_today().await;
    let purchase = desk.get("/merchant/orders/A-2").await.ok()["purchase_id"].as_str().unwrap().to_owned();
    let refund = format!("/merchant/purchases/{purchase}/refunds");
    let refunded = desk.post(&refund, "r-1", &json!({ "amount_fen": 28_800 })).await.ok();
    deliver_outbox(&town.app).await.unwrap();
    let told = taken(&world);
    let told: Vec<(&str, &str)> =
        told.iter().map(|(kind, reference)| (kind.as_str(), reference.as_str().unwrap())).collect();
    let expected = [
        ("payment_succeeded", "A-1"),
        ("purchase_voided", "A-1"),
        ("payment_succeeded", "A-2"),
        ("refund_succeeded", "A-2"),
    ];
    assert_eq!(told, expected, "each with the merchant's own reference");
    {
        let book = lock(&world.merchant_cashier);
        let last = &book.taken()[3].body;
        assert_eq!((&last["refund_id"], &last["order_id"]), (&refunded["refund_id"], &second["order_id"]));
        assert!(book.not_believed() == 0 && book.out_of_order().is_empty());
    }
    crate::journey::told_as_documented(&town.app.pool).await;
    // No more.
    set_url(&desk, "u-3", json!({ "url": null })).await.ok();
    desk.post(&refund, "r-2", &json!({ "amount_fen": 100 })).await.ok();
    assert_eq!(
        town.fen("select count(*) from outbox where partner like 'merchant:%' and delivered_at is null").await,
        0
    );
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_address_is_set_by_whoever_read_it_last(pool: PgPool) {
    let (_, desk, _, url) = open(pool).await;
    let tag = desk.get("/merchant/notify-url").await.header("etag").to_owned();
    assert_eq!(tag, "\"0\"");
    let without = desk.send("PUT", "/merchant/notify-url", Some("u-0"), &json!({ "url": url }).to_string()).await;
    assert_eq!(without.problem(), (428, "precondition_required".into()));
    let set = put_url(&desk, "u-1", &tag, json!({ "url": url })).await;
    assert_eq!(set.ok()["url"], json!(url));
    let late = put_url(&desk, "u-2", &tag, json!({ "url": null })).await;
    assert_eq!(late.problem(), (412, "precondition_failed".into()));
    let silent = put_url(&desk, "u-3", set.header("etag"), json!({ "algorithm": "sm2_sm3" })).await;
    assert_eq!(silent.problem(), (400, "missing_field".into()), "the address ends by null alone");
    let read = desk.get("/merchant/notify-url").await;
    assert_eq!((read.header("etag"), &read.ok()["url"]), (set.header("etag"), &json!(url)));
    // Of many who read the same, one is right.
    let asked = (0..8).map(|number| {
        let (desk, tag, body) = (&desk, set.header("etag"), json!({ "url": format!("{url}?{number}") }));
        async move { put_url(desk, &format!("m-{number}"), tag, body).await.status }
    });
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_address_that_was_changed_and_changed_back_was_changed(pool: PgPool) {
    let (town, desk, _, url) = open(pool).await;
    let first = set_url(&desk, "u-1", json!({ "url": url })).await;
    let read = first.header("etag").to_owned();
    for (key, body) in [("u-2", json!({ "url": null })), ("u-3", json!({ "url": url }))] {
        set_url(&desk, key, body).await.ok();
    }
    let now = desk.get("/merchant/notify-url").await;
    assert_eq!(now.json(), first.json());
    let stale = put_url(&desk, "u-4", &read, json!({ "url": null })).await;
    assert_eq!(stale.problem(), (412, "precondition_failed".into()));
    // So was one that an operator set again as it stood.
    let wanted = Wanted { url: Some(&url), algorithm: Algorithm::RsaSha256 };
    set_notify_url(&town.app, town.merchant_id, wanted).await.unwrap();
    let stale = put_url(&desk, "u-5", now.header("etag"), json!({ "url": null })).await;
    assert_eq!(stale.problem(), (412, "precondition_failed".into()));
    let foreign = put_url(&desk, "u-6", "\"none\"", json!({ "url": null })).await;
    assert_eq!(foreign.problem(), (412, "precondition_failed".into()), "a tag of nothing that we gave");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_that_fails_half_of_the_time_hears_everything_in_order(pool: PgPool) {
    let (town, desk, world, url) = open(pool).await;
    set_url(&desk, "u-1", json!({ "url": url })).await.ok();
    let shares = FaultShares { timeout_after: 170, timeout_before: 170, refuse: 170, ..FaultShares::default() };
    world.set_faults("merchant_cashier", shares);
    for number in 0..12 {
        let made = order(&desk, &format!("B-{number}")).await;
        pay(&town, &made, &format!("p-{number}")).await;
        if number % 2 == 0 {
            let purchase = desk.get(&format!("/merchant/orders/B-{number}")).await.ok()["purchase_id"].clone();
            let void = format!("/merchant/purchases/{}/void", purchase.as_str().unwrap());
            desk.post(&void, &format!("v-{number}"), &Value::Null).await.ok();
        }
    }
    for _ in 0..600 {
        deliver_outbox(&town.app).await.unwrap();
        if town.fen("select count(*) from outbox where partner like 'merchant:%' and delivered_at is null").await == 0 {
            break;
        }
        town.app.clock.set(town.app.clock.now() + TimeDelta::seconds(15));
    }
    assert_eq!(taken(&world).len(), 18);
    let book = lock(&world.merchant_cashier);
    assert!(book.out_of_order().is_empty() && book.refused() > 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_written_late_comes_before_what_follows_it_also_for_a_run_that_is_beyond_it(pool: PgPool) {
    let (town, desk, world, url) = open(pool).await;
    set_url(&desk, "u-1", json!({ "url": url })).await.ok();
    let pool = &town.app.pool;
    let message = |order: u128, kind: &'static str| Message {
        partner: notification::partner(town.merchant_id),
        kind,
        object_id: Uuid::from_u128(order),
        body: json!({ "order_id": order.to_string(), "reference": order.to_string() }),
        created_at: town.app.clock.now(),
    };
    // The first order's has its number, and cannot be seen yet.
    let mut late = fenqi::database::begin(pool).await.unwrap();
    store::enqueue(&mut late, &[message(1, "payment_succeeded")]).await.unwrap();
    store::enqueue(&mut pool.acquire().await.unwrap(), &[message(2, "payment_succeeded")]).await.unwrap();
    let mut held = fenqi::database::begin(pool).await.unwrap();
    let hold = "select from outbox where partner like 'merchant:%' for update";
    sqlx::raw_sql(hold).execute(&mut *held).await.unwrap();
    let (delivered, ()) = tokio::join!(deliver_outbox(&town.app), async {
        // The second order's has arrived, and is about to be noted.
        house::until_somebody_waits(pool).await;
        late.commit().await.unwrap();
        store::enqueue(&mut pool.acquire().await.unwrap(), &[message(1, "purchase_voided")]).await.unwrap();
        held.commit().await.unwrap();
    });
    assert_eq!(delivered.unwrap().delivered, 3);
    let told = [("payment_succeeded", "2"), ("payment_succeeded", "1"), ("purchase_voided", "1")];
    assert_eq!(taken(&world), told.map(|(kind, reference)| (kind.to_owned(), json!(reference))));
    assert!(lock(&world.merchant_cashier).out_of_order().is_empty());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_that_never_answers_is_given_up_after_a_day_and_asks_for_it_again(pool: PgPool) {
    let (town, desk, world, url) = open(pool).await;
    set_url(&desk, "u-1", json!({ "url": url })).await.ok();
    world.set_faults("merchant_cashier", FaultShares { refuse: 1_000, ..FaultShares::default() });
    let made = order(&desk, "C-1").await;
    pay(&town, &made, "p-1").await;
    let began = town.app.clock.now();
    let mut died = 0;
    while died == 0 {
        died += deliver_outbox(&town.app).await.unwrap().died;
        town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(30));
        assert!(town.app.clock.now() - began < TimeDelta::days(3), "it is tried for ever");
    }
    assert!(town.app.clock.now() - began > TimeDelta::hours(24));
    let failed = desk.get("/merchant/notifications/failures").await.ok();
    let failed = &failed["items"][0];
    assert_eq!((&failed["kind"], &failed["attempts"]), (&json!("payment_succeeded"), &json!(16)));
    assert_eq!(desk.get("/merchant/orders/C-1").await.ok()["status"], "paid", "who missed it asks");
    world.set_faults("merchant_cashier", FaultShares::default());
    let again = format!("/merchant/notifications/{}/replay", failed["event_no"]);
    desk.post(&again, "n-1", &Value::Null).await.ok();
    assert_eq!(deliver_outbox(&town.app).await.unwrap().delivered, 1);
    assert_eq!(taken(&world).len(), 1);
    assert_eq!(desk.post(&again, "n-2", &Value::Null).await.problem(), (409, "event_not_failed".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_makes_us_call_what_stands_behind_our_walls(pool: PgPool) {
    let (town, desk, world, url) = open(pool).await;
    for private in
        ["https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://db.internal/", "https://[fd00::1]/"]
    {
        let refused = set_url(&desk, private, json!({ "url": private })).await;
        assert_eq!(refused.problem(), (422, "notify_url_private".into()), "{private}");
    }
    let plain = set_url(&desk, "plain", json!({ "url": "http://pay.example.com/" })).await;
    assert_eq!(plain.problem(), (422, "notify_url_malformed".into()));
    let long = format!("https://pay.example.com/{}", "付".repeat(100));
    let long = set_url(&desk, "long", json!({ "url": long })).await;
    assert_eq!(long.problem(), (422, "notify_url_malformed".into()), "of 324 bytes, and kept it would have 924");
    // A house that is no trial calls nobody on its own machine, not even where that was saved before.
    let strict = house::with_partners(&town.app, &[]);
    let wanted = Wanted { url: Some(&url), algorithm: Algorithm::RsaSha256 };
    let refused = set_notify_url(&strict, town.merchant_id, wanted).await;
    assert!(matches!(refused, Err(Fault::Refused(NotifyRefusal::Url(_)))));
    set_url(&desk, "u-1", json!({ "url": url })).await.ok();
    let made = order(&desk, "D-1").await;
    pay(&town, &made, "p-1").await;
    let summary = deliver_outbox(&strict).await.unwrap();
    assert_eq!((summary.delivered, summary.failed), (0, 1));
    assert_eq!(taken(&world), []);
    // A redirect is not followed, and an answer that does not say so is no success.
    town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(1));
    let elsewhere = axum::Router::new().fallback(async || axum::response::Redirect::temporary("http://127.0.0.1:1/"));
    let at = format!("{}/", house::serve(elsewhere).await);
    set_url(&desk, "u-2", json!({ "url": at })).await.ok();
    assert_eq!(deliver_outbox(&town.app).await.unwrap(), Summary { delivered: 1, failed: 1, died: 0 });
    let why: String = sqlx::query_scalar("select last_error from outbox where partner like 'merchant:%'")
        .fetch_one(&town.app.pool)
        .await
        .unwrap();
    assert!(why.contains("status 307 without"), "{why}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_that_does_not_answer_is_left_alone_and_tried_with_one_notification(pool: PgPool) {
    let (town, desk, world, url) = open(pool).await;
    set_url(&desk, "u-1", json!({ "url": url })).await.ok();
    world.set_faults("merchant_cashier", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    for number in 0..12 {
        let made = order(&desk, &format!("E-{number}")).await;
        pay(&town, &made, &format!("p-{number}")).await;
    }
    let of_cashier = async || {
        let failed = "select coalesce(sum(attempts), 0)::bigint from outbox where partner like 'merchant:%'";
        deliver_outbox(&town.app).await.unwrap();
        town.fen(failed).await
    };
    // Eight are on their way at once when the third of them fails.
    let failed = of_cashier().await;
    assert!((3..=8).contains(&failed), "{failed}");
    assert_eq!(of_cashier().await, failed, "nobody calls");
    town.app.clock.set(town.app.clock.now() + TimeDelta::seconds(5));
    assert_eq!(of_cashier().await, failed + 1, "one tells whether it is back");
    world.set_faults("merchant_cashier", FaultShares::default());
    town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(5));
    of_cashier().await;
    assert_eq!(taken(&world).len(), 12);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whatever_a_cashier_answers_is_kept_in_a_form_that_can_be_kept(pool: PgPool) {
    let (town, desk, _, _) = open(pool).await;
    let odd = axum::Router::new().fallback(async || format!(r#"{{"code":"\\u0000no{}"}}"#, "x".repeat(3_000)));
    let at = format!("{}/", house::serve(odd).await);
    set_url(&desk, "u-1", json!({ "url": at })).await.ok();
    let made = order(&desk, "F-1").await;
    pay(&town, &made, "p-1").await;
    // The funder hears of the loan.
    assert_eq!(deliver_outbox(&town.app).await.unwrap(), Summary { delivered: 1, failed: 1, died: 0 });
    let failed = desk.get("/merchant/notifications/failures").await.ok();
    let why = failed["items"][0]["last_error"].as_str().unwrap().to_owned();
    assert!(why.contains("nox") && why.len() <= 500, "{why}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_that_has_much_to_hear_makes_room_for_a_core_on_a_node_with_one_place(pool: PgPool) {
    let (town, desk, world, url) = open(pool).await;
    set_url(&desk, "u-1", json!({ "url": url })).await.ok();
    let message = |partner: String, kind: &'static str, object: u128| Message {
        partner,
        kind,
        object_id: Uuid::from_u128(object),
        body: json!({ "order_id": object.to_string(), "reference": object.to_string() }),
        created_at: town.app.clock.now(),
    };
    let cashier = notification::partner(town.merchant_id);
    let many: Vec<Message> = (1..=2_000).map(|order| message(cashier.clone(), "payment_succeeded", order)).collect();
    store::enqueue(&mut town.app.pool.acquire().await.unwrap(), &many).await.unwrap();
    // A third of its connections are places.
    let (pause, turn) = (Duration::from_millis(20), Duration::from_millis(100));
    let delivery = DeliverySettings { pause, turn, ..DeliverySettings::default() };
    let node = App { delivery, ..house::with_connections(&town.app, 4).await };
    let pool = node.pool.clone();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let delivering = tokio::spawn(async move { deliver_until(&node, stopped).await });
    house::until("the cashier is told", async || !taken(&world).is_empty()).await;
    let told = message("harbour-bank".to_owned(), "reserve_deposited", 1);
    store::enqueue(&mut town.app.pool.acquire().await.unwrap(), &[told]).await.unwrap();
    let untold = "select count(*) from outbox where partner = 'harbour-bank' and delivered_at is null";
    house::until("the core is told", async || town.fen(untold).await == 0).await;
    let untold = "select count(*) from outbox where partner like 'merchant:%' and delivered_at is null";
    assert!(town.fen(untold).await > 0, "the core waited until the cashier had heard everything");
    // And the cashier has its turn again.
    house::until("the cashier is told everything", async || town.fen(untold).await == 0).await;
    stop.send(true).unwrap();
    delivering.await.unwrap();
    pool.close().await;
}
