//! SQL of where merchants are notified.

use sqlx::PgConnection;

use crate::base::id::MerchantId;
use crate::partner::key::Algorithm;

/// Where a merchant is notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyAddress {
    pub url: String,
    /// By which we sign.
    pub algorithm: Algorithm,
}

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

/// Sets or clears it; `false` if there is no such merchant.
pub async fn set(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    address: Option<&NotifyAddress>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update merchant set notify_url = $2, notify_algorithm = $3 where merchant_id = $1",
        merchant_id.uuid(),
        address.map(|address| address.url.as_str()),
        address.map(|address| address.algorithm.as_str()),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
