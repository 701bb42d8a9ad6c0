//! The ledger: double entry, append-only, one posting per business event.

pub mod account;
pub mod close;
pub mod posting;
pub mod store;

pub use account::Account;
pub use posting::{Leg, Posting};
