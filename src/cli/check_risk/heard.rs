//! A late answer as it was received at the house's address, and the checks that are the same for every late answer.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, header};
use serde::de::DeserializeOwned;

use super::{Checker, shown};
use crate::base::Clock;
use crate::http::api::idempotency::key_of;
use crate::http::api::input::{check_media_type, check_unpacked};
use crate::http::api::strict;
use crate::partner::signature::{Authorization, Received};

/// Long enough for an engine that asks others, short enough to wait for.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A request as it was received.
pub struct Heard {
    pub path: &'static str,
    pub at: Instant,
    pub body: Bytes,
    headers: HeaderMap,
}

impl Heard {
    pub fn new(path: &'static str, headers: HeaderMap, body: Bytes) -> Heard {
        Heard { path, at: Instant::now(), body, headers }
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Checks that a request without an answer was repeated unchanged and with a new signature.
pub fn same_again(checker: &Checker, first: &Heard, again: &Heard) -> Result<(), String> {
    same_request(first, again)?;
    believed(checker, again).map_err(|why| format!("it came again, and {why}"))
}

fn same_request(first: &Heard, again: &Heard) -> Result<(), String> {
    let nonce = |heard: &Heard| {
        let authorization = heard.header(header::AUTHORIZATION).and_then(Authorization::parse);
        authorization.map(|authorization| authorization.stamp.nonce)
    };
    let key = |heard: &Heard| key_of(&heard.headers).map_err(|problem| problem.detail);
    match (key(first)?, key(again)?) {
        (before, after) if before != after => Err(format!("it came under {before}, then under {after}")),
        _ if first.body != again.body => Err(format!("it was {}, then {}", shown(&first.body), shown(&again.body))),
        _ if nonce(first).is_some_and(|before| nonce(again) == Some(before)) => {
            Err("it came again under the same nonce, which the house refuses: sign each attempt anew".to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks that it is signed by the system under test.
pub fn believed(checker: &Checker, heard: &Heard) -> Result<(), String> {
    let authorization = heard.header(header::AUTHORIZATION);
    let received = Received { method: "POST", url: heard.path, authorization, body: &heard.body };
    let believed = checker.ring.believe(Clock::System.now(), received).map_err(|error| error.to_string())?;
    match believed.mchid == checker.partner_mchid {
        true => Ok(()),
        false => Err(format!("it is signed by {}", believed.mchid)),
    }
}

/// Checks the form of a callback as the house itself does.
pub fn in_form(heard: &Heard) -> Result<(), String> {
    if check_media_type(&heard.headers).is_err() {
        return Err(format!("its Content-Type is {:?}", heard.header(header::CONTENT_TYPE).unwrap_or_default()));
    }
    check_unpacked(&heard.headers).map_err(|problem| problem.detail)?;
    key_of(&heard.headers).map(|_| ()).map_err(|problem| problem.detail)
}

/// Reads a body as the house does.
pub fn strictly<T: DeserializeOwned>(heard: &Heard) -> Result<T, String> {
    strict::read(&heard.body)
        .map_err(|problem| format!("it cannot be read: {}, in {}", problem.detail, shown(&heard.body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner::signature::{Identity, Stamp};

    const PATH: &str = "/api/v1/risk/decisions";

    #[test]
    fn what_comes_again_is_the_same_and_signed_anew() {
        let identity = Identity::from_seed("risk", 7);
        let heard = |nonce: &str, key: &'static str, body: &'static str| {
            let stamp = Stamp { timestamp: 1_767_225_600, nonce: nonce.to_owned() };
            let authorization = identity.authorization("POST", PATH, &stamp, body.as_bytes());
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
            headers.insert("idempotency-key", key.parse().unwrap());
            Heard::new(PATH, headers, Bytes::from_static(body.as_bytes()))
        };
        let first = heard("nonce-0001", "k-1", "{}");
        assert_eq!(same_request(&first, &heard("nonce-0002", "k-1", "{}")), Ok(()));
        for (again, why) in [
            (heard("nonce-0001", "k-1", "{}"), "sign each attempt anew"),
            (heard("nonce-0002", "k-2", "{}"), "it came under k-1, then under k-2"),
            (heard("nonce-0002", "k-1", "{ }"), "it was {}, then { }"),
        ] {
            let said = same_request(&first, &again).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
