//! One run for one partner: batches in order, in which a failure holds back only its own object.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::Add;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::carrier::{Batch, Carried, Carrier, Failure, Fate, Fates, Manner};
use super::model::{AfterFailure, Pace, Turn};
use super::store::{self, Failed, Waiting};
use crate::app::App;
use crate::notice::is_night;
use crate::partner::shape;

/// The longest error text that is stored.
const ERROR_CHARS_MAX: usize = 500;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Ended: delivered, not wanted by the partner, or found to be undeliverable for ever.
    pub delivered: u64,
    pub failed: u64,
    /// Given up after the last attempt.
    pub died: u64,
}

impl Add for Summary {
    type Output = Summary;
    fn add(self, other: Summary) -> Summary {
        Summary {
            delivered: self.delivered + other.delivered,
            failed: self.failed + other.failed,
            died: self.died + other.died,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    pub summary: Summary,
    /// Its turn was over, and there may be more that is due.
    pub is_cut: bool,
}

/// Delivers what is due to a partner, as far as the turn allows and one batch at least, and after a call that was not taken until
/// it is known why; nothing while it is paused or left alone. The caller makes sure that nobody else delivers to it meanwhile.
///
/// # Errors
/// Failures of the database; the partner's own are noted with its messages.
pub async fn deliver_due(app: &App, connection: &mut PgConnection, partner: &str, turn: Turn) -> anyhow::Result<Ended> {
    let state = store::find_partner(connection, partner).await?;
    let now = app.clock.now();
    if state.as_ref().is_some_and(|state| state.paused_at.is_some() || state.is_left_alone(now)) {
        return Ok(Ended::default());
    }
    store::prefer_indexes(connection).await?;
    let there_since = state.as_ref().filter(|state| state.failures == 0).map(|state| state.next_attempt_at);
    let failures = state.map_or(0, |state| state.failures);
    match Carrier::find(app, partner) {
        Ok(carrier) => {
            // The partner was resumed, or another node has found it up: an older circuit breaker of this node is out of date.
            if let Some(since) = there_since {
                carrier.try_again(since);
            }
            let pace = if failures > 0 { Pace::trial() } else { Pace::new() };
            let ended = Ended::default();
            let mut run = Run { app, carrier, connection, partner, failures, pace, turn, ended };
            run.deliver().await?;
            Ok(run.ended)
        }
        Err(error) => {
            tracing::warn!(partner, %error, "messages wait for a partner that is not configured");
            let failures = failures.saturating_add(1);
            store::save_partner(connection, partner, failures, now + app.delivery.open_for(failures)).await?;
            Ok(Ended::default())
        }
    }
}

/// One run for one partner.
struct Run<'a> {
    app: &'a App,
    carrier: Carrier<'a>,
    connection: &'a mut PgConnection,
    partner: &'a str,
    /// Runs in a row that found the partner down, as stored with the partner.
    failures: i16,
    pace: Pace,
    turn: Turn,
    ended: Ended,
}

/// Where the run goes on.
#[derive(PartialEq)]
enum Progress {
    /// After this number.
    Past(i64),
    /// At the same place again.
    Again,
    Stopped,
}

impl Progress {
    /// After a batch, unless some of its messages were left unsent: these come before whatever follows, if the partner is
    /// resumed by then.
    fn past(last_no: i64, fates: &Fates) -> Progress {
        let has_left = fates.values().any(|fate| *fate == Fate::Left);
        if has_left { Progress::Again } else { Progress::Past(last_no) }
    }
}

impl Run<'_> {
    async fn deliver(&mut self) -> anyhow::Result<()> {
        let began = self.app.clock.now();
        // For a partner that does not wait for the horizon it need not be moved, which costs a commit: there are as many such
        // partners as merchants.
        let settled_no = match self.carrier.keeps_to_horizon() {
            true => store::advance_horizon(self.connection).await?,
            false => store::find_horizon(self.connection).await?,
        };
        if self.deliver_failed(began).await? && (self.ended.is_cut || self.deliver_fresh(settled_no).await?) {
            // If nothing was due or could be sent, nothing was learnt about the partner, and its failures stay as they are.
            // But if no waiting message will ever be tried, the failures are forgotten, and the next message finds out
            // whether the partner is up.
            let is_left = self.failures > 0 && store::has_living(self.connection, self.partner).await?;
            return if is_left { Ok(()) } else { self.note_answering().await };
        }
        let failures = self.failures.saturating_add(1);
        let next_attempt_at = self.app.clock.now() + self.app.delivery.open_for(failures);
        Ok(store::save_partner(self.connection, self.partner, failures, next_attempt_at).await?)
    }

    /// Notes that the partner is up, which ends its failures. This is stored as soon as it is known, so that nodes that are
    /// killed before a run ends do not leave the partner alone for longer and longer.
    async fn note_answering(&mut self) -> anyhow::Result<()> {
        if self.failures > 0 {
            store::save_partner(self.connection, self.partner, 0, self.app.clock.now()).await?;
            self.failures = 0;
        }
        Ok(())
    }

    /// Delivers what failed before and is due again. Each message ends or is put off, so this loop ends. `false` if the
    /// partner is down.
    async fn deliver_failed(&mut self, due_at: DateTime<Utc>) -> anyhow::Result<bool> {
        loop {
            let (but, limit) = (self.not_now(), self.pace.size() as i64);
            let batch = store::failed_due(self.connection, self.partner, due_at, but, limit).await?;
            if batch.is_empty() {
                return Ok(true);
            }
            if self.send(batch).await? == Progress::Stopped {
                return Ok(false);
            }
            if self.makes_room() {
                return Ok(true);
            }
        }
    }

    /// Delivers what was never tried, up to the horizon where the partner waits for it. `false` if the partner is down.
    async fn deliver_fresh(&mut self, settled_no: i64) -> anyhow::Result<bool> {
        let up_to_no = if self.carrier.keeps_to_horizon() { settled_no } else { i64::MAX };
        let mut from_no = 0;
        loop {
            let (but, limit) = (self.not_now(), self.pace.size() as i64);
            let batch = store::fresh(self.connection, self.partner, from_no..=up_to_no, but, limit).await?;
            if batch.is_empty() {
                return Ok(true);
            }
            match self.send(batch).await? {
                // Not further than the horizon: above it a message with a lower number may have appeared since, and a later
                // one of its object with it.
                Progress::Past(message_no) => from_no = message_no.min(settled_no) + 1,
                Progress::Again => {}
                Progress::Stopped => return Ok(false),
            }
            if self.makes_room() {
                return Ok(true);
            }
        }
    }

    /// Whether the run ends here because its turn is over.
    fn makes_room(&mut self) -> bool {
        self.ended.is_cut = self.turn.is_over() && !self.pace.is_in_doubt();
        self.ended.is_cut
    }

    /// Kinds of messages that are not sent at this hour.
    fn not_now(&self) -> &'static [&'static str] {
        if is_night(self.app.clock.now()) { self.carrier.not_at_night() } else { &[] }
    }

    /// Sends a batch, stores what became of its messages, and says where to go on.
    async fn send(&mut self, mut batch: Vec<Waiting>) -> anyhow::Result<Progress> {
        let last_no = batch.last().map_or(0, |message| message.message_no);
        let together = Batch { partner: self.partner, messages: &batch };
        let carried = carry(self.app, self.carrier, together, (self.pace.patience(), self.turn)).await?;
        let Some(broken) = carried.broken else {
            // If no message of the batch was sent, nothing was learnt about the partner.
            if carried.fates.is_empty() || carried.fates.values().any(Fate::is_heard) {
                self.pace.succeeded();
                self.note_answering().await?;
            }
            self.apply(&batch, &carried.fates).await?;
            return Ok(Progress::past(last_no, &carried.fates));
        };
        let unknown =
            batch.extract_if(.., |message| !carried.fates.contains_key(&message.message_no)).collect::<Vec<_>>();
        self.apply(&batch, &carried.fates).await?;
        let after = match broken.failure {
            Failure::NobodyThere => return Ok(Progress::Stopped),
            Failure::Refusal => {
                self.note_answering().await?;
                self.pace.refused(unknown.len())
            }
            Failure::Silence => self.pace.unanswered(unknown.len()),
        };
        if matches!(after, AfterFailure::Blame | AfterFailure::BlameAndLeaveAlone) {
            let error = broken.error.to_string();
            let failed = unknown.iter().map(|message| self.failure(message, &error)).collect();
            self.note_failed(failed).await?;
        }
        Ok(match after {
            AfterFailure::SendFewer => Progress::Again,
            AfterFailure::Blame => Progress::past(last_no, &carried.fates),
            AfterFailure::BlameAndLeaveAlone => Progress::Stopped,
        })
    }

    /// Stores the fates of messages. Whatever is not ended stops its object for the rest of the batch.
    async fn apply(&mut self, batch: &[Waiting], fates: &Fates) -> anyhow::Result<()> {
        let (mut delivered, mut undeliverable) = (Vec::with_capacity(batch.len()), Vec::new());
        let mut not_told = Vec::new();
        let (mut failed, mut stopped) = (Vec::new(), HashSet::new());
        for message in batch {
            let fate = fates.get(&message.message_no);
            let is_behind = stopped.contains(&message.object_id);
            if !matches!(fate, Some(Fate::Delivered | Fate::NotTold | Fate::Undeliverable(_) | Fate::Nowhere(_))) {
                stopped.insert(message.object_id);
            }
            match fate {
                Some(Fate::Delivered) => delivered.push(message),
                Some(Fate::NotTold) => not_told.push(message),
                Some(Fate::Undeliverable(why) | Fate::Nowhere(why)) => undeliverable.push((message, kept(why))),
                // It waits behind the one that was refused, and was not tried: nothing to store.
                Some(Fate::Held) if is_behind => {}
                Some(Fate::Left) => {}
                Some(Fate::Held) => failed.push(self.failure(message, "held behind nothing")),
                Some(Fate::Refused(why) | Fate::Unserved(why)) => {
                    failed.push(self.failure(message, &format!("refused: {why}")));
                }
                None => failed.push(self.failure(message, "the answer does not name it")),
            }
        }
        store::mark_undeliverable(self.connection, &undeliverable, self.app.clock.now()).await?;
        store::mark_not_told(self.connection, &not_told, self.app.clock.now()).await?;
        store::mark_delivered(self.connection, &delivered, self.app.clock.now()).await?;
        self.ended.summary.delivered += (delivered.len() + undeliverable.len() + not_told.len()) as u64;
        if !delivered.is_empty() {
            self.note_answering().await?;
        }
        self.note_failed(failed).await
    }

    /// A failure of a message: when it is tried again, or that it is given up.
    fn failure(&self, message: &Waiting, error: &str) -> Failed {
        let now = self.app.clock.now();
        let delay = self.carrier.retries().after(message.attempts.saturating_add(1), self.app.delivery);
        Failed {
            message_no: message.message_no,
            due_at: message.next_attempt_at,
            next_attempt_at: now + delay.unwrap_or_default(),
            dead_at: delay.is_none().then_some(now),
            error: kept(error),
        }
    }

    /// Stores failures, and logs those after which a message is given up.
    async fn note_failed(&mut self, failed: Vec<Failed>) -> anyhow::Result<()> {
        if failed.is_empty() {
            return Ok(());
        }
        let died = failed.iter().filter(|message| message.dead_at.is_some()).count() as u64;
        if died > 0 {
            tracing::error!(partner = self.partner, died, "messages are given up; see `fenqi outbox list`");
        }
        self.ended.summary.failed += failed.len() as u64;
        self.ended.summary.died += died;
        Ok(store::mark_failed(self.connection, &failed).await?)
    }
}

/// What is stored of an error, which may hold a partner's words: without personal numbers, and cut.
fn kept(error: &str) -> String {
    shape::kept(error).chars().take(ERROR_CHARS_MAX).collect()
}

/// Sends a batch, and checks meanwhile whether the partner is paused or its turn is over, because hundreds of calls may take
/// minutes.
async fn carry(
    app: &App,
    carrier: Carrier<'_>,
    batch: Batch<'_>,
    (patience, turn): (u32, Turn),
) -> anyhow::Result<Carried> {
    let is_stopped = AtomicBool::new(false);
    let manner = Manner { patience, is_stopped: &is_stopped };
    tokio::select! {
        carried = carrier.carry(app, batch, manner) => carried,
        never = look_whether_to_stop(app, batch.partner, turn, &is_stopped) => match never {},
    }
}

async fn look_whether_to_stop(app: &App, partner: &str, turn: Turn, is_stopped: &AtomicBool) -> Infallible {
    loop {
        tokio::time::sleep(app.delivery.pause).await;
        if turn.is_over() {
            is_stopped.store(true, Ordering::Relaxed);
            return std::future::pending().await;
        }
        let found = async { store::find_partner(&mut *app.pool.acquire().await?, partner).await };
        match found.await {
            Ok(state) => is_stopped.store(state.is_some_and(|state| state.paused_at.is_some()), Ordering::Relaxed),
            Err(error) => tracing::warn!(partner, %error, "it could not be seen whether a partner is paused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_comes_before_what_follows_also_when_a_call_failed_meanwhile() {
        let failed = (1, Fate::Refused("no answer".to_owned()));
        assert!(Progress::past(2, &Fates::from([failed.clone()])) == Progress::Past(2));
        assert!(Progress::past(2, &Fates::from([failed, (2, Fate::Left)])) == Progress::Again);
    }

    #[test]
    fn of_an_error_no_number_of_a_person_is_kept() {
        assert_eq!(kept("refused:\u{0} nobody has 13812345678"), "refused: nobody has ***5678");
        assert_eq!(kept(&"备".repeat(600)).chars().count(), ERROR_CHARS_MAX);
    }
}
