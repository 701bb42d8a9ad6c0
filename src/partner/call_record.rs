//! What the log keeps of a finished call to or from a partner: what it is about, how it ended, its bodies masked and cut.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::mask::{masked, masked_sha256};
use super::mentions::Mentions;
use super::shape;

/// The longest operation or key that is kept.
const NAME_CHARS_MAX: usize = 128;

/// One call, as it is kept: bodies masked and cut.
#[derive(Debug)]
pub struct CallRecord {
    pub partner: String,
    /// `out` for ours, `in` for a partner's.
    pub direction: &'static str,
    pub operation: String,
    pub call_key: String,
    /// Of the masked body, whole.
    pub request_sha256: Vec<u8>,
    pub outcome: &'static str,
    pub http_status: Option<i16>,
    pub duration_micros: i64,
    pub request_masked: String,
    pub response_masked: String,
    pub called_at: DateTime<Utc>,
    /// Names of everything that it is about; the call is found by each of them.
    pub objects: Vec<String>,
    /// How it ended: the outcome, the HTTP status, and each code in the answer.
    pub codes: Vec<String>,
}

/// What is known of a call when it has ended.
pub struct Ended<'a> {
    pub partner: &'a str,
    pub direction: &'static str,
    pub operation: &'a str,
    /// The main object that it is about.
    pub call_key: &'a str,
    /// Other objects that it is about, in addition to those that its bodies name.
    pub also: &'a [String],
    pub request: &'a [u8],
    pub response: &'a [u8],
    pub outcome: &'static str,
    pub http_status: Option<u16>,
    pub duration: Duration,
    pub called_at: DateTime<Utc>,
}

impl CallRecord {
    pub(super) fn of(call: &Ended<'_>) -> CallRecord {
        let (request, response): (Option<Value>, Option<Value>) =
            (serde_json::from_slice(call.request).ok(), serde_json::from_slice(call.response).ok());
        let mut mentions = Mentions::default();
        mentions.add(call.call_key);
        call.also.iter().for_each(|object| mentions.add(object));
        request.iter().for_each(|body| mentions.read_request(body));
        response.iter().for_each(|body| mentions.read_answer(body));
        mentions.codes.insert(call.outcome.to_owned());
        mentions.codes.extend(call.http_status.map(|status| status.to_string()));
        CallRecord {
            partner: call.partner.to_owned(),
            direction: call.direction,
            operation: plain(call.operation),
            call_key: plain(call.call_key),
            request_sha256: masked_sha256(request.as_ref(), call.request.len()),
            outcome: call.outcome,
            http_status: call.http_status.and_then(|status| i16::try_from(status).ok()),
            duration_micros: i64::try_from(call.duration.as_micros()).unwrap_or(i64::MAX),
            request_masked: masked(request.as_ref(), call.request.len()),
            response_masked: masked(response.as_ref(), call.response.len()),
            called_at: call.called_at,
            objects: mentions.objects.into_iter().collect(),
            codes: mentions.codes.into_iter().collect(),
        }
    }
}

/// A name cut to the length that the index takes, with personal numbers masked, whatever the request calls it.
pub(super) fn plain(name: &str) -> String {
    shape::kept(name).chars().take(NAME_CHARS_MAX).collect()
}
