//! Credit: applications, decisions, and the lines that come of them.

pub mod line;
pub mod store;

pub use line::{EntryKind, Freeze, Line, LineEntry, LineStatus};
