//! Bills: what one line owes on one due day, and the installments in it. Start with `model` for what an installment owes on a
//! day; `close` cuts the statements, and `own_actions` puts together what a borrower sees.

pub mod model;
pub mod store;
pub mod given_back_store;
pub mod own_store;
pub mod own_actions;
pub mod why;
pub mod h5;
pub mod loan_h5;
pub mod close;
pub mod api_store;
pub mod api;

pub use close::cut_of_line;
pub use given_back_store::{BilledParts, add_given_back, load_billed_parts, load_recovered};
pub use loan_h5::find_story;
pub use model::{BilledInstallment, Parts, Payment};
pub use own_actions::{LoanStory, all_installments, owed_by_line};
pub use own_store::{
    Coming, OwnPending, earlier_versions, find_coming, find_paid, list_lines, list_outstanding, list_pending,
    list_schedules,
};
pub use store::{
    delete_payoff_line, enter_schedules, has_payoff_line, insert_payoff_line, last_period_billed,
    load_billed_installments, load_due_installments, load_open_installments, mark_bills_paid, reopen_bills,
    save_installments,
};
