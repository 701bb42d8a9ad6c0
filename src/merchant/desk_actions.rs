//! The desk at which merchants' own systems open their orders: those that come at once, of all merchants, in one statement.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::code::{Code, CodeKind, CodeRefusal, CodeStatus, Order};
use super::code_actions::require_active;
use super::{code_store, order, order_store};
use crate::base::Fen;
use crate::base::id::{CodeId, MerchantId};
use crate::error::{Fault, Outcome};
use crate::gather::Gatherer;
use crate::product::Catalogue;

/// Cheap to clone; every clone asks through the same queue.
#[derive(Clone)]
pub struct OrderDesk {
    pool: PgPool,
    wishes: Gatherer<Wish, Opened>,
}

/// An order that could be opened.
struct Wish {
    order: Order,
    kind: CodeKind,
    at: DateTime<Utc>,
}

/// What became of it.
enum Opened {
    Anew(Code),
    /// Nobody could pay it, or its reference stands already, or its merchant may not sell.
    Left {
        wish: Wish,
        is_sold: bool,
    },
}

impl OrderDesk {
    /// Starts a task, which ends when the last handle is dropped.
    pub fn start(pool: PgPool, catalogue: Catalogue) -> OrderDesk {
        let for_wishes = pool.clone();
        let wishes = Gatherer::start(move |wishes| open_all(for_wishes.clone(), catalogue.clone(), wishes));
        OrderDesk { pool, wishes }
    }

    /// Opens an order that a merchant's own system asks for at `at`, unless nobody could pay it. One that was opened before is answered
    /// as it was then, whatever is sold by now, whether its time is over, and whether its merchant may still sell: whoever has lost
    /// the answer hears it. The same reference with another amount or expiry is refused.
    pub async fn open(&self, order: Order, at: DateTime<Utc>) -> Outcome<Code, CodeRefusal> {
        let kind = order.code_kind().map_err(Fault::Refused)?;
        if let Err(refusal) = order.check_expiry(at) {
            let known = find_known(&mut *self.pool.acquire().await?, &order).await?;
            return known.filter(|known| known.kind == kind).ok_or(Fault::Refused(refusal));
        }
        let opened = self.wishes.ask(Wish { order, kind, at }).await.context("an order could not be opened")?;
        let (Wish { order, kind, .. }, is_sold) = match opened {
            Opened::Anew(code) => return Ok(code),
            Opened::Left { wish, is_sold } => (wish, is_sold),
        };
        let mut connection = self.pool.acquire().await?;
        match find_known(&mut connection, &order).await? {
            Some(known) if known.kind == kind => return Ok(known),
            None if !is_sold => return Err(Fault::Refused(CodeRefusal::AmountNotSold)),
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

async fn open_all(pool: PgPool, catalogue: Catalogue, wishes: Vec<Wish>) -> anyhow::Result<Vec<Opened>> {
    let mut connection = pool.acquire().await?;
    let merchant_ids: BTreeSet<Uuid> = wishes.iter().map(|wish| wish.order.merchant_id.uuid()).collect();
    let merchant_ids: Vec<Uuid> = merchant_ids.into_iter().collect();
    let sold = amounts_sold(&mut connection, &catalogue, &merchant_ids).await?;
    let codes: Vec<Option<Code>> = wishes.iter().map(|wish| wish.code(&sold)).collect();
    let sold_codes = wishes.iter().zip(&codes).filter_map(|(wish, code)| Some((code.as_ref()?, wish.at)));
    let written = code_store::insert_order_codes(&mut connection, sold_codes).await?;
    let written: HashSet<CodeId> = written.into_iter().collect();
    let opened = wishes.into_iter().zip(codes).map(|(wish, code)| match code {
        Some(code) if written.contains(&code.code_id) => Opened::Anew(code),
        code => Opened::Left { wish, is_sold: code.is_some() },
    });
    Ok(opened.collect())
}

impl Wish {
    /// The code that is opened if the order's amount is sold.
    fn code(&self, sold: &AmountsSold) -> Option<Code> {
        let merchant_id = self.order.merchant_id;
        let amounts = sold.get(&merchant_id)?;
        let code_id = CodeId::mint(self.at);
        order::is_sold(amounts, self.order.amount).then(|| Code {
            code_id,
            merchant_id,
            kind: self.kind.clone(),
            status: CodeStatus::Open,
        })
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
