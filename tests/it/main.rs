//! Every integration test, in one binary.

mod golden;
mod house;
mod feature;
