//! Merchants: their acceptance (入网), what they agreed to pay, and the codes that borrowers scan.

pub mod model;
pub mod agreement;
pub mod code;
pub mod staff;
pub mod join;
pub mod order;
pub mod emvco;
pub mod picture;
pub mod poster;
pub mod store;
pub mod code_store;
pub mod staff_store;
pub mod join_store;
pub mod order_store;
pub mod actions;
pub mod code_actions;
pub mod staff_actions;
pub mod join_actions;
pub mod order_actions;
pub mod api;
pub mod h5;
pub mod sign_in_h5;
pub mod poster_h5;
pub mod message_h5;
pub mod join_h5;
pub mod staff_h5;
pub mod order_h5;

pub use actions::{change_settlement_account, decide, onboard, set_other_link};
pub use agreement::Agreement;
pub use code::{Code, CodeKind, CodeRefusal, CodeStatus};
pub use code_actions::{close_code, open_order_code, open_static_code};
pub use h5::MerchantSignedIn;
pub use model::{Category, Decision, MerchantRefusal, MerchantStatus};
pub use staff::{Right, Role, Staff};
pub use store::{MerchantTerms, load_merchants};
