//! SQL of templates.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::template::{Telling, Template};
use crate::base::id::FunderId;

/// A template and its version.
#[derive(Clone, Debug)]
pub struct Saved {
    pub version: i32,
    pub template: Template,
}

/// How a funder is told its events at present. A kind in neither field is told in our form.
#[derive(Debug, Default)]
pub struct Active {
    /// The templates, by kind of event.
    pub templates: HashMap<String, Saved>,
    /// Kinds that its core is not told of.
    pub not_told: HashSet<String>,
}

/// How a funder, named by its code, is told its events at present.
pub async fn active(connection: &mut PgConnection, funder_code: &str) -> sqlx::Result<Active> {
    let rows = sqlx::query!(
        r#"select distinct on (t.kind) t.kind, t.version, t.path, t.text, t.taken_when, t.not_told
           from event_template t join funder f using (funder_id) where f.code = $1
           order by t.kind, t.version desc"#,
        funder_code
    )
    .fetch_all(connection)
    .await?;
    let mut active = Active::default();
    for row in rows {
        if row.not_told {
            active.not_told.insert(row.kind);
        } else if let Some(text) = row.text {
            let template = Template { path: row.path, text, taken_when: row.taken_when };
            active.templates.insert(row.kind, Saved { version: row.version, template });
        }
    }
    Ok(active)
}

/// One version, as it was saved.
#[derive(Debug)]
pub struct Version {
    pub version: i32,
    pub telling: Telling,
    pub saved_by: String,
    pub saved_at: DateTime<Utc>,
}

/// The version of a kind that is in force: the newest.
pub async fn newest(connection: &mut PgConnection, funder_id: FunderId, kind: &str) -> sqlx::Result<Option<Version>> {
    Ok(versions(connection, funder_id, kind, None, 1).await?.pop())
}

/// Up to `limit` versions of a kind, the newest first; those before `before`, if it is given.
pub async fn versions(
    connection: &mut PgConnection,
    funder_id: FunderId,
    kind: &str,
    before: Option<i32>,
    limit: i64,
) -> sqlx::Result<Vec<Version>> {
    let rows = sqlx::query!(
        "select version, path, text, taken_when, not_told, saved_by, saved_at from event_template
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
            telling: match row.text {
                Some(text) => Telling::By(Template { path: row.path, text, taken_when: row.taken_when }),
                None if row.not_told => Telling::NotTold,
                None => Telling::Ours,
            },
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
    pub telling: &'a Telling,
    pub saved_by: &'a str,
    pub saved_at: DateTime<Utc>,
}

/// Saves a version; `false` if that number is taken, because somebody else has saved it first.
pub async fn insert(connection: &mut PgConnection, new: &NewVersion<'_>) -> sqlx::Result<bool> {
    let template = new.telling.template();
    let done = sqlx::query!(
        "insert into event_template (funder_id, kind, version, path, text, taken_when, not_told, saved_by, saved_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        new.funder_id.uuid(),
        new.kind,
        new.version,
        template.and_then(|template| template.path.as_deref()),
        template.map(|template| template.text.as_str()),
        template.and_then(|template| template.taken_when.as_deref()),
        new.telling.is_not_told(),
        new.saved_by,
        new.saved_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
