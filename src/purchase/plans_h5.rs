//! The plans for an amount, of which somebody at a counter chooses one.

use askama::Template;
use askama_web::WebTemplate;
use chrono::{DateTime, Utc};

use super::offer::PlanOffer;
use crate::base::Fen;
use crate::page::Page;

/// Up to this number of plans are shown without folding any away.
const FEW_PLANS: usize = 8;
const USUAL_PERIODS: [u16; 6] = [1, 3, 6, 12, 24, 36];

#[derive(Template, WebTemplate)]
#[template(path = "purchase/plans.html")]
pub struct PlansPage {
    pub(super) page: Page,
    pub(super) token: String,
    pub(super) merchant_name: String,
    pub(super) key: String,
    pub(super) amount: Fen,
    pub(super) plain_amount: String,
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// Whether the terms have changed since the page that led here was made.
    pub(super) has_changed: bool,
    /// The plan that was chosen there.
    pub(super) former: Option<PlanOffer>,
    /// The name of the plan that is chosen already; empty where none is.
    pub(super) chosen: String,
    pub(super) plans: Vec<PlanOffer>,
}

impl PlansPage {
    /// The keypad with what was typed there; an order, whose amount is given, has none.
    fn keypad(&self) -> Option<String> {
        let typed = self.plain_amount.strip_suffix(".00").unwrap_or(&self.plain_amount);
        // An empty `press` is no key of the keypad: it shows the amount as it was typed.
        self.expires_at.is_none().then(|| format!("/q/{}?amount={typed}&press=&key={}", self.token, self.key))
    }

    /// The plans that most people look for: paid at once, at somebody else's cost, or over a usual number of periods. Where
    /// there are few, all of them.
    fn usual(&self) -> Vec<&PlanOffer> {
        self.plans.iter().filter(|plan| self.is_usual(plan)).collect()
    }

    fn others(&self) -> Vec<&PlanOffer> {
        self.plans.iter().filter(|plan| !self.is_usual(plan)).collect()
    }

    fn is_usual(&self, plan: &PlanOffer) -> bool {
        self.plans.len() <= FEW_PLANS || !plan.costs_borrower() || USUAL_PERIODS.contains(&plan.name.periods)
    }

    fn has_chosen_other(&self) -> bool {
        self.others().iter().any(|plan| plan.name.to_string() == self.chosen)
    }

    /// What a plan asks for each time, in words.
    fn pays(&self, plan: &PlanOffer) -> String {
        if plan.name.periods == 1 {
            return self.page.yuan(&plan.first_payment());
        }
        let said = if plan.is_level() {
            self.page.say("plan-pays-level").with("amount", self.page.yuan(&plan.first_payment()))
        } else {
            let said = self.page.say("plan-pays-uneven").with("first", self.page.yuan(&plan.first_payment()));
            said.with("last", self.page.yuan(&plan.last_payment()))
        };
        said.to_string()
    }

    /// The present form of a plan of an earlier version; `None` where it is no longer sold.
    fn now(&self, former: &PlanOffer) -> Option<&PlanOffer> {
        self.plans.iter().find(|plan| plan.name.is_successor(&former.name))
    }
}
