//! Purchases by signed order and confirmation over HTTP, and the same in the process.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::caller::{Caller, written};
use super::{Bench, dealt, shares, signed};
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
/// Where a borrower confirms.
pub(super) const CONFIRM: &str = "/confirm";

impl Bench {
    /// Purchases at a printed code.
    pub(super) async fn buy_in_process(&self, run: usize, count: usize) -> anyhow::Result<Decimal> {
        let wishes = (0..count).map(|number| wish(&self.book, number, format!("in-{run}-{number}"), None)).collect();
        let authoriser = self.authoriser.clone();
        rate(wishes, move |wish| {
            let authoriser = authoriser.clone();
            async move { buy(&authoriser, wish).await }
        })
        .await
    }

    /// What is bought over HTTP, an order opened for each purchase, by the same use cases.
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
                buy(&authoriser, wish(&book, number, format!("ordered-{run}-{number}"), Some(code.code_id))).await
            }
        })
        .await
    }

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
            (order, wish(&self.book, number, format!("out-{run}-{number}"), None))
        });
        let shares = shares(self.address, orders.collect()).await?;
        let started = Instant::now();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|(mut caller, share)| {
                tokio::spawn(async move {
                    for (order, wish) in share {
                        order_and_confirm(&mut caller, &order, &wish).await?;
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

async fn order_and_confirm(caller: &mut Caller, order: &[u8], wish: &PurchaseRequest) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Made {
        order_id: CodeId,
    }
    let made: Made = serde_json::from_slice(caller.ask(order).await?)?;
    let body = serde_json::json!({
        "line_id": wish.line_id, "merchant_id": wish.merchant_id, "order_id": made.order_id,
        "product_id": wish.product_id, "key": wish.idempotency_key });
    caller.ask(&written(CONFIRM, None, body.to_string().as_bytes())).await?;
    Ok(())
}

/// A borrower's confirmation, as it comes over HTTP: what the authoriser is asked, without page, session and PIN, whose hash is slow on
/// purpose.
#[derive(Deserialize)]
pub(super) struct Confirmation {
    line_id: LineId,
    merchant_id: MerchantId,
    order_id: CodeId,
    product_id: ProductId,
    key: String,
}

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

/// Work a second of callers who do one thing after the other.
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

async fn buy(authoriser: &Authoriser, wish: PurchaseRequest) -> anyhow::Result<()> {
    bought(authoriser.authorise(wish).await.map_err(Fault::into_error)?.decision)
}

fn bought(decision: Decision) -> anyhow::Result<()> {
    match decision {
        Decision::Authorised { .. } => Ok(()),
        Decision::Refused(refusal) => anyhow::bail!("a purchase of the benchmark was refused: {refusal}"),
    }
}

pub(super) fn wish(book: &Book, number: usize, key: String, order_code: Option<CodeId>) -> PurchaseRequest {
    PurchaseRequest {
        // A stride prime to the number of lines visits them all in an order that is not that of their ids.
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
