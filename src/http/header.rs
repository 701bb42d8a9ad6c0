//! Headers that say one thing.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// A header that stands there once. Nothing where it is not there, and where it stands twice: somebody on the way, or we, would read
/// one of them and pass the other over.
pub fn sole(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut given = headers.get_all(name).iter();
    given.next().filter(|_| given.next().is_none())
}
