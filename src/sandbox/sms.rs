//! A counterfeit SMS partner: keeps the messages that it was told to send, each once.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use uuid::Uuid;

use super::fault::Fault;
use super::world::{World, lock};
use crate::partner::sms::wire::{MESSAGES_MAX, Message, SendAnswer, SendRequest, SendResult, SendVerdict};

pub use crate::partner::sms::NAME;

/// Messages that are kept as a whole for inspection; of older ones only the number is kept.
const MESSAGES_KEPT: usize = 10_000;

/// What was sent.
#[derive(Default)]
pub struct Book {
    numbers: HashSet<Uuid>,
    latest: VecDeque<Message>,
}

impl Book {
    pub fn sent(&self) -> usize {
        self.numbers.len()
    }

    /// The latest messages to a mobile, oldest first.
    pub fn messages_to(&self, mobile: &str) -> Vec<&Message> {
        self.latest.iter().filter(|message| message.mobile == mobile).collect()
    }

    /// The latest messages to a mobile or to anyone, newest first.
    pub fn latest(&self, mobile: Option<&str>, count: usize) -> Vec<Message> {
        let is_wanted = |message: &&Message| mobile.is_none_or(|mobile| message.mobile == mobile);
        self.latest.iter().rev().filter(is_wanted).take(count).cloned().collect()
    }

    fn take(&mut self, message: Message) -> SendVerdict {
        if !self.numbers.insert(message.message_id) {
            return SendVerdict::Duplicate;
        }
        if self.latest.len() == MESSAGES_KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(message);
        SendVerdict::Accepted
    }
}

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/messages", post(send))
}

async fn send(State(world): State<Arc<World>>, Json(request): Json<SendRequest>) -> Response {
    if request.messages.len() > MESSAGES_MAX {
        return super::refusal(400, "too_many_messages", "at most 200 messages a call");
    }
    let key = request.messages.first().map_or_else(String::new, |first| first.message_id.to_string());
    let fault = world.call_fault(NAME, &key);
    if fault == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let results = request.messages.into_iter().map(|message| result(&world, message)).collect();
    if fault == Some(Fault::TimeoutAfter) {
        return world.silence();
    }
    Json(SendAnswer { results }).into_response()
}

fn result(world: &World, message: Message) -> SendResult {
    let message_id = message.message_id;
    let scripted = world.scripted(NAME, &[("mobile", &message.mobile), ("template", &message.template)]);
    let refused = scripted.is_some_and(|scripted| scripted.answer == "refused")
        || world.order_fault(NAME, &message_id.to_string()) == Some(Fault::Refuse);
    if refused {
        return SendResult { message_id, result: SendVerdict::Refused, code: Some("mobile_blocked".into()) };
    }
    let verdict = lock(&world.sms).take(message);
    SendResult { message_id, result: verdict, code: None }
}
