//! A funder's templates turn events into its own names and shapes, send them to its own paths, and leave out unwanted kinds.

use chrono::TimeDelta;
use fenqi::outbox::jobs::{Summary, deliver_outbox};
use fenqi::outbox::{Message, store};
use fenqi::router::api_document;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Matcher, Scripted};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::events::{WISH, message, open};
use crate::desk::{self, Desk};

/// Saves a template over the API.
async fn save(desk: &Desk, kind: &str, key: &str, version: i32, template: &Value) -> desk::Answer {
    let tag = format!("\"{version}\"");
    let headers = [("if-match", tag.as_str()), ("idempotency-key", key)];
    let body = json!({ "template": template }).to_string();
    desk.send_with("PUT", &format!("/events/templates/{kind}"), &headers, &body).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_is_told_in_its_own_words_at_its_own_path(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    deliver_outbox(&town.app).await.unwrap();
    let text = "{\"loanNo\": {{ body.loan_id }}, \"loanAmt\": {{ body.principal_fen | yuan }},\n \"seq\": {{ event.no }}, \"trml\": {{ body.periods }}}";
    let own = json!({ "path": "/loan/notify", "text": text, "taken_when": "answer.retCode == '0000'" });
    // What is wrong is refused with its line, and nothing is saved.
    let misspelt = json!({ "text": "{\n\"loanNo\": {{ body.loan_no }}}" });
    let refused = save(&desk, "loan_made", "t-1", 0, &misspelt).await;
    assert_eq!(refused.problem(), (422, "template_wrong".into()));
    assert!(refused.json()["detail"].as_str().unwrap().starts_with("line 2: "), "{}", refused.json());
    let refused = save(&desk, "loan_made", "t-2", 0, &json!({ "text": "{\"a\": \"{{ body.loan_id }}\"}" })).await;
    assert_eq!(refused.problem(), (422, "template_not_json".into()));
    let as_list = save(&desk, "loan_made", "t-7", 0, &json!(["/loan/notify", text])).await;
    assert_eq!(as_list.problem(), (400, "wrong_type".into()));
    let breaking = json!({ "text": "{\"why\": {{ body.frozen_for | code({\"overdue\": \"1\"}) }} }" });
    let refused = save(&desk, "line_changed", "t-0", 0, &breaking).await;
    assert_eq!(refused.problem(), (422, "template_wrong".into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("with `body.frozen_for` null"), "{detail}");
    let lacking = json!({ "text": "{\"chan\": {{ body.source | code({\"withholding\": \"01\"}) }} }" });
    let refused = save(&desk, "repayment", "t-8", 0, &lacking).await;
    assert_eq!(refused.problem(), (422, "template_wrong".into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("with `body.source` \"transfer\""), "{detail}");
    assert_eq!(save(&desk, "loan_mad", "t-3", 0, &own).await.problem(), (404, "unknown_event_kind".into()));

    let line_id = town.open_lines(1, WISH).await[0];
    town.buy(vec![town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3))]).await;
    let event = desk.get("/events?limit=200").await.ok()["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(event["kind"], "loan_made");
    let (event_no, loan_id) = (event["event_no"].as_i64().unwrap(), event["body"]["loan_id"].clone());
    // Tried on the real event, nothing is sent and nothing saved.
    let preview = format!("/events/{event_no}/preview");
    let tried = desk.post(&preview, "v-1", &json!({ "template": own })).await.ok();
    assert_eq!((&tried["path"], &tried["template_version"]), (&json!("/loan/notify"), &Value::Null));
    let body: Value = serde_json::from_str(tried["body"].as_str().unwrap()).unwrap();
    let expected = json!({ "loanNo": loan_id, "loanAmt": "1200.00", "seq": event_no, "trml": 3 });
    assert_eq!(body, expected);
    assert!(lock(&world.funder_core).own_calls().is_empty());

    let saved = save(&desk, "loan_made", "t-4", 0, &own).await;
    assert_eq!((saved.header("etag"), &saved.ok()["version"]), ("\"1\"", &json!(1)));
    assert_eq!(save(&desk, "loan_made", "t-5", 0, &own).await.problem(), (412, "precondition_failed".into()));
    // The core says no in its own code, then yes.
    world.script("funder_core", Some(Matcher::new("path", "/loan/notify")), vec![Scripted::answer("9999")]);
    assert_eq!(deliver_outbox(&town.app).await.unwrap(), Summary { delivered: 0, failed: 1, died: 0 });
    town.app.clock.set(town.app.clock.now() + TimeDelta::seconds(5));
    assert_eq!(deliver_outbox(&town.app).await.unwrap().delivered, 1);
    let calls = lock(&world.funder_core).own_calls().to_vec();
    assert_eq!(calls.len(), 2, "refused once");
    assert_eq!(calls[1], ("/loan/notify".to_owned(), expected.clone()));
    // Pulled in our form, or mapped.
    let mapped = desk.get(&format!("/events?after={}&mapped=true", event_no - 1)).await.ok();
    assert_eq!((&mapped["items"][0]["body"], &mapped["items"][0]["template_version"]), (&expected, &json!(1)));
    // Our own form again is the next version.
    let back = save(&desk, "loan_made", "t-6", 1, &Value::Null).await.ok();
    assert_eq!((&back["version"], &back["template"]), (&json!(2), &Value::Null));
    let path = "/events/templates/loan_made/versions";
    let newest = desk.get(&format!("{path}?limit=1")).await.ok();
    assert_eq!((&newest["items"][0]["version"], &newest["items"][0]["template"]), (&json!(2), &Value::Null));
    let cursor = newest["next_cursor"].as_str().unwrap();
    let first = desk.get(&format!("{path}?limit=1&cursor={cursor}")).await.ok();
    assert_eq!((&first["items"][0]["version"], &first["items"][0]["template"]), (&json!(1), &own));
    assert_eq!(first["next_cursor"], Value::Null);
    assert_eq!(desk.post(&preview, "v-2", &json!({})).await.ok()["path"], "/events");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_kind_that_the_core_does_not_want_ends_without_a_call_and_can_be_told_again(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let app = &town.app;
    deliver_outbox(app).await.unwrap();
    let path = "/events/templates/loan_made";
    let put = async |key: &str, version: &str, body: Value| {
        let headers = [("if-match", version), ("idempotency-key", key)];
        desk.send_with("PUT", path, &headers, &body.to_string()).await
    };
    let enqueue = async |messages: Vec<Message>| {
        store::enqueue(&mut app.pool.acquire().await.unwrap(), &messages).await.unwrap();
    };
    // One that failed before is not told either.
    let first = Uuid::from_u128(1);
    world.script("funder_core", Some(Matcher::new("object", first)), vec![Scripted::answer("refused")]);
    enqueue(vec![message(&town, 1)]).await;
    assert_eq!(deliver_outbox(app).await.unwrap().failed, 1);

    let both = put("t-1", "\"0\"", json!({ "template": { "text": "{}" }, "not_told": true })).await;
    assert_eq!(both.problem(), (422, "template_wrong".into()));
    let saved = put("t-2", "\"0\"", json!({ "not_told": true })).await.ok();
    assert_eq!(saved, json!({ "kind": "loan_made", "version": 1, "template": null, "not_told": true }));
    let voided = Message { kind: "loan_voided", ..message(&town, 1) };
    enqueue(vec![message(&town, 2), voided, message(&town, 3)]).await;
    app.clock.set(app.clock.now() + TimeDelta::seconds(5));
    let calls = lock(&world.funder_core).calls();
    assert_eq!(deliver_outbox(app).await.unwrap(), Summary { delivered: 4, failed: 0, died: 0 });
    assert_eq!(lock(&world.funder_core).calls(), calls + 1, "for what is told");
    let told = |object: u128| -> Vec<String> {
        let book = lock(&world.funder_core);
        book.events_of(Uuid::from_u128(object)).iter().map(|event| event.kind.clone()).collect()
    };
    assert_eq!((told(1), told(2)), (vec!["loan_voided".to_owned()], vec![]));
    assert_eq!(town.fen("select count(*) from outbox where ending = 'not_told' and last_error is null").await, 3);
    assert_eq!(desk.get("/events/failures").await.ok()["items"], json!([]));
    assert!(fenqi::verify::verify(&app.pool).await.unwrap().is_empty());
    // It can be pulled, and looked at in a form that is only tried.
    let pulled = desk.get("/events?limit=200&mapped=true").await.ok();
    let last = pulled["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["kind"], &last["body"]["loan_id"]), (&json!("loan_made"), &json!("loan_3")));
    let preview = format!("/events/{}/preview", last["event_no"]);
    assert_eq!(desk.post(&preview, "v-1", &json!({})).await.problem(), (409, "event_not_told".into()));
    let tried = json!({ "template": { "text": "{\"a\": {{ body.loan_id }}}" } });
    let tried = desk.post(&preview, "v-2", &tried).await.ok();
    assert!(tried["body"].as_str().unwrap().contains("loan_3"));
    // Told again from now on; what has ended stays so until it is replayed.
    assert_eq!(put("t-3", "\"1\"", json!({ "template": null })).await.ok()["not_told"], false);
    assert_eq!(deliver_outbox(app).await.unwrap(), Summary::default());
    let range = json!({ "from_no": 1, "to_no": last["event_no"] });
    desk.post("/events/replays", "r-1", &range).await.ok();
    deliver_outbox(app).await.unwrap();
    assert_eq!((told(2), told(3)), (vec!["loan_made".to_owned()], vec!["loan_made".to_owned()]));
    let versions = desk.get(&format!("{path}/versions")).await.ok();
    let versions = versions["items"].as_array().unwrap().iter();
    assert_eq!(versions.map(|one| one["not_told"].as_bool()).collect::<Vec<_>>(), [Some(false), Some(true)]);
}

/// Every run of so many lone calls ends in three silences; what was taken before them shows that the core is there.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_that_takes_every_other_call_is_not_left_alone_for_longer_and_longer(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let own = json!({ "path": "/loan/made", "text": "{\"no\": {{ event.no }}}" });
    save(&desk, "loan_made", "t-1", 0, &own).await.ok();
    let shares = FaultShares { timeout_after: 250, timeout_before: 250, ..FaultShares::default() };
    world.set_faults("funder_core", shares);
    let messages: Vec<Message> = (1..=400).map(|object| message(&town, object)).collect();
    store::enqueue(&mut town.app.pool.acquire().await.unwrap(), &messages).await.unwrap();
    let mut most = 0;
    for _ in 0..40 {
        deliver_outbox(&town.app).await.unwrap();
        most = most.max(town.fen("select coalesce(max(failures), 0)::bigint from outbox_partner").await);
        // Longer than anybody is left alone.
        town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(6));
    }
    assert!(most < 12, "left alone as after {most} runs in which it took nothing");
    assert!(lock(&world.funder_core).own_calls().len() > 100, "it is there, and was told");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_no_template_serves_is_never_sent_and_does_not_find_a_core_back_that_is_down(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let app = &town.app;
    deliver_outbox(app).await.unwrap();
    world.set_faults("funder_core", FaultShares { timeout_before: 1_000, ..FaultShares::default() });
    let messages: Vec<Message> = (1..=3).map(|object| message(&town, object)).collect();
    store::enqueue(&mut app.pool.acquire().await.unwrap(), &messages).await.unwrap();
    assert_eq!(deliver_outbox(app).await.unwrap().failed, 3);
    // It serves the kind's example, and none of these.
    save(&desk, "loan_made", "t-1", 0, &json!({ "text": "{\"terms\": {{ body.periods }} }" })).await.ok();
    app.clock.set(app.clock.now() + TimeDelta::minutes(5));
    let calls = lock(&world.funder_core).calls();
    assert_eq!(deliver_outbox(app).await.unwrap(), Summary { delivered: 0, failed: 3, died: 0 });
    assert_eq!(lock(&world.funder_core).calls(), calls);
    assert_eq!(town.fen("select failures::bigint from outbox_partner where partner = 'harbour-bank'").await, 1);
    let why = desk.get("/events/failures").await.ok()["items"][0]["last_error"].clone();
    assert!(why.as_str().unwrap().starts_with("refused: template version 1: line 1: "), "{why}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn loans_that_the_core_does_not_know_hold_up_no_other_on_a_path_of_its_own(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    deliver_outbox(&town.app).await.unwrap();
    let own = json!({ "path": "/loan/made", "text": "{\"no\": {{ event.no }}, \"about\": {{ event.object_id }}}" });
    save(&desk, "loan_made", "t-1", 0, &own).await.ok();
    let messages: Vec<Message> = (1..=20).map(|object| message(&town, object)).collect();
    store::enqueue(&mut town.app.pool.acquire().await.unwrap(), &messages).await.unwrap();
    for (object, status) in [(2, 404), (3, 404), (4, 404), (5, 405), (6, 422), (7, 409)] {
        lock(&world.funder_core).reject(&Uuid::from_u128(object).to_string(), Some(status));
    }
    assert_eq!(deliver_outbox(&town.app).await.unwrap(), Summary { delivered: 14, failed: 6, died: 0 });
    assert_eq!(town.fen("select count(*) from outbox_partner where failures > 0").await, 0);
    // Where it does not believe us, no loan is to blame.
    let more: Vec<Message> = (21..=30).map(|object| message(&town, object)).collect();
    store::enqueue(&mut town.app.pool.acquire().await.unwrap(), &more).await.unwrap();
    lock(&world.funder_core).reject("/loan/made", Some(401));
    assert_eq!(deliver_outbox(&town.app).await.unwrap(), Summary::default());
    assert_eq!(town.fen("select count(*) from outbox where attempts > 0 and delivered_at is null").await, 6);
    assert_eq!(town.fen("select failures::bigint from outbox_partner where partner = 'harbour-bank'").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_template_without_a_path_gives_the_body_in_the_batch(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let own = json!({ "text": "{\"amt\": {{ body.amount_fen | yuan }}, \"ref\": {{ body.reference }}}" });
    save(&desk, "reserve_deposited", "t-1", 0, &own).await.ok();
    deliver_outbox(&town.app).await.unwrap();
    let told = lock(&world.funder_core)
        .events_of(town.funder_id.uuid())
        .iter()
        .map(|event| event.body.clone())
        .collect::<Vec<_>>();
    assert_eq!(told, [json!({ "amt": "100000.00", "ref": "D-1" })]);
}

/// The rows of a loan's first plan, as an event tells them.
async fn first_plan(desk: &Desk, loan_id: &Value) -> Value {
    let path = format!("/funder/loans/{}/plans", loan_id.as_str().unwrap());
    let plan = desk.get(&path).await.ok()["items"][0].clone();
    assert_eq!((&plan["version"], &plan["reason"]), (&json!(1), &json!("made")));
    let row = |place: usize| {
        let of = |column: &str| &plan[column][place];
        json!({
            "period": place + 1, "due_on": of("due_on"), "principal_fen": of("principal_fen"),
            "interest_fen": of("interest_fen"), "fee_fen": of("fee_fen") })
    };
    (0..plan["due_on"].as_array().unwrap().len()).map(row).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_new_loan_is_told_with_its_first_plan_in_the_same_bytes_whenever_that_is(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let bought = town.buy(vec![town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3))]).await;
    let pulled = async |mapped: bool| {
        let events = desk.get(&format!("/events?limit=200&mapped={mapped}")).await.ok()["items"].clone();
        events.as_array().unwrap().iter().find(|event| event["kind"] == "loan_made").unwrap().clone()
    };
    let told = pulled(false).await;
    let preview = format!("/events/{}/preview", told["event_no"]);
    let tried = async |key: &str| desk.post(&preview, key, &json!({})).await.ok()["body"].as_str().unwrap().to_owned();
    let sent = tried("v-1").await;
    assert_eq!(serde_json::from_str::<Value>(&sent).unwrap()["events"][0]["body"], told["body"]);
    assert_eq!(told["body"]["installments"], first_plan(&desk, &told["body"]["loan_id"]).await);
    assert_eq!(town.fen("select count(*) from outbox where body ? 'installments'").await, 0, "no row holds it");

    // Another plan changes nothing of it, however it is told.
    town.live_until("2026-01-07").await;
    town.refund(&bought[0], 30_000, "r-1").await;
    assert_eq!(town.fen("select count(*) from schedule where version = 2").await, 1);
    assert_eq!((pulled(false).await, tried("v-2").await), (told.clone(), sent));
    deliver_outbox(&town.app).await.unwrap();
    let loan_id: Uuid = told["object_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(lock(&world.funder_core).events_of(loan_id)[0].body, told["body"]);

    // Nor once it is replayed, by a template at a path of its own.
    let text = "{\"plan\": [{% for row in body.installments %}{\"no\": {{ row.period }}, \"due\": {{ row.due_on }}, \
                \"amt\": {{ row.principal_fen }}}{% if not loop.last %},{% endif %}{% endfor %}]}";
    save(&desk, "loan_made", "t-1", 0, &json!({ "path": "/loan/made", "text": text })).await.ok();
    let range = json!({ "from_no": told["event_no"], "to_no": told["event_no"] });
    desk.post("/events/replays", "r-2", &range).await.ok();
    assert_eq!(deliver_outbox(&town.app).await.unwrap().delivered, 1);
    let rows = told["body"]["installments"].as_array().unwrap().iter();
    let rows = rows.map(|row| json!({ "no": row["period"], "due": row["due_on"], "amt": row["principal_fen"] }));
    let expected = json!({ "plan": rows.collect::<Vec<Value>>() });
    assert_eq!(pulled(true).await["body"], expected);
    assert_eq!(lock(&world.funder_core).own_calls(), [("/loan/made".to_owned(), expected)]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_event_that_a_template_fails_on_is_pulled_with_the_reason_and_without_a_body(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    store::enqueue(&mut town.app.pool.acquire().await.unwrap(), &[message(&town, 7)]).await.unwrap();
    // Every event of today has a purchase, which this older one lacks.
    let template = json!({ "text": "{\"purchase\": {{ body.purchase_id }}}" });
    save(&desk, "loan_made", "t-1", 0, &template).await.ok();
    let pulled = desk.get("/events?limit=200&mapped=true").await.ok();
    let last = pulled["items"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["kind"], &last["body"], &last["template_version"]),
        (&json!("loan_made"), &Value::Null, &json!(1))
    );
    assert!(last["template_error"].as_str().is_some_and(|why| why.starts_with("line 1: ")), "{last}");
    let document = api_document().json;
    let body = &document["components"]["schemas"]["EventView"]["properties"]["body"];
    assert_eq!(body["type"], json!(["object", "null"]), "so that a client made from the document reads it");
}
