//! The risk partner's late answers about purchases.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::risk_actions::{self, LateAnswer};
use super::weighing::Answer;
use crate::app::App;
use crate::base::id::LineId;
use crate::http::Problem;
use crate::http::api::{Body, Caller, word};
use crate::partner::risk::is_reason;

/// A risk partner's decision on a purchase.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseWord {
    Allow,
    Refuse,
}

/// A risk partner's answer about a purchase, sent by a call of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "question_id": "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172", "line_id": "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506173",
    "decision": "refuse", "reason": "velocity" }))]
pub struct LatePurchaseDecision {
    /// `question_id` of the request to decide.
    #[schema(example = "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172")]
    pub question_id: Uuid,
    /// `line_id` of the request to decide.
    #[schema(example = "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172")]
    pub line_id: Uuid,
    #[serde(deserialize_with = "word")]
    pub decision: PurchaseWord,
    /// Why it is refused, as a code of 1 to 64 lower-case letters and `_`; required with `refuse`, and not allowed with `allow`.
    #[schema(example = "velocity", max_length = 64)]
    pub reason: Option<String>,
}

/// Says that the answer counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct LatePurchaseResult {
    #[schema(example = "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172")]
    pub question_id: Uuid,
    /// Always `heard`: the answer counts.
    #[schema(example = "heard")]
    pub status: &'static str,
}

/// Send a late decision on a purchase
///
/// For an answer that you give by this call instead of in your answer to the request to decide. It counts only while that request is still
/// open: a purchase waits no longer than its product's time limit, and is then decided without you. Afterwards, or if another answer counts,
/// it is refused with `answer_too_late`. Only purchases that were put to you can be answered (`question_unknown`). The same answer again
/// changes nothing.
#[utoipa::path(post, path = "/risk/purchase-decisions", tag = "risk", request_body = LatePurchaseDecision,
    responses((status = 200, description = "Your decision counts.", body = LatePurchaseResult)),
    security(("signature" = ["decisions:write"])),
    extensions(("x-problems" = json!(["decision_malformed", "question_unknown", "answer_too_late"]))))]
pub async fn decide_purchase_late(
    State(app): State<App>,
    caller: Caller,
    Body(late): Body<LatePurchaseDecision>,
) -> Result<Json<LatePurchaseResult>, Problem> {
    let answer = match (late.decision, late.reason) {
        (PurchaseWord::Allow, None) => Answer::Allow,
        (PurchaseWord::Refuse, Some(reason)) if is_reason(&reason) => Answer::Refuse { reason },
        _ => {
            let detail = "a refusal needs a reason in lower-case letters, and an allowance takes none";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "decision_malformed", detail));
        }
    };
    let question_id = late.question_id;
    let (partner, line_id) = (caller.known.code.clone(), LineId::from_uuid(late.line_id));
    risk_actions::take_late_answer(&app, LateAnswer { partner, line_id, question_id, answer }).await?;
    Ok(Json(LatePurchaseResult { question_id, status: "heard" }))
}
