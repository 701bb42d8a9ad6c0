//! Passcodes: six digits sent by SMS that prove that somebody holds a mobile now.

pub mod model;
pub mod store;
pub mod actions;

pub use actions::{check, fits, send, sweep};
pub use model::{Asking, PasscodeRefusal, Purpose, Window};
