//! Annualised rates agree with Regulation Z, the European Commission's examples, spreadsheets, the PBoC and our golden tables.

use fenqi::base::{BusinessDay, Fen};
use fenqi::loan::price::{DatedFlow, Flow, Price, dated_rate, yearly_rate};
use fenqi::loan::schedule;
use fenqi::product::terms::Method;
use rust_decimal::Decimal;
use serde_json::Value;

use super::schedule::{assert_ids, cases, decimal, request, request_of_case, yuan};
use crate::golden::golden;

fn list<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    let list = file[name].as_array().unwrap_or_else(|| panic!("no list {name}")).as_slice();
    assert!(!list.is_empty(), "where {name} holds nothing, nothing is compared");
    list
}

fn find<'a>(file: &'a Value, name: &str, id: &str) -> &'a Value {
    list(file, name).iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("no case {id}"))
}

fn in_percent(fraction: Decimal, places: u32) -> Decimal {
    (fraction * Decimal::ONE_HUNDRED)
        .round_dp_with_strategy(places, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
}

/// An amount with fractions of a cent, scaled up so that it is whole; a rate does not depend on the unit.
fn scaled(value: &Value) -> Fen {
    Fen::new(i64::try_from((decimal(value) * Decimal::new(1_000_000, 0)).round()).unwrap())
}

#[test]
fn prices_of_computed_schedules_match() {
    let mut by_date = 0;
    for file in ["random_schedules.json", "random_schedules_daily.json"] {
        for case in cases(&golden(file)) {
            let request = request_of_case(case);
            let schedule = schedule::build(&request).unwrap();
            let price = Price::of(request.principal, &schedule).unwrap();
            let (id, irr) = (&case["id"], &case["irr"]);
            assert_eq!(in_percent(price.nominal, 6), decimal(&irr["nominal_annual_percent"]), "{id}");
            assert_eq!(in_percent(price.effective, 6), decimal(&irr["effective_annual_percent"]), "{id}");
            if let Some(expected) = case.get("xirr_actual365_percent") {
                let mut flows = vec![DatedFlow { on: request.start_on, amount: request.principal }];
                flows
                    .extend(schedule.installments.iter().map(|row| DatedFlow { on: row.due_on, amount: -row.total() }));
                let expected = decimal(expected);
                let found = dated_rate(&flows).unwrap();
                assert_eq!(in_percent(found, expected.scale().min(6)), expected.round_dp(6), "{id}: by date");
                by_date += 1;
            }
        }
    }
    assert_eq!(by_date, 10);
}

#[test]
fn flat_fees_have_the_published_annual_cost() {
    let file = golden("flat_fee_irr.json");
    assert_eq!((cases(&file).len(), list(&file, "cap_24").len()), (60, 12));
    for case in cases(&file) {
        let periods = case["periods"].as_u64().unwrap();
        let price = flat_fee_price(periods, decimal(&case["fee_per_period_percent"]));
        let place = format!("{periods} periods at {}", case["fee_per_period_percent"]);
        assert_eq!(in_percent(price.nominal, 2), decimal(&case["nominal_annual_percent"]), "{place}");
        assert_eq!(in_percent(price.effective, 2), decimal(&case["effective_annual_percent"]), "{place}");
        let cap = "0.24".parse().unwrap();
        let above = case["above_24_percent_nominal"] == true || case["above_24_percent_effective"] == true;
        assert_eq!(price.is_within(cap), !above, "{place}");
    }
    for case in list(&file, "cap_24") {
        let fee = decimal(&case["max_fee_per_period_percent"]);
        let periods = case["periods"].as_u64().unwrap();
        let cost = |fee| {
            let price = flat_fee_price(periods, fee);
            if case["convention"] == "nominal" { price.nominal } else { price.effective }
        };
        let cap = Decimal::new(24, 2);
        assert!(cost(fee - Decimal::new(1, 4)) <= cap, "{case}");
        assert!(cost(fee + Decimal::new(1, 4)) > cap, "{case}");
    }
}

/// The price of a flat fee without any rounding to fen.
fn flat_fee_price(periods: u64, fee_percent: Decimal) -> Price {
    // A principal that every number of periods up to 60 divides closely, so that roundings vanish.
    let principal = Decimal::new(55_440_000_000_000, 0);
    let each = principal / Decimal::from(periods) + principal * fee_percent / Decimal::ONE_HUNDRED;
    let payment = Fen::new(i64::try_from(each.round()).unwrap());
    let principal = Fen::new(i64::try_from(principal).unwrap());
    Price::of_payments(principal, &vec![payment; periods as usize]).unwrap()
}

/// The payments of an example of Regulation Z, one after the other.
fn payments_of(case: &Value) -> Vec<Fen> {
    let parts = list(case, "payments").iter().filter(|part| part.get("count").is_some());
    parts.flat_map(|part| vec![yuan(&part["amount"]); part["count"].as_u64().unwrap() as usize]).collect()
}

#[test]
fn examples_of_regulation_z_match() {
    let file = golden("apr_irr.json");
    let monthly = ["REGZ-c1i", "REGZ-c4i"];
    for id in monthly {
        let case = find(&file, "regulation_z", id);
        let price = Price::of_payments(yuan(&case["amount_advanced"]), &payments_of(case)).unwrap();
        assert_eq!(in_percent(price.nominal, 2), decimal(&case["expected_apr_percent"]), "{id}");
    }
    // Units in a period, and before the first payment. The odd part of a first period American law discounts by simple interest and we
    // do not, so that these are met to less than a hundredth of a percentage point.
    let odd = [("REGZ-c1iii", 5, 2), ("REGZ-c2ii", 28, 33), ("REGZ-c4ii", 15, 13)];
    for (id, units_a_period, first) in odd {
        let case = find(&file, "regulation_z", id);
        let mut flows = vec![(0, yuan(&case["amount_advanced"]).get())];
        flows.extend((0u32..).zip(payments_of(case)).map(|(nth, paid)| (first + nth * units_a_period, -paid.get())));
        let periods_a_year = decimal(&case["unit_periods_per_year"]);
        let found = yearly(&flows, units_a_period) * periods_a_year * Decimal::ONE_HUNDRED;
        let apart = (found - decimal(&case["expected_apr_percent"])).abs();
        assert!(apart < Decimal::new(1, 2), "{id}: {found} against {}", case["expected_apr_percent"]);
    }
    assert_ids(list(&file, "regulation_z"), monthly.into_iter().chain(odd.map(|(id, ..)| id)));
}

#[test]
fn the_example_of_the_peoples_bank_matches() {
    let file = golden("apr_irr.json");
    let case = find(&file, "pboc", "PBOC-2021-3");
    let flows: Vec<Fen> = list(case, "cashflows").iter().map(scaled).collect();
    let payments: Vec<Fen> = flows[1..].iter().map(|flow| -*flow).collect();
    let price = Price::of_payments(flows[0], &payments).unwrap();
    assert_eq!(in_percent(price.nominal, 2), decimal(&case["expected_simple_percent"]));
    assert_eq!(in_percent(price.effective, 2), decimal(&case["expected_irr_compound_percent"]));
}

#[test]
fn installments_paid_in_advance_match() {
    let file = golden("apr_irr.json");
    let case = find(&file, "chinese_other", "CN-RATE-1");
    let each = scaled(&Value::from("5999")).share(1, 24);
    let financed = scaled(&Value::from("5099")) - each;
    let price = Price::of_payments(financed, &[each; 23]).unwrap();
    assert_eq!(in_percent(price.effective, 2), decimal(&case["expected_effective_percent"]));
    assert_eq!((price.nominal / Decimal::from(12)).round_dp(6), decimal(&case["expected_monthly_rate"]));
}

#[test]
fn long_loans_of_adobe_match() {
    for case in list(&golden("apr_irr.json"), "adobe_formcalc") {
        let count = case["months"].as_u64().unwrap() as usize;
        let price = Price::of_payments(yuan(&case["loan"]), &vec![yuan(&case["payment"]); count]).unwrap();
        assert_eq!(price.nominal.round_dp(8), decimal(&case["recomputed_here"]).round_dp(8), "{}", case["id"]);
    }
}

/// Examples of the European Commission of which a rate is published here, and not what was paid for it.
const PAYMENTS_UNSTATED: [&str; 10] =
    ["EC-2.2", "EC-8b", "EC-18.1", "EC-18.2", "EC-21.1", "EC-21.2", "EC-23.1", "EC-23.2", "EC-24.2", "EC-26.1"];

/// The other ones, as units of a year after the drawdown.
#[test]
fn examples_of_the_european_commission_match() {
    let file = golden("apr_irr.json");
    let level = |each: i64, count: u32, shift: u32, step: u32| -> Vec<(u32, i64)> {
        (1..=count).map(|k| (shift + step * k, -each)).collect()
    };
    let with = |mut flows: Vec<(u32, i64)>, more: &[(u32, i64)]| {
        flows.extend_from_slice(more);
        flows
    };
    let yearly_payments: Vec<(u32, i64)> = (0..20).map(|year| (34 + 365 * year, -1_654_186)).collect();
    let every_other_year: Vec<(u32, i64)> = (0..10).map(|nth| (1 + 24 * nth, -10_000)).collect();
    // Units a year: 12 for whole months, 365 or 4380 = 12 × 365 where the first days count apart.
    let examples = [
        ("EC-1", 12, level(143_286, 240, 0, 1)),
        ("EC-2.1", 4380, level(143_357, 240, 36, 365)),
        ("EC-2.3", 365, yearly_payments),
        ("EC-3", 12, level(144_953, 240, 0, 1)),
        ("EC-4", 12, level(159_953, 240, 0, 1)),
        ("EC-5", 12, level(149_018, 240, 0, 1)),
        ("EC-6", 12, with(level(143_286, 240, 0, 1), &[(240, -10_000)])),
        ("EC-7", 12, with(level(119_910, 180, 0, 1), &[(180, -14_209_769)])),
        ("EC-8", 12, with(level(116_667, 240, 0, 1), &[(240, -20_000_000)])),
        ("EC-11", 12, with(level(150_000, 220, 0, 1), &[(221, -40_770)])),
        ("EC-12", 12, capital_and_interest()),
        ("EC-13", 12, equal_capital()),
        ("EC-19", 12, with(equal_capital(), &every_other_year)),
        ("EC-20", 12, with(level(131_991, 24, 0, 1), &level(142_341, 216, 24, 1))),
        ("EC-27", 12, level(121_793, 240, 0, 1)),
    ];
    let compared = examples.iter().map(|(id, ..)| *id);
    assert_ids(list(&file, "ec_aprc"), compared.chain(PAYMENTS_UNSTATED));
    for (id, units_a_year, payments) in examples {
        let case = find(&file, "ec_aprc", id);
        // Two in a hundred of it are the cost that is paid at once.
        let mut flows = vec![(0, yuan(&case["drawdown"]).get() * 98 / 100)];
        flows.extend(payments);
        assert_eq!(
            in_percent(yearly(&flows, units_a_year), 4),
            decimal(&case["expected_X_percent"]).round_dp(4),
            "{id}: {}",
            case["description"]
        );
    }
}

/// 200,000 at 6 % a year, of which 900 are paid back every month with the month's interest, and the rest in the last.
fn capital_and_interest() -> Vec<(u32, i64)> {
    (1..=223u32)
        .map(|month| {
            let owed = 20_000_000 - i64::from(month - 1) * 90_000;
            (month, -(owed.min(90_000) + owed / 200))
        })
        .collect()
}

/// 200,000 in 240 equal parts at 6 % a year, by our own schedule, in months after the drawdown.
fn equal_capital() -> Vec<(u32, i64)> {
    let mut request = request(Method::EqualPrincipal, Fen::new(20_000_000), 240);
    request.annual_rate = "0.06".parse().unwrap();
    let schedule = schedule::build(&request).unwrap();
    (1u32..).zip(&schedule.installments).map(|(month, row)| (month, -row.total().get())).collect()
}

/// The compounded yearly rate of flows at units of a year.
fn yearly(flows: &[(u32, i64)], units_a_year: u32) -> Decimal {
    let flows: Vec<Flow> = flows.iter().map(|(units, fen)| Flow { units: *units, amount: Fen::new(*fen) }).collect();
    yearly_rate(&flows, units_a_year).unwrap()
}

#[test]
fn examples_of_the_european_directive_match() {
    for case in list(&golden("apr_irr.json"), "eu_directive_98_7") {
        let mut flows = vec![(0, yuan(&case["drawdown"]).get())];
        // Years in units of 1/1460, which hold whole days of 365 and quarters alike.
        for flow in list(case, "flows") {
            let units = (decimal(&flow["t_years"]) * Decimal::from(1460)).round();
            flows.push((u32::try_from(units).unwrap(), -yuan(&flow["amount"]).get()));
        }
        assert_eq!(in_percent(yearly(&flows, 1460), 2), decimal(&case["expected_percent"]), "{}", case["id"]);
    }
}

#[test]
fn examples_of_the_british_regulator_match() {
    for case in list(&golden("apr_irr.json"), "uk_fca_php") {
        let id = case["id"].as_str().unwrap();
        let mut flows = vec![(0, yuan(&case["advance"]).get())];
        let units_a_year = match &case["payments"] {
            Value::Array(payments) => {
                // Days in sixteenths, because a month there is 30.4375 days and a year 365.25.
                for payment in payments {
                    let units = u32::try_from(decimal(&payment["day"]) * Decimal::from(16)).unwrap();
                    flows.push((units, -yuan(&payment["amount"]).get()));
                }
                5844
            }
            _ => {
                flows.extend((1..=60).map(|month| (month, -22_244)));
                12
            }
        };
        assert_eq!(in_percent(yearly(&flows, units_a_year), 1), decimal(&case["expected_percent"]), "{id}");
    }
}

#[test]
fn examples_by_days_of_the_european_formula_match() {
    let file = golden("apr_irr.json");
    let flow = |on: &str, fen: i64| DatedFlow { on: on.parse().unwrap(), amount: Fen::new(fen) };
    let examples = [
        ("FSQ-1", vec![flow("2012-10-10", 50_000), flow("2012-10-15", -51_000)]),
        ("FSQ-2", vec![flow("2012-10-10", 50_000), flow("2012-11-10", -27_000), flow("2012-12-10", -27_000)]),
    ];
    for (id, flows) in examples {
        let case = find(&file, "fsharp_quirky", id);
        let expected = decimal(&case["expected_percent"]);
        assert_eq!(in_percent(dated_rate(&flows).unwrap(), expected.scale()), expected, "{id}");
    }
}

#[test]
fn rates_per_period_of_numpy_and_pyxirr_match() {
    for case in list(&golden("apr_irr.json"), "irr") {
        let id = case["id"].as_str().unwrap();
        let flows: Vec<Flow> = list(case, "cashflows")
            .iter()
            .zip(0u32..)
            .map(|(amount, units)| Flow { units, amount: scaled(amount) })
            .collect();
        // Of one unit a year the rate per period is the yearly one.
        let found = yearly_rate(&flows, 1);
        match case.get("recomputed_here") {
            Some(expected) => {
                let apart = (found.unwrap_or_else(|| panic!("{id}: no rate")) - decimal(expected)).abs();
                assert!(apart < Decimal::new(2, 8), "{id}: {found:?} against {expected}");
            }
            None => assert_eq!(found, None, "{id}: a rate where none exists"),
        }
    }
}

#[test]
fn rates_by_date_of_spreadsheets_match() {
    for case in list(&golden("apr_irr.json"), "xirr") {
        let id = case["id"].as_str().unwrap();
        let flows: Vec<DatedFlow> = list(case, "flows")
            .iter()
            .map(|flow| DatedFlow {
                on: flow["date"].as_str().unwrap().parse::<BusinessDay>().unwrap(),
                amount: scaled(&flow["amount"]),
            })
            .collect();
        let found = dated_rate(&flows).unwrap_or_else(|| panic!("{id}: no rate"));
        let apart = (found - decimal(&case["recomputed_here"])).abs();
        assert!(apart < Decimal::new(1, 7), "{id}: {found} against {}", case["recomputed_here"]);
    }
}
