//! Taking a consent back on the pages.

use axum::extract::{Path, State};
use axum::response::Redirect;

use super::consent_actions;
use crate::app::App;
use crate::borrower::{Agreement, find_signed};
use crate::http::Problem;
use crate::page::Page;
use crate::page::session::SignedIn;

/// `POST /me/agreements/{consent}/withdraw`: takes the consent back. Doing it again changes nothing.
pub async fn withdraw(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    Path(consent_id): Path<String>,
) -> Result<Redirect, Problem> {
    let signed = find_signed(&app, id, &consent_id).await?;
    let agreement = Agreement::from_name(&signed.kind).filter(|agreement| agreement.may_be_withdrawn());
    let agreement = agreement.ok_or_else(Problem::not_found)?;
    // A consent that was given again since is another one, with its own page: this page must not take it back.
    if signed.withdrawn_at.is_none() {
        consent_actions::take_back(&app, id, agreement).await?;
    }
    page.visit.flash("flash-consent-withdrawn");
    Ok(Redirect::to(&format!("/me/agreements/{}", signed.consent_id)))
}
