//! A request as it came to the gate, and what it names.

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
    /// The route that it met, with the API's prefix.
    pub route: String,
    /// What the document says of it; nothing where it is not in there.
    pub operation: Option<Operation>,
    pub headers: HeaderMap,
    pub address: IpAddr,
    pub request_id: String,
    pub body: Bytes,
    pub(super) started: Instant,
    pub(super) called_at: DateTime<Utc>,
}

impl Arrived {
    /// Everything that the path and the query name, then the request itself.
    pub(super) fn objects(&self) -> Vec<String> {
        let (path, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let in_path = self.route.split('/').zip(path.split('/')).filter(|(segment, _)| segment.starts_with('{'));
        let in_query = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name.ends_with("_id"));
        let named = in_path.map(|(_, value)| meant(value)).chain(in_query.map(|(_, value)| value.into_owned()));
        named.chain([self.request_id.clone()]).collect()
    }
}

/// A segment of a path without its percent signs: by what it means it is found, and masked where that is a person's number.
fn meant(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    let as_one_name = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(as_one_name.as_bytes()).map(|(name, _)| name).collect()
}
