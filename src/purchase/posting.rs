//! How a purchase, its void and its refund stand in the books.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::refund::RefundParts;
use crate::base::id::{FunderId, LineId, mint};
use crate::base::{BusinessDay, Fen};
use crate::bill::Parts;
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};

/// Which event, of which line and funder, when.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub line_id: LineId,
    pub funder_id: FunderId,
    /// The purchase or refund.
    pub source_id: Uuid,
    pub business_day: BusinessDay,
    pub at: DateTime<Utc>,
}

/// The reserve is held for the merchant; the funder has lent what is still in transit.
pub fn purchase(event: Event, amount: Fen) -> Posting {
    post("purchase", event, purchase_legs(amount))
}

/// The exact reverse of the purchase.
pub fn void(event: Event, amount: Fen) -> Posting {
    post("void", event, purchase_legs(-amount))
}

fn purchase_legs(amount: Fen) -> Legs {
    Legs::new().transfer(Account::ReserveAvailable, Account::ReserveHeld, amount).transfer(
        Account::LoanPrincipal,
        Account::FundingInTransit,
        amount,
    )
}

/// The merchant gives the amount back: what fell of the principal to the reserve, the rest to the borrower; it gets back its
/// discount fee and subsidy. Billed interest and fees that are given back leave the funder's income.
pub fn refund(event: Event, parts: &RefundParts, charges_given_back: Parts) -> Posting {
    let legs = Legs::new()
        .transfer(Account::MerchantPayable, Account::ReserveAvailable, parts.principal_fell)
        .transfer(Account::MerchantPayable, Account::BorrowerPayable, parts.owed_back)
        .transfer(Account::FeeIncome, Account::MerchantPayable, parts.discount_fee_returned)
        .transfer(Account::SubsidyPayable, Account::MerchantPayable, parts.subsidy_returned)
        .transfer(Account::ReserveAtPlatform, Account::LoanPrincipal, parts.principal_fell)
        .transfer(Account::SubsidyIncome, Account::CollectionsInTransit, parts.subsidy_returned)
        .transfer(Account::InterestIncome, Account::InterestReceivable, charges_given_back.interest)
        .transfer(Account::FeeIncomeOfFunder, Account::FeeReceivable, charges_given_back.fee);
    post("refund", event, legs)
}

fn post(name: &'static str, event: Event, legs: Legs) -> Posting {
    Posting {
        posting_id: mint(event.at),
        line_id: Some(event.line_id),
        funder_id: event.funder_id,
        event: name,
        source_id: event.source_id,
        legs: legs.into_vec(),
        corrects: None,
        business_day: event.business_day,
        posted_at: event.at,
    }
}
