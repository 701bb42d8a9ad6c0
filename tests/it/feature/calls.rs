//! The interface log finds every call, in and out, by partner, object, outcome and time; its bodies are masked, and old calls are
//! removed after the retention time.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use fenqi::access::actions::PartnerChange;
use fenqi::access::{self, PartnerKind};
use fenqi::app::{App, Kept};
use fenqi::base::Clock;
use fenqi::credit::{RiskHook, actions};
use fenqi::demo::identity;
use fenqi::jobs::{JobKind, dispatch};
use fenqi::outbox::jobs::deliver_outbox;
use fenqi::partner::call_record::Ended;
use fenqi::partner::key::Algorithm;
use fenqi::partner::signature::Stamp;
use fenqi::partner::store::{CallSearch, FoundCall, search_calls};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::applicant::{ready, request, standard_product, steady};
use super::house_command::Program;
use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2027-12-31" };

async fn open(pool: PgPool) -> (Town, Desk, Desk) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let core = desk::of_core(&town.app, Algorithm::Sm2Sm3).await;
    let owner = Some(town.merchant_id.to_string());
    desk::add_partner(&town.app, "wang-cashier", PartnerKind::Merchant, owner).await;
    let cashier = core.with(desk::add_key(&town.app, "wang-cashier", "W-1", Algorithm::RsaSha256).await);
    (town, core, cashier)
}

async fn search(app: &App, search: CallSearch) -> Vec<FoundCall> {
    app.partners.flush_log().await;
    let mut connection = app.pool.acquire().await.unwrap();
    search_calls(&mut connection, &CallSearch { limit: 100, ..search }).await.unwrap()
}

/// Operations of the calls about something, the newest first.
async fn about(app: &App, object: &str) -> Vec<String> {
    let found = search(app, CallSearch { key: Some(object.to_owned()), ..Default::default() }).await;
    found.into_iter().map(|call| call.operation).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_call_is_found_by_partner_object_code_and_time(pool: PgPool) {
    let (town, core, cashier) = open(pool).await;
    let app = &town.app;
    core.get("/me").await.ok();
    let nothing = "loan_0197f3c2a4b07cc39b1c2d3e4f506172";
    let refused = core.get(&format!("/funder/loans/{nothing}")).await;
    assert_eq!(refused.problem(), (404, "not_found".into()));
    cashier.get("/me").await.ok();
    let of = |partner: &str| CallSearch { partner: text(partner), ..Default::default() };
    let calls = search(app, of("harbour-core")).await;
    assert_eq!((calls.len(), &*calls[0].direction, calls[0].http_status), (2, "in", Some(404)));
    assert_eq!((&*calls[1].operation, &*calls[1].outcome), ("GET /me", "ok"));
    assert_eq!(search(app, of("wang-cashier")).await.len(), 1);
    assert_eq!(search(app, of("somebody-else")).await.len(), 0);
    assert_eq!(about(app, nothing).await, ["GET /funder/loans/{loan_id}"]);
    let request_id = refused.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(about(app, &request_id).await.len(), 1, "by the id that the problem names");
    for (code, found) in [("not_found", 1), ("404", 1), ("refused", 1), ("200", 2), ("ok", 2), ("unknown", 0)] {
        let by_code = CallSearch { code: text(code), ..Default::default() };
        let calls: Vec<_> = search(app, by_code).await.into_iter().filter(|call| call.direction == "in").collect();
        assert_eq!(calls.len(), found, "{code}");
    }
    let (earlier, later) = (app.clock.now() - TimeDelta::minutes(1), app.clock.now() + TimeDelta::minutes(1));
    for (from, until, found) in
        [(Some(earlier), Some(later), 2), (Some(later), None, 0), (None, Some(earlier), 0), (None, None, 2)]
    {
        assert_eq!(search(app, CallSearch { from, until, ..of("harbour-core") }).await.len(), found);
    }
    for no_name in ["", " ", "a\u{0}b", &"x".repeat(200)] {
        assert_eq!(about(app, no_name).await, Vec::<String>::new(), "{no_name:?} is about nothing");
    }
    // Whoever is not believed is written down too, under nobody's name.
    let forged = core.send_raw("GET", "/api/v1/me", "Bearer x", &[], vec![]).await;
    assert_eq!(forged.problem().0, 401);
    let by_code = CallSearch { code: text("signature_malformed"), ..of("(not believed)") };
    assert_eq!(search(app, by_code).await.len(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_holds_a_key_is_masked_in_the_calls_of_its_partner(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    assert_eq!(core.get("/me").await.ok()["holder"], "holder of H-1");
    let deposit = json!({ "amount_fen": 500_000, "reference": "ICBC-1" });
    assert_eq!(core.post("/funder/reserve/deposits", "d-1", &deposit).await.ok()["noted_by"], "holder of H-1");
    let calls = search(&town.app, CallSearch { partner: text("harbour-core"), ..Default::default() }).await;
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert!(!call.response_masked.contains("holder of"), "{call:?}");
        assert!(call.response_masked.contains("*** H-1"), "{call:?}");
    }
    // A person's number where something of ours is to be named; whoever knows it finds the call all the same.
    core.get("/funder/loans/13812345678").await;
    core.get("/funder/loans/%31%33812345678").await;
    core.get("/funder/bills?line_id=%36222021234567894").await;
    let deposit = json!({ "amount_fen": 500_000, "reference": "138-1234-5678" });
    core.post("/funder/reserve/deposits", "d-2", &deposit).await.ok();
    let found = about(&town.app, "13812345678").await;
    assert_eq!(found[0], "POST /funder/reserve/deposits");
    assert_eq!(found[1..], ["GET /funder/loans/{loan_id}"; 2]);
    let plain = "select count(*) from partner_call
                 where concat_ws(' ', call_key, request_masked, response_masked, array_to_string(objects || codes, ' '))
                       ~ '3812345678|138-1234-5678|222021234567894'";
    assert_eq!(town.fen(plain).await, 0);
}

/// A call of ours, as it is written down.
async fn call_out(app: &App, partner: &str) {
    let call = Ended {
        partner,
        direction: "out",
        operation: "tell",
        call_key: "K-1",
        also: &[],
        request: &[],
        response: &[],
        outcome: "ok",
        http_status: Some(200),
        duration: Duration::ZERO,
        called_at: app.clock.now(),
    };
    app.partners.record(&call).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_is_found_in_and_out_by_any_of_its_names(pool: PgPool) {
    let (town, core, cashier) = open(pool).await;
    let app = &town.app;
    let other = core.stranger(app).await;
    desk::add_partner(app, "our-risk", PartnerKind::Risk, None).await;
    let risk = core.with(desk::add_key(app, "our-risk", "R-1", Algorithm::Sm2Sm3).await);
    for caller in [&core, &cashier, &other, &risk] {
        caller.get("/me").await.ok();
    }
    let merchant = format!("merchant:{}", town.merchant_id);
    for called in ["harbour-bank", "other-bank", merchant.as_str(), "risk", "payout"] {
        call_out(app, called).await;
    }
    let names: [&[&str]; 5] = [
        &["harbour-bank", "harbour-core"],
        &["other-bank", "other-core"],
        &[merchant.as_str(), "wang-cashier"],
        &["our-risk", "risk"],
        &["payout"],
    ];
    for names in names {
        for name in names {
            let found = search(app, CallSearch { partner: text(name), ..Default::default() }).await;
            let mut found: Vec<String> = found.into_iter().map(|call| call.partner).collect();
            found.sort();
            assert_eq!(found, names, "{name}");
        }
    }
    // The core that plays all funders in a trial house.
    call_out(app, "funder_core").await;
    let bare = town.merchant_id.to_string();
    let names = [("harbour-core", 3), ("harbour-bank", 3), ("funder_core", 1), ("wang-cashier", 2), (bare.as_str(), 2)];
    for (name, found) in names {
        let calls = search(app, CallSearch { partner: text(name), ..Default::default() }).await;
        assert_eq!(calls.len(), found, "{name}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn calls_of_one_risk_partner_are_not_shown_as_anothers(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    let app = &town.app;
    for (code, serial_no) in [("our-risk", "R-1"), ("their-risk", "R-2")] {
        desk::add_partner(app, code, PartnerKind::Risk, None).await;
        core.with(desk::add_key(app, code, serial_no, Algorithm::Sm2Sm3).await).get("/me").await.ok();
    }
    call_out(app, "risk").await;
    let found = async |name: &str, asked: Option<&str>| {
        let wanted = CallSearch { partner: text(name), risk_code: asked.map(str::to_owned), ..Default::default() };
        let mut found: Vec<String> = search(app, wanted).await.into_iter().map(|call| call.partner).collect();
        found.sort();
        found
    };
    assert_eq!(found("our-risk", Some("our-risk")).await, ["our-risk", "risk"]);
    assert_eq!(found("their-risk", Some("our-risk")).await, ["their-risk"]);
    assert_eq!(found("our-risk", None).await, ["our-risk"], "which of them we asked is not known");
    assert_eq!(found("risk", Some("our-risk")).await, ["our-risk", "risk", "their-risk"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_a_stranger_nothing_is_kept_but_that_it_asked(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    let app = &town.app;
    let (in_path, in_query) = ("loan_0197f3c2a4b07cc39b1c2d3e4f506172", "line_0197f3c2a4b07cc39b1c2d3e4f506173");
    let body = json!({ "reference": "R-OF-A-STRANGER" }).to_string().into_bytes();
    let path = format!("/api/v1/funder/loans/{in_path}?line_id={in_query}");
    let forged = core.send_raw("GET", &path, "Bearer x", &[], body.clone()).await;
    assert_eq!(forged.problem().0, 401);
    assert_eq!(core.send_raw("R-OF-A-STRANGER", &path, "Bearer x", &[], vec![]).await.status, 401);
    let called_back = core.http.post(format!("{}/partner/payout", core.address)).body(body).send().await.unwrap();
    assert_eq!(called_back.status(), 401);
    for named in [in_path, in_query, "R-OF-A-STRANGER"] {
        assert_eq!(about(app, named).await, Vec::<String>::new(), "{named}");
    }
    let strangers = CallSearch { partner: text("(not believed)"), ..Default::default() };
    let kept = search(app, strangers).await;
    assert_eq!(kept.len(), 3);
    for call in &kept {
        assert_eq!((&*call.request_masked, &*call.response_masked), ("", ""), "{call:?}");
        assert!(!call.operation.contains("STRANGER"), "{call:?}");
    }
    let request_id = forged.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(about(app, &request_id).await, ["GET /funder/loans/{loan_id}"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_names_the_object_under_which_a_call_is_written_down(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    let (loan, bare) = ("loan_0197f3c2a4b07cc39b1c2d3e4f506172", "0197f3c2a4b07cc39b1c2d3e4f506172");
    for id in [loan, bare] {
        let forged = core.send_raw("GET", "/api/v1/me", "Bearer x", &[("x-request-id", id)], vec![]).await;
        assert_eq!(forged.problem(), (401, "signature_malformed".into()));
        assert_eq!(core.send_with("GET", "/me", &[("x-request-id", id)], "").await.status, 200);
    }
    assert_eq!(about(&town.app, loan).await, Vec::<String>::new());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_signed_rightly_and_was_not_let_in_is_found_by_name(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    let change = async |change: PartnerChange| {
        let _ = access::change_partner(&town.app, "harbour-core", &change, "operator").await.unwrap();
    };
    let stamp = Stamp::fresh(Clock::System.now());
    assert_eq!(core.send_stamped("GET", "/me", &stamp, &[], "").await.status, 200);
    assert_eq!(core.send_stamped("GET", "/me", &stamp, &[], "").await.status, 401);
    change(PartnerChange { addresses: Some(vec!["203.0.113.0/24".parse().unwrap()]), ..Default::default() }).await;
    assert_eq!(core.get("/me").await.status, 403);
    change(PartnerChange { addresses: Some(vec![]), rate_per_minute: Some(1), ..Default::default() }).await;
    house::until("the rate of the minute is used up", async || core.get("/me").await.status == 429).await;
    for code in ["nonce_reused", "address_not_allowed", "rate_exceeded"] {
        let named = CallSearch { partner: text("harbour-core"), code: text(code), ..Default::default() };
        let found = search(&town.app, named).await;
        assert_eq!((found.len(), &*found[0].operation), (1, "GET /me"), "{code}");
        let nobody = CallSearch { partner: text("(not believed)"), code: text(code), ..Default::default() };
        assert_eq!(search(&town.app, nobody).await.len(), 0, "{code}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_call_in_is_found_under_everything_it_names(pool: PgPool) {
    let (town, core, cashier) = open(pool).await;
    let app = &town.app;
    let order = json!({ "reference": "A-1", "amount_fen": 128_800, "expires_at": "2026-01-05T20:00:00+08:00" });
    let order = cashier.post("/merchant/orders", "o-1", &order).await.ok();
    let line_id = town.open_lines(1, WISH).await[0];
    let wish = town.wish(line_id, "p-1", 128_800, ("harbour-standard", 12));
    let order_code = Some(order["order_id"].as_str().unwrap().parse().unwrap());
    let bought = town.buy(vec![fenqi::purchase::PurchaseRequest { order_code, ..wish }]).await;
    let purchase_id = bought[0].purchase_id.to_string();
    cashier.get("/merchant/orders/A-1").await.ok();
    town.close_today().await;
    fenqi::day_file::jobs::make_files(app).await.unwrap();
    let refunds = format!("/merchant/purchases/{purchase_id}/refunds");
    let refund = cashier.post(&refunds, "r-1", &json!({ "amount_fen": 100 })).await.ok();
    let refund_id = refund["refund_id"].as_str().unwrap().to_owned();
    cashier.get("/merchant/orders").await.ok();
    let loan_id = core.get("/funder/loans").await.ok()["items"][0]["loan_id"].as_str().unwrap().to_owned();
    core.get(&format!("/funder/loans/{loan_id}/plans")).await.ok();
    core.get(&format!("/funder/bills?line_id={line_id}")).await.ok();
    let file = core.send_with("GET", "/funder/days/2026-01-05/manifest", &[], "").await;
    assert_eq!(file.status, 200);
    let stamp = fenqi::partner::signature::Stamp::fresh(fenqi::base::Clock::System.now());
    let file = core.send_stamped("GET", "/funder/days/2026-01-05/files/loans.csv.gz", &stamp, &[], "").await;
    assert_eq!(file.status, 200);

    let of_order = about(app, "A-1").await;
    let refunded = "POST /merchant/purchases/{purchase_id}/refunds";
    assert_eq!(of_order, [refunded, "GET /merchant/orders/{reference}", "POST /merchant/orders"]);
    assert_eq!(about(app, order["order_id"].as_str().unwrap()).await.len(), 2);
    let of_purchase = about(app, &purchase_id).await;
    assert_eq!(of_purchase, ["POST /merchant/purchases/{purchase_id}/refunds", "GET /merchant/orders/{reference}"]);
    assert_eq!(about(app, &refund_id).await, ["POST /merchant/purchases/{purchase_id}/refunds"]);
    assert_eq!(about(app, &loan_id).await, ["GET /funder/loans/{loan_id}/plans"], "not the list that it stood in");
    assert_eq!(about(app, &line_id.to_string()).await, ["GET /funder/bills"]);
    assert_eq!(about(app, &line_id.uuid().to_string()).await, ["GET /funder/bills"], "as a partner knows it");
    assert_eq!(about(app, "loans.csv.gz").await, ["GET /funder/days/{business_day}/files/{name}"]);
    assert_eq!(about(app, "2026-01-05").await.len(), 2, "the day's manifest and its file");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_call_out_about_many_is_found_under_each(pool: PgPool) {
    let (town, _, _) = open(pool).await;
    let app = &town.app;
    let lines = town.open_lines(2, WISH).await;
    let wishes = lines.iter().enumerate();
    let wishes =
        wishes.map(|(number, line)| town.wish(*line, &format!("p-{number}"), 120_000, ("harbour-standard", 3)));
    town.buy(wishes.collect()).await;
    deliver_outbox(app).await.unwrap();
    let loans: Vec<fenqi::base::id::LoanId> =
        sqlx::query_scalar("select loan_id from loan order by loan_id").fetch_all(&app.pool).await.unwrap();
    let told = async |object: String| {
        let found = search(app, CallSearch { key: Some(object), ..Default::default() }).await;
        found.into_iter().filter(|call| call.operation == "deliver_events").map(|call| call.call_no).collect::<Vec<_>>()
    };
    let first = told(loans[0].to_string()).await;
    assert_eq!(first.len(), 1);
    assert_eq!(told(loans[1].to_string()).await, first, "one call about both");
    let event_no = town.fen("select max(message_no) from outbox where kind = 'loan_made'").await;
    assert_eq!(told(event_no.to_string()).await, first);

    town.live_until("2026-01-26").await;
    let orders: Vec<fenqi::base::id::WithholdingId> =
        sqlx::query_scalar("select withholding_id from withholding").fetch_all(&app.pool).await.unwrap();
    assert_eq!(orders.len(), 2);
    let mut calls = Vec::new();
    for order in &orders {
        let found = search(app, CallSearch { key: Some(order.to_string()), ..Default::default() }).await;
        calls.extend(found.into_iter().filter(|call| call.operation == "submit_orders").map(|call| call.call_no));
    }
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0], calls[1], "one batch with both orders");
    let payout: fenqi::base::id::PayoutId =
        sqlx::query_scalar("select payout_id from payout where status = 'succeeded'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert!(!about(app, &payout.to_string()).await.is_empty(), "under the payout, whichever its attempt");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_call_in_a_cores_own_words_is_found_under_what_it_is_about(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    let app = &town.app;
    // On a path of its own, and as a body in a batch; neither names anything of ours.
    for (kind, path) in [("loan_made", json!("/loan/made")), ("loan_voided", json!(null))] {
        let template = json!({ "template": { "path": path, "text": "{\"a\": 1}" } });
        let headers = [("if-match", "\"0\""), ("idempotency-key", kind)];
        let path = format!("/events/templates/{kind}");
        core.send_with("PUT", &path, &headers, &template.to_string()).await.ok();
    }
    let line_id = town.open_lines(1, WISH).await[0];
    let bought = town.buy(vec![town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3))]).await;
    deliver_outbox(app).await.unwrap();
    town.void(&bought[0]).await;
    deliver_outbox(app).await.unwrap();
    let loan_id: fenqi::base::id::LoanId =
        sqlx::query_scalar("select loan_id from loan").fetch_one(&app.pool).await.unwrap();
    for object in [loan_id.to_string(), line_id.to_string(), bought[0].purchase_id.to_string()] {
        let mut told = about(app, &object).await;
        told.retain(|operation| operation.starts_with("deliver_event"));
        assert_eq!(told[..2], ["deliver_events", "deliver_event"], "{object}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_personal_is_written_down(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let app = App { risk: Arc::new(RiskHook::Partner), ..app };
    let product = standard_product(&app).await;
    let applied = actions::apply(&app, request(ready(&app, 1).await, product, Some(steady()))).await.unwrap();
    assert_eq!(about(&app, &applied.application_id.to_string()).await, ["decide_applications"]);
    let card: fenqi::base::id::CardId =
        sqlx::query_scalar("select card_id from card_signing").fetch_one(&app.pool).await.unwrap();
    assert_eq!(about(&app, &card.to_string()).await, ["confirm_signing", "start_signing"]);
    let calls = search(&app, CallSearch::default()).await;
    for operation in ["start_signing", "confirm_signing", "decide_applications"] {
        assert!(calls.iter().any(|call| call.operation == operation && !call.request_masked.is_empty()), "{operation}");
    }
    let today = fenqi::base::BusinessDay::at(app.clock.now());
    let (mobile, card) = (identity::mobile(1), identity::card_number(1, 0));
    let (person, id_number) = (identity::name(1), identity::resident_id(1, 30, today));
    for secret in [mobile.reveal(), card.reveal(), person.reveal(), id_number.reveal(), &mobile.reveal()[5..]] {
        for call in &calls {
            let written = serde_json::to_string(call).unwrap();
            assert!(!written.contains(secret), "{} bears {secret}", call.operation);
        }
        let objects: i64 = sqlx::query_scalar("select count(*) from partner_call where $1 = any(objects || codes)")
            .bind(secret)
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(objects, 0, "{secret} can be looked for");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_call_is_removed_when_it_is_older_than_the_rule(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    let app = App { kept: Kept { calls_days: 30, ..town.app.kept }, ..town.app.clone() };
    core.get("/me").await.ok();
    search(&app, CallSearch::default()).await;
    let first = app.clock.now();
    app.clock.set(first + TimeDelta::days(20));
    core.get("/platform-keys").await.ok();
    let mine = async || {
        let of_core = CallSearch { partner: text("harbour-core"), ..Default::default() };
        search(&app, of_core).await.into_iter().map(|call| call.operation).collect::<Vec<_>>()
    };
    app.clock.set(first + TimeDelta::days(29));
    access::jobs::forget_old(&app).await.unwrap();
    assert_eq!(mine().await, ["GET /platform-keys", "GET /me"]);
    app.clock.set(first + TimeDelta::days(31));
    access::jobs::forget_old(&app).await.unwrap();
    assert_eq!(mine().await, ["GET /platform-keys"]);
    app.clock.set(first + TimeDelta::days(51));
    // As the timetable does every night.
    dispatch::run(&app, JobKind::PruneJobs).await.unwrap();
    assert_eq!(search(&app, CallSearch::default()).await.len(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn calls_that_a_clock_has_dated_ahead_keep_only_themselves(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let app = App { kept: Kept { calls_days: 30, ..app.kept }, ..app };
    let calls = "insert into partner_call (call_no, partner, direction, operation, call_key, request_sha256, outcome,
                                           duration_micros, request_masked, response_masked, called_at)
                 overriding system value
                 select call_no, 'sms', 'out', 'send', 'a key', sha256('a request'), 'accepted', 0, '', '',
                        $1::timestamptz + case when call_no <= 60000 then interval '400 days'
                                               when call_no = 90000 then interval '0'
                                               else interval '-40 days' end
                 from unnest(array[1, 30000, 60000, 90000, 120000, 150000]) as call_no";
    sqlx::query(calls).bind(app.clock.now()).execute(&app.pool).await.unwrap();
    access::jobs::forget_old(&app).await.unwrap();
    let kept = "select call_no from partner_call order by call_no";
    let kept: Vec<i64> = sqlx::query_scalar(kept).fetch_all(&app.pool).await.unwrap();
    assert_eq!(kept, [1, 30_000, 60_000, 90_000]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_strangers_odd_request_costs_no_other_call_its_row(pool: PgPool) {
    let (town, core, _) = open(pool).await;
    core.get("/me").await.ok();
    let long = core.get(&format!("/funder/loans/{}", "x".repeat(9_000))).await;
    assert_eq!(long.problem().0, 404);
    let written = search(&town.app, CallSearch { partner: text("harbour-core"), ..Default::default() }).await;
    let operations: Vec<&str> = written.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["GET /funder/loans/{loan_id}", "GET /me"]);
    assert!(written.iter().all(|call| call.call_key.len() <= 128));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_method_or_a_day_that_no_operation_knows_is_the_callers_fault(pool: PgPool) {
    let (_, core, _) = open(pool).await;
    for method in ["HEAD", "OPTIONS"] {
        let refused = core.send(method, "/me", None, "").await;
        assert_eq!((refused.status, refused.header("allow")), (405, "GET"), "{method}");
    }
    // A page may begin after a day, but not after one that no calendar has.
    for (path, rows, day) in
        [("/funder/days", "DayView", "-4800-01-01"), ("/funder/remittances", "RemittanceView", "+99999-01-01")]
    {
        let key = format!("[\"{rows}\",\"{day}\"]");
        let cursor = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, key);
        let refused = core.get(&format!("{path}?cursor={cursor}")).await;
        assert_eq!(refused.problem(), (400, "cursor_malformed".into()));
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_operator_searches_by_command_and_a_program_reads_what_is_found(pool: PgPool) {
    let (town, core, _) = open(pool.clone()).await;
    core.get("/me").await.ok();
    let nothing = core.get("/funder/loans/loan_0197f3c2a4b07cc39b1c2d3e4f506172").await;
    assert_eq!(nothing.problem(), (404, "not_found".into()));
    town.app.partners.flush_log().await;
    let fenqi = Program::on(&pool).await;
    let search = |until: &'static str, more: &[&'static str]| {
        let search = ["calls", "--partner", "harbour-bank", "--code", "not_found", "--until", until];
        fenqi.done(&[&search[..], &["--from", "2026-01-05T10:00:00+08:00"], more].concat())
    };
    let told = search("2026-01-05T10:30:00+08:00", &[]);
    assert!(
        told.contains(" in harbour-core GET /funder/loans/{loan_id} refused 404 (not_found) ")
            && told.lines().count() == 1,
        "{told}"
    );
    let number = told.split(' ').next().unwrap();
    let older = fenqi.done(&["calls", "--partner", "harbour-bank", "--before", number]);
    assert!(older.contains(" GET /me ok 200 ") && older.lines().count() == 1, "{older}");
    let told: Value = serde_json::from_str(&search("2026-01-05T02:30:00Z", &["--json"])).unwrap();
    assert_eq!(
        (&told["http_status"], &told["call_key"]),
        (&json!(404), &json!("loan_0197f3c2a4b07cc39b1c2d3e4f506172"))
    );
    assert_eq!(told["codes"], json!(["404", "not_found", "refused"]));
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(told["request_sha256"], of_nothing, "it had no body");
    assert_eq!(search("2026-01-05T10:00:00+08:00", &[]), "", "before it");
    assert_eq!(fenqi.done(&["calls", "--key", ""]), "", "about nothing");
    // A partner that is misspelt is told from one that was not called.
    let misspelt = fenqi.remarked(&["calls", "--partner", "harbor-bank"]);
    assert!(
        misspelt.contains("no call at all of harbor-bank") && misspelt.contains("fenqi partner list"),
        "{misspelt}"
    );
    let quiet = fenqi.remarked(&["calls", "--partner", "harbour-bank", "--from", "2026-01-06T00:00:00+08:00"]);
    assert!(!quiet.contains("no call at all"), "{quiet}");
}
