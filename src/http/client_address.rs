//! The address that a request came from, for what counts or allows by address.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::Extensions;
use axum::http::request::Parts;

use crate::access::address;
use crate::app::App;

const FORWARDED: &str = "x-forwarded-for";

/// The caller's address; `None` if neither the connection nor a proxy of ours tells it.
pub fn client_address(app: &App, parts: &Parts) -> Option<IpAddr> {
    let connected = connected(&parts.extensions);
    // Bytes that are not UTF-8 are replaced: what a proxy of ours has appended to the same line must still be read. Such a line is not left
    // out either, or the line before it would be taken for the last one.
    let lines = parts.headers.get_all(FORWARDED).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let lines: Vec<Cow<'_, str>> = lines.collect();
    address::caller(connected, &lines.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), app.access.proxies())
}

/// Whether the request came through a proxy of ours, whose headers are trusted.
pub fn is_from_proxy(app: &App, extensions: &Extensions) -> bool {
    connected(extensions).is_some_and(|address| app.access.proxies().iter().any(|proxy| proxy.contains(address)))
}

/// Whether the request came through a proxy that the configuration does not name: then the caller's address is unknown.
pub fn is_from_unknown_proxy(app: &App, parts: &Parts) -> bool {
    parts.headers.contains_key(FORWARDED) && !is_from_proxy(app, &parts.extensions)
}

fn connected(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip())
}

/// The caller's address, for a handler that counts by it. All callers whose address is unknown are counted together.
pub struct CallerAddress(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for CallerAddress
where
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<CallerAddress, Infallible> {
        let app = &App::from_ref(state);
        Ok(CallerAddress(client_address(app, parts).unwrap_or(address::NOWHERE)))
    }
}
