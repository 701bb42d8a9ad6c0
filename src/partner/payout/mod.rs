//! The payout channel, which pays merchants, funders and borrowers' cards; see README.md for its protocol.

pub mod client;
pub mod wire;

/// The name under which it is configured.
pub const NAME: &str = "payout";
