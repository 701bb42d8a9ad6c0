//! Where a merchant's system hears of payments, and what it did not take.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::notification::{Notified, NotifyAddress};
use super::notify_actions::{VersionRead, Wanted, change_notify_url};
use super::notify_store;
use crate::app::App;
use crate::base::id::MerchantId;
use crate::http::Problem;
use crate::http::api::{Body, IfMatch, MerchantCaller, Named, Page, PageParams, Params, etag, word};
use crate::outbox::actions::{Asked, retry};
use crate::outbox::event_store;
use crate::partner::key::Algorithm;

/// Where you are notified.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotifyUrlView {
    /// Null where you are not.
    #[schema(example = "https://pay.example.com/fenqi/notify")]
    pub url: Option<String>,
    /// The algorithm in which we sign what we send you; null where you are not notified.
    #[schema(value_type = Option<String>, example = "rsa_sha256")]
    pub algorithm: Option<Algorithm>,
}

impl From<Option<NotifyAddress>> for NotifyUrlView {
    fn from(address: Option<NotifyAddress>) -> NotifyUrlView {
        match address {
            Some(address) => NotifyUrlView { url: Some(address.url), algorithm: Some(address.algorithm) },
            None => NotifyUrlView { url: None, algorithm: None },
        }
    }
}

/// Query where you are notified
///
/// Its ETag is what `If-Match` of a change names.
#[utoipa::path(get, path = "/merchant/notify-url", tag = "merchant",
    responses((status = 200, body = NotifyUrlView,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["orders:read"])))]
pub async fn show_notify_url(State(app): State<App>, caller: MerchantCaller) -> Result<impl IntoResponse, Problem> {
    let found = notify_store::find(&mut *app.pool.acquire().await?, caller.merchant_id).await?;
    Ok(tagged(found.ok_or(sqlx::Error::RowNotFound)?))
}

fn tagged(notified: Notified) -> impl IntoResponse {
    ([(header::ETAG, etag(notified.version))], Json(NotifyUrlView::from(notified.address)))
}

/// The algorithm in which we sign what we send you.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignedIn {
    Sm2Sm3,
    #[default]
    RsaSha256,
}

/// Where to notify you.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNotifyUrl {
    /// https on the open internet; null for no notifications, which ends those that wait.
    #[schema(example = "https://pay.example.com/fenqi/notify", max_length = 500, required = true)]
    // Whoever leaves it out has not said so.
    #[serde(deserialize_with = "Option::deserialize")]
    pub url: Option<String>,
    /// RSA if left out.
    #[serde(default, deserialize_with = "word")]
    pub algorithm: SignedIn,
}

/// Set where you are notified
///
/// Of each payment, void and refund from now on, signed with one of our keys.
#[utoipa::path(put, path = "/merchant/notify-url", tag = "merchant", request_body = NewNotifyUrl,
    params(("If-Match" = String, Header, description = "The ETag that was read.", example = "\"0\"")),
    responses((status = 200, body = NotifyUrlView,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["notifications:write"])),
    extensions(("x-problems" = json!(["notify_url_malformed", "notify_url_private"]))))]
pub async fn put_notify_url(
    State(app): State<App>,
    caller: MerchantCaller,
    if_match: IfMatch,
    Body(new): Body<NewNotifyUrl>,
) -> Result<impl IntoResponse, Problem> {
    let algorithm = match new.algorithm {
        SignedIn::Sm2Sm3 => Algorithm::Sm2Sm3,
        SignedIn::RsaSha256 => Algorithm::RsaSha256,
    };
    let wanted = Wanted { url: new.url.as_deref(), algorithm };
    let read = VersionRead { version: if_match.number()?, attempt: caller.caller.attempt };
    Ok(tagged(change_notify_url(&app, caller.merchant_id, wanted, read).await?))
}

/// A notification that your system did not take.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedNotification {
    #[schema(example = 41)]
    pub event_no: i64,
    #[schema(example = "payment_succeeded")]
    pub kind: String,
    #[schema(example = 3)]
    pub attempts: i16,
    pub next_attempt_at: DateTime<Utc>,
    /// When it was given up.
    pub dead_at: Option<DateTime<Utc>>,
    #[schema(example = "timed out")]
    pub last_error: Option<String>,
}

/// List notifications that failed
///
/// Those that were given up first, then those that are tried again.
#[utoipa::path(get, path = "/merchant/notifications/failures", tag = "merchant", params(PageParams<(bool, i64)>),
    responses((status = 200, body = Page<FailedNotification>)), security(("signature" = ["orders:read"])))]
pub async fn list_failed_notifications(
    State(app): State<App>,
    caller: MerchantCaller,
    Params(params): Params<PageParams<(bool, i64)>>,
) -> Result<Json<Page<FailedNotification>>, Problem> {
    let after = params.cursor.map_or((false, 0), |cursor| cursor.0);
    let partner = partner_of(caller.merchant_id);
    let mut connection = app.pool.acquire().await?;
    let rows = event_store::list_failed(&mut connection, Some(&partner), after, params.limit.0 + 1).await?;
    let failed = rows.into_iter().map(|row| FailedNotification {
        event_no: row.message_no,
        kind: row.kind,
        attempts: row.attempts,
        next_attempt_at: row.next_attempt_at,
        dead_at: row.dead_at,
        last_error: row.last_error,
    });
    let key = |failed: &FailedNotification| (failed.dead_at.is_none(), failed.event_no);
    Ok(Json(Page::of(failed.collect(), params.limit.0, key)))
}

/// A notification that is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub struct SentAgain {
    #[schema(example = 41)]
    pub event_no: i64,
}

/// Have a failed notification sent again at once
#[utoipa::path(post, path = "/merchant/notifications/{event_no}/replay", tag = "merchant",
    params(("event_no" = i64, Path, example = 41)),
    responses((status = 200, body = SentAgain)), security(("signature" = ["notifications:write"])),
    extensions(("x-problems" = json!(["unknown_event", "events_not_kept", "event_not_failed"]))))]
pub async fn replay_notification(
    State(app): State<App>,
    caller: MerchantCaller,
    Named(event_no): Named<i64>,
) -> Result<Json<SentAgain>, Problem> {
    let partner = partner_of(caller.merchant_id);
    let asked = Asked { partner: &partner, by: &caller.caller.holder };
    retry(&app, asked, event_no, caller.caller.attempt).await?;
    Ok(Json(SentAgain { event_no }))
}

fn partner_of(merchant_id: MerchantId) -> String {
    super::notification::partner(merchant_id)
}
