//! The current business day: one stored value that only the daily close advances.

pub mod store;
