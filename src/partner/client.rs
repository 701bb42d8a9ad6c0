//! The HTTP client through which every partner is called: requests are signed and answers verified, calls have time limits, a circuit
//! breaker and careful repetition, and each call is recorded. Start with [`Client::call`] and [`CallError`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::dns::Resolve;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::breaker::{Breaker, BreakerSettings};
use super::call_log::CallLog;
use super::call_record::Ended;
use super::proxy::OutboundProxy;
use super::shape;
use super::signature::{
    AnswerHeaders, HEADER_NONCE, HEADER_SERIAL, HEADER_SIGNATURE, HEADER_TIMESTAMP, Identity, KeyRing, Stamp,
};
use crate::base::Clock;

/// The usual time limit of an operation that one person waits for.
pub const TIME_LIMIT_PERSON: Duration = Duration::from_secs(5);
/// The usual time limit of a batch or a file that nobody waits for.
pub const TIME_LIMIT_BATCH: Duration = Duration::from_secs(30);

/// How long connecting may take. If it is refused or takes longer, the request was certainly not sent.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Idle connections are dropped before a server's usual keep-alive of 60 s or more ends.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
const IDLE_CONNECTIONS_MAX: usize = 16;
/// The largest answer to a POST that is read: many times the size of five hundred results. A partner might answer without end, and parsed
/// JSON takes many times its size in memory.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest file that is fetched: a day of half a million orders.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Attempts of an operation that is safe to repeat, the first included.
pub const ATTEMPTS_MAX: u32 = 3;
/// The pause before the first repetition; the next is twice as long, each varied by a half either way.
const PAUSE_FIRST: Duration = Duration::from_millis(40);

/// One operation of a partner's API, called once.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// How it is called in the call log, such as `submit_orders`.
    pub name: &'static str,
    /// Below the partner's base URL, such as `/orders`; with its query, if any.
    pub path: &'a str,
    /// What it is about, to find it in the call log: an order's, batch's or application's id.
    pub key: &'a str,
    /// Our ids of what else it is about, in addition to those that its bodies name: the call log finds the call by each of them.
    pub also: &'a [String],
    /// Whether it may be repeated after a lost answer: the partner recognises a repetition by a key in the body, or changes nothing.
    pub safe_to_retry: bool,
    pub time_limit: Duration,
}

/// Why there is no result. The variant alone says what may be concluded; the texts are for people.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Certainly not processed: the connection was refused, the breaker is open, or the partner is not configured.
    #[error("{partner} was not reached: {reason}")]
    NotSent { partner: String, reason: String },
    /// Perhaps processed: a time-out, a broken connection, a 5xx, or an answer that cannot be parsed or verified.
    #[error("{partner} gave no answer that counts: {reason}")]
    Unknown { partner: String, reason: String },
    /// Explicitly refused by a signed 4xx: not processed.
    #[error("{partner} refused with {status} {code}: {message}")]
    Rejected { partner: String, status: u16, code: String, message: String },
}

impl CallError {
    /// The error for a request that could not be sent, or whose answer could not be read.
    pub(super) fn of_sending(partner: &str, error: &reqwest::Error) -> CallError {
        let (partner, reason) = (partner.to_owned(), chain(error));
        match error.is_connect() || error.is_builder() {
            true => CallError::NotSent { partner, reason },
            false => CallError::Unknown { partner, reason },
        }
    }

    pub(super) fn outcome(&self) -> &'static str {
        match self {
            CallError::NotSent { .. } => "not_sent",
            CallError::Unknown { .. } => "unknown",
            CallError::Rejected { .. } => "rejected",
        }
    }

    /// For calls that move money: turns a refusal without a readable code into `Unknown`. It may come from a proxy, even one that signs for
    /// the partner, so it does not prove that nothing was processed.
    #[must_use]
    pub(super) fn unknown_without_code(self) -> CallError {
        match self {
            CallError::Rejected { partner, status, code, .. } if code.trim().is_empty() => {
                CallError::Unknown { partner, reason: format!("status {status} without a code") }
            }
            error @ (CallError::NotSent { .. } | CallError::Unknown { .. } | CallError::Rejected { .. }) => error,
        }
    }
}

/// Whether a refusal with this status is about the content of the request, and not about who sends it or how often.
pub fn is_about_content(status: u16) -> bool {
    matches!(status, 400 | 409 | 413 | 422)
}

/// Where a partner is, and its and our identity towards each other.
pub struct ClientSettings {
    /// The configured name, such as `payout`; also what the call log says.
    pub partner: String,
    /// Without a slash at the end, such as `https://gateway.example/v3`.
    pub base_url: String,
    /// Who we are to the partner, and the key by which we sign.
    pub identity: Identity,
    /// The partner id by which it signs its answers and callbacks.
    pub their_mchid: String,
    /// Whether it is called without the configured proxy.
    pub is_direct: bool,
    pub breaker: BreakerSettings,
    /// Varies the pauses between repetitions.
    pub jitter_seed: u64,
}

/// One partner's client. Only the breaker and the jitter are behind locks, each held for an instant.
pub struct Client {
    settings: ClientSettings,
    /// Where the path begins in `base_url`; it is part of the signed URL.
    path_from: usize,
    http: reqwest::Client,
    ring: Arc<KeyRing>,
    breaker: Mutex<Breaker>,
    jitter: Mutex<StdRng>,
    log: CallLog,
    clocks: Clocks,
}

/// What all clients share.
#[derive(Clone)]
pub struct Shared {
    pub http: reqwest::Client,
    pub ring: Arc<KeyRing>,
    pub log: CallLog,
    pub clocks: Clocks,
}

/// The two clocks that calls to partners use.
#[derive(Clone, Debug)]
pub struct Clocks {
    /// Business time, for breakers and the call log.
    pub business: Clock,
    /// Real time, for signatures: partners do not follow a clock that a demo has moved.
    pub wire: Clock,
}

/// The HTTP client itself: no proxy from the environment, no redirects, connections kept alive. Each call sets its own time limit.
///
/// # Errors
/// If the TLS library cannot be set up.
pub fn build_http() -> reqwest::Result<reqwest::Client> {
    settled().build()
}

/// As [`build_http`], through a proxy, which the configuration names.
///
/// # Errors
/// If the TLS library cannot be set up.
pub fn build_http_through(proxy: OutboundProxy) -> reqwest::Result<reqwest::Client> {
    settled().proxy(reqwest::Proxy::custom(move |url| proxy.proxy_for(url))).build()
}

/// As [`build_http`], for addresses that others give us: host names are resolved only by `resolver`, which can refuse them.
///
/// # Errors
/// If the TLS library cannot be set up.
pub fn build_guarded(resolver: impl Resolve + 'static) -> reqwest::Result<reqwest::Client> {
    settled().dns_resolver(resolver).build()
}

fn settled() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tcp_nodelay(true)
}

/// A signed answer as it came.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    pub fn new(settings: ClientSettings, shared: Shared) -> Client {
        let authority_from = settings.base_url.find("://").map_or(0, |at| at + 3);
        let path_from =
            settings.base_url[authority_from..].find('/').map_or(settings.base_url.len(), |at| at + authority_from);
        Client {
            path_from,
            http: shared.http,
            ring: shared.ring,
            breaker: Mutex::new(Breaker::new(settings.breaker)),
            jitter: Mutex::new(StdRng::seed_from_u64(settings.jitter_seed)),
            log: shared.log,
            clocks: shared.clocks,
            settings,
        }
    }

    /// The same partner, called by the HTTP client that goes through a proxy, unless it is called directly.
    #[must_use]
    pub(super) fn through(self, http: reqwest::Client) -> Client {
        if self.settings.is_direct { self } else { Client { http, ..self } }
    }

    /// Posts `body` as JSON and reads the answer as JSON.
    ///
    /// # Errors
    /// See [`CallError`]: after `NotSent` the call may be tried again with a new key; after `Unknown` the partner must be asked what became
    /// of the same key; only `Rejected` is the partner's own refusal.
    pub async fn call<Req: Serialize, Res: DeserializeOwned>(
        &self,
        operation: &Operation<'_>,
        body: &Req,
    ) -> Result<Res, CallError> {
        let body =
            serde_json::to_vec(body).map_err(|error| self.not_sent(format!("the request has no JSON: {error}")))?;
        let answer = self.repeat(operation, "POST", &body).await?;
        serde_json::from_slice(&answer).map_err(|error| self.unknown(unreadable(&error)))
    }

    /// Posts a JSON text unchanged, and returns the bytes of a 2xx answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn post(&self, operation: &Operation<'_>, text: &str) -> Result<Vec<u8>, CallError> {
        self.repeat(operation, "POST", text.as_bytes()).await
    }

    /// Gets what is at the operation's path, such as a daily file, as bytes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn fetch(&self, operation: &Operation<'_>) -> Result<Vec<u8>, CallError> {
        self.repeat(operation, "GET", b"").await
    }

    /// Our id at the partner, which its callbacks must name.
    pub fn our_mchid(&self) -> &str {
        &self.settings.identity.mchid
    }

    /// The id in the partner's signatures.
    pub fn their_mchid(&self) -> &str {
        &self.settings.their_mchid
    }

    /// Lets one trial call through at once if the breaker opened before `since`, when the partner was known to be back.
    pub fn try_again(&self, since: DateTime<Utc>) {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).try_again(since);
    }

    async fn repeat(&self, operation: &Operation<'_>, method: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
        let attempts_max = if operation.safe_to_retry { ATTEMPTS_MAX } else { 1 };
        let mut perhaps_processed = None;
        let mut attempt = 1;
        loop {
            let result = match self.attempt(operation, method, body).await {
                // An earlier attempt may have been processed, even if this one was not.
                Err(error @ (CallError::NotSent { .. } | CallError::Rejected { status: 429, .. })) => {
                    Err(perhaps_processed.take().unwrap_or(error))
                }
                result => result,
            };
            match result {
                Err(unknown @ CallError::Unknown { .. }) if attempt < attempts_max => perhaps_processed = Some(unknown),
                Err(CallError::NotSent { .. }) if attempt < attempts_max => {}
                result => return result,
            }
            tokio::time::sleep(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, operation: &Operation<'_>, method: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
        let called_at = self.clocks.business.now();
        if !self.breaker.lock().unwrap_or_else(PoisonError::into_inner).admit(called_at) {
            return Err(self.not_sent("it kept failing and is left alone for a while".to_owned()));
        }
        let started = Instant::now();
        let (answer, result) = match tokio::time::timeout(operation.time_limit, self.send(operation, method, body))
            .await
        {
            Ok(Ok(answer)) => {
                let result = self.judge(&answer);
                (Some(answer), result)
            }
            Ok(Err(error)) => (None, Err(error)),
            Err(_) => (None, Err(self.unknown(format!("no answer within {} ms", operation.time_limit.as_millis())))),
        };
        {
            let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
            match &result {
                Ok(()) | Err(CallError::Rejected { .. }) => breaker.answered(),
                Err(CallError::NotSent { .. } | CallError::Unknown { .. }) => {
                    breaker.failed(self.clocks.business.now())
                }
            }
        }
        self.log
            .record(&Ended {
                partner: &self.settings.partner,
                direction: "out",
                operation: operation.name,
                call_key: operation.key,
                also: operation.also,
                request: body,
                response: answer.as_ref().map_or(&[], |answer| &answer.body),
                outcome: result.as_ref().err().map_or("ok", CallError::outcome),
                http_status: answer.as_ref().map(|answer| answer.status),
                duration: started.elapsed(),
                called_at,
            })
            .await;
        result.map(|()| answer.map_or_else(Vec::new, |answer| answer.body))
    }

    async fn send(&self, operation: &Operation<'_>, method: &str, body: &[u8]) -> Result<Answer, CallError> {
        let url = format!("{}{}", self.settings.base_url, operation.path);
        let stamp = Stamp::fresh(self.clocks.wire.now());
        let authorization = self.settings.identity.authorization(method, &url[self.path_from..], &stamp, body);
        let request = if method == "GET" { self.http.get(&url) } else { self.http.post(&url).body(body.to_vec()) };
        let mut response = request
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .send()
            .await
            .map_err(|error| CallError::of_sending(&self.settings.partner, &error))?;
        let status = response.status().as_u16();
        let bytes_max = if method == "GET" { FILE_BYTES_MAX } else { ANSWER_BYTES_MAX };
        let received = read_whole(&mut response, bytes_max).await;
        let received = received.map_err(|error| self.unknown(format!("the answer broke off: {}", chain(&error))))?;
        let received = received.ok_or_else(|| self.unknown(format!("the answer is larger than {bytes_max} bytes")))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let headers = AnswerHeaders {
            timestamp: header(HEADER_TIMESTAMP),
            nonce: header(HEADER_NONCE),
            serial_no: header(HEADER_SERIAL),
            signature: header(HEADER_SIGNATURE),
        };
        self.ring
            .answer(self.clocks.wire.now(), &self.settings.their_mchid, headers, &received)
            .map_err(|error| self.unknown(format!("status {status}, but {error}")))?;
        Ok(Answer { status, body: received })
    }

    fn judge(&self, answer: &Answer) -> Result<(), CallError> {
        match answer.status {
            200..=299 => Ok(()),
            // Not 408: a gateway's time-out does not tell what happened behind it.
            status @ (400..=407 | 409..=499) => {
                let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
                let partner = self.settings.partner.clone();
                let (code, message) = problem.words();
                Err(CallError::Rejected { partner, status, code, message })
            }
            status => Err(self.unknown(format!("status {status}"))),
        }
    }

    fn pause(&self, attempt: u32) -> Duration {
        let percent = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random_range(50..150u32);
        PAUSE_FIRST * 2u32.pow(attempt - 1) * percent / 100
    }

    fn not_sent(&self, reason: String) -> CallError {
        CallError::NotSent { partner: self.settings.partner.clone(), reason }
    }

    fn unknown(&self, reason: String) -> CallError {
        CallError::Unknown { partner: self.settings.partner.clone(), reason }
    }
}

/// The body of a partner's refusal, in WeChat Pay's form: `{"code": …, "message": …}`.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Problem {
    code: Option<String>,
    message: Option<String>,
}

impl Problem {
    /// Code and message, with personal numbers masked: a message may contain somebody's card number.
    fn words(self) -> (String, String) {
        let kept = |text: Option<String>| shape::kept(&text.unwrap_or_default());
        (kept(self.code), kept(self.message))
    }
}

/// The place where an answer cannot be parsed. Not the parser's message, which repeats the text there, perhaps somebody's name.
fn unreadable(error: &serde_json::Error) -> String {
    format!("the answer cannot be read at line {}, column {}", error.line(), error.column())
}

/// The whole body of an answer; `None` if it has more than `bytes_max`.
pub(super) async fn read_whole(response: &mut reqwest::Response, bytes_max: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut received = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if received.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        received.extend_from_slice(&chunk);
    }
    Ok(Some(received))
}

/// An error with its causes, but without the URL, which may contain a secret.
pub fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { "the connection failed".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_words_keeps_its_code() {
        let problem: Problem = serde_json::from_str(r#"{"code": "NO_SUCH", "message": null, "more": {}}"#).unwrap();
        assert_eq!((problem.code.as_deref(), problem.message), (Some("NO_SUCH"), None));
    }

    #[test]
    fn of_an_answer_that_cannot_be_read_nothing_is_repeated() {
        let error = serde_json::from_str::<u8>(r#""张三 6222021234567894""#).unwrap_err();
        assert!(error.to_string().contains("张三 6222021234567894"), "the parser does");
        let said = unreadable(&error);
        assert!(said.starts_with("the answer cannot be read at line 1, column ") && !said.contains("张三"), "{said}");
    }

    #[test]
    fn a_refusal_is_kept_whatever_letters_it_has() {
        let words = |text: &str| serde_json::from_str::<Problem>(text).unwrap().words();
        let said = words(r#"{"code": "NO\u0000_SUCH", "message": "not\u0000 here"}"#);
        assert_eq!(said, ("NO_SUCH".to_owned(), "not here".to_owned()));
        assert_eq!(words(r#"{"code": "\u0000"}"#), (String::new(), String::new()), "as good as none");
        let of_a_card = words(r#"{"code": "CLOSED", "message": "card 6222 0212 3456 7894 is closed"}"#);
        assert_eq!(of_a_card, ("CLOSED".to_owned(), "card ***7894 is closed".to_owned()));
    }
}
