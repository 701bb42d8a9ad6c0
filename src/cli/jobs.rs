//! `fenqi jobs`: background work that is not done, and another try for what is dead.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use crate::audit::{self, Act, Action};
use crate::base::id::JobId;
use crate::cli::by::By;
use crate::cli::listed::{ASKED_MAX, cut, say_cut};
use crate::cli::trial;
use crate::database;
use crate::jobs::store;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Show jobs that are not done, dead ones first, at most five hundred
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make a dead or waiting job ready for now
    Retry {
        /// By its id in `fenqi jobs list`
        job_id: JobId,
        #[command(flatten)]
        by: By,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::List { json } => {
            let mut connection = app.pool.acquire().await?;
            let mut jobs = store::list_open(&mut connection, ASKED_MAX).await?;
            let has_more = cut(&mut jobs);
            for job in jobs {
                if json {
                    println!("{}", serde_json::to_string(&job)?);
                    continue;
                }
                println!(
                    "{} {} {} {} attempts {} next {}",
                    job.job_id, job.status, job.kind, job.unique_key, job.attempts, job.run_at
                );
                if let Some(error) = job.last_error {
                    println!("    {error}");
                }
            }
            if has_more {
                say_cut("there are more, which are not listed", json);
            }
        }
        Args::Retry { job_id, by } => {
            let app = app.by(by.person());
            let mut transaction = database::begin(&app.pool).await?;
            if !store::retry(&mut transaction, job_id, app.clock.now()).await? {
                bail!("{job_id} is neither dead nor waiting; `fenqi jobs list` shows which are");
            }
            audit::record(&mut transaction, &app, Act::new(Action::JobRetried, job_id, json!({}))).await?;
            transaction.commit().await?;
            println!("{job_id} is ready");
        }
    }
    Ok(ExitCode::SUCCESS)
}
