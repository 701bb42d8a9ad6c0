//! Opens a trial house on its own clock, for commands that act in it as a borrower would, or beside the demo that serves it.

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveTime, Utc};

use crate::app::App;
use crate::base::{BusinessDay, Clock};
use crate::business_day;
use crate::cli::{Database, Sharing, app_on, find_database, open_app, say_if_no_house, set_up};
use crate::config::Config;
use crate::outbox::event_store;
use crate::partner;

/// Opens a trial house. Keep the returned database: with it ends the private server, if that was started here.
///
/// # Errors
/// The house has real partners; or the configuration or the database cannot be used.
pub async fn open() -> anyhow::Result<(App, Database)> {
    let config = set_up()?;
    if has_own_partners(&config) {
        bail!("this house has partners of its own; only in a trial house may a command act as a borrower");
    }
    open_on_its_clock(&config).await
}

/// Opens any house for whoever operates it: a trial house on its own clock, any other on the system's.
///
/// # Errors
/// Where the configuration or the database cannot be used.
pub async fn open_any() -> anyhow::Result<(App, Database)> {
    let config = set_up()?;
    if has_own_partners(&config) {
        let database = find_database(&config, Sharing::Shared).await?;
        let app = open_app(&config, &database, Clock::System).await?;
        say_if_no_house(&database, &app.pool).await?;
        return Ok((app, database));
    }
    open_on_its_clock(&config).await
}

/// Opens a house that the caller says is a trial house, whatever partners are configured.
///
/// # Errors
/// Where the configuration or the database cannot be used.
pub async fn open_as_trial() -> anyhow::Result<(App, Database)> {
    open_on_its_clock(&set_up()?).await
}

fn has_own_partners(config: &Config) -> bool {
    !config.partners.is_empty() && !config.is_trial
}

async fn open_on_its_clock(config: &Config) -> anyhow::Result<(App, Database)> {
    let database = find_database(config, Sharing::Shared).await?;
    let app = open_app(config, &database, Clock::System).await?;
    say_if_no_house(&database, &app.pool).await?;
    match house_time(&app).await? {
        None => Ok((app, database)),
        // A new app, so that the partners' breakers and the call log use this clock too.
        Some(now) => Ok((app_on(config, app.pool.clone(), Clock::moved(now))?, database)),
    }
}

/// The time in a house whose business day is not the system's: that of the last call that was recorded on that day, so that times ascend,
/// or noon. `None` if the house follows the system's clock, or is not open yet.
async fn house_time(app: &App) -> anyhow::Result<Option<DateTime<Utc>>> {
    let mut connection = app.pool.acquire().await?;
    let Some(today) = business_day::store::find_today(&mut connection).await? else { return Ok(None) };
    if BusinessDay::at(Clock::System.now()) == today {
        return Ok(None);
    }
    let during = today.instant(NaiveTime::MIN)..today.next().instant(NaiveTime::MIN);
    let told = event_store::last_within(&mut connection, during.clone()).await?;
    let called = partner::store::last_call_within(&mut connection, during).await?;
    let noon = today.instant(NaiveTime::from_hms_opt(12, 0, 0).context("a day has a noon")?);
    Ok(Some(told.max(called).unwrap_or(noon)))
}
