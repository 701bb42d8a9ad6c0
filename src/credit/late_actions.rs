//! The risk partner's answer by a later callback, which counts while nobody else has decided.

use sqlx::PgConnection;

use super::actions::{lock_application, record_one};
use super::application_store;
use super::decision::{Decider, Decision};
use super::model::{ApplicationStatus, Applied, ApplyRefusal, Transition};
use super::verdict::Verdict;
use crate::app::App;
use crate::base::id::{ApplicationId, BorrowerId};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};

/// What a risk partner answers after its time was over.
#[derive(Clone, Debug)]
pub struct LateAnswer {
    /// The id by which it signs.
    pub partner: String,
    pub borrower_id: BorrowerId,
    pub application_id: ApplicationId,
    pub verdict: Verdict,
}

/// Takes the late answer of the risk partner that was asked, even if another one is configured by now. It counts while the
/// application waits for the hook, or waits for a person only because the hook was silent. The same answer again changes nothing;
/// any other one is refused, and so is every answer after somebody else's decision. An application that the late answer refers to
/// a person is decided by that person.
pub async fn take_late_answer(app: &App, answer: LateAnswer) -> Outcome<Applied, ApplyRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let applied = decide(&mut transaction, app, answer).await;
    database::end(transaction, applied).await
}

async fn decide(connection: &mut PgConnection, app: &App, answer: LateAnswer) -> Outcome<Applied, ApplyRefusal> {
    let today = business_day::store::hold_today(connection).await?;
    let application = lock_application(connection, (answer.borrower_id, answer.application_id)).await?;
    if !application.was_asked_of(&answer.partner) {
        return Err(Fault::Refused(ApplyRefusal::ApplicationUnknown));
    }
    let product = app.catalogue.get(connection, application.product_id, application.product_version).await?;
    let verdict = answer.verdict.within(&product.terms, application.facts.limit_requested_fen);
    let decision = Decision { application, product, verdict, decider: Decider::LateHook };
    if decision.was_applied() {
        let Decision { application, .. } = decision;
        return Ok(Applied { application_id: application.application_id, state: application.state() });
    }
    if !decision.application.allows_late_answer() {
        return Err(Fault::Refused(ApplyRefusal::NotReferred));
    }
    match decision.transition() {
        Transition::To(_) => record_one(connection, app, decision, today).await,
        Transition::AlreadyApplied if decision.application.status == ApplicationStatus::Referred => {
            Ok(leave_to_person(connection, app, &decision).await?)
        }
        // The result would be the same, but somebody else decided it, or the answer differs in its reason, grade or limit.
        Transition::AlreadyApplied | Transition::Illegal => Err(Fault::Refused(ApplyRefusal::NotReferred)),
    }
}

/// A person is asked already; only the reason changes, from the hook's silence to the hook's own. There is nothing new to tell
/// the borrower.
async fn leave_to_person(connection: &mut PgConnection, app: &App, decision: &Decision) -> anyhow::Result<Applied> {
    let now = app.clock.now();
    let row = decision.row(ApplicationStatus::Referred, None, now);
    let updated = application_store::update_applications(connection, &[row], now).await?;
    anyhow::ensure!(updated == 1, "{updated} of one locked application were updated");
    Ok(decision.applied(ApplicationStatus::Referred, None))
}
