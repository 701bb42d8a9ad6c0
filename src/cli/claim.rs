//! `fenqi claim`: claims on the guarantors of late loans: made, paid, withdrawn, and taken back if they were booked wrongly.

use std::process::ExitCode;

use crate::app::App;
use crate::audit::Person;
use crate::base::Fen;
use crate::base::id::{ClaimId, LoanId};
use crate::claim::model::{BookedWrongly, Stated};
use crate::claim::{self, ClaimStatus, Listed, Paying, TakingBack};
use crate::cli::listed::{ASKED_MAX, OLDER, cut, say_cut};
use crate::cli::look_at::look_at;
use crate::cli::sign::quoted;
use crate::cli::transfer::bank_reference;
use crate::cli::trial;
use crate::cli::typed::filled;

const LIST: &str = "fenqi claim list";

#[derive(clap::Subcommand)]
pub enum Args {
    /// List claims, newest last, at most five hundred, with what became of them
    List {
        /// Only those that were not paid or withdrawn, and those that a second person is to take back
        #[arg(long)]
        open: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ask the guarantor for what is owed today of a loan's installments that have reached their claim day
    Ask {
        /// By its id in `fenqi line show`
        loan: LoanId,
        /// Who asks
        #[arg(long, value_parser = filled)]
        by: String,
    },
    /// The guarantor has paid the funder: booked once a second person says the same
    Pay {
        /// By its id in `fenqi claim list`
        claim: ClaimId,
        /// The reference of the funder's bank; booked once
        #[arg(long, value_parser = bank_reference)]
        reference: String,
        /// Who says so
        #[arg(long, value_parser = filled)]
        by: String,
    },
    /// Take back a claim that was booked wrongly, with what came in for it since: booked once a second person says the same
    TakeBack {
        /// By its id in `fenqi claim list`
        claim: ClaimId,
        /// Who says so
        #[arg(long, value_parser = filled)]
        by: String,
        /// What was wrong
        #[arg(long, value_parser = filled)]
        reason: String,
    },
    /// Withdraw a claim that was not paid
    Withdraw {
        /// By its id in `fenqi claim list`
        claim: ClaimId,
        /// Who withdraws it
        #[arg(long, value_parser = filled)]
        by: String,
        /// Why
        #[arg(long, value_parser = filled)]
        reason: String,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::List { open, json } => list(&app, open, json).await?,
        Args::Ask { loan, by } => {
            let app = app.by(Person::typed(&by));
            let asked = claim::ask(&app, loan, &by).await.map_err(look_at(LIST))?;
            println!("{} asks for {} yuan of {loan}", asked.claim_id, asked.asked.total());
        }
        Args::Pay { claim, reference, by } => {
            let app = app.by(Person::typed(&by));
            match claim::pay(&app, claim, &Stated { by, bank_reference: reference.clone() })
                .await
                .map_err(look_at(LIST))?
            {
                Paying::Stated => println!(
                    "{claim} is paid once a second person types: fenqi claim pay {claim} --reference {} --by NAME",
                    quoted(&reference)
                ),
                Paying::Booked => println!("{claim} is paid and booked"),
            }
        }
        Args::TakeBack { claim, by, reason } => take_back(&app, claim, &BookedWrongly { by, reason }).await?,
        Args::Withdraw { claim, by, reason } => {
            let app = app.by(Person::typed(&by));
            claim::withdraw(&app, claim, &by, &reason).await.map_err(look_at(LIST))?;
            println!("{claim} is withdrawn");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn take_back(app: &App, claim: ClaimId, word: &BookedWrongly) -> anyhow::Result<()> {
    let app = app.by(Person::typed(&word.by));
    match claim::take_back(&app, claim, word).await.map_err(look_at(LIST))? {
        TakingBack::Stated => println!(
            "{claim} is taken back once a second person types: fenqi claim take-back {claim} --reason {} --by NAME",
            quoted(&word.reason)
        ),
        TakingBack::Booked => println!("{claim} is taken back and booked"),
    }
    Ok(())
}

async fn list(app: &App, waiting_only: bool, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let mut claims = claim::list_claims(&mut connection, waiting_only, ASKED_MAX).await?;
    let has_older = cut(&mut claims);
    for listed in claims.iter().rev() {
        if is_json {
            println!("{}", serde_json::to_string(listed)?);
        } else {
            print(listed);
        }
    }
    if has_older {
        say_cut(OLDER, is_json);
    }
    Ok(())
}

fn print(listed: &Listed) {
    let Listed { claim_id, loan_id, asked_on, asked_by, .. } = listed;
    println!("{claim_id}  {asked_on}  {loan_id}  {} yuan  by {asked_by}  {}", amount(listed), became(listed));
}

fn amount(listed: &Listed) -> Fen {
    listed.principal_fen + listed.interest_fen + listed.fee_fen + listed.penalty_fen
}

fn became(listed: &Listed) -> String {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let (stated_by, reference) = (word(&listed.stated_by), word(&listed.bank_reference));
    match listed.status {
        ClaimStatus::Asked if listed.stated_by.is_some() => {
            format!("asked, said to be paid by {stated_by}, {reference}")
        }
        ClaimStatus::Asked => "asked".to_owned(),
        ClaimStatus::Paid => {
            let wrong = listed
                .take_back_stated_by
                .as_ref()
                .map(|by| format!("; said to be booked wrongly by {by}: {}", word(&listed.take_back_reason)));
            format!(
                "paid, {reference}, by {stated_by} and {}; {} recovered{}",
                word(&listed.confirmed_by),
                listed.recovered_fen,
                wrong.unwrap_or_default()
            )
        }
        ClaimStatus::TakenBack => format!(
            "paid, {reference}; taken back by {} and {}: {}",
            word(&listed.take_back_stated_by),
            word(&listed.taken_back_by),
            word(&listed.take_back_reason)
        ),
        ClaimStatus::Withdrawn => format!("withdrawn by {}: {}", word(&listed.withdrawn_by), word(&listed.reason)),
    }
}
