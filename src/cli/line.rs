//! `fenqi line`: shows operators a borrower's line and its loans, and changes the line.

mod loan;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::app::App;
use crate::audit::Person;
use crate::base::id::LineId;
use crate::base::person::Mobile;
use crate::base::{Fen, counted};
use crate::bill::own_store::{self, Loans, OwnLoan};
use crate::borrower;
use crate::cli::by::Who;
use crate::cli::trial;
use crate::credit::line_actions::{self, ManualChange};
use crate::credit::store::{self, Changed};
use crate::credit::{self, Change, Freeze, Line};
use crate::error::Fault;

/// The number of changes, and of loans, that are shown of one line.
const SHOWN_MAX: i64 = 20;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Show a line: its state, its last twenty loans, and the last twenty changes of limit and state with who made them
    Show {
        #[command(flatten)]
        named: Named,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one loan as its borrower reads it: every figure with the arithmetic and the terms that it comes from, and its ledger entries
    Loan(loan::Args),
    /// Let nothing be bought on a line until it is unfrozen
    Freeze {
        #[command(flatten)]
        named: Named,
        /// What it is frozen for
        #[arg(long = "for", value_enum, default_value = "operator")]
        why: Why,
        #[command(flatten)]
        who: Who,
    },
    /// Lift a freeze; other freezes of the line stay
    Unfreeze {
        #[command(flatten)]
        named: Named,
        /// What it is frozen for
        #[arg(long = "for", value_enum, default_value = "operator")]
        why: Why,
        #[command(flatten)]
        who: Who,
    },
    /// Set another limit, at most the product's highest; below what is used, nothing can be bought until enough is paid
    Limit {
        #[command(flatten)]
        named: Named,
        /// The new limit, in fen
        #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..=Fen::MAX.get()))]
        limit_fen: i64,
        #[command(flatten)]
        who: Who,
    },
    /// End a line of which nothing is used
    Close {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        who: Who,
    },
}

/// Which line.
#[derive(clap::Args)]
pub struct Named {
    /// The line
    #[arg(required_unless_present = "mobile")]
    line: Option<LineId>,
    /// In place of the line, the mobile of a borrower who has one line
    #[arg(long, conflicts_with = "line")]
    mobile: Option<Mobile>,
}

/// What a person freezes a line for. Lateness freezes it by itself, and paying lifts that.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Why {
    Operator,
    Risk,
}

impl Why {
    fn freeze(self) -> Freeze {
        match self {
            Why::Operator => Freeze::Operator,
            Why::Risk => Freeze::Risk,
        }
    }
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::Show { named, json } => show(&app, &named, json).await?,
        Args::Loan(wanted) => loan::show(&app, wanted).await?,
        Args::Freeze { named, why, who } => change(&app, &named, Change::Freeze(why.freeze()), who).await?,
        Args::Unfreeze { named, why, who } => change(&app, &named, Change::Unfreeze(why.freeze()), who).await?,
        Args::Limit { named, limit_fen, who } => change(&app, &named, Change::Limit(Fen::new(limit_fen)), who).await?,
        Args::Close { named, who } => change(&app, &named, Change::Close, who).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(app: &App, named: &Named, change: Change, who: Who) -> anyhow::Result<()> {
    let line_id = find_line(app, named).await?;
    let app = app.by(Person::typed(&who.by));
    let manual = ManualChange { line_id, change, person: who.by, reason: who.reason };
    let line = line_actions::change_line(&app, manual).await.map_err(Fault::into_error)?;
    println!("{line_id} is {}: limit {} yuan, used {}", state(&line), line.limit, line.used);
    Ok(())
}

async fn show(app: &App, named: &Named, is_json: bool) -> anyhow::Result<()> {
    let line_id = find_line(app, named).await?;
    let mut connection = app.pool.acquire().await?;
    let line = store::find_line(&mut connection, line_id).await?.context("the line was found before")?;
    let product = app.catalogue.get(&mut connection, line.product_id, line.product_version).await?;
    let changes = store::list_changes(&mut connection, line_id, SHOWN_MAX).await?;
    let loans = own_store::list_loans(&mut connection, &[line_id], Loans::Before(None), SHOWN_MAX).await?;
    if is_json {
        let (status, frozen_for) = line.status.stored();
        let shown = json!({
            "line_id": line_id,
            "borrower_id": line.borrower_id,
            "product": product.terms.code,
            "product_version": line.product_version,
            "grade": line.grade,
            "status": status,
            "frozen_for": frozen_for,
            "limit_fen": line.limit,
            "used_fen": line.used,
            "available_fen": line.available(),
            "expires_on": line.expires_on,
            "changes": changes,
            "loans": loans.iter().map(of_loan).collect::<Vec<Value>>(),
        });
        println!("{shown}");
        return Ok(());
    }
    let (limit, used, available) = (line.limit, line.used, line.available());
    println!("{line_id} of {} is {}, grade {}", line.borrower_id, state(&line), line.grade);
    println!("    limit {limit} yuan, used {used}, available {available}; good through {}", line.expires_on);
    println!("    product {} version {}", product.terms.code, line.product_version);
    for Changed { kind, limit_after_fen, reason, business_day, .. } in changes.iter().rev() {
        let reason = reason.as_ref().map_or_else(String::new, |reason| format!("  {reason}"));
        println!("    {business_day}  {kind:<8}  limit {limit_after_fen} yuan{reason}");
    }
    for loan in loans.iter().rev() {
        let (principal, left, status) = (loan.principal, loan.outstanding(), loan.status.name());
        println!(
            "    {}  {}  {principal} yuan in {} at {}: {status}, {left} of principal left",
            loan.made_on,
            loan.loan_id,
            counted(loan.periods, "period"),
            loan.merchant_name
        );
    }
    Ok(())
}

fn of_loan(loan: &OwnLoan) -> Value {
    json!({
        "loan_id": loan.loan_id,
        "purchase_id": loan.purchase_id,
        "made_on": loan.made_on,
        "merchant": loan.merchant_name,
        "periods": loan.periods,
        "status": loan.status,
        "principal_fen": loan.principal,
        "outstanding_fen": loan.outstanding(),
    })
}

fn state(line: &Line) -> String {
    match line.status.stored() {
        (status, Some(reasons)) => format!("{status} ({reasons})"),
        (status, None) => status.to_owned(),
    }
}

/// The line that is named by its id, or the only open one of the borrower with the mobile.
///
/// # Errors
/// If there is none, or several.
pub async fn find_line(app: &App, named: &Named) -> anyhow::Result<LineId> {
    let Some(mobile) = &named.mobile else {
        let line_id = named.line.context("name the line, or the borrower by --mobile")?;
        let line = store::find_line(&mut *app.pool.acquire().await?, line_id).await?;
        return line
            .map(|line| line.line_id)
            .with_context(|| format!("there is no line {line_id}; name its borrower by --mobile"));
    };
    let borrower_id = borrower::actions::find_by_mobile(app, mobile).await?.context("no borrower has this mobile")?;
    let lines = credit::actions::open_lines(app, borrower_id).await?;
    match lines.as_slice() {
        [line] => Ok(line.line_id),
        [] => bail!("{borrower_id} has no open line; name the line that is meant"),
        several => {
            let named: Vec<String> = several.iter().map(|line| line.line_id.to_string()).collect();
            bail!("{borrower_id} has several lines, name one: {}", named.join(", "))
        }
    }
}
