//! SQL of purchases as their merchant's pages show them.

use sqlx::PgConnection;

use super::sale::{Sale, SaleFilter, SaleRefund, SaleState};
use crate::base::id::{MerchantId, PurchaseId, RefundId};
use crate::base::{BusinessDay, Fen};

/// A query for sales, each with the order that it paid; `$rest` goes on from the tables.
macro_rules! select_sales {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            Sale,
            r#"select p.purchase_id as "purchase_id: PurchaseId", c.order_reference as "order_reference?", h.description,
                      p.status = 'voided' as "is_voided!", p.amount_fen as "amount: Fen", p.refunded_fen as "refunded: Fen",
                      p.discount_fee_fen as "discount_fee: Fen", p.subsidy_fen as "subsidy: Fen", p.periods,
                      p.business_day as "business_day: BusinessDay", p.created_at
               from purchase p left join merchant_code c on c.code_id = p.code_id
               left join hand_order h on h.merchant_id = p.merchant_id and h.code_id = p.code_id "# + $rest,
            $($argument)*
        )
    };
}

/// Whose sales are looked for, and of which business days, both ends included.
#[derive(Clone, Copy, Debug)]
pub struct MerchantDays {
    pub merchant_id: MerchantId,
    pub from: BusinessDay,
    pub to: BusinessDay,
}

/// A merchant's sales of some days, the newest first, those after `after` in that order.
pub async fn list(
    connection: &mut PgConnection,
    of: MerchantDays,
    filter: &SaleFilter,
    after: Option<PurchaseId>,
    limit: i64,
) -> sqlx::Result<Vec<Sale>> {
    select_sales!(
        // By day first: the key alone would lead the planner backwards through everybody's purchases.
        "where p.merchant_id = $1 and p.business_day between $2 and $3 and p.status <> 'refused'
               and ($4::uuid is null or (p.business_day, p.purchase_id) <
                    (select a.business_day, a.purchase_id from purchase a where a.purchase_id = $4 and a.merchant_id = $1))
               and ($5::bigint is null or p.amount_fen = $5)
               and ($6::smallint is null or p.periods = $6)
               and ($7::text is null or $7 = case when p.status = 'voided' then 'voided' when p.refunded_fen = 0 then 'sold'
                                                  when p.refunded_fen < p.amount_fen then 'part_refunded' else 'refunded' end)
         order by p.business_day desc, p.purchase_id desc limit $8",
        of.merchant_id.uuid(),
        of.from.date(),
        of.to.date(),
        after.map(PurchaseId::uuid),
        filter.amount.map(Fen::get),
        filter.periods,
        filter.state.map(SaleState::name),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A merchant's sales by a number or text: the purchase's own number, the beginning of an order's number, or a part of the
/// description of an order that was opened by hand. The newest first, those after `after` in that order.
pub async fn list_by_number(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    number: &str,
    after: Option<PurchaseId>,
    limit: i64,
) -> sqlx::Result<Vec<Sale>> {
    select_sales!(
        "where p.purchase_id in (
                   select $2::uuid
                   union all
                   select o.paid_purchase_id from merchant_code o
                   where o.merchant_id = $1 and starts_with(o.order_reference, $3)
                   union all
                   select o.paid_purchase_id from hand_order w join merchant_code o on o.code_id = w.code_id
                   where w.merchant_id = $1 and strpos(w.description, $3) > 0)
               and p.merchant_id = $1 and p.status <> 'refused'
               and ($4::uuid is null or (p.business_day, p.purchase_id) <
                    (select a.business_day, a.purchase_id from purchase a where a.purchase_id = $4 and a.merchant_id = $1))
         order by p.business_day desc, p.purchase_id desc limit $5",
        merchant_id.uuid(),
        number.parse::<PurchaseId>().ok().map(PurchaseId::uuid),
        number,
        after.map(PurchaseId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// One sale of a merchant.
pub async fn find(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    purchase_id: PurchaseId,
) -> sqlx::Result<Option<Sale>> {
    select_sales!(
        "where p.purchase_id = $2 and p.merchant_id = $1 and p.status <> 'refused'",
        merchant_id.uuid(),
        purchase_id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// The refunds of a merchant's sale, the oldest first.
pub async fn list_refunds(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    purchase_id: PurchaseId,
) -> sqlx::Result<Vec<SaleRefund>> {
    sqlx::query_as!(
        SaleRefund,
        // The line leads to the key; the merchant never sees it.
        r#"select r.refund_id as "refund_id: RefundId", r.amount_fen as "amount: Fen",
                  r.principal_fell_fen as "principal_fell: Fen", r.owed_back_fen as "owed_back: Fen",
                  r.interest_waived_fen as "interest_waived: Fen",
                  r.interest_back_fen + r.fee_back_fen as "interest_back!: Fen",
                  r.discount_fee_returned_fen as "discount_fee_returned: Fen",
                  r.subsidy_returned_fen as "subsidy_returned: Fen", r.business_day as "business_day: BusinessDay",
                  r.created_at
           from purchase p join refund r on r.line_id = p.line_id and r.purchase_id = p.purchase_id
           where p.purchase_id = $2 and p.merchant_id = $1
           order by r.refund_id"#,
        merchant_id.uuid(),
        purchase_id.uuid(),
    )
    .fetch_all(connection)
    .await
}
