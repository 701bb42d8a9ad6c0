//! Every integration test, in one binary.
//!
//! `feature` has the tests of single features and pages, `journey` weeks of a whole house and what happens when processes are
//! killed, `scenarios` one test for each scenario file. `properties`, `postings`, `interleaving` and `troubled_lives` use
//! random input; `documents`, `words`, `tables` and `tidy` hold documents, words, tables and sources to the house's rules.
//!
//! Helpers, from the inside out: `house` opens an app on an empty database; `town` adds a funder, a shop, products and lines,
//! and `book` instead a single loan; `browser`, `desk` and `wire` are a browser, a partner's system and a network; `shopper`,
//! `newcomer`, `till` and `counter` are people who use them. `funder_core` is a core system that hears what a house tells it.

mod golden;
mod hearing;
mod house;
mod browser;
mod crawl;
mod reckoning;
mod book;
mod town;
mod wire;
mod shopper;
mod newcomer;
mod desk;
mod everything;
mod counter;
mod till;
mod acts;
mod funder_core;
mod feature;
mod journey;
mod scenarios;
mod properties;
mod postings;
mod interleaving;
mod troubled_lives;
mod documents;
mod migrations;
mod tables;
mod fuzz;
mod integrate;
mod tidy;
mod words;
