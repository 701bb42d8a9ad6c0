//! A counterfeit payout channel: pays each key once, and is slow, refuses, does not answer or contradicts itself as scripted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::State as Handed;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::fault::Fault;
use super::script::Scripted;
use super::world::{World, lock};
use crate::partner::payout::wire::{
    ORDERS_MAX, Order, OrderState, PayRequest, Payee, QueryRequest, State, StatesAnswer,
};

pub use crate::partner::payout::NAME;

/// The channel's orders and payments.
#[derive(Default)]
pub struct Book {
    orders: HashMap<String, Entry>,
    payments: u64,
    /// The last reference; every payment has its own, also one that is later contradicted.
    references: u64,
    /// Orders whose key came again; they were not paid again.
    repeated: u64,
}

struct Entry {
    order: Order,
    state: State,
    code: Option<String>,
    bank_reference: Option<String>,
}

/// One order as the bank's own books have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The payout and its attempt.
    pub order_key: String,
    /// The account, card or registered code that it pays.
    pub account: String,
    pub amount_fen: i64,
    /// What the payee reads.
    pub remark: String,
    /// Where it is paid.
    pub bank_reference: Option<String>,
}

impl Book {
    /// Payments that left the bank.
    pub fn payments(&self) -> u64 {
        self.payments
    }

    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// What was paid to an account, card or registered code, over all orders.
    pub fn paid_to(&self, account: &str) -> i64 {
        let paid = self.orders.values().filter(|entry| entry.state == State::Paid);
        paid.filter(|entry| account_of(&entry.order.payee) == account).map(|entry| entry.order.amount_fen).sum()
    }

    /// Every order that was received, by its key.
    pub fn attempts(&self) -> Vec<Attempt> {
        let mut attempts: Vec<Attempt> = self.orders.values().map(Entry::attempt).collect();
        attempts.sort_by(|one, other| one.order_key.cmp(&other.order_key));
        attempts
    }

    /// The payee's bank sends a payment back, and the channel says `returned` from now on. Nothing happens to what is not paid.
    pub fn send_back(&mut self, order_key: &str) {
        if self.orders.get(order_key).is_some_and(|entry| entry.state == State::Paid) {
            self.contradict(order_key);
        }
    }

    pub fn summary(&self) -> Value {
        let mut by_state: BTreeMap<String, u64> = BTreeMap::new();
        for entry in self.orders.values() {
            *by_state.entry(format!("{:?}", entry.state).to_lowercase()).or_insert(0) += 1;
        }
        json!({ "orders": by_state, "payments": self.payments, "repeated": self.repeated })
    }

    fn take(&mut self, order: Order, answer: &str) {
        if self.orders.contains_key(&order.order_key) {
            self.repeated += 1;
            return;
        }
        let key = order.order_key.clone();
        let mut entry = Entry { order, state: State::Processing, code: None, bank_reference: None };
        match answer {
            "slow" => {}
            "paid" | "denied" => self.pay(&mut entry),
            "failed_but_paid" => (entry.state, entry.code) = (State::Failed, Some("refused".to_owned())),
            code => (entry.state, entry.code) = (State::Failed, Some(code.to_owned())),
        }
        self.orders.insert(key, entry);
    }

    fn pay(&mut self, entry: &mut Entry) {
        self.payments += 1;
        self.references += 1;
        entry.state = State::Paid;
        entry.bank_reference = Some(format!("BANK{:010}", self.references));
    }

    /// Decides an order that is being processed; it is always paid in the end.
    fn decide(&mut self, key: &str) {
        if let Some(mut entry) = self.orders.remove(key) {
            if entry.state == State::Processing {
                self.pay(&mut entry);
            }
            self.orders.insert(key.to_owned(), entry);
        }
    }

    /// Reverses an order's outcome from now on: what was paid becomes failed, and what had failed becomes paid.
    fn contradict(&mut self, key: &str) {
        if let Some(mut entry) = self.orders.remove(key) {
            if entry.state == State::Paid {
                self.payments -= 1;
                entry.bank_reference = None;
                (entry.state, entry.code) = (State::Failed, Some("returned".to_owned()));
            } else {
                entry.code = None;
                self.pay(&mut entry);
            }
            self.orders.insert(key.to_owned(), entry);
        }
    }

    fn state_of(&self, key: &str) -> OrderState {
        let entry = self.orders.get(key);
        OrderState {
            order_key: key.to_owned(),
            state: entry.map_or(State::NotFound, |entry| entry.state),
            amount_fen: entry.map(|entry| entry.order.amount_fen),
            bank_reference: entry.and_then(|entry| entry.bank_reference.clone()),
            code: entry.and_then(|entry| entry.code.clone()),
        }
    }
}

impl Entry {
    fn attempt(&self) -> Attempt {
        Attempt {
            order_key: self.order.order_key.clone(),
            account: account_of(&self.order.payee).to_owned(),
            amount_fen: self.order.amount_fen,
            remark: self.order.remark.clone(),
            bank_reference: self.bank_reference.clone(),
        }
    }
}

fn account_of(payee: &Payee) -> &str {
    match payee {
        Payee::Account { number, .. } | Payee::Card { number, .. } => number,
        Payee::Registered { code } => code,
    }
}

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/orders", post(take_orders)).route("/queries", post(answer_query))
}

async fn take_orders(Handed(world): Handed<Arc<World>>, Json(request): Json<PayRequest>) -> Response {
    if request.orders.is_empty() || request.orders.len() > ORDERS_MAX {
        return super::refusal(400, "wrong_number_of_orders", "1 to 200 orders a call");
    }
    let key = request.orders.first().map_or_else(String::new, |first| first.order_key.clone());
    let mut silent = world.call_fault(NAME, &key);
    if silent == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let scripted = request.orders.iter().map(|order| {
        world.scripted(NAME, &[("order", order.order_key.as_str()), ("account", account_of(&order.payee))])
    });
    let scripted: Vec<Option<Scripted>> = scripted.collect();
    if scripted.iter().flatten().any(|scripted| scripted.answer == "reject_call") {
        return super::refusal(422, "order_not_accepted", "an order of this call is not accepted, so none is taken");
    }
    let mut states = Vec::with_capacity(request.orders.len());
    for (order, scripted) in request.orders.into_iter().zip(scripted) {
        let order_key = order.order_key.clone();
        let fault = scripted.as_ref().and_then(|scripted| scripted.fault);
        if fault == Some(Fault::TimeoutBefore) {
            // Scripted for one order, it ends the whole call: the orders after it are not taken.
            return world.silence();
        }
        if fault == Some(Fault::TimeoutAfter) {
            silent = fault;
        }
        let fault = fault.or_else(|| world.order_fault(NAME, &order_key));
        let unscripted = if fault == Some(Fault::Refuse) { "refused" } else { "paid" };
        let answer = scripted.map_or_else(|| unscripted.to_owned(), |scripted| scripted.answer);
        let state = {
            let mut book = lock(&world.payout);
            book.take(order, &answer);
            book.state_of(&order_key)
        };
        if state.state == State::Processing {
            call_back_later(&world, &order_key, fault);
        }
        if matches!(answer.as_str(), "denied" | "failed_but_paid") {
            contradict_later(&world, &order_key);
        }
        states.push(state);
    }
    if silent.is_some() { world.silence() } else { Json(StatesAnswer { states }).into_response() }
}

/// The bank decides after the answer has left; the platform hears it by callback, or when it asks.
fn call_back_later(world: &World, order_key: &str, fault: Option<Fault>) {
    let state = {
        let mut book = lock(&world.payout);
        book.decide(order_key);
        book.state_of(order_key)
    };
    world.call_back(NAME, &state, fault);
}

/// Reverses the outcome after the answer has left; the platform learns of it by a late callback.
fn contradict_later(world: &World, order_key: &str) {
    let state = {
        let mut book = lock(&world.payout);
        book.contradict(order_key);
        book.state_of(order_key)
    };
    world.call_back(NAME, &state, Some(Fault::LateAnswer));
}

async fn answer_query(Handed(world): Handed<Arc<World>>, Json(request): Json<QueryRequest>) -> Response {
    if request.order_keys.len() > ORDERS_MAX {
        return super::refusal(400, "too_many_keys", "at most 200 keys a call");
    }
    let book = lock(&world.payout);
    let states = request.order_keys.iter().map(|key| book.state_of(key)).collect();
    Json(StatesAnswer { states }).into_response()
}
