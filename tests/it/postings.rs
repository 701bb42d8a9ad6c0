//! Postings under random input: whatever is sold, refunded and repaid, every account is empty in the end, except those that
//! hold the money then.

use fenqi::base::id::{
    BreakId, ClaimId, FunderId, LineId, LoanId, MerchantId, ProductId, RefundId, RepaymentId, SettlementId,
    WithholdingId,
};
use fenqi::base::{Fen, Rate, When};
use fenqi::bill::Parts;
use fenqi::claim::posting::{self as claim_posting, ClaimedLoan, Undone};
use fenqi::claim::{Claim, ClaimStatus};
use fenqi::funder::posting::{self as funder_posting, Movement};
use fenqi::ledger::account::Book;
use fenqi::ledger::posting::Booked;
use fenqi::ledger::{Account, Posting};
use fenqi::loan::Recourse;
use fenqi::loan::accrual::{self, Charge, ProductAccrual, Span};
use fenqi::loan::recourse::CameIn;
use fenqi::overdue::charge_off::ChargeOff;
use fenqi::partner::withholding::ChannelName;
use fenqi::product::terms::ProfitShare;
use fenqi::purchase::posting::{self as purchase_posting, Event, InBooks};
use fenqi::purchase::refund::{BilledCharges, RefundParts, Refundable};
use fenqi::reconcile::model::{Break, BreakKind, BreakStatus, ChannelShare, Correction};
use fenqi::reconcile::posting::{HOUSE, channel_settles, settled_by_hand, suspense_returned};
use fenqi::repayment::account::{Repayment, RepaymentItem, Source};
use fenqi::settlement::model::{DayPart, Part, Settlement};
use fenqi::settlement::posting::{self as settlement_posting, FunderAmount, RemittanceAmounts};
use fenqi::settlement::remittance::{Income, RemittedBefore};
use proptest::prelude::*;
use uuid::Uuid;

/// Debits less credits of an account over all postings, in fen.
fn moved(postings: &[Posting], account: Account) -> i64 {
    let legs = postings.iter().flat_map(|posting| &posting.legs);
    legs.map(|leg| {
        i64::from(leg.debit == account) * leg.amount.get() - i64::from(leg.credit == account) * leg.amount.get()
    })
    .sum()
}

fn assert_sums_to_zero(postings: &[Posting]) {
    for book in [Book::Clearing, Book::Funder] {
        let of_book = Account::ALL.into_iter().filter(|account| account.book() == book);
        assert_eq!(of_book.map(|account| moved(postings, account)).sum::<i64>(), 0, "{book:?}");
    }
    assert!(postings.iter().flat_map(|posting| &posting.legs).all(|leg| leg.amount.is_positive()));
}

fn event() -> Event {
    Event {
        line_id: LineId::from_uuid(Uuid::from_u128(1)),
        funder_id: FunderId::from_uuid(Uuid::from_u128(2)),
        source_id: Uuid::from_u128(3),
        when: When { business_day: "2026-03-02".parse().unwrap(), at: chrono::DateTime::UNIX_EPOCH },
    }
}

fn settled(day: DayPart) -> (Settlement, Part) {
    let part = Part { day, carried_in: Fen::ZERO };
    let settlement = Settlement {
        settlement_id: SettlementId::from_uuid(Uuid::from_u128(4)),
        merchant_id: day.merchant_id,
        business_day: event().when.business_day,
        pay_on: event().when.business_day.next(),
        parts: vec![part],
        carries: Vec::new(),
    };
    (settlement, part)
}

/// A funder whose only income is subsidies, remitted day by day.
struct Remitting {
    profit_share: ProfitShare,
    before: RemittedBefore,
}

impl Remitting {
    fn of_subsidies_at(percent: i64) -> Remitting {
        let [zero, subsidy]: [Rate; 2] = ["0".to_owned(), format!("0.{percent:02}")].map(|rate| rate.parse().unwrap());
        let profit_share = ProfitShare { interest: zero, fee: zero, penalty: zero, subsidy };
        Remitting { profit_share, before: RemittedBefore::default() }
    }

    /// The day's remittance, paid.
    fn remit(&mut self, subsidy: Fen) -> Posting {
        let zero = Fen::ZERO;
        let income = Income {
            funder_id: event().funder_id,
            product_id: ProductId::from_uuid(Uuid::from_u128(12)),
            product_version: 1,
            principal: zero,
            interest: zero,
            fee: zero,
            penalty: zero,
            subsidy,
        };
        let share = income.share(&self.before, &self.profit_share);
        self.before.subsidy += subsidy;
        self.before.share += share;
        let amounts = RemittanceAmounts { collected: zero, subsidy, share };
        settlement_posting::remittance_paid(Uuid::from_u128(13), income.funder_id, amounts, event().when)
    }
}

/// A break for an order in a channel's file that we do not know.
fn unknown_order(theirs: Fen) -> Break {
    Break {
        break_id: BreakId::from_uuid(Uuid::from_u128(16)),
        channel: ChannelName::Alpha,
        business_day: event().when.business_day,
        kind: BreakKind::MissingHere,
        withholding_id: WithholdingId::from_uuid(Uuid::from_u128(6)),
        ours: Fen::ZERO,
        theirs,
        proposed: Correction::AskChannel,
        proposal_no: 1,
        status: BreakStatus::Open,
        proposed_by: "comparison".into(),
        owner: "comparison".into(),
        opened_on: event().when.business_day,
    }
}

/// A repayment of one installment of a loan that was not charged off.
fn repaid(source: Source, taken: Parts, excess: Fen) -> Repayment {
    Repayment {
        repayment_id: RepaymentId::from_uuid(Uuid::from_u128(7)),
        line_id: event().line_id,
        funder_id: event().funder_id,
        source,
        amount: taken.total() + excess,
        items: vec![RepaymentItem { loan_id: LoanId::from_uuid(Uuid::from_u128(8)), period: 1, taken }],
        excess,
        recourse: Vec::new(),
        recovered: Fen::ZERO,
        charged_off_again: Fen::ZERO,
        business_day: event().when.business_day,
        value_on: event().when.business_day,
        received_at: event().when.at,
    }
}

fn fen(most: i64) -> impl Strategy<Value = Fen> {
    (0..=most).prop_map(Fen::new)
}

proptest! {
    #[test]
    fn a_purchase_and_its_void_leave_nothing_behind(amount in 1..10_000_000_i64) {
        let amount = Fen::new(amount);
        let both = [purchase_posting::purchase(event(), amount), purchase_posting::void(event(), amount)];
        assert_sums_to_zero(&both[..1]);
        for account in Account::ALL {
            prop_assert_eq!(moved(&both, account), 0, "{}", account.name());
        }
    }

    /// Sold, cleared, refunded in any parts, each on a day of its own, and remitted: the merchant is owed nothing, fee, subsidy
    /// and the platform's share of it are gone, and the money is where the refund put it.
    #[test]
    fn a_purchase_refunded_in_any_parts_nets_to_zero(
        amount in 100..1_000_000_i64,
        cuts in proptest::collection::vec(1..1_000_000_i64, 0..4),
        fee in fen(100),
        subsidy in fen(100),
        unpaid in 0..1_000_000_i64,
        share_percent in 0..60_i64,
    ) {
        let amount = Fen::new(amount);
        let mut funder = Remitting::of_subsidies_at(share_percent);
        let day = DayPart { gross: amount, discount_fee: fee, subsidy, ..DayPart::empty(
            MerchantId::from_uuid(Uuid::from_u128(5)), event().funder_id) };
        let (settlement, part) = settled(day);
        let mut postings = vec![
            purchase_posting::purchase(event(), amount),
            settlement_posting::clearing(&settlement, &part, event().when),
        ];
        prop_assert_eq!(moved(&postings, Account::MerchantPayable), -part.payable().get());
        postings.push(funder.remit(subsidy));
        let mut purchase = Refundable {
            amount, refunded: Fen::ZERO, discount_fee: fee, discount_returned_on_refund: true, subsidy };
        let (mut principal_left, mut fell, mut owed_back) = (Fen::new(unpaid).min(amount), Fen::ZERO, Fen::ZERO);
        for cut in cuts.into_iter().map(Fen::new).chain([amount]) {
            let part = cut.min(purchase.left());
            let parts = purchase.split(part, part.min(principal_left));
            postings.push(purchase_posting::refund(event(), &parts, &BilledCharges::default(), InBooks::default()));
            postings.push(funder.remit(-parts.subsidy_returned));
            purchase.refunded += part;
            principal_left -= parts.principal_fell;
            fell += parts.principal_fell;
            owed_back += parts.owed_back;
        }
        assert_sums_to_zero(&postings);
        prop_assert_eq!(fell + owed_back, amount);
        for gone in [Account::MerchantPayable, Account::FeeIncome, Account::SubsidyPayable, Account::SubsidyIncome,
                     Account::ReserveHeld, Account::FundingInTransit, Account::CollectionsInTransit,
                     Account::ShareIncome, Account::ShareExpense, Account::CollectionsPayable, Account::Bank, Account::Cash] {
            prop_assert_eq!(moved(&postings, gone), 0, "{}", gone.name());
        }
        prop_assert_eq!(moved(&postings, Account::ReserveAvailable), (amount - fell).get());
        prop_assert_eq!(moved(&postings, Account::BorrowerPayable), -owed_back.get());
        prop_assert_eq!(moved(&postings, Account::LoanPrincipal), (amount - fell).get());
    }

    /// What is repaid and passed on leaves the platform with its share alone, and the funder with the rest; interest and fee that a
    /// refund gives back to the card leave neither of them with anything of it.
    #[test]
    fn what_is_repaid_is_passed_on_but_for_the_share(
        principal in fen(1_000_000), interest in fen(100_000), fee in fen(10_000), penalty in fen(10_000),
        excess in fen(1_000), subsidy in fen(10_000), share_percent in 0..60_i64, by_transfer: bool,
    ) {
        let taken = Parts { principal, interest, fee, penalty };
        let source = if by_transfer {
            Source::Transfer { bank_reference: "B1".into(), operator: "Li".into() }
        } else {
            Source::Withholding(WithholdingId::from_uuid(Uuid::from_u128(6)))
        };
        let repayment = repaid(source, taken, excess);
        let collected = taken.total();
        let share = (interest + fee + penalty).share(share_percent, 100);
        let owed = FunderAmount { funder_id: event().funder_id, amount: excess };
        let postings = [
            fenqi::repayment::posting::repayment(Uuid::from_u128(9), &repayment),
            settlement_posting::remittance_paid(
                Uuid::from_u128(10), event().funder_id, RemittanceAmounts { collected, subsidy, share }, event().when),
            settlement_posting::borrower_paid(
                RefundId::from_uuid(Uuid::from_u128(11)).uuid(), event().line_id, owed, event().when),
        ];
        postings.iter().for_each(|posting| assert_sums_to_zero(std::slice::from_ref(posting)));
        let received = moved(&postings, Account::ChannelReceivable) + moved(&postings, Account::Bank);
        prop_assert_eq!(received, (share - subsidy).get());
        prop_assert_eq!(moved(&postings, Account::ShareIncome), -share.get());
        prop_assert_eq!(moved(&postings, Account::CollectionsPayable), 0);
        prop_assert_eq!(moved(&postings, Account::BorrowerPayable), 0);
        prop_assert_eq!(moved(&postings, Account::LoanPrincipal), -principal.get());
        prop_assert_eq!(moved(&postings, Account::InterestReceivable), -interest.get());
        prop_assert_eq!(moved(&postings, Account::Cash), (collected + subsidy - share).get());

        let zero = Fen::ZERO;
        let nothing = RefundParts {
            amount: zero, principal_fell: zero, owed_back: zero, discount_fee_returned: zero, subsidy_returned: zero };
        let back = Parts { interest, fee, ..Parts::default() };
        let share_left = penalty.share(share_percent, 100);
        let amounts = RemittanceAmounts { collected: -back.total(), subsidy: zero, share: share_left - share };
        let to_card = FunderAmount { funder_id: event().funder_id, amount: back.total() };
        let given_back = [
            purchase_posting::refund(event(), &nothing, &BilledCharges { back, ..BilledCharges::default() }, InBooks::default()),
            settlement_posting::remittance_paid(Uuid::from_u128(14), event().funder_id, amounts, event().when),
            settlement_posting::borrower_paid(Uuid::from_u128(15), event().line_id, to_card, event().when),
        ];
        given_back.iter().for_each(|posting| assert_sums_to_zero(std::slice::from_ref(posting)));
        let postings: Vec<Posting> = postings.into_iter().chain(given_back).collect();
        prop_assert_eq!(moved(&postings, Account::ShareIncome), -share_left.get());
        prop_assert_eq!(moved(&postings, Account::CollectionsPayable), 0);
        prop_assert_eq!(moved(&postings, Account::BorrowerPayable), 0);
        prop_assert_eq!(moved(&postings, Account::InterestIncome), interest.get());
        prop_assert_eq!(moved(&postings, Account::FunderFeeIncome), fee.get());
        prop_assert_eq!(moved(&postings, Account::Cash), (principal + penalty + subsidy - share_left).get());
    }

    /// Of a loan that was charged off, and that a guarantor has paid of, the receivables and what stands against them move together,
    /// whatever of a payment is the guarantor's: before and after, what is not expected is just what is owed.
    #[test]
    fn what_is_claimed_or_written_off_moves_with_the_receivables(
        principal in fen(1_000_000), interest in fen(100_000), fee in fen(10_000), penalty in fen(10_000),
        percent in 0..=100_i64, claimed in 1..1_000_000_i64,
    ) {
        let taken = Parts { principal, interest, fee, penalty };
        let amount = taken.total().share(percent, 100);
        let source = Source::Withholding(WithholdingId::from_uuid(Uuid::from_u128(6)));
        let mut repayment = repaid(source, taken, Fen::ZERO);
        let loan_id = repayment.items[0].loan_id;
        repayment.recourse = vec![Recourse { loan_id, amount, left: Fen::ZERO, is_charged_off: true }];
        repayment.recovered = taken.receivable() - amount;
        let asked = Parts { principal: Fen::new(claimed), ..Parts::default() };
        let claim = Claim {
            claim_id: ClaimId::from_uuid(Uuid::from_u128(17)),
            line_id: event().line_id,
            loan_id: repayment.items[0].loan_id,
            funder_id: event().funder_id,
            asked,
            asked_on: event().when.business_day,
            status: ClaimStatus::Asked,
            stated: None,
        };
        let loan = ClaimedLoan { is_charged_off: true, left: asked.total() };
        let postings = [
            claim_posting::claim_paid(&claim, loan, event().when),
            fenqi::repayment::posting::repayment(Uuid::from_u128(9), &repayment),
        ];
        postings.iter().for_each(|posting| assert_sums_to_zero(std::slice::from_ref(posting)));
        let beside = [Account::LoanPrincipal, Account::InterestReceivable, Account::FeeReceivable, Account::ChargedOff,
                      Account::ClaimsReceived];
        prop_assert_eq!(beside.map(|account| moved(&postings, account)).iter().sum::<i64>(), 0);
        prop_assert_eq!(moved(&postings, Account::GuarantorPayable), -amount.get());
        prop_assert_eq!(moved(&postings, Account::ClaimsReceived), amount.get() - claimed);

        // Taken back, it leaves nothing but what was recovered without it.
        let [Posting { posting_id, line_id, funder_id, source_id, legs, .. }, _] = postings.clone();
        let booked = Booked { posting_id, line_id, funder_id, source_id, legs };
        let came_in = [CameIn { source_id: Uuid::from_u128(9), amount, is_charged_off: true }];
        let undone = Undone { booked: &booked, is_charged_off: true, came_in: &came_in };
        let reversed = claim_posting::claim_reversed(&claim, undone, event().when);
        assert_sums_to_zero(std::slice::from_ref(&reversed));
        let postings: Vec<Posting> = postings.into_iter().chain([reversed]).collect();
        prop_assert_eq!(beside.map(|account| moved(&postings, account)).iter().sum::<i64>(), 0);
        for account in [Account::GuarantorPayable, Account::ClaimsReceived, Account::Cash] {
            prop_assert_eq!(moved(&postings, account), 0, "{}", account.name());
        }
        prop_assert_eq!(moved(&postings, Account::RecoveryIncome), -taken.receivable().get());
    }

    /// What is posted beside that: a funder's money that comes and goes, a payment that was not made, money that is nobody's and a
    /// channel that settles leave nothing open; interest that runs either way and a loss stay within their books.
    #[test]
    fn whatever_else_is_posted_sums_to_zero(
        amount in 1..1_000_000_i64, cost in fen(1_000), changes in proptest::array::uniform4(-1_000..1_000_i64),
    ) {
        let (amount, now) = (Fen::new(amount), event());
        let (funder_id, when, day) = (now.funder_id, now.when, now.when.business_day);
        let movement = Movement { funder_id, movement_id: now.source_id, amount, when };
        let there_and_back = [funder_posting::deposit(movement), funder_posting::withdrawal(movement)];
        let paid = settlement_posting::settlement_paid(now.source_id, FunderAmount { funder_id, amount }, when);
        let booked = Booked {
            posting_id: paid.posting_id, line_id: None, funder_id, source_id: paid.source_id, legs: paid.legs.clone() };
        let paid_and_denied = [paid, settlement_posting::payout_reversed(&booked, when)];
        let (found, of_nobody) = (unknown_order(amount), ChannelShare { funder_id: HOUSE, amount, cost: Fen::ZERO });
        let taken_and_returned = [
            channel_settles(ChannelName::Alpha, day, &of_nobody, when), suspense_returned(&found, when)];
        for undone in [&there_and_back, &paid_and_denied, &taken_and_returned] {
            undone.iter().for_each(|posting| assert_sums_to_zero(std::slice::from_ref(posting)));
            for account in Account::ALL {
                prop_assert_eq!(moved(undone, account), 0, "{}", account.name());
            }
        }

        let settled = [
            channel_settles(ChannelName::Alpha, day, &ChannelShare { funder_id, amount, cost }, when),
            settled_by_hand(&found, funder_id, -amount, when),
        ];
        prop_assert_eq!(moved(&settled, Account::ChannelReceivable), 0);
        prop_assert_eq!(moved(&settled, Account::ChannelCost), cost.get());
        let span = Span {
            funder_id,
            product_id: ProductId::from_uuid(Uuid::from_u128(12)),
            charge: Charge::Interest,
            from_on: day,
            to_on: day.next(),
            amount,
            accrued: Fen::ZERO,
        };
        let mut earned = ProductAccrual::of(&span);
        for (charge, change) in Charge::ALL.into_iter().zip(changes) {
            earned.add(charge, Fen::new(change));
        }
        let lost = ChargeOff {
            loan_id: LoanId::from_uuid(Uuid::from_u128(8)),
            line_id: now.line_id,
            funder_id,
            business_day: day,
            schedule_version: 1,
            principal: amount,
            interest: cost,
            fee: Fen::ZERO,
            covered: Fen::ZERO,
        };
        for posting in settled.into_iter().chain([accrual::posting(earned, when), lost.posting(when.at)]) {
            assert_sums_to_zero(&[posting]);
        }
    }
}
