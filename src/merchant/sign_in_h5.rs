//! Signing in for a merchant by mobile and SMS code, and choosing the merchant where somebody works at several.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::h5::{SignedInAs, signed_in};
use super::staff_actions::{self, StaffAt};
use crate::app::App;
use crate::base::id::StaffId;
use crate::base::person::Mobile;
use crate::http::Problem;
use crate::page::back::path_of_ours;
use crate::page::session::{self, Proved};
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, SessionKind, unprocessable};
use crate::passcode::{self, Purpose, SignInStep};

/// Where a sign-in leads that no other page asked for.
const HOME: &str = "/m";
/// The choice to apply for one more merchant.
const ANOTHER: &str = "another";

#[derive(Deserialize)]
pub struct Coming {
    #[serde(default)]
    next: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/sign_in.html")]
pub struct SignInPage {
    page: Page,
    form: Form,
    /// A code is on its way to the mobile in the form.
    is_sent: bool,
}

/// `GET /m/sign-in`
pub async fn show(State(app): State<App>, page: Page, Query(coming): Query<Coming>) -> Result<Response, Problem> {
    let next = path_of_ours(&coming.next, HOME).to_owned();
    if let SignedInAs::Staff(_) = signed_in(&app, &page.visit).await? {
        return Ok(Redirect::to(&next).into_response());
    }
    Ok(SignInPage { page, form: Form::filled([("next", next)]), is_sent: false }.into_response())
}

/// `POST /m/sign-in`: the field `do` says whether a code is to be sent, or was entered. Any mobile is sent a code: whether it
/// is known is told only to whoever proves to hold it.
pub async fn sign_in(
    State(app): State<App>,
    page: Page,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let mobile = match passcode::sign_in_step(&app, Purpose::MerchantSignIn, address, &mut form).await? {
        SignInStep::Sent => return Ok(SignInPage { page, form, is_sent: true }.into_response()),
        SignInStep::Refused { is_sent } => {
            return Ok(unprocessable(SignInPage { page, form, is_sent }));
        }
        SignInStep::Proved(mobile) => mobile,
    };
    let next = path_of_ours(form.value("next"), HOME);
    let places = staff_actions::find_by_mobile(&app, &mobile).await?;
    let (subject_id, on) = match places.as_slice() {
        [] => (None, "/m/join".to_owned()),
        [only] => (Some(only.staff.staff_id.uuid()), next.to_owned()),
        _ => (None, format!("/m/choose?{}", with_next(next))),
    };
    let proved = Proved { subject_id, mobile: Some(mobile), openid: None };
    session::begin(&app, &page.visit, SessionKind::Merchant, &proved).await?;
    Ok(Redirect::to(&on).into_response())
}

fn with_next(next: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish()
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/choose.html")]
pub struct ChoosePage {
    page: Page,
    next: String,
    places: Vec<StaffAt>,
}

/// `GET /m/choose`: the merchants that somebody works at.
pub async fn ask(State(app): State<App>, page: Page, Query(coming): Query<Coming>) -> Result<Response, Problem> {
    let next = path_of_ours(&coming.next, HOME).to_owned();
    let Some(mobile) = proved_mobile(&app, &page).await? else { return Ok(to_sign_in(&next)) };
    let places = staff_actions::find_by_mobile(&app, &mobile).await?;
    if places.is_empty() {
        return Ok(Redirect::to("/m/join").into_response());
    }
    Ok(ChoosePage { page, next, places }.into_response())
}

/// `POST /m/choose`
pub async fn choose(State(app): State<App>, page: Page, form: Form) -> Result<Response, Problem> {
    let next = path_of_ours(form.value("next"), HOME).to_owned();
    let Some(mobile) = proved_mobile(&app, &page).await? else { return Ok(to_sign_in(&next)) };
    if form.value("staff") == ANOTHER {
        session::become_subject(&app, &page.visit, SessionKind::Merchant, None).await?;
        return Ok(Redirect::to("/m/join?step=company").into_response());
    }
    let chosen: StaffId = form.value("staff").parse().map_err(|_| Problem::not_found())?;
    let places = staff_actions::find_by_mobile(&app, &mobile).await?;
    let place = places.iter().find(|place| place.staff.staff_id == chosen).ok_or_else(Problem::not_found)?;
    let staff_id = Some(place.staff.staff_id.uuid());
    session::become_subject(&app, &page.visit, SessionKind::Merchant, staff_id).await?;
    Ok(Redirect::to(&next).into_response())
}

async fn proved_mobile(app: &App, page: &Page) -> anyhow::Result<Option<Mobile>> {
    // Whoever was removed from a merchant must prove the mobile again.
    if let SignedInAs::Nobody = signed_in(app, &page.visit).await? {
        return Ok(None);
    }
    let session = session::find(app, &page.visit, SessionKind::Merchant).await?;
    Ok(session.and_then(|session| session.proved.mobile))
}

fn to_sign_in(next: &str) -> Response {
    Redirect::to(&format!("/m/sign-in?{}", with_next(next))).into_response()
}

/// `POST /m/sign-out`
pub async fn sign_out(State(app): State<App>, page: Page) -> Result<Redirect, Problem> {
    session::end(&app, &page.visit, SessionKind::Merchant).await?;
    page.visit.flash("flash-signed-out");
    Ok(Redirect::to("/m/sign-in"))
}
