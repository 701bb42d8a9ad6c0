//! Bills: what one line owes on one due day, and the installments in it.

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

pub use model::{BilledInstallment, Parts, ReopenedBill};
