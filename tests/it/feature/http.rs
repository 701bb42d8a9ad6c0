//! The server over real HTTP: health, metrics, the start page, and the handling of bad requests.

use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use fenqi::access::Directory;
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::http::limits::BODY_BYTES_MAX;
use fenqi::http::{bind, serve_health};
use fenqi::page::Site;
use fenqi::partner::Partners;
use fenqi::router::{guarded, router};
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, PgPool};
use tokio::process::{Child, Command};

use super::launcher::signal;
use crate::browser::Browser;
use crate::wire::Wire;
use crate::{desk, house};

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(house::PATIENCE).build().unwrap()
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
    let address = desk::serve(&open(pool).await).await;
    let text = async |path: &str| client().get(format!("{address}{path}")).send().await.unwrap().text().await.unwrap();
    assert_eq!(text("/healthz").await, "ok\n");
    assert_eq!(text("/readyz").await, "ready\n");
    assert!(text("/").await.contains("2026年1月5日"));
    let metrics = text("/metrics").await;
    for name in [
        "fenqi_business_day_timestamp_seconds",
        "fenqi_jobs{status=\"dead\"}",
        "fenqi_outbox_pending",
        "fenqi_outbox_dead",
        "fenqi_outbox_partners{state=\"left_alone\"}",
        "fenqi_partners_down",
        "fenqi_calendar_ends_timestamp_seconds",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn metrics_answer_only_to_whom_the_house_names(pool: PgPool) {
    let app = open(pool.clone()).await;
    let asked = async |app: &App, forwarded: &[&str]| {
        let address = desk::serve(app).await;
        let request = client().get(format!("{address}/metrics"));
        let request =
            forwarded.iter().fold(request, |request, line| request.header("x-forwarded-for", line.as_bytes()));
        request.send().await.unwrap()
    };
    assert_eq!(asked(&app, &[]).await.status(), 200);
    // Passed on by a proxy that nobody has named, which itself is near.
    let passed_on = asked(&app, &["6.6.6.6"]).await;
    assert_eq!(problem(passed_on).await, (404, "not_found".to_owned()));
    let elsewhere = App { metrics_from: ["203.0.113.7".parse().unwrap()].into(), ..app.clone() };
    assert_eq!(problem(asked(&elsewhere, &[]).await).await, (404, "not_found".to_owned()));
    // Only a proxy of ours says where else a request came from, and what it added last is what counts.
    let claimed = asked(&elsewhere, &["203.0.113.7"]).await;
    assert_eq!(problem(claimed).await, (404, "not_found".to_owned()));
    let proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let directory = Directory::new(pool, elsewhere.vault.clone(), Clock::System).behind(proxies);
    let behind = App { access: Arc::new(directory), ..elsewhere };
    assert_eq!(asked(&behind, &["203.0.113.7"]).await.status(), 200);
    assert_eq!(asked(&behind, &["6.6.6.6", "203.0.113.7"]).await.status(), 200);
    assert_eq!(
        asked(&behind, &["é, 203.0.113.7"]).await.status(),
        200,
        "what a caller begins the line with hides nobody"
    );
    let nobody = asked(&behind, &["203.0.113.7", "é"]).await;
    assert_eq!(problem(nobody).await, (404, "not_found".to_owned()));
    let forged = asked(&behind, &["203.0.113.7", "6.6.6.6"]).await;
    assert_eq!(problem(forged).await, (404, "not_found".to_owned()));
    assert_eq!(problem(asked(&behind, &[]).await).await, (404, "not_found".to_owned()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_node_that_only_works_shows_its_health_and_metrics_and_nothing_else(pool: PgPool) {
    let app = open(pool).await;
    let listener = bind("127.0.0.1:0".parse().unwrap(), "--listen").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve_health(listener, app));
    let ask = |path: &str| client().get(format!("{address}{path}"));
    for (path, begins) in [("/healthz", "ok\n"), ("/readyz", "ready\n"), ("/metrics", "#")] {
        let text = ask(path).send().await.unwrap().text().await.unwrap();
        assert!(text.starts_with(begins), "{path}: {text}");
    }
    let passed_on = ask("/metrics").header("x-forwarded-for", "6.6.6.6").send().await.unwrap();
    assert_eq!(problem(passed_on).await, (404, "not_found".to_owned()));
    for path in ["/", "/sign-in", "/api/v1/me", "/api/docs"] {
        assert_eq!(problem(ask(path).send().await.unwrap()).await, (404, "not_found".to_owned()), "{path}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_program_that_only_works_listens_where_it_is_told_and_ends_when_it_is_told(pool: PgPool) {
    // Its clock is the system's.
    let app = house::open(pool, &house::today_for_long().await.to_string()).await;
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&app.pool).await.unwrap();
    let (free, taken) = (house::free_address(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let mut node = Command::new(env!("CARGO_BIN_EXE_fenqi"))
        .args(["work", "--workers", "1", "--listen", &free])
        .current_dir(std::env::temp_dir())
        .env("DATABASE_URL", house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name))
        .env("FENQI_MASTER_KEY", house::MASTER_KEY)
        .env("FENQI_CALENDAR_FILE", house::CALENDAR_FILE)
        // The command line is what counts: there it could not listen.
        .env("FENQI_WORK_LISTEN", taken.local_addr().unwrap().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let scraper = client();
    let ask = |path: &str| scraper.get(format!("http://{free}{path}")).send();
    house::until("the node is ready", async || {
        assert!(node.try_wait().unwrap().is_none(), "the program ended by itself");
        ask("/readyz").await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let metrics = ask("/metrics").await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nfenqi_database_connections "), "{metrics}");
    assert_eq!(problem(ask("/sign-in").await.unwrap()).await, (404, "not_found".to_owned()));
    // Its connection is still open, and holds up nothing.
    signal(node.id().unwrap(), "-TERM");
    assert!(node.wait().await.unwrap().success());
    assert!(ask("/healthz").await.is_err());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn programs_end_where_the_machine_of_their_database_is_gone(pool: PgPool) {
    let app = house::open(pool, &house::today_for_long().await.to_string()).await;
    let (wire, options) = Wire::lay(&app.pool).await;
    let nodes = start_both(options.to_url_lossy().as_str()).await;
    // Over these connections nothing is asked but whether the machine is there.
    let watching = "select count(*) from pg_stat_activity
                    where datname = current_database() and application_name = 'fenqi' and state = 'idle' and query = ''";
    house::until("both watch the machine", async || {
        sqlx::query_scalar::<_, i64>(watching).fetch_one(&app.pool).await.unwrap() == 2
    })
    .await;
    wire.fall_silent();
    drop(wire);
    assert_end_with(nodes, "the database's machine is gone").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn programs_that_were_forgotten_end_once_a_newer_one_has_migrated_their_database(pool: PgPool) {
    let app = house::open(pool, &house::today_for_long().await.to_string()).await;
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&app.pool).await.unwrap();
    let nodes = start_both(&house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name)).await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9000, 'from the future', true, '\\x00', 0)";
    sqlx::query(newer).execute(&app.pool).await.unwrap();
    assert_end_with(nodes, "this database was migrated by a newer fenqi").await;
}

/// `fenqi serve` and `fenqi work` on this database, ready.
async fn start_both(database_url: &str) -> [Child; 2] {
    let start = |command: &str| {
        let free = house::free_address();
        let node = Command::new(env!("CARGO_BIN_EXE_fenqi"))
            .args([command, "--listen", &free])
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", database_url)
            .env("FENQI_MASTER_KEY", house::MASTER_KEY)
            .env("FENQI_CALENDAR_FILE", house::CALENDAR_FILE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        (node, format!("http://{free}/readyz"))
    };
    let nodes = ["serve", "work"].map(start);
    for (_, readyz) in &nodes {
        let is_ready = async || client().get(readyz).send().await.is_ok_and(|answer| answer.status() == 200);
        house::until("the program is ready", is_ready).await;
    }
    nodes.map(|(node, _)| node)
}

/// Each ends by itself, and says why.
async fn assert_end_with(nodes: [Child; 2], why: &str) {
    for node in nodes {
        let ended = tokio::time::timeout(house::PATIENCE, node.wait_with_output()).await.expect("it goes on").unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(1) && told.contains(why), "{told}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_node_without_an_address_to_go_by_shows_no_metrics(pool: PgPool) {
    let address = house::serve(router(open(pool).await)).await;
    let response = client().get(format!("{address}/metrics")).send().await.unwrap();
    assert_eq!(problem(response).await, (404, "not_found".to_owned()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_start_page_shows_how_a_house_stands_only_in_a_trial(pool: PgPool) {
    let secrets = ["Reserve by funder", "Harbour Bank", "/metrics"];
    let app = open(pool).await;
    let bank = "insert into funder values ($1, 'harbour-bank', 'Harbour Bank', now())";
    let reserve = "insert into reserve (funder_id) values ($1)";
    for statement in [bank, reserve] {
        sqlx::query(statement).bind(uuid::Uuid::nil()).execute(&app.pool).await.unwrap();
    }
    let shown = async |app: &App| Browser::open(app).await.get("/").await.text;
    let real = shown(&app).await;
    assert!(secrets.iter().all(|secret| !real.contains(secret)), "{real}");
    let partners = Partners::new(&[], app.pool.clone(), app.clock.clone()).unwrap().in_trial().unwrap();
    let trial = shown(&App { partners: Arc::new(partners), ..app }).await;
    assert!(secrets.iter().all(|secret| trial.contains(secret)), "{trial}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_close_that_hangs_is_told_by_a_node_that_is_ready_and_without_its_database_none_is(pool: PgPool) {
    let app = open(pool.clone()).await;
    let hanging = "insert into close_run (business_day, started_at) values ('2026-01-04', $1)";
    sqlx::query(hanging).bind(app.clock.now() - chrono::TimeDelta::hours(2)).execute(&pool).await.unwrap();
    let address = desk::serve(&app).await;
    // Other houses of this process tell of theirs under the same name.
    house::until("the metrics tell how long it has been running", async || {
        let metrics = client().get(format!("{address}/metrics")).send().await.unwrap().text().await.unwrap();
        metrics.contains("fenqi_close_running_seconds 72")
    })
    .await;
    let response = client().get(format!("{address}/readyz")).send().await.unwrap();
    // People buy and repay meanwhile, and every other node says the same.
    assert_eq!(response.status(), 200);
    let told = response.text().await.unwrap();
    assert!(told.starts_with("ready, but close_stuck: "), "{told}");
    // A database that is gone makes it unready, and it lives all the same.
    pool.close().await;
    let response = client().get(format!("{address}/readyz")).send().await.unwrap();
    assert_eq!(problem(response).await, (503, "database_unreachable".to_owned()));
    let response = client().get(format!("{address}/healthz")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok\n");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn before_its_first_day_is_opened_the_node_is_unready_and_its_pages_say_so(pool: PgPool) {
    let app = open(pool.clone()).await;
    sqlx::query("delete from business_day").execute(&pool).await.unwrap();
    let address = desk::serve(&app).await;
    for path in ["/readyz", "/apply", "/m"] {
        let response = client().get(format!("{address}{path}")).send().await.unwrap();
        assert_eq!(problem(response).await, (503, "house_not_open".to_owned()), "{path}");
    }
    let mut browser = Browser::at(&address);
    let shown = browser.get("/apply").await;
    assert!(shown.status == 503 && shown.text.contains("has not opened yet"), "{}", shown.text);
    // Whoever installs it looks at the start page first.
    browser.get("/").await.has_status(200).shows("<code>fenqi house open --date YYYY-MM-DD</code>");
    let mut connection = pool.acquire().await.unwrap();
    assert!(fenqi::business_day::store::open(&mut connection, "2026-01-05".parse().unwrap()).await.unwrap());
    assert_ne!(browser.get("/apply").await.status, 503, "as soon as it is open");
    assert_eq!(client().get(format!("{address}/readyz")).send().await.unwrap().status(), 200);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn health_and_metrics_say_soon_that_no_connection_is_free(pool: PgPool) {
    let app = open(pool.clone()).await;
    // As a database that is gone does, a pool that is taken keeps whoever asks waiting: longer than a request may take.
    let one = PgPoolOptions::new().max_connections(1).connect_with((*pool.connect_options()).clone()).await.unwrap();
    let _taken = one.acquire().await.unwrap();
    let address = desk::serve(&App { pool: one.clone(), ..app }).await;
    let ask = async |path: &str| client().get(format!("{address}{path}")).send().await.unwrap();
    let (ready, metrics, alive) = tokio::join!(ask("/readyz"), ask("/metrics"), ask("/healthz"));
    for answer in [ready, metrics] {
        assert_eq!(problem(answer).await, (503, "database_unreachable".to_owned()));
    }
    assert_eq!(alive.text().await.unwrap(), "ok\n");
}

#[sqlx::test(migrations = false)]
async fn a_database_that_was_never_migrated_makes_the_node_unready(pool: PgPool) {
    let migrated = pool.clone();
    fenqi::database::migrate(&migrated).await.unwrap();
    let app = open(pool.clone()).await;
    sqlx::query("drop table _sqlx_migrations").execute(&pool).await.unwrap();
    let address = house::serve(router(app)).await;
    let response = client().get(format!("{address}/readyz")).send().await.unwrap();
    assert_eq!(problem(response).await, (503, "database_not_migrated".to_owned()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn bad_requests_are_problems_with_codes(pool: PgPool) {
    let app = open(pool).await;
    let routes = Router::new().route("/panic", get(panics)).route("/echo", post(async |body: String| body));
    let address = house::serve(guarded(routes, app)).await;
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
async fn a_site_that_is_encrypted_is_asked_for_by_no_other_way(pool: PgPool) {
    let app = open(pool).await;
    let plain = desk::serve(&app).await;
    let encrypted = desk::serve(&App { site: Site::at("https://pay.example.cn"), ..app.clone() }).await;
    for path in ["/", "/healthz", "/nothing"] {
        let header = async |address: &str| {
            let response = client().get(format!("{address}{path}")).send().await.unwrap();
            response.headers().get("strict-transport-security").map(|header| header.to_str().unwrap().to_owned())
        };
        assert_eq!(header(&plain).await, None, "{path}");
        assert_eq!(header(&encrypted).await.as_deref(), Some("max-age=31536000"), "{path}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_request_id_from_a_proxy_is_kept_if_it_is_plain(pool: PgPool) {
    let app = open(pool.clone()).await;
    let proxies = vec!["127.0.0.1".parse().unwrap()];
    let directory = Directory::new(pool, app.vault.clone(), Clock::System).behind(proxies);
    let behind = desk::serve(&App { access: Arc::new(directory), ..app.clone() }).await;
    let open_to_all = desk::serve(&app).await;
    let sent = async |address: &str, id: &'static str| {
        let response = client().get(format!("{address}/healthz")).header("x-request-id", id).send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(sent(&behind, "abcdef-0123456789").await, "abcdef-0123456789");
    assert!(sent(&behind, "<script>").await.starts_with("req_"));
    assert!(sent(&open_to_all, "abcdef-0123456789").await.starts_with("req_"), "anybody's word is not a proxy's");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = fenqi::http::bind("127.0.0.1:0".parse().unwrap(), "FENQI_LISTEN").await.unwrap();
    let taken = first.local_addr().unwrap();
    let refused = fenqi::http::bind(taken, "FENQI_LISTEN").await.unwrap_err().to_string();
    assert!(refused.contains("is in use by another program; stop that one or set FENQI_LISTEN"), "{refused}");
    // Where the port was said elsewhere, that is what to change.
    let refused = fenqi::http::bind(taken, "--port").await.unwrap_err().to_string();
    assert!(refused.contains("or set --port to another port"), "{refused}");
}
