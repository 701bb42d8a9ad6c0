//! What a scenario expects of the books: the subject, its fields, and how they are compared.

use serde_json::{Map, Value};

use super::words::{Words, parse_amount, parse_day};
use crate::base::{BusinessDay, Fen};
use crate::ledger::Account;

#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    pub subject: Subject,
    /// The expected fields; `None` if the subject must not exist.
    pub wanted: Option<Vec<Wanted>>,
}

/// What an expectation is about, by the scenario's names. `nth` counts from 1, in the order in which things were made.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    Application { borrower: String },
    Line { line: String },
    Bill { line: String, due_on: BusinessDay },
    Loan { purchase: String },
    Installment { purchase: String, period: i64 },
    Payoff { purchase: String },
    Refund { purchase: String, nth: i64 },
    Claim { purchase: String, nth: i64 },
    Repayment { line: String, nth: i64 },
    Withholding { line: String, day: BusinessDay, nth: i64 },
    Break { borrower: String, nth: i64 },
    Reserve { funder: String },
    Settlement { merchant: String, day: BusinessDay },
    Remittance { funder: String, day: BusinessDay },
    Payout { payee: String, nth: i64 },
    Account { funder: String, account: Account },
    Notice { recipient: String, kind: String },
    Message { funder: String, kind: String, nth: i64 },
    Card { borrower: String, nth: i64 },
    Order { name: String },
}

/// One field and its expected value.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub field: &'static str,
    pub form: Form,
    /// As the database returns it; `Null` for `none`.
    pub value: Value,
}

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Amount,
    Day,
    Number,
    Word,
}

use Form::{Amount, Day, Number, Word};

/// The fields of a subject, and how each is written.
pub type Fields = &'static [(&'static str, Form)];

/// Every subject: how it is named, and its fields.
pub const SUBJECTS: &[(&str, &str, Fields)] = &[
    (
        "application",
        "BORROWER",
        &[
            ("status", Word),
            ("grade", Word),
            ("limit", Amount),
            ("refusal", Word),
            ("referral", Word),
            ("decided_by", Word),
        ],
    ),
    (
        "line",
        "BORROWER",
        &[
            ("limit", Amount),
            ("used", Amount),
            ("available", Amount),
            ("status", Word),
            ("frozen_for", Word),
            ("grade", Word),
            ("statement_day", Number),
            ("due_day", Number),
            ("entries", Number),
        ],
    ),
    (
        "bill",
        "BORROWER DUE-DATE",
        &[
            ("total", Amount),
            ("principal", Amount),
            ("interest", Amount),
            ("fee", Amount),
            ("paid", Amount),
            ("returned", Amount),
            ("penalty_paid", Amount),
            ("penalty", Amount),
            ("owed", Amount),
            ("status", Word),
            ("statement_on", Day),
            ("paid_on", Day),
        ],
    ),
    (
        "loan",
        "PURCHASE",
        &[
            ("status", Word),
            ("principal", Amount),
            ("outstanding", Amount),
            ("paid", Amount),
            ("returned", Amount),
            ("version", Number),
            ("closed_on", Day),
            ("charged_off_on", Day),
        ],
    ),
    (
        "installment",
        "PURCHASE PERIOD",
        &[("due_on", Day), ("principal", Amount), ("interest", Amount), ("fee", Amount), ("total", Amount)],
    ),
    (
        "payoff",
        "PURCHASE",
        &[
            ("total", Amount),
            ("billed", Amount),
            ("principal", Amount),
            ("interest", Amount),
            ("period_fee", Amount),
            ("fee", Amount),
        ],
    ),
    (
        "refund",
        "PURCHASE [N]",
        &[
            ("amount", Amount),
            ("principal_fell", Amount),
            ("owed_back", Amount),
            ("interest_waived", Amount),
            ("interest_back", Amount),
            ("fee_returned", Amount),
            ("subsidy_returned", Amount),
        ],
    ),
    (
        "claim",
        "PURCHASE [N]",
        &[
            ("principal", Amount),
            ("interest", Amount),
            ("fee", Amount),
            ("penalty", Amount),
            ("recovered", Amount),
            ("status", Word),
            ("asked_on", Day),
            ("paid_on", Day),
            ("taken_back_on", Day),
        ],
    ),
    (
        "repayment",
        "BORROWER [N]",
        &[
            ("amount", Amount),
            ("principal", Amount),
            ("interest", Amount),
            ("fee", Amount),
            ("penalty", Amount),
            ("excess", Amount),
            ("source", Word),
            ("day", Day),
        ],
    ),
    (
        "withholding",
        "BORROWER DATE [N]",
        &[
            ("status", Word),
            ("purpose", Word),
            ("channel", Word),
            ("amount", Amount),
            ("collected", Amount),
            ("failure", Word),
            ("attempt", Number),
        ],
    ),
    (
        "break",
        "BORROWER [N]",
        &[("kind", Word), ("ours", Amount), ("theirs", Amount), ("proposed", Word), ("status", Word), ("day", Day)],
    ),
    (
        "reserve",
        "FUNDER",
        &[
            ("available", Amount),
            ("held", Amount),
            ("deposited", Amount),
            ("withdrawn", Amount),
            ("paid_out", Amount),
            ("returned", Amount),
            ("advance_limit", Amount),
            ("advance_since", Day),
            ("advance_overdue", Word),
        ],
    ),
    (
        "settlement",
        "MERCHANT DATE",
        &[
            ("gross", Amount),
            ("refunds", Amount),
            ("fee", Amount),
            ("subsidy", Amount),
            ("net", Amount),
            ("carried_in", Amount),
            ("payable", Amount),
            ("status", Word),
            ("pay_on", Day),
            ("paid_on", Day),
        ],
    ),
    (
        "remittance",
        "FUNDER DATE",
        &[
            ("collected", Amount),
            ("subsidy", Amount),
            ("share", Amount),
            ("net", Amount),
            ("carried_in", Amount),
            ("payable", Amount),
            ("status", Word),
            ("pay_on", Day),
            ("paid_on", Day),
        ],
    ),
    (
        "payout",
        "PAYEE [N]",
        &[
            ("kind", Word),
            ("amount", Amount),
            ("status", Word),
            ("failure", Word),
            ("attempt", Number),
            ("pay_on", Day),
            ("contradiction", Word),
        ],
    ),
    ("account", "FUNDER ACCOUNT", &[("balance", Amount)]),
    (
        "notice",
        "RECIPIENT KIND",
        &[("count", Number), ("first_on", Day), ("last_on", Day), ("amount", Amount), ("owed", Amount)],
    ),
    (
        "message",
        "FUNDER KIND [N]",
        &[
            ("day", Day),
            ("due_on", Day),
            ("amount", Amount),
            ("principal", Amount),
            ("interest", Amount),
            ("fee", Amount),
            ("penalty", Amount),
            ("interest_back", Amount),
            ("interest_back_recovered", Amount),
            ("recovered", Amount),
            ("left", Amount),
            ("covered", Amount),
        ],
    ),
    ("card", "BORROWER [N]", &[("status", Word), ("default", Word)]),
    ("order", "NAME", &[("status", Word), ("amount", Amount)]),
];

impl Subject {
    /// Reads the subject of kind `kind` and its names.
    ///
    /// # Errors
    /// A sentence that says what was found and what is allowed.
    pub fn parse(kind: &str, words: &mut Words<'_>) -> Result<Subject, String> {
        Ok(match kind {
            "application" => Subject::Application { borrower: words.name("the borrower")? },
            "line" => Subject::Line { line: words.name("the borrower")? },
            "bill" => Subject::Bill { line: words.name("the borrower")?, due_on: words.day("the due date")? },
            "loan" => Subject::Loan { purchase: words.name("the purchase")? },
            "installment" => {
                let purchase = words.name("the purchase")?;
                Subject::Installment { purchase, period: words.nth()? }
            }
            "payoff" => Subject::Payoff { purchase: words.name("the purchase")? },
            "refund" => Subject::Refund { purchase: words.name("the purchase")?, nth: words.nth()? },
            "claim" => Subject::Claim { purchase: words.name("the purchase")?, nth: words.nth()? },
            "repayment" => Subject::Repayment { line: words.name("the borrower")?, nth: words.nth()? },
            "withholding" => Subject::Withholding {
                line: words.name("the borrower")?,
                day: words.day("the date")?,
                nth: words.nth()?,
            },
            "break" => Subject::Break { borrower: words.name("the borrower")?, nth: words.nth()? },
            "reserve" => Subject::Reserve { funder: words.name("the funder")? },
            "settlement" => Subject::Settlement { merchant: words.name("the merchant")?, day: words.day("the date")? },
            "remittance" => Subject::Remittance { funder: words.name("the funder")?, day: words.day("the date")? },
            "payout" => Subject::Payout { payee: words.name("the payee")?, nth: words.nth()? },
            "account" => Subject::Account { funder: words.name("the funder")?, account: account(words)? },
            "order" => Subject::Order { name: words.name("the order")? },
            "message" => {
                Subject::Message { funder: words.name("the funder")?, kind: words.name("the kind")?, nth: words.nth()? }
            }
            "card" => Subject::Card { borrower: words.name("the borrower")?, nth: words.nth()? },
            "notice" => Subject::Notice { recipient: words.name("the recipient")?, kind: words.name("the kind")? },
            _ => {
                let known: Vec<&str> = SUBJECTS.iter().map(|(known, ..)| *known).collect();
                return Err(format!(
                    "found {kind} where one of these is allowed: refused, verify, no, {}",
                    known.join(", ")
                ));
            }
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Subject::Application { .. } => "application",
            Subject::Line { .. } => "line",
            Subject::Bill { .. } => "bill",
            Subject::Loan { .. } => "loan",
            Subject::Installment { .. } => "installment",
            Subject::Payoff { .. } => "payoff",
            Subject::Refund { .. } => "refund",
            Subject::Claim { .. } => "claim",
            Subject::Repayment { .. } => "repayment",
            Subject::Withholding { .. } => "withholding",
            Subject::Break { .. } => "break",
            Subject::Reserve { .. } => "reserve",
            Subject::Settlement { .. } => "settlement",
            Subject::Remittance { .. } => "remittance",
            Subject::Payout { .. } => "payout",
            Subject::Account { .. } => "account",
            Subject::Notice { .. } => "notice",
            Subject::Message { .. } => "message",
            Subject::Card { .. } => "card",
            Subject::Order { .. } => "order",
        }
    }

    /// Reads the fields that are expected of it, at least one.
    ///
    /// # Errors
    /// A sentence that lists the fields that there are.
    pub fn wanted(&self, words: &mut Words<'_>) -> Result<Vec<Wanted>, String> {
        let found = SUBJECTS.iter().find(|(kind, ..)| *kind == self.kind());
        let (kind, _, fields) = found.copied().unwrap_or((self.kind(), "", &[]));
        let names = || fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let mut wanted = Vec::new();
        for (key, text) in words.take_pairs() {
            let Some((field, form)) = fields.iter().find(|(name, _)| *name == key) else {
                return Err(format!("found {key}= where {kind} has {}", names()));
            };
            let value = form.read(text).map_err(|wrong| format!("{key}: {wrong}"))?;
            wanted.push(Wanted { field, form: *form, value });
        }
        if wanted.is_empty() {
            return Err(format!("nothing is expected; {kind} has {}", names()));
        }
        Ok(wanted)
    }
}

fn account(words: &mut Words<'_>) -> Result<Account, String> {
    let name = words.word("the account")?;
    Account::ALL.into_iter().find(|account| account.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Account::ALL.iter().map(|account| account.name()).collect();
        format!("found {name} where one of these accounts is allowed: {}", names.join(", "))
    })
}

impl Form {
    /// A text as the value that the database would give.
    fn read(self, text: &str) -> Result<Value, String> {
        if text == "none" {
            return Ok(Value::Null);
        }
        Ok(match self {
            Form::Amount => parse_amount(text)?.get().into(),
            Form::Day => parse_day(text)?.to_string().into(),
            Form::Number => {
                let number = text.parse::<i64>();
                number.map_err(|_| format!("found {text} where a whole number is allowed"))?.into()
            }
            Form::Word => text.into(),
        })
    }

    /// A value as a scenario writes it.
    fn write(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Null) => "none".to_owned(),
            (Form::Amount, value) => value.as_i64().map_or_else(|| value.to_string(), |fen| Fen::new(fen).to_string()),
            (Form::Day | Form::Number | Form::Word, Value::String(text)) => text.clone(),
            (Form::Day | Form::Number | Form::Word, value) => value.to_string(),
        }
    }
}

/// What was expected and what was found, in the scenario's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub expected: String,
    pub found: String,
}

impl Expectation {
    /// Compares with the subject's fields in the books (`None` if it does not exist). Returns the difference, if there is one.
    pub fn compare(&self, books: Option<&Map<String, Value>>) -> Option<Difference> {
        let (wanted, books) = match (&self.wanted, books) {
            (None, None) => return None,
            (None, Some(_)) => {
                return Some(Difference { expected: format!("no {}", self.subject.kind()), found: "one".to_owned() });
            }
            (Some(wanted), None) => {
                let expected = wanted.iter().map(Wanted::written).collect::<Vec<_>>().join(" ");
                return Some(Difference { expected, found: format!("no such {}", self.subject.kind()) });
            }
            (Some(wanted), Some(books)) => (wanted, books),
        };
        let found = |wanted: &Wanted| books.get(wanted.field).unwrap_or(&Value::Null).clone();
        let wrong: Vec<&Wanted> = wanted.iter().filter(|wanted| found(wanted) != wanted.value).collect();
        if wrong.is_empty() {
            return None;
        }
        let join = |write: &dyn Fn(&Wanted) -> String| -> String {
            wrong.iter().map(|wanted| write(wanted)).collect::<Vec<_>>().join(" ")
        };
        Some(Difference {
            expected: join(&Wanted::written),
            found: join(&|wanted| format!("{}={}", wanted.field, wanted.form.write(&found(wanted)))),
        })
    }
}

impl Wanted {
    fn written(&self) -> String {
        format!("{}={}", self.field, self.form.write(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expected(text: &str) -> Expectation {
        let mut words = Words::new(text.split(' '), "expect …");
        let kind = words.word("the subject").unwrap();
        let subject = Subject::parse(kind, &mut words).unwrap();
        let wanted = Some(subject.wanted(&mut words).unwrap());
        Expectation { subject, wanted }
    }

    #[test]
    fn only_fields_that_differ_are_told() {
        let expectation = expected("line anna used=1,200.00 status=active frozen_for=none");
        let books = json!({ "used": 119_999, "status": "active", "frozen_for": null });
        let difference = expectation.compare(books.as_object()).unwrap();
        assert_eq!((difference.expected.as_str(), difference.found.as_str()), ("used=1,200.00", "used=1,199.99"));
        let books = json!({ "used": 120_000, "status": "active", "frozen_for": null });
        assert_eq!(expectation.compare(books.as_object()), None);
    }

    #[test]
    fn something_missing_is_not_something_empty() {
        let expectation = expected("bill anna 2026-04-25 paid_on=none");
        assert_eq!(expectation.compare(None).unwrap().found, "no such bill");
        let absent = Expectation { wanted: None, ..expectation };
        assert_eq!(absent.compare(None), None);
    }

    #[test]
    fn every_subject_is_read() {
        for (kind, ..) in SUBJECTS {
            let mut words = Words::new("a bank 2026-03-02 1".split(' '), "");
            let known = Subject::parse(kind, &mut words);
            assert!(known.as_ref().err().is_none_or(|wrong| !wrong.contains("refused, verify")), "{kind}: {known:?}");
        }
    }
}
