//! SQL of withholding orders and repayments.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::account::{Repayment, Source};
use super::back_dated::BackDated;
use super::unpaid::{Idle, PaidSince};
use super::withholding::{Contradiction, Failure, Purpose, State, Withholding};
use crate::base::id::{BorrowerId, CardId, LineId, LoanId, WithholdingId};
use crate::base::{BusinessDay, Fen, When};
use crate::partner::withholding::ChannelName;

/// What a channel's answer changes on an order.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    pub state: State,
    pub channel_code: Option<String>,
    pub channel_reference: Option<String>,
    pub final_at: Option<DateTime<Utc>>,
}

/// An order to insert.
#[derive(Clone, Debug)]
pub struct NewWithholding {
    pub order: Withholding,
    pub idempotency_key: String,
    pub created_at: DateTime<Utc>,
    /// It is not sent before this.
    pub submit_at: DateTime<Utc>,
}

/// A query for whole orders; `$rest` is what follows the table's name.
macro_rules! select_withholdings {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            WithholdingRow,
            r#"select withholding_id as "withholding_id: WithholdingId", line_id as "line_id: LineId",
                      borrower_id as "borrower_id: BorrowerId", purpose, loan_id as "loan_id: LoanId",
                      card_id as "card_id: CardId", channel, amount_fen as "amount: Fen", partial_allowed, attempt_no, status,
                      failure, collected_fen as "collected: Fen", business_day as "business_day: BusinessDay"
               from withholding "# + $rest,
            $($argument)*
        )
    };
}

/// Orders by their ids. The caller holds their lines' locks, and [`apply_outcomes`] changes only orders that are still pending.
pub async fn load_withholdings(
    connection: &mut PgConnection,
    withholding_ids: &[Uuid],
) -> sqlx::Result<Vec<Withholding>> {
    let rows = select_withholdings!("where withholding_id = any($1)", withholding_ids).fetch_all(connection).await?;
    rows.into_iter().map(WithholdingRow::into_withholding).collect()
}

/// The pending order of a line, if any.
pub async fn find_pending(connection: &mut PgConnection, line_id: LineId) -> sqlx::Result<Option<Withholding>> {
    let row =
        select_withholdings!("where line_id = $1 and is_pending", line_id.uuid()).fetch_optional(connection).await?;
    row.map(WithholdingRow::into_withholding).transpose()
}

/// The order that an idempotency key made, with the amount that was asked for.
pub async fn find_by_key(
    connection: &mut PgConnection,
    line_id: LineId,
    idempotency_key: &str,
) -> sqlx::Result<Option<Withholding>> {
    let row = select_withholdings!("where line_id = $1 and idempotency_key = $2", line_id.uuid(), idempotency_key)
        .fetch_optional(connection)
        .await?;
    row.map(WithholdingRow::into_withholding).transpose()
}

/// The lines and days of these orders on which the borrower was told already of a failed scheduled order: any that was not rerouted to
/// the next channel.
pub async fn load_told_failures(
    connection: &mut PgConnection,
    orders: &[&Withholding],
) -> sqlx::Result<HashSet<(LineId, BusinessDay)>> {
    if orders.is_empty() {
        return Ok(HashSet::new());
    }
    let last_channels = ChannelName::ALL.into_iter().filter(|channel| channel.next().is_none());
    let last_channels: Vec<&str> = last_channels.map(ChannelName::name).collect();
    let rows = sqlx::query!(
        r#"select w.line_id as "line_id: LineId", w.business_day as "business_day: BusinessDay"
           from unnest($1::uuid[], $2::date[]) as asked(line_id, business_day)
           -- One by one: of its line's whole life only what failed on its day is read.
           cross join lateral (
               select line_id, business_day, failure, channel from withholding
               where line_id = asked.line_id and business_day = asked.business_day and purpose = 'due' and failure is not null
               offset 0) w
           where w.failure in ('insufficient_funds', 'refused') or (w.failure = 'channel_down' and w.channel = any($3))"#,
        &orders.iter().map(|order| order.line_id.uuid()).collect::<Vec<Uuid>>(),
        &orders.iter().map(|order| order.business_day.date()).collect::<Vec<NaiveDate>>(),
        &last_channels as &[&str]
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.line_id, row.business_day)).collect())
}

/// Inserts orders; a unique index skips those of lines that have a pending order. Returns how many were inserted.
pub async fn insert_withholdings(connection: &mut PgConnection, orders: &[NewWithholding]) -> sqlx::Result<u64> {
    if orders.is_empty() {
        return Ok(0);
    }
    let uuids = |get: fn(&Withholding) -> Uuid| -> Vec<Uuid> { orders.iter().map(|new| get(&new.order)).collect() };
    let (purposes, loan_ids): (Vec<&str>, Vec<Option<LoanId>>) =
        orders.iter().map(|new| new.order.purpose.stored()).unzip();
    let inserted = sqlx::query!(
        // Fixed-size columns that are never null are read by array index: unnesting them costs three times as much a row.
        "insert into withholding (withholding_id, line_id, borrower_id, purpose, loan_id, idempotency_key, card_id, channel,
                                  amount_fen, partial_allowed, attempt_no, business_day, created_at, submit_at, status)
         select ($1::uuid[])[o.place], ($2::uuid[])[o.place], ($3::uuid[])[o.place], o.purpose, o.loan_id, o.idempotency_key,
                ($7::uuid[])[o.place], o.channel, ($9::bigint[])[o.place], ($10::bool[])[o.place],
                ($11::smallint[])[o.place], ($12::date[])[o.place], ($13::timestamptz[])[o.place],
                ($14::timestamptz[])[o.place], 'created'
         from unnest($4::text[], $5::uuid[], $6::text[], $8::text[]) with ordinality
              as o(purpose, loan_id, idempotency_key, channel, place)
         on conflict do nothing",
        &uuids(|order| order.withholding_id.uuid()),
        &uuids(|order| order.line_id.uuid()),
        &uuids(|order| order.borrower_id.uuid()),
        &purposes as &[&str],
        &loan_ids.iter().map(|loan_id| loan_id.map(LoanId::uuid)).collect::<Vec<_>>() as &[Option<Uuid>],
        &orders.iter().map(|new| new.idempotency_key.clone()).collect::<Vec<String>>(),
        &uuids(|order| order.card_id.uuid()),
        &orders.iter().map(|new| new.order.channel.name()).collect::<Vec<&str>>() as &[&str],
        &orders.iter().map(|new| new.order.amount.get()).collect::<Vec<i64>>(),
        &orders.iter().map(|new| new.order.partial_allowed).collect::<Vec<bool>>(),
        &orders.iter().map(|new| new.order.attempt_no).collect::<Vec<i16>>(),
        &orders.iter().map(|new| new.order.business_day.date()).collect::<Vec<NaiveDate>>(),
        &orders.iter().map(|new| new.created_at).collect::<Vec<DateTime<Utc>>>(),
        &orders.iter().map(|new| new.submit_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Applies what channels answered. Only orders that were sent and are not final change; returns how many did.
pub async fn apply_outcomes(connection: &mut PgConnection, outcomes: &[Outcome]) -> sqlx::Result<u64> {
    if outcomes.is_empty() {
        return Ok(0);
    }
    let failure = |state: State| match state {
        State::Failed(failure) => Some(failure.stored()),
        State::Created | State::Submitted | State::Unknown | State::Succeeded { .. } => None,
    };
    let collected = |state: State| match state {
        State::Succeeded { collected } => collected.get(),
        State::Created | State::Submitted | State::Unknown | State::Failed(_) => 0,
    };
    let applied = sqlx::query!(
        "update withholding set status = o.status, failure = o.failure, collected_fen = ($5::bigint[])[o.place],
                channel_code = coalesce(o.channel_code, withholding.channel_code),
                channel_reference = coalesce(o.channel_reference, withholding.channel_reference),
                final_at = o.final_at, was_unknown = withholding.was_unknown or o.status = 'unknown'
         from unnest($1::uuid[], $3::text[], $4::text[], $6::text[], $7::text[], $8::timestamptz[]) with ordinality
              as o(withholding_id, status, failure, channel_code, channel_reference, final_at, place)
         where withholding.withholding_id = o.withholding_id and withholding.line_id = ($2::uuid[])[o.place]
           and withholding.status in ('submitted', 'unknown')",
        &outcomes.iter().map(|outcome| outcome.withholding_id.uuid()).collect::<Vec<Uuid>>(),
        &outcomes.iter().map(|outcome| outcome.line_id.uuid()).collect::<Vec<Uuid>>(),
        &outcomes.iter().map(|outcome| outcome.state.stored()).collect::<Vec<&str>>() as &[&str],
        &outcomes.iter().map(|outcome| failure(outcome.state)).collect::<Vec<_>>() as &[Option<&str>],
        &outcomes.iter().map(|outcome| collected(outcome.state)).collect::<Vec<i64>>(),
        &outcomes.iter().map(|outcome| outcome.channel_code.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &outcomes.iter().map(|outcome| outcome.channel_reference.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &outcomes.iter().map(|outcome| outcome.final_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(connection)
    .await?;
    Ok(applied.rows_affected())
}

/// Marks payoff orders whose money did not suffice.
pub async fn mark_fell_short(connection: &mut PgConnection, orders: &[Withholding]) -> sqlx::Result<()> {
    for order in orders {
        sqlx::query!(
            "update withholding set fell_short = true where withholding_id = $1 and line_id = $2",
            order.withholding_id.uuid(),
            order.line_id.uuid()
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Ends orders that were never sent. Those that were sent meanwhile stay as they are, and are not counted.
pub async fn end_created(
    connection: &mut PgConnection,
    withholding_ids: &[Uuid],
    failure: Failure,
    at: DateTime<Utc>,
) -> sqlx::Result<u64> {
    if withholding_ids.is_empty() {
        return Ok(0);
    }
    let ended = sqlx::query!(
        "update withholding set status = 'failed', failure = $2, final_at = $3
         where withholding_id = any($1) and status = 'created'",
        withholding_ids,
        failure.stored(),
        at
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected())
}

/// Inserts receipts, one row each. The installments of all of them are passed in flat arrays, with the bounds of each receipt.
pub async fn insert_repayments(connection: &mut PgConnection, repayments: &[Repayment]) -> sqlx::Result<()> {
    if repayments.is_empty() {
        return Ok(());
    }
    let items: Vec<_> = repayments.iter().flat_map(|repayment| &repayment.items).collect();
    let mut first = Vec::with_capacity(repayments.len());
    let mut last = Vec::with_capacity(repayments.len());
    let mut end = 0i32;
    for repayment in repayments {
        first.push(end + 1);
        end += repayment.items.len() as i32;
        last.push(end);
    }
    sqlx::query!(
        // Fixed-size columns that are never null are read by array index: unnesting them costs three times as much a row.
        "insert into repayment (repayment_id, line_id, funder_id, source, source_reference, amount_fen, excess_fen,
                                business_day, received_at, loan_ids, periods, principal_fen, interest_fen, fee_fen,
                                penalty_fen)
         select ($1::uuid[])[r.place], ($2::uuid[])[r.place], ($3::uuid[])[r.place], r.source, r.source_reference,
                ($6::bigint[])[r.place], ($7::bigint[])[r.place], ($8::date[])[r.place], ($9::timestamptz[])[r.place],
                ($12::uuid[])[r.first:r.last], ($13::smallint[])[r.first:r.last], ($14::bigint[])[r.first:r.last],
                ($15::bigint[])[r.first:r.last], ($16::bigint[])[r.first:r.last], ($17::bigint[])[r.first:r.last]
         from unnest($4::text[], $5::text[], $10::int[], $11::int[]) with ordinality
              as r(source, source_reference, first, last, place)",
        &repayments.iter().map(|repayment| repayment.repayment_id.uuid()).collect::<Vec<Uuid>>(),
        &repayments.iter().map(|repayment| repayment.line_id.uuid()).collect::<Vec<Uuid>>(),
        &repayments.iter().map(|repayment| repayment.funder_id.uuid()).collect::<Vec<Uuid>>(),
        &repayments.iter().map(|repayment| repayment.source.stored()).collect::<Vec<&str>>() as &[&str],
        &repayments.iter().map(|repayment| repayment.source.reference()).collect::<Vec<String>>(),
        &repayments.iter().map(|repayment| repayment.amount.get()).collect::<Vec<i64>>(),
        &repayments.iter().map(|repayment| repayment.excess.get()).collect::<Vec<i64>>(),
        &repayments.iter().map(|repayment| repayment.business_day.date()).collect::<Vec<NaiveDate>>(),
        &repayments.iter().map(|repayment| repayment.received_at).collect::<Vec<DateTime<Utc>>>(),
        &first,
        &last,
        &items.iter().map(|item| item.loan_id.uuid()).collect::<Vec<Uuid>>(),
        &items.iter().map(|item| item.period).collect::<Vec<i16>>(),
        &items.iter().map(|item| item.taken.principal.get()).collect::<Vec<i64>>(),
        &items.iter().map(|item| item.taken.interest.get()).collect::<Vec<i64>>(),
        &items.iter().map(|item| item.taken.fee.get()).collect::<Vec<i64>>(),
        &items.iter().map(|item| item.taken.penalty.get()).collect::<Vec<i64>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether money from this source was ever booked on the line, reversed since or not.
pub async fn has_repayment(connection: &mut PgConnection, line_id: LineId, source: &Source) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        "select 1 as one from repayment where line_id = $1 and source = $2 and source_reference = $3",
        line_id.uuid(),
        source.stored(),
        source.reference()
    );
    Ok(found.fetch_optional(connection).await?.is_some())
}

/// The lines of back-dated money on which the penalty base may have changed since its value date; also if it was paid in time and that
/// payment was reversed since.
pub async fn list_changed_since(connection: &mut PgConnection, late: &[BackDated]) -> sqlx::Result<HashSet<LineId>> {
    if late.is_empty() {
        return Ok(HashSet::new());
    }
    let changed = sqlx::query_scalar!(
        r#"select asked.line_id as "line_id!: LineId"
           from unnest($1::uuid[], $2::date[]) as asked(line_id, day)
           cross join lateral (select 1 as one from bill_line i
                               where i.line_id = asked.line_id and i.origin = 'statement'
                                 and i.fen_days_to > asked.day limit 1) changed"#,
        &late.iter().map(|money| money.line_id.uuid()).collect::<Vec<Uuid>>(),
        &late.iter().map(|money| money.value_on.date()).collect::<Vec<NaiveDate>>()
    )
    .fetch_all(connection)
    .await?;
    Ok(changed.into_iter().collect())
}

/// Changes of late installments after the value date of back-dated money: payments with a later one, refunds and reversals.
pub async fn load_paid_since(connection: &mut PgConnection, money: &BackDated) -> sqlx::Result<Vec<PaidSince>> {
    sqlx::query_as!(
        PaidSince,
        r#"select paid.loan_id as "loan_id!: LoanId", paid.period as "period!", paid.value_on as "value_on!: BusinessDay",
                  paid.principal_fen as "principal!: Fen", paid.interest_fen as "interest!: Fen", paid.is_own as "is_own!"
           from (select part.loan_id, part.period, part.principal_fen, part.interest_fen, value_date(r) as value_on,
                        r.source = 'reversal'
                            and exists (select from repayment o
                                        where o.line_id = r.line_id and o.repayment_id::text = r.source_reference
                                          and o.source = any($4) and o.source_reference = $3 and value_date(o) <= $2) as is_own
                 from repayment r
                 cross join lateral unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen)
                      as part(loan_id, period, principal_fen, interest_fen)
                 where r.line_id = $1
                 union all
                 -- Refunds from before they told it say nothing of interest.
                 select f.loan_id, part.period, part.principal_fen, coalesce(part.interest_fen, 0), part.fell_on, false
                 from refund f
                 cross join lateral unnest(f.fell_periods, f.fell_principal_fen, f.fell_interest_fen, f.fell_on)
                      as part(period, principal_fen, interest_fen, fell_on)
                 where f.line_id = $1) paid
           join bill_line i on i.line_id = $1 and i.loan_id = paid.loan_id and i.period = paid.period
                           and i.origin = 'statement' and i.fen_days_to > $2
           where paid.value_on > $2 and (paid.principal_fen <> 0 or paid.interest_fen <> 0)"#,
        money.line_id.uuid(),
        money.value_on.date(),
        money.source.reference(),
        money.booked_as() as &[&str]
    )
    .fetch_all(connection)
    .await
}

/// How many repayments of each line had an excess; lines without any are left out.
pub async fn count_left_over(connection: &mut PgConnection, line_ids: &[Uuid]) -> sqlx::Result<BTreeMap<LineId, i64>> {
    let rows = sqlx::query!(
        r#"select line_id as "line_id: LineId", count(*) as "count!" from repayment
           where line_id = any($1) and excess_fen > 0 group by line_id"#,
        line_ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.line_id, row.count)).collect())
}

/// Back-dated money on a line that was booked since `day` and paid nothing for some days, with those days: it was paid back, or it paid
/// what fell due later.
pub async fn load_idle(connection: &mut PgConnection, line_id: LineId, day: BusinessDay) -> sqlx::Result<Vec<Idle>> {
    sqlx::query_as!(
        Idle,
        r#"select idle.amount_fen as "amount!: Fen", counts.since as "from!: BusinessDay", idle.until as "until!: BusinessDay",
                  case when r.source = 'withholding' and w.purpose = 'payoff' and not w.fell_short then w.loan_id end as "pays_off: LoanId"
           from repayment r
           cross join lateral (select value_date(r) as since) counts
           left join withholding w on w.line_id = r.line_id
             and w.withholding_id = case when r.source in ('withholding', 'channel_file') then r.source_reference::uuid end
           cross join lateral (
               select r.excess_fen as amount_fen, r.business_day as until
               union all
               select part.principal_fen + part.interest_fen + part.fee_fen + part.penalty_fen, least(i.due_on, r.business_day)
               from unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                    as part(loan_id, period, principal_fen, interest_fen, fee_fen, penalty_fen)
               join bill_line i on i.line_id = r.line_id and i.loan_id = part.loan_id and i.period = part.period
                               and i.origin = 'statement') idle
           where r.line_id = $1 and r.business_day > $2 and counts.since < r.business_day and idle.amount_fen > 0
             and idle.until > counts.since"#,
        line_id.uuid(),
        day.date()
    )
    .fetch_all(connection)
    .await
}

/// The orders among these that have an open break about their amount.
pub async fn list_disputed(
    connection: &mut PgConnection,
    withholding_ids: &[Uuid],
) -> sqlx::Result<HashSet<WithholdingId>> {
    if withholding_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let disputed = sqlx::query_scalar!(
        r#"select withholding_id as "withholding_id: WithholdingId" from reconciliation_break
           where withholding_id = any($1) and kind = 'amount_differs' and status = 'open'"#,
        withholding_ids
    )
    .fetch_all(connection)
    .await?;
    Ok(disputed.into_iter().collect())
}

/// Opens a break for each order whose channel contradicts itself. A break that is open already, of any day, is left as it is; a closed
/// one about another amount does not prevent a new one, nor does one that booked money which was taken back since. Returns the orders of the
/// new breaks.
pub async fn insert_contradictions<'a>(
    connection: &mut PgConnection,
    contradictions: &'a [(Withholding, Contradiction)],
    when: When,
) -> sqlx::Result<Vec<&'a Withholding>> {
    let mut new = Vec::new();
    for (order, contradiction) in contradictions {
        let (kind, proposed) = contradiction.stored();
        let opened = sqlx::query!(
            "insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen,
                                               proposed, proposed_by, owner, status, opened_on)
             select $1::uuid, $2::text, $3::date, $4::text, $5::uuid, $6::bigint, $7::bigint, $8::text, 'callback', 'callback', 'open',
                    $9::date
             where not exists (select from reconciliation_break b
                               where b.channel = $2 and b.withholding_id = $5 and b.kind = $4
                                 and (b.status = 'open'
                                      or (b.business_day = $3 and b.their_fen = $7
                                          and (b.status = 'dismissed' or b.proposed = 'ask_channel'
                                               or exists (select from withholding_booked k
                                                          where k.line_id = $10 and k.withholding_id = ($5::uuid)::text
                                                            and k.booked_fen > 0)))))
             on conflict do nothing",
            crate::base::id::BreakId::mint(when.at).uuid(),
            order.channel.name(),
            order.business_day.date(),
            kind,
            order.withholding_id.uuid(),
            order.collected().get(),
            contradiction.theirs().get(),
            proposed,
            when.business_day.date(),
            order.line_id.uuid(),
        )
        .execute(&mut *connection)
        .await?;
        if opened.rows_affected() == 1 {
            new.push(order);
        }
    }
    Ok(new)
}

struct WithholdingRow {
    withholding_id: WithholdingId,
    line_id: LineId,
    borrower_id: BorrowerId,
    purpose: String,
    loan_id: Option<LoanId>,
    card_id: CardId,
    channel: String,
    amount: Fen,
    partial_allowed: bool,
    attempt_no: i16,
    status: String,
    failure: Option<String>,
    collected: Fen,
    business_day: BusinessDay,
}

impl WithholdingRow {
    fn into_withholding(self) -> sqlx::Result<Withholding> {
        let stored =
            |what: &str| sqlx::Error::Decode(format!("order {} has no known {what}", self.withholding_id).into());
        Ok(Withholding {
            purpose: Purpose::from_stored(&self.purpose, self.loan_id).ok_or_else(|| stored("purpose"))?,
            channel: ChannelName::from_name(&self.channel).ok_or_else(|| stored("channel"))?,
            state: State::from_stored(&self.status, self.failure.as_deref(), self.collected)
                .ok_or_else(|| stored("status"))?,
            withholding_id: self.withholding_id,
            line_id: self.line_id,
            borrower_id: self.borrower_id,
            card_id: self.card_id,
            amount: self.amount,
            partial_allowed: self.partial_allowed,
            attempt_no: self.attempt_no,
            business_day: self.business_day,
        })
    }
}
