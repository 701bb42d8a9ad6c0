//! `fenqi close`: ends a business day, or goes on with a close that was interrupted.

use std::process::ExitCode;

use crate::base::BusinessDay;
use crate::cli::trial;
use crate::close::{CHUNK_ROWS, close_day_in_chunks};

#[derive(clap::Args)]
pub struct Args {
    /// The business day to close, such as 2026-03-31
    #[arg(long)]
    date: BusinessDay,
    /// Rows of a chunk, which one worker does in one transaction: fewer hold locks for a shorter time
    #[arg(long, default_value_t = CHUNK_ROWS, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    chunk_rows: i64,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    let closed = close_day_in_chunks(&app, args.date, args.chunk_rows).await?;
    for done in closed.steps {
        println!("{:<16} {:>10} rows {:>8} ms", done.step.name(), done.rows, done.took.as_millis());
    }
    println!("{} is closed", closed.day);
    Ok(ExitCode::SUCCESS)
}
