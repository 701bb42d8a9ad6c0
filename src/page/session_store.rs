//! SQL of sessions.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::subject::{OwnSession, SessionKind, Subject};

pub struct NewSession {
    pub token_hash: [u8; 32],
    pub kind: SessionKind,
    pub session_id: Uuid,
    pub subject_id: Option<Uuid>,
    pub mobile_sealed: Option<Vec<u8>>,
    pub openid_sealed: Option<Vec<u8>>,
    pub device: String,
    pub now: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

pub struct SessionRow {
    pub session_id: Uuid,
    pub subject_id: Option<Uuid>,
    pub mobile_sealed: Option<Vec<u8>>,
    pub openid_sealed: Option<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
}

pub async fn insert(connection: &mut PgConnection, session: &NewSession) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into session (token_hash, kind, session_id, subject_id, mobile_sealed, openid_sealed, device, created_at,
                              last_seen_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
        &session.token_hash,
        session.kind as SessionKind,
        session.session_id,
        session.subject_id,
        session.mobile_sealed.as_deref(),
        session.openid_sealed.as_deref(),
        session.device,
        session.now,
        session.expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn find(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
    kind: SessionKind,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<SessionRow>> {
    sqlx::query_as!(
        SessionRow,
        "select session_id, subject_id, mobile_sealed, openid_sealed, created_at, last_seen_at
         from session where token_hash = $1 and kind = $2 and expires_at > $3",
        token_hash,
        kind as SessionKind,
        now
    )
    .fetch_optional(connection)
    .await
}

/// Moves every session of a browser's old token to its new one.
pub async fn rename(connection: &mut PgConnection, old: &[u8; 32], new: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query!("update session set token_hash = $2 where token_hash = $1", old, new).execute(connection).await?;
    Ok(())
}

pub async fn set_subject(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
    kind: SessionKind,
    subject_id: Option<Uuid>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update session set subject_id = $3 where token_hash = $1 and kind = $2",
        token_hash,
        kind as SessionKind,
        subject_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn see(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
    kind: SessionKind,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update session set last_seen_at = $3, expires_at = $4 where token_hash = $1 and kind = $2",
        token_hash,
        kind as SessionKind,
        now,
        expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn list(
    connection: &mut PgConnection,
    whose: Subject,
    this: &[u8; 32],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<OwnSession>> {
    sqlx::query_as!(
        OwnSession,
        r#"select session_id, device, created_at, last_seen_at, token_hash = $3 as "is_this!"
           from session where subject_id = $1 and kind = $2 and expires_at > $4 order by last_seen_at desc"#,
        whose.subject_id,
        whose.kind as SessionKind,
        this,
        now
    )
    .fetch_all(connection)
    .await
}

pub async fn delete(connection: &mut PgConnection, token_hash: &[u8; 32], kind: SessionKind) -> sqlx::Result<()> {
    sqlx::query!("delete from session where token_hash = $1 and kind = $2", token_hash, kind as SessionKind)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn delete_one(connection: &mut PgConnection, whose: Subject, session_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from session where subject_id = $1 and kind = $2 and session_id = $3",
        whose.subject_id,
        whose.kind as SessionKind,
        session_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The live sessions of a person that were begun by a WeChat identity, each with that identity, sealed.
pub async fn list_by_wechat(connection: &mut PgConnection, whose: Subject) -> sqlx::Result<Vec<(Uuid, Vec<u8>)>> {
    let rows = sqlx::query!(
        r#"select session_id, openid_sealed as "openid_sealed!" from session
           where subject_id = $1 and kind = $2 and openid_sealed is not null"#,
        whose.subject_id,
        whose.kind as SessionKind
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.session_id, row.openid_sealed)).collect())
}

pub async fn delete_others(connection: &mut PgConnection, whose: Subject, this: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from session where subject_id = $1 and kind = $2 and token_hash <> $3",
        whose.subject_id,
        whose.kind as SessionKind,
        this
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes sessions that have ended, except those that are locked at this moment: otherwise it could deadlock with a transaction that ends
/// several sessions of a person. Returns how many.
pub async fn delete_expired(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "delete from session where (token_hash, kind) in (
             select token_hash, kind from session where expires_at <= $1 for update skip locked)",
        now
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
