//! The log of every call to and from a partner that ended, written in batches, for which no caller waits. A call that was cut off by
//! a kill, or ended a moment before, has no row: what must not be lost is saved with its object before the call.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::mask::masked;
use super::mentions::Mentions;
use super::{shape, store};

/// Calls waiting to be written; a full queue makes callers wait rather than forget.
const QUEUE_MAX: usize = 4_096;
/// Rows in one statement.
const BATCH_MAX: usize = 500;
/// How long rows are gathered for a statement: nobody waits for them, and a statement costs as much as the writing of twenty. A node
/// that is killed forgets the calls of so long.
const GATHERING: Duration = Duration::from_millis(100);
/// How often a failed write is tried again before its rows are given up with an error in the log.
const WRITE_ATTEMPTS: u32 = 5;
const WRITE_PAUSE: Duration = Duration::from_millis(500);
/// The longest operation or key that is kept.
const NAME_CHARS_MAX: usize = 128;

/// One call, as it is kept: bodies masked and cut.
#[derive(Debug)]
pub struct CallRecord {
    pub partner: String,
    /// `out` for ours, `in` for a partner's.
    pub direction: &'static str,
    pub operation: String,
    pub call_key: String,
    pub request_sha256: Vec<u8>,
    pub outcome: &'static str,
    pub http_status: Option<i16>,
    pub duration_micros: i64,
    pub request_masked: String,
    pub response_masked: String,
    pub called_at: DateTime<Utc>,
    /// Everything that it is about, each of which finds it.
    pub objects: Vec<String>,
    /// Every way in which it ended: the outcome, the status, each code of the answer.
    pub codes: Vec<String>,
}

/// What is known of a call when it has ended.
pub struct Ended<'a> {
    pub partner: &'a str,
    pub direction: &'static str,
    pub operation: &'a str,
    /// What it is about in the first place.
    pub call_key: &'a str,
    /// What else it names, beside what its bodies name.
    pub also: &'a [String],
    pub request: &'a [u8],
    pub response: &'a [u8],
    pub outcome: &'static str,
    pub http_status: Option<u16>,
    pub duration: Duration,
    pub called_at: DateTime<Utc>,
}

impl CallRecord {
    fn of(call: &Ended<'_>) -> CallRecord {
        let (request, response): (Option<Value>, Option<Value>) =
            (serde_json::from_slice(call.request).ok(), serde_json::from_slice(call.response).ok());
        let mut mentions = Mentions::default();
        mentions.add(call.call_key);
        call.also.iter().for_each(|object| mentions.add(object));
        request.iter().for_each(|body| mentions.read_request(body));
        response.iter().for_each(|body| mentions.read_answer(body));
        mentions.codes.insert(call.outcome.to_owned());
        mentions.codes.extend(call.http_status.map(|status| status.to_string()));
        CallRecord {
            partner: call.partner.to_owned(),
            direction: call.direction,
            operation: plain(call.operation),
            call_key: plain(call.call_key),
            request_sha256: Sha256::digest(call.request).to_vec(),
            outcome: call.outcome,
            http_status: call.http_status.and_then(|status| i16::try_from(status).ok()),
            duration_micros: i64::try_from(call.duration.as_micros()).unwrap_or(i64::MAX),
            request_masked: masked(request, call.request.len()),
            response_masked: masked(response, call.response.len()),
            called_at: call.called_at,
            objects: mentions.objects.into_iter().collect(),
            codes: mentions.codes.into_iter().collect(),
        }
    }
}

/// A name that an index takes and that is nobody's number, whatever the request says it is.
fn plain(name: &str) -> String {
    shape::kept(name).chars().take(NAME_CHARS_MAX).collect()
}

enum Entry {
    Call(Box<CallRecord>),
    Flush(oneshot::Sender<()>),
}

/// Cheap to clone; every clone writes through the same queue.
#[derive(Clone)]
pub struct CallLog {
    queue: mpsc::Sender<Entry>,
    /// After the queue, so that it is closed when the last handle is dropped.
    urging: Arc<Urging>,
}

/// Tells the writer to write at once what it has. It is not woken for each call.
struct Urging(Arc<Notify>);

impl Drop for Urging {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl CallLog {
    /// Starts the writer, which ends when the last handle is dropped and everything is written.
    pub fn start(pool: PgPool) -> CallLog {
        let (queue, entries) = mpsc::channel(QUEUE_MAX);
        let urged = Arc::new(Notify::new());
        tokio::spawn(write_entries(pool, entries, urged.clone()));
        CallLog { queue, urging: Arc::new(Urging(urged)) }
    }

    pub async fn record(&self, call: &Ended<'_>) {
        if self.queue.send(Entry::Call(Box::new(CallRecord::of(call)))).await.is_err() {
            tracing::error!(
                partner = call.partner,
                key = plain(call.call_key),
                "the call log has ended; a call is not recorded"
            );
        }
        if self.queue.capacity() <= QUEUE_MAX - BATCH_MAX {
            self.urging.0.notify_one();
        }
    }

    /// Returns when everything recorded before is written; called at shutdown and before a test reads the log.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Entry::Flush(done)).await.is_ok() {
            self.urging.0.notify_one();
            // An error means that the writer ended, and then there is nothing to wait for.
            let _ = written.await;
        }
    }
}

async fn write_entries(pool: PgPool, mut entries: mpsc::Receiver<Entry>, urged: Arc<Notify>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while entries.recv_many(&mut batch, BATCH_MAX).await > 0 {
        gather(&mut entries, &mut batch, &urged).await;
        let mut calls = Vec::with_capacity(batch.len());
        let mut flushed = Vec::new();
        for entry in batch.drain(..) {
            match entry {
                Entry::Call(call) => calls.push(*call),
                Entry::Flush(done) => flushed.push(done),
            }
        }
        write_calls(&pool, &calls).await;
        for done in flushed {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}

/// Waits for more rows, unless there are enough or somebody wants to know that they are written.
async fn gather(entries: &mut mpsc::Receiver<Entry>, batch: &mut Vec<Entry>, urged: &Notify) {
    if batch.iter().any(|entry| matches!(entry, Entry::Flush(_))) {
        return;
    }
    if batch.len() < BATCH_MAX {
        // It is time, or urgent: either way what has come by now is written.
        let _ = timeout(GATHERING, urged.notified()).await;
    }
    while batch.len() < BATCH_MAX
        && let Ok(entry) = entries.try_recv()
    {
        batch.push(entry);
    }
}

async fn write_calls(pool: &PgPool, calls: &[CallRecord]) {
    if calls.is_empty() {
        return;
    }
    for attempt in 1..=WRITE_ATTEMPTS {
        match try_write(pool, calls).await {
            Ok(()) => return,
            Err(error) if attempt == WRITE_ATTEMPTS || matches!(error, sqlx::Error::PoolClosed) => {
                tracing::error!(%error, calls = calls.len(), "the call log could not be written");
                return;
            }
            // The database takes one of the rows for wrong: that one alone is given up.
            Err(error) if error.as_database_error().is_some() && calls.len() > 1 => {
                for call in calls {
                    if let Err(error) = try_write(pool, std::slice::from_ref(call)).await {
                        tracing::error!(%error, key = call.call_key, "a call could not be written to the log");
                    }
                }
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "the call log could not be written yet");
                tokio::time::sleep(WRITE_PAUSE).await;
            }
        }
    }
}

async fn try_write(pool: &PgPool, calls: &[CallRecord]) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    store::insert_calls(&mut connection, calls).await
}
