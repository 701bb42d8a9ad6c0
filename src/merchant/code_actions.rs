//! Use cases of codes: print the static one, show one, close one.

use sqlx::PgConnection;

use super::code::{Code, CodeKind, CodeRefusal, CodeStatus, MerchantOnCode};
use super::model::{Category, MerchantStatus};
use super::{code_store, store};
use crate::app::App;
use crate::base::id::{CodeId, MerchantId};
use crate::database;
use crate::error::{Fault, Outcome, Step};

/// The merchant's static code, made the first time it is asked for.
pub async fn open_static_code(app: &App, merchant_id: MerchantId) -> Outcome<Code, CodeRefusal> {
    let mut connection = app.pool.acquire().await?;
    let now = app.clock.now();
    let code = Code { code_id: CodeId::mint(now), merchant_id, kind: CodeKind::Static, status: CodeStatus::Open };
    if code_store::insert_code(&mut connection, &code, now).await? {
        return Ok(code);
    }
    require_active(&mut connection, merchant_id).await?;
    let existing = code_store::find_code_of(&mut connection, merchant_id, None).await?;
    existing.ok_or(Fault::Refused(CodeRefusal::UnknownCode))
}

/// A code in the forms in which it is printed or shown.
#[derive(Clone, Debug)]
pub struct CodeForms {
    /// Any camera opens it.
    pub link: String,
    /// For wallets that read the EMVCo form; `None` where the merchant stated no name and city in Latin letters.
    pub payload: Option<String>,
}

/// The forms of an order's code, by the order's reference; without one, those of the merchant's static code, which is made
/// the first time it is asked for.
pub async fn code_forms(
    app: &App,
    merchant_id: MerchantId,
    reference: Option<&str>,
) -> Outcome<CodeForms, CodeRefusal> {
    let code = match reference {
        None => open_static_code(app, merchant_id).await?,
        Some(reference) => {
            let mut connection = app.pool.acquire().await?;
            let found = code_store::find_code_of(&mut connection, merchant_id, Some(reference)).await?;
            found.ok_or(Fault::Refused(CodeRefusal::UnknownCode))?
        }
    };
    let merchant = store::find_merchant(&mut *app.pool.acquire().await?, merchant_id).await?;
    let merchant = merchant.ok_or(Fault::Refused(CodeRefusal::UnknownMerchant))?;
    let category = merchant.category.parse::<Category>().map_err(anyhow::Error::new)?;
    let payload = match (merchant.latin_name, merchant.latin_city) {
        (Some(latin_name), Some(latin_city)) => {
            let on_code = MerchantOnCode { name: merchant.name, category, latin_name, latin_city };
            Some(code.merchant_presented(&on_code).map_err(anyhow::Error::new)?)
        }
        (Some(_), None) | (None, _) => None,
    };
    Ok(CodeForms { link: code.link(&app.site.link("")), payload })
}

/// Closes a code that will not be paid; a paid one stays paid.
pub async fn close_code(app: &App, code_id: CodeId) -> Outcome<Step, CodeRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    if code_store::close_code(&mut transaction, code_id).await? {
        transaction.commit().await?;
        return Ok(Step::Applied);
    }
    match code_store::find_code(&mut transaction, code_id).await?.map(|code| code.status) {
        Some(CodeStatus::Closed) => Ok(Step::AlreadyApplied),
        Some(CodeStatus::Paid { .. }) => Err(Fault::Refused(CodeRefusal::OrderPaid)),
        Some(CodeStatus::Voided { .. }) => Err(Fault::Refused(CodeRefusal::OrderVoided)),
        // No code is ever opened again, so the update above would have closed an open one.
        Some(CodeStatus::Open) | None => Err(Fault::Refused(CodeRefusal::UnknownCode)),
    }
}

/// Refuses where the merchant may not sell.
pub(super) async fn require_active(connection: &mut PgConnection, merchant_id: MerchantId) -> Outcome<(), CodeRefusal> {
    let found = store::load_merchants(connection, &[merchant_id]).await?;
    match found.first().map(|merchant| merchant.status) {
        Some(MerchantStatus::Active) => Ok(()),
        Some(status) => Err(Fault::Refused(CodeRefusal::MerchantNotActive { status })),
        None => Err(Fault::Refused(CodeRefusal::UnknownMerchant)),
    }
}
