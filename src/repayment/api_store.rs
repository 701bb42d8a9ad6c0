//! SQL of repayments and withholdings as their funder sees them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::id::{FunderId, LineId, LoanId, RepaymentId, WithholdingId};
use crate::base::{BusinessDay, Fen};

/// Money received and how it was allocated: element k of each list is one installment that it touched.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepaymentView {
    pub repayment_id: RepaymentId,
    pub line_id: LineId,
    /// `withholding`, `transfer` or `channel_file`; `reversal` where a repayment is taken back.
    #[schema(example = "withholding")]
    pub source: String,
    /// The repayment that a reversal takes back: its amounts are the same below zero.
    pub reverses: Option<RepaymentId>,
    pub amount_fen: Fen,
    pub loan_ids: Vec<LoanId>,
    #[schema(example = json!([1]))]
    pub periods: Vec<i16>,
    pub principal_fen: Vec<Fen>,
    pub interest_fen: Vec<Fen>,
    /// A fee a period: the price of `flat_fee`, or a guarantee charge beside interest; and what an early payoff cost.
    pub fee_fen: Vec<Fen>,
    /// Below zero where money that counts from an earlier day shows that penalty was not due which was paid.
    pub penalty_fen: Vec<Fen>,
    /// What no installment could take; it goes back to the borrower.
    pub excess_fen: Fen,
    pub business_day: BusinessDay,
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
                  case when source = 'reversal' then source_reference::uuid end as "reverses?: RepaymentId",
                  amount_fen as "amount_fen: Fen", loan_ids as "loan_ids: Vec<LoanId>", periods,
                  principal_fen as "principal_fen: Vec<Fen>", interest_fen as "interest_fen: Vec<Fen>",
                  fee_fen as "fee_fen: Vec<Fen>", penalty_fen as "penalty_fen: Vec<Fen>",
                  excess_fen as "excess_fen: Fen", business_day as "business_day: BusinessDay", received_at
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

/// An order to take money from a card.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithholdingView {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    /// `due` for what had fallen due, by the product's timetable; `button` for what the borrower chose to pay; `payoff` of one loan.
    #[schema(example = "due")]
    pub purpose: String,
    /// The loan that a payoff ends; null otherwise.
    pub loan_id: Option<LoanId>,
    pub amount_fen: Fen,
    #[schema(example = 1)]
    pub attempt_no: i16,
    /// `created`, `submitted`, `unknown`, `succeeded` or `failed`. `unknown` is not failed: the channel is asked again.
    #[schema(example = "succeeded")]
    pub status: String,
    /// Of a failed one: `insufficient_funds`, `card_invalid`, `channel_down`, `refused`, `superseded` where it was never sent, or `reversed`
    /// where it was held for a success that did not come; null otherwise.
    #[schema(example = "insufficient_funds")]
    pub failure: Option<String>,
    /// What was taken: less than `amount_fen` where a part of it may be collected.
    pub collected_fen: Fen,
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
