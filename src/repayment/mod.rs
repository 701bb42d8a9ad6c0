//! Repayment: money from borrowers, by withholding, by button, by transfer, and how it is allocated.

pub mod withholding;
pub mod attempt;
pub mod allocation;
pub mod account;
pub mod back_dated;
pub mod unpaid;
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
pub mod reversal_actions;
pub mod transfer_actions;
pub mod receipt_actions;
pub mod result_actions;
pub mod actions;
pub mod due_actions;
pub mod outlook_actions;
pub mod own_store;
pub mod button_actions;
pub mod h5;
pub mod callback_actions;
pub mod jobs;
pub mod close;
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
pub use transfer_actions::{confirm_taking_back, propose_taking_back};
pub use withholding::Withholding;
