//! How the principal that a refund takes is divided between installments.

use std::cmp::Ordering;

use crate::base::Fen;
use crate::product::terms::RefundOrder;

/// Principal of one installment that a refund may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Takeable {
    pub left: Fen,
    /// What would be left without any refund.
    pub whole: Fen,
}

/// Divides `amount` over what may be taken, in order of due days; never more than there is.
pub(super) fn divide(takeable: &[Takeable], amount: Fen, order: RefundOrder) -> Vec<Fen> {
    let total: Fen = takeable.iter().map(|one| one.left).sum();
    let amount = amount.min(total);
    match order {
        RefundOrder::LastFirst => take_last_first(takeable, amount),
        RefundOrder::Proportional => {
            let after = apportion(&weights(takeable, total), total - amount);
            takeable.iter().zip(after).map(|(one, after)| one.left - after).collect()
        }
    }
}

fn take_last_first(takeable: &[Takeable], amount: Fen) -> Vec<Fen> {
    let mut taken = vec![Fen::ZERO; takeable.len()];
    let mut rest = amount;
    for (taken, one) in taken.iter_mut().zip(takeable).rev() {
        *taken = rest.min(one.left);
        rest -= *taken;
    }
    taken
}

/// What installments are reduced in proportion to: what would be left of them without any refund, as long as what is left is in that
/// proportion, so that any number of refunds takes what one of all of them takes; otherwise, as where a part of one was paid between
/// two refunds, what is left of them.
fn weights(takeable: &[Takeable], total: Fen) -> Vec<Fen> {
    let whole = |one: &Takeable| if one.left.is_zero() { Fen::ZERO } else { one.whole };
    let whole: Vec<Fen> = takeable.iter().map(whole).collect();
    let left: Vec<Fen> = takeable.iter().map(|one| one.left).collect();
    if apportion(&whole, total) == left { whole } else { left }
}

/// Divides `total` in proportion to weights. The parts sum to it, and those of a smaller total are the same or smaller.
///
/// By the method of Webster: fen are given out one by one, each to the part whose weight ÷ (2 × the number of its next fen − 1) is the
/// greatest. Then every part is its weight divided by one and the same number, and rounded.
fn apportion(weights: &[Fen], total: Fen) -> Vec<Fen> {
    let whole: Fen = weights.iter().copied().sum();
    if whole.is_zero() {
        return vec![Fen::ZERO; weights.len()];
    }
    let one = Fen::new(1);
    let mut parts: Vec<Fen> = weights.iter().map(|weight| weight.share(total.get(), whole.get())).collect();
    // Rounded so, the parts differ from the total by at most half a fen each.
    let mut missing = total - parts.iter().copied().sum();
    while missing.is_negative() {
        let given = turns(weights, &parts, Fen::ZERO).filter(|turn| turn.fen.is_positive());
        let Some(last) = given.min_by(Turn::compare) else { break };
        parts[last.place] -= one;
        missing += one;
    }
    while missing.is_positive() {
        let Some(next) = turns(weights, &parts, one).max_by(Turn::compare) else { break };
        parts[next.place] += one;
        missing -= one;
    }
    parts
}

/// When a part is given one of its fen, compared with others.
struct Turn {
    place: usize,
    weight: Fen,
    /// The number of that fen among those of the part.
    fen: Fen,
}

/// The turn of each part at its last fen, or so many later.
fn turns(weights: &[Fen], parts: &[Fen], later: Fen) -> impl Iterator<Item = Turn> {
    let each = weights.iter().zip(parts).enumerate();
    each.map(move |(place, (weight, part))| Turn { place, weight: *weight, fen: *part + later })
}

impl Turn {
    /// The greater one is earlier. Of two that are the same, that of the installment which is due first.
    fn compare(&self, other: &Turn) -> Ordering {
        let times = |weight: Fen, fen: Fen| i128::from(weight.get()) * (2 * i128::from(fen.get()) - 1);
        times(self.weight, other.fen).cmp(&times(other.weight, self.fen)).then(other.place.cmp(&self.place))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fen<const N: usize>(amounts: [i64; N]) -> Vec<Fen> {
        amounts.map(Fen::new).to_vec()
    }

    /// Installments on which nothing was paid or refunded.
    fn untouched(amounts: &[i64]) -> Vec<Takeable> {
        amounts.iter().map(|amount| Takeable { left: Fen::new(*amount), whole: Fen::new(*amount) }).collect()
    }

    /// Takes an amount and returns what is left.
    fn taken(takeable: &[Takeable], amount: i64) -> Vec<Takeable> {
        let taken = divide(takeable, Fen::new(amount), RefundOrder::Proportional);
        takeable.iter().zip(taken).map(|(one, taken)| Takeable { left: one.left - taken, ..*one }).collect()
    }

    fn left(takeable: &[Takeable]) -> Vec<i64> {
        takeable.iter().map(|one| one.left.get()).collect()
    }

    #[test]
    fn a_proportional_fall_sums_exactly() {
        let falls = divide(&untouched(&[333, 333, 334]), Fen::new(100), RefundOrder::Proportional);
        // 299.7, 299.7 and 300.6 are left: three are rounded up, and the last of them takes a fen less.
        assert_eq!(falls, fen([33, 33, 34]));
    }

    #[test]
    fn single_fen_fall_everywhere_and_not_always_in_the_middle() {
        let mut one_by_one = untouched(&[1_000, 1_000, 1_000]);
        for _ in 0..100 {
            one_by_one = taken(&one_by_one, 1);
        }
        assert_eq!(left(&one_by_one), [967, 967, 966]);
        assert_eq!(left(&one_by_one), left(&taken(&untouched(&[1_000, 1_000, 1_000]), 100)));
    }

    #[test]
    fn what_was_paid_whole_leaves_the_proportion_of_the_others_and_a_part_that_was_paid_changes_it() {
        let mut takeable = taken(&untouched(&[39_642, 39_999, 40_359]), 60_000);
        assert_eq!(left(&takeable), [19_821, 20_000, 20_179]);
        takeable[0].left = Fen::ZERO;
        // What is left of the two is as 39,999 to 40,359.
        assert_eq!(left(&taken(&takeable, 20_000)), [0, 10_044, 10_135]);
        takeable[1].left = Fen::new(5_000);
        // A quarter of 25,179 is left, and so of each.
        assert_eq!(left(&taken(&takeable, 25_179 - 6_295)), [0, 1_250, 5_045]);
    }

    #[test]
    fn nothing_is_divided_over_nothing() {
        for order in [RefundOrder::LastFirst, RefundOrder::Proportional] {
            assert_eq!(divide(&untouched(&[0, 0]), Fen::new(100), order), fen([0, 0]));
            assert_eq!(divide(&untouched(&[40, 60]), Fen::new(101), order), fen([40, 60]));
        }
    }

    proptest! {
        #[test]
        fn any_number_of_refunds_takes_what_one_of_all_of_them_takes(
            amounts in proptest::collection::vec(1i64..5_000_000, 1..24),
            refunds in proptest::collection::vec(1i64..200_000, 1..12),
        ) {
            let before = untouched(&amounts);
            let parts = refunds.iter().fold(before.clone(), |takeable, refund| taken(&takeable, *refund));
            let once = taken(&before, refunds.iter().sum());
            prop_assert_eq!(left(&parts), left(&once));
            // Of each the same share is left, but for what rounding them all leaves to one.
            let (whole, rest) = (amounts.iter().sum::<i64>(), left(&once).iter().sum::<i64>());
            let most = i128::from(whole) * i128::try_from(amounts.len()).unwrap();
            for (amount, left) in amounts.iter().zip(left(&once)) {
                let apart = (i128::from(*amount) * i128::from(rest) - i128::from(left) * i128::from(whole)).abs();
                prop_assert!(left >= 0 && apart <= most, "{left} of {amount}");
            }
        }
    }
}
