//! First answers under idempotency keys: keys are taken and answers kept for many requests in one statement, over all nodes.

use std::collections::{HashMap, HashSet};

use anyhow::anyhow;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::answer_store::{self, KeptAnswer, Keyed, TakenKey, Wanted};
use crate::error::Attempt;

/// Requests in one statement; while one runs, the next batch fills.
const BATCH_MAX: usize = 256;
/// Requests waiting; beyond it callers wait to be queued.
const QUEUE_MAX: usize = 4_096;

struct Waiting<Q, A> {
    asked: Q,
    answer: oneshot::Sender<Result<A, String>>,
}

/// Cheap to clone; every clone asks through the same queues.
#[derive(Clone)]
pub struct Answers {
    keys: mpsc::Sender<Waiting<Wanted, Option<Attempt>>>,
    answers: mpsc::Sender<Waiting<(Keyed, KeptAnswer), ()>>,
}

impl Answers {
    /// Starts two tasks, which end when the last handle is dropped.
    pub fn start(pool: PgPool) -> Answers {
        let (keys, wanted) = mpsc::channel(QUEUE_MAX);
        let (answers, kept) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(serve(pool.clone(), wanted, take_keys));
        tokio::spawn(serve(pool, kept, keep_answers));
        Answers { keys, answers }
    }

    /// Takes a key for a request; nothing when it was taken before, and answered or still runs.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn take(&self, wanted: Wanted) -> anyhow::Result<Option<Attempt>> {
        ask(&self.keys, wanted).await
    }

    /// Keeps the first answer under a key; it is there when this returns.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn keep(&self, keyed: Keyed, answer: KeptAnswer) -> anyhow::Result<()> {
        ask(&self.answers, (keyed, answer)).await
    }
}

async fn ask<Q, A>(queue: &mpsc::Sender<Waiting<Q, A>>, asked: Q) -> anyhow::Result<A> {
    let (answer, answered) = oneshot::channel();
    queue.send(Waiting { asked, answer }).await.map_err(|_| anyhow!("the keeping of answers has ended"))?;
    answered.await?.map_err(|error| anyhow!("an idempotency key could not be written: {error}"))
}

async fn serve<Q, A: Clone>(
    pool: PgPool,
    mut queue: mpsc::Receiver<Waiting<Q, A>>,
    write: impl AsyncFn(&PgPool, &[Q]) -> sqlx::Result<Vec<A>>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (asked, answers): (Vec<Q>, Vec<_>) = batch.drain(..).map(|one| (one.asked, one.answer)).unzip();
        let written = match write(&pool, &asked).await {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error.to_string()); asked.len()],
        };
        for (answer, written) in answers.into_iter().zip(written) {
            // Whoever asked may have gone.
            let _ = answer.send(written);
        }
    }
}

async fn take_keys(pool: &PgPool, wanted: &[Wanted]) -> sqlx::Result<Vec<Option<Attempt>>> {
    let mut seen = HashSet::new();
    // Of those that want one key at once the first gets it.
    let first: Vec<bool> =
        wanted.iter().map(|one| seen.insert((one.keyed.partner_id, one.keyed.key.as_str()))).collect();
    let firsts: Vec<&Wanted> = wanted.iter().zip(&first).filter(|(_, first)| **first).map(|(one, _)| one).collect();
    let taken = answer_store::claim_keys(&mut *pool.acquire().await?, &firsts).await?;
    let attempt = |key: &TakenKey| if key.is_taken_over { Attempt::Again } else { Attempt::First };
    let taken: HashMap<(Uuid, &str), Attempt> =
        taken.iter().map(|key| ((key.partner_id, key.idempotency_key.as_str()), attempt(key))).collect();
    let found = |one: &Wanted| taken.get(&(one.keyed.partner_id, one.keyed.key.as_str())).copied();
    Ok(wanted.iter().zip(first).map(|(one, first)| if first { found(one) } else { None }).collect())
}

async fn keep_answers(pool: &PgPool, kept: &[(Keyed, KeptAnswer)]) -> sqlx::Result<Vec<()>> {
    answer_store::keep_answers(&mut *pool.acquire().await?, kept).await?;
    Ok(vec![(); kept.len()])
}
