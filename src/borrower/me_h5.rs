//! The page of a borrower's account, and what it leads to: agreements signed, sessions, and the export of everything.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{Profile, SignedAgreement};
use super::pin_actions::has_pin;
use super::sign_in_h5::BY_MOBILE;
use super::{Agreement, actions, export_actions, openid_actions, pin_h5};
use crate::app::App;
use crate::base::id::{BorrowerId, ConsentId};
use crate::http::Problem;
use crate::notice::{self, Audience};
use crate::page::session::{self, SignedIn};
use crate::page::subject::{OwnSession, Subject};
use crate::page::{Form, Page, SessionKind, device, unprocessable};

#[derive(Template, WebTemplate)]
#[template(path = "borrower/me.html")]
pub struct MePage {
    page: Page,
    profile: Profile,
    has_pin: bool,
    unread: i64,
}

/// `GET /me`
pub async fn me(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<MePage, Problem> {
    let profile = actions::profile(&app, id).await?;
    let has_pin = has_pin(&app, id).await?;
    let mut connection = app.pool.acquire().await?;
    let unread = notice::store::count_unread(&mut connection, Audience::Borrower, Some(id.uuid())).await?;
    Ok(MePage { page, profile, has_pin, unread })
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/agreements.html")]
pub struct AgreementsPage {
    page: Page,
    agreements: Vec<SignedAgreement>,
}

/// `GET /me/agreements`
pub async fn agreements(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<AgreementsPage, Problem> {
    Ok(AgreementsPage { page, agreements: actions::signed_agreements(&app, id).await? })
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/agreement_signed.html")]
pub struct SignedPage {
    page: Page,
    signed: SignedAgreement,
    text: String,
}

/// `GET /me/agreements/{consent}`: the exact text that was signed.
pub async fn agreement(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    Path(consent_id): Path<String>,
) -> Result<SignedPage, Problem> {
    let signed = find_signed(&app, id, &consent_id).await?;
    let text = actions::signed_text(&app, id, signed.consent_id).await?.ok_or_else(Problem::not_found)?;
    Ok(SignedPage { page, signed, text })
}

/// A consent of this person, by its id as it stands in an address.
pub async fn find_signed(app: &App, id: BorrowerId, consent: &str) -> Result<SignedAgreement, Problem> {
    let consent_id: ConsentId = consent.parse().map_err(|_| Problem::not_found())?;
    let signed = actions::signed_agreements(app, id).await?;
    signed.into_iter().find(|signed| signed.consent_id == consent_id).ok_or_else(Problem::not_found)
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/sessions.html")]
pub struct SessionsPage {
    page: Page,
    sessions: Vec<OwnSession>,
    /// Since when WeChat signs the person in.
    wechat_since: Option<DateTime<Utc>>,
}

impl SessionsPage {
    fn device(&self, session: &OwnSession) -> &'static str {
        device::kind(&session.device)
    }
}

/// `GET /me/sessions`
pub async fn sessions(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<SessionsPage, Problem> {
    let sessions = session::list(&app, &page.visit, Subject::borrower(id)).await?;
    let wechat_since = openid_actions::linked_at(&app, id).await?;
    Ok(SessionsPage { page, sessions, wechat_since })
}

/// `POST /me/sessions/{session}/end`
pub async fn end_session(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    Path(session_id): Path<Uuid>,
) -> Result<Redirect, Problem> {
    session::end_one(&app, Subject::borrower(id), session_id).await?;
    page.visit.flash("flash-session-ended");
    Ok(Redirect::to("/me/sessions"))
}

/// `POST /me/sessions/end-others`
pub async fn end_others(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<Redirect, Problem> {
    session::end_others(&app, &page.visit, Subject::borrower(id)).await?;
    page.visit.flash("flash-session-ended");
    Ok(Redirect::to("/me/sessions"))
}

/// `POST /me/sessions/unlink-wechat`: the person is no longer signed in by WeChat. A session that began by it ends, and its
/// holder proves a mobile next.
pub async fn unlink_wechat(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<Redirect, Problem> {
    openid_actions::unlink_openid(&app, id).await?;
    page.visit.flash("flash-wechat-unlinked");
    let is_signed_in = session::find(&app, &page.visit, SessionKind::Borrower).await?.is_some();
    Ok(Redirect::to(if is_signed_in { "/me/sessions" } else { BY_MOBILE }))
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/export.html")]
pub struct ExportPage {
    page: Page,
    form: Form,
    has_pin: bool,
}

/// `GET /me/export`
pub async fn ask_export(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<ExportPage, Problem> {
    Ok(ExportPage { page, form: Form::default(), has_pin: has_pin(&app, id).await? })
}

/// `POST /me/export`: everything that is kept about the person, as a file, after the PIN.
pub async fn export(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    mut form: Form,
) -> Result<Response, Problem> {
    let has_pin = has_pin(&app, id).await?;
    if !pin_h5::is_confirmed(&app, id, &mut form).await? {
        return Ok(unprocessable(ExportPage { page, form, has_pin }));
    }
    let document = export_actions::export(&app, id, &page.visit.device).await?;
    let text = serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?;
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"fenqi.json\""),
    ];
    Ok((headers, text).into_response())
}

impl AgreementsPage {
    /// The agreement's name in words; one that is no longer in use shows its stored name.
    fn name(&self, signed: &SignedAgreement) -> String {
        agreement_name(&self.page, &signed.kind)
    }
}

impl SignedPage {
    fn may_be_withdrawn(&self) -> bool {
        let agreement = Agreement::from_name(&self.signed.kind);
        self.signed.withdrawn_at.is_none() && agreement.is_some_and(Agreement::may_be_withdrawn)
    }

    fn name(&self) -> String {
        agreement_name(&self.page, &self.signed.kind)
    }
}

fn agreement_name(page: &Page, kind: &str) -> String {
    match Agreement::from_name(kind) {
        Some(agreement) => page.say_of("agreement", agreement.name()).to_string(),
        None => kind.to_owned(),
    }
}
