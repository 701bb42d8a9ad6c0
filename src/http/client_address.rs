//! Where a request came from, for whoever counts or allows by address.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;

use crate::access::address;
use crate::app::App;

const FORWARDED: &str = "x-forwarded-for";

/// The caller's address; `None` where neither the server nor a proxy of ours says it.
pub fn client_address(app: &App, parts: &Parts) -> Option<IpAddr> {
    let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip());
    // A line that is no text names nobody; it is not left out, so that none before it is taken for the last.
    let lines = parts.headers.get_all(FORWARDED).iter().map(|line| line.to_str().unwrap_or_default());
    address::caller(connected, &lines.collect::<Vec<&str>>(), app.access.proxies())
}
