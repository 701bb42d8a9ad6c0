//! Fenqi (分期): an open consumer-finance installment platform. See `docs/ARCHITECTURE.md` for the map.

pub mod base;
pub mod error;
pub mod gather;
pub mod launcher;
pub mod database;
pub mod vault;
pub mod secret;
pub mod config;
pub mod app;
pub mod business_day;
pub mod ledger;
pub mod partner;
pub mod sandbox;
pub mod outbox;
pub mod jobs;
pub mod timetable;
pub mod notice;
pub mod product;
pub mod passcode;
pub mod borrower;
pub mod loan;
pub mod credit;
pub mod merchant;
pub mod funder;
pub mod purchase;
pub mod bill;
pub mod overdue;
pub mod repayment;
pub mod reconcile;
pub mod settlement;
pub mod day_file;
pub mod access;
pub mod close;
pub mod verify;
pub mod bench;
pub mod demo;
pub mod http;
pub mod page;
pub mod router;
pub mod replay;
pub mod cli;

/// The database's migrations, embedded; tests and the program share them.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
