//! The state of the counterfeit world: its clock, its faults and scripts, and each partner's book.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::callback::{self, Callbacks};
use super::clock::WorldClock;
use super::fault::{Fault, FaultPlan, FaultShares};
use super::script::{Matcher, Scripted, Scripts};
use super::{card_signing, funder_core, merchant_cashier, payout, risk, sms, wechat, withholding};
use crate::base::Clock;
use crate::partner::client::build_http;
use crate::partner::signature::{Identity, KeyRing, Stamp, Verifier};
use crate::partner::withholding::wire::{alpha, beta};

/// Every partner that the world plays, by the name under which it is configured and the first segment of its path.
pub const PARTNERS: &[&str] =
    &[risk::NAME, sms::NAME, card_signing::NAME, alpha::NAME, beta::NAME, payout::NAME, funder_core::NAME];

/// The id by which every counterfeit partner knows the platform.
pub const PLATFORM: &str = "fenqi";

/// Callbacks that are under way at once.
const CALLBACKS_AT_ONCE: usize = 8;

/// How a partner does not answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Silence {
    /// It breaks the connection, which costs no time.
    Drop,
    /// It holds the connection for this long: longer than the caller's time limit.
    Hold(Duration),
}

pub struct WorldSettings {
    /// The seed of keys and faults.
    pub seed: u64,
    /// Business time, which may be shared with the program and be moved.
    pub clock: Clock,
    /// The time in signatures.
    pub wire_clock: Clock,
    pub silence: Silence,
    /// Results are called back to `{this}/{partner}`; without it nothing is called back.
    pub callback_base: Option<String>,
}

pub struct World {
    pub clock: WorldClock,
    pub funder_core: Mutex<funder_core::Book>,
    pub merchant_cashier: Mutex<merchant_cashier::Book>,
    pub risk: Mutex<risk::Book>,
    pub sms: Mutex<sms::Book>,
    pub wechat: Mutex<wechat::Book>,
    pub withholding: Mutex<withholding::Books>,
    pub card_signing: Mutex<card_signing::Book>,
    pub payout: Mutex<payout::Book>,
    pub(super) silence: Silence,
    pub(super) wire_clock: Clock,
    pub(super) verifier: Verifier,
    identities: HashMap<&'static str, Identity>,
    faults: Mutex<FaultPlan>,
    scripts: Mutex<Scripts>,
    callbacks: Mutex<Callbacks>,
    callback_base: Mutex<Option<String>>,
    http: reqwest::Client,
}

impl World {
    /// A world in which nothing has happened and nothing goes wrong yet.
    ///
    /// # Errors
    /// If the HTTP client for callbacks cannot be set up.
    pub fn new(settings: WorldSettings) -> reqwest::Result<Arc<World>> {
        let mut ring = KeyRing::default();
        ring.add_identity(&Identity::from_seed(PLATFORM, settings.seed));
        Ok(Arc::new(World {
            clock: WorldClock::new(settings.clock),
            funder_core: Mutex::default(),
            merchant_cashier: Mutex::default(),
            risk: Mutex::default(),
            sms: Mutex::default(),
            wechat: Mutex::default(),
            withholding: Mutex::default(),
            card_signing: Mutex::default(),
            payout: Mutex::default(),
            silence: settings.silence,
            wire_clock: settings.wire_clock,
            verifier: Verifier::new(ring),
            identities: PARTNERS.iter().map(|name| (*name, Identity::from_seed(name, settings.seed))).collect(),
            faults: Mutex::new(FaultPlan::new(settings.seed)),
            scripts: Mutex::default(),
            callbacks: Mutex::default(),
            callback_base: Mutex::new(settings.callback_base),
            http: build_http()?,
        }))
    }

    /// Prescribes how the next orders that `matcher` matches are answered; `None` matches any order.
    pub fn script(&self, partner: &str, matcher: Option<Matcher>, outcomes: Vec<Scripted>) {
        lock(&self.scripts).add(partner, matcher, outcomes);
    }

    /// The answer prescribed for an order, taken from its queue.
    pub fn scripted(&self, partner: &str, subjects: &[(&str, &str)]) -> Option<Scripted> {
        lock(&self.scripts).take(partner, subjects)
    }

    pub fn scripts_left(&self) -> usize {
        lock(&self.scripts).left()
    }

    pub fn set_faults(&self, partner: &str, shares: FaultShares) {
        lock(&self.faults).set(partner, shares);
    }

    /// The fault of this whole call, drawn anew each time: `TimeoutBefore`, `TimeoutAfter` or `None`.
    pub fn call_fault(&self, partner: &str, key: &str) -> Option<Fault> {
        lock(&self.faults).call(partner, key)
    }

    /// What goes wrong with one order of a call.
    pub fn order_fault(&self, partner: &str, key: &str) -> Option<Fault> {
        lock(&self.faults).order(partner, key)
    }

    /// What a handler returns if no answer is to arrive.
    pub fn silence(&self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Silent);
        response
    }

    /// From now on results are called back to `{base}/{partner}`. Needed if the server there is started after the world.
    pub fn set_callback_base(&self, base: String) {
        *lock(&self.callback_base) = Some(base);
    }

    /// Calls `body` back to the platform as `partner`, or not, as `fault` says.
    ///
    /// # Panics
    /// If `body` has no JSON form, which no wire type can cause.
    pub fn call_back(&self, partner: &str, body: &impl Serialize, fault: Option<Fault>) {
        let body = serde_json::to_vec(body).expect("a wire type has a JSON form");
        lock(&self.callbacks).add(partner, body, self.clock.now(), fault);
    }

    /// Sends every callback that is due by the world's clock; returns how many were accepted.
    pub async fn deliver_callbacks(&self) -> usize {
        let Some(base) = lock(&self.callback_base).clone() else { return 0 };
        let mut accepted = 0;
        loop {
            let due = lock(&self.callbacks).take_due(self.clock.now());
            if due.is_empty() {
                return accepted;
            }
            let sent = due.into_iter().map(async |callback| (self.send_callback(&base, &callback).await, callback));
            let sent: Vec<_> = stream::iter(sent).buffered(CALLBACKS_AT_ONCE).collect().await;
            for (was_accepted, callback) in sent {
                if was_accepted {
                    accepted += 1;
                } else {
                    lock(&self.callbacks).put_back(callback, self.clock.now());
                }
            }
        }
    }

    /// Callbacks that are still to be sent, due or not.
    pub fn callbacks_pending(&self) -> usize {
        lock(&self.callbacks).pending()
    }

    pub(super) fn identity(&self, partner: &str) -> Option<&Identity> {
        self.identities.get(partner)
    }

    async fn send_callback(&self, base: &str, callback: &callback::Callback) -> bool {
        let Some(identity) = self.identity(&callback.partner) else { return false };
        let url = format!("{base}/{}", callback.partner);
        let authority_from = url.find("://").map_or(0, |at| at + 3);
        let path = url[authority_from..].find('/').map_or("/", |at| &url[authority_from + at..]);
        let stamp = Stamp::fresh(self.wire_clock.now());
        let authorization = identity.authorization("POST", path, &stamp, &callback.body);
        let sent = self
            .http
            .post(&url)
            .timeout(callback::TIME_LIMIT)
            .header("authorization", authorization)
            .header("content-type", "application/json")
            .body(callback.body.clone())
            .send()
            .await;
        sent.is_ok_and(|response| response.status().is_success())
    }
}

/// Marks an answer that is not to arrive.
#[derive(Clone, Copy)]
pub(super) struct Silent;

/// Locks a mutex even if it is poisoned, so that the panic of one test does not make others fail.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
