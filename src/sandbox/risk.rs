//! A counterfeit risk partner: decides by a short rule or as scripted, and always gives the same answer about an application.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use uuid::Uuid;

use super::fault::Fault;
use super::world::{World, lock};
use crate::partner::risk::purchase_wire::{PurchaseAnswer, PurchaseDecision, PurchaseRequest};
use crate::partner::risk::wire::{
    APPLICATIONS_MAX, Answer, Application, DecideAnswer, DecideRequest, Decision, VERSION,
};

pub use crate::partner::risk::NAME;

/// What was decided before.
#[derive(Default)]
pub struct Book {
    decisions: HashMap<Uuid, Decision>,
    purchases: HashMap<Uuid, PurchaseDecision>,
    purchases_asked: usize,
}

impl Book {
    pub fn decided(&self) -> usize {
        self.decisions.len()
    }

    /// How often it was asked about purchases, answered or not.
    pub fn purchases_asked(&self) -> usize {
        self.purchases_asked
    }
}

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/applications", post(decide)).route("/purchases", post(decide_purchase))
}

async fn decide(State(world): State<Arc<World>>, Json(request): Json<DecideRequest>) -> Response {
    if request.version != VERSION {
        return unknown_version();
    }
    if request.applications.len() > APPLICATIONS_MAX {
        return super::refusal(400, "too_many_applications", "at most 200 applications a call");
    }
    let key = request.applications.first().map_or_else(String::new, |first| first.application_id.to_string());
    let fault = world.call_fault(NAME, &key);
    if fault == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let answers: Option<Vec<Answer>> =
        request.applications.iter().map(|application| answer(&world, application)).collect();
    match answers {
        Some(answers) if fault != Some(Fault::TimeoutAfter) => Json(DecideAnswer { answers }).into_response(),
        Some(_) | None => world.silence(),
    }
}

fn unknown_version() -> Response {
    super::refusal(400, "version_unknown", "this partner keeps version 1 of the contract")
}

/// Allows a purchase unless a script says otherwise: `allow`, `silent`, `malformed` (an answer without its decision), `other` (an answer to
/// another question), `slow:<milliseconds>` (allowed after that time), or the reason of a refusal.
async fn decide_purchase(State(world): State<Arc<World>>, Json(request): Json<PurchaseRequest>) -> Response {
    if request.version != VERSION {
        return unknown_version();
    }
    let purchase = request.purchase;
    lock(&world.risk).purchases_asked += 1;
    let question_id = purchase.question_id;
    let fault = world.call_fault(NAME, &question_id.to_string());
    if fault == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let known = lock(&world.risk).purchases.get(&question_id).cloned();
    let decision = match known {
        Some(decision) => decision,
        None => {
            let (line, borrower) = (purchase.line_id.to_string(), purchase.borrower_id.to_string());
            let merchant = purchase.merchant_id.to_string();
            let subjects = [("line", line.as_str()), ("borrower", borrower.as_str()), ("merchant", merchant.as_str())];
            let scripted = world.scripted(NAME, &subjects).map(|scripted| scripted.answer);
            match scripted.as_deref() {
                None | Some("allow") => PurchaseDecision::Allow,
                Some("silent") => return world.silence(),
                Some("malformed") => return Json(json!({ "question_id": question_id })).into_response(),
                Some("other") => {
                    let answer = PurchaseAnswer { question_id: Uuid::nil(), decision: PurchaseDecision::Allow };
                    return Json(answer).into_response();
                }
                Some(answer) => match answer.strip_prefix("slow:").and_then(|text| text.parse().ok()) {
                    Some(milliseconds) => {
                        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                        PurchaseDecision::Allow
                    }
                    None => PurchaseDecision::Refuse { reason: answer.to_owned() },
                },
            }
        }
    };
    lock(&world.risk).purchases.insert(question_id, decision.clone());
    match fault {
        Some(Fault::TimeoutAfter) => world.silence(),
        Some(_) | None => Json(PurchaseAnswer { question_id, decision }).into_response(),
    }
}

/// `None` if the script says that the whole call stays unanswered.
fn answer(world: &World, application: &Application) -> Option<Answer> {
    let application_id = application.application_id;
    let (id, borrower) = (application_id.to_string(), application.borrower_id.to_string());
    let known = lock(&world.risk).decisions.get(&application_id).cloned();
    let decision = match known {
        Some(decision) => decision,
        None => match world.scripted(NAME, &[("application", &id), ("borrower", &borrower)]) {
            Some(scripted) => match scripted.answer.as_str() {
                "silent" => return None,
                "approve" => approval("A", scripted.amount_fen.unwrap_or(1_000_000)),
                answer if answer.starts_with("approve:") => {
                    let grade = answer.trim_start_matches("approve:");
                    approval(grade, scripted.amount_fen.unwrap_or(1_000_000))
                }
                "refer" => Decision::Refer { reason: "scripted".into() },
                _ => Decision::Refuse { reason: scripted.answer, score: None },
            },
            None => by_rule(application),
        },
    };
    lock(&world.risk).decisions.insert(application_id, decision.clone());
    Some(Answer { application_id, decision })
}

/// The limit of somebody without a card elsewhere.
const NEW_TO_CREDIT_FEN: i64 = 800_000;

/// Refuses whoever was two months late recently; else approves half of the present card's limit, or a small line without a card.
fn by_rule(application: &Application) -> Decision {
    let Some(history) = &application.card_history else {
        return approval("C", NEW_TO_CREDIT_FEN);
    };
    match history.months.iter().map(|month| month.repay_status).max() {
        Some(late) if late >= 2 => Decision::Refuse { reason: "late_elsewhere".into(), score: None },
        Some(1) => approval("C", history.limit_fen / 2),
        Some(0) => approval("B", history.limit_fen / 2),
        Some(_) | None => approval("A", history.limit_fen / 2),
    }
}

fn approval(grade: &str, limit_fen: i64) -> Decision {
    Decision::Approve { grade: grade.into(), limit_fen, score: None }
}
