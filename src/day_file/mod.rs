//! A funder's daily files: what a closed business day changed on its lines, loans, reserve and book, with a signed manifest. Start with
//! `model` (which files there are) and `actions` (how they are made); `row` has the columns, and `manifest` the sums that must agree.

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
