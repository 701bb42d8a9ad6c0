//! Notices to people: what happened that a borrower, merchant, funder or operator should see. Knows no feature: features
//! build a [`Notice`] of a listed kind, and [`raise`] it in the transaction in which the thing happens.

pub mod model;
pub mod store;
pub mod jobs;

pub use model::{Audience, MOBILE_GIVEN_UP, NOT_AT_NIGHT, Notice, Raised, is_night};
pub use model::{SHORT_MESSAGES, SHORT_MESSAGES_TO_MERCHANTS, WECHAT_MESSAGES};
pub use model::{TO_BORROWERS, TO_FUNDERS, TO_MERCHANTS, TO_OPERATORS};
pub use store::raise;
