//! The funder's word on an application: taken while its time runs, replaced by the product's default afterwards.

use sqlx::PgConnection;

use super::actions::{lock_application, record, record_one};
use super::application_store;
use super::decision::{Decider, Decision};
use super::model::{Applied, ApplyRefusal};
use super::word::{self, Judged, Said};
use crate::app::App;
use crate::base::id::{ApplicationId, BorrowerId};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};

/// What a funder decides about an application for one of its products.
#[derive(Clone, Debug)]
pub struct FunderDecision {
    pub borrower_id: BorrowerId,
    pub application_id: ApplicationId,
    /// Who at the funder, and why.
    pub name: String,
    pub reason: String,
    pub said: Said,
}

/// Takes the funder's word on an application that waits for it, or for any person. The same again changes nothing.
pub async fn decide_as_funder(app: &App, decision: FunderDecision) -> Outcome<Applied, ApplyRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let applied = decide(&mut transaction, app, decision).await;
    database::end(transaction, applied).await
}

async fn decide(connection: &mut PgConnection, app: &App, decision: FunderDecision) -> Outcome<Applied, ApplyRefusal> {
    let today = business_day::store::hold_today(connection).await?;
    let application = lock_application(connection, (decision.borrower_id, decision.application_id)).await?;
    let product = app.catalogue.get(connection, application.product_id, application.product_version).await?;
    let judged = word::judge(&application, &product.terms, decision.said, app.clock.now()).map_err(Fault::Refused)?;
    let verdict = match judged {
        Judged::Decides(verdict) => verdict,
        Judged::SaidBefore => {
            return Ok(Applied { application_id: application.application_id, state: application.state() });
        }
    };
    let decider = Decider::Funder { name: decision.name, reason: decision.reason };
    let decision = Decision { application, product, verdict, decider };
    record_one(connection, app, decision, today).await
}

/// Applies the products' defaults to at most `count_max` applications whose funder's time is over; returns what they came to.
pub(super) async fn apply_silence(app: &App, count_max: i64) -> anyhow::Result<Vec<Applied>> {
    let mut transaction = database::begin(&app.pool).await?;
    let now = app.clock.now();
    let ids = application_store::find_overdue_words(&mut transaction, now, count_max).await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let today = business_day::store::hold_today(&mut transaction).await?;
    let mut decisions = Vec::with_capacity(ids.len());
    for application in application_store::lock_applications(&mut transaction, &ids).await? {
        let product = app.catalogue.get(&mut transaction, application.product_id, application.product_version).await?;
        // The funder may have answered before the lock came.
        if let Some(verdict) = word::silence(&application, &product.terms, now) {
            decisions.push(Decision { application, product, verdict, decider: Decider::Deadline });
        }
    }
    let applied = record(&mut transaction, app, decisions, today).await?;
    transaction.commit().await?;
    Ok(applied)
}
