//! Sessions: who is signed in. Rows are found by the hash of the browser's token; one browser may have one for each kind of person.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::back::path_of_ours;
use super::part::is_part;
use super::session_store::{self, NewSession, SessionRow};
use super::subject::{OwnSession, SessionKind, Subject};
use super::visit::Visit;
use crate::app::App;
use crate::base::id::{self, BorrowerId};
use crate::base::person::Mobile;
use crate::database;
use crate::http::Problem;
use crate::vault::{Field, Vault};

/// A session ends after this time without use. Money moves only with the PIN, so it need not be shorter.
const IDLE: TimeDelta = TimeDelta::days(7);
/// A session ends after this time, however much it is used.
const LIFE: TimeDelta = TimeDelta::days(30);
/// How exact `last_seen_at` is: a page updates it only if it is older than this.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(5);

/// What somebody has proved at sign-in.
#[derive(Clone, Debug, Default)]
pub struct Proved {
    /// The borrower or the merchant's staff.
    pub subject_id: Option<Uuid>,
    /// The mobile of a person who is not a borrower yet; or that of merchant staff, by which they may work at several merchants.
    pub mobile: Option<Mobile>,
    /// The WeChat identity by which the person signed in: the session ends when it is unlinked from the person.
    pub openid: Option<String>,
}

/// A live session.
#[derive(Clone, Debug)]
pub struct Session {
    pub session_id: Uuid,
    pub proved: Proved,
}

/// Signs the browser in. Its token is replaced, so that somebody who had planted the old one cannot use the session (session fixation). Its
/// session of another kind, if any, goes on under the new token.
pub async fn begin(app: &App, visit: &Visit, kind: SessionKind, proved: &Proved) -> anyhow::Result<()> {
    let mut transaction = database::begin(&app.pool).await?;
    begin_within(&mut transaction, app, visit, kind, proved).await?;
    transaction.commit().await?;
    Ok(())
}

/// As [`begin`], in the caller's transaction, which has locked what the session depends on.
pub async fn begin_within(
    connection: &mut PgConnection,
    app: &App,
    visit: &Visit,
    kind: SessionKind,
    proved: &Proved,
) -> sqlx::Result<()> {
    let now = app.clock.now();
    let session_id = id::mint(now);
    let (old, new) = (visit.token_hash(), visit.renew_token());
    session_store::delete(connection, &old, kind).await?;
    session_store::rename(connection, &old, &new).await?;
    let session = NewSession {
        token_hash: new,
        kind,
        session_id,
        subject_id: proved.subject_id,
        mobile_sealed: proved
            .mobile
            .as_ref()
            .map(|mobile| app.vault.seal_for(session_id, Field::Mobile, mobile.reveal())),
        openid_sealed: proved.openid.as_ref().map(|openid| app.vault.seal_for(session_id, Field::OpenId, openid)),
        device: visit.device.clone(),
        now,
        expires_at: now + IDLE,
    };
    session_store::insert(connection, &session).await
}

/// Sets whose session the visitor's is from now on. What was proved at sign-in is enough for it, so no further trust is gained, and the
/// token stays.
pub async fn become_subject(
    app: &App,
    visit: &Visit,
    kind: SessionKind,
    subject_id: Option<Uuid>,
) -> anyhow::Result<()> {
    session_store::set_subject(&mut *app.pool.acquire().await?, &visit.token_hash(), kind, subject_id).await?;
    Ok(())
}

/// The visitor's session of a kind, if it is alive.
pub async fn find(app: &App, visit: &Visit, kind: SessionKind) -> anyhow::Result<Option<Session>> {
    let mut connection = app.pool.acquire().await?;
    let now = app.clock.now();
    let token_hash = visit.token_hash();
    let Some(row) = session_store::find(&mut connection, &token_hash, kind, now).await? else { return Ok(None) };
    if now - row.last_seen_at >= SEEN_EVERY {
        let expires_at = (now + IDLE).min(row.created_at + LIFE);
        session_store::see(&mut connection, &token_hash, kind, now, expires_at).await?;
    }
    Ok(Some(open(app, row)?))
}

fn open(app: &App, row: SessionRow) -> anyhow::Result<Session> {
    let unseal = |field, sealed: Option<Vec<u8>>| {
        sealed.map(|sealed| app.vault.open_for(row.session_id, field, &sealed)).transpose()
    };
    let mobile = unseal(Field::Mobile, row.mobile_sealed)?;
    let mobile = mobile.map(|mobile| mobile.parse::<Mobile>()).transpose()?;
    let openid = unseal(Field::OpenId, row.openid_sealed)?;
    Ok(Session { session_id: row.session_id, proved: Proved { subject_id: row.subject_id, mobile, openid } })
}

/// Signs the visitor out.
pub async fn end(app: &App, visit: &Visit, kind: SessionKind) -> anyhow::Result<()> {
    session_store::delete(&mut *app.pool.acquire().await?, &visit.token_hash(), kind).await?;
    Ok(())
}

/// All sessions of a person.
pub async fn list(app: &App, visit: &Visit, whose: Subject) -> anyhow::Result<Vec<OwnSession>> {
    let mut connection = app.pool.acquire().await?;
    Ok(session_store::list(&mut connection, whose, &visit.token_hash(), app.clock.now()).await?)
}

/// Ends one of a person's sessions.
pub async fn end_one(app: &App, whose: Subject, session_id: Uuid) -> anyhow::Result<()> {
    Ok(session_store::delete_one(&mut *app.pool.acquire().await?, whose, session_id).await?)
}

/// Ends all sessions of a person but the visitor's own.
pub async fn end_others(app: &App, visit: &Visit, whose: Subject) -> anyhow::Result<()> {
    Ok(end_all_but(&mut *app.pool.acquire().await?, whose, &visit.token_hash()).await?)
}

/// As [`end_others`], in the caller's transaction. `token_hash` is the SHA-256 of the token of the browser that stays signed in.
pub async fn end_all_but(connection: &mut PgConnection, whose: Subject, token_hash: &[u8; 32]) -> sqlx::Result<()> {
    session_store::delete_others(connection, whose, token_hash).await
}

/// Ends, in the caller's transaction, a person's sessions that were begun by a WeChat identity, except those begun by `but`.
pub async fn end_by_wechat(
    connection: &mut PgConnection,
    vault: &Vault,
    whose: Subject,
    but: Option<&str>,
) -> anyhow::Result<()> {
    for (session_id, sealed) in session_store::list_by_wechat(connection, whose).await? {
        let openid = vault.open_for(session_id, Field::OpenId, &sealed)?;
        if but != Some(openid.as_str()) {
            session_store::delete_one(connection, whose, session_id).await?;
        }
    }
    Ok(())
}

/// Ends all sessions of a person.
pub async fn end_all(connection: &mut PgConnection, whose: Subject) -> sqlx::Result<()> {
    // No token has a hash of zeros, so no session is spared.
    end_all_but(connection, whose, &[0; 32]).await
}

/// Deletes sessions that have ended; returns how many.
pub async fn sweep(app: &App) -> anyhow::Result<u64> {
    Ok(session_store::delete_expired(&mut *app.pool.acquire().await?, app.clock.now()).await?)
}

/// The extractor for a signed-in borrower. A visitor who is not signed in is sent to the sign-in page, and comes back.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn(pub BorrowerId);

impl<S: Sync> FromRequestParts<S> for SignedIn
where
    App: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<SignedIn, Response> {
        let app = &App::from_ref(state);
        let visit = Visit::from_request_parts(parts, &()).await.map_err(IntoResponse::into_response)?;
        let session =
            find(app, &visit, SessionKind::Borrower).await.map_err(|error| Problem::from(error).into_response())?;
        match session.map(|session| session.proved) {
            Some(Proved { subject_id: Some(borrower_id), .. }) => Ok(SignedIn(BorrowerId::from_uuid(borrower_id))),
            // The mobile is proved, but the person is not known yet: the application continues at /apply.
            Some(Proved { mobile: Some(_), .. }) => Err(lead(&parts.headers, "/apply")),
            _ => {
                // The content security policy lets no form lead to another site, not even to WeChat's sign-in. A form with method
                // GET has a query; its visitor continues by a link on our sign-in page.
                let by = match parts.method {
                    Method::GET if visit.in_wechat && parts.uri.query().is_some() => Some(("by", "link")),
                    Method::GET => None,
                    _ => Some(("by", "mobile")),
                };
                Err(lead(&parts.headers, &way_to("/sign-in", &visit, parts, by)))
            }
        }
    }
}

/// The path and query of the page that asks for a part of itself.
fn whole_page(headers: &HeaderMap) -> Option<String> {
    let address = headers.get("hx-current-url")?.to_str().ok()?;
    let path = address.parse::<Uri>().ok()?.path_and_query()?.to_string();
    (path_of_ours(&path, "") == path).then_some(path)
}

/// Redirects a visitor to another page. If only a part of a page was asked for, a plain redirect would put the new page into that part, so
/// htmx is told to load the whole page.
pub fn lead(headers: &HeaderMap, to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) if is_part(headers) => ([("hx-redirect", to)], ()).into_response(),
        _ => Redirect::to(to).into_response(),
    }
}

/// The address of a sign-in page, with the way back to where the visitor was. A post is not repeated after signing in: the way leads back
/// to the page with the form. `more` is an additional query parameter.
pub fn way_to(sign_in: &str, visit: &Visit, parts: &Parts, more: Option<(&str, &str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    // For a request for a part of a page, the way leads back to the whole page.
    let next = if is_part(&parts.headers) { whole_page(&parts.headers) } else { Some(visit.address.clone()) };
    query.extend_pairs(next.map(|next| ("next", next)));
    query.extend_pairs(more);
    format!("{sign_in}?{}", query.finish())
}
