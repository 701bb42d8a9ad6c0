//! Schedules: which amounts fall due when. Pure arithmetic on whole fen.

use crate::base::{BusinessDay, Fen, Rate};
use crate::product::terms::{DayCount, Level, Method};

/// A full schedule: period k stands at index k − 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub installments: Vec<Installment>,
}

/// One row of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installment {
    pub due_on: BusinessDay,
    pub principal: Fen,
    /// What the borrower pays as interest, the merchant's subsidy already taken off.
    pub interest: Fen,
    /// The flat fee per period, shown to the borrower as interest.
    pub fee: Fen,
}

/// What a schedule is computed from.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleRequest {
    pub method: Method,
    pub day_count: DayCount,
    pub level: Level,
    pub principal: Fen,
    pub periods: u16,
    /// A year, as a fraction; ignored by `flat_fee` and `interest_free`.
    pub annual_rate: Rate,
    /// Of the principal, per period; used by `flat_fee` alone and added to any other method when not zero.
    pub fee_rate_per_period: Rate,
    pub start_on: BusinessDay,
    /// Period 1 falls due here and period k so many months later, clamped; without it, k months after the start.
    pub first_due_on: Option<BusinessDay>,
}

impl Installment {
    pub fn total(&self) -> Fen {
        self.principal + self.interest + self.fee
    }
}

impl Schedule {
    pub fn principal(&self) -> Fen {
        self.installments.iter().map(|row| row.principal).sum()
    }

    pub fn total(&self) -> Fen {
        self.installments.iter().map(Installment::total).sum()
    }
}
