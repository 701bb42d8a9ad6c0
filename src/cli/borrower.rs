//! `fenqi borrower`: a person's account, given another mobile, found by a former one, or closed by an operator for an owner who cannot.

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::app::App;
use crate::audit::Person;
use crate::base::BusinessDay;
use crate::base::id::BorrowerId;
use crate::base::person::{Mobile, ResidentId};
use crate::bill::own_store;
use crate::borrower::mobile_actions::{Former, NewMobile, StatedBy, change_mobile, find_former};
use crate::borrower::{self, BorrowerRefusal};
use crate::cli::by::Who;
use crate::cli::trial;
use crate::credit::actions::open_lines;
use crate::credit::closing_actions::{self, Closing};
use crate::error::Fault;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Give an account another mobile for its owner, who can use the former one no more: nobody stays signed in
    ChangeMobile {
        #[command(flatten)]
        named: Named,
        /// The mobile that signs in to the account from then on
        #[arg(long)]
        to: Mobile,
        #[command(flatten)]
        who: Who,
    },
    /// Find the account that had a mobile until it was given another one, by the day that the SMS to the former mobile names
    Former {
        /// The mobile that was given up
        #[arg(long)]
        mobile: Mobile,
        /// The day on which it was
        #[arg(long)]
        day: BusinessDay,
    },
    /// Close an account for its owner, as the owner would at /me/close: end its lines, and delete what tells who the person is
    Close {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        who: Who,
    },
}

/// Which borrower.
#[derive(clap::Args)]
pub struct Named {
    /// The borrower
    #[arg(required_unless_present_any = ["mobile", "id_number"])]
    borrower: Option<BorrowerId>,
    /// In place of the borrower, the mobile that signs in to the account
    #[arg(long, conflicts_with = "borrower")]
    mobile: Option<Mobile>,
    /// In place of both, the ID number that the account is registered with, of somebody who does not know its mobile
    #[arg(long, conflicts_with_all = ["borrower", "mobile"])]
    id_number: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::ChangeMobile { named, to, who } => change(&app, &named, to, who).await?,
        Args::Former { mobile, day } => former(&app, &mobile, day).await?,
        Args::Close { named, who } => close(&app, &named, who).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(app: &App, named: &Named) -> anyhow::Result<BorrowerId> {
    if let Some(number) = &named.id_number {
        let number = ResidentId::parse(number, BusinessDay::at(app.clock.now()))?;
        let found = borrower::actions::find_by_id_number(app, &number).await?;
        return found.context("no borrower is registered with this ID number");
    }
    match &named.mobile {
        Some(mobile) => borrower::actions::find_by_mobile(app, mobile).await?.context("no borrower has this mobile"),
        None => named.borrower.context("name the borrower, the mobile by --mobile, or the ID number by --id-number"),
    }
}

async fn change(app: &App, named: &Named, to: Mobile, who: Who) -> anyhow::Result<()> {
    let borrower_id = find(app, named).await?;
    let app = app.by(Person::typed(&who.by));
    let stated_by = StatedBy::Operator { person: who.by, reason: who.reason };
    let new = NewMobile { mobile: to, stated_by };
    match change_mobile(&app, borrower_id, &new).await {
        Ok(()) => {
            println!("{borrower_id} signs in by {} from now on, and is signed out everywhere", new.mobile);
            Ok(())
        }
        Err(Fault::Refused(BorrowerRefusal::MobileUnchanged)) => {
            println!("{borrower_id} signs in by {} already", new.mobile);
            Ok(())
        }
        Err(fault) => Err(fault.into_error()),
    }
}

async fn former(app: &App, mobile: &Mobile, day: BusinessDay) -> anyhow::Result<()> {
    let found = find_former(app, mobile, day).await?;
    if found.is_empty() {
        bail!("no account gave this mobile up on {day}");
    }
    for Former { borrower_id, until, changed_by } in found {
        let until = until.with_timezone(&chrono_tz::Asia::Shanghai).format("%Y-%m-%d %H:%M:%S");
        println!("{borrower_id} had it until {until}, when it was changed by {changed_by}");
        for line in open_lines(app, borrower_id).await? {
            println!("  {}", line.line_id);
        }
    }
    Ok(())
}

async fn close(app: &App, named: &Named, who: Who) -> anyhow::Result<()> {
    let borrower_id = find(app, named).await?;
    if borrower::is_erased(&mut *app.pool.acquire().await?, borrower_id).await? {
        println!("the account of {borrower_id} was closed before");
        return Ok(());
    }
    let app = app.by(Person::typed(&who.by));
    let closing = Closing { person: who.by, reason: who.reason };
    match closing_actions::close_for(&app, borrower_id, &closing).await {
        Ok(()) => {}
        Err(Fault::Refused(refusal)) => bail!("{refusal}{}", against(&app, borrower_id).await?),
        Err(fault) => return Err(fault.into_error()),
    }
    println!(
        "the account of {borrower_id} is closed: its lines have ended, and nothing here tells any more who it was"
    );
    Ok(())
}

/// What keeps an account from being closed, and the command that shows more of it, as the end of a sentence; empty where nothing does.
async fn against(app: &App, borrower_id: BorrowerId) -> anyhow::Result<String> {
    let obstacles = closing_actions::obstacles(app, borrower_id).await?;
    let amounts = [
        (obstacles.owed(), "owed"),
        (obstacles.in_flight, "being collected or in an open break (`fenqi break list`)"),
        (obstacles.owed_back, "on the way back to the card"),
        (obstacles.in_question, "by a transfer that may be taken back"),
    ];
    let amounts = amounts.iter().filter(|(amount, _)| amount.is_positive());
    let mut told: Vec<String> = amounts.map(|(amount, what)| format!("{amount} yuan {what}")).collect();
    if obstacles.owes_anything && !obstacles.owed().is_positive() {
        told.push("interest that no bill has asked for yet".to_owned());
    }
    if obstacles.is_applying {
        told.push("an application that is not decided".to_owned());
    }
    if told.is_empty() {
        return Ok(String::new());
    }
    let lines = own_store::list_lines(&mut *app.pool.acquire().await?, borrower_id).await?;
    let shown: Vec<String> = lines.iter().map(|line_id| format!("`fenqi line show {line_id}`")).collect();
    let see = if shown.is_empty() { String::new() } else { format!("; see {}", shown.join(", ")) };
    Ok(format!(": {}{see}", told.join(", ")))
}
