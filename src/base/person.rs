//! Numbers that identify a person or a company: ID, credit code, card and mobile. Parsed once at the edge by their real check
//! rules; personal ones are masked when shown.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};

use super::BusinessDay;

/// Why a number is refused. The sentence never repeats the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("a resident ID has 17 digits and a check character (a digit or X)")]
    ResidentIdFormat,
    #[error("the resident ID names no known province")]
    ResidentIdRegion,
    #[error("the resident ID holds no real birth date")]
    ResidentIdBirthDate,
    #[error("the resident ID's check character does not fit")]
    ResidentIdCheck,
    #[error("a unified social credit code has 18 digits and capital letters without I, O, S, V and Z")]
    CreditCodeFormat,
    #[error("the check character of the unified social credit code does not fit")]
    CreditCodeCheck,
    #[error("the organisation code inside the unified social credit code does not fit")]
    OrganisationCodeCheck,
    #[error("a card number has 12 to 19 digits and does not begin with 0")]
    CardNumberFormat,
    #[error("the card number's check digit does not fit")]
    CardNumberCheck,
    #[error("a mainland mobile number has 11 digits and begins with 13 to 19")]
    MobileFormat,
}

impl NumberError {
    /// Stable, part of the API.
    pub fn code(self) -> &'static str {
        match self {
            NumberError::ResidentIdFormat => "resident_id_format",
            NumberError::ResidentIdRegion => "resident_id_region",
            NumberError::ResidentIdBirthDate => "resident_id_birth_date",
            NumberError::ResidentIdCheck => "resident_id_check",
            NumberError::CreditCodeFormat => "credit_code_format",
            NumberError::CreditCodeCheck => "credit_code_check",
            NumberError::OrganisationCodeCheck => "organisation_code_check",
            NumberError::CardNumberFormat => "card_number_format",
            NumberError::CardNumberCheck => "card_number_check",
            NumberError::MobileFormat => "mobile_format",
        }
    }
}

/// A resident identity number (居民身份证号) by GB 11643: region, birth date, sequence, check character.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResidentId {
    number: String,
    birth_on: NaiveDate,
}

/// Province-level codes of GB/T 2260, and 83 of the residence permits for people from Taiwan.
const PROVINCES: [&str; 35] = [
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44",
    "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82", "83",
];
const RESIDENT_ID_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const RESIDENT_ID_CHECKS: &[u8; 11] = b"10X98765432";

impl ResidentId {
    /// Parses 18 characters; a lower-case `x` becomes `X`. `today` is needed because nobody is born after it.
    ///
    /// Only the province is checked: counties come and go, and an old number keeps its own.
    pub fn parse(text: &str, today: BusinessDay) -> Result<ResidentId, NumberError> {
        let number = text.replace('x', "X");
        let bytes = number.as_bytes();
        let (digits, check) = match bytes {
            [digits @ .., check] if digits.len() == 17 => (digits, *check),
            _ => return Err(NumberError::ResidentIdFormat),
        };
        if !digits.iter().all(u8::is_ascii_digit) || !(check.is_ascii_digit() || check == b'X') {
            return Err(NumberError::ResidentIdFormat);
        }
        if !PROVINCES.contains(&&number[..2]) {
            return Err(NumberError::ResidentIdRegion);
        }
        let birth_on = NaiveDate::parse_from_str(&number[6..14], "%Y%m%d")
            .ok()
            .filter(|birth_on| *birth_on <= today.date())
            .ok_or(NumberError::ResidentIdBirthDate)?;
        let sum: u32 =
            digits.iter().zip(RESIDENT_ID_WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        if RESIDENT_ID_CHECKS[(sum % 11) as usize] != check {
            return Err(NumberError::ResidentIdCheck);
        }
        Ok(ResidentId { number, birth_on })
    }

    pub fn birth_on(&self) -> NaiveDate {
        self.birth_on
    }

    /// Six digits of GB/T 2260: province, city, county of the first registration.
    pub fn region_code(&self) -> &str {
        &self.number[..6]
    }

    /// Completed years of life on `day`; a person born on 29 February comes of age on 1 March.
    pub fn age_on(&self, day: BusinessDay) -> u32 {
        let (birth, day) = (self.birth_on, day.date());
        let years = day.year() - birth.year() - i32::from((day.month(), day.day()) < (birth.month(), birth.day()));
        u32::try_from(years).unwrap_or(0)
    }

    /// The number in clear, for sealing and for partners; never for pages or logs.
    pub fn reveal(&self) -> &str {
        &self.number
    }
}

/// A unified social credit code (统一社会信用代码) by GB 32100, with the GB 11714 organisation code inside it. It is public.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CreditCode(String);

/// The 31 characters of GB 32100; a character's place is its value.
const CREDIT_CODE_CHARACTERS: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
const ORGANISATION_CODE_WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

impl CreditCode {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CreditCode {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<CreditCode, NumberError> {
        let bytes = text.as_bytes();
        let values: Option<Vec<u32>> = bytes.iter().map(|byte| credit_code_value(*byte)).collect();
        let values = values.filter(|values| values.len() == 18).ok_or(NumberError::CreditCodeFormat)?;
        if !bytes[2..8].iter().all(u8::is_ascii_digit) {
            return Err(NumberError::CreditCodeFormat);
        }
        // Weights are the powers of 3 modulo 31.
        let (sum, _) = values[..17].iter().fold((0, 1), |(sum, weight), value| (sum + value * weight, weight * 3 % 31));
        if values[17] != (31 - sum % 31) % 31 {
            return Err(NumberError::CreditCodeCheck);
        }
        if bytes[16] != organisation_code_check(&bytes[8..16]) {
            return Err(NumberError::OrganisationCodeCheck);
        }
        Ok(CreditCode(text.to_owned()))
    }
}

fn credit_code_value(byte: u8) -> Option<u32> {
    CREDIT_CODE_CHARACTERS.iter().position(|character| *character == byte).and_then(|place| u32::try_from(place).ok())
}

/// The check character of eight characters by GB 11714, where a letter counts from A = 10.
fn organisation_code_check(body: &[u8]) -> u8 {
    let value = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 });
    let sum: u32 = body.iter().zip(ORGANISATION_CODE_WEIGHTS).map(|(byte, weight)| value(*byte) * weight).sum();
    b"0X987654321"[(sum % 11) as usize]
}

/// A bank card number with its Luhn check digit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CardNumber(String);

impl CardNumber {
    /// The last four digits, which may be shown.
    pub fn tail(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }

    /// The number in clear, for sealing and for partners; never for pages or logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for CardNumber {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<CardNumber, NumberError> {
        let is_number = (12..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || text.starts_with('0') {
            return Err(NumberError::CardNumberFormat);
        }
        if !passes_luhn(text) {
            return Err(NumberError::CardNumberCheck);
        }
        Ok(CardNumber(text.to_owned()))
    }
}

/// Whether the digits pass the Luhn check: with every second digit from the right doubled, the sum of all digits is a multiple of
/// ten; a doubled digit counts as the sum of its own digits.
pub fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte.wrapping_sub(b'0'));
            let doubled = if place % 2 == 1 { digit * 2 } else { digit };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A mainland mobile number, eleven digits without country code.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mobile(String);

impl Mobile {
    /// The number in clear, for sealing and for partners; never for pages or logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Mobile {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Mobile, NumberError> {
        let bytes = text.as_bytes();
        let is_mobile =
            bytes.len() == 11 && bytes.iter().all(u8::is_ascii_digit) && bytes[0] == b'1' && bytes[1] >= b'3';
        if is_mobile { Ok(Mobile(text.to_owned())) } else { Err(NumberError::MobileFormat) }
    }
}

/// Keeps the first and last characters and puts stars for the rest.
fn mask(f: &mut fmt::Formatter<'_>, number: &str, first: usize, last: usize) -> fmt::Result {
    let stars = "*".repeat(number.len() - first - last);
    f.pad(&format!("{}{stars}{}", &number[..first], &number[number.len() - last..]))
}

macro_rules! shown_masked {
    ($($name:ident $field:tt $first:literal $last:literal,)*) => {$(
        /// Masked: stars hide all but the ends.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                mask(f, &self.$field, $first, $last)
            }
        }

        // Debug output reaches logs, so it is masked too.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

shown_masked! {
    // The end of an ID number is asked for as proof when a PIN is set, so nobody may read it off a page.
    ResidentId number 6 0,
    CardNumber 0 0 4,
    Mobile 0 3 4,
}

impl fmt::Display for CreditCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> BusinessDay {
        "2026-01-05".parse().unwrap()
    }

    #[test]
    fn a_person_number_is_masked_in_pages_and_in_debug_output() {
        let id = ResidentId::parse("11010519491231002x", today()).unwrap();
        assert_eq!((id.to_string().as_str(), id.reveal()), ("110105************", "11010519491231002X"));
        assert_eq!(format!("{id:?}"), "ResidentId(110105************)");
        let card: CardNumber = "6217006343925775".parse().unwrap();
        assert_eq!((format!("{card:?}").as_str(), card.tail()), ("CardNumber(************5775)", "5775"));
        assert_eq!("13812345678".parse::<Mobile>().unwrap().to_string(), "138****5678");
    }

    #[test]
    fn a_number_of_many_byte_characters_is_refused() {
        assert_eq!(ResidentId::parse("１１０１０５", today()), Err(NumberError::ResidentIdFormat));
        assert_eq!("一二三四".parse::<CardNumber>(), Err(NumberError::CardNumberFormat));
        assert_eq!("１３８１".parse::<Mobile>(), Err(NumberError::MobileFormat));
        assert_eq!("统一社会信用".parse::<CreditCode>(), Err(NumberError::CreditCodeFormat));
    }

    #[test]
    fn a_mobile_number_is_a_mainland_one() {
        for wrong in ["12812345678", "1381234567", "138123456789", "+8613812345678", "23812345678", ""] {
            assert!(wrong.parse::<Mobile>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_leap_day_child_comes_of_age_on_the_first_of_march() {
        let id = ResidentId::parse("11010120000229123X", today()).unwrap();
        assert_eq!(id.age_on("2018-02-28".parse().unwrap()), 17);
        assert_eq!(id.age_on("2018-03-01".parse().unwrap()), 18);
    }
}
