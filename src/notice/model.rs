//! What a notice is and whom it is for.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::base::BusinessDay;

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Audience {
    Borrower,
    Merchant,
    Funder,
    Operator,
}

impl Audience {
    pub fn as_str(self) -> &'static str {
        match self {
            Audience::Borrower => "borrower",
            Audience::Merchant => "merchant",
            Audience::Funder => "funder",
            Audience::Operator => "operator",
        }
    }
}

/// One thing to tell. The same thing is told one recipient once a business day, however often it is raised.
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

/// A notice as it stands in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// Ascending; the cursor of a list.
    pub notice_no: i64,
    pub kind: String,
    pub body: Value,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}
