//! What a borrower owes at a glance: what is late, and the next bill.

use uuid::Uuid;

use super::account::OpenInstallment;
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{BusinessDay, Fen};
use crate::bill::own_store::Coming;
use crate::{bill, business_day};

/// What is owed on cut bills, and what will be owed on the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// Owed on bills whose days of grace are over, with penalty; `late_since` is their oldest due day.
    pub late: Fen,
    pub late_since: Option<BusinessDay>,
    /// Owed on bills that are past due but within grace; `grace_until` is the first day on which grace ends for one of them.
    pub graced: Fen,
    pub grace_until: Option<BusinessDay>,
    /// The next due day, and what is due then.
    pub next: Option<(BusinessDay, Fen)>,
    /// If no cut bill is still to fall due: what the next one will ask for, as the schedules are now.
    pub coming: Option<Coming>,
}

/// What is owed on these lines as of today.
pub async fn outlook(app: &App, line_ids: &[LineId]) -> anyhow::Result<Outlook> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let ids: Vec<Uuid> = line_ids.iter().map(|line_id| line_id.uuid()).collect();
    let mut outlook = Outlook::default();
    for billed in bill::store::load_open_installments(&mut connection, &ids).await? {
        let product = app.catalogue.get(&mut connection, billed.product_id, billed.product_version).await?;
        let one = OpenInstallment::new(billed, product);
        outlook.add(Owed {
            due_on: one.billed.due_on(),
            grace_until: one.rule.grace_until(one.billed.due_on()),
            amount: one.owed_on(today).total(),
            today,
        });
    }
    if outlook.next.is_none() {
        outlook.coming = bill::own_store::find_coming(&mut connection, line_ids).await?;
    }
    Ok(outlook)
}

/// What one installment owes.
struct Owed {
    due_on: BusinessDay,
    grace_until: BusinessDay,
    amount: Fen,
    today: BusinessDay,
}

impl Outlook {
    fn add(&mut self, Owed { due_on, grace_until, amount, today }: Owed) {
        let first = |former: Option<BusinessDay>, day: BusinessDay| Some(former.map_or(day, |former| former.min(day)));
        if !amount.is_positive() {
            return;
        }
        if grace_until < today {
            self.late += amount;
            self.late_since = first(self.late_since, due_on);
            return;
        }
        if due_on < today {
            self.graced += amount;
            self.grace_until = first(self.grace_until, grace_until);
            return;
        }
        self.next = match self.next {
            Some((day, _)) if due_on > day => self.next,
            Some((day, sum)) if due_on == day => Some((day, sum + amount)),
            _ => Some((due_on, amount)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_summed_and_the_nearest_due_day_is_next() {
        let day = |text: &str| text.parse::<BusinessDay>().unwrap();
        let mut outlook = Outlook::default();
        let today = day("2026-03-10");
        let owed = [("2026-02-25", 100), ("2026-01-25", 50), ("2026-04-25", 7), ("2026-03-10", 20), ("2026-03-10", 3)];
        for (due_on, fen) in owed.into_iter().chain([("2026-03-07", 9), ("2026-03-08", 2)]) {
            let due_on = day(due_on);
            outlook.add(Owed { due_on, grace_until: due_on.plus_days(3), amount: Fen::new(fen), today });
        }
        let expected = Outlook {
            late: Fen::new(150),
            late_since: Some(day("2026-01-25")),
            // The last day of grace is still within grace.
            graced: Fen::new(11),
            grace_until: Some(today),
            next: Some((today, Fen::new(23))),
            coming: None,
        };
        assert_eq!(outlook, expected);
    }
}
