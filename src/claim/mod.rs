//! Claims on guarantors (代偿): what one is asked for of a late loan, and that it has paid the funder.

pub mod model;
pub mod posting;
pub mod store;
pub mod actions;
pub mod api_store;
pub mod api;

pub use actions::{ask, pay, take_back, withdraw};
pub use model::{Claim, ClaimRefusal, ClaimStatus, Paying, TakingBack};
pub use store::{Listed, list_claims};
