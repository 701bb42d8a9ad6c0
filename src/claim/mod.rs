//! Claims on guarantors (代偿): what a guarantor is asked to pay for an overdue loan, and the record that it has paid the funder. Start
//! with `model`.

pub mod model;
pub mod posting;
pub mod store;
pub mod actions;
pub mod api_store;
pub mod api;

pub use actions::{ask, pay, take_back, withdraw};
pub use model::{Claim, ClaimStatus, Paying, TakingBack};
pub use store::{Listed, list_claims};
