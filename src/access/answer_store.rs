//! SQL of first answers: what was answered under each idempotency key.

use std::ops::Range;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A request under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    pub partner_id: Uuid,
    pub key: String,
    pub request_sha256: [u8; 32],
}

/// A request that wants its key.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub keyed: Keyed,
    pub at: DateTime<Utc>,
    /// A key of the same request that was begun before, and never answered, is taken over: its node died, or failed.
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

/// A first answer in JSON that is kept in the statement that does what it answers: there is never the one without the other.
#[derive(Clone, Debug)]
pub struct FirstAnswer {
    pub keyed: Keyed,
    pub status: i16,
    pub body: Vec<u8>,
}

/// A key of a partner's that was taken.
pub struct TakenKey {
    pub partner_id: Uuid,
    pub idempotency_key: String,
    /// Whether it is from a request that was begun before, and may have done what was asked.
    pub is_taken_over: bool,
}

/// Takes keys for requests, each key once in the slice, and tells which of them were free. A key whose request was last known to
/// run too long ago and never answered, with the same content, is taken over: its node died. Whether before or after it was done,
/// nobody knows: whoever takes it over looks, and does not do it twice. One that failed may be any request's.
pub async fn claim_keys(connection: &mut PgConnection, wanted: &[&Wanted]) -> sqlx::Result<Vec<TakenKey>> {
    let partner_ids: Vec<Uuid> = wanted.iter().map(|one| one.keyed.partner_id).collect();
    let keys: Vec<&str> = wanted.iter().map(|one| one.keyed.key.as_str()).collect();
    let hashes: Vec<&[u8]> = wanted.iter().map(|one| one.keyed.request_sha256.as_slice()).collect();
    let ats: Vec<DateTime<Utc>> = wanted.iter().map(|one| one.at).collect();
    let abandoned_before = wanted.iter().map(|one| one.abandoned_before).min();
    // In one order on every node, so that none waits for another in a circle.
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

/// Keeps the first answers under their keys, as far as no other request has them by now.
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
        // In the order in which keys are taken: those who ask again meet these rows, and whoever is let in beside them would fail, too.
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

/// Gives a key back whose request decided nothing, so that it can be tried again, unless another request has it by now.
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

/// What is known of a request that was not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It still runs: nobody takes its key over.
    Runs,
    /// Its key can be asked for again at once; it may have come about all the same.
    Failed,
}

/// Notes how a request stands that was not answered yet.
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

/// How many blocks of the disk the answers take up.
pub async fn count_blocks(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select pg_relation_size('api_answer') / current_setting('block_size')::bigint as "blocks!""#)
        .fetch_one(connection)
        .await
}

/// Forgets answers begun before `before` that stand in some of the blocks. A day's may be millions, and while one statement runs
/// nothing that others write is tidied up. Each block is looked through once: statements that looked for so many old answers would each
/// begin at the first block, and pass over whatever those before them had taken.
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
