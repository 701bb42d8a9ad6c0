//! SQL of payouts whose channel contradicts itself.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::contradiction::{Ending, Proposal};
use crate::base::id::PayoutId;

/// What the channel says of an attempt against its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    pub payout_id: PayoutId,
    pub attempt_no: i16,
    /// In its words.
    pub says: String,
}

/// Holds back payouts until people have settled them, with their event rows; what was proposed before is proposed no more. Returns
/// how many were held back.
pub async fn hold_back(
    connection: &mut PgConnection,
    contradictions: &[Contradiction],
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    if contradictions.is_empty() {
        return Ok(0);
    }
    let payout_id: Vec<Uuid> = contradictions.iter().map(|found| found.payout_id.uuid()).collect();
    let attempt_no: Vec<i16> = contradictions.iter().map(|found| found.attempt_no).collect();
    let says: Vec<&str> = contradictions.iter().map(|found| found.says.as_str()).collect();
    let done = sqlx::query!(
        "with held_back as (
             update payout p set contradicted_attempt = greatest(p.contradicted_attempt, c.attempt_no),
                    proposed_reference = null, proposed_by = null
             from unnest($1::uuid[], $2::smallint[], $3::text[]) as c(payout_id, attempt_no, says)
             where p.payout_id = c.payout_id and p.status <> 'succeeded'
             returning p.payout_id, c.attempt_no, c.says)
         insert into payout_event (payout_id, attempt_no, status, detail, occurred_at)
         select payout_id, attempt_no, 'contradicted', says, $4 from held_back",
        &payout_id,
        &attempt_no,
        &says as &[&str],
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Keeps what one person says became of a payout; `false` where nothing is to be settled.
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
             where payout_id = $1 and contradicted_attempt is not null
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

/// Ends a payout's contradiction and keeps how; `false` where there was none.
pub async fn end(
    connection: &mut PgConnection,
    payout_id: PayoutId,
    detail: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with ended as (
             update payout set contradicted_attempt = null, proposed_reference = null, proposed_by = null
             where payout_id = $1 and contradicted_attempt is not null
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
