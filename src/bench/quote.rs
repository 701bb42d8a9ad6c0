//! How many quotes a second one core computes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::base::{BusinessDay, Fen};
use crate::product::{QuoteRequest, Terms, quote};

/// What of a quote is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What the authoriser needs.
    Schedule,
    /// What a borrower is shown: the schedule and its annualised rates.
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
            // A large prime step visits the amounts in no particular order.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quote_of_the_run_is_within_its_bounds() {
        let terms = crate::product::file::parse(include_str!("../../products/standard.toml")).unwrap();
        run_quotes(&terms, 2_000, Depth::Price).unwrap();
        run_quotes(&terms, 2_000, Depth::Schedule).unwrap();
    }
}
