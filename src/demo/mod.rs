//! The demo: people and purchases are read from files, get made-up identities, and live through months of a story, which ends with a
//! report. Start with [`story::live`].

pub mod rows;
pub mod clients;
pub mod purchases;
pub mod identity;
pub mod input;
mod applicants;
mod shopping;
mod shops;
mod store;
pub mod story;
pub mod report;
pub mod serving;
