//! One module per feature.

mod base;
mod funder;
mod price;
mod product;
mod quote_command;
mod schedule;
mod overdue;
mod repayment;
mod verify;
mod merchant;
mod notice;
mod partner;
mod http;
mod pages;
mod passcode;
mod launcher;
mod outbox;
mod jobs;
pub mod applicant;
mod borrower;
mod credit;
mod settlement;
mod withholding;
mod reconcile;
mod api_access;
mod api_merchant;
mod api_funder;
