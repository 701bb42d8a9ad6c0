//! `fenqi verify`: every identity of the books, silent when all hold.

use std::process::ExitCode;

use crate::cli::{Sharing, find_database, set_up};
use crate::database;
use crate::verify::{Finding, verify};

#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    let database = find_database(&config, Sharing::Shared).await?;
    let pool = database::open(&database.url, 1).await?;
    let findings = verify(&pool).await?;
    pool.close().await;
    if args.json {
        for finding in &findings {
            println!("{}", serde_json::to_string(finding)?);
        }
    } else {
        print(&findings);
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line a finding.
pub fn print(findings: &[Finding]) {
    for Finding { identity, subject, expected, found } in findings {
        println!("{identity}: {subject}: expected {expected}, found {found}");
    }
}
