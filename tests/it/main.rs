//! Every integration test, in one binary.

mod golden;
mod house;
mod book;
mod town;
mod feature;
mod journey;
mod scenarios;
mod properties;
mod documents;
mod migrations;
mod tables;
mod tidy;
