//! Use case of payouts whose channel contradicts itself: two people state what became of one.

use anyhow::Context;
use serde_json::json;
use sqlx::PgConnection;

use super::contradiction::{Ending, Proposal, Settling};
use super::contradiction_store;
use super::notices;
use super::payout::{ASK_AGAIN_AFTER, PayoutKind, PayoutRefusal, PayoutStatus};
use super::payout_actions::{PaidPayout, becomes, book_paid, is_payee_forgotten};
use super::payout_store::{self as store, Change, Locked};
use super::{posting, remittance_store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::When;
use crate::base::id::{FunderId, PayoutId};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::funder::find_code;
use crate::{ledger, notice, outbox};

/// Takes the statement of `by` on what became of a payout. The first statement is stored. Once a second person states the same, the
/// payout ends that way: it is paid and booked today, or it has failed and can be retried. A booked payment that was never made is
/// reversed today.
///
/// # Errors
/// `NotContradicted` if there is nothing to settle: the channel does not contradict itself, and it is not a failed payout whose payee
/// was erased. Also those of [`Contradicted::settle`](super::contradiction::Contradicted::settle), and a missing name or reference.
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
    let mut transaction = database::begin(&app.pool).await?;
    let proposal = Proposal { ending, by: by.to_owned() };
    let settled = settle(&mut transaction, app, payout_id, proposal).await;
    database::end(transaction, settled).await
}

async fn settle(
    connection: &mut PgConnection,
    app: &App,
    payout_id: PayoutId,
    proposal: Proposal,
) -> Outcome<Settling, PayoutRefusal> {
    let now = app.clock.now();
    let today = business_day::store::hold_today(connection).await?;
    let locked = store::lock_payouts(connection, &[payout_id]).await?;
    let payout = locked.first().ok_or(Fault::Refused(PayoutRefusal::UnknownPayout))?;
    let mut attempt_no = payout.contradicted_attempt;
    if attempt_no.is_none() && payout.status == PayoutStatus::Failed && is_payee_forgotten(connection, payout).await? {
        attempt_no = Some(payout.attempt_no);
    }
    let attempt_no = attempt_no.ok_or(Fault::Refused(PayoutRefusal::NotContradicted))?;
    let settling = payout.to_settle(attempt_no).settle(&proposal.ending, &proposal.by).map_err(Fault::Refused)?;
    let is_done = match &settling {
        Settling::Proposed => contradiction_store::propose(connection, payout_id, &proposal, now).await?,
        Settling::Confirmed { proposed_by } => {
            let Proposal { ending, by } = &proposal;
            let detail = format!("{}, proposed by {proposed_by}, confirmed by {by}", ending.words());
            let is_ended = contradiction_store::end(connection, payout_id, &detail, now).await?;
            end(connection, payout, ending, When { business_day: today, at: now }).await?;
            is_ended
        }
    };
    if !is_done {
        return Err(Fault::Refused(PayoutRefusal::NotContradicted));
    }
    let action = match settling {
        Settling::Proposed => Action::PayoutEndingStated,
        Settling::Confirmed { .. } => Action::PayoutSettled,
    };
    let is_paid = matches!(proposal.ending, Ending::Paid { .. });
    audit::record(connection, app, Act::new(action, payout_id, json!({ "is_paid": is_paid }))).await?;
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

/// Ends a locked payout as two people stated, also in the books.
async fn end(connection: &mut PgConnection, payout: &Locked, ending: &Ending, when: When) -> anyhow::Result<()> {
    let is_booked = payout.status == PayoutStatus::Succeeded;
    match ending {
        Ending::Paid { bank_reference } if is_booked => keep_paid(connection, payout, bank_reference).await,
        Ending::Paid { bank_reference } => {
            // A payment by hand counts as a further attempt, so that what the channel says about its own attempts never refers to it.
            let is_by_hand = payout.contradicted_attempt.is_none();
            let payout = &Locked { attempt_no: payout.attempt_no + i16::from(is_by_hand), ..payout.clone() };
            change(&mut *connection, payout, ending, when).await?;
            let paid = PaidPayout { payout: payout.clone(), bank_reference: bank_reference.clone() };
            book_paid(connection, &[paid], when).await
        }
        Ending::Failed => {
            change(&mut *connection, payout, ending, when).await?;
            if is_booked { take_back(connection, payout, when).await } else { Ok(()) }
        }
    }
}

/// Saves the status of a locked payout that ends in `ending`.
async fn change(connection: &mut PgConnection, payout: &Locked, ending: &Ending, when: When) -> anyhow::Result<()> {
    let change = match ending {
        Ending::Paid { bank_reference } => {
            // Like any other payment, the bank may return it. For an earlier attempt only the channel's callback reports that.
            let is_present = payout.contradicted_attempt == Some(payout.attempt_no);
            let query_at = is_present.then(|| when.at + ASK_AGAIN_AFTER);
            let bank_reference = Some(bank_reference.clone());
            Change { bank_reference, query_at, ..becomes(payout, PayoutStatus::Succeeded) }
        }
        Ending::Failed => {
            let failure = payout.failure.as_deref().unwrap_or("settled_by_hand").to_owned();
            Change { failure: Some(failure), ..becomes(payout, PayoutStatus::Failed) }
        }
    };
    let changed = store::save_changes(connection, &[change], when.at).await?;
    anyhow::ensure!(changed == 1, "a locked payout changed its status");
    Ok(())
}

/// Leaves a booked payment as it is, but corrects the bank's reference to the one that people stated.
async fn keep_paid(connection: &mut PgConnection, payout: &Locked, bank_reference: &str) -> anyhow::Result<()> {
    if payout.bank_reference.as_deref() == Some(bank_reference) {
        return Ok(());
    }
    let corrected = contradiction_store::correct_reference(connection, payout.payout_id, bank_reference).await?;
    anyhow::ensure!(corrected == 1, "a locked payout changed its status");
    Ok(())
}

/// Reverses a booked payment that was never made: what it paid is owed again from today, and whoever was told of the payment is told of
/// this.
async fn take_back(connection: &mut PgConnection, payout: &Locked, when: When) -> anyhow::Result<()> {
    let (event, source_id) = match payout.kind {
        PayoutKind::Settlement => ("settlement_paid", payout.source_id),
        PayoutKind::Remittance => ("remittance_paid", payout.source_id),
        PayoutKind::Borrower => ("borrower_paid", payout.payout_id.uuid()),
    };
    let booked = ledger::store::find_uncorrected(&mut *connection, event, source_id, payout.pay_on).await?;
    anyhow::ensure!(!booked.is_empty(), "a payout that is booked as paid has its posting");
    let reversals: Vec<_> = booked.iter().map(|booked| posting::payout_reversed(booked, when)).collect();
    ledger::store::insert_postings(&mut *connection, &reversals).await?;
    let owed = contradiction_store::owe_again(&mut *connection, payout.payout_id, when.business_day).await?;
    anyhow::ensure!(owed == 1, "what a booked payout had paid was not paid");
    let messages = messages(&mut *connection, payout, when).await?;
    outbox::store::enqueue(&mut *connection, &messages).await?;
    notice::raise(connection, notices::taken_back(payout, when).as_slice()).await?;
    Ok(())
}

/// The messages that tell funders that a booked payment was never made.
async fn messages(connection: &mut PgConnection, payout: &Locked, when: When) -> anyhow::Result<Vec<outbox::Message>> {
    match payout.kind {
        PayoutKind::Settlement => {
            let parts = store::load_paid_parts(connection, &[payout.source_id]).await?;
            Ok(parts.iter().map(|part| notices::settlement_reversed(part, when)).collect())
        }
        PayoutKind::Remittance => {
            let partner = find_code(connection, FunderId::from_uuid(payout.beneficiary_id)).await?;
            let bank_reference = payout.bank_reference.as_deref().context("a booked payout has its reference")?;
            let chain = remittance_store::load_paid_amounts(connection, &[payout.source_id]).await?.pop();
            let collected_day = chain.context("a remittance was paid that is not there")?.collected_day;
            let told = notices::Remitted { partner, payout, bank_reference, collected_day };
            Ok(vec![notices::remittance_reversed(told, when)])
        }
        PayoutKind::Borrower => Ok(Vec::new()),
    }
}
