//! The API gate finishes every call it admits, also if the caller is gone: the answer is signed, the call is logged under its partner,
//! and its idempotency key is stored or released. Other calls are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::http::api::{Gate, Pieced, gate};
use fenqi::partner::key::Algorithm;
use fenqi::partner::signature::Stamp;
use fenqi::partner::store::{CallSearch, FoundCall, search_calls};
use fenqi::router::{api_document, guarded};
use futures_util::stream;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::api_access::open;
use crate::desk;
use crate::house;

const DRAFTS: &str = "/funder/product-drafts";

fn draft() -> Value {
    json!({ "terms_text": include_str!("../../../products/standard.toml") })
}

/// The funder's calls that ended so, the newest first.
async fn calls(app: &App, code: &str) -> Vec<FoundCall> {
    app.partners.flush_log().await;
    let (partner, code) = (Some("harbour-core".to_owned()), Some(code.to_owned()));
    let search = CallSearch { partner, code, limit: 100, ..Default::default() };
    search_calls(&mut app.pool.acquire().await.unwrap(), &search).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_hangs_up_half_way_finds_its_answer_under_its_key(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let (path, body) = (format!("/api/v1{DRAFTS}"), draft().to_string());
    let half_way = [("lock table product_draft in share mode", "d-1"), ("lock table api_rate in share mode", "d-2")];
    for (lock, key) in half_way {
        let mut held = fenqi::database::begin(&app.pool).await.unwrap();
        sqlx::query(lock).execute(&mut *held).await.unwrap();
        let stamp = Stamp::fresh(Clock::System.now());
        let authorization = desk.identity.authorization("POST", &path, &stamp, body.as_bytes());
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(desk.address.trim_start_matches("http://")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        house::until_somebody_waits(&app.pool).await;
        // Whoever says no more is gone, as far as the server sees: once it has noticed, it hangs up, too.
        stream.shutdown().await.unwrap();
        let end = tokio::time::timeout(house::PATIENCE, stream.read(&mut [0])).await.expect("the server hangs up");
        assert_eq!(end.unwrap(), 0, "nobody is answered");
        held.rollback().await.unwrap();
        let again = desk.post_until_answered(DRAFTS, key, &draft()).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{again:?}");
    }
    assert_eq!(desk.get(DRAFTS).await.ok()["items"].as_array().unwrap().len(), 2);
    // That is done after the answer was kept.
    house::until("the calls that nobody waited for are written down", async || calls(&app, "201").await.len() >= 4)
        .await;
    assert_eq!(calls(&app, "201").await.len(), 4, "as those that found their answers, each once");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_panic_is_answered_in_our_signature_and_written_down_and_gives_its_key_back(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let is_broken = Arc::new(AtomicBool::new(true));
    let handler = move || {
        let is_broken = is_broken.clone();
        async move {
            assert!(!is_broken.swap(false, Ordering::Relaxed), "a bug of ours");
            StatusCode::CREATED
        }
    };
    let state = Gate::new(app.clone(), api_document().operations);
    let routes = Router::new().route(&format!("/api/v1{DRAFTS}"), post(handler));
    let routes = routes.layer(from_fn_with_state(state, gate::gate));
    let desk = desk.at(house::serve(guarded(routes, app.clone())).await);
    let failed = desk.post(DRAFTS, "d-1", &draft()).await;
    assert_eq!(failed.problem(), (500, "failed".into()));
    assert_eq!(failed.header("ratelimit-limit"), "1000000");
    assert_eq!(calls(&app, "failed").await.len(), 1);
    assert_eq!(desk.post(DRAFTS, "d-1", &draft()).await.status, 201, "its key is free again");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn before_its_first_day_is_opened_every_operation_says_so_and_keeps_no_key(pool: PgPool) {
    let (app, desk) = open(pool.clone()).await;
    sqlx::query("delete from business_day").execute(&pool).await.unwrap();
    for path in ["/me", "/platform-keys", DRAFTS] {
        let told = desk.get(path).await;
        assert_eq!(told.problem(), (503, "house_not_open".into()), "{path}");
        assert!(
            !told.json()["detail"].as_str().unwrap().contains("fenqi house"),
            "that is the operator's to do: {told:?}"
        );
    }
    assert_eq!(desk.post(DRAFTS, "d-1", &draft()).await.problem(), (503, "house_not_open".into()));
    assert_eq!(calls(&app, "house_not_open").await.len(), 4, "they are written down as any other");
    let mut connection = pool.acquire().await.unwrap();
    assert!(fenqi::business_day::store::open(&mut connection, "2026-01-05".parse().unwrap()).await.unwrap());
    assert_eq!(desk.get("/me").await.ok()["business_day"], "2026-01-05", "as soon as it is open");
    assert_eq!(desk.post(DRAFTS, "d-1", &draft()).await.status, 201);
}

/// The time of a request runs from its first byte, so that no layer around the gate is the first to lose patience.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_body_that_does_not_come_to_its_end_is_answered_in_our_form(pool: PgPool) {
    let (app, _) = open(pool).await;
    let operations = api_document().operations;
    let state = Gate { patience: Duration::from_millis(300), ..Gate::new(app.clone(), operations) };
    let routes = Router::new().route(&format!("/api/v1{DRAFTS}"), post(served));
    let address = house::serve(guarded(routes.layer(from_fn_with_state(state, gate::gate)), app)).await;
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
    let request = format!("POST /api/v1{DRAFTS} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{{}}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(house::PATIENCE, stream.read(&mut piece)).await;
        let read = read.expect("the gate's patience ends first").unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(!head.to_ascii_lowercase().contains("fenqi-signature"), "who asks was not seen yet: {head}");
    assert_eq!((&problem["code"], &problem["type"]), (&json!("timed_out"), &json!("/api/docs/problems#timed_out")));
    assert!(!problem["request_id"].as_str().unwrap().is_empty());
}

/// As most programs do. A connection that is closed before they have sent everything is reset, and they never see the answer.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_sends_far_too_much_and_only_then_listens_is_told_so(pool: PgPool) {
    let (_, desk) = open(pool).await;
    let body = vec![b' '; 10 << 20];
    let head = format!(
        "POST /api/v1{DRAFTS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(desk.address.trim_start_matches("http://")).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"code\":\"body_too_large\""), "{answer}");
}

async fn served() -> &'static str {
    "everything about everybody"
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_not_in_the_document_is_not_served_though_a_route_is_there(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let state = Gate::new(app.clone(), api_document().operations);
    let routes = Router::new()
        .route("/api/v1/funder/forgotten", get(served).post(served))
        .route("/api/v1/funder/loans", get(served).delete(served));
    let desk = desk.at(house::serve(guarded(routes.layer(from_fn_with_state(state, gate::gate)), app)).await);
    assert_eq!(desk.get("/funder/forgotten").await.problem(), (404, "not_found".into()));
    assert_eq!(desk.post("/funder/forgotten", "f-1", &Value::Null).await.problem(), (404, "not_found".into()));
    let deleted = desk.send("DELETE", "/funder/loans", Some("f-2"), "").await;
    assert_eq!(deleted.problem(), (405, "method_not_allowed".into()));
    assert_eq!(desk.get("/funder/loans").await.status, 200, "it is the document's, whoever serves it");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_refused_for_its_form_or_an_old_tag_is_mended_under_its_key(pool: PgPool) {
    let (_, desk) = open(pool).await;
    let deposits = "/funder/reserve/deposits";
    let put = async |key: &str, tag: Option<&str>, body: &Value| {
        let tag = tag.map(|tag| ("if-match", tag));
        let headers: Vec<_> = [Some(("idempotency-key", key)), tag].into_iter().flatten().collect();
        desk.send_with("PUT", "/funder/reserve/low-water-mark", &headers, &body.to_string()).await
    };
    let missing = desk.post(deposits, "d-1", &json!({ "amount_fen": 100 })).await;
    assert_eq!(missing.problem(), (400, "missing_field".into()));
    let text = [("idempotency-key", "d-1"), ("content-type", "text/plain")];
    assert_eq!(desk.send_with("POST", deposits, &text, "{}").await.problem().0, 415);
    let whole = json!({ "amount_fen": 100, "reference": "ICBC-1" });
    let packed = [("idempotency-key", "d-1"), ("content-encoding", "gzip")];
    let refused = desk.send_with("POST", deposits, &packed, &whole.to_string()).await;
    assert_eq!(refused.problem(), (415, "media_type_not_supported".into()));
    assert_eq!(desk.post(deposits, "d-1", &whole).await.status, 201);

    let (body, tag) = (json!({ "low_water_fen": 700_000 }), "\"1\"");
    assert_eq!(put("l-1", None, &body).await.problem(), (428, "precondition_required".into()));
    assert_eq!(put("l-1", Some("\"7\""), &body).await.problem(), (412, "precondition_failed".into()));
    assert_eq!(put("l-1", Some(tag), &body).await.status, 200, "after it was read again");
    let again = put("l-1", Some(tag), &body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
    let other = put("l-1", Some("\"2\""), &body).await;
    assert_eq!(other.problem(), (409, "idempotency_key_reused".into()), "what was read is part of the request");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_a_header_that_is_given_twice_none_is_passed_over(pool: PgPool) {
    let (_, desk) = open(pool).await;
    let me = "/api/v1/me";
    let right = desk.identity.authorization("GET", me, &Stamp::fresh(Clock::System.now()), b"");
    let twice = desk.send_raw("GET", me, &right, &[("authorization", "Bearer x")], vec![]).await;
    assert_eq!(twice.problem(), (401, "signature_malformed".into()));
    assert_eq!(desk.send_raw("GET", me, &right, &[], vec![]).await.status, 200, "no nonce was burnt");

    let body = json!({ "low_water_fen": 700_000 }).to_string();
    let put = async |more: &[(&str, &str)]| {
        let once = [("idempotency-key", "l-1"), ("if-match", "\"1\"")];
        desk.send_with("PUT", "/funder/reserve/low-water-mark", &[&once[..], more].concat(), &body).await
    };
    assert_eq!(put(&[("if-match", "\"2\"")]).await.problem(), (412, "precondition_failed".into()));
    let types = [("content-type", "application/json"), ("content-type", "text/plain")];
    assert_eq!(put(&types).await.problem(), (415, "media_type_not_supported".into()));
    assert_eq!(put(&[]).await.status, 200);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_larger_than_may_be_held_is_signed_all_the_same(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let state = Gate::new(app.clone(), api_document().operations);
    let pieces = || stream::iter((0..20).map(|number| Ok(Bytes::from(vec![b'a' + number; 1 << 20]))));
    let routes = Router::new().route("/api/v1/funder/loans", get(async move || Pieced::new(pieces)));
    let routes = routes.layer(from_fn_with_state(state, gate::gate));
    let desk = desk.at(house::serve(guarded(routes, app.clone())).await);
    let rsa = desk.with(desk::add_key(&app, "harbour-core", "H-2", Algorithm::RsaSha256).await);
    for desk in [&desk, &rsa] {
        let answer = desk.get("/funder/loans").await;
        assert_eq!((answer.status, answer.bytes.len()), (200, 20 << 20));
        assert_eq!(answer.header("ratelimit-limit"), "1000000");
    }
    assert_eq!(calls(&app, "200").await.len(), 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_that_breaks_off_as_it_is_read_is_a_failure_in_our_signature(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let state = Gate::new(app.clone(), api_document().operations);
    let pieces = || stream::iter([Ok(Bytes::from_static(b"half")), Err(anyhow::anyhow!("the rest is gone"))]);
    let routes = Router::new().route("/api/v1/funder/loans", get(async move || Pieced::new(pieces)));
    let routes = routes.layer(from_fn_with_state(state, gate::gate));
    let desk = desk.at(house::serve(guarded(routes, app.clone())).await);
    let failed = desk.get("/funder/loans").await;
    assert_eq!(failed.problem(), (500, "failed".into()));
    assert_eq!(failed.header("ratelimit-limit"), "1000000");
    assert_eq!(failed.json()["request_id"], failed.header("x-request-id"));
    assert_eq!(calls(&app, "failed").await.len(), 1);
}

/// Reading a long answer to sign it takes its time, too.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_that_is_read_for_too_long_is_told_to_be_late_in_our_signature(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let state = Gate { patience: Duration::from_secs(3), ..Gate::new(app.clone(), api_document().operations) };
    let endless = async || Pieced::new(stream::pending::<anyhow::Result<Bytes>>);
    let routes = Router::new().route("/api/v1/funder/loans", get(endless));
    let routes = routes.layer(from_fn_with_state(state, gate::gate));
    let desk = desk.at(house::serve(guarded(routes, app.clone())).await);
    let late = desk.get("/funder/loans").await;
    assert_eq!(late.problem(), (503, "timed_out".into()));
    assert_eq!(late.header("ratelimit-limit"), "1000000");
    assert_eq!(late.json()["type"], "/api/docs/problems#timed_out");
    assert_eq!(calls(&app, "timed_out").await.len(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_cannot_be_let_in_in_time_is_told_so_in_our_form(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let state = Gate { patience: Duration::from_millis(300), ..Gate::new(app.clone(), api_document().operations) };
    let routes = Router::new().route("/api/v1/me", get(served)).layer(from_fn_with_state(state, gate::gate));
    let desk = desk.at(house::serve(guarded(routes, app.clone())).await);
    let mut held = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::query("lock table api_rate in share mode").execute(&mut *held).await.unwrap();
    let late = desk.send_stamped("GET", "/me", &Stamp::fresh(Clock::System.now()), &[], "").await;
    assert_eq!(late.problem(), (503, "timed_out".into()));
    assert_eq!(late.json()["type"], "/api/docs/problems#timed_out");
    assert_eq!(late.json()["request_id"], late.header("x-request-id"));
    assert_eq!(late.header("fenqi-signature"), "", "nobody knows yet who asks");
    held.rollback().await.unwrap();
    house::until("the call itself goes on, and is written down", async || {
        calls(&app, "200").await.len() + calls(&app, "503").await.len() == 1
    })
    .await;
}
