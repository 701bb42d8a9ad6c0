//! SQL of what is watched: calls to partners, outages, keys, and work that is stuck.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::{CallHistory, Outage};
use crate::base::BusinessDay;
use crate::base::id::{ApplicationId, JobId};
use crate::jobs::JobKind;
use crate::partner::wechat;

/// The most calls of the whole house that are looked through: far more than are made between two looks, and few enough to be
/// read each time.
const CALLS_LOOKED_AT: i64 = 300_000;

/// Operations with one address for everything that is sent: there 404 and 405 are said of the address. Elsewhere they may be
/// said of an object.
const AT_ONE_ADDRESS: [&str; 4] = ["deliver_events", "send_messages", "submit_orders", "pay"];

/// What the call log tells of our calls to these partners. A signed refusal is an answer, except those that mean that nobody
/// is let in or that the address takes nothing; WeChat has codes of its own for this.
///
/// Calls are logged as they end, so a call that began before an answered one says nothing about what came after that one.
pub async fn load_call_histories(connection: &mut PgConnection, partners: &[&str]) -> sqlx::Result<Vec<CallHistory>> {
    // A query of its own, so that the planner knows how few calls are looked through, and never scans the whole log.
    let last = sqlx::query_scalar!(r#"select coalesce(max(call_no), 0) as "last!" from partner_call"#)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query_as!(
        CallHistory,
        r#"select p.partner as "partner!", o.since as "outage_since?", o.told_at as "told_at?",
                  answered.called_at as "answered_at?", silent.since as "silent_since?", silent.until as "silent_until?"
           from unnest($1::text[]) as p(partner)
           left join partner_outage o on o.partner = p.partner
           left join lateral (
               select c.call_no, c.called_at from partner_call c
               where c.partner = p.partner and c.call_no > $2 and c.direction = 'out'
                 and (c.outcome = 'ok' or (c.outcome = 'rejected' and c.http_status not in (401, 403, 429)
                                           and not (c.http_status in (404, 405) and c.operation = any($5))
                                           and not (c.partner = $3 and c.codes && $4)))
               order by c.call_no desc limit 1) as answered on true
           left join lateral (
               select min(c.called_at) as since, max(c.called_at) as until from partner_call c
               where c.partner = p.partner and c.call_no > $2 and c.direction = 'out'
                 and c.call_no > coalesce(answered.call_no, $2)
                 and c.called_at > coalesce(answered.called_at, '-infinity')) as silent on true
           order by p.partner"#,
        partners as &[&str],
        last - CALLS_LOOKED_AT,
        wechat::NAME,
        &wechat::SERVES_NOBODY as &[&str],
        &AT_ONE_ADDRESS as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// Notes that a node configured for these partners has looked at their outages, and locks these until the transaction ends.
pub async fn mark_seen(connection: &mut PgConnection, partners: &[&str], at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "with held as (
             select partner from partner_outage where partner = any($1) order by partner for update)
         update partner_outage o set seen_at = greatest(o.seen_at, $2) from held where o.partner = held.partner",
        partners as &[&str],
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a partner does not answer, unless that is noted already.
pub async fn note_outage(connection: &mut PgConnection, outage: Outage<'_>, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into partner_outage (partner, since, seen_at) values ($1, $2, $3) on conflict do nothing",
        outage.partner,
        outage.since,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that operators are told of an outage; `false` where they were told before.
pub async fn mark_told(connection: &mut PgConnection, outage: Outage<'_>, at: DateTime<Utc>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into partner_outage as known (partner, since, told_at, seen_at) values ($1, $2, $3, $3)
         on conflict (partner) do update set told_at = excluded.told_at where known.told_at is null",
        outage.partner,
        outage.since,
        at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes an outage, and says whether operators were told of it; `None` where another node has deleted it.
pub async fn end_outage(connection: &mut PgConnection, outage: Outage<'_>) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"delete from partner_outage where partner = $1 and since = $2 returning told_at is not null as "is_told!""#,
        outage.partner,
        outage.since
    )
    .fetch_optional(connection)
    .await
}

/// Deletes outages that no node has looked at since then: nobody calls these partners any more, so they would never end.
pub async fn delete_unseen_outages(connection: &mut PgConnection, since: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from partner_outage where partner in (
             select partner from partner_outage where seen_at < $1 for update skip locked)",
        since
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A key by which a partner signs its calls to us, with no successor: its holder has none that is good for longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndingKey {
    pub partner: String,
    pub serial_no: String,
    pub expires_at: DateTime<Utc>,
}

/// Such keys that end after `after` and not after `until`.
pub async fn list_ending_keys(
    connection: &mut PgConnection,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<EndingKey>> {
    sqlx::query_as!(
        EndingKey,
        r#"select p.code as partner, k.serial_no, k.expires_at as "expires_at!"
           from api_key k join api_partner p on p.partner_id = k.partner_id
           where k.expires_at > $1 and k.expires_at <= $2 and k.revoked_at is null and p.disabled_at is null
             and not exists (select from api_key n
                             where n.partner_id = k.partner_id and n.holder = k.holder and n.revoked_at is null
                               and (n.expires_at is null or n.expires_at > k.expires_at))
           order by k.expires_at, p.code, k.serial_no"#,
        after,
        until,
    )
    .fetch_all(connection)
    .await
}

/// Whether any payout that is due waits to be sent, but those of merchants whose payouts are held.
pub async fn has_payouts_due(connection: &mut PgConnection, today: BusinessDay) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from payout where status = 'created' and pay_on <= $1
                            and not exists (select from payout_hold h
                                            where kind = 'settlement' and h.merchant_id = beneficiary_id)) as "has!""#,
        today.date()
    )
    .fetch_one(connection)
    .await
}

/// Whether any withholding order that is due waits for a channel.
pub async fn has_orders_due(connection: &mut PgConnection, channel: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from withholding where is_pending and channel = $1 and submit_at <= $2) as "has!""#,
        channel,
        now
    )
    .fetch_one(connection)
    .await
}

/// How many jobs are told of at once; the others are found when somebody looks.
const JOBS_MAX: i64 = 20;

/// A job that fails, or that gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJob {
    pub job_id: JobId,
    pub kind: String,
}

/// Jobs that failed at least so often and are still tried again.
pub async fn list_failing_jobs(connection: &mut PgConnection, failures: i16) -> sqlx::Result<Vec<FailedJob>> {
    sqlx::query_as!(
        FailedJob,
        r#"select job_id as "job_id: JobId", kind from job where status = 'ready' and attempts >= $1
           order by run_at, job_id limit $2"#,
        failures,
        JOBS_MAX
    )
    .fetch_all(connection)
    .await
}

/// Jobs that were given up.
pub async fn list_dead_jobs(connection: &mut PgConnection) -> sqlx::Result<Vec<FailedJob>> {
    sqlx::query_as!(
        FailedJob,
        r#"select job_id as "job_id: JobId", kind from job where status = 'dead' order by run_at, job_id limit $1"#,
        JOBS_MAX
    )
    .fetch_all(connection)
    .await
}

/// The kinds of the jobs that were due before then and have not ended: no worker has taken them, or none has come to their end. A kind that
/// this version of the program does not know waits for a newer one.
pub async fn list_waiting_kinds(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select distinct kind as "kind!" from job
           where status in ('ready', 'running') and run_at < $1 and kind = any($2) order by 1"#,
        before,
        &JobKind::ALL.map(JobKind::name) as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// Partners with messages that were given up. All merchants count as one, `merchant`: there are many, and each sees its own
/// dead letters.
pub async fn list_partners_with_dead_letters(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select distinct split_part(partner, ':', 1) as "partner!" from outbox where dead_at is not null order by 1"#
    )
    .fetch_all(connection)
    .await
}

/// The day of a close that began before then and has not ended.
pub async fn find_stuck_close(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Option<BusinessDay>> {
    sqlx::query_scalar!(
        r#"select business_day as "day: BusinessDay" from close_run
           where finished_at is null and started_at < $1 order by business_day limit 1"#,
        before
    )
    .fetch_optional(connection)
    .await
}

/// The oldest application that waits for a person, if that wait began before then: with the application, or with the
/// borrower's request for a review.
pub async fn find_waiting_application(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Option<ApplicationId>> {
    sqlx::query_scalar!(
        r#"select application_id as "application_id: ApplicationId" from application
           where status = 'referred' and created_at < $1 and coalesce(review_asked_at, created_at) < $1
           order by created_at, application_id limit 1"#,
        before
    )
    .fetch_optional(connection)
    .await
}
