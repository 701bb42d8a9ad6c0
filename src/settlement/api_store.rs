//! SQL of settlements and remittances as their merchant and their funder see them.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::base::id::{FunderId, MerchantId, ProductId, RemittanceId, SettlementId};
use crate::base::{BusinessDay, Fen, Wanted};

/// A merchant's settlement of one business day, from gross sales to the amount paid out.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettlementView {
    pub settlement_id: SettlementId,
    pub business_day: BusinessDay,
    /// Sum of the day's purchases, without voided ones, in fen.
    pub gross_fen: Fen,
    /// Sum of the refunds made on the day, in fen; their purchases may be older.
    pub refunds_fen: Fen,
    /// Discount fees (MDR) of the day's purchases, less the fees returned by its refunds, in fen; negative if more is returned.
    pub discount_fee_fen: Fen,
    /// Interest or fees that the merchant pays instead of customers, less what the day's refunds return of them, in fen; negative if more is
    /// returned.
    pub subsidy_fen: Fen,
    /// `gross_fen` less `refunds_fen`, `discount_fee_fen` and `subsidy_fen`; may be negative.
    pub net_fen: Fen,
    /// Negative balance carried forward from earlier settlements, in fen; 0 or below.
    pub carried_in_fen: Fen,
    /// `net_fen` plus `carried_in_fen`: the amount that is paid to the merchant, if it is above 0.
    pub payable_fen: Fen,
    /// `to_pay`, `paid`, `nothing` if `payable_fen` is 0, or `carried` if it is negative and deducted from the next settlement.
    #[schema(example = "to_pay")]
    pub status: String,
    /// The day on which it is to be paid: the first working day after the business day (T+1).
    pub pay_on: BusinessDay,
    /// Whether it is not paid on that day but later, because the platform holds what it has to pay to you.
    pub is_held: bool,
    /// The day on which it was paid; null until then.
    pub paid_on: Option<BusinessDay>,
    /// The bank's reference of the payment; null until it is paid.
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
                  status, pay_on as "pay_on: BusinessDay",
                  exists (select from payout_hold h
                          join payout p on p.kind = 'settlement' and p.source_id = settlement.settlement_id
                          where h.merchant_id = settlement.merchant_id and p.status in ('created', 'failed')) as "is_held!",
                  paid_on as "paid_on: BusinessDay", bank_reference
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

/// A funder's remittance of one business day: what borrowers repaid, passed on less the platform's share.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemittanceView {
    pub remittance_id: RemittanceId,
    pub business_day: BusinessDay,
    /// Principal, interest, fees and penalty repaid on your loans on the day, less interest and fees that refunds returned to borrowers'
    /// cards, in fen; may be negative.
    pub collected_fen: Fen,
    /// Interest or fees that merchants pay you instead of their customers, less what refunds returned of them, in fen.
    pub subsidy_fen: Fen,
    /// The platform's share of your income (profit share), in fen.
    pub share_fen: Fen,
    /// `collected_fen` plus `subsidy_fen`, less `share_fen`; may be negative.
    pub net_fen: Fen,
    /// Negative balance carried forward from earlier remittances, in fen; 0 or below.
    pub carried_in_fen: Fen,
    /// `net_fen` plus `carried_in_fen`: the amount that is paid to you, if it is above 0.
    pub payable_fen: Fen,
    /// `to_pay`, `paid`, `nothing` if `payable_fen` is 0, or `carried` if it is negative and deducted from the next remittance.
    #[schema(example = "to_pay")]
    pub status: String,
    /// The day on which it is to be paid: the first working day after the business day (T+1).
    pub pay_on: BusinessDay,
    /// The day on which it was paid; null until then.
    pub paid_on: Option<BusinessDay>,
    /// The bank's reference of the payment; null until it is paid.
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

/// The part of a remittance that one product version brought in; the version's terms set the profit share.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemittancePartView {
    pub product_id: ProductId,
    #[schema(example = 1)]
    pub product_version: i32,
    /// Principal repaid, in fen.
    pub principal_fen: Fen,
    /// Interest repaid, less what refunds returned, in fen.
    pub interest_fen: Fen,
    /// Period fees (with guarantee charges) and early payoff fees repaid, less what refunds returned, in fen.
    pub fee_fen: Fen,
    /// Penalty interest repaid, in fen.
    pub penalty_fen: Fen,
    /// Interest or fees that merchants pay you instead of their customers, less what refunds returned of them, in fen.
    pub subsidy_fen: Fen,
    /// The platform's share of this income, in fen; negative if more was returned than came in.
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
