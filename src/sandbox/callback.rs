//! Callbacks of the counterfeit partners: signed, over real HTTP, and late, twice or never if a fault says so.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::fault::Fault;

/// How much later a late result is called back: by then, the platform has queried it at least once.
const LATE_BY: TimeDelta = TimeDelta::minutes(10);
/// How often a callback is tried if the receiver does not answer 2xx, and the pause between two attempts.
const ATTEMPTS_MAX: u32 = 5;
const REPEAT_AFTER: TimeDelta = TimeDelta::seconds(15);
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    pub partner: String,
    pub body: Vec<u8>,
    pub due_at: DateTime<Utc>,
    attempts: u32,
}

/// Callbacks on their way, oldest first.
#[derive(Default)]
pub struct Callbacks {
    pending: VecDeque<Callback>,
}

impl Callbacks {
    pub fn add(&mut self, partner: &str, body: Vec<u8>, now: DateTime<Utc>, fault: Option<Fault>) {
        let due_at = if fault == Some(Fault::LateAnswer) { now + LATE_BY } else { now };
        let callback = Callback { partner: partner.to_owned(), body, due_at, attempts: 0 };
        match fault {
            Some(Fault::LostCallback) => {}
            Some(Fault::DuplicateCallback) => self.pending.extend([callback.clone(), callback]),
            Some(Fault::Reorder) => self.pending.push_front(callback),
            None | Some(Fault::LateAnswer | Fault::TimeoutAfter | Fault::TimeoutBefore | Fault::Refuse) => {
                self.pending.push_back(callback);
            }
        }
    }

    /// Removes and returns the callbacks that are due.
    pub fn take_due(&mut self, now: DateTime<Utc>) -> Vec<Callback> {
        let (due, later) = std::mem::take(&mut self.pending).into_iter().partition(|callback| callback.due_at <= now);
        self.pending = later;
        Vec::from_iter::<VecDeque<_>>(due)
    }

    /// Puts back one that was not accepted, unless it was tried often enough.
    pub fn put_back(&mut self, mut callback: Callback, now: DateTime<Utc>) {
        callback.attempts += 1;
        if callback.attempts < ATTEMPTS_MAX {
            callback.due_at = now + REPEAT_AFTER;
            self.pending.push_back(callback);
        }
    }

    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is called back at once of results that came in this order.
    fn due(came: &[(&str, Option<Fault>)]) -> Vec<String> {
        let (mut callbacks, now) = (Callbacks::default(), DateTime::UNIX_EPOCH);
        for (body, fault) in came {
            callbacks.add("payout", body.as_bytes().to_vec(), now, *fault);
        }
        callbacks.take_due(now).into_iter().map(|callback| String::from_utf8(callback.body).unwrap()).collect()
    }

    #[test]
    fn a_result_that_is_reordered_is_called_back_before_those_that_came_earlier() {
        assert_eq!(due(&[("first", None), ("second", None), ("third", None)]), ["first", "second", "third"]);
        assert_eq!(
            due(&[("first", None), ("second", None), ("third", Some(Fault::Reorder))]),
            ["third", "first", "second"]
        );
    }
}
