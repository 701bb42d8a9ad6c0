//! The steps of the close, in order. Each step is first planned as ranges of accounts (chunks), then run one range at a time.

use sqlx::PgConnection;

use crate::app::App;
use crate::base::{AccountRange, BusinessDay};
use crate::{bill, credit, day_file, ledger, loan, overdue, repayment, settlement};

/// One step. What it does is in its feature's `close.rs`.
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
    /// Lines past their last day that owe nothing: they are closed. Quotes and codes need no such step, because whoever uses one checks it: a
    /// payoff quote names its business day, a schedule shown on a page is compared with that of the day of agreement, and an order's code
    /// carries its time.
    Expiry,
    /// What each funder gets of the day's collections.
    Remittance,
    /// What funders' files are to be made of the day.
    Files,
    /// Sums of the day by account.
    TrialBalance,
}

/// Accounts of one chunk, which is one transaction: enough to be efficient, few enough to lose little to a crash.
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

    /// Cuts the step's work of `day` into ranges of accounts of about `chunk_rows` rows each, or leaves it whole.
    pub(super) async fn plan(
        self,
        connection: &mut PgConnection,
        app: &App,
        day: BusinessDay,
        chunk_rows: i64,
    ) -> anyhow::Result<Vec<AccountRange>> {
        let ranges = match self {
            Step::Statements => bill::close::plan(connection, day, chunk_rows).await?,
            Step::Withholding => repayment::close::plan(connection, app, day, chunk_rows).await?,
            Step::Overdue => overdue::close::plan(connection, app, day, chunk_rows).await?,
            // Four of these sum a day over all lines before anything is written; few lines expire on one day, and funders are few.
            Step::Clearing | Step::Interest | Step::Expiry | Step::Remittance | Step::Files | Step::TrialBalance => {
                vec![AccountRange::ALL]
            }
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
