//! Use case of payouts whose channel contradicts itself: two people say what became of one.

use sqlx::PgConnection;

use super::contradiction::{Ending, Proposal, Settling};
use super::contradiction_store;
use super::payout::{PayoutRefusal, PayoutStatus};
use super::payout_actions::book_paid;
use super::payout_store::{self as store, Change, Locked};
use super::posting::Booking;
use crate::app::App;
use crate::base::id::PayoutId;
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};

/// Takes what `by` says became of a payout. The first such word is kept; where a second person says the same, the payout ends so: paid
/// and booked today, or failed and to be retried.
pub async fn settle_payout(
    app: &App,
    payout_id: PayoutId,
    ending: Ending,
    by: &str,
) -> Outcome<Settling, PayoutRefusal> {
    let (ending, by) = (trimmed(ending)?, by.trim());
    if by.is_empty() {
        return Err(Fault::Refused(PayoutRefusal::NameMissing));
    }
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let today = business_day::store::hold_today(&mut transaction).await?;
    let locked = store::lock_payouts(&mut transaction, &[payout_id]).await?;
    let payout = locked.first().ok_or(Fault::Refused(PayoutRefusal::UnknownPayout))?;
    let contradicted = payout.contradicted().ok_or(Fault::Refused(PayoutRefusal::NotContradicted))?;
    let settling = contradicted.settle(&ending, by).map_err(Fault::Refused)?;
    let is_done = match &settling {
        Settling::Proposed => {
            let proposal = Proposal { ending, by: by.to_owned() };
            contradiction_store::propose(&mut transaction, payout_id, &proposal, now).await?
        }
        Settling::Confirmed { proposed_by } => {
            let detail = format!("{}, proposed by {proposed_by}, confirmed by {by}", ending.words());
            let is_ended = contradiction_store::end(&mut transaction, payout_id, &detail, now).await?;
            end(&mut transaction, payout, &ending, Booking { business_day: today, at: now }).await?;
            is_ended
        }
    };
    if !is_done {
        return Err(Fault::Refused(PayoutRefusal::NotContradicted));
    }
    transaction.commit().await?;
    Ok(settling)
}

fn trimmed(ending: Ending) -> Result<Ending, Fault<PayoutRefusal>> {
    match ending {
        Ending::Paid { bank_reference } if bank_reference.trim().is_empty() => {
            Err(Fault::Refused(PayoutRefusal::ReferenceMissing))
        }
        Ending::Paid { bank_reference } => Ok(Ending::Paid { bank_reference: bank_reference.trim().to_owned() }),
        Ending::Failed => Ok(Ending::Failed),
    }
}

/// Ends a locked payout as two people say, in the books too.
async fn end(connection: &mut PgConnection, payout: &Locked, ending: &Ending, booking: Booking) -> anyhow::Result<()> {
    let (after, bank_reference, failure) = match ending {
        Ending::Paid { bank_reference } => (PayoutStatus::Succeeded, Some(bank_reference.clone()), None),
        Ending::Failed => {
            let failure = payout.failure.clone().unwrap_or_else(|| "settled_by_hand".to_owned());
            (PayoutStatus::Failed, None, Some(failure))
        }
    };
    let paid: Option<(Locked, String)> = bank_reference.clone().map(|reference| (payout.clone(), reference));
    let change = Change {
        payout_id: payout.payout_id,
        attempt_no: payout.attempt_no,
        before: payout.status,
        after,
        failure,
        bank_reference,
        query_at: None,
    };
    let changed = store::save_changes(&mut *connection, &[change], booking.at).await?;
    anyhow::ensure!(changed == 1, "a locked payout changed its status");
    book_paid(connection, paid.as_slice(), booking).await
}
