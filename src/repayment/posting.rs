//! How receipts of money stand in the books.

use uuid::Uuid;

use super::account::{Repayment, Source};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};

/// A repayment: the money is owed by the channel (or stands at the bank, for a transfer) and is owed on to the funder, what no
/// installment could take back to the borrower; in the funder's book the debt falls and collected money is on its way. One that
/// is taken back is the same with every leg turned round, and names the posting that it corrects.
pub fn repayment(posting_id: Uuid, repayment: &Repayment) -> Posting {
    let taken = repayment.taken();
    let received_in = received_in(&repayment.source);
    let (event, corrects) = match repayment.source {
        Source::Reversal { of, .. } => ("repayment_reversed", Some(of.uuid())),
        Source::Withholding(_) | Source::Transfer { .. } | Source::ChannelFile(_) => ("repayment", None),
    };
    Posting {
        posting_id,
        line_id: Some(repayment.line_id),
        funder_id: repayment.funder_id,
        event,
        source_id: repayment.repayment_id.uuid(),
        legs: Legs::new()
            .transfer(received_in, Account::CollectionsPayable, taken.total())
            .transfer(received_in, Account::BorrowerPayable, repayment.excess)
            .transfer(Account::CollectionsInTransit, Account::LoanPrincipal, taken.principal)
            .transfer(Account::CollectionsInTransit, Account::InterestReceivable, taken.interest)
            .transfer(Account::CollectionsInTransit, Account::FeeReceivable, taken.fee)
            .transfer(Account::CollectionsInTransit, Account::PenaltyIncome, taken.penalty)
            .into_vec(),
        corrects,
        business_day: repayment.business_day,
        posted_at: repayment.received_at,
    }
}

/// Where the money stands, or stood until it was taken back.
fn received_in(source: &Source) -> Account {
    match source {
        Source::Withholding(_) | Source::ChannelFile(_) => Account::ChannelReceivable,
        Source::Transfer { .. } => Account::Bank,
        Source::Reversal { taken_from, .. } => received_in(taken_from),
    }
}
