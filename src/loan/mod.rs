//! Loans: the debts that purchases create, and their schedules.

pub mod accrual;
pub mod close;
pub mod model;
pub mod reduction;
pub mod schedule;
pub mod store;

pub use model::{Loan, LoanStatus};
pub use schedule::{Installment, Schedule};
