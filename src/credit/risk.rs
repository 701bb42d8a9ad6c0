//! The risk hook: facts in, verdict out, from the built-in scorecard or from a partner over HTTP, behind one interface.

use std::collections::HashMap;

use anyhow::Context;
use uuid::Uuid;

use super::facts::Facts;
use super::scorecard::Scorecard;
use super::verdict::Verdict;
use crate::base::Fen;
use crate::base::id::{ApplicationId, BorrowerId};
use crate::partner::Partners;
use crate::partner::risk::wire::{APPLICATIONS_MAX, CardHistory, CardMonth, Decision};
use crate::partner::risk::{self as partner_risk, client as risk_client, wire};

/// Who decides on applications.
#[derive(Clone, Debug)]
pub enum RiskHook {
    Scorecard(Scorecard),
    /// The partner configured as `risk`.
    Partner,
}

/// One application to decide.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub application_id: ApplicationId,
    pub borrower_id: BorrowerId,
    pub product_code: &'a str,
    pub facts: &'a Facts,
}

impl RiskHook {
    /// The shipped scorecard.
    ///
    /// # Panics
    /// Never in a tested build: the shipped file is parsed by a test.
    pub fn shipped() -> RiskHook {
        RiskHook::Scorecard(Scorecard::parse(super::scorecard::SHIPPED).expect("the shipped scorecard is tested"))
    }

    /// The hook named in the configuration: `scorecard`, `partner`, or a scorecard file.
    ///
    /// # Errors
    /// If the file cannot be read or is no scorecard.
    pub fn configured(name: &str) -> anyhow::Result<RiskHook> {
        match name {
            "scorecard" => Ok(RiskHook::shipped()),
            "partner" => Ok(RiskHook::Partner),
            path => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read risk_hook {path}"))?;
                let scorecard = Scorecard::parse(&text).with_context(|| format!("risk_hook {path} is refused"))?;
                Ok(RiskHook::Scorecard(scorecard))
            }
        }
    }

    /// Whether [`RiskHook::configured`] knows what this asks for.
    pub fn is_name(name: &str) -> bool {
        matches!(name, "scorecard" | "partner") || name.ends_with(".toml")
    }

    /// Decides applications, answering each in order. A hook that is slow, down or leaves one out refers it to a person: no
    /// application is lost, and none is decided by silence.
    pub async fn assess(&self, partners: &Partners, questions: &[Question<'_>]) -> Vec<Verdict> {
        match self {
            RiskHook::Scorecard(scorecard) => {
                questions.iter().map(|question| scorecard.assess(question.facts)).collect()
            }
            RiskHook::Partner => {
                let mut verdicts = Vec::with_capacity(questions.len());
                for batch in questions.chunks(APPLICATIONS_MAX) {
                    verdicts.extend(ask_partner(partners, batch).await);
                }
                verdicts
            }
        }
    }

    /// What `decided_by` records.
    pub const fn name(&self) -> &'static str {
        match self {
            RiskHook::Scorecard(_) => "scorecard",
            RiskHook::Partner => "partner",
        }
    }
}

async fn ask_partner(partners: &Partners, questions: &[Question<'_>]) -> Vec<Verdict> {
    let applications = questions.iter().map(question_on_wire).collect();
    let answers = match partners.client(partner_risk::NAME) {
        Ok(client) => risk_client::decide(client, applications).await,
        Err(error) => Err(error),
    };
    let mut answers: HashMap<Uuid, Decision> = answers.unwrap_or_else(|error| {
        tracing::warn!(%error, applications = questions.len(), "the risk hook is silent");
        HashMap::new()
    });
    questions.iter().map(|question| verdict(answers.remove(&question.application_id.uuid()))).collect()
}

fn verdict(decision: Option<Decision>) -> Verdict {
    match decision {
        None => Verdict::Refer { reason: "risk_hook_silent".into() },
        Some(Decision::Approve { grade, limit_fen, score }) if (1..=Fen::MAX.get()).contains(&limit_fen) => {
            Verdict::Approve { grade, limit: Fen::new(limit_fen), score }
        }
        Some(Decision::Approve { .. }) => Verdict::Refer { reason: "risk_hook_limit_invalid".into() },
        Some(Decision::Refuse { reason, score }) => Verdict::Refuse { reason, score },
        Some(Decision::Refer { reason }) => Verdict::Refer { reason },
    }
}

fn question_on_wire(question: &Question<'_>) -> wire::Application {
    let month = |month: &super::facts::CardMonth| CardMonth {
        repay_status: month.repay_status,
        bill_fen: month.bill_fen.get(),
        paid_fen: month.paid_fen.get(),
    };
    wire::Application {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_nonsense_go_before_a_person() {
        assert_eq!(verdict(None), Verdict::Refer { reason: "risk_hook_silent".into() });
        let nothing = Decision::Approve { grade: "A".into(), limit_fen: 0, score: None };
        assert!(matches!(verdict(Some(nothing)), Verdict::Refer { .. }));
        let endless = Decision::Approve { grade: "A".into(), limit_fen: i64::MAX, score: None };
        assert!(matches!(verdict(Some(endless)), Verdict::Refer { .. }));
    }
}
