//! Changing the mobile: confirmed by a code to the new one and by the PIN, so that somebody who finds a telephone unlocked
//! cannot take the account.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;

use super::actions;
use super::mobile_actions::{NewMobile, OwnWeChat, StatedBy, change_mobile, kept_until};
use super::model::BorrowerRefusal;
use super::pin_actions::has_pin;
use super::pin_h5;
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::base::person::Mobile;
use crate::base::typed::typed_mobile;
use crate::error::{Fault, Refusal};
use crate::http::Problem;
use crate::page::session::{self, SignedIn};
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, SessionKind};
use crate::passcode::{self, Asking, PasscodeRefusal, Purpose, Window};

const ME: &str = "/me";
/// How many codes one borrower may have sent to new mobiles.
const CODES: Window = Window { kind: "mobile_change", length: TimeDelta::hours(24), count_max: 10 };

#[derive(Template, WebTemplate)]
#[template(path = "borrower/mobile.html")]
pub struct MobilePage {
    page: Page,
    form: Form,
    /// The present mobile.
    mobile: Mobile,
    has_pin: bool,
    /// A PIN was set a short time ago without a former one: the form says until when the mobile cannot be changed, and asks for nothing.
    is_kept: bool,
    /// A code is on its way to the mobile in the form.
    is_sent: bool,
}

impl MobilePage {
    fn answer(mut self) -> Response {
        self.form.forget("pin");
        (self.form.status(), self).into_response()
    }
}

/// `GET /me/mobile`
pub async fn show(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<MobilePage, Problem> {
    mobile_page(&app, page, id).await
}

async fn mobile_page(app: &App, page: Page, id: BorrowerId) -> Result<MobilePage, Problem> {
    let mobile = actions::profile(app, id).await?.mobile;
    let (mut form, kept_until) = (Form::default(), kept_until(app, id).await?);
    if let Some(until) = kept_until {
        form.refuse(&BorrowerRefusal::PinResetLately { until });
    }
    let (has_pin, is_kept) = (has_pin(app, id).await?, kept_until.is_some());
    Ok(MobilePage { page, form, mobile, has_pin, is_kept, is_sent: false })
}

/// `POST /me/mobile`: the field `do` says whether a code is to be sent, or was entered, together with the PIN.
pub async fn change(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let shown = mobile_page(&app, page, id).await?;
    if shown.is_kept {
        return Ok(shown.answer());
    }
    let is_asking = form.value("do") == "send";
    let Some(mobile) = form.read("mobile_new", typed_mobile) else {
        if !is_asking {
            form.read("passcode", |_| Ok(()));
        }
        return Ok(MobilePage { form, ..shown }.answer());
    };
    if mobile == shown.mobile {
        // The same form again, as by a second tap: the mobile is changed already.
        if !is_asking {
            return Ok(Redirect::to(ME).into_response());
        }
        form.refuse_field("mobile_new", BorrowerRefusal::MobileUnchanged.code());
        return Ok(MobilePage { form, ..shown }.answer());
    }
    let asking = Asking { purpose: Purpose::MobileChange, mobile, address: address.0 };
    if is_asking {
        let is_sent = send(&app, id, &asking, &mut form).await?;
        return Ok(MobilePage { form, is_sent, ..shown }.answer());
    }
    // Whether another account has the mobile is told only to whoever has proved to hold it.
    let is_confirmed = pin_h5::is_confirmed(&app, id, &mut form).await?;
    if !is_confirmed || !passcode::is_stranger_proved(&app, &asking, &mut form).await? {
        let is_sent = passcode::is_awaited(&app, asking.purpose, &asking.mobile).await?;
        return Ok(MobilePage { form, is_sent, ..shown }.answer());
    }
    let session = session::find(&app, &shown.page.visit, SessionKind::Borrower).await?;
    let came_by_wechat = session.is_some_and(|session| session.proved.openid.is_some());
    let wechat = if came_by_wechat { OwnWeChat::Proved } else { OwnWeChat::Unproved };
    let stated_by = StatedBy::Borrower { token_hash: shown.page.visit.token_hash(), wechat };
    match change_mobile(&app, id, &NewMobile { mobile: asking.mobile, stated_by }).await {
        Ok(()) => {
            shown.page.visit.flash("flash-mobile-changed");
            Ok(Redirect::to(ME).into_response())
        }
        Err(Fault::Refused(BorrowerRefusal::MobileUnchanged)) => Ok(Redirect::to(ME).into_response()),
        Err(Fault::Refused(refusal)) => {
            if refusal == BorrowerRefusal::MobileOfAnother {
                form.refuse_field("mobile_new", refusal.code());
            } else {
                form.refuse(&refusal);
            }
            Ok(MobilePage { form, ..shown }.answer())
        }
        Err(failed) => Err(failed.into()),
    }
}

/// Sends a code to the new mobile; returns whether one may be entered. A request that is refused is not counted against the
/// borrower.
async fn send(app: &App, id: BorrowerId, asking: &Asking, form: &mut Form) -> anyhow::Result<bool> {
    let whose = id.to_string();
    if let Some(until) = passcode::full_until(app, CODES, &whose).await? {
        form.refuse(&PasscodeRefusal::TooMany { until });
        return Ok(false);
    }
    let is_sent = passcode::send_if_asked(app, asking, form).await?.unwrap_or_default();
    if form.is_refused() {
        passcode::take_back(app, CODES, &whose).await?;
    }
    Ok(is_sent)
}
