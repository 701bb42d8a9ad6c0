//! Types that every part of Fenqi uses, without I/O. Start with `money`, `day` and `id`; the rest is read when it is met.

pub mod money;
pub mod rate;
pub mod day;
pub mod calendar;
pub mod clock;
pub mod id;
pub mod person;
pub mod range;
pub mod hex;
pub mod code;
mod count;
pub mod syntax;
pub mod wanted;
mod worded;
pub mod typed;

pub use calendar::{DayOff, DaysOff, WorkingCalendar};
pub use clock::Clock;
pub use count::counted;
pub use day::{BusinessDay, When};
pub use money::Fen;
pub use person::{CardNumber, CreditCode, Mobile, ResidentId};
pub use range::AccountRange;
pub use rate::Rate;
pub use wanted::Wanted;
pub(crate) use worded::words;
