//! Both counterfeit withholding channels: take each order once, from cards with known or boundless balances, and give
//! account of it in answers, callbacks and a daily file.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;

use super::fault::Fault;
use super::world::{World, lock};
use super::{PLATFORM, Scripted};
use crate::base::Fen;
use crate::partner::withholding::wire::{alpha, beta};

/// A late answer is known to the channel itself only after so long.
const LATE_BY: TimeDelta = TimeDelta::minutes(10);
/// What a channel keeps of each yuan that it takes, in per mille.
const COST_PER_MILLE: i64 = 2;
/// Every answer that a script may prescribe.
pub const ANSWERS: [&str; 13] = [
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
];
/// Those of them that say nothing without an amount.
pub const ANSWERS_WITH_AMOUNT: [&str; 2] = ["partial", "balance"];

/// What both channels know: cards are the banks', so that a balance is the same on either.
#[derive(Default)]
pub struct Books {
    channels: HashMap<&'static str, Book>,
    /// Cards whose balance is known, by agreement number; all others hold enough for anything.
    balances: HashMap<String, Fen>,
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
    /// What is answered first, whatever is true.
    first_word: Option<FirstWord>,
    known_at: DateTime<Utc>,
    reference: String,
    is_filed: bool,
    /// What the daily file says where it does not say the verdict.
    filed_verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Taken(Fen),
    TooLittle,
    CardInvalid,
    Refused,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FirstWord {
    Processing,
    Unmapped,
    NotExist,
}

/// What is told about one order.
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
    /// From now on the card holds exactly so much; what orders take is taken off.
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

    /// What is told as an order is taken.
    fn first_word(&self, channel: &str, number: &str, now: DateTime<Utc>) -> Word {
        match self.trade(channel, number).and_then(|trade| trade.first_word) {
            Some(FirstWord::Unmapped) => Word::Unmapped,
            Some(FirstWord::NotExist) => Word::Unknown,
            Some(FirstWord::Processing) => Word::Processing,
            None => self.word(channel, number, now),
        }
    }

    /// What is told whenever somebody asks later.
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
    /// The file of a day, the same however often it is fetched: its orders that are final, and earlier ones that became so.
    fn file(&mut self, day: NaiveDate, now: DateTime<Utc>) -> &[FileRow] {
        let (trades, unfiled) = (&mut self.trades, &mut self.unfiled);
        self.files.entry(day).or_insert_with(|| {
            let mut rows = Vec::new();
            unfiled.retain(|number| {
                let Some(trade) = trades.get(number) else { return false };
                let is_ripe = trade.day <= day && trade.known_at <= now;
                if is_ripe && trade.is_filed {
                    let verdict = trade.filed_verdict.unwrap_or(trade.verdict);
                    rows.push(FileRow { number: number.clone(), reference: trade.reference.clone(), verdict });
                }
                !is_ripe
            });
            rows
        })
    }
}

/// Takes orders as one channel; `None` where the whole call goes unheard or unanswered.
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

/// Takes one order, once; returns what is to be called back and how that goes wrong.
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
        is_filed: answer != "not_in_file",
        filed_verdict: match answer {
            "denied_in_file" => Some(Verdict::TooLittle),
            _ => (told != verdict).then_some(verdict),
        },
    };
    book.trades.insert(asked.number.clone(), trade.clone());
    book.unfiled.push(asked.number);
    is_late.then_some((trade, fault))
}

fn call_back(world: &World, channel: &'static str, number: &str, trade: &Trade, fault: Option<Fault>) {
    let (out_order_no, mch_id) = (number.to_owned(), PLATFORM.to_owned());
    let word = Word::Final(trade.verdict, trade.reference.clone());
    if channel == alpha::NAME {
        let answer = alpha_answer(out_order_no.clone(), &word);
        let callback = alpha::Callback {
            mch_id,
            out_order_no,
            amount: trade.amount.get(),
            code: answer.code,
            paid_amount: answer.paid_amount,
            trade_no: answer.trade_no,
        };
        world.call_back(channel, &callback, fault);
    } else {
        let answer = beta_answer(out_order_no.clone(), &word);
        let callback = beta::Callback {
            mer_id: mch_id,
            req_sn: out_order_no,
            amt: yuan(trade.amount),
            ret_code: answer.ret_code,
            amt_paid: answer.amt_paid,
            serial: answer.serial,
        };
        world.call_back(channel, &callback, fault);
    }
}

#[derive(Deserialize)]
struct FileOf {
    day: NaiveDate,
}

pub fn alpha_router() -> Router<Arc<World>> {
    Router::new()
        .route("/orders", post(alpha_orders))
        .route("/query", post(alpha_query))
        .route("/file", get(alpha_file))
}

async fn alpha_orders(State(world): State<Arc<World>>, Json(batch): Json<alpha::Batch>) -> Response {
    if batch.orders.len() > alpha::ORDERS_MAX {
        return super::refusal(400, "TOO_MANY", "at most 500 orders a call");
    }
    if batch.orders.iter().any(|order| order.agreement_no.is_empty()) {
        return super::refusal(400, "INCOMPLETE", "an order names no agreement");
    }
    let asked = batch.orders.into_iter().map(|order| Asked {
        number: order.out_order_no,
        agreement: order.agreement_no,
        amount: Fen::new(order.amount),
        allows_part: order.allow_part,
        day: order.trade_date.parse().ok(),
    });
    match take_all(&world, alpha::NAME, asked.collect()) {
        Some(words) => alpha_answers(words),
        None => world.silence(),
    }
}

async fn alpha_query(State(world): State<Arc<World>>, Json(question): Json<alpha::Question>) -> Response {
    match words(&world, alpha::NAME, question.out_order_nos) {
        Some(words) => alpha_answers(words),
        None => world.silence(),
    }
}

fn alpha_answers(words: Vec<(String, Word)>) -> Response {
    let results = words.into_iter().map(|(number, word)| alpha_answer(number, &word)).collect();
    Json(alpha::Answers { results }).into_response()
}

fn alpha_answer(out_order_no: String, word: &Word) -> alpha::Answer {
    let code = match word {
        Word::Final(Verdict::Taken(_), _) => "SUCCESS",
        Word::Final(Verdict::TooLittle, _) => "BALANCE_LOW",
        Word::Final(Verdict::CardInvalid, _) => "CARD_CLOSED",
        Word::Final(Verdict::Refused, _) => "RISK_REFUSED",
        Word::Final(Verdict::Down, _) => "BANK_DOWN",
        Word::Processing => "PROCESSING",
        Word::Unmapped => "E_777",
        Word::Unknown => "NOT_EXIST",
    };
    let (paid_amount, trade_no) = match word {
        Word::Final(Verdict::Taken(amount), reference) => (Some(amount.get()), Some(reference.clone())),
        _ => (None, None),
    };
    alpha::Answer { out_order_no, code: code.to_owned(), paid_amount, trade_no }
}

async fn alpha_file(State(world): State<Arc<World>>, Query(of): Query<FileOf>) -> Response {
    let rows = file_rows(&world, alpha::NAME, of.day);
    let mut text = String::from("out_order_no,trade_no,code,amount,cost\n");
    for row in &rows {
        let word = Word::Final(row.verdict, row.reference.clone());
        let code = alpha_answer(row.number.clone(), &word).code;
        let (amount, cost) = row.money();
        text.push_str(&format!("{},{},{code},{},{}\n", row.number, row.reference, amount.get(), cost.get()));
    }
    let (amount, cost) = sums(&rows);
    text.push_str(&format!("#{},{},{}\n", rows.len(), amount.get(), cost.get()));
    text.into_response()
}

pub fn beta_router() -> Router<Arc<World>> {
    Router::new().route("/orders", post(beta_orders)).route("/query", post(beta_query)).route("/file", get(beta_file))
}

async fn beta_orders(State(world): State<Arc<World>>, Json(batch): Json<beta::Batch>) -> Response {
    if batch.reqs.len() > beta::ORDERS_MAX {
        return super::refusal(400, "4001", "at most 500 requests a call");
    }
    if batch.reqs.iter().any(|order| order.contract_no.is_empty()) {
        return super::refusal(400, "4002", "a request names no contract");
    }
    let asked = batch.reqs.into_iter().map(|order| Asked {
        number: order.req_sn,
        agreement: order.contract_no,
        amount: fen(&order.amt),
        allows_part: order.part == "Y",
        day: NaiveDate::parse_from_str(&order.settle_day, "%Y%m%d").ok(),
    });
    match take_all(&world, beta::NAME, asked.collect()) {
        Some(words) => beta_answers(words),
        None => world.silence(),
    }
}

async fn beta_query(State(world): State<Arc<World>>, Json(question): Json<beta::Question>) -> Response {
    match words(&world, beta::NAME, question.req_sns) {
        Some(words) => beta_answers(words),
        None => world.silence(),
    }
}

fn beta_answers(words: Vec<(String, Word)>) -> Response {
    let rsps = words.into_iter().map(|(number, word)| beta_answer(number, &word)).collect();
    Json(beta::Answers { rsps }).into_response()
}

fn beta_answer(req_sn: String, word: &Word) -> beta::Answer {
    let ret_code = match word {
        Word::Final(Verdict::Taken(_), _) => "0000",
        Word::Final(Verdict::TooLittle, _) => "3008",
        Word::Final(Verdict::CardInvalid, _) => "3004",
        Word::Final(Verdict::Refused, _) => "3999",
        Word::Final(Verdict::Down, _) => "1002",
        Word::Processing => "2000",
        Word::Unmapped => "7777",
        Word::Unknown => "1000",
    };
    let (amt_paid, serial) = match word {
        Word::Final(Verdict::Taken(amount), reference) => (Some(yuan(*amount)), Some(reference.clone())),
        _ => (None, None),
    };
    beta::Answer { req_sn, ret_code: ret_code.to_owned(), amt_paid, serial }
}

async fn beta_file(State(world): State<Arc<World>>, Query(of): Query<FileOf>) -> Response {
    let rows = file_rows(&world, beta::NAME, of.day);
    let mut text = String::new();
    for row in &rows {
        let word = Word::Final(row.verdict, row.reference.clone());
        let code = beta_answer(row.number.clone(), &word).ret_code;
        let (amount, cost) = row.money();
        text.push_str(&format!("{}|{}|{code}|{}|{}\n", row.number, row.reference, yuan(amount), yuan(cost)));
    }
    let (amount, cost) = sums(&rows);
    text.push_str(&format!("END|{}|{}|{}\n", rows.len(), yuan(amount), yuan(cost)));
    text.into_response()
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
    /// What was taken, and what the channel keeps of it.
    fn money(&self) -> (Fen, Fen) {
        match self.verdict {
            Verdict::Taken(amount) => (amount, amount.share(COST_PER_MILLE, 1_000)),
            Verdict::TooLittle | Verdict::CardInvalid | Verdict::Refused | Verdict::Down => (Fen::ZERO, Fen::ZERO),
        }
    }
}

fn sums(rows: &[FileRow]) -> (Fen, Fen) {
    let money = rows.iter().map(FileRow::money);
    money.fold((Fen::ZERO, Fen::ZERO), |(amount, cost), row| (amount + row.0, cost + row.1))
}

fn yuan(amount: Fen) -> String {
    format!("{}.{:02}", amount.get() / 100, amount.get() % 100)
}

fn fen(yuan: &str) -> Fen {
    let digits: String = yuan.chars().filter(char::is_ascii_digit).collect();
    Fen::new(digits.parse().unwrap_or(0))
}
