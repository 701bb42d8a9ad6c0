//! SQL of repayments and withholdings as their funder sees them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::id::{FunderId, LineId, LoanId, RepaymentId, WithholdingId};
use crate::base::{BusinessDay, Fen};

/// A repayment: money received on a credit line and how it was allocated. The lists have one element for each installment that was paid:
/// element k of each list is about installment `periods[k]` of loan `loan_ids[k]`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepaymentView {
    pub repayment_id: RepaymentId,
    pub line_id: LineId,
    /// How the money came: `withholding` (direct debit), `transfer` (bank transfer) or `channel_file` (a direct debit known only by the channel's
    /// daily file); `reversal` if it reverses an earlier repayment.
    #[schema(example = "withholding")]
    pub source: String,
    /// The withholding that collected it, or whose result the channel's file told; null unless `source` is `withholding` or `channel_file`.
    pub withholding_id: Option<WithholdingId>,
    /// The bank's reference of the transfer; null unless `source` is `transfer`.
    #[schema(example = "ICBC-20260302-7781")]
    pub bank_reference: Option<String>,
    /// The repayment that is reversed, whose amounts are repeated here with a minus sign; null unless `source` is `reversal`.
    pub reverses: Option<RepaymentId>,
    /// Amount received, in fen; negative for a reversal.
    pub amount_fen: Fen,
    /// Loan of each installment.
    pub loan_ids: Vec<LoanId>,
    /// Number of each installment within its loan, from 1.
    #[schema(example = json!([1]))]
    pub periods: Vec<i16>,
    /// Principal repaid of each installment, in fen.
    pub principal_fen: Vec<Fen>,
    /// Interest repaid of each installment, in fen.
    pub interest_fen: Vec<Fen>,
    /// Fee repaid of each installment, in fen: period fee of a `flat_fee` plan, guarantee charge, or fee of an early payoff.
    pub fee_fen: Vec<Fen>,
    /// Penalty interest repaid of each installment, in fen. Negative where penalty is given back, because a payment that became known late
    /// counts from an earlier day.
    pub penalty_fen: Vec<Fen>,
    /// Part of the amount that exceeds all that is owed, in fen; it is paid back to the borrower.
    pub excess_fen: Fen,
    /// The business day on which it was booked.
    pub business_day: BusinessDay,
    /// The day that it counts from: penalty interest runs on what it paid until then. Before `business_day` if it became known late.
    pub value_on: BusinessDay,
    pub received_at: DateTime<Utc>,
}

/// What narrows a list down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub id: Option<Uuid>,
    pub business_day: Option<BusinessDay>,
    pub line_id: Option<Uuid>,
    pub after: Option<Uuid>,
}

/// A funder's repayments, the oldest first.
pub async fn list_repayments(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: Wanted,
    limit: i64,
) -> sqlx::Result<Vec<RepaymentView>> {
    sqlx::query_as!(
        RepaymentView,
        r#"select repayment_id as "repayment_id: RepaymentId", line_id as "line_id: LineId", source,
                  case when source in ('withholding', 'channel_file') then source_reference::uuid end
                      as "withholding_id?: WithholdingId",
                  case when source = 'transfer' then source_reference end as bank_reference,
                  case when source = 'reversal' then source_reference::uuid end as "reverses?: RepaymentId",
                  amount_fen as "amount_fen: Fen", loan_ids as "loan_ids: Vec<LoanId>", periods,
                  principal_fen as "principal_fen: Vec<Fen>", interest_fen as "interest_fen: Vec<Fen>",
                  fee_fen as "fee_fen: Vec<Fen>", penalty_fen as "penalty_fen: Vec<Fen>",
                  excess_fen as "excess_fen: Fen", business_day as "business_day: BusinessDay",
                  value_date(repayment) as "value_on!: BusinessDay", received_at
           from repayment
           where funder_id = $1 and ($2::uuid is null or repayment_id = $2) and ($3::date is null or business_day = $3)
                 and ($4::uuid is null or line_id = $4) and ($5::uuid is null or repayment_id > $5)
           order by repayment_id limit $6"#,
        funder_id.uuid(),
        wanted.id,
        wanted.business_day.map(BusinessDay::date),
        wanted.line_id,
        wanted.after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A withholding: an order to debit the borrower's bound card through a payment channel (direct debit).
#[derive(Debug, Serialize, ToSchema)]
pub struct WithholdingView {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    /// `due`: what has fallen due, collected by the product's timetable. `button`: a payment that the borrower started. `payoff`: the early
    /// payoff of one loan.
    #[schema(example = "due")]
    pub purpose: String,
    /// The loan that is paid off; null unless `purpose` is `payoff`.
    pub loan_id: Option<LoanId>,
    /// Amount to be debited, in fen.
    pub amount_fen: Fen,
    /// Number of the attempt, from 1.
    #[schema(example = 1)]
    pub attempt_no: i16,
    /// `created` (not sent yet), `submitted` (sent to the channel), `unknown` (the channel gave no clear result and is asked again; it may still
    /// succeed), `succeeded` or `failed`.
    #[schema(example = "succeeded")]
    pub status: String,
    /// Why it failed: `insufficient_funds`, `card_invalid`, `channel_down`, `refused`, `superseded` (it was not needed any more and never sent),
    /// or `reversed` (it was first taken for a success, and the money did not come); null unless `status` is `failed`.
    #[schema(example = "insufficient_funds")]
    pub failure: Option<String>,
    /// Amount that was debited, in fen; less than `amount_fen` if only a part was collected, 0 if none was. A debit that only the channel's daily
    /// file reported is not in it: it is a repayment whose `source` is `channel_file`, with this `withholding_id`.
    pub collected_fen: Fen,
    /// The business day for which it was made.
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
    /// When it succeeded or failed; null until then.
    pub final_at: Option<DateTime<Utc>>,
}

/// A funder's withholdings, the oldest first.
pub async fn list_withholdings(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: Wanted,
    limit: i64,
) -> sqlx::Result<Vec<WithholdingView>> {
    sqlx::query_as!(
        WithholdingView,
        r#"select w.withholding_id as "withholding_id: WithholdingId", w.line_id as "line_id: LineId", w.purpose,
                  w.loan_id as "loan_id: LoanId", w.amount_fen as "amount_fen: Fen", w.attempt_no, w.status, w.failure,
                  w.collected_fen as "collected_fen: Fen", w.business_day as "business_day: BusinessDay", w.created_at,
                  w.final_at
           from withholding w join credit_line l using (line_id)
           where l.funder_id = $1 and ($2::uuid is null or w.withholding_id = $2)
                 and ($3::date is null or w.business_day = $3) and ($4::uuid is null or w.line_id = $4)
                 and ($5::uuid is null or w.withholding_id > $5)
           order by w.withholding_id limit $6"#,
        funder_id.uuid(),
        wanted.id,
        wanted.business_day.map(BusinessDay::date),
        wanted.line_id,
        wanted.after,
        limit,
    )
    .fetch_all(connection)
    .await
}
