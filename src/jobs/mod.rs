//! The jobs engine on PostgreSQL: what must happen after a commit, or at a time, is enqueued and done at least once.

pub mod model;
pub mod store;
pub mod dispatch;
pub mod worker;

pub use model::{JobKind, NewJob};
