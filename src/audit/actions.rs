//! Writes what a person did into the audit trail, and checks the trail.

use sqlx::PgConnection;

use super::entry::{Act, Link, Misfit};
use super::store::{self, Search};
use crate::app::App;

/// How many entries are read in one query.
const PAGE_ROWS: usize = 1_000;

/// Records an act in the caller's transaction, if a person does it by hand. What the program does by itself, and what
/// borrowers and merchants do on their pages, is not recorded. This locks the head of the trail, so it must come last, when
/// no other lock is left to take.
pub async fn record(connection: &mut PgConnection, app: &App, act: Act) -> sqlx::Result<()> {
    let Some(person) = &app.person else { return Ok(()) };
    let head = store::lock_head(connection).await?;
    store::append(connection, &head.next(person, act, app.clock.now())).await
}

/// Checks the whole trail, from its beginning to the stored head, and returns the first misfit. The transaction must see one
/// snapshot.
///
/// # Errors
/// Failures of the database.
pub async fn find_misfit(connection: &mut PgConnection) -> sqlx::Result<Option<Misfit>> {
    let head = store::find_head(connection).await?;
    let mut last = Link::beginning();
    loop {
        let search = Search { after_no: last.entry_no, ..Search::default() };
        let page = store::list(connection, search, PAGE_ROWS as i64).await?;
        for entry in &page {
            match last.accept(entry) {
                Ok(link) => last = link,
                Err(misfit) => return Ok(Some(misfit)),
            }
        }
        if page.len() < PAGE_ROWS {
            break;
        }
    }
    let is_head = head.is_some_and(|head| head == last);
    Ok((!is_head).then_some(Misfit::OtherHead(last.entry_no)))
}

/// Whether a head that somebody has kept elsewhere is still in the trail. If it is, and [`find_misfit`] finds nothing,
/// everything before it is unchanged.
///
/// # Errors
/// Failures of the database.
pub async fn is_in_trail(connection: &mut PgConnection, kept: &Link) -> sqlx::Result<bool> {
    if *kept == Link::beginning() {
        return Ok(true);
    }
    Ok(store::find_link(connection, kept.entry_no).await?.is_some_and(|link| link == *kept))
}
