//! Reconciliation (对账): compares channels' daily files with our withholding orders, and corrects the differences (breaks). Start with
//! `model` (a break and its corrections), then `actions::take_in` (one file) and `actions::confirm_break` (one correction).

pub mod model;
pub mod posting;
pub mod notices;
pub mod store;
pub mod shared_store;
pub mod posted_store;
pub mod open_store;
pub mod list_store;
pub mod actions;
pub mod jobs;

pub use actions::{BreakRefusal, confirm_break, dismiss_break, propose_correction, take_break, take_in};
pub use jobs::{Reconciled, fetch_channel_files};
pub use model::{Break, BreakStatus, Correction};
pub use store::FileKey;
