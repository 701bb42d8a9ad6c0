//! Writing what a person did into the audit trail, and walking along the trail.

use sqlx::PgConnection;

use super::entry::{Act, Link, Misfit};
use super::store::{self, Search};
use crate::app::App;

/// Entries that are read at once.
const PAGE_ROWS: usize = 1_000;

/// Writes an act down in the caller's transaction, if it is a person's: what the program does by itself, and what borrowers and
/// merchants do on their pages, is none. The head of the trail is locked, so this comes last, when nothing else is left to be locked.
pub async fn record(connection: &mut PgConnection, app: &App, act: Act) -> sqlx::Result<()> {
    let Some(person) = &app.person else { return Ok(()) };
    let head = store::lock_head(connection).await?;
    store::append(connection, &head.next(person, act, app.clock.now())).await
}

/// Walks along the whole trail up to the head that was remembered; tells what does not fit first. In a transaction that sees one
/// instant.
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

/// Whether a head that somebody kept is still in the trail. What came before it is unchanged where [`find_misfit`] finds nothing, too.
///
/// # Errors
/// Failures of the database.
pub async fn is_in_trail(connection: &mut PgConnection, kept: &Link) -> sqlx::Result<bool> {
    if *kept == Link::beginning() {
        return Ok(true);
    }
    Ok(store::find_link(connection, kept.entry_no).await?.is_some_and(|link| link == *kept))
}
