//! Access to the API: signatures in both algorithms, keys that overlap and end, nonces on all nodes, addresses, rate limits, scopes.

use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta};
use fenqi::access::actions::{AccessRefusal, NewKey, PartnerChange, Rotation, rotate_platform_key};
use fenqi::access::strangers::{NOT_BELIEVED_MAX, UNKNOWN_KEPT};
use fenqi::access::{self, Directory, PartnerKind, Scope};
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::error::{Fault, Step};
use fenqi::partner::key::Algorithm;
use fenqi::partner::signature::{Identity, SKEW_MAX, Stamp};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::desk::{self, Desk};
use crate::house;

/// A funder's core at its desk, with every scope and one key.
pub(super) async fn open(pool: PgPool) -> (App, Desk) {
    open_at(pool, &Clock::System).await
}

/// The same at a node where a minute has just begun, and lasts until the test moves its clock.
async fn open_stopped(pool: PgPool) -> (App, Desk, Clock) {
    let clock = Clock::moved(Clock::System.now().duration_trunc(TimeDelta::minutes(1)).unwrap());
    let (app, desk) = open_at(pool, &clock).await;
    (app, desk, clock)
}

async fn open_at(pool: PgPool, wire_clock: &Clock) -> (App, Desk) {
    let app = node_at(&house::open(pool, "2026-01-05").await, wire_clock);
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    desk::add_partner(&app, "harbour-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let identity = desk::add_key(&app, "harbour-core", "H-1", Algorithm::Sm2Sm3).await;
    let address = desk::serve(&app).await;
    let desk = Desk::new(&app, &address, identity).await;
    (app, desk)
}

/// A node of the same house that has seen nobody yet, with this time as partners see it.
fn node_at(app: &App, wire_clock: &Clock) -> App {
    let directory = Directory::new(app.pool.clone(), app.vault.clone(), wire_clock.clone());
    App { access: Arc::new(directory), ..app.clone() }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn both_algorithms_are_believed_and_answered_in_kind(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let rsa = desk.with(desk::add_key(&app, "harbour-core", "H-2", Algorithm::RsaSha256).await);
    for (desk, serial_no) in [(&desk, "H-1"), (&rsa, "H-2")] {
        let answer = desk.get("/me").await;
        let myself = answer.ok();
        assert_eq!((&myself["partner"], &myself["serial_no"]), (&"harbour-core".into(), &serial_no.into()));
        assert_eq!((&myself["funder"], &myself["business_day"]), (&"harbour-bank".into(), &"2026-01-05".into()));
        assert_eq!(answer.header("ratelimit-limit"), "1000000");
    }
    let keys = desk.get("/platform-keys").await.ok();
    assert_eq!(keys["items"].as_array().unwrap().len(), 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn each_fault_of_a_signature_has_its_code(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let now = Clock::System.now();
    let asked = async |authorization: &str, path: &str| desk.send_raw("GET", path, authorization, &[], vec![]).await;
    let signed = |path: &str, stamp: &Stamp| desk.identity.authorization("GET", path, stamp, b"");
    let stamp = Stamp::fresh(now);
    let right = signed("/api/v1/me", &stamp);
    assert_eq!(asked("", "/api/v1/me").await.problem(), (401, "signature_malformed".into()));
    assert_eq!(asked("Bearer x", "/api/v1/me").await.problem(), (401, "signature_malformed".into()));
    let changed = asked(&right, "/api/v1/me?x=1").await;
    assert_eq!(changed.problem(), (401, "signature_wrong".into()));
    let large = desk.send_raw("POST", "/api/v1/me", &right, &[], vec![b' '; 300_000]).await;
    assert_eq!(large.problem(), (413, "body_too_large".into()));
    for unsigned in [&changed, &large] {
        assert!(!unsigned.headers.contains_key("fenqi-signature"), "an answer to nobody is not signed");
        assert!(!unsigned.headers.contains_key("ratelimit-limit"), "nor counted");
        let schemes = if unsigned.status == 401 { "FENQI-SM2-SM3, FENQI-RSA-SHA256" } else { "" };
        assert_eq!(unsigned.header("www-authenticate"), schemes);
    }
    // Nobody finds out so which partners there are, or which of their keys; the operator does.
    let told = |answer: &desk::Answer| {
        let mut problem = answer.json();
        problem["request_id"] = Value::Null;
        problem
    };
    let no_base64 = |authorization: &str| authorization.replace("signature=\"", "signature=\"*");
    let malformed = asked(&no_base64(&right), "/api/v1/me").await;
    assert_eq!(malformed.problem(), (401, "signature_malformed".into()));
    let nobodys = [right.replace("H-1", "H-9"), right.replace("harbour-core", "nobody-core")];
    for (asks, as_one) in nobodys.iter().flat_map(|one| [(no_base64(one), &malformed), (one.clone(), &changed)]) {
        let unknown = asked(&asks, "/api/v1/me").await;
        assert_eq!((unknown.status, told(&unknown)), (401, told(as_one)));
    }
    app.partners.flush_log().await;
    let unknown =
        "select count(*) from partner_call where partner = '(not believed)' and outcome = 'signature_key_unknown'";
    let unknown: i64 = sqlx::query_scalar(unknown).fetch_one(&app.pool).await.unwrap();
    assert_eq!(unknown, 2);
    let other_scheme = right.replace("FENQI-SM2-SM3", "FENQI-RSA-SHA256");
    assert_eq!(asked(&other_scheme, "/api/v1/me").await.problem(), (401, "signature_wrong".into()));
    for minutes in [-6, 6] {
        let stale = signed("/api/v1/me", &Stamp::fresh(now + TimeDelta::minutes(minutes)));
        assert_eq!(asked(&stale, "/api/v1/me").await.problem(), (401, "signature_stale".into()));
    }
    assert_eq!(asked(&right, "/api/v1/me").await.status, 200, "what was refused has burnt no nonce");
    assert_eq!(asked(&right, "/api/v1/me").await.problem(), (401, "nonce_reused".into()));
    let body = desk.send_raw("GET", "/api/v1/me", &signed("/api/v1/me", &Stamp::fresh(now)), &[], b"x".to_vec()).await;
    assert_eq!(body.problem(), (401, "signature_wrong".into()));
    let refused = desk.post("/me", "key-1", &Value::Null).await;
    assert_eq!((refused.problem(), refused.header("allow")), ((405, "method_not_allowed".into()), "GET"));
    assert_eq!(desk.send_with("GET", "/me", &[("accept", "application/json")], "").await.status, 200);
    assert_eq!(desk.send("GET", "/me", None, "{}").await.problem(), (400, "body_not_taken".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_nonce_is_used_once_over_all_nodes_and_a_revoked_key_ends_on_each(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let there = desk.at(desk::serve(&node_at(&app, &Clock::System)).await);
    let stamp = Stamp::fresh(Clock::System.now());
    assert_eq!(desk.send_stamped("GET", "/me", &stamp, &[], "").await.status, 200);
    let again = there.send_stamped("GET", "/me", &stamp, &[], "").await;
    there.believe(&again);
    assert_eq!(again.problem(), (401, "nonce_reused".into()));
    let (draft, key) = (json!({ "terms_text": "code = 1" }), [("idempotency-key", "d-1")]);
    let keyed = there.send_stamped("POST", "/funder/product-drafts", &stamp, &key, &draft.to_string()).await;
    assert_eq!(keyed.problem(), (401, "nonce_reused".into()));
    assert_eq!(keys_taken(&app).await, 0);
    assert_eq!(there.get("/me").await.status, 200);

    let next = desk.with(desk::add_key(&app, "harbour-core", "H-2", Algorithm::Sm2Sm3).await);
    assert_eq!(next.get("/me").await.status, 200, "keys overlap");
    assert_eq!(access::revoke_key(&app, "harbour-core", "H-1", "operator").await.unwrap(), Step::Applied);
    for desk in [&desk, &there] {
        let refused = desk.send_stamped("GET", "/me", &Stamp::fresh(Clock::System.now()), &[], "").await;
        assert_eq!(refused.problem(), (401, "signature_wrong".into()));
    }
    assert_eq!(next.get("/me").await.status, 200);
    let same_serial = Identity::from_seed("harbour-core", 9);
    let key = NewKey {
        partner: "harbour-core".into(),
        serial_no: "H-1".into(),
        public_key: same_serial.public_key(),
        holder: "Chen".into(),
        expires_at: None,
    };
    let refused = access::add_key(&app, &key, "operator").await.unwrap_err();
    assert!(refused.to_string().contains("used before"), "a serial number never names another key");
    for (serial_no, known) in [("H-3", &next.identity), ("H-4", &desk.identity)] {
        let public_key = known.public_key();
        let twice = NewKey { serial_no: serial_no.into(), public_key, ..key.clone() };
        let refused = access::add_key(&app, &twice, "operator").await.unwrap_err();
        assert!(refused.to_string().contains(&known.serial_no), "a key has one holder, revoked or not: {refused}");
    }
    let fifth = NewKey { serial_no: "H-5".into(), ..key };
    assert_eq!(access::add_key(&app, &fifth, "operator").await.unwrap(), Step::Applied);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn many_at_once_with_one_nonce_get_in_once(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let calls = async || -> i64 {
        sqlx::query_scalar("select coalesce(sum(calls), 0)::bigint from api_rate").fetch_one(&app.pool).await.unwrap()
    };
    let before = calls().await;
    let stamp = Stamp::fresh(Clock::System.now());
    let asked = (0..20).map(|_| desk.send_stamped("GET", "/me", &stamp, &[], ""));
    let answers = futures_util::future::join_all(asked).await;
    let (let_in, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((let_in.len(), refused.len()), (1, 19));
    assert!(refused.iter().all(|answer| answer.problem() == (401, "nonce_reused".into())), "{refused:?}");
    assert_eq!(calls().await, before + 1, "what is sent again uses up nothing of the partner's rate");
}

/// What comes first from a clock five minutes ahead is fresh for ten minutes more, to the second; and by the clock of a node that is
/// a little behind for longer.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_nonce_is_remembered_as_long_as_any_node_takes_its_signature_for_fresh(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let first = DateTime::from_timestamp(Clock::System.now().timestamp(), 0).unwrap();
    let (clock, behind) = (Clock::moved(first), Clock::moved(first));
    let (node, node_behind) = (node_at(&app, &clock), node_at(&app, &behind));
    let (here, there) = (desk.at(desk::serve(&node).await), desk.at(desk::serve(&node_behind).await));
    let ahead = Stamp::fresh(first + SKEW_MAX);
    assert_eq!(here.send_stamped("GET", "/me", &ahead, &[], "").await.status, 200);
    clock.set(first + SKEW_MAX * 2 + TimeDelta::seconds(10));
    behind.set(first + SKEW_MAX * 2 + TimeDelta::milliseconds(900));
    access::jobs::forget_old(&node).await.unwrap();
    let replayed = there.send_stamped("GET", "/me", &ahead, &[], "").await;
    assert_eq!(replayed.problem(), (401, "nonce_reused".into()));
    assert_eq!(here.send_stamped("GET", "/me", &ahead, &[], "").await.problem(), (401, "signature_stale".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn addresses_rates_and_switching_off_hold_at_once(pool: PgPool) {
    let (app, desk, clock) = open_stopped(pool).await;
    let change = async |change: PartnerChange| {
        let _ = access::change_partner(&app, "harbour-core", &change, "operator").await.unwrap();
    };
    let ask = async || desk.send_stamped("GET", "/me", &Stamp::fresh(Clock::System.now()), &[], "").await;
    assert_eq!(ask().await.status, 200);
    change(PartnerChange { addresses: Some(vec!["203.0.113.0/24".parse().unwrap()]), ..Default::default() }).await;
    let elsewhere = ask().await;
    desk.believe(&elsewhere);
    assert_eq!(elsewhere.problem(), (403, "address_not_allowed".into()));
    change(PartnerChange { addresses: Some(vec!["127.0.0.0/8".parse().unwrap()]), ..Default::default() }).await;
    assert_eq!(ask().await.status, 200);
    change(PartnerChange { rate_per_minute: Some(1), ..Default::default() }).await;
    clock.set(clock.now() + TimeDelta::seconds(20));
    let beyond = ask().await;
    desk.believe(&beyond);
    assert_eq!(beyond.problem(), (429, "rate_exceeded".into()));
    let told = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"];
    assert_eq!(told.map(|name| beyond.header(name)), ["1", "0", "40", "40"]);
    clock.set(clock.now() + TimeDelta::seconds(40));
    assert_eq!([ask().await.status, ask().await.status], [200, 429], "one in the next minute");
    change(PartnerChange { rate_per_minute: Some(1_000), is_disabled: Some(true), ..Default::default() }).await;
    assert_eq!(ask().await.problem(), (401, "signature_wrong".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn behind_a_proxy_of_ours_the_address_is_the_one_that_the_proxy_saw(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let directory = Directory::new(app.pool.clone(), app.vault.clone(), Clock::System);
    let behind = App { access: Arc::new(directory.behind(vec!["127.0.0.0/8".parse().unwrap()])), ..app.clone() };
    let change = PartnerChange { addresses: Some(vec!["203.0.113.0/24".parse().unwrap()]), ..Default::default() };
    let _ = access::change_partner(&app, "harbour-core", &change, "operator").await.unwrap();
    let ask = async |desk: &Desk, lines: &[&str]| {
        let headers: Vec<(&str, &str)> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        desk.send_stamped("GET", "/me", &Stamp::fresh(Clock::System.now()), &headers, "").await
    };
    let named = ["203.0.113.7"];
    assert_eq!(ask(&desk, &named).await.problem().0, 403, "nobody's word but a proxy's");
    let desk = desk.at(desk::serve(&behind).await);
    for let_in in [&named[..], &["6.6.6.6, 203.0.113.7"], &["6.6.6.6", "203.0.113.7, 127.0.0.9"]] {
        assert_eq!(ask(&desk, let_in).await.status, 200, "{let_in:?}");
    }
    for refused in [&[][..], &["203.0.113.7, 6.6.6.6"], &["203.0.113.7", "6.6.6.6"], &["203.0.113.7", ""]] {
        assert_eq!(ask(&desk, refused).await.problem(), (403, "address_not_allowed".into()), "{refused:?}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_address_that_is_not_believed_again_and_again_is_not_looked_at(pool: PgPool) {
    let (app, desk, clock) = open_stopped(pool).await;
    let ask = async || desk.send_raw("GET", "/api/v1/me", "Bearer x", &[], vec![]).await;
    until_not_looked_at(&ask).await;
    assert_eq!(ask().await.header("retry-after"), "60");
    app.partners.flush_log().await;
    let calls =
        async || -> i64 { sqlx::query_scalar("select count(*) from partner_call").fetch_one(&app.pool).await.unwrap() };
    let before = calls().await;
    let called_back = desk.http.post(format!("{}/partner/payout", desk.address)).send().await.unwrap();
    assert_eq!((called_back.status().as_u16(), ask().await.status), (429, 429));
    assert_eq!(called_back.headers()["retry-after"], "60", "a partner that calls back is told when, too");
    app.partners.flush_log().await;
    assert_eq!(calls().await, before, "what is not looked at is not written down");
    let elsewhere = desk.at(desk::serve(&node_at(&app, &clock)).await);
    assert_eq!(elsewhere.get("/me").await.status, 200, "each node looks for itself");
    clock.set(clock.now() + TimeDelta::minutes(1));
    assert_eq!(ask().await.status, 401, "in the next minute it is looked at again");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_sent_again_and_again_is_not_looked_at_either(pool: PgPool) {
    let (_, desk, clock) = open_stopped(pool).await;
    let stamp = Stamp::fresh(Clock::System.now());
    let ask = async || desk.send_stamped("GET", "/me", &stamp, &[], "").await;
    assert_eq!(ask().await.status, 200);
    for _ in 0..NOT_BELIEVED_MAX {
        assert_eq!(ask().await.problem(), (401, "nonce_reused".into()));
    }
    assert_eq!(ask().await.problem(), (429, "too_many_not_believed".into()));
    clock.set(clock.now() + TimeDelta::minutes(1));
    assert_eq!(ask().await.problem(), (401, "nonce_reused".into()), "in the next minute it is looked at again");
}

/// Asks until a minute's looks are used up. The last one is answered as those that are not looked at.
async fn until_not_looked_at(ask: impl AsyncFn() -> desk::Answer) {
    for _ in 1..NOT_BELIEVED_MAX {
        assert_eq!(ask().await.problem(), (401, "signature_malformed".into()));
    }
    assert_eq!(ask().await.problem(), (429, "too_many_not_believed".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_is_looked_at_though_a_stranger_behind_its_address_is_not(pool: PgPool) {
    let (app, desk, clock) = open_stopped(pool).await;
    let not_looked_at = (429, "too_many_not_believed".to_owned());
    until_not_looked_at(async || desk.send_raw("GET", "/api/v1/me", "Bearer x", &[], vec![]).await).await;
    let unknown = desk.with(Identity::from_seed("nobody-core", 9));
    let stamp = Stamp::fresh(Clock::System.now());
    let asked = unknown.send_stamped("GET", "/me", &stamp, &[], "").await;
    assert_eq!(asked.problem(), not_looked_at, "a name that nobody has is of no help");
    assert_eq!(desk.get("/me").await.status, 200);
    let other = desk.with(desk::add_key(&app, "harbour-core", "H-2", Algorithm::Sm2Sm3).await);
    // Whoever knows the name of a key, and lacks the key, is looked at for a while and no longer, and not told when.
    let forged = async || {
        let right = desk.identity.authorization("GET", "/api/v1/me", &Stamp::fresh(Clock::System.now()), b"");
        desk.send_raw("GET", "/api/v1/me?x=1", &right, &[], vec![]).await
    };
    let right = desk.identity.authorization("POST", "/api/v1/me", &Stamp::fresh(Clock::System.now()), b"");
    let large = desk.send_raw("POST", "/api/v1/me", &right, &[], vec![b' '; 300_000]).await;
    assert_eq!(large.problem(), not_looked_at);
    for _ in 0..2 * NOT_BELIEVED_MAX {
        assert_eq!(forged().await.problem(), not_looked_at);
    }
    app.partners.flush_log().await;
    let looked_at = "select count(*) from partner_call where outcome = 'signature_wrong'";
    let looked_at: i64 = sqlx::query_scalar(looked_at).fetch_one(&app.pool).await.unwrap();
    assert_eq!(looked_at + 1, i64::from(NOT_BELIEVED_MAX), "the large one was looked at too");
    clock.set(clock.now() + UNKNOWN_KEPT);
    assert_eq!(other.get("/me").await.status, 200, "the partner's other key is not shut out with it");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_rate_is_counted_over_all_nodes(pool: PgPool) {
    let (app, desk, clock) = open_stopped(pool).await;
    let there = desk.at(desk::serve(&node_at(&app, &clock)).await);
    let change = PartnerChange { rate_per_minute: Some(1), ..Default::default() };
    let _ = access::change_partner(&app, "harbour-core", &change, "operator").await.unwrap();
    let ask = async |node: &Desk| node.send_stamped("GET", "/me", &Stamp::fresh(Clock::System.now()), &[], "").await;
    assert_eq!(ask(&desk).await.status, 200);
    let refused = ask(&there).await;
    there.believe(&refused);
    assert_eq!(refused.problem(), (429, "rate_exceeded".into()), "the other node knows of the call at this one");
    assert_eq!(ask(&desk).await.problem(), (429, "rate_exceeded".into()));
    let keyed = desk.post("/funder/product-drafts", "d-1", &json!({ "terms_text": "code = 1" })).await;
    assert_eq!(keyed.problem(), (429, "rate_exceeded".into()));
    assert_eq!(keys_taken(&app).await, 0);
}

/// Idempotency keys that are taken; whoever is not let in takes none.
async fn keys_taken(app: &App) -> i64 {
    sqlx::query_scalar("select count(*) from api_answer").fetch_one(&app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_key_that_nobody_has_costs_one_look_in_five_seconds(pool: PgPool) {
    let (app, desk, clock) = open_stopped(pool).await;
    let right = Identity::from_seed("harbour-core", 11);
    let early = desk.with(Identity::from_text("harbour-core", "H-7", &right.private_key()).unwrap());
    let ask = async || early.send_stamped("GET", "/me", &Stamp::fresh(Clock::System.now()), &[], "").await;
    assert_eq!(ask().await.problem(), (401, "signature_wrong".into()));
    let key = access::actions::NewKey {
        partner: "harbour-core".into(),
        serial_no: "H-7".into(),
        public_key: right.public_key(),
        holder: "Chen".into(),
        expires_at: None,
    };
    let _ = access::add_key(&app, &key, "operator").await.unwrap();
    clock.set(clock.now() + UNKNOWN_KEPT - TimeDelta::milliseconds(1));
    assert_eq!(
        ask().await.problem(),
        (401, "signature_wrong".into()),
        "the database, which knows it by now, is not asked"
    );
    assert_eq!(desk.get("/me").await.status, 200, "the partner's other key is believed all the while");
    clock.set(clock.now() + TimeDelta::milliseconds(1));
    assert_eq!(ask().await.status, 200);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_scope_is_granted_and_taken_back_at_once(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let change = async |change: PartnerChange| access::change_partner(&app, "harbour-core", &change, "operator").await;
    assert_eq!(desk.get("/funder/loans").await.status, 200);
    let _ = change(PartnerChange { take_back: vec![Scope::LoansRead], ..Default::default() }).await.unwrap();
    assert_eq!(desk.get("/funder/loans").await.problem(), (403, "scope_missing".into()));
    let _ = change(PartnerChange { grant: vec![Scope::LoansRead], ..Default::default() }).await.unwrap();
    assert_eq!(desk.get("/funder/loans").await.status, 200);
    let of_a_merchant = change(PartnerChange { grant: vec![Scope::OrdersWrite], ..Default::default() }).await;
    let refused = matches!(of_a_merchant, Err(Fault::Refused(AccessRefusal::ScopeOfAnotherKind(_))));
    assert!(refused, "a funder is granted nothing of a merchant's");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_key_ends_when_it_expires(pool: PgPool) {
    let (app, desk, clock) = open_stopped(pool).await;
    let short_lived = Identity::from_seed("harbour-core", 7);
    let expires_at = clock.now() + TimeDelta::minutes(1);
    let key = NewKey {
        partner: "harbour-core".into(),
        serial_no: short_lived.serial_no.clone(),
        public_key: short_lived.public_key(),
        holder: "Chen".into(),
        expires_at: Some(expires_at),
    };
    let _ = access::add_key(&app, &key, "operator").await.unwrap();
    let short_lived = desk.with(short_lived);
    let ask = async || short_lived.send_stamped("GET", "/me", &Stamp::fresh(Clock::System.now()), &[], "").await;
    clock.set(expires_at - TimeDelta::milliseconds(1));
    assert_eq!(ask().await.status, 200);
    clock.set(expires_at);
    assert_eq!(ask().await.problem(), (401, "signature_wrong".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn our_keys_change_without_a_gap(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let before = desk.get("/platform-keys").await.ok()["items"].as_array().unwrap().len();
    let rotation = Rotation { algorithm: Algorithm::Sm2Sm3, signs_from: None, by: "operator" };
    let next = rotate_platform_key(&app, rotation).await.unwrap();
    let knows_both = Desk::new(&app, &desk.address, desk.identity.clone()).await;
    let listed = knows_both.get("/platform-keys").await.ok();
    let serials: Vec<&str> =
        listed["items"].as_array().unwrap().iter().filter_map(|key| key["serial_no"].as_str()).collect();
    assert_eq!(serials.len(), before + 1, "the old ones stay listed");
    let (mut paged, mut path) = (Vec::new(), "/platform-keys?limit=1".to_owned());
    loop {
        let page = knows_both.get(&path).await.ok();
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/platform-keys?limit=1&cursor={cursor}");
    }
    assert_eq!(json!(paged), listed["items"]);
    assert!(serials.contains(&next.serial_no.as_str()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_key_of_ours_that_ended_signs_no_longer_though_the_clock_was_set_back(pool: PgPool) {
    let (app, _desk) = open(pool).await;
    let ahead = Clock::moved(Clock::System.now() + TimeDelta::days(1));
    let node = node_at(&app, &ahead);
    let signs = async || node.access.signer(Algorithm::Sm2Sm3).await.unwrap().serial_no.clone();
    let before = signs().await;
    let rotation = Rotation { algorithm: Algorithm::Sm2Sm3, signs_from: None, by: "operator" };
    let next = rotate_platform_key(&app, rotation).await.unwrap().serial_no;
    ahead.set(Clock::System.now());
    assert!(signs().await == next && next != before);
}

/// Else every answer of that moment would be one that nobody can believe.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_key_of_ours_is_listed_before_it_signs(pool: PgPool) {
    let (app, desk) = open(pool).await;
    let signs =
        async || node_at(&app, &Clock::System).access.signer(Algorithm::Sm2Sm3).await.unwrap().serial_no.clone();
    let rotate = async |signs_from| {
        let rotation = Rotation { algorithm: Algorithm::Sm2Sm3, signs_from, by: "operator" };
        rotate_platform_key(&app, rotation).await.unwrap().serial_no
    };
    let first = signs().await;
    let next = rotate(Some(Clock::System.now() + TimeDelta::days(7))).await;
    assert_eq!(signs().await, first, "until then");
    let listed = desk.get("/platform-keys").await.ok();
    let listed = listed["items"].as_array().unwrap().iter().find(|key| key["serial_no"] == next.as_str());
    assert_eq!(listed.unwrap()["retired_at"], Value::Null);
    let then = "update platform_key set retired_at = now() where serial_no = $1";
    sqlx::query(then).bind(&first).execute(&app.pool).await.unwrap();
    assert_eq!(signs().await, next, "from then on");
    // A key that others may have is replaced at once, whatever was announced.
    rotate(Some(Clock::System.now() + TimeDelta::days(7))).await;
    let at_once = rotate(None).await;
    assert_eq!(signs().await, at_once);
    // Where none of an algorithm signs any more, one is made that does until then.
    let ended = "update platform_key set retired_at = now() where algorithm = 'rsa_sha256'";
    sqlx::query(ended).execute(&app.pool).await.unwrap();
    let signs_from = Some(Clock::System.now() + TimeDelta::days(7));
    let rotation = Rotation { algorithm: Algorithm::RsaSha256, signs_from, by: "operator" };
    let announced = rotate_platform_key(&app, rotation).await.unwrap().serial_no;
    assert_ne!(node_at(&app, &Clock::System).access.signer(Algorithm::RsaSha256).await.unwrap().serial_no, announced);
    // None is needed where the day that is named has passed.
    let made = async || -> i64 {
        let made = "select count(*) from platform_key where algorithm = 'rsa_sha256'";
        sqlx::query_scalar(made).fetch_one(&app.pool).await.unwrap()
    };
    sqlx::query(ended).execute(&app.pool).await.unwrap();
    let before = made().await;
    let signs_from = Some(Clock::System.now() - TimeDelta::days(7));
    let _ = rotate_platform_key(&app, Rotation { signs_from, ..rotation }).await.unwrap();
    assert_eq!(made().await, before + 1);
}

/// From the time on at which our list says that a key is retired, partners believe nothing by it.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_node_that_remembers_who_signs_changes_at_the_very_time_that_was_announced(pool: PgPool) {
    let (app, _desk, clock) = open_stopped(pool).await;
    let signs = async || app.access.signer(Algorithm::Sm2Sm3).await.unwrap().serial_no.clone();
    let (first, began) = (signs().await, clock.now());
    let signs_from = began + TimeDelta::seconds(60);
    clock.set(began + TimeDelta::seconds(1));
    let rotation = Rotation { algorithm: Algorithm::Sm2Sm3, signs_from: Some(signs_from), by: "operator" };
    let next = rotate_platform_key(&app, rotation).await.unwrap().serial_no;
    // What was read before is forgotten by then.
    for still in [began + TimeDelta::seconds(40), signs_from - TimeDelta::milliseconds(1)] {
        clock.set(still);
        assert_eq!(signs().await, first, "{still}");
    }
    clock.set(signs_from);
    assert_eq!(signs().await, next);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nodes_that_need_a_key_at_once_make_one(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let nodes = [node_at(&app, &Clock::System), node_at(&app, &Clock::System)];
    let signer = async |node: &App| node.access.signer(Algorithm::Sm2Sm3).await.unwrap().serial_no.clone();
    let (one, other) = tokio::join!(signer(&nodes[0]), signer(&nodes[1]));
    let keys: Vec<String> =
        sqlx::query_scalar("select serial_no from platform_key").fetch_all(&app.pool).await.unwrap();
    assert_eq!(keys, std::slice::from_ref(&one), "a second one would be listed as the next");
    assert_eq!(one, other);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_keys_of_ours_that_are_made_at_once_one_has_no_end(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let rotation = Rotation { algorithm: Algorithm::Sm2Sm3, signs_from: None, by: "operator" };
    let rotated = futures_util::future::join_all((0..6).map(|_| rotate_platform_key(&app, rotation))).await;
    assert!(rotated.iter().all(Result::is_ok), "{}", rotated.len());
    let endless = "select count(*) from platform_key where retired_at is null";
    assert_eq!(sqlx::query_scalar::<_, i64>(endless).fetch_one(&app.pool).await.unwrap(), 1);
}

/// Whoever gives a key again with an end would take it that the key ends then.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_key_that_is_there_is_not_said_to_have_another_holder_or_end(pool: PgPool) {
    let (app, _) = open(pool).await;
    let in_hours = |hours| Some(Clock::System.now() + TimeDelta::hours(hours));
    let key = NewKey {
        partner: "harbour-core".into(),
        serial_no: "H-7".into(),
        public_key: Identity::from_seed("harbour-core", 11).public_key(),
        holder: "Chen Wei".into(),
        expires_at: in_hours(-1),
    };
    let refused = async |key: &NewKey| access::add_key(&app, key, "operator").await.unwrap_err().to_string();
    assert!(refused(&key).await.contains("whose end is past"), "it would be believed by nobody");
    let key = NewKey { expires_at: in_hours(2), ..key };
    assert_eq!(access::add_key(&app, &key, "operator").await.unwrap(), Step::Applied);
    assert_eq!(access::add_key(&app, &key, "operator").await.unwrap(), Step::AlreadyApplied);
    for other in [
        NewKey { expires_at: in_hours(1), ..key.clone() },
        NewKey { expires_at: None, ..key.clone() },
        NewKey { holder: "Li Na".into(), ..key.clone() },
    ] {
        assert!(refused(&other).await.contains("another holder or another end"), "{other:?}");
    }
}

/// Else one private key would submit a product by one system of a funder's and approve it by another, as two people.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_key_has_one_holder_whichever_systems_have_it(pool: PgPool) {
    let (app, _) = open(pool).await;
    desk::add_partner(&app, "harbour-desk", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let public_key = Identity::from_seed("harbour-core", 12).public_key();
    let key = |partner: &str, holder: &str| NewKey {
        partner: partner.into(),
        serial_no: "H-8".into(),
        public_key: public_key.clone(),
        holder: holder.into(),
        expires_at: None,
    };
    let add = async |partner, holder| access::add_key(&app, &key(partner, holder), "operator").await;
    assert_eq!(add("harbour-core", "Chen Wei").await.unwrap(), Step::Applied);
    let another = async || add("harbour-desk", "Wu Ping").await.unwrap_err().to_string();
    let refused = another().await;
    assert!(refused.contains("has another holder"), "{refused}");
    assert_eq!(access::revoke_key(&app, "harbour-core", "H-8", "operator").await.unwrap(), Step::Applied);
    assert_eq!(another().await, refused, "whoever held it may have it still");
    assert_eq!(add("harbour-desk", "chen  wei").await.unwrap(), Step::Applied, "one person at two systems");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cursor_that_we_never_gave_is_refused_before_the_database_sees_it(pool: PgPool) {
    let (_, desk) = open(pool).await;
    for (list, key) in [
        ("/platform-keys", r#"["2026-03-02T00:00:00Z","\u0000"]"#),
        ("/platform-keys", r#"["-200000-01-01T00:00:00Z","FENQI-1"]"#),
        ("/platform-keys", r#"["+200000-01-01T00:00:00Z","FENQI-1"]"#),
        ("/funder/products", r#"["ProductView","\u0000"]"#),
        // Of another list they lead nowhere.
        ("/funder/products", r#""line_0197f3c2a4b07cc39b1c2d3e4f506172""#),
        ("/funder/days", r#"["RemittanceView","2026-03-02"]"#),
        ("/funder/remittances", r#"["DayView","2026-03-02"]"#),
        ("/funder/remittances", r#""2026-03-02""#),
        ("/funder/reserve/entries", r#"["EventView",41]"#),
        ("/events", r#"["ReserveEntryView",41]"#),
        ("/events", "41"),
        ("/funder/repayments", r#""wh_0197f3c2a4b07cc39b1c2d3e4f506172""#),
        ("/funder/withholdings", r#""rep_0197f3c2a4b07cc39b1c2d3e4f506172""#),
        ("/funder/withholdings", r#""0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172""#),
    ] {
        let cursor = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, key);
        let refused = desk.get(&format!("{list}?cursor={cursor}")).await;
        assert_eq!(refused.problem(), (400, "cursor_malformed".into()), "{list} {key}");
    }
}

#[test]
fn a_scope_is_of_one_kind() {
    assert!(Scope::of(PartnerKind::Merchant).contains(&Scope::OrdersWrite));
    assert!(!Scope::of(PartnerKind::Merchant).contains(&Scope::LoansRead));
}
