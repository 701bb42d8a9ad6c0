//! The funder's own core system, which is told everything; see README.md for its protocol.

pub mod client;
pub mod wire;

/// The name under which it is configured and under which messages to it are written.
pub const NAME: &str = "funder_core";
