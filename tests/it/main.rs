//! Every integration test, in one binary.

mod golden;
mod house;
mod book;
mod feature;
mod journey;
mod scenarios;
mod documents;
mod migrations;
mod tables;
mod tidy;
