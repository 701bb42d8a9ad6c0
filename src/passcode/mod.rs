//! Passcodes: six digits sent by SMS that prove that somebody holds a mobile now.
//!
//! Start with `model` (how long a code is good, how many may be asked for) and `actions` (send, check, count). The same
//! counters ([`Window`]) limit other things that somebody could try too often: [`full_until`] counts one try against a
//! window, [`count_unless_full`] one against several, and [`take_back`] takes one off again.

pub mod model;
pub mod store;
pub mod actions;
pub mod h5;

pub use actions::{check, count_unless_full, full_until, is_awaited, send, sweep, take_back};
pub use h5::{SignInStep, is_proved, is_stranger_proved, send_if_asked, sign_in_step};
pub use model::{Asking, PasscodeRefusal, Purpose, Window};
