//! Posting the channels' answers to withholding orders: the hot path of collection.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

use anyhow::Context;
use uuid::Uuid;

use super::account::{Money, Source};
use super::back_dated::BackDated;
use super::payoff::PayoffLoan;
use super::receipt_actions::{Batch, load_payoff_loan};
use super::store::{self, NewWithholding, Outcome};
use super::withholding::{Contradiction, Failure, Purpose, State, Step, Withholding};
use super::{card_store, notices};
use crate::app::App;
use crate::base::id::{BorrowerId, LineId, LoanId, RepaymentId, WithholdingId};
use crate::base::{BusinessDay, Fen};
use crate::bill;
use crate::borrower;
use crate::database::{self, halves::Halves};
use crate::notice::{self, Notice};
use crate::partner::withholding::{Answer, ChannelFailure};

/// Results in one transaction: enough for set-based statements, few enough that a conflict costs little.
const CHUNK_RESULTS: usize = 1_000;
/// Transactions at once. More would only queue, because the database is the bottleneck.
const WORKERS: usize = 2;

/// A channel's answer about one of our orders.
#[derive(Clone, Debug)]
pub struct ChannelResult {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    pub answer: Answer,
}

/// What posting did, in numbers of orders, and the money collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    pub succeeded: u64,
    pub failed: u64,
    pub unknown: u64,
    pub already_applied: u64,
    pub contradicted: u64,
    /// Answers about orders that were never sent, or that do not exist.
    pub not_sent: u64,
    pub collected: Fen,
}

impl AddAssign for Posted {
    fn add_assign(&mut self, other: Posted) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.already_applied += other.already_applied;
        self.contradicted += other.contradicted;
        self.not_sent += other.not_sent;
        self.collected += other.collected;
    }
}

/// Applies channels' answers, each exactly once however often it comes: orders, repayments, bills, loans, lines, books and messages of
/// a chunk of lines commit together.
///
/// Chunks are in line order, so that two workers, here or on another node, never deadlock.
///
/// # Errors
/// Failures of the database, and the first result that could not be booked, after all others were.
pub async fn post_results(app: &App, results: &[ChannelResult]) -> anyhow::Result<Posted> {
    let mut sorted = results.to_vec();
    sorted.sort_by_key(|result| (result.line_id, result.withholding_id));
    if sorted.len() <= CHUNK_RESULTS {
        return post_share(app, &sorted).await;
    }
    // Each worker posts a contiguous share of the lines, chunk by chunk.
    let share = sorted.len().div_ceil(WORKERS);
    let workers: Vec<_> = sorted
        .chunks(share)
        .map(|share| {
            let (app, share) = (app.clone(), share.to_vec());
            tokio::spawn(async move { post_share(&app, &share).await })
        })
        .collect();
    let mut shares = Vec::with_capacity(WORKERS);
    for worker in workers {
        shares.push(worker.await.context("a worker that posts results panicked")?);
    }
    let mut posted = Posted::default();
    for share in shares {
        posted += share?;
    }
    Ok(posted)
}

async fn post_share(app: &App, share: &[ChannelResult]) -> anyhow::Result<Posted> {
    let mut posted = Posted::default();
    let mut chunks = Halves::of(share.chunks(CHUNK_RESULTS));
    while let Some(chunk) = chunks.take() {
        match post_chunk(app, chunk).await {
            Ok(done) => posted += done,
            Err(failure) => chunks.failed(chunk, failure, |result| result.withholding_id)?,
        }
    }
    chunks.end(posted)
}

async fn post_chunk(app: &App, results: &[ChannelResult]) -> anyhow::Result<Posted> {
    let mut transaction = database::begin(&app.pool).await?;
    let mut chunk = Chunk::open(&mut transaction, app, results).await?;
    chunk.load_disputed(&mut transaction, results).await?;
    let posted = chunk.post(&mut transaction, app, results).await?;
    transaction.commit().await?;
    Ok(posted)
}

/// Ends a pending order with the result that two people have settled with its channel, in the caller's transaction. Any part of the
/// amount is believed, even if the order did not allow partial collection. `false` if the order was no longer pending.
pub async fn post_confirmed(
    connection: &mut sqlx::PgConnection,
    app: &App,
    result: &ChannelResult,
) -> anyhow::Result<bool> {
    let results = std::slice::from_ref(result);
    let mut chunk = Chunk::open(connection, app, results).await?;
    for order in chunk.orders.values_mut() {
        order.partial_allowed = true;
    }
    let posted = chunk.post(connection, app, results).await?;
    Ok(posted.succeeded + posted.failed == 1)
}

/// A chunk of results: what was loaded for it, and what its transaction will write.
struct Chunk {
    batch: Batch,
    /// One for each result that may be a receipt; ascending, so that receipts sort in the order in which they were booked.
    repayment_ids: std::vec::IntoIter<RepaymentId>,
    orders: HashMap<WithholdingId, Withholding>,
    /// Pending orders whose channels have reported an impossible amount before.
    disputed: HashSet<WithholdingId>,
    payoffs: HashMap<LoanId, PayoffLoan>,
    /// Payoff orders whose money did not suffice for the payoff.
    fell_short: Vec<Withholding>,
    outcomes: Vec<Outcome>,
    contradictions: Vec<(Withholding, Contradiction)>,
    follow_ups: Vec<NewWithholding>,
    invalid_cards: Vec<Withholding>,
    told: Vec<Notice>,
    /// Notices to operators about orders that their channels reject as malformed.
    rejected: Vec<Notice>,
    /// Lines and days for which the borrower has been told already that a scheduled order failed.
    failed_before: HashSet<(LineId, BusinessDay)>,
    posted: Posted,
}

impl Chunk {
    /// Locks the lines of the results, which are sorted by line, and loads their orders.
    async fn open(connection: &mut sqlx::PgConnection, app: &App, results: &[ChannelResult]) -> anyhow::Result<Chunk> {
        let mut line_ids: Vec<LineId> = results.iter().map(|result| result.line_id).collect();
        line_ids.dedup();
        let batch = Batch::lock(&mut *connection, app, &line_ids).await?;
        let ids: Vec<Uuid> = results.iter().map(|result| result.withholding_id.uuid()).collect();
        let orders = store::load_withholdings(connection, &ids).await?;
        Ok(Chunk {
            repayment_ids: RepaymentId::mint_ascending(batch.now, results.len()).into_iter(),
            batch,
            orders: orders.into_iter().map(|order| (order.withholding_id, order)).collect(),
            disputed: HashSet::new(),
            payoffs: HashMap::new(),
            fell_short: Vec::new(),
            outcomes: Vec::with_capacity(results.len()),
            contradictions: Vec::new(),
            follow_ups: Vec::new(),
            invalid_cards: Vec::new(),
            told: Vec::new(),
            rejected: Vec::new(),
            failed_before: HashSet::new(),
            posted: Posted::default(),
        })
    }

    /// Loads which orders cannot end as failed by a channel's answer, because the channel has reported before that it took money for
    /// them. People find out whether it did; until then nothing else may collect that money.
    async fn load_disputed(
        &mut self,
        connection: &mut sqlx::PgConnection,
        results: &[ChannelResult],
    ) -> sqlx::Result<()> {
        let is_pending =
            |result: &&ChannelResult| self.orders.get(&result.withholding_id).is_some_and(Withholding::is_pending);
        let unpaid = results.iter().filter(|result| !result.answer.is_success()).filter(is_pending);
        let ids: Vec<Uuid> = unpaid.map(|result| result.withholding_id.uuid()).collect();
        self.disputed = store::list_disputed(connection, &ids).await?;
        Ok(())
    }

    async fn post(
        mut self,
        connection: &mut sqlx::PgConnection,
        app: &App,
        results: &[ChannelResult],
    ) -> anyhow::Result<Posted> {
        self.load(&mut *connection, app, results).await?;
        for result in results {
            self.decide(&mut *connection, app, result).await?;
        }
        self.save(connection).await
    }

    /// Loads accounts for orders that succeed now (failures change none), and which borrowers were told of an earlier failure of the
    /// day, so that they are not told again.
    async fn load(
        &mut self,
        connection: &mut sqlx::PgConnection,
        app: &App,
        results: &[ChannelResult],
    ) -> anyhow::Result<()> {
        let mut line_ids = Vec::with_capacity(results.len());
        let (mut later_tries, mut late) = (Vec::new(), Vec::new());
        for result in results {
            let order = self.orders.get(&result.withholding_id);
            let Some(order) = order.filter(|order| order.is_pending()) else { continue };
            if let Answer::Succeeded { .. } = result.answer {
                line_ids.push(order.line_id.uuid());
                if order.business_day < self.batch.today {
                    late.push(BackDated::of_order(order));
                }
                if let Purpose::Payoff(loan_id) = order.purpose {
                    bill::store::enter_schedules(&mut *connection).await?;
                    self.payoffs.insert(loan_id, load_payoff_loan(connection, loan_id).await?);
                }
            } else if order.purpose == Purpose::Due && order.attempt_no > 1 {
                later_tries.push(order);
            }
        }
        line_ids.dedup();
        self.failed_before = store::load_told_failures(&mut *connection, &later_tries).await?;
        self.batch.load(&mut *connection, app, &line_ids).await?;
        self.batch.load_since(connection, app, &late).await
    }

    async fn decide(
        &mut self,
        connection: &mut sqlx::PgConnection,
        app: &App,
        result: &ChannelResult,
    ) -> anyhow::Result<()> {
        let order = self.orders.get_mut(&result.withholding_id).filter(|order| order.line_id == result.line_id);
        let Some(order) = order else {
            self.posted.not_sent += 1;
            return Ok(());
        };
        let step = match order.receive(&result.answer) {
            Step::Move(State::Failed(_)) if self.disputed.contains(&order.withholding_id) => {
                Step::Contradicts(Contradiction::AmountDiffers { theirs: Fen::ZERO })
            }
            step => step,
        };
        match step {
            Step::AlreadyApplied => self.posted.already_applied += 1,
            Step::NotSent => self.posted.not_sent += 1,
            Step::Contradicts(contradiction) => {
                self.posted.contradicted += 1;
                self.contradictions.push((order.clone(), contradiction));
            }
            Step::Move(state) => {
                order.state = state;
                let order = order.clone();
                // An order may move twice in one chunk; the last state counts.
                self.outcomes.pop_if(|last| last.withholding_id == order.withholding_id);
                self.outcomes.push(outcome(&order, &result.answer, self.batch.now));
                if let Answer::Rejected { code } = &result.answer {
                    self.rejected.push(notices::rejected(&order, code, self.batch.when()));
                }
                self.follow(connection, app, &order).await?;
            }
        }
        Ok(())
    }

    /// Acts on an order's new state: books its money, or handles its failure.
    async fn follow(
        &mut self,
        connection: &mut sqlx::PgConnection,
        app: &App,
        order: &Withholding,
    ) -> anyhow::Result<()> {
        match order.state {
            State::Succeeded { collected } => {
                self.posted.succeeded += 1;
                self.posted.collected += collected;
                self.told.push(notices::withheld(order, collected, self.batch.when()));
                self.receive(connection, app, order, collected).await?;
            }
            State::Failed(failure) => self.fail(order, failure),
            State::Created | State::Submitted | State::Unknown => self.posted.unknown += 1,
        }
        Ok(())
    }

    /// Handles a failed order, by its kind of failure: reroutes it to the next channel, takes its card out of use, or tells the
    /// borrower.
    fn fail(&mut self, order: &Withholding, failure: Failure) {
        self.posted.failed += 1;
        match failure {
            Failure::Channel(ChannelFailure::ChannelDown) => match self.reroute(order) {
                Some(rerouted) => self.follow_ups.push(rerouted),
                None => self.tell_failed(order, ChannelFailure::ChannelDown),
            },
            Failure::Channel(ChannelFailure::CardInvalid) => {
                self.invalid_cards.push(order.clone());
                self.told.push(notices::card_invalid(order, self.batch.when()));
            }
            Failure::Channel(other @ (ChannelFailure::InsufficientFunds | ChannelFailure::Refused)) => {
                self.tell_failed(order, other);
            }
            Failure::Superseded | Failure::Reversed => {}
        }
    }

    /// Tells the borrower that an order failed; for scheduled orders only once a day.
    fn tell_failed(&mut self, order: &Withholding, failure: ChannelFailure) {
        let was_told =
            order.purpose == Purpose::Due && self.failed_before.contains(&(order.line_id, order.business_day));
        if !was_told {
            self.told.push(notices::withholding_failed(order, Failure::Channel(failure), self.batch.when()));
        }
    }

    /// Books the money of an order: towards its payoff, or else on the line.
    async fn receive(
        &mut self,
        connection: &mut sqlx::PgConnection,
        app: &App,
        order: &Withholding,
        collected: Fen,
    ) -> anyhow::Result<()> {
        let money = Money {
            repayment_id: self.repayment_ids.next().context("no result is more than one receipt")?,
            source: Source::Withholding(order.withholding_id),
            amount: collected,
            value_on: order.business_day,
            today: self.batch.today,
            at: self.batch.now,
        };
        let payoff = match order.purpose {
            Purpose::Payoff(loan_id) => self.payoffs.get(&loan_id),
            Purpose::Due | Purpose::Button => None,
        };
        match payoff {
            Some(payoff) => {
                if !self.batch.receive_payoff(connection, app, payoff, money, Some(order.card_id)).await? {
                    self.fell_short.push(order.clone());
                }
            }
            None => {
                self.batch.receive(order.line_id, money, Some(order.card_id))?;
            }
        }
        Ok(())
    }

    /// The same order on the next channel, to be sent at once; `None` after the last channel.
    fn reroute(&self, order: &Withholding) -> Option<NewWithholding> {
        let channel = order.channel.next()?;
        let attempt_no = order.attempt_no + 1;
        Some(NewWithholding {
            order: Withholding {
                withholding_id: WithholdingId::mint(self.batch.now),
                channel,
                attempt_no,
                state: State::Created,
                ..order.clone()
            },
            idempotency_key: format!("{}/{}", order.withholding_id, channel.name()),
            created_at: self.batch.now,
            submit_at: self.batch.now,
        })
    }

    async fn save(self, connection: &mut sqlx::PgConnection) -> anyhow::Result<Posted> {
        let when = self.batch.when();
        let applied = store::apply_outcomes(&mut *connection, &self.outcomes).await?;
        // The lines are locked, and every writer of an order's result locks its line: a difference is a bug, not a race.
        anyhow::ensure!(applied == self.outcomes.len() as u64, "{applied} of {} orders changed", self.outcomes.len());
        store::mark_fell_short(&mut *connection, &self.fell_short).await?;
        store::insert_withholdings(&mut *connection, &self.follow_ups).await?;
        // Only breaks that are new are returned: a channel repeats its answer whenever it is asked.
        let contradicted = store::insert_contradictions(&mut *connection, &self.contradictions, when).await?;
        take_out_of_use(&mut *connection, &self.invalid_cards).await?;
        let contradicted = contradicted.into_iter().map(|order| notices::contradicted(order, when));
        let told: Vec<Notice> = contradicted.chain(self.rejected).chain(self.told).collect();
        notice::raise(&mut *connection, &told).await?;
        self.batch.save(connection).await?;
        Ok(self.posted)
    }
}

/// Takes the cards of refused orders out of use; another card of each borrower becomes the default.
async fn take_out_of_use(connection: &mut sqlx::PgConnection, refused: &[Withholding]) -> sqlx::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let borrower_ids: Vec<BorrowerId> = refused.iter().map(|order| order.borrower_id).collect();
    borrower::lock_cards_of(connection, &borrower_ids).await?;
    card_store::mark_cards_invalid(connection, refused).await?;
    card_store::hand_default_on(connection, &borrower_ids).await
}

/// The stored form of what an answer did to an order.
fn outcome(order: &Withholding, answer: &Answer, now: chrono::DateTime<chrono::Utc>) -> Outcome {
    let (channel_code, channel_reference) = match answer {
        Answer::Succeeded { reference, .. } => (None, Some(reference.clone())),
        Answer::Failed { code, .. }
        | Answer::Rejected { code }
        | Answer::Processing { code }
        | Answer::Unclear { code }
        | Answer::Absent { code } => (Some(code.clone()), None),
    };
    Outcome {
        withholding_id: order.withholding_id,
        line_id: order.line_id,
        state: order.state,
        channel_code,
        channel_reference,
        final_at: (!order.is_pending()).then_some(now),
    }
}
