//! SQL of the close's control rows.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::step::Step;
use crate::base::{AccountRange, BusinessDay};

pub(super) struct Chunk {
    pub chunk_no: i32,
    pub range: AccountRange,
}

pub(super) async fn begin(connection: &mut PgConnection, day: BusinessDay, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("insert into close_run (business_day, started_at) values ($1, $2)", day.date(), at)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn has_begun(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<bool> {
    let run = sqlx::query!("select business_day from close_run where business_day = $1", day.date());
    Ok(run.fetch_optional(connection).await?.is_some())
}

/// The oldest day whose close has begun and not ended.
pub(super) async fn find_unfinished(connection: &mut PgConnection) -> sqlx::Result<Option<BusinessDay>> {
    sqlx::query_scalar!(
        r#"select business_day as "day: BusinessDay" from close_run where finished_at is null order by business_day limit 1"#
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn lock_run(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<()> {
    sqlx::query!("select business_day from close_run where business_day = $1 for update", day.date())
        .fetch_one(connection)
        .await?;
    Ok(())
}

pub(super) async fn finish(connection: &mut PgConnection, day: BusinessDay, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update close_run set finished_at = $2 where business_day = $1 and finished_at is null",
        day.date(),
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn is_planned(connection: &mut PgConnection, day: BusinessDay, step: Step) -> sqlx::Result<bool> {
    let first = sqlx::query!(
        "select chunk_no from close_chunk where business_day = $1 and step = $2 limit 1",
        day.date(),
        step.name()
    );
    Ok(first.fetch_optional(connection).await?.is_some())
}

/// Writes a step's control rows, without waiting for the disk. A crash of the database can lose them only while no chunk is done, because
/// the commit of a chunk waits for the disk and takes them with it; the step is then planned again.
pub(super) async fn insert_chunks(
    connection: &mut PgConnection,
    day: BusinessDay,
    step: Step,
    ranges: &[AccountRange],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into close_chunk (business_day, step, chunk_no, line_from, line_to)
         select $1, $2, chunk.number, chunk.line_from, chunk.line_to
         from unnest($3::uuid[], $4::uuid[]) with ordinality as chunk(line_from, line_to, number),
              (select set_config('synchronous_commit', 'off', true)) as quick",
        day.date(),
        step.name(),
        &ranges.iter().map(|range| range.from).collect::<Vec<Uuid>>(),
        &ranges.iter().map(|range| range.to).collect::<Vec<Uuid>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks a chunk that is not done and that no other worker has locked.
pub(super) async fn claim_chunk(
    connection: &mut PgConnection,
    day: BusinessDay,
    step: Step,
) -> sqlx::Result<Option<Chunk>> {
    let row = sqlx::query!(
        "select chunk_no, line_from, line_to from close_chunk
         where business_day = $1 and step = $2 and done_at is null
         order by chunk_no limit 1 for update skip locked",
        day.date(),
        step.name()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Chunk { chunk_no: row.chunk_no, range: AccountRange { from: row.line_from, to: row.line_to } }))
}

pub(super) async fn chunks_left(connection: &mut PgConnection, day: BusinessDay, step: Step) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "left!" from close_chunk where business_day = $1 and step = $2 and done_at is null"#,
        day.date(),
        step.name()
    )
    .fetch_one(connection)
    .await
}

/// Turns parallel query plans off until the transaction ends. The close's two workers, or one worker and purchases, already use the
/// machine's cores; the planner would choose such plans because it estimates thirty times as many overdue rows as there are.
pub(super) async fn forbid_parallel_plans(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("set local max_parallel_workers_per_gather = 0").execute(connection).await?;
    Ok(())
}

pub(super) async fn finish_chunk(
    connection: &mut PgConnection,
    day: BusinessDay,
    step: Step,
    chunk: &Chunk,
    rows: u64,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update close_chunk set rows = $4, done_at = $5
         where business_day = $1 and step = $2 and chunk_no = $3 and done_at is null",
        day.date(),
        step.name(),
        chunk.chunk_no,
        i64::try_from(rows).unwrap_or(i64::MAX),
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}
