//! Where a merchant's system hears of payments: set and clear it.

use serde_json::json;

use super::model::MerchantRefusal;
use super::notification::{Notified, NotifyAddress};
use super::{notify_store, store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::MerchantId;
use crate::database;
use crate::error::{Attempt, Fault, Outcome, Refusal};
use crate::partner::key::Algorithm;
use crate::partner::merchant_cashier::{NotifyUrl, UrlRefusal};

/// Why an address is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyRefusal {
    #[error(transparent)]
    Url(#[from] UrlRefusal),
    #[error(transparent)]
    Merchant(#[from] MerchantRefusal),
    #[error("somebody changed the address since it was read; read it again")]
    ChangedSince,
}

impl Refusal for NotifyRefusal {
    fn code(&self) -> &'static str {
        match self {
            NotifyRefusal::Url(refusal) => refusal.code(),
            NotifyRefusal::Merchant(refusal) => refusal.code(),
            NotifyRefusal::ChangedSince => "precondition_failed",
        }
    }
}

/// Where a merchant is to be notified; without a URL nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub url: Option<&'a str>,
    pub algorithm: Algorithm,
}

/// Has the merchant notified as `wanted` from the next payment on, whatever stood before.
pub async fn set_notify_url(
    app: &App,
    merchant_id: MerchantId,
    wanted: Wanted<'_>,
) -> Outcome<Notified, NotifyRefusal> {
    set_where(app, merchant_id, wanted, Read::Nothing).await
}

/// What whoever changes an address has read, and whether it is asked for the first time.
#[derive(Clone, Copy, Debug)]
pub struct VersionRead {
    pub version: i32,
    pub attempt: Attempt,
}

/// As [`set_notify_url`], but only if the address is still in the version that was read. Asked again, what was done already is not refused.
pub async fn change_notify_url(
    app: &App,
    merchant_id: MerchantId,
    wanted: Wanted<'_>,
    read: VersionRead,
) -> Outcome<Notified, NotifyRefusal> {
    set_where(app, merchant_id, wanted, Read::Version(read)).await
}

/// What stands, as whoever changes it has read it.
#[derive(Clone, Copy)]
enum Read {
    /// It is changed whatever stands.
    Nothing,
    Version(VersionRead),
}

async fn set_where(
    app: &App,
    merchant_id: MerchantId,
    wanted: Wanted<'_>,
    read: Read,
) -> Outcome<Notified, NotifyRefusal> {
    let reach = app.partners.cashiers().reach();
    let url = wanted.url.map(|url| NotifyUrl::parse(url, reach)).transpose();
    let url = url.map_err(|refusal| Fault::Refused(refusal.into()))?;
    let address = url.map(|url| NotifyAddress { url: url.as_str().to_owned(), algorithm: wanted.algorithm });
    let unknown = || Fault::Refused(NotifyRefusal::Merchant(MerchantRefusal::UnknownMerchant));
    let mut transaction = database::begin(&app.pool).await?;
    store::lock_status(&mut transaction, merchant_id).await?.ok_or_else(unknown)?;
    let standing = notify_store::find(&mut transaction, merchant_id).await?.ok_or_else(unknown)?;
    if let Read::Version(VersionRead { version, attempt }) = read {
        let is_done = standing.version - 1 == version && standing.address == address;
        if attempt == Attempt::Again && is_done {
            return Ok(standing);
        }
        if standing.version != version {
            return Err(Fault::Refused(NotifyRefusal::ChangedSince));
        }
    }
    let version = notify_store::set(&mut transaction, merchant_id, address.as_ref()).await?;
    let url_sha256 = address.as_ref().map(|address| audit::fingerprint(&address.url));
    let detail = json!({ "url_sha256": url_sha256, "version": version });
    audit::record(&mut transaction, app, Act::new(Action::NotifyAddressSet, merchant_id, detail)).await?;
    transaction.commit().await?;
    Ok(Notified { address, version })
}
