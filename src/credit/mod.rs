//! Credit: applications, decisions on them, and the lines that they open. Start with `model` (the application and its states),
//! `decision` (what a verdict does to it) and `line`; `actions` takes an application from the request to the line.

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
pub mod late_actions;
pub mod word_actions;
pub mod review_actions;
pub mod consent_actions;
pub mod line_actions;
pub mod closing_actions;
mod offer_h5;
pub mod apply_h5;
pub mod review_h5;
pub mod consent_h5;
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
pub use store::{LinesToday, find_chargeable, find_line, find_lines_today, lock_lines, save_lines};
pub use verdict::{OwnReason, Verdict};
