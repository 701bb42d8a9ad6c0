//! Merchants: their acceptance (入网), the fee they agreed to pay, their staff, and the codes that borrowers scan.
//!
//! Start with `model` (the statuses and the decisions that change them) and `actions` (an account's life, from application to
//! close). Beside these stand smaller subjects, each with its rules, store, actions and pages: `agreement` (the fee), `code`
//! and `order` (what borrowers scan; `desk_actions` opens the orders of merchants' own systems), `staff`, `join` (applying on
//! the pages), and `notification` (payments told to merchants' own systems).

pub mod model;
pub mod agreement;
pub mod code;
pub mod staff;
pub mod join;
pub mod order;
pub mod emvco;
pub mod picture;
pub mod poster;
pub mod notices;
pub mod store;
pub mod agreement_store;
pub mod code_store;
pub mod staff_store;
pub mod join_store;
pub mod order_store;
pub mod notification;
pub mod notify_store;
pub mod actions;
pub mod agreement_actions;
pub mod code_actions;
pub mod staff_actions;
pub mod join_actions;
pub mod desk_actions;
pub mod order_actions;
pub mod notify_actions;
pub mod api;
pub mod notify_api;
pub mod h5;
pub mod sign_in_h5;
pub mod poster_h5;
pub mod message_h5;
pub mod join_h5;
pub mod staff_h5;
pub mod order_h5;

pub use actions::{AccountStep, change_settlement_account, decide, onboard, set_other_link};
pub use agreement::{Agreement, AgreementStep};
pub use agreement_actions::change_agreement;
pub use code::{Code, CodeKind, CodeRefusal, CodeStatus, Order};
pub use code_actions::{close_code, open_static_code};
pub use code_store::{Shops, find_code, load_presented, lock_code_of_purchase, lock_codes, mark_voided};
pub use desk_actions::OrderDesk;
pub use h5::MerchantSignedIn;
pub use model::{Category, Decision, MerchantDay, MerchantRefusal, MerchantStatus};
pub use notification::Payment;
pub use staff::{Right, Role};
pub use store::{MerchantEvent, MerchantTerms, find_other_link, insert_event, load_merchants, lock_status};
