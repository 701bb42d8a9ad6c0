//! What a notice is and whom it is for.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::base::BusinessDay;
use crate::base::id::{BorrowerId, MerchantId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Audience {
    Borrower,
    Merchant,
    Funder,
    Operator,
}

impl Audience {
    /// Whether the same thing is told only once a business day, because jobs look at it again and again.
    pub fn is_told_once(self) -> bool {
        match self {
            Audience::Funder | Audience::Operator => true,
            Audience::Borrower | Audience::Merchant => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Audience::Borrower => "borrower",
            Audience::Merchant => "merchant",
            Audience::Funder => "funder",
            Audience::Operator => "operator",
        }
    }
}

/// What a borrower is also told by SMS; a template of the same name is registered with the SMS partner.
pub const SHORT_MESSAGES: [&str; 8] = [
    "application_approved",
    "application_refused",
    "application_under_review",
    "bill_issued",
    "due_soon",
    "withholding_failed",
    "card_invalid",
    "overdue",
];

/// One thing to tell. A funder or operator is told the same thing once a business day, however often it is raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub audience: Audience,
    /// The borrower, merchant or funder; `None` for the operators.
    pub recipient_id: Option<Uuid>,
    /// Such as `bill_issued`; pages word it.
    pub kind: &'static str,
    /// What the wording needs: amounts in fen, days, ids; no personal data.
    pub body: Value,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

impl Notice {
    pub fn to_borrower(
        borrower_id: BorrowerId,
        kind: &'static str,
        body: Value,
        business_day: BusinessDay,
        created_at: DateTime<Utc>,
    ) -> Notice {
        let recipient_id = Some(borrower_id.uuid());
        Notice { audience: Audience::Borrower, recipient_id, kind, body, business_day, created_at }
    }

    pub fn to_merchant(
        merchant_id: MerchantId,
        kind: &'static str,
        body: Value,
        business_day: BusinessDay,
        created_at: DateTime<Utc>,
    ) -> Notice {
        let recipient_id = Some(merchant_id.uuid());
        Notice { audience: Audience::Merchant, recipient_id, kind, body, business_day, created_at }
    }
}

/// A notice as it stands in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// Ascending; the cursor of a list.
    pub notice_no: i64,
    pub kind: String,
    pub body: Value,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
    /// `None` while it is unread.
    pub read_at: Option<DateTime<Utc>>,
}
