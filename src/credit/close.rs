//! The close's step of credit: lines that have expired and owe nothing are closed.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::change::{self, Change, Note};
use super::store;
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{AccountRange, BusinessDay, When};
use crate::{notice, outbox};

/// Closes every line whose last day is `day` or earlier and that owes nothing, journals it, and tells the funder and the
/// borrower. A line that owes stays until it is paid; its purchases are refused meanwhile.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    let expired = store::find_expired(connection, day, range).await?;
    let locked = store::lock_lines(connection, &expired).await?;
    // Asked only after the lines are locked: until then a payment could be taken back, and a loan owe again.
    let owing: HashSet<LineId> = store::find_owing(connection, &expired).await?.into_iter().collect();
    let (mut lines, mut entries) = (Vec::new(), Vec::new());
    let (mut messages, mut notices) = (Vec::new(), Vec::new());
    for mut line in locked.into_iter().filter(|line| !owing.contains(&line.line_id)) {
        let note = Note {
            reason: "expired".to_owned(),
            source_id: None,
            when: When { business_day: day, at: app.clock.now() },
        };
        // It is refused where principal is owed again, and gives no entry where somebody has closed the line already.
        if let Ok(Some(entry)) = line.apply(Change::Close, note) {
            let product = app.catalogue.get(connection, line.product_id, line.product_version).await?;
            messages.push(change::line_changed(&product.terms.funder, &line, &entry));
            notices.extend(change::told(&line, &entry));
            lines.push(line);
            entries.push(entry);
        }
    }
    store::save_lines(connection, &lines, &entries).await?;
    outbox::store::enqueue(connection, &messages).await?;
    notice::raise(connection, &notices).await?;
    Ok(lines.len() as u64)
}
