//! The server over real HTTP: health, metrics, the start page, and what happens to bad requests.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use fenqi::app::App;
use fenqi::http::limits::BODY_BYTES_MAX;
use fenqi::router::{guarded, router};
use serde_json::Value;
use sqlx::PgPool;

use crate::browser::serve;
use crate::house;

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap()
}

async fn problem(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status);
    (status, problem["code"].as_str().unwrap().to_owned())
}

async fn open(pool: PgPool) -> App {
    house::open(pool, "2026-01-05").await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn health_readiness_metrics_and_the_start_page_answer(pool: PgPool) {
    let address = serve(router(open(pool).await)).await;
    let text = async |path: &str| client().get(format!("{address}{path}")).send().await.unwrap().text().await.unwrap();
    assert_eq!(text("/healthz").await, "ok\n");
    assert_eq!(text("/readyz").await, "ready\n");
    assert!(text("/").await.contains("2026年1月5日"));
    let metrics = text("/metrics").await;
    for name in ["fenqi_business_day_timestamp_seconds", "fenqi_jobs{status=\"dead\"}", "fenqi_outbox_pending"] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_close_that_hangs_makes_the_node_unready(pool: PgPool) {
    let app = open(pool.clone()).await;
    let hanging = "insert into close_run (business_day, started_at) values ('2026-01-04', $1)";
    sqlx::query(hanging).bind(app.clock.now() - chrono::TimeDelta::hours(2)).execute(&pool).await.unwrap();
    let address = serve(router(app)).await;
    let response = client().get(format!("{address}/readyz")).send().await.unwrap();
    assert_eq!(problem(response).await, (503, "close_stuck".to_owned()));
}

#[sqlx::test(migrations = false)]
async fn a_database_that_was_never_migrated_makes_the_node_unready(pool: PgPool) {
    let migrated = pool.clone();
    fenqi::database::migrate(&migrated).await.unwrap();
    let app = open(pool.clone()).await;
    sqlx::query("drop table _sqlx_migrations").execute(&pool).await.unwrap();
    let address = serve(router(app)).await;
    let response = client().get(format!("{address}/readyz")).send().await.unwrap();
    assert_eq!(problem(response).await, (503, "database_not_migrated".to_owned()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn bad_requests_are_problems_with_codes(pool: PgPool) {
    let app = open(pool).await;
    let routes = Router::new().route("/panic", get(panics)).route("/echo", post(async |body: String| body));
    let address = serve(guarded(routes, app)).await;
    let missing = client().get(format!("{address}/nothing")).send().await.unwrap();
    assert_eq!(problem(missing).await, (404, "not_found".to_owned()));
    let method = client().delete(format!("{address}/echo")).send().await.unwrap();
    assert_eq!(problem(method).await, (405, "method_not_allowed".to_owned()));
    let large = client().post(format!("{address}/echo")).body("x".repeat(BODY_BYTES_MAX + 1)).send().await.unwrap();
    assert_eq!(problem(large).await, (413, "body_too_large".to_owned()));
    let panicked = client().get(format!("{address}/panic")).send().await.unwrap();
    assert_eq!(problem(panicked).await, (500, "failed".to_owned()));
    let echoed = client().post(format!("{address}/echo")).body("still here").send().await.unwrap();
    assert_eq!(echoed.text().await.unwrap(), "still here");
}

async fn panics() -> &'static str {
    panic!("as a test wants it")
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_request_id_from_a_proxy_is_kept_if_it_is_plain(pool: PgPool) {
    let address = serve(router(open(pool).await)).await;
    let sent = async |id: &'static str| {
        let response = client().get(format!("{address}/healthz")).header("x-request-id", id).send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(sent("abcdef-0123456789").await, "abcdef-0123456789");
    assert!(sent("<script>").await.starts_with("req_"));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = fenqi::http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let refused = fenqi::http::bind(first.local_addr().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("is in use by another program; stop that one or set FENQI_LISTEN"), "{refused}");
}
