//! Ledger postings of clearing, payouts and remittances.

use uuid::Uuid;

use super::model::{DayPart, Part, Settlement};
use crate::base::id::{FunderId, LineId, mint};
use crate::base::{Fen, When};
use crate::ledger::posting::{Booked, Legs};
use crate::ledger::{Account, Leg, Posting};

/// The day's purchases of one merchant and funder become payable to the merchant, less its charges. Refunds were booked when they were
/// made, so they are not booked again.
pub fn clearing(settlement: &Settlement, part: &Part, when: When) -> Posting {
    let DayPart { funder_id, gross, discount_fee, subsidy, .. } = part.day;
    let legs = Legs::new()
        .transfer(Account::ReserveHeld, Account::MerchantPayable, gross)
        .transfer(Account::MerchantPayable, Account::FeeIncome, discount_fee)
        .transfer(Account::MerchantPayable, Account::SubsidyPayable, subsidy)
        .transfer(Account::FundingInTransit, Account::ReserveAtPlatform, gross)
        .transfer(Account::CollectionsInTransit, Account::SubsidyIncome, subsidy)
        .into_vec();
    house("clearing", funder_id, settlement.settlement_id.uuid(), legs, when)
}

/// A settlement was paid: one posting for each funder's part; their sum is what left the bank.
pub fn settlement_paid(settlement_id: Uuid, part: FunderAmount, when: When) -> Posting {
    let legs = Legs::new().transfer(Account::MerchantPayable, Account::Bank, part.amount).into_vec();
    house("settlement_paid", part.funder_id, settlement_id, legs, when)
}

/// One funder's part of a payment; of either sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunderAmount {
    pub funder_id: FunderId,
    pub amount: Fen,
}

/// The amounts of a remittance, including everything that was carried into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemittanceAmounts {
    pub collected: Fen,
    pub subsidy: Fen,
    /// The platform's share.
    pub share: Fen,
}

/// A remittance was paid, or came to zero.
pub fn remittance_paid(remittance_id: Uuid, funder_id: FunderId, amounts: RemittanceAmounts, when: When) -> Posting {
    let RemittanceAmounts { collected, subsidy, share } = amounts;
    // The share is kept from the collections first. If they are less than the share, their bank leg turns round and the subsidy's leg
    // covers it: in total the bank account moves by the net.
    let legs = Legs::new()
        .transfer(Account::CollectionsPayable, Account::ShareIncome, share)
        .transfer(Account::CollectionsPayable, Account::Bank, collected - share)
        .transfer(Account::SubsidyPayable, Account::Bank, subsidy)
        .transfer(Account::Cash, Account::CollectionsInTransit, collected + subsidy - share)
        .transfer(Account::ShareExpense, Account::CollectionsInTransit, share)
        .into_vec();
    house("remittance_paid", funder_id, remittance_id, legs, when)
}

/// What was owed back to a borrower was paid to the card.
pub fn borrower_paid(payout_id: Uuid, line_id: LineId, part: FunderAmount, when: When) -> Posting {
    let legs = Legs::new().transfer(Account::BorrowerPayable, Account::Bank, part.amount).into_vec();
    Posting { line_id: Some(line_id), ..house("borrower_paid", part.funder_id, payout_id, legs, when) }
}

/// A booked payment was not made: every leg of its posting turned round, naming the posting that it corrects.
pub fn payout_reversed(booked: &Booked, when: When) -> Posting {
    let legs = booked.legs.iter().map(|leg| leg.turned_round()).collect();
    Posting {
        line_id: booked.line_id,
        corrects: Some(booked.posting_id),
        ..house("payout_reversed", booked.funder_id, booked.source_id, legs, when)
    }
}

fn house(event: &'static str, funder_id: FunderId, source_id: Uuid, legs: Vec<Leg>, when: When) -> Posting {
    Posting {
        posting_id: mint(when.at),
        line_id: None,
        funder_id,
        event,
        source_id,
        legs,
        corrects: None,
        business_day: when.business_day,
        posted_at: when.at,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    /// Debits less credits of an account.
    fn moved(posting: &Posting, account: Account) -> i64 {
        let side = |leg: &Leg| match (leg.debit == account, leg.credit == account) {
            (true, _) => leg.amount.get(),
            (_, true) => -leg.amount.get(),
            _ => 0,
        };
        posting.legs.iter().map(side).sum()
    }

    #[test]
    fn a_remittance_moves_the_bank_by_the_net_even_where_the_share_exceeds_the_collections() {
        let amounts = RemittanceAmounts { collected: Fen::new(100), subsidy: Fen::new(900), share: Fen::new(300) };
        let when = When { business_day: "2026-03-02".parse().unwrap(), at: DateTime::UNIX_EPOCH };
        let posting = remittance_paid(Uuid::nil(), FunderId::from_uuid(Uuid::nil()), amounts, when);
        assert_eq!(moved(&posting, Account::Bank), -700);
        assert_eq!(moved(&posting, Account::CollectionsPayable), 100);
        assert_eq!(moved(&posting, Account::SubsidyPayable), 900);
        assert_eq!(moved(&posting, Account::ShareIncome), -300);
        assert_eq!(moved(&posting, Account::Cash), 700);
        assert_eq!(moved(&posting, Account::ShareExpense), 300);
        assert_eq!(moved(&posting, Account::CollectionsInTransit), -1000);
    }

    #[test]
    fn a_payment_that_was_not_made_is_taken_back_leg_by_leg_and_names_its_posting() {
        let amounts = RemittanceAmounts { collected: Fen::new(100), subsidy: Fen::new(900), share: Fen::new(300) };
        let when = When { business_day: "2026-03-02".parse().unwrap(), at: DateTime::UNIX_EPOCH };
        let paid = remittance_paid(Uuid::nil(), FunderId::from_uuid(Uuid::nil()), amounts, when);
        let booked = Booked {
            posting_id: paid.posting_id,
            line_id: None,
            funder_id: paid.funder_id,
            source_id: paid.source_id,
            legs: paid.legs.clone(),
        };
        let reversed = payout_reversed(&booked, when);
        assert_eq!((reversed.corrects, reversed.source_id), (Some(paid.posting_id), paid.source_id));
        for account in Account::ALL {
            assert_eq!(moved(&reversed, account), -moved(&paid, account), "{account:?}");
        }
    }
}
