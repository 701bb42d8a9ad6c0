//! Messages to partners' own systems: written in the transaction of what they tell, delivered at least once and in
//! order per object.

pub mod catalogue;
mod body_shape;
pub mod model;
pub mod horizon;
pub mod template;
mod template_language;
pub mod store;
pub mod template_store;
pub mod event_store;
pub mod control_store;
pub mod kept_store;
pub mod carrier;
pub mod jobs;
mod run;
pub mod actions;
pub mod template_actions;
pub mod api;
pub mod control_api;
pub mod template_api;

pub use model::{DeliverySettings, Message};
