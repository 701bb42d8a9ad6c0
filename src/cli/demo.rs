//! `fenqi demo`: lives through months of purchases in a counterfeit world, reports, and serves.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use crate::base::{BusinessDay, Clock};
use crate::cli::{Sharing, app_on, find_database, set_up, stop_signal, verify};
use crate::config::Config;
use crate::database;
use crate::demo::input::{self, Input};
use crate::demo::report::{Cost, Report};
use crate::demo::story::{self, Script};
use crate::http;
use crate::sandbox::{self, Silence, World, WorldSettings};

#[derive(clap::Args)]
pub struct Args {
    /// People who apply: a file in the format of `credit_clients.csv`; without it a small sample
    #[arg(long)]
    clients: Option<PathBuf>,
    /// What is bought: a file in the format of `installment_purchases.csv`; without it a small sample
    #[arg(long)]
    purchases: Option<PathBuf>,
    /// Business days to live through
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=360))]
    days: u16,
    /// The first business day
    #[arg(long, default_value = "2026-01-05")]
    from: BusinessDay,
    /// Gives the choices and the faults of the story; the same seed gives the same story
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave rows that cannot be used out, and write them to a side file
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
    let mut config = set_up()?;
    let input =
        Input::read(&input::Files { clients: args.clients, purchases: args.purchases, skip_bad: args.skip_bad })?;
    // Bound before the story, so that a port in use is known at once.
    let listener = if args.no_serve { None } else { Some(http::bind(config.listen).await?) };
    let database = find_database(&config, Sharing::Alone).await?;
    let url = database.url.clone();
    if args.fresh {
        anyhow::ensure!(
            config.database_url.is_none(),
            "--fresh forgets the private database alone; empty your own yourself"
        );
        database::recreate(&url).await?;
    }
    let pool = database::connect(&url, config.database_connections).await?;
    database::migrate(&pool).await?;
    let clock = Clock::moved(args.from.instant(chrono::NaiveTime::MIN));
    let world = start_world(&mut config, args.seed, &clock).await?;
    let app = app_on(&config, pool, clock)?;
    if let Some(today) = input::lived_until(&app).await? {
        anyhow::bail!(
            "this database already holds a house (its business day is {today}); start again from nothing with \
             `fenqi demo --fresh`, or look at it with `fenqi serve`"
        );
    }
    let script = Script {
        clients: input.clients,
        purchases: input.purchases,
        first_day: args.from,
        days: usize::from(args.days),
        seed: args.seed,
    };
    let started = Instant::now();
    let times = story::live(&app, &world, &script).await?;
    let cost = Cost::of(started.elapsed());
    app.partners.flush_log().await;
    print!("{}", Report::gather(&app).await?);
    println!("\nTime by part");
    for (part, took) in times.rows() {
        println!("  {part:<38} {:>8} ms", took.as_millis());
    }
    println!("\n{cost}");
    let findings = crate::verify::verify(&app.pool).await?;
    verify::print(&findings);
    if findings.is_empty() {
        println!("verify: every identity holds.");
    }
    if let Some(listener) = listener {
        println!("Serving on http://{} until Ctrl-C.", listener.local_addr()?);
        http::serve(listener, app.clone(), stop_signal()).await?;
    }
    app.pool.close().await;
    drop(database);
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the counterfeit partners on a port of their own, with their faults, and points the configuration at them.
async fn start_world(config: &mut Config, seed: u64, clock: &Clock) -> anyhow::Result<Arc<World>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    config.partners = sandbox::partner_settings(&format!("http://{}", listener.local_addr()?), seed);
    let world = World::new(WorldSettings {
        seed,
        clock: clock.clone(),
        wire_clock: Clock::System,
        silence: Silence::Drop,
        callback_base: None,
    })?;
    story::set_faults(&world);
    tokio::spawn(sandbox::serve(listener, Arc::clone(&world)));
    Ok(world)
}
