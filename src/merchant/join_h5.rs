//! Applying for acceptance (入网), step by step: each visit shows the applicant's next step, or the state of the application.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::h5::{SignedInAs, signed_in};
use super::join::{Draft, JoinStep, field_of, read_field};
use super::join_actions::{self, Applicant};
use super::join_store::{self, ApplicationRow};
use super::staff_actions::{self, StaffAt};
use super::{Agreement, Category, MerchantRefusal, MerchantStatus, Role};
use crate::app::App;
use crate::base::person::Mobile;
use crate::error::{Fault, Refusal};
use crate::http::Problem;
use crate::page::session::{self, lead};
use crate::page::{Form, Page, SessionKind, part, unprocessable};

const JOIN: &str = "/m/join";

#[derive(Deserialize)]
pub struct Wanted {
    /// A step to go back to.
    #[serde(default)]
    step: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/join_company.html")]
pub struct CompanyPage {
    page: Page,
    form: Form,
    mobile: Mobile,
    /// Whether the applicant has a merchant to go back to.
    has_places: bool,
}

impl CompanyPage {
    fn categories(&self) -> &'static [Category] {
        Category::ALL
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/join_account.html")]
pub struct AccountPage {
    page: Page,
    form: Form,
    mobile: Mobile,
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/join_submit.html")]
pub struct SubmitPage {
    page: Page,
    form: Form,
    draft: Draft,
    mobile: Mobile,
    price: Agreement,
}

/// The state of an application; `state` is the part of the page that updates itself.
#[derive(Template, WebTemplate)]
#[template(path = "merchant/join_state.html", blocks = ["state"])]
pub struct StatePage {
    page: Page,
    application: ApplicationRow,
    mobile: Mobile,
    may_correct: bool,
}

impl StatePage {
    fn is_waiting(&self) -> bool {
        self.application.status == MerchantStatus::Submitted
    }

    fn is_refused(&self) -> bool {
        self.application.status == MerchantStatus::Refused
    }

    fn is_accepted(&self) -> bool {
        self.application.status == MerchantStatus::Active
    }

    fn decided_at(&self) -> DateTime<Utc> {
        self.application.decided_at.unwrap_or(self.application.created_at)
    }
}

/// A visitor of these pages, by how far an application has come.
enum Visitor {
    Applying(Applicant),
    /// They have sent an application, or work at a merchant.
    Applied(StaffAt),
    Nobody,
}

async fn find_visitor(app: &App, page: &Page) -> anyhow::Result<Visitor> {
    let known = signed_in(app, &page.visit).await?;
    let session = session::find(app, &page.visit, SessionKind::Merchant).await?;
    let mobile = session.and_then(|session| session.proved.mobile);
    let (at, mobile) = match (known, mobile) {
        (SignedInAs::Nobody, _) | (SignedInAs::Mobile, None) => return Ok(Visitor::Nobody),
        (SignedInAs::Mobile, Some(mobile)) => return Ok(Visitor::Applying(Applicant { mobile, refused: None })),
        (SignedInAs::Staff(at), mobile) => (at, mobile),
    };
    if let Some(mobile) = mobile
        && may_correct(&at)
    {
        let applicant = Applicant { mobile, refused: Some(at.clone()) };
        if !join_actions::load_draft(app, &applicant).await?.is_empty() {
            return Ok(Visitor::Applying(applicant));
        }
    }
    Ok(Visitor::Applied(at))
}

/// The owner may correct an application that was refused.
fn may_correct(at: &StaffAt) -> bool {
    at.merchant_status == MerchantStatus::Refused && at.staff.role == Role::Owner
}

/// The applicant, or the redirect for a visitor who is not filling in an application.
async fn applicant(app: &App, page: &Page) -> anyhow::Result<Result<Applicant, Redirect>> {
    Ok(match find_visitor(app, page).await? {
        Visitor::Applying(applicant) => Ok(applicant),
        Visitor::Applied(_) => Err(Redirect::to(JOIN)),
        Visitor::Nobody => Err(to_sign_in()),
    })
}

fn to_sign_in() -> Redirect {
    Redirect::to("/m/sign-in?next=/m/join")
}

/// `GET /m/join`: the visitor's next step, or the state of the application.
pub async fn show(State(app): State<App>, page: Page, Query(wanted): Query<Wanted>) -> Result<Response, Problem> {
    let applicant = match find_visitor(&app, &page).await? {
        Visitor::Nobody => return Ok(to_sign_in().into_response()),
        Visitor::Applied(at) => {
            return match at.merchant_status {
                // It was accepted before.
                MerchantStatus::Suspended | MerchantStatus::Closed => Ok(Redirect::to("/m").into_response()),
                MerchantStatus::Submitted | MerchantStatus::Refused | MerchantStatus::Active => {
                    Ok(state_page(&app, page, at).await?.into_response())
                }
            };
        }
        Visitor::Applying(applicant) => applicant,
    };
    let draft = join_actions::load_draft(&app, &applicant).await?;
    let wanted = JoinStep::from_name(&wanted.step);
    // Somebody whom a merchant has hired in the meantime has come for that merchant; whoever wants to apply as well names the
    // step.
    let is_new = applicant.refused.is_none() && draft.is_empty() && wanted.is_none();
    if is_new && !staff_actions::find_by_mobile(&app, &applicant.mobile).await?.is_empty() {
        return Ok(Redirect::to("/m/choose").into_response());
    }
    let step = wanted.unwrap_or_else(|| draft.step());
    let mut form = Form::default();
    for (name, _) in step.fields() {
        form.fill(name, draft.value(name));
    }
    if step == JoinStep::Account && form.value("account_name").is_empty() {
        form.fill("account_name", draft.value("legal_name"));
    }
    Ok(step_page(&app, page, form, step, &applicant, draft).await?)
}

async fn step_page(
    app: &App,
    page: Page,
    form: Form,
    step: JoinStep,
    applicant: &Applicant,
    draft: Draft,
) -> anyhow::Result<Response> {
    let mobile = applicant.mobile.clone();
    Ok(match step {
        JoinStep::Company => {
            let has_places = !staff_actions::find_by_mobile(app, &mobile).await?.is_empty();
            CompanyPage { page, form, mobile, has_places }.into_response()
        }
        JoinStep::Account => AccountPage { page, form, mobile }.into_response(),
        JoinStep::Submit => {
            let price = join_actions::price(app, applicant).await?;
            SubmitPage { page, form, draft, mobile, price }.into_response()
        }
    })
}

async fn state_page(app: &App, page: Page, at: StaffAt) -> Result<StatePage, Problem> {
    let may_correct = may_correct(&at);
    let mut connection = app.pool.acquire().await?;
    let application = join_store::find_application(&mut connection, at.staff.merchant_id).await?;
    let application = application.ok_or_else(Problem::not_found)?;
    Ok(StatePage { page, application, mobile: at.staff.mobile, may_correct })
}

/// `GET` of a step's address, as by the language switch or a reload: leads to the visitor's next step, since steps have no
/// pages of their own.
pub async fn to_step() -> Redirect {
    Redirect::to(JOIN)
}

/// `GET /m/join/state`: the part that updates itself, as soon as somebody has decided.
pub async fn state(State(app): State<App>, page: Page, headers: HeaderMap) -> Result<Response, Problem> {
    let visitor = find_visitor(&app, &page).await?;
    match visitor {
        Visitor::Applied(at) if part::is_part(&headers) => {
            let shown = state_page(&app, page, at).await?;
            if shown.is_waiting() {
                return Ok(part::unchanged());
            }
            part::changed(shown.as_state().render())
        }
        Visitor::Applied(_) | Visitor::Applying(_) | Visitor::Nobody => Ok(lead(&headers, JOIN)),
    }
}

/// `POST /m/join/company`
pub async fn company(State(app): State<App>, page: Page, form: Form) -> Result<Response, Problem> {
    keep_step(&app, page, form, JoinStep::Company).await
}

/// `POST /m/join/account`
pub async fn account(State(app): State<App>, page: Page, form: Form) -> Result<Response, Problem> {
    keep_step(&app, page, form, JoinStep::Account).await
}

/// Reads the fields of a step and keeps them, if each is right; else shows the step again with each error beside its field.
async fn keep_step(app: &App, page: Page, mut form: Form, step: JoinStep) -> Result<Response, Problem> {
    let applicant = match applicant(app, &page).await? {
        Ok(applicant) => applicant,
        Err(elsewhere) => return Ok(elsewhere.into_response()),
    };
    let mut draft = join_actions::load_draft(app, &applicant).await?;
    let mut fields = draft.0.clone();
    for (name, may_be_empty) in step.fields() {
        if *may_be_empty && form.value(name).is_empty() {
            fields.remove(*name);
        } else if let Some(value) = form.read(name, |text| read_field(name, text)) {
            fields.insert((*name).to_owned(), value);
        }
    }
    match step {
        JoinStep::Company => {
            let own = applicant.refused.as_ref().map(|refused| refused.staff.merchant_id);
            if form.error("credit_code").is_none()
                && join_actions::is_onboarded(app, fields.get("credit_code").map_or("", String::as_str), own).await?
            {
                form.refuse_field("credit_code", MerchantRefusal::AlreadyOnboarded.code());
            }
            for (name, other) in [("latin_name", "latin_city"), ("latin_city", "latin_name")] {
                if form.value(name).is_empty() && !form.value(other).is_empty() {
                    form.refuse_field(name, "latin_both");
                }
            }
        }
        JoinStep::Account => {
            let legal_name = draft.value("legal_name");
            if form.error("account_name").is_none() && form.value("account_name") != legal_name {
                let (account, company) = (form.value("account_name").to_owned(), legal_name.to_owned());
                form.refuse_field("account_name", MerchantRefusal::AccountOfAnother { account, company }.code());
            }
        }
        JoinStep::Submit => {}
    }
    if form.is_refused() {
        return Ok(unprocessable(step_page(app, page, form, step, &applicant, draft).await?));
    }
    draft.0 = fields;
    join_actions::save_draft(app, &applicant, &draft).await?;
    Ok(Redirect::to(JOIN).into_response())
}

/// `POST /m/join/submit`: files it; whoever sends it is the first owner, signed in from then on.
pub async fn submit(State(app): State<App>, page: Page, mut form: Form) -> Result<Response, Problem> {
    let applicant = match applicant(&app, &page).await? {
        Ok(applicant) => applicant,
        Err(elsewhere) => return Ok(elsewhere.into_response()),
    };
    let draft = join_actions::load_draft(&app, &applicant).await?;
    if draft.step() != JoinStep::Submit {
        // In another tab a step was opened again, or the application was sent.
        return Ok(Redirect::to(JOIN).into_response());
    }
    if form.read("confirm_join", |_| Ok(())).is_none() {
        return Ok(unprocessable(step_page(&app, page, form, JoinStep::Submit, &applicant, draft).await?));
    }
    match join_actions::apply(&app, &applicant).await {
        Ok(staff_id) => {
            session::become_subject(&app, &page.visit, SessionKind::Merchant, Some(staff_id.uuid())).await?;
            Ok(Redirect::to(JOIN).into_response())
        }
        Err(Fault::Refused(refusal)) => {
            let step = match field_of(&refusal) {
                Some(field) => {
                    form.refuse_field(field, refusal.code());
                    [JoinStep::Company, JoinStep::Account]
                        .into_iter()
                        .find(|step| step.fields().iter().any(|(name, _)| *name == field))
                        .unwrap_or(JoinStep::Submit)
                }
                None => {
                    form.refuse(&refusal);
                    JoinStep::Submit
                }
            };
            for (name, _) in step.fields() {
                form.fill(name, draft.value(name));
            }
            Ok(unprocessable(step_page(&app, page, form, step, &applicant, draft).await?))
        }
        Err(failed) => Err(failed.into()),
    }
}

/// `POST /m/join/again`: an application that was refused is corrected and sent again.
pub async fn again(State(app): State<App>, page: Page) -> Result<Redirect, Problem> {
    if let Visitor::Applied(at) = find_visitor(&app, &page).await?
        && may_correct(&at)
    {
        join_actions::correct(&app, at).await?;
    }
    Ok(Redirect::to(JOIN))
}
