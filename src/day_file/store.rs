//! SQL of the days of funders, their files and the files' bytes.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::made::{AccountDay, DayKey, MadeFile};
use super::row::Sums;
use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen};

/// Records for every funder that the files of a day are to be made; repeating it changes nothing. Returns how many were new.
pub async fn record_day(connection: &mut PgConnection, day: BusinessDay, at: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "insert into funder_day (funder_id, business_day, recorded_at) select funder_id, $1, $2 from funder
         on conflict do nothing",
        day.date(),
        at
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Days that are closed but whose files are not made, the oldest first.
pub async fn list_unmade(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<DayKey>> {
    sqlx::query_as!(
        DayKey,
        r#"select d.funder_id as "funder_id: FunderId", f.code as funder_code, d.business_day as "day: BusinessDay"
           from funder_day d join funder f on f.funder_id = d.funder_id
           join close_run r on r.business_day = d.business_day
           where d.made_at is null and r.finished_at is not null
           order by d.business_day, d.funder_id limit $1"#,
        limit
    )
    .fetch_all(connection)
    .await
}

/// A closed day, for the funder with this code or for all funders.
pub async fn list_closed(
    connection: &mut PgConnection,
    day: BusinessDay,
    funder_code: Option<&str>,
) -> sqlx::Result<Vec<DayKey>> {
    sqlx::query_as!(
        DayKey,
        r#"select f.funder_id as "funder_id: FunderId", f.code as funder_code, r.business_day as "day: BusinessDay"
           from funder f cross join close_run r
           where r.business_day = $1 and r.finished_at is not null and ($2::text is null or f.code = $2)
           order by f.code"#,
        day.date(),
        funder_code
    )
    .fetch_all(connection)
    .await
}

/// A recorded day, and what is made of it.
#[derive(Clone, Debug)]
pub struct MadeDay {
    pub business_day: BusinessDay,
    pub made_at: Option<DateTime<Utc>>,
    pub manifest: Option<String>,
    pub manifest_sha256: Option<Vec<u8>>,
    pub signatures: Option<Json<Value>>,
}

/// A funder's recorded day; `None` if no files were to be made of it.
pub async fn find_day(
    connection: &mut PgConnection,
    funder_id: FunderId,
    day: BusinessDay,
) -> sqlx::Result<Option<MadeDay>> {
    sqlx::query_as!(
        MadeDay,
        r#"select business_day as "business_day: BusinessDay", made_at, manifest, manifest_sha256,
                  signatures as "signatures: Json<Value>"
           from funder_day where funder_id = $1 and business_day = $2"#,
        funder_id.uuid(),
        day.date()
    )
    .fetch_optional(connection)
    .await
}

/// Whether the close of the day has begun and not ended, so that its files are still to come.
pub async fn is_being_closed(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from close_run where business_day = $1 and finished_at is null) as "exists!""#,
        day.date()
    )
    .fetch_one(connection)
    .await
}

/// Days after `after`, the oldest first, without the texts of their manifests.
pub async fn list_days(
    connection: &mut PgConnection,
    funder_id: FunderId,
    after: Option<BusinessDay>,
    limit: i64,
) -> sqlx::Result<Vec<MadeDay>> {
    sqlx::query_as!(
        MadeDay,
        r#"select business_day as "business_day: BusinessDay", made_at, null::text as manifest, manifest_sha256,
                  null::jsonb as "signatures: Json<Value>"
           from funder_day where funder_id = $1 and ($2::date is null or business_day > $2)
           order by business_day limit $3"#,
        funder_id.uuid(),
        after.map(BusinessDay::date),
        limit
    )
    .fetch_all(connection)
    .await
}

/// Locks a day, and records it first if it was closed before there were daily files; `false` if another node is making it just now.
pub async fn lock_day(connection: &mut PgConnection, key: &DayKey, at: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query!(
        "insert into funder_day (funder_id, business_day, recorded_at) values ($1, $2, $3) on conflict do nothing",
        key.funder_id.uuid(),
        key.day.date(),
        at
    )
    .execute(&mut *connection)
    .await?;
    let locked = sqlx::query!(
        "select business_day from funder_day where funder_id = $1 and business_day = $2 for update skip locked",
        key.funder_id.uuid(),
        key.day.date()
    );
    Ok(locked.fetch_optional(connection).await?.is_some())
}

/// Lets a transaction be idle for longer than others may: its rows come from another connection, and for a large table it takes minutes
/// until there are enough of them to write. Nobody waits for what it has locked.
pub async fn stand_by(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set local idle_in_transaction_session_timeout = '2h'").execute(connection).await?;
    Ok(())
}

/// Inserts files that were made.
pub async fn insert_files(connection: &mut PgConnection, key: &DayKey, files: &[MadeFile]) -> sqlx::Result<()> {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let tables: Vec<&str> = files.iter().map(|file| file.table_name.as_str()).collect();
    let sums: Vec<&Json<Sums>> = files.iter().map(|file| &file.sums).collect();
    let counts = |of: fn(&MadeFile) -> i64| files.iter().map(of).collect::<Vec<_>>();
    let hashes = |of: fn(&MadeFile) -> &[u8]| files.iter().map(of).collect::<Vec<_>>();
    sqlx::query!(
        "insert into funder_day_file (funder_id, business_day, name, table_name, rows, bytes, sha256, sm3, content_bytes,
                                      content_sha256, content_sm3, sums)
         select $1, $2, * from unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bigint[],
                                      $10::bytea[], $11::bytea[], $12::jsonb[])",
        key.funder_id.uuid(),
        key.day.date(),
        &names as &[&str],
        &tables as &[&str],
        &counts(|file| file.rows),
        &counts(|file| file.bytes),
        &hashes(|file| &file.sha256) as &[&[u8]],
        &hashes(|file| &file.sm3) as &[&[u8]],
        &counts(|file| file.content_bytes),
        &hashes(|file| &file.content_sha256) as &[&[u8]],
        &hashes(|file| &file.content_sm3) as &[&[u8]],
        &sums as &[&Json<Sums>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The files of a day that are made, in the order of their names.
pub async fn list_files(
    connection: &mut PgConnection,
    funder_id: FunderId,
    day: BusinessDay,
) -> sqlx::Result<Vec<MadeFile>> {
    sqlx::query_as!(
        MadeFile,
        r#"select name, table_name, rows, bytes, sha256, sm3, content_bytes, content_sha256, content_sm3,
                  sums as "sums: Json<Sums>"
           from funder_day_file where funder_id = $1 and business_day = $2 order by name"#,
        funder_id.uuid(),
        day.date()
    )
    .fetch_all(connection)
    .await
}

/// The names of the day's files whose bytes are stored.
pub async fn list_kept(
    connection: &mut PgConnection,
    funder_id: FunderId,
    day: BusinessDay,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select name from funder_day_chunk where funder_id = $1 and business_day = $2 and chunk_no = 0",
        funder_id.uuid(),
        day.date()
    )
    .fetch_all(connection)
    .await
}

/// The key of one piece of a file.
#[derive(Clone, Copy, Debug)]
pub struct ChunkKey<'a> {
    pub funder_id: FunderId,
    pub day: BusinessDay,
    pub name: &'a str,
    pub chunk_no: i32,
}

/// A piece of a file and its place in the file.
#[derive(Debug)]
pub struct Piece {
    /// The file's name.
    pub name: String,
    pub chunk_no: i32,
    pub content: Vec<u8>,
}

/// Stores pieces of a day's files.
pub async fn insert_chunks(connection: &mut PgConnection, key: &DayKey, pieces: &[Piece]) -> sqlx::Result<()> {
    let names: Vec<&str> = pieces.iter().map(|piece| piece.name.as_str()).collect();
    let numbers: Vec<i32> = pieces.iter().map(|piece| piece.chunk_no).collect();
    let contents: Vec<&[u8]> = pieces.iter().map(|piece| piece.content.as_slice()).collect();
    sqlx::query!(
        "insert into funder_day_chunk (funder_id, business_day, name, chunk_no, content)
         select $1, $2, * from unnest($3::text[], $4::int[], $5::bytea[])",
        key.funder_id.uuid(),
        key.day.date(),
        &names as &[&str],
        &numbers,
        &contents as &[&[u8]]
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The bytes of a piece; `None` if they are not stored.
pub async fn load_chunk(connection: &mut PgConnection, key: ChunkKey<'_>) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        "select content from funder_day_chunk
         where funder_id = $1 and business_day = $2 and name = $3 and chunk_no = $4",
        key.funder_id.uuid(),
        key.day.date(),
        key.name,
        key.chunk_no
    )
    .fetch_optional(connection)
    .await
}

/// The movements of the funder's own accounts and of its reserve's, from the trial balances.
pub async fn load_accounts(connection: &mut PgConnection, key: &DayKey) -> sqlx::Result<Vec<AccountDay>> {
    sqlx::query_as!(
        AccountDay,
        r#"select account,
                  coalesce(sum(debit_fen - credit_fen) filter (where business_day < $2), 0)::bigint as "opening!: Fen",
                  coalesce(sum(debit_fen) filter (where business_day = $2), 0)::bigint as "debit!: Fen",
                  coalesce(sum(credit_fen) filter (where business_day = $2), 0)::bigint as "credit!: Fen"
           from ledger_day where funder_id = $1 and business_day <= $2 and (account >= 200 or account in (102, 103))
           group by account order by account"#,
        key.funder_id.uuid(),
        key.day.date()
    )
    .fetch_all(connection)
    .await
}

/// A day's manifest, ready to be stored.
#[derive(Clone, Copy, Debug)]
pub struct SignedManifest<'a> {
    pub text: &'a str,
    pub sha256: &'a [u8],
    pub signatures: &'a Value,
}

/// Stores the manifest with its signatures; `false` if the day was made before.
pub async fn finish_day(
    connection: &mut PgConnection,
    key: &DayKey,
    manifest: SignedManifest<'_>,
    at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update funder_day set made_at = $3, manifest = $4, manifest_sha256 = $5, signatures = $6
         where funder_id = $1 and business_day = $2 and made_at is null",
        key.funder_id.uuid(),
        key.day.date(),
        at,
        manifest.text,
        manifest.sha256,
        manifest.signatures
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes the bytes of files of days before `before`. Returns how many pieces that were.
pub async fn prune_chunks(connection: &mut PgConnection, before: NaiveDate) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from funder_day_chunk where business_day < $1", before).execute(connection).await?;
    Ok(done.rows_affected())
}
