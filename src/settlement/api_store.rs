//! SQL of settlements and remittances as their merchant and their funder see them.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::base::id::{FunderId, MerchantId, ProductId, RemittanceId, SettlementId};
use crate::base::{BusinessDay, Fen, Wanted};

/// What a merchant is owed for a business day.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettlementView {
    pub settlement_id: SettlementId,
    pub business_day: BusinessDay,
    /// Purchases of the day that were not voided.
    pub gross_fen: Fen,
    /// Refunds of the day, whenever their purchases were.
    pub refunds_fen: Fen,
    /// Of the purchases, less what refunds gave back.
    pub discount_fee_fen: Fen,
    /// Interest that you bear, less what refunds gave back.
    pub subsidy_fen: Fen,
    /// Gross less refunds, fee and subsidy.
    pub net_fen: Fen,
    /// A negative net of earlier days; zero or less.
    pub carried_in_fen: Fen,
    /// Net and what was carried in: what is paid to you.
    pub payable_fen: Fen,
    /// `to_pay`, `paid`, `nothing` where it comes to zero, or `carried` where it is negative and taken off a later one.
    #[schema(example = "to_pay")]
    pub status: String,
    pub pay_on: BusinessDay,
    pub paid_on: Option<BusinessDay>,
    pub bank_reference: Option<String>,
}

/// Filters of a list that has one row for each business day.
#[derive(Clone, Copy, Debug)]
pub struct WantedDays<I> {
    pub rows: Wanted<I, BusinessDay>,
    /// Only the row of this day.
    pub business_day: Option<BusinessDay>,
}

impl<I> WantedDays<I> {
    /// Only the row with this id.
    pub fn one(id: I) -> WantedDays<I> {
        WantedDays { rows: Wanted::One(id), business_day: None }
    }
}

/// A merchant's settlements, the oldest first.
pub async fn list_settlements(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    wanted: WantedDays<SettlementId>,
    limit: i64,
) -> sqlx::Result<Vec<SettlementView>> {
    sqlx::query_as!(
        SettlementView,
        r#"select settlement_id as "settlement_id: SettlementId", business_day as "business_day: BusinessDay",
                  gross_fen as "gross_fen: Fen", refunds_fen as "refunds_fen: Fen",
                  discount_fee_fen as "discount_fee_fen: Fen", subsidy_fen as "subsidy_fen: Fen",
                  net_fen as "net_fen: Fen", carried_in_fen as "carried_in_fen: Fen", payable_fen as "payable_fen: Fen",
                  status, pay_on as "pay_on: BusinessDay", paid_on as "paid_on: BusinessDay", bank_reference
           from settlement
           where merchant_id = $1 and ($2::uuid is null or settlement_id = $2) and ($3::date is null or business_day > $3)
                 and ($4::date is null or business_day = $4)
           order by business_day limit $5"#,
        merchant_id.uuid(),
        wanted.rows.id().map(SettlementId::uuid),
        wanted.rows.after().map(BusinessDay::date),
        wanted.business_day.map(BusinessDay::date),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// What is passed on to a funder for a business day.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemittanceView {
    pub remittance_id: RemittanceId,
    pub business_day: BusinessDay,
    /// What came in of your loans on the day, less paid interest and fees that refunds gave back.
    pub collected_fen: Fen,
    /// What merchants pay you of their customers' interest.
    pub subsidy_fen: Fen,
    /// The platform's share of the income.
    pub share_fen: Fen,
    /// Collected and subsidy, less share.
    pub net_fen: Fen,
    /// A negative net of earlier days; zero or less.
    pub carried_in_fen: Fen,
    /// Net and what was carried in: what is paid to you.
    pub payable_fen: Fen,
    /// `to_pay`, `paid`, `nothing` where it comes to zero, or `carried` where it is negative and taken off a later one.
    #[schema(example = "to_pay")]
    pub status: String,
    pub pay_on: BusinessDay,
    pub paid_on: Option<BusinessDay>,
    pub bank_reference: Option<String>,
}

/// A funder's remittances, the oldest first.
pub async fn list_remittances(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: WantedDays<RemittanceId>,
    limit: i64,
) -> sqlx::Result<Vec<RemittanceView>> {
    sqlx::query_as!(
        RemittanceView,
        r#"select remittance_id as "remittance_id: RemittanceId", business_day as "business_day: BusinessDay",
                  collected_fen as "collected_fen: Fen", subsidy_fen as "subsidy_fen: Fen", share_fen as "share_fen: Fen",
                  net_fen as "net_fen: Fen", carried_in_fen as "carried_in_fen: Fen", payable_fen as "payable_fen: Fen",
                  status, pay_on as "pay_on: BusinessDay", paid_on as "paid_on: BusinessDay", bank_reference
           from remittance
           where funder_id = $1 and ($2::uuid is null or remittance_id = $2) and ($3::date is null or business_day > $3)
                 and ($4::date is null or business_day = $4)
           order by business_day limit $5"#,
        funder_id.uuid(),
        wanted.rows.id().map(RemittanceId::uuid),
        wanted.rows.after().map(BusinessDay::date),
        wanted.business_day.map(BusinessDay::date),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A remittance's part of one product version, whose profit-share table it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemittancePartView {
    pub product_id: ProductId,
    #[schema(example = 1)]
    pub product_version: i32,
    pub principal_fen: Fen,
    pub interest_fen: Fen,
    /// Fees of periods, guarantee charges among them, and of early payoffs.
    pub fee_fen: Fen,
    pub penalty_fen: Fen,
    pub subsidy_fen: Fen,
    pub share_fen: Fen,
}

/// The parts of a remittance, by product version.
pub async fn list_remittance_parts(
    connection: &mut PgConnection,
    remittance_id: RemittanceId,
) -> sqlx::Result<Vec<RemittancePartView>> {
    sqlx::query_as!(
        RemittancePartView,
        r#"select product_id as "product_id: ProductId", product_version, principal_fen as "principal_fen: Fen",
                  interest_fen as "interest_fen: Fen", fee_fen as "fee_fen: Fen", penalty_fen as "penalty_fen: Fen",
                  subsidy_fen as "subsidy_fen: Fen", share_fen as "share_fen: Fen"
           from remittance_part where remittance_id = $1 order by product_id, product_version"#,
        remittance_id.uuid()
    )
    .fetch_all(connection)
    .await
}
