//! A counterfeit signing service: sends a code for each card and signs for the right one.
//!
//! The code is always the last six digits of the mobile, so that a person who tries the pages, and a demo with thousands of
//! applicants, know it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::fault::Fault;
use super::world::{World, lock};
use crate::partner::card_signing::wire::{
    CardToSign, CodeToConfirm, ConfirmAnswer, ConfirmRequest, ConfirmResult, Confirmed, SIGNINGS_MAX, StartAnswer,
    StartRequest, StartResult, Started,
};

pub use crate::partner::card_signing::NAME;

const CODE_DIGITS: usize = 6;
const CODE_VALID: TimeDelta = TimeDelta::minutes(10);
const CODES_MAX: u32 = 5;

/// Signings under way and agreements signed.
#[derive(Default)]
pub struct Book {
    started: HashMap<Uuid, String>,
    challenges: HashMap<String, Challenge>,
}

struct Challenge {
    code: String,
    card_tail: String,
    started_at: DateTime<Utc>,
    wrong_codes: u32,
    agreement_number: Option<String>,
}

impl Book {
    pub fn agreements(&self) -> usize {
        self.challenges.values().filter(|challenge| challenge.agreement_number.is_some()).count()
    }

    fn start(&mut self, card: &CardToSign, now: DateTime<Utc>) -> Started {
        let challenge = match self.started.get(&card.signing_id) {
            Some(challenge) => challenge.clone(),
            None => {
                let challenge = format!("c-{}", card.signing_id.simple());
                self.started.insert(card.signing_id, challenge.clone());
                self.challenges.insert(challenge.clone(), Challenge::new(card, now));
                challenge
            }
        };
        Started::CodeSent { challenge }
    }

    fn confirm(&mut self, code: &CodeToConfirm, now: DateTime<Utc>) -> Confirmed {
        let Some(challenge) = self.challenges.get_mut(&code.challenge) else { return Confirmed::ChallengeEnded };
        let right = challenge.code == code.sms_code;
        match (&challenge.agreement_number, right) {
            (Some(number), true) => Confirmed::Signed { agreement_number: number.clone() },
            (Some(_), false) => Confirmed::CodeWrong,
            (None, _) if challenge.wrong_codes >= CODES_MAX || now > challenge.started_at + CODE_VALID => {
                Confirmed::ChallengeEnded
            }
            (None, false) => {
                challenge.wrong_codes += 1;
                Confirmed::CodeWrong
            }
            (None, true) => {
                let number = format!("AG-{}-{}", challenge.card_tail, code.challenge.trim_start_matches("c-"));
                challenge.agreement_number = Some(number.clone());
                Confirmed::Signed { agreement_number: number }
            }
        }
    }
}

impl Challenge {
    fn new(card: &CardToSign, now: DateTime<Utc>) -> Challenge {
        Challenge {
            code: last(&card.mobile, CODE_DIGITS),
            card_tail: last(&card.card_number, 4),
            started_at: now,
            wrong_codes: 0,
            agreement_number: None,
        }
    }
}

fn last(text: &str, count: usize) -> String {
    let skipped = text.chars().count().saturating_sub(count);
    text.chars().skip(skipped).collect()
}

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/signings", post(start)).route("/confirmations", post(confirm))
}

async fn start(State(world): State<Arc<World>>, Json(request): Json<StartRequest>) -> Response {
    if request.cards.len() > SIGNINGS_MAX {
        return super::refusal(400, "too_many_cards", "at most 200 cards a call");
    }
    let key = request.cards.first().map_or_else(String::new, |first| first.signing_id.to_string());
    let fault = world.call_fault(NAME, &key);
    if fault == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let results = request.cards.iter().map(|card| started(&world, card)).collect();
    if fault == Some(Fault::TimeoutAfter) {
        return world.silence();
    }
    Json(StartAnswer { results }).into_response()
}

fn started(world: &World, card: &CardToSign) -> StartResult {
    let signing_id = card.signing_id;
    let scripted = world.scripted(NAME, &[("card", &card.card_number), ("mobile", &card.mobile)]);
    let refused = scripted.is_some_and(|scripted| scripted.answer == "refused")
        || world.order_fault(NAME, &signing_id.to_string()) == Some(Fault::Refuse);
    if refused {
        return StartResult { signing_id, started: Started::Refused { code: "elements_differ".into() } };
    }
    let now = world.clock.now();
    StartResult { signing_id, started: lock(&world.card_signing).start(card, now) }
}

async fn confirm(State(world): State<Arc<World>>, Json(request): Json<ConfirmRequest>) -> Response {
    if request.codes.len() > SIGNINGS_MAX {
        return super::refusal(400, "too_many_codes", "at most 200 codes a call");
    }
    let key = request.codes.first().map_or_else(String::new, |first| first.challenge.clone());
    let fault = world.call_fault(NAME, &key);
    if fault == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let now = world.clock.now();
    let results = request
        .codes
        .into_iter()
        .map(|code| ConfirmResult {
            confirmed: lock(&world.card_signing).confirm(&code, now),
            challenge: code.challenge,
        })
        .collect();
    if fault == Some(Fault::TimeoutAfter) {
        return world.silence();
    }
    Json(ConfirmAnswer { results }).into_response()
}
