//! API: daily files for a funder's system: the list of days, a day's signed manifest, and each file.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::actions::{self, is_ready};
use super::model::{FileName, FileRefusal, Span, read_range};
use super::store::{self, ChunkKey, MadeDay};
use super::writer::CHUNK_BYTES;
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::hex::hex_encode;
use crate::base::id::FunderId;
use crate::error::Fault;
use crate::http::Problem;
use crate::http::api::{Day, FunderCaller, Listed, Named, NamedWithin, Page, PageParams, Params, Streamed, etag};

/// An example of a file's content, unpacked.
const FILE_EXAMPLE: &str = "repayment_id,part,line_id,loan_id,period,principal_fen,interest_fen,fee_fen,penalty_fen\n\
rep_0197f3c2a4b07cc39b1c2d3e4f506172,1,line_0197f3c2a4b07cc39b1c2d3e4f506174,loan_0197f3c2a4b07cc39b1c2d3e4f506175,1,10000,433,0,0\n";

/// If files are late, a caller should ask again after so many seconds.
const LATE_RETRY_SECONDS: i64 = 60;

/// A closed business day that has daily files.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayView {
    pub business_day: BusinessDay,
    /// `ready` (the files can be downloaded) or `not_ready`.
    #[schema(example = "ready")]
    pub status: &'static str,
    /// When the files are to be ready.
    pub available_from: DateTime<Utc>,
    /// SHA-256 of the manifest's text, in hexadecimal; null until the day is ready.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub manifest_sha256: Option<String>,
}

/// List the business days that have daily files, the oldest first
#[utoipa::path(get, path = "/funder/days", tag = "funder", params(PageParams<Listed<DayView, Day>>),
    responses((status = 200, description = "A page of business days, each with whether its files are ready.", body = Page<DayView>)),
    security(("signature" = ["files:read"])))]
pub async fn list_days(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<Listed<DayView, Day>>>,
) -> Result<Json<Page<DayView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let (after, limit) = (params.cursor.map(|cursor| cursor.0.0.0), params.limit.0);
    let rows = store::list_days(&mut connection, caller.funder_id, after, limit + 1).await?;
    let now = app.clock.now();
    let view = |made: MadeDay| {
        let available_from = app.day_files.available_from(made.business_day);
        let ready = is_ready(&made, available_from, now);
        DayView {
            business_day: made.business_day,
            status: if ready { "ready" } else { "not_ready" },
            available_from,
            manifest_sha256: made.manifest_sha256.filter(|_| ready).map(|sha256| hex_encode(&sha256)),
        }
    };
    let days = rows.into_iter().map(view).collect();
    Ok(Json(Page::of_listed(days, limit, |day: &DayView| day.business_day)))
}

/// The manifest of a day's files, with the platform's signatures.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedManifest {
    /// The manifest: a JSON document as a text, so that you verify exactly the bytes that were signed.
    #[schema(example = "{\"manifest_version\":3,\"funder\":\"harbour-bank\",\"business_day\":\"2026-03-02\"}")]
    pub manifest: String,
    /// SHA-256 of the manifest's text, in hexadecimal.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub manifest_sha256: String,
    /// One signature for each algorithm; verify the one whose algorithm you support.
    pub signatures: Vec<ManifestSignature>,
}

/// A signature over the bytes of the manifest's text in UTF-8.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ManifestSignature {
    /// `sm2_sm3` or `rsa_sha256`.
    #[schema(example = "sm2_sm3")]
    pub algorithm: String,
    /// Serial number of the platform key that signed; GET /platform-keys has the key.
    #[schema(example = "FENQI-20260302-4F506172")]
    pub serial_no: String,
    /// The signature in base64; an SM2 signature is r and s in 64 bytes.
    #[schema(example = "9aA7BkjSxGMO6sUT4buBoVlE2jgn1bdBQ6x+rO7nILOxtqop3yEv2HYxgrwNQhyhu5A4/R9/QtSEC2nEhbvBqg==")]
    pub signature: String,
}

/// Download the signed manifest of a day's files
///
/// The manifest has, for each file, its number of rows and bytes, its hashes (SHA-256 and SM3) and its sums; the balances of your book at the end
/// of the day; and the footings, sums that must be equal. Files that are not ready yet are answered with `file_not_ready`.
#[utoipa::path(get, path = "/funder/days/{business_day}/manifest", tag = "funder", params(("business_day" = Day, Path)),
    responses((status = 200, description = "The manifest as a text, with its hash and signatures.", body = SignedManifest,
        headers(("ETag" = String, description = "SHA-256 of the manifest's text, in quotes.")))),
    security(("signature" = ["files:read"])),
    extensions(("x-problems" = json!(["file_not_ready"]))))]
pub async fn show_manifest(
    State(app): State<App>,
    caller: FunderCaller,
    Named(day): Named<Day>,
) -> Result<impl IntoResponse, Problem> {
    let made = find_ready(&app, caller.funder_id, day.0).await?;
    let (Some(manifest), Some(sha256), Some(signatures)) = (made.manifest, made.manifest_sha256, made.signatures)
    else {
        return Err(Problem::not_found());
    };
    let manifest_sha256 = hex_encode(&sha256);
    let signatures = serde_json::from_value(signatures.0).map_err(anyhow::Error::new)?;
    let headers = [(header::ETAG, etag(&manifest_sha256))];
    Ok((headers, Json(SignedManifest { manifest, manifest_sha256, signatures })))
}

async fn find_ready(app: &App, funder_id: FunderId, day: BusinessDay) -> Result<MadeDay, Problem> {
    actions::find_ready(app, funder_id, day).await.map_err(|fault| problem_of(app, fault))
}

fn problem_of(app: &App, fault: Fault<FileRefusal>) -> Problem {
    let retry_after = match &fault {
        Fault::Refused(FileRefusal::NotReady { available_from }) => {
            let seconds = (*available_from - app.clock.now()).num_seconds().max(LATE_RETRY_SECONDS);
            u32::try_from(seconds).ok()
        }
        Fault::Refused(FileRefusal::DayUnknown | FileRefusal::Expired) | Fault::Failed(_) => None,
    };
    Problem { retry_after, ..Problem::from(fault) }
}

/// Download a daily file
///
/// The file's name is `lines`, `loans`, `plans`, `repayments`, `repayment_parts`, `refunds`, `refund_parts`, `reserve`, `remittances` or
/// `ledger`, followed by `.csv.gz` or `.jsonl.gz`. The whole file is sent, or the byte range in `Range`. This answer is not signed: verify the
/// file's SHA-256, which is also its `ETag`, against the signed manifest. Content that is no longer kept is answered with `file_expired`.
#[utoipa::path(get, path = "/funder/days/{business_day}/files/{name}", tag = "funder",
    params(("business_day" = Day, Path), ("name" = String, Path, example = "loans.csv.gz"),
        ("Range" = Option<String>, Header, description = "One byte range, such as `bytes=262144-`."),
        ("If-Range" = Option<String>, Header, description = "The `ETag` of the file that was downloaded in part; if the file is another one by now, all of it is sent."),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s of files that you have; if the file is one of them, the answer is 304.")),
    responses((status = 200, description = "The whole file.", body = String, content_type = "application/gzip",
            headers(("ETag" = String, description = "SHA-256 of the file as in the manifest, in quotes.")),
            example = json!(FILE_EXAMPLE)),
        (status = 206, description = "The part of the file that `Range` asked for.", body = String, content_type = "application/gzip",
            headers(("ETag" = String, description = "SHA-256 of the file as in the manifest, in quotes."),
                ("Content-Range" = String, description = "First and last byte sent and size of the file: `bytes 262144-524287/600000`.")),
            example = json!(FILE_EXAMPLE)),
        (status = 304, description = "The file has not changed: its `ETag` is in `If-None-Match`.")),
    security(("signature" = ["files:read"])),
    extensions(("x-not-signed" = json!(true)),
        ("x-problems" = json!(["file_not_ready", "file_expired", "range_not_satisfiable"]))))]
pub async fn download_file(
    State(app): State<App>,
    caller: FunderCaller,
    NamedWithin(day, name): NamedWithin<Day, FileName>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let made = find_ready(&app, caller.funder_id, day.0).await?;
    let day = made.business_day;
    let mut connection = app.pool.acquire().await?;
    let files = store::list_files(&mut connection, caller.funder_id, day).await?;
    let file = files.into_iter().find(|file| file.name == name.to_string()).ok_or_else(Problem::not_found)?;
    let tagged = etag(hex_encode(&file.sha256));
    let given = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let mut known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.any(|known| known.trim() == "*" || known.contains(&tagged)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tagged)]).into_response());
    }
    let first = ChunkKey { funder_id: caller.funder_id, day, name: &file.name, chunk_no: 0 };
    if store::load_chunk(&mut connection, first).await?.is_none() {
        return Err(problem_of(&app, Fault::Refused(FileRefusal::Expired)));
    }
    drop(connection);
    let bytes = u64::try_from(file.bytes).unwrap_or_default();
    // If the file has changed since the caller began, HTTP has the whole file sent instead of a range.
    let is_same = given(header::IF_RANGE).is_none_or(|known| known == tagged);
    let asked = given(header::RANGE).filter(|_| is_same);
    let Ok(span) = read_range(asked, bytes) else {
        let detail = format!("The file has {bytes} bytes.");
        let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail);
        return Ok(([(header::CONTENT_RANGE, format!("bytes */{bytes}"))], problem).into_response());
    };
    let whole = Span { from: 0, to: bytes.saturating_sub(1) };
    let sent = span.unwrap_or(whole);
    let body = stream(app, Kept { funder_id: caller.funder_id, day, name: file.name.clone() }, sent);
    let mut answer = Body::from_stream(body).into_response();
    if span.is_some() {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let named = format!("attachment; filename=\"{day}-{}\"", file.name);
    let range = span.map(|span| format!("bytes {}-{}/{bytes}", span.from, span.to));
    for (name, value) in [
        (header::CONTENT_TYPE, Some("application/gzip".to_owned())),
        (header::CONTENT_DISPOSITION, Some(named)),
        (header::CONTENT_LENGTH, Some((sent.to - sent.from + 1).to_string())),
        (header::CONTENT_RANGE, range),
        (header::ACCEPT_RANGES, Some("bytes".to_owned())),
        (header::ETAG, Some(tagged)),
    ] {
        if let Some(value) = value.and_then(|value| value.parse().ok()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer.extensions_mut().insert(Streamed);
    Ok(answer)
}

/// A file of a day, as it is stored.
struct Kept {
    funder_id: FunderId,
    day: BusinessDay,
    name: String,
}

/// Streams pieces as the caller takes them, without holding a connection in between.
fn stream(app: App, file: Kept, span: Span) -> impl futures_util::Stream<Item = anyhow::Result<Bytes>> {
    let Kept { funder_id, day, name } = file;
    try_unfold(span.from, move |at| {
        let (app, name) = (app.clone(), name.clone());
        async move {
            if at > span.to {
                return Ok(None);
            }
            let size = CHUNK_BYTES as u64;
            let key = ChunkKey { funder_id, day, name: &name, chunk_no: i32::try_from(at / size)? };
            let chunk = store::load_chunk(&mut *app.pool.acquire().await?, key).await?;
            let chunk = Bytes::from(chunk.ok_or_else(|| anyhow::anyhow!("a piece of {name} of {day} is gone"))?);
            let (start, end) = ((at % size) as usize, (span.to - at + at % size + 1).min(chunk.len() as u64) as usize);
            anyhow::ensure!(start < end, "a piece of {name} of {day} is too short");
            Ok(Some((chunk.slice(start..end), at - at % size + end as u64)))
        }
    })
}
