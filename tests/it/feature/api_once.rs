//! Idempotency of the API: requests under one key take effect once and get the same answer, even if the first answer was lost or late.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{post, put};
use fenqi::access::{self, PartnerKind};
use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{FunderId, ReserveOrderId};
use fenqi::error::Attempt;
use fenqi::funder::actions::{LowWaterChange, change_low_water};
use fenqi::funder::order_actions;
use fenqi::http::api::{Gate, gate};
use fenqi::outbox::{Message, store};
use fenqi::partner::key::Algorithm;
use fenqi::product::api::submit_draft;
use fenqi::router::{api_document, guarded};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::api_access::open;
use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, Town};

const DRAFTS: &str = "/funder/product-drafts";

fn draft(text: &str) -> Value {
    json!({ "terms_text": text })
}

/// A town with the desks of its funder's core and of its merchant's cashier.
async fn open_to_both(pool: PgPool) -> (Town, Desk, Desk) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let (app, address) = (&town.app, desk::serve(&town.app).await);
    desk::add_partner(app, "harbour-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let core = Desk::new(app, &address, desk::add_key(app, "harbour-core", "H-1", Algorithm::Sm2Sm3).await).await;
    desk::add_partner(app, "cashier", PartnerKind::Merchant, Some(town.merchant_id.to_string())).await;
    let cashier = core.with(desk::add_key(app, "cashier", "C-1", Algorithm::Sm2Sm3).await);
    (town, core, cashier)
}

/// Every node that asked for something dies after it was done and before its answer was kept, some time ago.
async fn lose_answers(app: &App) {
    let lost = "update api_answer set status = null, content_type = null, location = null, etag = null, body = null,
                                      started_at = started_at - interval '1 hour'";
    sqlx::query(lost).execute(&app.pool).await.unwrap();
}

/// Changes something that two may edit, and the same once more when its answer was lost; and once more under another key.
async fn put_twice(app: &App, desk: &Desk, (key, path): (&str, &str), body: &Value) {
    let tag = desk.get(path).await.header("etag").to_owned();
    let put = async |key: &str| {
        let headers = [("idempotency-key", key), ("if-match", tag.as_str())];
        desk.send_with("PUT", path, &headers, &body.to_string()).await
    };
    let first = put(key).await;
    assert_eq!(first.status, 200, "{path}: {first:?}");
    lose_answers(app).await;
    let again = put(key).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""), "{path}: {again:?}");
    assert_eq!((again.header("etag"), again.json()), (first.header("etag"), first.json()), "{path}");
    let other = put(&format!("not-{key}")).await;
    assert_eq!(other.problem(), (412, "precondition_failed".into()), "{path}: another request is another's");
    assert_eq!(desk.get(path).await.header("etag"), first.header("etag"), "{path}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_change_whose_answer_was_lost_is_answered_as_the_first_time(pool: PgPool) {
    let (town, core, cashier) = open_to_both(pool).await;
    let app = &town.app;

    put_twice(app, &core, ("mark", "/funder/reserve/low-water-mark"), &json!({ "low_water_fen": 700_000 })).await;
    let template = json!({ "template": { "text": r#"{"loanNo": {{ body.loan_id }}}"# } });
    put_twice(app, &core, ("template", "/events/templates/loan_made"), &template).await;
    put_twice(app, &cashier, ("url", "/merchant/notify-url"), &json!({ "url": "https://pay.example.com/n" })).await;

    let text = include_str!("../../../products/standard.toml");
    let made = core.post(DRAFTS, "d-1", &draft(text)).await.ok();
    let path = format!("{DRAFTS}/{}", made["draft_id"].as_str().unwrap());
    put_twice(app, &core, ("edit", &path), &draft(&format!("{text}\n# edited\n"))).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_change_that_was_changed_since_is_not_said_to_stand(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let path = "/funder/reserve/low-water-mark";
    let tag = desk.get(path).await.header("etag").to_owned();
    let put = async |key: &str, tag: &str, fen: i64| {
        let headers = [("idempotency-key", key), ("if-match", tag)];
        desk.send_with("PUT", path, &headers, &json!({ "low_water_fen": fen }).to_string()).await
    };
    let first = put("l-1", &tag, 500).await;
    let next = put("l-2", first.header("etag"), 700).await;
    assert_eq!(next.status, 200);
    lose_answers(&app).await;
    assert_eq!(put("l-1", &tag, 500).await.problem(), (412, "precondition_failed".into()));
    assert_eq!(desk.get(path).await.ok()["low_water_fen"], 700);
}

/// A message to `partner` that failed; its number.
async fn failed_message(app: &App, partner: &str, kind: &'static str) -> i64 {
    let (object_id, created_at) = (Uuid::from_u128(7), app.clock.now());
    let message = Message { partner: partner.to_owned(), kind, object_id, body: json!({}), created_at };
    store::enqueue(&mut app.pool.acquire().await.unwrap(), &[message]).await.unwrap();
    let failed = "update outbox set attempts = 3, last_error = 'refused'
                  where message_no = (select max(message_no) from outbox) returning message_no";
    sqlx::query_scalar(failed).fetch_one(&app.pool).await.unwrap()
}

/// Has a failed message sent again, and the same once more when it has arrived and the answer was lost; and once more under
/// another key.
async fn replay_twice(app: &App, desk: &Desk, (path, message_no): (&str, i64)) {
    let path = format!("{path}/{message_no}/replay");
    let first = desk.post(&path, "r-1", &Value::Null).await.ok();
    let arrived = "update outbox set delivered_at = next_attempt_at where message_no = $1";
    sqlx::query(arrived).bind(message_no).execute(&app.pool).await.unwrap();
    lose_answers(app).await;
    let again = desk.post(&path, "r-1", &Value::Null).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""), "{path}: {again:?}");
    assert_eq!(again.json(), first, "{path}");
    assert_eq!(desk.post(&path, "r-2", &Value::Null).await.problem(), (409, "event_not_failed".into()), "{path}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_event_sent_again_or_given_up_is_so_once(pool: PgPool) {
    let (town, core, cashier) = open_to_both(pool).await;
    let app = &town.app;

    replay_twice(app, &core, ("/events", failed_message(app, "harbour-bank", "loan_made").await)).await;
    let merchant = format!("merchant:{}", town.merchant_id);
    let told = failed_message(app, &merchant, "payment_succeeded").await;
    replay_twice(app, &cashier, ("/merchant/notifications", told)).await;

    let discard = format!("/events/{}/discard", failed_message(app, "harbour-bank", "loan_made").await);
    let by_hand = json!({ "reason": "entered by hand" });
    let first = core.post(&discard, "d-1", &by_hand).await.ok();
    lose_answers(app).await;
    let again = core.post(&discard, "d-1", &by_hand).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""), "{again:?}");
    assert_eq!(again.json(), first);
    assert_eq!(core.post(&discard, "d-2", &by_hand).await.problem(), (409, "event_not_failed".into()));
    assert_eq!(town.fen("select count(*) from outbox_action").await, 3, "each was done once");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_range_whose_answer_was_lost_is_replayed_once(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let message_no = failed_message(&app, "harbour-bank", "loan_made").await;
    let range = json!({ "from_no": message_no, "to_no": message_no });
    let waiting = async || -> i64 {
        let waiting = "select count(*) from outbox where delivered_at is null";
        sqlx::query_scalar(waiting).fetch_one(&app.pool).await.unwrap()
    };
    assert_eq!(desk.post("/events/replays", "r-1", &range).await.ok(), json!({ "events": 1 }));
    sqlx::query("update outbox set delivered_at = next_attempt_at").execute(&app.pool).await.unwrap();
    lose_answers(&app).await;
    let again = desk.post("/events/replays", "r-1", &range).await;
    assert_eq!((again.header("idempotent-replayed"), again.ok()), ("", json!({ "events": 1 })));
    assert_eq!(waiting().await, 0, "what has arrived since is not sent again");
    assert_eq!(desk.post("/events/replays", "r-2", &range).await.ok(), json!({ "events": 1 }));
    assert_eq!(waiting().await, 1, "another key is another replay");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_draft_whose_answer_was_lost_is_one_draft(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let text = include_str!("../../../products/standard.toml");
    let first = desk.post(DRAFTS, "d-1", &draft(text)).await.ok();
    lose_answers(&app).await;
    let again = desk.post(DRAFTS, "d-1", &draft(text)).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, ""));
    assert_eq!(again.ok()["draft_id"], first["draft_id"]);
    assert_eq!(again.header("etag"), "\"1\"");
    // Another key is another draft; and a key of another system of the funder's is that system's own.
    let other = desk.post(DRAFTS, "d-2", &draft(text)).await.ok();
    assert_ne!(other["draft_id"], first["draft_id"]);
    desk::add_partner(&app, "second-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let second = desk.with(desk::add_key(&app, "second-core", "S-1", Algorithm::Sm2Sm3).await);
    let theirs = second.post(DRAFTS, "d-1", &draft(text)).await.ok();
    assert_ne!(theirs["draft_id"], first["draft_id"]);
    // A week later the key was forgotten, and stands for another text.
    sqlx::query("delete from api_answer").execute(&app.pool).await.unwrap();
    let later = desk.post(DRAFTS, "d-1", &draft(&format!("{text}\n# later\n"))).await.ok();
    assert_ne!(later["draft_id"], first["draft_id"]);
    assert_eq!(desk.get(DRAFTS).await.ok()["items"].as_array().unwrap().len(), 4);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_notice_whose_answer_was_lost_opens_no_deposit_that_was_refused_since(pool: PgPool) {
    let (town, core, _) = open_to_both(pool).await;
    let deposit = json!({ "amount_fen": 100, "reference": "ICBC-1" });
    let note = async |key: &str| core.post("/funder/reserve/deposits", key, &deposit).await.ok();
    let order_id: ReserveOrderId = note("d-1").await["order_id"].as_str().unwrap().parse().unwrap();
    for (refused_before, key, next) in [(0, "d-1", "d-2"), (1, "d-2", "d-3")] {
        order_actions::refuse_order(&town.app, order_id, "operator:li", "it never arrived").await.unwrap();
        lose_answers(&town.app).await;
        let again = note(key).await;
        assert_eq!((&again["status"], &again["refused_before"]), (&json!("refused"), &json!(refused_before)));
        assert_eq!(note(next).await["status"], "noted", "another notice");
    }
}

/// The drafts behind a gate whose callers wait so long.
async fn impatient(app: &App, desk: &Desk, patience: Duration) -> Desk {
    let state = Gate { patience, ..Gate::new(app.clone(), api_document().operations) };
    let routes = Router::new().route(&format!("/api/v1{DRAFTS}"), post(submit_draft));
    desk.at(house::serve(guarded(routes.layer(from_fn_with_state(state, gate::gate)), app.clone())).await)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_takes_too_long_is_done_all_the_same_and_answered_under_its_key(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let hasty = impatient(&app, &desk, Duration::from_millis(2_000)).await;
    let mut held = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::query("lock table product_draft in share mode").execute(&mut *held).await.unwrap();
    let body = draft(include_str!("../../../products/standard.toml"));
    let too_late = hasty.post(DRAFTS, "d-1", &body).await;
    assert_eq!(too_late.problem(), (503, "timed_out".into()));
    assert_eq!(too_late.header("ratelimit-limit"), "1000000");
    house::until_somebody_waits(&app.pool).await;
    let running = desk.post(DRAFTS, "d-1", &body).await;
    assert_eq!(running.problem(), (409, "idempotency_in_progress".into()), "what was begun goes on");
    assert_eq!(running.header("retry-after"), "1");
    held.rollback().await.unwrap();
    let again = desk.post_until_answered(DRAFTS, "d-1", &body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{again:?}");
    assert_eq!(desk.get(DRAFTS).await.ok()["items"].as_array().unwrap().len(), 1);
}

/// A failure of ours may come after the deed: who asks again under the key is told what was done, also after the night in which old
/// answers are forgotten.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_failed_after_it_was_done_is_answered_when_it_is_asked_for_again(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let state = Gate::new(app.clone(), api_document().operations);
    let path = "/funder/reserve/low-water-mark";
    let funder_id: FunderId = desk.get("/me").await.ok()["owner_id"].as_str().unwrap().parse().unwrap();
    let within = app.clone();
    let handler = move || {
        let within = within.clone();
        async move {
            let change = LowWaterChange { version: 1, marks: Fen::new(500).into(), attempt: Attempt::First };
            change_low_water(&within, funder_id, change).await.unwrap();
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let routes = Router::new().route(&format!("/api/v1{path}"), put(handler));
    let broken = desk.at(house::serve(guarded(routes.layer(from_fn_with_state(state, gate::gate)), app.clone())).await);
    let ask = async |desk: &Desk, fen: i64| {
        let headers = [("idempotency-key", "l-1"), ("if-match", "\"1\"")];
        desk.send_with("PUT", path, &headers, &json!({ "low_water_fen": fen }).to_string()).await
    };
    assert_eq!(ask(&broken, 500).await.status, 500);
    access::jobs::forget_old(&app).await.unwrap();
    assert_eq!(ask(&desk, 500).await.ok()["low_water_fen"], 500);
    assert_eq!(ask(&desk, 600).await.problem(), (409, "idempotency_key_reused".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_is_forgotten_after_its_seven_days(pool: PgPool) {
    let (app, desk) = open(pool).await;
    for key in ["d-1", "d-2", "d-3"] {
        desk.post(DRAFTS, key, &draft(include_str!("../../../products/standard.toml"))).await.ok();
    }
    let aged = "update api_answer set started_at = started_at - case idempotency_key
                    when 'd-1' then interval '7 days 1 minute' else interval '6 days 23 hours' end
                where idempotency_key <> 'd-3'";
    sqlx::query(aged).execute(&app.pool).await.unwrap();
    access::jobs::forget_old(&app).await.unwrap();
    let kept = "select idempotency_key from api_answer order by idempotency_key";
    let kept: Vec<String> = sqlx::query_scalar(kept).fetch_all(&app.pool).await.unwrap();
    assert_eq!(kept, ["d-2", "d-3"]);
}
