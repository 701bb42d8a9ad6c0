//! The sign-in check of every merchant page ([`MerchantSignedIn`]), the home page, and the page that lists the others.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use rust_decimal::Decimal;

use super::MerchantStatus;
use super::join_store;
use super::staff::{Right, Role, Staff};
use super::staff_actions::{self, StaffAt};
use crate::app::App;
use crate::base::id::MerchantId;
use crate::http::Problem;
use crate::page::session::{self, lead, way_to};
use crate::page::{Page, SessionKind, Visit};
use crate::passcode::{self, Window};
use crate::purchase::receipt::Takings;
use crate::purchase::sum_takings_today;

/// How many tables and statements one person may download in ten minutes: each may read a year of sales, and no person needs
/// more.
const FILES: Window = Window { kind: "merchant_file", length: TimeDelta::minutes(10), count_max: 30 };

/// Somebody who is signed in for a merchant that was accepted. As an argument of a handler it leads everybody else to sign
/// in, to choose a merchant, or to the application.
#[derive(Clone, Debug)]
pub struct MerchantSignedIn {
    pub merchant_id: MerchantId,
    pub merchant_name: String,
    /// Active, suspended or closed: staff of a merchant that was never accepted see only the page of its application.
    pub status: MerchantStatus,
    pub staff: Staff,
    /// What they may do; see [`MerchantSignedIn::require`].
    pub rights: Role,
}

impl MerchantSignedIn {
    /// Refuses, with a page that says whom to ask, where their role does not have the right.
    pub fn require(&self, right: Right) -> Result<(), Problem> {
        if self.rights.may(right) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "right_missing",
            format!("A {} may not do this; ask the merchant's owner.", self.rights.name()),
        ))
    }

    /// Whether the same person is still signed in for this merchant; for connections that stay open longer than a page takes
    /// to load.
    pub async fn still_holds(&self, app: &App, visit: &Visit) -> anyhow::Result<bool> {
        Ok(match signed_in(app, visit).await? {
            SignedInAs::Staff(at) => at.staff.staff_id == self.staff.staff_id,
            SignedInAs::Mobile | SignedInAs::Nobody => false,
        })
    }

    /// Counts one download, and refuses it where it is one too many.
    pub async fn may_fetch(&self, app: &App) -> Result<(), Problem> {
        let full_until = passcode::full_until(app, FILES, &self.staff.staff_id.to_string()).await?;
        let Some(until) = full_until else { return Ok(()) };
        let detail = "Many files were fetched in a short time. Try again in some minutes.";
        let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_files", detail);
        problem.retry_after = u32::try_from((until - app.clock.now()).num_seconds()).ok();
        Err(problem)
    }

    /// Whether the merchant may sell.
    pub fn is_active(&self) -> bool {
        self.status == MerchantStatus::Active
    }
}

impl<S: Sync> FromRequestParts<S> for MerchantSignedIn
where
    App: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<MerchantSignedIn, Response> {
        let app = &App::from_ref(state);
        let visit = Visit::from_request_parts(parts, app).await.map_err(IntoResponse::into_response)?;
        match signed_in(app, &visit).await.map_err(|error| Problem::from(error).into_response())? {
            SignedInAs::Staff(at) => of(at).map_err(|to| lead(&parts.headers, to)),
            SignedInAs::Mobile => Err(lead(&parts.headers, "/m/choose")),
            SignedInAs::Nobody => Err(lead(&parts.headers, &way_to("/m/sign-in", &visit, parts, None))),
        }
    }
}

/// The person, or the page to lead them to where their merchant was never accepted.
fn of(at: StaffAt) -> Result<MerchantSignedIn, &'static str> {
    match at.merchant_status {
        MerchantStatus::Submitted | MerchantStatus::Refused => Err("/m/join"),
        MerchantStatus::Active | MerchantStatus::Suspended | MerchantStatus::Closed => Ok(MerchantSignedIn {
            merchant_id: at.staff.merchant_id,
            merchant_name: at.merchant_name,
            status: at.merchant_status,
            rights: at.staff.role,
            staff: at.staff,
        }),
    }
}

/// As whom a visitor's session has signed in on merchants' pages.
pub(super) enum SignedInAs {
    Staff(StaffAt),
    /// A mobile is proved, but no merchant is chosen yet, or there is none.
    Mobile,
    Nobody,
}

pub(super) async fn signed_in(app: &App, visit: &Visit) -> anyhow::Result<SignedInAs> {
    let Some(session) = session::find(app, visit, SessionKind::Merchant).await? else { return Ok(SignedInAs::Nobody) };
    match session.proved.subject_id {
        // Whoever was removed is signed out at once.
        Some(staff_id) => Ok(match staff_actions::find_staff(app, staff_id).await? {
            Some(at) => SignedInAs::Staff(at),
            None => SignedInAs::Nobody,
        }),
        None if session.proved.mobile.is_some() => Ok(SignedInAs::Mobile),
        None => Ok(SignedInAs::Nobody),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/home.html")]
pub struct HomePage {
    page: Page,
    signed_in: MerchantSignedIn,
    takings: Takings,
}

/// `GET /m`
pub async fn home(State(app): State<App>, page: Page, signed_in: MerchantSignedIn) -> Result<HomePage, Problem> {
    let takings = sum_takings_today(&app, signed_in.merchant_id).await?.takings;
    Ok(HomePage { page, signed_in, takings })
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/more.html")]
pub struct MorePage {
    page: Page,
    signed_in: MerchantSignedIn,
    /// Shown only to those who may see settlements.
    terms: Option<Terms>,
}

/// What the merchant has agreed to pay, and where it is paid to.
struct Terms {
    discount_rate: Decimal,
    is_returned: bool,
    account_tail: String,
}

/// `GET /m/more`
pub async fn more(State(app): State<App>, page: Page, signed_in: MerchantSignedIn) -> Result<MorePage, Problem> {
    let mut terms = None;
    if signed_in.rights.may_see_settlements() {
        let merchant = join_store::find_application(&mut *app.pool.acquire().await?, signed_in.merchant_id).await?;
        terms = merchant.map(|merchant| Terms {
            discount_rate: merchant.discount_rate,
            is_returned: merchant.discount_returned_on_refund,
            account_tail: merchant.account_tail,
        });
    }
    Ok(MorePage { page, signed_in, terms })
}
