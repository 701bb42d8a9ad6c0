//! A funder's daily files: what a closed business day did to its lines, loans, reserve and book, with a signed manifest.

pub mod model;
pub mod row;
pub mod writer;
pub mod made;
pub mod manifest;
mod row_store;
pub mod store;
pub mod actions;
pub mod close;
pub mod jobs;
pub mod api;

pub use made::DayKey;
pub use model::{FileName, Form, Rules, Table};
