//! Extractors for handlers: a strict JSON body, strict query parameters, what the path names, and `If-Match`.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;

use super::strict;
use crate::http::Problem;
use crate::http::header::sole;
use crate::http::problem::FieldProblem;

/// A JSON body, read strictly: see [`super::strict`].
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        check_media_type(request.headers())?;
        check_unpacked(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|_| Problem::body_too_large())?;
        strict::read(&bytes).map(Body)
    }
}

/// Checks the header `Content-Type`.
///
/// # Errors
/// 415 if it does not say JSON in UTF-8.
pub fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = sole(headers, header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    // A parameter's value may stand in quotes.
    let is_utf8 = parts.all(|one| one.is_empty() || one.replace('"', "").eq_ignore_ascii_case("charset=utf-8"));
    if is_json && is_utf8 {
        return Ok(());
    }
    Err(not_supported("The body must be application/json in UTF-8, and the header Content-Type must say so."))
}

/// Checks that the body is not compressed, which some libraries do by themselves: the signature covers the body as it is sent.
///
/// # Errors
/// 415 if the header `Content-Encoding` says so.
pub fn check_unpacked(headers: &HeaderMap) -> Result<(), Problem> {
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    Err(not_supported("A body is sent unpacked, without the header Content-Encoding."))
}

fn not_supported(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_not_supported", detail)
}

/// Query parameters, read strictly: an unknown or repeated one is refused.
pub struct Params<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params<T>, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if form_urlencoded::parse(query.as_bytes()).any(|(_, value)| value.contains('\0')) {
            let detail = "A text holds no NUL.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "parameter_malformed", detail));
        }
        let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(deserializer).map(Params).map_err(|error| {
            let name = error.path().to_string();
            let problem = strict::field_problem(name, &error.into_inner().to_string());
            in_words_of_parameters(problem)
        })
    }
}

fn in_words_of_parameters(problem: Problem) -> Problem {
    let code = match problem.code {
        "unknown_field" => "unknown_parameter",
        "missing_field" => "missing_parameter",
        "duplicate_key" => "duplicate_parameter",
        "cursor_malformed" => "cursor_malformed",
        _ => "parameter_malformed",
    };
    let named = problem.errors.first().map(|error| {
        let pointer = error.pointer.trim_start_matches("./").trim_start_matches('/').to_owned();
        FieldProblem { pointer, code, detail: error.detail.clone() }
    });
    named.map_or(problem, |named| Problem::of_field(StatusCode::BAD_REQUEST, named))
}

/// What the last part of the path names, such as an id. A malformed one is answered like an unknown one: 404.
pub struct Named<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let named = path.iter().last().filter(|(_, value)| !value.contains('\0'));
        let named = named.and_then(|(_, value)| value.parse().ok());
        named.map(Named).ok_or_else(Problem::not_found)
    }
}

/// What the last two parts of the path name, such as a day and a file of it.
pub struct NamedWithin<T, U>(pub T, pub U);

impl<S: Send + Sync, T: FromStr, U: FromStr> FromRequestParts<S> for NamedWithin<T, U> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<NamedWithin<T, U>, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let named: Vec<&str> = path.iter().map(|(_, value)| value).filter(|value| !value.contains('\0')).collect();
        let [.., outer, inner] = named.as_slice() else { return Err(Problem::not_found()) };
        let both = outer.parse().ok().zip(inner.parse().ok());
        both.map(|(outer, inner)| NamedWithin(outer, inner)).ok_or_else(Problem::not_found)
    }
}

/// The header `If-Match`: the version that the caller has read, of something that two people may edit at once.
pub struct IfMatch(String);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch, Problem> {
        let lines = parts.headers.get_all(header::IF_MATCH).iter();
        // Several header lines are one list, and a list is not one of our tags.
        let given: Vec<&str> = lines.map(|line| line.to_str().unwrap_or_default()).collect();
        if given.is_empty() {
            let missing = "Read it first, and give its ETag in the header If-Match.";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", missing));
        }
        Ok(IfMatch(given.join(", ").trim().to_owned()))
    }
}

impl IfMatch {
    /// The version number in the tag.
    ///
    /// # Errors
    /// 412 if we never give such a tag: `*`, a list of tags, a weak tag.
    pub fn number<N: FromStr>(&self) -> Result<N, Problem> {
        self.0.trim_matches('"').parse().map_err(|_| no_tag_of_ours())
    }
}

/// Not the usual "somebody has changed it": reading it again would not help.
fn no_tag_of_ours() -> Problem {
    let detail =
        "If-Match holds no ETag that we gave. Give one, as it was read; without W/, if a proxy has put that before it.";
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_called_by_its_name_alone() {
        let missing = in_words_of_parameters(strict::field_problem(".".to_owned(), "missing field `line_id`"));
        assert_eq!((missing.code, missing.detail.as_str()), ("missing_parameter", "line_id: the field is required"));
        assert_eq!((missing.errors[0].code, missing.errors[0].pointer.as_str()), ("missing_parameter", "line_id"));
        let unknown =
            in_words_of_parameters(strict::field_problem("page".to_owned(), "unknown field `page`, expected `limit`"));
        assert_eq!(unknown.detail, "page: unknown field page, expected limit");
        let twice = in_words_of_parameters(strict::field_problem(".".to_owned(), "duplicate field `limit`"));
        assert_eq!((twice.code, twice.detail.as_str()), ("duplicate_parameter", "limit: the key stands twice"));
        assert_eq!(twice.errors[0].pointer, "limit");
    }

    #[test]
    fn a_tag_is_one_version_and_what_is_none_of_ours_is_said_to_be_none() {
        let read = |tag: &str| IfMatch(tag.to_owned()).number::<i32>();
        assert_eq!(read("\"3\"").unwrap(), 3);
        for other in ["*", "W/\"3\"", "\"3\", \"4\"", "\"a\"", ""] {
            let problem = read(other).unwrap_err();
            assert_eq!(problem.code, "precondition_failed", "{other}");
            assert!(problem.detail.contains("no ETag that we gave"), "{other}: {}", problem.detail);
        }
    }
}
