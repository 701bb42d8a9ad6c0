//! SQL of claims as their funder sees them.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::ClaimStatus;
use crate::base::id::{ClaimId, FunderId, LineId, LoanId};
use crate::base::{BusinessDay, Fen};

/// A claim: what a loan's guarantor is asked to pay you. The borrower owes the same as before.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClaimView {
    pub claim_id: ClaimId,
    pub loan_id: LoanId,
    pub line_id: LineId,
    /// Principal that is claimed, in fen.
    pub principal_fen: Fen,
    /// Interest that is claimed, in fen.
    pub interest_fen: Fen,
    /// Fees that are claimed, in fen.
    pub fee_fen: Fen,
    /// Penalty interest that is claimed, in fen.
    pub penalty_fen: Fen,
    /// The whole claim: principal, interest, fees and penalty together, in fen.
    pub amount_fen: Fen,
    /// The business day on which the guarantor was asked.
    pub asked_on: BusinessDay,
    /// `asked`, `paid` (the guarantor has paid you), `withdrawn`, or `taken_back` (it was booked as paid by mistake).
    #[schema(value_type = String, example = "paid")]
    pub status: ClaimStatus,
    /// The business day on which it was booked as paid; null if it never was.
    pub paid_on: Option<BusinessDay>,
    /// Your bank's reference of the guarantor's payment; null unless `status` is `paid`.
    #[schema(example = "G20260614-0001")]
    pub bank_reference: Option<String>,
    /// Money collected on the loan since the guarantor paid that belongs to the guarantor, in fen: you owe it to the guarantor (recourse).
    pub recovered_fen: Fen,
    /// The business day on which a payment booked by mistake was reversed; null unless `status` is `taken_back`.
    pub taken_back_on: Option<BusinessDay>,
}

/// Filters of the list of claims.
#[derive(Clone, Debug, Default)]
pub struct WantedClaims {
    pub loan_id: Option<Uuid>,
    pub after: Option<Uuid>,
}

/// A funder's claims, the oldest first.
pub async fn list_claims(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: WantedClaims,
    limit: i64,
) -> sqlx::Result<Vec<ClaimView>> {
    sqlx::query_as!(
        ClaimView,
        r#"select c.claim_id as "claim_id: ClaimId", c.loan_id as "loan_id: LoanId", c.line_id as "line_id: LineId",
                  c.principal_fen as "principal_fen: Fen", c.interest_fen as "interest_fen: Fen", c.fee_fen as "fee_fen: Fen",
                  c.penalty_fen as "penalty_fen: Fen",
                  c.principal_fen + c.interest_fen + c.fee_fen + c.penalty_fen as "amount_fen!: Fen",
                  c.asked_on as "asked_on: BusinessDay", c.status as "status: ClaimStatus", c.paid_on as "paid_on: BusinessDay",
                  case when c.status = 'paid' then c.bank_reference end as bank_reference,
                  claim_recovered(c) as "recovered_fen!: Fen", c.taken_back_on as "taken_back_on: BusinessDay"
           from claim c
           where c.funder_id = $1 and ($2::uuid is null or c.loan_id = $2) and ($3::uuid is null or c.claim_id > $3)
           order by c.claim_id limit $4"#,
        funder_id.uuid(),
        wanted.loan_id,
        wanted.after,
        limit
    )
    .fetch_all(connection)
    .await
}
