//! What the gate does to every answer: problems get the API's form, and rate limit headers and the signature are added.

use anyhow::Context as _;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::pieced::Pieced;
use super::{codes, problems};
use crate::access::{Denial, Rate};
use crate::app::App;
use crate::error::Fault;
use crate::http::Problem;
use crate::partner::key::Algorithm;
use crate::partner::signature::{SigningAnswer, Stamp};

/// The largest answer that is signed: a page of the longest rows.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Marks an answer whose body is streamed. It is either signed already (see [`Pieced`]), or not at all: then a signed answer states its
/// hash.
#[derive(Clone, Copy, Debug)]
pub struct Streamed;

/// The response to a request that is not let in, with rate limit headers if the rate is the reason.
pub(super) fn denied_response(denied: Fault<Denial>) -> Response {
    match denied {
        Fault::Refused(denial) => {
            let response = Problem::from(&denial).into_response();
            if let Denial::RateExceeded(_, rate) = denial { with_rate(response, rate) } else { response }
        }
        Fault::Failed(failure) => Problem::from(failure).into_response(),
    }
}

/// Gives a problem the API's form: the status that the document lists for its code, its type, the request's id.
pub(super) fn finish_problem(mut response: Response, request_id: &str) -> Response {
    let Some(mut problem) = response.extensions_mut().remove::<Problem>() else { return response };
    match codes::find(problem.code) {
        Some(code) => problem.status = StatusCode::from_u16(code.status).unwrap_or(problem.status),
        None => {
            tracing::error!(code = problem.code, "a problem's code is not in the API's list");
            debug_assert!(false, "the code {} is not in the API's list", problem.code);
        }
    }
    let document = problem.document(&format!("/api/docs/problems#{}", problem.code), Some(request_id));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    if problem.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(problems::SCHEMES));
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = Body::from(document);
    response
}

/// Adds the headers of the IETF's draft on rate limits.
pub(super) fn with_rate(mut response: Response, rate: Rate) -> Response {
    let headers = response.headers_mut();
    headers.insert("ratelimit-limit", HeaderValue::from(rate.limit));
    headers.insert("ratelimit-remaining", HeaderValue::from(rate.remaining));
    headers.insert("ratelimit-reset", HeaderValue::from(rate.reset_seconds));
    response
}

/// Signs the answer to a request with that method. A streamed answer is left as it is.
///
/// # Errors
/// The problem to answer instead, if the answer's body cannot be read to its end or we cannot sign.
pub(super) async fn signed(
    app: &App,
    response: Response,
    algorithm: Algorithm,
    method: &Method,
) -> Result<Response, Problem> {
    if response.extensions().get::<Streamed>().is_some() {
        return Ok(response);
    }
    let signer = app.access.signer(algorithm).await.context("an answer could not be signed")?;
    let mut signing = signer.begin_answer(Stamp::fresh(app.access.now()));
    let mut response = read_into(&mut signing, response, method).await?;
    for (name, value) in signing.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Feeds the response's body into the signature. An answer to HEAD has no body when it is sent, so it is signed without one.
async fn read_into(signing: &mut SigningAnswer, mut response: Response, method: &Method) -> Result<Response, Problem> {
    if let Some(pieced) = response.extensions_mut().remove::<Pieced>() {
        pieced.sign(signing).await?;
        *response.body_mut() = pieced.body();
        response.extensions_mut().insert(Streamed);
        return Ok(response);
    }
    let (response, body) = held(response).await?;
    if *method != Method::HEAD {
        signing.add(&body);
    }
    Ok(response)
}

/// The response and a copy of its body; the copy is empty if the body is streamed.
pub(super) async fn whole(response: Response) -> (Response, Bytes) {
    if response.extensions().get::<Streamed>().is_some() {
        return (response, Bytes::new());
    }
    held(response).await.unwrap_or_else(|problem| (problem.into_response(), Bytes::new()))
}

async fn held(response: Response) -> Result<(Response, Bytes), Problem> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.context("an answer breaks off, or is too large to be signed")?;
    Ok((Response::from_parts(parts, Body::from(bytes.clone())), bytes))
}
