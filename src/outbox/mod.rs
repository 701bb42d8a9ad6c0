//! Messages to partners' own systems: written in the transaction of what they tell, delivered at least once and in
//! order per object.

pub mod model;
pub mod store;
pub mod carrier;
pub mod jobs;

pub use model::Message;
