//! SQL of the gross-to-net story.

use sqlx::PgConnection;

use super::store;
use super::story::{PurchaseLine, RefundLine, Story};
use crate::base::id::{MerchantId, PurchaseId, RefundId};
use crate::base::{BusinessDay, Fen};

/// Everything of one merchant and day.
pub async fn story(connection: &mut PgConnection, merchant_id: MerchantId, day: BusinessDay) -> sqlx::Result<Story> {
    Ok(Story {
        purchases: load_purchases(&mut *connection, merchant_id, day).await?,
        refunds: load_refunds(&mut *connection, merchant_id, day).await?,
        settlement: store::find_settlement(connection, merchant_id, day).await?,
    })
}

async fn load_purchases(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<Vec<PurchaseLine>> {
    sqlx::query_as!(
        PurchaseLine,
        r#"select purchase_id as "purchase_id: PurchaseId", created_at, amount_fen as "amount: Fen",
                  discount_fee_fen as "discount_fee: Fen", subsidy_fen as "subsidy: Fen"
           from purchase where business_day = $2 and merchant_id = $1 and status = 'authorised'
           order by purchase_id"#,
        merchant_id.uuid(),
        day.date(),
    )
    .fetch_all(connection)
    .await
}

async fn load_refunds(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<Vec<RefundLine>> {
    sqlx::query_as!(
        RefundLine,
        r#"select refund_id as "refund_id: RefundId", purchase_id as "purchase_id: PurchaseId", created_at,
                  amount_fen as "amount: Fen", discount_fee_returned_fen as "discount_returned: Fen",
                  subsidy_returned_fen as "subsidy_returned: Fen"
           from refund where business_day = $2 and merchant_id = $1
           order by refund_id"#,
        merchant_id.uuid(),
        day.date(),
    )
    .fetch_all(connection)
    .await
}
