//! The close's statement step: cuts the bills of lines whose statement day is the day being closed.

use sqlx::PgConnection;

use super::store;
use crate::app::App;
use crate::base::{AccountRange, BusinessDay};

/// Days of month that are cut on `day`: its own, and at the month's end every later one too.
fn statement_days(day: BusinessDay) -> Vec<i16> {
    let own = i16::from(day.day_of_month());
    if day.is_month_end() { (own..=31).collect() } else { vec![own] }
}

/// Cuts the lines to be billed into ranges of about `chunk_rows` loans each.
pub async fn plan(connection: &mut PgConnection, day: BusinessDay, chunk_rows: i64) -> sqlx::Result<Vec<AccountRange>> {
    let starts = store::cut_agenda(connection, &statement_days(day), chunk_rows).await?;
    Ok(AccountRange::cut_at(&starts))
}

/// Days before the due day, counted from the close, in which a borrower can still move money to the card.
const REMINDED_BEFORE: u32 = 3;

/// Bills the installments of `range` whose statement is cut on `day`, and reminds borrowers of what is due soon. Returns the
/// rows written.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    store::hold_schedules(connection).await?;
    let now = app.clock.now();
    let cut = store::cut_statements(connection, day, &statement_days(day), range, now).await?;
    let reminded = store::remind(connection, day, day.plus_days(REMINDED_BEFORE), range, now).await?;
    Ok(cut + reminded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_short_month_cuts_the_later_days_too() {
        assert_eq!(statement_days("2026-02-28".parse().unwrap()), [28, 29, 30, 31]);
        assert_eq!(statement_days("2026-03-31".parse().unwrap()), [31]);
        assert_eq!(statement_days("2026-03-30".parse().unwrap()), [30]);
    }
}
