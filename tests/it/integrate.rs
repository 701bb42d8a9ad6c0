//! The integrators' documents and sample clients work: every command in them is run, as a newcomer would.

mod clients;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chrono::{DateTime, TimeDelta, Utc};
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::credit::RiskHook;
use fenqi::demo::serving::keep_house;
use fenqi::partner::signature::{Identity, Stamp};
use fenqi::sandbox::Silence;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::house::free_address;
use crate::town::{self, LineWish, Town};
use crate::{desk, house};

const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 5, due_day: 25, expires_on: "2099-12-31" };

/// How long a newcomer needs to follow a document at most, by what the documents promise.
const NEWCOMER_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// A trial house, and a directory to work in.
struct Trial {
    town: Town,
    database_url: String,
    directory: PathBuf,
    base: String,
    world_at: String,
    serving: Serving,
}

/// Who serves the house.
enum Serving {
    /// The real program, by the system's clock; killed when dropped.
    Program { _child: Box<Child> },
    /// We do, as the demo does, by a clock of its own that goes on.
    Here(JoinHandle<()>),
}

impl Trial {
    /// A house that lives today, served by the real program.
    async fn open(pool: PgPool, name: &str) -> Trial {
        // The town has lived two days, so that there is something to look back on. Its own clock stands at ten in the morning
        // of today; the served program uses the system's.
        let first = house::today_for_long().await.minus_days(2).to_string();
        let (app, _, world_at) = house::open_in_world_that(pool, &first, Silence::Drop).await;
        let town = live(app).await;
        let database_url = database_url(&town).await;
        let free = free_address();
        let mut server = Command::new(env!("CARGO_BIN_EXE_fenqi"));
        server.args(["serve", "--listen", &free]);
        let server = in_world(&mut server, &database_url, &world_at).spawn().unwrap();
        let base = format!("http://{free}");
        let http = reqwest::Client::builder().build().unwrap();
        let healthy = format!("{base}/healthz");
        house::until("the program serves", async || http.get(&healthy).send().await.is_ok()).await;
        let serving = Serving::Program { _child: Box::new(server) };
        Trial { town, database_url, directory: workplace(name), base, world_at, serving }
    }

    /// A house as the first command of the documents leaves it: it lives on a day of its own, and runs its own jobs.
    async fn open_as_demo(pool: PgPool, name: &str) -> Trial {
        let (app, world, world_at) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
        let town = live(app).await;
        let app = App { risk: Arc::new(RiskHook::Partner), ..town.app.clone() };
        let base = desk::serve(&app).await;
        let serving = Serving::Here(tokio::spawn(keep_house(app, world)));
        let database_url = database_url(&town).await;
        Trial { town, database_url, directory: workplace(name), base, world_at, serving }
    }

    /// The background work of the house, which delivers what is to be told; killed when dropped.
    fn work(&self) -> Child {
        let mut work = Command::new(env!("CARGO_BIN_EXE_fenqi"));
        work.args(["work", "--workers", "1"]).env("FENQI_DELIVERY_PAUSE_MS", "100");
        in_world(&mut work, &self.database_url, &self.world_at).spawn().unwrap()
    }

    /// Runs all `sh` blocks of a document in one shell that ends at the first failure; those of *Your access* are run twice.
    /// Returns what was printed.
    async fn follow(&self, document: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/integrate").join(document);
        let text = std::fs::read_to_string(path).unwrap();
        let mut script = "set -euo pipefail\n".to_owned();
        for section in text.split("\n## ") {
            let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
            let blocks: String = blocks.collect();
            script.push_str(&blocks.repeat(if section.starts_with("Your access") { 2 } else { 1 }));
        }
        let mut shell = Command::new("bash");
        let programs = Path::new(env!("CARGO_BIN_EXE_fenqi")).parent().unwrap();
        let search = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        shell.arg("-c").arg(&script).current_dir(&self.directory).env("PATH", search).env("BASE", &self.base);
        for place in ["LISTEN", "ENDPOINT", "LATE", "RISK"] {
            shell.env(place, free_address());
        }
        shell.env("SANDBOX_PORT", free_address().rsplit_once(':').unwrap().1);
        let began = Instant::now();
        let output = with_house(&mut shell, &self.database_url).output().await.unwrap();
        let took = began.elapsed();
        assert!(took < NEWCOMER_TIME_MAX, "{document} took {took:?}");
        let said = said(document, &output);
        let entries = std::fs::read_dir(&self.directory).unwrap();
        let mut entries: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        entries.sort();
        assert_eq!(entries, ["docs", "products", "var"], "{document} leaves nothing but its own directory");
        said
    }

    async fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Output {
        run_in(&self.directory, program, arguments, input).await
    }
}

/// Two days of a town, so that there is something to look back on.
async fn live(app: App) -> Town {
    let town = town::found(app, 10_000_000).await;
    let lines = town.open_lines(3, WISH).await;
    town.buy(vec![town.wish(lines[0], "before", 90_000, ("harbour-standard", 3))]).await;
    town.close_today().await;
    town.close_today().await;
    fenqi::day_file::jobs::make_files(&town.app).await.unwrap();
    town
}

async fn database_url(town: &Town) -> String {
    house::other_database(&std::env::var("DATABASE_URL").unwrap(), &town.database_name().await)
}

/// A directory with the documents and products, as in a clone.
fn workplace(name: &str) -> PathBuf {
    let directory = house::directory(name);
    for shared in ["docs", "products"] {
        std::os::unix::fs::symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(shared), directory.join(shared)).unwrap();
    }
    directory
}

async fn run_in(directory: &Path, program: &str, arguments: &[&str], input: &[u8]) -> Output {
    use tokio::io::AsyncWriteExt;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input may end before it is written.
    let _ = child.stdin.take().unwrap().write_all(input).await;
    child.wait_with_output().await.unwrap()
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Serving::Here(keeping) = &self.serving {
            keeping.abort();
        }
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

fn with_house<'a>(command: &'a mut Command, database_url: &str) -> &'a mut Command {
    command.env("FENQI_CALENDAR_FILE", house::CALENDAR_FILE);
    command.env("DATABASE_URL", database_url).env("FENQI_MASTER_KEY", house::MASTER_KEY).stdin(Stdio::null())
}

/// A process of the house itself, which calls the counterfeit partners.
fn in_world<'a>(command: &'a mut Command, database_url: &str, world_at: &str) -> &'a mut Command {
    command.env("FENQI_SANDBOX_URL", world_at).env("FENQI_SANDBOX_SEED", house::SEED.to_string());
    with_house(command, database_url).current_dir(std::env::temp_dir()).stderr(Stdio::null()).kill_on_drop(true)
}

fn said(what: &str, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_follows_its_document_to_a_paid_order(pool: PgPool) {
    let trial = Trial::open(pool, "merchant").await;
    let _work = trial.work();
    follow_as_cashier(&trial).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_follows_its_document_in_the_demo(pool: PgPool) {
    follow_as_cashier(&Trial::open_as_demo(pool, "demo-merchant").await).await;
}

async fn follow_as_cashier(trial: &Trial) {
    let said = trial.follow("merchant.md").await;
    assert!(said.contains("\npaid\n") && said.contains("\nvoided\n"), "{said}");
    assert!(said.contains("\nvoided\n1000\n1000\n"), "a refund is made and asked for: {said}");
    assert!(said.contains("\nopen\nclosed\n") && said.contains("\nkind,id,purchase_id,reference,"), "{said}");
    assert_eq!(said.matches("\"reference\":\"TRY-1\"").count(), 3, "curl, Python and Java see the order: {said}");
    for code in ["signature_wrong", "scope_missing"] {
        assert_eq!(
            said.matches(&format!("\"code\":\"{code}\"")).count(),
            1,
            "{code} once, and nothing else refused: {said}"
        );
    }
    assert!(said.contains("in my-cashier GET /merchant/orders/"), "the calls are found: {said}");
    assert!(said.contains("TRY-1 was heard of\n") && said.contains("believed\nbelieved\n"), "{said}");
    trial.town.assert_whole("after the merchant's document").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_follows_its_document_to_a_first_loan(pool: PgPool) {
    follow_as_core(&Trial::open(pool, "funder").await).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_follows_its_document_in_the_demo(pool: PgPool) {
    let trial = Trial::open_as_demo(pool, "demo-funder").await;
    follow_as_core(&trial).await;
    // Nothing of it bears the system's time, and nobody is left alone by it.
    let now = trial.town.app.clock.now();
    assert!(trial.town.fen("select count(*) from outbox").await > 0);
    for written in [
        "select created_at from outbox order by 1 desc limit 1",
        "select next_attempt_at from outbox where delivered_at is null and dead_at is null order by 1 desc limit 1",
        "select next_attempt_at from outbox_partner order by 1 desc limit 1",
        "select done_at from outbox_action order by 1 desc limit 1",
        "select decided_at from reserve_order where decided_at is not null order by 1 desc limit 1",
    ] {
        let last: Option<DateTime<Utc>> =
            sqlx::query_scalar(written).fetch_optional(&trial.town.app.pool).await.unwrap();
        assert!(last.is_none_or(|last| last < now + TimeDelta::days(1)), "{written}: {last:?}, and it is {now}");
    }
}

async fn follow_as_core(trial: &Trial) {
    let said = trial.follow("funder.md").await;
    assert!(said.contains("\"principal_fen\":120000"), "{said}");
    assert!(said.contains("same_holder\nbooked\n"), "{said}");
    assert!(said.contains("True\napproved\n2\n"), "{said}");
    assert_eq!(said.matches("every hash, sum and footing holds\n").count(), 2, "Python and Java: {said}");
    assert!(said.contains("my core has the event 1 time\n"), "pushed, and pushed again: {said}");
    assert!(said.contains("my core has 1 loan in its own words\n{\"loanNo\": \"L"), "by its template's path: {said}");
    assert!(said.contains("waits for its funder\n"), "an application: {said}");
    assert!(said.contains("limit_above_proposal\n500000\napproved\n"), "the final word: {said}");
    trial.town.assert_whole("after the funder's document").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_risk_partner_follows_its_document_to_a_first_loan(pool: PgPool) {
    follow_as_risk_partner(&Trial::open(pool, "risk").await).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_risk_partner_follows_its_document_in_the_demo(pool: PgPool) {
    follow_as_risk_partner(&Trial::open_as_demo(pool, "demo-risk").await).await;
}

async fn follow_as_risk_partner(trial: &Trial) {
    let said = trial.follow("risk.md").await;
    assert_eq!(said.matches("The endpoint keeps the contract.").count(), 2, "its own, and the counterfeit: {said}");
    assert!(!said.contains("WRONG"), "{said}");
    for kept in [
        "the late answer bears your signature",
        "where the house gave it no answer, it comes again as it was, under the same key",
        "the late answer about a purchase bears your signature",
        "where the house gave a late answer about a purchase no answer, it comes again as it was, under the same key",
        "the same question after a late answer is answered at once as late",
        "a late answer that is refused with 409 is not sent again",
    ] {
        assert_eq!(said.matches(&format!("ok     {kept}\n")).count(), 1, "{kept}: {said}");
    }
    for kept in [
        "applications of every form that the contract allows are answered",
        "purchases of every form that the contract allows are answered",
        "fields that are added to applications later are ignored",
        "fields that are added to a purchase later are ignored",
        "applications whose answer the house did not wait for are answered when they come again",
        "a question whose answer the house did not wait for is answered when it comes again",
    ] {
        assert_eq!(said.matches(&format!("ok     {kept}\n")).count(), 2, "{kept}: {said}");
    }
    assert!(said.contains(": approved, line_") && said.contains(": referred, risk_hook_silent\napproved\n"), "{said}");
    assert_eq!(said.matches(" in 2 installments: loan_").count(), 2, "at once, and by a late answer: {said}");
    trial.town.assert_whole("after the risk partner's document").await;
}

#[tokio::test]
async fn an_address_that_no_house_takes_is_not_checked() {
    for address in [
        "http://127.0.0.1:1/risk?version=1",
        "ftp://127.0.0.1/risk",
        "127.0.0.1:9400",
        "http:/127.0.0.1:9400",
        "HTTP://127.0.0.1:9400",
        "http://",
    ] {
        let arguments = ["partner", "check-risk", address, "--sandbox-seed", "7"];
        let output = run_in(&std::env::temp_dir(), env!("CARGO_BIN_EXE_fenqi"), &arguments, b"").await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("is no address such as http://"), "{told}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_endpoint_that_breaks_the_contract_is_told_how(pool: PgPool) {
    let trial = Trial::open(pool, "broken").await;
    let late_at = free_address();
    let late_url = format!("http://{late_at}/api/v1/risk/decisions");
    // Answers late whatever it is asked, in nobody's name.
    let http = reqwest::Client::builder().build().unwrap();
    let leave_out = move || {
        let (http, late_url) = (http.clone(), late_url.clone());
        async move {
            tokio::spawn(http.post(late_url).body("{}").send());
            r#"{"answers":[]}"#
        }
    };
    let router = axum::Router::new()
        .route("/applications", axum::routing::post(leave_out))
        .route("/purchases", axum::routing::post(async || r#"{"question_id":"x","decision":"perhaps"}"#));
    let address = house::serve(router).await;
    let arguments = ["partner", "check-risk", &address, "--sandbox-seed", "7", "--late-at", &late_at];
    let arguments = [&arguments[..], &["--late-purchase-fen", "1500000"]].concat();
    let output = trial.run(env!("CARGO_BIN_EXE_fenqi"), &arguments, b"").await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    for fault in [
        "comes by itself within three seconds: it was answered at once",
        "WRONG  applications whose answer the house did not wait for are answered when they come again: ",
        "when it comes again: the answer cannot be read",
        "bears your signature: ",
        "is answered 0 times",
        "applications in a version of the contract that you do not know are refused with 400: status 200",
        "a request without a signature is refused with 401: status 200",
        "a request signed by a key that you do not know is refused with 401: status 200",
        "a request signed for another address is refused with 401: status 200",
        "a request signed ten minutes ahead is refused with 401: status 200",
        "the answer about a purchase bears your signature: ",
        "says allow, or refuse with a reason: the answer cannot be read",
        "that you do not know is refused with 400: status 200",
        "a purchase without a signature is refused with 401: status 200",
        "a purchase signed by a key that you do not know is refused with 401: status 200",
        "a purchase signed for another address is refused with 401: status 200",
        "a purchase signed ten minutes ahead is refused with 401: status 200",
        "the late answer bears your signature: the signature's headers are missing",
        "it is JSON under an Idempotency-Key: its Content-Type is",
        "with a decision that can be used: it cannot be read",
        "it comes again as it was, under the same key: A request that changes something needs the header Idempotency-Key",
    ] {
        assert!(said.contains(fault), "{said}");
    }
}

async fn refuse_what_was_added(body: String) -> StatusCode {
    if body.contains("added_later") { StatusCode::BAD_REQUEST } else { StatusCode::OK }
}

#[tokio::test]
async fn an_endpoint_that_refuses_what_was_added_or_repeats_what_came_too_late_is_told_so() {
    let late_at = free_address();
    let late_url = format!("http://{late_at}/api/v1/risk/purchase-decisions");
    let http = reqwest::Client::builder().build().unwrap();
    // Leaves large purchases open and calls back about them, in nobody's name and whatever it was answered.
    let purchases = move |body: String| {
        let (http, late_url) = (http.clone(), late_url.clone());
        async move {
            if body.contains("added_later") {
                return StatusCode::BAD_REQUEST;
            }
            if body.contains("\"amount_fen\":1500000") {
                tokio::spawn(async move {
                    for _ in 0..2 {
                        http.post(&late_url).body("{}").send().await.ok();
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                });
                std::future::pending::<()>().await;
            }
            StatusCode::OK
        }
    };
    let router = axum::Router::new()
        .route("/applications", axum::routing::post(refuse_what_was_added))
        .route("/purchases", axum::routing::post(purchases));
    let address = house::serve(router).await;
    let arguments = ["partner", "check-risk", &address, "--sandbox-seed", "7", "--late-at", &late_at];
    let arguments = [&arguments[..], &["--late-purchase-fen", "1500000"]].concat();
    let output = run_in(&std::env::temp_dir(), env!("CARGO_BIN_EXE_fenqi"), &arguments, b"").await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    for told in [
        "WRONG  fields that are added to applications later are ignored: status 400",
        "WRONG  fields that are added to a purchase later are ignored: status 400",
        "ok     a purchase of the amount given is left open, and its late answer comes by itself within three seconds",
        "WRONG  the late answer about a purchase bears your signature: the signature's headers are missing",
        "WRONG  the late answer about a purchase is JSON under an Idempotency-Key: its Content-Type is",
        "WRONG  it names the question and its line, and says allow, or refuse with a reason: it cannot be read",
        "WRONG  where the house gave a late answer about a purchase no answer, it comes again as it was, under the same key: A ",
        "WRONG  a late answer that is refused with 409 is not sent again: it came again",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
}

/// A risk endpoint that refuses everything, with a sentence where a code must stand.
async fn refuse_in_a_sentence(axum::Json(asked): axum::Json<Value>) -> axum::Json<Value> {
    let refused = |name: &str, value: &Value| json!({ name: value, "decision": "refuse", "reason": "Too late!" });
    axum::Json(match asked["applications"].as_array() {
        Some(all) => {
            let answers = all.iter().map(|one| refused("application_id", &one["application_id"]));
            json!({ "answers": answers.collect::<Vec<Value>>() })
        }
        None => refused("question_id", &asked["purchase"]["question_id"]),
    })
}

#[tokio::test]
async fn an_endpoint_whose_reasons_are_no_codes_is_told_so() {
    let router = axum::Router::new()
        .route("/applications", axum::routing::post(refuse_in_a_sentence))
        .route("/purchases", axum::routing::post(refuse_in_a_sentence));
    let address = house::serve(router).await;
    let arguments = ["partner", "check-risk", &address, "--sandbox-seed", "7"];
    let output = run_in(&std::env::temp_dir(), env!("CARGO_BIN_EXE_fenqi"), &arguments, b"").await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    let no_code = "has the reason \"Too late!\", which is no code of 1 to 64 lower-case letters and _\n";
    for check in ["WRONG  each decision can be used", "WRONG  it names the question and says allow"] {
        let told = said.lines().find(|line| line.starts_with(check)).unwrap_or_else(|| panic!("{check}: {said}"));
        assert!(format!("{told}\n").ends_with(no_code), "{told}");
    }
    // Nor is it signed, which a house would ask of every answer and not of the first alone.
    for check in ["the same application again is answered as before", "two hundred applications in one request are"] {
        let told = said.lines().find(|line| line.contains(check)).unwrap_or_else(|| panic!("{check}: {said}"));
        assert!(told.starts_with("WRONG") && told.contains("the signature's headers are missing"), "{told}");
    }
    // One whose answer does not end is not read to its end.
    let address = house::serve(axum::Router::new().fallback(answer_without_end)).await;
    let arguments = ["partner", "check-risk", &address, "--sandbox-seed", "7", "--applications-only"];
    let output = run_in(&std::env::temp_dir(), env!("CARGO_BIN_EXE_fenqi"), &arguments, b"").await;
    let said = String::from_utf8_lossy(&output.stdout);
    let told = "WRONG  an answer comes within five seconds, with status 200: the answer is larger than 1048576 bytes\n";
    assert!(output.status.code() == Some(1) && said.starts_with(told), "{said}");
    // Nor is one that is not there a riddle.
    let nowhere = format!("http://{}", free_address());
    let arguments = ["partner", "check-risk", &nowhere, "--sandbox-seed", "7", "--applications-only"];
    let output = run_in(&std::env::temp_dir(), env!("CARGO_BIN_EXE_fenqi"), &arguments, b"").await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("Connection refused"), "{output:?}");
}

/// A risk endpoint that signs its answers but accepts any caller, does not know applications without a limit or purchases
/// without an order, and decides by position: only the first application is approved.
async fn answer_narrowly(axum::Json(asked): axum::Json<Value>) -> axum::response::Response {
    let narrow = |one: &Value| one["limit_requested_fen"].is_null() && one["has_order"] != true;
    let answer = match asked["applications"].as_array() {
        Some(all) if all.iter().any(narrow) => return StatusCode::BAD_REQUEST.into_response(),
        Some(all) => {
            let answers = all.iter().enumerate().map(|(place, one)| {
                let id = &one["application_id"];
                match place {
                    0 => json!({ "application_id": id, "decision": "approve", "grade": "B", "limit_fen": 1 }),
                    _ => json!({ "application_id": id, "decision": "refer", "reason": "not_first" }),
                }
            });
            json!({ "answers": answers.collect::<Vec<Value>>() })
        }
        None if narrow(&asked["purchase"]) => return StatusCode::BAD_REQUEST.into_response(),
        None => json!({ "question_id": asked["purchase"]["question_id"], "decision": "allow" }),
    };
    let (body, stamp) = (answer.to_string(), Stamp::fresh(Clock::System.now()));
    let signature = Identity::from_seed("risk", 7).response_headers(&stamp, body.as_bytes());
    (axum::response::AppendHeaders(signature), body).into_response()
}

#[tokio::test]
async fn an_endpoint_that_knows_only_what_is_usual_or_goes_by_the_order_is_told_so() {
    let router = axum::Router::new()
        .route("/applications", axum::routing::post(answer_narrowly))
        .route("/purchases", axum::routing::post(answer_narrowly));
    let address = house::serve(router).await;
    let arguments = ["partner", "check-risk", &address, "--sandbox-seed", "7"];
    let output = run_in(&std::env::temp_dir(), env!("CARGO_BIN_EXE_fenqi"), &arguments, b"").await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    for told in [
        "ok     each decision can be used",
        "WRONG  the same application again is answered as before: ",
        "WRONG  applications of every form that the contract allows are answered: without limit_requested_fen: status 400",
        "ok     the same question again is answered as before",
        "WRONG  purchases of every form that the contract allows are answered: grocery without an order: status 400",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
}

async fn answer_without_end() -> axum::body::Body {
    const PIECE: &[u8] = &[b' '; 1 << 16];
    let piece = || Ok::<_, std::convert::Infallible>(axum::body::Bytes::from_static(PIECE));
    axum::body::Body::from_stream(futures_util::stream::repeat_with(piece))
}
