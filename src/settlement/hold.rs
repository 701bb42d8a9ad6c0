//! A hold on a merchant's payouts: its settlements are made as ever, and nothing is sent until two people have released it.

use chrono::{DateTime, Utc};

use crate::access::is_same_holder;
use crate::base::id::MerchantId;
use crate::error::Refusal;

/// A hold that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutHold {
    pub held_by: String,
    pub reason: String,
    pub held_at: DateTime<Utc>,
    /// Who was the first to state that it be released.
    pub release_stated_by: Option<String>,
}

/// Whose payouts are to be held or released, who says so, and why.
#[derive(Clone, Debug)]
pub struct HoldStatement {
    pub merchant_id: MerchantId,
    pub by: String,
    pub reason: String,
}

/// What came of holding a merchant's payouts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Holding {
    Held {
        /// How many payouts may have reached the channel before: these are finished.
        on_their_way: usize,
    },
    /// They were held before, and what was stated of a release no longer counts.
    AlreadyHeld { held_by: String },
}

/// What a person's statement that a hold be released leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Releasing {
    /// A second person must state the same.
    Stated,
    Released {
        stated_by: String,
    },
}

impl PayoutHold {
    /// What follows when the person `by` states that it be released. It takes two, since money that has left does not come back.
    pub fn release(&self, by: &str) -> Releasing {
        match &self.release_stated_by {
            Some(first) if !is_same_holder(first, by) => Releasing::Released { stated_by: first.clone() },
            Some(_) | None => Releasing::Stated,
        }
    }
}

impl HoldStatement {
    /// The statement without blanks around its words.
    pub fn checked(&self) -> Result<HoldStatement, HoldRefusal> {
        let (by, reason) = (self.by.trim().to_owned(), self.reason.trim().to_owned());
        if by.is_empty() || reason.is_empty() {
            return Err(HoldRefusal::ReasonMissing);
        }
        Ok(HoldStatement { merchant_id: self.merchant_id, by, reason })
    }
}

/// Why payouts are not held or released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    #[error("there is no such merchant")]
    UnknownMerchant,
    #[error("the merchant's payouts are not held")]
    NotHeld,
    #[error("whoever holds or releases payouts says who it is and why")]
    ReasonMissing,
}

impl Refusal for HoldRefusal {
    fn code(&self) -> &'static str {
        match self {
            HoldRefusal::UnknownMerchant => "unknown_merchant",
            HoldRefusal::NotHeld => "payouts_not_held",
            HoldRefusal::ReasonMissing => "reason_missing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_takes_two_people_and_the_one_who_held_may_be_one_of_them() {
        let held = PayoutHold {
            held_by: "Li Na".to_owned(),
            reason: "goods never came".to_owned(),
            held_at: DateTime::UNIX_EPOCH,
            release_stated_by: None,
        };
        assert_eq!(held.release("Li Na"), Releasing::Stated);
        assert_eq!(held.release("Wang Wei"), Releasing::Stated);
        let stated = PayoutHold { release_stated_by: Some("Wang Wei".to_owned()), ..held };
        assert_eq!(stated.release("wang  wei"), Releasing::Stated);
        assert_eq!(stated.release("Li Na"), Releasing::Released { stated_by: "Wang Wei".to_owned() });
    }
}
