//! Bills: what one line owes on one due day, and the installments in it.

pub mod model;
pub mod store;
pub mod close;
pub mod api_store;
pub mod api;

pub use model::{BilledInstallment, Parts};
