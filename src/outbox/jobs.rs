//! Delivery: one deliverer for each partner, batches in order, and whatever fails holds back its own object only.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::ops::Add;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::carrier::{Batch, Carried, Carrier, Failure, Fate, Fates, Manner};
use super::model::{AfterFailure, Pace};
use super::store::{self, Failed, Waiting};
use crate::app::App;
use crate::merchant::notification::merchant_of;
use crate::partner::shape;

/// Partners delivered to at once, so that a slow one does not hold up the others. Each takes a connection, and needs another
/// one now and then.
const PARTNERS_AT_ONCE: u32 = 4;

/// The longest error that is kept.
const ERROR_CHARS_MAX: usize = 500;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Dealt with: delivered, not wanted by the partner, or found to be undeliverable for ever.
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

/// Delivers until `stop` says true. Each partner has its own runs, so that one that keeps silent holds up no other's next messages.
pub async fn deliver_until(app: &App, mut stop: watch::Receiver<bool>) {
    let mut turns = Turns::default();
    while !*stop.borrow() {
        if let Err(error) = turns.line_up(app).await {
            tracing::error!("it could not be seen what waits to be delivered: {error:#}");
        }
        let pause = tokio::time::sleep(app.delivery.pause);
        tokio::pin!(pause);
        loop {
            turns.start(app);
            tokio::select! {
                () = &mut pause => break,
                said = stop.changed() => {
                    // An error means that nobody can say stop any more, so this is the end as well.
                    if said.is_err() {
                        return turns.end().await;
                    }
                    break;
                }
                Some(ended) = turns.runs.join_next_with_id() => turns.note(ended),
            }
        }
    }
    turns.end().await;
}

/// Whose turn it is, and who waits for one: merchants after all others, and not in the last of several places. There are many of
/// them, at addresses of their own choice: however many are slow to answer, cores and borrowers do not wait for them.
#[derive(Default)]
struct Turns {
    runs: JoinSet<anyhow::Result<Summary>>,
    under_way: HashMap<Id, String>,
    others: VecDeque<String>,
    merchants: VecDeque<String>,
}

impl Turns {
    /// Puts whoever something waits for behind those who wait already.
    async fn line_up(&mut self, app: &App) -> anyhow::Result<()> {
        let waiting = store::partners_waiting(&mut *app.pool.acquire().await?, app.clock.now()).await?;
        for partner in waiting {
            let queue = if merchant_of(&partner).is_some() { &mut self.merchants } else { &mut self.others };
            if !queue.contains(&partner) && !self.under_way.values().any(|running| *running == partner) {
                queue.push_back(partner);
            }
        }
        Ok(())
    }

    fn start(&mut self, app: &App) {
        while let Some(partner) = self.next(partners_at_once(app)) {
            let (app, name) = (app.clone(), partner.clone());
            let run = self.runs.spawn(async move { deliver_to(&app, &name).await });
            self.under_way.insert(run.id(), partner);
        }
    }

    /// Who begins now, where `at_once` are under way at most.
    fn next(&mut self, at_once: usize) -> Option<String> {
        if self.under_way.len() >= at_once {
            return None;
        }
        let merchants = self.under_way.values().filter(|partner| merchant_of(partner).is_some()).count();
        let has_place = merchants == 0 || merchants + 1 < at_once;
        self.others.pop_front().or_else(|| if has_place { self.merchants.pop_front() } else { None })
    }

    fn note(&mut self, ended: Result<(Id, anyhow::Result<Summary>), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let partner = self.under_way.remove(&id).unwrap_or_default();
        match ended {
            Ok((_, Ok(_))) => {}
            Ok((_, Err(error))) => tracing::error!(partner, "messages could not be delivered: {error:#}"),
            Err(error) => tracing::error!(partner, %error, "a run ended unexpectedly"),
        }
    }

    /// Lets the runs that are under way end.
    async fn end(&mut self) {
        while let Some(ended) = self.runs.join_next_with_id().await {
            self.note(ended);
        }
    }
}

/// A third of the connections, because each partner takes one, and another now and then.
fn partners_at_once(app: &App) -> usize {
    PARTNERS_AT_ONCE.min(app.pool.options().get_max_connections() / 3).max(1) as usize
}

/// Delivers everything that is due to every partner that answers.
///
/// # Errors
/// Failures of the database; a partner's failures are noted with its messages.
pub async fn deliver_outbox(app: &App) -> anyhow::Result<Summary> {
    let partners = store::partners_waiting(&mut *app.pool.acquire().await?, app.clock.now()).await?;
    let (merchants, others): (Vec<String>, Vec<String>) =
        partners.into_iter().partition(|partner| merchant_of(partner).is_some());
    let runs =
        stream::iter(others.into_iter().chain(merchants)).map(|partner| async move { deliver_to(app, &partner).await });
    let runs = runs.buffer_unordered(partners_at_once(app));
    let done: Vec<anyhow::Result<Summary>> = runs.collect().await;
    done.into_iter().try_fold(Summary::default(), |sum, run| run.map(|run| sum + run))
}

/// Delivers what is due to one partner alone.
///
/// # Errors
/// Where no partner is configured by that name, and failures of the database.
pub async fn deliver_to_one(app: &App, partner: &str) -> anyhow::Result<Summary> {
    // Said at once: nobody is left alone for it.
    let _carrier = Carrier::find(app, partner)?;
    deliver_to(app, partner).await
}

async fn deliver_to(app: &App, partner: &str) -> anyhow::Result<Summary> {
    let Some(mut hold) = Hold::take(app, partner).await? else { return Ok(Summary::default()) };
    let delivered = deliver_locked(app, &mut hold.connection, partner).await;
    hold.give_back(partner).await?;
    delivered
}

/// The sole right to deliver to a partner. It lives as long as the connection, so that it dies with whoever holds it, and no
/// transaction is open while the partner is called.
struct Hold {
    connection: PoolConnection<Postgres>,
    is_as_before: bool,
}

impl Hold {
    /// `None` where somebody else has it.
    async fn take(app: &App, partner: &str) -> sqlx::Result<Option<Hold>> {
        // Before it is changed, so that whoever gives up meanwhile does not leave the pool a changed one.
        let mut hold = Hold { connection: app.pool.acquire().await?, is_as_before: false };
        if store::try_lock_partner(&mut hold.connection, partner).await? {
            return Ok(Some(hold));
        }
        hold.is_as_before = true;
        Ok(None)
    }

    /// The connection goes back to the pool as it came from it: a new one for every run would begin with cold caches.
    async fn give_back(mut self, partner: &str) -> sqlx::Result<()> {
        store::unlock_partner(&mut self.connection, partner).await?;
        self.is_as_before = true;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.is_as_before {
            self.connection.close_on_drop();
        }
    }
}

async fn deliver_locked(app: &App, connection: &mut PgConnection, partner: &str) -> anyhow::Result<Summary> {
    let state = store::find_partner(connection, partner).await?;
    let now = app.clock.now();
    if state.as_ref().is_some_and(|state| state.paused_at.is_some() || state.next_attempt_at > now) {
        return Ok(Summary::default());
    }
    store::prefer_indexes(connection).await?;
    let there_since = state.as_ref().filter(|state| state.failures == 0).map(|state| state.next_attempt_at);
    let failures = state.map_or(0, |state| state.failures);
    match Carrier::find(app, partner) {
        Ok(carrier) => {
            // Somebody resumed it, or another node found it back: what this node remembers from before is out of date.
            if let Some(since) = there_since {
                carrier.try_again(since);
            }
            let pace = if failures > 0 { Pace::trial() } else { Pace::new() };
            let mut run = Run { app, carrier, connection, partner, failures, pace, summary: Summary::default() };
            run.deliver().await?;
            Ok(run.summary)
        }
        Err(error) => {
            tracing::warn!(partner, %error, "messages wait for a partner that is not configured");
            let failures = failures.saturating_add(1);
            store::save_partner(connection, partner, failures, now + app.delivery.open_for(failures)).await?;
            Ok(Summary::default())
        }
    }
}

/// One run for one partner.
struct Run<'a> {
    app: &'a App,
    carrier: Carrier<'a>,
    connection: &'a mut PgConnection,
    partner: &'a str,
    /// Runs in a row that found the partner down, as the row of the partner has it.
    failures: i16,
    pace: Pace,
    summary: Summary,
}

/// Whether the run goes on.
#[derive(PartialEq)]
enum Progress {
    /// Everything up to here was dealt with.
    Past(i64),
    /// The same place again, with fewer.
    Again,
    Stopped,
}

impl Progress {
    /// Past a batch, unless something of it was left: that comes before whatever follows, should the partner be resumed by now.
    fn past(last_no: i64, fates: &Fates) -> Progress {
        let has_left = fates.values().any(|fate| *fate == Fate::Left);
        if has_left { Progress::Again } else { Progress::Past(last_no) }
    }
}

impl Run<'_> {
    async fn deliver(&mut self) -> anyhow::Result<()> {
        let began = self.app.clock.now();
        let up_to_no = if self.carrier.keeps_to_horizon() { store::settle(self.connection).await? } else { i64::MAX };
        if self.deliver_failed(began).await? && self.deliver_fresh(up_to_no).await? {
            // Where nothing was due, or could be sent, nothing was heard of the partner. Only where nothing will ever be tried that
            // waits, it is for what comes next to find out.
            let is_left = self.failures > 0 && store::has_living(self.connection, self.partner).await?;
            return if is_left { Ok(()) } else { self.is_there().await };
        }
        let failures = self.failures.saturating_add(1);
        let next_attempt_at = self.app.clock.now() + self.app.delivery.open_for(failures);
        Ok(store::save_partner(self.connection, self.partner, failures, next_attempt_at).await?)
    }

    /// The partner is not down, or not any more: the row of failures ends. Noted as soon as it is known, so that a node that is
    /// killed before its run is over does not leave the partner alone for longer and longer.
    async fn is_there(&mut self) -> anyhow::Result<()> {
        if self.failures > 0 {
            store::save_partner(self.connection, self.partner, 0, self.app.clock.now()).await?;
            self.failures = 0;
        }
        Ok(())
    }

    /// What failed before and is due again. Each is moved on whatever happens, so this ends. `false` if the partner is down.
    async fn deliver_failed(&mut self, due_at: DateTime<Utc>) -> anyhow::Result<bool> {
        loop {
            let limit = self.pace.size() as i64;
            let batch = store::failed_due(self.connection, self.partner, due_at, limit).await?;
            if batch.is_empty() {
                return Ok(true);
            }
            if self.send(batch).await? == Progress::Stopped {
                return Ok(false);
            }
        }
    }

    /// What was never tried, up to a number. `false` if the partner is down.
    async fn deliver_fresh(&mut self, up_to_no: i64) -> anyhow::Result<bool> {
        let mut from_no = 0;
        loop {
            let limit = self.pace.size() as i64;
            let batch = store::fresh(self.connection, self.partner, from_no..=up_to_no, limit).await?;
            if batch.is_empty() {
                return Ok(true);
            }
            match self.send(batch).await? {
                Progress::Past(message_no) => from_no = message_no + 1,
                Progress::Again => {}
                Progress::Stopped => return Ok(false),
            }
        }
    }

    async fn send(&mut self, mut batch: Vec<Waiting>) -> anyhow::Result<Progress> {
        let last_no = batch.last().map_or(0, |message| message.message_no);
        let together = Batch { partner: self.partner, messages: &batch };
        let carried = carry(self.app, self.carrier, together, self.pace.patience()).await?;
        let Some(broken) = carried.broken else {
            // A batch of which the partner heard nothing says nothing of it.
            if carried.fates.is_empty() || carried.fates.values().any(Fate::is_heard) {
                self.pace.succeeded();
                self.is_there().await?;
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
                self.is_there().await?;
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

    async fn apply(&mut self, batch: &[Waiting], fates: &Fates) -> anyhow::Result<()> {
        let (mut delivered, mut undeliverable) = (Vec::with_capacity(batch.len()), Vec::new());
        let mut not_told = Vec::new();
        let (mut failed, mut stopped) = (Vec::new(), HashSet::new());
        for message in batch {
            let fate = fates.get(&message.message_no);
            let is_behind = stopped.contains(&message.object_id);
            if !matches!(fate, Some(Fate::Delivered | Fate::NotTold | Fate::Undeliverable(_))) {
                stopped.insert(message.object_id);
            }
            match fate {
                Some(Fate::Delivered) => delivered.push(message),
                Some(Fate::NotTold) => not_told.push(message),
                Some(Fate::Undeliverable(why)) => undeliverable.push((message, kept(why))),
                // It waits behind the one that was refused, and was not tried.
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
        self.summary.delivered += (delivered.len() + undeliverable.len() + not_told.len()) as u64;
        if !delivered.is_empty() {
            self.is_there().await?;
        }
        self.note_failed(failed).await
    }

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

    async fn note_failed(&mut self, failed: Vec<Failed>) -> anyhow::Result<()> {
        if failed.is_empty() {
            return Ok(());
        }
        let died = failed.iter().filter(|message| message.dead_at.is_some()).count() as u64;
        if died > 0 {
            tracing::error!(partner = self.partner, died, "messages are given up; see `fenqi outbox list`");
        }
        self.summary.failed += failed.len() as u64;
        self.summary.died += died;
        Ok(store::mark_failed(self.connection, &failed).await?)
    }
}

/// What is kept of an error, which may be in the words of a partner: they may hold a NUL, which the database does not take, or
/// somebody's number.
fn kept(error: &str) -> String {
    let plain: String = error.chars().filter(|character| !character.is_control()).collect();
    shape::hidden(&plain).unwrap_or(plain).chars().take(ERROR_CHARS_MAX).collect()
}

/// Hands a batch over, and looks meanwhile whether the partner is paused: hundreds of calls may take minutes.
async fn carry(app: &App, carrier: Carrier<'_>, batch: Batch<'_>, patience: u32) -> anyhow::Result<Carried> {
    let is_paused = AtomicBool::new(false);
    let manner = Manner { patience, is_paused: &is_paused };
    tokio::select! {
        carried = carrier.carry(app, batch, manner) => carried,
        never = look_for_pause(app, batch.partner, &is_paused) => match never {},
    }
}

async fn look_for_pause(app: &App, partner: &str, is_paused: &AtomicBool) -> Infallible {
    loop {
        tokio::time::sleep(app.delivery.pause).await;
        let found = async { store::find_partner(&mut *app.pool.acquire().await?, partner).await };
        match found.await {
            Ok(state) => is_paused.store(state.is_some_and(|state| state.paused_at.is_some()), Ordering::Relaxed),
            Err(error) => tracing::warn!(partner, %error, "it could not be seen whether a partner is paused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use uuid::Uuid;

    use super::*;
    use crate::base::id::MerchantId;
    use crate::merchant::notification;

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

    #[tokio::test]
    async fn merchants_come_last_and_leave_a_place_to_others() {
        let merchant = |number: u128| notification::partner(MerchantId::from_uuid(Uuid::from_u128(number)));
        let core = || "harbour-bank".to_owned();
        let mut turns = Turns { merchants: (1..=4).map(merchant).collect(), ..Turns::default() };
        let begin = |turns: &mut Turns, at_once: usize| {
            let partner = turns.next(at_once)?;
            let run = turns.runs.spawn(pending());
            turns.under_way.insert(run.id(), partner.clone());
            Some(partner)
        };
        turns.others.push_back(core());
        assert_eq!(begin(&mut turns, 4), Some(core()), "whoever waited longer");
        turns.under_way.clear();
        for number in 1..=3 {
            assert_eq!(begin(&mut turns, 4), Some(merchant(number)));
        }
        assert_eq!(begin(&mut turns, 4), None, "the last place is not a merchant's");
        turns.others.push_back(core());
        assert_eq!(begin(&mut turns, 4), Some(core()));
        turns.under_way.clear();
        assert_eq!(begin(&mut turns, 1), Some(merchant(4)), "a node with one place has it for all");
    }
}
