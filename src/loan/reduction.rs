//! What a refund does to a loan: which unpaid principal it takes off, and the next schedule version on the smaller balances.
//!
//! In these files an amount *falls* if it is taken off before it was paid, and goes *back* if it was paid and is returned to the
//! card.

use super::apportionment::{Takeable, divide};
use super::rescaling::{Earlier, Fees, Period};
use super::schedule::{Installment, Schedule};
use crate::base::{BusinessDay, Fen};
use crate::product::terms::RefundOrder;

/// The loan as the refund finds it.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    /// The current schedule.
    pub schedule: &'a Schedule,
    /// The versions that earlier refunds replaced, the first one first.
    pub earlier: &'a [Earlier<'a>],
    /// Periods 1 to this number have been billed.
    pub periods_billed: u16,
    /// The last statement day before the refund, if there was one.
    pub billed_on: Option<BusinessDay>,
    /// Billed installments, paid or not, and what an early payoff took, by period.
    pub billed: &'a [Billed],
    /// The day that interest of the first period runs from.
    pub made_on: BusinessDay,
    /// The principal as it was lent.
    pub principal: Fen,
    /// The sum of earlier refunds, whether they made principal fall or were owed back.
    pub refunded: Fen,
}

/// Amounts of one installment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    pub principal: Fen,
    pub interest: Fen,
    pub fee: Fen,
}

impl Amounts {
    pub fn is_zero(&self) -> bool {
        *self == Amounts::default()
    }
}

/// One billed installment and what has become of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    pub period: u16,
    pub asked: Amounts,
    pub paid: Amounts,
    /// Taken off before it was paid.
    pub fallen: Amounts,
    /// The part of what was paid that earlier refunds gave back to the card.
    pub back: Amounts,
    /// What was refunded before this was billed, and so is not in `asked`.
    pub refunded_before: Fen,
}

/// How much is to fall, and by which of the product's rules.
#[derive(Clone, Copy, Debug)]
pub struct Fall {
    pub amount: Fen,
    /// By how much the refund exceeds the unpaid principal: principal that was paid, and goes back to the card.
    pub owed_back: Fen,
    pub order: RefundOrder,
    /// Whether interest and fees of billed installments leave with their principal.
    pub returns_billed_interest: bool,
    pub day: BusinessDay,
}

/// The effect of a refund on a loan.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction {
    /// Principal that fell: the amount, or all that was unpaid where that is less.
    pub principal_fell: Fen,
    /// The next version. Billed periods stand in it as they were billed.
    pub schedule: Schedule,
    /// What leaves billed installments, by period; those untouched are left out.
    pub billed: Vec<BilledFall>,
    /// Interest and fees that the borrower no longer owes, unbilled and billed.
    pub interest_waived: Fen,
}

/// What leaves one billed installment by a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BilledFall {
    pub period: u16,
    /// What was not paid.
    pub fell: Amounts,
    /// What was paid and goes back to the card. Its principal is told only where interest goes with it.
    pub back: Amounts,
}

/// Lets principal fall and recomputes unbilled interest on the smaller balances from the refund's day on.
///
/// Interest of an unbilled period scales, from what was agreed, with its opening balance; in the period that the day falls into, the days
/// before it keep the balances of their time. A fee per period scales, from what it was after the last statement, with the principal not
/// billed, and ends with it: a period that opens without principal asks for nothing, as its loan is paid by then. Each is rounded once.
pub fn reduce(standing: &Standing<'_>, fall: Fall) -> Reduction {
    let unbilled = &standing.schedule.installments[usize::from(standing.periods_billed)..];

    // Unpaid principal in order of due day: billed first, then unbilled.
    let of_billed = |billed: &Billed| {
        let agreed = standing.agreed_principal(usize::from(billed.period));
        Takeable { left: billed.unpaid().principal, whole: (agreed - billed.paid.principal).or_zero() }
    };
    let of_unbilled = |(period, row): (usize, &Installment)| Takeable {
        left: row.principal,
        whole: standing.agreed_principal(period),
    };
    let periods = usize::from(standing.periods_billed) + 1..;
    let billed = standing.billed.iter().map(of_billed);
    let unpaid: Vec<Takeable> = billed.chain(periods.zip(unbilled).map(of_unbilled)).collect();
    let falls = divide(&unpaid, fall.amount, fall.order);
    let (billed_falls, unbilled_falls) = falls.split_at(standing.billed.len());
    let billed = leave_billed(standing, billed_falls, fall);

    let (schedule, waived_unbilled) = rescale(standing, unbilled_falls, fall.day);
    Reduction {
        principal_fell: falls.iter().copied().sum(),
        schedule,
        interest_waived: waived_unbilled + billed.iter().map(|billed| billed.fell.interest + billed.fell.fee).sum(),
        billed,
    }
}

/// What leaves the billed installments. `falls` is the unpaid principal that falls of each. Paid principal that is owed back is
/// distributed over them in the same order, so that interest and fees leave with it.
fn leave_billed(standing: &Standing<'_>, falls: &[Fen], fall: Fall) -> Vec<BilledFall> {
    let kept = |billed: &Billed| Takeable { left: billed.kept().principal, whole: billed.paid.principal };
    let kept: Vec<Takeable> = standing.billed.iter().map(kept).collect();
    let backs = match fall.returns_billed_interest {
        true => divide(&kept, fall.owed_back, fall.order),
        false => vec![Fen::ZERO; kept.len()],
    };
    let leaving = standing.billed.iter().zip(falls.iter().zip(backs)).map(|(billed, (fallen, back))| {
        let (fell, given_back) = match fall.returns_billed_interest {
            true => billed.charges_with(*fallen + back, standing, fall),
            false => Default::default(),
        };
        BilledFall {
            period: billed.period,
            fell: Amounts { principal: *fallen, ..fell },
            back: Amounts { principal: back, ..given_back },
        }
    });
    leaving.filter(|leaving| !leaving.fell.is_zero() || !leaving.back.is_zero()).collect()
}

impl Standing<'_> {
    /// The principal of a period (from 1) before all refunds.
    fn agreed_principal(&self, period: usize) -> Fen {
        let agreed = self.earlier.first().map_or(self.schedule, |version| version.schedule);
        period.checked_sub(1).and_then(|index| agreed.installments.get(index)).map_or(Fen::ZERO, |row| row.principal)
    }
}

impl Billed {
    fn unpaid(&self) -> Amounts {
        Amounts {
            principal: self.asked.principal - self.paid.principal - self.fallen.principal,
            interest: self.asked.interest - self.paid.interest - self.fallen.interest,
            fee: self.asked.fee - self.paid.fee - self.fallen.fee,
        }
    }

    /// What was paid and not given back.
    pub fn kept(&self) -> Amounts {
        Amounts {
            principal: (self.paid.principal - self.back.principal).or_zero(),
            interest: (self.paid.interest - self.back.interest).or_zero(),
            fee: (self.paid.fee - self.back.fee).or_zero(),
        }
    }

    /// Interest and fee that leave with `principal`, as what falls and what goes back: first what is not paid of them falls, then
    /// what was paid goes back.
    ///
    /// Computed on the totals so far, so that any number of refunds sums exactly: charges that have left ÷ charges billed =
    /// principal that has left ÷ principal billed. An installment without principal goes by the whole loan: refunded since it was
    /// billed ÷ principal at that time.
    fn charges_with(&self, principal: Fen, standing: &Standing<'_>, fall: Fall) -> (Amounts, Amounts) {
        let (until_billed, refunded) = (self.refunded_before, standing.refunded + fall.amount + fall.owed_back);
        let (left, whole) = match self.asked.principal.is_positive() {
            true => (self.fallen.principal + self.back.principal + principal, self.asked.principal),
            false => (refunded - until_billed, standing.principal - until_billed),
        };
        let (unpaid, kept) = (self.unpaid(), self.kept());
        let leave = |charge: fn(&Amounts) -> Fen| {
            let until_now = charge(&self.asked).share(left.min(whole).get(), whole.get());
            let leaves = (until_now - charge(&self.fallen) - charge(&self.back)).or_zero();
            let falls = leaves.min(charge(&unpaid));
            (falls, (leaves - falls).min(charge(&kept)))
        };
        let (interest, fee) = (leave(|amounts| amounts.interest), leave(|amounts| amounts.fee));
        let amounts = |interest, fee| Amounts { principal: Fen::ZERO, interest, fee };
        (amounts(interest.0, fee.0), amounts(interest.1, fee.1))
    }
}

/// The schedule with `falls` taken off its unbilled rows and their interest and fee scaled; and the interest and fees waived by
/// that.
fn rescale(standing: &Standing<'_>, falls: &[Fen], day: BusinessDay) -> (Schedule, Fen) {
    let mut schedule = standing.schedule.clone();
    let before = schedule.total() - schedule.principal();
    let billed_count = usize::from(standing.periods_billed);
    let mut period_from = match billed_count.checked_sub(1) {
        Some(last_billed) => schedule.installments[last_billed].due_on,
        None => standing.made_on,
    };
    let unbilled = &mut schedule.installments[billed_count..];
    let mut balance_before: Fen = unbilled.iter().map(|row| row.principal).sum();
    let mut balance_after = balance_before - falls.iter().copied().sum();
    let (unbilled_before, unbilled_after) = (balance_before, balance_after);
    let fees = Fees::of(standing.earlier, standing.schedule, billed_count, standing.billed_on);
    for (index, (row, fallen)) in (billed_count..).zip(unbilled.iter_mut().zip(falls)) {
        let (from, due_on, earlier) = (period_from, row.due_on, standing.earlier);
        let period = Period { index, from, due_on, earlier, day, balance_before, balance_after };
        if unbilled_after.is_zero() {
            row.interest = Fen::ZERO;
        } else if balance_after != balance_before {
            row.interest = period.interest(row.interest);
        }
        if balance_after.is_zero() {
            row.fee = Fen::ZERO;
        } else if unbilled_after != unbilled_before {
            row.fee = fees.left(index, row.fee, unbilled_after);
        }
        balance_before -= row.principal;
        row.principal -= *fallen;
        balance_after -= row.principal;
        period_from = row.due_on;
    }
    let waived = before - (schedule.total() - schedule.principal());
    (schedule, waived)
}

/// The schedule after which nothing more falls due: every unbilled row emptied (a full refund, a payoff).
pub fn without_unbilled(schedule: &Schedule, periods_billed: u16) -> Schedule {
    let mut schedule = schedule.clone();
    for row in schedule.installments.iter_mut().skip(usize::from(periods_billed)) {
        *row = Installment { due_on: row.due_on, principal: Fen::ZERO, interest: Fen::ZERO, fee: Fen::ZERO };
    }
    schedule
}

#[cfg(test)]
mod tests {
    use super::super::rescaling::{Borne, Reduced, RescaledRow, Rescaling, explain};
    use super::*;

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    fn three_periods() -> Schedule {
        let row = |due_on, interest| Installment {
            due_on: day(due_on),
            principal: Fen::new(1_000),
            interest: Fen::new(interest),
            fee: Fen::ZERO,
        };
        Schedule { installments: vec![row("2026-02-25", 30), row("2026-03-25", 20), row("2026-04-25", 10)] }
    }

    fn fall(amount: i64, order: RefundOrder, on: &str) -> Fall {
        Fall { amount: Fen::new(amount), owed_back: Fen::ZERO, order, returns_billed_interest: false, day: day(on) }
    }

    fn amounts(principal: i64, interest: i64, fee: i64) -> Amounts {
        Amounts { principal: Fen::new(principal), interest: Fen::new(interest), fee: Fen::new(fee) }
    }

    /// Three thousand lent on 25 January, of which `billed` is billed.
    fn standing<'a>(schedule: &'a Schedule, billed: &'a [Billed]) -> Standing<'a> {
        Standing {
            schedule,
            earlier: &[],
            periods_billed: u16::try_from(billed.len()).unwrap(),
            billed_on: None,
            billed,
            made_on: day("2026-01-25"),
            principal: Fen::new(3_000),
            refunded: Fen::ZERO,
        }
    }

    /// The first refund of that loan.
    fn reduced_on<'a>(on: &str, before: &'a Schedule, after: &'a Schedule) -> Reduced<'a> {
        let (made_on, day) = (day("2026-01-25"), day(on));
        Reduced { earlier: &[], before, after, periods_billed: 0, billed_on: None, made_on, day }
    }

    /// The first installment, of which this is paid.
    fn first(asked: Amounts, paid: Amounts) -> Billed {
        Billed { period: 1, asked, paid, ..Billed::default() }
    }

    #[test]
    fn principal_falls_from_the_last_installment_backwards() {
        let schedule = three_periods();
        let reduction = reduce(&standing(&schedule, &[]), fall(1_500, RefundOrder::LastFirst, "2026-01-25"));
        let principals: Vec<i64> = reduction.schedule.installments.iter().map(|row| row.principal.get()).collect();
        assert_eq!(principals, [1_000, 500, 0]);
        // Balances 3000, 2000, 1000 became 1500, 500, 0.
        let interests: Vec<i64> = reduction.schedule.installments.iter().map(|row| row.interest.get()).collect();
        assert_eq!(interests, [15, 5, 0]);
        assert_eq!(reduction.interest_waived, Fen::new(40));
    }

    #[test]
    fn a_fee_a_period_ends_with_the_principal_that_is_left() {
        let mut schedule = three_periods();
        for row in &mut schedule.installments {
            (row.interest, row.fee) = (Fen::ZERO, Fen::new(30));
        }
        let reduction = reduce(&standing(&schedule, &[]), fall(1_500, RefundOrder::LastFirst, "2026-02-04"));
        let rows = reduction.schedule.installments.iter().map(|row| (row.principal.get(), row.fee.get()));
        // Half of the principal bears half of the fee, and in the third period there is none.
        assert_eq!(rows.collect::<Vec<_>>(), [(1_000, 15), (500, 15), (0, 0)]);
        assert_eq!(reduction.interest_waived, Fen::new(60));
        let reduced = reduced_on("2026-02-04", &schedule, &reduction.schedule);
        assert_eq!(explain(reduced, 2), RescaledRow { interest: None, fee: Some(Rescaling::Nothing) });
    }

    #[test]
    fn interest_and_a_guarantee_charge_are_made_smaller_each_by_its_own_rule() {
        let mut schedule = three_periods();
        schedule.installments.iter_mut().for_each(|row| row.fee = Fen::new(9));
        let reduction = reduce(&standing(&schedule, &[]), fall(1_500, RefundOrder::LastFirst, "2026-02-04"));
        let rows = reduction.schedule.installments.iter();
        let rows: Vec<_> = rows.map(|row| (row.principal.get(), row.interest.get(), row.fee.get())).collect();
        // Interest as of the days, 19.8 and 20 × 500 ÷ 2,000; of each 9 a half, rounded up; and nothing on nothing.
        assert_eq!(rows, [(1_000, 20, 5), (500, 5, 5), (0, 0, 0)]);
        assert_eq!(reduction.interest_waived, Fen::new(60 - 25 + 27 - 10));
        let reduced = reduced_on("2026-02-04", &schedule, &reduction.schedule);
        let how = explain(reduced, 1);
        assert_eq!(how.interest.unwrap().amounts(), [20, 2_000, 500, 5].map(Fen::new));
        assert_eq!(how.fee.unwrap().amounts(), [9, 3_000, 1_500, 5].map(Fen::new));
    }

    #[test]
    fn days_before_the_refund_keep_the_old_balance() {
        let schedule = three_periods();
        // 31 days in the period, 10 before the refund: 30 × (3000·10 + 1500·21) ÷ (3000·31) = 19.8.
        let reduction = reduce(&standing(&schedule, &[]), fall(1_500, RefundOrder::LastFirst, "2026-02-04"));
        assert_eq!(reduction.schedule.installments[0].interest, Fen::new(20));
    }

    #[test]
    fn refunds_in_parts_leave_the_interest_that_one_of_all_of_them_leaves() {
        let schedule = three_periods();
        let refund = |found: &Schedule, earlier: &[Earlier<'_>], amount, on| {
            let standing = Standing { earlier, ..standing(found, &[]) };
            reduce(&standing, fall(amount, RefundOrder::LastFirst, on)).schedule
        };
        let first = refund(&schedule, &[], 1_000, "2026-02-04");
        let earlier = [Earlier { schedule: &schedule, until: day("2026-02-04") }];
        // On one day: as 1,500 at once, 30 × (3,000·10 + 1,500·21) ÷ (3,000·31) = 19.8 and 20 × 500 ÷ 2,000.
        assert_eq!(refund(&first, &earlier, 500, "2026-02-04"), refund(&schedule, &[], 1_500, "2026-02-04"));
        // Ten days later, 30 × (3,000·10 + 2,000·10 + 1,500·11) ÷ (3,000·31) = 21.45.
        let second = refund(&first, &earlier, 500, "2026-02-14");
        let how = explain(Reduced { earlier: &earlier, ..reduced_on("2026-02-14", &first, &second) }, 0).interest;
        let borne = [(3_000, 10), (2_000, 10), (1_500, 11)].map(|(fen, days)| Borne { balance: Fen::new(fen), days });
        let (agreed, balance, new) = (Fen::new(30), Fen::new(3_000), Fen::new(21));
        assert_eq!(how, Some(Rescaling::InterestAgain { agreed, balance, days: 31, borne: borne.to_vec(), new }));
    }

    /// The schedule after a refund is made a hundred times.
    fn after_a_hundred(schedule: &Schedule, refund: Fall) -> Schedule {
        let mut stood = vec![schedule.clone()];
        for _ in 0..100 {
            let (found, before) = stood.split_last().unwrap();
            let earlier: Vec<Earlier<'_>> =
                before.iter().map(|schedule| Earlier { schedule, until: refund.day }).collect();
            let standing = Standing { earlier: &earlier, ..standing(found, &[]) };
            let next = reduce(&standing, refund).schedule;
            stood.push(next);
        }
        stood.pop().unwrap()
    }

    #[test]
    fn refunds_too_small_to_move_a_fen_of_a_charge_move_it_together() {
        let mut schedule = three_periods();
        schedule.installments.iter_mut().for_each(|row| row.fee = Fen::new(9));
        let of = |amount| fall(amount, RefundOrder::LastFirst, "2026-01-26");
        let once = reduce(&standing(&schedule, &[]), of(1_500));
        assert_eq!(after_a_hundred(&schedule, of(15)), once.schedule);
    }

    #[test]
    fn refunds_of_a_fen_each_fall_in_proportion_as_one_of_all_of_them_does() {
        let schedule = three_periods();
        let of = |amount| fall(amount, RefundOrder::Proportional, "2026-01-26");
        let once = reduce(&standing(&schedule, &[]), of(100)).schedule;
        assert_eq!(after_a_hundred(&schedule, of(1)), once);
        assert_eq!(once.installments.iter().map(|row| row.principal.get()).collect::<Vec<_>>(), [967, 967, 966]);
    }

    #[test]
    fn a_full_refund_waives_all_unbilled_interest_and_leaves_billed_interest() {
        let schedule = three_periods();
        let billed = [first(amounts(1_000, 30, 0), Amounts::default())];
        let reduction = reduce(&standing(&schedule, &billed), fall(9_999, RefundOrder::LastFirst, "2026-03-01"));
        assert_eq!(reduction.principal_fell, Fen::new(3_000));
        assert_eq!(reduction.interest_waived, Fen::new(30));
        let fallen = BilledFall { period: 1, fell: amounts(1_000, 0, 0), back: Amounts::default() };
        assert_eq!(reduction.billed, [fallen]);
    }

    #[test]
    fn a_billed_fee_that_is_still_owed_falls_in_proportion_where_the_product_returns_it() {
        let mut schedule = three_periods();
        for row in &mut schedule.installments {
            (row.interest, row.fee) = (Fen::ZERO, Fen::new(15));
        }
        let billed = [first(amounts(1_000, 0, 15), Amounts::default())];
        let waived = |amount, returns_billed_interest| {
            let fall = Fall { returns_billed_interest, ..fall(amount, RefundOrder::LastFirst, "2026-02-10") };
            let reduction = reduce(&standing(&schedule, &billed), fall);
            (reduction.billed[0].fell.fee.get(), reduction.interest_waived.get())
        };
        assert_eq!(waived(3_000, true), (15, 45));
        // 15 × 500 ÷ 1,000 = 7.5, and all that is not billed.
        assert_eq!(waived(2_500, true), (8, 38));
        assert_eq!(waived(3_000, false), (0, 30));
    }

    /// A refund under a product that returns billed interest; principal that is not unpaid is owed back.
    fn returning(billed: &Billed, falls: i64, owed_back: i64, refunded: i64) -> (Amounts, Amounts) {
        let schedule = three_periods();
        let billed = [*billed];
        let standing = Standing { refunded: Fen::new(refunded), ..standing(&schedule, &billed) };
        let fall = Fall {
            owed_back: Fen::new(owed_back),
            returns_billed_interest: true,
            ..fall(falls, RefundOrder::LastFirst, "2026-06-30")
        };
        reduce(&standing, fall).billed.first().map(|leaving| (leaving.fell, leaving.back)).unwrap_or_default()
    }

    #[test]
    fn billed_interest_falls_whole_where_the_principal_was_paid_first() {
        let billed = first(amounts(1_000, 30, 0), amounts(1_000, 0, 0));
        assert_eq!(returning(&billed, 2_000, 1_000, 0), (amounts(0, 30, 0), amounts(1_000, 0, 0)));
    }

    #[test]
    fn of_half_paid_principal_the_other_half_takes_half_of_the_interest() {
        let mut billed = first(amounts(1_000, 31, 0), amounts(500, 0, 0));
        assert_eq!(returning(&billed, 2_500, 0, 0), (amounts(500, 16, 0), Amounts::default()));
        // And the half that was paid the rest of it.
        billed.fallen = amounts(500, 16, 0);
        assert_eq!(returning(&billed, 0, 500, 2_500), (amounts(0, 15, 0), amounts(500, 0, 0)));
    }

    #[test]
    fn billed_interest_that_was_paid_goes_back_with_its_principal() {
        let mut billed = first(amounts(1_000, 31, 5), amounts(1_000, 31, 5));
        assert_eq!(returning(&billed, 2_000, 0, 0), (Amounts::default(), Amounts::default()));
        assert_eq!(returning(&billed, 0, 500, 2_000), (Amounts::default(), amounts(500, 16, 3)));
        billed.back = amounts(500, 16, 3);
        assert_eq!(returning(&billed, 0, 500, 2_500), (Amounts::default(), amounts(500, 15, 2)));
    }

    #[test]
    fn what_is_not_paid_of_the_interest_falls_before_any_goes_back() {
        let billed = first(amounts(1_000, 30, 0), amounts(1_000, 10, 0));
        assert_eq!(returning(&billed, 2_000, 1_000, 0), (amounts(0, 20, 0), amounts(1_000, 10, 0)));
    }

    #[test]
    fn interest_of_an_installment_without_principal_goes_by_the_whole_loan() {
        let mut billed = first(amounts(0, 31, 0), amounts(0, 31, 0));
        assert_eq!(returning(&billed, 1_500, 0, 0), (Amounts::default(), amounts(0, 16, 0)));
        billed.back = amounts(0, 16, 0);
        assert_eq!(returning(&billed, 1_500, 0, 1_500), (Amounts::default(), amounts(0, 15, 0)));
        // What asked for interest on 2,000 alone gives half of it back with 1,000 of those.
        let paid = amounts(0, 20, 0);
        let later = Billed { refunded_before: Fen::new(1_000), ..first(paid, paid) };
        assert_eq!(returning(&later, 1_000, 0, 1_000), (Amounts::default(), amounts(0, 10, 0)));
    }

    #[test]
    fn a_proportional_fall_takes_of_a_bill_by_what_is_unpaid_of_it() {
        let schedule = three_periods();
        let billed = [first(amounts(1_000, 30, 0), amounts(400, 30, 0))];
        // Half of 600, 1,000 and 1,000, on the day that the second period begins.
        let reduction = reduce(&standing(&schedule, &billed), fall(1_300, RefundOrder::Proportional, "2026-02-25"));
        let fell = BilledFall { period: 1, fell: amounts(300, 0, 0), back: Amounts::default() };
        assert_eq!((reduction.principal_fell, reduction.billed), (Fen::new(1_300), vec![fell]));
        let rows = reduction.schedule.installments.iter().map(|row| (row.principal.get(), row.interest.get()));
        assert_eq!(rows.collect::<Vec<_>>(), [(1_000, 30), (500, 10), (500, 5)]);
        assert_eq!(reduction.interest_waived, Fen::new(15));
    }
}
