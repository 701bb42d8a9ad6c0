//! SQL of payouts that two people settle, and of what the channel has said about them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::contradiction::{Ending, Proposal};
use super::payout::ContradictionKind;
use crate::base::id::PayoutId;
use crate::base::{BusinessDay, When};

/// A channel's answer about an attempt that contradicts an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    pub payout_id: PayoutId,
    pub attempt_no: i16,
    pub kind: ContradictionKind,
    /// The answer, in the channel's words.
    pub says: String,
}

/// A channel's answer about an attempt that is known already, so that its repetition is ignored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownAnswer {
    pub payout_id: PayoutId,
    pub attempt_no: i16,
    /// The answer, in the channel's words.
    pub says: String,
}

/// Opens contradictions, each with an event row: their payouts wait until people have settled them. An earlier proposal is dropped, and
/// the channel is no longer asked about a payout that is booked as paid. A payout that is contradicted already keeps its first day.
/// Returns how many were opened.
pub async fn open(connection: &mut PgConnection, contradictions: &[Contradiction], when: When) -> sqlx::Result<u64> {
    if contradictions.is_empty() {
        return Ok(0);
    }
    let payout_id: Vec<Uuid> = contradictions.iter().map(|found| found.payout_id.uuid()).collect();
    let attempt_no: Vec<i16> = contradictions.iter().map(|found| found.attempt_no).collect();
    let kind: Vec<ContradictionKind> = contradictions.iter().map(|found| found.kind).collect();
    let says: Vec<&str> = contradictions.iter().map(|found| found.says.as_str()).collect();
    let done = sqlx::query!(
        "with opened as (
             update payout p set contradicted_attempt = greatest(p.contradicted_attempt, c.attempt_no),
                    -- The amount may be put right by the channel, and what it has said of an earlier attempt stands beside it.
                    contradiction = case when c.kind = 'amount_differs' and p.status <> 'succeeded'
                                              and (p.contradicted_attempt < c.attempt_no
                                                   or p.contradiction <> 'amount_differs' and p.status <> 'failed')
                                         then p.contradiction else c.kind end,
                    contradicted_on = coalesce(p.contradicted_on, $5),
                    proposed_reference = null, proposed_by = null,
                    query_at = case when p.status <> 'succeeded' then p.query_at end
             from unnest($1::uuid[], $2::smallint[], $3::text[], $6::text[]) as c(payout_id, attempt_no, says, kind)
             where p.payout_id = c.payout_id
             returning p.payout_id, c.attempt_no, c.says)
         insert into payout_event (payout_id, attempt_no, status, detail, occurred_at)
         select payout_id, attempt_no, 'contradicted', says, $4 from opened",
        &payout_id,
        &attempt_no,
        &says as &[&str],
        when.at,
        when.business_day.date(),
        &kind as &[ContradictionKind],
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Stores one person's statement; `false` if there is nothing to settle.
pub async fn propose(
    connection: &mut PgConnection,
    payout_id: PayoutId,
    proposal: &Proposal,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let reference = match &proposal.ending {
        Ending::Paid { bank_reference } => Some(bank_reference.as_str()),
        Ending::Failed => None,
    };
    let detail = format!("{}, says {}", proposal.ending.words(), proposal.by);
    let done = sqlx::query!(
        "with proposed as (
             update payout set proposed_reference = $2, proposed_by = $3
             where payout_id = $1 and (contradicted_attempt is not null or status = 'failed')
             returning payout_id, attempt_no)
         insert into payout_event (payout_id, attempt_no, status, detail, occurred_at)
         select payout_id, attempt_no, 'settling_proposed', $4, $5 from proposed",
        payout_id.uuid(),
        reference,
        proposal.by.as_str(),
        detail.as_str(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a payout's contradiction, and writes into its events how; `false` if nothing was proposed.
pub async fn end(
    connection: &mut PgConnection,
    payout_id: PayoutId,
    detail: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with ended as (
             update payout set contradicted_attempt = null, contradiction = null, contradicted_on = null,
                    proposed_reference = null, proposed_by = null
             where payout_id = $1 and proposed_by is not null
             returning payout_id, attempt_no)
         insert into payout_event (payout_id, attempt_no, status, detail, occurred_at)
         select payout_id, attempt_no, 'settled', $2, $3 from ended",
        payout_id.uuid(),
        detail,
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Payouts whose known answers are to be loaded, by which answers count as known.
#[derive(Clone, Debug, Default)]
pub struct KnownAnswersOf {
    /// Known: answers that people have settled since, including that a payment was booked under another reference.
    pub settled: Vec<Uuid>,
    /// Cancelled payouts. Known: answers since the cancellation.
    pub cancelled: Vec<Uuid>,
    /// Contradicted payouts. Known: answers that people still have to settle.
    pub contradicted: Vec<Uuid>,
}

/// The known answers about attempts of these payouts; [`KnownAnswersOf`] says which count, for each list.
pub async fn load_known_answers(
    connection: &mut PgConnection,
    of: &KnownAnswersOf,
) -> sqlx::Result<BTreeSet<KnownAnswer>> {
    let known = sqlx::query_as!(
        KnownAnswer,
        r#"select e.payout_id as "payout_id: PayoutId", e.attempt_no, e.detail as "says!"
           from payout_event e
           where e.payout_id = any($1::uuid[] || $2::uuid[] || $3::uuid[])
             and (e.status = 'contradicted' or e.status = 'succeeded' and e.payout_id = any($1))
             and (exists (select from payout_event o
                          where o.payout_id = e.payout_id
                            and (o.status = 'settled' and o.event_no > e.event_no and o.payout_id = any($1)
                                 or o.status = 'cancelled' and o.event_no < e.event_no and o.payout_id = any($2)))
                  or e.payout_id = any($3)
                     and not exists (select from payout_event o
                                     where o.payout_id = e.payout_id and o.status = 'settled' and o.event_no > e.event_no))"#,
        &of.settled,
        &of.cancelled,
        &of.contradicted
    )
    .fetch_all(connection)
    .await?;
    Ok(known.into_iter().collect())
}

/// Stores contradicting answers about cancelled payouts, so that operators are told of each only once.
pub async fn note_of_cancelled(
    connection: &mut PgConnection,
    contradictions: &[Contradiction],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if contradictions.is_empty() {
        return Ok(());
    }
    let payout_id: Vec<Uuid> = contradictions.iter().map(|found| found.payout_id.uuid()).collect();
    let attempt_no: Vec<i16> = contradictions.iter().map(|found| found.attempt_no).collect();
    let says: Vec<&str> = contradictions.iter().map(|found| found.says.as_str()).collect();
    sqlx::query!(
        "insert into payout_event (payout_id, attempt_no, status, detail, occurred_at)
         select c.payout_id, c.attempt_no, 'contradicted', c.says, $4
         from unnest($1::uuid[], $2::smallint[], $3::text[]) as c(payout_id, attempt_no, says)",
        &payout_id,
        &attempt_no,
        &says as &[&str],
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a reversed payout payable from a day on, and marks what it was to pay as unpaid. Returns how many sources that were.
pub async fn owe_again(connection: &mut PgConnection, payout_id: PayoutId, from: BusinessDay) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"with owed as (
               update payout set pay_on = $2 where payout_id = $1 and status = 'failed' returning kind, source_id),
           settled as (
               update settlement s set status = 'to_pay', paid_on = null, bank_reference = null
               from owed o where o.kind = 'settlement' and s.settlement_id = o.source_id and s.status = 'paid'
               returning s.settlement_id),
           remitted as (
               update remittance r set status = 'to_pay', paid_on = null, bank_reference = null
               from owed o where o.kind = 'remittance' and r.remittance_id = o.source_id and r.status = 'paid'
               returning r.remittance_id)
           select (select count(*) from owed where kind = 'borrower') + (select count(*) from settled)
                + (select count(*) from remitted) as "owed!""#,
        payout_id.uuid(),
        from.date(),
    )
    .fetch_one(connection)
    .await
}

/// Corrects the bank's reference of a payout that is booked as paid, and of what it paid. Returns how many payouts that were.
pub async fn correct_reference(
    connection: &mut PgConnection,
    payout_id: PayoutId,
    bank_reference: &str,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"with corrected as (
               update payout set bank_reference = $2 where payout_id = $1 and status = 'succeeded' returning kind, source_id),
           settled as (
               update settlement s set bank_reference = $2
               from corrected c where c.kind = 'settlement' and s.settlement_id = c.source_id),
           remitted as (
               update remittance r set bank_reference = $2
               from corrected c where c.kind = 'remittance' and r.remittance_id = c.source_id)
           select count(*) as "corrected!" from corrected"#,
        payout_id.uuid(),
        bank_reference,
    )
    .fetch_one(connection)
    .await
}
