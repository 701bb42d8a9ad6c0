//! ID numbers and working days agree with the golden cases.

use fenqi::base::person::passes_luhn;
use fenqi::base::{BusinessDay, CardNumber, CreditCode, ResidentId, WorkingCalendar};
use fenqi::credit::ApplyRefusal;
use fenqi::credit::model::check_age;

use crate::golden::{golden, text};

fn day(case: &serde_json::Value, field: &str) -> BusinessDay {
    text(case, field).parse().unwrap()
}

/// So many known answers of one kind.
fn list<'a>(file: &'a serde_json::Value, kind: &str, count: usize) -> &'a [serde_json::Value] {
    let list = file[kind].as_array().unwrap();
    assert_eq!(list.len(), count, "{kind}");
    list
}

#[test]
fn every_day_of_the_notices_is_working_or_not_as_published() {
    let file = golden("workdays_2025_2026.json");
    let calendar = WorkingCalendar::shipped();
    let days = file["days"].as_array().unwrap();
    for case in days {
        let found = calendar.is_working_day(day(case, "date")).unwrap();
        assert_eq!(found, case["workday"].as_bool().unwrap(), "{case}");
    }
    assert_eq!(days.len(), 730);
}

#[test]
fn money_of_a_day_is_paid_on_the_next_working_day() {
    let file = golden("tplus1_cases.json");
    let calendar = WorkingCalendar::shipped();
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        assert_eq!(calendar.next_working_day(day(case, "trade_date")).unwrap(), day(case, "settle_date"), "{case}");
    }
    assert_eq!(cases.len(), 30);
}

#[test]
fn resident_ids_are_accepted_and_refused_as_known() {
    let file = golden("identity_numbers.json");
    let today = "2026-01-05".parse().unwrap();
    for case in list(&file, "resident_id", 39) {
        let parsed = ResidentId::parse(text(case, "value"), today);
        assert_eq!(parsed.is_ok(), case["valid"].as_bool().unwrap(), "{case}: {parsed:?}");
        if let Ok(id) = parsed {
            let is_ancient = case["note"].as_str().is_some_and(|note| note.contains("an age rule must reject it"));
            assert_eq!(check_age(id.age_on(today)) == Err(ApplyRefusal::OverAge), is_ancient, "{case}");
        }
    }
}

#[test]
fn credit_codes_are_accepted_and_refused_as_known() {
    let file = golden("identity_numbers.json");
    for case in list(&file, "uscc", 224) {
        let parsed = text(case, "value").parse::<CreditCode>();
        assert_eq!(parsed.is_ok(), case["valid"].as_bool().unwrap(), "{case}: {parsed:?}");
    }
}

#[test]
fn card_numbers_are_accepted_and_refused_as_known() {
    let file = golden("identity_numbers.json");
    for case in list(&file, "luhn", 37) {
        let value = text(case, "value");
        if let Some(by_formula) = case["check_by_formula"].as_bool() {
            assert_eq!(passes_luhn(value), by_formula, "{case}");
        }
        // The file's lengths are Luhn's own; a card number has 12 to 19 digits.
        let expected = case["valid"].as_bool().unwrap() && (12..=19).contains(&value.len());
        assert_eq!(value.parse::<CardNumber>().is_ok(), expected, "{case}");
    }
}
