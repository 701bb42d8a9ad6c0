//! Messages one a call: those of one object in order, several objects at once.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::{StreamExt as _, stream};

use super::{Broken, Carried, Failure, Fate, Fates};
use crate::outbox::store::Waiting;
use crate::partner::CallError;

/// Objects whose messages are on their way to one partner at the same time.
const OBJECTS_AT_ONCE: usize = 8;

/// How the errors of one kind of partner are understood.
pub type Understanding = fn(&CallError) -> Failure;

/// Calls once for each message. Whatever fails holds back its own object; after `patience` unanswered calls in a row, or where
/// nobody is there, the rest is left.
pub async fn carry<'a, C, F>((batch, patience): (&'a [Waiting], u32), understand: Understanding, call: C) -> Carried
where
    C: Fn(&'a Waiting) -> F,
    F: Future<Output = Result<Fate, CallError>>,
{
    let state = State { understand, patience, unanswered: AtomicU32::new(0), is_down: AtomicBool::new(false) };
    let chains = chains(batch).into_iter().map(|chain| carry_chain(chain, &call, &state));
    let carried: Vec<(Fates, Option<CallError>)> =
        stream::iter(chains.collect::<Vec<_>>()).buffer_unordered(OBJECTS_AT_ONCE).collect().await;
    let mut all = Carried::default();
    for (fates, error) in carried {
        all.fates.extend(fates);
        if let Some(error) = error {
            all.broken.get_or_insert(Broken { error, failure: Failure::NobodyThere });
        }
    }
    all
}

/// The messages of each object, in order.
fn chains(batch: &[Waiting]) -> Vec<Vec<&Waiting>> {
    let mut chains: Vec<Vec<&Waiting>> = Vec::new();
    let mut place_of = std::collections::HashMap::new();
    for message in batch {
        let place = *place_of.entry(message.object_id).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[place].push(message);
    }
    chains
}

/// What the chains of a batch know of each other.
struct State {
    understand: Understanding,
    patience: u32,
    /// Calls in a row.
    unanswered: AtomicU32,
    is_down: AtomicBool,
}

async fn carry_chain<'a, C, F>(chain: Vec<&'a Waiting>, call: &C, state: &State) -> (Fates, Option<CallError>)
where
    C: Fn(&'a Waiting) -> F,
    F: Future<Output = Result<Fate, CallError>>,
{
    let mut fates = Fates::new();
    let mut rest = chain.into_iter();
    let mut error = None;
    for message in rest.by_ref() {
        if state.is_down.load(Ordering::Relaxed) {
            // Nothing is known of it and of what follows: as if they had not been in the batch.
            return (fates, error);
        }
        match call(message).await {
            Ok(Fate::Delivered) => {
                state.unanswered.store(0, Ordering::Relaxed);
                fates.insert(message.message_no, Fate::Delivered);
                continue;
            }
            Ok(fate) => fates.insert(message.message_no, fate),
            Err(failed) => {
                let failure = (state.understand)(&failed);
                if failure == Failure::NobodyThere {
                    state.is_down.store(true, Ordering::Relaxed);
                    return (fates, Some(failed));
                }
                let refused = Fate::Refused(failed.to_string());
                if failure == Failure::Refusal {
                    state.unanswered.store(0, Ordering::Relaxed);
                } else if state.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= state.patience {
                    state.is_down.store(true, Ordering::Relaxed);
                    error = Some(failed);
                }
                fates.insert(message.message_no, refused)
            }
        };
        break;
    }
    fates.extend(rest.map(|message| (message.message_no, Fate::Held)));
    (fates, error)
}
