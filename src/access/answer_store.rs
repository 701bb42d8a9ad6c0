//! SQL of idempotency keys and the first answers under them.

use std::ops::Range;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A request and its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    pub partner_id: Uuid,
    pub key: String,
    pub request_sha256: [u8; 32],
}

/// A request that wants to take its key.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub keyed: Keyed,
    pub at: DateTime<Utc>,
    /// If the same request was last known to run before this time and was never answered, its key is taken over: its node died or failed.
    pub abandoned_before: DateTime<Utc>,
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

/// A first answer in JSON that a use case stores in the same statement that does the work, so that neither is ever there without the other.
#[derive(Clone, Debug)]
pub struct FirstAnswer {
    pub keyed: Keyed,
    pub status: i16,
    pub body: Vec<u8>,
}

/// A key that a request has got.
pub struct TakenKey {
    pub partner_id: Uuid,
    pub idempotency_key: String,
    /// Whether an earlier request had it, which may have done the work.
    pub is_taken_over: bool,
}

/// Takes keys for requests and returns those that it got. Each key occurs once in the slice.
///
/// A key that has no answer is taken over in two cases: the request that has it has failed; or that request has the same content and was
/// last known to run before `abandoned_before`, so its node has died. Its work may have been done or not, so whoever takes a key over
/// must look first and not do the work twice.
pub async fn claim_keys(connection: &mut PgConnection, wanted: &[&Wanted]) -> sqlx::Result<Vec<TakenKey>> {
    let partner_ids: Vec<Uuid> = wanted.iter().map(|one| one.keyed.partner_id).collect();
    let keys: Vec<&str> = wanted.iter().map(|one| one.keyed.key.as_str()).collect();
    let hashes: Vec<&[u8]> = wanted.iter().map(|one| one.keyed.request_sha256.as_slice()).collect();
    let ats: Vec<DateTime<Utc>> = wanted.iter().map(|one| one.at).collect();
    let abandoned_before = wanted.iter().map(|one| one.abandoned_before).min();
    // Ordered, so that nodes lock rows in the same order and cannot deadlock.
    sqlx::query_as!(
        TakenKey,
        r#"insert into api_answer (partner_id, idempotency_key, request_sha256, started_at)
           select w.* from unnest((select $1::uuid[]), $2::text[], $3::bytea[], $4::timestamptz[]) as w(partner_id, key, sha256, at),
                           (select set_config('synchronous_commit', 'off', true)) as quick
           order by w.partner_id, w.key
           on conflict (partner_id, idempotency_key)
           do update set started_at = excluded.started_at, request_sha256 = excluded.request_sha256, failed_at = null
           where api_answer.status is null
                 and (api_answer.failed_at is not null
                      or (api_answer.started_at < $5 and api_answer.request_sha256 = excluded.request_sha256))
           returning partner_id, idempotency_key, xmax <> 0 as "is_taken_over!""#,
        &partner_ids,
        &keys as &[&str],
        &hashes as &[&[u8]],
        &ats,
        abandoned_before,
    )
    .fetch_all(connection)
    .await
}

/// What is stored under a taken key; `status` and `body` are `None` while it is not answered.
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

/// Stores the first answers under their keys, except keys that another request has by now.
pub async fn keep_answers(connection: &mut PgConnection, kept: &[(Keyed, KeptAnswer)]) -> sqlx::Result<()> {
    let partner_ids: Vec<Uuid> = kept.iter().map(|(keyed, _)| keyed.partner_id).collect();
    let keys: Vec<&str> = kept.iter().map(|(keyed, _)| keyed.key.as_str()).collect();
    let statuses: Vec<i16> = kept.iter().map(|(_, answer)| answer.status).collect();
    let texts = |of: fn(&KeptAnswer) -> &Option<String>| -> Vec<Option<&str>> {
        kept.iter().map(|(_, answer)| of(answer).as_deref()).collect()
    };
    let bodies: Vec<&[u8]> = kept.iter().map(|(_, answer)| answer.body.as_slice()).collect();
    let hashes: Vec<&[u8]> = kept.iter().map(|(keyed, _)| keyed.request_sha256.as_slice()).collect();
    sqlx::query!(
        // In the order in which keys are taken, so that it cannot deadlock with requests that take the same keys again.
        "update api_answer a set status = k.status, content_type = k.content_type, location = k.location, etag = k.etag,
                body = k.body
         from (select * from unnest((select $1::uuid[]), $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::bytea[],
                                    $8::bytea[])
                             as kept(partner_id, key, status, content_type, location, etag, body, sha256)
               order by partner_id, key) as k,
              (select set_config('synchronous_commit', 'off', true)) as quick
         where a.partner_id = k.partner_id and a.idempotency_key = k.key and a.request_sha256 = k.sha256 and a.status is null",
        &partner_ids,
        &keys as &[&str],
        &statuses,
        &texts(|answer| &answer.content_type) as &[Option<&str>],
        &texts(|answer| &answer.location) as &[Option<&str>],
        &texts(|answer| &answer.etag) as &[Option<&str>],
        &bodies as &[&[u8]],
        &hashes as &[&[u8]],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Releases a key whose request decided nothing, so that it can be used again; unless another request has it by now.
pub async fn release_key(connection: &mut PgConnection, keyed: &Keyed) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from api_answer
         where partner_id = $1 and idempotency_key = $2 and request_sha256 = $3 and status is null",
        keyed.partner_id,
        keyed.key,
        keyed.request_sha256.as_slice(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What is known of a request that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It still runs, so its key must not be taken over.
    Runs,
    /// It failed: its key may be taken over at once. Its work may have been done all the same.
    Failed,
}

/// Records the state of a request that is not answered yet.
pub async fn note_unanswered(
    connection: &mut PgConnection,
    keyed: &Keyed,
    stands: Unanswered,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (ran_at, failed_at) = match stands {
        Unanswered::Runs => (Some(at), None),
        Unanswered::Failed => (None, Some(at)),
    };
    sqlx::query!(
        "update api_answer set started_at = coalesce($4, started_at), failed_at = coalesce($5, failed_at)
         where partner_id = $1 and idempotency_key = $2 and request_sha256 = $3 and status is null",
        keyed.partner_id,
        keyed.key,
        keyed.request_sha256.as_slice(),
        ran_at,
        failed_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many blocks (pages) the table of answers has.
pub async fn count_blocks(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select pg_relation_size('api_answer') / current_setting('block_size')::bigint as "blocks!""#)
        .fetch_one(connection)
        .await
}

/// Deletes the answers of requests begun before `before` that are in some of the table's blocks. A day may have millions of answers, and
/// one long statement would keep vacuum from cleaning up everywhere. Going by blocks reads each block once; a `limit` instead would begin
/// at the first block each time, and skip again over all the rows that are deleted already.
pub async fn prune_answers(
    connection: &mut PgConnection,
    blocks: Range<i64>,
    before: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (from, until) = (format!("({},0)", blocks.start), format!("({},0)", blocks.end));
    sqlx::query!(
        "delete from api_answer where started_at < $1 and ctid >= $2::text::tid and ctid < $3::text::tid",
        before,
        from,
        until,
    )
    .execute(connection)
    .await?;
    Ok(())
}
