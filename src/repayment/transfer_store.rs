//! SQL of recorded transfers: each bank reference once, the proposals to take one back, and their confirmation.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::transfer::{Proposal, Transferred};
use crate::base::id::{LineId, RepaymentId};
use crate::base::{BusinessDay, Fen};

/// A transfer that is about to be booked.
#[derive(Clone, Copy, Debug)]
pub struct NewTransfer<'a> {
    pub bank_reference: &'a str,
    pub line_id: LineId,
    pub repayment_id: RepaymentId,
    pub recorded_by: &'a str,
    /// `None` if it counts from today.
    pub received_on: Option<BusinessDay>,
}

/// Claims a transfer's bank reference, once over all lines; `false` if it is booked already and was not taken back.
pub async fn claim_bank_reference(connection: &mut PgConnection, new: &NewTransfer<'_>) -> sqlx::Result<bool> {
    let claimed = sqlx::query!(
        "insert into transfer_by_bank_reference (bank_reference, line_id, repayment_id, recorded_by, received_on)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
        new.bank_reference,
        new.line_id.uuid(),
        new.repayment_id.uuid(),
        new.recorded_by,
        new.received_on.map(BusinessDay::date)
    )
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// The day on which a line was opened.
pub async fn find_opened_on(connection: &mut PgConnection, line_id: LineId) -> sqlx::Result<BusinessDay> {
    sqlx::query_scalar!(
        r#"select business_day as "business_day: BusinessDay" from line_entry where line_id = $1 order by entry_no limit 1"#,
        line_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// The line that a transfer was recorded for.
pub async fn find_line(connection: &mut PgConnection, repayment_id: RepaymentId) -> sqlx::Result<Option<LineId>> {
    sqlx::query_scalar!(
        r#"select line_id as "line_id: LineId" from transfer_by_bank_reference where repayment_id = $1"#,
        repayment_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Locks a transfer. Callers that lock its line too must lock the line first.
pub async fn lock_transfer(
    connection: &mut PgConnection,
    repayment_id: RepaymentId,
) -> sqlx::Result<Option<Transferred>> {
    let row = sqlx::query!(
        "select bank_reference, recorded_by, proposal_no, proposed_by, reason, reversal_id
         from transfer_by_bank_reference where repayment_id = $1 for update",
        repayment_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Transferred {
        bank_reference: row.bank_reference,
        recorded_by: row.recorded_by,
        proposal_no: row.proposal_no,
        proposal: row.proposed_by.zip(row.reason).map(|(by, reason)| Proposal { by, reason }),
        is_taken_back: row.reversal_id.is_some(),
    }))
}

/// Stores the proposal to take a transfer back; the caller holds the transfer's lock.
pub async fn save_proposal(
    connection: &mut PgConnection,
    repayment_id: RepaymentId,
    proposal_no: i32,
    proposal: &Proposal,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update transfer_by_bank_reference set proposal_no = $2, proposed_by = $3, reason = $4
         where repayment_id = $1 and reversal_id is null",
        repayment_id.uuid(),
        proposal_no,
        proposal.by.as_str(),
        proposal.reason.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Withdraws the proposal to take a transfer back; the caller holds the transfer's lock.
pub async fn withdraw_proposal(connection: &mut PgConnection, repayment_id: RepaymentId) -> sqlx::Result<()> {
    sqlx::query!(
        "update transfer_by_bank_reference set proposed_by = null, reason = null
         where repayment_id = $1 and reversal_id is null",
        repayment_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks a transfer as taken back; `false` if it was already. A constraint refuses it if the proposer confirms.
pub async fn mark_taken_back(
    connection: &mut PgConnection,
    repayment_id: RepaymentId,
    confirmed_by: &str,
    reversal_id: RepaymentId,
) -> sqlx::Result<bool> {
    let ended = sqlx::query!(
        "update transfer_by_bank_reference set confirmed_by = $2, reversal_id = $3
         where repayment_id = $1 and reversal_id is null",
        repayment_id.uuid(),
        confirmed_by,
        reversal_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// A transfer as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    pub repayment_id: RepaymentId,
    pub line_id: LineId,
    pub bank_reference: String,
    pub amount_fen: Fen,
    /// What no installment could take; it goes back to the borrower.
    pub excess_fen: Fen,
    /// `None` if it was not recorded.
    pub recorded_by: Option<String>,
    pub business_day: BusinessDay,
    /// The day on which the bank had it, from which it counts; `None` if it counts from `business_day`.
    pub received_on: Option<BusinessDay>,
    pub received_at: DateTime<Utc>,
    /// Counts the proposals to take it back, withdrawn ones too; 0 before the first.
    pub proposal_no: i32,
    pub proposed_by: Option<String>,
    /// Why it is taken back.
    pub reason: Option<String>,
    /// Who has confirmed that, and the reversal; both or neither.
    pub confirmed_by: Option<String>,
    pub reversal_id: Option<RepaymentId>,
}

/// Recorded transfers, newest first.
pub async fn list_transfers(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Recorded>> {
    sqlx::query_as!(
        Recorded,
        r#"select r.repayment_id as "repayment_id: RepaymentId", r.line_id as "line_id: LineId", t.bank_reference,
                  r.amount_fen as "amount_fen: Fen", r.excess_fen as "excess_fen: Fen", t.recorded_by,
                  r.business_day as "business_day: BusinessDay", t.received_on as "received_on: BusinessDay", r.received_at,
                  t.proposal_no, t.proposed_by, t.reason, t.confirmed_by, t.reversal_id as "reversal_id: RepaymentId"
           from transfer_by_bank_reference t
           join repayment r on r.repayment_id = t.repayment_id and r.line_id = t.line_id
           order by r.received_at desc, r.repayment_id desc limit $1"#,
        limit
    )
    .fetch_all(connection)
    .await
}
