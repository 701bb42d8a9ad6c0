//! The sample clients behave as integrators need: which answers and messages they accept, what they store, and how they resume after a
//! failure.

mod again;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use axum::http::StatusCode;
use chrono::TimeDelta;
use fenqi::access::actions::{PartnerChange, Rotation, rotate_platform_key};
use fenqi::access::{self, Directory, PLATFORM, PartnerKind};
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::error::{Attempt, Step};
use fenqi::outbox::actions::{Asked, Replay, replay};
use fenqi::outbox::jobs::{Summary, deliver_outbox};
use fenqi::outbox::template::{Telling, Template};
use fenqi::outbox::template_actions::{Saving, save};
use fenqi::outbox::{Message, store};
use fenqi::partner::key::{Algorithm, PrivateKey};
use fenqi::partner::signature::{Identity, SKEW_MAX, Stamp};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::{Trial, WISH, run_in, said};
use crate::house::free_address;
use crate::{desk, house, town};

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients/fenqi.py");
const JAVA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients/Fenqi.java");

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_believe_our_callbacks_and_no_others(pool: PgPool) {
    let trial = Trial::open(pool, "clients").await;
    let app = &trial.town.app;
    desk::add_partner(app, "my-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let (url, body) = ("/fenqi/events?from=1", br#"{"merchant_id":"mer_1","kind":"payment_succeeded"}"#);
    let mut keys = String::new();
    let mut signed = Vec::new();
    for algorithm in Algorithm::ALL {
        let signer = app.access.signer(algorithm).await.unwrap();
        assert_eq!(signer.mchid, PLATFORM);
        keys.push_str(&format!("{} ({}) signs\n{}", signer.serial_no, algorithm.name(), signer.public_key()));
        let stamp = Stamp::fresh(Clock::System.now());
        signed.push((algorithm, signer.authorization("POST", url, &stamp, body)));
        // The sample clients call in both algorithms too.
        let identity = desk::add_key(app, "my-core", algorithm.name(), algorithm).await;
        std::fs::write(trial.directory.join(format!("{}.pem", algorithm.name())), identity.private_key()).unwrap();
    }
    std::fs::write(trial.directory.join("retired.txt"), keys.replace(" signs\n", " retired\n")).unwrap();
    std::fs::write(trial.directory.join("keys.txt"), keys).unwrap();
    let is_retired = |output: Output| {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains(" is retired"), "{told}");
    };
    let (python, java) = ("docs/integrate/clients/fenqi.py", "docs/integrate/clients/Fenqi.java");
    for (algorithm, authorization) in &signed {
        let verify = [python, "--platform-keys", "keys.txt", "verify-callback", "POST", url, authorization];
        assert_eq!(said("python", &trial.run("python3", &verify, body).await), "believed\n");
        assert_eq!(trial.run("python3", &verify, b"{}").await.status.code(), Some(2), "a changed body");
        let others_have_it = [python, "--platform-keys", "retired.txt", "verify-callback", "POST", url, authorization];
        is_retired(trial.run("python3", &others_have_it, body).await);
        let (name, me) = (algorithm.name(), format!("{}/api/v1/me", trial.base));
        let key = format!("{name}.pem");
        let who = [python, "--partner", "my-core", "--serial", name, "--key", &key];
        let call = [&who[..], &["--platform-keys", "keys.txt", "call", "GET", &me]].concat();
        assert!(said("python", &trial.run("python3", &call, b"").await).contains("\"my-core\""));
        curl_sends_what_was_signed(&trial, name, &key).await;
        if *algorithm == Algorithm::RsaSha256 {
            let text = std::str::from_utf8(body).unwrap();
            let verify = [java, "verify-callback", "keys.txt", "POST", url, authorization, text];
            assert_eq!(said("java", &trial.run("java", &verify, b"").await), "believed\n");
            let changed = [java, "verify-callback", "keys.txt", "POST", url, authorization, "{}"];
            assert_eq!(trial.run("java", &changed, b"").await.status.code(), Some(2));
            let others_have_it = [java, "verify-callback", "retired.txt", "POST", url, authorization, text];
            is_retired(trial.run("java", &others_have_it, b"").await);
            let call = [java, "call", "my-core", name, &key, "keys.txt", "GET", &me];
            assert!(said("java", &trial.run("java", &call, b"").await).contains("\"my-core\""));
            let stale = Stamp::fresh(Clock::System.now() - SKEW_MAX - TimeDelta::seconds(60));
            let stale = app.access.signer(*algorithm).await.unwrap().authorization("POST", url, &stale, body);
            java_listens(&trial.directory, url, (authorization, &stale), text).await;
        }
    }
}

/// Whatever address and body are, what `fenqi sign` prints sends what it signed, once: the house finds another fault, or none.
async fn curl_sends_what_was_signed(trial: &Trial, serial_no: &str, key: &str) {
    // Larger than a word of a command may be, and no text.
    std::fs::write(trial.directory.join("large.bin"), vec![0xff; 200_000]).unwrap();
    let script = format!("eval \"$('{}' sign \"$@\")\"", env!("CARGO_BIN_EXE_fenqi"));
    let who = ["-c", &script, "bash", "--partner", "my-core", "--serial", serial_no, "--key", key];
    let deposits = "/api/v1/funder/reserve/deposits";
    for (method, path, more, told) in [
        ("GET", "/api/v1/me#top", &[][..], "\"my-core\""),
        ("GET", "/api/v1/me?a[1-2]={1,2}", &[][..], "\"unknown_parameter\""),
        ("GET", "/api/v1/nothing/../me", &[][..], "\"not_found\""),
        ("POST", deposits, &["--body", r#"{"it's \"$HOME\" `id` \\!": 1}"#][..], "\"unknown_field\""),
        ("POST", deposits, &["--body", "@large.bin"][..], "\"body_not_json\""),
        ("POST", deposits, &["--body-file", "large.bin"][..], "\"body_not_utf8\""),
        // A pipe, of which curl would find nothing left.
        ("POST", deposits, &["--body-file", "/dev/stdin"][..], "\"body_not_json\""),
        (
            "POST",
            deposits,
            &["--body", "{}", "--header", "content-type: text/plain"][..],
            "\"media_type_not_supported\"",
        ),
    ] {
        let address = format!("{}{path}", trial.base);
        let answer = said(path, &trial.run("bash", &[&who[..], &[method, &address], more].concat(), b"no json").await);
        assert!(answer.contains(told), "{method} {path} {more:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{method} {path}: {answer}");
    }
}

/// The Java client as a server, and where it listens.
async fn java_serves(directory: &Path, action: &[&str]) -> (Child, String) {
    let mut command = Command::new("java");
    command.arg(JAVA).args(action).current_dir(directory).stdout(Stdio::piped()).kill_on_drop(true);
    let mut server = command.spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let listens = async {
        loop {
            // The machine itself may have something to say first.
            let line = said.next_line().await.unwrap().expect("it ended");
            if let Some(address) = line.strip_prefix("listens at ") {
                return address.to_owned();
            }
        }
    };
    let address = tokio::time::timeout(house::PATIENCE, listens).await.expect("it does not listen");
    (server, address)
}

/// The Java client as a server: it believes a signed call once, and neither a changed nor an unsigned nor an old one.
async fn java_listens(directory: &Path, url: &str, (authorization, stale): (&str, &str), body: &str) {
    let (_listener, address) =
        java_serves(directory, &["listen", "keys.txt", "127.0.0.1:0", "heard.txt", "mer_1"]).await;
    let http = fenqi::partner::client::build_http().unwrap();
    let told = async |authorization: &str, body: &str| {
        let call = http.post(format!("http://{address}{url}")).header("authorization", authorization);
        call.body(body.to_owned()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(told(authorization, "{}").await, 401, "a changed body");
    assert_eq!(told("", body).await, 401, "nobody signed it");
    assert_eq!(told("", &"x".repeat((40 << 20) + 1)).await, 413, "nobody sends as much");
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
        let directory = house::directory(name);
        std::fs::write(directory.join("core.pem"), identity.private_key()).unwrap();
        std::fs::write(directory.join("keys.txt"), signers(app, "signs").await).unwrap();
        Clients { directory, base: desk::serve(app).await }
    }

    async fn python(&self, action: &[&str]) -> Output {
        let who =
            [PYTHON, "--partner", "my-core", "--serial", "C-1", "--key", "core.pem", "--platform-keys", "keys.txt"];
        run_in(&self.directory, "python3", &[&who[..], action].concat(), b"").await
    }

    async fn java(&self, action: &[&str]) -> Output {
        let who = [JAVA, action[0], "my-core", "C-1", "core.pem", "keys.txt"];
        run_in(&self.directory, "java", &[&who[..], &action[1..]].concat(), b"").await
    }

    /// What each says to the same.
    async fn both(&self, action: &[&str]) -> [Output; 2] {
        tokio::join!(self.python(action), self.java(action)).into()
    }
}

/// The keys by which a node signs, as our list of keys says them in that state.
async fn signers(app: &App, state: &str) -> String {
    let mut keys = String::new();
    for algorithm in Algorithm::ALL {
        let signer = app.access.signer(algorithm).await.unwrap();
        keys.push_str(&format!("{} ({}) {state}\n{}", signer.serial_no, algorithm.name(), signer.public_key()));
    }
    keys
}

impl Drop for Clients {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

async fn set_rate(app: &App, rate_per_minute: i32) {
    let change = PartnerChange { rate_per_minute: Some(rate_per_minute), ..Default::default() };
    let _ = access::change_partner(app, "my-core", &change, "operator").await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_tell_a_refusal_of_ours_from_an_answer_that_nobody_signed(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "refused").await;
    let me = format!("{}/api/v1/me", clients.base);
    let call = ["call", "GET", &me];
    set_rate(&app, 1).await;
    // The one call of this minute was made, and of the next ones too, should one begin in between.
    let made = "insert into api_rate (partner_id, minute, calls)
                select partner_id, date_trunc('minute', now()) + number * interval '1 minute', 1
                from api_partner cross join generate_series(0, 60) as number where code = 'my-core'";
    assert_eq!(sqlx::query(made).execute(&app.pool).await.unwrap().rows_affected(), 61);
    for output in clients.both(&["call", "POST", &me, "{}"]).await {
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "it is believed: {told}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("\"rate_exceeded\""), "{output:?}");
        assert!(told.contains("Retry-After: ") && told.contains("Idempotency-Key: "), "{told}");
    }
    set_rate(&app, 1_000).await;
    assert_eq!(access::revoke_key(&app, "my-core", "C-1", "operator").await.unwrap(), Step::Applied);
    for output in clients.both(&call).await {
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("not believed: 401 without a signature"), "{told}");
    }
    // Somebody in between says that the house has signed, or ends the connection without a word.
    let serial_no = app.access.signer(Algorithm::RsaSha256).await.unwrap().serial_no.clone();
    let now = Clock::System.now().timestamp().to_string();
    let (untimed, wrong) = (lying(&serial_no, "soon", "!").await, lying(&serial_no, &now, "AAAA").await);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let stalled = format!("{}/", house::serve(axum::Router::new().fallback(begin_an_answer)).await);
    let endless = lying(&serial_no, &"9".repeat(400), "AAAA").await;
    let (untimed, wrong) = (["call", "GET", &untimed], ["call", "POST", &wrong, "{}"]);
    let (endless, silent) = (["call", "GET", &endless], ["call", "POST", &silent, "{}"]);
    let stalled = ["call", "POST", &stalled, "{}"];
    let (untimed, wrong, silent, stalled) =
        tokio::join!(clients.both(&untimed), clients.both(&wrong), clients.both(&silent), clients.both(&stalled));
    let malformed = "not believed: timestamp or signature are missing or not in their form";
    for (outputs, code, why) in [
        (untimed, 2, malformed),
        (clients.both(&endless).await, 2, malformed),
        (wrong, 2, "not believed: the signature is wrong; send the same again under the idempotency key "),
        (silent, 3, "; send the same again under the idempotency key "),
        (stalled, 3, "; send the same again under the idempotency key "),
    ] {
        for output in outputs {
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{told}");
            assert!(told.contains(why), "{told}");
        }
    }
    what_is_mistyped_is_said_in_a_line(&clients, &call).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_change_what_two_may_edit_by_the_tag_that_they_read(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "tags").await;
    let mark = format!("{}/api/v1/funder/reserve/low-water-mark", clients.base);
    let body = "{\"low_water_fen\":700000}";
    let tag_of = |output: &Output| {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        told.lines().find_map(|line| line.strip_prefix("ETag: ").map(str::to_owned)).expect("it says the tag")
    };
    let first = tag_of(&clients.python(&["call", "GET", &mark]).await);
    let changed = clients.python(&["--if-match", &first, "call", "PUT", &mark, body]).await;
    assert_eq!(changed.status.code(), Some(0), "{changed:?}");
    let stale = clients.java(&["call", "PUT", &mark, body, "mark-1", &first]).await;
    assert_eq!(stale.status.code(), Some(1), "{stale:?}");
    assert!(String::from_utf8_lossy(&stale.stdout).contains("\"precondition_failed\""), "{stale:?}");
    let second = tag_of(&clients.java(&["call", "GET", &mark]).await);
    let changed = clients.java(&["call", "PUT", &mark, "{\"low_water_fen\":800000}", "mark-1", &second]).await;
    assert_eq!((changed.status.code(), tag_of(&changed) == second), (Some(0), false), "{changed:?}");
}

/// Whoever waits for the end of it waits for ever.
async fn begin_an_answer() -> axum::body::Body {
    let begun = stream::iter([Ok::<_, Infallible>("{")]);
    axum::body::Body::from_stream(begun.chain(stream::pending()))
}

/// By each client, and told from what an answer may come to.
async fn what_is_mistyped_is_said_in_a_line(clients: &Clients, call: &[&str]) {
    let told_by_both = async |action: &[&str], why: &str| {
        for output in clients.both(action).await {
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{told}");
            let is_trace = told.contains("Traceback") || told.contains("\tat ");
            assert!(told.contains(why) && !is_trace, "{why}: {told}");
        }
    };
    told_by_both(&call[..2], "call takes ").await;
    for address in ["127.0.0.1/api/v1/me", "//127.0.0.1/api/v1/me"] {
        told_by_both(&["call", "GET", address], "is no address such as http://").await;
    }
    told_by_both(&["events", &clients.base, "soon"], "soon is no event's number").await;
    told_by_both(&["core", "127.0.0.1", "events.txt"], "cannot listen at 127.0.0.1").await;
    let key = clients.directory.join("core.pem");
    std::fs::write(&key, "no key").unwrap();
    told_by_both(call, "core.pem holds no ").await;
    std::fs::remove_file(&key).unwrap();
    told_by_both(call, "cannot read core.pem").await;
    std::fs::write(clients.directory.join("keys.txt"), "").unwrap();
    std::fs::write(&key, PrivateKey::generate(Algorithm::RsaSha256).unwrap().to_pem().unwrap()).unwrap();
    told_by_both(call, "keys.txt holds no key ").await;
}

/// Serves whatever it is asked with such a signature; returns its address.
async fn lying(serial_no: &str, timestamp: &str, signature: &str) -> String {
    let signed = [
        ("Fenqi-Timestamp", timestamp.to_owned()),
        ("Fenqi-Nonce", "0123456789abcdef".to_owned()),
        ("Fenqi-Serial", serial_no.to_owned()),
        ("Fenqi-Signature", signature.to_owned()),
    ];
    let serve = move || {
        let signed = signed.clone();
        async move { (signed, "{}") }
    };
    format!("{}/", house::serve(axum::Router::new().fallback(serve)).await)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_cashiers_take_what_is_theirs_and_know_it_after_a_restart(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let clients = Clients::of_core(&app, "cashier").await;
    // Which Java believes as well.
    let signer = app.access.signer(Algorithm::RsaSha256).await.unwrap();
    let http = reqwest::Client::builder().build().unwrap();
    let python = [PYTHON, "--platform-keys", "keys.txt", "listen"];
    let java = [JAVA, "listen", "keys.txt"];
    for (program, action) in [("python3", &python[..]), ("java", &java[..])] {
        let heard = format!("heard-by-{program}.txt");
        // Two lives, in each of which both come.
        for _ in 0..2 {
            let address = free_address();
            let mut listener = Command::new(program);
            listener.args(action).args([&address, &heard, "mer_1"]).stdout(Stdio::null());
            let mut listener = listener.current_dir(&clients.directory).kill_on_drop(true).spawn().unwrap();
            let is_there = async || tokio::net::TcpStream::connect(&address).await.is_ok();
            house::until("it listens", is_there).await;
            // The last one was another merchant's, who sent it on.
            for (event_no, merchant, status) in [(7, "mer_1", 200), (8, "mer_1", 200), (9, "mer_2", 400)] {
                let body = json!({ "event_no": event_no, "merchant_id": merchant }).to_string();
                let signed = signer.authorization("POST", "/hear", &Stamp::fresh(Clock::System.now()), body.as_bytes());
                let post = http.post(format!("http://{address}/hear")).header("Authorization", signed).body(body);
                assert_eq!(post.send().await.unwrap().status().as_u16(), status, "{program}");
            }
            listener.kill().await.unwrap();
        }
        let heard = std::fs::read_to_string(clients.directory.join(heard)).unwrap();
        assert_eq!(heard.lines().count(), 2, "each of its own once: {program}");
    }
}

/// Lets a core take its time over its first call, whose event has no number: on a busy machine that may be more than whoever
/// delivers waits for.
async fn wake(address: &str, ours: &Identity) {
    let signed = ours.authorization("POST", "/wake", &Stamp::fresh(Clock::System.now()), b"{}");
    let http = reqwest::Client::builder().build().unwrap();
    let call = http.post(format!("http://{address}/wake")).header("Authorization", signed).body("{}");
    assert_eq!(call.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

/// Delivers the two events that wait, each of which must be taken at once.
async fn push_both(app: &App) {
    let pushed = deliver_outbox(app).await.unwrap();
    let errors: Vec<Option<String>> =
        sqlx::query_scalar("select last_error from outbox").fetch_all(&app.pool).await.unwrap();
    assert_eq!(pushed, Summary { delivered: 2, failed: 0, died: 0 }, "{errors:?}");
}

/// A house that pushes to a core at an address, both with keys of RSA.
fn pushing_to(app: &App, address: &str, (ours, theirs): (&Identity, &Identity)) -> App {
    house::with_partners(app, &[house::partner_at("harbour-bank", format!("http://{address}"), (ours, theirs))])
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_java_core_is_believed_and_keeps_each_event_once_in_either_form(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let funder_id = fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let of_rsa = |mchid: &str, serial_no: &str| {
        Identity::new(mchid, serial_no, PrivateKey::generate(Algorithm::RsaSha256).unwrap())
    };
    let (ours, theirs) = (of_rsa("our-house", "PUSH-1"), of_rsa("my-core", "ANSWER-1"));
    let clients = Clients::of_core(&app, "java-core").await;
    let directory = &clients.directory;
    std::fs::write(directory.join("answers.pem"), theirs.private_key()).unwrap();
    std::fs::write(directory.join("push.txt"), format!("PUSH-1 (rsa_sha256) signs\n{}", ours.public_key())).unwrap();
    let told = [1, 2].map(|number| Message {
        partner: "harbour-bank".to_owned(),
        kind: "loan_made",
        object_id: Uuid::from_u128(number),
        body: json!({ "loan_id": format!("loan_{number}"), "note": "\"备\" \n" }),
        created_at: app.clock.now(),
    });
    store::enqueue(&mut app.pool.acquire().await.unwrap(), &told).await.unwrap();
    let template = Template {
        path: Some("/loan/notify".to_owned()),
        text: r#"{"seqNo": {{ event.no }}, "loanNo": {{ body.loan_id }}}"#.to_owned(),
        taken_when: Some(r#"answer.retCode == "0000""#.to_owned()),
    };
    let asked = Asked { partner: "harbour-bank", by: "operator" };
    let again = Replay { from_no: Some(1), to_no: Some(1_000), ..Replay::default() };
    // Two lives, in each of which all come, and come again; the second hears them in words of its own, too.
    for life in 0..2 {
        let core = ["core", "my-core", "ANSWER-1", "answers.pem", "push.txt", "127.0.0.1:0", "events.txt"];
        let (mut core, address) = java_serves(directory, &core).await;
        wake(&address, &ours).await;
        let pushing = pushing_to(&app, &address, (&ours, &theirs));
        if life == 1 {
            replay(&pushing, asked, again, Attempt::First).await.unwrap();
        }
        push_both(&pushing).await;
        if life == 1 {
            let telling = Telling::By(template.clone());
            let saving = Saving {
                funder_id,
                kind: "loan_made",
                after_version: 0,
                attempt: Attempt::First,
                telling: &telling,
                by: "core",
            };
            save(&pushing, saving).await.unwrap();
            for _ in 0..2 {
                replay(&pushing, asked, again, Attempt::First).await.unwrap();
                push_both(&pushing).await;
            }
        }
        core.kill().await.unwrap();
    }
    let kept = std::fs::read_to_string(directory.join("events.txt")).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Two loans are told of side by side: only what is told of one has an order.
    let loans =
        |name: &str| -> BTreeSet<&str> { kept.iter().filter_map(|event| event.pointer(name)?.as_str()).collect() };
    assert_eq!(loans("/body/loan_id"), BTreeSet::from(["loan_1", "loan_2"]), "{kept:?}");
    assert_eq!(loans("/loanNo"), BTreeSet::from(["loan_1", "loan_2"]), "{kept:?}");
    assert_eq!((kept.len(), &kept[0]["body"]["note"]), (4, &json!("\"备\" \n")));
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
        // Enough for the manifest, for whose it is to be, and for a file or two.
        sqlx::query("delete from api_rate").execute(&town.app.pool).await.unwrap();
        set_rate(&town.app, 4).await;
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

/// The answer that holds the manifest is signed anew; the manifest was signed when its day had closed.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_believe_a_manifest_by_a_key_that_is_retired_since(pool: PgPool) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    town.close_today().await;
    fenqi::day_file::jobs::make_files(&town.app).await.unwrap();
    let clients = Clients::of_core(&town.app, "rotated").await;
    let before = signers(&town.app, "retired").await;
    for algorithm in Algorithm::ALL {
        let rotation = Rotation { algorithm, signs_from: None, by: "operator" };
        let _ = rotate_platform_key(&town.app, rotation).await.unwrap();
    }
    let directory = Directory::new(town.app.pool.clone(), town.app.vault.clone(), Clock::System);
    let node = App { access: Arc::new(directory), ..town.app.clone() };
    let keys = [signers(&node, "signs").await, before].concat();
    assert_eq!(keys.matches("-----BEGIN PUBLIC KEY-----").count(), 4, "{keys}");
    std::fs::write(clients.directory.join("keys.txt"), keys).unwrap();
    let base = desk::serve(&node).await;
    let python = clients.python(&["fetch-day", &base, "2026-01-05", "python"]).await;
    let java = clients.java(&["fetch-day", &base, "2026-01-05", "java"]).await;
    for (program, output) in [("python", python), ("java", java)] {
        assert!(said(program, &output).contains("every hash, sum and footing holds"));
    }
}

/// Somebody on the way who keeps an answer may give it to another question.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_sample_clients_believe_no_manifest_of_another_day_or_funder(pool: PgPool) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    fenqi::funder::open_funder(&town.app, "other-bank", "Other Bank").await.unwrap();
    town.close_today().await;
    town.close_today().await;
    fenqi::day_file::jobs::make_files(&town.app).await.unwrap();
    let clients = Clients::of_core(&town.app, "other-day").await;
    let other_day =
        "update funder_day d set manifest = e.manifest, manifest_sha256 = e.manifest_sha256, signatures = e.signatures
                from funder_day e
                where e.funder_id = d.funder_id and e.business_day = '2026-01-05' and d.business_day = '2026-01-06'";
    let other_funder =
        "update funder_day d set manifest = e.manifest, manifest_sha256 = e.manifest_sha256, signatures = e.signatures
                from funder_day e join funder f using (funder_id)
                where f.code = 'other-bank' and d.funder_id <> e.funder_id
                      and e.business_day = '2026-01-05' and d.business_day = '2026-01-05'";
    for (swap, swapped, day, of) in [
        (other_day, 2, "2026-01-06", "the manifest is of 2026-01-05"),
        (other_funder, 1, "2026-01-05", "the manifest is of other-bank"),
    ] {
        assert_eq!(sqlx::query(swap).execute(&town.app.pool).await.unwrap().rows_affected(), swapped);
        for output in clients.both(&["fetch-day", &clients.base, day, "files"]).await {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(2) && told.contains(of), "{told}");
        }
    }
}

#[tokio::test]
async fn the_python_client_forgets_nonces_that_are_too_old_to_come_again() {
    let clients = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients");
    let program = format!(
        "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, {clients:?}); import fenqi\n\
         fenqi.Called.nonce_once('a', 1000.0); fenqi.Called.nonce_once('b', 1700.0); print(list(fenqi.Called.nonces))"
    );
    let output = run_in(&std::env::temp_dir(), "python3", &["-c", &program], b"").await;
    assert_eq!(said("python", &output), "['b']\n");
}

/// Whichever later one runs it here; and without any library beside it.
#[tokio::test]
async fn the_java_client_needs_no_more_than_a_jdk_17() {
    let folder = house::directory("java-17");
    let classes = folder.to_str().unwrap();
    let compiler = ["-m", "jdk.compiler/com.sun.tools.javac.Main", "--release", "17", "-d", classes, JAVA];
    said("the compiler", &run_in(&folder, "java", &compiler, b"").await);
    std::fs::remove_dir_all(&folder).unwrap();
}
