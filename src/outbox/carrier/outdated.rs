//! Messages about bills that are not true any more when they are to be sent: the partner was down, or a close was late, and the
//! borrower has paid meanwhile.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::LineId;
use crate::bill;
use crate::outbox::store::Waiting;

/// The bill that a notice is about, as its body names it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct About {
    line: LineId,
    due_on: BusinessDay,
}

/// Why messages are not to be sent any more, by their numbers; those that still hold are missing.
///
/// # Errors
/// Failures of the database.
pub async fn find(app: &App, batch: &[Waiting]) -> anyhow::Result<HashMap<i64, &'static str>> {
    let about: Vec<(&Waiting, About)> = batch.iter().filter_map(|message| Some((message, about(message)?))).collect();
    if about.is_empty() {
        return Ok(HashMap::new());
    }
    let bills: Vec<(LineId, BusinessDay)> = about.iter().map(|(_, bill)| (bill.line, bill.due_on)).collect();
    let paid = bill::find_paid(&mut *app.pool.acquire().await?, &bills).await?;
    let paid: HashSet<(LineId, BusinessDay)> = paid.into_iter().collect();
    let today = BusinessDay::at(app.clock.now());
    let outdated = about.into_iter().filter_map(|(message, bill)| {
        let is_paid = paid.contains(&(bill.line, bill.due_on));
        Some((message.message_no, why_outdated(&message.kind, bill.due_on, is_paid, today)?))
    });
    Ok(outdated.collect())
}

/// The bill that a message asks to be paid; `None` for messages of other kinds.
fn about(message: &Waiting) -> Option<About> {
    let asks = matches!(message.kind.as_str(), "bill_issued" | DUE_SOON | "overdue");
    asks.then(|| serde_json::from_str(&message.body).ok()).flatten()
}

const DUE_SOON: &str = "due_soon";

/// Why a message that asks for a bill is not sent any more. A bill that is late and unpaid may still be told, but nothing of it
/// falls due soon.
fn why_outdated(kind: &str, due_on: BusinessDay, is_paid: bool, today: BusinessDay) -> Option<&'static str> {
    if is_paid {
        return Some("the bill is paid");
    }
    (kind == DUE_SOON && due_on < today).then_some("the due day has passed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_falls_due_soon_after_its_day_and_nothing_paid_is_asked_for() {
        let day = |text: &str| text.parse::<BusinessDay>().unwrap();
        let why = |kind, is_paid, today| why_outdated(kind, day("2026-03-25"), is_paid, day(today));
        for kind in ["bill_issued", DUE_SOON, "overdue"] {
            assert_eq!(why(kind, false, "2026-03-25"), None, "{kind}");
            assert_eq!(why(kind, true, "2026-03-25"), Some("the bill is paid"), "{kind}");
        }
        assert_eq!(why(DUE_SOON, false, "2026-03-26"), Some("the due day has passed"));
        assert_eq!(why("overdue", false, "2026-03-29"), None);
        assert_eq!(why("bill_issued", false, "2026-03-26"), None);
    }

    #[test]
    fn only_messages_that_ask_for_a_bill_are_about_one() {
        let line = LineId::from_uuid(uuid::Uuid::from_u128(7));
        let at = chrono::DateTime::UNIX_EPOCH;
        let of = |kind: &str, body: serde_json::Value| Waiting {
            message_no: 1,
            kind: kind.to_owned(),
            object_id: uuid::Uuid::nil(),
            body: body.to_string(),
            created_at: at,
            attempts: 0,
            next_attempt_at: at,
        };
        let body = serde_json::json!({ "line": line, "due_on": "2026-03-25", "owed_fen": 5 });
        let bill = About { line, due_on: "2026-03-25".parse().unwrap() };
        assert_eq!(about(&of("overdue", body.clone())), Some(bill));
        assert_eq!(about(&of("withheld", body)), None);
        assert_eq!(about(&of("overdue", serde_json::json!({ "owed_fen": 5 }))), None);
    }
}
