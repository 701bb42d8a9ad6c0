//! Taking a consent back, which ends every application of its borrower that is not decided.

use super::actions::record;
use super::application_store;
use super::decision::{Decider, Decision};
use super::verdict::{OwnReason, Verdict};
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::borrower::{self, Agreement};
use crate::business_day;
use crate::database;

/// Takes back a borrower's consent: their undecided applications are refused, and no application is taken until they agree again.
/// Loans that exist are collected as before. Doing it again changes nothing.
pub async fn take_back(app: &App, borrower_id: BorrowerId, agreement: Agreement) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    let today = business_day::store::hold_today(&mut transaction).await?;
    application_store::hold_applicant(&mut transaction, borrower_id).await?;
    borrower::withdraw(&mut transaction, borrower_id, agreement, app.clock.now()).await?;
    let mut decisions = Vec::new();
    for application in application_store::lock_undecided(&mut transaction, borrower_id).await? {
        let product = app.catalogue.get(&mut transaction, application.product_id, application.product_version).await?;
        let verdict = Verdict::refuse(OwnReason::ConsentWithdrawn, None);
        decisions.push(Decision { application, product, verdict, decider: Decider::Borrower });
    }
    record(&mut transaction, app, decisions, today).await?;
    transaction.commit().await?;
    Ok(())
}
