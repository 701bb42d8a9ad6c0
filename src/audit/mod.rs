//! The audit trail: what people did by hand, each entry chained to the one before it by its hash.
//!
//! Actions call [`record`] at the end of their transaction. `entry` says what an entry holds and how it is hashed;
//! docs/AUDIT.md says the same to readers of the trail.

pub mod entry;
pub mod store;
pub mod actions;

pub use actions::{find_misfit, is_in_trail, record};
pub use entry::{Act, Action, Entry, Link, Misfit, Person, fingerprint};
pub use store::Search;
