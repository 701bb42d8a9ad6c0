//! Purchases by signed order and confirmation over HTTP, and the same in the process.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::caller::{Caller, written};
use super::{Bench, connect_callers, dealt, signed};
use crate::base::id::{CodeId, LineId, MerchantId, ProductId};
use crate::base::{Clock, Fen};
use crate::bench::figure::rate_per_second;
use crate::bench::world::Book;
use crate::error::Fault;
use crate::http::Problem;
use crate::merchant::code::Order;
use crate::purchase::{Authoriser, Decision, PurchaseRequest};

const AMOUNT: Fen = Fen::new(23_450);
const PERIODS: u16 = 12;
/// The path at which a borrower confirms.
pub(super) const CONFIRM: &str = "/confirm";

impl Bench {
    /// Purchases per second at a printed code, by authorisation alone.
    pub(super) async fn buy_in_process(&self, run: usize, count: usize) -> anyhow::Result<Decimal> {
        let requests =
            (0..count).map(|number| purchase_request(&self.book, number, format!("in-{run}-{number}"), None)).collect();
        let authoriser = self.authoriser.clone();
        rate(requests, move |request| {
            let authoriser = authoriser.clone();
            async move { buy(&authoriser, request).await }
        })
        .await
    }

    /// Purchases per second as over HTTP, with an order opened for each, but by calling the use cases directly.
    pub(super) async fn order_and_buy_in_process(&self, run: usize, count: usize) -> anyhow::Result<Decimal> {
        let (authoriser, desk, book) = (self.authoriser.clone(), self.desk.clone(), Arc::clone(&self.book));
        rate((0..count).collect(), move |number| {
            let (authoriser, desk, book) = (authoriser.clone(), desk.clone(), Arc::clone(&book));
            async move {
                let now = Clock::System.now();
                let order = Order {
                    merchant_id: book.merchants[0],
                    reference: format!("I{run}-{number}"),
                    amount: AMOUNT,
                    expires_at: now + TimeDelta::hours(1),
                };
                let code = desk.open(order, now).await.map_err(Fault::into_error)?;
                buy(&authoriser, purchase_request(&book, number, format!("ordered-{run}-{number}"), Some(code.code_id)))
                    .await
            }
        })
        .await
    }

    /// Purchases per second by a signed order and its confirmation over HTTP.
    pub(super) async fn buy_over_http(&self, run: usize, count: usize) -> anyhow::Result<Decimal> {
        let path = "/api/v1/merchant/orders";
        let expires_at = (Clock::System.now() + TimeDelta::hours(1)).to_rfc3339();
        let orders = (0..count).map(|number| {
            let body = serde_json::json!({
                "reference": format!("R{run}-{number}"), "amount_fen": AMOUNT, "expires_at": expires_at });
            let body = body.to_string().into_bytes();
            let authorization = signed(&self.cashier, "POST", path, &body);
            let key = format!("order-{run}-{number}");
            let order =
                written(path, [("authorization", authorization.as_str()), ("idempotency-key", key.as_str())], &body);
            (order, purchase_request(&self.book, number, format!("out-{run}-{number}"), None))
        });
        let shares = connect_callers(self.address, orders.collect()).await?;
        let started = Instant::now();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|(mut caller, share)| {
                tokio::spawn(async move {
                    for (order, request) in share {
                        order_and_confirm(&mut caller, &order, &request).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(rate_per_second(count as u64, started.elapsed()))
    }
}

async fn order_and_confirm(caller: &mut Caller, order: &[u8], request: &PurchaseRequest) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Made {
        order_id: CodeId,
    }
    let made: Made = serde_json::from_slice(caller.ask(order).await?)?;
    let body = serde_json::json!({
        "line_id": request.line_id, "merchant_id": request.merchant_id, "order_id": made.order_id,
        "product_id": request.product_id, "key": request.idempotency_key });
    caller.ask(&written(CONFIRM, None, body.to_string().as_bytes())).await?;
    Ok(())
}

/// A borrower's confirmation over HTTP. It holds what the authoriser needs; page, session and PIN are left out, because the hash of a
/// PIN is slow on purpose.
#[derive(Deserialize)]
pub(super) struct Confirmation {
    line_id: LineId,
    merchant_id: MerchantId,
    order_id: CodeId,
    product_id: ProductId,
    key: String,
}

/// Handles a confirmation: authorises the purchase, and fails if it is refused.
pub(super) async fn confirm(
    State(authoriser): State<Authoriser>,
    Json(confirmed): Json<Confirmation>,
) -> Result<(), Problem> {
    let request = PurchaseRequest {
        line_id: confirmed.line_id,
        idempotency_key: confirmed.key,
        merchant_id: confirmed.merchant_id,
        order_code: Some(confirmed.order_id),
        product_id: confirmed.product_id,
        product_version: 1,
        periods: PERIODS,
        amount: AMOUNT,
    };
    Ok(bought(authoriser.authorise(request).await?.decision)?)
}

/// Does the work by concurrent callers, each one piece after the other; returns pieces per second.
async fn rate<W, Doing>(work: Vec<W>, each: impl Fn(W) -> Doing + Clone + Send + 'static) -> anyhow::Result<Decimal>
where
    W: Send + 'static,
    Doing: Future<Output = anyhow::Result<()>> + Send,
{
    let count = work.len() as u64;
    let shares = dealt(work);
    let started = Instant::now();
    let tasks: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let each = each.clone();
            tokio::spawn(async move {
                for one in share {
                    each(one).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(rate_per_second(count, started.elapsed()))
}

async fn buy(authoriser: &Authoriser, request: PurchaseRequest) -> anyhow::Result<()> {
    bought(authoriser.authorise(request).await.map_err(Fault::into_error)?.decision)
}

fn bought(decision: Decision) -> anyhow::Result<()> {
    match decision {
        Decision::Authorised { .. } => Ok(()),
        Decision::Refused(refusal) => anyhow::bail!("a purchase of the benchmark was refused: {refusal}"),
    }
}

/// The request of purchase `number`, by one of the book's lines at its first merchant.
pub(super) fn purchase_request(book: &Book, number: usize, key: String, order_code: Option<CodeId>) -> PurchaseRequest {
    PurchaseRequest {
        // The stride is prime to the number of lines, so all lines are visited, in another order than that of their ids.
        line_id: book.lines[number.wrapping_mul(7_919) % book.lines.len()],
        idempotency_key: key,
        merchant_id: book.merchants[0],
        order_code,
        product_id: book.product_id,
        product_version: 1,
        periods: PERIODS,
        amount: AMOUNT,
    }
}
