//! The authoriser: gathers the purchases that are waiting and decides them together, a batch in one transaction.
//!
//! While one batch is decided and committed, the next one fills; no timer delays it. A node decides up to two batches at once, in
//! two *lanes*, each with about half of the waiting purchases; where few wait, one batch follows the other. A line is never in
//! two batches of a node at a time. Two nodes that change the same line notice it by the number of the line's last journal row,
//! and each lane of each node takes from its own slice of the reserve.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::batch_actions::{Answer, Lane, decide};
use super::model::{PurchaseRequest, RequestRefusal};
use super::risk_actions::weigh;
use super::weighing::Weighed;
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::LineId;
use crate::error::Fault;
use crate::funder::slice::SLICES;

/// Purchases decided in one transaction. Larger batches gain little and make the first caller wait for the last.
const BATCH_MAX: usize = 128;
/// With fewer purchases than this, waiting and in flight, no second batch is decided beside the first: each slows the other down.
/// Measured with 32 callers, answers came hardly faster, and the last of them later.
const BESIDE_MIN: usize = 48;
/// After this time another batch begins beside one that is in flight, however few ask: a line that somebody else has locked may hold it
/// up for minutes.
const BESIDE_AFTER: Duration = Duration::from_millis(100);
/// Lanes of one node, each of which decides one batch at a time.
const LANES_MAX: u32 = 2;
/// Connections that the pool must have for each lane: two that the lane keeps, and as many for everybody else.
const CONNECTIONS_PER_LANE: u32 = 4;
/// Purchases that may wait in the queue, and again as many that were taken from it and are in no batch yet. Beyond that callers are told
/// to come back, which is better than an unbounded queue.
const WAITING_MAX: usize = 4_096;
/// How long after the last purchase the lanes give their connections back to the pool.
const KEPT_FOR: Duration = Duration::from_millis(50);

/// A handle on the node's one authoriser; cheap to clone.
#[derive(Clone)]
pub struct Authoriser {
    app: Arc<App>,
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
        Authoriser { app: Arc::new(app), waiting }
    }

    /// Decides one purchase. An authorised or refused purchase is recorded when this returns; after a failure the same key
    /// may be asked again and gets the recorded answer, if there is one.
    pub async fn authorise(&self, request: PurchaseRequest) -> Answer {
        request.check_form().map_err(Fault::Refused)?;
        self.enqueue(weigh(&self.app, request).await?).await
    }

    /// As [`Authoriser::authorise`], for a schedule that was agreed to as it was shown on a business day. Where that day has ended,
    /// `ScheduleChanged` is answered and nothing recorded.
    pub async fn authorise_as_shown(&self, request: PurchaseRequest, shown_on: BusinessDay) -> Answer {
        request.check_form().map_err(Fault::Refused)?;
        let weighed = weigh(&self.app, request).await?;
        self.enqueue(Weighed { shown_on: Some(shown_on), ..weighed }).await
    }

    /// Puts a request into the queue and waits for its answer.
    async fn enqueue(&self, request: Weighed) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Waiting { request, answer }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Fault::Refused(RequestRefusal::Busy),
            mpsc::error::TrySendError::Closed(_) => Fault::Failed(anyhow::anyhow!("the authoriser has stopped")),
        })?;
        answered.await.map_err(|_| Fault::Failed(anyhow::anyhow!("the authoriser stopped before it answered")))?
    }
}

/// Weighs one request and decides it by itself, as a batch of one.
pub async fn decide_one(app: &App, request: PurchaseRequest) -> Answer {
    let request = weigh(app, request).await?;
    let mut lane = Lane::default();
    let mut answers = decide(app, &mut lane, vec![request]).await;
    lane.give_back().await;
    answers.pop().unwrap_or_else(|| Err(Fault::Failed(anyhow::anyhow!("one request has one answer"))))
}

/// What a node's batches share.
struct Node {
    app: App,
    /// All lanes, busy ones too.
    lanes_count: usize,
    /// The lanes that decide no batch at present.
    idle_lanes: Mutex<Vec<Lane>>,
    busy: Mutex<Busy>,
    /// Wakes the collector whenever a batch has ended.
    ended: Notify,
}

/// What is being decided.
#[derive(Default)]
struct Busy {
    lines: HashSet<LineId>,
    purchases: usize,
    /// When each of the batches began.
    began: Vec<Instant>,
}

/// A batch on its way. No other batch has its lines until [`InFlight::end_deciding`]; then its callers are answered, and the batch has
/// ended when this is dropped.
struct InFlight {
    node: Arc<Node>,
    /// The lines of its purchases; empty once they are decided.
    lines: Vec<LineId>,
    began: Instant,
}

impl InFlight {
    /// Releases its lines to other batches. Its purchases no longer count as in flight: once answered, a caller may already be
    /// asking for the next one.
    fn end_deciding(&mut self) {
        let mut busy = lock(&self.node.busy);
        busy.purchases -= self.lines.len();
        for line_id in self.lines.drain(..) {
            busy.lines.remove(&line_id);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.end_deciding();
        let mut busy = lock(&self.node.busy);
        if let Some(place) = busy.began.iter().position(|began| *began == self.began) {
            busy.began.swap_remove(place);
        }
        drop(busy);
        self.node.ended.notify_one();
    }
}

/// A lane while it decides a batch. It becomes idle again when this is dropped, even after a panic, so that there is a lane for
/// every permit.
struct BusyLane<'a> {
    idle_lanes: &'a Mutex<Vec<Lane>>,
    lane: Lane,
}

impl BusyLane<'_> {
    fn take(idle_lanes: &Mutex<Vec<Lane>>) -> BusyLane<'_> {
        let lane = lock(idle_lanes).pop().expect("a batch has one of the permits, of which there are as many as lanes");
        BusyLane { idle_lanes, lane }
    }
}

impl Drop for BusyLane<'_> {
    fn drop(&mut self) {
        lock(self.idle_lanes).push(std::mem::take(&mut self.lane));
    }
}

/// Takes purchases from the queue and makes batches of them.
struct Collector {
    node: Arc<Node>,
    queue: mpsc::Receiver<Waiting>,
    is_closed: bool,
    /// In order of arrival: what the last batches had no room for, or whose line is in one of them.
    waiting: VecDeque<Waiting>,
}

async fn decide_forever(app: App, queue: mpsc::Receiver<Waiting>) {
    let lanes_count = (app.pool.options().get_max_connections() / CONNECTIONS_PER_LANE).clamp(1, LANES_MAX);
    // Each node begins at a slice drawn by lot, so that two seldom meet on one; where they do, they take turns.
    let first_slice = rand::random_range(0..SLICES);
    let lanes = (0..lanes_count as i16).map(|lane| Lane::on_slice((first_slice + lane) % SLICES)).collect();
    // One permit for each lane; a batch is decided only with a permit.
    let permits = Arc::new(Semaphore::new(lanes_count as usize));
    let node = Arc::new(Node {
        app,
        lanes_count: lanes_count as usize,
        idle_lanes: Mutex::new(lanes),
        busy: Mutex::default(),
        ended: Notify::new(),
    });
    let mut collector = Collector { node: Arc::clone(&node), queue, is_closed: false, waiting: VecDeque::new() };
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let Some((batch, in_flight)) = collector.next_batch().await else { break };
        tokio::spawn(Arc::clone(&node).decide(batch, in_flight, permit));
    }
    // All permits are free only when the last batches have ended; until then their lanes are in use.
    let _ended = permits.acquire_many(lanes_count).await;
    node.give_back().await;
}

impl Collector {
    /// Waits for the next batch to decide; `None` when the queue is closed and nothing waits.
    async fn next_batch(&mut self) -> Option<(Vec<Waiting>, InFlight)> {
        loop {
            self.let_others_ask().await;
            let waits_until = self.waits_until();
            if waits_until.is_none()
                && let Some(picked) = self.pick()
            {
                return Some(picked);
            }
            if self.is_closed && self.waiting.is_empty() {
                return None;
            }
            tokio::select! {
                // Where too many wait already, perhaps all for one line, new ones stay in the queue; once that is full, callers
                // are told to come back.
                next = self.queue.recv(), if !self.is_closed && self.waiting.len() < WAITING_MAX => match next {
                    Some(next) => self.waiting.push_back(next),
                    None => self.is_closed = true,
                },
                () = self.node.ended.notified() => {}
                () = reached(waits_until) => {}
                () = tokio::time::sleep(KEPT_FOR), if self.node.is_idle() => self.node.give_back().await,
            }
        }
    }

    /// Yields to callers that are about to ask, as long as each turn of the scheduler brings more purchases. Without this,
    /// callers whom a batch has just answered would miss the next one, and batches would stay half full.
    async fn let_others_ask(&mut self) {
        self.take_queued();
        while self.waiting.len() < BATCH_MAX {
            tokio::task::yield_now().await;
            if !self.take_queued() {
                break;
            }
        }
    }

    /// Takes all purchases that are in the queue; returns whether there were any.
    fn take_queued(&mut self) -> bool {
        let before = self.waiting.len();
        while self.waiting.len() < WAITING_MAX
            && let Ok(next) = self.queue.try_recv()
        {
            self.waiting.push_back(next);
        }
        self.waiting.len() > before
    }

    /// Until when the next batch waits for one that is in flight: with few purchases, until `BESIDE_AFTER` has passed since the
    /// last batch began. `None` where it need not wait.
    fn waits_until(&self) -> Option<Instant> {
        let busy = lock(&self.node.busy);
        if self.waiting.len() + busy.purchases >= BESIDE_MIN {
            return None;
        }
        let until = busy.began.iter().max().copied()? + BESIDE_AFTER;
        (Instant::now() < until).then_some(until)
    }

    /// Picks the purchases of the next batch: a lane's share of all that wait or are in flight, or all that wait where they are
    /// few; but none whose line is in another batch. `None` where none is left.
    fn pick(&mut self) -> Option<(Vec<Waiting>, InFlight)> {
        let mut busy = lock(&self.node.busy);
        let asking = self.waiting.len() + busy.purchases;
        let lanes = if asking < BESIDE_MIN { 1 } else { self.node.lanes_count };
        let share = asking.div_ceil(lanes).min(BATCH_MAX);
        let mut batch = Vec::with_capacity(share);
        for next in std::mem::take(&mut self.waiting) {
            if batch.len() < share && !busy.lines.contains(&next.request.line_id) {
                batch.push(next);
            } else {
                self.waiting.push_back(next);
            }
        }
        if batch.is_empty() {
            return None;
        }
        let lines: Vec<LineId> = batch.iter().map(|waiting| waiting.request.line_id).collect();
        busy.purchases += lines.len();
        busy.lines.extend(&lines);
        let began = Instant::now();
        busy.began.push(began);
        Some((batch, InFlight { node: Arc::clone(&self.node), lines, began }))
    }
}

impl Node {
    async fn decide(self: Arc<Node>, batch: Vec<Waiting>, mut in_flight: InFlight, permit: OwnedSemaphorePermit) {
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.request, waiting.answer)).unzip();
        let mut busy = BusyLane::take(&self.idle_lanes);
        let decided = decide(&self.app, &mut busy.lane, requests).await;
        drop(busy);
        in_flight.end_deciding();
        for (answer, decision) in answers.into_iter().zip(decided) {
            // A caller that has gone away finds its answer under its key.
            let _ = answer.send(decision);
        }
        // The batch ends only when all its callers are answered. Otherwise, with few callers, the first one answered would ask
        // again and be decided alone, before all the others.
        drop(in_flight);
        drop(permit);
    }

    /// Whether there are connections to give back and nobody who needs them.
    fn is_idle(&self) -> bool {
        lock(&self.busy).purchases == 0 && lock(&self.idle_lanes).iter().any(Lane::has_connections)
    }

    /// Gives the connections of all idle lanes back to the pool.
    async fn give_back(&self) {
        let mut lanes = std::mem::take(&mut *lock(&self.idle_lanes));
        futures_util::future::join_all(lanes.iter_mut().map(Lane::give_back)).await;
        lock(&self.idle_lanes).extend(lanes);
    }
}

/// Waits until `at`; for ever where it is `None`.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_lane_whose_batch_panicked_decides_the_next() {
        let lanes = Mutex::new(vec![Lane::on_slice(3)]);
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let busy = BusyLane::take(&lanes);
            assert!(busy.lane.has_connections(), "a batch that panics");
        }));
        assert!(decided.is_err());
        assert_eq!(lock(&lanes).len(), 1);
    }
}
