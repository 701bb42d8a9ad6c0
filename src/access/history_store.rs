//! SQL of the history of partners' access: what was changed, by whom, and the state before and after.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::AccessChange;

/// A change to be recorded.
#[derive(Clone, Debug)]
pub struct NewAccessEvent<'a> {
    pub what: AccessChange,
    pub partner: &'a str,
    pub serial_no: Option<&'a str>,
    pub before: Option<Value>,
    pub after: Value,
    pub by: &'a str,
    pub at: DateTime<Utc>,
}

pub async fn insert_event(connection: &mut PgConnection, event: &NewAccessEvent<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into api_access_event (what, partner, serial_no, before, after, changed_by, occurred_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        event.what as AccessChange,
        event.partner,
        event.serial_no,
        event.before.as_ref() as Option<&Value>,
        &event.after as &Value,
        event.by,
        event.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A change as it was recorded.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AccessEventRow {
    pub event_no: i64,
    pub what: AccessChange,
    pub partner: String,
    pub serial_no: Option<String>,
    pub before: Option<Value>,
    pub after: Value,
    pub changed_by: String,
    pub occurred_at: DateTime<Utc>,
}

/// What was changed of a partner, or of our own keys under the platform's name, the oldest first.
pub async fn list_events(connection: &mut PgConnection, partner: &str) -> sqlx::Result<Vec<AccessEventRow>> {
    sqlx::query_as!(
        AccessEventRow,
        r#"select event_no, what as "what: AccessChange", partner, serial_no, before, after, changed_by, occurred_at
           from api_access_event where partner = $1 order by event_no"#,
        partner
    )
    .fetch_all(connection)
    .await
}

/// A partner's row as JSON. It is locked until the transaction ends, so that no other change comes between before and after.
pub async fn show_partner(connection: &mut PgConnection, partner_id: Uuid) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"select to_jsonb(p) - array['partner_id', 'version', 'created_at'] as "shown!"
           from api_partner p where partner_id = $1 for update"#,
        partner_id
    )
    .fetch_one(connection)
    .await
}

/// A partner's key as JSON.
pub async fn show_key(connection: &mut PgConnection, partner_id: Uuid, serial_no: &str) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar!(
        r#"select to_jsonb(k) - 'partner_id'::text as "shown!" from api_key k where partner_id = $1 and serial_no = $2"#,
        partner_id,
        serial_no,
    )
    .fetch_optional(connection)
    .await
}
