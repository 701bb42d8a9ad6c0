//! Changing a line by hand: freeze, unfreeze, new limit, close.

use serde_json::json;
use sqlx::PgConnection;

use super::change::{self, Change, LineRefusal, Note};
use super::line::{Line, LineStatus};
use super::store;
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::LineId;
use crate::base::{BusinessDay, When};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::{notice, outbox};

/// A change that a person makes.
#[derive(Clone, Debug)]
pub struct ManualChange {
    pub line_id: LineId,
    pub change: Change,
    /// Who, and why.
    pub person: String,
    pub reason: String,
}

/// Changes a line and tells its funder; doing it again changes nothing. Returns the line as it then is.
pub async fn change_line(app: &App, manual: ManualChange) -> Outcome<Line, LineRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let changed = lock_and_change(&mut transaction, app, manual).await;
    database::end(transaction, changed).await
}

async fn lock_and_change(connection: &mut PgConnection, app: &App, manual: ManualChange) -> Outcome<Line, LineRefusal> {
    let line = store::lock_lines(connection, &[manual.line_id]).await?.pop();
    let line = line.ok_or(Fault::Refused(LineRefusal::LineUnknown))?;
    let day = business_day::store::hold_today(connection).await?;
    let before = line.clone();
    let changed = change_locked(connection, app, Locked { line, day }, manual).await?;
    if changed != before {
        let (status, frozen_for) = changed.status.stored();
        let detail = json!({ "status": status, "frozen_for": frozen_for, "limit_fen": changed.limit });
        audit::record(connection, app, Act::new(Action::LineChanged, changed.line_id, detail)).await?;
    }
    Ok(changed)
}

/// A line that the transaction has locked, and the business day that it holds.
pub(super) struct Locked {
    pub line: Line,
    pub day: BusinessDay,
}

/// As [`change_line`], in the caller's transaction.
pub(super) async fn change_locked(
    connection: &mut PgConnection,
    app: &App,
    locked: Locked,
    manual: ManualChange,
) -> Outcome<Line, LineRefusal> {
    let Locked { mut line, day } = locked;
    let product = app.catalogue.get(connection, line.product_id, line.product_version).await?;
    let highest = product.terms.line.limit_max_fen;
    match manual.change {
        Change::Limit(limit) if limit > highest => {
            return Err(Fault::Refused(LineRefusal::LimitAboveHighest { highest }));
        }
        Change::Limit(_) | Change::Freeze(_) | Change::Unfreeze(_) | Change::Close => {}
    }
    // Interest or penalty may be owed although all principal is paid. Whoever owes keeps this line, so that no other one is
    // opened beside it.
    let ends = manual.change == Change::Close && line.status != LineStatus::Closed;
    if ends && !store::find_owing(connection, &[manual.line_id]).await?.is_empty() {
        return Err(Fault::Refused(LineRefusal::LineInUse));
    }
    let reason = format!("person:{}: {}", manual.person, manual.reason);
    let note = Note { reason, source_id: None, when: When { business_day: day, at: app.clock.now() } };
    if let Some(entry) = line.apply(manual.change, note).map_err(Fault::Refused)? {
        let message = change::line_changed(&product.terms.funder, &line, &entry);
        store::save_lines(connection, std::slice::from_ref(&line), std::slice::from_ref(&entry)).await?;
        outbox::store::enqueue(connection, &[message]).await?;
        notice::raise(connection, &change::told(&line, &entry)).await?;
    }
    Ok(line)
}
