//! SQL of the messages that borrowers want in WeChat.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::BlindIndex;
use crate::base::id::BorrowerId;

/// A borrower's choice about one kind of notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub kind: String,
    /// How many more messages WeChat will take, as far as we know.
    pub allowed: i16,
    pub wanted: bool,
}

/// No more consents of one kind are counted than this: between two visits nobody is sent so many messages.
const ALLOWED_MAX: i32 = 20;

/// All choices of a borrower.
pub async fn list(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Subscription>> {
    sqlx::query_as!(
        Subscription,
        "select kind, allowed, wanted from wechat_subscription where borrower_id = $1 order by kind",
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Counts one more consent of each kind.
pub async fn allow(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    kinds: &[&str],
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into wechat_subscription as s (borrower_id, kind, allowed, wanted, changed_at)
         select $1, kind, 1, true, $3 from unnest($2::text[]) as kind
         on conflict (borrower_id, kind)
         do update set allowed = least(s.allowed + 1, $4), wanted = true, changed_at = excluded.changed_at",
        borrower_id.uuid(),
        kinds as &[&str],
        at,
        ALLOWED_MAX
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a borrower wants no messages in WeChat any more.
pub async fn stop(connection: &mut PgConnection, borrower_id: BorrowerId, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update wechat_subscription set wanted = false, changed_at = $2 where borrower_id = $1 and wanted",
        borrower_id.uuid(),
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets the borrower's consents to zero if they were given under another WeChat identity than this one.
pub async fn forget_others(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    openid_hash: &BlindIndex,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update wechat_subscription set allowed = 0, changed_at = $3
         where borrower_id = $1
               and not exists (select from wechat_identity where borrower_id = $1 and openid_hash = $2)",
        borrower_id.uuid(),
        openid_hash,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes consents of one kind that messages have used. One row in each statement: a visit to the page changes several rows of
/// the borrower at once, in another order, and would deadlock with it.
pub async fn spend(
    connection: &mut PgConnection,
    (borrower_id, kind): (BorrowerId, &str),
    took: i16,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update wechat_subscription set allowed = greatest(allowed - $3::smallint, 0), changed_at = $4
         where borrower_id = $1 and kind = $2",
        borrower_id.uuid(),
        kind,
        took,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A kind of message that somebody wants in WeChat, with the identity to write to.
pub struct Wanting {
    pub borrower_id: BorrowerId,
    pub kind: String,
    pub openid_sealed: Vec<u8>,
    pub person_key_sealed: Vec<u8>,
}

/// The identities to send messages to: those borrowers who want a kind, have consents left, and have a linked identity.
pub async fn find_wanting(connection: &mut PgConnection, borrower_ids: &[BorrowerId]) -> sqlx::Result<Vec<Wanting>> {
    let ids: Vec<Uuid> = borrower_ids.iter().map(|borrower_id| borrower_id.uuid()).collect();
    sqlx::query_as!(
        Wanting,
        r#"select s.borrower_id as "borrower_id: BorrowerId", s.kind, i.openid_sealed, b.person_key_sealed as "person_key_sealed!"
           from wechat_subscription s
           join wechat_identity i on i.borrower_id = s.borrower_id
           join borrower b on b.borrower_id = s.borrower_id
           where s.borrower_id = any($1) and s.wanted and s.allowed > 0 and b.person_key_sealed is not null"#,
        &ids
    )
    .fetch_all(connection)
    .await
}

/// Deletes all choices of a borrower.
pub async fn delete(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!("delete from wechat_subscription where borrower_id = $1", borrower_id.uuid())
        .execute(connection)
        .await?;
    Ok(())
}
