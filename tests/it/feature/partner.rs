//! Calls to partners: what each kind of ending may be taken to mean, the circuit breaker, the call log, whose signature counts, and who
//! is called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::TimeDelta;
use fenqi::access::Directory;
use fenqi::access::strangers::NOT_BELIEVED_MAX;
use fenqi::app::App;
use fenqi::base::hex::hex_encode;
use fenqi::base::id::{BorrowerId, CardId, ProductId};
use fenqi::base::{Clock, Fen};
use fenqi::borrower::card::CardCode;
use fenqi::partner::card_signing::wire::CodeToConfirm;
use fenqi::partner::key::{Algorithm, PrivateKey};
use fenqi::partner::signature::{Identity, KeyRing, Received, Stamp, Verifier};
use fenqi::partner::sms::client::ShortMessage;
use fenqi::partner::sms::wire::{Message, SendRequest};
use fenqi::partner::store::{CallSearch, search_calls};
use fenqi::partner::wechat::WeChatSettings;
use fenqi::partner::withholding::ChannelName;
use fenqi::partner::{CallError, Operation, PartnerSettings, PartnerSettingsError, Partners};
use fenqi::purchase::counter_actions::Confirmation;
use fenqi::purchase::offer::PlanName;
use fenqi::sandbox::{self, Fault, FaultShares, Silence, World};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use crate::house;

pub(super) const DELIVER: Operation<'static> = Operation {
    name: "deliver_events",
    path: "/events",
    key: "k1",
    also: &[],
    safe_to_retry: false,
    time_limit: house::PATIENCE,
};

pub(super) async fn call(app: &App, operation: &Operation<'_>) -> Result<Value, CallError> {
    app.partners.client("funder_core").unwrap().call(operation, &json!({ "events": [] })).await
}

/// How the calls ended, as the log has them in order.
async fn logged(app: &App) -> Vec<(String, Option<i16>)> {
    app.partners.flush_log().await;
    sqlx::query_as("select outcome, http_status from partner_call order by call_no").fetch_all(&app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_is_a_result_and_the_call_is_logged(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    assert_eq!(call(&app, &DELIVER).await.unwrap(), json!({ "results": [] }));
    assert_eq!(logged(&app).await, [("ok".to_owned(), Some(200))]);
    let mut connection = app.pool.acquire().await.unwrap();
    let found = search_calls(&mut connection, &CallSearch { limit: 10, ..Default::default() }).await.unwrap().remove(0);
    assert_eq!((found.operation.as_str(), found.call_key.as_str()), (DELIVER.name, DELIVER.key));
    assert_eq!(found.request_sha256, hex_encode(&Sha256::digest(br#"{"events":[]}"#)), "of what was sent");
    assert_eq!(found.response_masked, r#"{"results":[]}"#);
    assert!(found.duration_micros > 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_broken_connection_leaves_the_outcome_unknown(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    silence(&world);
    assert!(matches!(call(&app, &DELIVER).await, Err(CallError::Unknown { .. })));
    assert_eq!(logged(&app).await, [("unknown".to_owned(), None)]);
    let safe = Operation { safe_to_retry: true, ..DELIVER };
    assert!(matches!(call(&app, &safe).await, Err(CallError::Unknown { .. })));
    assert_eq!(logged(&app).await.len(), 4, "a safe operation is tried three times");
}

fn silence(world: &World) {
    world.set_faults("funder_core", FaultShares { timeout_after: 1_000, ..FaultShares::default() });
    assert_eq!(world.call_fault("funder_core", "any"), Some(Fault::TimeoutAfter));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_explicit_refusal_is_believed_only_when_signed(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-01-05").await;
    let elsewhere = Operation { path: "/nowhere", ..DELIVER };
    let rejected = call(&app, &elsewhere).await;
    assert!(matches!(rejected, Err(CallError::Rejected { status: 404, .. })), "{rejected:?}");

    let unsigned = Router::new().route("/funder_core/events", post(|| async { axum::http::StatusCode::FORBIDDEN }));
    let base_url = house::serve(unsigned).await;
    let app = house::with_partners(&app, &sandbox::partner_settings(&base_url, house::SEED));
    assert!(matches!(call(&app, &DELIVER).await, Err(CallError::Unknown { .. })));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_that_is_not_there_was_certainly_not_reached(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let app = house::with_partners(&app, &sandbox::partner_settings("http://127.0.0.1:1", 1));
    assert!(matches!(call(&app, &DELIVER).await, Err(CallError::NotSent { .. })));
    assert!(app.partners.client("nobody").is_err());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_that_keeps_failing_is_left_alone_and_tried_again(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    silence(&world);
    for _ in 0..10 {
        assert!(matches!(call(&app, &DELIVER).await, Err(CallError::Unknown { .. })));
    }
    assert!(matches!(call(&app, &DELIVER).await, Err(CallError::NotSent { .. })), "the breaker is open");
    assert_eq!(logged(&app).await.len(), 10, "a call that is not made is not logged");
    world.set_faults("funder_core", FaultShares::default());
    app.clock.set(app.clock.now() + TimeDelta::seconds(11));
    assert!(call(&app, &DELIVER).await.is_ok());
    silence(&world);
    assert!(
        matches!(call(&app, &DELIVER).await, Err(CallError::Unknown { .. })),
        "the breaker is closed: one failure is none"
    );
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_held_answer_runs_into_the_time_limit(pool: PgPool) {
    let slow = Router::new().fallback(|| async { tokio::time::sleep(Duration::from_secs(30)).await });
    let base_url = house::serve(slow).await;
    let app = house::open(pool, "2026-01-05").await;
    let app = house::with_partners(&app, &sandbox::partner_settings(&base_url, 1));
    let impatient = Operation { time_limit: Duration::from_millis(50), ..DELIVER };
    assert!(matches!(call(&app, &impatient).await, Err(CallError::Unknown { .. })));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_an_answer_without_end_no_more_is_read_than_any_answer_has(pool: PgPool) {
    let base_url = house::serve(Router::new().fallback(|| async { vec![b' '; 5 << 20] })).await;
    let app = house::open(pool, "2026-01-05").await;
    let app = house::with_partners(&app, &sandbox::partner_settings(&base_url, 1));
    let answered = call(&app, &DELIVER).await.unwrap_err();
    assert!(answered.to_string().ends_with("the answer is larger than 4194304 bytes"), "{answered}");
    let file = app.partners.client("funder_core").unwrap().fetch(&DELIVER).await.unwrap_err();
    assert!(!file.to_string().contains("larger"), "a file may have more: {file}");
}

/// The app's pages on a port of this machine.
async fn serve_pages(app: &App) -> String {
    house::serve(fenqi::router::router(app.clone())).await
}

/// What the log says of calls that came in.
async fn heard(app: &App) -> Vec<(String, String)> {
    app.partners.flush_log().await;
    let calls = "select partner, outcome from partner_call where direction = 'in' order by call_no";
    sqlx::query_as(calls).fetch_all(&app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_is_believed_from_the_partner_itself_alone(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let pages = serve_pages(&app).await;
    let body = json!({ "said": "in no words of the protocol" });
    world.set_callback_base(format!("{pages}/partner"));
    world.call_back("payout", &body, None);
    assert_eq!(world.deliver_callbacks().await, 0, "it is believed, but not understood");
    // The same place, signed by another partner.
    world.set_callback_base(format!("{pages}/partner/payout?from="));
    world.call_back("sms", &body, None);
    assert_eq!(world.deliver_callbacks().await, 0);
    let said = [("payout", "callback_unreadable"), ("(not believed)", "signature_key_unknown")];
    assert_eq!(heard(&app).await, said.map(|(partner, outcome)| (partner.to_owned(), outcome.to_owned())));
    assert_eq!(world.callbacks_pending(), 2, "both come again later");
    let unsigned = fenqi::partner::client::build_http().unwrap().post(format!("{pages}/partner/payout")).send().await;
    assert_eq!(unsigned.unwrap().status(), 401);
    // What is understood is found again by its order, whatever comes of it.
    let nobodys = "pay_0197f3c2a4b07cc39b1c2d3e4f506172-1";
    world.set_callback_base(format!("{pages}/partner"));
    world.call_back("payout", &json!({ "order_key": nobodys, "state": "failed", "code": "refused" }), None);
    world.deliver_callbacks().await;
    app.partners.flush_log().await;
    let search = CallSearch { key: Some(nobodys.to_owned()), limit: 10, ..Default::default() };
    let found = search_calls(&mut app.pool.acquire().await.unwrap(), &search).await.unwrap();
    assert_eq!(found.iter().map(|call| call.http_status).collect::<Vec<_>>(), [Some(422)], "{found:?}");
}

fn with_rsa(mchid: &str, serial_no: &str) -> Identity {
    Identity::new(mchid, serial_no, PrivateKey::generate(Algorithm::RsaSha256).unwrap())
}

/// A signed answer to what is believed.
fn answer_believed(
    verifier: &Verifier,
    signer: &Identity,
    (url, headers, body): (&str, &HeaderMap, &[u8]),
) -> Response {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    if verifier.request(Clock::System.now(), Received { method: "POST", url, authorization, body }).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let answer = json!({ "results": [] }).to_string();
    let stamp = Stamp::fresh(Clock::System.now());
    (signer.response_headers(&stamp, answer.as_bytes()), answer).into_response()
}

/// A bank that believes `ours` and answers under the name of one who signs: at `/bank/events` the right one, at
/// `/bank/forged` the other. Returns its address.
async fn serve_bank(ours: &Identity, right: &Identity, other: &Identity) -> String {
    let mut ring = KeyRing::default();
    ring.add_identity(ours);
    let verifier = Arc::new(Verifier::new(ring));
    let answering = |url: &'static str, signer: &Identity| {
        let (verifier, signer) = (verifier.clone(), signer.clone());
        post(move |headers: HeaderMap, body: Bytes| {
            let (verifier, signer) = (verifier.clone(), signer.clone());
            async move { answer_believed(&verifier, &signer, (url, &headers, &body[..])) }
        })
    };
    let bank = Router::new()
        .route("/bank/events", answering("/bank/events", right))
        .route("/bank/forged", answering("/bank/forged", other));
    format!("{}/bank", house::serve(bank).await)
}

type Build = fn(&[PartnerSettings], PgPool, Clock) -> Result<Partners, PartnerSettingsError>;

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn references_of_channels_alone_name_batches(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let said_of = |name: &str| {
        let mut settings = sandbox::partner_settings("http://127.0.0.1:9", house::SEED);
        settings.retain(|partner| partner.name == name);
        settings[0].references_name_batches = true;
        Partners::new(&settings, app.pool.clone(), app.clock.clone()).map_err(|error| error.to_string())
    };
    let partners = said_of("withholding_b").unwrap();
    assert_eq!(ChannelName::ALL.map(|channel| partners.has_batch_references(channel)), [false, true]);
    let refused = said_of("payout").err().unwrap();
    assert!(refused.contains("withholding channels alone; leave it out"), "{refused}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn partners_elsewhere_are_called_through_the_proxy_that_the_house_names(pool: PgPool) {
    // The world stands where a proxy would: whoever is called through it is played by it.
    let (app, _world, world_at) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
    let through = |base_url: &str, proxy: &str| {
        let settings = sandbox::partner_settings(base_url, house::SEED);
        let partners = Partners::for_trial(&settings, app.pool.clone(), app.clock.clone()).unwrap();
        App { partners: Arc::new(partners.through(proxy.parse().unwrap()).unwrap()), ..app.clone() }
    };
    let (elsewhere, nobody) = ("http://partners.invalid", "http://127.0.0.1:1");
    assert_eq!(call(&through(elsewhere, &world_at), &DELIVER).await.unwrap(), json!({ "results": [] }));
    assert!(matches!(call(&through(elsewhere, nobody), &DELIVER).await, Err(CallError::NotSent { .. })));
    assert_eq!(call(&through(&world_at, nobody), &DELIVER).await.unwrap(), json!({ "results": [] }));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_on_this_side_of_the_proxy_is_called_directly(pool: PgPool) {
    let (app, _world, world_at) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
    // This machine by an address that does not say so, as a partner's on the house's own network does not.
    let near = world_at.replace("127.0.0.1", "0.0.0.0");
    let calling = |is_direct| {
        let mut settings = sandbox::partner_settings(&near, house::SEED);
        settings.iter_mut().filter(|partner| partner.name == "funder_core").for_each(|core| core.direct = is_direct);
        let partners = Partners::for_trial(&settings, app.pool.clone(), app.clock.clone()).unwrap();
        let nobody = "http://127.0.0.1:1".parse().unwrap();
        App { partners: Arc::new(partners.through(nobody).unwrap()), ..app.clone() }
    };
    assert!(matches!(call(&calling(false), &DELIVER).await, Err(CallError::NotSent { .. })));
    assert_eq!(call(&calling(true), &DELIVER).await.unwrap(), json!({ "results": [] }));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_house_but_a_trial_one_reaches_another_machine_in_clear(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let ask = |base_url: &str, build: Build| {
        let settings = sandbox::partner_settings(base_url, house::SEED);
        let built = build(&settings, app.pool.clone(), app.clock.clone());
        built.map(|partners| partners.is_trial()).map_err(|error| error.to_string())
    };
    let in_clear = ask("http://partners.example", Partners::new).unwrap_err();
    assert!(in_clear.contains("personal data would travel in clear"), "{in_clear}");
    assert_eq!(ask("https://partners.example", Partners::new), Ok(false));
    assert_eq!(ask("http://127.0.0.1:8090", Partners::new), Ok(false));
    assert_eq!(ask("http://partners.example", Partners::for_trial), Ok(true));
    for malformed in ["partners.example", "ftp://partners.example", "https://partners.example?a=b"] {
        let refused = ask(malformed, Partners::for_trial).unwrap_err();
        assert!(refused.contains("must begin with http:// or https://"), "{malformed}: {refused}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_house_but_a_trial_one_reaches_wechat_in_clear(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let ask = |api_url: &str, authorize_url: &str, build: Build| {
        let (api_url, authorize_url) = (api_url.to_owned(), authorize_url.to_owned());
        let settings = WeChatSettings { api_url, authorize_url, ..sandbox::wechat_settings("http://127.0.0.1:8090") };
        let partners = build(&[], app.pool.clone(), app.clock.clone()).unwrap();
        partners.with_wechat(settings).map(|partners| partners.is_trial()).map_err(|error| error.to_string())
    };
    let (safe, in_clear) = ("https://wechat.example", "http://wechat.example");
    for (api_url, authorize_url, named) in [(in_clear, safe, "`api_url`"), (safe, in_clear, "`authorize_url`")] {
        let refused = ask(api_url, authorize_url, Partners::new).unwrap_err();
        assert!(refused.contains(named) && refused.contains("in clear"), "{refused}");
        assert_eq!(ask(api_url, authorize_url, Partners::for_trial), Ok(true));
    }
    assert_eq!(ask(safe, safe, Partners::new), Ok(false));
    assert_eq!(ask("http://127.0.0.1:8090", "http://localhost:8090", Partners::new), Ok(false));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_with_rsa_keys_is_called_believed_and_heard(pool: PgPool) {
    let ours = with_rsa("our-house", "HOUSE-1");
    let (theirs, nobodys) = (with_rsa("bank", "BANK-1"), with_rsa("bank", "BANK-1"));
    let bank_at = serve_bank(&ours, &theirs, &nobodys).await;
    let settings = house::partner_at("payout", bank_at, (&ours, &theirs));
    let app = house::with_partners(&house::open(pool, "2026-01-05").await, &[settings]);
    let asked = json!({ "events": [] });
    let client = app.partners.client("payout").unwrap();
    let answer: Value = client.call(&DELIVER, &asked).await.unwrap();
    assert_eq!(answer, json!({ "results": [] }));
    let forged: Result<Value, CallError> = client.call(&Operation { path: "/forged", ..DELIVER }, &asked).await;
    assert!(matches!(forged, Err(CallError::Unknown { .. })), "signed by a key that is not the bank's: {forged:?}");

    let pages = serve_pages(&app).await;
    let http = fenqi::partner::client::build_http().unwrap();
    let body = json!({ "said": "in no words of the protocol" }).to_string();
    let mut statuses = Vec::new();
    for signer in [&theirs, &nobodys] {
        let stamp = Stamp::fresh(Clock::System.now());
        let authorization = signer.authorization("POST", "/partner/payout", &stamp, body.as_bytes());
        assert!(authorization.starts_with("FENQI-RSA-SHA256 "), "{authorization}");
        let request = http.post(format!("{pages}/partner/payout")).header("authorization", authorization);
        let request = request.header("content-type", "application/json").body(body.clone());
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [400, 401], "believed, though not understood; not believed");
    // What cannot be kept is not understood either, though all else in it is.
    let key = "pay_0197f3c2a4b07cc39b1c2d3e4f506172-1";
    let body = json!({ "order_key": key, "state": "failed", "code": "a\u{0}" }).to_string();
    let stamp = Stamp::fresh(Clock::System.now());
    let authorization = theirs.authorization("POST", "/partner/payout", &stamp, body.as_bytes());
    let request = http.post(format!("{pages}/partner/payout")).header("authorization", authorization);
    assert_eq!(request.body(body).send().await.unwrap().status().as_u16(), 400);
    let said =
        [("payout", "callback_unreadable"), ("(not believed)", "signature_wrong"), ("payout", "callback_unreadable")];
    assert_eq!(heard(&app).await, said.map(|(partner, outcome)| (partner.to_owned(), outcome.to_owned())));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_whose_nonce_cannot_be_kept_is_our_failure_and_not_its_partners(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let pages = serve_pages(&app).await;
    sqlx::query("alter table nonce rename to nonce_elsewhere").execute(&app.pool).await.unwrap();
    let (theirs, stamp) = (Identity::from_seed("payout", house::SEED), Stamp::fresh(Clock::System.now()));
    let authorization = theirs.authorization("POST", "/partner/payout", &stamp, b"{}");
    let http = fenqi::partner::client::build_http().unwrap();
    let request = http.post(format!("{pages}/partner/payout")).header("authorization", authorization).body("{}");
    assert_eq!(request.send().await.unwrap().status().as_u16(), 500);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_that_is_sent_again_and_again_is_not_looked_at(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    // A minute that lasts until the test is over.
    let directory = Directory::new(app.pool.clone(), app.vault.clone(), Clock::moved(Clock::System.now()));
    let pages = serve_pages(&App { access: Arc::new(directory), ..app }).await;
    let (theirs, stamp) = (Identity::from_seed("payout", house::SEED), Stamp::fresh(Clock::System.now()));
    let authorization = theirs.authorization("POST", "/partner/payout", &stamp, b"{}");
    let http = fenqi::partner::client::build_http().unwrap();
    let ask = async || {
        let request = http.post(format!("{pages}/partner/payout")).header("authorization", &authorization);
        request.body("{}").send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask().await, 400, "believed, though not understood");
    for _ in 1..NOT_BELIEVED_MAX {
        assert_eq!(ask().await, 401);
    }
    assert_eq!((ask().await, ask().await), (429, 429));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn callbacks_come_twice_late_or_never_as_the_faults_say(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let anything = Router::new().fallback(async || axum::http::StatusCode::NO_CONTENT);
    world.set_callback_base(house::serve(anything).await);
    let body = json!({});
    world.call_back("payout", &body, Some(Fault::LostCallback));
    assert_eq!(world.deliver_callbacks().await, 0);
    world.call_back("payout", &body, Some(Fault::DuplicateCallback));
    assert_eq!(world.deliver_callbacks().await, 2);
    world.call_back("payout", &body, Some(Fault::LateAnswer));
    assert_eq!(world.deliver_callbacks().await, 0);
    app.clock.set(app.clock.now() + TimeDelta::minutes(10));
    assert_eq!(world.deliver_callbacks().await, 1);
    assert_eq!(world.callbacks_pending(), 0);
}

#[test]
fn what_holds_a_code_a_pin_or_a_mobile_does_not_show_it() {
    let (borrower_id, number) = (BorrowerId::from_uuid(Uuid::nil()), Uuid::nil());
    let parameters = BTreeMap::from([("code".to_owned(), "482913".to_owned())]);
    let message = Message {
        message_id: number,
        mobile: "13812345678".to_owned(),
        template: "sign_in_code".to_owned(),
        parameters: parameters.clone(),
    };
    let mobile = "13812345678".parse().unwrap();
    let ours = ShortMessage { message_id: number, mobile, template: "sign_in_code", parameters, about: Vec::new() };
    let to_confirm = CodeToConfirm { challenge: "c1".to_owned(), sms_code: "482913".to_owned() };
    let typed = CardCode { borrower_id, card_id: CardId::from_uuid(number), code: "482913".to_owned() };
    let confirmation = Confirmation {
        borrower_id,
        pin: "482913".to_owned(),
        key: "k1".to_owned(),
        amount: Fen::new(100),
        plan: PlanName { product_id: ProductId::from_uuid(number), version: 1, periods: 3 },
        schedule: String::new(),
    };
    let request = SendRequest { messages: vec![message] };
    let shown = format!("{request:?} {ours:?} {to_confirm:?} {typed:?} {confirmation:?}");
    for secret in ["482913", "13812345678"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
