//! Headers that may occur only once.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The value of a header that occurs exactly once. `None` if it is missing or repeated: with two values, a proxy and we could each read
/// a different one.
pub fn sole(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut given = headers.get_all(name).iter();
    given.next().filter(|_| given.next().is_none())
}
