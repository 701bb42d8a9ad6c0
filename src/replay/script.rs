//! Parses a scenario's text: one event or expectation a line, each with its number. See docs/SCENARIOS.md. Start with [`Script::parse`].

use chrono::{DateTime, NaiveTime, Utc};

use super::event::{ClaimStep, Event, Purchase, Verdict, channel_answer, payout_answer, risk_answer};
use super::expect::{Expectation, Subject};
use super::house::MORNING;
use super::usage::USAGES;
use super::words::{Words, check_begun, check_lived, parse_day};
use crate::base::{BusinessDay, Rate};
use crate::reconcile::Correction;

/// A whole scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub start: BusinessDay,
    pub steps: Vec<Step>,
}

/// One line that is not blank or a comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// From 1.
    pub line: usize,
    /// As written, without comment.
    pub text: String,
    /// The time to move to before the command.
    pub until: Option<DateTime<Utc>>,
    pub command: Option<Command>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Event(Event),
    Expect(Expectation),
    /// The previous event was refused with this code.
    ExpectRefused(String),
    /// Every identity holds now.
    ExpectVerify,
    /// The most orders and payouts that may be pending when the scenario ends.
    Leaves {
        withholdings: i64,
        payouts: i64,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub line: usize,
    pub text: String,
    pub sentence: String,
}

impl Script {
    /// Parses a text. A text with mistakes is not played at all, so all of them are reported.
    ///
    /// # Errors
    /// Every line that cannot be read, in order.
    pub fn parse(text: &str) -> Result<Script, Vec<Mistake>> {
        // Some editors begin a file with an invisible byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = Reader { has_begun: false, is_told: false, start: None, now: None, steps: Vec::new() };
        let mut mistakes = Vec::new();
        for (index, whole) in text.lines().enumerate() {
            let text = without_comment(whole).trim();
            if text.is_empty() {
                continue;
            }
            let line = index + 1;
            if let Err(sentence) = reader.read(line, text) {
                mistakes.push(Mistake { line, text: text.to_owned(), sentence });
            }
        }
        match reader.start {
            Some(start) if mistakes.is_empty() => Ok(Script { start, steps: reader.steps }),
            None if mistakes.is_empty() => {
                let sentence = "nothing says when it begins; write first: start DATE".to_owned();
                Err(vec![Mistake { line: 1, text: String::new(), sentence }])
            }
            _ => Err(mistakes),
        }
    }
}

/// A comment begins with a `#` at the line's beginning or after a space.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices('#').find(|(place, _)| {
        let before = line[..*place].chars().next_back();
        before.is_none_or(char::is_whitespace)
    });
    comment.map_or(line, |(place, _)| &line[..place])
}

struct Reader {
    /// Whether there was a line with the scenario's beginning, valid or not.
    has_begun: bool,
    /// Whether it was reported that a line comes before the beginning; without a beginning it would be reported for each line.
    is_told: bool,
    start: Option<BusinessDay>,
    now: Option<DateTime<Utc>>,
    steps: Vec<Step>,
}

impl Reader {
    fn read(&mut self, line: usize, text: &str) -> Result<(), String> {
        let mut words = text.split_whitespace().peekable();
        let until = self.read_time(&mut words)?;
        let command = match words.next() {
            Some("start") => return self.begin(Words::new(words, "start DATE"), until),
            Some(verb) => Some(command(verb, words)?),
            None => None,
        };
        if let (Some(Command::ExpectRefused(_)), Some(_)) = (&command, until) {
            return Err("no time passes between an event and its refusal; write the date on a line after it".to_owned());
        }
        if !self.has_begun && !std::mem::replace(&mut self.is_told, true) {
            return Err("something happens before the scenario begins; write first: start DATE".to_owned());
        }
        self.steps.push(Step { line, text: text.to_owned(), until, command });
        Ok(())
    }

    fn begin(&mut self, mut words: Words<'_>, until: Option<DateTime<Utc>>) -> Result<(), String> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Err(words.wrong("a scenario begins once"));
        }
        if until.is_some() {
            return Err(words.wrong("a scenario begins at 10:00 of the date after start"));
        }
        let day = words.day("the date")?;
        check_begun(day).map_err(|wrong| words.wrong(&wrong))?;
        words.end()?;
        self.start = Some(day);
        self.now = Some(day.instant(MORNING));
        Ok(())
    }

    /// Reads a date before the verb, and a time of day after the date: the time to move to first.
    fn read_time<'a>(
        &mut self,
        words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    ) -> Result<Option<DateTime<Utc>>, String> {
        let is_date = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let Some(date) = words.next_if(is_date) else { return Ok(None) };
        let day = parse_day(date)?;
        let time = match words.next_if(is_date) {
            None => None,
            Some(time) => Some(NaiveTime::parse_from_str(time, "%H:%M").map_err(|_| {
                format!("found {time} after a date where a time of day, such as 14:30, or a verb is allowed")
            })?),
        };
        // A date without a time that is today's changes nothing.
        let is_today = self.now.is_some_and(|now| time.is_none() && BusinessDay::at(now) == day);
        let at = day.instant(time.unwrap_or(MORNING));
        self.now.map_or(Ok(()), |now| check_lived(BusinessDay::at(now), day))?;
        match self.now {
            Some(_) if is_today => Ok(None),
            Some(now) if at < now => Err(format!("{date} has passed; time only goes on in a scenario")),
            Some(_) | None => {
                self.now = self.now.map(|_| at);
                Ok(Some(at))
            }
        }
    }
}

fn command<'a>(verb: &str, words: impl Iterator<Item = &'a str>) -> Result<Command, String> {
    let Some((_, usage)) = USAGES.iter().find(|(known, _)| *known == verb) else {
        let known: Vec<&str> = USAGES.iter().map(|(known, _)| *known).collect();
        return Err(format!("found {verb} where a date or one of these is allowed: start, {}", known.join(", ")));
    };
    let mut words = Words::new(words, usage);
    words.check_values()?;
    let command = match verb {
        "expect" => return expectation(words),
        "leaves" => Command::Leaves {
            withholdings: i64::from(words.number_value("withholdings", 0, u16::MAX)?.unwrap_or(0)),
            payouts: i64::from(words.number_value("payouts", 0, u16::MAX)?.unwrap_or(0)),
        },
        _ => Command::Event(event(verb, &mut words)?),
    };
    words.end()?;
    Ok(command)
}

fn expectation(mut words: Words<'_>) -> Result<Command, String> {
    let subject = words.word("the subject")?;
    let command = match subject {
        "refused" => Command::ExpectRefused(words.name("the code")?),
        "verify" => Command::ExpectVerify,
        "no" => {
            let kind = words.word("the subject")?;
            Command::Expect(Expectation { subject: Subject::parse(kind, &mut words)?, wanted: None })
        }
        kind => {
            let subject = Subject::parse(kind, &mut words)?;
            let wanted = subject.wanted(&mut words)?;
            Command::Expect(Expectation { subject, wanted: Some(wanted) })
        }
    };
    words.end()?;
    Ok(command)
}

fn event(verb: &str, words: &mut Words<'_>) -> Result<Event, String> {
    Ok(match verb {
        "funder" => Event::Funder {
            code: words.name("the code")?,
            advance: words.amount_value("advance")?,
            low_water: words.amount_value("low-water")?,
        },
        "deposit" => Event::Deposit { funder: words.name("the funder")?, amount: words.amount("the amount")? },
        "withdraw" => Event::Withdraw { funder: words.name("the funder")?, amount: words.amount("the amount")? },
        "product" => Event::Product {
            source: words.name("the product")?,
            statement_day: words.number_value("statement-day", 1, 28)?,
        },
        "take-off-sale" => Event::TakeOffSale { product: words.name("the product")? },
        "merchant" => merchant(words)?,
        "suspend" => Event::Suspend { merchant: words.name("the merchant")? },
        "resume" => Event::Resume { merchant: words.name("the merchant")? },
        "hold-payouts" => Event::HoldPayouts { merchant: words.name("the merchant")? },
        "release-payouts" => Event::ReleasePayouts { merchant: words.name("the merchant")? },
        "apply" => {
            let borrower = words.name("the borrower")?;
            let product = words.named_value("product")?;
            Event::Apply { borrower, product, risk: risk(words)? }
        }
        "decide" => {
            let borrower = words.name("the borrower")?;
            let verdict = risk(words)?.ok_or_else(|| words.wrong("a person is never silent"))?;
            Event::Decide { borrower, verdict }
        }
        "review" => Event::Review { borrower: words.name("the borrower")? },
        "freeze" => Event::Freeze { line: words.name("the borrower")? },
        "unfreeze" => Event::Unfreeze { line: words.name("the borrower")? },
        "limit" => Event::Limit { line: words.name("the borrower")?, limit: words.amount("the amount")? },
        "order" => Event::Order {
            name: words.name("the order's name")?,
            merchant: words.named_value("merchant")?,
            amount: words.amount_value("amount")?.ok_or_else(|| words.wrong("amount= is missing"))?,
            minutes: words.number_value("minutes", 1, 1_440)?.unwrap_or(30),
        },
        "purchase" => Event::Purchase(purchase(words)?),
        "void" => Event::Void { purchase: words.name("the purchase")? },
        "refund" => refund(words)?,
        "repay" => Event::Repay { line: words.name("the borrower")?, amount: words.amount("the amount")? },
        "pay-off" => Event::PayOff { purchase: words.name("the purchase")? },
        "transfer" => transfer(words)?,
        "take-back" => Event::TakeBack { line: words.name("the borrower")?, nth: words.nth()? },
        "claim" => claim(words)?,
        "bind" => Event::BindCard { borrower: words.name("the borrower")? },
        "unbind" => Event::UnbindCard { borrower: words.name("the borrower")?, nth: words.nth()? },
        "channel" => channel(words)?,
        "payout" => {
            let payee = words.name("the payee")?;
            let answers = answers(words, payout_answer)?;
            Event::PayoutAnswers { payee, answers }
        }
        "risk" => {
            let line = words.name("the borrower")?;
            let answers = answers(words, risk_answer)?;
            Event::RiskAnswers { line, answers }
        }
        "retry-payout" => Event::RetryPayout { payee: words.name("the payee")?, nth: words.nth()? },
        "settle-payout" => settled_payout(words)?,
        // The only verb left: the verb was looked up in USAGES before.
        _ => Event::Correct { borrower: words.name("the borrower")?, nth: words.nth()?, by: correction(words)? },
    })
}

fn transfer(words: &mut Words<'_>) -> Result<Event, String> {
    let (line, amount) = (words.name("the borrower")?, words.amount("the amount")?);
    let reference = words.value("reference").map(str::to_owned);
    let received_on = words.value("received").map(parse_day).transpose()?;
    Ok(Event::Transfer { line, amount, reference, received_on })
}

fn claim(words: &mut Words<'_>) -> Result<Event, String> {
    let purchase = words.name("the purchase")?;
    let step = match words.word("what becomes of the claim")? {
        "asked" => ClaimStep::Asked,
        "paid" => ClaimStep::Paid { reference: words.value("reference").map(str::to_owned) },
        "withdrawn" => ClaimStep::Withdrawn,
        "taken-back" => ClaimStep::TakenBack,
        word => return Err(words.wrong(&format!("found {word} where asked, paid, withdrawn or taken-back is allowed"))),
    };
    Ok(Event::Claim { purchase, step })
}

fn settled_payout(words: &mut Words<'_>) -> Result<Event, String> {
    let (payee, nth) = (words.name("the payee")?, words.nth()?);
    Ok(Event::SettlePayout { payee, nth, paid: words.value("paid").map(str::to_owned) })
}

fn correction(words: &mut Words<'_>) -> Result<Option<Correction>, String> {
    let Some(word) = words.value("by") else { return Ok(None) };
    let known = [
        ("post", Correction::Post),
        ("refund", Correction::Refund),
        ("ask-channel", Correction::AskChannel),
        ("reverse", Correction::Reverse),
    ];
    match known.iter().find(|(name, _)| *name == word) {
        Some((_, correction)) => Ok(Some(*correction)),
        None => Err(words.wrong(&format!("by: found {word} where post, refund, ask-channel or reverse is allowed"))),
    }
}

fn merchant(words: &mut Words<'_>) -> Result<Event, String> {
    let name = words.name("the name")?;
    let rate = words.required("discount")?;
    let discount: Rate = rate
        .parse()
        .map_err(|_| words.wrong(&format!("discount: found {rate} where a fraction, such as 0.006, is allowed")))?;
    Ok(Event::Merchant {
        name,
        category: words.value("category").unwrap_or("retail").to_owned(),
        discount,
        discount_returned: words.yes_or_no("discount-returned")?.unwrap_or(true),
    })
}

/// `None` for silence.
fn risk(words: &mut Words<'_>) -> Result<Option<Verdict>, String> {
    let limit = words.amount_value("limit")?;
    let (grade, refused) = (words.value("grade"), words.value("refused"));
    match (grade, limit, refused, words.next_word()) {
        (Some(grade), Some(limit), None, None) => Ok(Some(Verdict::Approved { grade: grade.to_owned(), limit })),
        (None, None, Some(code), None) => Ok(Some(Verdict::Refused { code: code.to_owned() })),
        (None, None, None, Some("silent")) => Ok(None),
        _ => Err(words.wrong("how it is decided is not clear")),
    }
}

fn purchase(words: &mut Words<'_>) -> Result<Purchase, String> {
    Ok(Purchase {
        name: words.name("the purchase's name")?,
        borrower: words.named_value("borrower")?,
        merchant: words.named_value("merchant")?,
        product: words.named_value("product")?,
        periods: words.number_value("periods", 1, 600)?.ok_or_else(|| words.wrong("periods= is missing"))?,
        amount: words.amount_value("amount")?.ok_or_else(|| words.wrong("amount= is missing"))?,
        order: words.value("order").map(str::to_owned),
    })
}

fn refund(words: &mut Words<'_>) -> Result<Event, String> {
    let purchase = words.name("the purchase")?;
    let word = words.word("the amount")?;
    let amount = match word {
        "all" => None,
        word => Some(super::words::parse_amount(word).map_err(|wrong| words.wrong(&format!("the amount: {wrong}")))?),
    };
    Ok(Event::Refund { purchase, amount })
}

fn channel(words: &mut Words<'_>) -> Result<Event, String> {
    let borrower = words.name("the borrower")?;
    let on_second = match words.value("on") {
        None | Some("alpha") => false,
        Some("beta") => true,
        Some(other) => return Err(words.wrong(&format!("on: found {other} where alpha or beta is allowed"))),
    };
    let answers = answers(words, channel_answer)?;
    Ok(Event::ChannelAnswers { borrower, on_second, answers })
}

fn answers<T>(words: &mut Words<'_>, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let mut answers = Vec::new();
    while let Some(word) = words.next_word() {
        answers.push(parse(word).map_err(|wrong| words.wrong(&wrong))?);
    }
    if answers.is_empty() { Err(words.wrong("the answer is missing")) } else { Ok(answers) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Fen;

    fn mistake(text: &str) -> Mistake {
        Script::parse(text).unwrap_err().remove(0)
    }

    #[test]
    fn a_line_has_a_date_a_verb_and_a_comment() {
        let script = Script::parse("# a story\nstart 2026-03-02\n\n2026-03-05 14:30 deposit bank 1,000.00 # cash\n");
        let script = script.unwrap();
        let step = &script.steps[0];
        assert_eq!((step.line, step.text.as_str()), (4, "2026-03-05 14:30 deposit bank 1,000.00"));
        assert_eq!(step.until, Some("2026-03-05T06:30:00Z".parse().unwrap()));
        let deposit = Event::Deposit { funder: "bank".into(), amount: Fen::new(100_000) };
        assert_eq!(step.command, Some(Command::Event(deposit)));
    }

    #[test]
    fn a_text_of_another_system_is_read_too() {
        let script = Script::parse("\u{feff}start 2026-03-02\r\ndeposit bank 1.00\r\n").unwrap();
        assert_eq!((script.steps[0].line, script.steps[0].text.as_str()), (2, "deposit bank 1.00"));
    }

    #[test]
    fn the_day_itself_is_no_step_back() {
        let script = Script::parse("start 2026-03-02\n2026-03-02 deposit a 1.00\n2026-03-02 09:00 deposit a 1.00");
        let mistakes = script.unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert_eq!((mistakes[0].line, mistakes[0].sentence.contains("has passed")), (3, true));
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_what_is_allowed() {
        let mistakes = Script::parse("start 2026-03-02\npay a\ndeposit bank 12\nexpect bill anna").unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(mistakes[0].sentence.starts_with("found pay where a date or one of these is allowed: start, funder"));
        assert_eq!(
            mistakes[1].sentence,
            "the amount: found 12 where yuan with two decimals, such as 1,234.50, is allowed; \
             write: deposit FUNDER AMOUNT"
        );
        assert!(mistakes[2].sentence.contains("the due date is missing"), "{}", mistakes[2].sentence);
    }

    #[test]
    fn a_story_begins_once_and_first() {
        assert!(mistake("deposit bank 1.00").sentence.contains("start DATE"));
        assert!(mistake("").sentence.contains("start DATE"));
        assert!(mistake("start 2026-03-02\nstart 2026-03-03").sentence.contains("begins once"));
        let mistakes = Script::parse("deposit bank 1.00\npay a\ndeposit bank 1.00").unwrap_err();
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [1, 2], "told once, not of each line");
        let early = mistake("start 1920-03-02\napply anna product=a silent");
        assert!(early.line == 1 && early.sentence.contains("found 1920-03-02 where a date in a year"), "{early:?}");
        // Only the line that is wrong is told.
        let mistakes = Script::parse("start 2026-13-02\ndeposit bank 1.00").unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_refusal_stands_behind_its_event_without_a_date_of_its_own() {
        let bought = "start 2026-03-02\nvoid phone\n";
        assert!(Script::parse(&format!("{bought}2026-03-02 expect refused past_cut_off")).is_ok(), "it is that day");
        for date in ["2026-03-03", "2026-03-02 14:30"] {
            let found = mistake(&format!("{bought}{date} expect refused past_cut_off"));
            assert!(found.line == 3 && found.sentence.contains("no time passes"), "{found:?}");
        }
    }

    #[test]
    fn an_unknown_field_names_those_that_there_are() {
        let found = mistake("start 2026-03-02\nexpect line anna colour=red").sentence;
        assert!(found.contains("colour") && found.contains("limit, used, available"), "{found}");
    }

    #[test]
    fn the_risk_partner_refuses_with_a_code_and_a_person_is_never_silent() {
        let found = mistake("start 2026-03-02\nrisk anna refuses:").sentence;
        assert!(found.contains("allows, silent, refuses:CODE"), "{found}");
        let found = mistake("start 2026-03-02\ndecide anna refused= too_young").sentence;
        assert!(found.starts_with("refused= has no value"), "{found}");
        let found = mistake("start 2026-03-02\ndecide anna silent").sentence;
        assert!(found.contains("a person is never silent; write: decide BORROWER"), "{found}");
    }

    #[test]
    fn every_verb_is_read() {
        for (verb, usage) in USAGES {
            assert!(usage.starts_with(verb));
            let found = mistake(&format!("start 2026-03-02\n{verb} % colour=red")).sentence;
            assert!(found.contains("write:") || *verb == "expect", "{found}");
        }
    }
}
