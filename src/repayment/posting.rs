//! How receipts of money stand in the books.

use uuid::Uuid;

use super::account::{Repayment, Source};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};

/// A repayment, or its reversal.
///
/// In the clearing book the channel owes the money (a transfer stands at the bank); it is owed on to the funder, and the excess to
/// the borrower. In the funder's book the debt falls, and the money is in transit. What comes in on loans that a guarantor has paid of
/// is owed on to that one, as far as it is not recovered; what else comes in on loans that were charged off is recovery income. A
/// reversal turns every leg round and names the posting that it corrects; what had been paid before its loan was
/// charged off then is a loss.
pub fn repayment(posting_id: Uuid, repayment: &Repayment) -> Posting {
    let taken = repayment.taken();
    let received_in = received_in(&repayment.source);
    let of_guarantors = repayment.recourse.iter().map(|recourse| recourse.amount).sum();
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
            .transfer(Account::ClaimsReceived, Account::GuarantorPayable, of_guarantors)
            .transfer(Account::ChargedOff, Account::RecoveryIncome, repayment.recovered)
            .transfer(Account::ChargeOffLoss, Account::ChargedOff, repayment.charged_off_again)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Fen;
    use crate::base::id::{FunderId, LineId, LoanId, RepaymentId, WithholdingId};
    use crate::bill::Parts;
    use crate::ledger::Leg;
    use crate::loan::Recourse;
    use crate::repayment::account::RepaymentItem;

    const TAKEN_OF: LoanId = LoanId::from_uuid(Uuid::from_u128(1));
    const TAKEN: Parts =
        Parts { fee: Fen::new(3), penalty: Fen::new(20), interest: Fen::new(100), principal: Fen::new(1_000) };

    fn of(source: Source, taken: Parts) -> Repayment {
        let id = Uuid::from_u128(1);
        Repayment {
            repayment_id: RepaymentId::from_uuid(id),
            line_id: LineId::from_uuid(id),
            funder_id: FunderId::from_uuid(id),
            source,
            amount: taken.total(),
            items: vec![RepaymentItem { loan_id: LoanId::from_uuid(id), period: 1, taken }],
            excess: Fen::ZERO,
            recourse: Vec::new(),
            recovered: Fen::ZERO,
            charged_off_again: Fen::ZERO,
            business_day: "2026-09-22".parse().unwrap(),
            received_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn received() -> Repayment {
        of(Source::Withholding(WithholdingId::from_uuid(Uuid::from_u128(2))), TAKEN)
    }

    fn taken_back() -> Repayment {
        let of_earlier = RepaymentId::from_uuid(Uuid::from_u128(3));
        let taken_from = Box::new(received().source);
        of(Source::Reversal { of: of_earlier, taken_from, person: "Li Na".to_owned() }, -TAKEN)
    }

    /// What a charge-off has to do with it.
    fn beside_the_rest(repayment: &Repayment) -> Vec<Leg> {
        let is_beside = |leg: &Leg| leg.debit == Account::ChargedOff || leg.credit == Account::ChargedOff;
        repayment_legs(repayment).into_iter().filter(is_beside).collect()
    }

    fn repayment_legs(of: &Repayment) -> Vec<Leg> {
        repayment(Uuid::from_u128(9), of).legs
    }

    fn leg(debit: Account, credit: Account, fen: i64) -> Leg {
        Leg { debit, credit, amount: Fen::new(fen) }
    }

    #[test]
    fn money_for_a_loan_that_was_not_charged_off_makes_the_receivables_smaller_alone() {
        assert_eq!(beside_the_rest(&received()), []);
        assert_eq!(repayment_legs(&received()).len(), 5);
    }

    #[test]
    fn money_for_a_loan_that_was_charged_off_is_recovered_but_for_penalty_and_goes_back_as_it_came() {
        let receivable = TAKEN.receivable();
        let mut came = received();
        came.recovered = receivable;
        assert_eq!(beside_the_rest(&came), [leg(Account::ChargedOff, Account::RecoveryIncome, 1_103)]);
        let mut went = taken_back();
        went.recovered = -receivable;
        assert_eq!(beside_the_rest(&went), [leg(Account::RecoveryIncome, Account::ChargedOff, 1_103)]);
    }

    #[test]
    fn money_for_a_loan_that_a_guarantor_has_paid_of_is_owed_on_to_it_and_goes_back_as_it_came() {
        let of =
            |amount| Recourse { loan_id: TAKEN_OF, amount: Fen::new(amount), left: Fen::ZERO, is_charged_off: true };
        let mut came = received();
        came.recourse = vec![of(1_120)];
        // 17 of them were penalty, which is nobody's receivable.
        came.recovered = Fen::new(1_103 - 1_120);
        assert!(repayment_legs(&came).contains(&leg(Account::ClaimsReceived, Account::GuarantorPayable, 1_120)));
        assert_eq!(beside_the_rest(&came), [leg(Account::RecoveryIncome, Account::ChargedOff, 17)]);
        let mut went = taken_back();
        went.recourse = vec![of(-1_120)];
        assert!(repayment_legs(&went).contains(&leg(Account::GuarantorPayable, Account::ClaimsReceived, 1_120)));
    }

    #[test]
    fn what_was_paid_before_the_charge_off_and_did_not_come_is_a_loss() {
        let mut went = taken_back();
        went.charged_off_again = TAKEN.receivable();
        assert_eq!(beside_the_rest(&went), [leg(Account::ChargeOffLoss, Account::ChargedOff, 1_103)]);
    }

    #[test]
    fn each_part_of_a_repayment_stands_on_its_own_account_and_what_is_left_is_the_borrowers() {
        let mut came = received();
        came.excess = Fen::new(7);
        let of_parts = [
            leg(Account::CollectionsInTransit, Account::LoanPrincipal, 1_000),
            leg(Account::CollectionsInTransit, Account::InterestReceivable, 100),
            leg(Account::CollectionsInTransit, Account::FeeReceivable, 3),
            leg(Account::CollectionsInTransit, Account::PenaltyIncome, 20),
        ];
        let from =
            |account| [leg(account, Account::CollectionsPayable, 1_123), leg(account, Account::BorrowerPayable, 7)];
        assert_eq!(repayment_legs(&came), [&from(Account::ChannelReceivable)[..], &of_parts].concat());
        came.source = Source::Transfer { bank_reference: "B1".to_owned(), operator: "Li Na".to_owned() };
        assert_eq!(repayment_legs(&came), [&from(Account::Bank)[..], &of_parts].concat());
        // Taken back, every leg is turned round, on the account on which it had come.
        let (came, went) = (repayment_legs(&received()), repayment_legs(&taken_back()));
        assert_eq!(went, came.into_iter().map(Leg::turned_round).collect::<Vec<_>>());
    }
}
