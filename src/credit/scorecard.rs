//! The built-in scorecard: whole points by binned attribute, summed to a score, a grade, and a limit.

use serde::Deserialize;

use super::facts::{CardHistory, Facts};
use super::verdict::{OwnReason, Verdict};
use crate::base::Fen;
use crate::base::syntax::describe_toml_error;

/// The scorecard that is shipped, as text; see `docs/RISK.md` for how it was fitted.
pub const SHIPPED: &str = include_str!("../../products/scorecard/scorecard.toml");

/// Limits are granted in whole steps of 100 yuan.
const LIMIT_STEP: Fen = Fen::new(10_000);
/// The value of a ratio whose divisor is zero.
const EMPTY: i64 = -1;
/// Higher ratios count as this one: they say no more.
const PERCENT_MAX: i64 = 200;
/// Bound of the base points and of a bin's points, positive or negative, so that no sum of them overflows.
const POINTS_MAX: u32 = 10_000;
/// More than anybody needs: each attribute several times.
const ATTRIBUTES_MAX: usize = 100;

/// A checked scorecard. Built only by [`Scorecard::parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Scorecard {
    base_points: i32,
    /// Best first.
    grades: Vec<GradeBand>,
    attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct GradeBand {
    name: String,
    score_min: i32,
    /// The line granted, in percent of the limit of the applicant's present card.
    limit_percent: i64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    name: AttributeName,
    /// In order; only the last is open.
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bin {
    up_to: Option<i64>,
    points: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AttributeName {
    StatusLatest,
    StatusBefore,
    StatusWorst,
    MonthsLate,
    MonthsUnused,
    UtilisationPercent,
    PaidPercent,
    PaidLatestYuan,
    LimitYuan,
    Age,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    base_points: i32,
    grade: Vec<GradeBand>,
    attribute: Vec<Attribute>,
}

/// A scorecard file that cannot be used, with the place and what is allowed there.
#[derive(Debug, thiserror::Error)]
pub enum ScorecardError {
    #[error("the scorecard file cannot be read: {0}")]
    Syntax(String),
    #[error("version: found {found}, this program reads version 1")]
    Version { found: u32 },
    #[error("base_points: found {found}, allowed is a whole number from -{POINTS_MAX} to {POINTS_MAX}")]
    BasePoints { found: i32 },
    #[error("grade {grade}: {problem}")]
    Grade { grade: String, problem: &'static str },
    #[error("attribute {number}: {problem}")]
    Attribute { number: usize, problem: &'static str },
}

impl Scorecard {
    /// Reads a scorecard file.
    ///
    /// # Errors
    /// Where the TOML is broken, or grades or bins are missing, out of order or out of range.
    pub fn parse(text: &str) -> Result<Scorecard, ScorecardError> {
        let file: File =
            toml::from_str(text).map_err(|error| ScorecardError::Syntax(describe_toml_error(text, &error)))?;
        if file.version != 1 {
            return Err(ScorecardError::Version { found: file.version });
        }
        if file.base_points.unsigned_abs() > POINTS_MAX {
            return Err(ScorecardError::BasePoints { found: file.base_points });
        }
        check_grades(&file.grade)?;
        if file.attribute.len() > ATTRIBUTES_MAX {
            return Err(ScorecardError::Attribute { number: ATTRIBUTES_MAX + 1, problem: "at most 100 are allowed" });
        }
        for (index, attribute) in file.attribute.iter().enumerate() {
            check_bins(&attribute.bins).map_err(|problem| ScorecardError::Attribute { number: index + 1, problem })?;
        }
        Ok(Scorecard { base_points: file.base_points, grades: file.grade, attributes: file.attribute })
    }

    /// The score and what follows from it. Without a history there is nothing to score, and a person decides.
    pub fn assess(&self, facts: &Facts) -> Verdict {
        let Some(history) = &facts.history else {
            return Verdict::Refer { reason: "no_history".into() };
        };
        let score = self.score(facts.age, history);
        let Some(band) = self.grades.iter().find(|band| score >= band.score_min) else {
            return Verdict::refuse(OwnReason::ScoreTooLow, Some(score));
        };
        let granted = history.limit_fen.share(band.limit_percent, 100);
        let limit = facts.limit_requested_fen.map_or(granted, |requested| granted.min(requested));
        let limit = Fen::new(limit.get() / LIMIT_STEP.get() * LIMIT_STEP.get());
        Verdict::Approve { grade: band.name.clone(), limit, score: Some(score) }
    }

    fn score(&self, age: u32, history: &CardHistory) -> i32 {
        let points = |attribute: &Attribute| {
            let value = attribute.name.value(age, history);
            let bin = attribute.bins.iter().find(|bin| bin.up_to.is_none_or(|bound| value <= bound));
            bin.map_or(0, |bin| bin.points)
        };
        self.base_points + self.attributes.iter().map(points).sum::<i32>()
    }
}

impl AttributeName {
    /// The attribute in whole numbers, as `products/scorecard/fit.py` computes it: both must say the same.
    fn value(self, age: u32, history: &CardHistory) -> i64 {
        let months = &history.months;
        let statuses = || months.iter().map(|month| i64::from(month.repay_status));
        match self {
            AttributeName::StatusLatest => i64::from(months[0].repay_status),
            AttributeName::StatusBefore => i64::from(months[1].repay_status),
            AttributeName::StatusWorst => statuses().max().unwrap_or(EMPTY),
            AttributeName::MonthsLate => statuses().filter(|status| *status > 0).count() as i64,
            AttributeName::MonthsUnused => statuses().filter(|status| *status == -2).count() as i64,
            AttributeName::UtilisationPercent => percent(months[0].bill_fen.or_zero(), history.limit_fen),
            AttributeName::PaidPercent => {
                let billed = months[1..].iter().map(|month| month.bill_fen.or_zero()).sum();
                let paid = months[..5].iter().map(|month| month.paid_fen).sum();
                percent(paid, billed)
            }
            AttributeName::PaidLatestYuan => months[0].paid_fen.get() / 100,
            AttributeName::LimitYuan => history.limit_fen.get() / 100,
            AttributeName::Age => i64::from(age),
        }
    }
}

/// `part` in percent of `whole`, rounded down and capped; [`EMPTY`] where the whole is zero.
fn percent(part: Fen, whole: Fen) -> i64 {
    if !whole.is_positive() {
        return EMPTY;
    }
    let percent = i128::from(part.get()) * 100 / i128::from(whole.get());
    i64::try_from(percent).unwrap_or(PERCENT_MAX).min(PERCENT_MAX)
}

fn check_grades(grades: &[GradeBand]) -> Result<(), ScorecardError> {
    if grades.is_empty() {
        return Err(ScorecardError::Grade { grade: "(none)".into(), problem: "at least one grade is needed" });
    }
    let refused = |band: &GradeBand, problem| ScorecardError::Grade { grade: band.name.clone(), problem };
    for band in grades {
        if !(1..=500).contains(&band.limit_percent) {
            return Err(refused(band, "limit_percent is a number from 1 to 500"));
        }
    }
    for pair in grades.windows(2) {
        if pair[1].score_min >= pair[0].score_min {
            return Err(refused(&pair[1], "score_min must fall from one grade to the next"));
        }
    }
    Ok(())
}

fn check_bins(bins: &[Bin]) -> Result<(), &'static str> {
    let Some((last, bounded)) = bins.split_last() else { return Err("bins are missing") };
    if bins.iter().any(|bin| bin.points.unsigned_abs() > POINTS_MAX) {
        return Err("points are whole numbers from -10000 to 10000");
    }
    if last.up_to.is_some() {
        return Err("the last bin must be open: leave out up_to");
    }
    let bounds: Option<Vec<i64>> = bounded.iter().map(|bin| bin.up_to).collect();
    let bounds = bounds.ok_or("only the last bin may leave out up_to")?;
    if bounds.windows(2).any(|pair| pair[1] <= pair[0]) {
        return Err("up_to must rise from bin to bin");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::facts::CardMonth;
    use crate::demo::clients::Clients;

    fn month(repay_status: i8, bill: i64, paid: i64) -> CardMonth {
        CardMonth { repay_status, bill_fen: Fen::new(bill * 100), paid_fen: Fen::new(paid * 100) }
    }

    fn facts(history: CardHistory) -> Facts {
        Facts { age: 34, limit_requested_fen: None, history: Some(history) }
    }

    fn steady() -> CardHistory {
        CardHistory { limit_fen: Fen::new(20_000_000), months: [month(-1, 20_000, 20_000); 6] }
    }

    #[test]
    fn a_steady_payer_is_approved_with_the_best_grade() {
        let shipped = Scorecard::parse(SHIPPED).unwrap();
        let Verdict::Approve { grade, limit, .. } = shipped.assess(&facts(steady())) else { panic!("refused") };
        assert_eq!((grade.as_str(), limit), ("A", Fen::new(20_000_000)));
    }

    #[test]
    fn the_limit_never_exceeds_what_was_asked_for_and_comes_in_whole_steps() {
        let shipped = Scorecard::parse(SHIPPED).unwrap();
        let modest = Facts { limit_requested_fen: Some(Fen::new(1_234_567)), ..facts(steady()) };
        let Verdict::Approve { limit, .. } = shipped.assess(&modest) else { panic!("refused") };
        assert_eq!(limit, Fen::new(1_230_000));
    }

    #[test]
    fn a_payer_three_months_late_is_refused() {
        let shipped = Scorecard::parse(SHIPPED).unwrap();
        let late = CardHistory { limit_fen: Fen::new(2_000_000), months: [month(3, 19_000, 0); 6] };
        assert!(matches!(shipped.assess(&facts(late)), Verdict::Refuse { .. }));
    }

    #[test]
    fn a_person_without_a_history_is_referred() {
        let shipped = Scorecard::parse(SHIPPED).unwrap();
        let unknown = Facts { age: 22, limit_requested_fen: None, history: None };
        assert_eq!(shipped.assess(&unknown), Verdict::Refer { reason: "no_history".into() });
    }

    #[test]
    fn attributes_survive_credit_balances_and_unused_cards() {
        let mut history = CardHistory { limit_fen: Fen::new(1_000_000), months: [month(-2, 0, 0); 6] };
        assert_eq!(AttributeName::PaidPercent.value(30, &history), EMPTY);
        assert_eq!(AttributeName::MonthsUnused.value(30, &history), 6);
        history.months[0] = month(-2, -50, 0);
        assert_eq!(AttributeName::UtilisationPercent.value(30, &history), 0);
        history.months[1] = month(0, 3, 0);
        history.months[0].paid_fen = Fen::new(100);
        assert_eq!(AttributeName::PaidPercent.value(30, &history), 33);
    }

    /// The scores come from `products/scorecard/fit.py --score`: what is granted here is what was fitted and measured there.
    #[test]
    fn sample_clients_score_as_the_fitting_script_scores_them() {
        let shipped = Scorecard::parse(SHIPPED).unwrap();
        let clients = Clients::open(include_str!("../demo/sample/clients.csv").as_bytes()).unwrap();
        let expected = include_str!("../demo/sample/scores.csv").lines();
        let mut compared = 0;
        for (client, expected) in clients.zip(expected) {
            let client = client.unwrap();
            let score = shipped.score(client.age, &client.history);
            assert_eq!(format!("{},{score}", client.client), expected);
            compared += 1;
        }
        assert_eq!(compared, 300);
    }

    #[test]
    fn a_broken_file_is_refused_with_the_place() {
        let swapped = SHIPPED.replacen("score_min = 600", "score_min = 1", 1);
        assert_eq!(
            Scorecard::parse(&swapped).unwrap_err().to_string(),
            "grade B: score_min must fall from one grade to the next"
        );
        let closed = "version = 1\nbase_points = 1\ngrade = [{ name = \"A\", score_min = 1, limit_percent = 100 }]\n\
                      attribute = [{ name = \"age\", bins = [{ up_to = 3, points = 1 }] }]";
        assert_eq!(
            Scorecard::parse(closed).unwrap_err().to_string(),
            "attribute 1: the last bin must be open: leave out up_to"
        );
        let of_sex = Scorecard::parse(&SHIPPED.replace("\"age\"", "\"sex\"")).unwrap_err().to_string();
        assert!(of_sex.starts_with("the scorecard file cannot be read: line ") && of_sex.contains("`sex`"), "{of_sex}");
        assert_eq!(of_sex.lines().count(), 1, "{of_sex}");
        let sum_too_large = closed.replace("up_to = 3, points = 1", "points = 2000000000");
        assert_eq!(
            Scorecard::parse(&sum_too_large).unwrap_err().to_string(),
            "attribute 1: points are whole numbers from -10000 to 10000"
        );
        let base = sum_too_large.replace("2000000000", "1").replace("base_points = 1", "base_points = -20000");
        assert!(Scorecard::parse(&base).unwrap_err().to_string().starts_with("base_points: found -20000"), "{base}");
    }
}
