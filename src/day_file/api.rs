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

/// A closed business day and its files.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayView {
    pub business_day: BusinessDay,
    /// `ready` or `not_ready`.
    #[schema(example = "ready")]
    pub status: &'static str,
    /// The stated time from which on the files may be fetched.
    pub available_from: DateTime<Utc>,
    /// The SHA-256 of the manifest's text, in hexadecimal; null until the day is ready.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub manifest_sha256: Option<String>,
}

/// List the days that have files, the oldest first
#[utoipa::path(get, path = "/funder/days", tag = "funder", params(PageParams<Listed<DayView, Day>>),
    responses((status = 200, body = Page<DayView>)), security(("signature" = ["files:read"])))]
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

/// A day's manifest as it was signed.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedManifest {
    /// A JSON document in a text, so that its bytes are those that were signed.
    #[schema(example = "{\"manifest_version\":3,\"funder\":\"harbour-bank\",\"business_day\":\"2026-03-02\"}")]
    pub manifest: String,
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub manifest_sha256: String,
    /// One signature for each algorithm.
    pub signatures: Vec<ManifestSignature>,
}

/// A signature over the bytes of the manifest's text, and nothing else.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ManifestSignature {
    #[schema(example = "sm2_sm3")]
    pub algorithm: String,
    /// The serial number of the platform's key that signed; GET /platform-keys has the key.
    #[schema(example = "FENQI-20260302-4F506172")]
    pub serial_no: String,
    /// The signature in base64; one of SM2 is r and s in 64 bytes.
    #[schema(example = "9aA7BkjSxGMO6sUT4buBoVlE2jgn1bdBQ6x+rO7nILOxtqop3yEv2HYxgrwNQhyhu5A4/R9/QtSEC2nEhbvBqg==")]
    pub signature: String,
}

/// Fetch a day's signed manifest
///
/// What each file holds (rows, bytes, SHA-256, SM3, sums), how the funder's book stood, and the footings by which they agree.
#[utoipa::path(get, path = "/funder/days/{business_day}/manifest", tag = "funder", params(("business_day" = Day, Path)),
    responses((status = 200, body = SignedManifest,
        headers(("ETag" = String, description = "In quotes the manifest's SHA-256.")))),
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

/// Download a file of a day
///
/// `lines`, `loans`, `plans`, `repayments`, `repayment_parts`, `refunds`, `refund_parts`, `reserve`, `remittances` or `ledger`, then
/// `.csv.gz` or `.jsonl.gz`. Whole or a range of bytes; the answer itself is not signed: its SHA-256, which is its ETag, stands in the
/// signed manifest.
#[utoipa::path(get, path = "/funder/days/{business_day}/files/{name}", tag = "funder",
    params(("business_day" = Day, Path), ("name" = String, Path, example = "loans.csv.gz"),
        ("Range" = Option<String>, Header, description = "One span, such as `bytes=262144-`."),
        ("If-Range" = Option<String>, Header, description = "The ETag of what has come so far; of another file the whole comes."),
        ("If-None-Match" = Option<String>, Header, description = "ETags of what is there; one of them is answered by 304.")),
    responses((status = 200, body = String, content_type = "application/gzip",
            headers(("ETag" = String, description = "In quotes the file's SHA-256, as the manifest has it.")),
            example = json!(FILE_EXAMPLE)),
        (status = 206, body = String, content_type = "application/gzip",
            headers(("ETag" = String, description = "In quotes the file's SHA-256, as the manifest has it."),
                ("Content-Range" = String, description = "Which bytes these are, and of how many: `bytes 262144-524287/600000`.")),
            example = json!(FILE_EXAMPLE)),
        (status = 304, description = "It is what `If-None-Match` names.")),
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
