//! The postings of a purchase, its void and its refund.

use uuid::Uuid;

use super::refund::{BilledCharges, RefundParts};
use crate::base::id::{FunderId, LineId, mint};
use crate::base::{Fen, When};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};

/// Which event, of which line and funder, when.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub line_id: LineId,
    pub funder_id: FunderId,
    /// The purchase or refund.
    pub source_id: Uuid,
    pub when: When,
}

/// How the loan of a refund stands in the funder's book.
#[derive(Clone, Copy, Debug, Default)]
pub struct InBooks {
    pub is_charged_off: bool,
    /// The part of the refund that belongs to a guarantor who has paid on the loan.
    pub recourse: Fen,
}

/// The amount moves from the free to the held reserve; the funder has lent it, and it is in transit until it is cleared.
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

/// The merchant gives the amount back, and every party's side of it is booked:
///
/// - Principal that fell goes back to the reserve; the rest is owed to the borrower.
/// - The merchant gets back its discount fee and subsidy, as far as they are returned.
/// - Billed interest and fees that were not paid are owed no more, and leave the funder's income. Those that were paid are given
///   back out of what is owed to the funder.
/// - If the loan was charged off, unpaid charges are part of the loss already (or never were income), so they reduce `ChargedOff`
///   instead. Principal that falls counts as recovered, except for the guarantor's part.
/// - Paid charges that go back leave the income that they once became: of recoveries, if they came in after the charge-off, else
///   of interest or fees.
pub fn refund(event: Event, parts: &RefundParts, charges: &BilledCharges, loan: InBooks) -> Posting {
    let BilledCharges { fell, back, recovered: back_recovered } = charges;
    let (of_interest, of_fee, recovered) = match loan.is_charged_off {
        true => (Account::ChargedOff, Account::ChargedOff, parts.principal_fell - loan.recourse),
        false => (Account::InterestIncome, Account::FunderFeeIncome, Fen::ZERO),
    };
    let legs = Legs::new()
        .transfer(Account::MerchantPayable, Account::ReserveAvailable, parts.principal_fell)
        .transfer(Account::MerchantPayable, Account::BorrowerPayable, parts.owed_back)
        .transfer(Account::FeeIncome, Account::MerchantPayable, parts.discount_fee_returned)
        .transfer(Account::SubsidyPayable, Account::MerchantPayable, parts.subsidy_returned)
        .transfer(Account::ReserveAtPlatform, Account::LoanPrincipal, parts.principal_fell)
        .transfer(Account::SubsidyIncome, Account::CollectionsInTransit, parts.subsidy_returned)
        .transfer(of_interest, Account::InterestReceivable, fell.interest)
        .transfer(of_fee, Account::FeeReceivable, fell.fee)
        .transfer(Account::ClaimsReceived, Account::GuarantorPayable, loan.recourse)
        .transfer(Account::ChargedOff, Account::RecoveryIncome, recovered)
        .transfer(Account::CollectionsPayable, Account::BorrowerPayable, back.interest + back.fee)
        .transfer(Account::InterestIncome, Account::CollectionsInTransit, back.interest - back_recovered.interest)
        .transfer(Account::FunderFeeIncome, Account::CollectionsInTransit, back.fee - back_recovered.fee)
        .transfer(Account::RecoveryIncome, Account::CollectionsInTransit, back_recovered.interest + back_recovered.fee);
    post("refund", event, legs)
}

fn post(name: &'static str, event: Event, legs: Legs) -> Posting {
    Posting {
        posting_id: mint(event.when.at),
        line_id: Some(event.line_id),
        funder_id: event.funder_id,
        event: name,
        source_id: event.source_id,
        legs: legs.into_vec(),
        corrects: None,
        business_day: event.when.business_day,
        posted_at: event.when.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bill::Parts;
    use crate::ledger::Leg;

    const PARTS: RefundParts = RefundParts {
        amount: Fen::new(1_000),
        principal_fell: Fen::new(1_000),
        owed_back: Fen::ZERO,
        discount_fee_returned: Fen::ZERO,
        subsidy_returned: Fen::ZERO,
    };

    fn legs_of(parts: &RefundParts, charges: &BilledCharges, loan: InBooks) -> Vec<Leg> {
        let event = Event {
            line_id: LineId::from_uuid(Uuid::from_u128(1)),
            funder_id: FunderId::from_uuid(Uuid::from_u128(2)),
            source_id: Uuid::from_u128(3),
            when: When { business_day: "2026-09-22".parse().unwrap(), at: chrono::DateTime::UNIX_EPOCH },
        };
        refund(event, parts, charges, loan).legs
    }

    const CHARGED_OFF: InBooks = InBooks { is_charged_off: true, recourse: Fen::ZERO };

    fn legs_of_a_refund(loan: InBooks) -> Vec<Leg> {
        let fell = Parts { interest: Fen::new(20), fee: Fen::new(3), ..Parts::default() };
        legs_of(&PARTS, &BilledCharges { fell, ..BilledCharges::default() }, loan)
    }

    fn leg(debit: Account, credit: Account, fen: i64) -> Leg {
        Leg { debit, credit, amount: Fen::new(fen) }
    }

    #[test]
    fn a_refund_takes_what_it_gives_back_of_charges_from_income() {
        let expected = [
            leg(Account::MerchantPayable, Account::ReserveAvailable, 1_000),
            leg(Account::ReserveAtPlatform, Account::LoanPrincipal, 1_000),
            leg(Account::InterestIncome, Account::InterestReceivable, 20),
            leg(Account::FunderFeeIncome, Account::FeeReceivable, 3),
        ];
        assert_eq!(legs_of_a_refund(InBooks::default()), expected);
    }

    #[test]
    fn a_refund_of_a_loan_that_was_charged_off_recovers_principal_and_leaves_income_alone() {
        let expected = [
            leg(Account::MerchantPayable, Account::ReserveAvailable, 1_000),
            leg(Account::ReserveAtPlatform, Account::LoanPrincipal, 1_000),
            leg(Account::ChargedOff, Account::InterestReceivable, 20),
            leg(Account::ChargedOff, Account::FeeReceivable, 3),
            leg(Account::ChargedOff, Account::RecoveryIncome, 1_000),
        ];
        assert_eq!(legs_of_a_refund(CHARGED_OFF), expected);
    }

    #[test]
    fn the_guarantors_part_of_a_refund_is_owed_to_the_guarantor() {
        let expected = [
            leg(Account::MerchantPayable, Account::ReserveAvailable, 1_000),
            leg(Account::ReserveAtPlatform, Account::LoanPrincipal, 1_000),
            leg(Account::ChargedOff, Account::InterestReceivable, 20),
            leg(Account::ChargedOff, Account::FeeReceivable, 3),
            leg(Account::ClaimsReceived, Account::GuarantorPayable, 700),
            leg(Account::ChargedOff, Account::RecoveryIncome, 300),
        ];
        assert_eq!(legs_of_a_refund(InBooks { recourse: Fen::new(700), ..CHARGED_OFF }), expected);
    }

    #[test]
    fn paid_charges_go_back_out_of_the_next_remittance_and_the_income_that_they_came_to() {
        let zero = Fen::ZERO;
        let owed_back = RefundParts { principal_fell: zero, owed_back: PARTS.amount, ..PARTS };
        let back = Parts { interest: Fen::new(20), fee: Fen::new(3), ..Parts::default() };
        let expected = [
            leg(Account::MerchantPayable, Account::BorrowerPayable, 1_000),
            leg(Account::CollectionsPayable, Account::BorrowerPayable, 23),
            leg(Account::InterestIncome, Account::CollectionsInTransit, 20),
            leg(Account::FunderFeeIncome, Account::CollectionsInTransit, 3),
        ];
        for loan in [InBooks::default(), CHARGED_OFF] {
            let charges = BilledCharges { back, ..BilledCharges::default() };
            assert_eq!(legs_of(&owed_back, &charges, loan), expected);
        }
        let recovered = Parts { interest: Fen::new(15), fee: Fen::new(3), ..Parts::default() };
        let charges = BilledCharges { back, recovered, ..BilledCharges::default() };
        let expected = [
            expected[0],
            expected[1],
            leg(Account::InterestIncome, Account::CollectionsInTransit, 5),
            leg(Account::RecoveryIncome, Account::CollectionsInTransit, 18),
        ];
        assert_eq!(legs_of(&owed_back, &charges, CHARGED_OFF), expected);
    }
}
