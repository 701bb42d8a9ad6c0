//! Purchases: a borrower scans a merchant's code and pays in installments; the purchase may be voided or refunded later.
//!
//! Start with `model` for what is asked and answered, and `decision` for how it is decided. A purchase comes from the pages
//! (`pay_h5`, `counter_actions`) to the `authoriser`, which collects batches; `batch_actions` reads, decides and writes each.
//! `actions` voids and refunds. Receipts are what a merchant's counter sees live, sales what the merchant looks up later.

pub mod model;
pub mod weighing;
pub mod decision;
pub mod posting;
pub mod notices;
pub mod refund;
pub mod offer;
pub mod sale;
pub mod receipt;
pub mod store;
pub mod own_store;
pub mod sale_store;
pub mod receipt_store;
pub mod risk_store;
pub mod risk_actions;
pub mod trading_store;
mod batch_actions;
mod batch_store;
pub mod authoriser;
mod after_sale_actions;
pub mod actions;
pub mod api_store;
pub mod api;
pub mod risk_api;
pub mod counter_actions;
pub mod sale_actions;
pub mod receipt_actions;
pub mod live_receipts;
pub mod scan_h5;
pub mod elsewhere_h5;
pub mod closed_h5;
pub mod result_h5;
pub mod pay_h5;
mod plans_h5;
pub mod sale_h5;
pub mod receipt_h5;
pub mod refund_h5;

pub use authoriser::Authoriser;
pub use live_receipts::LiveReceipts;
pub use model::{Decision, PurchaseRefusal, PurchaseRequest, Receipt};
pub use receipt_actions::sum_takings_today;
