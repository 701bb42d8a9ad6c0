//! Asking that a person looks at what automation alone has refused.

use sqlx::PgConnection;

use super::actions::{applicant, lock_application, record_one};
use super::application_store;
use super::decision::{Decider, Decision};
use super::model::{Application, Applied, ApplyRefusal};
use super::review::Asking;
use super::verdict::{BORROWER_ASKED, Verdict};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::{ApplicationId, BorrowerId};
use crate::borrower;
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};

/// Puts a borrower's refused application before a person, as the risk hook's silence does. Asking again changes nothing while it is
/// there.
pub async fn ask_for_person(
    app: &App,
    borrower_id: BorrowerId,
    application_id: ApplicationId,
) -> Outcome<Applied, ApplyRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let referred = refer(&mut transaction, app, (borrower_id, application_id)).await;
    database::end(transaction, referred).await
}

async fn refer(
    connection: &mut PgConnection,
    app: &App,
    (borrower_id, application_id): (BorrowerId, ApplicationId),
) -> Outcome<Applied, ApplyRefusal> {
    let today = business_day::store::hold_today(connection).await?;
    application_store::hold_applicant(connection, borrower_id).await?;
    let row = application_store::find_applicants(connection, &[borrower_id]).await?.pop();
    let person = applicant(row.ok_or(Fault::Refused(ApplyRefusal::BorrowerUnknown))?, today);
    let latest = application_store::find_latest(connection, borrower_id).await?;
    let taken_back = borrower::taken_back(connection, borrower_id).await?;
    let application = lock_application(connection, (borrower_id, application_id)).await?;
    let product = app.catalogue.get(connection, application.product_id, application.product_version).await?;
    let asking = Asking {
        latest: latest.map(|latest| latest.application_id),
        taken_back: &taken_back,
        funder_id: product.funder_id,
        today,
        days: app.site.review_days(),
    };
    person.may_ask(&application, asking).map_err(Fault::Refused)?;
    let verdict = Verdict::Refer { reason: BORROWER_ASKED.into() };
    record_one(connection, app, Decision { application, product, verdict, decider: Decider::Borrower }, today).await
}

/// Until when the borrower of an application may ask that a person looks at it; `None` where that is not offered.
pub async fn review_offer(app: &App, application: &Application) -> anyhow::Result<Option<BusinessDay>> {
    let Some(until) = application.review_until(app.site.review_days()) else { return Ok(None) };
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let taken_back = borrower::taken_back(&mut connection, application.borrower_id).await?;
    let product = app.catalogue.get(&mut connection, application.product_id, application.product_version).await?;
    let row = application_store::find_applicants(&mut connection, &[application.borrower_id]).await?.pop();
    let has_line = row.is_none_or(|row| row.lines_with.contains(&product.funder_id.uuid()));
    Ok(Some(until).filter(|until| today <= *until && taken_back.is_empty() && !has_line))
}
