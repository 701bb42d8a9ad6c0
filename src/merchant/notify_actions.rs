//! Sets and clears the address at which a merchant's system is notified of payments.

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

/// The address to set; without a URL the merchant is not notified.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub url: Option<&'a str>,
    pub algorithm: Algorithm,
}

/// Sets the address, whatever its version; it counts from the next payment on.
pub async fn set_notify_url(
    app: &App,
    merchant_id: MerchantId,
    wanted: Wanted<'_>,
) -> Outcome<Notified, NotifyRefusal> {
    set_address(app, merchant_id, wanted, Required::Any).await
}

/// The version that the caller has read, and whether this is the first attempt of the request.
#[derive(Clone, Copy, Debug)]
pub struct VersionRead {
    pub version: i32,
    pub attempt: Attempt,
}

/// As [`set_notify_url`], but refused where the address has another version than the caller has read. A repeated request
/// whose change is made already succeeds.
pub async fn change_notify_url(
    app: &App,
    merchant_id: MerchantId,
    wanted: Wanted<'_>,
    read: VersionRead,
) -> Outcome<Notified, NotifyRefusal> {
    set_address(app, merchant_id, wanted, Required::Version(read)).await
}

/// Which version of the address a change requires.
#[derive(Clone, Copy)]
enum Required {
    Any,
    Version(VersionRead),
}

async fn set_address(
    app: &App,
    merchant_id: MerchantId,
    wanted: Wanted<'_>,
    required: Required,
) -> Outcome<Notified, NotifyRefusal> {
    let reach = app.partners.cashiers().reach();
    let url = wanted.url.map(|url| NotifyUrl::parse(url, reach)).transpose();
    let url = url.map_err(|refusal| Fault::Refused(refusal.into()))?;
    let address = url.map(|url| NotifyAddress { url: url.as_str().to_owned(), algorithm: wanted.algorithm });
    let unknown = || Fault::Refused(NotifyRefusal::Merchant(MerchantRefusal::UnknownMerchant));
    let mut transaction = database::begin(&app.pool).await?;
    store::lock_status(&mut transaction, merchant_id).await?.ok_or_else(unknown)?;
    let stored = notify_store::find(&mut transaction, merchant_id).await?.ok_or_else(unknown)?;
    if let Required::Version(VersionRead { version, attempt }) = required {
        let is_done = stored.version - 1 == version && stored.address == address;
        if attempt == Attempt::Again && is_done {
            return Ok(stored);
        }
        if stored.version != version {
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
