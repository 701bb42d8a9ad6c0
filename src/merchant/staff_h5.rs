//! Who works at a merchant: the owner hires, changes roles and removes. Each change is confirmed by a code to the owner's own
//! mobile, so that a page that was left open gives nobody a right.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::h5::MerchantSignedIn;
use super::staff::{Right, Role, Staff, StaffRefusal, Team, parse_staff_name};
use super::staff_actions::{self, Hiring, StaffChange};
use crate::app::App;
use crate::base::id::StaffId;
use crate::base::typed::typed_mobile;
use crate::error::{Fault, Refusal};
use crate::http::Problem;
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page};
use crate::passcode::{self, Asking, Purpose};

const LIST: &str = "/m/staff";

#[derive(Template, WebTemplate)]
#[template(path = "merchant/staff.html")]
pub struct ListPage {
    page: Page,
    signed_in: MerchantSignedIn,
    people: Vec<Staff>,
}

/// `GET /m/staff`
pub async fn list(State(app): State<App>, page: Page, signed_in: MerchantSignedIn) -> Result<ListPage, Problem> {
    signed_in.require(Right::ManageStaff)?;
    let people = staff_actions::list_staff(&app, signed_in.merchant_id).await?;
    Ok(ListPage { page, signed_in, people })
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/staff_new.html")]
pub struct NewPage {
    page: Page,
    form: Form,
    signed_in: MerchantSignedIn,
    /// A code is on its way to the owner.
    is_sent: bool,
}

impl NewPage {
    fn roles(&self) -> [Role; 3] {
        Role::ALL
    }

    fn answer(self) -> Response {
        (self.form.status(), self).into_response()
    }
}

/// Shows a refusal beside the field that can be changed to avoid it, or else above the form.
fn refuse(form: &mut Form, refusal: &StaffRefusal) {
    match refusal {
        StaffRefusal::StaffAlready => form.refuse_field("mobile", refusal.code()),
        StaffRefusal::LastOwner => form.refuse_field("role", refusal.code()),
        StaffRefusal::UnknownStaff | StaffRefusal::TooManyStaff | StaffRefusal::UnknownMerchant => form.refuse(refusal),
    }
}

/// The passcode that confirms a change of staff: it goes to the owner's own mobile.
fn asking(signed_in: &MerchantSignedIn, address: ClientAddress) -> Asking {
    Asking { purpose: Purpose::StaffChange, mobile: signed_in.staff.mobile.clone(), address: address.0 }
}

/// `GET /m/staff/new`
pub async fn new(page: Page, signed_in: MerchantSignedIn) -> Result<NewPage, Problem> {
    signed_in.require(Right::ManageStaff)?;
    let form = Form::filled([("role", Role::Cashier.name().to_owned())]);
    Ok(NewPage { page, form, signed_in, is_sent: false })
}

/// `POST /m/staff/new`: the field `do` says whether a code is to be sent, or somebody to be hired.
pub async fn hire(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    signed_in.require(Right::ManageStaff)?;
    let asking = asking(&signed_in, address);
    if let Some(is_sent) = passcode::send_if_asked(&app, &asking, &mut form).await? {
        return Ok(NewPage { page, form, signed_in, is_sent }.answer());
    }
    let name = form.read("staff_name", parse_staff_name);
    let mobile = form.read("mobile", typed_mobile);
    let role = form.read("role", str::parse::<Role>);
    let (Some(name), Some(mobile), Some(role)) = (name, mobile, role) else {
        form.read("passcode", |_| Ok(()));
        let is_sent = passcode::is_awaited(&app, asking.purpose, &asking.mobile).await?;
        return Ok(NewPage { page, form, signed_in, is_sent }.answer());
    };
    let (merchant_id, hired_by) = (signed_in.merchant_id, signed_in.staff.staff_id.to_string());
    let hiring = Hiring { merchant_id, name, mobile, role, hired_by };
    // The same form again, by a second tap or a reload: they are hired already.
    let is_again = staff_actions::is_hired(&app, &hiring).await?;
    if !is_again {
        // A code can be used once: what is known to be wrong is said before it is used up.
        let team = Team(staff_actions::list_staff(&app, hiring.merchant_id).await?);
        if let Err(refusal) = team.may_hire(&hiring.mobile) {
            refuse(&mut form, &refusal);
        }
        if !passcode::is_proved(&app, &asking, &mut form).await? {
            let is_sent = passcode::is_awaited(&app, asking.purpose, &asking.mobile).await?;
            return Ok(NewPage { page, form, signed_in, is_sent }.answer());
        }
        match staff_actions::hire(&app, &hiring).await {
            Ok(_) => page.visit.flash("flash-staff-hired"),
            Err(Fault::Refused(refusal)) => {
                refuse(&mut form, &refusal);
                return Ok(NewPage { page, form, signed_in, is_sent: false }.answer());
            }
            Err(failed) => return Err(failed.into()),
        }
    }
    Ok(Redirect::to(LIST).into_response())
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/staff_one.html")]
pub struct OnePage {
    page: Page,
    form: Form,
    signed_in: MerchantSignedIn,
    person: Staff,
    is_sent: bool,
}

impl OnePage {
    fn roles(&self) -> [Role; 3] {
        Role::ALL
    }

    fn answer(self) -> Response {
        (self.form.status(), self).into_response()
    }
}

/// `GET /m/staff/{staff}`
pub async fn show(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(staff): Path<String>,
) -> Result<OnePage, Problem> {
    let person = find_or_404(&app, &signed_in, &staff).await?;
    let form = Form::filled([("role", person.role.name().to_owned())]);
    Ok(OnePage { page, form, signed_in, person, is_sent: false })
}

/// Somebody who works at the signed-in person's merchant, by the id in the page's address; a person of another merchant is not found.
async fn find_or_404(app: &App, signed_in: &MerchantSignedIn, staff: &str) -> Result<Staff, Problem> {
    find_person(app, signed_in, staff).await?.ok_or_else(Problem::not_found)
}

async fn find_person(app: &App, signed_in: &MerchantSignedIn, staff: &str) -> Result<Option<Staff>, Problem> {
    signed_in.require(Right::ManageStaff)?;
    let Ok(staff_id) = staff.parse::<StaffId>() else { return Ok(None) };
    let at = staff_actions::find_staff(app, staff_id.uuid()).await?;
    Ok(at.filter(|at| at.staff.merchant_id == signed_in.merchant_id).map(|at| at.staff))
}

fn change_of(signed_in: &MerchantSignedIn, person: &Staff) -> StaffChange {
    StaffChange {
        merchant_id: signed_in.merchant_id,
        staff_id: person.staff_id,
        changed_by: signed_in.staff.staff_id.to_string(),
    }
}

/// `POST /m/staff/{staff}`: another role.
pub async fn change(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    address: ClientAddress,
    Path(staff): Path<String>,
    mut form: Form,
) -> Result<Response, Problem> {
    let person = find_or_404(&app, &signed_in, &staff).await?;
    let asking = asking(&signed_in, address);
    if let Some(is_sent) = passcode::send_if_asked(&app, &asking, &mut form).await? {
        return Ok(OnePage { page, form, signed_in, person, is_sent }.answer());
    }
    let role = form.read("role", str::parse::<Role>);
    if role == Some(person.role) {
        return Ok(Redirect::to(LIST).into_response());
    }
    // As for somebody new: a change that is refused anyway does not use up the code.
    let team = Team(staff_actions::list_staff(&app, signed_in.merchant_id).await?);
    if let Some(Err(refusal)) = role.map(|role| team.may_become(person.staff_id, role)) {
        refuse(&mut form, &refusal);
    }
    let is_proved = passcode::is_proved(&app, &asking, &mut form).await?;
    let Some(role) = role.filter(|_| is_proved) else {
        let is_sent = passcode::is_awaited(&app, asking.purpose, &asking.mobile).await?;
        return Ok(OnePage { page, form, signed_in, person, is_sent }.answer());
    };
    match staff_actions::change_role(&app, &change_of(&signed_in, &person), role).await {
        Ok(_) => {
            page.visit.flash("flash-staff-changed");
            // Whoever gave the right away may not see the list any more.
            let own = person.staff_id == signed_in.staff.staff_id && !role.may(Right::ManageStaff);
            Ok(Redirect::to(if own { "/m" } else { LIST }).into_response())
        }
        Err(Fault::Refused(refusal)) => {
            refuse(&mut form, &refusal);
            Ok(OnePage { page, form, signed_in, person, is_sent: false }.answer())
        }
        Err(failed) => Err(failed.into()),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/staff_remove.html")]
pub struct RemovePage {
    page: Page,
    form: Form,
    signed_in: MerchantSignedIn,
    person: Staff,
    is_sent: bool,
}

impl RemovePage {
    fn answer(self) -> Response {
        (self.form.status(), self).into_response()
    }
}

/// `GET /m/staff/{staff}/remove`
pub async fn ask_remove(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(staff): Path<String>,
) -> Result<RemovePage, Problem> {
    let person = find_or_404(&app, &signed_in, &staff).await?;
    Ok(RemovePage { page, form: Form::default(), signed_in, person, is_sent: false })
}

/// `POST /m/staff/{staff}/remove`: their sessions end at once.
pub async fn remove(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    address: ClientAddress,
    Path(staff): Path<String>,
    mut form: Form,
) -> Result<Response, Problem> {
    // The same form again: the person is removed already.
    let Some(person) = find_person(&app, &signed_in, &staff).await? else {
        return Ok(Redirect::to(LIST).into_response());
    };
    let asking = asking(&signed_in, address);
    if let Some(is_sent) = passcode::send_if_asked(&app, &asking, &mut form).await? {
        return Ok(RemovePage { page, form, signed_in, person, is_sent }.answer());
    }
    let team = Team(staff_actions::list_staff(&app, signed_in.merchant_id).await?);
    if let Err(refusal) = team.may_remove(person.staff_id) {
        form.refuse(&refusal);
    }
    if !passcode::is_proved(&app, &asking, &mut form).await? {
        let is_sent = passcode::is_awaited(&app, asking.purpose, &asking.mobile).await?;
        return Ok(RemovePage { page, form, signed_in, person, is_sent }.answer());
    }
    match staff_actions::remove(&app, &change_of(&signed_in, &person)).await {
        Ok(()) => {
            page.visit.flash("flash-staff-removed");
            Ok(Redirect::to(LIST).into_response())
        }
        Err(Fault::Refused(refusal)) => {
            form.refuse(&refusal);
            Ok(RemovePage { page, form, signed_in, person, is_sent: false }.answer())
        }
        Err(failed) => Err(failed.into()),
    }
}
