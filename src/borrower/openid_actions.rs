//! The WeChat identity (openid) of a borrower, by which they sign in and are sent messages.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::BorrowerRefusal;
use super::openid_store::{self, NewIdentity};
use super::store::SealedPerson;
use super::{actions, store, subscription_store};
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::base::person::Mobile;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::page::session::{self, Proved};
use crate::page::subject::Subject;
use crate::page::{SessionKind, Visit};
use crate::vault::{Field, Indexed};

/// Signs a browser in by its WeChat identity, as the borrower to whom it is linked; `None` where it is linked to nobody yet.
pub async fn sign_in(app: &App, visit: &Visit, openid: String) -> anyhow::Result<Option<BorrowerId>> {
    let hash = app.vault.index(Indexed::OpenId, &openid);
    let mut transaction = database::begin(&app.pool).await?;
    let found = openid_store::find(&mut transaction, &hash).await?;
    let borrower_id = match found {
        // From here on, whoever unlinks the identity, links it to somebody else, or erases the person waits for this
        // transaction, and then ends this session too. If that was done just before, the second look finds it.
        Some(found) => {
            store::hold_people(&mut transaction, &[found]).await?;
            openid_store::find(&mut transaction, &hash).await?.filter(|still| *still == found)
        }
        None => None,
    };
    let subject_id = borrower_id.map(|borrower_id| borrower_id.uuid());
    let proved = Proved { subject_id, mobile: None, openid: Some(openid) };
    session::begin_within(&mut transaction, app, visit, SessionKind::Borrower, &proved).await?;
    transaction.commit().await?;
    Ok(borrower_id)
}

/// Signs a browser in by the mobile that was just proved: as the borrower who holds it, or as nobody yet. If the browser came
/// by WeChat, its identity is linked to that borrower.
pub async fn sign_in_by_mobile(app: &App, visit: &Visit, mobile: Mobile, openid: Option<String>) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    let holder = actions::find_holder(&mut transaction, app, &mobile).await?;
    let person = match (holder, &openid) {
        (None, _) => None,
        (Some(holder), None) => store::hold_people(&mut transaction, &[holder]).await?.pop(),
        (Some(holder), Some(openid)) => lock_to_link(&mut transaction, app, holder, openid).await?,
    };
    // Whoever was erased meanwhile, or has given the mobile up, is not signed in: their sessions were ended a moment ago.
    let holder = actions::find_holder(&mut transaction, app, &mobile).await?;
    let person = person.filter(|person| Some(person.borrower_id) == holder);
    if let (Some(person), Some(openid)) = (&person, &openid) {
        link(&mut transaction, app, person, openid).await?;
    }
    let subject_id = person.map(|person| person.borrower_id.uuid());
    // A borrower's mobile is stored with the borrower.
    let mobile = if subject_id.is_some() { None } else { Some(mobile) };
    let proved = Proved { subject_id, mobile, openid };
    session::begin_within(&mut transaction, app, visit, SessionKind::Borrower, &proved).await?;
    transaction.commit().await?;
    Ok(())
}

/// Somebody who has just said who they are, in a browser that has proved a mobile.
#[derive(Clone, Debug)]
pub struct Identified {
    pub borrower_id: BorrowerId,
    pub mobile: Mobile,
    /// The WeChat identity that the browser came by, if any.
    pub openid: Option<String>,
}

/// Signs a browser in as the borrower that its visitor has turned out to be. If it came by WeChat, its identity is linked to
/// that borrower.
///
/// # Errors
/// Refused where the borrower has been erased meanwhile, or has another mobile by now.
pub async fn sign_in_identified(app: &App, visit: &Visit, identified: Identified) -> Outcome<(), BorrowerRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let signed_in = sign_in_as(&mut transaction, app, visit, identified).await;
    database::end(transaction, signed_in).await
}

async fn sign_in_as(
    connection: &mut PgConnection,
    app: &App,
    visit: &Visit,
    identified: Identified,
) -> Outcome<(), BorrowerRefusal> {
    let Identified { borrower_id, mobile, openid } = identified;
    if let Some(openid) = &openid {
        link_openid(connection, app, borrower_id, openid).await?;
    }
    // From here on, whoever erases the person or unlinks the identity waits, and then ends this session too.
    let person = store::hold_people(connection, &[borrower_id]).await?.pop();
    let person = person.ok_or(Fault::Refused(BorrowerRefusal::BorrowerUnknown))?;
    if actions::open_person(&app.vault, &person)?.mobile != mobile {
        return Err(Fault::Refused(BorrowerRefusal::RegisteredElsewhere));
    }
    let proved = Proved { subject_id: Some(borrower_id.uuid()), mobile: None, openid };
    session::begin_within(connection, app, visit, SessionKind::Borrower, &proved).await?;
    Ok(())
}

/// Links a WeChat identity to a borrower who has just proved to hold the mobile too. A borrower has one identity: sessions
/// that began by another one, perhaps on a telephone that was given away, are ended, and so are those of the borrower to whom
/// this one was linked before.
pub async fn link_openid(
    connection: &mut PgConnection,
    app: &App,
    borrower_id: BorrowerId,
    openid: &str,
) -> Outcome<(), BorrowerRefusal> {
    let person = lock_to_link(connection, app, borrower_id, openid).await?;
    let person = person.ok_or(Fault::Refused(BorrowerRefusal::BorrowerUnknown))?;
    Ok(link(connection, app, &person, openid).await?)
}

/// Locks the borrower to whom an identity is to be linked, and the one to whom it is linked now, so that linking, unlinking
/// and signing in by it happen one after the other. `None` where there is no such borrower.
async fn lock_to_link(
    connection: &mut PgConnection,
    app: &App,
    borrower_id: BorrowerId,
    openid: &str,
) -> sqlx::Result<Option<SealedPerson>> {
    let hash = app.vault.index(Indexed::OpenId, openid);
    let mut former = openid_store::find(connection, &hash).await?;
    loop {
        let others = former.into_iter().filter(|former| *former != borrower_id);
        let both: Vec<BorrowerId> = others.chain([borrower_id]).collect();
        let people = store::lock_people(connection, &both).await?;
        let present = openid_store::find(connection, &hash).await?;
        // While this waited for the locks, the identity may have been linked to somebody else, who must then be locked too.
        if present.is_none_or(|present| both.contains(&present)) {
            return Ok(people.into_iter().find(|person| person.borrower_id == borrower_id));
        }
        former = present;
    }
}

/// As [`link_openid`], for a caller that has locked both people.
async fn link(connection: &mut PgConnection, app: &App, person: &SealedPerson, openid: &str) -> anyhow::Result<()> {
    let borrower_id = person.borrower_id;
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed)?;
    let identity = NewIdentity {
        borrower_id,
        openid_hash: app.vault.index(Indexed::OpenId, openid),
        openid_sealed: key.seal(Field::OpenId, openid),
        linked_at: app.clock.now(),
    };
    let former = openid_store::find(connection, &identity.openid_hash).await?;
    if let Some(former) = former.filter(|former| *former != borrower_id) {
        session::end_by_wechat(connection, &app.vault, Subject::borrower(former), None).await?;
    }
    session::end_by_wechat(connection, &app.vault, Subject::borrower(borrower_id), Some(openid)).await?;
    openid_store::release_others(connection, &identity).await?;
    openid_store::point(connection, &identity).await?;
    openid_store::forget_others(connection, &identity).await?;
    subscription_store::forget_others(connection, borrower_id, &identity.openid_hash, identity.linked_at).await?;
    openid_store::put(connection, &identity).await?;
    Ok(())
}

/// Since when a borrower has a linked WeChat identity; `None` where there is none.
pub async fn linked_at(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Option<DateTime<Utc>>> {
    Ok(openid_store::find_linked_at(&mut *app.pool.acquire().await?, borrower_id).await?)
}

/// Unlinks a borrower's WeChat identity: it neither signs them in nor receives messages any more, and sessions that began by
/// it end. Again it changes nothing.
pub async fn unlink_openid(app: &App, borrower_id: BorrowerId) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    store::lock_people(&mut transaction, &[borrower_id]).await?;
    unlink_within(&mut transaction, borrower_id).await?;
    session::end_by_wechat(&mut transaction, &app.vault, Subject::borrower(borrower_id), None).await?;
    transaction.commit().await?;
    Ok(())
}

/// As [`unlink_openid`], for a caller that has locked the person and ends the sessions itself.
pub(super) async fn unlink_within(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    openid_store::release(connection, borrower_id).await?;
    openid_store::delete(connection, borrower_id).await?;
    subscription_store::delete(connection, borrower_id).await
}
