//! Fenqi (分期): an open consumer-finance installment platform. See `docs/ARCHITECTURE.md` for the map.

pub mod base;
pub mod error;
pub mod config;
pub mod secret;
pub mod launcher;
pub mod database;
pub mod gather;
pub mod vault;
pub mod app;
pub mod business_day;
pub mod ledger;
pub mod partner;
pub mod sandbox;
pub mod outbox;
pub mod jobs;
pub mod notice;
pub mod watch;
pub mod audit;
pub mod access;
pub mod passcode;
pub mod product;
pub mod borrower;
pub mod credit;
pub mod merchant;
pub mod funder;
pub mod purchase;
pub mod loan;
pub mod bill;
pub mod repayment;
pub mod overdue;
pub mod claim;
pub mod settlement;
pub mod reconcile;
pub mod day_file;
pub mod close;
pub mod verify;
pub mod http;
pub mod page;
pub mod router;
pub mod timetable;
pub mod replay;
pub mod demo;
pub mod bench;
pub mod cli;

/// The database's migrations, embedded; tests and the program share them.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
