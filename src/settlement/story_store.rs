//! SQL of the purchases and refunds of a merchant's day.

use sqlx::PgConnection;
use uuid::Uuid;

use super::story::{PurchaseLine, RefundLine};
use crate::base::Fen;
use crate::base::id::{PurchaseId, RefundId};
use crate::merchant::MerchantDay;

/// Up to `limit` purchases of a merchant's day, after a given one if there is one, the oldest first.
pub async fn list_purchases(
    connection: &mut PgConnection,
    of: MerchantDay,
    after: Option<PurchaseId>,
    limit: i64,
) -> sqlx::Result<Vec<PurchaseLine>> {
    sqlx::query_as!(
        PurchaseLine,
        r#"select purchase_id as "purchase_id: PurchaseId",
                  (select order_reference from merchant_code c where c.code_id = purchase.code_id) as order_reference,
                  created_at, amount_fen as "amount: Fen", discount_fee_fen as "discount_fee: Fen",
                  subsidy_fen as "subsidy: Fen"
           from purchase where business_day = $2 and merchant_id = $1 and status = 'authorised' and purchase_id > $3
           order by purchase_id limit $4"#,
        of.merchant_id.uuid(),
        of.day.date(),
        after.map_or(Uuid::nil(), PurchaseId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Up to `limit` refunds of a merchant's day, after a given one if there is one, the oldest first.
pub async fn list_refunds(
    connection: &mut PgConnection,
    of: MerchantDay,
    after: Option<RefundId>,
    limit: i64,
) -> sqlx::Result<Vec<RefundLine>> {
    sqlx::query_as!(
        RefundLine,
        r#"select refund_id as "refund_id: RefundId", purchase_id as "purchase_id: PurchaseId",
                  (select c.order_reference from purchase p join merchant_code c on c.code_id = p.code_id
                   where p.purchase_id = refund.purchase_id and p.line_id = refund.line_id) as order_reference,
                  created_at, amount_fen as "amount: Fen", discount_fee_returned_fen as "discount_returned: Fen",
                  subsidy_returned_fen as "subsidy_returned: Fen"
           from refund where business_day = $2 and merchant_id = $1 and refund_id > $3
           order by refund_id limit $4"#,
        of.merchant_id.uuid(),
        of.day.date(),
        after.map_or(Uuid::nil(), RefundId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}
