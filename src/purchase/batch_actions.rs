//! One batch of purchases: read, decided and written together.
//!
//! There are two ways. If the lane's slice of the reserve has enough, nothing is locked while the batch is decided: one SQL
//! statement writes it, provided that the lines, the orders and the business day are still as they were read, and takes from the
//! slice last ([`try_unlocked`]). If something has changed, or the slice has not enough, the batch first locks what it needs, the
//! whole reserve included, then reads and decides, and leases new slices of what is left ([`try_locked`]).

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, PgTransaction, Postgres};

use super::batch_store::{Hold, Record, SliceHolds, read_spent, record};
use super::decision::{Batch, Held, Listing, Written};
use super::model::{Receipt, RequestRefusal};
use super::notices;
use super::store;
use super::trading_store;
use super::weighing::{Rules, SpentToday, Weighed};
use crate::app::App;
use crate::base::id::{CodeId, FunderId, LineId, MerchantId, ProductId};
use crate::base::{BusinessDay, Fen, When};
use crate::business_day;
use crate::credit::{self, Line, LinesToday};
use crate::error::{Fault, Outcome};
use crate::funder::reserve::{Occasion, ReserveEntryKind};
use crate::funder::{Reserve, lease_slices, lock_reserve, save_reserve, watch_soon};
use crate::merchant::code::Code;
use crate::merchant::{self, MerchantTerms, Shops};
use crate::product::{self, FoundVersion};

/// How often a batch is decided at most. It is decided again where another batch has recorded a purchase under the same key,
/// after a deadlock, or where something that it was decided on has changed meanwhile.
const TRIES_MAX: u32 = 5;
/// With fewer requests than this, what a batch reads on its second connection is read after the rest and not beside it. Beside a chunk
/// of the close, two reads at once are three processes on two cores, and one of them waits for the kernel's next tick: for milliseconds,
/// where reading one after the other costs a fraction of one.
const READ_BESIDE_MIN: usize = 16;

pub(super) type Answer = Outcome<Receipt, RequestRefusal>;

/// The connections that a lane keeps from one batch to the next: a backend that has just served a batch is faster than the next one of
/// the pool, whose caches are cold.
pub(super) struct Connections {
    /// Locks, and writes what was decided.
    deciding: PoolConnection<Postgres>,
    /// Reads what needs no lock, meanwhile or, for few, afterwards.
    reading: PoolConnection<Postgres>,
    /// Whether both have the settings with which the pool handed them out.
    is_as_before: bool,
}

impl Connections {
    /// Two of the pool's.
    pub(super) async fn take(pool: &PgPool) -> sqlx::Result<Connections> {
        let (deciding, reading) = tokio::try_join!(pool.acquire(), pool.acquire())?;
        // Made before the settings are changed: if this task is cancelled meanwhile, `drop` closes the connections, and the pool does
        // not get changed ones back.
        let mut connections = Connections { deciding, reading, is_as_before: false };
        let Connections { deciding, reading, .. } = &mut connections;
        tokio::try_join!(trading_store::begin(deciding), trading_store::look_up_by_key(reading))?;
        Ok(connections)
    }

    /// Gives them back to the pool with the settings that they came with.
    pub(super) async fn give_back(mut self) {
        let Connections { deciding, reading, .. } = &mut self;
        let ended = tokio::try_join!(trading_store::end(deciding), trading_store::look_up_as_before(reading));
        self.is_as_before = ended.is_ok();
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // The pool must not get them back with changed settings: one would signal for ever that purchases are being made, and the
        // other would go on planning queries as for a batch.
        if !self.is_as_before {
            self.deciding.close_on_drop();
            self.reading.close_on_drop();
        }
    }
}

/// What decides one batch after another: its connections, and what it last saw of the reserves' slices that are its own.
#[derive(Default)]
pub(super) struct Lane {
    /// `None` where it has no slices of its own and decides on the locked reserves.
    slice_no: Option<i16>,
    /// For each funder, a copy of the reserve in which only what is left of the lane's slice is available. A hint only: the
    /// statement that records a batch checks the slice again.
    slices: HashMap<FunderId, Reserve>,
    /// Kept between batches until they are given back.
    connections: Option<Connections>,
}

impl Lane {
    pub(super) fn on_slice(slice_no: i16) -> Lane {
        Lane { slice_no: Some(slice_no), ..Lane::default() }
    }

    pub(super) fn has_connections(&self) -> bool {
        self.connections.is_some()
    }

    /// Gives its connections back to the pool.
    pub(super) async fn give_back(&mut self) {
        if let Some(connections) = self.connections.take() {
            connections.give_back().await;
        }
    }

    /// Copies of `slices` for the amounts wanted of each funder; `None` unless each is known to have enough.
    fn sufficient(&self, wanted: &BTreeMap<FunderId, Fen>) -> Option<HashMap<FunderId, Reserve>> {
        let copy = |(funder_id, wanted): (&FunderId, &Fen)| {
            let slice = self.slices.get(funder_id)?;
            (slice.available >= *wanted).then(|| (*funder_id, slice.clone()))
        };
        wanted.iter().map(copy).collect()
    }
}

/// Decides requests together, in order of arrival; the answers are in the same order.
pub(super) async fn decide(app: &App, lane: &mut Lane, requests: Vec<Weighed>) -> Vec<Answer> {
    let count = requests.len();
    let mut tries = 0;
    loop {
        tries += 1;
        let is_retry = tries > 1;
        let failure = match try_batch(app, lane, &requests, is_retry).await {
            Ok(answers) => return answers,
            Err(failure) => failure,
        };
        lane.slices.clear();
        if tries == TRIES_MAX || !is_worth_retrying(&failure) {
            lane.give_back().await;
            tracing::error!(purchases = count, "a batch of purchases failed: {failure:#}");
            return (0..count).map(|_| Err(Fault::Failed(anyhow::anyhow!("{failure:#}")))).collect();
        }
    }
}

/// Whether another try may succeed: something has changed since it was read, a slice ran short, there was a deadlock, or another batch
/// recorded the same key meanwhile.
fn is_worth_retrying(failure: &anyhow::Error) -> bool {
    let code = failure
        .downcast_ref::<sqlx::Error>()
        .and_then(|error| error.as_database_error())
        .and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01" | "23505"))
}

/// Decides a batch once. A retry locks first, so that nothing can change under it again.
async fn try_batch(app: &App, lane: &mut Lane, requests: &[Weighed], is_retry: bool) -> anyhow::Result<Vec<Answer>> {
    let mut connections = match lane.connections.take() {
        Some(connections) => connections,
        None => Connections::take(&app.pool).await?,
    };
    let mut answers = None;
    if !is_retry {
        answers = match try_unlocked(app, &mut connections, lane, requests).await {
            // Only the recording statement failed, so the connections are clean: the next try uses them again.
            Err(failure) if is_worth_retrying(&failure) => {
                lane.connections = Some(connections);
                return Err(failure);
            }
            tried => tried?,
        };
    }
    let answers = match answers {
        Some(answers) => answers,
        None => try_locked(app, &mut connections, lane, requests).await?,
    };
    lane.connections = Some(connections);
    Ok(answers)
}

/// Decides without locks, and records the batch if nothing that it was decided on has changed. `None` where the lane has no
/// slices, or one of them has not enough.
///
/// # Errors
/// Those of [`record`]: a serialization failure where something has changed meanwhile.
async fn try_unlocked(
    app: &App,
    connections: &mut Connections,
    lane: &mut Lane,
    requests: &[Weighed],
) -> anyhow::Result<Option<Vec<Answer>>> {
    let Some(slice_no) = lane.slice_no else { return Ok(None) };
    let Connections { deciding, reading, .. } = connections;
    let first = async {
        let found = credit::find_lines_today(deciding, &line_ids(requests), &versions(requests)).await?;
        let Some(LinesToday { today, lines, chargeable, versions }) = found else { return anyhow::Ok(None) };
        Ok(Some((today, lines, chargeable, listings(app, deciding, versions).await?)))
    };
    let beside = async {
        let keys = keys(requests);
        let shops = merchant::load_presented(reading, &merchant_ids(requests), &code_ids(requests), &keys).await?;
        let earlier = if shops.is_asked_again { store::find_earlier(reading, &keys).await? } else { Earlier::new() };
        anyhow::Ok((shops, earlier))
    };
    let (first, (shops, earlier)) =
        if requests.len() < READ_BESIDE_MIN { (first.await?, beside.await?) } else { tokio::try_join!(first, beside)? };
    let Some((today, lines, chargeable, products)) = first else {
        // Without a line there is no earlier answer either.
        return Ok(Some(requests.iter().map(|_| Err(Fault::Refused(RequestRefusal::UnknownLine))).collect()));
    };
    let Shops { merchants, codes, .. } = shops;
    let wanted = wanted_of_reserves(requests, &products);
    let Some(reserves) = lane.sufficient(&wanted) else { return Ok(None) };
    // Read after the lines: a purchase on one of them in between changes the line's journal number, and the batch is decided
    // again.
    let spent = read_spent(deciding, &bounded_lines(requests, &products), today).await?;
    let seen: HashMap<LineId, i64> = lines.iter().map(|line| (line.line_id, line.last_entry_no)).collect();
    let read = Read { today, lines, chargeable, codes, earlier, merchants, products, reserves, spent };
    let (mut batch, answers) = decide_in_order(app, read, requests);
    if !batch.written.purchases.is_empty() {
        let holds = batch.written.held.iter().map(|(funder_id, Held { first, amount })| Hold {
            funder_id: *funder_id,
            amount: *amount,
            source: first.to_string(),
        });
        let holds: Vec<Hold> = holds.collect();
        let left = record(deciding, &to_record(&batch, &seen, SliceHolds { slice_no, holds: &holds })).await?;
        for (hold, left) in holds.iter().zip(left) {
            batch.reserves.get_mut(&hold.funder_id).expect("a reserve that held is in the batch").available = left;
        }
        lane.slices.extend(batch.reserves);
    }
    Ok(Some(answers))
}

/// Locks lines and order codes, in id order, then the business day and the reserves, before it decides. So it knows exactly what
/// each reserve still has, and refuses no purchase that the reserve covers.
async fn try_locked(
    app: &App,
    connections: &mut Connections,
    lane: &mut Lane,
    requests: &[Weighed],
) -> anyhow::Result<Vec<Answer>> {
    let Connections { deciding, reading, .. } = connections;
    let beside = async {
        let (earlier, merchants) =
            (store::find_earlier(reading, &keys(requests)).await?, merchants(reading, requests).await?);
        let versions = product::store::find_versions(reading, &versions(requests)).await?;
        anyhow::Ok((earlier, merchants, listings(app, reading, versions).await?))
    };
    let ((earlier, merchants, products), locked) = tokio::try_join!(beside, begin_locked(deciding, requests))?;
    let Locked { mut transaction, lines, chargeable, codes, today } = locked;
    let wanted = wanted_of_reserves(requests, &products);
    let when = When { business_day: today, at: app.clock.now() };
    let spent = read_spent(&mut transaction, &bounded_lines(requests, &products), today).await?;
    let reserves = lock_reserves(&mut transaction, wanted.into_keys(), when).await?;
    let seen: HashMap<LineId, i64> = lines.iter().map(|line| (line.line_id, line.last_entry_no)).collect();
    let read = Read { today, lines, chargeable, codes, earlier, merchants, products, reserves, spent };
    let (mut batch, answers) = decide_in_order(app, read, requests);
    if batch.written.purchases.is_empty() {
        // Merely dropped, the transaction would keep its locks until the connection is used again.
        transaction.rollback().await?;
    } else {
        record(&mut transaction, &to_record(&batch, &seen, SliceHolds::default())).await?;
        let mut leased = HashMap::new();
        for (funder_id, Held { first, amount }) in &batch.written.held {
            let occasion =
                Occasion { source: first.to_string(), when: When { business_day: batch.today, at: batch.now } };
            let reserve = batch.reserves.get_mut(funder_id).expect("a reserve that held is in the batch");
            let entry = reserve.record(ReserveEntryKind::Hold, *amount, occasion);
            save_reserve(&mut transaction, reserve, &[entry]).await?;
            if lane.slice_no.is_some()
                && let Some(share) = lease_slices(&mut transaction, reserve, *amount).await?
            {
                leased.insert(*funder_id, Reserve { available: share, advance_limit: Fen::ZERO, ..reserve.clone() });
            }
        }
        for reserve in batch.reserves.values() {
            watch_soon(&mut transaction, reserve, when).await?;
        }
        transaction.commit().await?;
        lane.slices = leased;
    }
    Ok(answers)
}

/// What was read for a batch.
struct Read {
    today: BusinessDay,
    lines: Vec<Line>,
    chargeable: HashSet<LineId>,
    codes: Vec<Code>,
    earlier: Earlier,
    merchants: HashMap<MerchantId, MerchantTerms>,
    products: HashMap<(ProductId, i32), Listing>,
    reserves: HashMap<FunderId, Reserve>,
    spent: HashMap<LineId, SpentToday>,
}

/// The answers given before under the same keys. If another node records a purchase under one of the keys meanwhile, the unique
/// index fails the batch, and it is decided again.
type Earlier = HashMap<(LineId, String), store::Earlier>;

/// Decides the requests one after the other: a known key gets its earlier answer, also from within this batch.
fn decide_in_order(app: &App, read: Read, requests: &[Weighed]) -> (Batch, Vec<Answer>) {
    let mut earlier = read.earlier;
    let mut batch = Batch {
        today: read.today,
        now: app.clock.now(),
        lines: read.lines.into_iter().map(|line| (line.line_id, line)).collect(),
        chargeable: read.chargeable,
        reserves: read.reserves,
        merchants: read.merchants,
        products: read.products,
        codes: read.codes.into_iter().map(|code| (code.code_id, code)).collect(),
        spent: read.spent,
        written: Written::default(),
    };
    let decide = |request: &Weighed| {
        let fingerprint = request.fingerprint();
        let key = (request.line_id, request.idempotency_key.clone());
        match earlier.get(&key) {
            Some(before) if before.fingerprint == fingerprint => Ok(before.receipt),
            Some(_) => Err(Fault::Refused(RequestRefusal::KeyReused)),
            None => match undecidable(&batch, request) {
                Some(refusal) => Err(Fault::Refused(refusal)),
                None => {
                    let receipt = batch.decide(request.clone(), fingerprint);
                    earlier.insert(key, store::Earlier { receipt, fingerprint });
                    Ok(receipt)
                }
            },
        }
    };
    let answers = requests.iter().map(decide).collect();
    (batch, answers)
}

fn to_record<'a>(batch: &'a Batch, seen: &'a HashMap<LineId, i64>, of_slice: SliceHolds<'a>) -> Record<'a> {
    let written = &batch.written;
    Record {
        written,
        seen,
        changed: written.lines_changed.iter().map(|line_id| &batch.lines[line_id]).collect(),
        to_merchants: notices::payments_received(&written.loans, When { business_day: batch.today, at: batch.now }),
        of_slice,
        today: batch.today,
        now: batch.now,
    }
}

/// What the batch would hold of each reserve if all of it were authorised.
fn wanted_of_reserves(requests: &[Weighed], products: &HashMap<(ProductId, i32), Listing>) -> BTreeMap<FunderId, Fen> {
    let mut wanted = BTreeMap::new();
    for request in requests {
        if let Some(listing) = products.get(&(request.product_id, request.product_version)) {
            *wanted.entry(listing.product.funder_id).or_default() += request.amount;
        }
    }
    wanted
}

async fn lock_reserves(
    connection: &mut PgConnection,
    in_order: impl Iterator<Item = FunderId>,
    when: When,
) -> sqlx::Result<HashMap<FunderId, Reserve>> {
    let mut reserves = HashMap::new();
    for funder_id in in_order {
        reserves.insert(funder_id, lock_reserve(connection, funder_id, when).await?);
    }
    Ok(reserves)
}

/// Why a request is not decided at all; then nothing is recorded under its key.
fn undecidable(batch: &Batch, request: &Weighed) -> Option<RequestRefusal> {
    if !batch.lines.contains_key(&request.line_id) {
        Some(RequestRefusal::UnknownLine)
    } else if !batch.merchants.contains_key(&request.merchant_id) {
        Some(RequestRefusal::UnknownMerchant)
    } else if !batch.products.contains_key(&(request.product_id, request.product_version)) {
        Some(RequestRefusal::UnknownProduct)
    } else if request.shown_on.is_some_and(|shown_on| shown_on != batch.today) {
        Some(RequestRefusal::ScheduleChanged)
    } else {
        None
    }
}

async fn merchants(
    connection: &mut PgConnection,
    requests: &[Weighed],
) -> sqlx::Result<HashMap<MerchantId, MerchantTerms>> {
    let merchants = merchant::store::load_merchants(connection, &merchant_ids(requests)).await?;
    Ok(merchants.into_iter().map(|merchant| (merchant.merchant_id, merchant)).collect())
}

async fn listings(
    app: &App,
    connection: &mut PgConnection,
    versions: Vec<FoundVersion>,
) -> anyhow::Result<HashMap<(ProductId, i32), Listing>> {
    let mut listings = HashMap::with_capacity(versions.len());
    for FoundVersion { product_id, version, is_on_sale } in versions {
        let product = app.catalogue.get(connection, product_id, version).await?;
        listings.insert((product_id, version), Listing { product, is_on_sale });
    }
    Ok(listings)
}

fn line_ids(requests: &[Weighed]) -> Vec<LineId> {
    distinct(requests.iter().map(|request| request.line_id))
}

/// The lines whose spending on one day is bounded, because a product that is asked for has such rules.
fn bounded_lines(requests: &[Weighed], products: &HashMap<(ProductId, i32), Listing>) -> Vec<LineId> {
    let is_bounded = |request: &&Weighed| {
        let listing = products.get(&(request.product_id, request.product_version));
        listing.and_then(|listing| listing.product.terms.purchase_risk).and_then(Rules::of).is_some()
    };
    distinct(requests.iter().filter(is_bounded).map(|request| request.line_id))
}

fn keys(requests: &[Weighed]) -> Vec<(LineId, &str)> {
    requests.iter().map(|request| (request.line_id, request.idempotency_key.as_str())).collect()
}

fn merchant_ids(requests: &[Weighed]) -> Vec<MerchantId> {
    distinct(requests.iter().map(|request| request.merchant_id))
}

fn code_ids(requests: &[Weighed]) -> Vec<CodeId> {
    distinct(requests.iter().filter_map(|request| request.order_code))
}

fn versions(requests: &[Weighed]) -> Vec<(ProductId, i32)> {
    distinct(requests.iter().map(|request| (request.product_id, request.product_version)))
}

/// What a batch locks before it knows which reserves it needs.
struct Locked<'a> {
    transaction: PgTransaction<'a>,
    lines: Vec<Line>,
    chargeable: HashSet<LineId>,
    codes: Vec<Code>,
    today: BusinessDay,
}

/// Begins a batch and locks lines and order codes, in id order, then the business day.
async fn begin_locked<'a>(connection: &'a mut PgConnection, requests: &[Weighed]) -> anyhow::Result<Locked<'a>> {
    let mut transaction = connection.begin().await?;
    let lines = credit::store::lock_lines(&mut transaction, &line_ids(requests)).await?;
    let chargeable = credit::find_chargeable(&mut transaction, &line_ids(requests)).await?;
    let codes = match code_ids(requests) {
        none if none.is_empty() => Vec::new(),
        code_ids => merchant::code_store::lock_codes(&mut transaction, &code_ids).await?,
    };
    let today = business_day::store::hold_today(&mut transaction).await?;
    Ok(Locked { transaction, lines, chargeable: chargeable.into_iter().collect(), codes, today })
}

fn distinct<T: Ord>(ids: impl Iterator<Item = T>) -> Vec<T> {
    let mut ids: Vec<T> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
