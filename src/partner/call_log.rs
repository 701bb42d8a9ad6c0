//! The log of every finished call to and from a partner, written in batches that no caller waits for. Calls of the last moments before the
//! process is killed are missing: what must not be lost is saved with its object before the call.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::call_record::{CallRecord, Ended, plain};
use super::store;

/// Calls waiting to be written. If the queue is full, callers wait; no call is dropped.
const QUEUE_MAX: usize = 4_096;
/// Rows in one statement.
const BATCH_MAX: usize = 500;
/// How long rows are gathered for one statement. Nobody waits for them, and a statement costs as much as twenty rows. A node that is
/// killed loses the calls of this time.
const GATHERING: Duration = Duration::from_millis(100);
/// How often a write is tried before its rows are given up with an error in the program's log.
const WRITE_ATTEMPTS: u32 = 5;
const WRITE_PAUSE: Duration = Duration::from_millis(500);

enum Entry {
    Call(Box<CallRecord>),
    Flush(oneshot::Sender<()>),
}

/// The handle by which calls are recorded. Cheap to clone; every clone writes through the same queue.
#[derive(Clone)]
pub struct CallLog {
    queue: mpsc::Sender<Entry>,
    // Declared after the queue, so that the queue is closed by the time the last handle's drop wakes the writer.
    urging: Arc<Urging>,
}

/// Tells the writer to write at once what it has, also when the last handle is dropped. Single calls do not wake it.
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
            // The caller may have been dropped.
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
        // The time is over, or somebody is waiting: in both cases what has come by now is written.
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
            // The database refuses one of the rows: only that one is given up.
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
