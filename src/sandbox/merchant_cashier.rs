//! A counterfeit merchant's cashier: takes each notification that one of the platform's keys has signed once, and refuses a share if told
//! to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::Fault;
use super::world::{World, lock};
use crate::partner::merchant_cashier::wire::{Notification, SUCCESS, Verdict};
use crate::partner::signature::{KeyRing, Received};

pub use crate::partner::merchant_cashier::NAME;

/// What the cashier was told.
#[derive(Default)]
pub struct Book {
    keys: KeyRing,
    nonces: HashSet<String>,
    numbers: HashSet<i64>,
    last_of_order: HashMap<String, i64>,
    taken: Vec<Notification>,
    duplicates: u64,
    refused: u64,
    not_believed: u64,
    out_of_order: Vec<i64>,
}

impl Book {
    /// Accepts notifications signed by this key. `false` if it is not a valid key.
    pub fn trust(&mut self, mchid: &str, serial_no: &str, public_key: &str) -> bool {
        self.keys.add(mchid, serial_no, public_key)
    }

    /// The notifications that were taken, in their order.
    pub fn taken(&self) -> &[Notification] {
        &self.taken
    }

    pub fn not_believed(&self) -> u64 {
        self.not_believed
    }

    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Notifications that came after a later one of the same order: there must never be any.
    pub fn out_of_order(&self) -> &[i64] {
        &self.out_of_order
    }

    pub fn summary(&self) -> Value {
        json!({
            "taken": self.taken.len(),
            "duplicates": self.duplicates,
            "refused": self.refused,
            "not_believed": self.not_believed,
            "out_of_order": self.out_of_order,
        })
    }

    fn take(&mut self, notification: Notification) {
        if !self.numbers.insert(notification.event_no) {
            self.duplicates += 1;
            return;
        }
        let body = &notification.body;
        let order = body["order_id"].as_str().or_else(|| body["purchase_id"].as_str()).unwrap_or_default().to_owned();
        let last = self.last_of_order.entry(order).or_insert(notification.event_no);
        if *last > notification.event_no {
            self.out_of_order.push(notification.event_no);
        }
        *last = notification.event_no.max(*last);
        self.taken.push(notification);
    }
}

/// These routes are not behind the world's check of signatures: a merchant verifies the platform's own keys, not the world's.
pub fn router() -> Router<Arc<World>> {
    Router::new().route("/notify", post(notify)).route("/keys", post(trust)).route("/notifications", get(list))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustedKey {
    mchid: String,
    serial_no: String,
    public_key: String,
}

async fn trust(State(world): State<Arc<World>>, Json(key): Json<TrustedKey>) -> StatusCode {
    let is_key = lock(&world.merchant_cashier).trust(&key.mchid, &key.serial_no, &key.public_key);
    if is_key { StatusCode::NO_CONTENT } else { StatusCode::UNPROCESSABLE_ENTITY }
}

async fn list(State(world): State<Arc<World>>) -> Json<Vec<Notification>> {
    Json(lock(&world.merchant_cashier).taken().to_vec())
}

async fn notify(
    State(world): State<Arc<World>>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received {
        method: method.as_str(),
        url: uri.path_and_query().map_or("/", |path| path.as_str()),
        authorization: headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()),
        body: &body,
    };
    if let Err(why) = believe(&world, received) {
        lock(&world.merchant_cashier).not_believed += 1;
        return verdict(StatusCode::UNAUTHORIZED, "SIGN_ERROR", Some(why));
    }
    let Ok(notification) = serde_json::from_slice::<Notification>(&body) else {
        return verdict(StatusCode::BAD_REQUEST, "PARAM_ERROR", None);
    };
    let key = notification.event_no.to_string();
    let call_fault = world.call_fault(NAME, &key);
    if call_fault == Some(Fault::TimeoutBefore) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if world.order_fault(NAME, &key) == Some(Fault::Refuse) {
        lock(&world.merchant_cashier).refused += 1;
        return verdict(StatusCode::OK, "FAIL", Some("not now".to_owned()));
    }
    lock(&world.merchant_cashier).take(notification);
    if call_fault == Some(Fault::TimeoutAfter) {
        return StatusCode::GATEWAY_TIMEOUT.into_response();
    }
    verdict(StatusCode::OK, SUCCESS, None)
}

fn believe(world: &World, received: Received<'_>) -> Result<(), String> {
    let mut book = lock(&world.merchant_cashier);
    let signed = book.keys.believe(world.wire_clock.now(), received).map_err(|error| error.to_string())?;
    if book.nonces.insert(signed.stamp.nonce) { Ok(()) } else { Err("the nonce was used before".to_owned()) }
}

fn verdict(status: StatusCode, code: &str, message: Option<String>) -> Response {
    (status, Json(Verdict { code: code.to_owned(), message })).into_response()
}
