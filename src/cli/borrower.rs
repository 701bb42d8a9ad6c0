//! `fenqi borrower`: a person's account, closed by an operator for an owner who cannot.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::app::App;
use crate::audit::Person;
use crate::base::id::BorrowerId;
use crate::base::person::Mobile;
use crate::borrower;
use crate::cli::line::Who;
use crate::cli::trial;
use crate::credit::closing_actions::{self, Closing};
use crate::error::Fault;

#[derive(clap::Subcommand)]
pub enum Args {
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
    #[arg(required_unless_present = "mobile")]
    borrower: Option<BorrowerId>,
    /// In place of the borrower, the mobile that signs in to the account
    #[arg(long, conflicts_with = "borrower")]
    mobile: Option<Mobile>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    let Args::Close { named, who } = args;
    close(&app, &named, who).await?;
    Ok(ExitCode::SUCCESS)
}

async fn close(app: &App, named: &Named, who: Who) -> anyhow::Result<()> {
    let borrower_id = match &named.mobile {
        Some(mobile) => borrower::actions::find_by_mobile(app, mobile).await?.context("no borrower has this mobile")?,
        None => named.borrower.context("name the borrower, or the mobile by --mobile")?,
    };
    if borrower::is_erased(&mut *app.pool.acquire().await?, borrower_id).await? {
        println!("the account of {borrower_id} was closed before");
        return Ok(());
    }
    let app = app.by(Person::typed(&who.by));
    let closing = Closing { person: who.by, reason: who.reason };
    closing_actions::close_for(&app, borrower_id, &closing).await.map_err(Fault::into_error)?;
    println!(
        "the account of {borrower_id} is closed: its lines have ended, and nothing here tells any more who it was"
    );
    Ok(())
}
