//! `fenqi jobs`: background work that is not done, and another try for what is dead.

use std::process::ExitCode;

use anyhow::bail;

use crate::base::id::JobId;
use crate::cli::trial;
use crate::jobs::store;

/// More open jobs than anyone reads.
const LIST_MAX: i64 = 500;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Show jobs that are not done, dead ones first
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make a dead or waiting job ready for now
    Retry {
        /// By its id in `fenqi jobs list`
        job_id: JobId,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    let mut connection = app.pool.acquire().await?;
    match args {
        Args::List { json } => {
            for job in store::list_open(&mut connection, LIST_MAX).await? {
                if json {
                    println!("{}", serde_json::to_string(&job)?);
                    continue;
                }
                let id = JobId::from_uuid(job.job_id);
                println!(
                    "{id} {} {} {} attempts {} next {}",
                    job.status, job.kind, job.unique_key, job.attempts, job.run_at
                );
                if let Some(error) = job.last_error {
                    println!("    {error}");
                }
            }
        }
        Args::Retry { job_id } => {
            if !store::retry(&mut connection, job_id.uuid(), app.clock.now()).await? {
                bail!("{job_id} is neither dead nor waiting; `fenqi jobs list` shows which are");
            }
            println!("{job_id} is ready");
        }
    }
    Ok(ExitCode::SUCCESS)
}
