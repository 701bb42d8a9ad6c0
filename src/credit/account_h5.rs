//! Closing the account: what stands against it, and the code that confirms it.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
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
use crate::passcode::{self, Asking, Purpose};

#[derive(Template, WebTemplate)]
#[template(path = "credit/close_account.html")]
pub struct ClosePage {
    page: Page,
    form: Form,
    /// Whatever is unpaid; while there is any, the account stays.
    owed: Fen,
    mobile: Mobile,
    is_sent: bool,
}

impl ClosePage {
    fn answer(self) -> Response {
        (self.form.status(), self).into_response()
    }
}

/// `GET /me/close`
pub async fn ask(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<ClosePage, Problem> {
    let owed = closing_actions::owed(&app, id).await?;
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
    let owed = closing_actions::owed(&app, id).await?;
    let mobile = borrower_actions::profile(&app, id).await?.mobile;
    let asking = Asking { purpose: Purpose::AccountClosing, mobile: mobile.clone(), address: address.0 };
    if let Some(is_sent) = passcode::send_if_asked(&app, &asking, &mut form).await? {
        return Ok(ClosePage { page, form, owed, mobile, is_sent }.answer());
    }
    if !passcode::is_proved(&app, asking.purpose, &mobile, &mut form).await? {
        return Ok(ClosePage { page, form, owed, mobile, is_sent: true }.answer());
    }
    match closing_actions::close_account(&app, id).await {
        Ok(()) => {
            session::end_all(&app, SessionKind::Borrower, id.uuid()).await?;
            page.visit.flash("flash-account-closed");
            Ok(Redirect::to("/sign-in").into_response())
        }
        Err(Fault::Refused(refusal)) => {
            form.refuse(&refusal);
            Ok(ClosePage { page, form, owed, mobile, is_sent: false }.answer())
        }
        Err(failed) => Err(failed.into()),
    }
}
