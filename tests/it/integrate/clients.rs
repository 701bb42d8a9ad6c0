//! The sample clients: what they believe, what they keep, and how they go on.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use fenqi::access::actions::PartnerChange;
use fenqi::access::{self, PLATFORM, PartnerKind};
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::partner::key::Algorithm;
use fenqi::partner::signature::{SKEW_MAX, Stamp};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{Trial, WISH, free_address, run_in, said};
use crate::{desk, house, town};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_believe_our_callbacks_and_no_others(pool: PgPool) {
    let trial = Trial::open(pool, "clients").await;
    let app = &trial.town.app;
    desk::add_partner(app, "my-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let (url, body) = ("/fenqi/events?from=1", br#"{"kind":"loan_made"}"#);
    let mut keys = String::new();
    let mut signed = Vec::new();
    for algorithm in Algorithm::ALL {
        let signer = app.access.signer(algorithm).await.unwrap();
        assert_eq!(signer.mchid, PLATFORM);
        keys.push_str(&format!("{} ({}) signs\n{}", signer.serial_no, algorithm.as_str(), signer.public_key()));
        let stamp = Stamp::fresh(Clock::System.now());
        signed.push((algorithm, signer.authorization("POST", url, &stamp, body)));
        // The sample clients call in both algorithms too.
        let identity = desk::add_key(app, "my-core", algorithm.as_str(), algorithm).await;
        std::fs::write(trial.directory.join(format!("{}.pem", algorithm.as_str())), identity.private_key()).unwrap();
    }
    std::fs::write(trial.directory.join("keys.txt"), keys).unwrap();
    let (python, java) = ("docs/integrate/clients/fenqi.py", "docs/integrate/clients/Fenqi.java");
    for (algorithm, authorization) in &signed {
        let verify = [python, "--platform-keys", "keys.txt", "verify-callback", "POST", url, authorization];
        assert_eq!(said("python", &trial.run("python3", &verify, body).await), "believed\n");
        assert_eq!(trial.run("python3", &verify, b"{}").await.status.code(), Some(2), "a changed body");
        let (name, me) = (algorithm.as_str(), format!("{}/api/v1/me", trial.base));
        let key = format!("{name}.pem");
        let who = [python, "--partner", "my-core", "--serial", name, "--key", &key];
        let call = [&who[..], &["--platform-keys", "keys.txt", "call", "GET", &me]].concat();
        assert!(said("python", &trial.run("python3", &call, b"").await).contains("\"my-core\""));
        if *algorithm == Algorithm::RsaSha256 {
            let text = std::str::from_utf8(body).unwrap();
            let verify = [java, "verify-callback", "keys.txt", "POST", url, authorization, text];
            assert_eq!(said("java", &trial.run("java", &verify, b"").await), "believed\n");
            let changed = [java, "verify-callback", "keys.txt", "POST", url, authorization, "{}"];
            assert_eq!(trial.run("java", &changed, b"").await.status.code(), Some(2));
            let call = [java, "call", "my-core", name, &key, "keys.txt", "GET", &me];
            assert!(said("java", &trial.run("java", &call, b"").await).contains("\"my-core\""));
            let stale = Stamp::fresh(Clock::System.now() - SKEW_MAX - TimeDelta::seconds(60));
            let stale = app.access.signer(*algorithm).await.unwrap().authorization("POST", url, &stale, body);
            java_listens(&trial.directory, url, (authorization, &stale), text).await;
        }
    }
}

/// The Java client as a server: it believes a signed call once, and neither a changed nor an unsigned nor an old one.
async fn java_listens(directory: &Path, url: &str, (authorization, stale): (&str, &str), body: &str) {
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients/Fenqi.java");
    let mut command = Command::new("java");
    command.args([client, "listen", "keys.txt", "127.0.0.1:0", "heard.txt"]).current_dir(directory);
    let mut listener = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut said = BufReader::new(listener.stdout.take().unwrap()).lines();
    let opened = tokio::time::timeout(Duration::from_secs(60), said.next_line()).await;
    let opened = opened.expect("it does not listen").unwrap().expect("it ended");
    let address = opened.strip_prefix("listens at ").unwrap();
    let http = fenqi::partner::client::build_http().unwrap();
    let told = async |authorization: &str, body: &str| {
        let call = http.post(format!("http://{address}{url}")).header("authorization", authorization);
        call.body(body.to_owned()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(told(authorization, "{}").await, 401, "a changed body");
    assert_eq!(told("", body).await, 401, "nobody signed it");
    assert_eq!(told(stale, body).await, 401, "signed too long ago");
    assert_eq!(told(authorization, body).await, 200);
    assert_eq!(told(authorization, body).await, 401, "a nonce that was used");
    assert_eq!(std::fs::read_to_string(directory.join("heard.txt")).unwrap(), format!("{body}\n"));
}

/// The sample clients in the hands of a partner, with a directory to work in.
struct Clients {
    directory: PathBuf,
    base: String,
}

impl Clients {
    /// Those of `my-core`, which signs in RSA because Java does.
    async fn of_core(app: &App, name: &str) -> Clients {
        desk::add_partner(app, "my-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
        let identity = desk::add_key(app, "my-core", "C-1", Algorithm::RsaSha256).await;
        let directory = std::env::temp_dir().join(format!("fenqi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("core.pem"), identity.private_key()).unwrap();
        let mut keys = String::new();
        for algorithm in Algorithm::ALL {
            let signer = app.access.signer(algorithm).await.unwrap();
            keys.push_str(&format!("{} ({}) signs\n{}", signer.serial_no, algorithm.as_str(), signer.public_key()));
        }
        std::fs::write(directory.join("keys.txt"), keys).unwrap();
        Clients { directory, base: desk::serve(app).await }
    }

    async fn python(&self, action: &[&str]) -> Output {
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients/fenqi.py");
        let who =
            [client, "--partner", "my-core", "--serial", "C-1", "--key", "core.pem", "--platform-keys", "keys.txt"];
        run_in(&self.directory, "python3", &[&who[..], action].concat(), b"").await
    }

    async fn java(&self, action: &[&str]) -> Output {
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients/Fenqi.java");
        let who = [client, action[0], "my-core", "C-1", "core.pem", "keys.txt"];
        run_in(&self.directory, "java", &[&who[..], &action[1..]].concat(), b"").await
    }

    /// What each says to the same.
    async fn both(&self, action: &[&str]) -> [Output; 2] {
        [self.python(action).await, self.java(action).await]
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

async fn set_rate(app: &App, rate_per_minute: i32) {
    let change = PartnerChange { rate_per_minute: Some(rate_per_minute), ..Default::default() };
    access::change_partner(app, "my-core", &change, "operator").await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_tell_a_refusal_of_ours_from_an_answer_that_nobody_signed(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "refused").await;
    let me = format!("{}/api/v1/me", clients.base);
    let call = ["call", "GET", &me];
    set_rate(&app, 1).await;
    let mut throttled = clients.both(&call).await;
    while throttled.iter().any(|output| output.status.success()) {
        // The first call of a minute is within the rate, and a minute may begin in between.
        throttled = clients.both(&call).await;
    }
    for output in &throttled {
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "it is believed: {told}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("\"rate_exceeded\""), "{output:?}");
        assert!(told.contains("Retry-After: "), "{told}");
    }
    set_rate(&app, 1_000).await;
    access::revoke_key(&app, "my-core", "C-1", "operator").await.unwrap();
    for output in clients.both(&call).await {
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("not believed: 401 without a signature"), "{told}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_cashier_knows_after_a_restart_what_it_has_heard(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "cashier").await;
    let heard = clients.directory.join("heard.txt");
    let signer = app.access.signer(Algorithm::Sm2Sm3).await.unwrap();
    let http = reqwest::Client::builder().build().unwrap();
    // Two lives, in each of which both come.
    for _ in 0..2 {
        let address = free_address();
        let mut listener = Command::new("python3");
        listener.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients/fenqi.py"));
        listener.args(["--platform-keys", "keys.txt", "listen", &address, "heard.txt"]);
        let mut listener = listener.current_dir(&clients.directory).kill_on_drop(true).spawn().unwrap();
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&address).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for event_no in [7, 8] {
            let body = format!("{{\"event_no\":{event_no}}}");
            let signed = signer.authorization("POST", "/hear", &Stamp::fresh(Clock::System.now()), body.as_bytes());
            let post = http.post(format!("http://{address}/hear")).header("Authorization", signed).body(body);
            assert_eq!(post.send().await.unwrap().status(), StatusCode::OK);
        }
        listener.kill().await.unwrap();
    }
    assert_eq!(std::fs::read_to_string(heard).unwrap().lines().count(), 2, "each once");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_go_on_with_a_day_where_they_were_refused(pool: PgPool) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let lines = town.open_lines(1, WISH).await;
    town.buy(vec![town.wish(lines[0], "p-1", 90_000, ("harbour-standard", 3))]).await;
    town.close_today().await;
    fenqi::day_file::jobs::make_files(&town.app).await.unwrap();
    let clients = Clients::of_core(&town.app, "half").await;
    for program in ["python", "java"] {
        let fetch = ["fetch-day", &clients.base, "2026-01-05", program];
        let run = async || match program {
            "python" => clients.python(&fetch).await,
            _ => clients.java(&fetch).await,
        };
        // Enough for the manifest and a file or two.
        sqlx::query("delete from api_rate").execute(&town.app.pool).await.unwrap();
        set_rate(&town.app, 3).await;
        let throttled = run().await;
        let told = String::from_utf8_lossy(&throttled.stderr);
        assert_eq!(throttled.status.code(), Some(1), "{told}");
        assert!(told.contains("refused: 429 ") && told.contains("rate_exceeded"), "{told}");
        let files: Vec<PathBuf> =
            std::fs::read_dir(clients.directory.join(program)).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "{told}");
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("rate_exceeded"), "{}", file.display());
        }
        set_rate(&town.app, 1_000_000).await;
        assert!(said(program, &run().await).contains("every hash, sum and footing holds"));
    }
}
