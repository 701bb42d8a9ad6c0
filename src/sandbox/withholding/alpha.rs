//! The counterfeit channel alpha, in its words.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{Asked, FileOf, Trade, Verdict, Word, file_rows, sums, take_all, words};
use crate::base::Fen;
use crate::partner::withholding::wire::alpha as wire;
use crate::sandbox::world::World;
use crate::sandbox::{PLATFORM, refusal};

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/orders", post(orders)).route("/query", post(query)).route("/file", get(file))
}

async fn orders(State(world): State<Arc<World>>, Json(batch): Json<wire::Batch>) -> Response {
    if batch.orders.len() > wire::ORDERS_MAX {
        return refusal(400, "TOO_MANY", "at most 500 orders a call");
    }
    if batch.orders.iter().any(|order| order.agreement_no.is_empty()) {
        return refusal(400, "INCOMPLETE", "an order names no agreement");
    }
    let asked = batch.orders.into_iter().map(|order| Asked {
        number: order.out_order_no,
        agreement: order.agreement_no,
        amount: Fen::new(order.amount),
        allows_part: order.allow_part,
        day: order.trade_date.parse().ok(),
    });
    match take_all(&world, wire::NAME, asked.collect()) {
        Some(words) => answers(words),
        None => world.silence(),
    }
}

async fn query(State(world): State<Arc<World>>, Json(question): Json<wire::Question>) -> Response {
    match words(&world, wire::NAME, question.out_order_nos) {
        Some(words) => answers(words),
        None => world.silence(),
    }
}

fn answers(words: Vec<(String, Word)>) -> Response {
    let results = words.into_iter().map(|(number, word)| answer(number, &word)).collect();
    Json(wire::Answers { results }).into_response()
}

fn answer(out_order_no: String, word: &Word) -> wire::Answer {
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
    wire::Answer { out_order_no, code: code.to_owned(), paid_amount, trade_no }
}

/// What is called back about an order.
pub(super) fn callback(number: &str, trade: &Trade) -> wire::Callback {
    let answer = answer(number.to_owned(), &Word::Final(trade.verdict, trade.reference.clone()));
    wire::Callback {
        mch_id: PLATFORM.to_owned(),
        out_order_no: answer.out_order_no,
        amount: trade.amount.get(),
        code: answer.code,
        paid_amount: answer.paid_amount,
        trade_no: answer.trade_no,
    }
}

async fn file(State(world): State<Arc<World>>, Query(of): Query<FileOf>) -> Response {
    let rows = file_rows(&world, wire::NAME, of.day);
    let mut text = String::from("out_order_no,trade_no,code,amount,cost\n");
    for row in &rows {
        let word = Word::Final(row.verdict, row.reference.clone());
        let code = answer(row.number.clone(), &word).code;
        let (amount, cost) = row.money();
        text.push_str(&format!("{},{},{code},{},{}\n", row.number, row.reference, amount.get(), cost.get()));
    }
    let (amount, cost) = sums(&rows);
    text.push_str(&format!("#{},{},{}\n", rows.len(), amount.get(), cost.get()));
    text.into_response()
}
