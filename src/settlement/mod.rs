//! Clearing, settlement, payout and remittance: what each merchant and funder is owed for a business day, and its payment, exactly
//! once. Start with `model` (a merchant's settlement), `remittance` (a funder's) and `payout` (the payment through the channel);
//! `close` and `remittance_close` make them at the end of a day, and `jobs` pays them.

pub mod payable;
pub mod model;
pub mod remittance;
pub mod payout;
pub mod paid_back;
pub mod contradiction;
pub mod posting;
pub mod notices;
pub mod story;
pub mod statement;
pub mod outlook;
pub mod day;
pub mod store;
pub mod remittance_store;
pub mod payout_store;
pub mod queue_store;
pub mod contradiction_store;
pub mod story_store;
pub mod day_store;
pub mod payout_actions;
pub mod contradiction_actions;
pub mod outlook_actions;
pub mod day_actions;
pub mod statement_actions;
pub mod close;
pub mod remittance_close;
pub mod jobs;
pub mod api_store;
pub mod api;
pub mod h5;

pub use contradiction::{Ending, Settling};
pub use contradiction_actions::settle_payout;
pub use jobs::{query_payouts, submit_payouts};
pub use outlook::Outlook;
pub use outlook_actions::open_day;
pub use paid_back::PaidBack;
pub use payout::{Cancelling, NewPayout, PayoutFor, PayoutStatus};
pub use payout_actions::{cancel_left_over, retry_payout, take_callback};
pub use payout_store::insert_payouts;
pub use statement_actions::statement;
pub use store::find_settlement;
