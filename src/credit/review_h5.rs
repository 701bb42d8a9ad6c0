//! Asking on the pages that a person looks at an application that automation alone has refused.

use axum::extract::State;
use axum::response::Redirect;

use super::model::Application;
use super::review_actions;
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::ApplicationId;
use crate::http::Problem;
use crate::page::Form;
use crate::page::session::SignedIn;

/// The offer of a review to somebody whose application was refused by automation alone.
pub struct ReviewOffer {
    pub application_id: ApplicationId,
    /// The last day on which it may be asked for.
    pub until: BusinessDay,
}

impl ReviewOffer {
    /// `None` where it is not offered.
    pub(super) async fn of(app: &App, application: &Application) -> anyhow::Result<Option<ReviewOffer>> {
        let until = review_actions::review_offer(app, application).await?;
        Ok(until.map(|until| ReviewOffer { application_id: application.application_id, until }))
    }
}

/// `POST /apply/review`: puts the application before a person, and shows how it stands.
pub async fn ask(State(app): State<App>, SignedIn(borrower_id): SignedIn, form: Form) -> Result<Redirect, Problem> {
    let application_id: ApplicationId = form.value("application").parse().map_err(|_| Problem::not_found())?;
    review_actions::ask_for_person(&app, borrower_id, application_id).await?;
    Ok(Redirect::to("/apply"))
}
