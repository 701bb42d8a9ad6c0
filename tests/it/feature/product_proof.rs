//! The proof of a product finds the purchase with the highest annualised rate, also between the amounts and beyond the days of its
//! grid. The products that ship, each proven, are of every kind that is sold.

use fenqi::base::Rate;
use fenqi::product::terms::{DayCount, Method, Plan};
use fenqi::product::{self, file};

use super::product::{refused_for, text};

#[test]
fn a_fee_rounded_up_whose_merchants_part_is_rounded_down_breaks_the_cap_between_the_grid() {
    let priced = |price: &str| {
        text("merchant-subsidy")
            .replace("amount_min_fen = 10_000", "amount_min_fen = 1_000")
            .replacen("periods = [3, 6]", "periods = [1]", 1)
            .replacen("subsidy_share = 0.5", "subsidy_share = 0.4", 1)
            .replace("E = 0.0080", &format!("E = {price}"))
    };
    // 10.45 yuan bear 30.514 fen, of whose 31 the merchant pays 12 of 12.4: 19 are 1.818 % a month. Of 10.00 yuan 29.2 fen are 29 and
    // 11.6 of them 12: 17 are so cheap that a fen more would hold, but not two.
    let told = refused_for(&priced("0.0292"));
    assert!(told.starts_with("1045 fen in 1 period, grade E"), "{told}");
    assert!(told.contains("0.24137802 effective a year, above the cap of 0.24"), "{told}");
    assert!(product::check(&priced("0.0270")).is_ok());
}

#[test]
fn a_plan_by_days_holds_its_cap_in_the_dearest_month() {
    let priced = |price: &str| {
        text("equal-principal")
            .replace("valid_from = 2024-01-01", "valid_from = 2027-09-15")
            .replace("periods = [6, 12, 18, 24, 36]", "periods = [2]")
            .replace("C = 0.126", &format!("C = {price}"))
    };
    // No month of the grid that begins in October 2027 has both a first period of 59 days and a second one of 31, as July has. Of 500 yuan
    // at 13.3 % they cost 50,000 × 0.133 × 59 ÷ 365 = 1,074.9 and 25,000 × 0.133 × 31 ÷ 365 = 282.4 fen. At 24 % a year, which is 1.80876 %
    // a month, payments of 26,075 and 25,282 fen are worth 25,611.7 + 24,391.6 = 50,003.4: more than was lent.
    let told = refused_for(&priced("0.133"));
    assert!(told.starts_with("50000 fen in 2 periods, grade C, bought on 2031-07-01"), "{told}");
    assert!(told.contains("0.24067897 effective a year, above the cap of 0.24"), "{told}");
    assert!(product::check(&priced("0.132")).is_ok());
}

#[test]
fn a_fee_that_a_refund_may_make_dearer_than_the_cap_holds_and_is_noted() {
    let notes = |price: &str, order: &str| {
        let text = text("merchant-subsidy").replace("subsidy_share = 0.5", "subsidy_share = 0");
        let text = text.replace("E = 0.0080", &format!("E = {price}")).replace("last_first", order);
        product::check(&text).unwrap().1.notes
    };
    // As it is bought, 1 % of the amount each month costs 19.5 % a year in 3 periods, 22.3 % in 6.
    let noted = notes("0.0100", "last_first");
    assert_eq!(noted.len(), 1);
    assert!(noted[0].starts_with("in 3, 6 periods, what a refund leaves may cost up to 0.2653"), "{noted:?}");
    assert!(notes("0.0100", "proportional").is_empty());
    assert!(notes("0.0090", "last_first").is_empty());
}

#[test]
fn the_shipped_products_differ_in_kind() {
    let is_by_grade = |plan: &Plan| plan.prices.len() > 1 && plan.prices.windows(2).all(|two| two[0] < two[1]);
    let is = |plan: &Plan, method| plan.method == method;
    let mut kinds = [
        ("equal installments by grade", 0),
        ("a flat fee of which the merchant pays a part", 0),
        ("3, 6 and 12 periods without interest", 0),
        ("equal principal by days over 365", 0),
        ("interest first", 0),
        ("all of it with the next bill", 0),
    ];
    for text in file::SHIPPED {
        let (terms, _) = product::check(text).unwrap();
        let plan = &terms.plans[0];
        let found = [
            is(plan, Method::EqualInstallment) && is_by_grade(plan) && plan.free_periods == 0,
            is(plan, Method::FlatFee) && plan.subsidy_share > Rate::ZERO,
            is(plan, Method::InterestFree) && plan.periods == [3, 6, 12],
            is(plan, Method::EqualPrincipal) && plan.day_count == DayCount::Act365,
            is(plan, Method::InterestFirst),
            terms.plans.len() == 1 && plan.periods == [1],
        ];
        for ((_, products), is_found) in kinds.iter_mut().zip(found) {
            *products += usize::from(is_found);
        }
    }
    assert!(kinds.iter().all(|(_, products)| *products == 1), "{kinds:?}");
}
