//! The borrower: a person with an account, the agreements signed, and the bank cards that may be charged.
//!
//! Start with `model` (one person is one account) and `actions` (registering, signing, erasing). Beside these stand smaller
//! subjects, each with its rules, store, actions and pages: `card` (binding a card with the bank's code), `pin`, `mobile`
//! (changing the mobile), `openid` (the WeChat identity), `subscription` (messages in WeChat), and `export` (everything kept
//! about a person).

pub mod agreement;
pub mod model;
pub mod card;
pub mod pin;
pub mod message;
pub mod store;
pub mod card_store;
pub mod pin_store;
pub mod openid_store;
pub mod mobile_store;
pub mod subscription_store;
pub mod actions;
pub mod card_actions;
pub mod pin_actions;
pub mod openid_actions;
pub mod mobile_actions;
pub mod subscription_actions;
pub mod export_store;
pub mod export_actions;
pub mod sign_in_h5;
pub mod card_h5;
pub mod pin_h5;
pub mod mobile_h5;
pub mod me_h5;
pub mod message_h5;

pub use actions::{
    Consents, Signature, erase, identify, owes, presently_signed, profile, sign, signed_text_at, taken_back, withdraw,
};
pub use agreement::Agreement;
pub use card::{Card, CardRefusal};
pub use card_actions::{awaiting_code, card_to_charge, cards, forget_signings, has_bound_card};
pub use card_h5::{CardPage, CodePage};
pub use card_store::lock_cards_of;
pub use me_h5::find_signed;
pub use model::{BorrowerRefusal, PersonName, Registration};
pub use openid_actions::{Identified, sign_in_identified};
pub use pin::PinRefusal;
pub use pin_actions::{NewPin, Replaced, check_former, check_pin, has_pin, keep_visit, set_pin};
pub use pin_h5::{is_confirmed as is_pin_confirmed, refuse_pin};
pub use sign_in_h5::BY_MOBILE;
pub use store::{InTransit, is_erased, sum_in_transit};
