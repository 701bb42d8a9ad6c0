//! Batches the questions of many concurrent callers, so that the database answers all of them in one statement. While one statement runs,
//! the next batch fills, and takes over its connection; there is no timer. Start with [`Gatherer`].
//!
//! A rule for such statements: write one of the arrays that they unnest as `(select $1::uuid[])`, so that PostgreSQL cannot see its length
//! when it plans. If it can, a custom plan for a small batch may look cheaper than the cached generic plan, which assumes ten rows (with
//! the default `random_page_cost` it does); PostgreSQL then plans every batch anew, which costs more than running it.

use anyhow::anyhow;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::sync::{mpsc, oneshot};

/// Questions in one batch.
const BATCH_MAX: usize = 256;
/// Questions waiting; beyond it callers wait to be queued.
const QUEUE_MAX: usize = 4_096;

/// A batch is closed after this many turns of the scheduler in a row without a new question. A caller that is about to ask may still be on
/// another worker thread or in the network. One turn lasts until every ready task has run, so it costs almost nothing on an idle node.
const QUIET_TURNS: u32 = 3;

/// A connection that one batch hands to the next, if that is waiting already. Through the pool it would cost a round trip more (the pool
/// checks each connection that is returned), and the pool lends the connection whose caches are the coldest.
#[derive(Default)]
pub struct Left {
    connection: Option<PoolConnection<Postgres>>,
}

impl Left {
    /// The connection that was left, or one of the pool.
    ///
    /// # Errors
    /// If the pool has none.
    pub async fn take(self, pool: &PgPool) -> sqlx::Result<PoolConnection<Postgres>> {
        match self.connection {
            Some(connection) => Ok(connection),
            None => pool.acquire().await,
        }
    }

    /// Leaves a connection to the next batch, unless the pool has no other to lend. Only for one whose statements have succeeded.
    pub fn of(connection: PoolConnection<Postgres>, pool: &PgPool) -> Left {
        Left { connection: (pool.num_idle() > 0).then_some(connection) }
    }
}

/// What a batch gives back.
pub struct Answered<A> {
    /// One for each question, in their order.
    pub answers: Vec<A>,
    pub left: Left,
}

struct Waiting<Q, A> {
    asked: Q,
    answer: oneshot::Sender<Result<A, String>>,
}

/// A handle on one queue of questions; every clone asks through the same.
pub struct Gatherer<Q, A> {
    queue: mpsc::Sender<Waiting<Q, A>>,
}

impl<Q, A> Clone for Gatherer<Q, A> {
    fn clone(&self) -> Gatherer<Q, A> {
        Gatherer { queue: self.queue.clone() }
    }
}

impl<Q: Send + 'static, A: Send + 'static> Gatherer<Q, A> {
    /// Starts the task that answers; it ends when the last handle is dropped. `answer` gets a batch of questions and the connection that
    /// the previous batch left, and returns one answer for each question, in their order.
    pub fn start<Answering>(answer: impl Fn(Vec<Q>, Left) -> Answering + Send + 'static) -> Gatherer<Q, A>
    where
        Answering: Future<Output = anyhow::Result<Answered<A>>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(answer_batches(waiting, answer));
        Gatherer { queue }
    }

    /// Puts a question into the next batch and waits for its answer.
    ///
    /// # Errors
    /// The whole batch failed. If the connection was lost, the statement may have been executed all the same.
    pub async fn ask(&self, asked: Q) -> anyhow::Result<A> {
        let (answer, answered) = oneshot::channel();
        let ended = || anyhow!("nobody answers any more");
        self.queue.send(Waiting { asked, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?.map_err(|error| anyhow!("a batch failed: {error}"))
    }
}

async fn answer_batches<Q, A, Answering>(
    mut waiting: mpsc::Receiver<Waiting<Q, A>>,
    answer: impl Fn(Vec<Q>, Left) -> Answering,
) where
    A: Send + 'static,
    Answering: Future<Output = anyhow::Result<Answered<A>>> + Send + 'static,
{
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut before = Left::default();
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let_others_ask(&mut waiting, &mut batch).await;
        let (asked, callers): (Vec<Q>, Vec<_>) = batch.drain(..).map(|one| (one.asked, one.answer)).unzip();
        // A task of its own: if it panics, this batch has failed, and the next is answered.
        let answered = tokio::spawn(answer(asked, std::mem::take(&mut before)));
        match answered.await.map_err(anyhow::Error::from).flatten() {
            Ok(Answered { answers, left }) => {
                // If nobody waits, the connection goes back to the pool.
                before = if waiting.is_empty() { Left::default() } else { left };
                for (caller, answer) in callers.into_iter().zip(answers) {
                    // The caller may have been dropped.
                    let _ = caller.send(Ok(answer));
                }
            }
            Err(error) => {
                for caller in callers {
                    let _ = caller.send(Err(format!("{error:#}")));
                }
            }
        }
    }
}

/// Lets callers that are about to ask get into the batch, until [`QUIET_TURNS`] of the scheduler in a row have brought none. Callers that
/// one batch has answered often ask their next question at the same time; without this, the first of them would get a statement of its own
/// and the others would wait for it.
async fn let_others_ask<W>(waiting: &mut mpsc::Receiver<W>, batch: &mut Vec<W>) {
    let mut quiet = 0;
    while quiet < QUIET_TURNS && batch.len() < BATCH_MAX {
        tokio::task::yield_now().await;
        let before = batch.len();
        while batch.len() < BATCH_MAX
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        quiet = if batch.len() > before { 0 } else { quiet + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered<A>(answers: Vec<A>) -> anyhow::Result<Answered<A>> {
        Ok(Answered { answers, left: Left::default() })
    }

    #[tokio::test]
    async fn everybody_gets_the_answer_to_their_own_question() {
        let doubled =
            Gatherer::start(async |asked: Vec<u32>, _| answered(asked.into_iter().map(|one| one * 2).collect()));
        let asked = (0..1_000).map(|one| doubled.ask(one));
        let answers: Vec<u32> =
            futures_util::future::join_all(asked).await.into_iter().map(|answer| answer.unwrap()).collect();
        assert_eq!(answers, (0..1_000).map(|one| one * 2).collect::<Vec<_>>());
    }

    /// Somebody who asks, and brings the next one along before.
    fn ask_in_a_row(together: Gatherer<(), usize>, more: usize) -> tokio::task::JoinHandle<Vec<usize>> {
        tokio::spawn(async move {
            let next = (more > 0).then(|| ask_in_a_row(together.clone(), more - 1));
            let mut answers = vec![together.ask(()).await.unwrap()];
            if let Some(next) = next {
                answers.extend(next.await.unwrap());
            }
            answers
        })
    }

    #[tokio::test]
    async fn those_who_are_about_to_ask_are_answered_together() {
        let together = Gatherer::start(async |asked: Vec<()>, _| answered(vec![asked.len(); asked.len()]));
        assert_eq!(ask_in_a_row(together, 7).await.unwrap(), [8; 8]);
    }

    #[tokio::test]
    async fn a_batch_that_fails_fails_for_all_of_it_and_the_next_is_answered() {
        let picky = Gatherer::start(async |asked: Vec<u32>, _| match asked.contains(&13) {
            true => Err(anyhow!("thirteen")),
            false => {
                assert!(!asked.contains(&7), "seven");
                answered(asked)
            }
        });
        assert!(picky.ask(13).await.unwrap_err().to_string().contains("thirteen"));
        assert!(picky.ask(7).await.unwrap_err().to_string().contains("panicked"), "so does one that panics");
        assert_eq!(picky.ask(12).await.unwrap(), 12);
    }
}
