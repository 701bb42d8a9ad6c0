//! The verdict of a risk hook on an application, and how a product's terms limit it.

use crate::base::Fen;
use crate::product::Terms;

/// The answer to one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approve {
        grade: String,
        limit: Fen,
        score: Option<i32>,
    },
    Refuse {
        reason: String,
        score: Option<i32>,
    },
    /// A person decides.
    Refer {
        reason: String,
    },
}

/// Why a person is asked where the hook gave no answer.
pub const HOOK_SILENT: &str = "risk_hook_silent";

/// Why a person is asked where the applicant wished so.
pub const BORROWER_ASKED: &str = "borrower_asked";

/// Why the house itself refuses an application that was taken. Risk partners, funders and persons use codes of their own as well;
/// a page shows general words for a code that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnReason {
    /// By the scorecard.
    ScoreTooLow,
    /// The product has no price for the grade that the risk hook gave.
    GradeNotOffered,
    /// The limit that the risk hook gave is below the product's least.
    LimitBelowMinimum,
    /// The borrower got a line with the same funder meanwhile.
    LineOpen,
    /// The funder said nothing until its deadline.
    FunderSilent,
    /// Its borrower took a consent back before it was decided.
    ConsentWithdrawn,
}

impl OwnReason {
    pub const ALL: [OwnReason; 6] = [
        OwnReason::ScoreTooLow,
        OwnReason::GradeNotOffered,
        OwnReason::LimitBelowMinimum,
        OwnReason::LineOpen,
        OwnReason::FunderSilent,
        OwnReason::ConsentWithdrawn,
    ];

    /// Stable, `snake_case`: what the application keeps and the applicant is told by.
    pub const fn code(self) -> &'static str {
        match self {
            OwnReason::ScoreTooLow => "score_too_low",
            OwnReason::GradeNotOffered => "grade_not_offered",
            OwnReason::LimitBelowMinimum => "limit_below_minimum",
            OwnReason::LineOpen => "line_open",
            OwnReason::FunderSilent => "funder_silent",
            OwnReason::ConsentWithdrawn => "consent_withdrawn",
        }
    }
}

impl Verdict {
    /// A refusal by the house itself.
    pub fn refuse(reason: OwnReason, score: Option<i32>) -> Verdict {
        Verdict::Refuse { reason: reason.code().into(), score }
    }

    /// The verdict within what the product allows: no limit above its bound, none below it, no grade that it has no price for. Nor is
    /// anybody given more than was `requested`.
    pub fn within(self, terms: &Terms, requested: Option<Fen>) -> Verdict {
        let limit_max = terms.line.limit_max(requested);
        match self {
            Verdict::Approve { grade, score, .. } if !terms.purchase.grades.contains(&grade) => {
                Verdict::refuse(OwnReason::GradeNotOffered, score)
            }
            Verdict::Approve { limit, score, .. } if limit.min(limit_max) < terms.line.limit_min_fen => {
                Verdict::refuse(OwnReason::LimitBelowMinimum, score)
            }
            Verdict::Approve { grade, limit, score } => Verdict::Approve { grade, limit: limit.min(limit_max), score },
            Verdict::Refuse { .. } | Verdict::Refer { .. } => self,
        }
    }
}
