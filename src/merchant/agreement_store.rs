//! SQL of merchants' agreements, and of the proposals to replace them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::agreement::{Agreed, Agreement, AgreementProposal};
use super::model::MerchantStatus;
use crate::base::Rate;
use crate::base::id::MerchantId;

/// A merchant's agreement and what is proposed in its place, with the merchant locked; `None` where there is no such
/// merchant.
pub async fn lock_agreed(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Option<Agreed>> {
    let row = sqlx::query!(
        r#"select status as "status: MerchantStatus", discount_rate as "discount_rate: Rate", discount_returned_on_refund,
                  agreement_proposed_rate as "proposed_rate: Rate", agreement_proposed_returned as proposed_returned,
                  agreement_proposed_by as proposed_by
           from merchant where merchant_id = $1 for no key update"#,
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let (discount_rate, discount_returned_on_refund) = (row.discount_rate, row.discount_returned_on_refund);
        Agreed {
            status: row.status,
            agreement: Agreement { discount_rate, discount_returned_on_refund },
            proposal: proposal_of(row.proposed_rate, row.proposed_returned, row.proposed_by),
        }
    }))
}

/// The agreement that is proposed for a merchant; `None` where none is, or there is no such merchant.
pub async fn find_proposal(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Option<AgreementProposal>> {
    let row = sqlx::query!(
        r#"select agreement_proposed_rate as "proposed_rate: Rate", agreement_proposed_returned as proposed_returned,
                  agreement_proposed_by as proposed_by
           from merchant where merchant_id = $1"#,
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| proposal_of(row.proposed_rate, row.proposed_returned, row.proposed_by)))
}

fn proposal_of(rate: Option<Rate>, is_returned: Option<bool>, by: Option<String>) -> Option<AgreementProposal> {
    let agreement = Agreement { discount_rate: rate?, discount_returned_on_refund: is_returned? };
    Some(AgreementProposal { agreement, by: by? })
}

/// Stores a proposal in place of any other; `None` removes it.
pub async fn put_proposal(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    proposal: Option<&AgreementProposal>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update merchant set agreement_proposed_rate = $2, agreement_proposed_returned = $3, agreement_proposed_by = $4
         where merchant_id = $1",
        merchant_id.uuid(),
        proposal.map(|proposal| proposal.agreement.discount_rate.fraction()),
        proposal.map(|proposal| proposal.agreement.discount_returned_on_refund),
        proposal.map(|proposal| proposal.by.as_str())
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A new agreement that two people have stated.
#[derive(Debug)]
pub struct AgreedChange<'a> {
    pub merchant_id: MerchantId,
    pub agreement: Agreement,
    pub changed_by: &'a str,
    /// The new and the former agreement in words.
    pub reason: &'a str,
    pub at: DateTime<Utc>,
}

/// Replaces the agreement, removes any proposal, and writes the event; false when there is no such merchant.
pub async fn update_agreement(connection: &mut PgConnection, change: &AgreedChange<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with moved as (
             update merchant set discount_rate = $2, discount_returned_on_refund = $3, agreement_proposed_rate = null,
                                 agreement_proposed_returned = null, agreement_proposed_by = null
             where merchant_id = $1
             returning merchant_id)
         insert into merchant_event (merchant_id, decision, decided_by, reason, occurred_at)
         select merchant_id, 'agreement', $4, $5, $6 from moved",
        change.merchant_id.uuid(),
        change.agreement.discount_rate.fraction(),
        change.agreement.discount_returned_on_refund,
        change.changed_by,
        change.reason,
        change.at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
