//! A merchant's messages: of payments and refunds, and of settlements for those who may see these.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::h5::MerchantSignedIn;
use crate::app::App;
use crate::http::Problem;
use crate::notice::{self, Audience, Raised};
use crate::page::Page;

/// The kinds that only those may see who may see settlements: what was paid out or is held, to which account, and at which fee.
const OF_SETTLEMENTS: [&str; 7] = [
    "settlement_paid",
    "settlement_delayed",
    "settlement_reversed",
    "merchant_account_changed",
    "merchant_agreement_changed",
    "merchant_payouts_held",
    "merchant_payouts_released",
];

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    /// The last message of the page before.
    before: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "merchant/messages.html")]
pub struct MessagesPage {
    page: Page,
    signed_in: MerchantSignedIn,
    messages: Vec<Raised>,
    is_first: bool,
    /// Where older ones begin; `None` at the end.
    next: Option<i64>,
    /// How long messages are kept, for whoever looks for one behind the end.
    kept_days: u16,
}

/// `GET /m/messages`: what is shown is read from then on.
pub async fn messages(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Query(asked): Query<Asked>,
) -> Result<MessagesPage, Problem> {
    let before = asked.before.and_then(|before| before.parse::<i64>().ok());
    let mut connection = app.pool.acquire().await?;
    let recipient_id = Some(signed_in.merchant_id.uuid());
    let but: &[&str] = if signed_in.rights.may_see_settlements() { &[] } else { &OF_SETTLEMENTS };
    let (messages, next) = notice::store::list(&mut connection, Audience::Merchant, recipient_id, but, before).await?;
    // Only what the page shows is marked: a shop is told of every payment, and to mark a year of them at once would take
    // long.
    let unread = messages.iter().filter(|message| message.read_at.is_none());
    let unread: Vec<i64> = unread.map(|message| message.notice_no).collect();
    if !unread.is_empty() {
        notice::store::mark_shown(&mut connection, &unread, app.clock.now()).await?;
    }
    let (is_first, kept_days) = (before.is_none(), app.kept.notices_days);
    Ok(MessagesPage { page, signed_in, messages, is_first, next, kept_days })
}

impl MessagesPage {
    /// Where a message leads: the purchase, the day, the price or the account that it is about.
    fn address(&self, message: &Raised) -> Option<String> {
        let text = |name: &str| message.body.get(name).and_then(|value| value.as_str());
        let single = || message.body.get("purchases").and_then(|all| all.as_array()).filter(|all| all.len() == 1);
        let purchase = text("purchase").or_else(|| single()?.first()?.as_str());
        match message.kind.as_str() {
            "merchant_account_changed" | "merchant_agreement_changed" => Some("/m/more".to_owned()),
            "merchant_payouts_held" | "merchant_payouts_released" => Some("/m/settlements".to_owned()),
            kind if OF_SETTLEMENTS.contains(&kind) => {
                text("source").map(|settlement| format!("/m/settlements/{settlement}"))
            }
            "merchant_accepted" | "merchant_refused" | "merchant_passed_over" => Some("/m/join".to_owned()),
            _ => purchase.map(|purchase| format!("/m/purchases/{purchase}")),
        }
    }
}
