//! Schedules agree with every published and golden case, and keep their properties under random input.

use fenqi::base::{Fen, Rate};
use fenqi::loan::{DueDates, Installment, ScheduleRequest, schedule};
use fenqi::product::terms::{DayCount, Level, Method};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::golden::golden;

pub fn cases(file: &Value) -> &[Value] {
    let cases = file["cases"].as_array().expect("a golden file holds cases").as_slice();
    assert!(!cases.is_empty(), "where nothing is compared, nothing holds");
    cases
}

/// That these are the cases of a file or list, each once: one that nobody names is compared by nobody.
pub fn assert_ids<'a>(cases: &[Value], named: impl IntoIterator<Item = &'a str>) {
    let mut found: Vec<&str> = cases.iter().map(|case| case["id"].as_str().unwrap()).collect();
    let mut named: Vec<&str> = named.into_iter().collect();
    found.sort_unstable();
    named.sort_unstable();
    assert_eq!(found, named);
}

/// A percentage in a golden file as a rate.
pub fn percent(value: &Value) -> Rate {
    Rate::from_fraction(decimal(value) / Decimal::ONE_HUNDRED).expect("a golden rate is a rate")
}

pub fn decimal(value: &Value) -> Decimal {
    match value {
        Value::String(text) => text.parse().expect("a golden text is a number"),
        Value::Number(number) => Decimal::from_scientific(&number.to_string())
            .or_else(|_| number.to_string().parse())
            .expect("a golden number is a decimal"),
        other => panic!("expected a number, found {other}"),
    }
}

/// An amount in yuan as fen.
pub fn yuan(value: &Value) -> Fen {
    Fen::new(i64::try_from(decimal(value) * Decimal::ONE_HUNDRED).expect("an amount fits"))
}

pub fn fen(value: &Value) -> Fen {
    Fen::new(value.as_i64().unwrap_or_else(|| panic!("expected fen, found {value}")))
}

pub fn method(name: &str) -> Method {
    match name {
        "equal_instalment" | "EQUAL_INSTALLMENTS" => Method::EqualInstallment,
        "equal_principal" | "EQUAL_PRINCIPAL_PAYMENTS" => Method::EqualPrincipal,
        "flat_fee_per_period" => Method::FlatFee,
        "interest_only_balloon" => Method::InterestFirst,
        "interest_free" => Method::InterestFree,
        other => panic!("unknown method {other}"),
    }
}

pub fn day_count(name: &str) -> DayCount {
    match name {
        "monthly" => DayCount::Monthly,
        "act/360" | "actual/360" => DayCount::Act360,
        "act/365" | "actual/365" => DayCount::Act365,
        other => panic!("unknown day count {other}"),
    }
}

pub fn request(method: Method, principal: Fen, periods: u64) -> ScheduleRequest {
    ScheduleRequest {
        method,
        day_count: DayCount::Monthly,
        level: Level::Monthly,
        principal,
        periods: u16::try_from(periods).unwrap(),
        annual_rate: Rate::ZERO,
        fee_rate_per_period: Rate::ZERO,
        free_periods: 0,
        start_on: "2026-01-15".parse().unwrap(),
        due: DueDates::FromStart,
    }
}

/// The request of a case in `random_schedules*.json`.
pub fn request_of_case(case: &Value) -> ScheduleRequest {
    let method = method(case["method"].as_str().unwrap());
    let mut request = request(method, fen(&case["principal_fen"]), case["periods"].as_u64().unwrap());
    if let Some(rate) = case.get("annual_rate_percent") {
        request.annual_rate = percent(rate);
    }
    if let Some(rate) = case.get("fee_rate_per_period_percent") {
        request.fee_rate_per_period = percent(rate);
    }
    if let Some(basis) = case.get("day_basis") {
        request.day_count = day_count(basis.as_str().unwrap());
        request.start_on = case["start_date"].as_str().unwrap().parse().unwrap();
    }
    request
}

fn assert_rows(id: &str, request: &ScheduleRequest, rows: &[Value], amount: fn(&Value) -> Fen) {
    let found = schedule::build(request).unwrap_or_else(|error| panic!("{id}: {error}"));
    assert_eq!(found.installments.len(), rows.len(), "{id}: number of rows");
    let mut balance = request.principal;
    for (number, (row, expected)) in found.installments.iter().zip(rows).enumerate() {
        let place = format!("{id} row {}", number + 1);
        balance -= row.principal;
        assert_eq!(row.principal, amount(&expected["principal"]), "{place}: principal");
        for (name, part) in [("interest", row.interest), ("fee", row.fee), ("total", row.total())] {
            if let Some(expected) = expected.get(name) {
                assert_eq!(part, amount(expected), "{place}: {name}");
            }
        }
        if let Some(expected) = expected.get("balance").or(expected.get("balance_after")) {
            assert_eq!(balance, amount(expected), "{place}: balance");
        }
        if let Some(expected) = expected.get("due_date") {
            assert_eq!(row.due_on.to_string(), expected.as_str().unwrap(), "{place}: due date");
        }
    }
}

/// The rows that are published of a schedule, not always all: as many as this, or something is not compared.
fn published_rows(case: &Value, count: usize) -> &[Value] {
    let rows = case["expected"].as_array().unwrap();
    assert_eq!(rows.len(), count, "{}: number of rows", case["id"]);
    rows
}

#[test]
fn computed_schedules_match() {
    for (file, count) in [("random_schedules.json", 30), ("random_schedules_daily.json", 10)] {
        let file = golden(file);
        assert_eq!(cases(&file).len(), count);
        for case in cases(&file) {
            let id = case["id"].as_str().unwrap();
            let request = request_of_case(case);
            if let Some(payment) = case.get("instalment_fen") {
                assert_eq!(request.level_payment(), fen(payment), "{id}: level payment");
            }
            assert_rows(id, &request, case["rows"].as_array().unwrap(), fen);
        }
    }
}

#[test]
fn published_schedules_of_fineract_match() {
    let file = golden("schedules_fineract.json");
    assert_eq!(cases(&file).len(), 40);
    for case in cases(&file) {
        let inputs = &case["inputs"];
        let mut request = request(
            method(inputs["amortization"].as_str().unwrap()),
            yuan(&inputs["principal"]),
            inputs["periods"].as_u64().unwrap(),
        );
        request.annual_rate = percent(&inputs["annual_rate_percent"]);
        request.day_count = day_count(case["day_count"].as_str().unwrap());
        if case["level"] == "actual" {
            request.level = Level::Actual;
        }
        request.start_on = inputs["disbursed_on"].as_str().unwrap().parse().unwrap();
        assert_rows(case["id"].as_str().unwrap(), &request, case["expected"].as_array().unwrap(), yuan);
    }
}

/// Other published schedules by how they are compared: every row, by our day count; the days on which they are due; in whole hundreds;
/// figures that are carried exactly.
const BY_ROW: [(&str, &str); 3] = [("FINU-4", "act/365"), ("FINF-2", "act/365"), ("FINF-4", "monthly")];
/// With how many rows are published.
const BY_DUE_DAY: [(&str, usize); 3] = [("FIND-28", 14), ("FIND-25", 14), ("FRP-3", 3)];
const IN_HUNDREDS: &str = "FINI-2";
const EXACT: [&str; 2] = ["EC-8", "EC-13"];
/// Periods of two weeks and a level payment that is smoothed; periods of fifteen days; a day that a month lacks taken for the first of the
/// next one, where ours is the last of that one.
const OF_OTHER_CONVENTIONS: [&str; 3] = ["FINU-2", "FINU-3", "FINF-3"];

#[test]
fn every_other_published_schedule_is_compared_or_of_another_convention() {
    let (by_row, by_due_day) = (BY_ROW.map(|(id, _)| id), BY_DUE_DAY.map(|(id, _)| id));
    let compared = by_row.into_iter().chain(by_due_day).chain([IN_HUNDREDS]).chain(EXACT);
    assert_ids(cases(&golden("schedules_other.json")), compared.chain(OF_OTHER_CONVENTIONS));
}

#[test]
fn other_published_schedules_of_our_convention_match() {
    let file = golden("schedules_other.json");
    let find = |id: &str| cases(&file).iter().find(|case| case["id"] == id).unwrap();
    for (id, basis) in BY_ROW {
        let case = find(id);
        let inputs = &case["inputs"];
        let periods = inputs["periods"].as_u64().unwrap();
        let mut request = request(Method::EqualInstallment, yuan(&inputs["principal"]), periods);
        request.annual_rate = percent(&inputs["annual_rate_percent"]);
        request.day_count = day_count(basis);
        request.level = Level::Actual;
        request.start_on = inputs["disbursed_on"].as_str().unwrap().parse().unwrap();
        assert_rows(id, &request, case["expected"].as_array().unwrap(), yuan);
    }
    for (id, count) in BY_DUE_DAY {
        let expected = published_rows(find(id), count);
        let mut request = request(Method::InterestFree, Fen::new(120_000), 14);
        let first = expected[0]["due_date"].as_str().unwrap().parse::<fenqi::base::BusinessDay>().unwrap();
        request.start_on = first.minus_days(10);
        let day = fenqi::base::day::MonthDay::new(first.day_of_month()).unwrap();
        request.due = DueDates::From { first, day };
        let found = schedule::build(&request).unwrap();
        for row in expected {
            let period = row["no"].as_u64().unwrap() as usize;
            assert_eq!(found.installments[period - 1].due_on.to_string(), row["due_date"].as_str().unwrap(), "{id}");
        }
    }
}

#[test]
fn a_published_schedule_in_whole_hundreds_matches() {
    let file = golden("schedules_other.json");
    let case = cases(&file).iter().find(|case| case["id"] == IN_HUNDREDS).unwrap();
    let inputs = &case["inputs"];
    // A hundred is its least unit, as a fen is ours.
    let units = |value: &Value| Fen::new(i64::try_from(decimal(value) / Decimal::ONE_HUNDRED).unwrap());
    let periods = inputs["periods"].as_u64().unwrap();
    let mut request = request(Method::EqualPrincipal, units(&inputs["principal"]), periods);
    request.annual_rate = "0.24".parse().unwrap();
    request.start_on = inputs["disbursed_on"].as_str().unwrap().parse().unwrap();
    let found = schedule::build(&request).unwrap();
    for row in published_rows(case, 9) {
        let ours = found.installments[row["no"].as_u64().unwrap() as usize - 1];
        assert_eq!((ours.principal, ours.interest), (units(&row["principal"]), units(&row["interest"])), "{row}");
        assert_eq!(ours.due_on.to_string(), row["due_date"].as_str().unwrap());
    }
}

#[test]
fn the_exact_schedules_of_the_european_commission_are_ours_to_a_fen() {
    let file = golden("schedules_other.json");
    for id in EXACT {
        let case = cases(&file).iter().find(|case| case["id"] == id).unwrap();
        let inputs = &case["inputs"];
        let mut request = request(method(inputs["method"].as_str().unwrap()), yuan(&inputs["principal"]), 240);
        request.annual_rate = percent(&inputs["annual_rate_percent"]);
        let found = schedule::build(&request).unwrap();
        for row in published_rows(case, 12) {
            let ours = found.installments[row["no"].as_u64().unwrap() as usize - 1];
            let apart = (ours.total() - yuan(&row["total"])).get().abs();
            assert!(apart <= 1, "{id} row {}: {} against {}", row["no"], ours.total(), row["total"]);
        }
    }
}

#[test]
fn exact_ties_of_half_a_fen_go_up() {
    let file = golden("half_up_tie_cases.json");
    assert_eq!(cases(&file).len(), 5);
    for case in cases(&file) {
        let mut request = request_of_tie(case);
        let id = format!("{} fen at {} %", case["principal_fen"], case["annual_rate_percent"]);
        assert_eq!(request.level_payment(), fen(&case["instalment_half_up"]), "{id}");
        assert_rows(&id, &request, case["rows_half_up"].as_array().unwrap(), fen);
        request.level = Level::Actual;
        assert_rows(&id, &request, case["rows_half_up"].as_array().unwrap(), fen);
    }
}

fn request_of_tie(case: &Value) -> ScheduleRequest {
    let mut tie = request(Method::EqualInstallment, fen(&case["principal_fen"]), case["periods"].as_u64().unwrap());
    tie.annual_rate = percent(&case["annual_rate_percent"]);
    tie
}

#[test]
fn tiny_amounts_never_overshoot() {
    let file = golden("halfup_overshoot.json");
    assert_eq!(cases(&file).len(), 3);
    for case in cases(&file) {
        for method in [Method::EqualPrincipal, Method::FlatFee, Method::InterestFree, Method::EqualInstallment] {
            let request = request(method, fen(&case["principal_fen"]), case["periods"].as_u64().unwrap());
            let found = schedule::build(&request).unwrap();
            assert_eq!(found.principal(), request.principal);
            assert_eq!(found.installments[0].principal, fen(&case["each_half_up"]));
            assert!(found.installments.iter().all(|row| !row.principal.is_negative()));
        }
    }
}

#[test]
fn a_late_due_day_comes_back_after_february() {
    let mut request = request(Method::InterestFree, Fen::new(30_000), 3);
    request.start_on = "2026-02-11".parse().unwrap();
    let day = fenqi::base::day::MonthDay::new(30).unwrap();
    request.due = DueDates::From { first: "2026-02-28".parse().unwrap(), day };
    let found = schedule::build(&request).unwrap();
    let days: Vec<String> = found.installments.iter().map(|row| row.due_on.to_string()).collect();
    assert_eq!(days, ["2026-02-28", "2026-03-30", "2026-04-30"]);
}

#[test]
fn free_periods_carry_no_interest_and_leave_the_payments_level() {
    let mut request = request(Method::EqualInstallment, Fen::new(1_000_000), 12);
    request.annual_rate = "0.14".parse().unwrap();
    let full = request.level_payment();
    request.free_periods = 3;
    let found = schedule::build(&request).unwrap();
    assert!(found.installments[..3].iter().all(|row| row.interest.is_zero()));
    assert!(found.installments[3..].iter().all(|row| row.interest.is_positive()));
    assert!(request.level_payment() < full);
    let apart = found.installments[11].total() - request.level_payment();
    assert!(apart.get().abs() <= 12, "the last payment differs by roundings alone, found {apart}");
}

#[test]
fn a_guarantee_charge_stands_beside_interest_and_its_roundings_go_to_the_last_period() {
    let mut request = request(Method::EqualPrincipal, Fen::new(100_300), 3);
    request.annual_rate = "0.12".parse().unwrap();
    request.fee_rate_per_period = "0.0025".parse().unwrap();
    let found = schedule::build(&request).unwrap();
    let rows = found.installments.iter().map(|row| [row.principal, row.interest, row.fee].map(Fen::get));
    // Interest of 1,003.00, 668.67 and 334.34; of the charge 250.75 each time, and 752.25 in all.
    assert_eq!(rows.collect::<Vec<_>>(), [[33_433, 1_003, 251], [33_433, 669, 251], [33_434, 334, 250]]);
    // The payments are what the loan costs: 10,130 for 10,000 after a month are 1.3 %.
    request.principal = Fen::new(10_000);
    request.periods = 1;
    request.fee_rate_per_period = "0.003".parse().unwrap();
    let price = fenqi::loan::Price::of(request.principal, &schedule::build(&request).unwrap()).unwrap();
    // 1.013^12 = 1.16765178.
    assert_eq!((price.nominal.to_string(), price.effective.to_string()), ("0.15600000".into(), "0.16765178".into()));
    // A level payment is level without the charge.
    request.method = Method::EqualInstallment;
    request.periods = 12;
    let with = schedule::build(&request).unwrap();
    request.fee_rate_per_period = Rate::ZERO;
    let without = schedule::build(&request).unwrap();
    for (row, alone) in with.installments.iter().zip(&without.installments) {
        assert_eq!((row.principal, row.interest, row.fee), (alone.principal, alone.interest, Fen::new(30)));
    }
}

fn any_request() -> impl Strategy<Value = ScheduleRequest> {
    let method = prop::sample::select(vec![
        Method::EqualInstallment,
        Method::EqualPrincipal,
        Method::FlatFee,
        Method::InterestFirst,
        Method::InterestFree,
    ]);
    let day_count = prop::sample::select(vec![DayCount::Monthly, DayCount::Act360, DayCount::Act365]);
    let level = prop::sample::select(vec![Level::Actual, Level::Monthly]);
    let principal = prop_oneof![1i64..200, 1i64..10_000_000, 1i64..Fen::MAX.get()];
    let rates = (0i64..500_000, 0i64..20_000, 0u16..4, any::<bool>());
    (method, day_count, level, principal, 1u16..=60, rates, 0u32..2000, 1u32..60).prop_map(
        |(method, day_count, level, principal, periods, (rate, fee, free, from_first), start, first)| {
            let start_on = "2024-01-01".parse::<fenqi::base::BusinessDay>().unwrap().plus_days(start);
            let first = start_on.plus_days(first);
            let day = fenqi::base::day::MonthDay::new(first.day_of_month()).unwrap();
            ScheduleRequest {
                method,
                day_count,
                level,
                principal: Fen::new(principal),
                periods,
                annual_rate: Rate::from_fraction(Decimal::new(rate, 6)).unwrap(),
                fee_rate_per_period: Rate::from_fraction(Decimal::new(fee, 6)).unwrap(),
                free_periods: free.min(periods),
                start_on,
                due: if from_first { DueDates::From { first, day } } else { DueDates::FromStart },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_schedule_sums_to_its_principal_and_no_part_is_negative(request in any_request()) {
        let found = schedule::build(&request).unwrap();
        prop_assert_eq!(found.installments.len(), usize::from(request.periods));
        prop_assert_eq!(found.principal(), request.principal);
        let negative = |row: &Installment| [row.principal, row.interest, row.fee].iter().any(|part| part.is_negative());
        prop_assert!(!found.installments.iter().any(negative));
        let fees: Fen = found.installments.iter().map(|row| row.fee).sum();
        let charged = i64::from(request.periods - request.free_periods);
        prop_assert_eq!(fees, request.fee_rate_per_period.of(request.principal, charged, 1));
        for (before, after) in found.installments.iter().zip(&found.installments[1..]) {
            prop_assert!(before.due_on < after.due_on);
        }
    }

    #[test]
    fn the_actual_level_payment_leaves_the_last_period_within_its_roundings(mut request in any_request()) {
        request.method = Method::EqualInstallment;
        request.level = Level::Actual;
        request.fee_rate_per_period = Rate::ZERO;
        let found = schedule::build(&request).unwrap();
        let payment = request.level_payment();
        // A very long first period may owe more than one payment of interest alone; then the rest is not level.
        prop_assume!(found.installments.iter().all(|row| row.interest <= payment));
        let last = found.installments.last().unwrap().total();
        // Each rounding (half a fen of payment or interest) grows with the interest of the periods after it.
        let growth = found.total().get() as i128 * 2 / i128::from(request.principal.get()) + 2;
        let allowed = i128::from(request.periods) * growth * 2 + 2;
        prop_assert!(i128::from((payment - last).get().abs()) <= allowed, "{payment} against {last}");
    }
}
