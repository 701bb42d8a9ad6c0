//! SQL of notices.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Raised;
use super::{Audience, Notice};
use crate::base::BusinessDay;

/// The most that one page of a list holds.
const PAGE_MAX: i64 = 100;

/// Raises notices, one statement for all of them, in the caller's transaction; those raised before are left alone.
pub async fn raise(connection: &mut PgConnection, notices: &[Notice]) -> sqlx::Result<()> {
    if notices.is_empty() {
        return Ok(());
    }
    let audience: Vec<&str> = notices.iter().map(|notice| notice.audience.as_str()).collect();
    let recipient_id: Vec<Option<Uuid>> = notices.iter().map(|notice| notice.recipient_id).collect();
    let kind: Vec<&str> = notices.iter().map(|notice| notice.kind).collect();
    let body: Vec<String> = notices.iter().map(|notice| notice.body.to_string()).collect();
    let business_day: Vec<NaiveDate> = notices.iter().map(|notice| notice.business_day.date()).collect();
    let created_at: Vec<DateTime<Utc>> = notices.iter().map(|notice| notice.created_at).collect();
    sqlx::query!(
        "insert into notice (audience, recipient_id, kind, body, business_day, created_at)
         select n.audience, n.recipient_id, n.kind, n.body::jsonb, n.business_day, n.created_at
         from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::date[], $6::timestamptz[])
              as n(audience, recipient_id, kind, body, business_day, created_at)
         on conflict do nothing",
        &audience as &[&str],
        &recipient_id as &[Option<Uuid>],
        &kind as &[&str],
        &body,
        &business_day,
        &created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A recipient's notices, newest first, at most a hundred; `before_no` continues a list.
pub async fn list(
    connection: &mut PgConnection,
    audience: Audience,
    recipient_id: Option<Uuid>,
    before_no: Option<i64>,
) -> sqlx::Result<Vec<Raised>> {
    sqlx::query_as!(
        Raised,
        r#"select notice_no, kind, body, business_day as "business_day: BusinessDay", created_at
           from notice
           where audience = $1 and recipient_id is not distinct from $2 and notice_no < coalesce($3, 9223372036854775807)
           order by notice_no desc limit $4"#,
        audience.as_str(),
        recipient_id,
        before_no,
        PAGE_MAX,
    )
    .fetch_all(connection)
    .await
}
