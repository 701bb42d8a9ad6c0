//! `fenqi bench`: measures speed on data of its own in a scratch database, which is removed afterwards; what a killed run leaves is removed
//! by the next one.

use std::io::Write;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;

use crate::base::Clock;
use crate::bench::baseline::SimpleUpdate;
use crate::bench::figure::{rate_per_second, seconds};
use crate::bench::quote::{Depth, batch_lines, run_quotes};
use crate::bench::{Figure, World, authorise, close, collect, http, pages};
use crate::cli::quote::batch;
use crate::cli::{Sharing, app_on, find_database, progress, set_up};
use crate::config::Config;
use crate::database::Scratch;
use crate::{launcher, product};

/// The shipped product that is quoted.
const QUOTED: &str = include_str!("../../products/standard.toml");

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
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
        runs: u8,
        /// Seconds of each run
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        seconds: u16,
    },
    /// The whole daily close of a large book, against a plain copy of the rows that it writes
    Close {
        /// Loans that are billed that day
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(BOOK))]
        loans: i64,
        /// Closes of each kind: while purchases are made, and without and with loans of which nothing is due; medians are compared
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
        runs: u8,
    },
    /// Results of withholding posted a second, each with its waterfall
    Collect {
        /// Lines, each with one result
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(BOOK))]
        lines: i64,
    },
    /// The partner API: signed reads against unsigned ones, purchases over HTTP against authorisation in the process
    Http {
        /// Runs of each case; the median is reported
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
        runs: u8,
        /// Reads of each run
        #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(32..))]
        reads: u32,
        /// Purchases of each run
        #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(32..))]
        purchases: u32,
    },
    /// The borrower's pages at a steady rate, against /healthz over the same HTTP
    Pages {
        /// Borrowers, each signed in, with loans and most of them with a bill
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
        people: u16,
        /// Requests a second, whatever became of those before
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
        per_second: u16,
        /// Seconds for each page
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        seconds: u16,
    },
    /// Quotes a second, on one thread and as lines of JSON on every core
    Quote {
        /// Quotes of each kind
        #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
        quotes: u32,
    },
}

/// Prints a figure as soon as it is known.
type Say<'a> = &'a dyn Fn(&Figure);

/// How much is closed, how often.
struct ClosesOf {
    loans: i64,
    runs: usize,
}

/// How large a book may be: as large as a disk holds, and not so small that a step of its close would have no work.
const BOOK: RangeInclusive<i64> = 100..=100_000_000;

/// Connections of the measured node: a few beat many, as each statement is short.
const CONNECTIONS: u32 = 8;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    let since = progress::clock("Measuring");
    let say = |figure: &Figure| progress::print_above(&since, &figure.line());
    let figure = match args.bench {
        Bench::Quote { quotes } => bench_quote(quotes.into(), &say)?,
        needs_database => bench_on_database(&config, needs_database, &say).await?,
    };
    since.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string(&figure)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Two comparisons: schedules with their annualised rates against schedules alone, and lines of JSON in and out against the former.
fn bench_quote(quotes: u64, say: Say<'_>) -> anyhow::Result<Figure> {
    let (terms, _) = product::check(QUOTED)?;
    let took = run_quotes(&terms, quotes, Depth::Price)?;
    let priced = rate_per_second(quotes, took);
    let plain = rate_per_second(quotes, run_quotes(&terms, quotes, Depth::Schedule)?);
    let mut figure = Figure::new("quote, schedule and annualised rates", priced, "quotes/s").against(plain);
    figure.seconds = Some(seconds(took));
    figure.runs = Some(1);
    say(&figure);
    let lines = rate_per_second(quotes, run_batch(quotes)?);
    let batch = Figure::new("quote --batch, JSON lines in and out", lines, "quotes/s").against(priced);
    say(&batch);
    figure.more = vec![batch];
    Ok(figure)
}

/// Answers `count` lines from memory with the code of `fenqi quote --batch`, on every core.
fn run_batch(count: u64) -> anyhow::Result<Duration> {
    let asked = batch_lines(count);
    let mut answers = LinesWritten::default();
    let started = Instant::now();
    let code = batch::run(asked.as_bytes(), &mut answers)?;
    let took = started.elapsed();
    anyhow::ensure!(
        code == ExitCode::SUCCESS && answers.0 == count,
        "{count} lines were asked and {} answered, or some of them have no quote",
        answers.0
    );
    Ok(took)
}

/// Counts lines and drops them: the answers to a million inquiries do not fit into the memory of a small machine.
#[derive(Default)]
struct LinesWritten(u64);

impl Write for LinesWritten {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn bench_on_database(config: &Config, bench: Bench, say: Say<'_>) -> anyhow::Result<Figure> {
    let database = find_database(config, Sharing::Shared).await?;
    let figure = match bench {
        Bench::Authorise { runs, seconds } => {
            let options = authorise::Options { runs: runs.into(), time: Duration::from_secs(seconds.into()) };
            bench_authorise(config, &database.url, options, say).await?
        }
        Bench::Close { loans, runs } => {
            bench_close(config, &database.url, ClosesOf { loans, runs: runs.into() }, say).await?
        }
        Bench::Collect { lines } => {
            let (scratch, world) = scratch_world(config, &database.url).await?;
            let measured = collect::measure(&world, lines).await;
            remove(scratch, world).await?;
            let figure = measured?;
            say(&figure);
            figure
        }
        Bench::Http { runs, reads, purchases } => {
            let (scratch, world) = scratch_world(config, &database.url).await?;
            let (reads, purchases) = (usize::try_from(reads)?, usize::try_from(purchases)?);
            let options = http::Options { runs: runs.into(), reads, purchases };
            let measured = http::measure(&world, options, &mut |figure| say(figure)).await;
            remove(scratch, world).await?;
            measured?
        }
        Bench::Pages { people, per_second, seconds } => {
            let options = pages::Options { people, per_second, time: Duration::from_secs(seconds.into()) };
            bench_pages(config, &database.url, options, say).await?
        }
        Bench::Quote { quotes } => bench_quote(quotes.into(), say)?,
    };
    Ok(figure)
}

async fn bench_close(config: &Config, url: &str, size: ClosesOf, say: Say<'_>) -> anyhow::Result<Figure> {
    let ClosesOf { loans, runs } = size;
    let (scratch, world) = scratch_world(config, url).await?;
    let measured = close::measure(&world, loans, runs, &mut |figure| say(figure)).await;
    remove(scratch, world).await?;
    let mut whole = measured?;
    let mut nothing_due = close::NothingDue::default();
    for left in (0..runs).rev() {
        // Each run in a world of its own: what one run has billed would add to the next one's book.
        let (scratch, world) = scratch_world(config, url).await?;
        let mut measured = nothing_due.measure_alone(&world, loans).await;
        if measured.is_ok() && left == 0 {
            measured = nothing_due.measure_beside(&world, loans, runs).await;
        }
        remove(scratch, world).await?;
        measured?;
    }
    let nothing_due = nothing_due.figure();
    say(&nothing_due);
    whole.more.push(nothing_due);
    Ok(whole)
}

async fn bench_pages(config: &Config, url: &str, options: pages::Options, say: Say<'_>) -> anyhow::Result<Figure> {
    let (scratch, world) = scratch_world(config, url).await?;
    let measured = pages::measure(&world, options, &mut |figure| say(figure)).await;
    remove(scratch, world).await?;
    measured
}

async fn bench_authorise(
    config: &Config,
    url: &str,
    options: authorise::Options,
    say: Say<'_>,
) -> anyhow::Result<Figure> {
    let (scratch, world) = scratch_world(config, url).await?;
    let pgbench_home = Scratch::create(url, "pgbench", 1).await?;
    let baseline =
        SimpleUpdate::prepare(launcher::program(&config.private_postgres(), "pgbench")?, pgbench_home.url()).await?;
    let measured = authorise::measure(&world, &baseline, options, &mut |figure| say(figure)).await;
    pgbench_home.remove().await?;
    remove(scratch, world).await?;
    measured
}

async fn scratch_world(config: &Config, url: &str) -> anyhow::Result<(Scratch, World)> {
    let scratch = Scratch::create(url, "bench", CONNECTIONS).await?;
    let app = app_on(config, scratch.pool.clone(), Clock::System)?;
    Ok((scratch, World::open(app).await?))
}

/// Flushes the call log before the database is removed: the last calls are still being written when they are answered.
async fn remove(scratch: Scratch, world: World) -> anyhow::Result<()> {
    world.app.partners.flush_log().await;
    drop(world);
    scratch.remove().await
}
