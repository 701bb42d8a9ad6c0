//! The demo: people and purchases read from files, with identities made up for them, the story that they live, and its report.

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
