//! Loans: the debts that purchases create, and their schedules.

pub mod schedule;

pub use schedule::{Installment, Schedule};
