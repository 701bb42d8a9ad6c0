//! The close's statement step: cuts the bills of lines whose statement day is the day being closed, and reminds borrowers of
//! bills due soon.

use sqlx::error::DatabaseError;
use sqlx::{Connection, PgConnection};

use super::store;
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{AccountRange, BusinessDay, When};

/// With fewer loans than this in a chunk, a second worker would cost more than it saves.
const LOANS_MIN: i64 = 1_000;

/// Divides the lines to be billed into ranges of about `chunk_rows` loans each. Where that would be one range only, it is halved,
/// so that two workers share it; but no range is planned for fewer than `LOANS_MIN` loans.
pub async fn plan(connection: &mut PgConnection, day: BusinessDay, chunk_rows: i64) -> sqlx::Result<Vec<AccountRange>> {
    let days = statement_days(day);
    let loans = store::count_agenda(connection, &days, chunk_rows.saturating_mul(2)).await?;
    let half = ((loans + 1) / 2).max(LOANS_MIN);
    let starts = store::cut_agenda(connection, &days, chunk_rows.min(half)).await?;
    Ok(AccountRange::cut_at(&starts))
}

/// A borrower is reminded of a bill at the close this many days before it falls due: time enough to move money to the card.
const REMINDED_DAYS_BEFORE: u32 = 3;

/// Bills the installments of `range` whose statement is cut on `day`, and reminds borrowers of what is due soon. Returns the
/// rows written.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    store::hold_schedules(connection).await?;
    let when = When { business_day: day, at: app.clock.now() };
    let cut = cut(connection, range, when).await?;
    let reminded = store::remind(connection, day.plus_days(REMINDED_DAYS_BEFORE), range, when).await?;
    Ok(cut + reminded)
}

/// Cuts the statements of one line for a day that has ended, as far as the close has not cut them yet. The caller holds the line
/// and the next business day, and has called [`store::enter_schedules`], so that the close cuts no statements meanwhile.
pub async fn cut_of_line(connection: &mut PgConnection, line_id: LineId, when: When) -> sqlx::Result<()> {
    let only = AccountRange { from: line_id.uuid(), to: line_id.uuid() };
    store::cut_rest_of_statements(connection, &statement_days(when.business_day), only, when).await?;
    Ok(())
}

/// Cuts the statements of `range`. Usually none is there yet, and the faster statement is tried first; if one was cut before,
/// that attempt is rolled back and only what is missing is cut. Returns the rows written.
async fn cut(connection: &mut PgConnection, range: AccountRange, when: When) -> sqlx::Result<u64> {
    let days = statement_days(when.business_day);
    let mut attempt = connection.begin().await?;
    let written = store::cut_statements(&mut attempt, &days, range, when).await;
    match written {
        Ok(rows) => {
            attempt.commit().await?;
            Ok(rows)
        }
        Err(error) if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) => {
            attempt.rollback().await?;
            store::cut_rest_of_statements(connection, &days, range, when).await
        }
        Err(error) => Err(error),
    }
}

/// The statement days, as days of the month, whose statements are cut on `day`: its own, and on a month's last day all later ones too.
fn statement_days(day: BusinessDay) -> Vec<i16> {
    let own = i16::from(day.day_of_month());
    if day.is_month_end() { (own..=31).collect() } else { vec![own] }
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
