//! SQL of notices.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Raised;
use super::{Audience, Notice, SHORT_MESSAGES};
use crate::base::BusinessDay;

/// The most that one page of a list holds.
const PAGE_MAX: usize = 100;
/// How many notices one statement looks through, so that none holds locks for long after `Kept` was shortened.
const LOOKED_THROUGH_AT_ONCE: i64 = 20_000;

/// Raises notices in the caller's transaction: one statement for those that are told each time, one for those that are told
/// once a day. For borrowers, what is also told by SMS or in WeChat goes into the outbox as well.
pub async fn raise(connection: &mut PgConnection, notices: &[Notice]) -> sqlx::Result<()> {
    let (once, each_time): (Vec<&Notice>, Vec<&Notice>) =
        notices.iter().partition(|notice| notice.audience.is_told_once());
    if !each_time.is_empty() {
        insert(&mut *connection, Columns::of(&each_time)).await?;
    }
    if !once.is_empty() {
        insert_once(connection, Columns::of(&once)).await?;
    }
    Ok(())
}

/// Inserts notices that are told once a business day; a repetition is ignored. They are only read here, so nothing goes into
/// the outbox. `on conflict` makes every row cost twice as much, so it is not used for the others.
async fn insert_once(connection: &mut PgConnection, columns: Columns<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into notice (audience, recipient_id, kind, body, business_day, created_at)
         select n.audience, n.recipient_id, n.kind, n.body::jsonb, ($5::date[])[n.place], ($6::timestamptz[])[n.place]
         from unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) with ordinality
              as n(audience, recipient_id, kind, body, place)
         on conflict do nothing",
        &columns.audience as &[&str],
        &columns.recipient_id as &[Option<Uuid>],
        &columns.kind as &[&str],
        &columns.body,
        &columns.business_day,
        &columns.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Inserts notices that are told each time, and the messages for SMS and WeChat that go with them.
async fn insert(connection: &mut PgConnection, columns: Columns<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "with raised as (
             insert into notice (audience, recipient_id, kind, body, business_day, created_at)
             select n.audience, n.recipient_id, n.kind, n.body::jsonb, ($5::date[])[n.place], ($6::timestamptz[])[n.place]
             from unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) with ordinality
                  as n(audience, recipient_id, kind, body, place)
             returning audience, recipient_id, kind, body, created_at)
         insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
         select 'sms', kind, recipient_id, body, created_at, created_at
         from raised where audience = 'borrower' and kind = any($7)
         union all
         select 'wechat', r.kind, r.recipient_id, r.body, r.created_at, r.created_at
         from raised r join wechat_subscription s on s.borrower_id = r.recipient_id and s.kind = r.kind
         where r.audience = 'borrower' and s.wanted and s.allowed > 0",
        &columns.audience as &[&str],
        &columns.recipient_id as &[Option<Uuid>],
        &columns.kind as &[&str],
        &columns.body,
        &columns.business_day,
        &columns.created_at,
        &SHORT_MESSAGES as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notices by column.
struct Columns<'a> {
    audience: Vec<&'static str>,
    recipient_id: Vec<Option<Uuid>>,
    kind: Vec<&'a str>,
    body: Vec<String>,
    business_day: Vec<NaiveDate>,
    created_at: Vec<DateTime<Utc>>,
}

impl<'a> Columns<'a> {
    fn of(notices: &[&'a Notice]) -> Columns<'a> {
        Columns {
            audience: notices.iter().map(|notice| notice.audience.name()).collect(),
            recipient_id: notices.iter().map(|notice| notice.recipient_id).collect(),
            kind: notices.iter().map(|notice| notice.kind).collect(),
            body: notices.iter().map(|notice| notice.body.to_string()).collect(),
            business_day: notices.iter().map(|notice| notice.business_day.date()).collect(),
            created_at: notices.iter().map(|notice| notice.created_at).collect(),
        }
    }
}

/// A page of a recipient's notices without the kinds in `but`, newest first; and, if there are older ones, the number that
/// continues the list as `before_no`.
pub async fn list(
    connection: &mut PgConnection,
    audience: Audience,
    recipient_id: Option<Uuid>,
    but: &[&str],
    before_no: Option<i64>,
) -> sqlx::Result<(Vec<Raised>, Option<i64>)> {
    let mut notices = sqlx::query_as!(
        Raised,
        r#"select notice_no, kind, body, business_day as "business_day: BusinessDay", created_at, read_at
           from notice
           where audience = $1 and recipient_id is not distinct from $2 and notice_no < coalesce($3, 9223372036854775807)
                 and kind <> all($4)
           order by notice_no desc limit $5"#,
        audience.name(),
        recipient_id,
        before_no,
        but as &[&str],
        // One more says that the list goes on.
        PAGE_MAX as i64 + 1,
    )
    .fetch_all(connection)
    .await?;
    let goes_on = notices.len() > PAGE_MAX;
    notices.truncate(PAGE_MAX);
    let older = notices.last().filter(|_| goes_on).map(|last| last.notice_no);
    Ok((notices, older))
}

/// How many of a recipient's notices are unread.
pub async fn count_unread(
    connection: &mut PgConnection,
    audience: Audience,
    recipient_id: Option<Uuid>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from notice
           where audience = $1 and recipient_id is not distinct from $2 and read_at is null"#,
        audience.name(),
        recipient_id,
    )
    .fetch_one(connection)
    .await
}

/// Marks a recipient's notices up to `last_no`, which a page has shown, as read; returns how many. Here and in [`mark_shown`]
/// rows are locked in the order of their numbers, so that two readers never deadlock.
pub async fn mark_read(
    connection: &mut PgConnection,
    audience: Audience,
    recipient_id: Option<Uuid>,
    last_no: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let marked = sqlx::query!(
        "with unread as (
             select notice_no from notice
             where audience = $1 and recipient_id is not distinct from $2 and notice_no <= $3 and read_at is null
             order by notice_no for update)
         update notice n set read_at = $4 from unread u where n.notice_no = u.notice_no",
        audience.name(),
        recipient_id,
        last_no,
        at,
    )
    .execute(connection)
    .await?;
    Ok(marked.rows_affected())
}

/// Marks single notices, which a page has shown, as read; for a recipient who may have too many for one statement.
pub async fn mark_shown(connection: &mut PgConnection, notice_nos: &[i64], at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "with unread as (
             select notice_no from notice where notice_no = any($1) and read_at is null order by notice_no for update)
         update notice n set read_at = $2 from unread u where n.notice_no = u.notice_no",
        notice_nos,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes notices of business days before `before`, read or not, among the next ones above `after_no`. Returns the number to
/// go on from, or `None` once it has met a younger notice, since numbers and days ascend together. Rows locked by a reader
/// are skipped and removed the next time, because waiting for somebody who marks many could deadlock.
pub async fn forget(connection: &mut PgConnection, after_no: i64, before: BusinessDay) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"with looked_at as materialized (
               select notice_no, business_day < $2 as is_old from notice where notice_no > $1 order by notice_no limit $3),
           free as (
               select n.notice_no from notice n join looked_at l on l.notice_no = n.notice_no and l.is_old
               for update of n skip locked),
           gone as (
               delete from notice n using free f where n.notice_no = f.notice_no)
           select case when bool_and(is_old) then max(notice_no) end as "last_no?" from looked_at"#,
        after_no,
        before.date(),
        LOOKED_THROUGH_AT_ONCE,
    )
    .fetch_one(connection)
    .await
}
