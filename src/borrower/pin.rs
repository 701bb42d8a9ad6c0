//! The PIN that confirms payments: which PINs are too simple, and after how many wrong ones it is locked for how long.

use std::fmt;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::error::Refusal;

pub const PIN_DIGITS: usize = 6;
/// Wrong PINs in a row after which it is locked.
pub const FAILURES_MAX: i16 = 5;
/// How long it stays locked, unless a new one is set.
pub const LOCKED_FOR: TimeDelta = TimeDelta::hours(3);
/// How long the borrower cannot change the mobile after a PIN was set without a former one. Whoever holds the telephone gets its codes, or
/// is signed in on it, and may know how the ID number ends: an owner who misses the telephone has a day to have it blocked and to call,
/// before the account is out of reach.
pub const MOBILE_KEPT_FOR: TimeDelta = TimeDelta::hours(24);

/// Until when the borrower cannot change the mobile, where that is still to come.
pub fn mobile_kept_until(reset_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    reset_at.map(|reset_at| reset_at + MOBILE_KEPT_FOR).filter(|until| now < *until)
}

/// Six digits that a person chose. Never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// A PIN typed to confirm something: any six digits.
    pub fn typed(text: &str) -> Option<Pin> {
        let is_pin = text.len() == PIN_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        is_pin.then(|| Pin(text.to_owned()))
    }

    /// A PIN to set.
    ///
    /// # Errors
    /// `Malformed`, or `TooSimple` for one that others would try first: a run of digits, a repetition, or the date of birth.
    pub fn chosen(text: &str, birth_on: NaiveDate) -> Result<Pin, PinRefusal> {
        let pin = Pin::typed(text).ok_or(PinRefusal::Malformed)?;
        let digits = pin.0.as_bytes();
        let steps: Vec<i16> = digits.windows(2).map(|pair| i16::from(pair[1]) - i16::from(pair[0])).collect();
        let is_run = [-1, 0, 1].iter().any(|step| steps.iter().all(|found| found == step));
        let repeats = digits[..3] == digits[3..] || (digits[..2] == digits[2..4] && digits[2..4] == digits[4..]);
        let birth = [birth_on.format("%y%m%d").to_string(), birth_on.format("%Y%m").to_string()];
        if is_run || repeats || birth.contains(&pin.0) { Err(PinRefusal::TooSimple) } else { Ok(pin) }
    }

    /// In clear, for hashing alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// A person's wrong tries in a row, and the lock that follows from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    pub failures: i16,
    pub locked_until: Option<DateTime<Utc>>,
}

impl Tries {
    /// Counts a try before its PIN is compared, so that parallel requests get no more tries than successive ones. A right PIN
    /// sets the count back to zero.
    ///
    /// # Errors
    /// `Locked` as long as it is locked.
    pub fn count(self, now: DateTime<Utc>) -> Result<Tries, PinRefusal> {
        let failures = match self.locked_until {
            Some(until) if now < until => return Err(PinRefusal::Locked { until }),
            Some(_) => 1,
            None => self.failures + 1,
        };
        Ok(Tries { failures, locked_until: (failures >= FAILURES_MAX).then(|| now + LOCKED_FOR) })
    }

    /// The refusal of a wrong PIN whose try was counted.
    pub fn refusal(self) -> PinRefusal {
        match self.locked_until {
            Some(until) => PinRefusal::Locked { until },
            None if self.failures + 1 >= FAILURES_MAX => PinRefusal::WrongOnceMore,
            None => PinRefusal::Wrong,
        }
    }
}

/// Why a PIN is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinRefusal {
    #[error("a PIN has {PIN_DIGITS} digits")]
    Malformed,
    #[error("this PIN is too easy to guess")]
    TooSimple,
    #[error("no PIN has been set yet")]
    NotSet,
    #[error("the PIN is wrong")]
    Wrong,
    #[error("the PIN is wrong; one more wrong one locks it")]
    WrongOnceMore,
    #[error("the PIN is locked until {until}")]
    Locked { until: DateTime<Utc> },
}

impl Refusal for PinRefusal {
    fn code(&self) -> &'static str {
        match self {
            PinRefusal::Malformed => "pin_malformed",
            PinRefusal::TooSimple => "pin_too_simple",
            PinRefusal::NotSet => "pin_not_set",
            PinRefusal::Wrong => "pin_wrong",
            PinRefusal::WrongOnceMore => "pin_wrong_once_more",
            PinRefusal::Locked { .. } => "pin_locked",
        }
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        if let PinRefusal::Locked { until } = self { Some(*until) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_others_would_try_first_is_refused() {
        let birth_on = "1990-03-07".parse().unwrap();
        for simple in ["111111", "123456", "987654", "121212", "123123", "900307", "199003"] {
            assert_eq!(Pin::chosen(simple, birth_on), Err(PinRefusal::TooSimple), "{simple}");
        }
        for malformed in ["12345", "1234567", "12345a", "１２３４５６", ""] {
            assert_eq!(Pin::chosen(malformed, birth_on), Err(PinRefusal::Malformed), "{malformed}");
        }
        assert!(Pin::chosen("271828", birth_on).is_ok());
    }

    #[test]
    fn the_mobile_is_kept_for_a_day_after_the_pin_was_set_anew() {
        let reset_at = DateTime::UNIX_EPOCH;
        let until = reset_at + MOBILE_KEPT_FOR;
        assert_eq!(mobile_kept_until(Some(reset_at), until - TimeDelta::seconds(1)), Some(until));
        assert_eq!(mobile_kept_until(Some(reset_at), until), None);
        assert_eq!(mobile_kept_until(None, reset_at), None);
    }

    #[test]
    fn five_wrong_ones_lock_it_and_time_opens_it_again() {
        let now = DateTime::UNIX_EPOCH;
        let mut tries = Tries::default();
        let mut refusals = Vec::new();
        for _ in 0..FAILURES_MAX {
            tries = tries.count(now).unwrap();
            refusals.push(tries.refusal());
        }
        let locked = PinRefusal::Locked { until: now + LOCKED_FOR };
        let wrong = PinRefusal::Wrong;
        assert_eq!(refusals, [wrong, wrong, wrong, PinRefusal::WrongOnceMore, locked]);
        assert_eq!(tries.count(now + LOCKED_FOR - TimeDelta::seconds(1)), Err(locked));
        let later = tries.count(now + LOCKED_FOR).unwrap();
        assert_eq!((later.failures, later.locked_until), (1, None));
    }
}
