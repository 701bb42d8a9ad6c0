//! The allocation of repayments agrees with the golden cases.

use fenqi::base::Fen;
use fenqi::bill::Parts;
use fenqi::product::terms::{AllocationTerms, Part};
use fenqi::repayment::allocation::{InstallmentDue, allocate, order_on};
use serde_json::Value;

use crate::golden::golden;

fn parts(value: &Value) -> Parts {
    let fen = |name: &str| Fen::new(value[name].as_i64().unwrap());
    Parts { fee: fen("fee"), penalty: fen("penalty"), interest: fen("interest"), principal: fen("principal") }
}

#[test]
fn the_golden_allocations_hold_in_both_orders() {
    let terms = AllocationTerms {
        order: [Part::Fee, Part::Penalty, Part::Interest, Part::Principal],
        after: Some((90, [Part::Principal, Part::Fee, Part::Interest, Part::Penalty])),
    };
    let file = golden("repayment_allocation.json");
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let payment = Fen::new(case["payment_fen"].as_i64().unwrap());
        for (days_overdue, name) in [(90, "up_to_90_days"), (91, "beyond_90_days")] {
            let due = InstallmentDue { due: parts(&case["due_fen"]), order: order_on(&terms, days_overdue) };
            let found = allocate(payment, &[due]);
            assert_eq!(found.taken, [parts(&case[format!("allocated_{name}")])], "{name}: {case}");
            assert_eq!(found.left.get(), case[format!("left_{name}")].as_i64().unwrap());
        }
    }
    assert_eq!(cases.len(), 6);
}
