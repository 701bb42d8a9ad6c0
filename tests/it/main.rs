//! Every integration test, in one binary.

mod golden;
mod house;
mod feature;
mod migrations;
mod tables;
mod tidy;
