//! Allocation (the waterfall): which installments, and which parts of them, a payment settles.

use crate::base::Fen;
use crate::bill::Parts;
use crate::product::terms::{AllocationTerms, Part};

/// What one installment owes and the order in which it takes money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallmentDue {
    pub due: Parts,
    pub order: [Part; 4],
}

/// Where a payment went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// One element for each installment given, in the same order; never more than it owed.
    pub taken: Vec<Parts>,
    /// What is left over once every installment is paid.
    pub left: Fen,
}

/// The order in which an installment takes money when it is `days_overdue` days late (zero or negative: not late).
pub fn order_on(terms: &AllocationTerms, days_overdue: i64) -> [Part; 4] {
    match terms.after {
        Some((days, order)) if days_overdue > i64::from(days) => order,
        Some(_) | None => terms.order,
    }
}

/// Pays `installments` in the order given (oldest due first) while money lasts; within each, its parts are paid in its own order.
pub fn allocate(payment: Fen, installments: &[InstallmentDue]) -> Allocation {
    let mut left = payment.or_zero();
    let mut taken = Vec::with_capacity(installments.len());
    for installment in installments {
        let mut parts = Parts::default();
        for part in installment.order {
            let take = left.min(installment.due.get(part).or_zero());
            *parts.get_mut(part) += take;
            left -= take;
        }
        taken.push(parts);
    }
    Allocation { taken, left }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDER: [Part; 4] = [Part::Fee, Part::Penalty, Part::Interest, Part::Principal];

    #[test]
    fn the_order_switches_only_beyond_its_day() {
        let late = [Part::Principal, Part::Fee, Part::Interest, Part::Penalty];
        let terms = AllocationTerms { order: ORDER, after: Some((90, late)) };
        assert_eq!((order_on(&terms, 90), order_on(&terms, 91)), (ORDER, late));
        assert_eq!(order_on(&AllocationTerms { order: ORDER, after: None }, 3_650), ORDER);
    }

    #[test]
    fn the_oldest_installment_is_settled_before_the_next_takes_a_fen() {
        let owes = Parts { principal: Fen::new(100), interest: Fen::new(5), ..Parts::default() };
        let found = allocate(Fen::new(108), &[InstallmentDue { due: owes, order: ORDER }; 2]);
        assert_eq!(found.taken[0], owes);
        assert_eq!(found.taken[1], Parts { interest: Fen::new(3), ..Parts::default() });
    }

    #[test]
    fn a_part_that_owes_a_negative_amount_takes_nothing_and_pays_nothing_else() {
        let due = Parts { penalty: Fen::new(-5), principal: Fen::new(100), ..Parts::default() };
        let owing = [InstallmentDue { due, order: ORDER }];
        let taken = vec![Parts { principal: Fen::new(100), ..Parts::default() }];
        assert_eq!(allocate(Fen::new(103), &owing), Allocation { taken, left: Fen::new(3) });
        let nothing = Allocation { taken: vec![Parts::default()], left: Fen::ZERO };
        assert_eq!(allocate(Fen::new(-1), &owing), nothing);
    }

    fn any_due() -> impl Strategy<Value = InstallmentDue> {
        let fen = || (0i64..1_000_000).prop_map(Fen::new);
        let order = Just(ORDER).prop_shuffle();
        (fen(), fen(), fen(), fen(), order).prop_map(|(fee, penalty, interest, principal, order)| InstallmentDue {
            due: Parts { fee, penalty, interest, principal },
            order,
        })
    }

    proptest! {
        #[test]
        fn no_part_takes_more_than_it_owes_or_before_its_turn_and_the_sum_is_exact(
            payment in 0i64..10_000_000,
            installments in proptest::collection::vec(any_due(), 0..12),
        ) {
            let found = allocate(Fen::new(payment), &installments);
            prop_assert_eq!(found.taken.len(), installments.len());
            let mut is_spent = false;
            for (taken, installment) in found.taken.iter().zip(&installments) {
                for part in installment.order {
                    let (taken, due) = (taken.get(part), installment.due.get(part));
                    prop_assert!(taken >= Fen::ZERO && taken <= due);
                    prop_assert!(!is_spent || taken.is_zero(), "what was owed before is not settled");
                    is_spent |= taken < due;
                }
            }
            let sum: Fen = found.taken.iter().map(Parts::total).sum();
            prop_assert_eq!(sum + found.left, Fen::new(payment));
            let owed: Fen = installments.iter().map(|installment| installment.due.total()).sum();
            prop_assert!(found.left.is_zero() || sum == owed);
        }
    }
}
