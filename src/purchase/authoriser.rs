//! The authoriser: gathers the purchases that are waiting and decides them together in one transaction.
//!
//! While one batch commits, the next one fills; there is no timer. One batch is in flight on one node, so the reserve,
//! locked last, is held for one round of writes and is never a queue. Several nodes take turns by the reserve's row lock.

use std::collections::HashMap;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, PgTransaction, Postgres};
use tokio::sync::{mpsc, oneshot};

use super::decision::{Desk, Offer, Written};
use super::model::{PurchaseRequest, Receipt, RequestRefusal};
use super::notices;
use super::risk_actions::weigh;
use super::store;
use super::weighing::Weighed;
use crate::app::App;
use crate::base::id::{CodeId, FunderId, LineId, MerchantId, ProductId};
use crate::base::{BusinessDay, Fen};
use crate::business_day;
use crate::credit::{self, Line};
use crate::error::{Fault, Outcome};
use crate::funder::reserve::{Occasion, ReserveEntryKind};
use crate::funder::{lock_reserve, save_reserve};
use crate::ledger;
use crate::loan::store::insert_loans;
use crate::merchant::code::Code;
use crate::merchant::{self, MerchantTerms};
use crate::notice;
use crate::outbox;
use crate::product;

/// Purchases decided in one transaction. Larger batches gain little and make the first caller wait for the last.
const BATCH_MAX: usize = 128;
/// Purchases that may wait; beyond it callers are told to come back, which is better than an unbounded queue.
const WAITING_MAX: usize = 4_096;
/// A batch that met another node's purchase with the same key, or a deadlock, is decided again so many times.
const TRIES_MAX: u32 = 5;

/// Begins a batch. Its statements look rows up by key whatever their arguments, so planning them anew each time gains nothing.
const BEGIN: &str = "begin; set local plan_cache_mode = force_generic_plan";

type Answer = Outcome<Receipt, RequestRefusal>;

/// A handle on the node's one authoriser; cheap to clone.
#[derive(Clone)]
pub struct Authoriser {
    app: App,
    waiting: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: Weighed,
    answer: oneshot::Sender<Answer>,
}

impl Authoriser {
    /// Starts the deciding task; it ends when the last handle is dropped and all that waited has been answered.
    pub fn start(app: App) -> Authoriser {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        tokio::spawn(decide_forever(app.clone(), queue));
        Authoriser { app, waiting }
    }

    /// Decides one purchase. An authorised or refused purchase is recorded when this returns; after a failure the same key
    /// may be asked again and gets the recorded answer, if there is one.
    pub async fn authorise(&self, request: PurchaseRequest) -> Answer {
        request.check_form().map_err(Fault::Refused)?;
        let request = weigh(&self.app, request).await?;
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Waiting { request, answer }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Fault::Refused(RequestRefusal::Busy),
            mpsc::error::TrySendError::Closed(_) => Fault::Failed(anyhow::anyhow!("the authoriser has stopped")),
        })?;
        answered.await.map_err(|_| Fault::Failed(anyhow::anyhow!("the authoriser stopped before it answered")))?
    }
}

async fn decide_forever(app: App, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut kept = None;
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.request, waiting.answer)).unzip();
        let decided = decide(&app, &mut kept, requests).await;
        for (answer, decision) in answers.into_iter().zip(decided) {
            // A caller that has gone away finds its answer under its key.
            let _ = answer.send(decision);
        }
        let_others_ask(&queue).await;
        if queue.is_empty() {
            kept = None;
        }
    }
}

/// Lets callers that are about to ask get into the next batch, as long as each turn of the scheduler brings another one.
/// Without it those whom a batch has just answered would miss the next one, and batches would stay half full.
async fn let_others_ask(queue: &mpsc::Receiver<Waiting>) {
    let mut waiting = None;
    while waiting != Some(queue.len()) && queue.len() < BATCH_MAX {
        waiting = Some(queue.len());
        tokio::task::yield_now().await;
    }
}

/// What an authoriser keeps of the pool while purchases are waiting: a backend that has just served it is faster than the
/// pool's next one, whose caches are cold.
struct Connections {
    /// Locks, and writes what was decided.
    deciding: PoolConnection<Postgres>,
    /// Reads what needs no lock, while the other one locks.
    reading: PoolConnection<Postgres>,
}

impl Connections {
    async fn take(pool: &PgPool) -> sqlx::Result<Connections> {
        Ok(Connections { deciding: pool.acquire().await?, reading: pool.acquire().await? })
    }
}

/// Weighs one request and decides it by itself, as a batch of one.
pub async fn decide_one(app: &App, request: PurchaseRequest) -> Answer {
    let request = weigh(app, request).await?;
    let mut answers = decide(app, &mut None, vec![request]).await;
    answers.pop().unwrap_or_else(|| Err(Fault::Failed(anyhow::anyhow!("one request has one answer"))))
}

async fn decide(app: &App, kept: &mut Option<Connections>, requests: Vec<Weighed>) -> Vec<Answer> {
    let count = requests.len();
    let mut tries = 0;
    loop {
        tries += 1;
        let failure = match try_batch(app, kept, &requests).await {
            Ok(answers) => return answers,
            Err(failure) => failure,
        };
        *kept = None;
        if tries == TRIES_MAX || !is_worth_retrying(&failure) {
            tracing::error!(purchases = count, "a batch of purchases failed: {failure:#}");
            return (0..count).map(|_| Err(Fault::Failed(anyhow::anyhow!("{failure:#}")))).collect();
        }
    }
}

/// Conflicts that another try resolves: a serialization failure, a deadlock, or a key that another node recorded meanwhile.
fn is_worth_retrying(failure: &anyhow::Error) -> bool {
    let code = failure
        .downcast_ref::<sqlx::Error>()
        .and_then(|error| error.as_database_error())
        .and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01" | "23505"))
}

async fn try_batch(app: &App, kept: &mut Option<Connections>, requests: &[Weighed]) -> anyhow::Result<Vec<Answer>> {
    let fingerprints: Vec<[u8; 32]> = requests.iter().map(|request| request.fingerprint()).collect();
    let Connections { deciding, reading } = match kept {
        Some(connections) => connections,
        None => kept.insert(Connections::take(&app.pool).await?),
    };
    let (unlocked, locked) = tokio::try_join!(read_unlocked(app, reading, requests), begin_locked(deciding, requests))?;
    let Unlocked { mut earlier, merchants, products } = unlocked;
    let Locked { mut transaction, lines, orders, today } = locked;
    let funder_ids = distinct(products.values().map(|offer| offer.product.funder_id));
    let mut reserves = HashMap::with_capacity(funder_ids.len());
    for funder_id in funder_ids {
        reserves.insert(funder_id, lock_reserve(&mut transaction, funder_id).await?);
    }
    let mut desk = Desk {
        today,
        now: app.clock.now(),
        lines: lines.into_iter().map(|line| (line.line_id, line)).collect(),
        reserves,
        merchants,
        products,
        orders: orders.into_iter().map(|order| (order.code_id, order)).collect(),
        written: Written::default(),
    };

    let mut answers = Vec::with_capacity(requests.len());
    for (request, fingerprint) in requests.iter().zip(fingerprints) {
        let key = (request.line_id, request.idempotency_key.clone());
        let answer = match earlier.get(&key) {
            Some(before) if before.fingerprint == fingerprint => Ok(before.receipt),
            Some(_) => Err(Fault::Refused(RequestRefusal::KeyReused)),
            None => match unknown_to(&desk, request) {
                Some(refusal) => Err(Fault::Refused(refusal)),
                None => {
                    let receipt = desk.decide(request.clone(), fingerprint);
                    earlier.insert(key, store::Earlier { receipt, fingerprint });
                    Ok(receipt)
                }
            },
        };
        answers.push(answer);
    }
    if !desk.written.purchases.is_empty() {
        write(&mut transaction, desk).await?;
        transaction.commit().await?;
    }
    Ok(answers)
}

fn unknown_to(desk: &Desk, request: &PurchaseRequest) -> Option<RequestRefusal> {
    if !desk.lines.contains_key(&request.line_id) {
        Some(RequestRefusal::UnknownLine)
    } else if !desk.merchants.contains_key(&request.merchant_id) {
        Some(RequestRefusal::UnknownMerchant)
    } else if !desk.products.contains_key(&(request.product_id, request.product_version)) {
        Some(RequestRefusal::UnknownProduct)
    } else {
        None
    }
}

/// What a batch is decided on that nobody locks: earlier answers, merchants, and product versions. A purchase that another
/// node records meanwhile under the same key is met by the key's index, and the batch is decided again.
struct Unlocked {
    earlier: HashMap<(LineId, String), store::Earlier>,
    merchants: HashMap<MerchantId, MerchantTerms>,
    products: HashMap<(ProductId, i32), Offer>,
}

async fn read_unlocked(app: &App, connection: &mut PgConnection, requests: &[Weighed]) -> anyhow::Result<Unlocked> {
    let keys: Vec<(LineId, &str)> =
        requests.iter().map(|request| (request.line_id, request.idempotency_key.as_str())).collect();
    let earlier = store::find_earlier(connection, &keys).await?;
    let merchant_ids: Vec<MerchantId> = distinct(requests.iter().map(|request| request.merchant_id));
    let merchants = merchant::store::load_merchants(connection, &merchant_ids).await?;
    let versions: Vec<(ProductId, i32)> =
        distinct(requests.iter().map(|request| (request.product_id, request.product_version)));
    let mut products = HashMap::with_capacity(versions.len());
    for (product_id, version, is_on_sale) in product::store::find_on_sale(connection, &versions).await? {
        let product = app.catalogue.get(connection, product_id, version).await?;
        products.insert((product_id, version), Offer { product, is_on_sale });
    }
    let merchants = merchants.into_iter().map(|merchant| (merchant.merchant_id, merchant)).collect();
    Ok(Unlocked { earlier, merchants, products })
}

/// What a batch locks before it knows which reserves it needs.
struct Locked<'a> {
    transaction: PgTransaction<'a>,
    lines: Vec<Line>,
    orders: Vec<Code>,
    today: BusinessDay,
}

/// Begins a batch and locks lines and order codes, in id order, then the business day.
async fn begin_locked<'a>(connection: &'a mut PgConnection, requests: &[Weighed]) -> anyhow::Result<Locked<'a>> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let line_ids: Vec<LineId> = distinct(requests.iter().map(|request| request.line_id));
    let lines = credit::store::lock_lines(&mut transaction, &line_ids).await?;
    let order_ids: Vec<CodeId> = distinct(requests.iter().filter_map(|request| request.order_code));
    let orders = match order_ids.is_empty() {
        true => Vec::new(),
        false => merchant::code_store::lock_codes(&mut transaction, &order_ids).await?,
    };
    let today = business_day::store::hold_today(&mut transaction).await?;
    Ok(Locked { transaction, lines, orders, today })
}

fn distinct<T: Ord>(ids: impl Iterator<Item = T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Writes what the batch decided, one statement for each table.
async fn write(transaction: &mut PgTransaction<'_>, mut desk: Desk) -> anyhow::Result<()> {
    let written = desk.written;
    store::insert_purchases(transaction, &written.purchases).await?;
    if written.loans.is_empty() {
        return Ok(());
    }
    insert_loans(transaction, &written.loans, &written.schedules).await?;
    ledger::store::insert_postings(transaction, &written.postings).await?;
    outbox::store::enqueue(transaction, &written.messages).await?;
    notice::raise(transaction, &notices::payments_received(&written.loans, desk.today, desk.now)).await?;
    if !written.orders_paid.is_empty() {
        merchant::code_store::mark_paid(transaction, &written.orders_paid).await?;
    }
    let changed: Vec<_> =
        desk.lines.into_values().filter(|line| written.lines_changed.contains(&line.line_id)).collect();
    credit::store::save_lines(transaction, &changed, &written.line_entries).await?;
    let held: Vec<(FunderId, String, Fen)> =
        written.held.into_iter().map(|(funder_id, (first, amount))| (funder_id, first.to_string(), amount)).collect();
    for (funder_id, source, amount) in held {
        let reserve = desk.reserves.get_mut(&funder_id).expect("only a locked reserve can hold");
        let occasion = Occasion { source, business_day: desk.today, occurred_at: desk.now };
        let entry = reserve.record(ReserveEntryKind::Hold, amount, occasion);
        save_reserve(transaction, reserve, &[entry]).await?;
    }
    Ok(())
}
