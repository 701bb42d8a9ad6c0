//! Opens the orders of merchants' own systems. Requests that come at the same time, of all merchants, are written by one
//! statement; [`OrderDesk`] is what callers use.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::code::{Code, CodeRefusal, CodeStatus, Order};
use super::code_actions::require_active;
use super::code_store::{self, NewOrderCode, OnSaleSeen};
use super::{order, order_store};
use crate::access::FirstAnswer;
use crate::base::Fen;
use crate::base::id::{CodeId, MerchantId, ProductId};
use crate::error::{Fault, Outcome};
use crate::gather::{Answered, Gatherer, Left};
use crate::product::Catalogue;

/// For how many merchants a node remembers what is sold there; beyond that it forgets the others.
const REMEMBERED_MAX: usize = 10_000;

/// Opens orders. Cheap to clone; all clones share one queue.
#[derive(Clone)]
pub struct OrderDesk {
    pool: PgPool,
    to_open: Gatherer<OrderToOpen, Judged>,
}

/// The order that a request asks for, newly opened or as it was opened before.
#[derive(Debug)]
pub struct OpenedOrder {
    pub code: Code,
    /// The answer that was stored under the caller's idempotency key; `None` where the order was opened before.
    pub answer: Option<FirstAnswer>,
}

/// An order to be opened, and its code if it is.
struct OrderToOpen {
    order: Order,
    code: Code,
    at: DateTime<Utc>,
    answer: Option<FirstAnswer>,
}

/// An order to open, and what became of it.
struct Judged {
    wanted: OrderToOpen,
    became: Became,
}

enum Became {
    Opened,
    /// No product is sold for this amount, so nobody could pay it.
    NotSold,
    /// Its reference is taken, or its merchant may not sell.
    NotOpened,
}

impl OrderDesk {
    /// Starts the task that works on the queue; it ends when the last handle is dropped.
    pub fn start(pool: PgPool, catalogue: Catalogue) -> OrderDesk {
        let desk = Arc::new(Desk { pool: pool.clone(), catalogue, selling: Mutex::default() });
        let to_open = Gatherer::start(move |to_open, left| open_all(desk.clone(), to_open, left));
        OrderDesk { pool, to_open }
    }

    /// Opens an order that a merchant's own system asks for at `at`, unless nobody could pay it. An order that was opened
    /// before is returned in its present state, even if its amount is no longer sold, it has expired, or its merchant may no
    /// longer sell: so a caller that lost the answer gets it. The same reference with another amount or expiry is refused.
    pub async fn open(&self, order: Order, at: DateTime<Utc>) -> Outcome<Code, CodeRefusal> {
        self.open_answered(order, at, |_| None).await.map(|opened| opened.code)
    }

    /// As [`OrderDesk::open`], for a request with an idempotency key: if an order is opened, the answer that `answer` makes
    /// of its code is stored under the key in the same statement. Any other outcome the caller must answer and store itself.
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
        let judged =
            self.to_open.ask(OrderToOpen { order, code, at, answer }).await.context("an order could not be opened")?;
        let Judged { wanted: OrderToOpen { order, code, answer, .. }, became } = judged;
        if matches!(became, Became::Opened) {
            return Ok(OpenedOrder { code, answer });
        }
        let mut connection = self.pool.acquire().await?;
        let is_taken = match find_known(&mut connection, &order).await? {
            Some(known) if known.kind == code.kind => return Ok(as_it_stands(known)),
            None if matches!(became, Became::NotSold) => return Err(Fault::Refused(CodeRefusal::AmountNotSold)),
            known => known.is_some(),
        };
        require_active(&mut connection, order.merchant_id).await?;
        if is_taken {
            return Err(Fault::Refused(CodeRefusal::ReferenceTaken { reference: order.reference }));
        }
        // The merchant could not sell a moment ago, and can now. A refusal would be stored under the caller's key for good; a
        // failure lets the caller ask again.
        Err(Fault::Failed(anyhow!("an order was not opened, though nothing stands in its way any more")))
    }
}

/// The code of the merchant's order with the same reference.
async fn find_known(connection: &mut PgConnection, order: &Order) -> sqlx::Result<Option<Code>> {
    code_store::find_code_of(connection, order.merchant_id, Some(&order.reference)).await
}

/// What the batches of a node share.
struct Desk {
    pool: PgPool,
    catalogue: Catalogue,
    /// What was read last. Orders are opened by it only where the statement that opens them finds that it still holds.
    selling: Mutex<Option<Arc<Selling>>>,
}

/// What is on sale on a business day, and which amounts of it at some merchants.
struct Selling {
    seen: OnSaleSeen,
    merchants: HashMap<MerchantId, SoldAt>,
}

#[derive(Clone)]
struct SoldAt {
    category: String,
    /// The least and the greatest amount of one purchase, for each product.
    amounts: Vec<(Fen, Fen)>,
}

/// Opens a batch: first by what this node remembers of the products on sale, then, for what is left, by reading them again.
async fn open_all(desk: Arc<Desk>, to_open: Vec<OrderToOpen>, left: Left) -> anyhow::Result<Answered<Judged>> {
    let mut connection = left.take(&desk.pool).await?;
    let merchant_ids: BTreeSet<MerchantId> = to_open.iter().map(|wanted| wanted.order.merchant_id).collect();
    let mut opened = HashSet::new();
    if let Some(selling) = desk.remembered(&merchant_ids) {
        let codes: Vec<NewOrderCode<'_>> = to_open.iter().filter_map(|wanted| wanted.new_code(&selling)).collect();
        opened.extend(code_store::insert_order_codes(&mut connection, &codes, Some(&selling.seen)).await?);
    }
    // The rest was not opened by what this node remembers: other products are on sale by now, or the order is refused, or it
    // was opened before.
    let mut sold = HashSet::new();
    if opened.len() < to_open.len()
        && let Some(selling) = desk.read_and_remember(&mut connection, &merchant_ids).await?
    {
        let others = to_open.iter().filter(|wanted| !opened.contains(&wanted.code.code_id));
        let codes: Vec<NewOrderCode<'_>> = others.filter_map(|wanted| wanted.new_code(&selling)).collect();
        sold.extend(codes.iter().map(|one| one.code.code_id));
        opened.extend(code_store::insert_order_codes(&mut connection, &codes, None).await?);
    }
    let left = Left::of(connection, &desk.pool);
    let judged = to_open.into_iter().map(|wanted| {
        let became = match opened.contains(&wanted.code.code_id) {
            true => Became::Opened,
            false if sold.contains(&wanted.code.code_id) => Became::NotOpened,
            false => Became::NotSold,
        };
        Judged { wanted, became }
    });
    Ok(Answered { answers: judged.collect(), left })
}

impl OrderToOpen {
    /// The code that is opened if the order's amount is sold.
    fn new_code<'a>(&'a self, selling: &'a Selling) -> Option<NewOrderCode<'a>> {
        let SoldAt { category, amounts } = selling.merchants.get(&self.order.merchant_id)?;
        let (code, at, answer) = (&self.code, self.at, self.answer.as_ref());
        order::is_sold(amounts, self.order.amount).then_some(NewOrderCode { code, at, answer, category })
    }
}

impl Desk {
    /// What was read last, if it covers all of these merchants.
    fn remembered(&self, merchant_ids: &BTreeSet<MerchantId>) -> Option<Arc<Selling>> {
        let selling = self.selling.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        merchant_ids.iter().all(|merchant_id| selling.merchants.contains_key(merchant_id)).then_some(selling)
    }

    /// Reads what is sold at these merchants now, and remembers it; `None` where no product is on sale.
    async fn read_and_remember(
        &self,
        connection: &mut PgConnection,
        merchant_ids: &BTreeSet<MerchantId>,
    ) -> anyhow::Result<Option<Arc<Selling>>> {
        let merchant_ids: Vec<Uuid> = merchant_ids.iter().map(|merchant_id| merchant_id.uuid()).collect();
        let Some(mut selling) = load_selling(connection, &self.catalogue, &merchant_ids).await? else {
            return Ok(None);
        };
        let mut last = self.selling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = last.as_ref()
            && before.seen == selling.seen
            && before.merchants.len() < REMEMBERED_MAX
        {
            for (merchant_id, sold) in &before.merchants {
                selling.merchants.entry(*merchant_id).or_insert_with(|| sold.clone());
            }
        }
        let selling = Arc::new(selling);
        *last = Some(selling.clone());
        Ok(Some(selling))
    }
}

/// The least and the greatest amount of one purchase, for each product that is sold at a merchant.
pub(super) async fn amounts_sold(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    merchant_id: MerchantId,
) -> anyhow::Result<Vec<(Fen, Fen)>> {
    let selling = load_selling(connection, catalogue, &[merchant_id.uuid()]).await?;
    let sold = selling.and_then(|mut selling| selling.merchants.remove(&merchant_id));
    Ok(sold.map(|sold| sold.amounts).unwrap_or_default())
}

async fn load_selling(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    merchant_ids: &[Uuid],
) -> anyhow::Result<Option<Selling>> {
    let rows = order_store::load_on_sale(&mut *connection, merchant_ids).await?;
    let Some(today) = rows.first().map(|row| row.today) else { return Ok(None) };
    let versions: BTreeMap<ProductId, i32> = rows.iter().map(|row| (row.product_id, row.version)).collect();
    let mut merchants: HashMap<MerchantId, SoldAt> = HashMap::new();
    for row in rows {
        let product = catalogue.get(&mut *connection, row.product_id, row.version).await?;
        let amounts = order::amounts_sold(&[product], &row.category, today);
        let unsold = SoldAt { category: row.category, amounts: Vec::new() };
        merchants.entry(row.merchant_id).or_insert(unsold).amounts.extend(amounts);
    }
    Ok(Some(Selling { seen: OnSaleSeen { versions, today }, merchants }))
}
