//! What a merchant agreed to pay the platform: the discount fee (收单手续费), and whether a refund gives it back.

use std::fmt;

use rust_decimal::Decimal;

use super::model::{MerchantRefusal, MerchantStatus};
use crate::access::is_same_holder;
use crate::base::{Fen, Rate};

/// What a merchant agreed to pay for each purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The discount fee as a fraction of a purchase's amount, taken once.
    pub discount_rate: Rate,
    pub discount_returned_on_refund: bool,
}

impl Agreement {
    /// Ten per cent: far above any discount fee, low enough to catch a percentage typed as a fraction.
    pub const DISCOUNT_RATE_MAX: Decimal = Decimal::from_parts(1, 0, 0, false, 1);

    /// An agreement whose rate is within bounds.
    ///
    /// # Errors
    /// `DiscountRateOutOfBounds` above [`Agreement::DISCOUNT_RATE_MAX`].
    pub fn new(discount_rate: Rate, discount_returned_on_refund: bool) -> Result<Agreement, MerchantRefusal> {
        if discount_rate.fraction() > Self::DISCOUNT_RATE_MAX {
            return Err(MerchantRefusal::DiscountRateOutOfBounds);
        }
        Ok(Agreement { discount_rate, discount_returned_on_refund })
    }

    /// The agreement of everybody who applies on the pages: 0.6 per cent, returned on a refund.
    pub fn standard() -> Agreement {
        const RATE: Decimal = Decimal::from_parts(6, 0, 0, false, 3);
        Agreement { discount_rate: Rate::from_fraction(RATE).unwrap_or(Rate::ZERO), discount_returned_on_refund: true }
    }

    /// The discount fee of one purchase of this amount, rounded once.
    pub fn discount_fee(&self, amount: Fen) -> Fen {
        self.discount_rate.of(amount, 1, 1)
    }
}

/// The agreement in words, as operators read it.
impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let returned = if self.discount_returned_on_refund { "returned" } else { "kept" };
        write!(f, "discount fee {}, {returned} on a refund", self.discount_rate)
    }
}

/// What a merchant has agreed to, and what is proposed in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    pub status: MerchantStatus,
    pub agreement: Agreement,
    pub proposal: Option<AgreementProposal>,
}

/// A new agreement that one person has proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementProposal {
    pub agreement: Agreement,
    pub by: String,
}

/// What a person's statement of an agreement leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum AgreementStep {
    /// A second person must state the same.
    Proposed,
    /// It holds from the next purchase on.
    Changed { proposed_by: String },
    /// It is the present agreement; what was proposed in its place is dropped.
    AlreadyAgreed,
}

impl Agreed {
    /// What follows when the person `by` states an agreement. A statement that differs from the proposal replaces it.
    ///
    /// # Errors
    /// `NotPossibleNow` for a merchant that was refused or closed: it sells nothing more.
    pub fn state(&self, stated: Agreement, by: &str) -> Result<AgreementStep, MerchantRefusal> {
        match self.status {
            MerchantStatus::Submitted | MerchantStatus::Active | MerchantStatus::Suspended => {}
            MerchantStatus::Refused | MerchantStatus::Closed => {
                return Err(MerchantRefusal::NotPossibleNow { status: self.status });
            }
        }
        if stated == self.agreement {
            return Ok(AgreementStep::AlreadyAgreed);
        }
        let confirmed =
            self.proposal.as_ref().filter(|proposal| proposal.agreement == stated && !is_same_holder(&proposal.by, by));
        Ok(confirmed
            .map_or(AgreementStep::Proposed, |proposal| AgreementStep::Changed { proposed_by: proposal.by.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rate: &str, returned: bool) -> Agreement {
        Agreement::new(rate.parse().unwrap(), returned).unwrap()
    }

    #[test]
    fn another_agreement_takes_two_people_who_state_the_same() {
        let agreed = Agreed { status: MerchantStatus::Active, agreement: of("0.006", true), proposal: None };
        assert_eq!(agreed.state(of("0.0060", true), "Li Na"), Ok(AgreementStep::AlreadyAgreed));
        assert_eq!(agreed.state(of("0.006", false), "Li Na"), Ok(AgreementStep::Proposed));
        let by = "Li Na".to_owned();
        let proposed = AgreementProposal { agreement: of("0.004", false), by: by.clone() };
        let agreed = Agreed { proposal: Some(proposed), ..agreed };
        assert_eq!(agreed.state(of("0.004", false), "li  na"), Ok(AgreementStep::Proposed));
        assert_eq!(agreed.state(of("0.004", true), "Wang Wei"), Ok(AgreementStep::Proposed));
        assert_eq!(agreed.state(of("0.004", false), "Wang Wei"), Ok(AgreementStep::Changed { proposed_by: by }));
        let closed = Agreed { status: MerchantStatus::Closed, ..agreed };
        let refused = MerchantRefusal::NotPossibleNow { status: MerchantStatus::Closed };
        assert_eq!(closed.state(of("0.004", false), "Wang Wei"), Err(refused));
    }

    #[test]
    fn the_fee_is_rounded_once_per_purchase() {
        let agreement = Agreement::new("0.006".parse().unwrap(), true).unwrap();
        assert_eq!(agreement.discount_fee(Fen::new(8_250)), Fen::new(50));
    }

    #[test]
    fn the_standard_price_is_six_in_a_thousand() {
        assert_eq!(Agreement::standard().discount_fee(Fen::new(100_000)), Fen::new(600));
    }

    #[test]
    fn a_rate_above_a_tenth_is_refused() {
        assert!(Agreement::new("0.11".parse().unwrap(), false).is_err());
        assert!(Agreement::new("0.1".parse().unwrap(), false).is_ok());
    }
}
