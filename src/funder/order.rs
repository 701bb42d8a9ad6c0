//! Orders of a funder's system about its reserve: deposits that it has sent, and withdrawals that it asks for.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::reserve::ReserveRefusal;
use crate::access::is_same_holder;
use crate::base::Fen;
use crate::base::id::{FunderId, ReserveOrderId};
use crate::error::Refusal;

/// Whether money is paid into the reserve or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ReserveOrderKind {
    Deposit,
    Withdrawal,
}

/// `noted`: a deposit waits for its money to arrive, a withdrawal for its confirmation by a second holder. `booked`: entered in the reserve's
/// journal. `refused`: refused by the platform's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ReserveOrderStatus {
    /// Waits for the money's arrival, or for the second holder.
    Noted,
    Booked,
    Refused,
}

/// A deposit that was announced, or a withdrawal that was requested, in its current state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReserveOrder {
    pub order_id: ReserveOrderId,
    #[serde(skip)]
    pub funder_id: FunderId,
    pub kind: ReserveOrderKind,
    /// Amount, in fen.
    pub amount_fen: Fen,
    /// The bank's reference of the payment.
    #[schema(example = "ICBC-20260302-7781")]
    pub reference: String,
    pub status: ReserveOrderStatus,
    /// Holder of the key that signed the request.
    #[schema(example = "Chen Wei")]
    pub noted_by: String,
    pub noted_at: DateTime<Utc>,
    /// The key of that notice, after the system that sent it; none of an order from before it was kept.
    #[serde(skip)]
    pub noted_key: Option<String>,
    /// Who confirmed or refused it; null while it is `noted`.
    pub decided_by: Option<String>,
    /// Why it was refused; null unless it is `refused`.
    pub reason: Option<String>,
    /// When it was confirmed or refused; null while it is `noted`.
    pub decided_at: Option<DateTime<Utc>>,
    /// How many times it was refused and reopened by a new notice.
    #[schema(example = 0)]
    pub refused_before: i64,
}

/// Why an order is not noted or confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    #[error("there is no such order")]
    UnknownOrder,
    #[error("the bank reference {0} was noted before with another amount")]
    ReferenceTaken(String),
    #[error("the order was refused")]
    OrderRefused,
    #[error("the order was booked")]
    OrderBooked,
    #[error("a withdrawal must be confirmed by another person than the one who requested it")]
    SameHolder,
    #[error("a name is needed")]
    NameMissing,
    #[error("a name and a reason are needed")]
    ReasonMissing,
    #[error(transparent)]
    Reserve(#[from] ReserveRefusal),
}

impl Refusal for OrderRefusal {
    fn code(&self) -> &'static str {
        match self {
            OrderRefusal::UnknownOrder => "unknown_reserve_order",
            OrderRefusal::ReferenceTaken(_) => "reference_booked_with_other_amount",
            OrderRefusal::OrderRefused => "reserve_order_refused",
            OrderRefusal::OrderBooked => "reserve_order_booked",
            OrderRefusal::SameHolder => "same_holder",
            OrderRefusal::NameMissing | OrderRefusal::ReasonMissing => "reason_missing",
            OrderRefusal::Reserve(refusal) => refusal.code(),
        }
    }
}

impl ReserveOrder {
    /// Whether noting it again under the idempotency key `key` opens it again. A refused deposit is opened: if it was refused by
    /// mistake or too early, there is no other way to book it. A refused withdrawal is not: no money moved, and it is asked for
    /// anew. The same key is a mere repetition of the request that was refused.
    pub fn is_opened_again(&self, key: &str) -> bool {
        match (self.kind, self.status) {
            (ReserveOrderKind::Deposit, ReserveOrderStatus::Refused) => self.noted_key.as_deref() != Some(key),
            (ReserveOrderKind::Withdrawal, ReserveOrderStatus::Refused)
            | (_, ReserveOrderStatus::Noted | ReserveOrderStatus::Booked) => false,
        }
    }

    /// Whether `key` replaces the key that is kept, because the order was noted once more while it waits. If it is refused
    /// afterwards, a repetition of this request then does not open it again.
    pub fn is_noted_anew(&self, key: &str) -> bool {
        match self.status {
            ReserveOrderStatus::Noted => self.noted_key.as_deref() != Some(key),
            ReserveOrderStatus::Booked | ReserveOrderStatus::Refused => false,
        }
    }

    /// Whether `by` may confirm it now: a deposit may be confirmed by anyone here, a withdrawal by a second holder.
    ///
    /// # Errors
    /// Why not. A booked one may be confirmed again, which changes nothing.
    pub fn check_confirmation(&self, by: &str) -> Result<(), OrderRefusal> {
        match self.status {
            ReserveOrderStatus::Refused => Err(OrderRefusal::OrderRefused),
            ReserveOrderStatus::Noted | ReserveOrderStatus::Booked
                if self.kind == ReserveOrderKind::Withdrawal && is_same_holder(&self.noted_by, by) =>
            {
                Err(OrderRefusal::SameHolder)
            }
            ReserveOrderStatus::Noted | ReserveOrderStatus::Booked => Ok(()),
        }
    }
}
