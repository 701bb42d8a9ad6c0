//! Asks the risk partner for decisions; translates between our types and its protocol.

use std::collections::HashMap;
use std::time::Duration;

use super::purchase_wire::{Purchase, PurchaseAnswer, PurchaseDecision, PurchaseRequest};
use super::wire::{
    Answer, Application, CardHistory, CardMonth, DecideAnswer, DecideRequest, Decision, REASON_CHARS_MAX, VERSION,
};
use crate::base::Fen;
use crate::base::id::ApplicationId;
use crate::credit::risk::Question;
use crate::credit::{self, Verdict};
use crate::partner::agreed::agreed;
use crate::partner::client::TIME_LIMIT_PERSON;
use crate::partner::{CallError, Client, Operation};
use crate::purchase::weighing::{self, Question as PurchaseQuestion};

/// Asks for decisions, at most [`super::APPLICATIONS_MAX`]; an application without an answer is missing.
///
/// # Errors
/// As [`CallError`] says; then nothing is decided.
pub async fn decide(client: &Client, questions: &[Question<'_>]) -> Result<HashMap<ApplicationId, Verdict>, CallError> {
    let applications: Vec<Application> = questions.iter().map(application).collect();
    let key = applications.first().map_or_else(String::new, |first| first.application_id.to_string());
    let operation = Operation {
        name: "decide_applications",
        path: "/applications",
        key: &key,
        also: &[],
        // The partner recognises each application by its id and answers as it did before.
        safe_to_retry: true,
        time_limit: TIME_LIMIT_PERSON,
    };
    let answer: DecideAnswer = client.call(&operation, &DecideRequest { version: VERSION, applications }).await?;
    Ok(by_application(answer.answers))
}

/// The answer for each application. One with two different answers counts as unanswered.
fn by_application(answers: Vec<Answer>) -> HashMap<ApplicationId, Verdict> {
    let decided = agreed(answers.into_iter().map(|answer| (answer.application_id, answer.decision)));
    decided.into_iter().map(|(id, decision)| (ApplicationId::from_uuid(id), verdict(decision))).collect()
}

/// Asks about one purchase, without repetition: the borrower is waiting at the till.
///
/// # Errors
/// As [`CallError`] says; it counts as no answer.
pub async fn decide_purchase(
    client: &Client,
    question: &PurchaseQuestion,
    time_limit: Duration,
) -> Result<weighing::Answer, CallError> {
    let key = question.question_id.to_string();
    let operation = Operation {
        name: "decide_purchase",
        path: "/purchases",
        key: &key,
        also: &[],
        safe_to_retry: false,
        time_limit,
    };
    let answer: PurchaseAnswer = client.call(&operation, &PurchaseRequest::new(purchase(question))).await?;
    if answer.question_id != question.question_id {
        let reason = "the answer is to another question".to_owned();
        return Err(CallError::Unknown { partner: super::NAME.to_owned(), reason });
    }
    Ok(match answer.decision {
        PurchaseDecision::Allow => weighing::Answer::Allow,
        PurchaseDecision::Refuse { reason } => weighing::Answer::Refuse { reason: kept(&reason) },
    })
}

fn purchase(question: &PurchaseQuestion) -> Purchase {
    let facts = &question.facts;
    Purchase {
        question_id: question.question_id,
        line_id: facts.line_id.uuid(),
        borrower_id: facts.borrower_id.uuid(),
        grade: facts.grade.clone(),
        merchant_id: facts.merchant_id.uuid(),
        merchant_category: facts.merchant_category.clone(),
        product: facts.product.clone(),
        periods: facts.periods,
        amount_fen: facts.amount_fen.get(),
        has_order: facts.has_order,
        limit_fen: facts.limit_fen.get(),
        used_fen: facts.used_fen.get(),
        purchases_today: facts.purchases_today,
        spent_today_fen: facts.spent_today_fen.get(),
        spent_today_at_merchant_fen: facts.spent_today_at_merchant_fen.get(),
    }
}

fn application(question: &Question<'_>) -> Application {
    let month = |month: &credit::CardMonth| CardMonth {
        repay_status: month.repay_status,
        bill_fen: month.bill_fen.get(),
        paid_fen: month.paid_fen.get(),
    };
    Application {
        application_id: question.application_id.uuid(),
        borrower_id: question.borrower_id.uuid(),
        product: question.product_code.to_owned(),
        age: question.facts.age,
        limit_requested_fen: question.facts.limit_requested_fen.map(Fen::get),
        card_history: question.facts.history.as_ref().map(|history| CardHistory {
            limit_fen: history.limit_fen.get(),
            months: history.months.iter().map(month).collect(),
        }),
    }
}

fn verdict(decision: Decision) -> Verdict {
    match decision {
        Decision::Approve { grade, limit_fen, score } if (1..=Fen::MAX.get()).contains(&limit_fen) => {
            Verdict::Approve { grade, limit: Fen::new(limit_fen), score }
        }
        Decision::Approve { .. } => Verdict::Refer { reason: "risk_hook_limit_invalid".into() },
        Decision::Refuse { reason, score } => Verdict::Refuse { reason: kept(&reason), score },
        Decision::Refer { reason } => Verdict::Refer { reason: kept(&reason) },
    }
}

/// The reason, made fit for the database: without NULs and cut. The decision counts whatever its reason is.
fn kept(reason: &str) -> String {
    reason.chars().filter(|letter| !letter.is_control()).take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_limit_that_is_no_amount_goes_before_a_person() {
        for limit_fen in [0, -1, i64::MAX] {
            let approval = Decision::Approve { grade: "A".into(), limit_fen, score: None };
            assert!(matches!(verdict(approval), Verdict::Refer { .. }), "{limit_fen}");
        }
    }

    #[test]
    fn an_application_of_which_two_things_are_said_goes_before_a_person() {
        let answer = |id: u128, limit_fen| Answer {
            application_id: Uuid::from_u128(id),
            decision: Decision::Approve { grade: "A".into(), limit_fen, score: None },
        };
        let said = by_application(vec![answer(1, 100), answer(2, 100), answer(1, 100), answer(2, 900), answer(2, 900)]);
        let decided: Vec<ApplicationId> = said.into_keys().collect();
        assert_eq!(decided, [ApplicationId::from_uuid(Uuid::from_u128(1))]);
    }

    #[test]
    fn a_decision_counts_whatever_its_reason_says() {
        let long = "x".repeat(3_000);
        for (said, expected) in [("late\u{0}_payer", "late_payer".to_owned()), (long.as_str(), "x".repeat(64))] {
            let refusal = Decision::Refuse { reason: said.to_owned(), score: None };
            assert_eq!(verdict(refusal), Verdict::Refuse { reason: expected.clone(), score: None });
            assert_eq!(verdict(Decision::Refer { reason: said.to_owned() }), Verdict::Refer { reason: expected });
        }
    }
}
