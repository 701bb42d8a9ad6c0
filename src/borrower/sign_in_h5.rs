//! Signing in and out: by WeChat inside WeChat, elsewhere by mobile and SMS code.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{actions, openid_actions};
use crate::app::App;
use crate::base::person::{Mobile, NumberError};
use crate::error::Fault;
use crate::http::Problem;
use crate::page::back::path_of_ours;
use crate::page::session::{self, Proved};
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, SessionKind};
use crate::passcode::{self, Asking, Purpose};

/// Where somebody goes who came for no page in particular.
const HOME: &str = "/home";

#[derive(Deserialize)]
pub struct Coming {
    #[serde(default)]
    next: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/sign_in.html")]
pub struct SignInPage {
    page: Page,
    form: Form,
    /// A code is on its way to the mobile in the form.
    is_sent: bool,
}

/// `GET /sign-in`
pub async fn show(State(app): State<App>, page: Page, Query(coming): Query<Coming>) -> Result<Response, Problem> {
    let next = path_of_ours(&coming.next, HOME).to_owned();
    let session = session::find(&app, &page.visit, SessionKind::Borrower).await?;
    if session.is_some_and(|session| session.proved.subject_id.is_some()) {
        return Ok(Redirect::to(&next).into_response());
    }
    Ok(SignInPage { page, form: Form::filled([("next", next)]), is_sent: false }.into_response())
}

/// `POST /sign-in`: `do` says whether a code is asked for, or put in.
pub async fn sign_in(
    State(app): State<App>,
    page: Page,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let mobile = form.read("mobile", |text| text.parse::<Mobile>().map_err(NumberError::code));
    if form.value("do") == "send" {
        let Some(mobile) = mobile else { return Ok(again(page, form, false)) };
        let asking = Asking { purpose: Purpose::BorrowerSignIn, mobile, address: address.0 };
        return match passcode::send(&app, &asking).await {
            Ok(()) => Ok(SignInPage { page, form, is_sent: true }.into_response()),
            Err(Fault::Refused(refusal)) => {
                form.refuse(&refusal);
                Ok(again(page, form, refusal == passcode::PasscodeRefusal::TooSoon))
            }
            Err(failed) => Err(failed.into()),
        };
    }
    let code = form.read("passcode", |text| Ok(text.to_owned()));
    let (Some(mobile), Some(code)) = (mobile, code) else { return Ok(again(page, form, true)) };
    match passcode::check(&app, Purpose::BorrowerSignIn, &mobile, &code).await {
        Ok(()) => {}
        Err(Fault::Refused(refusal)) => {
            form.forget("passcode");
            form.refuse(&refusal);
            return Ok(again(page, form, true));
        }
        Err(failed) => return Err(failed.into()),
    }
    let known = session::find(&app, &page.visit, SessionKind::Borrower).await?;
    let openid = known.and_then(|session| session.proved.openid);
    let borrower_id = actions::find_by_mobile(&app, &mobile).await?;
    if let (Some(borrower_id), Some(openid)) = (borrower_id, &openid) {
        openid_actions::link_openid(&app, borrower_id, openid).await?;
    }
    let subject_id = borrower_id.map(|borrower_id| borrower_id.uuid());
    // A borrower's mobile stands with the borrower.
    let mobile = if subject_id.is_some() { None } else { Some(mobile) };
    session::begin(&app, &page.visit, SessionKind::Borrower, &Proved { subject_id, mobile, openid }).await?;
    Ok(Redirect::to(path_of_ours(form.value("next"), HOME)).into_response())
}

/// `POST /sign-out`
pub async fn sign_out(State(app): State<App>, page: Page) -> Result<Redirect, Problem> {
    session::end(&app, &page.visit, SessionKind::Borrower).await?;
    page.visit.flash("flash-signed-out");
    Ok(Redirect::to("/sign-in"))
}

fn again(page: Page, form: Form, is_sent: bool) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, SignInPage { page, form, is_sent }).into_response()
}
