//! Both counterfeit withholding channels: they take each order once, from cards with a known or an unlimited balance, and tell of it in
//! answers, callbacks and a daily file, each channel in its own protocol.

pub mod alpha;
pub mod beta;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;

use super::Scripted;
use super::fault::Fault;
use super::world::{World, lock};
use crate::base::Fen;
use crate::partner::withholding::wire;

/// How long the channel itself does not know the result of an order with the fault `LateAnswer`.
const LATE_BY: TimeDelta = TimeDelta::minutes(10);
/// What a channel keeps of each yuan that it takes, in per mille.
const COST_PER_MILLE: i64 = 2;
/// Every answer that a script may prescribe.
pub const ANSWERS: [&str; 16] = [
    "success",
    "partial",
    "balance",
    "insufficient_funds",
    "card_invalid",
    "refused",
    "channel_down",
    "processing",
    "unmapped",
    "not_exist",
    "fails_but_collects",
    "denied_in_file",
    "not_in_file",
    "another_in_file",
    "named_twice",
    "charged_twice",
];
/// Those of [`ANSWERS`] that need an amount beside them.
pub const ANSWERS_WITH_AMOUNT: [&str; 3] = ["partial", "balance", "another_in_file"];

/// The state of both channels. Cards belong to banks, so a balance is the same on either channel.
#[derive(Default)]
pub struct Books {
    channels: HashMap<&'static str, Book>,
    /// Known balances of cards, by agreement number; all other cards have enough for anything.
    balances: HashMap<String, Fen>,
    /// What cards were charged in truth, whatever was said of it, by the order's number.
    charged: HashMap<String, Fen>,
}

#[derive(Default)]
struct Book {
    trades: HashMap<String, Trade>,
    /// Orders that are in no daily file yet, in the order in which they came.
    unfiled: Vec<String>,
    files: BTreeMap<NaiveDate, Vec<FileRow>>,
}

#[derive(Clone, Debug)]
struct Trade {
    amount: Fen,
    day: NaiveDate,
    verdict: Verdict,
    /// The first answer, if it is to differ from the outcome.
    first_word: Option<FirstWord>,
    known_at: DateTime<Utc>,
    reference: String,
    filed: Filed,
}

/// What the daily file says of an order.
#[derive(Clone, Copy, Debug)]
struct Filed {
    verdict: Verdict,
    /// How many lines of it name the order.
    lines: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Taken(Fen),
    TooLittle,
    CardInvalid,
    Refused,
    Down,
}

impl Verdict {
    /// What was taken by it.
    fn amount(self) -> Fen {
        match self {
            Verdict::Taken(amount) => amount,
            Verdict::TooLittle | Verdict::CardInvalid | Verdict::Refused | Verdict::Down => Fen::ZERO,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FirstWord {
    Processing,
    Unmapped,
    NotExist,
}

/// What is said about one order in an answer.
enum Word {
    Final(Verdict, String),
    Processing,
    Unmapped,
    Unknown,
}

#[derive(Clone, Debug)]
struct FileRow {
    number: String,
    reference: String,
    verdict: Verdict,
}

struct Asked {
    number: String,
    agreement: String,
    amount: Fen,
    allows_part: bool,
    day: Option<NaiveDate>,
}

impl Books {
    /// Gives a card a known balance: from now on it has `balance`, minus what orders take.
    pub fn set_balance(&mut self, agreement_number: &str, balance: Fen) {
        self.balances.insert(agreement_number.to_owned(), balance);
    }

    pub fn balance(&self, agreement_number: &str) -> Option<Fen> {
        self.balances.get(agreement_number).copied()
    }

    /// Orders that a channel has taken on.
    pub fn orders(&self, channel: &str) -> usize {
        self.channels.get(channel).map_or(0, |book| book.trades.len())
    }

    /// How often and how much was taken from cards, over both channels.
    pub fn taken(&self) -> (usize, Fen) {
        let verdicts = self.channels.values().flat_map(|book| book.trades.values()).map(|trade| trade.verdict);
        verdicts.fold((0, Fen::ZERO), |(count, sum), verdict| match verdict {
            Verdict::Taken(amount) => (count + 1, sum + amount),
            Verdict::TooLittle | Verdict::CardInvalid | Verdict::Refused | Verdict::Down => (count, sum),
        })
    }

    /// What a card was charged for an order in truth, by the order's number (32 digits); nothing for one that no channel has heard of.
    pub fn charged(&self, number: &str) -> Fen {
        self.charged.get(number).copied().unwrap_or_default()
    }

    /// What all cards were charged in truth.
    pub fn charged_in_all(&self) -> Fen {
        self.charged.values().fold(Fen::ZERO, |sum, charged| sum + *charged)
    }

    /// People have settled an order with its channel: it gives back to the card, or takes from it, what makes this the whole charge.
    pub fn set_charged(&mut self, number: &str, charged: Fen) {
        self.charged.insert(number.to_owned(), charged);
    }

    fn decide(&mut self, asked: &Asked, scripted: Option<&Scripted>) -> Verdict {
        match scripted.map(|scripted| (scripted.answer.as_str(), scripted.amount_fen)) {
            Some(("insufficient_funds", _)) => Verdict::TooLittle,
            Some(("card_invalid", _)) => Verdict::CardInvalid,
            Some(("refused", _)) => Verdict::Refused,
            Some(("channel_down", _)) => Verdict::Down,
            Some(("partial", Some(part))) => self.take_from_balance(asked, Some(Fen::new(part))),
            Some(("balance", Some(balance))) => {
                self.set_balance(&asked.agreement, Fen::new(balance));
                self.take_from_balance(asked, Some(Fen::new(balance)))
            }
            Some(_) => Verdict::Taken(asked.amount),
            None => self.take_from_balance(asked, self.balance(&asked.agreement)),
        }
    }

    fn take_from_balance(&mut self, asked: &Asked, balance: Option<Fen>) -> Verdict {
        let holds = balance.unwrap_or(asked.amount);
        let taken = if holds >= asked.amount { asked.amount } else { holds };
        if !taken.is_positive() || (taken < asked.amount && !asked.allows_part) {
            return Verdict::TooLittle;
        }
        if let Some(balance) = self.balances.get_mut(&asked.agreement) {
            *balance = (*balance - taken).or_zero();
        }
        Verdict::Taken(taken)
    }

    /// What is said when an order is taken.
    fn first_word(&self, channel: &str, number: &str, now: DateTime<Utc>) -> Word {
        match self.trade(channel, number).and_then(|trade| trade.first_word) {
            Some(FirstWord::Unmapped) => Word::Unmapped,
            Some(FirstWord::NotExist) => Word::Unknown,
            Some(FirstWord::Processing) => Word::Processing,
            None => self.word(channel, number, now),
        }
    }

    /// What is said to later queries.
    fn word(&self, channel: &str, number: &str, now: DateTime<Utc>) -> Word {
        match self.trade(channel, number) {
            None => Word::Unknown,
            Some(trade) if trade.known_at > now => Word::Processing,
            Some(trade) => Word::Final(trade.verdict, trade.reference.clone()),
        }
    }

    fn trade(&self, channel: &str, number: &str) -> Option<&Trade> {
        self.channels.get(channel).and_then(|book| book.trades.get(number))
    }
}

impl Book {
    /// The file of a day, the same each time that it is fetched: the orders of the day that are final, and earlier ones that became final.
    fn file(&mut self, day: NaiveDate, now: DateTime<Utc>) -> &[FileRow] {
        let (trades, unfiled) = (&mut self.trades, &mut self.unfiled);
        self.files.entry(day).or_insert_with(|| {
            let mut rows = Vec::new();
            unfiled.retain(|number| {
                let Some(trade) = trades.get(number) else { return false };
                let is_ripe = trade.day <= day && trade.known_at <= now;
                if is_ripe {
                    let (reference, verdict) = (trade.reference.clone(), trade.filed.verdict);
                    let row = FileRow { number: number.clone(), reference, verdict };
                    rows.extend(std::iter::repeat_n(row, trade.filed.lines));
                }
                !is_ripe
            });
            rows
        })
    }
}

/// Takes orders as one channel; `None` if the whole call is lost or stays unanswered.
fn take_all(world: &World, channel: &'static str, asked: Vec<Asked>) -> Option<Vec<(String, Word)>> {
    let key = asked.first().map_or_else(String::new, |first| first.number.clone());
    let mut call_fault = world.call_fault(channel, &key);
    if call_fault == Some(Fault::TimeoutBefore) {
        return None;
    }
    let now = world.clock.now();
    let mut words = Vec::with_capacity(asked.len());
    let mut called_back = Vec::new();
    for asked in asked {
        let number = asked.number.clone();
        if let Some((callback, fault)) = take(world, channel, asked, now, &mut call_fault) {
            called_back.push((number.clone(), callback, fault));
        }
        let word = lock(&world.withholding).first_word(channel, &number, now);
        words.push((number, word));
    }
    for (number, trade, fault) in called_back {
        call_back(world, channel, &number, &trade, fault);
    }
    match call_fault {
        Some(Fault::TimeoutBefore | Fault::TimeoutAfter) => None,
        _ => Some(words),
    }
}

/// Takes one order, once; returns what is to be called back, and with which fault.
fn take(
    world: &World,
    channel: &'static str,
    asked: Asked,
    now: DateTime<Utc>,
    call_fault: &mut Option<Fault>,
) -> Option<(Trade, Option<Fault>)> {
    if lock(&world.withholding).channels.get(channel).is_some_and(|book| book.trades.contains_key(&asked.number)) {
        return None;
    }
    let scripted = world.scripted(channel, &[("order", &asked.number), ("card", &asked.agreement)]);
    let fault =
        scripted.as_ref().and_then(|scripted| scripted.fault).or_else(|| world.order_fault(channel, &asked.number));
    if let Some(Fault::TimeoutBefore) = fault {
        *call_fault = fault;
        return None;
    }
    if let Some(Fault::TimeoutAfter) = fault {
        *call_fault = fault;
    }
    let answer = scripted.as_ref().map_or("", |scripted| scripted.answer.as_str());
    let is_late =
        matches!(fault, Some(Fault::LateAnswer | Fault::LostCallback | Fault::DuplicateCallback | Fault::Reorder))
            || answer == "processing";
    let days = scripted.as_ref().and_then(|scripted| scripted.after_days).unwrap_or_default();
    let late_by = if fault == Some(Fault::LateAnswer) { LATE_BY } else { TimeDelta::days(days.into()) };
    let mut books = lock(&world.withholding);
    let verdict = if fault == Some(Fault::Refuse) { Verdict::Down } else { books.decide(&asked, scripted.as_ref()) };
    let told = if answer == "fails_but_collects" { Verdict::TooLittle } else { verdict };
    let filed = filed(answer, scripted.as_ref().and_then(|scripted| scripted.amount_fen), verdict);
    books.charged.insert(asked.number.clone(), charged(answer, filed));
    let book = books.channels.entry(channel).or_default();
    let trade = Trade {
        amount: asked.amount,
        day: asked.day.unwrap_or_else(|| now.date_naive()),
        verdict: told,
        first_word: match answer {
            "unmapped" => Some(FirstWord::Unmapped),
            "not_exist" => Some(FirstWord::NotExist),
            _ if is_late => Some(FirstWord::Processing),
            _ => None,
        },
        known_at: now + late_by,
        reference: format!("{}{:010}", channel.to_uppercase().replace("WITHHOLDING_", "T"), book.trades.len() + 1),
        filed,
    };
    book.trades.insert(asked.number.clone(), trade.clone());
    book.unfiled.push(asked.number);
    is_late.then_some((trade, fault))
}

/// What the daily file is going to say of an order that was answered so.
fn filed(answer: &str, amount_fen: Option<i64>, verdict: Verdict) -> Filed {
    let lines = match answer {
        "not_in_file" => 0,
        "named_twice" | "charged_twice" => 2,
        _ => 1,
    };
    let verdict = match (answer, amount_fen) {
        ("denied_in_file", _) => Verdict::TooLittle,
        ("another_in_file", Some(amount_fen)) => Verdict::Taken(Fen::new(amount_fen)),
        _ => verdict,
    };
    Filed { verdict, lines }
}

/// What the card was charged: what the file says, once unless it was charged twice.
fn charged(answer: &str, filed: Filed) -> Fen {
    let amount = filed.verdict.amount();
    match answer {
        "not_in_file" => Fen::ZERO,
        "charged_twice" => amount + amount,
        _ => amount,
    }
}

fn call_back(world: &World, channel: &'static str, number: &str, trade: &Trade, fault: Option<Fault>) {
    if channel == wire::alpha::NAME {
        world.call_back(channel, &alpha::callback(number, trade), fault);
    } else {
        world.call_back(channel, &beta::callback(number, trade), fault);
    }
}

/// The query of a daily file: the day that it is of.
#[derive(Deserialize)]
struct FileOf {
    day: NaiveDate,
}

fn words(world: &World, channel: &'static str, numbers: Vec<String>) -> Option<Vec<(String, Word)>> {
    let key = numbers.first().cloned().unwrap_or_default();
    if world.call_fault(channel, &key).is_some() {
        return None;
    }
    let now = world.clock.now();
    let books = lock(&world.withholding);
    let word = |number: String| (number.clone(), books.word(channel, &number, now));
    Some(numbers.into_iter().map(word).collect())
}

fn file_rows(world: &World, channel: &'static str, day: NaiveDate) -> Vec<FileRow> {
    let now = world.clock.now();
    lock(&world.withholding).channels.entry(channel).or_default().file(day, now).to_vec()
}

impl FileRow {
    /// The amount taken, and the channel's fee, which it keeps of it.
    fn money(&self) -> (Fen, Fen) {
        let amount = self.verdict.amount();
        (amount, amount.share(COST_PER_MILLE, 1_000))
    }
}

fn sums(rows: &[FileRow]) -> (Fen, Fen) {
    let money = rows.iter().map(FileRow::money);
    money.fold((Fen::ZERO, Fen::ZERO), |(amount, cost), row| (amount + row.0, cost + row.1))
}
