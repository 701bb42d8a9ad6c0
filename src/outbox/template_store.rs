//! SQL of templates.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::template::Template;
use crate::base::id::FunderId;

/// A template and its version.
#[derive(Clone, Debug)]
pub struct Saved {
    pub version: i32,
    pub template: Template,
}

/// The templates by which a funder, named by its code, is told its events, by kind.
pub async fn active(connection: &mut PgConnection, funder_code: &str) -> sqlx::Result<HashMap<String, Saved>> {
    let rows = sqlx::query!(
        r#"select distinct on (t.kind) t.kind, t.version, t.path, t.text, t.taken_when
           from event_template t join funder f using (funder_id) where f.code = $1
           order by t.kind, t.version desc"#,
        funder_code
    )
    .fetch_all(connection)
    .await?;
    let saved = rows.into_iter().filter_map(|row| {
        let template = Template { path: row.path, text: row.text?, taken_when: row.taken_when };
        Some((row.kind, Saved { version: row.version, template }))
    });
    Ok(saved.collect())
}

/// One version, as it was saved.
#[derive(Debug)]
pub struct Version {
    pub version: i32,
    /// Nothing where it gives our own form back.
    pub template: Option<Template>,
    pub saved_by: String,
    pub saved_at: DateTime<Utc>,
}

/// The version of a kind that counts.
pub async fn newest(connection: &mut PgConnection, funder_id: FunderId, kind: &str) -> sqlx::Result<Option<Version>> {
    Ok(versions(connection, funder_id, kind, (None, 1)).await?.pop())
}

/// So many versions of a kind, the newest first, those before a version if one is given.
pub async fn versions(
    connection: &mut PgConnection,
    funder_id: FunderId,
    kind: &str,
    (before, limit): (Option<i32>, i64),
) -> sqlx::Result<Vec<Version>> {
    let rows = sqlx::query!(
        "select version, path, text, taken_when, saved_by, saved_at from event_template
         where funder_id = $1 and kind = $2 and ($3::int is null or version < $3)
         order by version desc limit $4",
        funder_id.uuid(),
        kind,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Version {
            version: row.version,
            template: row.text.map(|text| Template { path: row.path, text, taken_when: row.taken_when }),
            saved_by: row.saved_by,
            saved_at: row.saved_at,
        })
        .collect())
}

/// A version to write.
#[derive(Debug)]
pub struct NewVersion<'a> {
    pub funder_id: FunderId,
    pub kind: &'a str,
    pub version: i32,
    pub template: Option<&'a Template>,
    pub saved_by: &'a str,
    pub saved_at: DateTime<Utc>,
}

/// `false` if somebody saved that version first.
pub async fn insert(connection: &mut PgConnection, new: &NewVersion<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into event_template (funder_id, kind, version, path, text, taken_when, saved_by, saved_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        new.funder_id.uuid(),
        new.kind,
        new.version,
        new.template.and_then(|template| template.path.as_deref()),
        new.template.map(|template| template.text.as_str()),
        new.template.and_then(|template| template.taken_when.as_deref()),
        new.saved_by,
        new.saved_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
