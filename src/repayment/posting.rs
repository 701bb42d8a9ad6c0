//! The ledger posting of a repayment and of its reversal.

use uuid::Uuid;

use super::account::{Repayment, Source};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};

/// The posting of a repayment, or of its reversal.
///
/// In the clearing book the channel owes the money (a transfer is at the bank already). It is payable to the funder, and the excess to
/// the borrower. In the funder's book the debt falls, and the money is in transit. What comes in on a loan on which a guarantor
/// has paid a claim is payable to the guarantor, until its claim is recovered; everything else that comes in on a charged-off loan is
/// recovery income.
///
/// A reversal turns every leg round and names the posting that it corrects. If the loan was charged off after the payment, what is
/// taken back is a charge-off loss.
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

/// The account that the money came in on; for a reversal, the account that the reversed money had come in on.
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
            value_on: "2026-09-22".parse().unwrap(),
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

    /// The legs on the charge-off account.
    fn charge_off_legs(repayment: &Repayment) -> Vec<Leg> {
        let is_charge_off = |leg: &Leg| leg.debit == Account::ChargedOff || leg.credit == Account::ChargedOff;
        repayment_legs(repayment).into_iter().filter(is_charge_off).collect()
    }

    fn repayment_legs(of: &Repayment) -> Vec<Leg> {
        repayment(Uuid::from_u128(9), of).legs
    }

    fn leg(debit: Account, credit: Account, fen: i64) -> Leg {
        Leg { debit, credit, amount: Fen::new(fen) }
    }

    #[test]
    fn money_for_a_loan_that_was_not_charged_off_only_reduces_receivables() {
        assert_eq!(charge_off_legs(&received()), []);
        assert_eq!(repayment_legs(&received()).len(), 5);
    }

    #[test]
    fn money_for_a_charged_off_loan_is_recovery_income_except_penalty_and_is_reversed_alike() {
        let receivable = TAKEN.receivable();
        let mut came = received();
        came.recovered = receivable;
        assert_eq!(charge_off_legs(&came), [leg(Account::ChargedOff, Account::RecoveryIncome, 1_103)]);
        let mut went = taken_back();
        went.recovered = -receivable;
        assert_eq!(charge_off_legs(&went), [leg(Account::RecoveryIncome, Account::ChargedOff, 1_103)]);
    }

    #[test]
    fn money_for_a_loan_with_a_paid_claim_is_the_guarantors_and_is_reversed_alike() {
        let of =
            |amount| Recourse { loan_id: TAKEN_OF, amount: Fen::new(amount), left: Fen::ZERO, is_charged_off: true };
        let mut came = received();
        came.recourse = vec![of(1_120)];
        // 17 fen of them were penalty, which is no receivable.
        came.recovered = Fen::new(1_103 - 1_120);
        assert!(repayment_legs(&came).contains(&leg(Account::ClaimsReceived, Account::GuarantorPayable, 1_120)));
        assert_eq!(charge_off_legs(&came), [leg(Account::RecoveryIncome, Account::ChargedOff, 17)]);
        let mut went = taken_back();
        went.recourse = vec![of(-1_120)];
        assert!(repayment_legs(&went).contains(&leg(Account::GuarantorPayable, Account::ClaimsReceived, 1_120)));
    }

    #[test]
    fn a_reversal_of_what_was_paid_before_the_charge_off_is_a_loss() {
        let mut went = taken_back();
        went.charged_off_again = TAKEN.receivable();
        assert_eq!(charge_off_legs(&went), [leg(Account::ChargeOffLoss, Account::ChargedOff, 1_103)]);
    }

    #[test]
    fn each_part_of_a_repayment_is_booked_on_its_own_account_and_the_excess_is_the_borrowers() {
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
        // A reversal turns every leg round, on the same accounts.
        let (came, went) = (repayment_legs(&received()), repayment_legs(&taken_back()));
        assert_eq!(went, came.into_iter().map(Leg::turned_round).collect::<Vec<_>>());
    }
}
