//! SQL of purchases and refunds as their merchant and their funder see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::id::{CodeId, FunderId, LineId, LoanId, MerchantId, PurchaseId, RefundId};
use crate::base::{BusinessDay, Fen};
use crate::merchant::MerchantDay;

/// A purchase at the merchant. Purchases that were refused are not shown to merchants.
#[derive(Debug, Serialize, ToSchema)]
pub struct PurchaseView {
    pub purchase_id: PurchaseId,
    /// The order that it paid; null if the customer scanned the merchant's static code.
    pub order_id: Option<CodeId>,
    /// Your reference of that order; null if the customer scanned the static code.
    #[schema(example = "A-20260302-0001")]
    pub reference: Option<String>,
    /// `authorised`, or `voided` if it was cancelled on its own business day. A refunded purchase stays `authorised`.
    #[schema(example = "authorised")]
    pub status: String,
    /// Amount of the purchase, in fen.
    pub amount_fen: Fen,
    /// Sum of all its refunds so far, in fen.
    pub refunded_fen: Fen,
    /// Discount fee (MDR) that the merchant pays for it, in fen; 0 if it was voided.
    pub discount_fee_fen: Fen,
    /// Interest or fee that the merchant pays instead of the customer, in fen; 0 if it was voided.
    pub subsidy_fen: Fen,
    /// Number of installments.
    #[schema(example = 12)]
    pub periods: i16,
    /// The business day on which it was made and is settled.
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

/// A query for purchases; `$rest` goes on from the table.
macro_rules! select_purchases {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            PurchaseView,
            r#"select purchase_id as "purchase_id: PurchaseId", code_id as "order_id: CodeId",
                      (select order_reference from merchant_code c where c.code_id = purchase.code_id) as reference, status,
                      amount_fen as "amount_fen: Fen", refunded_fen as "refunded_fen: Fen",
                      -- Of one that was voided nothing is cleared.
                      case when status = 'voided' then 0 else discount_fee_fen end as "discount_fee_fen!: Fen",
                      case when status = 'voided' then 0 else subsidy_fen end as "subsidy_fen!: Fen", periods,
                      business_day as "business_day: BusinessDay", created_at
               from purchase "# + $rest,
            $($argument)*
        )
    };
}

/// A merchant's purchase; `None` where it is another merchant's, or was refused.
pub async fn find_of_merchant(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    purchase_id: PurchaseId,
) -> sqlx::Result<Option<PurchaseView>> {
    select_purchases!(
        "where purchase_id = $1 and merchant_id = $2 and status <> 'refused'",
        purchase_id.uuid(),
        merchant_id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// A merchant's purchases of a day after `after`, the oldest first.
pub async fn list_of_merchant(
    connection: &mut PgConnection,
    of: MerchantDay,
    after: Option<PurchaseId>,
    limit: i64,
) -> sqlx::Result<Vec<PurchaseView>> {
    select_purchases!(
        "where business_day = $2 and merchant_id = $1 and status <> 'refused' and ($3::uuid is null or purchase_id > $3)
         order by purchase_id limit $4",
        of.merchant_id.uuid(),
        of.day.date(),
        after.map(PurchaseId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A refund at the merchant.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundView {
    pub refund_id: RefundId,
    pub purchase_id: PurchaseId,
    /// Your reference of the order that the purchase paid; null if the customer scanned the static code.
    #[schema(example = "A-20260302-0001")]
    pub reference: Option<String>,
    /// Refunded amount, in fen.
    pub amount_fen: Fen,
    /// Part of the purchase's discount fee (MDR) that is returned to the merchant, in fen; 0 if the merchant's agreement returns none.
    pub discount_fee_returned_fen: Fen,
    /// Part of the purchase's subsidy that is returned to the merchant, in fen.
    pub subsidy_returned_fen: Fen,
    /// The business day on which the refund was made and is settled.
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

/// A query for refunds; `$rest` goes on from the table.
macro_rules! select_refunds {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            RefundView,
            r#"select refund_id as "refund_id: RefundId", purchase_id as "purchase_id: PurchaseId",
                      (select c.order_reference from purchase p join merchant_code c on c.code_id = p.code_id
                       where p.purchase_id = refund.purchase_id and p.line_id = refund.line_id) as reference,
                      amount_fen as "amount_fen: Fen", discount_fee_returned_fen as "discount_fee_returned_fen: Fen",
                      subsidy_returned_fen as "subsidy_returned_fen: Fen", business_day as "business_day: BusinessDay",
                      created_at
               from refund "# + $rest,
            $($argument)*
        )
    };
}

/// A refund of a merchant's; `None` where it is another merchant's.
pub async fn find_refund_of_merchant(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    refund_id: RefundId,
) -> sqlx::Result<Option<RefundView>> {
    select_refunds!("where refund_id = $1 and merchant_id = $2", refund_id.uuid(), merchant_id.uuid())
        .fetch_optional(connection)
        .await
}

/// A merchant's refunds of a day after `after`, the oldest first.
pub async fn list_refunds_of_merchant(
    connection: &mut PgConnection,
    of: MerchantDay,
    after: Option<RefundId>,
    limit: i64,
) -> sqlx::Result<Vec<RefundView>> {
    select_refunds!(
        "where business_day = $2 and merchant_id = $1 and ($3::uuid is null or refund_id > $3)
         order by refund_id limit $4",
        of.merchant_id.uuid(),
        of.day.date(),
        after.map(RefundId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A refund and its effect on the loan, for the loan's funder.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoanRefundView {
    pub refund_id: RefundId,
    pub loan_id: LoanId,
    pub line_id: LineId,
    pub purchase_id: PurchaseId,
    /// Refunded amount, in fen: `principal_fell_fen` and `owed_back_fen` together.
    pub amount_fen: Fen,
    /// Part by which the loan's outstanding principal falls, in fen; it is returned to your reserve.
    pub principal_fell_fen: Fen,
    /// Rest of the amount, which the merchant's money pays to the borrower's card, in fen.
    pub owed_back_fen: Fen,
    /// Interest and period fees that the borrower no longer owes, in fen.
    pub interest_waived_fen: Fen,
    /// Interest that the borrower had paid and gets back to the card, in fen; deducted from your remittance of the day.
    pub interest_back_fen: Fen,
    /// Part of `interest_back_fen` that had been paid after the loan was charged off, in fen.
    pub interest_back_recovered_fen: Fen,
    /// Period fees that the borrower had paid and gets back to the card, in fen; deducted from your remittance of the day.
    pub fee_back_fen: Fen,
    /// Part of `fee_back_fen` that had been paid after the loan was charged off, in fen.
    pub fee_back_recovered_fen: Fen,
    /// Part of the loan's `subsidy_fen` that the merchant gets back from you, in fen; deducted from the subsidies in your remittance of the day.
    pub subsidy_returned_fen: Fen,
    /// Version of the loan's repayment schedule after the refund.
    #[schema(example = 2)]
    pub schedule_version: i32,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

/// Refunds of a funder's loans after `after`: one by its id, a day's, a loan's, or all.
pub async fn list_refunds_of_funder(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: Wanted,
    limit: i64,
) -> sqlx::Result<Vec<LoanRefundView>> {
    sqlx::query_as!(
        LoanRefundView,
        r#"select refund_id as "refund_id: RefundId", loan_id as "loan_id: LoanId", line_id as "line_id: LineId",
                  purchase_id as "purchase_id: PurchaseId", amount_fen as "amount_fen: Fen",
                  principal_fell_fen as "principal_fell_fen: Fen", owed_back_fen as "owed_back_fen: Fen",
                  interest_waived_fen as "interest_waived_fen: Fen",
                  interest_back_fen as "interest_back_fen: Fen",
                  interest_back_recovered_fen as "interest_back_recovered_fen: Fen", fee_back_fen as "fee_back_fen: Fen",
                  fee_back_recovered_fen as "fee_back_recovered_fen: Fen",
                  subsidy_returned_fen as "subsidy_returned_fen: Fen", schedule_version,
                  business_day as "business_day: BusinessDay", created_at
           from refund
           where funder_id = $1 and ($2::uuid is null or refund_id = $2) and ($3::date is null or business_day = $3)
                 and ($4::uuid is null or loan_id = $4) and ($5::uuid is null or refund_id > $5)
           order by refund_id limit $6"#,
        funder_id.uuid(),
        wanted.refund_id,
        wanted.business_day.map(BusinessDay::date),
        wanted.loan_id,
        wanted.after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// What narrows a list of refunds down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub refund_id: Option<Uuid>,
    pub business_day: Option<BusinessDay>,
    pub loan_id: Option<Uuid>,
    pub after: Option<Uuid>,
}
