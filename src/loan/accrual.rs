//! Daily accrual of interest and fees. Charges of all loans of a product that run between the same two dates are one span, and
//! accrue together.

use uuid::Uuid;

use crate::base::id::{FunderId, ProductId};
use crate::base::{BusinessDay, Fen, When, words};
use crate::ledger::Account;
use crate::ledger::posting::{Legs, Posting};

/// Interest or fees of one product that run from one day to another, summed over the loans that share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub funder_id: FunderId,
    pub product_id: ProductId,
    pub charge: Charge,
    pub from_on: BusinessDay,
    pub to_on: BusinessDay,
    pub amount: Fen,
    /// What has been posted of it.
    pub accrued: Fen,
}

words! {
    /// What kind of charge a span holds.
    pub enum Charge {
        Interest = "interest",
        Fee = "fee",
        /// Of loans that were charged off: receivable and charged off as it runs, income when it is paid.
        SuspendedInterest = "suspended_interest",
        SuspendedFee = "suspended_fee",
    }
}

impl Span {
    /// What has been earned by the end of `day`: amount × days elapsed ÷ days of the span. Rounded on the total so far, so that
    /// the days' postings always sum to the amount.
    pub fn accrued_by(&self, day: BusinessDay) -> Fen {
        let days = self.to_on.days_since(self.from_on).max(1);
        let elapsed = day.days_since(self.from_on).clamp(0, days);
        self.amount.share(elapsed, days)
    }
}

/// A product's accrual of one day.
#[derive(Clone, Copy, Debug)]
pub struct ProductAccrual {
    funder_id: FunderId,
    product_id: ProductId,
    interest: Fen,
    fee: Fen,
    suspended_interest: Fen,
    suspended_fee: Fen,
}

impl ProductAccrual {
    /// An empty sum for the product of `span`.
    pub fn of(span: &Span) -> ProductAccrual {
        ProductAccrual {
            funder_id: span.funder_id,
            product_id: span.product_id,
            interest: Fen::ZERO,
            fee: Fen::ZERO,
            suspended_interest: Fen::ZERO,
            suspended_fee: Fen::ZERO,
        }
    }

    /// Adds what a span of `charge` earned on the day; negative where a refund or payoff made the span smaller.
    pub fn add(&mut self, charge: Charge, change: Fen) {
        match charge {
            Charge::Interest => self.interest += change,
            Charge::Fee => self.fee += change,
            Charge::SuspendedInterest => self.suspended_interest += change,
            Charge::SuspendedFee => self.suspended_fee += change,
        }
    }
}

/// The posting of a product's interest and fees of one day. Suspended charges are no income: they are charged off as they accrue.
pub fn posting(accrual: ProductAccrual, when: When) -> Posting {
    Posting {
        posting_id: Uuid::new_v5(&accrual.product_id.uuid(), format!("interest {}", when.business_day).as_bytes()),
        line_id: None,
        funder_id: accrual.funder_id,
        event: "interest",
        source_id: accrual.product_id.uuid(),
        legs: Legs::new()
            .transfer(Account::InterestReceivable, Account::InterestIncome, accrual.interest)
            .transfer(Account::FeeReceivable, Account::FunderFeeIncome, accrual.fee)
            .transfer(Account::InterestReceivable, Account::ChargedOff, accrual.suspended_interest)
            .transfer(Account::FeeReceivable, Account::ChargedOff, accrual.suspended_fee)
            .into_vec(),
        corrects: None,
        business_day: when.business_day,
        posted_at: when.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Leg;

    fn span() -> Span {
        let id = Uuid::from_u128(1);
        Span {
            funder_id: FunderId::from_uuid(id),
            product_id: ProductId::from_uuid(id),
            charge: Charge::Interest,
            from_on: "2026-01-05".parse().unwrap(),
            to_on: "2026-02-25".parse().unwrap(),
            amount: Fen::new(1_001),
            accrued: Fen::ZERO,
        }
    }

    #[test]
    fn charged_off_loans_accrue_without_income_and_earlier_accrual_is_reversed() {
        let mut product = ProductAccrual::of(&span());
        product.add(Charge::Interest, Fen::new(-300));
        product.add(Charge::SuspendedInterest, Fen::new(310));
        product.add(Charge::SuspendedFee, Fen::new(7));
        let leg = |debit, credit, fen| Leg { debit, credit, amount: Fen::new(fen) };
        assert_eq!(
            posting(product, When { business_day: span().to_on, at: chrono::DateTime::UNIX_EPOCH }).legs,
            [
                leg(Account::InterestIncome, Account::InterestReceivable, 300),
                leg(Account::InterestReceivable, Account::ChargedOff, 310),
                leg(Account::FeeReceivable, Account::ChargedOff, 7),
            ]
        );
    }

    #[test]
    fn the_days_of_a_span_sum_to_its_amount() {
        let mut span = span();
        let mut day = span.from_on;
        let mut posted = Fen::ZERO;
        while day < span.to_on.plus_days(3) {
            let accrued = span.accrued_by(day);
            posted += accrued - span.accrued;
            span.accrued = accrued;
            day = day.next();
        }
        assert_eq!(posted, Fen::new(1_001));
    }

    #[test]
    fn a_day_has_accrued_at_its_end_and_the_first_one_is_the_day_after_the_start() {
        // Of 51 days none, one, 25, 50 and all: 1,001 × 25 ÷ 51 = 490.7.
        let days = ["2026-01-05", "2026-01-06", "2026-01-30", "2026-02-24", "2026-02-25"];
        let accrued = days.map(|day| span().accrued_by(day.parse().unwrap()).get());
        assert_eq!(accrued, [0, 20, 491, 981, 1_001]);
        assert_eq!(span().accrued_by("2025-12-31".parse().unwrap()), Fen::ZERO);
    }
}
