//! SQL that creates scratch databases, and removes those that earlier runs have left behind.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{AssertSqlSafe, PgConnection};

use super::{DATABASE_EXISTS, FOR_US, has_code, quote};

/// What all connections are for is not read at one moment, so that a scratch database to which the first one is just made may look as if
/// it were left behind: it is dropped only if it still does after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Creates a scratch database under a name that is free; returns the name. Until `server` is closed it bears that name, by which others
/// know that a database to which nobody is connected yet is not left behind.
///
/// # Errors
/// The user may not create databases; and failures of the database.
pub(super) async fn create_unique(server: &mut PgConnection, label: &str) -> anyhow::Result<String> {
    for attempt in 0..100 {
        let name = format!("fenqi_{label}_{}_{attempt}", std::process::id());
        sqlx::query("select set_config('application_name', $1, false)").bind(&name).execute(&mut *server).await?;
        let create = sqlx::raw_sql(AssertSqlSafe(format!("create database {} {FOR_US}", quote(&name))));
        match create.execute(&mut *server).await {
            Ok(_) => return Ok(name),
            Err(error) if has_code(&error, DATABASE_EXISTS) => continue,
            Err(error) => {
                return Err(error).context(
                    "cannot create a scratch database; the database's user needs the right to (alter role … createdb)",
                );
            }
        }
    }
    bail!("a hundred scratch databases of this process exist already; drop those named fenqi_{label}_…")
}

/// Drops the scratch databases of a label whose runs have ended without removing them, because they were killed. A failure is only logged:
/// the run that begins needs none of them.
pub(super) async fn drop_left_behind(server: &mut PgConnection, label: &str) {
    if let Err(error) = try_drop_left_behind(server, label).await {
        tracing::warn!(%error, "scratch databases of earlier runs cannot be looked for");
    }
}

async fn try_drop_left_behind(server: &mut PgConnection, label: &str) -> sqlx::Result<()> {
    let seen = list_left_behind(server, label).await?;
    if seen.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(LOOK_AGAIN).await;
    for name in list_left_behind(server, label).await? {
        if seen.contains(&name) {
            // Without force: if somebody has connected meanwhile, it stays.
            let drop = format!("drop database if exists {}", quote(&name));
            if let Err(error) = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *server).await {
                tracing::warn!(%error, "the scratch database {name} of an earlier run cannot be removed");
            }
        }
    }
    Ok(())
}

/// The scratch databases of a label that nobody is connected to or is making, and that no other process of this machine has made and may
/// still use.
async fn list_left_behind(server: &mut PgConnection, label: &str) -> sqlx::Result<Vec<String>> {
    let mut names: Vec<String> = sqlx::query_scalar(
        "select d.datname::text from pg_database d
         where d.datname ~ $1 and pg_has_role(current_user, d.datdba, 'usage')
           and not exists (select from pg_stat_activity a where a.datid = d.oid or a.application_name = d.datname::text)
         order by d.datname",
    )
    .bind(format!("^fenqi_{label}_[0-9]+_[0-9]+$"))
    .fetch_all(server)
    .await?;
    names.retain(|name| !maker(name).is_some_and(is_running));
    Ok(names)
}

/// The process that a scratch database is named for.
fn maker(name: &str) -> Option<u32> {
    name.rsplit('_').nth(1)?.parse().ok()
}

/// Whether another process of this number runs. Ours is not the one that made what nobody uses: in a container all have the same number.
fn is_running(process: u32) -> bool {
    process != std::process::id() && Path::new("/proc").join(process.to_string()).exists()
}
