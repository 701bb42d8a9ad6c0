//! `fenqi migrate`: brings the database to the newest migration.

use std::process::ExitCode;

use crate::cli::{Sharing, find_database, set_up};
use crate::database;

#[derive(clap::Args)]
pub struct Args {
    /// Create the database first if it is missing
    #[arg(long)]
    create: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    if let (true, Some(url)) = (args.create, &config.database_url) {
        database::create_if_missing(url).await?;
    }
    let database = find_database(&config, Sharing::Shared).await?;
    let pool = database::connect(&database.url, 1).await?;
    match database::migrate(&pool).await? {
        0 => println!("the database is up to date"),
        1 => println!("1 migration applied"),
        count => println!("{count} migrations applied"),
    }
    pool.close().await;
    Ok(ExitCode::SUCCESS)
}
