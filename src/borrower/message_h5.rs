//! A borrower's messages, each with a link to the page that it is about, and the choice of messages in WeChat.

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
    /// The cursor of the next page, where there are older ones.
    older: Option<i64>,
    /// For how many days messages are kept, shown at the end of the list.
    kept_days: u16,
    choices: Vec<Choice>,
    /// What lets the page ask for consent inside WeChat; `None` elsewhere, or where WeChat did not let us sign the page.
    wechat: Option<PageSignature>,
}

/// The kinds that are about bills. WeChat asks for consent to at most three templates at once, so one question has no more
/// kinds than that.
const OF_BILLS: [&str; 3] = ["bill_issued", "due_soon", "overdue"];

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

/// `POST /me/messages/wechat`: notes which messages the person has agreed to in WeChat. WeChat keeps the count itself, so a
/// forged request gains nothing: the message is refused when it is sent.
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

    fn questions(&self) -> Vec<(&'static str, String)> {
        questions(&self.choices)
    }

    fn wants_any(&self) -> bool {
        self.choices.iter().any(|choice| choice.wanted)
    }
}

/// The questions that WeChat asks: the key of the words for each, and its templates as WeChat names them.
fn questions(choices: &[Choice]) -> Vec<(&'static str, String)> {
    let (bills, others): (Vec<&Choice>, Vec<&Choice>) =
        choices.iter().partition(|choice| OF_BILLS.contains(&choice.kind));
    let asked = [("wechat-allow-bills", bills), ("wechat-allow-payments", others)].into_iter();
    let asked = asked.filter(|(_, choices)| !choices.is_empty());
    let ids =
        |choices: Vec<&Choice>| choices.iter().map(|choice| choice.template.as_str()).collect::<Vec<_>>().join(",");
    asked.map(|(words, choices)| (words, ids(choices))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::WECHAT_MESSAGES;

    #[test]
    fn no_question_is_longer_than_wechat_takes() {
        let (bills, others): (Vec<&str>, Vec<&str>) =
            WECHAT_MESSAGES.into_iter().partition(|kind| OF_BILLS.contains(kind));
        assert_eq!(bills.len(), OF_BILLS.len());
        assert!(others.len() <= 3, "{others:?}");
    }

    #[test]
    fn each_question_has_words_of_its_own_whichever_templates_there_are() {
        let choice =
            |kind: &'static str| Choice { kind, template: format!("template-{kind}"), wanted: false, allowed: 0 };
        let bills = ("wechat-allow-bills", "template-bill_issued".to_owned());
        let payments = ("wechat-allow-payments", "template-withheld,template-limit_changed".to_owned());
        let found = questions(&["bill_issued", "withheld", "limit_changed"].map(choice));
        assert_eq!(found, [bills, payments.clone()]);
        assert_eq!(questions(&["withheld", "limit_changed"].map(choice)), [payments]);
    }
}
