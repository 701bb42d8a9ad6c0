//! The risk hook: facts in, verdict out, from the built-in scorecard or from a partner over HTTP, behind one interface.

use std::collections::HashMap;

use anyhow::Context;

use super::decision::{PARTNER, SCORECARD};
use super::facts::Facts;
use super::scorecard::Scorecard;
use super::verdict::{HOOK_SILENT, Verdict};
use crate::base::id::{ApplicationId, BorrowerId};
use crate::partner::Partners;
use crate::partner::risk as partner_risk;
use crate::text_file;

/// The most questions that are put at once.
pub const QUESTIONS_MAX: usize = partner_risk::APPLICATIONS_MAX;

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
                let text = text_file::read(path).with_context(|| format!("cannot read risk_hook {path}"))?;
                let scorecard = Scorecard::parse(&text).with_context(|| format!("risk_hook {path} is refused"))?;
                Ok(RiskHook::Scorecard(scorecard))
            }
        }
    }

    /// Whether [`RiskHook::configured`] knows what this asks for.
    pub fn is_name(name: &str) -> bool {
        matches!(name, "scorecard" | "partner") || name.ends_with(".toml")
    }

    /// Decides applications, at most [`QUESTIONS_MAX`], answering each in order. A hook that is slow, down or leaves one out refers it
    /// to a person: no application is lost, and none is decided by silence.
    pub async fn assess(&self, partners: &Partners, questions: &[Question<'_>]) -> Vec<Verdict> {
        match self {
            RiskHook::Scorecard(scorecard) => {
                questions.iter().map(|question| scorecard.assess(question.facts)).collect()
            }
            RiskHook::Partner if questions.is_empty() => Vec::new(),
            RiskHook::Partner => ask_partner(partners, questions).await,
        }
    }

    /// The partner that [`RiskHook::assess`] asks, by the id by which it signs; `None` where a scorecard answers.
    pub fn partner_to_ask<'a>(&self, partners: &'a Partners) -> Option<&'a str> {
        match self {
            RiskHook::Scorecard(_) => None,
            RiskHook::Partner => partners.mchid(partner_risk::NAME),
        }
    }

    /// The hook's name, as `decided_by` records it.
    pub const fn name(&self) -> &'static str {
        match self {
            RiskHook::Scorecard(_) => SCORECARD,
            RiskHook::Partner => PARTNER,
        }
    }
}

async fn ask_partner(partners: &Partners, questions: &[Question<'_>]) -> Vec<Verdict> {
    let answers = match partners.client(partner_risk::NAME) {
        Ok(client) => partner_risk::client::decide(client, questions).await,
        Err(error) => Err(error),
    };
    let mut answers = answers.unwrap_or_else(|error| {
        tracing::warn!(%error, applications = questions.len(), "the risk hook is silent");
        HashMap::new()
    });
    let silence = || Verdict::Refer { reason: HOOK_SILENT.into() };
    questions.iter().map(|question| answers.remove(&question.application_id).unwrap_or_else(silence)).collect()
}
