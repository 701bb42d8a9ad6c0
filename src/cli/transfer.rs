//! `fenqi transfer`: money that borrowers transferred to the platform's account, recorded by an operator.

use std::process::ExitCode;

use crate::app::App;
use crate::base::Fen;
use crate::cli::{line, open_house};
use crate::error::Fault;
use crate::funder::reserve::REFERENCE_CHARS_MAX;
use crate::repayment::transfer_store::{self, Recorded};
use crate::repayment::{self, RepayRefusal, Transfer};

/// More than anyone reads through.
const LISTED_MAX: i64 = 500;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Book a transfer that arrived: it pays what is due on the line, the rest goes back to the borrower's card
    Record(Record),
    /// List recorded transfers, newest last, at most five hundred
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub struct Record {
    #[command(flatten)]
    named: line::Named,
    /// What arrived, in fen
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..=Fen::MAX.get()))]
    amount_fen: i64,
    /// The bank's reference; booked once, whichever line it is recorded for
    #[arg(long, value_parser = reference)]
    reference: String,
    /// Who records it
    #[arg(long, value_parser = name)]
    by: String,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = open_house().await?;
    match args {
        Args::Record(wanted) => record(&app, wanted).await?,
        Args::List { json } => {
            let mut connection = app.pool.acquire().await?;
            for recorded in transfer_store::list_transfers(&mut connection, LISTED_MAX).await?.iter().rev() {
                if json {
                    println!("{}", serde_json::to_string(recorded)?);
                } else {
                    print(recorded);
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn record(app: &App, wanted: Record) -> anyhow::Result<()> {
    let line_id = line::find_line(app, &wanted.named).await?;
    let amount = Fen::new(wanted.amount_fen);
    let transfer = Transfer { line_id, amount, bank_reference: wanted.reference, operator: wanted.by };
    let repayment = repayment::record_transfer(app, &transfer).await.map_err(said)?;
    println!(
        "{} books {amount} yuan on {line_id}: {} pay what is due, {} go back to the borrower",
        repayment.repayment_id,
        repayment.taken().total(),
        repayment.excess
    );
    Ok(())
}

fn print(recorded: &Recorded) {
    let Recorded { repayment_id, line_id, bank_reference, amount_fen, excess_fen, recorded_by, business_day, .. } =
        recorded;
    let person = recorded_by.as_deref().unwrap_or("somebody");
    println!(
        "{repayment_id}  {business_day}  {line_id}  {bank_reference}  {amount_fen} yuan, {excess_fen} back  by {person}"
    );
}

fn said(fault: Fault<RepayRefusal>) -> anyhow::Error {
    match fault {
        Fault::Refused(RepayRefusal::KeyReused) => {
            anyhow::anyhow!("a transfer with this reference was booked before; see `fenqi transfer list`")
        }
        Fault::Refused(refusal) => anyhow::anyhow!("{refusal}"),
        Fault::Failed(failure) => failure,
    }
}

fn reference(text: &str) -> Result<String, String> {
    let reference = text.trim();
    if (1..=REFERENCE_CHARS_MAX).contains(&reference.chars().count()) {
        Ok(reference.to_owned())
    } else {
        Err(format!("a bank reference has 1 to {REFERENCE_CHARS_MAX} characters"))
    }
}

fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() { Err("a name is needed".to_owned()) } else { Ok(name.to_owned()) }
}
