//! What a risk decision may stand on: age, the limit asked for, and the behaviour of the applicant's present card.

use serde::{Deserialize, Serialize};

use crate::base::Fen;

/// The facts of one application, stored with it as they were. Sex, marriage and education are not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Completed years on the day of the application.
    pub age: u32,
    /// The line asked for; `None` leaves it to the decision.
    pub limit_requested_fen: Option<Fen>,
    /// As a credit bureau reports it; `None` for a person without one.
    pub history: Option<CardHistory>,
}

/// Six months of the card that the applicant already has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardHistory {
    pub limit_fen: Fen,
    /// Newest first.
    pub months: [CardMonth; 6],
}

/// One month of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardMonth {
    /// −2 not used, −1 paid in full, 0 revolving, from 1 on the number of months that it is late.
    pub repay_status: i8,
    /// What the month's bill asked for; negative where the bank owes the holder.
    pub bill_fen: Fen,
    /// What was paid in the month, towards the bill of the month before.
    pub paid_fen: Fen,
}
