//! Takes idempotency keys and stores first answers, for many requests in one statement (see [`crate::gather`]).

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use sqlx::PgPool;
use uuid::Uuid;

use super::answer_store::{self, KeptAnswer, Keyed, TakenKey, Wanted};
use crate::error::Attempt;
use crate::gather::{Answered, Gatherer, Left};

/// Cheap to clone; every clone asks through the same queues.
#[derive(Clone)]
pub struct Answers {
    keys: Gatherer<Wanted, Option<Attempt>>,
    answers: Gatherer<(Keyed, KeptAnswer), ()>,
}

impl Answers {
    /// Starts two tasks, which end when the last handle is dropped.
    pub fn start(pool: PgPool) -> Answers {
        let (for_keys, for_answers) = (pool.clone(), pool);
        let keys = Gatherer::start(move |wanted, left| take_keys(for_keys.clone(), wanted, left));
        let answers = Gatherer::start(move |answers, left| keep_answers(for_answers.clone(), answers, left));
        Answers { keys, answers }
    }

    /// Takes a key for a request; `None` if another request has it, which was answered or still runs.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn take(&self, wanted: Wanted) -> anyhow::Result<Option<Attempt>> {
        self.keys.ask(wanted).await.context("an idempotency key could not be taken")
    }

    /// Stores the first answer under a key; it is committed when this returns.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn keep(&self, keyed: Keyed, answer: KeptAnswer) -> anyhow::Result<()> {
        self.answers.ask((keyed, answer)).await.context("an answer could not be kept")
    }
}

async fn take_keys(pool: PgPool, wanted: Vec<Wanted>, left: Left) -> anyhow::Result<Answered<Option<Attempt>>> {
    let mut seen = HashSet::new();
    // If several want the same key, the first gets it.
    let first: Vec<bool> =
        wanted.iter().map(|one| seen.insert((one.keyed.partner_id, one.keyed.key.as_str()))).collect();
    let firsts: Vec<&Wanted> = wanted.iter().zip(&first).filter(|(_, first)| **first).map(|(one, _)| one).collect();
    let mut connection = left.take(&pool).await?;
    let taken = answer_store::claim_keys(&mut connection, &firsts).await?;
    let left = Left::of(connection, &pool);
    let attempt = |key: &TakenKey| Attempt::of(key.is_taken_over);
    let taken: HashMap<(Uuid, &str), Attempt> =
        taken.iter().map(|key| ((key.partner_id, key.idempotency_key.as_str()), attempt(key))).collect();
    let found = |one: &Wanted| taken.get(&(one.keyed.partner_id, one.keyed.key.as_str())).copied();
    let answers = wanted.iter().zip(first).map(|(one, first)| if first { found(one) } else { None }).collect();
    Ok(Answered { answers, left })
}

async fn keep_answers(pool: PgPool, answers: Vec<(Keyed, KeptAnswer)>, left: Left) -> anyhow::Result<Answered<()>> {
    let mut connection = left.take(&pool).await?;
    answer_store::keep_answers(&mut connection, &answers).await?;
    Ok(Answered { answers: vec![(); answers.len()], left: Left::of(connection, &pool) })
}
