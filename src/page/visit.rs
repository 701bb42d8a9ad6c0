//! One request for a page: its browser's token, its language, and the cookies that the answer will set.
//!
//! Every post must contain a CSRF token that is derived from the browser's token ("the word"): without it, the layer [`visit`] refuses the
//! request before any handler sees it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use rand::TryRngCore;
use sha2::{Digest, Sha256};

use super::back::{path_of_ours, with_next};
use super::support::Support;
use super::words::Language;
use crate::access::address::network_of;
use crate::app::App;
use crate::base::hex::{hex_decode, hex_encode};
use crate::http::limits::BODY_BYTES_MAX;
use crate::http::{Problem, client_address};

const TOKEN: &str = "fenqi";
/// Browsers accept a cookie with this prefix only from this very host and over https.
const TOKEN_ENCRYPTED: &str = "__Host-fenqi";
const LANGUAGE: &str = "language";
const FLASH: &str = "flash";
const CSRF_BYTES: usize = 32;
/// How long a chosen language is kept.
const LANGUAGE_DAYS: i64 = 365;
/// The problem code of a form that has expired or is not ours.
pub(super) const PAGE_STALE: &str = "page_stale";
/// The query parameter of a link that chooses a language.
pub(super) const LANGUAGE_QUERY: &str = "lang";

/// What is known of the browser that sent the request.
#[derive(Clone)]
pub struct Visit {
    pub language: Language,
    pub in_wechat: bool,
    /// The path and query that was asked for; for a post whose form tells it, those of the page with the form.
    pub address: String,
    /// The browser's `User-Agent`, cut.
    pub device: String,
    /// The page that a way back leads to: the borrower's home or the shop's, which lead to a sign-in where nobody is signed in.
    pub home: &'static str,
    /// The key of words to show once, set by the previous page.
    pub flash: Option<String>,
    /// The time of the request, by the app's clock.
    pub now: DateTime<Utc>,
    /// Whom the visitor may call.
    pub support: Option<Support>,
    token: Arc<str>,
    set: Arc<Mutex<Vec<Cookie<'static>>>>,
    is_encrypted: bool,
}

impl Visit {
    pub(super) fn read(app: &App, parts: &Parts) -> Visit {
        let is_encrypted = app.site.is_encrypted();
        let headers = &parts.headers;
        let agent = text(headers, header::USER_AGENT);
        let query = parts.uri.query().unwrap_or_default();
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == LANGUAGE_QUERY);
        let asked = asked.and_then(|(_, tag)| Language::from_tag(&tag));
        let kept = cookie(headers, LANGUAGE).and_then(|tag| Language::from_tag(&tag));
        let language = asked.or(kept).unwrap_or_else(|| Language::accepted(text(headers, header::ACCEPT_LANGUAGE)));
        let known = cookie(headers, token_name(is_encrypted)).filter(|token| is_token(token));
        let visit = Visit {
            language,
            in_wechat: agent.contains("MicroMessenger"),
            address: own_address(&parts.uri),
            home: home_of(parts.uri.path()),
            device: agent.chars().filter(|letter| !letter.is_control()).take(200).collect(),
            flash: cookie(headers, FLASH).filter(|key| key.starts_with("flash-") && language.knows(key)),
            now: app.clock.now(),
            support: app.site.support().cloned(),
            token: known.clone().unwrap_or_else(random_token).into(),
            set: Arc::default(),
            is_encrypted,
        };
        if known.is_none() {
            visit.set_token(&visit.token);
        }
        if asked.is_some() {
            visit.set_for(LANGUAGE, language.tag(), Duration::days(LANGUAGE_DAYS));
        }
        if visit.flash.is_some() {
            visit.set_for(FLASH, "", Duration::ZERO);
        }
        visit
    }

    /// A visit without a browser: for texts of pages that are shown elsewhere, as in a terminal.
    pub fn of_nobody(app: &App, language: Language) -> Visit {
        Visit {
            language,
            in_wechat: false,
            address: "/".to_owned(),
            home: home_of("/"),
            device: String::new(),
            flash: None,
            now: app.clock.now(),
            support: None,
            token: random_token().into(),
            set: Arc::default(),
            is_encrypted: app.site.is_encrypted(),
        }
    }

    /// SHA-256 of the browser's token: the name of its sessions.
    pub fn token_hash(&self) -> [u8; 32] {
        token_hash(&self.token)
    }

    /// Gives the browser a new token, and returns its hash. The old token is of no use to anybody then.
    pub fn renew_token(&self) -> [u8; 32] {
        let token = random_token();
        self.set_token(&token);
        token_hash(&token)
    }

    /// Shows words once, on the page that the answer leads to; the key begins with `flash-`.
    pub fn flash(&self, key: &'static str) {
        self.set_for(FLASH, key, Duration::minutes(1));
    }

    /// The CSRF token for a page: the secret, masked differently each time, so that compressed responses give nothing away (BREACH).
    pub fn csrf(&self) -> String {
        let mut mask = [0; CSRF_BYTES];
        // Without randomness the token is still valid: only the secret protects it, not the mask.
        let _ = rand::rngs::OsRng.try_fill_bytes(&mut mask);
        let secret = csrf_secret(&self.token);
        let masked: Vec<u8> = mask.iter().zip(secret).map(|(mask, byte)| mask ^ byte).collect();
        hex_encode(&[mask.as_slice(), &masked].concat())
    }

    /// Whether a CSRF token came from a page of ours in this browser.
    pub fn has_said(&self, word: &str) -> bool {
        let Some(bytes) = hex_decode(word).filter(|bytes| bytes.len() == 2 * CSRF_BYTES) else { return false };
        let (mask, masked) = bytes.split_at(CSRF_BYTES);
        let secret = csrf_secret(&self.token);
        // Compared in constant time.
        mask.iter()
            .zip(masked)
            .zip(secret)
            .fold(0, |differing, ((mask, masked), byte)| differing | (mask ^ masked ^ byte))
            == 0
    }

    fn set_token(&self, token: &str) {
        self.set(self.cookie(token_name(self.is_encrypted), token));
    }

    fn set_for(&self, name: &'static str, value: &str, age: Duration) {
        let mut cookie = self.cookie(name, value);
        cookie.set_max_age(age);
        self.set(cookie);
    }

    fn cookie(&self, name: &'static str, value: &str) -> Cookie<'static> {
        // Lax, not Strict, so that the redirect back from WeChat's sign-in carries the cookie.
        Cookie::build((name, value.to_owned()))
            .path("/")
            .http_only(true)
            .secure(self.is_encrypted)
            .same_site(SameSite::Lax)
            .build()
    }

    fn set(&self, cookie: Cookie<'static>) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.retain(|earlier| earlier.name() != cookie.name());
        set.push(cookie);
    }
}

/// The network that a request came from, if it is known: limits by address are counted for it.
#[derive(Clone, Debug)]
pub struct ClientAddress(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for ClientAddress
where
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<ClientAddress, Infallible> {
        let app = &App::from_ref(state);
        Ok(ClientAddress(client_address(app, parts).map(|address| network_of(address).to_string())))
    }
}

/// The layer around every page: reads the visit, refuses a post without the CSRF token, and sets the cookies.
pub async fn visit(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut visit = Visit::read(&app, &parts);
    let is_post = parts.method == Method::POST;
    let mut request = Request::from_parts(parts, body);
    if is_post {
        request = match with_word(&mut visit, request).await {
            Ok(request) => request,
            Err(problem) => return (Extension(FormsPage(visit.address)), problem).into_response(),
        };
    }
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for cookie in visit.set.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if let Ok(cookie) = HeaderValue::from_str(&cookie.to_string()) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    // Pages are personal and must not be cached, so that nobody can go back to one after signing out.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The address of the page whose form was refused, to open it again. It comes from the form itself, so it is used only for a link.
#[derive(Clone, Debug)]
pub(super) struct FormsPage(pub String);

/// Checks a post's CSRF token, and returns the request with its body again. Whether the token is right or not, the visit's address then
/// contains the way back in the form (`next`), or is the address of the page with the form (`here`).
async fn with_word(visit: &mut Visit, request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Problem::body_too_large())?;
    let posted = |wanted: &str| {
        form_urlencoded::parse(&bytes).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let (next, here) = (posted("next"), posted("here"));
    if let Some(next) = next.filter(|next| !path_of_ours(next, "").is_empty()) {
        visit.address = with_next(parts.uri.path(), next);
    }
    // The query of the form's page says what was chosen on the way to the form; the address that it posts to does not.
    let is_page = |here: &String| path_of_ours(here, "").split('?').next() == Some(parts.uri.path());
    if let Some(here) = here.filter(is_page) {
        visit.address = here;
    }
    if !posted("csrf").is_some_and(|word| visit.has_said(&word)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            PAGE_STALE,
            "This page was opened too long ago, or elsewhere. Open it again.",
        ));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// The path and query that was asked for, if a link may lead there: not if browsers would take it for another host (`//…`).
fn own_address(uri: &Uri) -> String {
    let asked = uri.path_and_query().filter(|_| path_of_ours(uri.path(), "") == uri.path());
    asked.map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// Whose home a page belongs to, by its path. The start page is the operator's, and is the home of nothing but itself.
fn home_of(path: &str) -> &'static str {
    match path {
        "/" => "/",
        "/m" => "/m",
        _ if path.starts_with("/m/") => "/m",
        _ => "/home",
    }
}

/// The name of the cookie that holds a session's token.
pub fn token_name(is_encrypted: bool) -> &'static str {
    if is_encrypted { TOKEN_ENCRYPTED } else { TOKEN }
}

fn is_token(token: &str) -> bool {
    token.len() == 64 && hex_decode(token).is_some()
}

/// # Panics
/// If the operating system gives no random bytes, without which nobody can be told apart.
fn random_token() -> String {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).expect("the system gives random bytes");
    hex_encode(&bytes)
}

fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn csrf_secret(token: &str) -> [u8; CSRF_BYTES] {
    Sha256::new().chain_update(b"csrf:").chain_update(token.as_bytes()).finalize().into()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| Cookie::split_parse(value.to_owned())).flatten();
    pairs.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
