//! `fenqi verify`: every identity of the books, silent when all hold.

use std::process::ExitCode;

use sqlx::PgPool;

use crate::cli::{Sharing, find_database, progress, say_if_no_house, set_up};
use crate::database;
use crate::verify::store::IDENTITIES;
use crate::verify::{Finding, verify_telling};

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
    say_if_no_house(&database, &pool).await?;
    let findings = verify_with_bar(&pool).await?;
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

/// As [`crate::verify::verify`], with a bar on a terminal: a large book takes minutes.
pub async fn verify_with_bar(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    let bar = progress::bar("Verifying", IDENTITIES.len());
    let findings = verify_telling(pool, |sentence| {
        bar.set_message(sentence);
        bar.inc(1);
    })
    .await;
    bar.finish_and_clear();
    findings
}

/// Prints one line for each finding.
pub fn print(findings: &[Finding]) {
    for Finding { identity, subject, expected, found } in findings {
        println!("{identity}: {subject}: expected {expected}, found {found}");
    }
}
