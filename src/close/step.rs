//! The steps of the close, in order. Each is planned into ranges of accounts and run one range at a time.

use sqlx::PgConnection;

use crate::app::App;
use crate::base::{AccountRange, BusinessDay};
use crate::{bill, credit, day_file, ledger, loan, overdue, repayment, settlement};

/// One step. What it does stands in its feature's `close.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// What merchants are owed for the day, and the orders to pay it.
    Clearing,
    /// Bills of the lines whose statement day it is.
    Statements,
    /// Orders to collect what is due tomorrow, or overdue and on the timetable.
    Withholding,
    /// Lines that are frozen from today on, and who is told.
    Overdue,
    /// The day's interest, one posting for each funder and product.
    Interest,
    /// Lines whose last day it was and that owe nothing. Quotes need no step: a payoff's names its business day, a schedule that a page
    /// showed is compared with that of the day on which it is agreed to, and an order's code bears its time.
    Expiry,
    /// What each funder gets of the day's collections.
    Remittance,
    /// What funders' files are to be made of the day.
    Files,
    /// Sums of the day by account.
    TrialBalance,
}

/// Accounts whose work a worker does in one transaction: long enough to be set-based, short enough to lose little to a crash.
pub const CHUNK_ROWS: i64 = 25_000;

impl Step {
    pub const ALL: [Step; 9] = [
        Step::Clearing,
        Step::Statements,
        Step::Withholding,
        Step::Overdue,
        Step::Interest,
        Step::Expiry,
        Step::Remittance,
        Step::Files,
        Step::TrialBalance,
    ];

    /// How many steps come before it.
    pub fn place(self) -> usize {
        Self::ALL.iter().take_while(|step| **step != self).count()
    }

    pub const fn name(self) -> &'static str {
        match self {
            Step::Clearing => "clearing",
            Step::Statements => "statements",
            Step::Withholding => "withholding",
            Step::Overdue => "overdue",
            Step::Interest => "interest",
            Step::Expiry => "expiry",
            Step::Remittance => "remittance",
            Step::Files => "files",
            Step::TrialBalance => "trial_balance",
        }
    }

    /// How the step's work of `day` is cut by account, into chunks of about `chunk_rows` rows.
    pub(super) async fn plan(
        self,
        connection: &mut PgConnection,
        app: &App,
        day: BusinessDay,
        chunk_rows: i64,
    ) -> anyhow::Result<Vec<AccountRange>> {
        let ranges = match self {
            Step::Clearing => settlement::close::plan(connection, day, chunk_rows).await?,
            Step::Statements => bill::close::plan(connection, day, chunk_rows).await?,
            Step::Withholding => repayment::close::plan(connection, app, day, chunk_rows).await?,
            Step::Overdue => overdue::close::plan(connection, app, day, chunk_rows).await?,
            Step::Interest => loan::close::plan(connection, day, chunk_rows).await?,
            Step::Expiry => credit::close::plan(connection, day, chunk_rows).await?,
            Step::Remittance => settlement::remittance_close::plan(connection, day, chunk_rows).await?,
            Step::Files => day_file::close::plan(connection, day, chunk_rows).await?,
            Step::TrialBalance => ledger::close::plan(connection, day, chunk_rows).await?,
        };
        Ok(ranges)
    }

    /// Does the step's work of `day` for one range; returns the rows written.
    pub(super) async fn run(
        self,
        connection: &mut PgConnection,
        app: &App,
        day: BusinessDay,
        range: AccountRange,
    ) -> anyhow::Result<u64> {
        match self {
            Step::Clearing => settlement::close::run(connection, app, day, range).await,
            Step::Statements => bill::close::run(connection, app, day, range).await,
            Step::Withholding => repayment::close::run(connection, app, day, range).await,
            Step::Overdue => overdue::close::run(connection, app, day, range).await,
            Step::Interest => loan::close::run(connection, app, day, range).await,
            Step::Expiry => credit::close::run(connection, app, day, range).await,
            Step::Remittance => settlement::remittance_close::run(connection, app, day, range).await,
            Step::Files => day_file::close::run(connection, app, day, range).await,
            Step::TrialBalance => ledger::close::run(connection, app, day, range).await,
        }
    }
}
