//! Use cases of a merchant's agreement: read it, and replace it for purchases to come.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::agreement::{Agreement, AgreementProposal, AgreementStep};
use super::agreement_store::{self, AgreedChange};
use super::model::MerchantRefusal;
use super::{notices, store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::MerchantId;
use crate::base::{Rate, When};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::notice;

/// A merchant's present agreement; `None` where there is no such merchant.
pub async fn find_agreement(app: &App, merchant_id: MerchantId) -> anyhow::Result<Option<Agreement>> {
    let found = store::load_merchants(&mut *app.pool.acquire().await?, &[merchant_id]).await?;
    Ok(found.first().map(|terms| Agreement {
        discount_rate: terms.discount_rate,
        discount_returned_on_refund: terms.discount_returned_on_refund,
    }))
}

/// A new agreement for a merchant, as typed, and the person who states it.
#[derive(Clone, Debug)]
pub struct AgreementChange {
    pub merchant_id: MerchantId,
    pub discount_rate: Rate,
    pub discount_returned_on_refund: bool,
    pub stated_by: String,
}

/// Replaces a merchant's agreement once two people have stated the same new one, since one person alone could otherwise let a
/// merchant pay nothing. It holds from the next purchase on; earlier purchases keep their fee, and whether it is returned on
/// a refund.
pub async fn change_agreement(app: &App, change: &AgreementChange) -> Outcome<AgreementStep, MerchantRefusal> {
    let by = change.stated_by.trim();
    if by.is_empty() {
        return Err(Fault::Refused(MerchantRefusal::ReasonMissing));
    }
    let agreement = Agreement::new(change.discount_rate, change.discount_returned_on_refund).map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let stated = Stated { merchant_id: change.merchant_id, agreement, by };
    let step = state(&mut transaction, app, stated).await;
    database::end(transaction, step).await
}

/// An agreement that is within bounds, and who states it.
struct Stated<'a> {
    merchant_id: MerchantId,
    agreement: Agreement,
    by: &'a str,
}

async fn state(
    connection: &mut PgConnection,
    app: &App,
    stated: Stated<'_>,
) -> Outcome<AgreementStep, MerchantRefusal> {
    let Stated { merchant_id, agreement, by } = stated;
    let agreed = agreement_store::lock_agreed(connection, merchant_id).await?;
    let agreed = agreed.ok_or(Fault::Refused(MerchantRefusal::UnknownMerchant))?;
    let step = agreed.state(agreement, by).map_err(Fault::Refused)?;
    let act = match &step {
        AgreementStep::AlreadyAgreed if agreed.proposal.is_none() => return Ok(AgreementStep::AlreadyAgreed),
        // The same person has stated the same again, which changes nothing.
        AgreementStep::Proposed if agreed.proposal.as_ref().is_some_and(|proposal| proposal.agreement == agreement) => {
            return Ok(AgreementStep::Proposed);
        }
        AgreementStep::AlreadyAgreed => {
            agreement_store::put_proposal(connection, merchant_id, None).await?;
            Act::new(Action::AgreementStated, merchant_id, detail(&agreement))
        }
        AgreementStep::Proposed => {
            let proposal = AgreementProposal { agreement, by: by.to_owned() };
            agreement_store::put_proposal(connection, merchant_id, Some(&proposal)).await?;
            Act::new(Action::AgreementStated, merchant_id, detail(&agreement))
        }
        AgreementStep::Changed { proposed_by } => {
            let change = AgreedChange {
                merchant_id,
                agreement,
                changed_by: &format!("{proposed_by} and {by}"),
                reason: &format!("{agreement}; before: {}", agreed.agreement),
                at: app.clock.now(),
            };
            if !agreement_store::update_agreement(connection, &change).await? {
                return Err(Fault::Refused(MerchantRefusal::UnknownMerchant));
            }
            let when = When { business_day: business_day::store::today(connection).await?, at: change.at };
            notice::raise(connection, &[notices::agreement_changed(merchant_id, &agreement, when)]).await?;
            let detail = json!({ "before": detail(&agreed.agreement), "after": detail(&agreement) });
            Act::new(Action::AgreementChanged, merchant_id, detail)
        }
    };
    audit::record(connection, app, act).await?;
    Ok(step)
}

fn detail(agreement: &Agreement) -> Value {
    json!({
        "discount_rate": agreement.discount_rate,
        "discount_returned_on_refund": agreement.discount_returned_on_refund,
    })
}
