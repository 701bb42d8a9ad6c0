//! The API of notifications: where a merchant's system is notified, and what it did not take.

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

/// Where the merchant's system receives notifications (webhooks).
#[derive(Debug, Serialize, ToSchema)]
pub struct NotifyUrlView {
    /// URL to which notifications are sent; null if none are sent.
    #[schema(example = "https://pay.example.com/fenqi/notify")]
    pub url: Option<String>,
    /// Algorithm in which the platform signs notifications, `sm2_sm3` or `rsa_sha256`; null if none are sent.
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

/// Query the notification URL
///
/// Its `ETag` is needed as `If-Match` to change it.
#[utoipa::path(get, path = "/merchant/notify-url", tag = "merchant",
    responses((status = 200, description = "The notification URL and the algorithm of its signatures.", body = NotifyUrlView,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
    security(("signature" = ["orders:read"])))]
pub async fn show_notify_url(State(app): State<App>, caller: MerchantCaller) -> Result<impl IntoResponse, Problem> {
    let found = notify_store::find(&mut *app.pool.acquire().await?, caller.merchant_id).await?;
    Ok(tagged(found.ok_or(sqlx::Error::RowNotFound)?))
}

fn tagged(notified: Notified) -> impl IntoResponse {
    ([(header::ETAG, etag(notified.version))], Json(NotifyUrlView::from(notified.address)))
}

/// Algorithm in which the platform signs notifications.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignedIn {
    Sm2Sm3,
    #[default]
    RsaSha256,
}

/// The new notification URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNotifyUrl {
    /// An https URL at a public address, up to 500 characters; null to receive no notifications, which also drops those not delivered yet.
    #[schema(example = "https://pay.example.com/fenqi/notify", max_length = 500, required = true)]
    // Whoever leaves it out has not said so.
    #[serde(deserialize_with = "Option::deserialize")]
    pub url: Option<String>,
    /// Algorithm in which the platform signs notifications; `rsa_sha256` if left out.
    #[serde(default, deserialize_with = "word")]
    pub algorithm: SignedIn,
}

/// Set the notification URL
///
/// Every payment, void and refund of the merchant is sent there from now on, signed with a key of the platform, as are the notifications
/// that still wait for delivery. With `url` null none are sent, and those that wait are dropped for good.
#[utoipa::path(put, path = "/merchant/notify-url", tag = "merchant", request_body = NewNotifyUrl,
    params(("If-Match" = String, Header, description = "The `ETag` that you read; 412 if the object was changed since.", example = "\"0\"")),
    responses((status = 200, description = "The notification URL as it is set now.", body = NotifyUrlView,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
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

/// A notification that your system did not accept.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedNotification {
    /// Number of the notification, the same in every attempt.
    #[schema(example = 41)]
    pub event_no: i64,
    /// `payment_succeeded`, `purchase_voided` or `refund_succeeded`.
    #[schema(example = "payment_succeeded")]
    pub kind: String,
    /// Failed attempts so far.
    #[schema(example = 3)]
    pub attempts: i16,
    /// When it is sent again; without meaning once `dead_at` is set.
    pub next_attempt_at: DateTime<Utc>,
    /// When it was given up after the last attempt; null while it is still retried.
    pub dead_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    #[schema(example = "timed out")]
    pub last_error: Option<String>,
}

/// List failed notifications
///
/// First those that were given up (dead letters), then those that are still retried, each in the order of their numbers.
#[utoipa::path(get, path = "/merchant/notifications/failures", tag = "merchant", params(PageParams<(bool, i64)>),
    responses((status = 200, description = "A page of failed notifications.", body = Page<FailedNotification>)),
    security(("signature" = ["orders:read"])))]
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

/// The notification that is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub struct SentAgain {
    /// Number of the notification.
    #[schema(example = 41)]
    pub event_no: i64,
}

/// Send a failed notification again at once
///
/// Works for a notification that was given up as well as for one that is still retried. One that has not failed, or was delivered or
/// dropped, is refused with `event_not_failed`.
#[utoipa::path(post, path = "/merchant/notifications/{event_no}/replay", tag = "merchant",
    params(("event_no" = i64, Path, description = "Number of the notification.", example = 41)),
    responses((status = 200, description = "The notification will be sent again.", body = SentAgain)),
    security(("signature" = ["notifications:write"])),
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
