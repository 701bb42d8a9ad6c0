//! Whose a session is: the kind of person, the person, and the session as its owner sees it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::base::id::{BorrowerId, StaffId};

/// The kind of person that is signed in; one browser may be signed in as both at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SessionKind {
    Borrower,
    Merchant,
}

/// The person whose sessions are meant: a borrower, or a member of a merchant's staff.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    pub(super) kind: SessionKind,
    pub(super) subject_id: Uuid,
}

impl Subject {
    pub fn borrower(borrower_id: BorrowerId) -> Subject {
        Subject { kind: SessionKind::Borrower, subject_id: borrower_id.uuid() }
    }

    pub fn staff(staff_id: StaffId) -> Subject {
        Subject { kind: SessionKind::Merchant, subject_id: staff_id.uuid() }
    }
}

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct OwnSession {
    pub session_id: Uuid,
    pub device: String,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// Whether it is the session of the browser that asks.
    pub is_this: bool,
}
