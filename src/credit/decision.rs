//! What a verdict does to an application: the line that it opens, the row that it writes, the message that it sends.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::line::{EntryKind, Line, LineChange, LineEntry, LineStatus};
use super::model::{
    Application, ApplicationState, ApplicationStatus, Applied, ApplyRefusal, Proposal, Step, Transition,
};
use super::verdict::{OwnReason, Verdict};
use crate::base::day::MonthDay;
use crate::base::id::{ApplicationId, BorrowerId, LineId};
use crate::base::{Fen, When};
use crate::notice::Notice;
use crate::outbox::Message;
use crate::product::terms::FunderDefault;
use crate::product::{ProductVersion, Terms};

/// What `decided_by` says where the scorecard decided.
pub const SCORECARD: &str = "scorecard";
/// What `decided_by` says where the risk partner decided.
pub const PARTNER: &str = "partner";
/// What `decided_by` says where the funder decided, followed by the name of who did.
pub const FUNDER: &str = "funder:";
/// What `decided_by` says where the product's default was applied after the funder's deadline.
pub const DEADLINE: &str = "deadline";
/// What `decided_by` says where the borrower took a consent back.
pub const BORROWER: &str = "borrower";

/// Who decided.
#[derive(Clone, Debug)]
pub enum Decider {
    /// The risk hook, by its name.
    Hook(&'static str),
    /// The risk hook, by a late callback.
    LateHook,
    Person {
        name: String,
        reason: String,
    },
    /// The funder, whose word is final.
    Funder {
        name: String,
        reason: String,
    },
    /// The product's default, once the funder's time is over.
    Deadline,
    /// The borrower, who wants a person to decide, or has taken a consent back.
    Borrower,
}

/// A verdict on an application that is locked for it.
#[derive(Clone, Debug)]
pub struct Decision {
    pub application: Application,
    pub product: Arc<ProductVersion>,
    pub verdict: Verdict,
    pub decider: Decider,
}

/// A line about to be opened, with the first entry of its journal.
#[derive(Clone, Debug)]
pub struct Opening {
    pub line: Line,
    pub entry: LineEntry,
}

/// What a decision writes on its application: an approval, a refusal, or that a person or the funder decides next.
pub struct DecidedRow {
    pub application_id: ApplicationId,
    pub borrower_id: BorrowerId,
    pub from: ApplicationStatus,
    pub to: ApplicationStatus,
    pub referral: Option<String>,
    pub decided_by: Option<String>,
    pub decision_note: Option<String>,
    pub refusal: Option<String>,
    pub score: Option<i32>,
    pub grade: Option<String>,
    pub limit: Option<Fen>,
    pub line_id: Option<LineId>,
    /// With `to` [`ApplicationStatus::WithFunder`].
    pub proposal: Option<Proposal>,
}

/// The verdict where a person approves, or a funder to which nothing was proposed.
///
/// # Errors
/// Where the product has no price for the grade, or the limit lies outside its bounds or above what was asked for.
pub fn approved_by_person(
    (grade, limit): (String, Fen),
    application: &Application,
    terms: &Terms,
) -> Result<Verdict, ApplyRefusal> {
    if !terms.purchase.grades.contains(&grade) {
        return Err(ApplyRefusal::GradeUnknown);
    }
    let limit_max = terms.line.limit_max(application.facts.limit_requested_fen);
    if !(terms.line.limit_min_fen..=limit_max).contains(&limit) {
        return Err(ApplyRefusal::LimitOutOfBounds);
    }
    Ok(Verdict::Approve { grade, limit, score: None })
}

impl Decision {
    /// Whether the application's status allows the verdict, and which status it gets by it.
    pub fn transition(&self) -> Transition {
        let waits_for_person = self.application.status == ApplicationStatus::Referred;
        let step = match (&self.decider, &self.verdict) {
            // A person was asked because the hook was silent. Until the person has answered, the hook's late answer counts as a
            // person's.
            (Decider::LateHook, Verdict::Approve { .. }) if waits_for_person => Step::PersonApproves,
            (Decider::LateHook, Verdict::Refuse { .. }) if waits_for_person => Step::PersonRefuses,
            (Decider::LateHook, Verdict::Approve { .. }) => Step::HookApproves,
            (Decider::LateHook, Verdict::Refuse { .. }) => Step::HookRefuses,
            (Decider::LateHook, Verdict::Refer { .. }) => Step::HookRefers,
            (Decider::Borrower, Verdict::Refuse { .. }) => Step::BorrowerWithdraws,
            (Decider::Borrower, Verdict::Approve { .. } | Verdict::Refer { .. }) => Step::BorrowerAsks,
            (Decider::Hook(_), Verdict::Approve { .. }) => Step::HookApproves,
            (Decider::Hook(_), Verdict::Refuse { .. }) => Step::HookRefuses,
            (
                Decider::Hook(_) | Decider::Person { .. } | Decider::Funder { .. } | Decider::Deadline,
                Verdict::Refer { .. },
            ) => Step::HookRefers,
            (Decider::Person { .. }, Verdict::Approve { .. }) => Step::PersonApproves,
            (Decider::Person { .. }, Verdict::Refuse { .. }) => Step::PersonRefuses,
            (Decider::Funder { .. } | Decider::Deadline, Verdict::Approve { .. }) => Step::FunderApproves,
            (Decider::Funder { .. } | Decider::Deadline, Verdict::Refuse { .. }) => Step::FunderRefuses,
        };
        match self.product.terms.funder_word {
            Some(_) => self.application.status.after_asking(step),
            None => self.application.status.after(step),
        }
    }

    /// Whether this very verdict of the same decider was taken before, so that repeating it changes nothing: it decided the
    /// application, or put it before the funder or a person. So was an approval that was turned into a refusal because the
    /// borrower had got another line.
    pub fn was_applied(&self) -> bool {
        let application = &self.application;
        let proposal = application.proposal.as_ref();
        let by = proposal.map(|proposal| proposal.by.as_str()).or(application.decided_by.as_deref());
        let is_theirs = by == Some(self.decided_by().0.as_str());
        match &self.verdict {
            Verdict::Approve { grade, limit, .. } => {
                let limit_then = proposal.map(|proposal| proposal.limit).or(application.limit);
                let is_same = application.grade.as_ref() == Some(grade) && limit_then == Some(*limit);
                is_theirs && (is_same || application.is_overtaken())
            }
            Verdict::Refuse { reason, .. } => {
                is_theirs && proposal.is_none() && application.refusal.as_ref() == Some(reason)
            }
            // Nobody but the risk hook gives a reason for asking a person.
            Verdict::Refer { reason } => {
                application.status == ApplicationStatus::Referred && application.referral.as_ref() == Some(reason)
            }
        }
    }

    /// The line that the verdict opens, if the application is approved by it.
    pub fn opening(&self, to: ApplicationStatus, when: When) -> Option<Opening> {
        let Verdict::Approve { grade, limit, .. } = &self.verdict else { return None };
        if to != ApplicationStatus::Approved {
            return None;
        }
        let terms = &self.product.terms.line;
        let statement_day = spread(&terms.statement_days, &self.application.idempotency_key);
        let mut line = Line {
            line_id: LineId::mint(when.at),
            borrower_id: self.application.borrower_id,
            funder_id: self.product.funder_id,
            product_id: self.product.product_id,
            product_version: self.product.version,
            grade: grade.clone(),
            status: LineStatus::Active,
            limit: Fen::ZERO,
            used: Fen::ZERO,
            statement_day,
            due_day: terms.due_day(statement_day),
            expires_on: when.business_day.plus_months(terms.valid_months).date(),
            purchases_on: None,
            purchases_count: 0,
            last_entry_no: 0,
        };
        let opened = LineChange {
            kind: EntryKind::Opened,
            used_change: Fen::ZERO,
            limit_change: *limit,
            source_id: Some(self.application.application_id.uuid()),
            reason: None,
        };
        let entry = line.change(opened, when);
        Some(Opening { line, entry })
    }

    /// This decision turned into a refusal, because the borrower has got a line with the same funder meanwhile.
    #[must_use]
    pub fn refused_for_open_line(self) -> Decision {
        let score = match &self.verdict {
            Verdict::Approve { score, .. } | Verdict::Refuse { score, .. } => *score,
            Verdict::Refer { .. } => None,
        };
        Decision { verdict: Verdict::refuse(OwnReason::LineOpen, score), ..self }
    }

    /// The row to write, `line_id` being the line that was opened for an approval.
    pub fn row(&self, to: ApplicationStatus, line_id: Option<LineId>, now: DateTime<Utc>) -> DecidedRow {
        let (by, note) = self.decided_by();
        let undecided = DecidedRow {
            application_id: self.application.application_id,
            borrower_id: self.application.borrower_id,
            from: self.application.status,
            to,
            referral: None,
            decided_by: None,
            decision_note: None,
            refusal: None,
            score: None,
            grade: None,
            limit: None,
            line_id: None,
            proposal: None,
        };
        match self.verdict.clone() {
            Verdict::Approve { grade, limit, score } if to == ApplicationStatus::WithFunder => DecidedRow {
                score,
                grade: Some(grade),
                limit: Some(limit),
                proposal: Some(self.proposal(limit, now)),
                ..undecided
            },
            Verdict::Refer { reason } => DecidedRow { referral: Some(reason), ..undecided },
            Verdict::Refuse { reason, score } => {
                DecidedRow { decided_by: Some(by), decision_note: note, refusal: Some(reason), score, ..undecided }
            }
            Verdict::Approve { grade, limit, score } => DecidedRow {
                decided_by: Some(by),
                decision_note: note,
                score,
                grade: Some(grade),
                limit: Some(limit),
                line_id,
                ..undecided
            },
        }
    }

    /// Who decided and what is noted of it, as the columns `decided_by` and `decision_note` keep it.
    fn decided_by(&self) -> (String, Option<String>) {
        match &self.decider {
            Decider::Hook(name) => ((*name).to_owned(), None),
            Decider::LateHook => (PARTNER.to_owned(), Some("by a late callback".to_owned())),
            Decider::Person { name, reason } => (format!("person:{name}"), Some(reason.clone())),
            Decider::Funder { name, reason } => (format!("{FUNDER}{name}"), Some(reason.clone())),
            Decider::Deadline => (DEADLINE.to_owned(), Some("no answer of the funder in time".to_owned())),
            Decider::Borrower => (BORROWER.to_owned(), None),
        }
    }

    /// The proposal that is put before the funder.
    fn proposal(&self, limit: Fen, now: DateTime<Utc>) -> Proposal {
        let hours = self.product.terms.funder_word.map_or(0, |word| word.deadline_hours);
        Proposal { by: self.decided_by().0, limit, answer_by: now + TimeDelta::hours(i64::from(hours)) }
    }

    /// The message to a funder that has the final word: that it is asked, that the product's default was applied, or that the
    /// application was withdrawn. `None` in all other cases.
    pub fn message(&self, to: ApplicationStatus, when: When) -> Option<Message> {
        let word = self.product.terms.funder_word?;
        let mut body = json!({
            "application_id": self.application.application_id,
            "borrower_id": self.application.borrower_id,
            "product": self.product.terms.code,
            "product_version": self.product.version,
            "business_day": when.business_day,
        });
        let kind = match (&self.verdict, &self.decider) {
            (Verdict::Approve { grade, limit, score }, _) if to == ApplicationStatus::WithFunder => {
                body["grade"] = json!(grade);
                body["limit_fen"] = json!(limit);
                body["score"] = json!(score);
                body["answer_by"] = json!(self.proposal(*limit, when.at).answer_by);
                body["default"] = json!(word.default.name());
                "application_waiting"
            }
            (verdict, Decider::Deadline) => {
                // The product's default, or a refusal where the borrower had got another line.
                let is_approved = matches!(verdict, Verdict::Approve { .. });
                let decision = if is_approved { FunderDefault::Approve } else { FunderDefault::Refuse };
                body["decision"] = json!(decision.name());
                "application_defaulted"
            }
            (Verdict::Refuse { .. }, Decider::Borrower) if self.application.status == ApplicationStatus::WithFunder => {
                "application_withdrawn"
            }
            (
                _,
                Decider::Hook(_)
                | Decider::LateHook
                | Decider::Person { .. }
                | Decider::Funder { .. }
                | Decider::Borrower,
            ) => return None,
        };
        let object_id = self.application.application_id.uuid();
        Some(Message { partner: self.product.terms.funder.clone(), kind, object_id, body, created_at: when.at })
    }

    /// The message to the funder about a line that was opened.
    pub fn line_opened(&self, line: &Line, when: When) -> Message {
        Message {
            partner: self.product.terms.funder.clone(),
            kind: "line_opened",
            object_id: line.line_id.uuid(),
            body: json!({
                "line_id": line.line_id,
                "borrower_id": line.borrower_id,
                "application_id": self.application.application_id,
                "product": self.product.terms.code,
                "product_version": line.product_version,
                "grade": line.grade,
                "limit_fen": line.limit,
                "statement_day": line.statement_day,
                "due_day": line.due_day,
                "expires_on": line.expires_on,
                "business_day": when.business_day,
            }),
            created_at: when.at,
        }
    }

    /// The notice to the applicant, in addition to the answer on the page: a decision may come days later.
    pub fn notice(&self, to: ApplicationStatus, line_id: Option<LineId>, when: When) -> Notice {
        let mut body = json!({
            "application": self.application.application_id,
            "product": self.product.terms.code,
        });
        let kind = match &self.verdict {
            Verdict::Approve { .. } if to == ApplicationStatus::WithFunder => "application_under_review",
            Verdict::Approve { limit, .. } => {
                body["limit_fen"] = json!(limit);
                body["line"] = json!(line_id);
                "application_approved"
            }
            Verdict::Refuse { reason, .. } => {
                body["reason"] = json!(reason);
                // After a review that the applicant asked for, the notice says so; not if the applicant has ended it first.
                let has_looked = !matches!(self.decider, Decider::Borrower);
                body["review"] = json!(self.application.review.is_some() && has_looked);
                "application_refused"
            }
            Verdict::Refer { .. } => "application_under_review",
        };
        Notice::to_borrower(self.application.borrower_id, kind, body, when)
    }

    /// What the applicant is told.
    pub fn applied(&self, to: ApplicationStatus, line_id: Option<LineId>) -> Applied {
        let state = match (self.verdict.clone(), line_id) {
            (Verdict::Approve { .. }, _) if to == ApplicationStatus::WithFunder => ApplicationState::WithFunder,
            (Verdict::Refer { reason }, _) => ApplicationState::Referred { reason },
            (Verdict::Refuse { reason, .. }, _) => ApplicationState::Refused { reason },
            (Verdict::Approve { grade, limit, .. }, Some(line_id)) => {
                ApplicationState::Approved { line_id, grade, limit }
            }
            (Verdict::Approve { .. }, None) => self.application.state(),
        };
        Applied { application_id: self.application.application_id, state }
    }
}

/// Picks one of the product's statement days: spread evenly over applications, and always the same for one key, so that a
/// scenario or demo that is run again has the same days.
fn spread(days: &[MonthDay], key: &str) -> MonthDay {
    let digest = Sha256::digest(key);
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    days[number as usize % days.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_that_is_taken_back_ends_what_nobody_has_decided() {
        use ApplicationStatus::{Approved, Referred, Refused, Submitted, WithFunder};
        for open in [Submitted, Referred, WithFunder] {
            assert_eq!(open.after_asking(Step::BorrowerWithdraws), Transition::To(Refused));
        }
        assert_eq!(Approved.after(Step::BorrowerWithdraws), Transition::Illegal);
        assert_eq!(Refused.after(Step::BorrowerWithdraws), Transition::AlreadyApplied);
    }

    #[test]
    fn statement_days_are_spread_and_stay_with_the_key() {
        let days: Vec<MonthDay> = (1..=28).filter_map(MonthDay::new).collect();
        let mut seen: Vec<u8> = (0..1_000).map(|key| spread(&days, &key.to_string()).get()).collect();
        assert_eq!(spread(&days, "7"), spread(&days, "7"));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 28);
    }
}
