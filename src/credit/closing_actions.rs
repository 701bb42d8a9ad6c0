//! Closing an account: unused lines are closed, then the person is erased.

use super::change::Change;
use super::line_actions::{self, ManualChange};
use super::store;
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{BorrowerId, LineId};
use crate::bill;
use crate::borrower::BorrowerRefusal;
use crate::borrower::actions::{erase, owes};
use crate::borrower::card::Owes;
use crate::error::{Fault, Outcome};

/// Unpaid principal on all lines, and what is owed beside it on bills that were cut: while there is any, the account stays.
pub async fn owed(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Fen> {
    let lines = store::list_open_lines(&mut *app.pool.acquire().await?, borrower_id).await?;
    let principal: Fen = lines.iter().map(|line| line.used).sum();
    Ok(principal + bill::own_actions::charges_owed(app, borrower_id).await?)
}

/// Closes a person's lines and erases the person. Whoever calls has made sure who asks. Repeating it after a crash goes on where it was.
pub async fn close_account(app: &App, borrower_id: BorrowerId) -> Outcome<(), BorrowerRefusal> {
    // Asked before any line is closed: a person who stays keeps the lines.
    if owes(app, borrower_id).await? == Owes::Something {
        return Err(Fault::Refused(BorrowerRefusal::StillOwing));
    }
    let lines = store::list_open_lines(&mut *app.pool.acquire().await?, borrower_id).await?;
    for line in lines {
        match line_actions::change_line(app, closing(line.line_id)).await {
            Ok(_) => {}
            // Somebody bought something at this very moment.
            Err(Fault::Refused(_)) => return Err(Fault::Refused(BorrowerRefusal::StillOwing)),
            Err(Fault::Failed(failure)) => return Err(Fault::Failed(failure)),
        }
    }
    erase(app, borrower_id).await
}

fn closing(line_id: LineId) -> ManualChange {
    ManualChange { line_id, change: Change::Close, person: "borrower".into(), reason: "closed the account".into() }
}
