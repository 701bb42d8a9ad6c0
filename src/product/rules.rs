//! Rules that concern several fields of a product (start with [`check`]), and the bounds of single fields that law or arithmetic sets.

use std::ops::RangeInclusive;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::base::typed::is_one_line;
use crate::base::{Fen, counted};

use super::reader::Reader;
use super::terms::*;

/// Financial courts reduce what exceeds 24 % a year in all (最高人民法院 法发〔2017〕22号 item 2).
pub const APR_CAP_MAX: &str = "0.24";
/// The highest price a year: one above the cap could not pass the proof.
pub const PRICE_MAX: &str = "0.24";
/// A proof computes every grade; 26, one for each letter, are more than any scorecard tells apart.
pub const GRADES_MAX: usize = 26;
/// Internet consumer loans: at most 200,000 yuan a borrower (商业银行互联网贷款管理暂行办法 art. 6).
pub const LIMIT_MAX: Fen = Fen::new(20_000_000);
/// Installments: at most five years (银保监发〔2022〕13号).
pub const PERIODS_MAX: u16 = 60;
/// Bullet repayment: at most one year (商业银行互联网贷款管理暂行办法 art. 6). The first payment falls due up to a month and 28 days
/// after the purchase, so that the twelfth would come after more than a year.
pub const BULLET_PERIODS_MAX: u16 = 11;
/// Overdue interest is the contract rate plus 30 % to 50 % (银发〔2003〕251号 item 3).
pub const PENALTY_MULTIPLE: (&str, &str) = ("1.3", "1.5");
/// 24 % a year spread over the 365 days that a year has, whatever the basis, rounded down.
pub const PENALTY_PER_DAY_MAX: &str = "0.000657";
/// Penalty counts every day of the calendar.
const DAYS_OF_A_YEAR: Decimal = Decimal::from_parts(365, 0, 0, false, 0);
/// Decimals of a rate a year that is shown, and of a rate a day.
const YEAR_RATE_DECIMALS: u32 = 8;
/// Our own bound, because no rule limits what a merchant pays: it pays in the borrower's place, whose price is at most 24 % a year, which
/// is 2 % a month.
pub const SUBSIDY_RATE_MAX: &str = "0.02";
/// What a borrower pays for a guarantor counts as cost, like interest (金规〔2025〕9号 item 6). Two per cent of the amount each period are
/// 24 % a year even if the whole amount is owed until the end, so no greater charge could pass the proof.
pub const GUARANTEE_RATE_MAX: &str = "0.02";
/// The least amount of a purchase beside a guarantee charge is this many fen times the square of the periods. The payment and each
/// interest are rounded by half a fen, which grows to about a fen for each period until the last, and the payment is a part of the
/// amount: of a smaller amount rounding alone might repay the whole before the last charge, which would then be billed to nobody.
const GUARANTEE_FEN_PER_SQUARE: i64 = 2;
/// Our own bound, because no rule names a number: paying early costs at most a month and a half of the highest price, which is 2 % a month.
pub const PAYOFF_FEE_MAX: &str = "0.03";
/// With fewer than 5 days, the due day of a statement of 28 February could clamp onto that statement.
pub const DUE_DAYS_AFTER: RangeInclusive<i64> = 5..=28;
/// At most ten days; an applicant who hears nothing for longer has gone elsewhere.
pub const FUNDER_WORD_HOURS: RangeInclusive<i64> = 1..=240;
/// A person waits at the till, for three seconds at most; and no partner answers sooner than in 50 ms.
pub const PURCHASE_RISK_MS: RangeInclusive<i64> = 50..=3_000;

/// Records every broken rule. Each single field has been checked against its own bounds before.
pub fn check(terms: &Terms, reader: &mut Reader<'_>) {
    check_names(terms, reader);
    check_validity(terms, reader);
    check_line(&terms.line, reader);
    check_purchase(terms, reader);
    if terms.plans.is_empty() {
        reader.problem("plan", "an empty list", "one or more tables [[plan]]");
    }
    for (index, plan) in terms.plans.iter().enumerate() {
        check_plan(plan, &format!("plan[{index}]"), reader);
        check_contract_rate(terms, plan, index, reader);
        check_guarantee_charge(terms, plan, index, reader);
    }
    check_penalty_per_day(terms, reader);
    check_penalty_base(terms, reader);
    check_periods_once(&terms.plans, reader);
    check_withholding(&terms.withholding, reader);
    check_overdue(terms, reader);
}

/// Names must be short: a borrower reads the name in one line with a price.
fn check_names(terms: &Terms, reader: &mut Reader<'_>) {
    for (field, name) in [("name", Some(&terms.name)), ("name_en", terms.name_en.as_ref())] {
        if name.is_some_and(|name| !is_one_line(name)) {
            reader.problem(field, "a mark that turns the letters behind it round", "letters, digits and signs alone");
        }
    }
}

fn check_validity(terms: &Terms, reader: &mut Reader<'_>) {
    if let Some(until) = terms.valid_until.filter(|until| *until < terms.valid_from) {
        reader.problem("valid_until", until, format!("{} (valid_from) or later", terms.valid_from));
    }
    if terms.apr_cap.is_zero() {
        reader.problem("apr_cap", 0, format!("more than 0, at most {APR_CAP_MAX}"));
    }
}

fn check_line(line: &LineTerms, reader: &mut Reader<'_>) {
    if line.limit_min_fen > line.limit_max_fen {
        let allowed = format!("at most limit_max_fen, {}", line.limit_max_fen.get());
        reader.problem("line.limit_min_fen", line.limit_min_fen.get(), allowed);
    }
    if line.statement_days.is_empty() {
        reader.problem("line.statement_days", "an empty list", "at least one day");
    }
    distinct(&line.statement_days, "line.statement_days", reader);
}

fn check_purchase(terms: &Terms, reader: &mut Reader<'_>) {
    let purchase = &terms.purchase;
    if purchase.amount_min_fen > purchase.amount_max_fen {
        let allowed = format!("at most amount_max_fen, {}", purchase.amount_max_fen.get());
        reader.problem("purchase.amount_min_fen", purchase.amount_min_fen.get(), allowed);
    }
    if purchase.amount_max_fen > terms.line.limit_max_fen {
        let allowed = format!("at most line.limit_max_fen, {}", terms.line.limit_max_fen.get());
        reader.problem("purchase.amount_max_fen", purchase.amount_max_fen.get(), allowed);
    }
    if purchase.grades.len() > GRADES_MAX {
        let found = format!("{} grades", purchase.grades.len());
        reader.problem("purchase.grades", found, format!("at most {GRADES_MAX}"));
    }
    distinct(&purchase.grades, "purchase.grades", reader);
    distinct(&purchase.merchant_categories, "purchase.merchant_categories", reader);
    check_purchase_risk(terms, reader);
}

fn check_purchase_risk(terms: &Terms, reader: &mut Reader<'_>) {
    if let Some(PurchaseRiskTerms::Rules { amount_per_day_max_fen, merchant_per_day_max_fen }) = terms.purchase_risk {
        if amount_per_day_max_fen < terms.purchase.amount_min_fen {
            let allowed = format!("at least purchase.amount_min_fen, {}", terms.purchase.amount_min_fen.get());
            reader.problem("purchase_risk.amount_per_day_max_fen", amount_per_day_max_fen.get(), allowed);
        }
        if let Some(at_merchant) = merchant_per_day_max_fen.filter(|most| *most > amount_per_day_max_fen) {
            let allowed = format!("at most amount_per_day_max_fen, {}", amount_per_day_max_fen.get());
            reader.problem("purchase_risk.merchant_per_day_max_fen", at_merchant.get(), allowed);
        }
    }
}

fn check_plan(plan: &Plan, path: &str, reader: &mut Reader<'_>) {
    let method = plan.method.name();
    let priced = plan.method != Method::InterestFree;
    if plan.periods.is_empty() {
        reader.problem(&format!("{path}.periods"), "an empty list", "at least one number of periods");
    }
    if priced && plan.prices.is_empty() {
        reader.problem(
            &format!("{path}.prices"),
            "nothing",
            format!("a rate for every grade, as {method} has a price"),
        );
    }
    if !priced && !plan.prices.is_empty() {
        reader.problem(&format!("{path}.prices"), "prices", "nothing, as interest_free has no price");
    }
    if matches!(plan.method, Method::FlatFee | Method::InterestFree) && plan.day_count != DayCount::Monthly {
        reader.problem(
            &format!("{path}.day_count"),
            plan.day_count.name(),
            format!("monthly, as {method} counts no days"),
        );
    }
    if plan.method == Method::InterestFirst {
        for periods in plan.periods.iter().filter(|periods| **periods > BULLET_PERIODS_MAX) {
            let allowed = format!("at most {BULLET_PERIODS_MAX}, as the principal is repaid in one sum");
            reader.problem(&format!("{path}.periods"), periods, allowed);
        }
    }
    let least = plan.periods.iter().copied().min().unwrap_or(0);
    if plan.free_periods > 0 && (!priced || plan.free_periods >= least) {
        let allowed =
            if priced { format!("less than the fewest periods, {least}") } else { "0 for interest_free".to_owned() };
        reader.problem(&format!("{path}.free_periods"), plan.free_periods, allowed);
    }
    if !priced && !plan.subsidy_share.is_zero() {
        let allowed = "0 for interest_free, which has subsidy_rate_per_period instead";
        reader.problem(&format!("{path}.subsidy_share"), plan.subsidy_share, allowed);
    }
    if priced && !plan.subsidy_rate_per_period.is_zero() {
        let allowed = format!("0 for {method}, which has subsidy_share instead");
        reader.problem(&format!("{path}.subsidy_rate_per_period"), plan.subsidy_rate_per_period, allowed);
    }
    let most = plan.periods.iter().copied().max().unwrap_or(0);
    if plan.subsidy_rate_per_period.fraction() * Decimal::from(most) >= Decimal::ONE {
        let found = format!("{} for {most} periods", plan.subsidy_rate_per_period);
        let allowed = "less than 1 for all periods together, so that the merchant does not pay for what it sells";
        reader.problem(&format!("{path}.subsidy_rate_per_period"), found, allowed);
    }
}

/// Penalty multiples and interest to date are computed from a contract rate a year, which some methods do not have.
fn check_contract_rate(terms: &Terms, plan: &Plan, index: usize, reader: &mut Reader<'_>) {
    let method = plan.method.name();
    let has_no_rate = matches!(plan.method, Method::FlatFee | Method::InterestFree);
    if has_no_rate && matches!(terms.penalty.rate, PenaltyRate::Multiple(_)) {
        let found = format!("a multiple, while plan[{index}] is {method} and has no contract rate a year");
        reader.problem("penalty.multiple", found, "rate_per_day instead, or plans with a rate a year");
    }
    if plan.method == Method::FlatFee && terms.early_payoff.interest == PayoffInterest::ToDate {
        let found = format!("to_date, while plan[{index}] is flat_fee and has no contract rate a year");
        reader.problem("early_payoff.interest", found, "current_period, all or none");
    }
}

/// A penalty rate a day must not exceed what the greatest multiple would give. It is the same for every plan and grade, so the lowest
/// contract rate decides. If no plan has a contract rate, only the rate's own bound holds.
fn check_penalty_per_day(terms: &Terms, reader: &mut Reader<'_>) {
    let PenaltyRate::Daily(per_day) = terms.penalty.rate else { return };
    let with_rate = |(_, plan): &(usize, &Plan)| !matches!(plan.method, Method::FlatFee | Method::InterestFree);
    let rates = terms.plans.iter().enumerate().filter(with_rate).flat_map(|(index, plan)| {
        plan.prices.iter().filter(|price| !price.is_zero()).map(move |price| (price.fraction(), index))
    });
    let Some((lowest, index)) = rates.min() else { return };
    let (_, multiple) = PENALTY_MULTIPLE;
    let basis_days = terms.penalty.basis_days;
    let most_a_year = lowest * multiple.parse::<Decimal>().expect("the bounds in the rules are numbers");
    if per_day.fraction() * Decimal::from(basis_days) > most_a_year {
        let most = most_a_year / Decimal::from(basis_days);
        let most = most.round_dp_with_strategy(YEAR_RATE_DECIMALS, RoundingStrategy::ToZero).normalize();
        let found = format!("{per_day}, while plan[{index}] has a contract rate of {lowest} a year");
        let allowed = format!("at most {most}, that rate times {multiple} over {basis_days} days; or a multiple");
        reader.problem("penalty.rate_per_day", found, allowed);
    }
}

/// If interest bears penalty, some plan must have interest, and none may have a fee per period. By law unpaid interest may bear penalty,
/// but a fee may not; borrowers are shown such a fee as interest, and would read that it bears penalty.
fn check_penalty_base(terms: &Terms, reader: &mut Reader<'_>) {
    if !terms.penalty.base.has_interest() {
        return;
    }
    let of_method = |method: Method| terms.plans.iter().position(|plan| plan.method == method);
    if let Some(index) = of_method(Method::FlatFee) {
        let found = format!("principal_and_interest, while plan[{index}] is flat_fee, whose price is a fee");
        reader.problem("penalty.base", found, "principal, or plans with a rate a year");
    } else if !terms.plans.is_empty() && terms.plans.iter().all(|plan| plan.method == Method::InterestFree) {
        let found = "principal_and_interest, while every plan is interest_free";
        reader.problem("penalty.base", found, "principal, as there is no interest to bear it");
    }
}

/// A guarantee charge is possible only beside interest: it takes the place of the schedule's fee.
fn check_guarantee_charge(terms: &Terms, plan: &Plan, index: usize, reader: &mut Reader<'_>) {
    if plan.guarantee_rate_per_period.is_zero() {
        return;
    }
    let refused = match plan.method {
        Method::FlatFee => Some("0 for flat_fee, whose price is a fee each period: let the price hold it"),
        Method::InterestFree => Some("0 for interest_free, which would not be free"),
        Method::EqualInstallment | Method::EqualPrincipal | Method::InterestFirst => None,
    };
    if let Some(allowed) = refused {
        let path = format!("plan[{index}].guarantee_rate_per_period");
        reader.problem(&path, plan.guarantee_rate_per_period, allowed);
    }
    // If the first period is short, the payment computed for equal months would repay the loan before its last period.
    if plan.method == Method::EqualInstallment && plan.day_count != DayCount::Monthly && plan.level == Level::Monthly {
        let allowed = "actual beside a guarantee charge, so that none outlives its principal";
        reader.problem(&format!("plan[{index}].level"), plan.level.name(), allowed);
    }
    let most = plan.periods.iter().copied().max().unwrap_or(0);
    let least = Fen::new(GUARANTEE_FEN_PER_SQUARE * i64::from(most).pow(2));
    if terms.purchase.amount_min_fen < least {
        let found = format!("{}, while plan[{index}] has a guarantee charge", terms.purchase.amount_min_fen.get());
        let periods = counted(most, "period");
        let allowed = format!("{} or more for {periods}, so that no charge outlives its principal", least.get());
        reader.problem("purchase.amount_min_fen", found, allowed);
    }
}

/// A number of periods names one plan, so that a borrower's choice is never ambiguous.
fn check_periods_once(plans: &[Plan], reader: &mut Reader<'_>) {
    let mut seen = std::collections::BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        for periods in &plan.periods {
            if let Some(first) = seen.insert(*periods, index) {
                let found = format!("{periods}, which plan[{first}] sells already");
                reader.problem(&format!("plan[{index}].periods"), found, "each number of periods once in the product");
            }
        }
    }
}

fn check_withholding(withholding: &WithholdingTerms, reader: &mut Reader<'_>) {
    if withholding.times.is_empty() || !withholding.times.is_sorted_by(|before, after| before < after) {
        reader.problem("withholding.times", "no ascending list", "one or more times of day, ascending");
    }
    if withholding.days.is_empty() || !withholding.days.is_sorted_by(|before, after| before < after) {
        reader.problem("withholding.days", "no ascending list", "one or more days, ascending");
    }
}

fn check_overdue(terms: &Terms, reader: &mut Reader<'_>) {
    let OverdueTerms { freeze_day, claim_day, charge_off_day } = terms.overdue;
    let grace = terms.penalty.grace_days;
    if freeze_day <= grace {
        reader.problem("overdue.freeze_day", freeze_day, format!("after the {grace} days of grace"));
    }
    if claim_day < freeze_day {
        reader.problem("overdue.claim_day", claim_day, format!("{freeze_day} (freeze_day) or later"));
    }
    if charge_off_day < claim_day {
        reader.problem("overdue.charge_off_day", charge_off_day, format!("{claim_day} (claim_day) or later"));
    }
}

fn distinct<T: PartialEq>(list: &[T], path: &str, reader: &mut Reader<'_>) {
    for (index, element) in list.iter().enumerate() {
        if list[..index].contains(element) {
            reader.problem(&format!("{path}[{index}]"), "an element that stands there already", "each one once");
        }
    }
}

/// The highest penalty that a year of 365 days can bring, as a fraction of what bears it; above 0.24 a court may reduce it.
pub fn penalty_a_year_max(terms: &Terms) -> Decimal {
    let rates = terms.plans.iter().flat_map(|plan| plan.prices.iter());
    let highest = rates.map(|rate| rate.fraction()).max().unwrap_or(Decimal::ZERO);
    penalty_a_year(&terms.penalty, highest, Decimal::ONE)
}

/// The penalty of a year of 365 days at a contract rate a year, as a fraction of the unpaid principal. `bearing` is how much bears penalty
/// for each fen of that principal: 1, or more if unpaid interest bears it too.
pub fn penalty_a_year(terms: &PenaltyTerms, annual_rate: Decimal, bearing: Decimal) -> Decimal {
    let of_a_year = match terms.rate {
        PenaltyRate::Daily(rate) => rate.fraction() * DAYS_OF_A_YEAR,
        PenaltyRate::Multiple(multiple) => {
            annual_rate * multiple.fraction() * DAYS_OF_A_YEAR / Decimal::from(terms.basis_days)
        }
    };
    (of_a_year * bearing).round_dp(YEAR_RATE_DECIMALS).normalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;

    const STANDARD: &str = include_str!("../../products/standard.toml");

    #[test]
    fn a_year_of_penalty_has_365_days_whatever_the_basis() {
        let dear = file::parse(&STANDARD.replace("E = 0.180", "E = 0.184")).unwrap();
        assert_eq!(penalty_a_year_max(&dear).to_string(), "0.24252222");
        let mut daily = file::parse(STANDARD).unwrap();
        daily.penalty.rate = PenaltyRate::Daily("0.000666".parse().unwrap());
        assert_eq!(penalty_a_year_max(&daily).to_string(), "0.24309");
    }

    #[test]
    fn a_rate_a_day_stays_below_24_per_cent_a_year() {
        let free = include_str!("../../products/interest-free.toml");
        assert!(file::parse(&free.replace("rate_per_day = 0.0005", "rate_per_day = 0.000657")).is_ok());
        let problems = file::parse(&free.replace("rate_per_day = 0.0005", "rate_per_day = 0.000658")).unwrap_err();
        assert!(problems.iter().any(|problem| problem.to_string().contains("rate_per_day")), "{problems:?}");
    }

    #[test]
    fn a_rate_a_day_is_no_way_round_the_multiple() {
        let of = |text: &str, per_day: &str| told(text, "multiple = 1.3\n", &format!("rate_per_day = {per_day}\n"));
        let refused = ["penalty.rate_per_day"];
        // The lowest contract rate is 8.6 %: times 1.5 over 360 days 0.0003583, over 365 days 0.0003534.
        assert_eq!(of(STANDARD, "0.000358"), [""; 0]);
        assert_eq!(of(STANDARD, "0.000359"), refused);
        let longer = STANDARD.replace("basis_days = 360", "basis_days = 365");
        assert_eq!(of(&longer, "0.000353"), [""; 0]);
        assert_eq!(of(&longer, "0.000354"), refused);
        // Where a grade pays nothing, the lowest of the others decides: 10.8 % × 1.5 ÷ 360.
        let free_for_a = STANDARD.replace("A = 0.086", "A = 0");
        assert_eq!(of(&free_for_a, "0.00045"), [""; 0]);
        assert_eq!(of(&free_for_a, "0.000450000001"), refused);
        // Beside a plan without a rate a year a rate a day is needed, and is bound all the same.
        let free_plan = "[[plan]]\nperiods = [36]\nmethod = \"interest_free\"\n\n[penalty]\n";
        let both = STANDARD.replace("[penalty]\n", free_plan);
        assert_eq!(of(&both, "0.000358"), [""; 0]);
        assert_eq!(of(&both, "0.000359"), refused);
    }

    #[test]
    fn no_shipped_product_charges_a_penalty_above_its_cap() {
        for text in file::SHIPPED {
            let terms = file::parse(text).unwrap();
            assert!(penalty_a_year_max(&terms) <= terms.apr_cap.fraction(), "{}", terms.code);
        }
    }

    const FREE: &str = include_str!("../../products/interest-free.toml");
    const FEE: &str = include_str!("../../products/merchant-subsidy.toml");
    const INTEREST_FIRST: &str = include_str!("../../products/interest-first.toml");
    const LATER: &str = include_str!("../../products/first-months-free.toml");

    /// The fields that are told of a product in which something is replaced.
    fn told(text: &str, from: &str, to: &str) -> Vec<String> {
        assert!(text.contains(from), "there is no {from:?}");
        let problems = file::parse(&text.replacen(from, to, 1)).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn what_is_just_allowed_is_kept_and_the_next_value_is_refused() {
        let risk = "[purchase_risk]\nask = \"rules\"\namount_per_day_max_fen = ";
        let share = "\n\n[profit_share]";
        let guaranteed = STANDARD.replacen("[[plan]]\n", "[[plan]]\nguarantee_rate_per_period = 0.001\n", 1);
        let cases = [
            (STANDARD, "due_days_after = 20", "due_days_after = 5", "due_days_after = 4", "line.due_days_after"),
            (STANDARD, "due_days_after = 20", "due_days_after = 28", "due_days_after = 29", "line.due_days_after"),
            (STANDARD, "27, 28]", "27]", "27, 29]", "line.statement_days[27]"),
            (
                STANDARD,
                "limit_min_fen = 50_000",
                "limit_min_fen = 20_000_000",
                "limit_min_fen = 0",
                "line.limit_min_fen",
            ),
            (STANDARD, "= 20_000_000", "= 5_000_000", "= 4_999_999", "purchase.amount_max_fen"),
            (STANDARD, "= 1_000\n", "= 5_000_000\n", "= 5_000_001\n", "purchase.amount_min_fen"),
            (STANDARD, "multiple = 1.3\n", "multiple = 1.5\n", "multiple = 1.51\n", "penalty.multiple"),
            (STANDARD, "multiple = 1.3\n", "multiple = 1.30\n", "multiple = 1.29\n", "penalty.multiple"),
            (STANDARD, "basis_days = 360", "basis_days = 365", "basis_days = 361", "penalty.basis_days"),
            (STANDARD, "grace_days = 3", "grace_days = 0", "grace_days = 4", "overdue.freeze_day"),
            (STANDARD, "claim_day = 80", "claim_day = 4", "claim_day = 3", "overdue.claim_day"),
            (STANDARD, "charge_off_day = 180", "charge_off_day = 80", "charge_off_day = 79", "overdue.charge_off_day"),
            (STANDARD, "fee_rate = 0", "fee_rate = 0.03", "fee_rate = 0.0301", "early_payoff.fee_rate"),
            (STANDARD, "interest = 0.30", "interest = 1", "interest = 1.01", "profit_share.interest"),
            (INTEREST_FIRST, "[3, 6, 9]", "[3, 6, 11]", "[3, 6, 12]", "plan[0].periods"),
            (LATER, "free_periods = 1", "free_periods = 5", "free_periods = 6", "plan[0].free_periods"),
            (FREE, "0.005", "0.02", "0.0201", "plan[0].subsidy_rate_per_period"),
            (guaranteed.as_str(), "= 1_000\n", "= 1_152\n", "= 1_151\n", "purchase.amount_min_fen"),
        ];
        for (text, from, kept, refused, field) in cases {
            assert_eq!(told(text, from, kept), [""; 0], "{kept}");
            assert_eq!(told(text, from, refused), [field], "{refused}");
        }
        let until = |day: &str| told(STANDARD, "apr_cap = 0.24", &format!("apr_cap = 0.24\nvalid_until = {day}"));
        assert_eq!((until("2024-01-01"), until("2023-12-31")), (vec![], vec!["valid_until".to_owned()]));
        let asked = |bounds: &str| told(STANDARD, share, &format!("\n\n{risk}{bounds}{share}"));
        assert_eq!((asked("1_000"), asked("2_000\nmerchant_per_day_max_fen = 2_000")), (vec![], vec![]));
        assert_eq!(asked("999"), ["purchase_risk.amount_per_day_max_fen"]);
        assert_eq!(asked("2_000\nmerchant_per_day_max_fen = 2_001"), ["purchase_risk.merchant_per_day_max_fen"]);
    }

    #[test]
    fn what_is_told_as_an_example_is_allowed() {
        let problems = file::parse(&STANDARD.replace("fee_rate = 0\n", "fee_rate = 0.04\n")).unwrap_err();
        assert_eq!(problems[0].allowed, "a fraction from 0 to 0.03, such as 0.02 for two per cent");
        assert_eq!(told(STANDARD, "fee_rate = 0\n", "fee_rate = 0.02\n"), [""; 0]);
    }

    #[test]
    fn one_period_is_no_plural() {
        let guaranteed = STANDARD.replacen("[[plan]]\n", "[[plan]]\nguarantee_rate_per_period = 0.001\n", 1);
        let (before, periods) = guaranteed.split_once("periods = [").unwrap();
        let (_, after) = periods.split_once(']').unwrap();
        let single = format!("{before}periods = [1]{after}").replacen("= 1_000\n", "= 1\n", 1);
        let problems = file::parse(&single).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains("allowed: 2 or more for 1 period, so that")), "{told:?}");
    }

    #[test]
    fn what_contradicts_itself_is_told_once_and_at_its_field() {
        let line = |text: &'static str, name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        let prices = "\nprices = { A = 0.1, B = 0.1, C = 0.1, D = 0.1, E = 0.1 }";
        let free = line(FREE, "subsidy_rate_per_period");
        let cases = [
            (STANDARD, "apr_cap = 0.24", "apr_cap = 0".to_owned(), "apr_cap"),
            (STANDARD, line(STANDARD, "statement_days"), "statement_days = []".to_owned(), "line.statement_days"),
            (STANDARD, "statement_days = [1,", "statement_days = [1, 1,".to_owned(), "line.statement_days[1]"),
            (FREE, line(FREE, "grades"), "grades = []".to_owned(), "purchase.grades"),
            (STANDARD, line(STANDARD, "grades"), "grades = []".to_owned(), "purchase.grades"),
            (STANDARD, line(STANDARD, "prices"), String::new(), "plan[0].prices"),
            (FREE, free, format!("{free}{prices}"), "plan[0].prices"),
            (FREE, free, format!("{free}\nday_count = \"act/365\""), "plan[0].day_count"),
            (FEE, "\"flat_fee\"", "\"flat_fee\"\nday_count = \"act/360\"".to_owned(), "plan[0].day_count"),
            (FREE, free, format!("{free}\nfree_periods = 1"), "plan[0].free_periods"),
            (STANDARD, "[[plan]]", format!("[[plan]]\n{free}"), "plan[0].subsidy_rate_per_period"),
            (STANDARD, "multiple = 1.3\n", "multiple = 1.3\nrate_per_day = 0\n".to_owned(), "penalty.rate_per_day"),
            (STANDARD, "multiple = 1.3\n", String::new(), "penalty"),
            (STANDARD, "\"09:00\", \"15:00\"", "\"09:00\", \"09:00\"".to_owned(), "withholding.times"),
            (STANDARD, "[0, 1, 2", "[0, 0, 2".to_owned(), "withholding.days"),
            (STANDARD, "[0, 1, 2, 3, 5, 7, 10, 14, 21, 28]", "[]".to_owned(), "withholding.days"),
        ];
        for (text, from, to, field) in cases {
            assert_eq!(told(text, from, &to), [field], "{to}");
        }
        // 49 times 0.02 is less than the price that the merchant gets.
        let long = FREE.replace("periods = [3, 6, 12]", "periods = [3, 49]");
        assert_eq!(told(&long, "0.005", "0.02"), [""; 0]);
        // A purchase keeps within the greatest line, and the least line does not.
        let small = STANDARD.replace("amount_max_fen = 5_000_000", "amount_max_fen = 40_000");
        assert_eq!(told(&small, "= 20_000_000", "= 49_999"), ["line.limit_min_fen"]);
    }
}
