//! Sends messages one in each call: those of one object one after the other, several objects in parallel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::{StreamExt as _, stream};

use super::{Broken, Carried, Failure, Fate, Fates, Manner};
use crate::outbox::store::Waiting;
use crate::partner::CallError;

/// How many objects have messages on their way to one partner at the same time.
const OBJECTS_AT_ONCE: usize = 8;

/// Classifies a failed call, for one kind of partner.
pub type Understanding = fn(&CallError) -> Failure;

/// Calls `call` for each message. A failure holds back the later messages of its object. The rest of the batch is left once
/// `manner.patience` calls in a row were not answered, nobody is there, the partner is paused, or its turn is over.
pub async fn carry<'a, C, F>(batch: &'a [Waiting], manner: Manner<'_>, understand: Understanding, call: C) -> Carried
where
    C: Fn(&'a Waiting) -> F,
    F: Future<Output = Result<Fate, CallError>>,
{
    let state = State { understand, manner, unanswered: AtomicU32::new(0), is_down: AtomicBool::new(false) };
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
    let mut place_of = HashMap::new();
    for message in batch {
        let place = *place_of.entry(message.object_id).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[place].push(message);
    }
    chains
}

/// What the chains of a batch share: how the partner behaves, and when to stop.
struct State<'m> {
    understand: Understanding,
    manner: Manner<'m>,
    /// Unanswered calls in a row.
    unanswered: AtomicU32,
    is_down: AtomicBool,
}

/// Sends the messages of one object until one is not delivered; returns what became of them, and the error that stops the
/// batch.
async fn carry_chain<'a, C, F>(chain: Vec<&'a Waiting>, call: &C, state: &State<'_>) -> (Fates, Option<CallError>)
where
    C: Fn(&'a Waiting) -> F,
    F: Future<Output = Result<Fate, CallError>>,
{
    let mut fates = Fates::new();
    let mut rest = chain.into_iter();
    let mut error = None;
    while let Some(message) = rest.next() {
        if state.is_down.load(Ordering::Relaxed) {
            // This message and the following ones are left out: as if they had not been in the batch.
            return (fates, error);
        }
        if state.manner.is_stopped.load(Ordering::Relaxed) {
            fates.extend(std::iter::once(message).chain(rest).map(|message| (message.message_no, Fate::Left)));
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
                } else if state.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= state.manner.patience {
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn whoever_is_paused_meanwhile_gets_what_is_on_its_way_and_no_more() {
        let message = |message_no| Waiting {
            message_no,
            kind: "loan_made".to_owned(),
            object_id: Uuid::nil(),
            body: "{}".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            attempts: 0,
            next_attempt_at: DateTime::UNIX_EPOCH,
        };
        let batch: Vec<Waiting> = (1..=4).map(message).collect();
        let is_stopped = &AtomicBool::new(false);
        let call = |message: &Waiting| {
            let is_second = message.message_no == 2;
            async move {
                is_stopped.fetch_or(is_second, Ordering::Relaxed);
                Ok(Fate::Delivered)
            }
        };
        let carried = carry(&batch, Manner { patience: 3, is_stopped }, |_| Failure::Silence, call).await;
        let expected = [(1, Fate::Delivered), (2, Fate::Delivered), (3, Fate::Left), (4, Fate::Left)];
        assert_eq!(carried.fates, Fates::from(expected));
        assert!(carried.broken.is_none());
    }
}
