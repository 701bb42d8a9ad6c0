//! A merchant's own cashier system, which is told of payments and refunds at the address that it gave; see README.md for its
//! protocol.

pub mod address;
pub mod client;
pub mod wire;

pub use address::{NotifyUrl, UrlRefusal};
pub use client::{Cashiers, Recipient};

/// The name of the one in the counterfeit world.
pub const NAME: &str = "merchant_cashier";
