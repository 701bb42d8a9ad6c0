//! Lateness: penalty, buckets, and what the close does to lines and loans that stay unpaid. Start with `stage` for what happens
//! when, and `penalty` for what it costs; `close` carries the stages out.

pub mod penalty;
pub mod bucket;
pub mod stage;
pub mod told;
pub mod charge_off;
pub mod store;
pub mod charge_off_store;
pub mod actions;
mod charge_off_actions;
pub mod close;

pub use actions::tell_passed;
pub use bucket::by_bucket;
pub use penalty::{OverdueSpan, PenaltyRule};
pub use stage::Stage;
