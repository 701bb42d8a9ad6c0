//! Lateness: penalty, buckets, and what the close does to lines that stay unpaid.

pub mod penalty;
pub mod bucket;

pub use bucket::Bucket;
pub use penalty::{OverdueSpan, PenaltyRule};
