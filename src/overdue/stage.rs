//! Stages of lateness: what happens to a bill once it has been unpaid for a given number of days.

use crate::base::BusinessDay;
use crate::product::Terms;

/// One thing that happens to a bill that is still unpaid on a certain day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Grace is over: borrower and funder are told.
    Overdue,
    /// The line takes no more purchases.
    Freeze,
    /// The guarantor may be claimed on: an operator and the funder are told.
    Claim,
    /// The loans in it are written off in their funder's book: an operator and the funder are told.
    ChargeOff,
}

impl Stage {
    pub const ALL: [Stage; 4] = [Stage::Overdue, Stage::Freeze, Stage::Claim, Stage::ChargeOff];

    /// After how many days past due it happens, by the terms of the line.
    fn days_past_due(self, terms: &Terms) -> u32 {
        match self {
            Stage::Overdue => u32::from(terms.penalty.grace_days) + 1,
            Stage::Freeze => u32::from(terms.overdue.freeze_day),
            Stage::Claim => u32::from(terms.overdue.claim_day),
            Stage::ChargeOff => u32::from(terms.overdue.charge_off_day),
        }
    }

    /// The day at whose close a bill due on `due_on` reaches this stage.
    pub fn day_of(self, terms: &Terms, due_on: BusinessDay) -> BusinessDay {
        due_on.plus_days(self.days_past_due(terms))
    }

    /// The due day of the bills that reach this stage at the close of `day`.
    pub fn due_on(self, terms: &Terms, day: BusinessDay) -> BusinessDay {
        day.minus_days(self.days_past_due(terms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;

    #[test]
    fn each_stage_is_reached_so_many_days_after_the_due_day() {
        let mut terms = file::parse(file::SHIPPED[0]).unwrap();
        terms.penalty.grace_days = 3;
        (terms.overdue.freeze_day, terms.overdue.claim_day, terms.overdue.charge_off_day) = (6, 80, 181);
        let due_on: BusinessDay = "2026-03-25".parse().unwrap();
        let days = Stage::ALL.map(|stage| stage.day_of(&terms, due_on).to_string());
        // Overdue on the day after three of grace.
        assert_eq!(days, ["2026-03-29", "2026-03-31", "2026-06-13", "2026-09-22"]);
        assert!(Stage::ALL.iter().all(|stage| stage.due_on(&terms, stage.day_of(&terms, due_on)) == due_on));
    }
}
