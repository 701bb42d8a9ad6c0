//! SQL of the addresses at which merchants are notified.

use sqlx::PgConnection;

use super::notification::{Notified, NotifyAddress};
use crate::base::id::MerchantId;
use crate::partner::key::Algorithm;

/// A merchant's address and its version; `None` if there is no such merchant.
pub async fn find(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Option<Notified>> {
    let row = sqlx::query!(
        r#"select notify_url, notify_algorithm as "notify_algorithm: Algorithm", notify_version
           from merchant where merchant_id = $1"#,
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let address = row.notify_url.zip(row.notify_algorithm);
        Notified {
            address: address.map(|(url, algorithm)| NotifyAddress { url, algorithm }),
            version: row.notify_version,
        }
    }))
}

/// Sets the address, or clears it with `None`; returns its new version.
pub async fn set(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    address: Option<&NotifyAddress>,
) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        "update merchant set notify_url = $2, notify_algorithm = $3, notify_version = notify_version + 1
         where merchant_id = $1 returning notify_version",
        merchant_id.uuid(),
        address.map(|address| address.url.as_str()),
        address.map(|address| address.algorithm.name()),
    )
    .fetch_one(connection)
    .await
}
