//! Weighing a purchase before it is put to the authoriser: by the built-in rules or the risk partner, as its product says, once
//! for each key. The question is stored before it is asked and the answer before anything is decided on it, so that a crash
//! asks again under the same id, and a retry is decided on the same answer. No transaction is open while the partner is asked.

use std::time::Duration;

use uuid::Uuid;

use super::model::{PurchaseRequest, RequestRefusal};
use super::risk_store::{self, NewQuestion, QuestionName};
use super::store;
use super::weighing::{Answer, Facts, Late, Question, RiskWord, Rules, Weighed, judge_late_answer};
use crate::app::App;
use crate::base::id::{self, LineId};
use crate::database;
use crate::error::{Fault, Outcome, Refusal};
use crate::partner::risk as partner_risk;
use crate::product::ProductVersion;
use crate::product::terms::PurchaseRiskTerms;

/// Weighs a purchase by the built-in rules, the risk partner, or not at all, as its product says. Where nobody is asked, this
/// costs only a look into the catalogue.
///
/// # Errors
/// `KeyReused` where the key was used for another purchase.
pub async fn weigh(app: &App, request: PurchaseRequest) -> Outcome<Weighed, RequestRefusal> {
    let word = match app.catalogue.cached(request.product_id, request.product_version) {
        Some(product) if product.terms.purchase_risk.is_none() => RiskWord::Unasked,
        Some(product) => weigh_under(app, &request, &product).await?,
        None => {
            let version = (request.product_id, request.product_version);
            let mut connection = app.pool.acquire().await?;
            if crate::product::store::find_versions(&mut connection, &[version]).await?.is_empty() {
                // The authoriser says that there is no such product.
                return Ok(Weighed { request, word: RiskWord::Unasked, shown_on: None });
            }
            let product = app.catalogue.get(&mut connection, version.0, version.1).await?;
            drop(connection);
            weigh_under(app, &request, &product).await?
        }
    };
    Ok(Weighed { request, word, shown_on: None })
}

async fn weigh_under(
    app: &App,
    request: &PurchaseRequest,
    product: &ProductVersion,
) -> Outcome<RiskWord, RequestRefusal> {
    let Some(terms) = product.terms.purchase_risk else { return Ok(RiskWord::Unasked) };
    let mut connection = app.pool.acquire().await?;
    let key = [(request.line_id, request.idempotency_key.as_str())];
    if !store::find_earlier(&mut connection, &key).await?.is_empty() {
        // Decided before: the authoriser gives that answer again.
        return Ok(RiskWord::Unasked);
    }
    let Some(facts) = risk_store::find_facts(&mut connection, request).await? else {
        // Line or merchant is unknown; the authoriser says which.
        return Ok(RiskWord::Unasked);
    };
    let facts = facts_of(request, product, facts);
    let now = app.clock.now();
    let asked_partner = partner_to_ask(app, terms);
    let new = NewQuestion { question_id: id::mint(now), facts: &facts, asked_partner, asked_at: now };
    risk_store::insert_question(&mut connection, request, &new).await?;
    let asked = risk_store::find_question(&mut connection, request).await?;
    let asked = asked.ok_or_else(|| anyhow::anyhow!("a question that was just stored is not there"))?;
    if asked.request_sha256 != request.fingerprint() {
        return Err(Fault::Refused(RequestRefusal::KeyReused));
    }
    if let Some(answer) = asked.standing.answer {
        return Ok(answer.word());
    }
    let named = QuestionName { line_id: request.line_id, question_id: asked.question_id };
    if asked.standing.asked_partner.as_deref() != asked_partner {
        // The question was stored under another configuration; late answers are heard from the partner that is asked now.
        risk_store::change_asked(&mut connection, named, asked_partner).await?;
    }
    drop(connection);
    // The facts as they were stored, not as they are now, so that the same question always tells the same facts.
    let question = Question { question_id: asked.question_id, facts: asked.facts };
    let (answer, by) = ask(app, terms, &question).await;
    let mut connection = app.pool.acquire().await?;
    risk_store::save_answer(&mut connection, named, &answer, by, app.clock.now()).await?;
    // Another node may have been answered first, or the partner may have called back meanwhile.
    let stands = risk_store::find_standing(&mut connection, named).await?.and_then(|standing| standing.answer);
    Ok(stands.unwrap_or(answer).word())
}

fn facts_of(request: &PurchaseRequest, product: &ProductVersion, row: risk_store::FactsRow) -> Facts {
    Facts {
        line_id: request.line_id,
        borrower_id: row.borrower_id,
        grade: row.grade,
        merchant_id: request.merchant_id,
        merchant_category: row.category,
        product: product.terms.code.clone(),
        periods: request.periods,
        amount_fen: request.amount,
        has_order: request.order_code.is_some(),
        limit_fen: row.limit,
        used_fen: row.used,
        purchases_today: row.purchases_today,
        spent_today_fen: row.spent_today,
        spent_today_at_merchant_fen: row.spent_today_at_merchant,
    }
}

/// The partner that [`ask`] asks, by the id by which it signs; `None` where the rules answer.
fn partner_to_ask(app: &App, terms: PurchaseRiskTerms) -> Option<&str> {
    match terms {
        PurchaseRiskTerms::Rules { .. } => None,
        PurchaseRiskTerms::Partner { .. } => app.partners.mchid(partner_risk::NAME),
    }
}

/// Puts a question to the built-in rules or to the partner; returns the answer, and whose it is: `rules` or `partner`.
async fn ask(app: &App, terms: PurchaseRiskTerms, question: &Question) -> (Answer, &'static str) {
    let PurchaseRiskTerms::Partner { time_limit_ms, .. } = terms else {
        return (Rules::of(terms).map_or(Answer::Silent, |rules| rules.weigh(&question.facts)), "rules");
    };
    let time_limit = Duration::from_millis(u64::from(time_limit_ms));
    let answer = match app.partners.client(partner_risk::NAME) {
        Ok(client) => partner_risk::client::decide_purchase(client, question, time_limit).await,
        Err(error) => Err(error),
    };
    let answer = answer.unwrap_or_else(|error| {
        tracing::warn!(%error, question = %question.question_id, "the risk hook is silent about a purchase");
        Answer::Silent
    });
    (answer, "partner")
}

/// A partner's answer that came by callback, after its time was over.
#[derive(Clone, Debug)]
pub struct LateAnswer {
    /// The id by which it signs.
    pub partner: String,
    pub line_id: LineId,
    pub question_id: Uuid,
    pub answer: Answer,
}

/// Why a late answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LateRefusal {
    #[error("no purchase was asked about by that line and question")]
    QuestionUnknown,
    #[error("the purchase was decided without this answer, or on another one")]
    TooLate,
}

impl Refusal for LateRefusal {
    fn code(&self) -> &'static str {
        match self {
            LateRefusal::QuestionUnknown => "question_unknown",
            LateRefusal::TooLate => "answer_too_late",
        }
    }
}

/// Takes a late answer from the partner that was asked, even if another one is configured by now. It counts while there is no
/// other answer; the same answer again changes nothing.
///
/// # Errors
/// `QuestionUnknown` where this partner was not asked that question, and `TooLate` where another answer stands; the late one is kept as
/// evidence.
pub async fn take_late_answer(app: &App, late: LateAnswer) -> Outcome<(), LateRefusal> {
    let now = app.clock.now();
    let named = QuestionName { line_id: late.line_id, question_id: late.question_id };
    let mut transaction = database::begin(&app.pool).await?;
    let standing = risk_store::find_standing(&mut transaction, named).await?;
    let standing = standing.filter(|standing| standing.was_asked_of(&late.partner));
    let standing = standing.ok_or(Fault::Refused(LateRefusal::QuestionUnknown))?;
    let judged = judge_late_answer(standing.answer.as_ref(), &late.answer);
    match judged {
        Late::Counts => risk_store::save_answer(&mut transaction, named, &late.answer, "callback", now).await?,
        Late::SaidBefore => {}
        Late::TooLate => risk_store::note_late(&mut transaction, named, &late.answer, now).await?,
    }
    transaction.commit().await?;
    if judged == Late::TooLate { Err(Fault::Refused(LateRefusal::TooLate)) } else { Ok(()) }
}
