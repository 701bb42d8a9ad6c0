//! A funder's events: read by cursor without a gap, told in its own words, paused, replayed and given up by itself.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use fenqi::access::PartnerKind;
use fenqi::base::Fen;
use fenqi::base::id::{LineId, LoanId};
use fenqi::credit::line_actions::{ManualChange, change_line};
use fenqi::credit::{Change, Freeze};
use fenqi::funder::actions::{BankMovement, ReserveTerms};
use fenqi::outbox::catalogue::{self, Audience};
use fenqi::outbox::jobs::{Summary, deliver_outbox};
use fenqi::outbox::{Message, store};
use fenqi::partner::key::Algorithm;
use fenqi::purchase::PurchaseRequest;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Matcher, Scripted, World};
use fenqi::{credit, funder, product, purchase};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::applicant::{ready, request, steady};
use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2027-12-31" };

async fn open(pool: PgPool) -> (Town, Desk, std::sync::Arc<World>) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    desk::add_partner(&town.app, "harbour-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let identity = desk::add_key(&town.app, "harbour-core", "H-1", Algorithm::RsaSha256).await;
    let address = desk::serve(&town.app).await;
    let desk = Desk::new(&town.app, &address, identity).await;
    (town, desk, world)
}

fn message(town: &Town, object: u128) -> Message {
    Message {
        partner: "harbour-bank".to_owned(),
        kind: "loan_made",
        object_id: Uuid::from_u128(object),
        body: json!({ "loan_id": format!("loan_{object}"), "principal_fen": object as i64 }),
        created_at: town.app.clock.now(),
    }
}

fn kinds(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

/// Saves a template over the API.
async fn save(desk: &Desk, kind: &str, key: &str, version: i32, template: &Value) -> desk::Answer {
    let tag = format!("\"{version}\"");
    let headers = [("if-match", tag.as_str()), ("idempotency-key", key)];
    let body = json!({ "template": template }).to_string();
    desk.send_with("PUT", &format!("/events/templates/{kind}"), &headers, &body).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_pushed_is_also_pulled_in_the_same_order(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let bought = town.buy(vec![town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3))]).await;
    town.live_until("2026-01-26").await;
    town.refund(&bought[0], 30_000, "r-1").await;
    deliver_outbox(&town.app).await.unwrap();
    let all = desk.get("/events?limit=200").await.ok();
    assert_eq!(all["has_more"], false);
    let told = kinds(&all);
    for kind in ["reserve_deposited", "loan_made", "settlement_paid", "repayment", "plan_changed", "refund"] {
        assert!(told.contains(&kind), "{kind} in {told:?}");
    }
    assert_eq!(lock(&world.funder_core).accepted(), told.len(), "pushed as well");
    // Page by page the same, and nothing after the end.
    let (mut after, mut paged) = (json!(0), Vec::new());
    loop {
        let page = desk.get(&format!("/events?after={after}&limit=2")).await.ok();
        paged.extend(page["items"].as_array().unwrap().clone());
        after = page["next_after"].clone();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(Value::from(paged), all["items"]);
    // And as any list is read.
    let (mut path, mut listed) = ("/events?limit=2".to_owned(), Vec::new());
    loop {
        let page = desk.get(&path).await.ok();
        listed.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/events?limit=2&cursor={cursor}");
    }
    assert_eq!(Value::from(listed), all["items"]);
    let both = desk.get(&format!("{path}&after=1")).await;
    assert_eq!(both.problem(), (400, "parameter_malformed".into()));
    assert_eq!(desk.get(&format!("/events?after={after}")).await.ok()["items"], json!([]));
    assert_eq!(desk.get("/events?after=-1").await.problem(), (400, "parameter_malformed".into()));
    let documented = desk.get("/events/kinds").await.ok();
    assert!(documented["items"].as_array().unwrap().iter().any(|kind| kind["kind"] == "plan_changed"));
    crate::journey::told_as_documented(&town.app.pool).await;
}

const STANDARD: &str = include_str!("../../../products/standard.toml");

/// A borrower applies for a product on which claims are due within days, is approved, and buys.
async fn borrow_on_short_terms(town: &Town) -> LineId {
    let text =
        STANDARD.replace("claim_day = 80", "claim_day = 6").replace("charge_off_day = 180", "charge_off_day = 6");
    let text = text.replace("harbour-standard", "harbour-short");
    let published = product::publish(&town.app, &text).await.unwrap();
    let borrower_id = ready(&town.app, 1).await;
    let wish = request(borrower_id, (published.product_id, published.version), Some(steady()));
    credit::actions::apply(&town.app, wish).await.unwrap();
    let line_id: LineId = sqlx::query_scalar("select line_id from credit_line where borrower_id = $1")
        .bind(borrower_id)
        .fetch_one(&town.app.pool)
        .await
        .unwrap();
    let wish = town.wish(line_id, "short-1", 60_000, ("harbour-standard", 3));
    let wish = PurchaseRequest { product_id: published.product_id, product_version: published.version, ..wish };
    town.buy(vec![wish]).await;
    line_id
}

/// What a funder and an operator do of a morning.
async fn move_the_reserve_and_a_line(town: &Town, line_id: LineId) {
    let taken = BankMovement { funder_id: town.funder_id, amount: Fen::new(1_000), reference: "W-1".into() };
    let _ = funder::withdraw(&town.app, taken).await.unwrap();
    let terms = ReserveTerms { advance_limit: Fen::ZERO, low_water: Fen::new(9_990_000) };
    let _ = funder::set_reserve_terms(&town.app, town.funder_id, terms).await.unwrap();
    assert_eq!(funder::jobs::watch_reserves(&town.app).await.unwrap(), 1);
    for change in [Change::Freeze(Freeze::Operator), Change::Unfreeze(Freeze::Operator)] {
        let manual = ManualChange { line_id, change, person: "wang".into(), reason: "a call".into() };
        change_line(&town.app, manual).await.unwrap();
    }
}

async fn kinds_told(town: &Town) -> BTreeSet<String> {
    let kinds = sqlx::query_scalar("select distinct kind from outbox where partner = 'harbour-bank'");
    kinds.fetch_all(&town.app.pool).await.unwrap().into_iter().collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_kind_of_event_is_told_when_it_happens(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let short = borrow_on_short_terms(&town).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let wish = |key: &str| town.wish(line_id, key, 120_000, ("harbour-standard", 3));
    let bought = town.buy(vec![wish("p-1"), wish("p-2")]).await;
    let _ = purchase::actions::void(&town.app, bought[1].purchase_id).await.unwrap();
    move_the_reserve_and_a_line(&town, line_id).await;
    town.live_until("2026-01-13").await;
    town.refund(&bought[0], 30_000, "r-1").await;
    town.live_until("2026-01-28").await;
    // Nobody collects any more: bills stay unpaid until the guarantor may be claimed on, and the loan is written off.
    for _ in 0..70 {
        if kinds_told(&town).await.contains("claim_due") {
            break;
        }
        town.close_today().await;
    }
    // Those of a product that asks the funder, of a broken advance and of a success that was none have tests of their own.
    let elsewhere = [
        "application_waiting",
        "application_defaulted",
        "advance_overdue",
        "repayment_reversed",
        "settlement_reversed",
        "remittance_reversed",
    ];
    let expected: BTreeSet<String> = catalogue::of(Audience::Funder)
        .map(|kind| kind.name.to_owned())
        .filter(|name| !elsewhere.contains(&&**name))
        .collect();
    assert_eq!(kinds_told(&town).await, expected);
    crate::journey::told_as_documented(&town.app.pool).await;
    deliver_outbox(&town.app).await.unwrap();
    assert!(lock(&world.funder_core).out_of_order().is_empty());

    // A claim says what is owed that day, as the bill has it; the freeze for lateness is told too.
    let events = desk.get("/events?limit=200").await.ok();
    assert_eq!(events["has_more"], false);
    let events = events["items"].as_array().unwrap();
    let claim = events.iter().find(|event| event["kind"] == "claim_due").unwrap();
    assert_eq!(claim["body"]["line_id"], short.to_string());
    let loan_id: LoanId = claim["body"]["loan_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(claim["object_id"], loan_id.uuid().to_string());
    let overdue =
        events.iter().find(|event| event["kind"] == "overdue" && event["object_id"] == claim["object_id"]).unwrap();
    assert_eq!(claim["body"]["principal_fen"], overdue["body"]["unpaid_principal_fen"]);
    assert!(claim["body"]["penalty_fen"].as_i64().unwrap() > 0);
    // The book loses all of its principal, and the loan says so.
    let charge_off = events.iter().find(|event| event["kind"] == "charge_off").unwrap();
    assert_eq!(charge_off["object_id"], claim["object_id"]);
    let loan = desk.get(&format!("/funder/loans/{loan_id}")).await.ok();
    assert_eq!(loan["status"], "open");
    assert_eq!(loan["charged_off_on"], charge_off["body"]["business_day"]);
    let paid = loan["principal_paid_fen"].as_i64().unwrap();
    assert_eq!(charge_off["body"]["principal_fen"], 60_000 - paid);
    let frozen =
        events.iter().filter(|event| event["kind"] == "line_changed" && event["object_id"] == short.uuid().to_string());
    let whys: Vec<&Value> = frozen.map(|event| &event["body"]["frozen_for"]).collect();
    assert_eq!(whys, ["overdue"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_funders_events_are_not_there(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    fenqi::funder::open_funder(&town.app, "other-bank", "Other Bank").await.unwrap();
    desk::add_partner(&town.app, "other-core", PartnerKind::Funder, Some("other-bank".into())).await;
    let other = desk.with(desk::add_key(&town.app, "other-core", "O-1", Algorithm::Sm2Sm3).await);
    let event_no = desk.get("/events").await.ok()["items"][0]["event_no"].clone();
    assert_eq!(other.get("/events").await.ok()["items"], json!([]));
    let preview = format!("/events/{event_no}/preview");
    assert_eq!(other.post(&preview, "p", &json!({})).await.problem(), (404, "unknown_event".into()));
    let discard = other.post(&format!("/events/{event_no}/discard"), "d", &json!({ "reason": "x" })).await;
    assert_eq!(discard.problem(), (404, "unknown_event".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_event_that_commits_late_is_neither_passed_over_nor_overtaken(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    deliver_outbox(&town.app).await.unwrap();
    let start = desk.get("/events").await.ok()["next_after"].clone();
    let pull = async |after: &Value| desk.get(&format!("/events?after={after}")).await.ok();
    // The first transaction has the lower number and commits last; both are about one loan.
    let mut late = fenqi::database::begin(&town.app.pool).await.unwrap();
    store::enqueue(&mut late, &[message(&town, 1)]).await.unwrap();
    let mut early = fenqi::database::begin(&town.app.pool).await.unwrap();
    store::enqueue(&mut early, &[message(&town, 1)]).await.unwrap();
    early.commit().await.unwrap();
    let page = pull(&start).await;
    assert_eq!((&page["items"], &page["next_after"]), (&json!([]), &start), "the later one waits for the earlier one");
    assert_eq!(deliver_outbox(&town.app).await.unwrap(), Summary::default(), "also where it is pushed");
    late.commit().await.unwrap();
    let page = pull(&start).await;
    let numbers: Vec<i64> =
        page["items"].as_array().unwrap().iter().map(|event| event["event_no"].as_i64().unwrap()).collect();
    assert_eq!(numbers.len(), 2);
    assert!(numbers.is_sorted());
    assert_eq!(deliver_outbox(&town.app).await.unwrap().delivered, 2);
    assert!(lock(&world.funder_core).out_of_order().is_empty());
    // One that is rolled back holds nobody up, and whoever writes all the time does not either.
    let mut never = fenqi::database::begin(&town.app.pool).await.unwrap();
    store::enqueue(&mut never, &[message(&town, 2)]).await.unwrap();
    let mut open = fenqi::database::begin(&town.app.pool).await.unwrap();
    store::enqueue(&mut open, &[message(&town, 3)]).await.unwrap();
    pull(&page["next_after"]).await;
    never.rollback().await.unwrap();
    let mut next = fenqi::database::begin(&town.app.pool).await.unwrap();
    store::enqueue(&mut next, &[message(&town, 4)]).await.unwrap();
    open.commit().await.unwrap();
    assert_eq!(pull(&page["next_after"]).await["items"].as_array().unwrap().len(), 1);
    next.commit().await.unwrap();
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
    let breaking = json!({ "text": "{\"why\": {{ body.frozen_for | code({\"overdue\": \"1\"}) }} }" });
    let refused = save(&desk, "line_changed", "t-0", 0, &breaking).await;
    assert_eq!(refused.problem(), (422, "template_wrong".into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("with `body.frozen_for` null"), "{detail}");
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

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn delivery_is_paused_resumed_replayed_and_given_up_by_the_funder(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let app = &town.app;
    let state = async || desk.get("/events/delivery").await.ok();
    assert_eq!(desk.post("/events/delivery/pause", "p-1", &Value::Null).await.ok()["state"], "paused");
    assert_eq!(deliver_outbox(app).await.unwrap(), Summary::default());
    assert_eq!(state().await["waiting"], 1);
    assert_eq!(desk.post("/events/delivery/resume", "p-2", &Value::Null).await.ok()["state"], "delivering");
    assert_eq!(deliver_outbox(app).await.unwrap().delivered, 1);

    let mut connection = app.pool.acquire().await.unwrap();
    for object in [1, 2, 1] {
        store::enqueue(&mut connection, &[message(&town, object)]).await.unwrap();
    }
    world.script(
        "funder_core",
        Some(Matcher::new("object", Uuid::from_u128(1))),
        (0..18).map(|_| Scripted::answer("refused")).collect(),
    );
    let mut died = 0;
    for _ in 0..18 {
        died += deliver_outbox(app).await.unwrap().died;
        app.clock.set(app.clock.now() + TimeDelta::days(1));
    }
    assert_eq!(died, 1);
    let failures = desk.get("/events/failures").await.ok();
    let dead = &failures["items"][0];
    assert_eq!((failures["items"].as_array().unwrap().len(), &dead["attempts"]), (1, &json!(18)));
    assert!(!dead["dead_at"].is_null());
    assert_eq!((&state().await["dead"], &state().await["waiting"]), (&json!(1), &json!(1)));
    let discard = format!("/events/{}/discard", dead["event_no"]);
    assert_eq!(desk.post(&discard, "d-0", &json!({ "reason": " " })).await.problem(), (422, "reason_missing".into()));
    assert_eq!(desk.post(&discard, "d-1", &json!({ "reason": "entered by hand" })).await.ok()["dead"], 0);
    assert_eq!(deliver_outbox(app).await.unwrap().delivered, 1, "what waited behind it goes on");
    assert_eq!(desk.post(&discard, "d-2", &json!({ "reason": "again" })).await.problem().1, "event_not_failed");
    let noted: Vec<(String, String)> = sqlx::query_as("select action, done_by from outbox_action order by action_no")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    let by = |action: &str| (action.to_owned(), "holder of H-1".to_owned());
    assert_eq!(noted, [by("pause"), by("resume"), by("discard")]);
    assert!(fenqi::verify::verify(&app.pool).await.unwrap().is_empty());

    // A range again, by number or by time, in order; the core knows what it has.
    let all = desk.get("/events").await.ok();
    let numbers: Vec<i64> =
        all["items"].as_array().unwrap().iter().map(|event| event["event_no"].as_i64().unwrap()).collect();
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    let replay = async |key: &str, body: Value| desk.post("/events/replays", key, &body).await;
    assert_eq!(replay("r-1", json!({ "from_no": first, "to_no": last })).await.ok()["events"], numbers.len());
    assert_eq!(deliver_outbox(app).await.unwrap().delivered, numbers.len() as u64);
    let summary = lock(&world.funder_core).summary();
    assert_eq!((&summary["duplicates"], &summary["out_of_order"]), (&json!(3), &json!([dead["event_no"]])));
    let day = json!({ "from": "2026-01-05T00:00:00+08:00", "to": "2026-01-06T00:00:00+08:00" });
    assert_eq!(replay("r-2", day).await.ok()["events"], numbers.len());
    let before = json!({ "from": "2026-01-04T00:00:00+08:00", "to": "2026-01-05T00:00:00+08:00" });
    assert_eq!(replay("r-3", before).await.ok()["events"], 0);
    let both = json!({ "from_no": 1, "to_no": 2, "from": "2026-01-05T00:00:00Z" });
    let ancient = json!({ "from": "-200000-01-01T00:00:00Z", "to": "2026-01-06T00:00:00Z" });
    for (number, malformed) in [json!({}), json!({ "from_no": 5, "to_no": 4 }), both, ancient].into_iter().enumerate() {
        let refused = replay(&format!("m-{number}"), malformed).await;
        assert_eq!(refused.problem(), (422, "event_range_malformed".into()));
    }
}
