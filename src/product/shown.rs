//! What borrowers are shown of a schedule's interest and fee: a flat fee as interest, a guarantee charge by its name.

use super::terms::{Plan, Terms};
use crate::base::Fen;

/// Interest and fee of one installment, or of several, as their borrower reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShownCharges {
    /// The interest, including any flat fee per period, which is interest by another name.
    pub interest: Fen,
    /// What is paid for a guarantor; `None` under a plan without such a charge.
    pub guarantee: Option<Fen>,
}

impl ShownCharges {
    /// The charges of loans under a plan; where no plan is known, a fee is shown as interest.
    pub fn of(plan: Option<&Plan>, interest: Fen, fee: Fen) -> ShownCharges {
        match plan.is_some_and(Plan::has_guarantee_charge) {
            true => ShownCharges { interest, guarantee: Some(fee) },
            false => ShownCharges { interest: interest + fee, guarantee: None },
        }
    }

    pub fn total(self) -> Fen {
        self.interest + self.guarantee.unwrap_or_default()
    }
}

/// The end of the words' key for a guarantee charge. With `is_payoff`, for a column that also has an early payoff's own charge.
pub fn guarantee_name(terms: &Terms, is_payoff: bool) -> &'static str {
    if is_payoff && !terms.early_payoff.fee_rate.is_zero() { "guarantee_payoff" } else { "guarantee" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;
    use crate::product::terms::Method;

    #[test]
    fn a_fee_is_shown_as_interest_unless_it_is_a_guarantee_charge() {
        let of = |plan: Option<&Plan>| ShownCharges::of(plan, Fen::new(30), Fen::new(4));
        let as_interest = ShownCharges { interest: Fen::new(34), guarantee: None };
        let mut plan = file::parse(file::SHIPPED[0]).unwrap().plans.remove(0);
        assert_eq!((of(Some(&plan)), of(None)), (as_interest, as_interest));
        plan.guarantee_rate_per_period = "0.002".parse().unwrap();
        let guaranteed = ShownCharges { interest: Fen::new(30), guarantee: Some(Fen::new(4)) };
        assert_eq!(of(Some(&plan)), guaranteed);
        assert_eq!((guaranteed.total(), as_interest.total()), (Fen::new(34), Fen::new(34)));
        // A rule refuses such a plan; its fee would be its price still.
        plan.method = Method::FlatFee;
        assert_eq!(of(Some(&plan)), as_interest);
    }
}
