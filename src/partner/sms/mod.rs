//! The SMS partner, which sends short messages by template; see README.md for its protocol.

pub mod client;
pub mod wire;

/// The name under which it is configured.
pub const NAME: &str = "sms";
