//! What a borrower owes at a glance: what is late, and the next bill.

use uuid::Uuid;

use super::account::OpenInstallment;
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{BusinessDay, Fen};
use crate::{bill, business_day};

/// What is owed on bills that were cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// On bills whose due day has passed, penalty included, and the oldest of those days.
    pub late: Fen,
    pub late_since: Option<BusinessDay>,
    /// The next due day, and what is due then.
    pub next: Option<(BusinessDay, Fen)>,
}

/// What is owed on these lines as of today.
pub async fn outlook(app: &App, line_ids: &[LineId]) -> anyhow::Result<Outlook> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let line_ids: Vec<Uuid> = line_ids.iter().map(|line_id| line_id.uuid()).collect();
    let mut outlook = Outlook::default();
    for billed in bill::store::load_open_installments(&mut connection, &line_ids).await? {
        let product = app.catalogue.get(&mut connection, billed.product_id, billed.product_version).await?;
        let due_on = billed.due_on();
        let owed = OpenInstallment::new(billed, product).owed_on(today).total();
        outlook.add(due_on, owed, today);
    }
    Ok(outlook)
}

impl Outlook {
    fn add(&mut self, due_on: BusinessDay, owed: Fen, today: BusinessDay) {
        if !owed.is_positive() {
            return;
        }
        if due_on < today {
            self.late += owed;
            self.late_since = Some(self.late_since.map_or(due_on, |since| since.min(due_on)));
            return;
        }
        self.next = match self.next {
            Some((day, _)) if due_on > day => self.next,
            Some((day, sum)) if due_on == day => Some((day, sum + owed)),
            _ => Some((due_on, owed)),
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
        for (due_on, fen) in
            [("2026-02-25", 100), ("2026-01-25", 50), ("2026-04-25", 7), ("2026-03-10", 20), ("2026-03-10", 3)]
        {
            outlook.add(day(due_on), Fen::new(fen), today);
        }
        let next = Some((today, Fen::new(23)));
        assert_eq!(outlook, Outlook { late: Fen::new(150), late_since: Some(day("2026-01-25")), next });
    }
}
