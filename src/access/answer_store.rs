//! SQL of first answers: what was answered under each idempotency key.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A request under a key.
#[derive(Clone, Copy)]
pub struct Keyed<'a> {
    pub partner_id: Uuid,
    pub key: &'a str,
    pub request_sha256: &'a [u8],
}

/// An answer as it is kept and given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: i16,
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub body: Vec<u8>,
}

/// Takes a key for a request; `false` when it was taken before. A key whose request was begun before `abandoned_before` and
/// never answered, with the same content, is taken over: its node died, and use cases apply the same key once.
pub async fn claim_key(
    connection: &mut PgConnection,
    keyed: Keyed<'_>,
    at: DateTime<Utc>,
    abandoned_before: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into api_answer (partner_id, idempotency_key, request_sha256, started_at)
         select $1, $2, $3, $4 from (select set_config('synchronous_commit', 'off', true)) as quick
         on conflict (partner_id, idempotency_key) do update set started_at = excluded.started_at
         where api_answer.status is null and api_answer.started_at < $5
               and api_answer.request_sha256 = excluded.request_sha256",
        keyed.partner_id,
        keyed.key,
        keyed.request_sha256,
        at,
        abandoned_before,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What stands under a taken key.
pub struct Taken {
    pub request_sha256: Vec<u8>,
    pub status: Option<i16>,
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub body: Option<Vec<u8>>,
}

pub async fn find_taken(connection: &mut PgConnection, partner_id: Uuid, key: &str) -> sqlx::Result<Option<Taken>> {
    sqlx::query_as!(
        Taken,
        "select request_sha256, status, content_type, location, etag, body
         from api_answer where partner_id = $1 and idempotency_key = $2",
        partner_id,
        key,
    )
    .fetch_optional(connection)
    .await
}

/// Keeps the first answer under a key.
pub async fn keep_answer(connection: &mut PgConnection, keyed: Keyed<'_>, answer: &KeptAnswer) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_answer set status = $3, content_type = $4, location = $5, etag = $6, body = $7
         where partner_id = $1 and idempotency_key = $2 and status is null
               and (select set_config('synchronous_commit', 'off', true)) is not null",
        keyed.partner_id,
        keyed.key,
        answer.status,
        answer.content_type,
        answer.location,
        answer.etag,
        answer.body,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a key back whose request failed on our side, so that it can be tried again.
pub async fn release_key(connection: &mut PgConnection, keyed: Keyed<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from api_answer where partner_id = $1 and idempotency_key = $2 and status is null",
        keyed.partner_id,
        keyed.key,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets answers begun before `before`; returns how many.
pub async fn prune_answers(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from api_answer where started_at < $1", before).execute(connection).await?;
    Ok(done.rows_affected())
}
