//! A posted form: its fields as text, which are parsed one by one. Errors are kept beside their fields, and the input is kept too, so that
//! the page can be shown again.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::base::id;
use crate::error::Refusal;
use crate::http::Problem;

/// Longer fields are cut; nothing that a person types is longer.
const FIELD_CHARS_MAX: usize = 500;
/// No form of ours has more fields.
const FIELDS_MAX: usize = 100;
/// The length of an idempotency key. Ours are 32 letters and digits; none is longer than a purchase takes.
const KEY_CHARS: RangeInclusive<usize> = 16..=64;

/// Fields and their errors. A page that is opened begins with an empty form.
#[derive(Clone, Default)]
pub struct Form {
    values: BTreeMap<String, String>,
    errors: BTreeMap<String, String>,
    /// Why the form as a whole was refused: a refusal's code.
    refusal: Option<&'static str>,
    /// When it may be tried again, if it was refused for a time.
    until: Option<DateTime<Utc>>,
}

/// Leaves out what was typed, which may be a PIN, a code or a personal number.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("errors", &self.errors).field("refusal", &self.refusal).finish_non_exhaustive()
    }
}

impl Form {
    /// A form with values filled in, for a page that shows what is known already.
    pub fn filled<const N: usize>(fields: [(&str, String); N]) -> Form {
        let values = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Form { values, ..Form::default() }
    }

    /// Fills a field in.
    pub fn fill(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// A field as it was typed, trimmed; empty if it is missing.
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Whether a box was ticked.
    pub fn is_ticked(&self, name: &str) -> bool {
        !self.value(name).is_empty()
    }

    /// Parses a field. An error's code is kept beside it: its words are `error-<code>`.
    pub fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<T> {
        let value = self.value(name).to_owned();
        if value.is_empty() {
            self.refuse_field(name, "missing");
            return None;
        }
        match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(code) => {
                self.refuse_field(name, code);
                None
            }
        }
    }

    /// Puts an error beside a field: its words are `error-<code>`.
    pub fn refuse_field(&mut self, name: &str, code: &str) {
        self.errors.entry(name.to_owned()).or_insert_with(|| code.to_owned());
    }

    /// Puts a refusal above the form: its words are `refusal-<code>`, in which `{ $until }` is the time from when on it may be tried again,
    /// if the refusal tells that.
    pub fn refuse(&mut self, refusal: &impl Refusal) {
        self.refusal = Some(refusal.code());
        self.until = refusal.until().or(self.until);
    }

    /// Sets the time from when on the refused form or field may be tried again, which is `{ $until }` in its words.
    pub fn note_until(&mut self, at: DateTime<Utc>) {
        self.until = Some(at);
    }

    pub fn until(&self) -> Option<DateTime<Utc>> {
        self.until
    }

    /// Empties a field that must not be sent back, such as a PIN.
    pub fn forget(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// The code of a field's error.
    pub fn error(&self, name: &str) -> Option<&str> {
        self.errors.get(name).map(String::as_str)
    }

    pub fn refusal(&self) -> Option<&'static str> {
        self.refusal
    }

    pub fn is_refused(&self) -> bool {
        self.refusal.is_some() || !self.errors.is_empty()
    }

    /// The HTTP status of a page that shows this form.
    pub fn status(&self) -> StatusCode {
        if self.is_refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
    }
}

/// A page that shows the errors of a posted form, with status 422.
pub fn unprocessable(page: impl IntoResponse) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

/// A new idempotency key, for a form that does its work once however often it is sent.
pub fn new_key(app: &App) -> String {
    id::mint(app.clock.now()).simple().to_string()
}

/// A key as [`new_key`] makes them, or at least one of letters and digits alone.
pub fn known_key(key: &str) -> Option<String> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (KEY_CHARS.contains(&key.len()) && is_plain).then(|| key.to_owned())
}

/// The key, if it is a [`known_key`], else a new one.
pub fn key_or_new(app: &App, key: &str) -> String {
    known_key(key).unwrap_or_else(|| new_key(app))
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Form, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|_| Problem::body_too_large())?;
        let mut form = Form::default();
        for (name, value) in form_urlencoded::parse(&body).take(FIELDS_MAX) {
            if name != "csrf" {
                let value: String = value.trim().chars().take(FIELD_CHARS_MAX).collect();
                form.values.entry(name.into_owned()).or_insert(value);
            }
        }
        Ok(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn posted(body: &str) -> Form {
        Form::from_request(Request::new(Body::from(body.to_owned())), &()).await.unwrap()
    }

    #[tokio::test]
    async fn a_field_is_kept_as_typed_with_its_error_beside_it() {
        let mut form = posted("mobile=+1380013800%00&name=%E7%8E%8B&csrf=x").await;
        let mobile = form.read("mobile", |text| text.parse::<i64>().map_err(|_| "mobile_format"));
        assert_eq!((mobile, form.error("mobile")), (None, Some("mobile_format")));
        assert_eq!((form.value("mobile"), form.value("name"), form.value("csrf")), ("1380013800\0", "王", ""));
        assert!(form.is_refused());
    }

    #[tokio::test]
    async fn what_was_typed_is_not_shown_to_the_log() {
        let mut form = posted("pin=482913&mobile=13812345678").await;
        form.refuse_field("pin", "pin_wrong");
        let shown = format!("{form:?}");
        assert!(shown.contains("pin_wrong") && !shown.contains("482913") && !shown.contains("13812345678"), "{shown}");
    }

    #[tokio::test]
    async fn a_missing_field_and_ten_thousand_characters_are_no_surprise() {
        let mut form = posted(&format!("name={}", "长".repeat(10_000))).await;
        assert_eq!(form.value("name").chars().count(), FIELD_CHARS_MAX);
        assert_eq!(form.read("mobile", |_| Ok(())), None);
        assert_eq!(form.error("mobile"), Some("missing"));
    }

    #[test]
    fn a_key_is_taken_only_where_it_is_plain() {
        assert_eq!(known_key("0123456789abcdef").as_deref(), Some("0123456789abcdef"));
        for key in ["", "short", "0123456789abcde\n", "💰💰💰💰", &"a".repeat(65)] {
            assert_eq!(known_key(key), None);
        }
    }
}
