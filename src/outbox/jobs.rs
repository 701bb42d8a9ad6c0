//! Delivery: whose turn it is, with at most one deliverer for each partner in the whole house.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::carrier::Carrier;
use super::model::Turn;
use super::run::Ended;
use super::{run, store};
use crate::app::App;
use crate::merchant::notification::merchant_of;

pub use super::run::Summary;

/// How many partners one node delivers to in parallel, so that a slow one does not hold up the others. Each takes a
/// connection, and now and then another one.
const PARTNERS_AT_ONCE: u32 = 4;

/// Delivers until `stop` says true. Each partner has runs of its own, which make room after a time, so that neither a silent nor
/// a slow one holds up the others.
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

/// Which partners are being delivered to, and which wait for their turn. Merchants come after all others and never take every
/// place: there are many, at addresses of their own choice, and funders' cores and borrowers must not wait for slow ones. But
/// whoever was not done when a turn was over comes after the merchants that wait by then: else a few long backlogs, such as
/// after a close, would take every place in turn, and no cashier would hear of a payment until they end.
#[derive(Default)]
struct Turns {
    runs: JoinSet<anyhow::Result<Ended>>,
    under_way: HashMap<Id, String>,
    others: VecDeque<String>,
    /// Merchants, and whoever's turn was over.
    last: VecDeque<String>,
}

impl Turns {
    /// Queues the partners with waiting messages, unless they are queued or being delivered to already.
    async fn line_up(&mut self, app: &App) -> anyhow::Result<()> {
        let waiting = store::partners_waiting(&mut *app.pool.acquire().await?, app.clock.now()).await?;
        waiting.into_iter().for_each(|partner| self.queue(partner));
        Ok(())
    }

    fn queue(&mut self, partner: String) {
        let mut known = self.others.iter().chain(&self.last).chain(self.under_way.values());
        if known.any(|known| *known == partner) {
            return;
        }
        let queue = if merchant_of(&partner).is_some() { &mut self.last } else { &mut self.others };
        queue.push_back(partner);
    }

    /// Starts runs as long as there is a free place and somebody to fill it.
    fn start(&mut self, app: &App) {
        while let Some(partner) = self.next(partners_at_once(app)) {
            let (app, name) = (app.clone(), partner.clone());
            let turn = Turn::Until(Instant::now() + app.delivery.turn);
            let run = self.runs.spawn(async move { deliver_to(&app, &name, turn).await });
            self.under_way.insert(run.id(), partner);
        }
    }

    /// Whose turn it is now, if fewer than `at_once` runs are under way.
    fn next(&mut self, at_once: usize) -> Option<String> {
        if self.under_way.len() >= at_once {
            return None;
        }
        let merchants = self.under_way.values().filter(|partner| merchant_of(partner).is_some()).count();
        let has_place = merchants == 0 || merchants + 1 < at_once;
        self.others.pop_front().or_else(|| {
            let place = self.last.iter().position(|partner| has_place || merchant_of(partner).is_none())?;
            self.last.remove(place)
        })
    }

    /// Frees the place of a run that has ended, and logs its failure. A partner whose turn was over stands in line again, behind
    /// those that wait.
    fn note(&mut self, ended: Result<(Id, anyhow::Result<Ended>), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let partner = self.under_way.remove(&id).unwrap_or_default();
        match ended {
            Ok((_, Ok(run))) if run.is_cut => self.last.push_back(partner),
            Ok((_, Ok(_))) => {}
            Ok((_, Err(error))) => tracing::error!(partner, "messages could not be delivered: {error:#}"),
            Err(error) => tracing::error!(partner, %error, "a run ended unexpectedly"),
        }
    }

    /// Waits for the runs that are under way.
    async fn end(&mut self) {
        while let Some(ended) = self.runs.join_next_with_id().await {
            self.note(ended);
        }
    }
}

/// At most a third of the connections, because each run takes one, and now and then another.
fn partners_at_once(app: &App) -> usize {
    PARTNERS_AT_ONCE.min(app.pool.options().get_max_connections() / 3).max(1) as usize
}

/// Delivers everything that is due to every partner that answers, once.
///
/// # Errors
/// Failures of the database; a partner's failures are noted with its messages.
pub async fn deliver_outbox(app: &App) -> anyhow::Result<Summary> {
    let partners = store::partners_waiting(&mut *app.pool.acquire().await?, app.clock.now()).await?;
    let (merchants, others): (Vec<String>, Vec<String>) =
        partners.into_iter().partition(|partner| merchant_of(partner).is_some());
    let runs = stream::iter(others.into_iter().chain(merchants))
        .map(|partner| async move { deliver_to(app, &partner, Turn::ToTheEnd).await });
    let runs = runs.buffer_unordered(partners_at_once(app));
    let done: Vec<anyhow::Result<Ended>> = runs.collect().await;
    done.into_iter().try_fold(Summary::default(), |sum, run| run.map(|run| sum + run.summary))
}

/// Delivers what is due to one partner, once.
///
/// # Errors
/// Where no partner is configured by that name, and failures of the database.
pub async fn deliver_to_one(app: &App, partner: &str) -> anyhow::Result<Summary> {
    // A partner that is not configured is an error at once, and is not noted as down.
    let _carrier = Carrier::find(app, partner)?;
    Ok(deliver_to(app, partner, Turn::ToTheEnd).await?.summary)
}

/// Delivers what is due to a partner, as far as the turn allows, unless another node or task does.
async fn deliver_to(app: &App, partner: &str, turn: Turn) -> anyhow::Result<Ended> {
    let Some(mut hold) = Hold::take(app, partner).await? else { return Ok(Ended::default()) };
    let ended = run::deliver_due(app, &mut hold.connection, partner, turn).await;
    hold.give_back(partner).await?;
    ended
}

/// The sole right to deliver to a partner: a session lock of a connection. It ends with the connection, and so with a node
/// that dies, and no transaction has to stay open while the partner is called.
struct Hold {
    connection: PoolConnection<Postgres>,
    /// Whether the connection holds no lock, and may go back to the pool.
    is_unlocked: bool,
}

impl Hold {
    /// Takes the right; `None` where somebody else has it.
    async fn take(app: &App, partner: &str) -> sqlx::Result<Option<Hold>> {
        // Assumed to be locked before it is: a run that is dropped while it waits here must not leave a locked connection in
        // the pool.
        let mut hold = Hold { connection: app.pool.acquire().await?, is_unlocked: false };
        if store::try_lock_partner(&mut hold.connection, partner).await? {
            return Ok(Some(hold));
        }
        hold.is_unlocked = true;
        Ok(None)
    }

    /// Gives up the right, and the connection back to the pool: a new connection for every run would begin with cold caches.
    async fn give_back(mut self, partner: &str) -> sqlx::Result<()> {
        store::unlock_partner(&mut self.connection, partner).await?;
        self.is_unlocked = true;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.is_unlocked {
            self.connection.close_on_drop();
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

    fn merchant(number: u128) -> String {
        notification::partner(MerchantId::from_uuid(Uuid::from_u128(number)))
    }

    fn core() -> String {
        "harbour-bank".to_owned()
    }

    /// Begins a run that does not end by itself.
    fn begin(turns: &mut Turns, at_once: usize) -> Option<String> {
        let partner = turns.next(at_once)?;
        let run = turns.runs.spawn(pending());
        turns.under_way.insert(run.id(), partner.clone());
        Some(partner)
    }

    #[tokio::test]
    async fn merchants_come_last_and_leave_a_place_to_others() {
        let mut turns = Turns { last: (1..=4).map(merchant).collect(), ..Turns::default() };
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

    #[tokio::test]
    async fn whoever_is_not_done_when_a_turn_is_over_comes_after_the_merchants_that_wait() {
        let mut turns = Turns::default();
        turns.queue(core());
        assert_eq!(begin(&mut turns, 1), Some(core()));
        turns.queue(merchant(1));
        let run = *turns.under_way.keys().next().unwrap();
        turns.note(Ok((run, Ok(Ended { is_cut: true, ..Ended::default() }))));
        turns.queue(core());
        turns.queue(merchant(2));
        for next in [merchant(1), core(), merchant(2)] {
            assert_eq!(begin(&mut turns, 1), Some(next));
            turns.under_way.clear();
        }
        assert_eq!(begin(&mut turns, 1), None, "nobody stands in line twice");
        // Nor does it wait for a place that merchants may not have.
        turns.last.extend([merchant(1), merchant(2), core()]);
        for next in [merchant(1), core()] {
            assert_eq!(begin(&mut turns, 2), Some(next));
        }
    }
}
