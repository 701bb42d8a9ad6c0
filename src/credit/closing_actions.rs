//! Closing an account: whatever is owed either way stands against it; then unused lines are closed and the person is erased.

use sqlx::PgConnection;

use super::application_store;
use super::change::Change;
use super::line::LineStatus;
use super::line_actions::{self, Locked, ManualChange};
use super::store;
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{BorrowerId, LineId};
use crate::bill;
use crate::borrower::card::Owes;
use crate::borrower::{BorrowerRefusal, InTransit, erase, owes, sum_in_transit};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};

/// Everything that stands against closing an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debts {
    /// Left on bills whose days of grace are over, penalty until today included.
    pub late: Fen,
    /// Left on bills that are not due yet, or in their days of grace.
    pub billed: Fen,
    /// Principal that no bill has asked for yet.
    pub unbilled: Fen,
    /// Being collected from a card, with an end that is not known.
    pub in_flight: Fen,
    /// Owed to the person by refunds and overpayments, and not paid to the card yet.
    pub owed_back: Fen,
    /// A loan is open though nothing is left of what was asked for: interest that no bill has asked for yet.
    pub is_open: bool,
    /// An application waits for its decision.
    pub is_applying: bool,
}

impl Debts {
    /// What the person owes.
    pub fn owed(&self) -> Fen {
        self.late + self.billed + self.unbilled
    }

    /// Why the account stays.
    ///
    /// # Errors
    /// The first reason.
    pub fn check(&self) -> Result<(), BorrowerRefusal> {
        if self.owed().is_positive() || self.is_open {
            return Err(BorrowerRefusal::StillOwing);
        }
        if self.in_flight.is_positive() || self.owed_back.is_positive() {
            return Err(BorrowerRefusal::MoneyInTransit);
        }
        if self.is_applying { Err(BorrowerRefusal::ApplicationOpen) } else { Ok(()) }
    }
}

/// What stands against closing a person's account today.
pub async fn debts(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Debts> {
    let installments = bill::own_actions::all_installments(app, borrower_id).await?;
    let is_open = owes(app, borrower_id).await? == Owes::Something;
    let mut connection = app.pool.acquire().await?;
    let lines = store::list_open_lines(&mut connection, borrower_id).await?;
    let InTransit { in_flight, owed_back } = sum_in_transit(&mut connection, borrower_id).await?;
    let applicants = application_store::find_applicants(&mut connection, &[borrower_id]).await?;
    let left = |is_late: bool| {
        let of_kind = installments.iter().filter(move |one| one.is_late() == is_late);
        of_kind.map(|one| one.owed.total()).sum::<Fen>()
    };
    let billed_principal: Fen = installments.iter().map(|one| one.owed.principal).sum();
    let principal: Fen = lines.iter().map(|line| line.used).sum();
    Ok(Debts {
        late: left(true),
        billed: left(false),
        unbilled: (principal - billed_principal).or_zero(),
        in_flight,
        owed_back,
        is_open,
        is_applying: applicants.iter().any(|applicant| !applicant.open_applications.is_empty()),
    })
}

/// Closes a person's lines and erases the person, or does nothing. Whoever calls has made sure who asks.
pub async fn close_account(app: &App, borrower_id: BorrowerId) -> Outcome<(), BorrowerRefusal> {
    debts(app, borrower_id).await?.check().map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let closed = close_and_erase(&mut transaction, app, borrower_id).await;
    database::end(transaction, closed).await
}

/// In one transaction: who applies for something meanwhile stays, and keeps the lines.
async fn close_and_erase(
    connection: &mut PgConnection,
    app: &App,
    borrower_id: BorrowerId,
) -> Outcome<(), BorrowerRefusal> {
    // All of them, as whoever erases locks them all, and the day is held after that.
    let lines = store::lock_lines_of(connection, borrower_id).await?;
    let day = business_day::store::hold_today(connection).await?;
    for line in lines.into_iter().filter(|line| line.status != LineStatus::Closed) {
        let manual = closing(line.line_id);
        // Somebody bought something at this very moment.
        let closed = line_actions::change_locked(connection, app, Locked { line, day }, manual).await;
        closed.map_err(|fault| fault.map_refusal(|_| BorrowerRefusal::StillOwing))?;
    }
    erase(connection, app, borrower_id).await
}

fn closing(line_id: LineId) -> ManualChange {
    ManualChange { line_id, change: Change::Close, person: "borrower".into(), reason: "closed the account".into() }
}
