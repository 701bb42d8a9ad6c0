//! Drafts: versions that a funder's system submits and a second person of the funder approves.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::ProductRefusal;
use crate::access::is_same_holder;
use crate::base::id::{FunderId, ProductDraftId};
use crate::error::Refusal;

/// `submitted`: waits for the approval of a second holder. `approved`: can be published. `published`: became a version of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DraftStatus {
    Submitted,
    Approved,
    Published,
}

/// A draft of a product version in its current state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Draft {
    pub draft_id: ProductDraftId,
    #[serde(skip)]
    pub funder_id: FunderId,
    /// The product's code, as in the product file.
    #[schema(example = "harbour-standard")]
    pub code: String,
    /// The whole product file.
    #[schema(example = "code = \"harbour-standard\"\n…")]
    pub terms_text: String,
    /// Number of the edit, from 1; one higher after each edit. The `ETag` is made of it.
    #[schema(example = 1)]
    pub edit_no: i32,
    pub status: DraftStatus,
    /// Holder of the key that submitted this edit.
    #[schema(example = "Chen Wei")]
    pub submitted_by: String,
    pub submitted_at: DateTime<Utc>,
    /// Holder of the key that approved it; null until it is approved.
    #[schema(example = "Li Na")]
    pub approved_by: Option<String>,
    /// When it was approved; null until then.
    pub approved_at: Option<DateTime<Utc>>,
    /// Number of the product version that it became; null until it is published.
    #[schema(example = 2)]
    pub published_version: Option<i32>,
}

/// Why a draft is not submitted, edited, approved or published.
#[derive(Debug, thiserror::Error)]
pub enum DraftRefusal {
    #[error("there is no such draft")]
    UnknownDraft,
    #[error("the product file names another funder than you: {0:?}")]
    OfAnotherFunder(String),
    #[error("the draft was approved; submit another one")]
    ApprovedBefore,
    #[error("the draft was not approved by a second key yet")]
    NotApproved,
    #[error("a draft must be approved by another person than the one who submitted it")]
    SameHolder,
    #[error("the draft was edited since it was read")]
    EditedSince,
    #[error(transparent)]
    Product(#[from] ProductRefusal),
}

impl Refusal for DraftRefusal {
    fn code(&self) -> &'static str {
        match self {
            DraftRefusal::UnknownDraft => "not_found",
            DraftRefusal::OfAnotherFunder(_) => "product_of_other_funder",
            DraftRefusal::ApprovedBefore => "draft_approved_before",
            DraftRefusal::NotApproved => "draft_not_approved",
            DraftRefusal::SameHolder => "same_holder",
            DraftRefusal::EditedSince => "precondition_failed",
            DraftRefusal::Product(refusal) => refusal.code(),
        }
    }
}

impl Draft {
    /// Whether the draft's newest edit is this text by this person, made on the edit `edit_no`: then a repeated request has been done
    /// before.
    pub fn has_taken(&self, edit_no: i32, text: &str, by: &str) -> bool {
        self.edit_no - 1 == edit_no && self.terms_text == text && self.submitted_by == by
    }

    /// Whether it may be edited.
    pub fn check_editable(&self) -> Result<(), DraftRefusal> {
        match self.status {
            DraftStatus::Submitted => Ok(()),
            DraftStatus::Approved | DraftStatus::Published => Err(DraftRefusal::ApprovedBefore),
        }
    }

    /// Whether `by`, who has read the edit `edit_no`, may approve it. A draft that was approved before passes.
    pub fn check_approval(&self, by: &str, edit_no: i32) -> Result<(), DraftRefusal> {
        if is_same_holder(&self.submitted_by, by) {
            return Err(DraftRefusal::SameHolder);
        }
        if self.edit_no == edit_no { Ok(()) } else { Err(DraftRefusal::EditedSince) }
    }
}
