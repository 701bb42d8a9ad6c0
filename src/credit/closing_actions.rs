//! Closing an account: refused while either side owes money or an application is undecided. Otherwise the lines are closed and
//! the person is erased.

use serde_json::json;
use sqlx::PgConnection;

use super::application_store;
use super::change::Change;
use super::line::LineStatus;
use super::line_actions::{self, Locked, ManualChange};
use super::store;
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::Fen;
use crate::base::id::{BorrowerId, LineId};
use crate::bill;
use crate::borrower::card::Owes;
use crate::borrower::{BorrowerRefusal, InTransit, erase, owes, sum_in_transit};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};

/// What keeps an account from being closed; all zero and `false` where nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// Owed on bills whose days of grace are over, penalty until today included.
    pub late: Fen,
    /// Owed on bills that are not due yet, or in their days of grace.
    pub billed: Fen,
    /// Principal that no bill has asked for yet.
    pub unbilled: Fen,
    /// Being collected from a card, with a result that is not known yet, or that its channel contradicts.
    pub in_flight: Fen,
    /// Owed to the person by refunds and overpayments, and not paid to the card yet.
    pub owed_back: Fen,
    /// Came by transfers that somebody has proposed to take back, and is owed again if that is confirmed.
    pub in_question: Fen,
    /// Whether anything is owed at all. It may be interest alone that no bill has asked for yet, which is in none of the amounts.
    pub owes_anything: bool,
    /// Whether an application waits for its decision.
    pub is_applying: bool,
}

impl Obstacles {
    /// What the person owes.
    pub fn owed(&self) -> Fen {
        self.late + self.billed + self.unbilled
    }

    /// Whether the account may be closed.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self) -> Result<(), BorrowerRefusal> {
        if self.owed().is_positive() || self.owes_anything {
            return Err(BorrowerRefusal::StillOwing);
        }
        if self.in_flight.is_positive() || self.owed_back.is_positive() || self.in_question.is_positive() {
            return Err(BorrowerRefusal::MoneyInTransit);
        }
        if self.is_applying { Err(BorrowerRefusal::ApplicationOpen) } else { Ok(()) }
    }
}

/// What keeps a person's account from being closed today.
pub async fn obstacles(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Obstacles> {
    let installments = bill::own_actions::all_installments(app, borrower_id).await?;
    let owes_anything = owes(app, borrower_id).await? == Owes::Something;
    let mut connection = app.pool.acquire().await?;
    let principal = store::sum_used_by(&mut connection, borrower_id).await?;
    let InTransit { in_flight, owed_back, in_question } = sum_in_transit(&mut connection, borrower_id).await?;
    let applicants = application_store::find_applicants(&mut connection, &[borrower_id]).await?;
    let left = |is_late: bool| {
        let of_kind = installments.iter().filter(move |one| one.is_late() == is_late);
        of_kind.map(|one| one.owed.total()).sum::<Fen>()
    };
    let billed_principal: Fen = installments.iter().map(|one| one.owed.principal).sum();
    Ok(Obstacles {
        late: left(true),
        billed: left(false),
        unbilled: (principal - billed_principal).or_zero(),
        in_flight,
        owed_back,
        in_question,
        owes_anything,
        is_applying: applicants.iter().any(|applicant| !applicant.open_applications.is_empty()),
    })
}

/// Who closes an account, and why, as the journals of its lines say it.
#[derive(Clone, Debug)]
pub struct Closing {
    pub person: String,
    pub reason: String,
}

/// Closes a person's lines and erases the person, or does nothing. The caller has made sure that it is that person who asks.
///
/// # Errors
/// The first reason why the account stays.
pub async fn close_account(app: &App, borrower_id: BorrowerId) -> Outcome<(), BorrowerRefusal> {
    let by_owner = Closing { person: "borrower".into(), reason: "closed the account".into() };
    close_for(app, borrower_id, &by_owner).await
}

/// As [`close_account`], by an operator for an owner who cannot do it.
///
/// # Errors
/// The first reason why the account stays.
pub async fn close_for(app: &App, borrower_id: BorrowerId, closing: &Closing) -> Outcome<(), BorrowerRefusal> {
    obstacles(app, borrower_id).await?.check().map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let closed = close_and_erase(&mut transaction, app, borrower_id, closing).await;
    database::end(transaction, closed).await
}

/// Closes the lines and erases the person in one transaction: if `erase` refuses, because the person has applied for a line
/// meanwhile, the lines stay open as well.
async fn close_and_erase(
    connection: &mut PgConnection,
    app: &App,
    borrower_id: BorrowerId,
    Closing { person, reason }: &Closing,
) -> Outcome<(), BorrowerRefusal> {
    // Closed lines are locked as well: `erase` locks them all, and lines must be locked before the day is held.
    let lines = store::lock_lines_of(connection, borrower_id).await?;
    let day = business_day::store::hold_today(connection).await?;
    let mut ended: Vec<LineId> = Vec::new();
    for line in lines.into_iter().filter(|line| line.status != LineStatus::Closed) {
        let (person, reason) = (person.clone(), reason.clone());
        let manual = ManualChange { line_id: line.line_id, change: Change::Close, person, reason };
        ended.push(line.line_id);
        // It was looked at before the lock: a purchase may have come in between.
        let closed = line_actions::change_locked(connection, app, Locked { line, day }, manual).await;
        closed.map_err(|fault| fault.map_refusal(|_| BorrowerRefusal::StillOwing))?;
    }
    erase(connection, app, borrower_id).await?;
    audit::record(connection, app, Act::new(Action::PersonErased, borrower_id, json!({ "lines": ended }))).await?;
    Ok(())
}
