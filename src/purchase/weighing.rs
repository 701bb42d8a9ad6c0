//! Purchase risk: the facts that a risk hook is told about a purchase, its answer, and what the answer means for the decision.

use std::collections::HashMap;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::{PurchaseRefusal, PurchaseRequest};
use crate::base::id::{BorrowerId, LineId, MerchantId};
use crate::base::{BusinessDay, Fen};
use crate::product::terms::PurchaseRiskTerms;

/// A purchase with the risk hook's word on it, as the authoriser takes it.
#[derive(Clone, Debug)]
pub struct Weighed {
    pub request: PurchaseRequest,
    pub word: RiskWord,
    /// The business day on which its schedule was shown and agreed to; `None` where the schedule of any day will do.
    pub shown_on: Option<BusinessDay>,
}

impl Deref for Weighed {
    type Target = PurchaseRequest;
    fn deref(&self) -> &PurchaseRequest {
        &self.request
    }
}

/// What the hook said before the purchase was put to the authoriser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiskWord {
    /// Nobody was asked. Enough only where the product asks nobody.
    Unasked,
    Allowed,
    Refused,
    /// No answer in time, or none that could be read.
    Silent,
}

impl RiskWord {
    /// Whether a purchase may go on to the line and the reserve.
    ///
    /// # Errors
    /// `RefusedByRisk`, or `RiskSilent` where the amount is above what the product allows without an answer.
    pub fn check(self, terms: Option<PurchaseRiskTerms>, amount: Fen) -> Result<(), PurchaseRefusal> {
        let Some(terms) = terms else { return Ok(()) };
        let silence_allows = match terms {
            PurchaseRiskTerms::Rules { .. } => Fen::ZERO,
            PurchaseRiskTerms::Partner { silence_allows_fen, .. } => silence_allows_fen,
        };
        match self {
            RiskWord::Allowed => Ok(()),
            RiskWord::Refused => Err(PurchaseRefusal::RefusedByRisk),
            RiskWord::Unasked | RiskWord::Silent if amount <= silence_allows => Ok(()),
            RiskWord::Unasked | RiskWord::Silent => Err(PurchaseRefusal::RiskSilent),
        }
    }
}

/// What a hook is told about a purchase, stored unchanged with the question. No names, no ID, card or mobile numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub grade: String,
    pub merchant_id: MerchantId,
    pub merchant_category: String,
    pub product: String,
    pub periods: u16,
    pub amount_fen: Fen,
    /// Whether the merchant made an order of it, or the borrower typed the amount.
    pub has_order: bool,
    pub limit_fen: Fen,
    pub used_fen: Fen,
    /// Of this line on this business day, voided ones left out.
    pub purchases_today: i64,
    pub spent_today_fen: Fen,
    pub spent_today_at_merchant_fen: Fen,
}

/// One purchase to weigh. The same id is the same question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub question_id: Uuid,
    pub facts: Facts,
}

/// A hook's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Allow,
    /// With a short code.
    Refuse {
        reason: String,
    },
    Silent,
}

impl Answer {
    /// What the answer means for the decision.
    pub fn word(&self) -> RiskWord {
        match self {
            Answer::Allow => RiskWord::Allowed,
            Answer::Refuse { .. } => RiskWord::Refused,
            Answer::Silent => RiskWord::Silent,
        }
    }

    /// The stored word.
    pub const fn name(&self) -> &'static str {
        match self {
            Answer::Allow => "allow",
            Answer::Refuse { .. } => "refuse",
            Answer::Silent => "silent",
        }
    }

    /// The answer of a stored word and reason; `None` for an unknown word.
    pub fn of(name: &str, reason: Option<String>) -> Option<Answer> {
        match name {
            "allow" => Some(Answer::Allow),
            "refuse" => Some(Answer::Refuse { reason: reason.unwrap_or_default() }),
            "silent" => Some(Answer::Silent),
            _ => None,
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Answer::Refuse { reason } => Some(reason),
            Answer::Allow | Answer::Silent => None,
        }
    }
}

/// How a question stands: whom it was put to, and the answer that counts, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The id by which the risk partner that was asked signs; `None` where none was.
    pub asked_partner: Option<String>,
    pub answer: Option<Answer>,
}

impl Standing {
    /// Whether the risk partner that signs by this id was asked. To any other the question does not exist.
    pub fn was_asked_of(&self, partner: &str) -> bool {
        self.asked_partner.as_deref() == Some(partner)
    }
}

/// The built-in rules' bounds, each of one line on one business day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub amount_per_day_max: Fen,
    pub merchant_per_day_max: Option<Fen>,
}

impl Rules {
    /// The rules of a product that asks no partner.
    pub fn of(terms: PurchaseRiskTerms) -> Option<Rules> {
        match terms {
            PurchaseRiskTerms::Rules { amount_per_day_max_fen, merchant_per_day_max_fen } => Some(Rules {
                amount_per_day_max: amount_per_day_max_fen,
                merchant_per_day_max: merchant_per_day_max_fen,
            }),
            PurchaseRiskTerms::Partner { .. } => None,
        }
    }

    /// The rules' answer on the facts, with the code of the bound that is exceeded.
    pub fn weigh(self, facts: &Facts) -> Answer {
        let spent = Spent { in_all: facts.spent_today_fen, at_merchant: facts.spent_today_at_merchant_fen };
        match self.bound(spent, facts.amount_fen) {
            Ok(()) => Answer::Allow,
            Err(reason) => Answer::Refuse { reason: reason.into() },
        }
    }

    /// As [`Rules::weigh`], at the moment of the decision: what was bought on the line since the weighing counts, too.
    ///
    /// # Errors
    /// `RefusedByRisk`.
    pub fn check(self, spent: &SpentToday, merchant_id: MerchantId, amount: Fen) -> Result<(), PurchaseRefusal> {
        let spent =
            Spent { in_all: spent.in_all, at_merchant: spent.at.get(&merchant_id).copied().unwrap_or_default() };
        self.bound(spent, amount).map_err(|_| PurchaseRefusal::RefusedByRisk)
    }

    fn bound(self, spent: Spent, amount: Fen) -> Result<(), &'static str> {
        if spent.in_all + amount > self.amount_per_day_max {
            return Err("amount_per_day");
        }
        match self.merchant_per_day_max {
            Some(most) if spent.at_merchant + amount > most => Err("merchant_per_day"),
            Some(_) | None => Ok(()),
        }
    }
}

/// What a line has spent on one business day before a purchase.
struct Spent {
    in_all: Fen,
    at_merchant: Fen,
}

/// What a line has spent on one business day, in all and at each merchant; voided purchases left out.
#[derive(Clone, Debug, Default)]
pub struct SpentToday {
    in_all: Fen,
    at: HashMap<MerchantId, Fen>,
}

impl SpentToday {
    /// Adds a purchase that was authorised on the day.
    pub fn add(&mut self, merchant_id: MerchantId, amount: Fen) {
        self.in_all += amount;
        *self.at.entry(merchant_id).or_default() += amount;
    }
}

/// What becomes of a partner's answer that comes by a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Late {
    /// It is the first answer, and counts.
    Counts,
    /// The same answer counts already.
    SaidBefore,
    /// Another answer counts, or the purchase was decided without any.
    TooLate,
}

/// What becomes of a late answer if `stored` is the one that counts so far.
pub fn judge_late_answer(stored: Option<&Answer>, late: &Answer) -> Late {
    match stored {
        None => Late::Counts,
        Some(stored) if stored.word() == late.word() => Late::SaidBefore,
        Some(_) => Late::TooLate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTNER: PurchaseRiskTerms =
        PurchaseRiskTerms::Partner { time_limit_ms: 500, silence_allows_fen: Fen::new(10_000) };

    fn facts(amount: i64, spent: i64, at_merchant: i64) -> Facts {
        Facts {
            line_id: LineId::from_uuid(Uuid::nil()),
            borrower_id: BorrowerId::from_uuid(Uuid::nil()),
            grade: "A".into(),
            merchant_id: MerchantId::from_uuid(Uuid::nil()),
            merchant_category: "home".into(),
            product: "harbour-standard".into(),
            periods: 3,
            amount_fen: Fen::new(amount),
            has_order: false,
            limit_fen: Fen::new(1_000_000),
            used_fen: Fen::ZERO,
            purchases_today: 1,
            spent_today_fen: Fen::new(spent),
            spent_today_at_merchant_fen: Fen::new(at_merchant),
        }
    }

    #[test]
    fn silence_allows_up_to_the_products_amount_and_nothing_under_rules() {
        assert_eq!(RiskWord::Silent.check(Some(PARTNER), Fen::new(10_000)), Ok(()));
        assert_eq!(RiskWord::Silent.check(Some(PARTNER), Fen::new(10_001)), Err(PurchaseRefusal::RiskSilent));
        let rules =
            PurchaseRiskTerms::Rules { amount_per_day_max_fen: Fen::new(99_999), merchant_per_day_max_fen: None };
        assert_eq!(RiskWord::Unasked.check(Some(rules), Fen::new(1)), Err(PurchaseRefusal::RiskSilent));
    }

    #[test]
    fn a_product_that_asks_nobody_takes_any_word() {
        for word in [RiskWord::Unasked, RiskWord::Allowed, RiskWord::Refused, RiskWord::Silent] {
            assert_eq!(word.check(None, Fen::new(1)), Ok(()));
        }
    }

    #[test]
    fn the_rules_bound_a_lines_day_and_its_day_at_one_merchant() {
        let rules = Rules { amount_per_day_max: Fen::new(1_000), merchant_per_day_max: Some(Fen::new(600)) };
        assert_eq!(rules.weigh(&facts(400, 600, 200)), Answer::Allow);
        assert_eq!(rules.weigh(&facts(401, 600, 0)).reason(), Some("amount_per_day"));
        assert_eq!(rules.weigh(&facts(401, 500, 200)).reason(), Some("merchant_per_day"));
    }

    #[test]
    fn the_first_answer_stands() {
        let refusal = Answer::Refuse { reason: "velocity".into() };
        assert_eq!(judge_late_answer(None, &refusal), Late::Counts);
        assert_eq!(judge_late_answer(Some(&refusal), &Answer::Refuse { reason: "other".into() }), Late::SaidBefore);
        assert_eq!(judge_late_answer(Some(&Answer::Silent), &Answer::Allow), Late::TooLate);
    }

    #[test]
    fn what_was_bought_since_counts_in_all_and_at_its_own_merchant() {
        let rules = Rules { amount_per_day_max: Fen::new(1_000), merchant_per_day_max: Some(Fen::new(600)) };
        let [here, there] = [1, 2].map(|number| MerchantId::from_uuid(Uuid::from_u128(number)));
        let mut spent = SpentToday::default();
        spent.add(here, Fen::new(200));
        spent.add(there, Fen::new(100));
        spent.add(here, Fen::new(100));
        let refused = Err(PurchaseRefusal::RefusedByRisk);
        assert_eq!(rules.check(&spent, here, Fen::new(300)), Ok(()));
        assert_eq!(rules.check(&spent, here, Fen::new(301)), refused, "300 were spent here");
        assert_eq!(rules.check(&spent, there, Fen::new(500)), Ok(()));
        assert_eq!(rules.check(&spent, there, Fen::new(501)), refused);
        let without = Rules { merchant_per_day_max: None, ..rules };
        assert_eq!(without.check(&spent, here, Fen::new(600)), Ok(()));
        assert_eq!(without.check(&spent, here, Fen::new(601)), refused, "400 were spent in all");
    }

    #[test]
    fn a_hooks_own_word_needs_no_silence() {
        let amount = Fen::new(10_001);
        assert_eq!(RiskWord::Allowed.check(Some(PARTNER), amount), Ok(()));
        assert_eq!(RiskWord::Refused.check(Some(PARTNER), Fen::new(1)), Err(PurchaseRefusal::RefusedByRisk));
        assert_eq!(RiskWord::Unasked.check(Some(PARTNER), amount), Err(PurchaseRefusal::RiskSilent));
    }
}
