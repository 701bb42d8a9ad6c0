//! Where a merchant's system hears of payments: set and clear it.

use super::model::MerchantRefusal;
use super::notify_store::{self, NotifyAddress};
use crate::app::App;
use crate::base::id::MerchantId;
use crate::error::{Fault, Outcome, Refusal};
use crate::partner::key::Algorithm;
use crate::partner::merchant_cashier::{NotifyUrl, UrlRefusal};

/// Why an address is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyRefusal {
    #[error(transparent)]
    Url(#[from] UrlRefusal),
    #[error(transparent)]
    Merchant(#[from] MerchantRefusal),
}

impl Refusal for NotifyRefusal {
    fn code(&self) -> &'static str {
        match self {
            NotifyRefusal::Url(refusal) => refusal.code(),
            NotifyRefusal::Merchant(refusal) => refusal.code(),
        }
    }
}

/// Notifies the merchant at `url` from the next payment on, signed in `algorithm`; without a URL no more.
pub async fn set_notify_url(
    app: &App,
    merchant_id: MerchantId,
    url: Option<&str>,
    algorithm: Algorithm,
) -> Outcome<Option<NotifyAddress>, NotifyRefusal> {
    let reach = app.partners.cashiers().reach();
    let url = url.map(|url| NotifyUrl::parse(url, reach)).transpose();
    let url = url.map_err(|refusal| Fault::Refused(refusal.into()))?;
    let address = url.map(|url| NotifyAddress { url: url.as_str().to_owned(), algorithm });
    let mut connection = app.pool.acquire().await?;
    if !notify_store::set(&mut connection, merchant_id, address.as_ref()).await? {
        return Err(Fault::Refused(NotifyRefusal::Merchant(MerchantRefusal::UnknownMerchant)));
    }
    Ok(address)
}
