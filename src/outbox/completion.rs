//! Events as they are told: what stands elsewhere for good is left out of an event's row, and added when the row is read.

use serde::Deserialize;
use sqlx::PgConnection;

use super::store::Waiting;
use crate::base::id::{LineId, LoanId};
use crate::loan::{Schedule, first_schedules};

const LOAN_MADE: &str = "loan_made";

/// Adds the first schedule to each event of a loan that was made, in one statement for all of them; other events are left as
/// they are. A purchase does not write its schedule twice. A first schedule never changes, so that such an event is told in the
/// same bytes whenever that happens.
///
/// # Errors
/// Failures of the database.
pub async fn complete(connection: &mut PgConnection, events: &mut [Waiting]) -> anyhow::Result<()> {
    let made: Vec<(LineId, LoanId)> = events.iter().filter_map(made).collect();
    if made.is_empty() {
        return Ok(());
    }
    let schedules = first_schedules(connection, &made).await?;
    for event in events.iter_mut().filter(|event| event.kind == LOAN_MADE) {
        if let Some(schedule) = schedules.get(&LoanId::from_uuid(event.object_id)) {
            event.body = with_schedule(&event.body, schedule)?;
        }
    }
    Ok(())
}

/// The line and the loan of an event that tells of a new loan.
fn made(event: &Waiting) -> Option<(LineId, LoanId)> {
    #[derive(Deserialize)]
    struct Made {
        line_id: LineId,
    }
    let made: Made = (event.kind == LOAN_MADE).then(|| serde_json::from_str(&event.body).ok())??;
    Some((made.line_id, LoanId::from_uuid(event.object_id)))
}

/// The body, which is an object with fields, and one more.
fn with_schedule(body: &str, schedule: &Schedule) -> serde_json::Result<String> {
    let fields = body.strip_suffix('}').unwrap_or(body);
    Ok(format!("{fields}, \"installments\": {}}}", serde_json::to_string(&schedule.told())?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::Fen;
    use crate::loan::Installment;
    use crate::outbox::catalogue;

    #[test]
    fn a_loan_that_was_made_is_told_with_each_installment_as_the_catalogue_shows_it() {
        let kind = catalogue::find(LOAN_MADE).unwrap();
        let mut stored = kind.example();
        let told = stored.as_object_mut().unwrap().remove("installments").unwrap();
        let installment = |row: &Value| Installment {
            due_on: row["due_on"].as_str().unwrap().parse().unwrap(),
            principal: Fen::new(row["principal_fen"].as_i64().unwrap()),
            interest: Fen::new(row["interest_fen"].as_i64().unwrap()),
            fee: Fen::new(row["fee_fen"].as_i64().unwrap()),
        };
        let schedule = Schedule { installments: told.as_array().unwrap().iter().map(installment).collect() };
        assert_eq!(json!(schedule.principal()), stored["principal_fen"]);
        let body = with_schedule(&stored.to_string(), &schedule).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), kind.example());
    }
}
