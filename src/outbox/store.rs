//! SQL of the outbox.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Message;

/// Writes messages in the given order, one statement for all of them, in the caller's transaction.
///
/// Order per object holds because whoever writes about an object has its row locked.
pub async fn enqueue(connection: &mut PgConnection, messages: &[Message]) -> sqlx::Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let partner: Vec<&str> = messages.iter().map(|message| message.partner.as_str()).collect();
    let kind: Vec<&str> = messages.iter().map(|message| message.kind).collect();
    let object_id: Vec<Uuid> = messages.iter().map(|message| message.object_id).collect();
    let body: Vec<String> = messages.iter().map(|message| message.body.to_string()).collect();
    let created_at: Vec<DateTime<Utc>> = messages.iter().map(|message| message.created_at).collect();
    sqlx::query!(
        "insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
         select m.partner, m.kind, m.object_id, m.body::jsonb, m.created_at, m.created_at
         from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[])
              as m(partner, kind, object_id, body, created_at)",
        &partner as &[&str],
        &kind as &[&str],
        &object_id,
        &body,
        &created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}
