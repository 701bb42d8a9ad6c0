//! SQL of where merchants are notified.

use sqlx::PgConnection;

use super::notification::NotifyAddress;
use crate::base::id::MerchantId;
use crate::partner::key::Algorithm;

pub async fn find(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Option<NotifyAddress>> {
    sqlx::query_as!(
        NotifyAddress,
        r#"select notify_url as "url!", notify_algorithm as "algorithm!: Algorithm"
           from merchant where merchant_id = $1 and notify_url is not null"#,
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Holds the merchant until the transaction ends; `false` if there is no such merchant.
pub async fn lock(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        "select merchant_id from merchant where merchant_id = $1 for no key update",
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// Sets or clears it.
pub async fn set(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    address: Option<&NotifyAddress>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update merchant set notify_url = $2, notify_algorithm = $3 where merchant_id = $1",
        merchant_id.uuid(),
        address.map(|address| address.url.as_str()),
        address.map(|address| address.algorithm.as_str()),
    )
    .execute(connection)
    .await?;
    Ok(())
}
