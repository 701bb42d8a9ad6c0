//! SQL of transfers: each bank reference once, and what was recorded.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::base::id::{LineId, RepaymentId};
use crate::base::{BusinessDay, Fen};

/// A transfer that is about to be booked.
#[derive(Clone, Copy, Debug)]
pub struct NewTransfer<'a> {
    pub bank_reference: &'a str,
    pub line_id: LineId,
    pub repayment_id: RepaymentId,
    pub recorded_by: &'a str,
}

/// Books a transfer's bank reference, once over all lines; `false` where money with it has been booked.
pub async fn claim_bank_reference(connection: &mut PgConnection, new: &NewTransfer<'_>) -> sqlx::Result<bool> {
    let claimed = sqlx::query!(
        "insert into transfer_by_bank_reference (bank_reference, line_id, repayment_id, recorded_by) values ($1, $2, $3, $4)
         on conflict do nothing",
        new.bank_reference,
        new.line_id.uuid(),
        new.repayment_id.uuid(),
        new.recorded_by
    )
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
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
    /// `None` where it was not kept.
    pub recorded_by: Option<String>,
    pub business_day: BusinessDay,
    pub received_at: DateTime<Utc>,
}

/// Recorded transfers, newest first.
pub async fn list_transfers(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Recorded>> {
    sqlx::query_as!(
        Recorded,
        r#"select r.repayment_id as "repayment_id: RepaymentId", r.line_id as "line_id: LineId", t.bank_reference,
                  r.amount_fen as "amount_fen: Fen", r.excess_fen as "excess_fen: Fen", t.recorded_by,
                  r.business_day as "business_day: BusinessDay", r.received_at
           from transfer_by_bank_reference t
           join repayment r on r.repayment_id = t.repayment_id and r.line_id = t.line_id
           order by r.received_at desc, r.repayment_id desc limit $1"#,
        limit
    )
    .fetch_all(connection)
    .await
}
