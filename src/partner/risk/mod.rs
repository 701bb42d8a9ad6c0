//! The risk partner, which is told the facts of applications and purchases and answers with decisions; see README.md for its
//! protocol.

pub mod client;
pub mod purchase_wire;
pub mod wire;

/// The name under which it is configured.
pub const NAME: &str = "risk";

pub use wire::{APPLICATIONS_MAX, is_reason};
