//! SQL of a merchant's settled days, their payments, and the purchases and refunds behind their figures.

use std::ops::RangeInclusive;

use sqlx::PgConnection;
use uuid::Uuid;

use super::day::{DayLine, Figure, SettledDay};
use super::payable::PayableStatus;
use super::payout::PayoutStatus;
use crate::base::id::{MerchantId, PurchaseId, SettlementId};
use crate::base::{BusinessDay, Fen};
use crate::merchant::MerchantDay;

/// A merchant's settled days within `days`, the newest first.
pub async fn list_days(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    days: RangeInclusive<BusinessDay>,
) -> sqlx::Result<Vec<SettledDay>> {
    sqlx::query_as!(
        SettledDay,
        r#"select s.settlement_id as "settlement_id: SettlementId", s.business_day as "business_day: BusinessDay",
                  s.gross_fen as "gross: Fen", s.refunds_fen as "refunds: Fen", s.discount_fee_fen as "discount_fee: Fen",
                  s.subsidy_fen as "subsidy: Fen", s.net_fen as "net: Fen", s.carried_in_fen as "carried_in: Fen",
                  s.payable_fen as "payable: Fen", s.status as "status: PayableStatus",
                  s.pay_on as "pay_on: BusinessDay", s.paid_on as "paid_on: BusinessDay", s.bank_reference,
                  p.status as "payout?: PayoutStatus",
                  exists (select from payout_hold h where h.merchant_id = s.merchant_id) as "is_held!",
                  i.business_day as "carried_into_day?: BusinessDay"
           from settlement s
           left join payout p on p.kind = 'settlement' and p.source_id = s.settlement_id
           left join settlement i on i.settlement_id = s.carried_into
           where s.merchant_id = $1 and s.business_day between $2 and $3
           order by s.business_day desc"#,
        merchant_id.uuid(),
        days.start().date(),
        days.end().date(),
    )
    .fetch_all(connection)
    .await
}

/// The day of a merchant's settlement.
pub async fn find_day(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    settlement_id: SettlementId,
) -> sqlx::Result<Option<BusinessDay>> {
    sqlx::query_scalar!(
        r#"select business_day as "business_day: BusinessDay" from settlement where settlement_id = $2 and merchant_id = $1"#,
        merchant_id.uuid(),
        settlement_id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// The days whose negative amounts were taken into a settlement, with those amounts.
pub async fn list_carried_into(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    settlement_id: SettlementId,
) -> sqlx::Result<Vec<(BusinessDay, Fen)>> {
    let rows = sqlx::query!(
        r#"select business_day as "business_day: BusinessDay", payable_fen as "payable: Fen" from settlement
           where merchant_id = $1 and carried_into = $2 order by business_day"#,
        merchant_id.uuid(),
        settlement_id.uuid(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.business_day, row.payable)).collect())
}

/// The lines behind a figure of a merchant's day, after the line `after`, the oldest first.
pub async fn list_lines(
    connection: &mut PgConnection,
    of: MerchantDay,
    figure: Figure,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<DayLine>> {
    sqlx::query_as!(
        DayLine,
        r#"select l.line_id as "line_id!", l.purchase_id as "purchase_id!: PurchaseId", l.is_refund as "is_refund!",
                  c.order_reference as "order_reference?", l.created_at as "created_at!", l.amount as "amount!: Fen",
                  l.discount_fee as "discount_fee!: Fen", l.subsidy as "subsidy!: Fen"
           from (select purchase_id as line_id, purchase_id, code_id, false as is_refund, created_at, amount_fen as amount,
                        -discount_fee_fen as discount_fee, -subsidy_fen as subsidy
                 from purchase where business_day = $2 and merchant_id = $1 and status = 'authorised'
                 union all
                 select r.refund_id, r.purchase_id, p.code_id, true, r.created_at, -r.amount_fen,
                        r.discount_fee_returned_fen, r.subsidy_returned_fen
                 from refund r join purchase p on p.line_id = r.line_id and p.purchase_id = r.purchase_id
                 where r.business_day = $2 and r.merchant_id = $1) l
           left join merchant_code c on c.code_id = l.code_id
           where ($4::uuid is null or l.line_id > $4)
                 and case $3 when 'gross' then not l.is_refund when 'refunds' then l.is_refund
                             when 'fee' then l.discount_fee <> 0 when 'subsidy' then l.subsidy <> 0 else true end
           order by l.line_id limit $5"#,
        of.merchant_id.uuid(),
        of.day.date(),
        figure.name(),
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}
