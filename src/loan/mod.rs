//! Loans: the debts that purchases create, and their schedules. Start with `model` and `schedule`; `payoff` and `reduction` make
//! the next version of a schedule, and `accrual` earns its interest day by day.

pub mod accrual;
mod apportionment;
pub mod close;
pub mod model;
pub mod payoff;
pub mod recourse;
pub mod reduction;
pub mod rescaling;
pub mod schedule;
pub mod level_payment;
pub mod price;
pub mod explain;
pub mod words;
pub mod store;
pub mod recourse_store;
pub mod api_store;
pub mod api;

pub use model::{Loan, LoanStatus};
pub use price::Price;
pub use recourse::{BookedRecourse, Recourse};
pub use recourse_store::{add_claim_paid, give_up_recourse, insert_recourse, load_came_in, load_recourse};
pub use schedule::{DueDates, Installment, Schedule, ScheduleError, ScheduleRequest};
pub use store::{
    ScheduleReason, ScheduleVersion, current_schedule, ends_in_payoff, first_schedules, has_paid_off, insert_schedule,
    load_loans, lock_loans, save_loans,
};
