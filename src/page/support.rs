//! Whom people call when a page cannot help them: a telephone number, and the hours in which somebody answers it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{NaiveTime, TimeDelta};

/// The customer service that pages name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    phone: Phone,
    hours: Option<Hours>,
}

/// A telephone number as people read it, such as `400-820-8820` or `+86 21 6123 4567`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone(Arc<str>);

/// The hours of each day, in Shanghai, in which somebody answers, such as `09:00-21:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: NaiveTime,
    to: NaiveTime,
}

/// A text that is no telephone number, or no hours.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Digits of a telephone number (the upper bound is ITU-T E.164's).
const DIGITS: std::ops::RangeInclusive<usize> = 3..=15;
const PHONE_CHARS_MAX: usize = 24;
const TIME: &str = "%H:%M";

impl Support {
    pub fn at(phone: Phone, hours: Option<Hours>) -> Support {
        Support { phone, hours }
    }

    /// The support of a trial house, with a number that belongs to nobody.
    pub fn of_trial() -> Support {
        let at = |hour| NaiveTime::MIN + TimeDelta::hours(hour);
        Support { phone: Phone("400-000-0000".into()), hours: Some(Hours { from: at(9), to: at(21) }) }
    }

    pub fn phone(&self) -> &str {
        &self.phone.0
    }

    pub fn hours(&self) -> Option<Hours> {
        self.hours
    }

    /// The link that a telephone calls (RFC 3966), such as `tel:4008208820`.
    pub fn link(&self) -> String {
        let digits: String = self.phone.0.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
        format!("tel:{digits}")
    }
}

impl FromStr for Phone {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Phone, Malformed> {
        let number = text.strip_prefix('+').unwrap_or(text);
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        let begins_and_ends = [number.chars().next(), number.chars().next_back()];
        let is_whole = begins_and_ends.iter().all(|end| end.is_some_and(|end| end.is_ascii_digit()));
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ' || byte == b'-');
        let is_phone = is_whole && is_plain && DIGITS.contains(&digits) && text.len() <= PHONE_CHARS_MAX;
        if is_phone { Ok(Phone(text.into())) } else { Err(Malformed) }
    }
}

impl FromStr for Hours {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Hours, Malformed> {
        let (from, to) = text.split_once('-').ok_or(Malformed)?;
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), TIME).map_err(|_| Malformed);
        let hours = Hours { from: time(from)?, to: time(to)? };
        if hours.from < hours.to { Ok(hours) } else { Err(Malformed) }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.from.format(TIME), self.to.format(TIME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_called_without_what_makes_it_readable() {
        let cases =
            [("400-820-8820", "tel:4008208820"), ("+86 21 6123 4567", "tel:+862161234567"), ("95588", "tel:95588")];
        for (text, link) in cases {
            let support = Support::at(text.parse().unwrap(), None);
            assert_eq!((support.phone(), support.link().as_str()), (text, link));
        }
    }

    #[test]
    fn what_is_no_number_or_no_hours_is_refused() {
        for text in ["", "-", "12", "400-820-", "call us", "400;820", "tel:110", "1234567890123456", "１２３４５"]
        {
            assert_eq!(text.parse::<Phone>(), Err(Malformed), "{text}");
        }
        for text in ["", "09:00", "9-21", "21:00-09:00", "09:00-24:00", "09:00-09:00"] {
            assert_eq!(text.parse::<Hours>(), Err(Malformed), "{text}");
        }
        assert_eq!("9:00 - 21:30".parse::<Hours>().unwrap().to_string(), "09:00–21:30");
    }
}
