//! Opens what a command needs: its configuration, a database whose keys are at hand, and the app.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context;
use sqlx::PgPool;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use uuid::Uuid;

use crate::access::Directory;
use crate::app::App;
use crate::base::Clock;
use crate::business_day;
use crate::close::CloseError;
use crate::config::{Config, LogFormat};
use crate::database;
use crate::launcher::Server;
use crate::merchant::OrderDesk;
use crate::partner::Partners;
use crate::product::Catalogue;
use crate::vault::{Field, Indexed, Vault};

/// Reads the configuration and starts logging to standard error.
pub fn set_up() -> anyhow::Result<Config> {
    let config = Config::load()?;
    let filter: tracing_subscriber::filter::Targets = config.log.parse().context("the log filter is wrong")?;
    let registry = tracing_subscriber::registry().with(filter);
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal);
    // A second set-up in one process (tests) keeps the first.
    match config.log_format {
        LogFormat::Text => registry.with(lines).try_init().ok(),
        LogFormat::Json => registry.with(lines.json()).try_init().ok(),
    };
    Ok(config)
}

/// The database's address, and the private server if this process is responsible for it.
pub struct Database {
    pub url: String,
    // Held so that the server runs as long as the command does.
    server: Option<Server>,
}

/// Whether a command may work beside another process that owns the private PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Refused while another process owns it; for commands that need the data for themselves, such as a demo.
    Alone,
    Shared,
}

/// Finds the configured database, or starts the private PostgreSQL and creates its database.
pub async fn find_database(config: &Config, sharing: Sharing) -> anyhow::Result<Database> {
    if let Some(url) = &config.database_url {
        return Ok(Database { url: url.clone(), server: None });
    }
    let options = config.private_postgres();
    let server = match sharing {
        Sharing::Alone => Server::start(&options).await?,
        Sharing::Shared => Server::start_or_share(&options).await?,
    };
    let url = server.url("fenqi");
    database::create_if_missing(&url).await?;
    Ok(Database { url, server: Some(server) })
}

/// The app with everything that a use case needs. A configured database must have been migrated; the private one is migrated here.
pub async fn open_app(config: &Config, database: &Database, clock: Clock) -> anyhow::Result<App> {
    config.check_risk_partner()?;
    if database.server.is_some() {
        let pool = database::connect(&database.url, 1).await?;
        database::migrate(&pool).await?;
        pool.close().await;
    }
    let pool = database::open(&database.url, config.database_connections).await?;
    refuse_new_key(config, &pool).await?;
    refuse_wrong_keys(&config.vault()?, &pool).await?;
    app_on(config, pool, clock)
}

/// Refuses to make a new master key for a database with sealed data, such as after a restore without the key: it could open none of it.
///
/// # Errors
/// A key is about to be made for a database with sealed data; or the database fails.
pub async fn refuse_new_key(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    if config.makes_new_key() && database::holds_sealed_data(pool).await? {
        anyhow::bail!(
            "this database holds data sealed under a master key that is not here: put master.key into {} from where you \
             keep it, or set FENQI_MASTER_KEY",
            config.var_dir.display()
        );
    }
    Ok(())
}

/// Refuses keys that are not the database's. With another master key nobody's data could be read; with another index key nobody would be
/// found, and everybody would be registered a second time. A few people are tried, and one that fits is enough, so that a single damaged
/// row does not stop a house.
///
/// # Errors
/// The keys fit none of them; or the database fails.
async fn refuse_wrong_keys(vault: &Vault, pool: &PgPool) -> anyhow::Result<()> {
    let person_keys = database::load_last_person_keys(pool).await?;
    let opens = |(owner, sealed): &(Uuid, Vec<u8>)| vault.open_person_key(*owner, sealed).is_ok();
    anyhow::ensure!(
        person_keys.is_empty() || person_keys.iter().any(opens),
        "the master key (FENQI_MASTER_KEY, or master.key in var_dir) is not the one that the data of this database is sealed \
         under; set the one that the house was run with, and former ones in FENQI_FORMER_MASTER_KEYS"
    );
    let people = database::load_indexed_people(pool).await?;
    let mut indexes = people.iter().filter_map(|person| {
        let key = vault.open_person_key(person.borrower_id, &person.person_key_sealed).ok()?;
        let id_number = key.open(Field::IdNumber, &person.id_number_sealed).ok()?;
        Some(vault.index(Indexed::IdNumber, &id_number).as_slice() == person.id_number_hash.as_slice())
    });
    anyhow::ensure!(
        indexes.next().is_none_or(|fits| fits || indexes.any(|fits| fits)),
        "index_key is not the one by which people in this database are found; set FENQI_INDEX_KEY to the one in force, which \
         docs/RUNBOOK.md says how to derive"
    );
    Ok(())
}

/// Opens the house for a command that may run beside other processes: the configured or private database, and the app.
pub async fn open_house() -> anyhow::Result<(App, Database)> {
    let config = set_up()?;
    let database = find_database(&config, Sharing::Shared).await?;
    let app = open_app(&config, &database, Clock::System).await?;
    say_if_no_house(&database, &app.pool).await?;
    Ok((app, database))
}

/// Says on standard error that the private PostgreSQL holds no house: whoever types a command outside of the house's shell must not believe
/// that nothing waits, or fails, where the command prints nothing.
///
/// # Errors
/// Failures of the database.
pub async fn say_if_no_house(database: &Database, pool: &PgPool) -> anyhow::Result<()> {
    if database.server.is_some() && business_day::store::find_today(&mut *pool.acquire().await?).await?.is_none() {
        eprintln!(
            "DATABASE_URL is not set, and the private PostgreSQL that is used without it holds no house; type commands in the \
             house's shell (docs/OPERATIONS.md)"
        );
    }
    Ok(())
}

/// Checks that the house has been opened.
///
/// # Errors
/// It has no business day yet; or the database fails.
pub async fn ensure_open(app: &App) -> anyhow::Result<()> {
    match business_day::store::find_today(&mut *app.pool.acquire().await?).await? {
        Some(_) => Ok(()),
        None => Err(CloseError::NoHouse.into()),
    }
}

/// The app on a database that is migrated.
pub fn app_on(config: &Config, pool: PgPool, clock: Clock) -> anyhow::Result<App> {
    let build = if config.is_trial { Partners::for_trial } else { Partners::new };
    let mut partners = build(&config.partners, pool.clone(), clock.clone())?;
    if let Some(proxy) = &config.outbound_proxy {
        partners = partners.through(proxy.clone())?;
    }
    if let Some(settings) = &config.wechat {
        partners = partners.with_wechat(settings.clone())?;
    }
    let vault = Arc::new(config.vault()?);
    let catalogue = Catalogue::default();
    Ok(App {
        // The system's clock: a partner's clock is never moved with ours.
        access: Arc::new(
            Directory::new(pool.clone(), vault.clone(), Clock::System).behind(config.trusted_proxies.clone()),
        ),
        order_desk: OrderDesk::start(pool.clone(), catalogue.clone()),
        pool,
        clock,
        vault,
        catalogue,
        partners: Arc::new(partners),
        risk: Arc::new(config.risk_hook.clone()),
        calendar: config.calendar.clone(),
        day_files: config.day_files,
        kept: config.kept,
        metrics_from: config.metrics_from.clone().into(),
        delivery: config.delivery,
        site: config.site(),
        person: None,
    })
}
