//! A request as it came to the gate, and the objects that it names.

use std::net::IpAddr;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use chrono::{DateTime, Utc};

use super::document::Operation;

/// A request as it came, with its whole body.
pub struct Arrived {
    pub method: Method,
    pub url: String,
    /// The matched route, with the API's prefix, such as `/api/v1/loans/{loan}`.
    pub route: String,
    /// What the OpenAPI document says of the operation; `None` if it is not in the document.
    pub operation: Option<Operation>,
    pub headers: HeaderMap,
    pub address: IpAddr,
    pub request_id: String,
    pub body: Bytes,
    pub(super) started: Instant,
    pub(super) called_at: DateTime<Utc>,
}

impl Arrived {
    /// What the call can be found by in the log: everything that the path and the query name, then the request's id.
    pub(super) fn objects(&self) -> Vec<String> {
        let (path, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let in_path = self.route.split('/').zip(path.split('/')).filter(|(segment, _)| segment.starts_with('{'));
        let in_query = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name.ends_with("_id"));
        let named = in_path.map(|(_, value)| decoded(value)).chain(in_query.map(|(_, value)| value.into_owned()));
        named.chain([self.request_id.clone()]).collect()
    }
}

/// A segment of a path, percent-decoded, so that it is found by its value, and masked if it is a person's number.
fn decoded(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    let as_one_name = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(as_one_name.as_bytes()).map(|(name, _)| name).collect()
}
