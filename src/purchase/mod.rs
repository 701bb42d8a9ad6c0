//! Purchases: a borrower scans a merchant's code and pays in installments; voided or refunded later.

pub mod model;
pub mod decision;
pub mod posting;
pub mod notices;
pub mod refund;
pub mod store;
pub mod authoriser;
pub mod actions;
pub mod api_store;
pub mod api;

pub use authoriser::Authoriser;
pub use model::{Decision, PurchaseRefusal, PurchaseRequest, Receipt};
