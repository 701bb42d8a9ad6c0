//! Watches for what goes wrong though no request fails: partners that are down, clocks that differ, keys and calendars that
//! end soon, work that is stuck. Operators are told in time. Knows no feature.
//!
//! Start with `jobs::watch`, which each working node runs every few minutes; `model` has the thresholds.

pub mod model;
pub mod store;
pub mod jobs;
mod notices;
