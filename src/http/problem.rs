//! Refusals and failures as problem documents (RFC 9457), with a stable code.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{Fault, Refusal};

/// `application/problem+json`. The request's id is in the header `x-request-id` of every response.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    /// Stable, `snake_case`: what a program looks at.
    code: &'static str,
    title: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("Refused");
        Problem { status, code, title, detail: detail.into() }
    }

    /// What a program looks at, and what words for people are found by.
    pub fn code(&self) -> &'static str {
        self.code
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
        let status = self.status;
        #[derive(Serialize)]
        struct Document {
            r#type: &'static str,
            status: u16,
            #[serde(flatten)]
            problem: Problem,
        }
        let kept = self.clone();
        let document = Document { r#type: "about:blank", status: status.as_u16(), problem: self };
        let mut response = (status, Json(document)).into_response();
        // For a browser, a page is made of it on the way out.
        response.extensions_mut().insert(kept);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
