//! Made-up identities: a client's number always gives the same valid resident ID, name, mobile and cards, and two numbers never give the
//! same ones. They mean nobody real; they only pass the check rules. Check digits are found by trying.

use chrono::{Datelike, Months, NaiveDate};

use crate::base::BusinessDay;
use crate::base::person::{CardNumber, CreditCode, Mobile, ResidentId, passes_luhn};
use crate::borrower::{PersonName, Registration};

/// Counties of first registration (GB/T 2260).
const REGIONS: [&str; 12] = [
    "110105", "120103", "210102", "310115", "320106", "330106", "340104", "350203", "370202", "420106", "440305",
    "510107",
];
const FAMILY_NAMES: [&str; 20] = [
    "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林", "何", "郭", "马",
    "罗",
];
const GIVEN_NAMES: [&str; 24] = [
    "伟", "芳", "娜", "敏", "静", "磊", "强", "洋", "艳", "勇", "军", "杰", "娟", "涛", "明", "超", "秀英", "建国",
    "志强", "文静", "子涵", "雨桐", "浩然", "思远",
];
/// Numbers of one region and birth date are told apart by 999 sequence numbers.
const SEQUENCES: u64 = 999;
const MOBILES: u64 = 100_000_000;
/// Up to this number all resident IDs differ: 12 regions × 999 sequence numbers × 360 birthdays are a little more.
pub const NUMBER_MAX: i64 = 4_000_000;

/// The whole person: `age` completed years on `today`.
///
/// # Panics
/// If `age` lies before the calendar's year 1900.
pub fn registration(number: u64, age: u32, today: BusinessDay) -> Registration {
    Registration { name: name(number), resident_id: resident_id(number, age, today), mobile: mobile(number) }
}

/// A resident ID of somebody who is `age` on `today`. It is different for each number up to [`NUMBER_MAX`], whatever the ages, because
/// region, sequence and birthday are taken from different parts of the number.
///
/// # Panics
/// If `age` lies before the calendar's year 1900.
pub fn resident_id(number: u64, age: u32, today: BusinessDay) -> ResidentId {
    let region = REGIONS[(number % REGIONS.len() as u64) as usize];
    let rest = number / REGIONS.len() as u64;
    let sequence = rest % SEQUENCES + 1;
    // A birthday within the year before `today`, so that the age holds.
    let latest = today.date().checked_sub_months(Months::new(12 * age)).expect("an age lies within the calendar");
    let birth_on: NaiveDate = latest - chrono::Days::new(rest / SEQUENCES % 360);
    let digits = format!("{region}{:04}{:02}{:02}{sequence:03}", birth_on.year(), birth_on.month(), birth_on.day());
    let found = "0123456789X".chars().find_map(|check| ResidentId::parse(&format!("{digits}{check}"), today).ok());
    found.expect("one of eleven check digits is right")
}

/// A family name and a given name. Different numbers may give the same name.
pub fn name(number: u64) -> PersonName {
    let family = FAMILY_NAMES[(number % FAMILY_NAMES.len() as u64) as usize];
    let given = GIVEN_NAMES[(number / FAMILY_NAMES.len() as u64 % GIVEN_NAMES.len() as u64) as usize];
    format!("{family}{given}").parse().expect("a name of two or three letters")
}

/// A mobile number, different for each number up to a hundred million.
pub fn mobile(number: u64) -> Mobile {
    format!("139{:08}", number % MOBILES).parse().expect("eleven digits that begin with 139")
}

/// The `nth` card of a person, different for each of up to a hundred million people with ten cards each.
pub fn card_number(number: u64, nth: u8) -> CardNumber {
    let digits = format!("621700{}{:08}", nth % 10, number % MOBILES);
    let check = (0..10).find(|check| passes_luhn(&format!("{digits}{check}")));
    format!("{digits}{}", check.expect("one of ten digits passes")).parse().expect("sixteen digits with their check")
}

/// The unified social credit code that begins with these sixteen characters, completed with its two check characters.
///
/// # Panics
/// If there is no such code.
pub fn credit_code(beginning: &str) -> CreditCode {
    const CHECKS: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    let both = CHECKS.chars().flat_map(|organisation| CHECKS.chars().map(move |code| [organisation, code]));
    let found =
        both.map(|[organisation, code]| format!("{beginning}{organisation}{code}")).find_map(|code| code.parse().ok());
    found.expect("one pair of check characters is right")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn thirty_thousand_people_are_all_different_and_of_their_age() {
        let today: BusinessDay = "2026-03-01".parse().unwrap();
        let mut seen = HashSet::new();
        for number in 1..=30_000 {
            let age = 21 + (number % 50) as u32;
            let id = resident_id(number, age, today);
            assert_eq!(id.age_on(today), age);
            assert!(seen.insert(id.reveal().to_owned()), "{number}");
            assert!(seen.insert(mobile(number).reveal().to_owned()), "{number}");
            assert!(seen.insert(card_number(number, 0).reveal().to_owned()), "{number}");
        }
    }

    #[test]
    fn the_same_number_is_the_same_person() {
        let today: BusinessDay = "2024-02-29".parse().unwrap();
        assert_eq!(resident_id(7, 40, today), resident_id(7, 40, today));
        assert_eq!(name(7), name(7));
        assert_ne!(card_number(7, 0), card_number(7, 1));
    }

    #[test]
    fn companies_have_codes_of_their_own_whose_check_characters_are_right() {
        let codes: HashSet<CreditCode> = (1..200).map(|number| credit_code(&format!("91350100M{number:07}"))).collect();
        assert_eq!(codes.len(), 199);
        assert_eq!(credit_code("91350100M000100Y").as_str(), "91350100M000100Y43");
    }
}
