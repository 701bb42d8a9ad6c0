//! Use cases of transfers that were recorded wrongly: one person proposes to take one back, another person confirms it.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::account::{Repayment, Source};
use super::reversal_actions::{ToReverse, reverse};
use super::transfer::{Proposal, TakeBackRefusal, Transferred};
use super::{notices, reversal_store, transfer_store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::When;
use crate::base::id::RepaymentId;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::settlement::{Cancelling, cancel_left_over};
use crate::{business_day, credit, notice, overdue};

/// Proposes to take a transfer back, replacing any earlier proposal; nothing is booked yet. Returns the number by which the second
/// person confirms it.
pub async fn propose_taking_back(
    app: &App,
    repayment_id: RepaymentId,
    proposal: &Proposal,
) -> Outcome<i32, TakeBackRefusal> {
    let proposal = proposal.trimmed().map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let transfer = lock_transfer(&mut transaction, repayment_id).await?;
    let proposal_no = transfer.next_proposal().map_err(Fault::Refused)?;
    transfer_store::save_proposal(&mut transaction, repayment_id, proposal_no, &proposal).await?;
    let act = Act::new(Action::TakingBackProposed, repayment_id, json!({ "proposal_no": proposal_no }));
    audit::record(&mut transaction, app, act).await?;
    transaction.commit().await?;
    Ok(proposal_no)
}

/// Withdraws the proposal to take a transfer back, by anybody: the transfer stands.
pub async fn keep_transfer(app: &App, repayment_id: RepaymentId) -> Outcome<(), TakeBackRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let transfer = lock_transfer(&mut transaction, repayment_id).await?;
    transfer.keep().map_err(Fault::Refused)?;
    transfer_store::withdraw_proposal(&mut transaction, repayment_id).await?;
    let act = Act::new(Action::TransferKept, repayment_id, json!({ "proposal_no": transfer.proposal_no }));
    audit::record(&mut transaction, app, act).await?;
    transaction.commit().await?;
    Ok(())
}

/// Takes a transfer back. The second person names the proposal that they were shown. What the transfer had paid is owed again, its
/// excess is not paid back, and its bank reference can be recorded again. Returns the reversal.
pub async fn confirm_taking_back(
    app: &App,
    repayment_id: RepaymentId,
    proposal_no: i32,
    by: &str,
) -> Outcome<Repayment, TakeBackRefusal> {
    let by = by.trim();
    if by.is_empty() {
        return Err(Fault::Refused(TakeBackRefusal::NameMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let taken_back = take_back(&mut transaction, app, Confirmation { repayment_id, proposal_no, by }).await;
    database::end(transaction, taken_back).await
}

/// A second person's confirmation of a proposal.
struct Confirmation<'a> {
    repayment_id: RepaymentId,
    proposal_no: i32,
    by: &'a str,
}

async fn take_back(
    connection: &mut PgConnection,
    app: &App,
    confirmation: Confirmation<'_>,
) -> Outcome<Repayment, TakeBackRefusal> {
    let Confirmation { repayment_id, proposal_no, by } = confirmation;
    let line_id = transfer_store::find_line(connection, repayment_id).await?;
    let line_id = line_id.ok_or(Fault::Refused(TakeBackRefusal::UnknownTransfer))?;
    let line = credit::store::lock_lines(connection, &[line_id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    let when = When { business_day: business_day::store::hold_today(connection).await?, at: app.clock.now() };
    let transfer = lock_transfer(connection, repayment_id).await?;
    transfer.confirm(proposal_no, by).map_err(Fault::Refused)?;
    let operator = transfer.recorded_by.unwrap_or_default();
    let source = Source::Transfer { bank_reference: transfer.bank_reference, operator };
    let original = reversal_store::find_transferred(connection, line_id, repayment_id, source).await?;
    let original = original.ok_or(sqlx::Error::RowNotFound)?;
    cancel_what_is_left(connection, &original, when.at).await?;
    let reversed = reverse(connection, app, line, ToReverse { original: &original, person: by, when }).await;
    let reversed = reversed.map_err(|fault| fault.map_refusal(TakeBackRefusal::NotReversed))?;
    let reversal_id = reversed.reversal.repayment_id;
    if !transfer_store::mark_taken_back(connection, repayment_id, by, reversal_id).await? {
        return Err(Fault::Refused(TakeBackRefusal::TakenBack));
    }
    let told = notices::transfer_taken_back(reversed.borrower_id, &reversed.reversal);
    notice::raise(connection, &[told]).await?;
    overdue::tell_passed(connection, app, line_id).await?;
    let detail = json!({ "proposal_no": proposal_no, "reversal_id": reversal_id });
    audit::record(connection, app, Act::new(Action::TransferTakenBack, repayment_id, detail)).await?;
    Ok(reversed.reversal)
}

async fn lock_transfer(
    connection: &mut PgConnection,
    repayment_id: RepaymentId,
) -> Outcome<Transferred, TakeBackRefusal> {
    let found = transfer_store::lock_transfer(connection, repayment_id).await?;
    found.ok_or(Fault::Refused(TakeBackRefusal::UnknownTransfer))
}

/// Cancels the payout of the transfer's excess, if there is one.
async fn cancel_what_is_left(
    connection: &mut PgConnection,
    original: &Repayment,
    now: DateTime<Utc>,
) -> Outcome<(), TakeBackRefusal> {
    if !original.excess.is_positive() {
        return Ok(());
    }
    match cancel_left_over(connection, original.repayment_id, now).await? {
        Cancelling::Cancelled => Ok(()),
        Cancelling::UnderWay { payout_id } => Err(Fault::Refused(TakeBackRefusal::LeftOverUnderWay { payout_id })),
        Cancelling::Paid { payout_id } => Err(Fault::Refused(TakeBackRefusal::LeftOverPaid { payout_id })),
    }
}
