//! The WeChat identity of a borrower: signing in by it, and being written to.

use chrono::{DateTime, Utc};

use super::model::BorrowerRefusal;
use super::openid_store::{self, NewIdentity};
use super::{store, subscription_store};
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::database;
use crate::page::session::{self, Proved, Subject};
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

/// Leads a WeChat identity to a borrower, who has just proved to hold the mobile too. It is the only one from then on: whoever had
/// signed in by another one, on a telephone that was given away perhaps, is signed out, and so is the identity's former borrower.
pub async fn link_openid(app: &App, borrower_id: BorrowerId, openid: &str) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    let openid_hash = app.vault.index(Indexed::OpenId, openid);
    let former = openid_store::find(&mut transaction, &openid_hash).await?.filter(|former| *former != borrower_id);
    // Two identities at once, or one that is unlinked or signs in meanwhile: one after the other, so that the last one is the only one.
    let both: Vec<BorrowerId> = former.into_iter().chain([borrower_id]).collect();
    let people = store::lock_people(&mut transaction, &both).await?;
    let person = people.iter().find(|person| person.borrower_id == borrower_id);
    let person = person.ok_or(BorrowerRefusal::BorrowerUnknown)?;
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed)?;
    let identity = NewIdentity {
        borrower_id,
        openid_hash,
        openid_sealed: key.seal(Field::OpenId, openid),
        linked_at: app.clock.now(),
    };
    let former = openid_store::find(&mut transaction, &identity.openid_hash).await?;
    if let Some(former) = former.filter(|former| *former != borrower_id) {
        session::end_by_wechat(&mut transaction, &app.vault, Subject::borrower(former), None).await?;
    }
    session::end_by_wechat(&mut transaction, &app.vault, Subject::borrower(borrower_id), Some(openid)).await?;
    openid_store::release_others(&mut transaction, &identity).await?;
    openid_store::point(&mut transaction, &identity).await?;
    openid_store::forget_others(&mut transaction, &identity).await?;
    subscription_store::forget_others(&mut transaction, borrower_id, &identity.openid_hash, identity.linked_at).await?;
    openid_store::put(&mut transaction, &identity).await?;
    transaction.commit().await?;
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
    openid_store::release(&mut transaction, borrower_id).await?;
    openid_store::delete(&mut transaction, borrower_id).await?;
    subscription_store::delete(&mut transaction, borrower_id).await?;
    session::end_by_wechat(&mut transaction, &app.vault, Subject::borrower(borrower_id), None).await?;
    transaction.commit().await?;
    Ok(())
}
