//! What a notice is, whom it is for, and the lists of all kinds.

use std::ops::Range;

use chrono::{DateTime, Timelike as _, Utc};
use chrono_tz::Asia::Shanghai;
use serde_json::Value;
use uuid::Uuid;

use crate::base::id::{BorrowerId, FunderId, MerchantId};
use crate::base::{BusinessDay, When, words};

words! {
    /// Whom a notice is for.
    pub enum Audience {
        Borrower = "borrower",
        Merchant = "merchant",
        Funder = "funder",
        Operator = "operator",
    }
}

impl Audience {
    /// Whether a notice is raised only once a business day for the same thing, because jobs look at it again and again.
    pub fn is_told_once(self) -> bool {
        match self {
            Audience::Funder | Audience::Operator => true,
            Audience::Borrower | Audience::Merchant => false,
        }
    }
}

/// Kinds that a borrower is also told by SMS, each by the SMS partner's template of the same name.
pub const SHORT_MESSAGES: [&str; 13] = [
    "application_approved",
    "application_refused",
    "application_under_review",
    "bill_issued",
    "due_soon",
    "withholding_failed",
    "card_invalid",
    "overdue",
    "transfer_taken_back",
    "repayment_reversed",
    "money_delayed",
    "pin_reset",
    "mobile_changed",
];

/// What a borrower's former mobile is told by SMS, by the template of the same name, whose only parameter is the day. It is
/// shown nowhere else: whoever holds that mobile may not be the borrower.
pub const MOBILE_GIVEN_UP: &str = "mobile_given_up";

/// Kinds that a merchant's contact is told by SMS, by templates of the same names.
pub const SHORT_MESSAGES_TO_MERCHANTS: [&str; 3] =
    ["merchant_accepted", "merchant_refused", "merchant_account_changed"];

/// Kinds that a borrower may also be told in WeChat, where a template is configured and the borrower has agreed to it there.
pub const WECHAT_MESSAGES: [&str; 6] =
    ["bill_issued", "due_soon", "overdue", "withheld", "withholding_failed", "limit_changed"];

/// Kinds that wait until the morning where they would go out by SMS or in WeChat at night: nobody is pressed to pay then.
pub const NOT_AT_NIGHT: [&str; 1] = ["overdue"];

/// The hours in Shanghai in which a debt that is late may be collected, as the trade's own rules have them.
const DAYTIME_HOURS: Range<u32> = 8..22;

/// Whether it is night for [`NOT_AT_NIGHT`].
pub fn is_night(at: DateTime<Utc>) -> bool {
    !DAYTIME_HOURS.contains(&at.with_timezone(&Shanghai).hour())
}

/// Every kind of notice to borrowers, each with the fields of its body that its words need; the words stand in `web/locales`.
pub const TO_BORROWERS: [(&str, &[&str]); 25] = [
    ("application_approved", &["limit_fen"]),
    ("application_refused", &["reason", "review"]),
    ("application_under_review", &[]),
    ("bill_issued", &["total_fen", "due_on"]),
    ("due_soon", &["owed_fen", "due_on"]),
    ("withheld", &["amount_fen", "withholding"]),
    ("withholding_failed", &["amount_fen", "failure", "withholding"]),
    ("card_invalid", &["amount_fen"]),
    ("no_card", &["amount_fen"]),
    ("overdue", &["owed_fen", "due_on"]),
    ("line_frozen", &["limit_fen", "why"]),
    ("line_unfrozen", &["limit_fen"]),
    ("line_closed", &["limit_fen"]),
    ("limit_changed", &["limit_fen"]),
    ("purchase_voided", &["amount_fen", "purchase"]),
    ("refund", &["amount_fen", "principal_fell_fen", "owed_back_fen", "purchase"]),
    ("money_returned", &["amount_fen", "paid_on"]),
    ("money_not_returned", &["amount_fen"]),
    ("money_delayed", &["amount_fen"]),
    ("transfer_received", &["amount_fen", "excess_fen"]),
    ("transfer_taken_back", &["amount_fen"]),
    ("repayment_reversed", &["amount_fen"]),
    ("pin_changed", &[]),
    ("pin_reset", &["mobile_on"]),
    ("mobile_changed", &[]),
];

/// Every kind of notice to merchants.
pub const TO_MERCHANTS: [&str; 16] = [
    "merchant_accepted",
    "merchant_refused",
    "merchant_passed_over",
    "merchant_suspended",
    "merchant_resumed",
    "merchant_closed",
    "payment_received",
    "settlement_paid",
    "settlement_delayed",
    "settlement_reversed",
    "refund",
    "purchase_voided",
    "merchant_account_changed",
    "merchant_agreement_changed",
    "merchant_payouts_held",
    "merchant_payouts_released",
];

/// Every kind of notice to funders; their cores are also sent events, see `outbox`.
pub const TO_FUNDERS: [&str; 2] = ["reserve_low", "advance_overdue"];

/// Every kind of notice to operators; docs/RUNBOOK.md says of each what to do.
pub const TO_OPERATORS: [&str; 26] = [
    "merchant_applied",
    "deposit_noted",
    "withdrawal_booked",
    "payout_failed",
    "payout_still_unknown",
    "payout_contradiction",
    "withholding_still_unknown",
    "withholding_rejected",
    "withholding_contradiction",
    "breaks_found",
    "files_missing",
    "advance_overdue",
    "claim_due",
    "charge_off_due",
    "partner_down",
    "partner_back",
    "calendar_ends",
    "key_ends",
    "clocks_differ",
    "job_failing",
    "job_dead",
    "job_waits",
    "messages_dead",
    "close_stuck",
    "application_waits",
    "partner_missing",
];

/// One thing to tell. If it is raised more than once on a business day, a funder or operator still gets it once.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub audience: Audience,
    /// The borrower, merchant or funder; `None` for the operators.
    pub recipient_id: Option<Uuid>,
    /// One of the lists above, such as `bill_issued`; pages put it into words.
    pub kind: &'static str,
    /// What the wording needs: amounts in fen, days, ids; no personal data.
    pub body: Value,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

impl Notice {
    pub fn to_borrower(borrower_id: BorrowerId, kind: &'static str, body: Value, when: When) -> Notice {
        debug_assert!(can_be_worded(kind, &body), "there are no words for the notice {kind} {body}");
        Notice::new(Audience::Borrower, Some(borrower_id.uuid()), kind, body, when)
    }

    pub fn to_merchant(merchant_id: MerchantId, kind: &'static str, body: Value, when: When) -> Notice {
        debug_assert!(TO_MERCHANTS.contains(&kind), "{kind} is not listed as what merchants are told");
        Notice::new(Audience::Merchant, Some(merchant_id.uuid()), kind, body, when)
    }

    pub fn to_funder(funder_id: FunderId, kind: &'static str, body: Value, when: When) -> Notice {
        debug_assert!(TO_FUNDERS.contains(&kind), "{kind} is not listed as what funders are told");
        Notice::new(Audience::Funder, Some(funder_id.uuid()), kind, body, when)
    }

    pub fn to_operators(kind: &'static str, body: Value, when: When) -> Notice {
        debug_assert!(TO_OPERATORS.contains(&kind), "{kind} is not listed as what operators are told");
        Notice::new(Audience::Operator, None, kind, body, when)
    }

    fn new(audience: Audience, recipient_id: Option<Uuid>, kind: &'static str, body: Value, when: When) -> Notice {
        Notice { audience, recipient_id, kind, body, business_day: when.business_day, created_at: when.at }
    }
}

/// Whether a borrower's notice has every field that its words need.
fn can_be_worded(kind: &str, body: &Value) -> bool {
    let known = TO_BORROWERS.iter().find(|(known, _)| *known == kind);
    known.is_some_and(|(_, needed)| needed.iter().all(|name| body.get(name).is_some()))
}

/// A notice as it stands in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// Ascending; the cursor of a list.
    pub notice_no: i64,
    pub kind: String,
    pub body: Value,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
    /// `None` while it is unread.
    pub read_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_night_from_ten_until_eight_in_shanghai() {
        let day: BusinessDay = "2026-03-29".parse().unwrap();
        let at = |time: &str| is_night(day.instant(time.parse().unwrap()));
        assert_eq!(["00:05:00", "07:59:59", "22:00:00"].map(at), [true; 3]);
        assert_eq!(["08:00:00", "12:00:00", "21:59:59"].map(at), [false; 3]);
    }
}
