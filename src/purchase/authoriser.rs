//! The authoriser: gathers the purchases that are waiting and decides them together, a batch in one transaction.
//!
//! While batches commit, the next one fills; no timer fills it. Two batches are in flight on one node, so that one core
//! works beside the other, each with about half of those who ask; where few ask, one batch follows the other. A line is in one of
//! them at a time. Several nodes notice each other by the lines' journal numbers, and each lane of each node takes from a slice of the
//! reserve of its own.

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
/// Where fewer ask, they are not decided in two batches at once: each is slowed down by the other, which answers thirty-two callers
/// hardly faster than one batch after the other, and the last of them later.
const BESIDE_MIN: usize = 48;
/// A batch that takes so long is waited for by nobody: it may be kept by a line that somebody else has locked, for minutes even.
const BESIDE_AFTER: Duration = Duration::from_millis(100);
/// Batches in flight at once on one node.
const LANES_MAX: u32 = 2;
/// Connections that a lane needs, and as many for everybody else.
const CONNECTIONS_PER_LANE: u32 = 4;
/// Purchases that may wait in the queue, and as many that were taken from it; beyond it callers are told to come back, which is better
/// than an unbounded queue.
const WAITING_MAX: usize = 4_096;
/// How long connections are kept from the pool after the last purchase.
const KEPT_FOR: Duration = Duration::from_millis(50);

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
        self.put(weigh(&self.app, request).await?).await
    }

    /// As [`Authoriser::authorise`], for a schedule that was agreed to as it was shown on a business day. Where that day has ended,
    /// `ScheduleChanged` is answered and nothing recorded.
    pub async fn authorise_as_shown(&self, request: PurchaseRequest, shown_on: BusinessDay) -> Answer {
        request.check_form().map_err(Fault::Refused)?;
        let weighed = weigh(&self.app, request).await?;
        self.put(Weighed { shown_on: Some(shown_on), ..weighed }).await
    }

    async fn put(&self, request: Weighed) -> Answer {
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
    /// Lanes in all, busy ones too.
    lanes_count: usize,
    /// Those that decide no batch at present.
    lanes: Mutex<Vec<Lane>>,
    busy: Mutex<Busy>,
    /// Told whenever a batch has ended.
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

/// A batch that counts as being decided until it is dropped.
struct InFlight {
    node: Arc<Node>,
    lines: Vec<LineId>,
    began: Instant,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut busy = lock(&self.node.busy);
        busy.purchases -= self.lines.len();
        for line_id in &self.lines {
            busy.lines.remove(line_id);
        }
        if let Some(place) = busy.began.iter().position(|began| *began == self.began) {
            busy.began.swap_remove(place);
        }
        drop(busy);
        self.node.ended.notify_one();
    }
}

/// A lane that decides a batch. It goes back to the others when it is dropped, also where deciding panicked: there are as many lanes as
/// permits for as long as the node lives.
struct Taken<'a> {
    lanes: &'a Mutex<Vec<Lane>>,
    lane: Lane,
}

impl Taken<'_> {
    fn of(lanes: &Mutex<Vec<Lane>>) -> Taken<'_> {
        let lane = lock(lanes).pop().expect("a batch has one of the permits, of which there are as many as lanes");
        Taken { lanes, lane }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        lock(self.lanes).push(std::mem::take(&mut self.lane));
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
    let as_many = (app.pool.options().get_max_connections() / CONNECTIONS_PER_LANE).clamp(1, LANES_MAX);
    // Nodes begin anywhere, so that they seldom meet on a slice; where they do, they take turns.
    let first = rand::random_range(0..SLICES);
    let on_slices = (0..as_many as i16).map(|lane| Lane::on_slice((first + lane) % SLICES)).collect();
    let lanes = Arc::new(Semaphore::new(as_many as usize));
    let node = Arc::new(Node {
        app,
        lanes_count: as_many as usize,
        lanes: Mutex::new(on_slices),
        busy: Mutex::default(),
        ended: Notify::new(),
    });
    let mut collector = Collector { node: Arc::clone(&node), queue, is_closed: false, waiting: VecDeque::new() };
    while let Ok(lane) = Arc::clone(&lanes).acquire_owned().await {
        let Some((batch, in_flight)) = collector.next_batch().await else { break };
        tokio::spawn(Arc::clone(&node).decide(batch, in_flight, lane));
    }
    // The last batches may not have begun yet: each takes a lane, which is there until it has.
    let _ended = lanes.acquire_many(as_many).await;
    node.give_back().await;
}

impl Collector {
    /// `None` when nobody can ask any more and all have been taken.
    async fn next_batch(&mut self) -> Option<(Vec<Waiting>, InFlight)> {
        loop {
            self.let_others_ask().await;
            let beside_from = self.beside_from();
            if beside_from.is_none()
                && let Some(picked) = self.pick()
            {
                return Some(picked);
            }
            if self.is_closed && self.waiting.is_empty() {
                return None;
            }
            tokio::select! {
                // Beyond that they stay in the queue, which tells the next to come back: all may be waiting for one line.
                next = self.queue.recv(), if !self.is_closed && self.waiting.len() < WAITING_MAX => match next {
                    Some(next) => self.waiting.push_back(next),
                    None => self.is_closed = true,
                },
                () = self.node.ended.notified() => {}
                () = reached(beside_from) => {}
                () = tokio::time::sleep(KEPT_FOR), if self.node.is_idle() => self.node.give_back().await,
            }
        }
    }

    /// Lets callers that are about to ask get into the next batch, as long as each turn of the scheduler brings another one.
    /// Without it those whom a batch has just answered would miss the next one, and batches would stay half full.
    async fn let_others_ask(&mut self) {
        self.take_queued();
        while self.waiting.len() < BATCH_MAX {
            tokio::task::yield_now().await;
            if !self.take_queued() {
                break;
            }
        }
    }

    /// Whether there was anybody in the queue.
    fn take_queued(&mut self) -> bool {
        let before = self.waiting.len();
        while self.waiting.len() < WAITING_MAX
            && let Ok(next) = self.queue.try_recv()
        {
            self.waiting.push_back(next);
        }
        self.waiting.len() > before
    }

    /// From when on those who wait, where few ask, are decided beside a batch that has only just begun; `None` where they wait for none.
    fn beside_from(&self) -> Option<Instant> {
        let busy = lock(&self.node.busy);
        if self.waiting.len() + busy.purchases >= BESIDE_MIN {
            return None;
        }
        let began = busy.began.iter().max().copied()?;
        let from = began + BESIDE_AFTER;
        (Instant::now() < from).then_some(from)
    }

    /// Those that the next batch decides: a lane's share of all who ask at present, or all where they are few, but nobody whose line is
    /// in another batch.
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
    async fn decide(self: Arc<Node>, batch: Vec<Waiting>, in_flight: InFlight, lane: OwnedSemaphorePermit) {
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.request, waiting.answer)).unzip();
        let mut taken = Taken::of(&self.lanes);
        let decided = decide(&self.app, &mut taken.lane, requests).await;
        drop(taken);
        drop(in_flight);
        for (answer, decision) in answers.into_iter().zip(decided) {
            // A caller that has gone away finds its answer under its key.
            let _ = answer.send(decision);
        }
        drop(lane);
    }

    /// Whether there are connections to give back and nobody who needs them.
    fn is_idle(&self) -> bool {
        lock(&self.busy).purchases == 0 && lock(&self.lanes).iter().any(Lane::has_connections)
    }

    async fn give_back(&self) {
        let mut lanes = std::mem::take(&mut *lock(&self.lanes));
        for lane in &mut lanes {
            lane.give_back().await;
        }
        lock(&self.lanes).extend(lanes);
    }
}

/// Waits until then; for ever where there is no such time.
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
            let taken = Taken::of(&lanes);
            assert!(taken.lane.has_connections(), "a batch that panics");
        }));
        assert!(decided.is_err());
        assert_eq!(lock(&lanes).len(), 1);
    }
}
