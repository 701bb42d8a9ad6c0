//! Idempotency keys: the first answer under a key is kept, and given again when the same request is repeated. Start with [`Claim`].

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use uuid::Uuid;

use super::arrived::Arrived;
use super::document::Operation;
use crate::access::FirstAnswer;
use crate::access::admission::RequestedKey;
use crate::access::answer_store::{self, KeptAnswer, Keyed, Unanswered, Wanted, note_unanswered};
use crate::app::App;
use crate::error::Attempt;
use crate::http::Problem;
use crate::http::limits::REQUEST_TIME_MAX;

pub const HEADER: &str = "idempotency-key";
/// The header that marks an answer as a repetition.
pub const HEADER_REPLAYED: &str = "idempotent-replayed";
/// The longest key, as in the use cases that keep one: room for a UUID with a prefix, and none for a document.
const KEY_LENGTH_MAX: usize = 64;
/// A request is taken for abandoned this long after it was last known to run: a node that is alive renews its keys more often.
const ABANDONED_AFTER: TimeDelta = TimeDelta::seconds(REQUEST_TIME_MAX.as_secs() as i64 + 10);
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// How long an answer is kept. After that, operations with a reference of their own are still done only once for each reference.
pub const ANSWERS_KEPT: TimeDelta = TimeDelta::days(7);
/// Seconds after which a caller is told to ask again, if its first request still runs.
const AGAIN_AFTER: u32 = 1;

/// The key that a request bears.
///
/// # Errors
/// 400 where it is missing or malformed.
pub fn key_of(headers: &HeaderMap) -> Result<String, Problem> {
    let refuse = |code, detail: &str| Problem::new(StatusCode::BAD_REQUEST, code, detail);
    let mut given = headers.get_all(HEADER).iter();
    let Some(key) = given.next() else {
        return Err(refuse(
            "idempotency_key_missing",
            "A request that changes something needs the header Idempotency-Key.",
        ));
    };
    let key = key.to_str().unwrap_or_default();
    let is_plain = (1..=KEY_LENGTH_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || given.next().is_some() {
        let detail = format!("One idempotency key is given, of 1 to {KEY_LENGTH_MAX} printable ASCII characters.");
        return Err(refuse("idempotency_key_malformed", &detail));
    }
    Ok(key.to_owned())
}

/// The key that a request takes in the statement that admits it; `None` if the operation needs none, or the key is missing or malformed.
pub fn requested_key(operation: Operation, arrived: &Arrived) -> Option<RequestedKey> {
    if operation.is_reading {
        return None;
    }
    let key = key_of(&arrived.headers).ok()?;
    let (scope, abandoned_after) = (operation.scope, ABANDONED_AFTER);
    Some(RequestedKey { key, request_sha256: sha256_of(arrived), scope, abandoned_after })
}

/// SHA-256 of the request, by which a repetition is told from another request under the same key. `If-Match` is part of it.
fn sha256_of(arrived: &Arrived) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(arrived.method.as_str());
    hasher.update("\n");
    hasher.update(&arrived.url);
    hasher.update("\n");
    for tag in arrived.headers.get_all(header::IF_MATCH) {
        hasher.update("if-match: ");
        hasher.update(tag.as_bytes());
        hasher.update("\n");
    }
    hasher.update(&arrived.body);
    hasher.finalize().into()
}

/// Whether an answer with this status is kept under its key. Not kept are failures of ours, and refusals because of the request's form, of
/// who asked, or of an outdated `If-Match`: nothing was decided, so the request may be corrected and sent again under the same key.
pub fn is_kept(status: StatusCode) -> bool {
    let mendable = [
        StatusCode::BAD_REQUEST,
        StatusCode::FORBIDDEN,
        StatusCode::PRECONDITION_FAILED,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::PRECONDITION_REQUIRED,
    ];
    !status.is_server_error() && !mendable.contains(&status)
}

/// The parts of an answer that are kept under its key.
pub fn kept_of(response: &Response, body: &[u8]) -> KeptAnswer {
    let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    KeptAnswer {
        status: i16::try_from(response.status().as_u16()).unwrap_or(i16::MAX),
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        etag: text(header::ETAG),
        body: body.to_vec(),
    }
}

/// The response that gives a kept answer once more, marked by [`HEADER_REPLAYED`].
pub fn replayed_response(kept: KeptAnswer) -> Response {
    let mut response = (status_of(kept.status), kept.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in
        [(header::CONTENT_TYPE, kept.content_type), (header::LOCATION, kept.location), (header::ETAG, kept.etag)]
    {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(HeaderName::from_static(HEADER_REPLAYED), HeaderValue::from_static("true"));
    response
}

/// The status of a kept answer, as the database has it.
fn status_of(kept: i16) -> StatusCode {
    u16::try_from(kept).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK)
}

/// Marks a response whose answer was stored by the use case itself, in the statement that did the work, so that the gate does not store it.
#[derive(Clone, Copy, Debug)]
pub struct AnswerKept;

/// The response of a first answer that the use case has stored itself; the gate does not store it again.
pub fn first_response(answer: FirstAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status_of(answer.status);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(AnswerKept);
    response
}

/// The state of a key when a request comes.
pub enum KeyState {
    /// The request was not answered before: do it, then call [`Claim::keep`] or [`Claim::release`].
    Unanswered(Attempt),
    /// The request was answered before, with this answer.
    Answered(KeptAnswer),
}

/// A request's claim on its idempotency key.
pub struct Claim {
    keyed: Keyed,
}

impl Claim {
    pub fn new(partner_id: Uuid, key: String, arrived: &Arrived) -> Claim {
        Claim { keyed: Keyed { partner_id, key, request_sha256: sha256_of(arrived) } }
    }

    /// The claim on a key that was taken when its request was admitted.
    pub fn of(keyed: Keyed) -> Claim {
        Claim { keyed }
    }

    pub fn keyed(&self) -> &Keyed {
        &self.keyed
    }

    /// Takes the key, or finds what was answered under it.
    ///
    /// # Errors
    /// 409 if the key was used for another request, or the first request still runs; and failures of the database.
    pub async fn take_or_find(&self, app: &App) -> Result<KeyState, Problem> {
        let now = app.access.now();
        let wanted = Wanted { keyed: self.keyed.clone(), at: now, abandoned_before: now - ABANDONED_AFTER };
        if let Some(attempt) = app.access.answers().take(wanted).await? {
            return Ok(KeyState::Unanswered(attempt));
        }
        let conflict = |code, detail: &str| Problem::new(StatusCode::CONFLICT, code, detail);
        let running = || Problem {
            retry_after: Some(AGAIN_AFTER),
            ..conflict("idempotency_in_progress", "The first request under this key still runs. Ask again.")
        };
        let mut connection = app.pool.acquire().await?;
        let taken = answer_store::find_taken(&mut connection, self.keyed.partner_id, &self.keyed.key).await?;
        // The key was released between the two statements, so the caller may ask again.
        let taken = taken.ok_or_else(running)?;
        if taken.request_sha256 != self.keyed.request_sha256 {
            return Err(conflict("idempotency_key_reused", "This idempotency key was used for another request."));
        }
        let status = taken.status.ok_or_else(running)?;
        Ok(KeyState::Answered(KeptAnswer {
            status,
            content_type: taken.content_type,
            location: taken.location,
            etag: taken.etag,
            body: taken.body.unwrap_or_default(),
        }))
    }

    /// Keeps the answer. A failure is only logged, because what was answered has been done.
    pub async fn keep(&self, app: &App, answer: KeptAnswer) {
        if let Err(error) = app.access.answers().keep(self.keyed.clone(), answer).await {
            tracing::error!("an answer could not be kept under its idempotency key: {error:#}");
        }
    }

    /// Awaits the work that the key was taken for, and renews the key meanwhile, so that it is not taken for abandoned.
    pub async fn hold<T>(&self, app: &App, doing: impl Future<Output = T>) -> T {
        let mut doing = pin!(doing);
        loop {
            if let Ok(done) = timeout(RENEWED_EVERY, &mut doing).await {
                return done;
            }
            // In a task of its own: both the work and the renewal may need a connection, and must not wait for each other.
            tokio::spawn(renew(app.clone(), self.keyed.clone()));
        }
    }

    /// Releases the key after a refusal that the caller may correct. After a failure of ours the work may have been done all the same: the
    /// key stays but may be taken over at once, by an attempt that is told that it is not the first.
    pub async fn release(&self, app: &App, status: StatusCode) {
        let released = async {
            let mut connection = app.pool.acquire().await?;
            match status.is_server_error() {
                true => note_unanswered(&mut connection, &self.keyed, Unanswered::Failed, app.access.now()).await,
                false => answer_store::release_key(&mut connection, &self.keyed).await,
            }
        };
        if let Err(error) = released.await {
            tracing::error!(%error, "an idempotency key could not be given back");
        }
    }
}

async fn renew(app: App, keyed: Keyed) {
    let renewed = async {
        let mut connection = app.pool.acquire().await?;
        note_unanswered(&mut connection, &keyed, Unanswered::Runs, app.access.now()).await
    };
    if let Err(error) = renewed.await {
        tracing::warn!(%error, "an idempotency key could not be renewed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word_of_ascii_that_fits() {
        let read = |key: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(key.as_bytes()).unwrap());
            key_of(&headers).map_err(|problem| problem.code)
        };
        let (longest, longer) = ("k".repeat(KEY_LENGTH_MAX), "k".repeat(KEY_LENGTH_MAX + 1));
        assert_eq!(read(&longest), Ok(longest.clone()));
        for malformed in ["", " ", "a b", "a\tb", "键", longer.as_str()] {
            assert_eq!(read(malformed), Err("idempotency_key_malformed"), "{malformed:?}");
        }
        assert_eq!(key_of(&HeaderMap::new()).map_err(|problem| problem.code), Err("idempotency_key_missing"));
    }
}
