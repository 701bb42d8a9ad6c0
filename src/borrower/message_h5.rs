//! Messages: what the borrower was told, each with a way to the page that it is about.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::Redirect;
use serde::Deserialize;

use super::message;
use super::subscription_actions::{self, Choice};
use crate::app::App;
use crate::http::Problem;
use crate::notice::{self, Audience, Raised};
use crate::page::session::SignedIn;
use crate::page::shell::page_signature;
use crate::page::{Form, Page};
use crate::partner::wechat::PageSignature;

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    /// Only what is older than the message with this number.
    before: Option<i64>,
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/messages.html")]
pub struct MessagesPage {
    page: Page,
    messages: Vec<Raised>,
    /// The number before which there are older ones.
    older: Option<i64>,
    /// How long messages are kept, for whoever looks for one behind the end.
    kept_days: u16,
    choices: Vec<Choice>,
    /// Inside WeChat, where it let us sign the page: only there can somebody agree to messages.
    wechat: Option<PageSignature>,
}

/// WeChat asks for consent to so many templates at once.
const TEMPLATES_AT_ONCE: usize = 3;

/// `GET /me/messages`: what is shown is read from then on.
pub async fn list(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    Query(asked): Query<Asked>,
) -> Result<MessagesPage, Problem> {
    let choices = subscription_actions::choices(&app, id).await?;
    let wechat = if page.visit.in_wechat && !choices.is_empty() { page_signature(&app, &page).await } else { None };
    let mut connection = app.pool.acquire().await?;
    let recipient_id = Some(id.uuid());
    let (messages, older) =
        notice::store::list(&mut connection, Audience::Borrower, recipient_id, &[], asked.before).await?;
    if let Some(newest) = messages.first().filter(|_| messages.iter().any(|message| message.read_at.is_none())) {
        let now = app.clock.now();
        notice::store::mark_read(&mut connection, Audience::Borrower, recipient_id, newest.notice_no, now).await?;
    }
    Ok(MessagesPage { page, messages, older, kept_days: app.kept.notices_days, choices, wechat })
}

/// `POST /me/messages/wechat`: what WeChat's page says the person agreed to there. WeChat keeps the count itself, so a page
/// that lies gains nothing: the message is refused when it is sent.
pub async fn allow(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    form: Form,
) -> Result<Redirect, Problem> {
    let templates: Vec<&str> = form.value("templates").split(',').collect();
    subscription_actions::allow(&app, id, &templates).await?;
    page.visit.flash("flash-wechat-allowed");
    Ok(Redirect::to("/me/messages"))
}

/// `POST /me/messages/wechat/stop`
pub async fn stop(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<Redirect, Problem> {
    subscription_actions::stop(&app, id).await?;
    page.visit.flash("flash-wechat-stopped");
    Ok(Redirect::to("/me/messages"))
}

impl MessagesPage {
    fn address(&self, message: &Raised) -> String {
        message::address(&message.kind, &message.body)
    }

    /// The templates of one question that WeChat asks, each as it names them.
    fn questions(&self) -> Vec<String> {
        let ids: Vec<&str> = self.choices.iter().map(|choice| choice.template.as_str()).collect();
        ids.chunks(TEMPLATES_AT_ONCE).map(|ids| ids.join(",")).collect()
    }

    fn wants_any(&self) -> bool {
        self.choices.iter().any(|choice| choice.wanted)
    }
}
