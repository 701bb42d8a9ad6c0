//! Messages to partners' own systems, to mobiles and to WeChat: written in the transaction of what they tell (transactional
//! outbox), and delivered at least once and in order per object.
//!
//! Start with `model` (what a message is, retries, batch sizes). A feature calls [`store::enqueue`]. `jobs` decides whose
//! turn it is, `run` delivers to one partner, and `carrier` knows how each kind of partner is called. `horizon` lets readers
//! wait for messages whose transactions are still open, `catalogue` lists the kinds of events, `completion` adds what their rows
//! leave out, `template` maps them to a funder's own form, and `actions` is what people do: pause, resume, replay, discard.

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
pub mod completion;
pub mod carrier;
pub mod jobs;
mod run;
pub mod actions;
pub mod template_actions;
pub mod api;
pub mod control_api;
pub mod template_api;

pub use model::{DeliverySettings, Message};
