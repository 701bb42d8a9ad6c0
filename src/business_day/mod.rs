//! The current business day: one stored value that only the daily close advances. Whoever decides or books takes it by
//! `store::hold_today`, so that the day cannot end in between; whoever only reads takes it by `store::today`.

pub mod store;
