//! `fenqi house`: opens a new house on its first business day.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use crate::audit::{self, Act, Action};
use crate::base::{BusinessDay, Clock};
use crate::business_day::store;
use crate::cli::by::By;
use crate::cli::{Sharing, find_database, open_app, set_up};
use crate::database;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Begin the first business day; once in the life of a house, from then on only the daily close moves the day
    Open {
        /// The first business day, such as 2026-03-02: today, as a rule
        #[arg(long)]
        date: BusinessDay,
        #[command(flatten)]
        by: By,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args::Open { date, by } = args;
    let config = set_up()?;
    // The private PostgreSQL, if it is ours, runs as long as `database` lives.
    let database = find_database(&config, Sharing::Shared).await?;
    let app = open_app(&config, &database, Clock::System).await?.by(by.person());
    // A mistyped day without known working days could never be closed, nor opened again.
    app.calendar.next_working_day(date).context("the house is not opened")?;
    let mut transaction = database::begin(&app.pool).await?;
    if !store::open(&mut transaction, date).await? {
        let today = store::today(&mut transaction).await?;
        anyhow::bail!("this house is open already; its business day is {today}, and only `fenqi close` moves it");
    }
    audit::record(&mut transaction, &app, Act::new(Action::HouseOpened, date, json!({}))).await?;
    transaction.commit().await?;
    println!("the house is open; its business day is {date}");
    Ok(ExitCode::SUCCESS)
}
