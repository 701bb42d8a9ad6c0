//! What goes wrong though nobody has asked for anything: partners that are down, clocks that differ, what ends by its date, what lies
//! there until somebody looks. Operators are told in time. Knows no feature.

pub mod model;
pub mod store;
pub mod jobs;
mod notices;
