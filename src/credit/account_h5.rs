//! Closing the account: what stands against it, and the code that confirms it.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::closing_actions;
use crate::app::App;
use crate::base::Fen;
use crate::base::person::Mobile;
use crate::borrower::actions as borrower_actions;
use crate::error::Fault;
use crate::http::Problem;
use crate::page::session::{self, SignedIn};
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, SessionKind};
use crate::passcode::{self, Asking, PasscodeRefusal, Purpose};

#[derive(Template, WebTemplate)]
#[template(path = "credit/close_account.html")]
pub struct ClosePage {
    page: Page,
    form: Form,
    /// Unpaid principal; while there is any, the account stays.
    owed: Fen,
    mobile: Mobile,
    is_sent: bool,
}

/// `GET /me/close`
pub async fn ask(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<ClosePage, Problem> {
    let owed = closing_actions::owed_principal(&app, id).await?;
    let mobile = borrower_actions::profile(&app, id).await?.mobile;
    Ok(ClosePage { page, form: Form::default(), owed, mobile, is_sent: false })
}

/// `POST /me/close`: `do` says whether a code is asked for, or put in.
pub async fn close(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let owed = closing_actions::owed_principal(&app, id).await?;
    let mobile = borrower_actions::profile(&app, id).await?.mobile;
    let purpose = Purpose::AccountClosing;
    if form.value("do") == "send" {
        let sent = passcode::send(&app, &Asking { purpose, mobile: mobile.clone(), address: address.0 }).await;
        return match sent {
            Ok(()) => Ok(ClosePage { page, form, owed, mobile, is_sent: true }.into_response()),
            Err(Fault::Refused(refusal)) => {
                form.refuse(&refusal);
                let is_sent = refusal == PasscodeRefusal::TooSoon;
                Ok(unprocessable(ClosePage { page, form, owed, mobile, is_sent }))
            }
            Err(failed) => Err(failed.into()),
        };
    }
    let Some(code) = form.read("passcode", |text| Ok(text.to_owned())) else {
        return Ok(unprocessable(ClosePage { page, form, owed, mobile, is_sent: true }));
    };
    match passcode::check(&app, purpose, &mobile, &code).await {
        Ok(()) => {}
        Err(Fault::Refused(refusal)) => {
            form.forget("passcode");
            form.refuse(&refusal);
            return Ok(unprocessable(ClosePage { page, form, owed, mobile, is_sent: true }));
        }
        Err(failed) => return Err(failed.into()),
    }
    match closing_actions::close_account(&app, id).await {
        Ok(()) => {
            session::end_all(&app, SessionKind::Borrower, id.uuid()).await?;
            page.visit.flash("flash-account-closed");
            Ok(Redirect::to("/sign-in").into_response())
        }
        Err(Fault::Refused(refusal)) => {
            form.refuse(&refusal);
            Ok(unprocessable(ClosePage { page, form, owed, mobile, is_sent: false }))
        }
        Err(failed) => Err(failed.into()),
    }
}

fn unprocessable(page: impl IntoResponse) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}
