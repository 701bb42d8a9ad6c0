//! The withholding channel's signing of agreements: it checks that name, ID number, card and mobile belong together (四要素),
//! sends its own code to the mobile, and gives an agreement number for the right code. See README.md for its protocol.

pub mod client;
pub mod wire;

/// The name under which it is configured.
pub const NAME: &str = "card_signing";
