//! The PIN's pages: set for the first time with the ID number, changed with the former PIN, or reset with a passcode and the
//! ID number.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use serde::Deserialize;

use super::actions;
use super::model::Profile;
use super::pin::{Pin, PinRefusal};
use super::pin_actions::{NewPin, Replaced, check_former, check_pin, has_pin, set_pin};
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::base::person::Mobile;
use crate::base::typed::plain_number;
use crate::error::{Fault, Refusal};
use crate::http::Problem;
use crate::page::back::{interrupted, path_of_ours};
use crate::page::session::SignedIn;
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, unprocessable};
use crate::passcode::{self, Asking, Purpose, Window};

const ME: &str = "/me";
/// Fields whose contents are never sent back to the browser.
const SECRET_FIELDS: [&str; 4] = ["pin_former", "pin_new", "pin_again", "id_last"];
/// How often the last digits of the ID number may be tried.
const ID_TRIES: Window = Window { kind: "id_last", length: TimeDelta::hours(24), count_max: 10 };
/// How many digits of the ID number are asked for.
const ID_LAST_DIGITS: usize = 6;

#[derive(Template, WebTemplate)]
#[template(path = "borrower/pin.html")]
pub struct PinPage {
    page: Page,
    form: Form,
    has_pin: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/pin_forgotten.html")]
pub struct ForgottenPage {
    page: Page,
    form: Form,
    mobile: Mobile,
    is_sent: bool,
}

impl PinPage {
    fn interrupted(&self) -> Option<&str> {
        interrupted(self.form.value("next"), ME)
    }
}

impl ForgottenPage {
    fn interrupted(&self) -> Option<&str> {
        interrupted(self.form.value("next"), ME)
    }

    fn answer(self) -> Response {
        let page = ForgottenPage { form: emptied(self.form), ..self };
        (page.form.status(), page).into_response()
    }
}

#[derive(Deserialize)]
pub struct Coming {
    #[serde(default)]
    next: String,
}

/// `GET /me/pin`
pub async fn show(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    Query(coming): Query<Coming>,
) -> Result<PinPage, Problem> {
    let form = Form::filled([("next", path_of_ours(&coming.next, ME).to_owned())]);
    Ok(PinPage { page, form, has_pin: has_pin(&app, id).await? })
}

/// `POST /me/pin`: a first PIN is confirmed by the last digits of the ID number, another one by the former PIN.
pub async fn set(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    mut form: Form,
) -> Result<Response, Problem> {
    let has_pin = has_pin(&app, id).await?;
    let chosen = read_chosen(&mut form);
    let proof = form.read(if has_pin { "pin_former" } else { "id_last" }, |text| Ok(text.to_owned()));
    let Some(chosen) = chosen else { return Ok(again(page, form, has_pin)) };
    let Some(proof) = proof else {
        // The form of the first PIN again, by a second tap: the PIN is set already.
        let is_first_again = has_pin && !form.value("id_last").is_empty();
        return Ok(if is_first_again && is_the_pin(&app, id, &chosen).await? {
            go_on_after_setting(&page, &form)
        } else {
            again(page, form, has_pin)
        });
    };
    let replaced = if has_pin {
        match check_former(&app, id, &proof).await {
            Ok(checked) => Replaced::Former(checked),
            Err(Fault::Refused(refusal)) => {
                refuse_pin(&mut form, "pin_former", refusal);
                return Ok(again(page, form, has_pin));
            }
            Err(failed) => return Err(failed.into()),
        }
    } else if is_id_end(&app, id, &proof, &mut form).await? {
        Replaced::Nothing
    } else {
        return Ok(again(page, form, has_pin));
    };
    match set_pin(&app, id, NewPin { chosen: &chosen, token_hash: page.visit.token_hash(), replaced }).await {
        Ok(()) => Ok(go_on_after_setting(&page, &form)),
        // Another PIN was set meanwhile: by a second tap on the same form, or by somebody else.
        Err(Fault::Refused(PinRefusal::Wrong)) => {
            if is_the_pin(&app, id, &chosen).await? {
                return Ok(go_on_after_setting(&page, &form));
            }
            refuse_pin(&mut form, "pin_former", PinRefusal::Wrong);
            Ok(again(page, form, true))
        }
        Err(Fault::Refused(refusal)) => {
            refuse_pin(&mut form, "pin_new", refusal);
            Ok(again(page, form, has_pin))
        }
        Err(failed) => Err(failed.into()),
    }
}

/// Whether what was typed is the borrower's PIN. This counts as a try like any other.
async fn is_the_pin(app: &App, id: BorrowerId, chosen: &str) -> Result<bool, Problem> {
    match check_pin(app, id, chosen).await {
        Ok(()) => Ok(true),
        Err(Fault::Refused(_)) => Ok(false),
        Err(failed) => Err(failed.into()),
    }
}

/// Tells that the PIN is set, and leads to the page that asked for one.
fn go_on_after_setting(page: &Page, form: &Form) -> Response {
    page.visit.flash("flash-pin-set");
    Redirect::to(path_of_ours(form.value("next"), ME)).into_response()
}

/// `GET /me/pin/forgotten`
pub async fn forgotten(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    Query(coming): Query<Coming>,
) -> Result<ForgottenPage, Problem> {
    let form = Form::filled([("next", path_of_ours(&coming.next, ME).to_owned())]);
    let mobile = actions::profile(&app, id).await?.mobile;
    let is_sent = passcode::is_awaited(&app, Purpose::PinReset, &mobile).await?;
    Ok(ForgottenPage { page, form, mobile, is_sent })
}

/// `POST /me/pin/forgotten`: the field `do` says whether a code is to be sent, or a PIN to be set.
pub async fn reset(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let Profile { mobile, resident_id, .. } = actions::profile(&app, id).await?;
    let asking = Asking { purpose: Purpose::PinReset, mobile: mobile.clone(), address: address.0 };
    if let Some(is_sent) = passcode::send_if_asked(&app, &asking, &mut form).await? {
        return Ok(ForgottenPage { page, form, mobile, is_sent }.answer());
    }
    let chosen = read_chosen(&mut form);
    // A code can be used once: a PIN that would be refused must not use it up.
    if let Some(Err(refusal)) = chosen.as_deref().map(|chosen| Pin::chosen(chosen, resident_id.birth_on())) {
        refuse_pin(&mut form, "pin_new", refusal);
    }
    if let Some(id_last) = form.read("id_last", |text| Ok(text.to_owned()))
        && chosen.is_some()
        && !form.value("passcode").is_empty()
    {
        is_id_end(&app, id, &id_last, &mut form).await?;
    }
    let is_proved = passcode::is_proved(&app, &asking, &mut form).await?;
    let Some(chosen) = chosen.filter(|_| is_proved) else {
        let is_sent = passcode::is_awaited(&app, asking.purpose, &mobile).await?;
        return Ok(ForgottenPage { page, form, mobile, is_sent }.answer());
    };
    let new = NewPin { chosen: &chosen, token_hash: page.visit.token_hash(), replaced: Replaced::Any };
    match set_pin(&app, id, new).await {
        Ok(()) => Ok(go_on_after_setting(&page, &form)),
        Err(Fault::Refused(refusal)) => {
            refuse_pin(&mut form, "pin_new", refusal);
            Ok(ForgottenPage { page, form, mobile, is_sent: false }.answer())
        }
        Err(failed) => Err(failed.into()),
    }
}

/// Whether a form's field `pin` holds the borrower's PIN, for a step that needs it. The PIN is never sent back; what is wrong
/// is noted in the form.
///
/// # Errors
/// Failures of our own.
pub async fn is_confirmed(app: &App, id: BorrowerId, form: &mut Form) -> anyhow::Result<bool> {
    let typed = form.read("pin", |text| Ok(text.to_owned()));
    form.forget("pin");
    // Other errors are shown first, so that no try is wasted on a form that is refused anyway.
    let Some(typed) = typed.filter(|_| !form.is_refused()) else { return Ok(false) };
    match check_pin(app, id, &typed).await {
        Ok(()) => Ok(true),
        Err(Fault::Refused(refusal)) => {
            refuse_pin(form, "pin", refusal);
            Ok(false)
        }
        Err(Fault::Failed(failure)) => Err(failure),
    }
}

/// Shows what is wrong with a PIN beside its field, or above the form where no other PIN would help.
pub fn refuse_pin(form: &mut Form, field: &str, refusal: PinRefusal) {
    match refusal {
        PinRefusal::NotSet | PinRefusal::Locked { .. } => form.refuse(&refusal),
        PinRefusal::Malformed | PinRefusal::TooSimple | PinRefusal::Wrong | PinRefusal::WrongOnceMore => {
            form.refuse_field(field, refusal.code());
        }
    }
}

/// The new PIN, which must be typed twice alike.
fn read_chosen(form: &mut Form) -> Option<String> {
    let chosen = form.read("pin_new", |text| Ok(text.to_owned()));
    let repeated = form.read("pin_again", |text| Ok(text.to_owned()));
    let (chosen, repeated) = (chosen?, repeated?);
    if chosen != repeated {
        form.refuse_field("pin_again", "pin_differs");
        return None;
    }
    Some(chosen)
}

/// Whether the ID number ends with what was typed; what is wrong is noted in the form. After too many wrong tries all are
/// refused until the window has passed.
async fn is_id_end(app: &App, id: BorrowerId, typed: &str, form: &mut Form) -> Result<bool, Problem> {
    // Counted before it is compared, so that parallel requests get no more tries than the window allows.
    if let Some(until) = passcode::full_until(app, ID_TRIES, &id.to_string()).await? {
        form.refuse_field("id_last", "id_last_too_often");
        form.note_until(until);
        return Ok(false);
    }
    let number = actions::profile(app, id).await?.resident_id;
    let typed = plain_number(typed).to_ascii_uppercase();
    let is_end = typed.len() == ID_LAST_DIGITS && number.reveal().ends_with(&typed);
    if is_end {
        passcode::take_back(app, ID_TRIES, &id.to_string()).await?;
    } else {
        form.refuse_field("id_last", "id_last_wrong");
    }
    Ok(is_end)
}

/// A form without what must not be sent back.
fn emptied(mut form: Form) -> Form {
    for name in SECRET_FIELDS {
        form.forget(name);
    }
    form
}

fn again(page: Page, form: Form, has_pin: bool) -> Response {
    unprocessable(PinPage { page, form: emptied(form), has_pin })
}
