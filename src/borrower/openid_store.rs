//! SQL of WeChat identities. The table `borrower_by_openid` is for signing in; `wechat_identity` holds the sealed identity,
//! for messages.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::store::BlindIndex;
use crate::base::id::BorrowerId;

/// A WeChat identity to store.
pub struct NewIdentity {
    pub borrower_id: BorrowerId,
    pub openid_hash: BlindIndex,
    pub openid_sealed: Vec<u8>,
    pub linked_at: DateTime<Utc>,
}

/// The borrower to whom an identity is linked.
pub async fn find(connection: &mut PgConnection, openid_hash: &BlindIndex) -> sqlx::Result<Option<BorrowerId>> {
    sqlx::query_scalar!(
        r#"select borrower_id as "borrower_id: BorrowerId" from borrower_by_openid where openid_hash = $1"#,
        openid_hash
    )
    .fetch_optional(connection)
    .await
}

/// Links an identity to a borrower for signing in, in place of any borrower before.
pub async fn point(connection: &mut PgConnection, identity: &NewIdentity) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into borrower_by_openid (openid_hash, borrower_id) values ($1, $2)
         on conflict (openid_hash) do update set borrower_id = excluded.borrower_id",
        &identity.openid_hash,
        identity.borrower_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the borrower's other identities for signing in.
pub async fn release_others(connection: &mut PgConnection, identity: &NewIdentity) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from borrower_by_openid where borrower_id = $1 and openid_hash <> $2",
        identity.borrower_id.uuid(),
        &identity.openid_hash
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Since when a borrower has a linked WeChat identity; `None` where there is none.
pub async fn find_linked_at(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select linked_at from wechat_identity where borrower_id = $1", borrower_id.uuid())
        .fetch_optional(connection)
        .await
}

/// Stores the identity to which the borrower's messages are sent, in place of a former one.
pub async fn put(connection: &mut PgConnection, identity: &NewIdentity) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into wechat_identity (borrower_id, openid_hash, openid_sealed, linked_at) values ($1, $2, $3, $4)
         on conflict (borrower_id)
         do update set openid_hash = excluded.openid_hash, openid_sealed = excluded.openid_sealed,
                       linked_at = excluded.linked_at",
        identity.borrower_id.uuid(),
        &identity.openid_hash,
        identity.openid_sealed,
        identity.linked_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the identity from other borrowers, whose messages were sent to it before.
pub async fn forget_others(connection: &mut PgConnection, identity: &NewIdentity) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from wechat_identity where openid_hash = $1 and borrower_id <> $2",
        &identity.openid_hash,
        identity.borrower_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes all identities by which a borrower signs in.
pub async fn release(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!("delete from borrower_by_openid where borrower_id = $1", borrower_id.uuid())
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Deletes the identity to which the borrower's messages are sent.
pub async fn delete(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!("delete from wechat_identity where borrower_id = $1", borrower_id.uuid()).execute(connection).await?;
    Ok(())
}
