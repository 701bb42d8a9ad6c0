//! Whose a session is: as what somebody signs in, who that is, and the session as its owner sees it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::base::id::{BorrowerId, StaffId};

/// What somebody is signed in as; one browser may be signed in as both at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SessionKind {
    Borrower,
    Merchant,
}

/// Whose sessions are meant: the borrower or the person of a merchant's staff who is signed in.
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
    /// It is the one that looks.
    pub is_this: bool,
}
