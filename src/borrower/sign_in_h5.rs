//! Signing in and out: by WeChat inside WeChat, elsewhere by mobile and SMS code.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use serde::Deserialize;

use super::openid_actions;
use crate::app::App;
use crate::http::Problem;
use crate::page::back::path_of_ours;
use crate::page::session;
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, SessionKind, unprocessable};
use crate::partner::wechat::{WeChat, WeChatError, serves_nobody};
use crate::passcode::{self, Purpose, SignInStep, Window};

/// Where a sign-in leads that no other page asked for.
const HOME: &str = "/home";
/// The page that asks for a mobile, even inside WeChat. Forms lead here and not to `/sign-in`, because the content policy
/// lets no form lead to another site, and WeChat's sign-in would at once sign in again somebody who has just signed out.
pub const BY_MOBILE: &str = "/sign-in?by=mobile";
/// How many codes unknown to WeChat may come from one network address. Each is a call to WeChat that is logged, and anybody
/// may make codes up; but a page that was opened twice on the way back has one too, and thousands of people may share a
/// carrier's address.
const CODES_UNKNOWN: Window = Window { kind: "wechat_code", length: TimeDelta::hours(1), count_max: 300 };

#[derive(Deserialize)]
pub struct Coming {
    #[serde(default)]
    next: String,
    /// `mobile` to sign in by mobile even inside WeChat; `link` to be shown a link to WeChat instead of a redirect, for a
    /// form led here and may not lead on to another site.
    #[serde(default)]
    by: String,
}

/// The query with which WeChat leads back.
#[derive(Deserialize)]
pub struct Returning {
    #[serde(default)]
    next: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/sign_in.html")]
pub struct SignInPage {
    page: Page,
    form: Form,
    /// A code is on its way to the mobile in the form.
    is_sent: bool,
}

/// A page with a link to WeChat.
#[derive(Template, WebTemplate)]
#[template(path = "borrower/sign_in_wechat.html")]
pub struct ToWeChatPage {
    page: Page,
    to: String,
}

/// `GET /sign-in`
pub async fn show(State(app): State<App>, page: Page, Query(coming): Query<Coming>) -> Result<Response, Problem> {
    let next = path_of_ours(&coming.next, HOME).to_owned();
    let session = session::find(&app, &page.visit, SessionKind::Borrower).await?;
    let proved = session.map(|session| session.proved).unwrap_or_default();
    if proved.subject_id.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    if let Some(wechat) = app.partners.wechat()
        && page.visit.in_wechat
        && proved.openid.is_none()
        && coming.by != "mobile"
    {
        let back = app.site.link(format!("/sign-in/wechat?{}", query(&[("next", &next)])));
        let to = wechat.authorize_address(&back, &page.csrf);
        let by_link = coming.by == "link";
        return Ok(if by_link { ToWeChatPage { page, to }.into_response() } else { Redirect::to(&to).into_response() });
    }
    Ok(SignInPage { page, form: Form::filled([("next", next)]), is_sent: false }.into_response())
}

/// `GET /sign-in/wechat`: back from WeChat. Whoever is not linked to a borrower yet proves a mobile once; from then on WeChat
/// alone signs them in.
pub async fn from_wechat(
    State(app): State<App>,
    page: Page,
    address: ClientAddress,
    Query(returning): Query<Returning>,
) -> Result<Response, Problem> {
    let next = path_of_ours(&returning.next, HOME).to_owned();
    let by_mobile = format!("/sign-in?{}", query(&[("by", "mobile"), ("next", &next)]));
    // The state proves that this browser was sent to WeChat by us.
    let is_ours = page.visit.has_said(&returning.state);
    let openid = match app.partners.wechat().filter(|_| is_ours && !returning.code.is_empty()) {
        Some(wechat) => openid_of(&app, wechat, address, &returning.code).await?,
        None => Err(WeChatError::Silent),
    };
    let openid = match openid {
        Ok(openid) => openid,
        Err(error) => {
            tracing::warn!(%error, "WeChat did not sign somebody in");
            page.visit.flash("flash-wechat-silent");
            return Ok(Redirect::to(&by_mobile).into_response());
        }
    };
    let borrower_id = openid_actions::sign_in(&app, &page.visit, openid).await?;
    let on = if borrower_id.is_some() { next } else { by_mobile };
    Ok(Redirect::to(&on).into_response())
}

/// The WeChat identity behind a code. The code is counted before WeChat is asked, so that parallel requests are no more than
/// the window allows; beyond that WeChat is not asked. A code that WeChat knows is taken off the count.
async fn openid_of(
    app: &App,
    wechat: &WeChat,
    ClientAddress(address): ClientAddress,
    code: &str,
) -> anyhow::Result<Result<String, WeChatError>> {
    let Some(address) = address else { return Ok(wechat.openid(code).await) };
    if passcode::full_until(app, CODES_UNKNOWN, &address).await?.is_some() {
        return Ok(Err(WeChatError::Silent));
    }
    let found = wechat.openid(code).await;
    let is_unknown = matches!(&found, Err(WeChatError::Refused { code, .. }) if !serves_nobody(*code));
    if !is_unknown {
        passcode::take_back(app, CODES_UNKNOWN, &address).await?;
    }
    Ok(found)
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// `POST /sign-in`: the field `do` says whether a code is to be sent, or was entered.
pub async fn sign_in(
    State(app): State<App>,
    mut page: Page,
    address: ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    // The language switch leads back to this page, and not to WeChat's.
    let next = path_of_ours(form.value("next"), HOME);
    page.visit.address = format!("/sign-in?{}", query(&[("by", "mobile"), ("next", next)]));
    let mobile = match passcode::sign_in_step(&app, Purpose::BorrowerSignIn, address, &mut form).await? {
        SignInStep::Sent => return Ok(SignInPage { page, form, is_sent: true }.into_response()),
        SignInStep::Refused { is_sent } => {
            return Ok(unprocessable(SignInPage { page, form, is_sent }));
        }
        SignInStep::Proved(mobile) => mobile,
    };
    let known = session::find(&app, &page.visit, SessionKind::Borrower).await?;
    let openid = known.and_then(|session| session.proved.openid);
    openid_actions::sign_in_by_mobile(&app, &page.visit, mobile, openid).await?;
    Ok(Redirect::to(path_of_ours(form.value("next"), HOME)).into_response())
}

/// `POST /sign-out`
pub async fn sign_out(State(app): State<App>, page: Page) -> Result<Redirect, Problem> {
    session::end(&app, &page.visit, SessionKind::Borrower).await?;
    page.visit.flash("flash-signed-out");
    Ok(Redirect::to(BY_MOBILE))
}
