//! The line identity under random interleavings: everything that changes lines, at the same time, on the same few lines, from
//! two nodes.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use fenqi::base::Fen;
use fenqi::base::id::{LineId, RepaymentId};
use fenqi::credit::line_actions::{ManualChange, change_line};
use fenqi::credit::{Change, Freeze};
use fenqi::funder;
use fenqi::funder::actions::BankMovement;
use fenqi::purchase::{Authoriser, Decision, Receipt};
use fenqi::repayment::jobs::{query_unknowns, submit_withholdings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::PgPool;

use crate::properties::assert_used_is_what_was_lent;
use crate::town::{self, LineWish, Town, unless_failed};
use crate::{acts, house};

const PEOPLE: usize = 8;
/// Acts of each person, one after the other.
const ACTS: usize = 34;
const LINES: usize = 3;
/// Sales on each line long ago, so that a bill is due.
const OLD_SALES: usize = 4;
const PLANS: [(&str, u16); 3] = [("harbour-standard", 3), ("harbour-free", 3), ("harbour-shared-fee", 6)];

/// What all people share: the lines, and what they have done with them.
#[derive(Clone)]
struct Street {
    lines: Vec<LineId>,
    old: Vec<(LineId, Receipt)>,
    sold_today: Arc<Mutex<Vec<Receipt>>>,
    transferred: Arc<Mutex<Vec<RepaymentId>>>,
}

/// Somebody who does random things on one of the nodes.
struct Person {
    town: Town,
    node: Authoriser,
    street: Street,
    number: usize,
    chance: StdRng,
    acts: u32,
    /// Acts that came through, by kind: purchase, void, refund, transfer, payoff, results of withholding, transfer taken back, line frozen
    /// and unfrozen, money into or out of the reserve.
    done: [u32; 9],
}

impl Person {
    /// Does one random thing, which is refused as often as not.
    async fn act(&mut self) {
        self.acts += 1;
        let kind = [0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5, 6, 6, 7, 8][self.chance.random_range(0..16)];
        let came_through = match kind {
            0 => self.buy().await,
            1 => self.void().await,
            2 => self.refund().await,
            3 => self.transfer().await,
            4 => self.pay_off().await,
            5 => self.collect().await,
            6 => self.take_back().await,
            7 => self.freeze_and_unfreeze().await,
            _ => self.move_the_reserve().await,
        };
        self.done[kind] += u32::from(came_through);
    }

    fn key(&self) -> String {
        format!("k{}-{}", self.number, self.acts)
    }

    fn line(&mut self) -> LineId {
        self.street.lines[self.chance.random_range(0..self.street.lines.len())]
    }

    fn old_sale(&mut self) -> (LineId, Receipt) {
        self.street.old[self.chance.random_range(0..self.street.old.len())]
    }

    fn sale_of_today(&mut self) -> Option<Receipt> {
        let sold = self.street.sold_today.lock().unwrap();
        (!sold.is_empty()).then(|| sold[self.chance.random_range(0..sold.len())])
    }

    async fn buy(&mut self) -> bool {
        let (line_id, plan) = (self.line(), PLANS[self.chance.random_range(0..PLANS.len())]);
        let wish = self.town.wish(line_id, &self.key(), self.chance.random_range(10_000..40_000), plan);
        let sold = acts::buy(&self.node, wish).await;
        self.street.sold_today.lock().unwrap().extend(sold);
        sold.is_some()
    }

    async fn void(&mut self) -> bool {
        let Some(sale) = self.sale_of_today() else { return false };
        acts::void(&self.town, &sale).await
    }

    async fn refund(&mut self) -> bool {
        let (_, sale) = self.old_sale();
        let amount = Fen::new(self.chance.random_range(1..20_000));
        acts::refund(&self.town, &sale, (amount, self.key())).await
    }

    async fn transfer(&mut self) -> bool {
        let (line_id, amount) = (self.line(), Fen::new(self.chance.random_range(1..30_000)));
        let recorded = acts::transfer(&self.town, line_id, (amount, self.key())).await;
        self.street.transferred.lock().unwrap().extend(recorded);
        recorded.is_some()
    }

    /// Two people take back one of the transfers, while others may be doing the same.
    async fn take_back(&mut self) -> bool {
        let repayment_id = {
            let transferred = self.street.transferred.lock().unwrap();
            if transferred.is_empty() {
                return false;
            }
            transferred[self.chance.random_range(0..transferred.len())]
        };
        acts::take_back(&self.town, repayment_id, self.key()).await
    }

    async fn pay_off(&mut self) -> bool {
        let (line_id, Receipt { decision: Decision::Authorised { loan_id }, .. }) = self.old_sale() else {
            return false;
        };
        acts::pay_off(&self.town, (line_id, loan_id), self.key()).await
    }

    /// An operator freezes a line and unfreezes it at once.
    async fn freeze_and_unfreeze(&mut self) -> bool {
        let line_id = self.line();
        let mut came_through = true;
        for change in [Change::Freeze(Freeze::Operator), Change::Unfreeze(Freeze::Operator)] {
            let manual = ManualChange { line_id, change, person: "Li".into(), reason: self.key() };
            came_through &= unless_failed(change_line(&self.town.app, manual).await).is_some();
        }
        came_through
    }

    async fn move_the_reserve(&mut self) -> bool {
        let amount = Fen::new(self.chance.random_range(1..1_000));
        let movement = BankMovement { funder_id: self.town.funder_id, amount, reference: self.key() };
        let moved = match self.chance.random_bool(0.5) {
            true => funder::deposit(&self.town.app, movement).await,
            false => funder::withdraw(&self.town.app, movement).await,
        };
        unless_failed(moved).is_some()
    }

    /// Sends the orders that are due and books the channel's answers. Results of several lines are booked together and so may
    /// deadlock with a batch of purchases: then the channel is asked again later.
    async fn collect(&mut self) -> bool {
        match submit_withholdings(&self.town.app).await {
            Ok(posted) => posted.succeeded > 0,
            Err(failure) => {
                assert!(is_deadlock_or_conflict(&failure), "{failure:#}");
                false
            }
        }
    }
}

fn is_deadlock_or_conflict(failure: &anyhow::Error) -> bool {
    let error = failure.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error());
    matches!(error.and_then(|error| error.code()).as_deref(), Some("40001" | "40P01"))
}

async fn rush(pool: PgPool, seed: u64) {
    let (app, _world) = house::open_in_world(pool, "2026-02-09").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 500_000, statement_day: 10, due_day: 9, expires_on: "2029-03-01" };
    let lines = town.open_lines(LINES, wish).await;
    let line_of = |sale: usize| lines[sale % LINES];
    let old = |sale: usize| town.wish(line_of(sale), &format!("old{sale}"), 60_000, PLANS[sale / LINES % PLANS.len()]);
    let bought = town.buy((0..LINES * OLD_SALES).map(old).collect()).await;
    let old = bought.into_iter().enumerate().map(|(sale, receipt)| (line_of(sale), receipt)).collect();
    // The withholding orders of this day are made and not sent yet.
    town.live_until("2026-03-09").await;
    let street = Street { lines: lines.clone(), old, sold_today: Arc::default(), transferred: Arc::default() };
    let apps = [house::with_connections(&town.app, 8).await, house::with_connections(&town.app, 8).await];
    let nodes = apps.clone().map(Authoriser::start);
    let mut people = tokio::task::JoinSet::new();
    for number in 0..PEOPLE {
        let mut person = Person {
            town: Town { app: apps[number % 2].clone(), ..town.clone() },
            node: nodes[number % 2].clone(),
            street: street.clone(),
            number,
            chance: StdRng::seed_from_u64(seed * 1_000 + number as u64),
            acts: 0,
            done: [0; 9],
        };
        people.spawn(async move {
            for _ in 0..ACTS {
                person.act().await;
            }
            person.done
        });
    }
    let mut done = [0; 9];
    while let Some(acts) = people.join_next().await {
        for (all, own) in done.iter_mut().zip(acts.unwrap()) {
            *all += own;
        }
    }
    // What was sent, and met a deadlock whenever it was to be booked, is booked now.
    done[5] += u32::from(end_collection(&town).await);
    assert!(done.iter().all(|times: &u32| *times > 0), "something never came through: {done:?}");
    assert_used_is_what_was_lent(&town, "after the rush").await;
    town.assert_whole("after the rush").await;
    for app in apps {
        app.pool.close().await;
    }
    town.live_until("2026-03-11").await;
    assert_used_is_what_was_lent(&town, "two days later").await;
    town.assert_whole("two days later").await;
}

/// Sends the orders that are left, and asks about those that could not be booked. Returns whether any was collected.
async fn end_collection(town: &Town) -> bool {
    let mut succeeded = 0;
    for _ in 0..2 {
        town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(5));
        succeeded += submit_withholdings(&town.app).await.unwrap().succeeded;
        succeeded += query_unknowns(&town.app).await.unwrap().succeeded;
    }
    let pending = "select count(*) from withholding where status in ('created', 'submitted', 'unknown')";
    assert_eq!(town.fen(pending).await, 0);
    succeeded > 0
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn everything_at_once_on_two_nodes_keeps_every_identity(pool: PgPool) {
    rush(pool, 1).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn everything_at_once_in_another_mix_keeps_every_identity(pool: PgPool) {
    rush(pool, 2).await;
}
