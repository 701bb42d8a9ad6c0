//! Collection's background jobs: send orders, ask channels about unknown outcomes, and make the orders of the timetable's later times.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::attempt::{LastAttempt, next_attempt};
use super::due_actions::{Candidate, Timetable, create_due_orders, owed_by_line, owed_for_payoff, owed_in_all_by_line};
use super::queue_store::{self, ClaimedOrder, DueLine, OpenQuestion, Place, Queue};
use super::result_actions::{ChannelResult, Posted, post_results};
use super::withholding::{Failure, PurposeKind};
use super::{notices, store};
use crate::app::App;
use crate::base::id::{LineId, WithholdingId};
use crate::base::{AccountRange, BusinessDay, Fen, When};
use crate::database;
use crate::partner::SendBy;
use crate::partner::asking::{FIRST_QUERY_AFTER, QUERIES_BEFORE_NOTICE, query_delay};
use crate::partner::withholding::{self as channels, Answer, ChannelFailure, ChannelName, Order, Said};
use crate::{business_day, notice};

/// Workers that call channels at once: while one posts what a channel has answered, another one's call is under way.
const WORKERS: usize = 3;
/// The fewest orders in one call, if enough of them wait: fewer than a channel takes, so that a few hundred orders are shared by all
/// workers.
const ORDERS_MIN: usize = 150;
const _: () = assert!(ORDERS_MIN <= channels::ORDERS_MAX);
/// Calls that each worker makes if many orders wait. Larger calls share the fixed cost of a call.
const CALLS_EACH: usize = 2;
/// Transactions that make orders at once. More would only queue, because the database is the bottleneck.
const MAKERS: usize = 2;
/// How long after orders were marked as sent they may still be sent. A batch that the channel refuses is sent again in halves, call by
/// call; what has not been sent by then is not sent at all.
const SEND_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// Sends every order whose time has come, in batches, and posts what the channels answer. Orders are marked as sent, in a committed
/// transaction, before the channel is called.
pub async fn submit_withholdings(app: &App) -> anyhow::Result<Posted> {
    let mut posted = Posted::default();
    let counted_max = (WORKERS * CALLS_EACH * channels::ORDERS_MAX) as i64;
    let waiting = queue_store::count_to_submit(&mut *app.pool.acquire().await?, app.clock.now(), counted_max).await?;
    // Usually there is nothing to send, and this query is all that is done.
    if waiting == 0 {
        return Ok(posted);
    }
    let orders_max = orders_per_call(usize::try_from(waiting)?);
    // An order rerouted to the next channel is sent in the same run.
    for channel in ChannelName::ALL {
        let calls = Calls { channel, orders_max };
        // The other workers start only if the first call does not take everything that waits.
        let first = claim(app, calls, Place::FIRST).await?;
        let others = if first.seen < orders_max { 0 } else { WORKERS - 1 };
        let after = first.last;
        let workers = std::iter::once(Some(first)).chain((0..others).map(|_| None));
        let submitting = workers.map(|first| submit_to(app, calls, first, after));
        for done in futures_util::future::join_all(submitting).await {
            posted += done?;
        }
    }
    Ok(posted)
}

/// How many orders to put into one call, if `waiting` orders wait on all channels.
fn orders_per_call(waiting: usize) -> usize {
    waiting.div_ceil(WORKERS * CALLS_EACH).clamp(ORDERS_MIN, channels::ORDERS_MAX)
}

/// The channel to call, and the most orders in one call.
#[derive(Clone, Copy)]
struct Calls {
    channel: ChannelName,
    orders_max: usize,
}

/// One worker: sends the `first` claimed orders, if any are given, then claims and sends what waits behind `after`, until less is left
/// than one call takes.
async fn submit_to(app: &App, calls: Calls, mut first: Option<Claimed>, mut after: Place) -> anyhow::Result<Posted> {
    let mut posted = Posted::default();
    loop {
        let claimed = match first.take() {
            Some(claimed) => claimed,
            None => claim(app, calls, after).await?,
        };
        after = claimed.last;
        if !claimed.orders.is_empty() {
            let send_by = SendBy::new(&app.clock, claimed.at, SEND_WITHIN);
            let said = channels::submit(&app.partners, calls.channel, &claimed.orders, send_by).await;
            posted += post_results(app, &results(said, &claimed.line_ids)).await?;
        }
        // A call that is not full took the last of what no other worker has claimed.
        if claimed.seen < calls.orders_max {
            return Ok(posted);
        }
    }
}

/// Orders that are marked as sent, to be sent now.
struct Claimed {
    /// When they were marked.
    at: DateTime<Utc>,
    /// How many orders were claimed, including those that need not be sent any more.
    seen: usize,
    /// The place of the last order; the next claim starts behind it.
    last: Place,
    orders: Vec<Order>,
    line_ids: HashMap<WithholdingId, LineId>,
}

/// Claims a channel's next orders behind `after` and marks them as sent. The amount of a scheduled order is lowered to what is owed
/// now. An order for which nothing is owed any more, or that has no card, is ended instead: the timetable makes another scheduled order
/// for what is left, and a borrower who ordered a payment is told that it is not sent.
async fn claim(app: &App, calls: Calls, after: Place) -> anyhow::Result<Claimed> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let queue = Queue { channel: calls.channel, after };
    let claimed = queue_store::claim_created(&mut transaction, queue, now, calls.orders_max as i64).await?;
    let Some(last) = claimed.last().map(ClaimedOrder::place) else {
        return Ok(Claimed { at: now, seen: 0, last: after, orders: Vec::new(), line_ids: HashMap::new() });
    };
    let owed = owed_for_orders(&mut transaction, app, &claimed).await?;
    let (mut orders, mut superseded, mut unneeded, mut no_card) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for order in &claimed {
        let amount = order.amount_where(owed.get(&order.line_id).copied().unwrap_or_default());
        match &order.agreement_number {
            _ if !amount.is_positive() && !order.is_by_timetable() => unneeded.push(order.withholding_id.uuid()),
            _ if !amount.is_positive() => superseded.push(order.withholding_id.uuid()),
            Some(agreement_number) => orders.push(order.to_send(agreement_number.clone(), amount)),
            // Its card was unbound since, or refused for another order: the timetable makes a new order on the default card.
            None if order.is_by_timetable() => superseded.push(order.withholding_id.uuid()),
            None => no_card.push(order.withholding_id.uuid()),
        }
    }
    let sent: Vec<(WithholdingId, Fen)> = orders.iter().map(|order| (order.withholding_id, order.amount)).collect();
    queue_store::mark_submitted(&mut transaction, &sent, now, now + FIRST_QUERY_AFTER).await?;
    store::end_created(&mut transaction, &superseded, Failure::Superseded, now).await?;
    end_and_tell(&mut transaction, &unneeded, Failure::Superseded, now).await?;
    end_and_tell(&mut transaction, &no_card, Failure::Channel(ChannelFailure::CardInvalid), now).await?;
    transaction.commit().await?;
    let line_ids = claimed.iter().map(|order| (order.withholding_id, order.line_id)).collect();
    Ok(Claimed { at: now, seen: claimed.len(), last, orders, line_ids })
}

/// Ends borrowers' own orders that are not sent, and tells the borrowers.
async fn end_and_tell(
    connection: &mut PgConnection,
    unsent: &[Uuid],
    failure: Failure,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if unsent.is_empty() {
        return Ok(());
    }
    store::end_created(&mut *connection, unsent, failure, now).await?;
    let when = When { business_day: business_day::store::today(&mut *connection).await?, at: now };
    let orders = store::load_withholdings(&mut *connection, unsent).await?;
    let told: Vec<_> = orders.iter().map(|order| notices::withholding_failed(order, failure, when)).collect();
    Ok(notice::raise(connection, &told).await?)
}

/// What is owed for the purpose of each line's order (a line has only one), on the order's business day: on bills that are due by then
/// for a scheduled order, on all bills that were cut for the button's, and what ends the loan for a payoff.
async fn owed_for_orders(
    connection: &mut PgConnection,
    app: &App,
    claimed: &[ClaimedOrder],
) -> anyhow::Result<HashMap<LineId, Fen>> {
    let mut days: Vec<BusinessDay> = claimed.iter().map(|order| order.business_day).collect();
    days.sort_unstable();
    days.dedup();
    let mut owed: HashMap<LineId, Fen> = HashMap::with_capacity(claimed.len());
    for day in days {
        let lines_of = |purpose: PurposeKind| -> Vec<Uuid> {
            let of_day = claimed.iter().filter(|order| order.purpose == purpose && order.business_day == day);
            of_day.map(|order| order.line_id.uuid()).collect()
        };
        let (due, pressed) = (lines_of(PurposeKind::Due), lines_of(PurposeKind::Button));
        owed.extend(owed_by_line(connection, app, &due, day).await?);
        owed.extend(owed_in_all_by_line(connection, app, &pressed, day).await?);
    }
    for order in claimed {
        if let Some(loan_id) = order.loan_id {
            owed.insert(order.line_id, owed_for_payoff(connection, app, loan_id, order.business_day).await?);
        }
    }
    Ok(owed)
}

impl ClaimedOrder {
    fn is_by_timetable(&self) -> bool {
        self.purpose == PurposeKind::Due
    }

    /// The amount to ask for if `owed` is owed for its purpose; zero if it is not to be sent. The borrower agreed to one amount, so if
    /// less is owed the button's orders ask for nothing. That can happen after another channel gave no answer for days, and a refund
    /// came meanwhile.
    fn amount_where(&self, owed: Fen) -> Fen {
        match self.purpose {
            PurposeKind::Due => owed.min(self.amount),
            PurposeKind::Button | PurposeKind::Payoff if owed < self.amount => Fen::ZERO,
            PurposeKind::Button | PurposeKind::Payoff => self.amount,
        }
    }

    fn to_send(&self, agreement_number: String, amount: Fen) -> Order {
        Order {
            withholding_id: self.withholding_id,
            agreement_number,
            amount,
            partial_allowed: self.partial_allowed,
            business_day: self.business_day,
        }
    }
}

fn results(said: Vec<Said>, line_ids: &HashMap<WithholdingId, LineId>) -> Vec<ChannelResult> {
    said.into_iter()
        .filter_map(|said| {
            let line_id = *line_ids.get(&said.withholding_id)?;
            Some(ChannelResult { withholding_id: said.withholding_id, line_id, answer: said.answer })
        })
        .collect()
}

/// Asks the channels about every order that is not final and whose time to ask has come; each query postpones the next one further.
/// Only an explicit answer ends an order.
pub async fn query_unknowns(app: &App) -> anyhow::Result<Posted> {
    let mut posted = Posted::default();
    if !queue_store::has_any_question(&mut *app.pool.acquire().await?, app.clock.now()).await? {
        return Ok(posted);
    }
    for channel in ChannelName::ALL {
        let mut after = Place::FIRST;
        loop {
            let now = app.clock.now();
            let questions = claim_questions(app, Queue { channel, after }, now).await?;
            let Some(last) = questions.last().map(OpenQuestion::place) else { break };
            after = last;
            let ids: Vec<WithholdingId> = questions.iter().map(|question| question.withholding_id).collect();
            let said = channels::query(&app.partners, channel, &ids).await;
            let results: Vec<ChannelResult> = said
                .into_iter()
                .zip(&questions)
                .map(|(said, question)| ChannelResult {
                    withholding_id: question.withholding_id,
                    line_id: question.line_id,
                    answer: believed(said.answer, question, channel, now),
                })
                .collect();
            posted += post_results(app, &results).await?;
            if questions.len() < channels::ORDERS_MAX {
                break;
            }
        }
    }
    Ok(posted)
}

/// The answer, if it can be believed. That a channel has no such order counts only after the time in which, by its contract, the order
/// might still arrive, counted from the latest moment at which it may have been sent.
fn believed(answer: Answer, question: &OpenQuestion, channel: ChannelName, now: DateTime<Utc>) -> Answer {
    match answer {
        Answer::Absent { code } => match channel.absence_is_final_after() {
            Some(delay) if now - question.submitted_at >= delay + SEND_WITHIN => Answer::Absent { code },
            Some(_) | None => Answer::Unclear { code },
        },
        Answer::Succeeded { .. }
        | Answer::Failed { .. }
        | Answer::Rejected { .. }
        | Answer::Processing { .. }
        | Answer::Unclear { .. } => answer,
    }
}

async fn claim_questions(app: &App, queue: Queue, now: DateTime<Utc>) -> anyhow::Result<Vec<OpenQuestion>> {
    let mut transaction = database::begin(&app.pool).await?;
    let questions = queue_store::claim_questions(&mut transaction, queue, now, channels::ORDERS_MAX as i64).await?;
    if questions.is_empty() {
        return Ok(questions);
    }
    let next: Vec<_> =
        questions.iter().map(|question| (question.withholding_id, now + query_delay(question.queries))).collect();
    queue_store::postpone_questions(&mut transaction, &next).await?;
    let long_unknown: Vec<Uuid> = questions
        .iter()
        .filter(|question| question.queries == QUERIES_BEFORE_NOTICE)
        .map(|question| question.withholding_id.uuid())
        .collect();
    if !long_unknown.is_empty() {
        let when = When { business_day: business_day::store::today(&mut transaction).await?, at: now };
        let orders = store::load_withholdings(&mut transaction, &long_unknown).await?;
        let told: Vec<_> = orders.iter().map(|order| notices::still_unknown(order, when)).collect();
        notice::raise(&mut transaction, &told).await?;
    }
    transaction.commit().await?;
    Ok(questions)
}

/// Makes the orders that the timetable still asks for today, once their time has come: after a temporary failure, for what a payment by
/// button or transfer has left, and if another order was pending when the day began. Returns how many; the next [`submit_withholdings`]
/// sends them.
///
/// # Errors
/// The first failure. What other workers made is kept, and the next run makes the rest.
pub async fn retry_withholdings(app: &App) -> anyhow::Result<u64> {
    let now = app.clock.now();
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let timetable = Timetable::load(&mut connection, app, today).await?;
    let mut lines = queue_store::load_due_lines(&mut connection, &timetable.due_days, AccountRange::ALL).await?;
    // Most lines had a failure today and wait for a later time or for tomorrow. They are dropped before more is read.
    let failed = queue_store::load_last_failures(&mut connection, today, &ids_of(&lines)).await?;
    let next = |line: &DueLine, last: Option<&LastAttempt>| {
        candidate(&timetable, line, last.copied(), When { business_day: today, at: now })
    };
    lines.retain(|line| next(line, failed.get(&line.line_id)).is_some());
    if lines.is_empty() {
        return Ok(0);
    }
    let last = queue_store::load_last_attempts(&mut connection, today, &ids_of(&lines)).await?;
    drop(connection);
    let candidates: Vec<_> = lines.iter().filter_map(|line| next(line, last.get(&line.line_id))).collect();
    let share = candidates.len().div_ceil(MAKERS).max(ORDERS_MIN);
    let mut making = Vec::with_capacity(MAKERS);
    for share in candidates.chunks(share) {
        making.push(make_due_orders(app, share, today));
    }
    let mut orders = 0;
    for made in futures_util::future::join_all(making).await {
        orders += made?;
    }
    Ok(orders)
}

fn ids_of(lines: &[DueLine]) -> Vec<Uuid> {
    lines.iter().map(|line| line.line_id.uuid()).collect()
}

/// What the timetable asks for on a line now, given its last scheduled order of today; `None` if nothing.
fn candidate(timetable: &Timetable, line: &DueLine, last: Option<LastAttempt>, when: When) -> Option<Candidate> {
    let product = timetable.product(line)?;
    let times: Vec<_> = product.terms.withholding.times.iter().map(|time| when.business_day.instant(*time)).collect();
    next_attempt(last, &times, when.at).map(|next| Candidate::new(line, product, next))
}

/// Makes one worker's share of the orders, in its own transaction; returns how many. The lines are sorted, so that two runs never
/// deadlock. Makes none if `day` has ended since it was read, because the close makes the next day's orders.
async fn make_due_orders(app: &App, candidates: &[Candidate], day: BusinessDay) -> anyhow::Result<u64> {
    let mut transaction = database::begin(&app.pool).await?;
    if business_day::store::hold_today(&mut transaction).await? != day {
        transaction.rollback().await?;
        return Ok(0);
    }
    let created = create_due_orders(&mut transaction, app, candidates, day).await?;
    transaction.commit().await?;
    Ok(created.orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_holds_more_orders_where_more_of_them_wait() {
        assert_eq!([1, 900, 1_800, 2_999, 100_000].map(orders_per_call), [150, 150, 300, 500, 500]);
    }

    #[test]
    fn an_order_asks_for_no_more_than_is_owed_and_the_buttons_for_what_was_agreed_to_or_nothing() {
        let asks = |purpose, owed| {
            let id = Uuid::nil();
            let order = ClaimedOrder {
                withholding_id: WithholdingId::from_uuid(id),
                line_id: LineId::from_uuid(id),
                purpose,
                loan_id: None,
                amount: Fen::new(100),
                partial_allowed: true,
                business_day: "2026-01-05".parse().unwrap(),
                submit_at: DateTime::UNIX_EPOCH,
                agreement_number: None,
            };
            order.amount_where(Fen::new(owed)).get()
        };
        for purpose in PurposeKind::ALL {
            assert_eq!([asks(purpose, 101), asks(purpose, 100), asks(purpose, 0)], [100, 100, 0], "{purpose:?}");
        }
        let less = [PurposeKind::Due, PurposeKind::Button, PurposeKind::Payoff].map(|purpose| asks(purpose, 99));
        assert_eq!(less, [99, 0, 0]);
    }

    #[test]
    fn absence_counts_only_as_late_as_the_contract_says() {
        let submitted_at: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
        let id = Uuid::nil();
        let question = OpenQuestion {
            withholding_id: WithholdingId::from_uuid(id),
            line_id: LineId::from_uuid(id),
            submit_at: submitted_at,
            submitted_at,
            queries: 0,
        };
        let absent = || Answer::Absent { code: "NOT_EXIST".to_owned() };
        let asked =
            |channel, minutes| believed(absent(), &question, channel, submitted_at + TimeDelta::minutes(minutes));
        assert_eq!(asked(ChannelName::Alpha, 11), absent());
        assert_eq!(asked(ChannelName::Alpha, 10), Answer::Unclear { code: "NOT_EXIST".to_owned() });
        assert_eq!(asked(ChannelName::Beta, 600), Answer::Unclear { code: "NOT_EXIST".to_owned() });
    }
}
