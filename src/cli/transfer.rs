//! `fenqi transfer`: money that borrowers transferred to the platform's account, recorded by an operator, and taken back by two where
//! it was recorded wrongly.

use std::process::ExitCode;

use crate::app::App;
use crate::audit::Person;
use crate::base::id::RepaymentId;
use crate::base::{BusinessDay, Fen};
use crate::cli::line;
use crate::cli::listed::{ASKED_MAX, OLDER, cut, say_cut};
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::cli::typed::one_line;
use crate::error::Fault;
use crate::funder::reserve::REFERENCE_CHARS_MAX;
use crate::repayment::transfer_store::{self, Recorded};
use crate::repayment::{self, Proposal, RepayRefusal, Transfer};

const LIST: &str = "fenqi transfer list";

#[derive(clap::Subcommand)]
pub enum Args {
    /// Book a transfer that arrived: it pays what is due on the line, the rest goes back to the borrower's card
    Record(Record),
    /// Propose to take back what was recorded wrongly; done once somebody else confirms it
    TakeBack {
        /// By its id in `fenqi transfer list`
        #[arg(value_name = "TRANSFER")]
        transfer: RepaymentId,
        /// Who proposes it
        #[arg(long, value_parser = one_line)]
        by: String,
        /// What was wrong
        #[arg(long, value_parser = one_line)]
        reason: String,
    },
    /// Take a transfer back as somebody else has proposed: what it had paid is owed again
    Confirm {
        /// By its id in `fenqi transfer list`
        #[arg(value_name = "TRANSFER")]
        transfer: RepaymentId,
        /// The proposal that you have seen, by its number in the list
        #[arg(long, value_name = "N")]
        proposal: i32,
        /// Who confirms it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// Withdraw the proposal to take a transfer back: it stands
    Keep {
        /// By its id in `fenqi transfer list`
        #[arg(value_name = "TRANSFER")]
        transfer: RepaymentId,
        /// Who withdraws it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// List recorded transfers, newest last, at most five hundred, with what is proposed for them or became of them
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
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(1..=Fen::MAX.get()))]
    amount_fen: i64,
    /// The bank's reference; booked once, whichever line it is recorded for
    #[arg(long, value_parser = bank_reference)]
    reference: String,
    /// When the bank had the money, if that was before today: no penalty runs from then on on what it pays; up to 31 days back
    #[arg(long, value_name = "DAY")]
    received_on: Option<BusinessDay>,
    /// Who records it
    #[arg(long, value_parser = name)]
    by: String,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::Record(wanted) => record(&app, wanted).await?,
        Args::TakeBack { transfer, by, reason } => {
            let app = app.by(Person::typed(&by));
            let proposal = Proposal { by, reason };
            let number = repayment::propose_taking_back(&app, transfer, &proposal).await.map_err(look_at(LIST))?;
            println!(
                "{transfer} is taken back once somebody else types: fenqi transfer confirm {transfer} --proposal {number} \
                 --by NAME"
            );
        }
        Args::Confirm { transfer, proposal, by } => {
            let app = app.by(Person::typed(&by));
            let taken_back = repayment::confirm_taking_back(&app, transfer, proposal, &by).await;
            let reversal = taken_back.map_err(look_at(LIST))?;
            println!(
                "{transfer} is taken back by {}: {} yuan are owed again, {} do not go back to the borrower",
                reversal.repayment_id,
                -reversal.taken().total(),
                -reversal.excess
            );
        }
        Args::Keep { transfer, by } => {
            repayment::keep_transfer(&app.by(Person::typed(&by)), transfer).await.map_err(look_at(LIST))?;
            println!("{transfer} stands, and nothing is proposed for it any more");
        }
        Args::List { json } => list(&app, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn record(app: &App, wanted: Record) -> anyhow::Result<()> {
    let line_id = line::find_line(app, &wanted.named).await?;
    let (app, amount) = (app.by(Person::typed(&wanted.by)), Fen::new(wanted.amount_fen));
    let Record { reference: bank_reference, received_on, by: operator, .. } = wanted;
    let transfer = Transfer { line_id, amount, bank_reference, received_on, operator };
    let repayment = repayment::record_transfer(&app, &transfer).await.map_err(not_booked)?;
    println!(
        "{} books {amount} yuan on {line_id}: {} pay what is due, {} go back to the borrower, as of {}",
        repayment.repayment_id,
        repayment.taken().total(),
        repayment.excess,
        repayment.value_on
    );
    Ok(())
}

async fn list(app: &App, is_json: bool) -> anyhow::Result<()> {
    let mut transfers = transfer_store::list_transfers(&mut *app.pool.acquire().await?, ASKED_MAX).await?;
    let has_older = cut(&mut transfers);
    for recorded in transfers.iter().rev() {
        if is_json {
            println!("{}", serde_json::to_string(recorded)?);
        } else {
            print(recorded);
        }
    }
    if has_older {
        say_cut(OLDER, is_json);
    }
    Ok(())
}

fn print(recorded: &Recorded) {
    let Recorded { repayment_id, line_id, bank_reference, amount_fen, excess_fen, recorded_by, business_day, .. } =
        recorded;
    let person = recorded_by.as_deref().unwrap_or("somebody");
    let received = recorded.received_on.map_or_else(String::new, |day| format!("  received {day}"));
    println!(
        "{repayment_id}  {business_day}  {line_id}  {bank_reference}  {amount_fen} yuan, {excess_fen} back{received}  by \
         {person}{}",
        taken_back(recorded)
    );
}

/// What is proposed for a transfer, or what became of it.
fn taken_back(recorded: &Recorded) -> String {
    let Recorded { proposal_no, proposed_by, reason, confirmed_by, .. } = recorded;
    match (proposed_by, reason, confirmed_by) {
        (Some(proposed_by), Some(reason), Some(person)) => {
            format!("  taken back by {proposed_by} and {person}: {reason}")
        }
        (Some(proposed_by), Some(reason), None) => {
            format!("  to be taken back, proposal {proposal_no} of {proposed_by}: {reason}")
        }
        (None, _, _) | (_, None, _) => String::new(),
    }
}

fn not_booked(fault: Fault<RepayRefusal>) -> anyhow::Error {
    match fault {
        Fault::Refused(RepayRefusal::KeyReused) => {
            anyhow::anyhow!("a transfer with this reference was booked before; see `{LIST}`")
        }
        fault => fault.into_error(),
    }
}

/// Parses a bank's reference of a payment; it must not be longer than the books can store.
pub fn bank_reference(text: &str) -> Result<String, String> {
    let reference = text.trim();
    if (1..=REFERENCE_CHARS_MAX).contains(&reference.chars().count()) {
        one_line(reference)
    } else {
        Err(format!("a bank reference has 1 to {REFERENCE_CHARS_MAX} characters"))
    }
}

fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() { Err("a name is needed".to_owned()) } else { one_line(name) }
}
