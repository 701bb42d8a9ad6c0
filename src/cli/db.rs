//! `fenqi db`: the private PostgreSQL by hand, for developers and the test run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};

use crate::config::Config;
use crate::database;
use crate::launcher::{Durability, Options, Server};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The cluster's directory [default: pg in var_dir]
    #[arg(long, global = true)]
    home: Option<PathBuf>,
    /// The database whose address is printed; created if missing
    #[arg(long, global = true, default_value = "fenqi")]
    database: String,
    /// `none` never waits for the disk: for tests, whose data may be lost
    #[arg(long, global = true, value_enum, default_value = "full")]
    durability: Wanted,
}

#[derive(Clone, Copy, Subcommand)]
enum Action {
    /// Start it, leave it running, and print the address
    Start,
    /// Stop it
    Stop,
    /// Print the address of the running one
    Url,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wanted {
    Full,
    None,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load()?;
    let durability = match args.durability {
        Wanted::Full => Durability::Full,
        Wanted::None => Durability::None,
    };
    let mut options = Options { durability, ..config.private_postgres() };
    if let Some(home) = args.home {
        options.home = home;
    }
    match args.action {
        Action::Start => {
            let server = Server::start_or_share(&options).await?;
            let url = server.url(&args.database);
            database::create_if_missing(&url).await?;
            server.keep()?;
            println!("{url}");
        }
        Action::Stop => Server::stop_kept(&options)?,
        Action::Url => {
            let server =
                Server::running(&options)?.context("the private PostgreSQL is not running; see fenqi db start")?;
            println!("{}", server.url(&args.database));
        }
    }
    Ok(ExitCode::SUCCESS)
}
