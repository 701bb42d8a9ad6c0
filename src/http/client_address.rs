//! Where a request came from, for whoever counts or allows by address.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::Extensions;
use axum::http::request::Parts;

use crate::access::address;
use crate::app::App;

const FORWARDED: &str = "x-forwarded-for";

/// The caller's address; `None` where neither the server nor a proxy of ours says it.
pub fn client_address(app: &App, parts: &Parts) -> Option<IpAddr> {
    let connected = connected(&parts.extensions);
    // What is no text names nobody, and hides nothing that a proxy has written behind it in the same line. A line of it is not left out,
    // so that none before it is taken for the last.
    let lines = parts.headers.get_all(FORWARDED).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let lines: Vec<Cow<'_, str>> = lines.collect();
    address::caller(connected, &lines.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), app.access.proxies())
}

/// Whether a proxy of ours passed the request on, whose word on it is believed.
pub fn is_from_proxy(app: &App, extensions: &Extensions) -> bool {
    connected(extensions).is_some_and(|address| app.access.proxies().iter().any(|proxy| proxy.contains(address)))
}

/// Whether somebody passed the request on whom the configuration does not name: then it came from who knows where.
pub fn is_from_unknown_proxy(app: &App, parts: &Parts) -> bool {
    parts.headers.contains_key(FORWARDED) && !is_from_proxy(app, &parts.extensions)
}

fn connected(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip())
}

/// The caller's address for a handler that counts by it: those who come from nowhere are counted together.
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
