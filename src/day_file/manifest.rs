//! The manifest of a day: what its files hold, how the accounts moved, and the proof that both agree.
//!
//! Every compared sum is made of named figures. A footing lists the figures that are added (or, with a minus, subtracted) on either
//! side. Whoever has the manifest can check its footings, and with the files also the figures of tables.

use std::collections::BTreeMap;

use serde::Serialize;

use super::made::{AccountDay, DayKey, MadeFile};
use super::model::Table;
use super::row::{Sums, columns};
use crate::base::hex::hex_encode;
use crate::base::{BusinessDay, Fen};
use crate::ledger::Account;

/// Increased whenever a file is added, or the columns of a file or the meaning of a figure change.
const VERSION: u32 = 3;
/// The version of days that were signed before `refund_parts` existed: made again, they come out as they were.
const VERSION_WITHOUT_REFUND_PARTS: u32 = 2;

/// A manifest as it is written.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    manifest_version: u32,
    funder: &'a str,
    business_day: BusinessDay,
    files: Vec<FileEntry<'a>>,
    /// For example `lines.rows`, `lines.used_fen` or `book.loan_principal.closing_fen`.
    figures: BTreeMap<String, i64>,
    footings: Vec<Footing>,
}

#[derive(Debug, Serialize)]
struct FileEntry<'a> {
    name: &'a str,
    rows: i64,
    columns: &'static [&'static str],
    bytes: i64,
    sha256: String,
    sm3: String,
    content_bytes: i64,
    content_sha256: String,
    content_sm3: String,
}

/// Two sums of figures, which are equal in a signed manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Footing {
    pub name: String,
    pub left: Vec<String>,
    pub right: Vec<String>,
    pub left_fen: i64,
    pub right_fen: i64,
}

/// The files of a day do not agree; they are not signed.
#[derive(Debug, thiserror::Error)]
#[error("the files of {funder} of {day} do not foot: {}", .wrong.join("; "))]
pub struct NotFooting {
    funder: String,
    day: BusinessDay,
    wrong: Vec<String>,
}

/// The figures of what repayments credited to an account, less what reversals took back.
macro_rules! repaid {
    ($account:literal) => {
        [
            concat!("ledger.credit_fen.", $account, ".repayment"),
            concat!("-ledger.debit_fen.", $account, ".repayment_reversed"),
        ]
    };
}

/// A footing: its name, and the figures on its left and right side.
type Rule = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The footings between the files, and between files and book; one more for each account is added by `footings`.
const RULES: &[Rule] = &[
    (
        "loans_move_loan_principal",
        &["loans.made_fen", "-loans.voided_fen", "-loans.repaid_fen", "-loans.returned_fen"],
        &["book.loan_principal.debit_fen", "-book.loan_principal.credit_fen"],
    ),
    (
        "lines_use_what_loans_owe",
        &["lines.used_change_fen"],
        &["book.loan_principal.debit_fen", "-book.loan_principal.credit_fen"],
    ),
    ("loans_are_planned_whole", &["plans.principal_fen.made"], &["loans.made_fen"]),
    (
        "repayments_are_their_parts",
        &["repayments.amount_fen"],
        &[
            "repayments.principal_fen",
            "repayments.interest_fen",
            "repayments.fee_fen",
            "repayments.penalty_fen",
            "repayments.excess_fen",
        ],
    ),
    ("principal_by_installment", &["repayment_parts.principal_fen"], &["repayments.principal_fen"]),
    ("interest_by_installment", &["repayment_parts.interest_fen"], &["repayments.interest_fen"]),
    ("fee_by_installment", &["repayment_parts.fee_fen"], &["repayments.fee_fen"]),
    ("penalty_by_installment", &["repayment_parts.penalty_fen"], &["repayments.penalty_fen"]),
    ("principal_by_loan", &["repayments.principal_fen"], &["loans.repaid_fen"]),
    ("principal_booked", &["repayments.principal_fen"], &repaid!("loan_principal")),
    ("interest_booked", &["repayments.interest_fen"], &repaid!("interest_receivable")),
    ("fee_booked", &["repayments.fee_fen"], &repaid!("fee_receivable")),
    // Penalty is debited too: back-dated money gives back penalty that was paid but never due.
    (
        "penalty_booked",
        &["repayments.penalty_fen"],
        &[
            "ledger.credit_fen.penalty_income.repayment",
            "-ledger.debit_fen.penalty_income.repayment",
            "ledger.credit_fen.penalty_income.repayment_reversed",
            "-ledger.debit_fen.penalty_income.repayment_reversed",
        ],
    ),
    ("refunds_by_loan", &["refunds.principal_fell_fen"], &["loans.returned_fen"]),
    ("refunds_booked", &["refunds.principal_fell_fen"], &["ledger.credit_fen.loan_principal.refund"]),
    ("remitted_principal", &["remittances.principal_fen"], &["repayments.principal_fen"]),
    ("remitted_interest", &["remittances.interest_fen"], &["repayments.interest_fen", "-refunds.interest_back_fen"]),
    ("remitted_fee", &["remittances.fee_fen"], &["repayments.fee_fen", "-refunds.fee_back_fen"]),
    ("remitted_penalty", &["remittances.penalty_fen"], &["repayments.penalty_fen"]),
    (
        "remitted_subsidy",
        &["remittances.subsidy_fen"],
        &["book.subsidy_income.credit_fen", "-book.subsidy_income.debit_fen"],
    ),
    (
        "reserve_available",
        &["reserve.available_change_fen"],
        &["book.reserve_available.credit_fen", "-book.reserve_available.debit_fen"],
    ),
    ("reserve_held", &["reserve.held_change_fen"], &["book.reserve_held.credit_fen", "-book.reserve_held.debit_fen"]),
    (
        "reserve_in_both_books",
        &["book.reserve_at_platform.closing_fen"],
        &["-book.reserve_available.closing_fen", "-book.reserve_held.closing_fen"],
    ),
    ("held_is_in_transit", &["book.funding_in_transit.closing_fen"], &["book.reserve_held.closing_fen"]),
];

/// The accounts in the manifest: the funder's own, and its reserve at the platform.
fn listed_accounts() -> impl Iterator<Item = Account> {
    let is_reserve = |account| matches!(account, Account::ReserveAvailable | Account::ReserveHeld);
    Account::ALL.into_iter().filter(move |account| is_own(*account) || is_reserve(*account))
}

fn is_own(account: Account) -> bool {
    account.number() >= Account::LoanPrincipal.number()
}

/// The two accounts of claims are in the manifest only from the first paid claim on, so that days that were signed before come out as
/// they were.
fn is_told_of(account: Account, accounts: &[AccountDay]) -> bool {
    let is_of_claims = matches!(account, Account::ClaimsReceived | Account::GuarantorPayable);
    !is_of_claims || accounts.iter().any(|day| day.account == Account::ClaimsReceived.number())
}

impl<'a> Manifest<'a> {
    /// # Errors
    /// If the files do not foot to each other or to the book.
    pub fn new(key: &'a DayKey, files: &'a [MadeFile], accounts: &[AccountDay]) -> Result<Manifest<'a>, NotFooting> {
        let figures = figures(files, accounts);
        let footings = footings(&figures);
        let wrong: Vec<String> = footings
            .iter()
            .filter(|footing| footing.left_fen != footing.right_fen)
            .map(|footing| format!("{} is {} here and {} there", footing.name, footing.left_fen, footing.right_fen))
            .collect();
        if !wrong.is_empty() {
            return Err(NotFooting { funder: key.funder_code.clone(), day: key.day, wrong });
        }
        Ok(Manifest {
            manifest_version: version(files),
            funder: &key.funder_code,
            business_day: key.day,
            files: files.iter().map(entry).collect(),
            figures,
            footings,
        })
    }
}

fn version(files: &[MadeFile]) -> u32 {
    match files.iter().any(|file| file.table_name == Table::RefundParts.name()) {
        true => VERSION,
        false => VERSION_WITHOUT_REFUND_PARTS,
    }
}

/// Whether a signed manifest lists the files of a table.
pub fn tells_of(manifest: &str, table: Table) -> bool {
    table.files().all(|file| manifest.contains(&format!("\"{file}\"")))
}

fn entry(file: &MadeFile) -> FileEntry<'_> {
    let table = Table::ALL.iter().find(|table| table.name() == file.table_name);
    FileEntry {
        name: &file.name,
        rows: file.rows,
        columns: table.map_or(&[], |table| columns(*table)),
        bytes: file.bytes,
        sha256: hex_encode(&file.sha256),
        sm3: hex_encode(&file.sm3),
        content_bytes: file.content_bytes,
        content_sha256: hex_encode(&file.content_sha256),
        content_sm3: hex_encode(&file.content_sm3),
    }
}

/// Every figure by its name. Both forms of a table have the same sums, so either may be taken.
fn figures(files: &[MadeFile], accounts: &[AccountDay]) -> BTreeMap<String, i64> {
    let mut figures = BTreeMap::new();
    for MadeFile { table_name, rows, sums, .. } in files {
        figures.insert(format!("{table_name}.rows"), *rows);
        let Sums(sums) = &sums.0;
        figures.extend(sums.iter().map(|(name, fen)| (format!("{table_name}.{name}"), fen.get())));
    }
    for account in listed_accounts().filter(|account| is_told_of(*account, accounts)) {
        let found = accounts.iter().find(|day| day.account == account.number());
        let zero = AccountDay { account: account.number(), opening: Fen::ZERO, debit: Fen::ZERO, credit: Fen::ZERO };
        let day = found.copied().unwrap_or(zero);
        let closing = day.opening + day.debit - day.credit;
        for (name, fen) in
            [("opening", day.opening), ("debit", day.debit), ("credit", day.credit), ("closing", closing)]
        {
            figures.insert(format!("book.{}.{name}_fen", account.name()), fen.get());
        }
    }
    figures
}

fn footings(figures: &BTreeMap<String, i64>) -> Vec<Footing> {
    let mut footings = Vec::new();
    let mut foot = |name: String, left: Vec<String>, right: Vec<String>| {
        let (left_fen, right_fen) = (total(figures, &left), total(figures, &right));
        footings.push(Footing { name, left, right, left_fen, right_fen });
    };
    let is_told = |account: &Account| figures.contains_key(&format!("book.{}.closing_fen", account.name()));
    for account in listed_accounts().filter(|account| is_own(*account) && is_told(account)) {
        let account = account.name();
        for side in ["debit_fen", "credit_fen"] {
            let (file, book) = (format!("ledger.{side}.{account}"), format!("book.{account}.{side}"));
            foot(format!("{account}.{side}"), vec![file], vec![book]);
        }
    }
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for (name, left, right) in RULES {
        foot((*name).to_owned(), owned(left), owned(right));
    }
    footings
}

/// The sum of the named figures, those with a minus subtracted; a missing figure is zero.
fn total(figures: &BTreeMap<String, i64>, names: &[String]) -> i64 {
    let figure = |name: &String| match name.strip_prefix('-') {
        Some(name) => -Fen::new(figures.get(name).copied().unwrap_or_default()),
        None => Fen::new(figures.get(name).copied().unwrap_or_default()),
    };
    names.iter().map(figure).sum::<Fen>().get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_accounts_of_claims_are_listed_from_the_first_paid_claim_on() {
        let of_claims = |accounts: &[AccountDay]| {
            let figures = figures(&[], accounts);
            assert_eq!(figures["book.charged_off.closing_fen"], 0);
            let footings = footings(&figures).into_iter().map(|footing| footing.name);
            let is_of_claims = |name: &str| name.contains("claims_received") || name.contains("guarantor_payable");
            let closing = |name: &str| figures.get(&format!("book.{name}.closing_fen")).copied();
            let count = footings.filter(|name| is_of_claims(name)).count();
            (["claims_received", "guarantor_payable"].map(closing), count)
        };
        assert_eq!(of_claims(&[]), ([None, None], 0));
        let account = Account::ClaimsReceived.number();
        let paid = AccountDay { account, opening: Fen::new(-300), debit: Fen::new(100), credit: Fen::ZERO };
        assert_eq!(of_claims(&[paid]), ([Some(-200), Some(0)], 4));
    }
}
