//! `fenqi demo`: lives through months of purchases in a counterfeit world, reports, and serves.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::app::App;
use crate::base::{BusinessDay, WorkingCalendar};
use crate::cli::{LISTEN_SETTING, Sharing, find_database, set_up, stop_signal, verify};
use crate::config::Config;
use crate::credit::RiskHook;
use crate::database::{self, Migrated};
use crate::demo::input::{self, Input};
use crate::demo::report::{Cost, Report};
use crate::demo::serving;
use crate::demo::story::{self, Script, Times};
use crate::http;
use crate::replay::house::{House, HouseSettings};

#[derive(clap::Args)]
pub struct Args {
    /// People who apply: a file in the format of `credit_clients.csv`; without it a small sample
    #[arg(long)]
    clients: Option<PathBuf>,
    /// What is bought: a file in the format of `installment_purchases.csv`; without it a small sample
    #[arg(long)]
    purchases: Option<PathBuf>,
    /// Business days to live through, at most 360
    #[arg(long, default_value_t = 90, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=360))]
    days: u16,
    /// The first business day
    #[arg(long, default_value = "2026-01-05")]
    from: BusinessDay,
    /// The seed of the story's choices and faults; the same seed gives the same story
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave rows that cannot be used out, and write them with their reasons to FILE.bad.csv
    #[arg(long)]
    skip_bad: bool,
    /// Forget an earlier demo and begin again
    #[arg(long)]
    fresh: bool,
    /// End after the report: exit code 1 if the books do not foot
    #[arg(long)]
    no_serve: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let config = set_up()?;
    if args.fresh {
        check_forgettable(&config)?;
    }
    check_days(&config.calendar, args.from, args.days)?;
    let input =
        Input::read(&input::Files { clients: args.clients, purchases: args.purchases, skip_bad: args.skip_bad })?;
    // Bound before the story, so that a port in use is known at once.
    let listener = if args.no_serve { None } else { Some(http::bind(config.listen, LISTEN_SETTING).await?) };
    let database = find_database(&config, Sharing::Alone).await?;
    let url = database.url.clone();
    if args.fresh {
        database::recreate(&url).await?;
    }
    // One process at a time lives through days, also on a database that is not ours.
    let _claim = database::Claim::take(&url).await?;
    let pool = database::connect(&url, config.database_connections).await?;
    refuse_second_story(&config, &pool).await?;
    database::migrate(&pool).await?;
    let house = House::open(HouseSettings {
        pool,
        vault: Arc::new(config.vault_of_trial()?),
        calendar: config.calendar.clone(),
        risk: Arc::new(config.risk_hook.clone()),
        today: args.from,
        seed: args.seed,
        site: config.site(),
    })
    .await?;
    story::set_faults(&house.world);
    let app = house.app.clone();
    let script = Script {
        clients: input.clients,
        purchases: input.purchases,
        first_day: args.from,
        days: usize::from(args.days),
        seed: args.seed,
    };
    let started = Instant::now();
    let times = story::live(&app, &house.world, &script).await?;
    let lived = started.elapsed();
    print_report(&app, &times).await?;
    let findings = verify::verify_with_bar(&app.pool).await?;
    println!("\n{}", Cost::of(lived, began.elapsed()));
    verify::print(&findings);
    if findings.is_empty() {
        println!("verify: every identity holds.");
    }
    if let Some(listener) = listener {
        serve(&house, listener).await?;
    }
    house.shut().await;
    app.pool.close().await;
    drop(database);
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn print_report(app: &App, times: &Times) -> anyhow::Result<()> {
    print!("{}", Report::gather(app).await?);
    println!("\nTime by part");
    for (part, took) in times.rows() {
        println!("  {part:<38} {:>8} ms", took.as_millis());
    }
    Ok(())
}

async fn serve(house: &House, listener: TcpListener) -> anyhow::Result<()> {
    println!("Serving on http://{} until Ctrl-C.", listener.local_addr()?);
    // People who apply on the pages bring no history with them, so the counterfeit risk partner decides on them.
    let app = App { risk: Arc::new(RiskHook::Partner), ..house.app.clone() };
    // Dropped (and so ended) before the database is stopped, in which it looks for work.
    let mut keeping = JoinSet::new();
    keeping.spawn(serving::keep_house(app.clone(), house.world.clone()));
    http::serve(listener, app, stop_signal()).await?;
    keeping.shutdown().await;
    Ok(())
}

/// Checks that only an earlier demo's data would be dropped.
fn check_forgettable(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.database_url.is_none(),
        "--fresh forgets the private database alone; empty your own yourself"
    );
    anyhow::ensure!(
        config.partners.is_empty() || config.is_trial,
        "this house has partners of its own, and --fresh would forget it; set FENQI_VAR_DIR to another directory for a demo"
    );
    Ok(())
}

/// Checks that working days are known until the story's end: each day's money is paid on the next working day, and a story would stop
/// half-way otherwise.
fn check_days(calendar: &WorkingCalendar, from: BusinessDay, days: u16) -> anyhow::Result<()> {
    for index in 0..days {
        calendar.next_working_day(from.plus_days(u32::from(index))).with_context(|| {
            format!("nobody can live through {days} days from {from}; choose others with --from and --days")
        })?;
    }
    Ok(())
}

/// Refuses a database with a house in it. Checked before migrating: a house that somebody else runs keeps its own program's migrations.
async fn refuse_second_story(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    if !matches!(database::migrated(pool).await?, Migrated::Partly | Migrated::Fully) {
        return Ok(());
    }
    let Some(today) = input::find_reached_day(pool).await? else { return Ok(()) };
    let way_out = match config.database_url {
        None => {
            // The program as it was called, because there may be no `fenqi` on the PATH (`./dev demo`).
            let fenqi = std::env::args().next().unwrap_or_else(|| "fenqi".to_owned());
            format!("start again from nothing with `{fenqi} demo --fresh`, or look at it with `{fenqi} serve`")
        }
        Some(_) => "empty the database, or name another one in DATABASE_URL".to_owned(),
    };
    anyhow::bail!("this database already holds a house (its business day is {today}); {way_out}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_that_goes_beyond_the_table_of_working_days_is_not_begun() {
        let check = |from: &str, days| check_days(&WorkingCalendar::shipped(), from.parse().unwrap(), days);
        assert!(check("2026-01-05", 360).is_ok());
        for (from, days) in
            [("2026-01-05", 361), ("2026-12-31", 1), ("2026-11-01", 90), ("2024-12-30", 1), ("9999-12-31", 1)]
        {
            let refused = format!("{:#}", check(from, days).unwrap_err());
            assert!(
                refused.contains("--from and --days") && refused.contains("outside the working-day table"),
                "{refused}"
            );
        }
    }
}
