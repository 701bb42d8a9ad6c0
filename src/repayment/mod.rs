//! Repayment: money from borrowers, by withholding (scheduled or by the borrower's button) or by bank transfer, and how it is
//! allocated. Start with `withholding` (an order and its states) and `account` (what money does to a line); `jobs` sends the orders,
//! and `result_actions` books what the channels answer.

pub mod withholding;
pub mod attempt;
pub mod allocation;
pub mod account;
pub mod message;
pub mod unpaid;
pub mod back_dated;
pub mod payoff;
pub mod reversal;
pub mod transfer;
pub mod posting;
pub mod notices;
pub mod store;
pub mod card_store;
pub mod transfer_store;
pub mod reversal_store;
pub mod queue_store;
pub mod own_store;
pub mod due_actions;
pub mod receipt_actions;
pub mod result_actions;
pub mod callback_actions;
pub mod actions;
pub mod button_actions;
pub mod reversal_actions;
pub mod transfer_actions;
pub mod outlook_actions;
pub mod jobs;
pub mod close;
pub mod h5;
pub mod api_store;
pub mod api;

pub use actions::{
    PayoffOrder, RepayRefusal, RepayRequest, Transfer, early_payoff, give_back_from_file, payoff_quote,
    receive_from_file, record_transfer, repay,
};
pub use callback_actions::{CallbackRefusal, hear};
pub use outlook_actions::{Outlook, outlook};
pub use result_actions::{ChannelResult, Posted, post_confirmed, post_results};
pub use reversal::ReversalRefusal;
pub use reversal_actions::take_back;
pub use store::{find_pending, load_withholdings};
pub use transfer::{Proposal, TakeBackRefusal};
pub use transfer_actions::{confirm_taking_back, keep_transfer, propose_taking_back};
pub use withholding::Withholding;
