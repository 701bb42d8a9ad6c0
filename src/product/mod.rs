//! The product factory: what is sold, its immutable versions, and their proof before publication. Start with [`terms::Terms`]; `file.rs`
//! parses a product file into it, `proof.rs` proves it, `quote.rs` prices a purchase under it.

pub mod terms;
pub mod reader;
pub mod file;
pub mod rules;
pub mod quote;
pub mod shown;
pub mod inquiry;
mod notes;
pub mod proof;
pub mod catalogue;
pub mod store;
pub mod actions;
pub mod draft;
pub mod draft_store;
pub mod draft_actions;
pub mod api_store;
pub mod api;

pub use actions::{ProductRefusal, PublishedVersion, check, publish, publish_all, withdraw};
pub use catalogue::{Catalogue, ProductVersion};
pub use proof::Proof;
pub use quote::{PriceInquiry, Quote, QuoteRefusal, QuoteRequest, annual_rate, price_range, quote};
pub use reader::Problem;
pub use shown::ShownCharges;
pub use store::{FoundVersion, find_versions};
pub use terms::Terms;
