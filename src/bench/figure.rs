//! The result of a benchmark: a figure, its baseline, and their ratio.

use std::time::Duration;

use rust_decimal::Decimal;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// One measured figure; printed as the last line with `--json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figure {
    pub name: String,
    #[serde(serialize_with = "as_number")]
    pub value: Decimal,
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number_if_any")]
    pub baseline: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number_if_any")]
    pub ratio: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number_if_any")]
    pub p50_ms: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number_if_any")]
    pub p99_ms: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number_if_any")]
    pub seconds: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<usize>,
    /// Further figures of the same benchmark.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<Figure>,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: Decimal, unit: &'static str) -> Figure {
        Figure { name: name.into(), value, unit, ..Figure::default() }
    }

    /// The figure with its baseline and the ratio of the two.
    #[must_use]
    pub fn against(mut self, baseline: Decimal) -> Figure {
        self.ratio = (!baseline.is_zero()).then(|| (self.value / baseline).round_dp(2));
        self.baseline = Some(baseline);
        self
    }

    /// One line for a person.
    pub fn line(&self) -> String {
        let mut line = format!("{:<44} {:>12} {}", self.name, self.value, self.unit);
        if let (Some(baseline), Some(ratio)) = (self.baseline, self.ratio) {
            line += &format!("  = {ratio} × {baseline}");
        }
        for (name, value) in [("p50", self.p50_ms), ("p99", self.p99_ms)] {
            if let Some(value) = value {
                line += &format!("  {name} {value} ms");
            }
        }
        line
    }
}

/// As a JSON number with all its digits: a program compares figures with targets, and in some languages any text is greater than any
/// number.
fn as_number<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(value.to_string()).map_err(S::Error::custom)?.serialize(serializer)
}

fn as_number_if_any<S: Serializer>(value: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => as_number(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// The durations of many calls.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn append(&mut self, mut other: Latencies) {
        self.0.append(&mut other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The duration that `per_mille` of 1,000 calls did not exceed, in milliseconds.
    pub fn percentile_ms(&mut self, per_mille: usize) -> Decimal {
        if self.0.is_empty() {
            return Decimal::ZERO;
        }
        self.0.sort_unstable();
        let index = (self.0.len() * per_mille / 1_000).min(self.0.len() - 1);
        milliseconds(self.0[index])
    }
}

pub fn milliseconds(took: Duration) -> Decimal {
    Decimal::new(i64::try_from(took.as_micros()).unwrap_or(i64::MAX), 3).round_dp(2)
}

pub fn seconds(took: Duration) -> Decimal {
    Decimal::new(i64::try_from(took.as_millis()).unwrap_or(i64::MAX), 3)
}

/// `count` divided by `took`, per second.
pub fn rate_per_second(count: u64, took: Duration) -> Decimal {
    let nanos = took.as_nanos().max(1);
    Decimal::from(u128::from(count) * 1_000_000_000 / nanos)
}

/// The median; the lower of the two middle values.
pub fn median(mut values: Vec<Decimal>) -> Decimal {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reads_figures_as_numbers() {
        let mut figure = Figure::new("close", Decimal::new(1_052, 2), "s").against(Decimal::from(7));
        figure.p99_ms = Some(Decimal::new(25, 1));
        figure.runs = Some(3);
        figure.more = vec![Figure::new("more", Decimal::from(1_000), "rows/s")];
        let line = serde_json::to_string(&figure).unwrap();
        let expected = concat!(
            r#"{"name":"close","value":10.52,"unit":"s","baseline":7,"ratio":1.50,"p99_ms":2.5,"runs":3,"#,
            r#""more":[{"name":"more","value":1000,"unit":"rows/s"}]}"#
        );
        assert_eq!(line, expected);
    }
}
