//! The WeChat identity of a borrower: signing in by it, and being written to.

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

/// Signs a browser in by its WeChat identity, as the borrower whom that leads to; `None` where it leads to nobody yet.
pub async fn sign_in(app: &App, visit: &Visit, openid: String) -> anyhow::Result<Option<BorrowerId>> {
    let hash = app.vault.index(Indexed::OpenId, &openid);
    let mut transaction = database::begin(&app.pool).await?;
    let found = openid_store::find(&mut transaction, &hash).await?;
    let borrower_id = match found {
        // Whoever unlinks it, links it to somebody else, or erases the person waits from here on, and ends this session too; or has
        // done it by now, and the identity leads nowhere.
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

/// Signs a browser in by the mobile that was just proved, as the borrower who holds it, or as nobody yet; a WeChat identity that it came by
/// leads to that borrower from then on.
pub async fn sign_in_by_mobile(app: &App, visit: &Visit, mobile: Mobile, openid: Option<String>) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    let holder = actions::find_holder(&mut transaction, app, &mobile).await?;
    let person = match (holder, &openid) {
        (None, _) => None,
        (Some(holder), None) => store::hold_people(&mut transaction, &[holder]).await?.pop(),
        (Some(holder), Some(openid)) => lock_to_link(&mut transaction, app, holder, openid).await?,
    };
    // Whoever was erased meanwhile, or has given the mobile up, is not signed in after all sessions of theirs were ended.
    let holder = actions::find_holder(&mut transaction, app, &mobile).await?;
    let person = person.filter(|person| Some(person.borrower_id) == holder);
    if let (Some(person), Some(openid)) = (&person, &openid) {
        link(&mut transaction, app, person, openid).await?;
    }
    let subject_id = person.map(|person| person.borrower_id.uuid());
    // A borrower's mobile stands with the borrower.
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

/// Signs a browser in as the borrower that its visitor has turned out to be; a WeChat identity that it came by leads to that borrower from
/// then on.
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
    // Whoever erases the person, or unlinks the identity, waits from here on, and ends this session too.
    let person = store::hold_people(connection, &[borrower_id]).await?.pop();
    let person = person.ok_or(Fault::Refused(BorrowerRefusal::BorrowerUnknown))?;
    if actions::open_person(&app.vault, &person)?.mobile != mobile {
        return Err(Fault::Refused(BorrowerRefusal::RegisteredElsewhere));
    }
    let proved = Proved { subject_id: Some(borrower_id.uuid()), mobile: None, openid };
    session::begin_within(connection, app, visit, SessionKind::Borrower, &proved).await?;
    Ok(())
}

/// Leads a WeChat identity to a borrower, who has just proved to hold the mobile too. It is the only one from then on: whoever had
/// signed in by another one, on a telephone that was given away perhaps, is signed out, and so is the identity's former borrower.
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

/// Locks the borrower to whom an identity is to lead, and whomever it leads to: two identities at once, or one that is unlinked or signs
/// in meanwhile, come one after the other, so that the last one is the only one. `None` where there is no such borrower.
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
        // While these were waited for it may have been led to somebody else, who could sign in by it beside what follows.
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

/// Since when a borrower has been known in WeChat; `None` for whoever is not.
pub async fn linked_at(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Option<DateTime<Utc>>> {
    Ok(openid_store::find_linked_at(&mut *app.pool.acquire().await?, borrower_id).await?)
}

/// Lets no WeChat identity sign the borrower in any more, or be written to; whoever is signed in by one is signed out. Again it
/// changes nothing.
pub async fn unlink_openid(app: &App, borrower_id: BorrowerId) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    store::lock_people(&mut transaction, &[borrower_id]).await?;
    unlink_within(&mut transaction, borrower_id).await?;
    session::end_by_wechat(&mut transaction, &app.vault, Subject::borrower(borrower_id), None).await?;
    transaction.commit().await?;
    Ok(())
}

/// As [`unlink_openid`], for a caller that has locked the person and sees to the sessions.
pub(super) async fn unlink_within(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    openid_store::release(connection, borrower_id).await?;
    openid_store::delete(connection, borrower_id).await?;
    subscription_store::delete(connection, borrower_id).await
}
