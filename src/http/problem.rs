//! Refusals and failures as problem documents (RFC 9457), with a stable code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::access::Denial;
use crate::error::{Fault, Refusal};

/// `application/problem+json`. The request's id is in the header `x-request-id` of every response, and in the document where
/// a program reads it.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable, in `snake_case`: programs act on it, and texts for people are looked up by it.
    pub code: &'static str,
    pub detail: String,
    /// What is wrong with each field or parameter.
    pub errors: Vec<FieldProblem>,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
}

/// What is wrong with one place of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// A JSON pointer into the body, such as `/amount_fen`, or the name of a parameter.
    pub pointer: String,
    pub code: &'static str,
    pub detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// A problem with one field or parameter, whose code becomes the problem's code.
    pub fn of_field(status: StatusCode, problem: FieldProblem) -> Problem {
        let detail = match problem.pointer.as_str() {
            // The body as a whole.
            "" => problem.detail.clone(),
            pointer => format!("{pointer}: {}", problem.detail),
        };
        Problem { errors: vec![problem.clone()], ..Problem::new(status, problem.code, detail) }
    }

    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    pub fn method_not_allowed() -> Problem {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take that method.")
    }

    pub fn body_too_large() -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than this address takes.")
    }

    pub fn timed_out() -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timed_out",
            "This took too long; what came of it is not known. Ask again.",
        )
    }

    /// Says nothing of the cause, which is in the log under the request's id.
    pub fn failed() -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "Something failed here; it has been recorded.")
    }

    /// The document as JSON; `kind` is its `type`.
    pub fn document(&self, kind: &str, request_id: Option<&str>) -> Vec<u8> {
        let document = Document {
            r#type: kind,
            title: self.status.canonical_reason().unwrap_or("Refused"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
            request_id,
        };
        // Texts and numbers always have a JSON form.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// The status is chosen by the reason.
impl From<&Denial> for Problem {
    fn from(denial: &Denial) -> Problem {
        let (status, reset_seconds) = match denial {
            Denial::Signature(_) | Denial::NonceReused(_) => (StatusCode::UNAUTHORIZED, None),
            Denial::AddressNotAllowed(_) => (StatusCode::FORBIDDEN, None),
            Denial::RateExceeded(_, rate) => (StatusCode::TOO_MANY_REQUESTS, Some(rate.reset_seconds)),
            Denial::TooManyNotBelieved { reset_seconds } => (StatusCode::TOO_MANY_REQUESTS, Some(*reset_seconds)),
        };
        let retry_after = reset_seconds.and_then(|seconds| u32::try_from(seconds).ok());
        Problem { retry_after, ..Problem::new(status, denial.code(), denial.to_string()) }
    }
}

/// A refusal is shown with its code; a failure is logged once, here, and not shown.
impl<R: Refusal> From<Fault<R>> for Problem {
    fn from(fault: Fault<R>) -> Problem {
        match fault {
            Fault::Refused(refusal) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.code(), refusal.to_string())
            }
            Fault::Failed(failure) => Problem::from(failure),
        }
    }
}

impl From<anyhow::Error> for Problem {
    fn from(failure: anyhow::Error) -> Problem {
        tracing::error!("request failed: {failure:#}");
        Problem::failed()
    }
}

impl From<sqlx::Error> for Problem {
    fn from(failure: sqlx::Error) -> Problem {
        Problem::from(anyhow::Error::new(failure))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.document("about:blank", None);
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // For the layers around: the gate and the error page show the problem in another form.
        response.extensions_mut().insert(self);
        response
    }
}
