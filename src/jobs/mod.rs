//! Background jobs, queued in PostgreSQL: what must happen after a commit, or at a certain time, is enqueued and done at least once.
//!
//! Start with [`model::JobKind`], the list of all kinds. `dispatch.rs` says what each kind does, `worker.rs` runs the queue; the times are
//! in `src/timetable.rs`.

pub mod model;
pub mod store;
pub mod dispatch;
pub mod worker;

pub use model::{JobKind, NewJob};
