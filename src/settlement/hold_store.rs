//! SQL of holds on merchants' payouts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::hold::{HoldStatement, PayoutHold};
use crate::base::id::{MerchantId, PayoutId};

/// Keeps payouts from being held until the transaction ends, because some are being claimed to be sent. Several nodes may claim at once,
/// but a hold waits for them, and whoever claims after it sees it.
pub async fn keep_holds_out(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table payout_hold in share mode").execute(connection).await?;
    Ok(())
}

/// The hold on a merchant's payouts; `None` where none stands.
pub async fn find_hold(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Option<PayoutHold>> {
    sqlx::query_as!(
        PayoutHold,
        "select held_by, reason, held_at, release_stated_by from payout_hold where merchant_id = $1",
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Whether a merchant's payouts are held.
pub async fn is_held(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<bool> {
    Ok(find_hold(connection, merchant_id).await?.is_some())
}

/// Holds a merchant's payouts, once nobody claims payouts any more.
pub async fn insert_hold(
    connection: &mut PgConnection,
    stated: &HoldStatement,
    held_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into payout_hold (merchant_id, held_by, reason, held_at) values ($1, $2, $3, $4)",
        stated.merchant_id.uuid(),
        stated.by,
        stated.reason,
        held_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores who was the first to state that a hold be released; `None` removes the statement.
pub async fn put_release(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    stated_by: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update payout_hold set release_stated_by = $2 where merchant_id = $1",
        merchant_id.uuid(),
        stated_by,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Releases a merchant's payouts.
pub async fn delete_hold(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<()> {
    sqlx::query!("delete from payout_hold where merchant_id = $1", merchant_id.uuid()).execute(connection).await?;
    Ok(())
}

/// Payouts of a merchant's settlements without a result.
pub async fn list_pending(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Vec<PayoutId>> {
    sqlx::query_scalar!(
        r#"select p.payout_id as "payout_id: PayoutId"
           from settlement s join payout p on p.kind = 'settlement' and p.source_id = s.settlement_id
           where s.merchant_id = $1 and p.status in ('created', 'submitted', 'unknown')"#,
        merchant_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Those of these payouts that are held with their merchant's, each with when its present attempt was last claimed to be sent.
pub async fn load_held(
    connection: &mut PgConnection,
    payout_ids: &[PayoutId],
) -> sqlx::Result<BTreeMap<PayoutId, Option<DateTime<Utc>>>> {
    let ids: Vec<Uuid> = payout_ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"select p.payout_id as "payout_id: PayoutId",
                  (select max(e.occurred_at) from payout_event e
                   where e.payout_id = p.payout_id and e.attempt_no = p.attempt_no and e.status = 'submitted') as sent_at
           from payout p join payout_hold h on h.merchant_id = p.beneficiary_id
           where p.payout_id = any($1) and p.kind = 'settlement'"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.payout_id, row.sent_at)).collect())
}
