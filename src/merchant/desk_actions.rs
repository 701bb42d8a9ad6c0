//! The desk at which merchants' own systems open their orders: those that come at once, of all merchants, in one statement.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::code::{Code, CodeRefusal, CodeStatus, Order};
use super::code_actions::require_active;
use super::code_store::{self, NewOrderCode};
use super::{order, order_store};
use crate::access::FirstAnswer;
use crate::base::Fen;
use crate::base::id::{CodeId, MerchantId};
use crate::error::{Fault, Outcome};
use crate::gather::{Answered, Gatherer, Left};
use crate::product::Catalogue;

/// Cheap to clone; every clone asks through the same queue.
#[derive(Clone)]
pub struct OrderDesk {
    pool: PgPool,
    wishes: Gatherer<Wish, Judged>,
}

/// An order that stands.
#[derive(Debug)]
pub struct OpenedOrder {
    pub code: Code,
    /// What is kept as the answer under the key of whoever asked; nothing where the order stood already.
    pub answer: Option<FirstAnswer>,
}

/// An order that could be opened.
struct Wish {
    order: Order,
    code: Code,
    at: DateTime<Utc>,
    answer: Option<FirstAnswer>,
}

/// A wish, and what became of it.
struct Judged {
    wish: Wish,
    became: Became,
}

enum Became {
    Opened,
    /// Nobody could pay it.
    NotSold,
    /// Its reference stands already, or its merchant may not sell.
    Left,
}

impl OrderDesk {
    /// Starts a task, which ends when the last handle is dropped.
    pub fn start(pool: PgPool, catalogue: Catalogue) -> OrderDesk {
        let for_wishes = pool.clone();
        let wishes = Gatherer::start(move |wishes, left| open_all(for_wishes.clone(), catalogue.clone(), wishes, left));
        OrderDesk { pool, wishes }
    }

    /// Opens an order that a merchant's own system asks for at `at`, unless nobody could pay it. One that was opened before is answered
    /// as it was then, whatever is sold by now, whether its time is over, and whether its merchant may still sell: whoever has lost
    /// the answer hears it. The same reference with another amount or expiry is refused.
    pub async fn open(&self, order: Order, at: DateTime<Utc>) -> Outcome<Code, CodeRefusal> {
        self.open_answered(order, at, |_| None).await.map(|opened| opened.code)
    }

    /// The same for whoever is answered under an idempotency key: what `answer` says of the code is kept with an order that is opened
    /// anew, in one statement. Any other outcome is the caller's to answer and to keep.
    pub async fn open_answered(
        &self,
        order: Order,
        at: DateTime<Utc>,
        answer: impl FnOnce(&Code) -> Option<FirstAnswer> + Send,
    ) -> Outcome<OpenedOrder, CodeRefusal> {
        let kind = order.code_kind().map_err(Fault::Refused)?;
        let as_it_stands = |code: Code| OpenedOrder { code, answer: None };
        if let Err(refusal) = order.check_expiry(at) {
            let known = find_known(&mut *self.pool.acquire().await?, &order).await?;
            let known = known.filter(|known| known.kind == kind);
            return known.map(as_it_stands).ok_or(Fault::Refused(refusal));
        }
        let merchant_id = order.merchant_id;
        let code = Code { code_id: CodeId::mint(at), merchant_id, kind, status: CodeStatus::Open };
        let answer = answer(&code);
        let judged = self.wishes.ask(Wish { order, code, at, answer }).await.context("an order could not be opened")?;
        let Judged { wish: Wish { order, code, answer, .. }, became } = judged;
        if matches!(became, Became::Opened) {
            return Ok(OpenedOrder { code, answer });
        }
        let mut connection = self.pool.acquire().await?;
        match find_known(&mut connection, &order).await? {
            Some(known) if known.kind == code.kind => return Ok(as_it_stands(known)),
            None if matches!(became, Became::NotSold) => return Err(Fault::Refused(CodeRefusal::AmountNotSold)),
            Some(_) | None => {}
        }
        require_active(&mut connection, order.merchant_id).await?;
        Err(Fault::Refused(CodeRefusal::ReferenceTaken { reference: order.reference }))
    }
}

/// The code of the order that stands under a merchant's reference.
async fn find_known(connection: &mut PgConnection, order: &Order) -> sqlx::Result<Option<Code>> {
    code_store::find_code_of(connection, order.merchant_id, Some(&order.reference)).await
}

async fn open_all(
    pool: PgPool,
    catalogue: Catalogue,
    wishes: Vec<Wish>,
    left: Left,
) -> anyhow::Result<Answered<Judged>> {
    let mut connection = left.take(&pool).await?;
    let merchant_ids: BTreeSet<Uuid> = wishes.iter().map(|wish| wish.order.merchant_id.uuid()).collect();
    let merchant_ids: Vec<Uuid> = merchant_ids.into_iter().collect();
    let sold = amounts_sold(&mut connection, &catalogue, &merchant_ids).await?;
    let sold_wishes = wishes.iter().filter(|wish| wish.is_sold(&sold));
    let new_orders: Vec<NewOrderCode<'_>> = sold_wishes.map(Wish::new_code).collect();
    let written = code_store::insert_order_codes(&mut connection, &new_orders).await?;
    let left = Left::of(connection, &pool);
    let written: HashSet<CodeId> = written.into_iter().collect();
    let judged = wishes.into_iter().map(|wish| {
        let became = match written.contains(&wish.code.code_id) {
            true => Became::Opened,
            false if wish.is_sold(&sold) => Became::Left,
            false => Became::NotSold,
        };
        Judged { wish, became }
    });
    Ok(Answered { answers: judged.collect(), left })
}

impl Wish {
    fn new_code(&self) -> NewOrderCode<'_> {
        NewOrderCode { code: &self.code, at: self.at, answer: self.answer.as_ref() }
    }

    fn is_sold(&self, sold: &AmountsSold) -> bool {
        sold.get(&self.order.merchant_id).is_some_and(|amounts| order::is_sold(amounts, self.order.amount))
    }
}

/// What one purchase at each merchant may come to, by each product that is sold there.
type AmountsSold = HashMap<MerchantId, Vec<(Fen, Fen)>>;

pub(super) async fn amounts_sold(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    merchant_ids: &[Uuid],
) -> anyhow::Result<AmountsSold> {
    let mut sold = AmountsSold::new();
    for one in order_store::load_on_sale(&mut *connection, merchant_ids).await? {
        let product = catalogue.get(&mut *connection, one.product_id, one.version).await?;
        sold.entry(one.merchant_id).or_default().extend(order::amounts_sold(&[product], &one.category, one.today));
    }
    Ok(sold)
}
