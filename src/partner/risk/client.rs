//! Asking the risk partner, in our words.

use std::collections::HashMap;

use super::wire::{Application, CardHistory, CardMonth, DecideAnswer, DecideRequest, Decision};
use crate::base::Fen;
use crate::base::id::ApplicationId;
use crate::credit::risk::Question;
use crate::credit::{self, Verdict};
use crate::partner::client::TIME_LIMIT_PERSON;
use crate::partner::{CallError, Client, Operation};

/// Asks for decisions, at most [`super::APPLICATIONS_MAX`]; an application without an answer is missing.
///
/// # Errors
/// As [`CallError`] says; nothing is decided then.
pub async fn decide(client: &Client, questions: &[Question<'_>]) -> Result<HashMap<ApplicationId, Verdict>, CallError> {
    let applications: Vec<Application> = questions.iter().map(application).collect();
    let key = applications.first().map_or_else(String::new, |first| first.application_id.to_string());
    let operation = Operation {
        name: "decide_applications",
        path: "/applications",
        key: &key,
        // The partner recognises each application by its id and answers as it did before.
        safe_to_retry: true,
        time_limit: TIME_LIMIT_PERSON,
    };
    let answer: DecideAnswer = client.call(&operation, &DecideRequest { applications }).await?;
    let ours = |id| ApplicationId::from_uuid(id);
    Ok(answer.answers.into_iter().map(|answer| (ours(answer.application_id), verdict(answer.decision))).collect())
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
        Decision::Refuse { reason, score } => Verdict::Refuse { reason, score },
        Decision::Refer { reason } => Verdict::Refer { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_no_amount_goes_before_a_person() {
        for limit_fen in [0, -1, i64::MAX] {
            let approval = Decision::Approve { grade: "A".into(), limit_fen, score: None };
            assert!(matches!(verdict(approval), Verdict::Refer { .. }), "{limit_fen}");
        }
    }
}
