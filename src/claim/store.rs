//! SQL of claims: asking, the statements of people, payment, withdrawal and taking back.

use serde::Serialize;
use sqlx::PgConnection;

use super::model::{BookedWrongly, Claim, ClaimStatus, PaidClaim, Stated};
use crate::base::id::{ClaimId, FunderId, LineId, LoanId};
use crate::base::{BusinessDay, Fen};
use crate::bill::Parts;

/// The line of a claim's loan.
pub async fn find_line(connection: &mut PgConnection, claim_id: ClaimId) -> sqlx::Result<Option<LineId>> {
    sqlx::query_scalar!(r#"select line_id as "line_id: LineId" from claim where claim_id = $1"#, claim_id.uuid())
        .fetch_optional(connection)
        .await
}

/// Locks a claim; the caller has locked its line before.
pub async fn lock_claim(
    connection: &mut PgConnection,
    line_id: LineId,
    claim_id: ClaimId,
) -> sqlx::Result<Option<Claim>> {
    let row = sqlx::query!(
        r#"select loan_id as "loan_id: LoanId", funder_id as "funder_id: FunderId", principal_fen as "principal: Fen",
                  interest_fen as "interest: Fen", fee_fen as "fee: Fen", penalty_fen as "penalty: Fen",
                  asked_on as "asked_on: BusinessDay", status as "status: ClaimStatus", bank_reference, stated_by
           from claim where line_id = $1 and claim_id = $2 for update"#,
        line_id.uuid(),
        claim_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Claim {
        claim_id,
        line_id,
        loan_id: row.loan_id,
        funder_id: row.funder_id,
        asked: Parts { fee: row.fee, penalty: row.penalty, interest: row.interest, principal: row.principal },
        asked_on: row.asked_on,
        status: row.status,
        stated: row.stated_by.zip(row.bank_reference).map(|(by, bank_reference)| Stated { by, bank_reference }),
    }))
}

/// The claim on a loan that is still to be paid, if any; the caller holds the lock of its line.
pub async fn find_asked(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
) -> sqlx::Result<Option<ClaimId>> {
    sqlx::query_scalar!(
        r#"select claim_id as "claim_id: ClaimId" from claim where line_id = $1 and loan_id = $2 and status = 'asked'"#,
        line_id.uuid(),
        loan_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// What guarantors have paid on a loan, by part, whether or not it was recovered since.
pub async fn sum_paid(connection: &mut PgConnection, line_id: LineId, loan_id: LoanId) -> sqlx::Result<Parts> {
    sqlx::query_as!(
        Parts,
        r#"select coalesce(sum(principal_fen), 0)::bigint as "principal!: Fen", coalesce(sum(interest_fen), 0)::bigint as "interest!: Fen",
                  coalesce(sum(fee_fen), 0)::bigint as "fee!: Fen", coalesce(sum(penalty_fen), 0)::bigint as "penalty!: Fen"
           from claim where line_id = $1 and loan_id = $2 and status = 'paid'"#,
        line_id.uuid(),
        loan_id.uuid()
    )
    .fetch_one(connection)
    .await
}

pub async fn insert_claim(connection: &mut PgConnection, claim: &Claim, asked_by: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into claim (line_id, claim_id, loan_id, funder_id, principal_fen, interest_fen, fee_fen, penalty_fen, asked_on,
                            asked_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        claim.line_id.uuid(),
        claim.claim_id.uuid(),
        claim.loan_id.uuid(),
        claim.funder_id.uuid(),
        claim.asked.principal.get(),
        claim.asked.interest.get(),
        claim.asked.fee.get(),
        claim.asked.penalty.get(),
        claim.asked_on.date(),
        asked_by
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores one person's statement that a claim was paid; `false` if the claim is not open any more.
pub async fn state_payment(connection: &mut PgConnection, claim: &Claim, word: &Stated) -> sqlx::Result<bool> {
    let stated = sqlx::query!(
        "update claim set bank_reference = $3, stated_by = $4 where line_id = $1 and claim_id = $2 and status = 'asked'",
        claim.line_id.uuid(),
        claim.claim_id.uuid(),
        word.bank_reference.as_str(),
        word.by.as_str()
    )
    .execute(connection)
    .await?;
    Ok(stated.rows_affected() == 1)
}

/// Claims a payment's bank reference for a claim, once for each funder; `false` if it was booked before.
pub async fn take_bank_reference(connection: &mut PgConnection, claim: &Claim, reference: &str) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "insert into claim_by_bank_reference (bank_reference, funder_id, line_id, claim_id) values ($1, $2, $3, $4)
         on conflict do nothing",
        reference,
        claim.funder_id.uuid(),
        claim.line_id.uuid(),
        claim.claim_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Marks a claim as paid; `false` if it is not open any more. A constraint refuses it if the person confirms their own statement.
pub async fn mark_paid(
    connection: &mut PgConnection,
    claim: &Claim,
    confirmed_by: &str,
    paid_on: BusinessDay,
) -> sqlx::Result<bool> {
    let paid = sqlx::query!(
        "update claim set status = 'paid', confirmed_by = $3, paid_on = $4
         where line_id = $1 and claim_id = $2 and status = 'asked'",
        claim.line_id.uuid(),
        claim.claim_id.uuid(),
        confirmed_by,
        paid_on.date()
    )
    .execute(connection)
    .await?;
    Ok(paid.rows_affected() == 1)
}

/// When, why and by whom a claim is withdrawn.
#[derive(Clone, Copy, Debug)]
pub struct Withdrawal<'a> {
    pub by: &'a str,
    pub reason: &'a str,
    pub on: BusinessDay,
}

/// Marks a claim as withdrawn; `false` if it is not open any more.
pub async fn mark_withdrawn(
    connection: &mut PgConnection,
    claim: &Claim,
    withdrawal: Withdrawal<'_>,
) -> sqlx::Result<bool> {
    let withdrawn = sqlx::query!(
        "update claim set status = 'withdrawn', withdrawn_by = $3, reason = $4, withdrawn_on = $5
         where line_id = $1 and claim_id = $2 and status = 'asked'",
        claim.line_id.uuid(),
        claim.claim_id.uuid(),
        withdrawal.by,
        withdrawal.reason,
        withdrawal.on.date()
    )
    .execute(connection)
    .await?;
    Ok(withdrawn.rows_affected() == 1)
}

/// A paid claim; the caller has locked it.
pub async fn load_paid(connection: &mut PgConnection, line_id: LineId, claim_id: ClaimId) -> sqlx::Result<PaidClaim> {
    let row = sqlx::query!(
        r#"select c.paid_on as "paid_on!: BusinessDay", claim_recovered(c) as "recovered!: Fen", c.take_back_stated_by,
                  c.take_back_reason,
                  (select l.claim_id from claim l
                   where l.line_id = c.line_id and l.loan_id = c.loan_id and l.status = 'paid' and l.claim_id > c.claim_id
                   order by l.claim_id limit 1) as "paid_after?: ClaimId"
           from claim c where c.line_id = $1 and c.claim_id = $2"#,
        line_id.uuid(),
        claim_id.uuid()
    )
    .fetch_one(connection)
    .await?;
    Ok(PaidClaim {
        paid_on: row.paid_on,
        recovered: row.recovered,
        paid_after: row.paid_after,
        stated: row.take_back_stated_by.zip(row.take_back_reason).map(|(by, reason)| BookedWrongly { by, reason }),
    })
}

/// Stores one person's statement that a claim was booked wrongly; `false` if it is not paid any more.
pub async fn state_taking_back(
    connection: &mut PgConnection,
    claim: &Claim,
    word: &BookedWrongly,
) -> sqlx::Result<bool> {
    let stated = sqlx::query!(
        "update claim set take_back_stated_by = $3, take_back_reason = $4
         where line_id = $1 and claim_id = $2 and status = 'paid'",
        claim.line_id.uuid(),
        claim.claim_id.uuid(),
        word.by.as_str(),
        word.reason.as_str()
    )
    .execute(connection)
    .await?;
    Ok(stated.rows_affected() == 1)
}

/// Marks a claim as taken back, and frees its bank reference for another claim; `false` if it is not paid any more. A constraint
/// refuses it if the person confirms their own statement.
pub async fn mark_taken_back(
    connection: &mut PgConnection,
    claim: &Claim,
    confirmed_by: &str,
    taken_back_on: BusinessDay,
) -> sqlx::Result<bool> {
    sqlx::query!(
        "update claim_by_bank_reference r set is_taken_back = true
         from claim c
         where c.line_id = $1 and c.claim_id = $2 and r.bank_reference = c.bank_reference and r.funder_id = c.funder_id
           and r.claim_id = c.claim_id",
        claim.line_id.uuid(),
        claim.claim_id.uuid()
    )
    .execute(&mut *connection)
    .await?;
    let taken_back = sqlx::query!(
        "update claim set status = 'taken_back', taken_back_by = $3, taken_back_on = $4
         where line_id = $1 and claim_id = $2 and status = 'paid'",
        claim.line_id.uuid(),
        claim.claim_id.uuid(),
        confirmed_by,
        taken_back_on.date()
    )
    .execute(connection)
    .await?;
    Ok(taken_back.rows_affected() == 1)
}

/// A claim as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    pub claim_id: ClaimId,
    pub line_id: LineId,
    pub loan_id: LoanId,
    pub principal_fen: Fen,
    pub interest_fen: Fen,
    pub fee_fen: Fen,
    pub penalty_fen: Fen,
    pub asked_on: BusinessDay,
    pub asked_by: String,
    pub status: ClaimStatus,
    /// What has been recovered for the guarantor since. Money for a loan recovers its claims in the order in which they were paid.
    pub recovered_fen: Fen,
    /// Stated by one person, and by a second one once it is paid.
    pub bank_reference: Option<String>,
    pub stated_by: Option<String>,
    pub confirmed_by: Option<String>,
    pub paid_on: Option<BusinessDay>,
    pub withdrawn_by: Option<String>,
    pub withdrawn_on: Option<BusinessDay>,
    pub reason: Option<String>,
    /// The first person who stated that the claim was booked wrongly; a second one has stated it once it is taken back.
    pub take_back_stated_by: Option<String>,
    pub take_back_reason: Option<String>,
    pub taken_back_by: Option<String>,
    pub taken_back_on: Option<BusinessDay>,
}

/// Claims, the newest first. Those that wait, if only these are wanted, are those that were not paid or withdrawn, and those of which one
/// person has said that they were booked wrongly.
pub async fn list_claims(connection: &mut PgConnection, waiting_only: bool, limit: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select c.claim_id as "claim_id: ClaimId", c.line_id as "line_id: LineId", c.loan_id as "loan_id: LoanId",
                  c.principal_fen as "principal_fen: Fen", c.interest_fen as "interest_fen: Fen", c.fee_fen as "fee_fen: Fen",
                  c.penalty_fen as "penalty_fen: Fen", c.asked_on as "asked_on: BusinessDay", c.asked_by,
                  c.status as "status: ClaimStatus", claim_recovered(c) as "recovered_fen!: Fen", c.bank_reference, c.stated_by,
                  c.confirmed_by, c.paid_on as "paid_on: BusinessDay", c.withdrawn_by,
                  c.withdrawn_on as "withdrawn_on: BusinessDay", c.reason, c.take_back_stated_by, c.take_back_reason,
                  c.taken_back_by, c.taken_back_on as "taken_back_on: BusinessDay"
           from claim c
           where not $1 or c.status = 'asked' or (c.status = 'paid' and c.take_back_stated_by is not null)
           order by c.claim_id desc limit $2"#,
        waiting_only,
        limit
    )
    .fetch_all(connection)
    .await
}
