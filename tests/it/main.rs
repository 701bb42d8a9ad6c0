//! Every integration test, in one binary.

mod golden;
mod hearing;
mod house;
mod browser;
mod crawl;
mod reckoning;
mod book;
mod town;
mod shopper;
mod newcomer;
mod desk;
mod everything;
mod counter;
mod till;
mod feature;
mod journey;
mod scenarios;
mod properties;
mod interleaving;
mod documents;
mod migrations;
mod tables;
mod fuzz;
mod integrate;
mod tidy;
mod words;
