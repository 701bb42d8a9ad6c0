//! How a batch of messages reaches its partner. Each kind of partner has a file; [`Carrier`] chooses among them.

pub mod funder;
pub mod merchant;
pub mod sms;
pub mod wechat;
mod outdated;
mod singly;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};

use super::model::Retries;
use super::store::Waiting;
use crate::app::App;
use crate::base::id::MerchantId;
use crate::merchant::notification::merchant_of;
use crate::notice::NOT_AT_NIGHT;
use crate::partner::wechat::{NAME as WECHAT, WeChat};
use crate::partner::{CallError, Client, funder_core, sms as sms_partner};

/// How messages go to one partner.
#[derive(Clone, Copy)]
pub enum Carrier<'a> {
    /// Events to a funder's core.
    Funder(&'a Client),
    /// Short messages to borrowers.
    Sms(&'a Client),
    /// Subscription messages to borrowers.
    WeChat(&'a WeChat),
    /// Notifications to a merchant's cashier.
    Merchant(MerchantId),
}

impl Carrier<'_> {
    /// The carrier for messages to `partner`. A funder's events go only to the core that is configured under the funder's own
    /// code. In a trial house one counterfeit core stands in for all of them.
    ///
    /// # Errors
    /// `NotSent` if the partner is not configured.
    pub fn find<'a>(app: &'a App, partner: &str) -> Result<Carrier<'a>, CallError> {
        if partner == sms_partner::NAME {
            return app.partners.client(partner).map(Carrier::Sms);
        }
        if partner == WECHAT {
            let reason = "it is not configured".to_owned();
            let missing = || CallError::NotSent { partner: partner.to_owned(), reason };
            return app.partners.wechat().map(Carrier::WeChat).ok_or_else(missing);
        }
        if let Some(merchant_id) = merchant_of(partner) {
            return Ok(Carrier::Merchant(merchant_id));
        }
        match app.partners.client(partner) {
            Err(_) if app.partners.is_trial() => app.partners.client(funder_core::NAME),
            own => own,
        }
        .map(Carrier::Funder)
    }

    /// Hands a batch over, in order.
    ///
    /// # Errors
    /// A failure of our own.
    pub async fn carry(self, app: &App, batch: Batch<'_>, manner: Manner<'_>) -> anyhow::Result<Carried> {
        match self {
            Carrier::Funder(client) => funder::carry(app, client, batch, manner).await,
            Carrier::Sms(client) => sms::carry(app, client, batch.messages).await,
            Carrier::WeChat(wechat) => wechat::carry(app, wechat, batch.messages, manner).await,
            Carrier::Merchant(merchant_id) => merchant::carry(app, merchant_id, batch, manner).await,
        }
    }

    /// The partner was seen up, or was resumed, at `since`: a circuit breaker of this process that opened before that lets a
    /// call through.
    pub fn try_again(self, since: DateTime<Utc>) {
        match self {
            Carrier::Funder(client) | Carrier::Sms(client) => client.try_again(since),
            Carrier::WeChat(_) | Carrier::Merchant(_) => {}
        }
    }

    /// When failed messages to this partner are tried again.
    pub fn retries(self) -> Retries {
        match self {
            Carrier::Funder(_) | Carrier::Sms(_) | Carrier::WeChat(_) => Retries::Growing,
            Carrier::Merchant(_) => Retries::AsWeChatPay,
        }
    }

    /// Kinds of messages that wait until the morning. No other message to the same person waits behind them.
    pub fn not_at_night(self) -> &'static [&'static str] {
        match self {
            Carrier::Sms(_) | Carrier::WeChat(_) => &NOT_AT_NIGHT,
            Carrier::Funder(_) | Carrier::Merchant(_) => &[],
        }
    }

    /// Whether messages above the horizon wait; see `outbox::horizon`. A core's objects are written by transactions that do
    /// not wait for each other. A merchant's order and a borrower's notices are not written so, and need not wait for anyone.
    pub fn keeps_to_horizon(self) -> bool {
        match self {
            Carrier::Funder(_) => true,
            Carrier::Sms(_) | Carrier::WeChat(_) | Carrier::Merchant(_) => false,
        }
    }
}

/// Messages that are handed to a carrier together, in order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub partner: &'a str,
    pub messages: &'a [Waiting],
}

/// When to stop carrying a batch whose messages go one in each call.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// How many unanswered calls in a row mean that the partner is down.
    pub patience: u32,
    /// Set when the partner is paused meanwhile, or its turn is over: then no other call begins.
    pub is_stopped: &'a AtomicBool,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Carried {
    pub fates: Fates,
    /// Why the batch stopped before its end; then nothing is known of the messages that `fates` leaves out. Without it, a
    /// message left out was missing in the partner's answer.
    pub broken: Option<Broken>,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    /// The partner will never take it: trying again would change nothing.
    Undeliverable(String),
    /// There is no recipient and never will be, or nothing to tell any more: no call was made.
    Nowhere(String),
    /// The partner does not want this kind of message: no call was made.
    NotTold,
    /// Not sent or not taken, because an earlier message of its object was not taken.
    Held,
    /// Not sent, because the partner was paused meanwhile, its turn was over, or the call was full; treated as if it had not been
    /// in the batch.
    Left,
    /// It cannot be sent at present, such as where its template cannot render it: no call was made.
    Unserved(String),
    Refused(String),
}

/// What became of messages, by their numbers.
pub type Fates = HashMap<i64, Fate>;

impl Fate {
    /// Whether this shows that the partner has answered.
    pub fn is_heard(&self) -> bool {
        match self {
            Fate::Delivered | Fate::Undeliverable(_) | Fate::Refused(_) => true,
            Fate::Nowhere(_) | Fate::NotTold | Fate::Held | Fate::Left | Fate::Unserved(_) => false,
        }
    }
}

impl Carried {
    pub fn all(fates: Fates) -> Carried {
        Carried { fates, broken: None }
    }

    /// The same fate for all messages.
    fn all_alike(messages: &[Waiting], fate: &Fate) -> Carried {
        Carried::all(messages.iter().map(|message| (message.message_no, fate.clone())).collect())
    }
}

/// Why a batch was not carried to its end.
#[derive(Debug)]
pub struct Broken {
    pub error: CallError,
    pub failure: Failure,
}

/// What a failed call says about the partner and about its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The partner takes nothing at present: no message is to blame, and the partner is left alone for a while.
    NobodyThere,
    /// An explicit refusal of what the call held: the partner is up, and takes other messages.
    Refusal,
    /// No answer. The partner may be down, perhaps because of one of the messages.
    Silence,
}

impl From<CallError> for Carried {
    /// For a call that held the whole batch: nothing is known of any message.
    fn from(error: CallError) -> Carried {
        let failure = failure(&error);
        Carried { fates: Fates::new(), broken: Some(Broken { error, failure }) }
    }
}

/// Classifies errors. Some explicit refusals are about us or the address, not about the message: our signature is not
/// believed (401), we are not let in (403), nothing is at the address (404), it takes no messages (405), or we are too fast
/// (429).
fn failure(error: &CallError) -> Failure {
    match error {
        CallError::NotSent { .. } | CallError::Rejected { status: 401 | 403 | 404 | 405 | 429, .. } => {
            Failure::NobodyThere
        }
        CallError::Rejected { .. } => Failure::Refusal,
        CallError::Unknown { .. } => Failure::Silence,
    }
}
