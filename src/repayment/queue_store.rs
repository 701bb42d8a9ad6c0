//! SQL of collection's queues: lines that are due, orders to send, to ask about, and to try again.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::attempt::LastAttempt;
use super::withholding::{PurposeKind, State};
use crate::base::id::{BorrowerId, LineId, LoanId, ProductId, WithholdingId};
use crate::base::{AccountRange, BusinessDay, Fen};
use crate::partner::withholding::ChannelName;

/// A due day whose bills are collected for the lines of one product version.
#[derive(Clone, Copy, Debug)]
pub struct DueDay {
    pub product_id: ProductId,
    pub product_version: i32,
    pub due_on: BusinessDay,
}

/// A line with a bill to collect.
#[derive(Clone, Copy, Debug)]
pub struct DueLine {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    /// The version that the line was opened under.
    pub product_id: ProductId,
    pub product_version: i32,
}

/// The position of a walk over pending orders. They are sent, and asked about, in the order of their times and lines, neither of which
/// ever changes. So each batch is read from behind the last one, without reading again what is pending already.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    submit_at: DateTime<Utc>,
    line_id: LineId,
}

impl Place {
    /// Before every order.
    pub const FIRST: Place = Place { submit_at: DateTime::UNIX_EPOCH, line_id: LineId::from_uuid(Uuid::nil()) };
}

/// The pending orders of one channel that are behind `after`.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    pub channel: ChannelName,
    pub after: Place,
}

/// An order that is about to be sent, locked by the caller's transaction.
#[derive(Clone, Debug)]
pub struct ClaimedOrder {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    pub purpose: PurposeKind,
    /// The loan that it pays off, if that is its purpose.
    pub loan_id: Option<LoanId>,
    pub amount: Fen,
    pub partial_allowed: bool,
    pub business_day: BusinessDay,
    pub submit_at: DateTime<Utc>,
    /// The card's signed agreement; `None` if the card is no longer bound.
    pub agreement_number: Option<String>,
}

impl ClaimedOrder {
    pub fn place(&self) -> Place {
        Place { submit_at: self.submit_at, line_id: self.line_id }
    }
}

/// An order that the channel is asked about.
#[derive(Clone, Debug)]
pub struct OpenQuestion {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    pub submit_at: DateTime<Utc>,
    pub submitted_at: DateTime<Utc>,
    pub queries: i16,
}

impl OpenQuestion {
    pub fn place(&self) -> Place {
        Place { submit_at: self.submit_at, line_id: self.line_id }
    }
}

/// The fewest and the most bills in a chunk.
#[derive(Clone, Copy, Debug)]
pub struct ChunkBills {
    pub min: i64,
    pub max: i64,
}

/// The first line of every chunk except the first, over the open bills that fall due on these days. A chunk holds about `max` bills; if
/// there are fewer bills than two such chunks, half of them, but at least `min`.
pub async fn cut_due(connection: &mut PgConnection, due_days: &[DueDay], bills: ChunkBills) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select distinct line_id from (
             select line_id, row_number() over (order by line_id) as position, count(*) over () as bills
             from bill where status = 'open' and due_on = any($1)) as due
         where position > 1 and (position - 1) % least($3::bigint, greatest((bills + 1) / 2, $2::bigint)) = 0
         order by line_id",
        &due_days.iter().map(|day| day.due_on.date()).collect::<Vec<NaiveDate>>(),
        bills.min,
        bills.max.max(1)
    )
    .fetch_all(connection)
    .await
}

/// The lines of `range` that have an open bill on a due day of their own product version, and no pending order.
pub async fn load_due_lines(
    connection: &mut PgConnection,
    due_days: &[DueDay],
    range: AccountRange,
) -> sqlx::Result<Vec<DueLine>> {
    sqlx::query_as!(
        DueLine,
        r#"select distinct l.line_id as "line_id: LineId", l.borrower_id as "borrower_id: BorrowerId",
                  l.product_id as "product_id: ProductId", l.product_version
           from bill b
           -- Looked up one by one: joined, the timetable would first meet every line that there is, on each of its days.
           cross join lateral (
               select line_id, borrower_id, product_id, product_version from credit_line where line_id = b.line_id limit 1) l
           where b.status = 'open' and b.due_on = any($3) and b.line_id between $4 and $5
             and (l.product_id, l.product_version, b.due_on) in (select * from unnest($1::uuid[], $2::int[], $3::date[]))
             and not exists (select from withholding w where w.line_id = b.line_id and w.is_pending)
           order by 1"#,
        &due_days.iter().map(|day| day.product_id.uuid()).collect::<Vec<Uuid>>(),
        &due_days.iter().map(|day| day.product_version).collect::<Vec<i32>>(),
        &due_days.iter().map(|day| day.due_on.date()).collect::<Vec<NaiveDate>>(),
        range.from,
        range.to
    )
    .fetch_all(connection)
    .await
}

/// How many orders are to be sent now, on all channels; counted only up to `counted_max`.
pub async fn count_to_submit(connection: &mut PgConnection, now: DateTime<Utc>, counted_max: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from (select 1 as one from withholding
                 where is_pending and status = 'created' and submit_at <= $1 limit $2) waiting"#,
        now,
        counted_max
    )
    .fetch_one(connection)
    .await
}

/// Locks created orders whose time has come, in order; other workers skip them.
pub async fn claim_created(
    connection: &mut PgConnection,
    queue: Queue,
    now: DateTime<Utc>,
    orders_max: i64,
) -> sqlx::Result<Vec<ClaimedOrder>> {
    sqlx::query_as!(
        ClaimedOrder,
        r#"select w.withholding_id as "withholding_id: WithholdingId", w.line_id as "line_id: LineId",
                  w.purpose as "purpose: PurposeKind", w.loan_id as "loan_id: LoanId",
                  w.amount_fen as "amount: Fen", w.partial_allowed, w.business_day as "business_day: BusinessDay",
                  w.submit_at, c.agreement_number as "agreement_number?"
           from withholding w
           left join bank_card c on c.borrower_id = w.borrower_id and c.card_id = w.card_id and c.status = 'bound'
           where w.is_pending and w.status = 'created' and w.channel = $1 and w.submit_at <= $2
             and (w.submit_at, w.line_id) > ($4::timestamptz, $5::uuid)
           order by w.submit_at, w.line_id limit $3
           for update of w skip locked"#,
        queue.channel.name(),
        now,
        orders_max,
        queue.after.submit_at,
        queue.after.line_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Marks claimed orders as sent, with the amounts that are asked for; called before the channel is.
pub async fn mark_submitted(
    connection: &mut PgConnection,
    orders: &[(WithholdingId, Fen)],
    now: DateTime<Utc>,
    query_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update withholding set status = 'submitted', amount_fen = sent.amount_fen, submitted_at = $3, query_at = $4
         from unnest($1::uuid[], $2::bigint[]) as sent(withholding_id, amount_fen)
         where withholding.withholding_id = sent.withholding_id and withholding.status = 'created'",
        &orders.iter().map(|(withholding_id, _)| withholding_id.uuid()).collect::<Vec<Uuid>>(),
        &orders.iter().map(|(_, amount)| amount.get()).collect::<Vec<i64>>(),
        now,
        query_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether any channel is to be asked about any order. Orders with a later time were not sent, so they are not asked about; and a query
/// never waits longer than an hour, unless a clock that ran ahead postponed it.
pub async fn has_any_question(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from withholding
                          where is_pending and submit_at <= $1
                            and status in ('submitted', 'unknown')
                            and (query_at <= $1 or query_at > $1 + interval '2 hours')) as "has_any!""#,
        now
    )
    .fetch_one(connection)
    .await
}

/// Locks the orders that their channel is to be asked about now, in order.
pub async fn claim_questions(
    connection: &mut PgConnection,
    queue: Queue,
    now: DateTime<Utc>,
    orders_max: i64,
) -> sqlx::Result<Vec<OpenQuestion>> {
    sqlx::query_as!(
        OpenQuestion,
        r#"select withholding_id as "withholding_id: WithholdingId", line_id as "line_id: LineId",
                  submit_at, submitted_at as "submitted_at!", queries
           from withholding
           where is_pending and submit_at <= $2 and (submit_at, line_id) > ($4::timestamptz, $5::uuid)
             and status in ('submitted', 'unknown') and channel = $1
             and (query_at <= $2 or query_at > $2 + interval '2 hours')
           order by submit_at, line_id limit $3 for update skip locked"#,
        queue.channel.name(),
        now,
        orders_max,
        queue.after.submit_at,
        queue.after.line_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Counts the query that is about to be made, and sets the time of the next one.
pub async fn postpone_questions(
    connection: &mut PgConnection,
    questions: &[(WithholdingId, DateTime<Utc>)],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update withholding set queries = least(withholding.queries + 1, 32000), query_at = asked.query_at
         from unnest($1::uuid[], $2::timestamptz[]) as asked(withholding_id, query_at)
         where withholding.withholding_id = asked.withholding_id and withholding.status in ('submitted', 'unknown')",
        &questions.iter().map(|(withholding_id, _)| withholding_id.uuid()).collect::<Vec<Uuid>>(),
        &questions.iter().map(|(_, query_at)| *query_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A query for the last scheduled order for a day on each of some lines; `$among` narrows the orders down.
macro_rules! select_last {
    ($among:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            LastRow,
            r#"select distinct on (line_id) line_id as "line_id: LineId", channel, attempt_no, submit_at, status, failure,
                      collected_fen as "collected: Fen"
               from withholding where line_id = any($2) and business_day = $1 and purpose = 'due' "# + $among
                + " order by line_id, attempt_no desc",
            $($argument)*
        )
    };
}

/// The last scheduled order for `day` on each of these lines; lines without one are missing. Reads all orders that the lines ever had,
/// so narrow the lines down with [`load_last_failures`] first.
pub async fn load_last_attempts(
    connection: &mut PgConnection,
    day: BusinessDay,
    line_ids: &[Uuid],
) -> sqlx::Result<HashMap<LineId, LastAttempt>> {
    let rows = select_last!("", day.date(), line_ids).fetch_all(connection).await?;
    rows.into_iter().map(LastRow::into_attempt).collect()
}

/// As [`load_last_attempts`], but only among failed orders. A later order of the day, if there is one, is pending or has succeeded.
pub async fn load_last_failures(
    connection: &mut PgConnection,
    day: BusinessDay,
    line_ids: &[Uuid],
) -> sqlx::Result<HashMap<LineId, LastAttempt>> {
    let rows = select_last!("and failure is not null", day.date(), line_ids).fetch_all(connection).await?;
    rows.into_iter().map(LastRow::into_attempt).collect()
}

struct LastRow {
    line_id: LineId,
    channel: String,
    attempt_no: i16,
    submit_at: DateTime<Utc>,
    status: String,
    failure: Option<String>,
    collected: Fen,
}

impl LastRow {
    fn into_attempt(self) -> sqlx::Result<(LineId, LastAttempt)> {
        let unknown =
            |what: &str| sqlx::Error::Decode(format!("an order of {} has no known {what}", self.line_id).into());
        let last = LastAttempt {
            state: State::from_stored(&self.status, self.failure.as_deref(), self.collected)
                .ok_or_else(|| unknown("status"))?,
            channel: ChannelName::from_name(&self.channel).ok_or_else(|| unknown("channel"))?,
            attempt_no: self.attempt_no,
            submit_at: self.submit_at,
        };
        Ok((self.line_id, last))
    }
}
