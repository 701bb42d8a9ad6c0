//! Funders, and what they have prefunded.

pub mod reserve;
pub mod posting;
pub mod store;
pub mod actions;

pub use actions::{deposit, open_funder, set_reserve_terms, withdraw};
pub use reserve::{Reserve, ReserveEntry, ReserveEntryKind, ReserveRefusal};
pub use store::{lock_reserve, save_reserve};
