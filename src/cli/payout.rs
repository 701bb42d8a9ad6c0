//! `fenqi payout`: payments through the channel, shown to an operator, and those that failed sent again.

use std::process::ExitCode;

use serde_json::json;

use crate::base::id::PayoutId;
use crate::cli::open_house;
use crate::error::{Fault, Step};
use crate::settlement;
use crate::settlement::payout::PayoutRefusal;
use crate::settlement::payout_store::{self, Listed};

/// More than anyone reads through.
const LISTED_MAX: i64 = 500;

#[derive(clap::Subcommand)]
pub enum Args {
    /// List payouts, newest last, at most five hundred
    List {
        /// Only those that the channel refused, which wait for `retry`
        #[arg(long)]
        failed: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Send a payout that failed again, to whatever account its payee has now
    Retry {
        payout: PayoutId,
        /// Who asks for it
        #[arg(long)]
        by: String,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = open_house().await?;
    match args {
        Args::List { failed, json } => {
            let mut connection = app.pool.acquire().await?;
            let listed = payout_store::list_payouts(&mut connection, failed, LISTED_MAX).await?;
            listed.iter().rev().for_each(|payout| print(payout, json));
        }
        Args::Retry { payout, by } => match settlement::retry_payout(&app, payout, &by).await.map_err(said)? {
            Step::Applied => println!("{payout} is sent again with the next payouts"),
            Step::AlreadyApplied => println!("{payout} waits to be sent again already; nothing changed"),
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn said(fault: Fault<PayoutRefusal>) -> anyhow::Error {
    match fault {
        Fault::Refused(refusal) => anyhow::anyhow!("{refusal}; see `fenqi payout list --failed`"),
        Fault::Failed(failure) => failure,
    }
}

fn print(payout: &Listed, as_json: bool) {
    let Listed { payout_id, kind, amount, status, failure, pay_on, attempt_no } = payout;
    if as_json {
        println!(
            "{}",
            json!({ "payout_id": payout_id, "kind": kind, "amount_fen": amount, "status": status, "failure": failure,
                    "pay_on": pay_on, "attempt_no": attempt_no })
        );
        return;
    }
    let why = failure.as_ref().map_or_else(String::new, |failure| format!(": {failure}"));
    println!("{payout_id}  {pay_on}  {kind:<10}  {amount} yuan  attempt {attempt_no}  {status}{why}");
}
