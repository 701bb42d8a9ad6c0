//! `fenqi bench quote`: how many quotes per second one core computes, and a batch of requests for quotes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::base::{BusinessDay, Fen};
use crate::product::{QuoteRequest, Terms, quote};

/// How much of a quote is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The schedule, which is what the authoriser needs.
    Schedule,
    /// The schedule and its annualised rates, which is what a borrower is shown.
    Price,
}

/// Computes `count` quotes under `terms` on this thread, over all grades and periods and many amounts and days.
pub fn run_quotes(terms: &Terms, count: u64, depth: Depth) -> anyhow::Result<Duration> {
    let periods: Vec<u16> = terms.plans.iter().flat_map(|plan| plan.periods.iter().copied()).collect();
    let statement_days = &terms.line.statement_days;
    let (least, most) = (terms.purchase.amount_min_fen.get(), terms.purchase.amount_max_fen.get());
    let begin = BusinessDay::new(terms.valid_from);
    let started = Instant::now();
    for number in 0..count {
        let pick = |step: u64, length: usize| usize::try_from(number / step).unwrap_or(0) % length;
        let statement_day = statement_days[pick(7, statement_days.len())];
        let request = QuoteRequest {
            grade: &terms.purchase.grades[pick(3, terms.purchase.grades.len())],
            periods: periods[pick(1, periods.len())],
            // A large prime stride visits the amounts in mixed order.
            amount: Fen::new(least + i64::try_from(number).unwrap_or(0).wrapping_mul(7_919) % (most - least + 1)),
            business_day: begin.plus_days(u32::try_from(number % 365).unwrap_or(0)),
            statement_day,
            due_day: terms.line.due_day(statement_day),
        };
        let quote = quote(terms, black_box(&request))?;
        match depth {
            Depth::Schedule => drop(black_box(quote)),
            Depth::Price => drop(black_box(quote.price().context("a quote within its bounds has a price")?)),
        }
    }
    Ok(started.elapsed())
}

/// `count` lines as `fenqi quote --batch` reads them: every method and day count, with many amounts, periods and rates.
pub fn batch_lines(count: u64) -> String {
    const ASKED: [(&str, &str, &str); 5] = [
        ("equal_installment", "monthly", r#""annual_rate":0.14"#),
        ("equal_installment", "act/365", r#""annual_rate":"0.108","first_due":"2026-02-10""#),
        ("equal_principal", "act/360", r#""annual_rate":0.12"#),
        ("interest_first", "monthly", r#""annual_rate":0.09"#),
        ("flat_fee", "monthly", r#""fee_rate_per_period":0.006"#),
    ];
    let mut lines = String::new();
    for number in 0..count {
        let (method, day_count, price) = ASKED[usize::try_from(number).unwrap_or(0) % ASKED.len()];
        // A large prime stride visits the amounts in mixed order.
        let principal_fen = 100_000 + number.wrapping_mul(7_919) % 4_900_000;
        let periods = 3 + number % 22;
        lines += &format!(
            "{{\"method\":\"{method}\",\"principal_fen\":{principal_fen},\"periods\":{periods},\"day_count\":\"{day_count}\",\
             {price},\"start\":\"2026-01-15\"}}\n"
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quote_of_the_run_is_within_its_bounds() {
        let terms = crate::product::file::parse(include_str!("../../products/standard.toml")).unwrap();
        run_quotes(&terms, 2_000, Depth::Price).unwrap();
        run_quotes(&terms, 2_000, Depth::Schedule).unwrap();
    }

    #[test]
    fn every_line_of_the_batch_has_a_quote() {
        let lines = batch_lines(500);
        assert_eq!(lines.lines().count(), 500);
        for line in lines.lines() {
            let inquiry: crate::product::inquiry::Inquiry = serde_json::from_str(line).unwrap();
            inquiry.answer(None).unwrap();
        }
    }
}
