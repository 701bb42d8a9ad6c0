//! Product files: TOML text to [`Terms`], or every problem in it. The fields are described in `docs/PRODUCTS.md`.

use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{NaiveDate, NaiveTime};
use toml::de::DeValue;

use crate::base::code::{CODE_BYTES_MAX, is_code};
use crate::base::day::MonthDay;
use crate::base::{Fen, Rate};

use super::reader::{Problem, Reader, Section};
use super::rules;
use super::terms::*;

/// The products that ship.
pub const SHIPPED: [&str; 7] = [
    include_str!("../../products/standard.toml"),
    include_str!("../../products/merchant-subsidy.toml"),
    include_str!("../../products/interest-free.toml"),
    include_str!("../../products/equal-principal.toml"),
    include_str!("../../products/interest-first.toml"),
    include_str!("../../products/pay-next-bill.toml"),
    include_str!("../../products/first-months-free.toml"),
];
/// A product file larger than this is a mistake.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Purchases a day; only a stolen phone would buy more often.
const PER_DAY_MAX: i64 = 1_000;

/// Parses and checks the whole text; nothing of a broken file is used.
pub fn parse(text: &str) -> Result<Terms, Vec<Problem>> {
    parse_by(text, rules::check)
}

/// Parses the text of a published version, without the rules that concern several fields: a rule that was made stricter since holds only
/// for what is published after that.
pub fn parse_published(text: &str) -> Result<Terms, Vec<Problem>> {
    parse_by(text, |_, _| {})
}

fn parse_by(text: &str, check: impl FnOnce(&Terms, &mut Reader<'_>)) -> Result<Terms, Vec<Problem>> {
    if text.len() > TEXT_BYTES_MAX {
        let found = format!("{} bytes", text.len());
        let allowed = format!("at most {TEXT_BYTES_MAX} bytes");
        return Err(vec![Problem { line: 1, field: String::new(), found, allowed }]);
    }
    let mut reader = Reader::new(text);
    let terms = read(&mut reader);
    match terms {
        Some(terms) if reader.is_clean() => {
            check(&terms, &mut reader);
            if reader.is_clean() { Ok(terms) } else { Err(reader.into_problems()) }
        }
        _ => Err(reader.into_problems()),
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Terms> {
    let document = reader.parse()?;
    let mut section = Section::root(&document);
    let root = &mut section;
    let code = reader.required(root, "code", "2 to 48 of a-z, 0-9 and -", |value| code_text(value, 48));
    let name = reader.required(root, "name", "a text of 1 to 60 characters", |value| short_text(value, 60));
    let name_en = reader.optional(root, "name_en", "a text of 1 to 60 characters", |value| short_text(value, 60));
    let funder = reader.required(root, "funder", "2 to 32 of a-z, 0-9 and -", |value| code_text(value, CODE_BYTES_MAX));
    let valid_from = reader.required(root, "valid_from", "a date such as 2026-01-01", date);
    let valid_until = reader.optional(root, "valid_until", "a date such as 2026-12-31", date);
    let apr_cap = read_rate(reader, root, "apr_cap", rules::APR_CAP_MAX);
    let line = reader.section(root, "line").and_then(|section| read_line(reader, section));
    let (grades, purchase) = match reader.section(root, "purchase") {
        // Prices are read by the grades, whatever else of the purchase is at fault.
        Some(mut section) => {
            let grades = read_grades(reader, &mut section);
            (grades.clone(), read_purchase(reader, section, grades))
        }
        None => (None, None),
    };
    let sections = reader.sections(root, "plan").into_iter();
    let plans: Vec<Option<Plan>> = sections.map(|section| read_plan(reader, section, grades.as_deref())).collect();
    let penalty = reader.section(root, "penalty").and_then(|section| read_penalty(reader, section));
    let early_payoff = reader.section(root, "early_payoff").and_then(|section| read_early_payoff(reader, section));
    let allocation = reader.section(root, "allocation").and_then(|section| read_allocation(reader, section));
    let withholding = reader.section(root, "withholding").and_then(|section| read_withholding(reader, section));
    let refund = reader.section(root, "refund").and_then(|section| read_refund(reader, section));
    let overdue = reader.section(root, "overdue").and_then(|section| read_overdue(reader, section));
    let profit_share = reader.section(root, "profit_share").and_then(|section| read_profit_share(reader, section));
    let funder_word = optional_table(reader, root, "funder_word", read_funder_word);
    let purchase_risk = optional_table(reader, root, "purchase_risk", read_purchase_risk);
    reader.finish(section);
    Some(Terms {
        code: code?,
        name: name?,
        name_en: name_en?,
        funder: funder?,
        valid_from: valid_from?,
        valid_until: valid_until?,
        apr_cap: apr_cap?,
        line: line?,
        purchase: purchase?,
        plans: plans.into_iter().collect::<Option<Vec<Plan>>>()?,
        penalty: penalty?,
        early_payoff: early_payoff?,
        allocation: allocation?,
        withholding: withholding?,
        refund: refund?,
        overdue: overdue?,
        profit_share: profit_share?,
        funder_word: funder_word?,
        purchase_risk: purchase_risk?.flatten(),
    })
}

fn read_line(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<LineTerms> {
    let limit_min_fen = read_fen(reader, &mut section, "limit_min_fen", rules::LIMIT_MAX);
    let limit_max_fen = read_fen(reader, &mut section, "limit_max_fen", rules::LIMIT_MAX);
    let day = "a day of month from 1 to 28, which every month has";
    let statement_days = reader.list(&mut section, "statement_days", day, |value| {
        integer(value, 1, 28).and_then(|day| MonthDay::new(u8::try_from(day).ok()?))
    });
    let due_days_after = read_integer(reader, &mut section, "due_days_after", rules::DUE_DAYS_AFTER);
    let valid_months = read_integer(reader, &mut section, "valid_months", 1..=60);
    reader.finish(section);
    Some(LineTerms {
        limit_min_fen: limit_min_fen?,
        limit_max_fen: limit_max_fen?,
        statement_days: statement_days?,
        due_days_after: due_days_after?,
        valid_months: valid_months?,
    })
}

fn read_grades(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Option<Vec<String>> {
    let grades = reader.list(section, "grades", "1 to 8 of A-Z and 0-9", |value| {
        let grade = value.as_str().filter(|text| (1..=8).contains(&text.len()))?;
        grade.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).then(|| grade.to_owned())
    })?;
    // Told before any price is read, which would be one of an unknown grade.
    if grades.is_empty() {
        reader.problem("purchase.grades", "an empty list", "at least one grade");
        return None;
    }
    Some(grades)
}

fn read_purchase(
    reader: &mut Reader<'_>,
    mut section: Section<'_>,
    grades: Option<Vec<String>>,
) -> Option<PurchaseTerms> {
    let amount_min_fen = read_fen(reader, &mut section, "amount_min_fen", rules::LIMIT_MAX);
    let amount_max_fen = read_fen(reader, &mut section, "amount_max_fen", rules::LIMIT_MAX);
    let per_day_max = read_integer(reader, &mut section, "per_day_max", 1..=PER_DAY_MAX);
    let category = "2 to 32 of a-z, 0-9 and -";
    let merchant_categories =
        reader.list(&mut section, "merchant_categories", category, |value| code_text(value, CODE_BYTES_MAX));
    reader.finish(section);
    Some(PurchaseTerms {
        amount_min_fen: amount_min_fen?,
        amount_max_fen: amount_max_fen?,
        per_day_max: per_day_max?,
        merchant_categories: merchant_categories?,
        grades: grades?,
    })
}

fn read_plan(reader: &mut Reader<'_>, mut section: Section<'_>, grades: Option<&[String]>) -> Option<Plan> {
    let number = format!("a whole number from 1 to {}", rules::PERIODS_MAX);
    let periods = reader.list(&mut section, "periods", &number, |value| {
        integer(value, 1, i64::from(rules::PERIODS_MAX)).and_then(|number| u16::try_from(number).ok())
    });
    let method = read_choice(reader, &mut section, "method", &Method::ALL);
    let day_count = read_choice_or(reader, &mut section, "day_count", &DayCount::ALL, DayCount::Monthly);
    let level = read_choice_or(reader, &mut section, "level", &Level::ALL, Level::Actual);
    let free_periods = reader.optional(&mut section, "free_periods", "a whole number from 0 to 59", |value| {
        integer(value, 0, 59).and_then(|number| u16::try_from(number).ok())
    });
    let per_period = format!("a fraction from 0 to {}", rules::GUARANTEE_RATE_MAX);
    let guarantee_rate_per_period = reader.optional(&mut section, "guarantee_rate_per_period", &per_period, |value| {
        rate(value, rules::GUARANTEE_RATE_MAX)
    });
    let share = "a fraction from 0 to 1";
    let subsidy_share = reader.optional(&mut section, "subsidy_share", share, |value| rate(value, "1"));
    let per_period = format!("a fraction from 0 to {}", rules::SUBSIDY_RATE_MAX);
    let subsidy_rate_per_period = reader
        .optional(&mut section, "subsidy_rate_per_period", &per_period, |value| rate(value, rules::SUBSIDY_RATE_MAX));
    let prices = reader.optional_section(&mut section, "prices");
    let prices = prices.and_then(|prices| read_prices(reader, prices, grades));
    reader.finish(section);
    Some(Plan {
        periods: periods?,
        method: method?,
        day_count: day_count?,
        level: level?,
        prices: prices?,
        free_periods: free_periods?.unwrap_or(0),
        guarantee_rate_per_period: guarantee_rate_per_period?.unwrap_or(Rate::ZERO),
        subsidy_share: subsidy_share?.unwrap_or(Rate::ZERO),
        subsidy_rate_per_period: subsidy_rate_per_period?.unwrap_or(Rate::ZERO),
    })
}

/// One rate for each grade of the product, in their order; empty if the table is left out.
fn read_prices(reader: &mut Reader<'_>, section: Option<Section<'_>>, grades: Option<&[String]>) -> Option<Vec<Rate>> {
    let Some(section) = section else { return Some(Vec::new()) };
    let grades = grades?;
    let mut prices = vec![None; grades.len()];
    let allowed = format!("a fraction from 0 to {}", rules::PRICE_MAX);
    let mut named = Vec::new();
    for (grade, path, value) in reader.entries(&section) {
        named.push(grade);
        if !grades.iter().any(|known| known == grade) {
            reader.problem(&path, "an unknown grade", format!("only {}", grades.join(", ")));
            continue;
        }
        let price = reader.convert(value, path, &allowed, |value| rate(value, rules::PRICE_MAX));
        // A grade that the product lists twice is reported elsewhere.
        grades.iter().zip(&mut prices).filter(|(known, _)| *known == grade).for_each(|(_, place)| *place = price);
    }
    let missing: Vec<&str> = grades.iter().map(String::as_str).filter(|grade| !named.contains(grade)).collect();
    if !missing.is_empty() {
        reader.problem(section.path(), format!("no rate for {}", missing.join(", ")), "a rate for every grade");
    }
    prices.into_iter().collect()
}

fn read_penalty(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<PenaltyTerms> {
    let (least, most) = rules::PENALTY_MULTIPLE;
    let allowed = format!("the contract rate times {least} to {most}");
    let multiple = reader.optional(&mut section, "multiple", &allowed, |value| {
        rate(value, most).filter(|multiple| *multiple >= bound(least))
    });
    let allowed = format!("a fraction a day from 0 to {}", rules::PENALTY_PER_DAY_MAX);
    let per_day =
        reader.optional(&mut section, "rate_per_day", &allowed, |value| rate(value, rules::PENALTY_PER_DAY_MAX));
    let base = read_choice_or(reader, &mut section, "base", &PenaltyBase::ALL, PenaltyBase::Principal);
    let basis_days = reader.required(&mut section, "basis_days", "360 or 365", |value| {
        integer(value, 360, 365).filter(|days| [360, 365].contains(days)).and_then(|days| u16::try_from(days).ok())
    });
    let grace_days = read_integer(reader, &mut section, "grace_days", 0..=15);
    reader.finish(section);
    let rate = match (multiple?, per_day?) {
        (Some(multiple), None) => Some(PenaltyRate::Multiple(multiple)),
        (None, Some(per_day)) => Some(PenaltyRate::Daily(per_day)),
        (Some(_), Some(_)) => {
            reader.problem("penalty.rate_per_day", "both multiple and rate_per_day", "one of the two");
            None
        }
        (None, None) => {
            reader.problem("penalty", "neither multiple nor rate_per_day", "one of the two");
            None
        }
    };
    Some(PenaltyTerms { rate: rate?, base: base?, basis_days: basis_days?, grace_days: grace_days? })
}

fn read_early_payoff(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<EarlyPayoffTerms> {
    let interest = read_choice(reader, &mut section, "interest", &PayoffInterest::ALL);
    let fee_rate = read_rate(reader, &mut section, "fee_rate", rules::PAYOFF_FEE_MAX);
    reader.finish(section);
    Some(EarlyPayoffTerms { interest: interest?, fee_rate: fee_rate? })
}

fn read_allocation(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<AllocationTerms> {
    let order = read_order(reader, &mut section);
    let after = reader.optional_section(&mut section, "after").and_then(|after| match after {
        None => Some(None),
        Some(mut after) => {
            let days = read_integer(reader, &mut after, "days", 1..=3650);
            let order = read_order(reader, &mut after);
            reader.finish(after);
            Some(Some((days?, order?)))
        }
    });
    reader.finish(section);
    Some(AllocationTerms { order: order?, after: after? })
}

fn read_order(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Option<[Part; 4]> {
    let allowed = choices(&Part::ALL);
    let parts = reader.list(section, "order", &allowed, |value| choose(value, &Part::ALL))?;
    let order = <[Part; 4]>::try_from(parts)
        .ok()
        .filter(|order| order.iter().enumerate().all(|(index, part)| !order[..index].contains(part)));
    if order.is_none() {
        let path = format!("{}.order", section.path());
        reader.problem(&path, "a list that is not an order", "each of fee, penalty, interest, principal once");
    }
    order
}

fn read_withholding(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<WithholdingTerms> {
    let times = reader.list(&mut section, "times", "a time of day such as \"09:30\"", |value| {
        value.as_str().and_then(|text| NaiveTime::parse_from_str(text, "%H:%M").ok())
    });
    let days = reader.list(&mut section, "days", "a number of days past the due day, 0 to 365", |value| {
        integer(value, 0, 365).and_then(|day| u16::try_from(day).ok())
    });
    let partial_allowed = reader.required(&mut section, "partial_allowed", "true or false", DeValue::as_bool);
    reader.finish(section);
    Some(WithholdingTerms { times: times?, days: days?, partial_allowed: partial_allowed? })
}

fn read_refund(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<RefundTerms> {
    let order = read_choice(reader, &mut section, "order", &RefundOrder::ALL);
    let returns_billed_interest =
        reader.required(&mut section, "returns_billed_interest", "true or false", DeValue::as_bool);
    reader.finish(section);
    Some(RefundTerms { order: order?, returns_billed_interest: returns_billed_interest? })
}

fn read_overdue(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<OverdueTerms> {
    let freeze_day = read_integer(reader, &mut section, "freeze_day", 1..=3650);
    let claim_day = read_integer(reader, &mut section, "claim_day", 1..=3650);
    let charge_off_day = read_integer(reader, &mut section, "charge_off_day", 1..=3650);
    reader.finish(section);
    Some(OverdueTerms { freeze_day: freeze_day?, claim_day: claim_day?, charge_off_day: charge_off_day? })
}

fn read_profit_share(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<ProfitShare> {
    let interest = read_rate(reader, &mut section, "interest", "1");
    let fee = read_rate(reader, &mut section, "fee", "1");
    let penalty = read_rate(reader, &mut section, "penalty", "1");
    let subsidy = read_rate(reader, &mut section, "subsidy", "1");
    reader.finish(section);
    Some(ProfitShare { interest: interest?, fee: fee?, penalty: penalty?, subsidy: subsidy? })
}

/// Reads an optional table: `Some(None)` if it is left out, `None` if it has a fault.
fn optional_table<'d, T>(
    reader: &mut Reader<'_>,
    parent: &mut Section<'d>,
    name: &'static str,
    read: impl FnOnce(&mut Reader<'_>, Section<'d>) -> Option<T>,
) -> Option<Option<T>> {
    match reader.optional_section(parent, name)? {
        Some(section) => read(reader, section).map(Some),
        None => Some(None),
    }
}

fn read_funder_word(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<FunderWord> {
    let deadline_hours = read_integer(reader, &mut section, "deadline_hours", rules::FUNDER_WORD_HOURS);
    let default = read_choice(reader, &mut section, "default", &FunderDefault::ALL);
    reader.finish(section);
    Some(FunderWord { deadline_hours: deadline_hours?, default: default? })
}

/// Who decides on purchases, by the product file.
#[derive(Clone, Copy)]
enum Asked {
    Nobody,
    Rules,
    Partner,
}

fn read_purchase_risk(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<Option<PurchaseRiskTerms>> {
    let asked = [("none", Asked::Nobody), ("rules", Asked::Rules), ("partner", Asked::Partner)];
    let terms = match read_choice(reader, &mut section, "ask", &asked)? {
        Asked::Nobody => Some(None),
        Asked::Rules => {
            let allowed = format!("a whole number of fen from 1 to {}", rules::LIMIT_MAX.get());
            let per_day = read_fen(reader, &mut section, "amount_per_day_max_fen", rules::LIMIT_MAX);
            let at_merchant = reader.optional(&mut section, "merchant_per_day_max_fen", &allowed, |value| {
                integer(value, 1, rules::LIMIT_MAX.get()).map(Fen::new)
            });
            per_day.zip(at_merchant).map(|(amount_per_day_max_fen, merchant_per_day_max_fen)| {
                Some(PurchaseRiskTerms::Rules { amount_per_day_max_fen, merchant_per_day_max_fen })
            })
        }
        Asked::Partner => {
            let time_limit_ms = read_integer(reader, &mut section, "time_limit_ms", rules::PURCHASE_RISK_MS);
            let allowed = format!("a whole number of fen from 0 to {}", rules::LIMIT_MAX.get());
            let silence = reader.required(&mut section, "silence_allows_fen", &allowed, |value| {
                integer(value, 0, rules::LIMIT_MAX.get()).map(Fen::new)
            });
            time_limit_ms.zip(silence).map(|(time_limit_ms, silence_allows_fen)| {
                Some(PurchaseRiskTerms::Partner { time_limit_ms, silence_allows_fen })
            })
        }
    };
    reader.finish(section);
    terms
}

fn read_fen(reader: &mut Reader<'_>, section: &mut Section<'_>, name: &'static str, most: Fen) -> Option<Fen> {
    let allowed = format!("a whole number of fen from 1 to {}", most.get());
    reader.required(section, name, &allowed, |value| integer(value, 1, most.get()).map(Fen::new))
}

fn read_rate(reader: &mut Reader<'_>, section: &mut Section<'_>, name: &'static str, most: &str) -> Option<Rate> {
    let allowed = format!("a fraction from 0 to {most}, such as 0.02 for two per cent");
    reader.required(section, name, &allowed, |value| rate(value, most))
}

fn read_integer<T: TryFrom<i64>>(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    name: &'static str,
    within: RangeInclusive<i64>,
) -> Option<T> {
    let (least, most) = within.into_inner();
    let allowed = format!("a whole number from {least} to {most}");
    reader.required(section, name, &allowed, |value| {
        integer(value, least, most).and_then(|number| T::try_from(number).ok())
    })
}

fn read_choice<T: Copy>(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    name: &'static str,
    options: &[(&'static str, T)],
) -> Option<T> {
    reader.required(section, name, &choices(options), |value| choose(value, options))
}

fn read_choice_or<T: Copy>(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    name: &'static str,
    options: &[(&'static str, T)],
    without: T,
) -> Option<T> {
    let chosen = reader.optional(section, name, &choices(options), |value| choose(value, options))?;
    Some(chosen.unwrap_or(without))
}

fn choices<T>(options: &[(&'static str, T)]) -> String {
    let names: Vec<&str> = options.iter().map(|option| option.0).collect();
    format!("one of {}", names.join(", "))
}

fn choose<T: Copy>(value: &DeValue<'_>, options: &[(&'static str, T)]) -> Option<T> {
    let text = value.as_str()?;
    options.iter().find(|option| option.0 == text).map(|option| option.1)
}

fn code_text(value: &DeValue<'_>, most: usize) -> Option<String> {
    value.as_str().filter(|text| is_code(text, most)).map(str::to_owned)
}

fn short_text(value: &DeValue<'_>, most: usize) -> Option<String> {
    let text = value.as_str()?.trim();
    let fits = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

fn date(value: &DeValue<'_>) -> Option<NaiveDate> {
    let datetime = value.as_datetime().filter(|datetime| datetime.time.is_none())?;
    let date = datetime.date?;
    NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))
}

fn integer(value: &DeValue<'_>, least: i64, most: i64) -> Option<i64> {
    let integer = value.as_integer()?;
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// A rate from its decimal digits in the text, so that it is never rounded to a binary fraction.
fn rate(value: &DeValue<'_>, most: &str) -> Option<Rate> {
    let text = match value {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        _ => return None,
    };
    Rate::from_str(text).ok().filter(|rate| *rate <= bound(most))
}

/// Parses a bound that is a constant in this crate.
fn bound(text: &str) -> Rate {
    text.parse().expect("the bounds in the rules are rates")
}
