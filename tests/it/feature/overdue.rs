//! Penalty against the file of known answers.

use fenqi::base::{BusinessDay, Fen, Rate};
use fenqi::overdue::{OverdueSpan, PenaltyRule};
use fenqi::product::terms::{PenaltyRate, PenaltyTerms};

use crate::golden::golden;

fn text<'a>(case: &'a serde_json::Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {case}"))
}

fn rate(percent: &str) -> Rate {
    let percent: rust_decimal::Decimal = percent.parse().unwrap();
    Rate::from_fraction(percent / rust_decimal::Decimal::ONE_HUNDRED).unwrap()
}

#[test]
fn the_golden_penalties_hold_in_one_span_and_in_parts() {
    let file = golden("penalty_interest.json");
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let terms = PenaltyTerms {
            rate: PenaltyRate::Multiple(text(case, "multiplier").parse().unwrap()),
            basis_days: case["day_basis"].as_u64().unwrap() as u16,
            grace_days: 0,
        };
        let rule = PenaltyRule::new(&terms, rate(text(case, "contract_annual_rate_percent")));
        let principal = Fen::new(case["overdue_principal_fen"].as_i64().unwrap());
        let days = case["overdue_days"].as_u64().unwrap() as u32;
        let expected = Fen::new(case["penalty_fen"].as_i64().unwrap());

        let due_on: BusinessDay = "2026-01-31".parse().unwrap();
        let mut span = OverdueSpan::new(due_on);
        let end = due_on.plus_days(days);
        assert_eq!(span.penalty_on(&rule, principal, end), expected, "{case}");
        // Noting the principal in the middle splits the span; one rounding at the end keeps the sum.
        span.principal_changes_on(&rule, principal, due_on.plus_days(days / 2));
        assert_eq!(span.penalty_on(&rule, principal, end), expected, "in parts: {case}");
    }
    assert_eq!(cases.len(), 7);
}
