//! What can happen in a scenario, and the answers that can be prescribed to the outside world.

use super::words::parse_amount;
use crate::base::{Fen, Rate};
use crate::reconcile::Correction;
use crate::sandbox::{Fault, Scripted};

/// Something that somebody does. A `line` is a borrower's name, or `borrower/product` where a borrower has several lines.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Opens a funder, and sets its reserve's terms where any are given.
    Funder {
        code: String,
        advance: Option<Fen>,
        low_water: Option<Fen>,
    },
    Deposit {
        funder: String,
        amount: Fen,
    },
    Withdraw {
        funder: String,
        amount: Fen,
    },
    /// Publishes a shipped product by its code, or a file beside the scenario; with one statement day for all its lines,
    /// so that the scenario's dates are known.
    Product {
        source: String,
        statement_day: Option<u16>,
    },
    TakeOffSale {
        product: String,
    },
    Merchant {
        name: String,
        category: String,
        discount: Rate,
        discount_returned: bool,
    },
    Suspend {
        merchant: String,
    },
    Resume {
        merchant: String,
    },
    /// Somebody signs up, where the name is new, and applies; the risk partner answers so.
    Apply {
        borrower: String,
        product: String,
        risk: Risk,
    },
    /// A person decides what was referred.
    Decide {
        borrower: String,
        risk: Risk,
    },
    Freeze {
        line: String,
    },
    Unfreeze {
        line: String,
    },
    Limit {
        line: String,
        limit: Fen,
    },
    /// A dynamic code for one order.
    Order {
        name: String,
        merchant: String,
        amount: Fen,
        minutes: u16,
    },
    Purchase {
        name: String,
        borrower: String,
        merchant: String,
        product: String,
        periods: u16,
        amount: Fen,
        order: Option<String>,
    },
    Void {
        purchase: String,
    },
    /// `None`: all that is left.
    Refund {
        purchase: String,
        amount: Option<Fen>,
    },
    /// By the button.
    Repay {
        line: String,
        amount: Fen,
    },
    PayOff {
        purchase: String,
    },
    Transfer {
        line: String,
        amount: Fen,
        reference: Option<String>,
    },
    /// Takes the line's `nth` repayment back, which is a transfer: one person proposes it, another confirms.
    TakeBack {
        line: String,
        nth: i64,
    },
    /// Binds another card of the borrower's.
    BindCard {
        borrower: String,
    },
    UnbindCard {
        borrower: String,
        nth: i64,
    },
    /// How a withholding channel answers the next orders of the card that the borrower bound last.
    ChannelAnswers {
        borrower: String,
        on_second: bool,
        answers: Vec<Scripted>,
    },
    /// How the payout channel answers the next payments to a merchant, borrower or funder.
    PayoutAnswers {
        payee: String,
        answers: Vec<Scripted>,
    },
    /// How the risk partner answers when it is asked about the line's next purchases.
    RiskAnswers {
        line: String,
        answers: Vec<Scripted>,
    },
    /// A person sends a failed payout again.
    RetryPayout {
        payee: String,
        nth: i64,
    },
    /// Two people say what became of a payout whose channel contradicts itself.
    SettlePayout {
        payee: String,
        nth: i64,
        /// The bank's reference; `None` where it was not paid.
        paid: Option<String>,
    },
    /// A second person confirms what was proposed for a break.
    Correct {
        borrower: String,
        nth: i64,
        /// What a first person proposes instead of what the comparison did.
        by: Option<Correction>,
    },
}

/// How an application is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Risk {
    Approved { grade: String, limit: Fen },
    Refused { code: String },
    Silent,
}

/// The answers of a withholding channel by the scenario's words: ours, the channel's, and what goes wrong on the way.
const CHANNEL_ANSWERS: &[(&str, &str, Option<Fault>)] = &[
    ("pays", "success", None),
    ("insufficient", "insufficient_funds", None),
    ("card-invalid", "card_invalid", None),
    ("refused", "refused", None),
    ("down", "channel_down", None),
    ("unclear", "unmapped", None),
    ("timeout-then-success", "success", Some(Fault::TimeoutAfter)),
    ("timeout-then-failure", "insufficient_funds", Some(Fault::TimeoutAfter)),
    ("never-heard", "success", Some(Fault::TimeoutBefore)),
    ("lost-callback", "success", Some(Fault::LostCallback)),
    ("duplicate-callback", "success", Some(Fault::DuplicateCallback)),
    ("late", "success", Some(Fault::LateAnswer)),
    ("file-contradicts", "fails_but_collects", None),
    ("file-denies", "denied_in_file", None),
    ("not-in-file", "not_in_file", None),
];

const PAYOUT_ANSWERS: &[(&str, &str, Option<Fault>)] = &[
    ("pays", "paid", None),
    ("slow", "slow", None),
    ("refused", "refused", None),
    ("timeout-but-paid", "paid", Some(Fault::TimeoutAfter)),
    ("timeout-not-paid", "paid", Some(Fault::TimeoutBefore)),
    ("denies", "denied", None),
    ("fails-but-pays", "failed_but_paid", None),
];

const RISK_ANSWERS: &[(&str, &str, Option<Fault>)] = &[("allows", "allow", None), ("silent", "silent", None)];

/// Reads one answer of a withholding channel.
///
/// # Errors
/// A sentence that lists the answers that there are.
pub fn channel_answer(word: &str) -> Result<Scripted, String> {
    if let Some(amount) = word.strip_prefix("part:") {
        return Ok(Scripted::answer("partial").amount(parse_amount(amount)?.get()));
    }
    if let Some(amount) = word.strip_prefix("holds:") {
        return Ok(Scripted::answer("balance").amount(parse_amount(amount)?.get()));
    }
    if let Some(days) = word.strip_prefix("days:") {
        let days =
            days.parse().map_err(|_| format!("found {word} where days:N is allowed, with a whole number of days"))?;
        return Ok(Scripted { after_days: Some(days), ..Scripted::answer("success") });
    }
    find(CHANNEL_ANSWERS, word, ", part:AMOUNT, holds:AMOUNT, days:N")
}

/// Reads one answer of the payout channel.
///
/// # Errors
/// A sentence that lists the answers that there are.
pub fn payout_answer(word: &str) -> Result<Scripted, String> {
    find(PAYOUT_ANSWERS, word, "")
}

/// Reads one answer of the risk partner about a purchase.
///
/// # Errors
/// A sentence that lists the answers that there are.
pub fn risk_answer(word: &str) -> Result<Scripted, String> {
    match word.strip_prefix("refuses:") {
        Some(code) if !code.is_empty() => Ok(Scripted::answer(code)),
        Some(_) | None => find(RISK_ANSWERS, word, ", refuses:CODE"),
    }
}

fn find(answers: &[(&str, &str, Option<Fault>)], word: &str, more: &str) -> Result<Scripted, String> {
    match answers.iter().find(|(name, ..)| *name == word) {
        Some((_, answer, fault)) => Ok(Scripted { fault: *fault, ..Scripted::answer(answer) }),
        None => {
            let names: Vec<&str> = answers.iter().map(|(name, ..)| *name).collect();
            Err(format!("found {word} where one of these is allowed: {}{more}", names.join(", ")))
        }
    }
}
