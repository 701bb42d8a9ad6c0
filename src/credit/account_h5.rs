//! Closing the account: the obstacles, or else the PIN and the code that confirm it.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::closing_actions::{self, Obstacles};
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::base::person::Mobile;
use crate::borrower::sign_in_h5::BY_MOBILE;
use crate::borrower::{self, actions as borrower_actions};
use crate::error::Fault;
use crate::http::Problem;
use crate::page::session::SignedIn;
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, unprocessable};
use crate::passcode::{self, Asking, Purpose};

#[derive(Template, WebTemplate)]
#[template(path = "credit/close_account.html")]
pub struct ClosePage {
    page: Page,
    form: Form,
    /// What keeps the account open; empty where it may be closed.
    obstacles: Obstacles,
    /// Whether the PIN is asked for beside the code.
    has_pin: bool,
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
    closing_page(&app, page, id, Form::default()).await
}

async fn closing_page(app: &App, page: Page, id: BorrowerId, form: Form) -> Result<ClosePage, Problem> {
    let obstacles = closing_actions::obstacles(app, id).await?;
    let has_pin = borrower::has_pin(app, id).await?;
    let mobile = borrower_actions::profile(app, id).await?.mobile;
    let is_sent = passcode::is_awaited(app, Purpose::AccountClosing, &mobile).await?;
    Ok(ClosePage { page, form, obstacles, has_pin, mobile, is_sent })
}

/// `POST /me/close`: the field `do` says whether a code is to be sent, or was entered, together with the PIN if there is one.
pub async fn close(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let shown = closing_page(&app, page, id, Form::default()).await?;
    if shown.obstacles.check().is_err() {
        return Ok(unprocessable(shown));
    }
    let asking = Asking { purpose: Purpose::AccountClosing, mobile: shown.mobile.clone(), address: address.0 };
    if let Some(is_sent) = passcode::send_if_asked(&app, &asking, &mut form).await? {
        form.forget("pin");
        return Ok(ClosePage { form, is_sent, ..shown }.answer());
    }
    let is_confirmed = !shown.has_pin || borrower::is_pin_confirmed(&app, id, &mut form).await?;
    if !is_confirmed || !passcode::is_proved(&app, &asking, &mut form).await? {
        return Ok(ClosePage { form, ..closing_page(&app, shown.page, id, Form::default()).await? }.answer());
    }
    match closing_actions::close_account(&app, id).await {
        Ok(()) => {
            shown.page.visit.flash("flash-account-closed");
            Ok(Redirect::to(BY_MOBILE).into_response())
        }
        Err(Fault::Refused(refusal)) => {
            form.refuse(&refusal);
            Ok(ClosePage { form, ..closing_page(&app, shown.page, id, Form::default()).await? }.answer())
        }
        Err(failed) => Err(failed.into()),
    }
}
