//! What goes wrong though nobody has asked for anything: partners that are down, clocks that differ, and what ends by its date. Operators
//! are told in time. Knows no feature.

pub mod model;
pub mod store;
pub mod jobs;
mod notices;
