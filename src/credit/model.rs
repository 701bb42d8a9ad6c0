//! An application: what was asked, what became of it, and which steps it may take.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::facts::{CardHistory, Facts};
use super::verdict::HOOK_SILENT;
use crate::base::id::{ApplicationId, BorrowerId, FunderId, LineId, ProductId};
use crate::base::{BusinessDay, Fen, words};
use crate::borrower::Agreement;
use crate::error::Refusal;
use crate::product::Terms;

/// Who may apply.
pub const AGE_MIN: u32 = 18;
/// Nobody is older: such an ID number is somebody else's or made up, even if its check character fits.
pub const AGE_MAX: u32 = 120;

/// Days after a refused application before the next one is taken: the reason for the refusal does not change sooner. Nobody has
/// to wait after a funder's silence or a consent taken back, which say nothing about the applicant. Asking for a review does not
/// end the wait; only the person who reviews can.
pub const REAPPLY_AFTER: u32 = 30;

/// A request for a line.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplyRequest {
    pub borrower_id: BorrowerId,
    /// The product whose line is asked for, in the version that was shown.
    pub product_id: ProductId,
    pub product_version: i32,
    /// The same key is the same request and gets the same answer.
    pub idempotency_key: String,
    pub limit_requested: Option<Fen>,
    /// As a credit bureau reports it; `None` for a person without one.
    pub history: Option<CardHistory>,
}

impl ApplyRequest {
    /// SHA-256 of what is asked, so that the same key with another body is noticed.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.product_id.uuid());
        digest.update(self.product_version.to_be_bytes());
        let mut number = |number: Option<i64>| {
            digest.update([u8::from(number.is_some())]);
            digest.update(number.unwrap_or(0).to_be_bytes());
        };
        number(self.limit_requested.map(Fen::get));
        number(self.history.as_ref().map(|history| history.limit_fen.get()));
        for month in self.history.iter().flat_map(|history| &history.months) {
            number(Some(i64::from(month.repay_status)));
            number(Some(month.bill_fen.get()));
            number(Some(month.paid_fen.get()));
        }
        digest.finalize().into()
    }
}

/// An application as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    pub application_id: ApplicationId,
    pub borrower_id: BorrowerId,
    pub product_id: ProductId,
    pub product_version: i32,
    pub idempotency_key: String,
    pub request_sha256: [u8; 32],
    pub facts: Facts,
    pub status: ApplicationStatus,
    pub referral: Option<String>,
    pub refusal: Option<String>,
    pub score: Option<i32>,
    pub grade: Option<String>,
    pub limit: Option<Fen>,
    pub line_id: Option<LineId>,
    pub decided_by: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    /// What was proposed to the funder, where its product gives it the final word.
    pub proposal: Option<Proposal>,
    /// Where its borrower asked that a person looks at its refusal.
    pub review: Option<Review>,
    /// The id by which the risk partner that was asked last signs; `None` where none was.
    pub asked_partner: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// What was put before a funder that has the final word; the grade is the application's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Whose approval it was.
    pub by: String,
    /// The funder does not go above it.
    pub limit: Fen,
    /// An answer after it comes too late.
    pub answer_by: DateTime<Utc>,
}

/// A borrower's request that a person reviews a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    pub asked_at: DateTime<Utc>,
    /// The code of the refusal that a person is to look at, whose it was, and when.
    pub of: String,
    pub refused_by: String,
    pub refused_at: DateTime<Utc>,
}

words! {
    /// `submitted`: not decided yet. `referred`: a person decides. `with_funder`: waits for the funder's final decision. `approved`: a credit
    /// line was opened. `refused`: no line was opened.
    #[derive(Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum ApplicationStatus {
        /// Stored; the risk hook has not answered yet.
        Submitted = "submitted",
        /// Before a person.
        Referred = "referred",
        /// Approved by the hook or a person; the product gives the funder the final word.
        WithFunder = "with_funder",
        /// A line was opened.
        Approved = "approved",
        Refused = "refused",
    }
}

/// A decision about an application, by what it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    HookRefers,
    HookApproves,
    HookRefuses,
    PersonApproves,
    PersonRefuses,
    /// By its word, or by its silence until the deadline.
    FunderApproves,
    FunderRefuses,
    /// Asks that a person reviews what the hook has refused.
    BorrowerAsks,
    /// Takes a consent back.
    BorrowerWithdraws,
}

/// Whether a step may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    To(ApplicationStatus),
    AlreadyApplied,
    /// The application is in another status: the answer came too late, or a person answered before being asked.
    Illegal,
}

impl ApplicationStatus {
    /// Where a step leads, under a product whose funder has no final word.
    pub fn after(self, step: Step) -> Transition {
        use ApplicationStatus::{Approved, Referred, Refused, Submitted, WithFunder};
        match (self, step) {
            (Submitted, Step::HookRefers) => Transition::To(Referred),
            (Submitted, Step::HookApproves) => Transition::To(Approved),
            (Submitted, Step::HookRefuses) => Transition::To(Refused),
            // A person decides what the hook has left to a person, and nothing else.
            (Submitted, Step::PersonApproves | Step::PersonRefuses) => Transition::Illegal,
            (Submitted, Step::FunderApproves | Step::FunderRefuses) => Transition::Illegal,
            (Refused, Step::BorrowerAsks) => Transition::To(Referred),
            (Submitted | Referred | WithFunder, Step::BorrowerWithdraws) => Transition::To(Refused),
            (Submitted | WithFunder | Approved, Step::BorrowerAsks) => Transition::Illegal,
            (Approved, Step::BorrowerWithdraws) => Transition::Illegal,
            (Referred, Step::HookRefers | Step::BorrowerAsks) => Transition::AlreadyApplied,
            (Referred, Step::HookApproves | Step::HookRefuses) => Transition::Illegal,
            (Referred, Step::PersonApproves | Step::FunderApproves) => Transition::To(Approved),
            (Referred, Step::PersonRefuses | Step::FunderRefuses) => Transition::To(Refused),
            // Approved before; only the funder takes it further.
            (WithFunder, Step::HookApproves | Step::PersonApproves) => Transition::AlreadyApplied,
            (WithFunder, Step::HookRefers | Step::HookRefuses | Step::PersonRefuses) => Transition::Illegal,
            (WithFunder, Step::FunderApproves) => Transition::To(Approved),
            (WithFunder, Step::FunderRefuses) => Transition::To(Refused),
            (Approved, Step::HookApproves | Step::PersonApproves | Step::FunderApproves) => Transition::AlreadyApplied,
            (Approved, Step::HookRefers | Step::HookRefuses | Step::PersonRefuses | Step::FunderRefuses) => {
                Transition::Illegal
            }
            (Refused, Step::HookRefuses | Step::PersonRefuses | Step::FunderRefuses | Step::BorrowerWithdraws) => {
                Transition::AlreadyApplied
            }
            (Refused, Step::HookRefers | Step::HookApproves | Step::PersonApproves | Step::FunderApproves) => {
                Transition::Illegal
            }
        }
    }

    /// Where a step leads under a product that gives its funder the final word: what the hook or a person approves goes before
    /// the funder first.
    pub fn after_asking(self, step: Step) -> Transition {
        match (self.after(step), step) {
            (Transition::To(ApplicationStatus::Approved), Step::HookApproves | Step::PersonApproves) => {
                Transition::To(ApplicationStatus::WithFunder)
            }
            (transition, _) => transition,
        }
    }
}

/// What is known of an applicant when the application arrives.
#[derive(Clone, Debug)]
pub struct Applicant {
    pub age: u32,
    /// Agreements whose present text was signed.
    pub signed: Vec<Agreement>,
    pub has_bound_card: bool,
    /// Funders with whom a line is open, or was closed and owes again.
    pub lines_with: Vec<FunderId>,
    /// Products with an application that is not decided.
    pub open_applications: Vec<ProductId>,
    /// The day of the latest application that was refused for something of its applicant's own.
    pub refused_on: Option<BusinessDay>,
}

impl Applicant {
    /// Whether this person may apply for a line of `terms` now; the first reason why not.
    pub fn may_apply(&self, wanted: Wanted<'_>) -> Result<(), ApplyRefusal> {
        if !wanted.terms.is_valid_on(wanted.today) {
            return Err(ApplyRefusal::ProductNotOnSale);
        }
        check_age(self.age)?;
        if let Some(missing) = Agreement::ALL.into_iter().find(|agreement| !self.signed.contains(agreement)) {
            return Err(ApplyRefusal::AgreementMissing { agreement: missing });
        }
        if !self.has_bound_card {
            return Err(ApplyRefusal::CardMissing);
        }
        if self.open_applications.contains(&wanted.product_id) {
            return Err(ApplyRefusal::ApplicationOpen);
        }
        if self.lines_with.contains(&wanted.funder_id) {
            return Err(ApplyRefusal::LineOpen);
        }
        if self.refused_on.is_some_and(|refused_on| wanted.today < refused_on.plus_days(REAPPLY_AFTER)) {
            return Err(ApplyRefusal::RefusedLately);
        }
        Ok(())
    }
}

/// Whether a person of `age` completed years may apply.
///
/// # Errors
/// Why not: too young, or older than anybody is.
pub fn check_age(age: u32) -> Result<(), ApplyRefusal> {
    if age < AGE_MIN {
        Err(ApplyRefusal::UnderAge)
    } else if age > AGE_MAX {
        Err(ApplyRefusal::OverAge)
    } else {
        Ok(())
    }
}

/// The product that is applied for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub product_id: ProductId,
    pub funder_id: FunderId,
    pub terms: &'a Terms,
    pub today: BusinessDay,
}

/// What an application has come to so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub application_id: ApplicationId,
    pub state: ApplicationState,
}

/// The status of an application, with what is known only in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplicationState {
    Submitted,
    Referred { reason: String },
    WithFunder,
    Approved { line_id: LineId, grade: String, limit: Fen },
    Refused { reason: String },
}

impl ApplicationState {
    pub const fn status(&self) -> ApplicationStatus {
        match self {
            ApplicationState::Submitted => ApplicationStatus::Submitted,
            ApplicationState::Referred { .. } => ApplicationStatus::Referred,
            ApplicationState::WithFunder => ApplicationStatus::WithFunder,
            ApplicationState::Approved { .. } => ApplicationStatus::Approved,
            ApplicationState::Refused { .. } => ApplicationStatus::Refused,
        }
    }
}

impl Application {
    /// Whether the risk partner that signs by this id was asked. To any other the application does not exist.
    pub fn was_asked_of(&self, partner: &str) -> bool {
        self.asked_partner.as_deref() == Some(partner)
    }

    /// Whether a late answer of the hook may be put to [`super::decision::Decision::transition`]: not where
    /// a person was asked for any reason but the hook's silence.
    pub fn allows_late_answer(&self) -> bool {
        match self.status {
            ApplicationStatus::Referred => self.referral.as_deref() == Some(HOOK_SILENT),
            // The transition tells whether the answer is too late.
            ApplicationStatus::Submitted
            | ApplicationStatus::WithFunder
            | ApplicationStatus::Approved
            | ApplicationStatus::Refused => true,
        }
    }

    pub fn state(&self) -> ApplicationState {
        let reason = |reason: &Option<String>| reason.clone().unwrap_or_default();
        match self.status {
            ApplicationStatus::Submitted => ApplicationState::Submitted,
            ApplicationStatus::Referred => ApplicationState::Referred { reason: reason(&self.referral) },
            ApplicationStatus::WithFunder => ApplicationState::WithFunder,
            ApplicationStatus::Refused => ApplicationState::Refused { reason: reason(&self.refusal) },
            ApplicationStatus::Approved => ApplicationState::Approved {
                line_id: self.line_id.unwrap_or(LineId::from_uuid(Uuid::nil())),
                grade: reason(&self.grade),
                limit: self.limit.unwrap_or(Fen::ZERO),
            },
        }
    }
}

/// Why an application is not taken. A refusal by the risk hook is not among them: that is an answer to one that was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyRefusal {
    #[error("there is no such borrower")]
    BorrowerUnknown,
    #[error("there is no such product version")]
    ProductUnknown,
    #[error("this product is not on sale")]
    ProductNotOnSale,
    #[error("the product's terms have changed since they were shown")]
    OfferChanged,
    #[error("the limit asked for is below the least that the product gives")]
    LimitInvalid,
    #[error("an applicant must be at least {AGE_MIN} years old")]
    UnderAge,
    #[error("nobody is older than {AGE_MAX} years: the ID number is another one")]
    OverAge,
    #[error("the agreement {} has not been signed in its present text", agreement.name())]
    AgreementMissing { agreement: Agreement },
    #[error("a bank card must be bound first")]
    CardMissing,
    #[error("an application for this product is under way")]
    ApplicationOpen,
    #[error("there is a line with this funder already, open or owing")]
    LineOpen,
    #[error("the last application was refused: the next one is taken {REAPPLY_AFTER} days after it was made")]
    RefusedLately,
    #[error("this key was used for another application")]
    KeyReused,
    #[error("there is no such application")]
    ApplicationUnknown,
    #[error("this application does not wait for this decision")]
    NotReferred,
    #[error("the product has no price for this grade")]
    GradeUnknown,
    #[error("the limit must lie within the product's bounds, and not above what was asked for")]
    LimitOutOfBounds,
    #[error("an approval needs grade and limit_fen, and a refusal needs a code in lower-case letters")]
    DecisionMalformed,
    #[error("the funder may lower the proposed limit, not raise it")]
    LimitAboveProposal,
    #[error("the funder cannot change the proposed grade")]
    GradeDiffers,
    #[error("the time to answer is over; the product's default applies")]
    DecisionTooLate,
    #[error(
        "a person looks at it no more: it was not refused by automation alone, the time to ask is over, or there is a newer one"
    )]
    ReviewNotOffered,
}

impl ApplyRefusal {
    /// One of each, in the order of their declaration.
    pub const ALL: [ApplyRefusal; 22] = [
        ApplyRefusal::BorrowerUnknown,
        ApplyRefusal::ProductUnknown,
        ApplyRefusal::ProductNotOnSale,
        ApplyRefusal::OfferChanged,
        ApplyRefusal::LimitInvalid,
        ApplyRefusal::UnderAge,
        ApplyRefusal::OverAge,
        ApplyRefusal::AgreementMissing { agreement: Agreement::Credit },
        ApplyRefusal::CardMissing,
        ApplyRefusal::ApplicationOpen,
        ApplyRefusal::LineOpen,
        ApplyRefusal::RefusedLately,
        ApplyRefusal::KeyReused,
        ApplyRefusal::ApplicationUnknown,
        ApplyRefusal::NotReferred,
        ApplyRefusal::GradeUnknown,
        ApplyRefusal::LimitOutOfBounds,
        ApplyRefusal::DecisionMalformed,
        ApplyRefusal::LimitAboveProposal,
        ApplyRefusal::GradeDiffers,
        ApplyRefusal::DecisionTooLate,
        ApplyRefusal::ReviewNotOffered,
    ];
}

impl Refusal for ApplyRefusal {
    fn code(&self) -> &'static str {
        match self {
            ApplyRefusal::BorrowerUnknown => "borrower_unknown",
            ApplyRefusal::ProductUnknown => "product_unknown",
            ApplyRefusal::ProductNotOnSale => "product_not_on_sale",
            ApplyRefusal::OfferChanged => "offer_changed",
            ApplyRefusal::LimitInvalid => "limit_invalid",
            ApplyRefusal::UnderAge => "under_age",
            ApplyRefusal::OverAge => "over_age",
            ApplyRefusal::AgreementMissing { .. } => "agreement_missing",
            ApplyRefusal::CardMissing => "card_missing",
            ApplyRefusal::ApplicationOpen => "application_open",
            ApplyRefusal::LineOpen => "line_open",
            ApplyRefusal::RefusedLately => "refused_lately",
            ApplyRefusal::KeyReused => "idempotency_key_reused",
            ApplyRefusal::ApplicationUnknown => "application_unknown",
            ApplyRefusal::NotReferred => "application_not_referred",
            ApplyRefusal::GradeUnknown => "grade_unknown",
            ApplyRefusal::LimitOutOfBounds => "limit_out_of_bounds",
            ApplyRefusal::DecisionMalformed => "decision_malformed",
            ApplyRefusal::LimitAboveProposal => "limit_above_proposal",
            ApplyRefusal::GradeDiffers => "grade_differs",
            ApplyRefusal::DecisionTooLate => "decision_too_late",
            ApplyRefusal::ReviewNotOffered => "review_not_offered",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_of_the_hook_does_not_move_what_is_before_a_person() {
        assert_eq!(ApplicationStatus::Referred.after(Step::HookApproves), Transition::Illegal);
        assert_eq!(ApplicationStatus::Refused.after(Step::HookApproves), Transition::Illegal);
    }

    #[test]
    fn deciding_the_same_again_changes_nothing() {
        assert_eq!(ApplicationStatus::Approved.after(Step::PersonApproves), Transition::AlreadyApplied);
        assert_eq!(ApplicationStatus::Refused.after(Step::PersonRefuses), Transition::AlreadyApplied);
        assert_eq!(ApplicationStatus::Approved.after(Step::PersonRefuses), Transition::Illegal);
    }

    #[test]
    fn a_person_decides_only_what_was_referred() {
        assert_eq!(ApplicationStatus::Submitted.after(Step::PersonApproves), Transition::Illegal);
        let referred = ApplicationStatus::Referred;
        assert_eq!(referred.after(Step::PersonApproves), Transition::To(ApplicationStatus::Approved));
    }

    #[test]
    fn only_approvals_go_before_a_funder_and_only_it_takes_them_further() {
        use ApplicationStatus::{Approved, Referred, Refused, Submitted, WithFunder};
        assert_eq!(Submitted.after_asking(Step::HookApproves), Transition::To(WithFunder));
        assert_eq!(Referred.after_asking(Step::PersonApproves), Transition::To(WithFunder));
        assert_eq!(Submitted.after_asking(Step::HookRefuses), Transition::To(Refused));
        assert_eq!(Referred.after_asking(Step::FunderApproves), Transition::To(Approved));
        assert_eq!(WithFunder.after_asking(Step::FunderApproves), Transition::To(Approved));
        assert_eq!(WithFunder.after(Step::PersonRefuses), Transition::Illegal);
        assert_eq!(WithFunder.after(Step::HookApproves), Transition::AlreadyApplied);
    }

    #[test]
    fn another_limit_is_another_request() {
        let request = ApplyRequest {
            borrower_id: BorrowerId::from_uuid(Uuid::nil()),
            product_id: ProductId::from_uuid(Uuid::nil()),
            product_version: 1,
            idempotency_key: "k".into(),
            limit_requested: None,
            history: None,
        };
        let zero = ApplyRequest { limit_requested: Some(Fen::ZERO), ..request.clone() };
        assert_ne!(request.fingerprint(), zero.fingerprint());
    }
}
