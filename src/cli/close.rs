//! `fenqi close`: ends a business day, or goes on with a close that was interrupted.

use std::process::ExitCode;

use crate::base::{BusinessDay, Clock};
use crate::cli::{Sharing, find_database, open_app, set_up};
use crate::close::close_day;

#[derive(clap::Args)]
pub struct Args {
    /// The business day to close, such as 2026-03-31
    #[arg(long)]
    date: BusinessDay,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    let database = find_database(&config, Sharing::Shared).await?;
    let app = open_app(&config, &database, Clock::System).await?;
    let closed = close_day(&app, args.date).await?;
    for done in closed.steps {
        println!("{:<16} {:>10} rows {:>8} ms", done.step.name(), done.rows, done.took.as_millis());
    }
    println!("{} is closed", closed.day);
    Ok(ExitCode::SUCCESS)
}
