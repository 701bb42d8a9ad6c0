//! The funder's word on an application: what it may decide, until when, and what applies if it stays silent.

use chrono::{DateTime, Utc};

use super::decision::{DEADLINE, FUNDER, approved_by_person};
use super::model::{Application, ApplicationStatus, ApplyRefusal};
use super::verdict::{OwnReason, Verdict};
use crate::base::Fen;
use crate::product::Terms;
use crate::product::terms::FunderDefault;

/// A funder's word on an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A grade or limit that is left out is taken from the proposal.
    Approve { grade: Option<String>, limit: Option<Fen> },
    /// With the code that the applicant is told.
    Refuse { code: String },
}

/// The result of judging a funder's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    Decides(Verdict),
    /// The funder has said the same before: nothing changes.
    SaidBefore,
}

/// Judges a funder's word on an application for one of its products, at `now`.
///
/// # Errors
/// Why the word does not count: nobody waits for it, it came too late, or it lies outside the terms or the proposal.
pub fn judge(application: &Application, terms: &Terms, said: Said, now: DateTime<Utc>) -> Result<Judged, ApplyRefusal> {
    match application.status {
        ApplicationStatus::Submitted => Err(ApplyRefusal::NotReferred),
        ApplicationStatus::Referred => judge_referred(application, terms, said).map(Judged::Decides),
        ApplicationStatus::WithFunder => judge_proposal(application, terms, said, now).map(Judged::Decides),
        ApplicationStatus::Approved | ApplicationStatus::Refused => match application.decided_by.as_deref() {
            Some(DEADLINE) => Err(ApplyRefusal::DecisionTooLate),
            Some(by) if by.starts_with(FUNDER) && is_same(application, &said) => Ok(Judged::SaidBefore),
            Some(_) | None => Err(ApplyRefusal::NotReferred),
        },
    }
}

/// For a referred application there is no proposal: the funder decides as any person would.
fn judge_referred(application: &Application, terms: &Terms, said: Said) -> Result<Verdict, ApplyRefusal> {
    match said {
        Said::Refuse { code } => Ok(Verdict::Refuse { reason: code, score: None }),
        Said::Approve { grade: Some(grade), limit: Some(limit) } => {
            approved_by_person((grade, limit), application, terms)
        }
        Said::Approve { .. } => Err(ApplyRefusal::DecisionMalformed),
    }
}

fn judge_proposal(
    application: &Application,
    terms: &Terms,
    said: Said,
    now: DateTime<Utc>,
) -> Result<Verdict, ApplyRefusal> {
    let (Some(proposal), Some(proposed)) = (&application.proposal, &application.grade) else {
        return Err(ApplyRefusal::NotReferred);
    };
    if now > proposal.answer_by {
        return Err(ApplyRefusal::DecisionTooLate);
    }
    match said {
        Said::Refuse { code } => Ok(Verdict::Refuse { reason: code, score: None }),
        Said::Approve { grade: Some(grade), .. } if grade != *proposed => Err(ApplyRefusal::GradeDiffers),
        Said::Approve { limit, .. } => match limit.unwrap_or(proposal.limit) {
            limit if limit > proposal.limit => Err(ApplyRefusal::LimitAboveProposal),
            limit if limit < terms.line.limit_min_fen => Err(ApplyRefusal::LimitOutOfBounds),
            limit => Ok(Verdict::Approve { grade: proposed.clone(), limit, score: None }),
        },
    }
}

/// Whether the funder's decision on record is this one. So is an approval that was turned into a refusal because the borrower had
/// got another line.
fn is_same(application: &Application, said: &Said) -> bool {
    match said {
        Said::Refuse { code } => application.refusal.as_ref() == Some(code),
        Said::Approve { .. } if application.is_overtaken() => true,
        Said::Approve { grade, limit } => {
            let limit = limit.or(application.proposal.as_ref().map(|proposal| proposal.limit));
            application.status == ApplicationStatus::Approved
                && application.limit == limit
                && grade.as_ref().is_none_or(|grade| application.grade.as_ref() == Some(grade))
        }
    }
}

impl Application {
    /// Whether it was refused because its funder was silent until the deadline. The code alone does not tell, because anybody may
    /// refuse with that code.
    pub fn is_unanswered(&self) -> bool {
        let is_silence = self.refusal.as_deref() == Some(OwnReason::FunderSilent.code());
        is_silence && self.decided_by.as_deref() == Some(DEADLINE)
    }
}

/// The product's default as a verdict, once the funder's deadline has passed; `None` before that, or where the application does
/// not wait for the funder.
pub fn silence(application: &Application, terms: &Terms, now: DateTime<Utc>) -> Option<Verdict> {
    let proposal = application.proposal.as_ref().filter(|proposal| now > proposal.answer_by)?;
    if application.status != ApplicationStatus::WithFunder {
        return None;
    }
    match terms.funder_word?.default {
        FunderDefault::Refuse => Some(Verdict::refuse(OwnReason::FunderSilent, None)),
        FunderDefault::Approve => {
            let grade = application.grade.clone()?;
            Some(Verdict::Approve { grade, limit: proposal.limit, score: None })
        }
    }
}
