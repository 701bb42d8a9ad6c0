//! How a refund is split between the parties. Every part is computed on the sum of all refunds so far, so that any number of
//! refunds adds up exactly.

use serde_json::{Value, json};

use crate::base::{BusinessDay, Fen};
use crate::bill::{BilledParts, Parts};
use crate::loan::Schedule;
use crate::loan::reduction::{Amounts, Billed};

/// The purchase as a refund finds it.
#[derive(Clone, Copy, Debug)]
pub struct Refundable {
    pub amount: Fen,
    pub refunded: Fen,
    pub discount_fee: Fen,
    pub discount_returned_on_refund: bool,
    pub subsidy: Fen,
}

/// What a refund moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundParts {
    pub amount: Fen,
    /// Back to the funder's reserve.
    pub principal_fell: Fen,
    /// To the borrower's card.
    pub owed_back: Fen,
    pub discount_fee_returned: Fen,
    pub subsidy_returned: Fen,
}

impl RefundParts {
    /// What it changes in the merchant's settlement: zero or below.
    pub fn net(&self) -> Fen {
        self.discount_fee_returned + self.subsidy_returned - self.amount
    }
}

/// A billed installment that a refund reduces, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReducedInstallment {
    /// From 1.
    pub period: i16,
    /// Not paid, and owed no more.
    pub fell: Parts,
    /// Interest and fees that were paid, and go back to the card.
    pub back: Parts,
    /// The day until which penalty has run on what fell, if that was late.
    pub fell_on: BusinessDay,
}

impl ReducedInstallment {
    /// The part about it in the message to the funder's core.
    pub fn message_body(&self) -> Value {
        json!({
            "period": self.period,
            "principal_fell_fen": self.fell.principal,
            "interest_fell_fen": self.fell.interest,
            "fee_fell_fen": self.fell.fee,
            "interest_back_fen": self.back.interest,
            "fee_back_fen": self.back.fee,
        })
    }
}

/// Interest and fees of billed installments that leave with their principal, where the product returns them: they have been
/// accrued, so they leave the funder's income.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BilledCharges {
    /// Owed no more.
    pub fell: Parts,
    /// Paid, and given back to the borrower's card by the funder.
    pub back: Parts,
    /// How much of `back` had been recovered after the loan was charged off.
    pub recovered: Parts,
}

/// How much of the charges that go `back` had been recovered after the loan was charged off. The installment still has `kept` of what was
/// paid, of which `recovered` came after the charge-off. What was paid first goes back first, so what was recovered goes back last.
pub fn of_recovered(kept: Parts, recovered: Parts, back: Parts) -> Parts {
    let part = |get: fn(&Parts) -> Fen| {
        let came_first = (get(&kept) - get(&recovered)).or_zero();
        (get(&back) - came_first).or_zero()
    };
    Parts { interest: part(|parts| parts.interest), fee: part(|parts| parts.fee), ..Parts::default() }
}

/// An installment as a refund finds it. Charges that a payoff waived after they were billed are left out: they are no longer in
/// the `schedule`, nobody owes them, and they did not fall with any principal. The fee of an early payoff, and the fees of
/// periods that the payoff took together with it, are left out of what a refund can reduce, because no bill asked for them.
pub fn billed_of(row: &BilledParts, schedule: &Schedule) -> Billed {
    let stands = schedule.installments.get(usize::from(row.period.unsigned_abs()).saturating_sub(1));
    let waived = stands.map_or(Parts::default(), |stands| Parts {
        interest: (row.asked.interest - stands.interest).min(row.fallen.interest),
        fee: (row.asked.fee - stands.fee).min(row.fallen.fee),
        ..Parts::default()
    });
    let amounts = |parts: Parts| Amounts {
        principal: parts.principal,
        interest: parts.interest,
        fee: if row.is_payoff { Fen::ZERO } else { parts.fee },
    };
    let less_waived = |mut parts: Parts| {
        parts += -waived;
        amounts(parts)
    };
    Billed {
        period: row.period.unsigned_abs(),
        asked: less_waived(row.asked),
        paid: amounts(row.paid),
        fallen: less_waived(row.fallen),
        back: amounts(row.back),
        refunded_before: row.refunded_before,
    }
}

/// All that a refund does on one day to one purchase as it stood before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    pub day: BusinessDay,
    pub refunded_before: Fen,
    pub parts: RefundParts,
    /// Interest that the borrower no longer owes.
    pub interest_waived: Fen,
    /// Interest and fees that the borrower paid, and that the funder gives back to the card beside what is owed back.
    pub interest_back: Fen,
}

impl Effect {
    /// A text that differs for any two effects that differ. A page that shows an effect sends it back, so that exactly this is done.
    pub fn seal(&self) -> String {
        let Effect { day, refunded_before, parts, interest_waived, interest_back } = self;
        let amounts = [
            *refunded_before,
            parts.amount,
            parts.principal_fell,
            parts.owed_back,
            parts.discount_fee_returned,
            parts.subsidy_returned,
            *interest_waived,
            *interest_back,
        ];
        amounts.iter().fold(day.to_string(), |seal, amount| format!("{seal}.{}", amount.get()))
    }
}

impl Refundable {
    /// What may still be refunded.
    pub fn left(&self) -> Fen {
        self.amount - self.refunded
    }

    /// Splits a refund of `amount` of which `principal_fell` came off the loan.
    pub fn split(&self, amount: Fen, principal_fell: Fen) -> RefundParts {
        let returned = |charge: Fen| self.share_until(charge, amount) - self.share_until(charge, Fen::ZERO);
        RefundParts {
            amount,
            principal_fell,
            owed_back: amount - principal_fell,
            discount_fee_returned: if self.discount_returned_on_refund {
                returned(self.discount_fee)
            } else {
                Fen::ZERO
            },
            subsidy_returned: returned(self.subsidy),
        }
    }

    /// The part of a charge that belongs to all that has been refunded, and `more`.
    fn share_until(&self, charge: Fen, more: Fen) -> Fen {
        charge.share((self.refunded + more).get(), self.amount.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loan::Installment;

    /// A purchase after refunds of a third each, and what each of them moved, `fell` of which came off the loan.
    fn refund_in_thirds(fell: fn(Fen) -> Fen) -> (Refundable, [RefundParts; 3]) {
        let mut purchase = Refundable {
            amount: Fen::new(1_000),
            refunded: Fen::ZERO,
            discount_fee: Fen::new(7),
            discount_returned_on_refund: true,
            subsidy: Fen::new(20),
        };
        let moved = [333, 333, 334].map(Fen::new).map(|amount| {
            let parts = purchase.split(amount, fell(amount));
            purchase.refunded += parts.amount;
            parts
        });
        (purchase, moved)
    }

    #[test]
    fn three_refunds_of_a_third_return_the_whole_fee_and_subsidy() {
        let (purchase, moved) = refund_in_thirds(|amount| amount);
        let fees: Fen = moved.iter().map(|parts| parts.discount_fee_returned).sum();
        let subsidies: Fen = moved.iter().map(|parts| parts.subsidy_returned).sum();
        assert_eq!((fees, subsidies), (purchase.discount_fee, purchase.subsidy));
    }

    #[test]
    fn what_was_recovered_of_an_installment_goes_back_after_what_had_come_before() {
        let parts = |interest, fee| Parts { interest: Fen::new(interest), fee: Fen::new(fee), ..Parts::default() };
        let of = |kept, recovered, back| of_recovered(parts(kept, kept), parts(recovered, 0), parts(back, back));
        assert_eq!(of(10, 0, 10), parts(0, 0), "all of it came before");
        assert_eq!(of(10, 10, 4), parts(4, 0));
        assert_eq!(of(10, 6, 3), parts(0, 0));
        assert_eq!(of(10, 6, 7), parts(3, 0));
        // Those four that had come before are gone, and three of the six.
        assert_eq!(of(3, 6, 3), parts(3, 0));
    }

    #[test]
    fn what_a_payoff_waived_has_not_fallen_with_any_principal() {
        let parts = |principal, interest| Parts {
            principal: Fen::new(principal),
            interest: Fen::new(interest),
            ..Parts::default()
        };
        // Quoted before it was billed: of its 363 it bore 119, after 20 had fallen with 1,000 of its principal.
        let row = BilledParts {
            period: 1,
            is_payoff: false,
            asked: parts(40_359, 363),
            paid: parts(39_359, 119),
            fallen: parts(1_000, 244),
            back: Parts::default(),
            refunded_before: Fen::ZERO,
        };
        let due_on = "2026-05-25".parse().unwrap();
        let (principal, interest, fee) = (Fen::new(40_359), Fen::new(139), Fen::ZERO);
        let schedule = Schedule { installments: vec![Installment { due_on, principal, interest, fee }] };
        let billed = billed_of(&row, &schedule);
        assert_eq!((billed.asked.interest, billed.fallen.interest), (Fen::new(139), Fen::new(20)));
        assert_eq!((billed.asked.principal, billed.fallen.principal), (principal, Fen::new(1_000)));
        assert_eq!(billed.paid, Amounts { principal: Fen::new(39_359), interest: Fen::new(119), fee });
        // Where the schedule has none of the row's charges left, no more than all that fell was waived.
        let emptied = Schedule { installments: vec![Installment { due_on, principal, interest: fee, fee }] };
        assert_eq!(billed_of(&row, &emptied).fallen.interest, Fen::ZERO);
    }

    #[test]
    fn an_effect_is_sealed_with_everything_that_it_moves() {
        let zero = Fen::ZERO;
        let parts = RefundParts {
            amount: Fen::new(100),
            principal_fell: Fen::new(60),
            owed_back: Fen::new(40),
            discount_fee_returned: zero,
            subsidy_returned: zero,
        };
        let day = "2026-03-03".parse().unwrap();
        let effect =
            Effect { day, refunded_before: zero, parts, interest_waived: Fen::new(7), interest_back: Fen::new(3) };
        assert_eq!(effect.seal(), "2026-03-03.0.100.60.40.0.0.7.3");
        let repaid_meanwhile = RefundParts { principal_fell: Fen::new(50), owed_back: Fen::new(50), ..parts };
        assert_ne!(Effect { parts: repaid_meanwhile, ..effect }.seal(), effect.seal());
    }

    #[test]
    fn the_discount_fee_stays_where_the_agreement_says_so() {
        let purchase = Refundable {
            amount: Fen::new(1_000),
            refunded: Fen::ZERO,
            discount_fee: Fen::new(6),
            discount_returned_on_refund: false,
            subsidy: Fen::ZERO,
        };
        let parts = purchase.split(Fen::new(1_000), Fen::new(400));
        assert_eq!((parts.discount_fee_returned, parts.owed_back), (Fen::ZERO, Fen::new(600)));
    }

    #[test]
    fn each_refund_returns_the_share_of_all_so_far_less_what_earlier_ones_returned() {
        let (purchase, moved) = refund_in_thirds(|_| Fen::new(300));
        let told = moved.map(|parts| {
            [parts.owed_back, parts.discount_fee_returned, parts.subsidy_returned, parts.net()].map(Fen::get)
        });
        // Of the fee 2.3, 4.7 and 7 until each, of the subsidy 6.7, 13.3 and 20.
        assert_eq!(told, [[33, 2, 7, -324], [33, 3, 6, -324], [34, 2, 7, -325]]);
        assert_eq!(purchase.left(), Fen::ZERO);
    }
}
