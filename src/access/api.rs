//! What any partner may ask about itself and about us.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, FixedOffset, Utc};
use chrono_tz::Asia::Shanghai;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::Owner;
use super::store;
use crate::app::App;
use crate::base::BusinessDay;
use crate::business_day;
use crate::http::Problem;
use crate::http::api::{Caller, Cursor, KeyText, KeyTime, Page, PageParams, Params};
use crate::partner::key::{Algorithm, pem_encode};

/// The partner that signed the request, and what it may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Myself {
    /// Partner id, the `mchid` of its signatures.
    #[schema(example = "harbour-core")]
    pub partner: String,
    /// `funder`, `merchant` or `risk`.
    #[schema(example = "funder")]
    pub kind: &'static str,
    /// Id of the funder or merchant whose objects the partner sees; null for a risk partner.
    #[schema(example = "fun_0197f3c2a4b07cc39b1c2d3e4f506172")]
    pub owner_id: Option<String>,
    /// The funder's code, as in product files and the manifests of daily files; null for a merchant or a risk partner.
    #[schema(example = "harbour-bank")]
    pub funder: Option<String>,
    /// Scopes that were granted to the partner.
    #[schema(example = json!(["loans:read", "reserve:read"]))]
    pub scopes: Vec<&'static str>,
    /// Serial number of the key that signed this request.
    #[schema(example = "HARBOUR-2026-1")]
    pub serial_no: String,
    /// The person or system that holds this key, as it was added.
    #[schema(example = "Chen Wei")]
    pub holder: String,
    /// Requests that the partner may send in a minute.
    #[schema(example = 6000)]
    pub rate_per_minute: i32,
    /// The platform's current business day, in Asia/Shanghai.
    pub business_day: BusinessDay,
}

/// Query the calling partner
///
/// Answers with the partner, its scopes and the key that signed the request. Use it to test a new key.
#[utoipa::path(get, path = "/me", tag = "access",
    responses((status = 200, description = "The partner, the key that signed the request, and the business day.", body = Myself)),
    security(("signature" = [])))]
pub async fn show_myself(State(app): State<App>, caller: Caller) -> Result<Json<Myself>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let known = &caller.known;
    let (kind, owner_id, funder) = match known.owner {
        Owner::Funder(funder_id) => {
            let code = store::find_funder_code(&mut connection, funder_id).await?;
            ("funder", Some(funder_id.to_string()), Some(code))
        }
        Owner::Merchant(merchant_id) => ("merchant", Some(merchant_id.to_string()), None),
        Owner::Risk => ("risk", None, None),
    };
    drop(connection);
    Ok(Json(Myself {
        partner: known.code.clone(),
        kind,
        owner_id,
        funder,
        scopes: known.scopes.iter().map(|scope| scope.as_str()).collect(),
        serial_no: caller.serial_no,
        holder: caller.holder,
        rate_per_minute: known.rate_per_minute,
        business_day: today,
    }))
}

/// A public key of the platform, by which you verify its signatures.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlatformKey {
    /// Serial number, as in the header `Fenqi-Serial`.
    #[schema(example = "FENQI-20260302-4F506172")]
    pub serial_no: String,
    /// `sm2_sm3` or `rsa_sha256`.
    #[schema(value_type = String, example = "rsa_sha256")]
    pub algorithm: Algorithm,
    /// The public key as `SubjectPublicKeyInfo` in PEM.
    #[schema(example = "-----BEGIN PUBLIC KEY-----\nMIIB…\n-----END PUBLIC KEY-----\n")]
    pub public_key: String,
    pub created_at: DateTime<FixedOffset>,
    /// When the platform stops signing with this key; null while no end is set. From then on reject answers and callbacks signed by it;
    /// only manifests of days that had closed before stay valid. The next key is listed here before it begins to sign. If a key is
    /// retired without notice (compromised), some servers sign with it for up to half a minute longer: repeat such a request.
    pub retired_at: Option<DateTime<FixedOffset>>,
}

/// List the platform's public keys, the newest first
///
/// Verify the signatures of answers, callbacks and manifests with these keys. Before you trust the first ones, compare them with what the
/// platform's operator gave you (`fenqi partner platform-key list`). Ask once a day: the next key is listed before it begins to sign.
#[utoipa::path(get, path = "/platform-keys", tag = "access", params(PageParams<(KeyTime, KeyText)>),
    responses((status = 200, description = "A page of the platform's public keys.", body = Page<PlatformKey>)),
    security(("signature" = [])))]
pub async fn list_platform_keys(
    State(app): State<App>,
    Params(params): Params<PageParams<(KeyTime, KeyText)>>,
) -> Result<Json<Page<PlatformKey>>, Problem> {
    for algorithm in Algorithm::ALL {
        app.access.signer(algorithm).await?;
    }
    let after = params.cursor.map(|Cursor((time, serial_no))| (time.0, serial_no.0));
    let limit = params.limit.0;
    let mut connection = app.pool.acquire().await?;
    let rows = store::page_platform_keys(&mut connection, after, limit + 1).await?;
    let items = rows.into_iter().map(|row| PlatformKey {
        serial_no: row.serial_no,
        algorithm: row.algorithm,
        public_key: pem_encode("PUBLIC KEY", &row.public_key),
        created_at: in_shanghai(row.created_at),
        retired_at: row.retired_at.map(in_shanghai),
    });
    let key = |key: &PlatformKey| (key.created_at.to_utc(), key.serial_no.clone());
    Ok(Json(Page::of(items.collect(), limit, key)))
}

fn in_shanghai(at: DateTime<Utc>) -> DateTime<FixedOffset> {
    at.with_timezone(&Shanghai).fixed_offset()
}
