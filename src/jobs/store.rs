//! SQL of jobs.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::model::{DELAY_MAX, JobKind, NewJob};
use crate::base::id::JobId;

/// Enqueues a job in the caller's transaction. `false` if that kind and key was enqueued before.
pub async fn enqueue(connection: &mut PgConnection, job: &NewJob) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into job (job_id, kind, unique_key, status, run_at, created_at)
         values ($1, $2, $3, 'ready', $4, $4)
         on conflict (kind, unique_key) do nothing",
        JobId::mint(job.created_at).uuid(),
        job.kind.name(),
        job.unique_key,
        job.created_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Repairs a job whose times were written by a node whose clock ran ahead: it was enqueued, put off after a failure, or leased to a worker
/// that has died, and would wait until that clock's time has come. It is then made ready as if it were enqueued now. Correct clocks differ
/// by less than `apart`. `false` if the job's times are plausible, so that nothing was changed.
pub async fn enqueue_anew(connection: &mut PgConnection, job: &NewJob, apart: TimeDelta) -> sqlx::Result<bool> {
    let ahead = job.created_at + apart;
    let done = sqlx::query!(
        "update job set status = 'ready', run_at = $3, created_at = $3, attempts = 0, locked_by = null, locked_until = null,
                        last_error = null, finished_at = null
         where kind = $1 and unique_key = $2 and (created_at > $4 or (status in ('ready', 'running') and greatest(run_at, locked_until) > $5))",
        job.kind.name(),
        job.unique_key,
        job.created_at,
        ahead,
        ahead + DELAY_MAX,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets the done jobs of a kind whose keys are times after `ahead`: a clock that ran ahead has asked for them. Otherwise these times,
/// once they come, would count as done, and until they are over nothing would be enqueued. Keys that are no times begin with a letter.
pub async fn forget_ahead(connection: &mut PgConnection, kind: JobKind, ahead: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from job where kind = $1 and unique_key > $2 and unique_key < 'a' and status = 'done'",
        kind.name(),
        ahead,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// A job in the hands of a worker.
#[derive(Debug)]
pub struct Claimed {
    pub job_id: JobId,
    pub kind: String,
    pub unique_key: String,
    /// Attempts so far, this one included.
    pub attempts: i16,
}

/// Which worker holds a job, and until when, unless a heartbeat prolongs it.
#[derive(Clone, Copy, Debug)]
pub struct Lease<'a> {
    pub worker: &'a str,
    pub now: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

/// Takes the job that has waited longest among those that are ready or whose lease has expired. Only jobs of the given kinds: a kind that
/// this version of the program does not know is left to a newer one.
pub async fn claim(
    connection: &mut PgConnection,
    kinds: &[JobKind],
    lease: Lease<'_>,
) -> sqlx::Result<Option<Claimed>> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    sqlx::query_as!(
        Claimed,
        r#"update job set status = 'running', attempts = attempts + 1, locked_by = $2, locked_until = $4
           where job_id = (
               select job_id from job
               where run_at <= $3 and kind = any($1)
                     and (status = 'ready' or (status = 'running' and locked_until < $3))
               order by run_at limit 1 for update skip locked)
           returning job_id as "job_id: JobId", kind, unique_key, attempts"#,
        &kinds as &[&str],
        lease.worker,
        lease.now,
        lease.until,
    )
    .fetch_optional(connection)
    .await
}

/// Prolongs the lease. `false` if somebody else has the job by now.
pub async fn heartbeat(connection: &mut PgConnection, job_id: JobId, lease: Lease<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update job set locked_until = $3 where job_id = $1 and status = 'running' and locked_by = $2",
        job_id.uuid(),
        lease.worker,
        lease.until,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a job, and with it the earlier jobs of its kind that failed, dead or not: this one did all the work of the kind that was due,
/// theirs included. `false` if another worker has the job by now.
pub async fn finish(
    connection: &mut PgConnection,
    job_id: JobId,
    worker: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with done as (
             update job set status = 'done', finished_at = $3, locked_by = null, locked_until = null, last_error = null
             where job_id = $1 and status = 'running' and locked_by = $2
             returning kind, created_at
         ), made_up_for as (
             update job j set status = 'done', finished_at = $3
             from done
             where j.status = 'dead' and j.kind = done.kind and j.created_at < done.created_at
         ), overtaken as (
             update job j set status = 'done', finished_at = $3
             from done
             where j.status = 'ready' and j.attempts > 0 and j.kind = done.kind and j.created_at < done.created_at
         )
         select kind from done",
        job_id.uuid(),
        worker,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(done.is_some())
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    pub error: &'a str,
    pub at: DateTime<Utc>,
    /// When to try again; `None` makes the job dead.
    pub again_at: Option<DateTime<Utc>>,
}

/// Puts a failed job back until it is tried again, or makes it dead. If an earlier job of its kind, enqueued on the same day in Shanghai,
/// has failed too and waits to be tried again, this one is ended instead, because the earlier one will do all the work that is due.
/// Otherwise a kind that is enqueued every minute and always fails would pile up retries. `false` if another worker has the job by now.
pub async fn fail(
    connection: &mut PgConnection,
    job_id: JobId,
    worker: &str,
    failure: Failure<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with held as (
             select job_id, exists (
                 select from job o
                 where o.status = 'ready' and o.attempts > 0 and o.kind = j.kind and o.created_at < j.created_at
                       and (o.created_at at time zone 'Asia/Shanghai')::date
                           = (j.created_at at time zone 'Asia/Shanghai')::date
             ) and $4::timestamptz is not null as is_left_to_another
             from job j
             where job_id = $1 and status = 'running' and locked_by = $2
         )
         update job
         set status = case when held.is_left_to_another then 'done'
                           when $4::timestamptz is null then 'dead'
                           else 'ready' end,
             finished_at = case when held.is_left_to_another then $5::timestamptz end,
             run_at = coalesce($4, run_at), last_error = $3, locked_by = null, locked_until = null
         from held
         where job.job_id = held.job_id and job.status = 'running' and job.locked_by = $2",
        job_id.uuid(),
        worker,
        failure.error,
        failure.again_at,
        failure.at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A job as an operator sees it.
#[derive(Debug, serde::Serialize)]
pub struct Listed {
    pub job_id: JobId,
    pub kind: String,
    pub unique_key: String,
    pub status: String,
    pub attempts: i16,
    pub run_at: DateTime<Utc>,
    pub locked_by: Option<String>,
    pub last_error: Option<String>,
}

/// Jobs that are not done, dead ones first, at most `limit`.
pub async fn list_open(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select job_id as "job_id: JobId", kind, unique_key, status, attempts, run_at, locked_by, last_error
           from job where status <> 'done' order by status = 'dead' desc, run_at limit $1"#,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Makes a dead job, or one that waits to be tried again, ready now. `false` if it is neither.
pub async fn retry(connection: &mut PgConnection, job_id: JobId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update job set status = 'ready', run_at = $2, attempts = 0 where job_id = $1 and status in ('ready', 'dead')",
        job_id.uuid(),
        now
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the records of jobs that were done before `before`. Their keys could then be enqueued again, so `before` must be long ago.
pub async fn prune(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done =
        sqlx::query!("delete from job where status = 'done' and finished_at < $1", before).execute(connection).await?;
    Ok(done.rows_affected())
}
