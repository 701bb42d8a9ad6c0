//! The ledger: double entry, append-only, one posting per business event. Start with `account` for the chart of accounts and
//! `posting` for what is booked; `docs/BOOKS.md` lists the legs of every event.

pub mod account;
pub mod close;
pub mod posting;
pub mod store;

pub use account::Account;
pub use posting::{Leg, Posting};
