//! `fenqi bench`: measures on data of its own in a scratch database, and removes it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use crate::base::Clock;
use crate::bench::{Figure, World, authorise, baseline::SimpleUpdate, close};
use crate::cli::{Sharing, app_on, find_database, set_up};
use crate::config::Config;
use crate::database::Scratch;
use crate::launcher;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    bench: Bench,
    /// Print one last line of JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// Purchases a second, against pgbench's simple-update on the same cluster
    Authorise {
        /// Runs of each case; the median is reported
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Seconds of each run
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// The whole daily close of a large book, against a plain copy of the rows that it writes
    Close {
        /// Loans that are billed that day
        #[arg(long, default_value_t = 1_000_000)]
        loans: i64,
    },
}

/// Connections of the measured node: a few beat many, as each statement is short.
const CONNECTIONS: u32 = 8;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    let database = find_database(&config, Sharing::Shared).await?;
    let figure = match args.bench {
        Bench::Authorise { runs, seconds } => {
            let options = authorise::Options { runs, time: Duration::from_secs(seconds) };
            bench_authorise(&config, &database.url, options).await?
        }
        Bench::Close { loans } => {
            let (scratch, world) = scratch_world(&config, &database.url).await?;
            let measured = close::measure(&world, loans, &mut |figure| println!("{}", figure.line())).await;
            drop(world);
            scratch.remove().await?;
            measured?
        }
    };
    if args.json {
        println!("{}", serde_json::to_string(&figure)?);
    }
    Ok(ExitCode::SUCCESS)
}

async fn bench_authorise(config: &Config, url: &str, options: authorise::Options) -> anyhow::Result<Figure> {
    let (scratch, world) = scratch_world(config, url).await?;
    let pgbench_home = Scratch::create(url, "pgbench", 1).await?;
    let baseline =
        SimpleUpdate::prepare(launcher::program(&config.private_postgres(), "pgbench")?, pgbench_home.url()).await?;
    let measured = authorise::measure(&world, &baseline, options, &mut |figure| println!("{}", figure.line())).await;
    drop(world);
    pgbench_home.remove().await?;
    scratch.remove().await?;
    measured
}

async fn scratch_world(config: &Config, url: &str) -> anyhow::Result<(Scratch, World)> {
    let scratch = Scratch::create(url, "bench", CONNECTIONS).await?;
    let app = app_on(config, scratch.pool.clone(), Clock::System)?;
    Ok((scratch, World::open(app).await?))
}
