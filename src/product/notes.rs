//! The notes of a proof: what people should know of a product although it passes. Start with [`notes`].

use rust_decimal::Decimal;

use crate::base::{BusinessDay, Fen};
use crate::loan::Price;
use crate::loan::reduction::{Fall, Standing, reduce};

use super::quote::{QuoteRequest, quote, said_periods};
use super::terms::{DayCount, Method, Plan, RefundOrder, Terms};

/// The notes on terms under which the penalty reaches so much a year.
pub(super) fn notes(terms: &Terms, penalty_a_year_max: Decimal) -> Vec<String> {
    [of_penalty(terms, penalty_a_year_max), of_refunds(terms), of_name(terms)].into_iter().flatten().collect()
}

fn of_penalty(terms: &Terms, penalty_a_year_max: Decimal) -> Option<String> {
    let of = if terms.penalty.base.has_interest() { " of the principal, as interest bears it too" } else { "" };
    let is_above = penalty_a_year_max > terms.apr_cap.fraction();
    is_above.then(|| {
        format!(
            "the penalty reaches {penalty_a_year_max} a year{of}, above the cap of {}: a court may reduce it",
            terms.apr_cap
        )
    })
}

fn of_name(terms: &Terms) -> Option<String> {
    terms.name_en.is_none().then(|| format!("there is no name_en: whoever reads English reads {:?}", terms.name))
}

/// The note on plans of which a refund may leave what costs more a year than the cap.
///
/// Interest becomes smaller with the balance of its own period, so no refund makes it dearer. A fee a period becomes smaller with all the
/// principal that is not billed: of what is left it stays the part that was agreed, and is asked for no more often. But where principal
/// falls from the last installment backwards, the borrower has what is left for a shorter time, and if a fen is left of an installment, its
/// period bears the fee as any other. In proportion, a refund leaves every installment with the same part of its fee.
fn of_refunds(terms: &Terms) -> Option<String> {
    if terms.refund.order == RefundOrder::Proportional {
        return None;
    }
    let monthly = by_the_month(terms);
    let with_fee = monthly.plans.iter().filter(|plan| plan.method == Method::FlatFee || plan.has_guarantee_charge());
    let sold = with_fee.flat_map(|plan| plan.periods.iter().map(move |periods| (plan, *periods)));
    let costs = sold.filter_map(|(plan, periods)| Some((periods, cost_after_refund(&monthly, plan, periods)?)));
    let mut dearer: Vec<(u16, Decimal)> = costs.filter(|(_, cost)| *cost > terms.apr_cap.fraction()).collect();
    dearer.sort_unstable();
    let most = dearer.iter().map(|(_, cost)| *cost).max()?;
    let periods: Vec<u16> = dearer.iter().map(|(periods, _)| *periods).collect();
    Some(format!(
        "in {}, what a refund leaves may cost up to {most} a year, above the cap of {}: the fee or guarantee charge is asked for in each \
         period that opens with principal, even with a fen",
        said_periods(&periods),
        terms.apr_cap
    ))
}

/// The terms with interest by the month: a long first period, which counts as a month, is not what the note is about.
fn by_the_month(terms: &Terms) -> Terms {
    let mut monthly = terms.clone();
    for plan in &mut monthly.plans {
        plan.day_count = DayCount::Monthly;
    }
    monthly
}

/// The highest rate that a refund makes a purchase cost: at the highest price, of the greatest amount, where rounding to fen does not show.
/// The refund leaves some installments whole and a fen of the next one, before any time has passed in which the purchase was cheaper.
/// `None` if no refund does so.
fn cost_after_refund(terms: &Terms, plan: &Plan, periods: u16) -> Option<Decimal> {
    let (_, grade) = plan.prices.iter().zip(&terms.purchase.grades).max_by_key(|(price, _)| **price)?;
    let statement_day = *terms.line.statement_days.first()?;
    let due_day = terms.line.due_day(statement_day);
    let (amount, business_day) = (terms.purchase.amount_max_fen, BusinessDay::new(terms.valid_from));
    let request = QuoteRequest { grade, periods, amount, business_day, statement_day, due_day };
    let schedule = quote(terms, &request).ok()?.schedule;
    let standing = Standing {
        schedule: &schedule,
        earlier: &[],
        periods_billed: 0,
        billed_on: None,
        billed: &[],
        made_on: business_day,
        principal: amount,
        refunded: Fen::ZERO,
    };
    let cost = |left: Fen| {
        let fall = Fall {
            amount: amount - left,
            owed_back: Fen::ZERO,
            order: terms.refund.order,
            returns_billed_interest: terms.refund.returns_billed_interest,
            day: business_day,
        };
        Price::of(left, &reduce(&standing, fall).schedule).map(|price| price.higher())
    };
    let whole = schedule.installments.iter().scan(Fen::ZERO, |sum, row| {
        *sum += row.principal;
        Some(*sum)
    });
    let left = whole.filter(|whole| whole.is_positive()).map(|whole| whole + Fen::new(1));
    left.filter(|left| *left < amount).filter_map(cost).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;

    /// The note on refunds.
    fn told(text: &str) -> Option<String> {
        of_refunds(&file::parse(text).unwrap())
    }

    /// A fee of so much for grade E in 3 and 6 periods, of which the merchant pays nothing.
    fn flat_fee(price: &str) -> String {
        let text = include_str!("../../products/merchant-subsidy.toml");
        text.replace("subsidy_share = 0.5", "subsidy_share = 0").replace("E = 0.0080", &format!("E = {price}"))
    }

    #[test]
    fn a_fee_a_period_may_cost_more_after_a_refund_than_it_did_before() {
        // 1 % of the amount each month costs 19.5 % a year in 3 periods, 22.3 % in 6. If one installment and a fen are left, it is asked for
        // twice for what is owed for a month: 1.0198 to the twelfth.
        let note = told(&flat_fee("0.0100")).unwrap();
        assert!(note.starts_with("in 3, 6 periods, ") && note.contains("up to 0.2653"), "{note}");
        assert!(note.contains(" a year, above the cap of 0.24: "), "{note}");
        assert_eq!(told(&flat_fee("0.0090")), None);
        assert_eq!(told(&flat_fee("0.0100").replace("last_first", "proportional")), None);
        // Half of it is the merchant's: 1 % a month at most.
        assert_eq!(told(&flat_fee("0.0100").replace("subsidy_share = 0", "subsidy_share = 0.5")), None);
    }

    #[test]
    fn a_guarantee_charge_is_a_fee_a_period_and_interest_alone_is_none() {
        let standard = include_str!("../../products/standard.toml");
        let guaranteed = |charge: &str| {
            let charge = format!("[[plan]]\nguarantee_rate_per_period = {charge}\n");
            let text = standard.replacen("[[plan]]\n", &charge, 1);
            text.replacen("amount_min_fen = 1_000", "amount_min_fen = 10_000", 1)
        };
        // 1.5 % a month beside twice the charge: 1.7 %, and 1.9 %.
        assert_eq!(told(standard), None);
        assert_eq!(told(&guaranteed("0.001")), None);
        assert!(told(&guaranteed("0.002")).is_some_and(|note| note.starts_with("in 2 to 24 periods, ")));
        // A long first period, which counts as a month, is no matter of refunds.
        let by_days = guaranteed("0.001").replacen("day_count = \"monthly\"", "day_count = \"act/365\"", 1);
        assert_eq!(told(&by_days), None);
    }

    #[test]
    fn principal_that_is_repaid_in_one_sum_keeps_all_its_periods() {
        let text = include_str!("../../tests/scenarios/interest-first-falls.toml");
        let charged = text.replace("guarantee_rate_per_period = 0.002", "guarantee_rate_per_period = 0.015");
        assert_ne!(text, charged);
        // No refund shortens it: what it costs is what it cost.
        assert_eq!(told(&charged), None);
    }
}
