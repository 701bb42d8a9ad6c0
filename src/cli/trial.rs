//! A trial house, on its own day, for commands that act in it as a borrower would.

use anyhow::{Context as _, bail};

use crate::app::App;
use crate::base::{BusinessDay, Clock};
use crate::business_day;
use crate::cli::{Database, Sharing, find_database, open_app, set_up};

/// Opens the house, with its private database as long as that is kept.
///
/// # Errors
/// In a house that has partners of its own.
pub async fn open() -> anyhow::Result<(App, Database)> {
    let config = set_up()?;
    if !config.partners.is_empty() && !config.is_trial {
        bail!("this house has partners of its own; only in a trial house may a command act as a borrower");
    }
    let database = find_database(&config, Sharing::Shared).await?;
    let app = open_app(&config, &database, Clock::System).await?;
    // A trial house lives on its own day, whatever the day is outside.
    let today = business_day::store::today(&mut *app.pool.acquire().await?).await?;
    let noon = today.instant(chrono::NaiveTime::from_hms_opt(12, 0, 0).context("a day has a noon")?);
    let is_now = BusinessDay::at(Clock::System.now()) == today;
    let clock = if is_now { Clock::System } else { Clock::moved(noon) };
    Ok((App { clock, ..app }, database))
}
