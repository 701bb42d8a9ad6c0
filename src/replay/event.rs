//! What can happen in a scenario, and the answers that can be prescribed to the outside world.

use toml::Spanned;
use toml::de::DeTable;

use super::words::parse_amount;
use crate::base::{BusinessDay, Fen, Rate};
use crate::reconcile::Correction;
use crate::sandbox::{Fault, Scripted};

/// Something that somebody does. A `line` is a borrower's name, or `borrower/product` for a borrower with several lines.
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
    /// Publishes a shipped product by its code, or a file beside the scenario. With `statement_day`, all its lines have that one, so that
    /// the scenario's dates are known.
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
    HoldPayouts {
        merchant: String,
    },
    /// Two people release them.
    ReleasePayouts {
        merchant: String,
    },
    /// Somebody signs up, if the name is new, and applies; the risk partner answers `risk`, or not at all (`None`).
    Apply {
        borrower: String,
        product: String,
        risk: Option<Verdict>,
    },
    /// A person decides what was referred.
    Decide {
        borrower: String,
        verdict: Verdict,
    },
    /// The borrower asks that a person looks at what was refused.
    Review {
        borrower: String,
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
    Purchase(Purchase),
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
        /// When the bank had it; `None`: today.
        received_on: Option<BusinessDay>,
    },
    /// Reverses the line's `nth` repayment, which must be a transfer: one person proposes it, another confirms.
    TakeBack {
        line: String,
        nth: i64,
    },
    /// A step of the latest claim on the guarantor of a purchase's loan.
    Claim {
        purchase: String,
        step: ClaimStep,
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
    /// Two people decide what became of a payout whose channel contradicts itself.
    SettlePayout {
        payee: String,
        nth: i64,
        /// The bank's reference; `None` if it was not paid.
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

/// A step of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimStep {
    Asked,
    /// By the reference of the funder's bank; two people say so.
    Paid {
        reference: Option<String>,
    },
    Withdrawn,
    /// Two people say that it was booked wrongly.
    TakenBack,
}

/// How an application is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approved { grade: String, limit: Fen },
    Refused { code: String },
}

/// Who buys what where, under a name that is the idempotency key too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    pub name: String,
    pub borrower: String,
    pub merchant: String,
    pub product: String,
    pub periods: u16,
    pub amount: Fen,
    /// The order that is paid by it.
    pub order: Option<String>,
}

/// The answers of a withholding channel: the scenario's word, the sandbox's answer, and the fault that comes with it.
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

/// A product file's text with its statement days replaced by one. If it has none, it is returned unchanged, and publishing will report it.
pub fn with_statement_day(text: &str, day: u16) -> String {
    let place = |document: &Spanned<DeTable<'_>>| {
        let line = document.get_ref().get("line")?.get_ref().as_table()?;
        Some(line.get("statement_days")?.span())
    };
    match DeTable::parse(text).ok().as_ref().and_then(place) {
        Some(days) => format!("{}[{day}]{}", &text[..days.start], &text[days.end..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_days_of_a_file_are_one_however_they_are_written() {
        for days in ["statement_days = [1, 28]", "  statement_days=[\n  1, # the first\n  28,\n]"] {
            let one = with_statement_day(&format!("code = \"a\"\n[line]\n{days}\nvalid_months = 1\n"), 5);
            let read: toml::Table = one.parse().unwrap();
            assert_eq!(read["line"]["statement_days"], toml::Value::from(vec![5i64]), "{one}");
            assert_eq!(read["line"]["valid_months"].as_integer(), Some(1), "{one}");
        }
        let inline = "line = { statement_days = [1, 28] }";
        assert_eq!(with_statement_day(inline, 5), "line = { statement_days = [5] }");
        for without in ["code = \"a\"", "line = 1", "[line]\n", "code = "] {
            assert_eq!(with_statement_day(without, 5), without);
        }
    }
}
