//! The authoriser: gathers the purchases that are waiting and decides them together in one transaction.
//!
//! While one batch commits, the next one fills; there is no timer. One batch is in flight on one node, so the reserve,
//! locked last, is held for one round of writes and is never a queue. Several nodes take turns by the reserve's row lock.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use super::decision::{Desk, Offer};
use super::model::{PurchaseRequest, Receipt, RequestRefusal};
use super::store;
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{CodeId, FunderId, LineId, MerchantId, ProductId};
use crate::business_day;
use crate::credit;
use crate::error::{Fault, Outcome};
use crate::funder::reserve::{Occasion, ReserveEntryKind};
use crate::funder::{lock_reserve, save_reserve};
use crate::ledger;
use crate::loan::store::{ScheduleReason, ScheduleVersion, insert_loans, insert_schedules};
use crate::merchant;
use crate::outbox;
use crate::product;

/// Purchases decided in one transaction. Larger batches gain little and make the first caller wait for the last.
const BATCH_MAX: usize = 128;
/// Purchases that may wait; beyond it callers are told to come back, which is better than an unbounded queue.
const WAITING_MAX: usize = 4_096;
/// A batch that met another node's purchase with the same key, or a deadlock, is decided again so many times.
const TRIES_MAX: u32 = 5;

type Answer = Outcome<Receipt, RequestRefusal>;

/// A handle on the node's one authoriser; cheap to clone.
#[derive(Clone, Debug)]
pub struct Authoriser {
    waiting: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: PurchaseRequest,
    answer: oneshot::Sender<Answer>,
}

impl Authoriser {
    /// Starts the deciding task; it ends when the last handle is dropped and all that waited has been answered.
    pub fn start(app: App) -> Authoriser {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        tokio::spawn(decide_forever(app, queue));
        Authoriser { waiting }
    }

    /// Decides one purchase. An authorised or refused purchase is recorded when this returns; after a failure the same key
    /// may be asked again and gets the recorded answer, if there is one.
    pub async fn authorise(&self, request: PurchaseRequest) -> Answer {
        request.check_form().map_err(Fault::Refused)?;
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
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.request, waiting.answer)).unzip();
        let decided = decide_batch(&app, requests).await;
        for (answer, decision) in answers.into_iter().zip(decided) {
            // A caller that has gone away finds its answer under its key.
            let _ = answer.send(decision);
        }
    }
}

/// Decides requests in order of arrival, in one transaction; a batch of one is the single path.
pub async fn decide_batch(app: &App, requests: Vec<PurchaseRequest>) -> Vec<Answer> {
    let count = requests.len();
    let mut tries = 0;
    loop {
        tries += 1;
        match try_batch(app, &requests).await {
            Ok(answers) => return answers,
            Err(failure) if tries < TRIES_MAX && is_worth_retrying(&failure) => {}
            Err(failure) => {
                tracing::error!(purchases = count, "a batch of purchases failed: {failure:#}");
                return (0..count).map(|_| Err(Fault::Failed(anyhow::anyhow!("{failure:#}")))).collect();
            }
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

async fn try_batch(app: &App, requests: &[PurchaseRequest]) -> anyhow::Result<Vec<Answer>> {
    let fingerprints: Vec<[u8; 32]> = requests.iter().map(PurchaseRequest::fingerprint).collect();
    let mut transaction = app.pool.begin().await?;
    let keys: Vec<(LineId, &str)> =
        requests.iter().map(|request| (request.line_id, request.idempotency_key.as_str())).collect();
    let mut earlier = store::find_earlier(&mut transaction, &keys).await?;
    let mut desk = open_desk(app, &mut transaction, requests).await?;

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

/// Reads and locks all that the batch is decided on: lines in id order, the reserves last.
async fn open_desk(
    app: &App,
    transaction: &mut sqlx::PgTransaction<'_>,
    requests: &[PurchaseRequest],
) -> anyhow::Result<Desk> {
    let merchant_ids: Vec<MerchantId> = distinct(requests.iter().map(|request| request.merchant_id));
    let order_ids: Vec<CodeId> = distinct(requests.iter().filter_map(|request| request.order_code));
    let line_ids: Vec<LineId> = distinct(requests.iter().map(|request| request.line_id));
    let merchants = merchant::store::load_merchants(transaction, &merchant_ids).await?;
    let product_keys: Vec<(ProductId, i32)> =
        distinct(requests.iter().map(|request| (request.product_id, request.product_version)));
    let mut products = HashMap::with_capacity(product_keys.len());
    for (product_id, version, is_on_sale) in product::store::find_on_sale(transaction, &product_keys).await? {
        let product = app.catalogue.get(transaction, product_id, version).await?;
        products.insert((product_id, version), Offer { product, is_on_sale });
    }
    let now = app.clock.now();
    let lines = credit::store::lock_lines(transaction, &line_ids).await?;
    let orders = if order_ids.is_empty() {
        Vec::new()
    } else {
        merchant::code_store::lock_codes(transaction, &order_ids).await?
    };
    let today = business_day::store::hold_today(transaction).await?;
    let mut reserves = HashMap::new();
    for funder_id in distinct(products.values().map(|offer| offer.product.funder_id)) {
        reserves.insert(funder_id, lock_reserve(transaction, funder_id).await?);
    }
    Ok(Desk {
        today,
        now,
        lines: lines.into_iter().map(|line| (line.line_id, line)).collect(),
        reserves,
        merchants: merchants.into_iter().map(|merchant| (merchant.merchant_id, merchant)).collect(),
        products,
        orders: orders.into_iter().map(|order| (order.code_id, order)).collect(),
        written: Default::default(),
    })
}

fn distinct<T: Ord>(ids: impl Iterator<Item = T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Writes what the batch decided, one statement for each table.
async fn write(transaction: &mut sqlx::PgTransaction<'_>, mut desk: Desk) -> anyhow::Result<()> {
    let written = desk.written;
    store::insert_purchases(transaction, &written.purchases).await?;
    if written.loans.is_empty() {
        return Ok(());
    }
    insert_loans(transaction, &written.loans).await?;
    let versions: Vec<ScheduleVersion<'_>> = written
        .loans
        .iter()
        .zip(&written.schedules)
        .map(|(loan, schedule)| ScheduleVersion {
            loan_id: loan.loan_id,
            line_id: loan.line_id,
            version: loan.schedule_version,
            reason: ScheduleReason::Made,
            schedule,
            business_day: desk.today,
        })
        .collect();
    insert_schedules(transaction, &versions).await?;
    ledger::store::insert_postings(transaction, &written.postings).await?;
    outbox::store::enqueue(transaction, &written.messages).await?;
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
