//! A funder reads its events by cursor without a gap, and can pause, replay and give up delivery.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use fenqi::app::{App, Kept};
use fenqi::base::Fen;
use fenqi::base::id::{LineId, LoanId};
use fenqi::claim::model::Stated;
use fenqi::credit::line_actions::{ManualChange, change_line};
use fenqi::credit::{Change, Freeze};
use fenqi::funder::actions::{BankMovement, ReserveTerms};
use fenqi::outbox::actions::forget_old;
use fenqi::outbox::catalogue::{self, Audience};
use fenqi::outbox::jobs::{Summary, deliver_outbox};
use fenqi::outbox::{Message, store};
use fenqi::partner::key::Algorithm;
use fenqi::purchase::PurchaseRequest;
use fenqi::repayment::Transfer;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Matcher, Scripted, World};
use fenqi::{claim, credit, funder, product, purchase, repayment};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::applicant::{ready, request, steady};
use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

pub(super) const WISH: LineWish =
    LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2027-12-31" };

pub(super) async fn open(pool: PgPool) -> (Town, Desk, std::sync::Arc<World>) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let desk = desk::of_core(&town.app, Algorithm::RsaSha256).await;
    (town, desk, world)
}

pub(super) fn message(town: &Town, object: u128) -> Message {
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
    // A settlement names its merchant and the day of the loans that it pays for, as they do.
    let first = |kind: &str| {
        let events = all["items"].as_array().unwrap();
        events.iter().find(|event| event["kind"] == kind).unwrap()["body"].clone()
    };
    let (made, settled) = (first("loan_made"), first("settlement_paid"));
    assert!(made["merchant_id"].is_string() && made["business_day"] == "2026-01-05", "{made}");
    assert_eq!((&settled["merchant_id"], &settled["settled_day"]), (&made["merchant_id"], &made["business_day"]));
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
    let changed = documented["items"].as_array().unwrap().iter().find(|kind| kind["kind"] == "plan_changed").unwrap();
    assert_eq!(changed["words"], json!({ "reason": ["refund", "payoff", "restored"] }));
    crate::journey::told_as_documented(&town.app.pool).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_call_is_no_larger_than_gateways_take_and_what_it_has_no_room_for_follows(pool: PgPool) {
    let (town, _, world) = open(pool).await;
    deliver_outbox(&town.app).await.unwrap();
    let note = "备".repeat(30_000);
    let large = |object: u128| Message { body: json!({ "note": note }), ..message(&town, object) };
    let messages: Vec<Message> = (1..=14).chain([1]).map(large).collect();
    store::enqueue(&mut town.app.pool.acquire().await.unwrap(), &messages).await.unwrap();
    let before = lock(&world.funder_core).calls();
    assert_eq!(deliver_outbox(&town.app).await.unwrap(), Summary { delivered: 15, failed: 0, died: 0 });
    let core = lock(&world.funder_core);
    assert_eq!(core.calls() - before, 2);
    assert!(core.out_of_order().is_empty());
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

/// The guarantor pays of the loan that is late, and then the borrower a little, which the guarantor has.
async fn pay_as_guarantor(town: &Town, line_id: LineId) {
    let found = sqlx::query_scalar("select loan_id from loan where line_id = $1").bind(line_id.uuid());
    let loan_id: LoanId = found.fetch_one(&town.app.pool).await.unwrap();
    let claim_id = claim::ask(&town.app, loan_id, "Li Na").await.unwrap().claim_id;
    for by in ["Li Na", "Wang Wei"] {
        let word = Stated { by: by.into(), bank_reference: "G-1".into() };
        claim::pay(&town.app, claim_id, &word).await.unwrap();
    }
    let (bank_reference, operator) = ("T-1".into(), "Li Na".into());
    let transfer = Transfer { line_id, amount: Fen::new(100), bank_reference, received_on: None, operator };
    repayment::record_transfer(&town.app, &transfer).await.unwrap();
}

async fn kinds_told(town: &Town) -> BTreeSet<String> {
    let kinds = sqlx::query_scalar("select distinct kind from outbox where partner = 'harbour-bank'");
    kinds.fetch_all(&town.app.pool).await.unwrap().into_iter().collect()
}

/// Nobody collects any more: bills stay unpaid until the guarantor may be claimed on, and the loan is written off.
async fn live_until_claimable(town: &Town) {
    for _ in 0..70 {
        if kinds_told(town).await.contains("claim_due") {
            break;
        }
        town.close_today().await;
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_kind_of_event_is_told_when_it_happens(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let short = borrow_on_short_terms(&town).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let wish = |key: &str| town.wish(line_id, key, 120_000, ("harbour-standard", 3));
    let bought = town.buy(vec![wish("p-1"), wish("p-2"), wish("p-3")]).await;
    let _ = purchase::actions::void(&town.app, bought[1].purchase_id).await.unwrap();
    move_the_reserve_and_a_line(&town, line_id).await;
    town.live_until("2026-01-06").await;
    town.refund(&bought[2], 120_000, "r-0").await;
    town.live_until("2026-01-13").await;
    town.refund(&bought[0], 30_000, "r-1").await;
    town.live_until("2026-01-28").await;
    live_until_claimable(&town).await;
    // Those of a product that asks the funder, of a broken advance and of a success that was none have tests of their own.
    pay_as_guarantor(&town, short).await;
    let elsewhere = [
        "application_waiting",
        "application_defaulted",
        "application_withdrawn",
        "advance_overdue",
        "repayment_reversed",
        "claim_reversed",
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
    // What came in since belongs to the guarantor.
    let claims = desk.get(&format!("/funder/claims?loan_id={loan_id}")).await.ok();
    assert_eq!(desk.get("/funder/claims").await.ok(), claims);
    let paid = &claims["items"][0];
    assert_eq!((&paid["status"], &paid["recovered_fen"]), (&json!("paid"), &json!(100)));
    assert_eq!((&paid["principal_fen"], &paid["bank_reference"]), (&claim["body"]["principal_fen"], &json!("G-1")));
    let frozen =
        events.iter().filter(|event| event["kind"] == "line_changed" && event["object_id"] == short.uuid().to_string());
    let whys: Vec<&Value> = frozen.map(|event| &event["body"]["frozen_for"]).collect();
    assert_eq!(whys, ["overdue"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_funders_events_are_not_there(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let other = desk.stranger(&town.app).await;
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
    for (key, reason) in [("d-0", " "), ("d-00", "by hand\u{1b}[2K\rdelivered")] {
        let refused = desk.post(&discard, key, &json!({ "reason": reason })).await;
        assert_eq!(refused.problem(), (422, "reason_missing".into()), "{reason:?}");
    }
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
    let ancient = json!({ "from": "0000-01-01T00:00:00Z", "to": "2026-01-06T00:00:00Z" });
    for (number, malformed) in [json!({}), json!({ "from_no": 5, "to_no": 4 }), both, ancient].into_iter().enumerate() {
        let refused = replay(&format!("m-{number}"), malformed).await;
        assert_eq!(refused.problem(), (422, "event_range_malformed".into()));
    }
}

/// The numbers of the events behind one.
async fn numbers_after(desk: &Desk, after: i64) -> Vec<i64> {
    let page = desk.get(&format!("/events?after={after}&limit=200")).await.ok();
    page["items"].as_array().unwrap().iter().map(|event| event["event_no"].as_i64().unwrap()).collect()
}

/// A funder with four events, the third of which was given up; the clock is eighteen days further.
async fn with_a_dead_letter(town: &Town, desk: &Desk, world: &World) -> [i64; 4] {
    let app = &town.app;
    let mut connection = app.pool.acquire().await.unwrap();
    for object in [1, 2, 3] {
        store::enqueue(&mut connection, &[message(town, object)]).await.unwrap();
    }
    let refused = (0..18).map(|_| Scripted::answer("refused")).collect();
    world.script("funder_core", Some(Matcher::new("object", Uuid::from_u128(2))), refused);
    for _ in 0..18 {
        deliver_outbox(app).await.unwrap();
        app.clock.set(app.clock.now() + TimeDelta::days(1));
    }
    assert_eq!(desk.get("/events/delivery").await.ok()["dead"], 1);
    numbers_after(desk, 0).await.try_into().unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_asks_for_events_that_are_not_kept_any_more_is_told(pool: PgPool) {
    let (town, desk, world) = open(pool).await;
    let app = App { kept: Kept { messages_days: 30, ..town.app.kept }, ..town.app.clone() };
    let all = with_a_dead_letter(&town, &desk, &world).await;
    let [deposit, first, dead, last] = all;
    let forget_after = async |days: i64| {
        app.clock.set(app.clock.now() + TimeDelta::days(days));
        forget_old(&app).await.unwrap();
    };
    forget_after(10).await;
    assert_eq!(numbers_after(&desk, 0).await, all);
    assert_eq!(desk.get("/events/delivery").await.ok()["kept_after"], 0);

    // What was given up is kept, and what came after it with it.
    forget_after(10).await;
    let begun = desk.get("/events").await;
    assert_eq!(begun.problem(), (410, "events_not_kept".into()));
    assert!(begun.json()["detail"].as_str().unwrap().contains(&format!("up to number {first},")), "{begun:?}");
    assert_eq!(desk.get(&format!("/events?after={deposit}")).await.problem(), (410, "events_not_kept".into()));
    assert_eq!(desk.get("/events/delivery").await.ok()["kept_after"], first);
    assert_eq!(numbers_after(&desk, first).await, [dead, last]);
    let replays = "/events/replays";
    for (number, (path, body)) in [
        (replays.to_owned(), json!({ "from_no": deposit, "to_no": last })),
        (replays.to_owned(), json!({ "from": "2026-01-05T00:00:00+08:00", "to": "2026-01-06T00:00:00+08:00" })),
        (format!("/events/{first}/replay"), Value::Null),
        (format!("/events/{first}/discard"), json!({ "reason": "entered by hand" })),
        (format!("/events/{first}/preview"), json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = desk.post(&path, &format!("n-{number}"), &body).await;
        assert_eq!(refused.problem(), (410, "events_not_kept".into()), "{path} {body}");
    }
    assert_eq!(desk.get("/events/delivery").await.ok()["dead"], 1, "nothing of it came about");
    let kept = json!({ "from_no": dead, "to_no": last });
    assert_eq!(desk.post(replays, "r-1", &kept).await.ok()["events"], 2);

    // What came again is kept from then on, and what waits for as long as it does.
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 2);
    forget_after(29).await;
    assert_eq!(numbers_after(&desk, first).await, [dead, last]);
    forget_after(2).await;
    assert_eq!(desk.get(&format!("/events?after={first}")).await.problem(), (410, "events_not_kept".into()));
    store::enqueue(&mut app.pool.acquire().await.unwrap(), &[message(&town, 4)]).await.unwrap();
    forget_after(100).await;
    let later = numbers_after(&desk, last).await;
    assert!(later.len() == 1 && later[0] > last, "{later:?}");
    let now = json!({ "from": "2026-03-01T00:00:00+08:00", "to": "2026-12-31T00:00:00+08:00" });
    assert_eq!(desk.post(replays, "r-2", &now).await.ok()["events"], 1);
    assert!(fenqi::verify::verify(&app.pool).await.unwrap().is_empty());
}

const PARTS: [&str; 3] = ["principal", "interest", "fee"];

fn fen(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// What each installment still asks for of principal, interest and fee, by what its core was told.
fn owed_by_events(events: &[Value]) -> Vec<[i64; 3]> {
    let (mut owed, mut gone): (Vec<[i64; 3]>, Vec<[i64; 3]>) = (Vec::new(), Vec::new());
    for event in events {
        let (kind, body) = (event["kind"].as_str().unwrap(), &event["body"]);
        let suffix = if kind == "refund" { "fell_fen" } else { "fen" };
        let told = |row: &Value| PARTS.map(|part| fen(&row[format!("{part}_{suffix}")]));
        let rows = body["installments"].as_array().into_iter().flatten();
        if ["loan_made", "plan_changed"].contains(&kind) {
            owed = rows.map(told).collect();
            gone.resize(owed.len(), [0; 3]);
        } else {
            for row in rows {
                let place = usize::try_from(fen(&row["period"])).unwrap() - 1;
                gone[place].iter_mut().zip(told(row)).for_each(|(gone, told)| *gone += told);
            }
        }
    }
    owed.iter_mut().flatten().zip(gone.iter().flatten()).for_each(|(owed, gone)| *owed -= gone);
    owed
}

/// The same as the house has it.
fn owed_by_the_house(installments: &Value) -> Vec<[i64; 3]> {
    let rows = installments["items"].as_array().unwrap().iter();
    rows.map(|row| {
        PARTS.map(|part| {
            let of = |column: &str| fen(&row[format!("{part}{column}_fen")]);
            of("") - of("_paid") - of("_returned")
        })
    })
    .collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_knows_from_events_what_every_installment_owes_and_what_came_beside_the_borrower(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let text = STANDARD.replace("returns_billed_interest = false", "returns_billed_interest = true");
    let published = product::publish(&town.app, &text.replace("harbour-standard", "harbour-returns")).await.unwrap();
    let lines = town.open_lines(2, WISH).await;
    let wish = town.wish(lines[0], "p-1", 120_000, ("harbour-standard", 3));
    let wish = PurchaseRequest { product_id: published.product_id, product_version: published.version, ..wish };
    let bought = town.buy(vec![wish, town.wish(lines[1], "p-2", 90_000, ("harbour-shared-fee", 6))]).await;
    let loans = desk.get(&format!("/funder/loans?line_id={}", lines[0])).await.ok();
    let loan_id: LoanId = loans["items"][0]["loan_id"].as_str().unwrap().parse().unwrap();
    let path = format!("/funder/loans/{loan_id}");
    let told_of_it = async || -> Vec<Value> {
        let events = desk.get("/events?limit=200").await.ok();
        assert_eq!(events["has_more"], false);
        let events = events["items"].as_array().unwrap().iter();
        events.filter(|event| event["object_id"] == loan_id.uuid().to_string()).cloned().collect()
    };
    let agrees = async |when: &str| {
        let stands = desk.get(&format!("{path}/installments")).await.ok();
        assert_eq!(owed_by_events(&told_of_it().await), owed_by_the_house(&stands), "{when}");
        stands
    };

    // The first installment is billed and not due: all that is not billed falls, and then of the bill, with its interest.
    town.live_until("2026-01-13").await;
    town.refund(&bought[0], 100_000, "r-1").await;
    let stands = agrees("what was billed fell in part").await;
    let bill = &stands["items"][0];
    assert!(fen(&bill["principal_returned_fen"]) > 0 && fen(&bill["interest_returned_fen"]) > 0, "{bill}");
    // What is left is paid, and what is refunded then goes back to the card with its interest.
    town.live_until("2026-01-26").await;
    agrees("the rest was paid").await;
    town.refund(&bought[0], 20_000, "r-2").await;
    let stands = agrees("it was given back").await;
    let refund = told_of_it().await.into_iter().rfind(|event| event["kind"] == "refund").unwrap()["body"].clone();
    assert_eq!((&refund["principal_fell_fen"], &refund["owed_back_fen"]), (&json!(0), &json!(20_000)));
    let back = &stands["items"][0]["interest_back_fen"];
    assert!(fen(back) > 0);
    assert_eq!((&refund["interest_back_fen"], &refund["installments"][0]["interest_back_fen"]), (back, back));

    // The files of the two days say the same of that installment.
    town.live_until("2026-01-28").await;
    for column in ["principal_fell", "interest_fell", "interest_back"] {
        let sum = "select sum((sums ->> $1)::bigint)::bigint from funder_day_file where name = 'refund_parts.csv.gz'";
        let sum: i64 = sqlx::query_scalar(sum).bind(format!("{column}_fen")).fetch_one(&town.app.pool).await.unwrap();
        assert_eq!(sum, fen(&stands["items"][0][format!("{}_fen", column.replace("fell", "returned"))]), "{column}");
    }

    // Of what the merchant pays beside the borrower each loan says its own, and a remittance how it came about.
    let subsidies = "select sum((body ->> 'subsidy_fen')::bigint)::bigint from outbox where kind = 'loan_made'";
    let remitted = town.fen("select sum(subsidy_fen)::bigint from remittance").await;
    assert!(remitted > 0);
    assert_eq!(town.fen(subsidies).await, remitted);
    let wrong = "select count(*) from outbox where kind = 'remittance_paid'
                 and (body ->> 'amount_fen')::bigint <> (body ->> 'collected_fen')::bigint
                     + (body ->> 'subsidy_fen')::bigint - (body ->> 'share_fen')::bigint";
    let told = "select sum((body ->> 'subsidy_fen')::bigint)::bigint from outbox where kind = 'remittance_paid'";
    assert_eq!((town.fen(wrong).await, town.fen(told).await), (0, remitted));
    let of_its_day = "select count(*) from outbox o
                      join remittance r on 'rem_' || replace(r.remittance_id::text, '-', '') = o.body ->> 'remittance_id'
                      where o.kind = 'remittance_paid' and o.body ->> 'collected_day' = r.business_day::text";
    let paid = town.fen("select count(*) from outbox where kind = 'remittance_paid'").await;
    assert_eq!(town.fen(of_its_day).await, paid);
    crate::journey::told_as_documented(&town.app.pool).await;
    town.assert_whole("after refunds").await;
}
