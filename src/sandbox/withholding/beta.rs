//! The counterfeit channel beta, in its words: amounts are yuan as text.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::NaiveDate;

use super::{Asked, FileOf, Trade, Verdict, Word, file_rows, sums, take_all, words};
use crate::base::Fen;
use crate::partner::withholding::wire::beta as wire;
use crate::sandbox::world::World;
use crate::sandbox::{PLATFORM, refusal};

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/orders", post(orders)).route("/query", post(query)).route("/file", get(file))
}

async fn orders(State(world): State<Arc<World>>, Json(batch): Json<wire::Batch>) -> Response {
    if batch.reqs.len() > wire::ORDERS_MAX {
        return refusal(400, "4001", "at most 500 requests a call");
    }
    if batch.reqs.iter().any(|order| order.contract_no.is_empty()) {
        return refusal(400, "4002", "a request names no contract");
    }
    let asked = batch.reqs.into_iter().map(|order| Asked {
        number: order.req_sn,
        agreement: order.contract_no,
        amount: fen(&order.amt),
        allows_part: order.part == "Y",
        day: NaiveDate::parse_from_str(&order.settle_day, "%Y%m%d").ok(),
    });
    match take_all(&world, wire::NAME, asked.collect()) {
        Some(words) => answers(words),
        None => world.silence(),
    }
}

async fn query(State(world): State<Arc<World>>, Json(question): Json<wire::Question>) -> Response {
    match words(&world, wire::NAME, question.req_sns) {
        Some(words) => answers(words),
        None => world.silence(),
    }
}

fn answers(words: Vec<(String, Word)>) -> Response {
    let rsps = words.into_iter().map(|(number, word)| answer(number, &word)).collect();
    Json(wire::Answers { rsps }).into_response()
}

fn answer(req_sn: String, word: &Word) -> wire::Answer {
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
    wire::Answer { req_sn, ret_code: ret_code.to_owned(), amt_paid, serial }
}

/// What is called back about an order.
pub(super) fn callback(number: &str, trade: &Trade) -> wire::Callback {
    let answer = answer(number.to_owned(), &Word::Final(trade.verdict, trade.reference.clone()));
    wire::Callback {
        mer_id: PLATFORM.to_owned(),
        req_sn: answer.req_sn,
        amt: yuan(trade.amount),
        ret_code: answer.ret_code,
        amt_paid: answer.amt_paid,
        serial: answer.serial,
    }
}

async fn file(State(world): State<Arc<World>>, Query(of): Query<FileOf>) -> Response {
    let rows = file_rows(&world, wire::NAME, of.day);
    let mut text = String::new();
    for row in &rows {
        let word = Word::Final(row.verdict, row.reference.clone());
        let code = answer(row.number.clone(), &word).ret_code;
        let (amount, cost) = row.money();
        text.push_str(&format!("{}|{}|{code}|{}|{}\n", row.number, row.reference, yuan(amount), yuan(cost)));
    }
    let (amount, cost) = sums(&rows);
    text.push_str(&format!("END|{}|{}|{}\n", rows.len(), yuan(amount), yuan(cost)));
    text.into_response()
}

fn yuan(amount: Fen) -> String {
    format!("{}.{:02}", amount.get() / 100, amount.get() % 100)
}

fn fen(yuan: &str) -> Fen {
    let digits: String = yuan.chars().filter(char::is_ascii_digit).collect();
    Fen::new(digits.parse().unwrap_or(0))
}
