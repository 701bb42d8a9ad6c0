//! What a risk hook answers, and how a product's bounds hold it.

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

impl Verdict {
    /// The verdict within what the product allows: no limit above its bound, none below it, no grade that it has no price for.
    pub fn within(self, terms: &Terms) -> Verdict {
        match self {
            Verdict::Approve { grade, score, .. } if !terms.purchase.grades.contains(&grade) => {
                Verdict::Refuse { reason: "grade_not_offered".into(), score }
            }
            Verdict::Approve { limit, score, .. } if limit < terms.line.limit_min_fen => {
                Verdict::Refuse { reason: "limit_below_minimum".into(), score }
            }
            Verdict::Approve { grade, limit, score } => {
                Verdict::Approve { grade, limit: limit.min(terms.line.limit_max_fen), score }
            }
            Verdict::Refuse { .. } | Verdict::Refer { .. } => self,
        }
    }
}
