//! Every integration test, in one binary.

mod golden;
mod house;
mod feature;
mod documents;
mod migrations;
mod tables;
mod tidy;
