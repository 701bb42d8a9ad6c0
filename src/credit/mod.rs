//! Credit: applications, decisions, and the lines that come of them.

pub mod facts;
pub mod verdict;
pub mod scorecard;
pub mod risk;
pub mod model;
pub mod line;
pub mod change;
pub mod decision;
pub mod word;
pub mod review;
pub mod store;
pub mod application_store;
pub mod own_store;
pub mod actions;
pub mod word_actions;
pub mod review_actions;
pub mod line_actions;
pub mod closing_actions;
pub mod apply_h5;
pub mod review_h5;
pub mod home_h5;
pub mod line_h5;
pub mod account_h5;
pub mod jobs;
pub mod close;
pub mod api_store;
pub mod api;

pub use actions::open_lines;
pub use change::{Change, LineRefusal};
pub use facts::{CardHistory, CardMonth, Facts};
pub use line::{EntryKind, Freeze, Freezes, Line, LineEntry, LineStatus};
pub use model::{ApplicationState, Applied, ApplyRefusal, ApplyRequest};
pub use risk::RiskHook;
pub use store::{LinesToday, find_line, find_lines_today, lock_lines, save_lines};
pub use verdict::{OwnReason, Verdict};
