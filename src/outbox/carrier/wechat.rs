//! Subscription messages to borrowers in WeChat: one in each call, a borrower's one after the other, several borrowers in
//! parallel.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use chrono::Datelike as _;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::{Broken, Carried, Failure, Fate, Fates, Manner, outdated, sms};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::BorrowerId;
use crate::borrower::{message, subscription_actions};
use crate::outbox::store::Waiting;
use crate::partner::CallError;
use crate::partner::wechat::{self, Sending, WeChat, WeChatError};

/// The most calls at the same time.
const CALLS_AT_ONCE: usize = 8;

/// Sends a batch. After the first call that WeChat does not answer, or refuses in a way that concerns all of our messages, no
/// other call begins; nor once `manner` says so.
///
/// # Errors
/// A failure of our own.
pub async fn carry(app: &App, wechat: &WeChat, batch: &[Waiting], manner: Manner<'_>) -> anyhow::Result<Carried> {
    let borrower_ids: Vec<BorrowerId> = batch.iter().map(borrower).collect();
    let wanting = subscription_actions::find_wanting(app, &borrower_ids).await?;
    let outdated = outdated::find(app, batch).await?;
    let run = Run { app, wechat, wanting, outdated, manner, ended: OnceLock::new() };
    let mut by_borrower: BTreeMap<BorrowerId, Vec<&Waiting>> = BTreeMap::new();
    for message in batch {
        by_borrower.entry(borrower(message)).or_default().push(message);
    }
    let telling: Vec<_> = by_borrower.into_values().map(|messages| run.tell(messages)).collect();
    let told: Vec<Vec<(&Waiting, Fate)>> = stream::iter(telling).buffer_unordered(CALLS_AT_ONCE).collect().await;
    let told: Vec<(&Waiting, Fate)> = told.into_iter().flatten().collect();
    // A failure to count is only logged: sending again would be worse, and WeChat keeps the count itself and says when no
    // consent is left.
    if let Err(error) = run.spend(&told).await {
        tracing::warn!("what messages in WeChat took of the consents was not counted: {error:#}");
    }
    let fates: Fates = told.into_iter().map(|(message, fate)| (message.message_no, fate)).collect();
    let broken = run.ended.into_inner().map(broken);
    Ok(Carried { fates, broken })
}

/// Why the run ended; no message is to blame for what WeChat refuses to all.
fn broken(error: WeChatError) -> Broken {
    let (partner, reason) = (wechat::NAME.to_owned(), error.to_string());
    match error {
        WeChatError::Silent => Broken { error: CallError::Unknown { partner, reason }, failure: Failure::Silence },
        WeChatError::Refused { .. } => {
            Broken { error: CallError::NotSent { partner, reason }, failure: Failure::NobodyThere }
        }
    }
}

fn borrower(message: &Waiting) -> BorrowerId {
    BorrowerId::from_uuid(message.object_id)
}

struct Run<'a> {
    app: &'a App,
    wechat: &'a WeChat,
    /// WeChat identities, by borrower and kind.
    wanting: HashMap<(BorrowerId, String), String>,
    /// Why messages are not to be sent any more, by their numbers.
    outdated: HashMap<i64, &'static str>,
    manner: Manner<'a>,
    /// The error after which no other call is begun.
    ended: OnceLock<WeChatError>,
}

impl Run<'_> {
    /// Sends one borrower's messages in order, until a call ends the run; returns what became of those that were sent or left.
    async fn tell<'m>(&self, messages: Vec<&'m Waiting>) -> Vec<(&'m Waiting, Fate)> {
        let mut told = Vec::with_capacity(messages.len());
        for message in messages {
            if self.ended.get().is_some() {
                break;
            }
            if self.manner.is_stopped.load(Ordering::Relaxed) {
                told.push((message, Fate::Left));
                continue;
            }
            match self.send(message).await {
                Ok(fate) => told.push((message, fate)),
                // Where several calls fail at once, the first error is kept.
                Err(error) => drop(self.ended.set(error)),
            }
        }
        told
    }

    /// Sends one message.
    ///
    /// # Errors
    /// No answer, or a refusal that concerns all of our messages.
    async fn send(&self, message: &Waiting) -> Result<Fate, WeChatError> {
        let nowhere = |why: &str| Ok(Fate::Nowhere(why.to_owned()));
        if let Some(why) = self.outdated.get(&message.message_no) {
            return nowhere(why);
        }
        let Some(openid) = self.wanting.get(&(borrower(message), message.kind.clone())) else {
            return nowhere(NOT_SUBSCRIBED);
        };
        let Some(template) = self.wechat.template(&message.kind) else { return nowhere("no template") };
        let Ok(body) = serde_json::from_str::<Value>(&message.body) else { return nowhere("no body") };
        let Some(keywords) = template.fill(&parameters(&body)) else {
            return nowhere("the template asks for what the notice does not say");
        };
        let page = self.app.site.link(message::address(&message.kind, &body));
        let about = [borrower(message).to_string(), message.message_no.to_string()];
        let sending = Sending { about: &about, openid, template: &template.id, page: &page, keywords };
        match self.wechat.send(sending).await {
            Ok(()) => Ok(Fate::Delivered),
            Err(WeChatError::Refused { code: wechat::wire::NOT_SUBSCRIBED, .. }) => {
                Ok(Fate::Undeliverable(NOT_SUBSCRIBED.to_owned()))
            }
            Err(WeChatError::Refused { code, message }) if !wechat::serves_nobody(code) => {
                Ok(Fate::Refused(format!("{code} {message}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Counts consents down: by one for each message delivered, and to zero where WeChat says that none is left.
    async fn spend(&self, told: &[(&Waiting, Fate)]) -> anyhow::Result<()> {
        let of = |wanted: fn(&Fate) -> bool| -> Vec<(BorrowerId, &str)> {
            let is_it = |(_, fate): &&(&Waiting, Fate)| wanted(fate);
            told.iter().filter(is_it).map(|(message, _)| (borrower(message), message.kind.as_str())).collect()
        };
        let sent = of(|fate| *fate == Fate::Delivered);
        let refused = of(|fate| matches!(fate, Fate::Undeliverable(why) if why == NOT_SUBSCRIBED));
        subscription_actions::spend(self.app, &sent, &refused).await
    }
}

/// The person has not agreed to such a message, or not any more.
const NOT_SUBSCRIBED: &str = "not subscribed";

/// As in short messages, but with days in the form of WeChat's date keywords.
fn parameters(body: &Value) -> BTreeMap<String, String> {
    let mut parameters = sms::parameters(body);
    for value in parameters.values_mut() {
        if let Ok(day) = value.parse::<BusinessDay>() {
            let date = day.date();
            *value = format!("{}年{}月{}日", date.year(), date.month(), date.day());
        }
    }
    parameters
}
