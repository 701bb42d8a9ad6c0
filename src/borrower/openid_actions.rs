//! The WeChat identity of a borrower: signing in by it, and being written to.

use super::model::BorrowerRefusal;
use super::openid_store::{self, NewIdentity};
use super::{store, subscription_store};
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::database;
use crate::vault::{Field, Indexed};

/// The borrower whom a WeChat identity leads to.
pub async fn find_by_openid(app: &App, openid: &str) -> anyhow::Result<Option<BorrowerId>> {
    let hash = app.vault.index(Indexed::OpenId, openid);
    Ok(openid_store::find(&mut *app.pool.acquire().await?, &hash).await?)
}

/// Leads a WeChat identity to a borrower, who has just proved to hold the mobile too.
pub async fn link_openid(app: &App, borrower_id: BorrowerId, openid: &str) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    let people = store::find_people(&mut transaction, &[borrower_id]).await?;
    let person = people.first().ok_or(BorrowerRefusal::BorrowerUnknown)?;
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed)?;
    let identity = NewIdentity {
        borrower_id,
        openid_hash: app.vault.index(Indexed::OpenId, openid),
        openid_sealed: key.seal(Field::OpenId, openid),
        linked_at: app.clock.now(),
    };
    openid_store::point(&mut transaction, &identity).await?;
    openid_store::forget_others(&mut transaction, &identity).await?;
    subscription_store::forget_others(&mut transaction, borrower_id, &identity.openid_hash, identity.linked_at).await?;
    openid_store::put(&mut transaction, &identity).await?;
    transaction.commit().await?;
    Ok(())
}
