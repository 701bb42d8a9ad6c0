//! The pure words that every part of Fenqi speaks: money, rates, days, ids, time and person numbers.

pub mod money;
pub mod rate;
pub mod day;
pub mod clock;
pub mod id;
pub mod range;

pub use clock::Clock;
pub use day::BusinessDay;
pub use money::Fen;
pub use range::AccountRange;
pub use rate::Rate;
