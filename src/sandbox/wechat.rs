//! A counterfeit WeChat: signs whatever browser comes in as a person of its own, hands out tokens and tickets, keeps messages.
//!
//! A browser is told apart by a cookie; a script may say who the next one is (`openid:<name>`), or that the code is refused.

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
    CODE_INVALID, NOT_SUBSCRIBED, OpenIdAnswer, SubscribeMessage, TOKEN_EXPIRED, TicketAnswer, TokenAnswer, Verdict,
};

pub use crate::partner::wechat::NAME;

/// By which the platform is known here.
pub const APP_ID: &str = "wx5a4db0x000000001";
pub const SECRET: &str = "counterfeit";
/// Kinds of notice for which a template is registered here.
pub const KINDS: &[&str] =
    &["bill_issued", "due_soon", "withholding_succeeded", "withholding_failed", "overdue", "limit_changed"];
const TOKEN: &str = "counterfeit-token";
const TICKET: &str = "counterfeit-ticket";
const TOKEN_SECONDS: i64 = 7_200;
const COOKIE: &str = "sandbox_wechat";

/// Codes that were given out, and messages.
#[derive(Default)]
pub struct Book {
    codes: HashMap<String, String>,
    messages: Vec<SubscribeMessage>,
}

impl Book {
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

async fn token(Query(asked): Query<App>) -> Response {
    if asked.appid != APP_ID || asked.secret != SECRET {
        return refused(40_001, "invalid credential");
    }
    Json(TokenAnswer { access_token: TOKEN.into(), expires_in: TOKEN_SECONDS }).into_response()
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

async fn ticket(Query(asked): Query<Token>) -> Response {
    if asked.access_token != TOKEN {
        return refused(TOKEN_EXPIRED, "access_token expired");
    }
    Json(TicketAnswer { ticket: TICKET.into(), expires_in: TOKEN_SECONDS }).into_response()
}

async fn send(
    State(world): State<Arc<World>>,
    Query(asked): Query<Token>,
    Json(message): Json<SubscribeMessage>,
) -> Response {
    if asked.access_token != TOKEN {
        return refused(TOKEN_EXPIRED, "access_token expired");
    }
    if world.scripted(NAME, &[("openid", &message.touser)]).is_some_and(|scripted| scripted.answer == "not_subscribed")
    {
        return refused(NOT_SUBSCRIBED, "user refuse to accept the msg");
    }
    lock(&world.wechat).messages.push(message);
    Json(json!({ "errcode": 0, "errmsg": "ok" })).into_response()
}

fn refused(code: i64, message: &str) -> Response {
    Json(Verdict { errcode: code, errmsg: message.to_owned() }).into_response()
}
