//! `fenqi outbox`: messages that a partner did not take, and another try for them.

use std::process::ExitCode;

use anyhow::bail;

use crate::cli::open_house;
use crate::outbox::store;

/// More failed messages than anyone reads.
const LIST_MAX: i64 = 500;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Show messages that failed, dead letters first
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Try a failed or dead message again at once
    Replay { message_no: i64 },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = open_house().await?;
    let mut connection = app.pool.acquire().await?;
    match args {
        Args::List { json } => {
            for message in store::troubled(&mut connection, LIST_MAX).await? {
                if json {
                    println!("{}", serde_json::to_string(&message)?);
                    continue;
                }
                let state = if message.dead_at.is_some() { "dead" } else { "waiting" };
                let (number, partner, kind) = (message.message_no, message.partner, message.kind);
                println!("{number} {state} {partner} {kind} of {} attempts {}", message.object_id, message.attempts);
                if let Some(error) = message.last_error {
                    println!("    {error}");
                }
            }
        }
        Args::Replay { message_no } => {
            if !store::replay(&mut connection, message_no, app.clock.now()).await? {
                bail!("message {message_no} has not failed; `fenqi outbox list` shows which have");
            }
            println!("message {message_no} is delivered next");
        }
    }
    Ok(ExitCode::SUCCESS)
}
