//! The routes by which a person or a test controls the counterfeit world: scripted answers, faults, clock, callbacks, messages, state.

use std::sync::Arc;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::FaultShares;
use super::script::{Matcher, Scripted};
use super::world::{PARTNERS, World, lock};
use super::{card_signing, funder_core, merchant_cashier, payout, risk, sms, wechat, withholding};
use crate::partner::sms::wire::Message;
use crate::partner::wechat::wire::SubscribeMessage;
use crate::partner::withholding::wire::{alpha, beta};

/// The answer to a request that would have no effect, or not the intended one: its status, and a sentence that says what is allowed.
type Refused = (StatusCode, String);

pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/script", post(script))
        .route("/faults", post(set_faults))
        .route("/clock", get(show_clock).post(move_clock))
        .route("/callbacks", post(deliver_callbacks))
        .route("/state", get(state))
        .route("/messages", get(messages))
        .route("/wechat/messages", get(wechat_messages))
        .route("/inbox", get(inbox))
        .route("/inbox.css", get(inbox_style))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    partner: String,
    /// If left out: any next order.
    #[serde(default)]
    r#match: Option<Matcher>,
    outcomes: Vec<Scripted>,
}

async fn script(State(world): State<Arc<World>>, Json(script): Json<Script>) -> Result<StatusCode, Refused> {
    check_partner(&script.partner, &[PARTNERS, &[wechat::NAME]].concat())?;
    if let Some(matcher) = &script.r#match {
        check_field(&script.partner, &matcher.field)?;
    }
    if script.outcomes.is_empty() {
        return Err(refused("outcomes names no answer; name one for each order".to_owned()));
    }
    script.outcomes.iter().try_for_each(|outcome| check_answer(&script.partner, outcome))?;
    world.script(&script.partner, script.r#match, script.outcomes);
    Ok(StatusCode::NO_CONTENT)
}

fn check_partner(partner: &str, allowed: &[&str]) -> Result<(), Refused> {
    if allowed.contains(&partner) {
        return Ok(());
    }
    Err(refused(format!("there is no partner {partner:?}; allowed are {}", allowed.join(", "))))
}

/// Refuses a matcher with a field that no order of the partner has: it would never match.
fn check_field(partner: &str, field: &str) -> Result<(), Refused> {
    let fields: &[&str] = match partner {
        alpha::NAME | beta::NAME => &["order", "card"],
        payout::NAME => &["order", "account"],
        risk::NAME => &["application", "borrower", "line", "merchant"],
        card_signing::NAME => &["card", "mobile"],
        sms::NAME => &["mobile", "template"],
        funder_core::NAME => &["object", "kind", "path"],
        wechat::NAME => &["openid", "template"],
        _ => &[],
    };
    if fields.contains(&field) {
        return Ok(());
    }
    Err(refused(format!("{partner} has no {field:?}; allowed are {}", fields.join(", "))))
}

/// Refuses an answer that the partner does not know: it would count as a success.
fn check_answer(partner: &str, outcome: &Scripted) -> Result<(), Refused> {
    let allowed: &[&str] = match partner {
        alpha::NAME | beta::NAME => &withholding::ANSWERS,
        card_signing::NAME | sms::NAME => &["success", "refused"],
        // Most other partners accept any word: a code, the reason of a refusal, somebody's name.
        _ => return Ok(()),
    };
    let answer = outcome.answer.as_str();
    if !allowed.contains(&answer) {
        return Err(refused(format!("{partner} does not answer {answer:?}; allowed are {}", allowed.join(", "))));
    }
    if withholding::ANSWERS_WITH_AMOUNT.contains(&answer) && outcome.amount_fen.is_none() {
        return Err(refused(format!("{answer:?} needs amount_fen")));
    }
    Ok(())
}

fn refused(sentence: String) -> Refused {
    (StatusCode::UNPROCESSABLE_ENTITY, sentence)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    partner: String,
    shares: FaultShares,
}

async fn set_faults(State(world): State<Arc<World>>, Json(faults): Json<Faults>) -> Result<StatusCode, Refused> {
    check_partner(&faults.partner, &[PARTNERS, &[wechat::NAME, merchant_cashier::NAME]].concat())?;
    if !faults.shares.are_possible() {
        return Err(refused(
            "shares are per mille: those of calls, and those of orders, come to at most 1000".to_owned(),
        ));
    }
    world.set_faults(&faults.partner, faults.shares);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockMove {
    now: DateTime<Utc>,
}

async fn show_clock(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({ "now": world.clock.now() }))
}

async fn move_clock(State(world): State<Arc<World>>, Json(wanted): Json<ClockMove>) -> Json<Value> {
    world.clock.set(wanted.now);
    let accepted = world.deliver_callbacks().await;
    Json(json!({ "now": world.clock.now(), "callbacks_accepted": accepted }))
}

async fn deliver_callbacks(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({ "callbacks_accepted": world.deliver_callbacks().await }))
}

/// Messages that a page or a list shows at most.
const MESSAGES_SHOWN: usize = 100;

#[derive(Deserialize)]
struct Addressee {
    mobile: Option<String>,
}

/// The latest messages, newest first, as a program reads them.
async fn messages(State(world): State<Arc<World>>, Query(addressee): Query<Addressee>) -> Json<Vec<Message>> {
    let latest = lock(&world.sms).latest(addressee.mobile.as_deref(), MESSAGES_SHOWN);
    Json(latest)
}

/// The latest subscription messages, newest first, as a program reads them.
async fn wechat_messages(State(world): State<Arc<World>>) -> Json<Vec<SubscribeMessage>> {
    Json(lock(&world.wechat).latest(MESSAGES_SHOWN))
}

#[derive(Template, WebTemplate)]
#[template(path = "sandbox/inbox.html")]
struct InboxPage {
    messages: Vec<Message>,
}

/// Everybody's telephone: the latest messages, newest first, as a person reads them.
async fn inbox(State(world): State<Arc<World>>) -> InboxPage {
    InboxPage { messages: lock(&world.sms).latest(None, MESSAGES_SHOWN) }
}

async fn inbox_style() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("inbox.css"))
}

async fn state(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({
        "now": world.clock.now(),
        "scripts_left": world.scripts_left(),
        "callbacks_pending": world.callbacks_pending(),
        "funder_core": lock(&world.funder_core).summary(),
        "merchant_cashier": lock(&world.merchant_cashier).summary(),
        "risk": { "decided": lock(&world.risk).decided() },
        "wechat": lock(&world.wechat).summary(),
        "sms": { "sent": lock(&world.sms).sent() },
        "card_signing": { "agreements": lock(&world.card_signing).agreements() },
        "payout": lock(&world.payout).summary(),
    }))
}
