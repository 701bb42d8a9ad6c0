//! Lets requests in: nonces once and rates counted, over all nodes, many requests in one statement.

use std::collections::HashSet;

use anyhow::anyhow;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::model::Rate;
use super::store::{self, Asking};
use crate::partner::signature::NONCE_KEPT;

/// Requests in one statement; while one runs, the next batch fills.
const BATCH_MAX: usize = 256;
/// Requests waiting; beyond it callers wait to be queued.
const QUEUE_MAX: usize = 4_096;

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Entry {
    pub partner_id: Uuid,
    pub signer: String,
    pub nonce: String,
    pub at: DateTime<Utc>,
}

/// What is known of a request that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Nobody used its nonce before.
    pub is_fresh: bool,
    pub rate: Rate,
    pub is_within_rate: bool,
    pub version: i32,
}

struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Result<Counted, String>>,
}

/// Cheap to clone; every clone counts through the same queue.
#[derive(Clone)]
pub struct Admission {
    queue: mpsc::Sender<Waiting>,
}

impl Admission {
    /// Starts the counter, which ends when the last handle is dropped.
    pub fn start(pool: PgPool) -> Admission {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(count_entries(pool, waiting));
        Admission { queue }
    }

    /// # Errors
    /// If the database does not answer.
    pub async fn count(&self, entry: Entry) -> anyhow::Result<Counted> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Waiting { entry, answer }).await.map_err(|_| anyhow!("the admission of requests has ended"))?;
        answered.await?.map_err(|error| anyhow!("a request could not be counted: {error}"))
    }
}

async fn count_entries(pool: PgPool, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let mut entries = std::mem::take(&mut batch);
        let mut seen = HashSet::new();
        let twice: Vec<bool> =
            entries.iter().map(|one| !seen.insert((one.entry.signer.clone(), one.entry.nonce.clone()))).collect();
        let mut verdicts = match count_batch(&pool, &entries, &twice).await {
            Ok(counted) => counted.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error.to_string()); entries.len()],
        };
        for (one, verdict) in entries.drain(..).zip(verdicts.drain(..)) {
            // Whoever asked may have gone.
            let _ = one.answer.send(verdict);
        }
    }
}

/// `twice` marks what repeats a nonce of the same batch.
async fn count_batch(pool: &PgPool, entries: &[Waiting], twice: &[bool]) -> anyhow::Result<Vec<Counted>> {
    let once: Vec<usize> = (0..entries.len()).filter(|at| !twice[*at]).collect();
    let asking: Vec<Asking<'_>> = once
        .iter()
        .map(|at| {
            let entry = &entries[*at].entry;
            Asking { partner_id: entry.partner_id, signer: &entry.signer, nonce: &entry.nonce }
        })
        .collect();
    let now = entries.iter().map(|one| one.entry.at).max().ok_or_else(|| anyhow!("an empty batch"))?;
    let minute = now.duration_trunc(TimeDelta::minutes(1))?;
    let mut connection = pool.acquire().await?;
    let said = store::admit_requests(&mut connection, &asking, minute, now + NONCE_KEPT).await?;
    drop(connection);
    let reset_seconds = 60 - (now - minute).num_seconds();
    let mut counted: Vec<Option<Counted>> = vec![None; entries.len()];
    for one in said {
        let at = usize::try_from(one.place).ok().and_then(|place| once.get(place).copied());
        let at = at.ok_or_else(|| anyhow!("an answer to nobody"))?;
        let entry = &entries[at].entry;
        let limit = one.rate_per_minute;
        let rate = Rate { limit, remaining: (limit - one.calls).max(0), reset_seconds };
        // Of a batch that crosses the limit as a whole, the first are within it.
        let behind = entries[at + 1..].iter().filter(|other| other.entry.partner_id == entry.partner_id).count();
        let calls = one.calls.saturating_sub(i32::try_from(behind).unwrap_or(i32::MAX));
        counted[at] =
            Some(Counted { is_fresh: one.is_fresh, rate, is_within_rate: calls <= limit, version: one.version });
    }
    // Its rate is of no interest: it is refused for its nonce.
    let rate = Rate { limit: 0, remaining: 0, reset_seconds };
    let repeated = Counted { is_fresh: false, rate, is_within_rate: true, version: 0 };
    Ok(counted.into_iter().map(|one| one.unwrap_or(repeated)).collect())
}
