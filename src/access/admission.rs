//! Admits requests whose signature is right: each nonce is used once, calls are counted against the rate, and idempotency keys are taken.
//! This holds over all nodes, and is done for many requests in one statement (see [`crate::gather`]).

use std::collections::HashSet;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::answer_store::{Keyed, Wanted};
use super::model::{Known, Rate, Scope};
use super::store::{self, Asking, Said};
use crate::error::Attempt;
use crate::gather::{Answered, Gatherer, Left};
use crate::partner::signature::NONCE_KEPT;

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Entry {
    pub partner_id: Uuid,
    pub signer: String,
    pub nonce: String,
    /// The version of the partner by which it was authenticated.
    pub version: i32,
    pub at: DateTime<Utc>,
    /// The key that it takes once it is let in.
    pub wanted: Option<Wanted>,
}

/// The idempotency key that a request takes once it is let in, if it has the scope that it needs.
#[derive(Clone, Debug)]
pub struct RequestedKey {
    pub key: String,
    pub request_sha256: [u8; 32],
    pub scope: Option<Scope>,
    /// A request that was begun longer ago and is not answered is taken for abandoned.
    pub abandoned_after: TimeDelta,
}

impl RequestedKey {
    /// The key as this partner's; `None` if the scope was not granted to it.
    pub fn of(self, known: &Known, at: DateTime<Utc>) -> Option<Wanted> {
        let RequestedKey { key, request_sha256, scope, abandoned_after } = self;
        let is_granted = scope.is_none_or(|scope| known.scopes.contains(&scope));
        let keyed = Keyed { partner_id: known.partner_id, key, request_sha256 };
        is_granted.then(|| Wanted { keyed, at, abandoned_before: at - abandoned_after })
    }
}

/// What is known of a request that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Whether the nonce was not used before.
    pub is_fresh: bool,
    pub rate: Rate,
    pub is_within_rate: bool,
    pub version: i32,
    /// Set if it got the key that it wanted. If not, the key may still be free (keys are taken only in clear cases), or was taken before.
    pub taken: Option<Attempt>,
}

/// Cheap to clone; every clone counts through the same queue.
#[derive(Clone)]
pub struct Admission {
    entries: Gatherer<Entry, Counted>,
}

impl Admission {
    /// Starts the counter, which ends when the last handle is dropped.
    pub fn start(pool: PgPool) -> Admission {
        Admission { entries: Gatherer::start(move |entries, left| count_batch(pool.clone(), entries, left)) }
    }

    /// Uses the nonce, counts the call, and takes the key that is wanted.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn count(&self, entry: Entry) -> anyhow::Result<Counted> {
        self.entries.ask(entry).await.context("a request could not be counted")
    }
}

async fn count_batch(pool: PgPool, entries: Vec<Entry>, left: Left) -> anyhow::Result<Answered<Counted>> {
    let mut seen = HashSet::new();
    // A request that repeats a nonce of the same batch is left out of the statement.
    let once: Vec<usize> =
        (0..entries.len()).filter(|at| seen.insert((&entries[*at].signer, &entries[*at].nonce))).collect();
    let mut keys = HashSet::new();
    let asking: Vec<Asking<'_>> = once
        .iter()
        .map(|at| {
            let Entry { partner_id, signer, nonce, version, wanted, .. } = &entries[*at];
            // If several want the same key, the first gets it.
            let wanted = wanted.as_ref().filter(|wanted| keys.insert((*partner_id, wanted.keyed.key.as_str())));
            Asking { partner_id: *partner_id, signer, nonce, version: *version, wanted }
        })
        .collect();
    let now = entries.iter().map(|entry| entry.at).max().ok_or_else(|| anyhow!("an empty batch"))?;
    let minute = now.duration_trunc(TimeDelta::minutes(1))?;
    let mut connection = left.take(&pool).await?;
    let said = store::admit_requests(&mut connection, &asking, minute, now + NONCE_KEPT).await?;
    let left = Left::of(connection, &pool);
    let reset_seconds = 60 - (now - minute).num_seconds();
    let at_of = |one: &Said| usize::try_from(one.place).ok().and_then(|place| once.get(place).copied());
    let fresh: HashSet<usize> = said.iter().filter(|one| one.is_fresh).filter_map(at_of).collect();
    let mut counted: Vec<Option<Counted>> = vec![None; entries.len()];
    for one in &said {
        let at = at_of(one).ok_or_else(|| anyhow!("an answer to nobody"))?;
        let limit = one.rate_per_minute;
        let rate = Rate { limit, remaining: (limit - one.calls).max(0), reset_seconds };
        // The statement counts the whole batch; calls behind this one are subtracted, so that the first are still within the limit.
        let is_behind = |other: &&usize| **other > at && entries[**other].partner_id == entries[at].partner_id;
        let behind = fresh.iter().filter(is_behind).count();
        let calls = one.calls.saturating_sub(i32::try_from(behind).unwrap_or(i32::MAX));
        counted[at] = Some(Counted {
            is_fresh: one.is_fresh,
            rate,
            is_within_rate: calls <= limit,
            version: one.version,
            taken: one.is_taken_over.map(Attempt::of),
        });
    }
    // The rate does not matter here: the request is refused for its nonce.
    let rate = Rate { limit: 0, remaining: 0, reset_seconds };
    let repeated = Counted { is_fresh: false, rate, is_within_rate: true, version: 0, taken: None };
    Ok(Answered { answers: counted.into_iter().map(|one| one.unwrap_or(repeated)).collect(), left })
}
