//! Terms: everything that a published version of a product promises, parsed and proven.

use chrono::{NaiveDate, NaiveTime};

use crate::base::day::MonthDay;
use crate::base::{BusinessDay, Fen, Rate};

/// What one version of a product says. Built only by parsing a product file ([`super::file`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Stable code, `a-z0-9-`.
    pub code: String,
    /// What a borrower reads, in Chinese.
    pub name: String,
    /// What a borrower reads in English; the same where it is left out.
    pub name_en: Option<String>,
    /// Code of the funder whose product this is.
    pub funder: String,
    pub valid_from: NaiveDate,
    pub valid_until: Option<NaiveDate>,
    /// Highest annualised cost, as a fraction a year; at most 0.24.
    pub apr_cap: Rate,
    pub line: LineTerms,
    pub purchase: PurchaseTerms,
    pub plans: Vec<Plan>,
    pub penalty: PenaltyTerms,
    pub early_payoff: EarlyPayoffTerms,
    pub allocation: AllocationTerms,
    pub withholding: WithholdingTerms,
    pub refund: RefundTerms,
    pub overdue: OverdueTerms,
    pub profit_share: ProfitShare,
    /// `None`: the risk hook's approval is enough.
    pub funder_word: Option<FunderWord>,
    /// `None`: nobody is asked about a purchase.
    pub purchase_risk: Option<PurchaseRiskTerms>,
}

/// Bounds of a credit line and the days of month on which it is billed.
#[derive(Clone, Debug, PartialEq)]
pub struct LineTerms {
    pub limit_min_fen: Fen,
    pub limit_max_fen: Fen,
    /// Days of month on which statements are cut, 1 to 28; a line is given one of them when it opens.
    pub statement_days: Vec<MonthDay>,
    /// Days from the statement day to the due day of month (5 to 28), wrapped after the 31st. With fewer than 5, the due day of a statement
    /// of 28 February could be clamped onto that statement.
    pub due_days_after: u8,
    pub valid_months: u32,
}

/// Who may buy what.
#[derive(Clone, Debug, PartialEq)]
pub struct PurchaseTerms {
    pub amount_min_fen: Fen,
    pub amount_max_fen: Fen,
    /// Purchases of one line on one business day.
    pub per_day_max: u32,
    /// Empty: every category.
    pub merchant_categories: Vec<String>,
    /// Grades that may use it, in order of quality. Every priced plan has a rate for each.
    pub grades: Vec<String>,
}

/// One choice of periods and price.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Numbers of periods that this plan is sold in, each from 1 to 60.
    pub periods: Vec<u16>,
    pub method: Method,
    pub day_count: DayCount,
    pub level: Level,
    /// Annual rate by grade (parallel to `purchase.grades`); for `flat_fee` the rate of the fee per period; empty for `interest_free`.
    pub prices: Vec<Rate>,
    /// How many periods from the first on carry no interest, no fee and no guarantee charge.
    pub free_periods: u16,
    /// What the borrower pays for a guarantor each period (担保费), as a fraction of the amount bought, beside interest. It is the fee in
    /// the plan's schedules.
    pub guarantee_rate_per_period: Rate,
    /// The part of the interest or flat fee that the merchant pays at clearing, instead of the borrower: 0 to 1. A guarantee charge is
    /// always paid by the borrower.
    pub subsidy_share: Rate,
    /// What the merchant pays for each period of an `interest_free` plan, as a fraction of the principal.
    pub subsidy_rate_per_period: Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// 等额本息
    EqualInstallment,
    /// 等额本金
    EqualPrincipal,
    /// 每期费率
    FlatFee,
    /// 先息后本
    InterestFirst,
    /// 免息
    InterestFree,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DayCount {
    /// A twelfth of the annual rate each period.
    Monthly,
    Act360,
    Act365,
}

/// How the level payment is found under `act/*` day counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The payment that clears the balance under the actual days.
    Actual,
    /// The payment of twelve equal months; the last period absorbs the drift.
    Monthly,
}

/// Interest on what is overdue (罚息), in place of the contract rate.
#[derive(Clone, Debug, PartialEq)]
pub struct PenaltyTerms {
    pub rate: PenaltyRate,
    pub base: PenaltyBase,
    /// Days in a year for the penalty: 360 or 365.
    pub basis_days: u16,
    /// Days after the due day on which nothing is overdue yet; afterwards the penalty counts from day 1.
    pub grace_days: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PenaltyRate {
    /// Times the loan's contract rate a year.
    Multiple(Rate),
    /// A rate a day, for products without a contract rate.
    Daily(Rate),
}

/// Which parts of an overdue installment bear penalty. Fees and penalty never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PenaltyBase {
    Principal,
    /// Billed interest that is unpaid bears it as well (复利, 银发〔2003〕251号 item 3).
    PrincipalAndInterest,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EarlyPayoffTerms {
    pub interest: PayoffInterest,
    /// As a fraction of the principal paid early, rounded once.
    pub fee_rate: Rate,
}

/// Which unbilled interest an early payoff still owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoffInterest {
    /// Balance × annual rate × days since the last due day ÷ 365.
    ToDate,
    CurrentPeriod,
    All,
    None,
}

/// The order in which a payment settles the parts of what is owed.
#[derive(Clone, Debug, PartialEq)]
pub struct AllocationTerms {
    pub order: [Part; 4],
    /// `(days, order)`: the order for an installment that is more than `days` overdue.
    pub after: Option<(u16, [Part; 4])>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Fee,
    Penalty,
    Interest,
    Principal,
}

/// When the platform takes money from the card.
#[derive(Clone, Debug, PartialEq)]
pub struct WithholdingTerms {
    /// Times of day in Shanghai, ascending.
    pub times: Vec<NaiveTime>,
    /// Days past the due day on which it tries: 0 is the due day.
    pub days: Vec<u16>,
    pub partial_allowed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RefundTerms {
    pub order: RefundOrder,
    /// Whether a refund also returns billed interest or a billed fee per period, in proportion to the refunded principal of its
    /// installment: what is still owed of it is reduced, and what was paid goes back to the card, out of the funder's next remittance.
    pub returns_billed_interest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundOrder {
    /// Unpaid principal falls from the last installment backwards.
    LastFirst,
    /// Every unpaid installment falls in proportion.
    Proportional,
}

/// Days past due at which things happen.
#[derive(Clone, Debug, PartialEq)]
pub struct OverdueTerms {
    pub freeze_day: u16,
    pub claim_day: u16,
    pub charge_off_day: u16,
}

/// The platform's part of each kind of collected income.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfitShare {
    pub interest: Rate,
    pub fee: Rate,
    pub penalty: Rate,
    pub subsidy: Rate,
}

/// The terms of the funder's final decision on an approved application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunderWord {
    /// Hours from the approval within which the funder answers.
    pub deadline_hours: u16,
    /// The decision that counts if the funder has not answered by then.
    pub default: FunderDefault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunderDefault {
    Approve,
    Refuse,
}

/// Who is asked about a purchase before it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurchaseRiskTerms {
    /// The built-in rules: each bound is of one line on one business day.
    Rules {
        amount_per_day_max_fen: Fen,
        /// At one merchant.
        merchant_per_day_max_fen: Option<Fen>,
    },
    /// The partner configured as `risk`.
    Partner {
        time_limit_ms: u16,
        /// Purchases up to this amount are allowed if the partner does not answer in time; none if zero.
        silence_allows_fen: Fen,
    },
}

impl Method {
    /// The words of product files, of `fenqi quote` and of the API.
    pub const ALL: [(&str, Method); 5] = [
        ("equal_installment", Method::EqualInstallment),
        ("equal_principal", Method::EqualPrincipal),
        ("flat_fee", Method::FlatFee),
        ("interest_first", Method::InterestFirst),
        ("interest_free", Method::InterestFree),
    ];

    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

impl DayCount {
    /// The words of product files and of `fenqi quote`.
    pub const ALL: [(&str, DayCount); 3] =
        [("monthly", DayCount::Monthly), ("act/360", DayCount::Act360), ("act/365", DayCount::Act365)];

    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

impl Level {
    /// The words of product files and of `fenqi quote`.
    pub const ALL: [(&str, Level); 2] = [("actual", Level::Actual), ("monthly", Level::Monthly)];

    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

impl PenaltyBase {
    /// The words of product files.
    pub const ALL: [(&str, PenaltyBase); 2] =
        [("principal", PenaltyBase::Principal), ("principal_and_interest", PenaltyBase::PrincipalAndInterest)];

    pub fn has_interest(self) -> bool {
        match self {
            PenaltyBase::Principal => false,
            PenaltyBase::PrincipalAndInterest => true,
        }
    }
}

impl PayoffInterest {
    /// The words of product files.
    pub const ALL: [(&str, PayoffInterest); 4] = [
        ("to_date", PayoffInterest::ToDate),
        ("current_period", PayoffInterest::CurrentPeriod),
        ("all", PayoffInterest::All),
        ("none", PayoffInterest::None),
    ];

    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

impl FunderDefault {
    /// The words of product files.
    pub const ALL: [(&str, FunderDefault); 2] =
        [("approve", FunderDefault::Approve), ("refuse", FunderDefault::Refuse)];

    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

impl Part {
    /// The words of product files.
    pub const ALL: [(&str, Part); 4] =
        [("fee", Part::Fee), ("penalty", Part::Penalty), ("interest", Part::Interest), ("principal", Part::Principal)];

    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

impl RefundOrder {
    /// The words of product files.
    pub const ALL: [(&str, RefundOrder); 2] =
        [("last_first", RefundOrder::LastFirst), ("proportional", RefundOrder::Proportional)];

    pub fn name(self) -> &'static str {
        name_of(&Self::ALL, self)
    }
}

fn name_of<T: PartialEq>(all: &[(&'static str, T)], wanted: T) -> &'static str {
    let found = all.iter().find(|(_, value)| *value == wanted);
    found.expect("every variant stands in the list of its words").0
}

impl Plan {
    /// The fee of each period in a schedule, as a fraction of the amount bought: the price of `flat_fee`, or a guarantee charge.
    pub fn fee_rate_per_period(&self, price: Rate) -> Rate {
        if self.method == Method::FlatFee { price } else { self.guarantee_rate_per_period }
    }

    /// Whether the fee in its schedules is a guarantee charge, and not the price of a flat-fee plan.
    pub fn has_guarantee_charge(&self) -> bool {
        self.method != Method::FlatFee && !self.guarantee_rate_per_period.is_zero()
    }
}

impl Terms {
    /// The plan sold in `periods`, whatever the grade. A number of periods names one plan.
    pub fn plan_in(&self, periods: u16) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.periods.contains(&periods))
    }

    /// The plan sold in `periods`, with its price for `grade`; `None` when it is not sold so.
    pub fn plan(&self, periods: u16, grade: &str) -> Option<(&Plan, Rate)> {
        let grade_index = self.purchase.grades.iter().position(|allowed| allowed == grade)?;
        let plan = self.plan_in(periods)?;
        Some((plan, plan.prices.get(grade_index).copied().unwrap_or(Rate::ZERO)))
    }

    /// Whether this version is on sale on a business day.
    pub fn is_valid_on(&self, day: BusinessDay) -> bool {
        self.valid_from <= day.date() && self.valid_until.is_none_or(|until| day.date() <= until)
    }
}

impl PurchaseTerms {
    /// The least and the greatest amount of one purchase.
    pub fn bounds(&self) -> (Fen, Fen) {
        (self.amount_min_fen, self.amount_max_fen)
    }

    /// Whether it may be used at merchants of a category.
    pub fn is_sold_at(&self, category: &str) -> bool {
        self.merchant_categories.is_empty() || self.merchant_categories.iter().any(|sold| sold == category)
    }
}

impl LineTerms {
    /// The highest limit for somebody who has asked for `requested`: never more than that.
    pub fn limit_max(&self, requested: Option<Fen>) -> Fen {
        requested.map_or(self.limit_max_fen, |most| most.min(self.limit_max_fen))
    }

    /// The due day of month that belongs to a statement day.
    pub fn due_day(&self, statement_day: MonthDay) -> MonthDay {
        let sum = statement_day.get() + self.due_days_after;
        MonthDay::new(if sum > 31 { sum - 31 } else { sum }).expect("a statement day plus at most 28 wraps once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;

    fn standard() -> Terms {
        file::parse(file::SHIPPED[0]).unwrap()
    }

    #[test]
    fn a_due_day_wraps_after_the_31st() {
        let line = LineTerms { due_days_after: 20, ..standard().line };
        let due_day = |statement_day| line.due_day(MonthDay::new(statement_day).unwrap()).get();
        assert_eq!([due_day(1), due_day(11), due_day(12), due_day(28)], [21, 31, 1, 17]);
    }

    #[test]
    fn a_version_is_on_sale_on_its_first_day_and_on_its_last() {
        let mut terms = standard();
        terms.valid_from = "2026-03-01".parse().unwrap();
        terms.valid_until = Some("2026-03-31".parse().unwrap());
        let days = ["2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01"];
        let on_sale = |terms: &Terms| days.map(|day| terms.is_valid_on(day.parse().unwrap()));
        assert_eq!(on_sale(&terms), [false, true, true, false]);
        terms.valid_until = None;
        assert_eq!(on_sale(&terms), [false, true, true, true]);
    }
}
