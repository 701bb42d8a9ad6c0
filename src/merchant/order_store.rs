//! SQL of orders opened by hand, and of the products by which orders can be paid.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::code_store::code_status;
use super::order::HandOrder;
use crate::base::id::{CodeId, MerchantId, ProductId, StaffId};
use crate::base::{BusinessDay, Fen};

/// What is stored of an order beside its code.
#[derive(Debug)]
pub struct NewHandOrder<'a> {
    pub merchant_id: MerchantId,
    pub code_id: CodeId,
    pub description: Option<&'a str>,
    pub opened_by: StaffId,
    pub opened_at: DateTime<Utc>,
}

/// Writes an order whose code was written before.
pub async fn insert_hand_order(connection: &mut PgConnection, order: &NewHandOrder<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into hand_order (merchant_id, code_id, description, opened_by, opened_at) values ($1, $2, $3, $4, $5)",
        order.merchant_id.uuid(),
        order.code_id.uuid(),
        order.description,
        order.opened_by.uuid(),
        order.opened_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A product version that is on sale, with what else decides whether it is sold at a merchant.
pub struct OnSale {
    pub merchant_id: MerchantId,
    pub product_id: ProductId,
    pub version: i32,
    /// The merchant's.
    pub category: String,
    pub today: BusinessDay,
}

/// Every product version on sale with each of these merchants, in the order of product codes. Whether it is sold there, its
/// terms say.
pub async fn load_on_sale(connection: &mut PgConnection, merchant_ids: &[Uuid]) -> sqlx::Result<Vec<OnSale>> {
    sqlx::query_as!(
        OnSale,
        r#"select m.merchant_id as "merchant_id!: MerchantId", v.product_id as "product_id!: ProductId", v.version as "version!",
                  m.category as "category!", (select today from business_day) as "today!: BusinessDay"
           from (select product_id, max(version) as version from product_version where withdrawn_at is null
                 group by product_id) as v
           join product p using (product_id) cross join merchant m
           where m.merchant_id = any($1) order by p.code"#,
        merchant_ids,
    )
    .fetch_all(connection)
    .await
}

struct OrderRow {
    code_id: CodeId,
    amount: Fen,
    description: Option<String>,
    expires_at: DateTime<Utc>,
    opened_at: DateTime<Utc>,
    status: String,
    paid_purchase_id: Option<Uuid>,
}

impl From<OrderRow> for HandOrder {
    fn from(row: OrderRow) -> HandOrder {
        HandOrder {
            code_id: row.code_id,
            amount: row.amount,
            description: row.description,
            expires_at: row.expires_at,
            opened_at: row.opened_at,
            status: code_status(&row.status, row.paid_purchase_id),
        }
    }
}

/// One order of a merchant.
pub async fn find_hand_order(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    code_id: CodeId,
) -> sqlx::Result<Option<HandOrder>> {
    let row = sqlx::query_as!(
        OrderRow,
        r#"select h.code_id as "code_id: CodeId", c.amount_fen as "amount!: Fen", h.description, c.expires_at as "expires_at!",
                  h.opened_at, c.status, c.paid_purchase_id
           from hand_order h join merchant_code c using (code_id)
           where h.merchant_id = $1 and h.code_id = $2"#,
        merchant_id.uuid(),
        code_id.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(HandOrder::from))
}

/// A merchant's orders before `before`, the newest first.
pub async fn list_hand_orders(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    before: Option<CodeId>,
    limit: i64,
) -> sqlx::Result<Vec<HandOrder>> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"select h.code_id as "code_id: CodeId", c.amount_fen as "amount!: Fen", h.description, c.expires_at as "expires_at!",
                  h.opened_at, c.status, c.paid_purchase_id
           from hand_order h join merchant_code c using (code_id)
           where h.merchant_id = $1 and ($2::uuid is null or h.code_id < $2)
           order by h.code_id desc limit $3"#,
        merchant_id.uuid(),
        before.map(CodeId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(HandOrder::from).collect())
}
