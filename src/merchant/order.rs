//! Rules of orders that staff open by hand at the counter: amounts that can be paid, expiry, description and state.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::code::{CodeRefusal, CodeStatus};
use crate::base::id::{CodeId, PurchaseId};
use crate::base::typed::is_one_line;
use crate::base::{BusinessDay, Fen, words};
use crate::product::ProductVersion;

/// The least and the greatest amount of one purchase, for each product that is sold at merchants of a category, whoever buys.
pub fn amounts_sold(products: &[Arc<ProductVersion>], category: &str, today: BusinessDay) -> Vec<(Fen, Fen)> {
    let terms = products.iter().map(|product| &product.terms).filter(|terms| terms.is_valid_on(today));
    terms.filter(|terms| terms.purchase.is_sold_at(category)).map(|terms| terms.purchase.bounds()).collect()
}

/// Whether any product is sold for an amount, so that somebody could pay it.
pub fn is_sold(amounts: &[(Fen, Fen)], amount: Fen) -> bool {
    amounts.iter().any(|(least, most)| (*least..=*most).contains(&amount))
}

words! {
    /// How long an order can be paid.
    pub enum Waits {
        Minutes5 = "5m",
        Minutes30 = "30m",
        Hours2 = "2h",
        Day = "1d",
        Week = "7d",
    }
}

impl Waits {
    pub const fn length(self) -> TimeDelta {
        match self {
            Waits::Minutes5 => TimeDelta::minutes(5),
            Waits::Minutes30 => TimeDelta::minutes(30),
            Waits::Hours2 => TimeDelta::hours(2),
            Waits::Day => TimeDelta::days(1),
            Waits::Week => TimeDelta::days(7),
        }
    }
}

impl std::str::FromStr for Waits {
    type Err = &'static str;
    /// The error is the code of what is wrong, by which the page finds its words.
    fn from_str(text: &str) -> Result<Waits, &'static str> {
        Waits::from_name(text).ok_or("order_waits_unknown")
    }
}

/// Fits a line on a phone.
pub const DESCRIPTION_CHARS_MAX: usize = 40;

/// What is sold: at most [`DESCRIPTION_CHARS_MAX`] characters on one line.
///
/// # Errors
/// The code of what is wrong, by which the page finds its words.
pub fn parse_description(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let fits = text.chars().count() <= DESCRIPTION_CHARS_MAX && is_one_line(text);
    if fits { Ok(text.to_owned()) } else { Err("description_malformed") }
}

/// An order that was opened by hand, as its merchant sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOrder {
    pub code_id: CodeId,
    pub amount: Fen,
    pub description: Option<String>,
    pub expires_at: DateTime<Utc>,
    pub opened_at: DateTime<Utc>,
    pub status: CodeStatus,
}

/// How long after its expiry an order may still turn out to be paid: a purchase is authorised before it is written, and may
/// wait in between for a line that somebody else has locked.
const PAID_LATE_MAX: TimeDelta = TimeDelta::minutes(5);

/// The state of an order at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    Open,
    Paid(PurchaseId),
    Voided(PurchaseId),
    Expired,
    Closed,
}

impl OrderState {
    /// The purchase that paid it.
    pub const fn purchase(self) -> Option<PurchaseId> {
        match self {
            OrderState::Paid(purchase_id) | OrderState::Voided(purchase_id) => Some(purchase_id),
            OrderState::Open | OrderState::Expired | OrderState::Closed => None,
        }
    }

    /// The last part of the key under which its words stand in `web/locales`.
    pub const fn name(self) -> &'static str {
        match self {
            OrderState::Open => "open",
            OrderState::Paid(_) => "paid",
            OrderState::Voided(_) => "voided",
            OrderState::Expired => "expired",
            OrderState::Closed => "closed",
        }
    }
}

impl HandOrder {
    /// Its state at `now`.
    pub fn state(&self, now: DateTime<Utc>) -> OrderState {
        match self.status {
            CodeStatus::Open if self.expires_at <= now => OrderState::Expired,
            CodeStatus::Open => OrderState::Open,
            CodeStatus::Paid { purchase_id } => OrderState::Paid(purchase_id),
            CodeStatus::Voided { purchase_id } => OrderState::Voided(purchase_id),
            CodeStatus::Closed => OrderState::Closed,
        }
    }

    /// Whether its state may still change by itself, by being paid or by expiring.
    pub fn is_awaited(&self, now: DateTime<Utc>) -> bool {
        match self.state(now) {
            OrderState::Open => true,
            OrderState::Expired => now < self.expires_at + PAID_LATE_MAX,
            OrderState::Paid(_) | OrderState::Voided(_) | OrderState::Closed => false,
        }
    }

    /// Checks that a form under this order's key asks for this very order, and so was sent a second time.
    ///
    /// # Errors
    /// `ReferenceTaken` where it asks for another amount or description.
    pub fn check_same(&self, amount: Fen, description: Option<&str>) -> Result<(), CodeRefusal> {
        if self.amount == amount && self.description.as_deref() == description {
            Ok(())
        } else {
            Err(CodeRefusal::ReferenceTaken { reference: self.code_id.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(status: CodeStatus) -> HandOrder {
        let opened_at = DateTime::UNIX_EPOCH;
        HandOrder {
            code_id: CodeId::mint(opened_at),
            amount: Fen::new(9_900),
            description: Some("沙发".into()),
            expires_at: opened_at + Waits::Minutes5.length(),
            opened_at,
            status,
        }
    }

    #[test]
    fn an_order_that_nobody_paid_in_time_has_expired() {
        let last = DateTime::UNIX_EPOCH + TimeDelta::seconds(299);
        assert_eq!(order(CodeStatus::Open).state(last), OrderState::Open);
        assert_eq!(order(CodeStatus::Open).state(last + TimeDelta::seconds(1)), OrderState::Expired);
        assert_eq!(order(CodeStatus::Open).state(last + TimeDelta::days(1)), OrderState::Expired, "nothing closes it");
        assert_eq!(order(CodeStatus::Closed).state(last), OrderState::Closed);
        assert_eq!(
            order(CodeStatus::Closed).state(last + TimeDelta::days(1)),
            OrderState::Closed,
            "somebody closed it"
        );
    }

    #[test]
    fn an_order_is_awaited_until_some_minutes_after_its_expiry() {
        let ends_at = order(CodeStatus::Open).expires_at;
        let is_awaited = |status, seconds| order(status).is_awaited(ends_at + TimeDelta::seconds(seconds));
        assert_eq!([-1, 0, 299, 300].map(|seconds| is_awaited(CodeStatus::Open, seconds)), [true, true, true, false]);
        assert!(!is_awaited(CodeStatus::Closed, 0), "a close is final");
    }

    #[test]
    fn a_form_sent_twice_is_one_order_and_another_order_under_its_key_is_refused() {
        let order = order(CodeStatus::Open);
        assert_eq!(order.check_same(Fen::new(9_900), Some("沙发")), Ok(()));
        assert!(order.check_same(Fen::new(9_901), Some("沙发")).is_err());
        assert!(order.check_same(Fen::new(9_900), None).is_err());
    }

    #[test]
    fn a_description_is_one_short_line() {
        assert_eq!(parse_description(" 沙发 ").as_deref(), Ok("沙发"));
        assert!(parse_description(&"长".repeat(41)).is_err());
        assert!(parse_description("a\u{7}b").is_err());
        assert!(parse_description("定金\u{202e}").is_err(), "what stands beside it would be read backwards");
    }
}
