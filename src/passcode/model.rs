//! What a passcode is for, how often one may be asked for, and when one is good.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::words;
use crate::error::Refusal;

/// How long a code is good for.
pub const VALID: TimeDelta = TimeDelta::minutes(5);
/// Wrong tries after which a code ends and a new one must be asked for.
pub const TRIES_MAX: i16 = 5;
/// How long one must wait for the next code to the same mobile.
pub const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(60);
/// How many codes may be sent to one mobile: no telephone is to be flooded, and no code to be guessed by asking often.
pub const PER_MOBILE: Window = Window { kind: "passcode_mobile", length: TimeDelta::hours(24), count_max: 10 };
/// How many codes may be asked for from one network address. A code that was right is not counted, because many people may
/// share an address, such as a school's.
pub const PER_ADDRESS: Window = Window { kind: "passcode_address", length: TimeDelta::hours(1), count_max: 60 };
/// How many wrong codes may come from one network address. Each code ends after a few tries, but somebody who tries many
/// mobiles always finds one whose code was just sent. This is as many tries as all codes that may be asked for from there
/// allow, so that many who share an address may mistype.
pub const WRONG_PER_ADDRESS: Window = Window { kind: "passcode_wrong", length: TimeDelta::hours(1), count_max: 300 };

/// A limit: at most `count_max` times within `length`, reckoned from the first time. `kind` names its counters, of which each
/// key has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kind: &'static str,
    pub length: TimeDelta,
    pub count_max: i32,
}

words! {
    /// What a code proves the mobile for; a code for one purpose is good for no other.
    pub enum Purpose {
        BorrowerSignIn = "borrower_sign_in",
        MerchantSignIn = "merchant_sign_in",
        PinReset = "pin_reset",
        AccountClosing = "account_closing",
        /// An owner hires somebody, gives another role, or removes somebody.
        StaffChange = "staff_change",
        /// A borrower changes the mobile: the code goes to the new one.
        MobileChange = "mobile_change",
    }
}

/// For what, to which mobile and from where a code is asked for.
#[derive(Clone, Debug)]
pub struct Asking {
    pub purpose: Purpose,
    pub mobile: crate::base::person::Mobile,
    /// The network address of the browser, where it is known.
    pub address: Option<String>,
}

/// A code as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passcode {
    pub code_hash: Vec<u8>,
    pub codes_tried: i16,
    pub sent_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

impl Passcode {
    /// Whether a code may be compared with it now.
    pub fn may_try(&self, now: DateTime<Utc>) -> Result<(), PasscodeRefusal> {
        if now >= self.expires_at || self.codes_tried >= TRIES_MAX { Err(PasscodeRefusal::Ended) } else { Ok(()) }
    }

    /// Whether a new one may be sent in its place.
    pub fn may_replace(&self, now: DateTime<Utc>) -> Result<(), PasscodeRefusal> {
        if now < self.sent_at + AGAIN_AFTER { Err(PasscodeRefusal::TooSoon) } else { Ok(()) }
    }
}

/// Why a passcode is not sent, or not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasscodeRefusal {
    #[error("a code was sent less than a minute ago")]
    TooSoon,
    /// With the instant from which on another may be asked for.
    #[error("too many codes were asked for: try again later")]
    TooMany { until: DateTime<Utc> },
    /// With the instant from which on codes are compared again.
    #[error("too many codes that came from this network were not right: try again later")]
    TooManyWrong { until: DateTime<Utc> },
    #[error("the SMS partner does not answer, or does not write to this mobile")]
    NotSent,
    #[error("the code is wrong")]
    Wrong,
    #[error("the code has expired or was wrong too often: ask for a new one")]
    Ended,
}

impl Refusal for PasscodeRefusal {
    fn code(&self) -> &'static str {
        match self {
            PasscodeRefusal::TooSoon => "passcode_too_soon",
            PasscodeRefusal::TooMany { .. } => "passcode_too_many",
            PasscodeRefusal::TooManyWrong { .. } => "passcode_too_many_wrong",
            PasscodeRefusal::NotSent => "passcode_not_sent",
            PasscodeRefusal::Wrong => "passcode_wrong",
            PasscodeRefusal::Ended => "passcode_ended",
        }
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            PasscodeRefusal::TooMany { until } | PasscodeRefusal::TooManyWrong { until } => Some(*until),
            PasscodeRefusal::TooSoon | PasscodeRefusal::NotSent | PasscodeRefusal::Wrong | PasscodeRefusal::Ended => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passcode(codes_tried: i16) -> Passcode {
        let sent_at = DateTime::UNIX_EPOCH;
        Passcode { code_hash: Vec::new(), codes_tried, sent_at, expires_at: sent_at + VALID }
    }

    #[test]
    fn a_code_ends_with_its_time_or_its_tries() {
        let last = DateTime::UNIX_EPOCH + VALID - TimeDelta::seconds(1);
        assert_eq!(passcode(4).may_try(last), Ok(()));
        assert_eq!(passcode(5).may_try(last), Err(PasscodeRefusal::Ended));
        assert_eq!(passcode(0).may_try(last + TimeDelta::seconds(1)), Err(PasscodeRefusal::Ended));
    }

    #[test]
    fn the_next_code_comes_after_a_minute() {
        let soon = DateTime::UNIX_EPOCH + TimeDelta::seconds(59);
        assert_eq!(passcode(0).may_replace(soon), Err(PasscodeRefusal::TooSoon));
        assert_eq!(passcode(0).may_replace(soon + TimeDelta::seconds(1)), Ok(()));
    }
}
