//! A counterfeit WeChat: signs every browser in as a person of its own, hands out tokens and tickets, and keeps messages.
//!
//! Browsers are told apart by a cookie; a script may say who the next one is (`openid:<name>`), or that the code is refused. For messages a
//! script may say `not_subscribed`, `template_unknown`, or `token_old`: from then on the present token is invalid.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::fault::Fault;
use super::world::{World, lock};
use crate::base::id;
use crate::partner::wechat::wire::{
    CODE_INVALID, NOT_SUBSCRIBED, OpenIdAnswer, SubscribeMessage, TOKEN_EXPIRED, TOKEN_OLD, TicketAnswer, TokenAnswer,
    Verdict,
};

pub use crate::partner::wechat::NAME;

/// The app id and the secret by which the counterfeit WeChat knows the platform.
pub const APP_ID: &str = "wx5a4db0x000000001";
pub const SECRET: &str = "counterfeit";
/// The templates that are registered here: kind of notice, and keywords with their texts.
pub const TEMPLATES: &[(&str, &[(&str, &str)])] = &[
    ("bill_issued", &[("amount1", "{total}元"), ("date2", "{due_on}"), ("thing3", "可现在还款，或备足余额待扣款")]),
    ("due_soon", &[("amount1", "{owed}元"), ("date2", "{due_on}"), ("thing3", "请备足银行卡余额，或现在还款")]),
    ("overdue", &[("amount1", "{owed}元"), ("date2", "{due_on}"), ("thing3", "已逾期，请尽快还款")]),
    ("withheld", &[("amount1", "{amount}元"), ("thing2", "还款成功，是否还清请看账单")]),
    ("withholding_failed", &[("amount1", "{amount}元"), ("thing2", "扣款没有成功，请查看原因")]),
    ("limit_changed", &[("amount1", "{limit}元"), ("thing2", "您的额度有调整")]),
];
const TOKEN: &str = "counterfeit-token";
const TICKET: &str = "counterfeit-ticket";
const TOKEN_SECONDS: i64 = 7_200;
const COOKIE: &str = "sandbox_wechat";

/// Codes that were given out, and messages.
#[derive(Default)]
pub struct Book {
    codes: HashMap<String, String>,
    messages: Vec<SubscribeMessage>,
    /// How often a token was handed out, and how many of these tokens are invalid by now.
    tokens: u32,
    tokens_old: u32,
}

impl Book {
    /// How often a token was asked for.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    pub fn summary(&self) -> serde_json::Value {
        json!({ "messages": self.messages.len(), "tokens": self.tokens })
    }

    /// The latest messages to anyone, newest first.
    pub fn latest(&self, count: usize) -> Vec<SubscribeMessage> {
        self.messages.iter().rev().take(count).cloned().collect()
    }

    fn new_token(&mut self) -> String {
        self.tokens += 1;
        format!("{TOKEN}-{}", self.tokens)
    }

    /// A token is valid until a script has made it old.
    fn takes(&self, token: &str) -> bool {
        let number = token.strip_prefix(TOKEN).and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok());
        number.is_some_and(|number| number > self.tokens_old && number <= self.tokens)
    }

    /// Subscription messages to a person, oldest first.
    pub fn messages_to(&self, openid: &str) -> Vec<&SubscribeMessage> {
        self.messages.iter().filter(|message| message.touser == openid).collect()
    }
}

/// These routes are not signed: WeChat's own are not.
pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/connect/oauth2/authorize", get(authorize))
        .route("/sns/oauth2/access_token", get(openid))
        .route("/cgi-bin/token", get(token))
        .route("/cgi-bin/ticket/getticket", get(ticket))
        .route("/cgi-bin/message/subscribe/bizsend", post(send))
}

#[derive(Deserialize)]
struct Authorize {
    appid: String,
    redirect_uri: String,
    state: String,
}

async fn authorize(State(world): State<Arc<World>>, Query(asked): Query<Authorize>, headers: HeaderMap) -> Response {
    if asked.appid != APP_ID {
        return super::refusal(400, "appid", "no such app");
    }
    let known = headers.get(header::COOKIE).and_then(|cookies| cookies.to_str().ok()).and_then(|cookies| {
        cookies.split("; ").find_map(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('=')).map(str::to_owned)
    });
    let now = world.clock.now();
    let scripted =
        world.scripted(NAME, &[]).and_then(|scripted| Some(scripted.answer.strip_prefix("openid:")?.to_owned()));
    let openid = scripted.or(known).unwrap_or_else(|| format!("o-{}", id::mint(now).simple()));
    let code = id::mint(now).simple().to_string();
    lock(&world.wechat).codes.insert(code.clone(), openid.clone());
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &code)
        .append_pair("state", &asked.state)
        .finish();
    let join = if asked.redirect_uri.contains('?') { '&' } else { '?' };
    let back = Redirect::to(&format!("{}{join}{query}", asked.redirect_uri));
    ([(header::SET_COOKIE, format!("{COOKIE}={openid}; HttpOnly; SameSite=Lax; Path=/"))], back).into_response()
}

#[derive(Deserialize)]
struct Code {
    appid: String,
    secret: String,
    code: String,
}

async fn openid(State(world): State<Arc<World>>, Query(asked): Query<Code>) -> Response {
    if let Some(fault @ (Fault::TimeoutBefore | Fault::TimeoutAfter)) = world.call_fault(NAME, &asked.code) {
        tracing::debug!(?fault, "WeChat keeps silent");
        return world.silence();
    }
    let found = lock(&world.wechat).codes.remove(&asked.code);
    match found.filter(|_| asked.appid == APP_ID && asked.secret == SECRET) {
        Some(openid) => Json(OpenIdAnswer { openid, scope: "snsapi_base".into() }).into_response(),
        None => refused(CODE_INVALID, "invalid code"),
    }
}

#[derive(Deserialize)]
struct App {
    appid: String,
    secret: String,
}

async fn token(State(world): State<Arc<World>>, Query(asked): Query<App>) -> Response {
    if asked.appid != APP_ID || asked.secret != SECRET {
        return refused(TOKEN_OLD, "invalid credential");
    }
    let access_token = lock(&world.wechat).new_token();
    Json(TokenAnswer { access_token, expires_in: TOKEN_SECONDS }).into_response()
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

async fn ticket(State(world): State<Arc<World>>, Query(asked): Query<Token>) -> Response {
    if !lock(&world.wechat).takes(&asked.access_token) {
        return refused(TOKEN_EXPIRED, "access_token expired");
    }
    Json(TicketAnswer { ticket: TICKET.into(), expires_in: TOKEN_SECONDS }).into_response()
}

async fn send(
    State(world): State<Arc<World>>,
    Query(asked): Query<Token>,
    Json(message): Json<SubscribeMessage>,
) -> Response {
    if world.call_fault(NAME, &message.touser) == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let scripted = world.scripted(NAME, &[("openid", &message.touser), ("template", &message.template_id)]);
    match scripted.as_ref().map(|scripted| scripted.answer.as_str()) {
        Some("token_old") => {
            let mut book = lock(&world.wechat);
            book.tokens_old = book.tokens;
            return refused(TOKEN_OLD, "invalid credential, access_token is invalid or not latest");
        }
        Some("not_subscribed") => return refused(NOT_SUBSCRIBED, "user refuse to accept the msg"),
        Some("template_unknown") => return refused(40_037, "invalid template_id"),
        _ => {}
    }
    if !lock(&world.wechat).takes(&asked.access_token) {
        return refused(TOKEN_EXPIRED, "access_token expired");
    }
    lock(&world.wechat).messages.push(message);
    Json(json!({ "errcode": 0, "errmsg": "ok" })).into_response()
}

fn refused(code: i64, message: &str) -> Response {
    Json(Verdict { errcode: code, errmsg: message.to_owned() }).into_response()
}
