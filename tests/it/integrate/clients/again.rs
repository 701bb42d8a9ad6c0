//! The sample clients retry and page correctly: after a lost or endless answer, to the end of a list, with our next signing key, and for
//! requests without a body.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::IntoResponse as _;
use chrono::TimeDelta;
use fenqi::access::actions::{Rotation, rotate_platform_key};
use fenqi::base::Clock;
use fenqi::outbox::{Message, store};
use fenqi::partner::key::Algorithm;
use fenqi::partner::signature::{Identity, Stamp};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use uuid::Uuid;

use super::{Clients, JAVA, PYTHON, run_in, said};
use crate::house::{self, free_address};

/// The address and the header `Authorization` of each call.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A list of two pages at somebody who loses the first call and has too many at the second. Returns its address and what was asked.
async fn faltering(signer: Arc<Identity>) -> (String, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let serve = move |request: Request| {
        let (signer, seen) = (signer.clone(), seen.clone());
        async move {
            let authorization = request.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
            let calls = {
                let mut seen = seen.lock().unwrap();
                seen.push((request.uri().to_string(), authorization));
                seen.len()
            };
            let (status, body) = match calls {
                1 => return StatusCode::BAD_GATEWAY.into_response(),
                2 => (StatusCode::TOO_MANY_REQUESTS, r#"{"code":"rate_exceeded"}"#),
                3 => (StatusCode::OK, r#"{"items":[{"no":1},{"no":2}],"next_cursor":"WzFd"}"#),
                _ => (StatusCode::OK, r#"{"items":[{"no":3}],"next_cursor":null}"#),
            };
            let signed = signer.response_headers(&Stamp::fresh(Clock::System.now()), body.as_bytes());
            (status, signed, [("Retry-After", "1")], body).into_response()
        }
    };
    (house::serve(axum::Router::new().fallback(serve)).await, asked)
}

/// Answers whoever calls with a byte a second, without end. Returns its address.
async fn trickling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nSlow: ").await;
                while sent.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    sent = stream.write_all(b"a").await;
                }
            });
        }
    });
    address
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_are_not_held_by_who_answers_a_byte_at_a_time(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "trickle").await;
    let address = trickling().await;
    let call = ["call", "POST", &address, "{}"];
    let held = tokio::time::timeout(house::PATIENCE, clients.both(&call)).await;
    for output in held.expect("a client is held") {
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("; send the same again under the idempotency key "), "{told}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_read_a_list_to_its_end_though_an_answer_is_lost(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "lists").await;
    let signer = app.access.signer(Algorithm::RsaSha256).await.unwrap();
    for program in ["python", "java"] {
        let (address, asked) = faltering(signer.clone()).await;
        let things = format!("{address}/things?limit=2");
        let list = ["list", things.as_str()];
        let output = match program {
            "python" => clients.python(&list).await,
            _ => clients.java(&list).await,
        };
        assert_eq!(said(program, &output), "{\"no\":1}\n{\"no\":2}\n{\"no\":3}\n");
        let asked = asked.lock().unwrap();
        let urls: Vec<&str> = asked.iter().map(|(url, _)| url.as_str()).collect();
        let first = "/things?limit=2";
        assert_eq!(urls, [first, first, first, "/things?limit=2&cursor=WzFd"], "{program}");
        let signed: BTreeSet<&str> = asked.iter().map(|(_, authorization)| authorization.as_str()).collect();
        assert_eq!(signed.len(), 4, "each attempt is signed anew: {program}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_read_on_from_an_event_through_all_pages(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "events").await;
    let told: Vec<Message> = (1..=201)
        .map(|number| Message {
            partner: "harbour-bank".to_owned(),
            kind: "loan_made",
            object_id: Uuid::from_u128(number),
            body: json!({ "loan_id": format!("loan_{number}"), "note": "备" }),
            created_at: app.clock.now(),
        })
        .collect();
    store::enqueue(&mut app.pool.acquire().await.unwrap(), &told).await.unwrap();
    let [python, java] = clients.both(&["events", &clients.base, "0"]).await;
    let all = said("python", &python);
    assert_eq!(said("java", &java), all);
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines.len() == 201 && lines[200].contains("\"loan_201\""), "{all}");
    let before_last: Value = serde_json::from_str(lines[199]).unwrap();
    let number = before_last["event_no"].to_string();
    for output in clients.both(&["events", &clients.base, &number]).await {
        assert_eq!(said("what came since", &output).trim_end(), lines[200]);
    }
    let who = ["my-core", "C-1", "core.pem", "keys.txt"];
    let bare = [&["LC_ALL=C", "java", JAVA, "events"][..], &who, &[clients.base.as_str(), number.as_str()]].concat();
    let bare = run_in(&clients.directory, "env", &bare, b"").await;
    assert_eq!(said("in a bare container", &bare).trim_end(), lines[200]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_ask_for_our_keys_and_read_what_they_wrote(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "our-keys").await;
    let signs_from = Some(Clock::System.now() + TimeDelta::days(7));
    let rotation = Rotation { algorithm: Algorithm::RsaSha256, signs_from, by: "operator" };
    let next = rotate_platform_key(&app, rotation).await.unwrap().serial_no;
    let at_once = Rotation { algorithm: Algorithm::Sm2Sm3, signs_from: None, by: "operator" };
    let _ = rotate_platform_key(&app, at_once).await.unwrap();
    let [python, java] = clients.both(&["platform-keys", &clients.base]).await;
    let keys = said("python", &python);
    assert_eq!(said("java", &java), keys);
    assert!(keys.contains(&format!("{next} (rsa_sha256) believed\n-----BEGIN PUBLIC KEY-----\n")), "{keys}");
    assert_eq!((keys.matches(") believed\n").count(), keys.matches(") retired\n").count()), (3, 1), "{keys}");
    std::fs::write(clients.directory.join("keys.txt"), &keys).unwrap();
    let me = format!("{}/api/v1/me", clients.base);
    for output in clients.both(&["call", "GET", &me]).await {
        assert!(said("by what they wrote", &output).contains("\"my-core\""));
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_follow_nobody_elsewhere(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "elsewhere").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let send_on = move || {
        seen.fetch_add(1, Ordering::Relaxed);
        async { (StatusCode::FOUND, [("Location", "/elsewhere")]) }
    };
    let address = house::serve(axum::Router::new().fallback(send_on)).await;
    for output in clients.both(&["call", "GET", &format!("{address}/api/v1/me")]).await {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains("302 without a signature"), "{told}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2, "once by each");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_python_server_reads_no_body_that_is_too_large_or_of_no_length(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "lengths").await;
    let address = free_address();
    let mut listener = Command::new("python3");
    listener.args([PYTHON, "--platform-keys", "keys.txt", "listen", &address, "heard.txt", "mer_1"]);
    let _listener = listener.current_dir(&clients.directory).kill_on_drop(true).spawn().unwrap();
    house::until("it listens", async || TcpStream::connect(&address).await.is_ok()).await;
    for (length, body, status) in [
        ("Content-Length: 41943041", "", "413"),
        ("Content-Length: -1", "", "413"),
        ("Content-Length: 2", "{}", "401"),
        ("Transfer-Encoding: chunked", "", "411"),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut began = [0; 12];
        let answered = tokio::time::timeout(house::PATIENCE, stream.read_exact(&mut began)).await;
        answered.expect("it does not wait for a body that never comes").unwrap();
        assert_eq!(std::str::from_utf8(&began).unwrap(), format!("HTTP/1.1 {status}"), "{length}");
    }
}
