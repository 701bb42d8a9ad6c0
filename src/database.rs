//! The database: connecting, migrating, and scratch databases that are removed again.

pub mod machine;
pub mod halves;
mod sealed_store;
mod scratch_store;

use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgTransaction};

use crate::MIGRATOR;
use crate::launcher::MAJOR_MIN;

pub use sealed_store::{IndexedPerson, holds_sealed_data, load_indexed_people, load_last_person_keys};

/// How long a caller waits for a free connection before it fails.
const ACQUIRE_SECONDS_MAX: u64 = 30;
/// Ends the transactions of a node that died or hangs, because all others wait for the locks that they hold, such as the business day's
/// or a reserve's. When a node's machine loses power or network, the server notices only by TCP keepalives, by default after hours: with
/// these settings after a minute. A transaction whose node is connected but does nothing is ended after two minutes.
const LET_GO: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("idle_in_transaction_session_timeout", "2min"),
];
/// No JIT compilation: our statements are short, and compiling one takes longer than running it. Up to version 17 it would also be chosen
/// for every sequential scan on a connection with `enable_seqscan = off`, whose penalty cost looks like a long statement's.
const NOT_COMPILED: (&str, &str) = ("jit", "off");
/// Advisory lock numbers; any will do. This one is the letters of `fenqi`.
const CREATE_LOCK: i64 = 0x66_65_6e_71_69;
const CLAIM_LOCK: i64 = CREATE_LOCK + 1;
/// How often a running process looks whether a newer program has migrated its database; see [`until_newer`].
pub const NEWER_LOOK: Duration = Duration::from_secs(10);
/// How a database is created with our encoding and locale, whatever the server's defaults: as a shell command, and as SQL options.
const CREATEDB: &str = "createdb --encoding=UTF8 --locale=C --template=template0";
const FOR_US: &str = "encoding 'UTF8' locale 'C' template template0";
const DATABASE_MISSING: &str = "3D000";
const DATABASE_EXISTS: &str = "42P04";
const TABLE_MISSING: &str = "42P01";
const DEADLOCK: &str = "40P01";
const NOT_ALLOWED: &str = "42501";
/// SQLSTATE classes of errors about the rows themselves: invalid values, violated constraints, and errors that our triggers raise.
const OF_ROWS: [&str; 3] = ["22", "23", "P0"];
/// The login was refused (wrong role or password, or `pg_hba.conf`).
const NOT_LET_IN: [&str; 2] = ["28000", "28P01"];

/// How far a database's migrations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrated {
    Never,
    /// Some of this program's migrations are missing.
    Partly,
    Fully,
    /// A newer version of the program migrated it; `version` is its newest migration.
    Newer {
        version: i64,
    },
}

/// Connects and checks PostgreSQL's version, but not the migrations: see [`open`] for that.
pub async fn connect(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let options = parse(url)?;
    // The first connection is made by hand, because the pool retries until its time limit and hides the reason.
    let mut first = first_connection(&options).await?;
    refuse_old_server(&mut first).await?;
    first.close().await?;
    Ok(pool_of(connections).connect_with(options).await?)
}

fn pool_of(connections: u32) -> PgPoolOptions {
    let patience = Duration::from_secs(ACQUIRE_SECONDS_MAX);
    PgPoolOptions::new().max_connections(connections).acquire_timeout(patience).test_before_acquire(false)
}

async fn refuse_old_server(connection: &mut PgConnection) -> anyhow::Result<()> {
    let asked = "select current_setting('server_version_num')::int";
    check_version(sqlx::query_scalar(asked).fetch_one(connection).await?)
}

/// Begins a transaction on a connection of the pool's; dropped at any moment, it leaves nothing behind.
///
/// Why a task: a caller may be dropped before the server has answered `BEGIN` (a browser hung up, a time limit passed). Its
/// connection would go back to the pool with that answer unread; the driver would take it for the next statement's answer, and the
/// next user would write into a transaction that nobody commits. The task outlives the caller, reads the answer, and rolls back.
pub async fn begin(pool: &PgPool) -> sqlx::Result<PgTransaction<'static>> {
    let pool = pool.clone();
    #[expect(clippy::disallowed_methods, reason = "the one place where it is safe")]
    let begun = tokio::spawn(async move { pool.begin().await });
    // A task ends without a result only when it panicked or the runtime is going down.
    begun.await.unwrap_or_else(|error| Err(sqlx::Error::Io(std::io::Error::other(error))))
}

/// Ends a transaction by its outcome, which it returns: commits on `Ok`, rolls back on `Err`.
///
/// A transaction that is only dropped is rolled back too, but later, by a task of the pool. Until then its rows stay locked, so that a
/// job that skips locked rows would skip them.
///
/// # Errors
/// The error of `outcome`, or a failure of the commit.
pub async fn end<T, E: From<sqlx::Error>>(transaction: PgTransaction<'_>, outcome: Result<T, E>) -> Result<T, E> {
    match outcome {
        Ok(done) => {
            transaction.commit().await?;
            Ok(done)
        }
        Err(error) => {
            // If this fails, the connection is gone and the transaction with it. The first error is the one to report.
            transaction.rollback().await.ok();
            Err(error)
        }
    }
}

/// Whether the database ended a transaction because of a deadlock; it may be tried again.
pub fn is_deadlock(failure: &anyhow::Error) -> bool {
    failure.downcast_ref::<sqlx::Error>().is_some_and(|error| has_code(error, DEADLOCK))
}

/// Whether a transaction failed because of the rows that it was to write: the database refused one, or our own check found it wrong. The
/// same rows would fail again; others would not.
pub fn is_about_rows(failure: &anyhow::Error) -> bool {
    let code = |error: &sqlx::Error| error.as_database_error().and_then(|error| error.code().map(String::from));
    let is_of_rows = |code: String| OF_ROWS.iter().any(|class| code.starts_with(class));
    failure.downcast_ref::<sqlx::Error>().is_none_or(|error| code(error).is_some_and(is_of_rows))
}

/// The time by the clock of the database's machine.
pub async fn time(connection: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(connection).await
}

/// Connects to a database that must be migrated fully; otherwise the error says what to do.
pub async fn open(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let pool = connect(url, connections).await?;
    match migrated(&pool).await? {
        Migrated::Fully => Ok(pool),
        Migrated::Never => bail!("this database has never been migrated; run `fenqi migrate`"),
        Migrated::Partly => bail!("this database was migrated by an older fenqi; back it up and run `fenqi migrate`"),
        Migrated::Newer { version } => Err(refuse_newer(version)),
    }
}

/// Drops the database with all that is in it, and creates it empty; for servers of our own.
pub async fn recreate(url: &str) -> anyhow::Result<()> {
    let options = parse(url)?;
    let name = options.get_database().unwrap_or("fenqi").to_owned();
    let mut server = first_connection(&options.database("postgres")).await?;
    let drop = format!("drop database if exists {} with (force)", quote(&name));
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut server).await.with_context(|| format!("cannot drop {name}"))?;
    server.close().await?;
    create_if_missing(url).await
}

/// Creates the database where it is missing; for servers of our own.
pub async fn create_if_missing(url: &str) -> anyhow::Result<()> {
    let options = parse(url)?;
    let name = options.get_database().unwrap_or("fenqi").to_owned();
    let mut server = first_connection(&options.database("postgres")).await?;
    // Two processes that create it at once would collide in the catalog. The lock ends with the connection.
    sqlx::query("select pg_advisory_lock($1)").bind(CREATE_LOCK).execute(&mut server).await?;
    // Looked up first: `create database` fails for a role without the right even if the database exists.
    let is_there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&name)
        .fetch_one(&mut server)
        .await?;
    let create = AssertSqlSafe(format!("create database {} {FOR_US}", quote(&name)));
    let created = if is_there { Ok(()) } else { sqlx::raw_sql(create).execute(&mut server).await.map(|_| ()) };
    server.close().await?;
    match created {
        Err(error) if has_code(&error, NOT_ALLOWED) => bail!(
            "the user in DATABASE_URL may not create the database {name}; have it made by one who may: {CREATEDB} {name}"
        ),
        Err(error) if !has_code(&error, DATABASE_EXISTS) => {
            Err(error).with_context(|| format!("cannot create the database {name}"))
        }
        _ => Ok(()),
    }
}

/// Applies the migrations that are missing, under a lock, so that several nodes may start at once. Returns how many were applied.
///
/// # Errors
/// The database was migrated by a newer version of the program, or is new and not in UTF-8; and failures of the database.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<usize> {
    match migrated(pool).await? {
        Migrated::Newer { version } => return Err(refuse_newer(version)),
        Migrated::Never => check_encoding(pool).await?,
        Migrated::Partly | Migrated::Fully => {}
    }
    let before = applied(pool).await?.len();
    if let Err(error) = MIGRATOR.run(pool).await {
        if let MigrateError::Execute(cause) = &error
            && has_code(cause, NOT_ALLOWED)
        {
            check_may_create(pool).await?;
        }
        return Err(match error {
            MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version) => anyhow::anyhow!(
                "migration {version} of this database is not the one of this program; use the build that made the database, \
                 or name another database in DATABASE_URL"
            ),
            other => anyhow::Error::new(other).context("the database could not be migrated"),
        });
    }
    Ok(applied(pool).await?.len() - before)
}

/// Tells how to grant the right to create tables, if it is missing. Since PostgreSQL 15 only the database's owner has it by default.
async fn check_may_create(pool: &PgPool) -> anyhow::Result<()> {
    let asked =
        "select current_user::text, current_database()::text, place.name, has_schema_privilege(place.name, 'create')
                 from (select coalesce(current_schema()::text, 'public') as name) place";
    let (role, name, schema, may): (String, String, String, bool) = sqlx::query_as(asked).fetch_one(pool).await?;
    if !may {
        bail!(
            "the role {role} may not make tables in the schema {schema} of the database {name}; let it, as a superuser: \
             psql --dbname={name} --command='grant create on schema {} to {}'",
            quote(&schema),
            quote(&role)
        );
    }
    Ok(())
}

/// Refuses a new database that is not in UTF-8: a server that was set up without a locale, or with an old one, creates databases that
/// cannot store Chinese. Databases that are in use already are not checked: refusing one would stop a house that works.
async fn check_encoding(pool: &PgPool) -> anyhow::Result<()> {
    let asked = "select current_setting('server_encoding'), current_database()::text";
    let (encoding, name): (String, String) = sqlx::query_as(asked).fetch_one(pool).await?;
    if encoding != "UTF8" {
        bail!(
            "the database {name} is in the encoding {encoding}, in which not every name can be written; make it anew: \
             dropdb {name} && {CREATEDB} {name}"
        );
    }
    Ok(())
}

/// How far the migrations are.
pub async fn migrated(pool: &PgPool) -> anyhow::Result<Migrated> {
    let applied = applied(pool).await?;
    let newest = applied.iter().max().copied();
    let ours = MIGRATOR.iter().map(|migration| migration.version).max();
    Ok(match newest {
        None => Migrated::Never,
        Some(version) if Some(version) > ours => Migrated::Newer { version },
        Some(_) if MIGRATOR.iter().all(|migration| applied.contains(&migration.version)) => Migrated::Fully,
        Some(_) => Migrated::Partly,
    })
}

/// Returns only when a newer version of the program has migrated the database, which is looked at after each `pause`. A process that
/// was forgotten when all others were stopped for the new version would go on by the old rules, and the books would follow both; so it
/// should end, as it would have been refused at its start.
pub async fn until_newer(pool: &PgPool, pause: Duration) -> anyhow::Error {
    loop {
        tokio::time::sleep(pause).await;
        // If the database cannot be asked at present, nobody books anything in it either.
        if let Ok(Migrated::Newer { version }) = migrated(pool).await {
            return refuse_newer(version);
        }
    }
}

async fn applied(pool: &PgPool) -> anyhow::Result<Vec<i64>> {
    let applied = sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await;
    match applied {
        Err(error) if has_code(&error, TABLE_MISSING) => Ok(Vec::new()),
        Err(error) if has_code(&error, NOT_ALLOWED) => {
            bail!("the user in DATABASE_URL may not read the tables of this database; name the one that migrated it")
        }
        applied => applied.context("cannot read which migrations the database has"),
    }
}

fn refuse_newer(version: i64) -> anyhow::Error {
    let ours = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
    anyhow::anyhow!(
        "this database was migrated by a newer fenqi (it is at migration {version}, this program knows {ours}); \
         use that program, or restore a back-up made before it"
    )
}

/// A process's exclusive claim on a database, for commands that move its business days by themselves; ends with the process.
pub struct Claim {
    _connection: PgConnection,
}

impl Claim {
    /// # Errors
    /// Another process holds the claim.
    pub async fn take(url: &str) -> anyhow::Result<Claim> {
        let mut connection = first_connection(&parse(url)?).await?;
        let taken: bool =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(CLAIM_LOCK).fetch_one(&mut connection).await?;
        if !taken {
            bail!(
                "another fenqi is living through days in this database; wait until it has ended, or use another database"
            );
        }
        Ok(Claim { _connection: connection })
    }
}

/// A database of its own for one run (a benchmark, a replay), removed at the end, also of a run that is interrupted; what a run leaves that
/// was killed, the next one removes.
pub struct Scratch {
    pub pool: PgPool,
    options: PgConnectOptions,
    is_removed: bool,
}

impl Scratch {
    /// Creates and migrates `fenqi_<label>_<process>_<number>` beside the database of `url`, once those that earlier runs have left there
    /// are removed.
    pub async fn create(url: &str, label: &str, connections: u32) -> anyhow::Result<Scratch> {
        let options = parse(url)?;
        let mut server = first_connection(&options).await?;
        refuse_old_server(&mut server).await?;
        scratch_store::drop_left_behind(&mut server, label).await;
        let name = scratch_store::create_unique(&mut server, label).await?;
        let options = options.database(&name);
        // A connection is never closed for its age or for being idle: a scratch database that has none counts as left behind.
        let pool = pool_of(connections).idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
        // From here on `Drop` removes the database, also if the migration below fails.
        let scratch = Scratch { pool: pool.connect_lazy_with(options.clone()), options, is_removed: false };
        migrate(&scratch.pool).await?;
        // Not earlier: until the database has a connection, this one tells others that it is being made.
        server.close().await?;
        Ok(scratch)
    }

    /// The address of the scratch database, in the form that PostgreSQL's own programs read too.
    pub fn url(&self) -> String {
        let mut url = self.options.to_url_lossy();
        let ours_alone = "statement-cache-capacity";
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(key, _)| key != ours_alone)
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(kept);
        url.into()
    }

    /// Removes the database; dropping does the same but only logs a failure.
    pub async fn remove(mut self) -> anyhow::Result<()> {
        self.pool.close().await;
        let removed = self.drop_database().await;
        // Interrupted before this, it is still there, and dropping removes it.
        self.is_removed = removed.is_ok();
        removed
    }

    async fn drop_database(&self) -> anyhow::Result<()> {
        let name = self.options.get_database().unwrap_or_default().to_owned();
        let mut server = first_connection(&self.options.clone().database("postgres")).await?;
        let drop = format!("drop database if exists {} with (force)", quote(&name));
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut server).await.with_context(|| format!("cannot drop {name}"))?;
        Ok(server.close().await?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_removed {
            return;
        }
        // An interrupted run gets here outside of any task; the thread has a runtime of its own to wait in.
        let removed = std::thread::scope(|scope| {
            let remove = || -> anyhow::Result<()> {
                tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.drop_database())
            };
            scope.spawn(remove).join()
        });
        if !matches!(removed, Ok(Ok(()))) {
            let name = self.options.get_database().unwrap_or_default();
            tracing::error!("the scratch database {name} was left behind; the next run removes it");
        }
    }
}

fn parse(url: &str) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = url.parse().ok().with_context(|| {
        "database_url (FENQI_DATABASE_URL, DATABASE_URL) is not an address such as postgres://user:password@host/database"
    })?;
    // Options that the address states itself win over ours.
    let said = options.get_options().unwrap_or_default().to_owned();
    let settings = LET_GO.into_iter().chain([NOT_COMPILED]).filter(|(name, _)| !said.contains(name));
    // Statements are not logged: at a hundred thousand a minute they would drown everything else.
    Ok(options.options(settings).application_name("fenqi").disable_statement_logging())
}

async fn first_connection(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    connect_within(options, Duration::from_secs(ACQUIRE_SECONDS_MAX)).await
}

async fn connect_within(options: &PgConnectOptions, limit: Duration) -> anyhow::Result<PgConnection> {
    let name = options.get_database().unwrap_or("(the user's own)");
    let place = options.get_socket().map_or_else(
        || format!("{}:{}", options.get_host(), options.get_port()),
        |socket| socket.display().to_string(),
    );
    // If another program than PostgreSQL listens there, it may accept the connection and never answer.
    let Ok(connected) = tokio::time::timeout(limit, PgConnection::connect_with(options)).await else {
        bail!("no PostgreSQL answers at {place}; correct DATABASE_URL, or unset it to use a private one");
    };
    connected.map_err(|error| match &error {
        sqlx::Error::Io(cause) => anyhow::anyhow!(
            "no PostgreSQL answers at {place} ({cause}); start it, correct DATABASE_URL, or unset it to use a private one"
        ),
        sqlx::Error::Database(_) if has_code(&error, DATABASE_MISSING) => {
            anyhow::anyhow!("the database {name} does not exist at {place}; create it with: {CREATEDB} {name}")
        }
        sqlx::Error::Database(refused) if NOT_LET_IN.iter().any(|code| has_code(&error, code)) => anyhow::anyhow!(
            "PostgreSQL at {place} refuses: {}; correct user and password in DATABASE_URL, or let the user in",
            refused.message()
        ),
        sqlx::Error::Database(refused) => anyhow::anyhow!("PostgreSQL at {place} refuses: {}", refused.message()),
        sqlx::Error::Protocol(cause) => anyhow::anyhow!(
            "what answers at {place} does not speak as PostgreSQL does ({cause}); correct DATABASE_URL, or unset it to use a private one"
        ),
        _ => anyhow::Error::new(error).context(format!("cannot connect to PostgreSQL at {place}")),
    })
}

/// `number` is PostgreSQL's `server_version_num`: 150004 is 15.4.
fn check_version(number: i32) -> anyhow::Result<()> {
    let major = number / 10_000;
    if major < i32::try_from(MAJOR_MIN)? {
        bail!(
            "the database is of PostgreSQL {major}, which is too old; install {MAJOR_MIN} or newer, or name a database of \
             such a server in DATABASE_URL"
        );
    }
    Ok(())
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|found| found == code)
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_refused_with_what_to_do() {
        let refused = check_version(140_012).unwrap_err().to_string();
        assert!(refused.contains("of PostgreSQL 14") && refused.contains("install 15 or newer"), "{refused}");
        assert!(check_version(150_000).is_ok() && check_version(180_001).is_ok());
    }

    #[tokio::test]
    async fn whoever_takes_the_call_and_says_nothing_is_not_waited_for() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = silent.local_addr().unwrap();
        let options = parse(&format!("postgres://fenqi@{place}/fenqi")).unwrap();
        let refused = format!("{:#}", connect_within(&options, Duration::from_millis(50)).await.unwrap_err());
        assert!(refused.starts_with(&format!("no PostgreSQL answers at {place}; correct DATABASE_URL")), "{refused}");
    }
}
