//! Scripted answers: how the next order of a card, borrower, merchant or of anybody is answered.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// One prescribed answer, in the partner's own words; each partner's README lists its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// Such as `success`, `insufficient_funds`, `approve`.
    pub answer: String,
    /// For answers with an amount: what a partial success collects, or the limit that is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_fen: Option<i64>,
    /// After how many days a withholding channel knows what became of the order; it does not call back then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_days: Option<u16>,
    /// A fault that goes with it, whatever the shares say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl Scripted {
    pub fn answer(answer: &str) -> Scripted {
        Scripted { answer: answer.to_owned(), amount_fen: None, after_days: None, fault: None }
    }

    #[must_use]
    pub fn amount(self, amount_fen: i64) -> Scripted {
        Scripted { amount_fen: Some(amount_fen), ..self }
    }

    #[must_use]
    pub fn with(self, fault: Fault) -> Scripted {
        Scripted { fault: Some(fault), ..self }
    }
}

/// Which orders a script is for: a field of the order (`card`, `borrower`, `merchant`, `order`) and its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    pub field: String,
    pub value: String,
}

impl Matcher {
    pub fn new(field: &str, value: impl ToString) -> Matcher {
        Matcher { field: field.to_owned(), value: value.to_string() }
    }
}

/// Queues of answers by partner and matcher; `None` matches any order that nothing else does.
#[derive(Default)]
pub struct Scripts {
    queues: HashMap<(String, Option<Matcher>), VecDeque<Scripted>>,
}

impl Scripts {
    pub fn add(&mut self, partner: &str, matcher: Option<Matcher>, outcomes: Vec<Scripted>) {
        // An empty queue would hide the answers for anybody.
        if !outcomes.is_empty() {
            self.queues.entry((partner.to_owned(), matcher)).or_default().extend(outcomes);
        }
    }

    /// Takes the answer prescribed for an order that is any of `subjects`, the first that has one; else the next for anyone.
    pub fn take(&mut self, partner: &str, subjects: &[(&str, &str)]) -> Option<Scripted> {
        if self.queues.is_empty() {
            return None;
        }
        let matchers = subjects.iter().map(|(field, value)| Some(Matcher::new(field, value))).chain([None]);
        for matcher in matchers {
            let key = (partner.to_owned(), matcher);
            if let Some(queue) = self.queues.get_mut(&key) {
                let scripted = queue.pop_front();
                if queue.is_empty() {
                    self.queues.remove(&key);
                }
                return scripted;
            }
        }
        None
    }

    /// Answers that were not used yet: a test that ends with some has not tested what it claims to.
    pub fn left(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_goes_before_anyone_and_each_answer_is_given_once() {
        let mut scripts = Scripts::default();
        scripts.add("withholding_a", None, vec![Scripted::answer("success")]);
        scripts.add("withholding_a", Some(Matcher::new("card", "c1")), vec![Scripted::answer("refused")]);
        let take =
            |scripts: &mut Scripts| scripts.take("withholding_a", &[("card", "c1")]).map(|scripted| scripted.answer);
        assert_eq!(take(&mut scripts).as_deref(), Some("refused"));
        assert_eq!(take(&mut scripts).as_deref(), Some("success"));
        assert_eq!(take(&mut scripts), None);
        assert_eq!(scripts.left(), 0);
    }

    #[test]
    fn no_answers_for_a_subject_leave_it_those_for_anyone() {
        let mut scripts = Scripts::default();
        scripts.add("withholding_a", Some(Matcher::new("card", "c1")), Vec::new());
        scripts.add("withholding_a", None, vec![Scripted::answer("refused")]);
        let taken = scripts.take("withholding_a", &[("card", "c1")]);
        assert_eq!(taken, Some(Scripted::answer("refused")));
    }
}
