//! Stages of lateness: what happens to a bill once one of its installments has been unpaid for a given number of days.

use crate::base::BusinessDay;
use crate::product::Terms;

/// One thing that happens to a bill of which an installment is still unpaid on a certain day.
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

    /// After how many days past due it happens, by the terms of the line; never within the `grace_days` of the loan, which may have been
    /// made under other terms.
    fn days_past_due(self, terms: &Terms, grace_days: u16) -> u32 {
        let of_line = match self {
            Stage::Overdue => 0,
            Stage::Freeze => terms.overdue.freeze_day,
            Stage::Claim => terms.overdue.claim_day,
            Stage::ChargeOff => terms.overdue.charge_off_day,
        };
        u32::from(of_line).max(u32::from(grace_days) + 1)
    }

    /// The day at whose close an installment due on `due_on` reaches this stage.
    pub fn day_of(self, terms: &Terms, grace_days: u16, due_on: BusinessDay) -> BusinessDay {
        due_on.plus_days(self.days_past_due(terms, grace_days))
    }

    /// The due day of the installments that reach this stage at the close of `day`.
    pub fn due_on(self, terms: &Terms, grace_days: u16, day: BusinessDay) -> BusinessDay {
        day.minus_days(self.days_past_due(terms, grace_days))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::file;

    #[test]
    fn each_stage_is_reached_so_many_days_after_the_due_day() {
        let mut terms = file::parse(file::SHIPPED[0]).unwrap();
        (terms.overdue.freeze_day, terms.overdue.claim_day, terms.overdue.charge_off_day) = (6, 80, 181);
        let due_on: BusinessDay = "2026-03-25".parse().unwrap();
        let days = |grace_days| Stage::ALL.map(|stage| stage.day_of(&terms, grace_days, due_on).to_string());
        // Overdue on the day after three of grace.
        assert_eq!(days(3), ["2026-03-29", "2026-03-31", "2026-06-13", "2026-09-22"]);
        // Of a loan with more grace than its line's terms have, nothing is late before.
        assert_eq!(days(10), ["2026-04-05", "2026-04-05", "2026-06-13", "2026-09-22"]);
        assert!(Stage::ALL.iter().all(|stage| stage.due_on(&terms, 10, stage.day_of(&terms, 10, due_on)) == due_on));
    }
}
