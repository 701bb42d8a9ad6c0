//! Which problems each operation can answer, and how the OpenAPI document says so.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::codes::{self, CODES, Code};
use super::idempotency;

/// The extension in which an operation declares its own problem codes; those that it shares with others follow from its [`Shape`].
pub const PROBLEMS: &str = "x-problems";

/// The properties of an operation that decide which problems it shares with others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    pub is_reading: bool,
    pub takes_body: bool,
    pub needs_scope: bool,
    /// Whether its path has a parameter.
    pub names_object: bool,
    pub guards_edits: bool,
    pub takes_parameters: bool,
    pub needs_parameter: bool,
    pub takes_cursor: bool,
}

const OF_ALL: &[&str] = &[
    "signature_malformed",
    "signature_stale",
    "signature_wrong",
    "nonce_reused",
    "address_not_allowed",
    "body_too_large",
    "rate_exceeded",
    "too_many_not_believed",
    "failed",
    "house_not_open",
    "timed_out",
];
const OF_BODIES: &[&str] = &[
    "body_not_json",
    "body_not_utf8",
    "duplicate_key",
    "nested_too_deep",
    "unknown_field",
    "missing_field",
    "wrong_type",
    "fen_not_integer",
    "number_out_of_range",
    "value_not_allowed",
    "media_type_not_supported",
];
const OF_CHANGES: &[&str] =
    &["idempotency_key_missing", "idempotency_key_malformed", "idempotency_key_reused", "idempotency_in_progress"];

impl Shape {
    /// The shape of a declared operation at that path.
    pub fn of(operation: &Value, path: &str, is_reading: bool) -> Shape {
        let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let has = |place: &str, name: Option<&str>| {
            parameters.iter().any(|one| one["in"] == place && name.is_none_or(|name| one["name"] == name))
        };
        Shape {
            is_reading,
            takes_body: operation.get("requestBody").is_some(),
            needs_scope: operation["security"][0]["signature"][0].is_string(),
            names_object: path.contains('{'),
            guards_edits: has("header", Some("If-Match")),
            takes_parameters: has("query", None),
            needs_parameter: parameters.iter().any(|one| one["in"] == "query" && one["required"] == true),
            takes_cursor: has("query", Some("cursor")),
        }
    }

    /// The codes that every operation of this shape may answer.
    fn codes(self) -> Vec<&'static str> {
        let groups: &[(bool, &[&str])] = &[
            (true, OF_ALL),
            (self.takes_body, OF_BODIES),
            (!self.takes_body, &["body_not_taken"]),
            (!self.is_reading, OF_CHANGES),
            (self.needs_scope, &["scope_missing"]),
            // A name of dots alone (`.`, `..`) makes it another path.
            (self.names_object, &["not_found", "method_not_allowed"]),
            (self.guards_edits, &["precondition_failed", "precondition_required"]),
            (true, &["unknown_parameter"]),
            (self.takes_parameters, &["duplicate_parameter", "parameter_malformed"]),
            (self.needs_parameter, &["missing_parameter"]),
            (self.takes_cursor, &["cursor_malformed"]),
        ];
        groups.iter().filter(|(applies, _)| *applies).flat_map(|(_, codes)| codes.iter().copied()).collect()
    }
}

/// Every problem that an operation can answer, by its shape and by what it declares, in the order of the list of codes.
///
/// # Panics
/// If it declares a code that does not exist, which a test would meet first.
pub fn of(operation: &Value, shape: Shape) -> Vec<&'static Code> {
    let shared = shape.codes();
    let declared = operation[PROBLEMS].as_array().into_iter().flatten().filter_map(Value::as_str);
    let own: Vec<&str> = declared.collect();
    assert!(own.iter().all(|code| codes::find(code).is_some()), "{own:?} are all in the list of codes");
    CODES.iter().filter(|known| shared.contains(&known.code) || own.contains(&known.code)).collect()
}

/// The document's responses, one for each status with the same codes and headers.
#[derive(Default)]
pub struct Responses {
    named: Map<String, Value>,
    names: HashMap<Kind, String>,
}

/// What makes two responses of the document the same.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    status: u16,
    codes: Vec<&'static str>,
    /// Whether it may be one that was given before under the same idempotency key.
    is_kept: bool,
}

impl Responses {
    /// References to the responses of an operation of this shape that can answer these codes, by status.
    pub fn of(&mut self, codes: &[&'static Code], shape: Shape) -> Vec<(u16, Value)> {
        let mut statuses: Vec<u16> = codes.iter().map(|code| code.status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let of_status = |status| codes.iter().copied().filter(|code| code.status == status).collect();
        let reference =
            |status| (status, self.reference(status, of_status(status), !shape.is_reading && is_kept(status)));
        statuses.into_iter().map(reference).collect()
    }

    fn reference(&mut self, status: u16, codes: Vec<&'static Code>, is_kept: bool) -> Value {
        let kind = Kind { status, codes: codes.iter().map(|code| code.code).collect(), is_kept };
        let name = match self.names.get(&kind) {
            Some(name) => name.clone(),
            None => {
                let before = self.names.keys().filter(|other| other.status == status).count();
                let name = if before == 0 { format!("Problem{status}") } else { format!("Problem{status}_{before}") };
                let mut response = response(status, &codes);
                if is_kept {
                    response["headers"]["Idempotent-Replayed"] = replayed_header();
                }
                self.named.insert(name.clone(), response);
                self.names.insert(kind, name.clone());
                name
            }
        };
        json!({ "$ref": format!("#/components/responses/{name}") })
    }

    pub fn into_json(self) -> Value {
        Value::Object(self.named)
    }
}

/// Whether a refusal of a change with this status may be kept under its idempotency key. Authentication, rate and scope are checked before
/// the key is, so their refusals are never kept.
fn is_kept(status: u16) -> bool {
    !matches!(status, 401 | 405 | 429) && StatusCode::from_u16(status).is_ok_and(idempotency::is_kept)
}

/// The header of an answer that may be a repetition.
pub fn replayed_header() -> Value {
    text(
        "`true` if this is the stored answer to an earlier request under the same `Idempotency-Key`; absent otherwise.",
    )
}

/// A response of the document, with an example for each code.
fn response(status: u16, codes: &[&'static Code]) -> Value {
    let example = |code: &&Code| {
        let document = json!({
            "type": format!("/api/docs/problems#{}", code.code), "title": title(status), "status": status,
            "code": code.code, "detail": code.says, "request_id": "req_0197f3c2a4b07cc39b1c2d3e4f506172" });
        (code.code.to_owned(), json!({ "summary": code.says, "value": document }))
    };
    let examples: Map<String, Value> = codes.iter().map(example).collect();
    let listed: Vec<String> = codes.iter().map(|code| format!("`{}`", code.code)).collect();
    json!({
        "description": format!("{}: {}", title(status), listed.join(", ")),
        "headers": headers(status, codes),
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" }, "examples": examples } },
    })
}

fn title(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Refused")
}

/// The schema of a problem: its `code` is one of the list.
pub fn schema() -> Value {
    let codes: Vec<&str> = CODES.iter().map(|code| code.code).collect();
    json!({
        "type": "object",
        "description": "Why a request was refused or failed (RFC 9457, `application/problem+json`).",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": { "type": "string", "description": "Path of the code's description." },
            "title": { "type": "string", "description": "Reason phrase of the HTTP status." },
            "status": { "type": "integer", "description": "HTTP status." },
            "code": { "type": "string", "enum": codes, "description": "Stable name of the problem; programs act on it." },
            "detail": { "type": "string", "description": "What is wrong, for people; its wording may change." },
            "errors": { "type": "array", "description": "The fields or parameters that are wrong, where there are such.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "detail"],
                    "properties": {
                        "pointer": { "type": "string",
                            "description": "JSON pointer to the field, such as `/amount_fen`, or the parameter's name." },
                        "code": { "type": "string", "description": "Code of this field's problem." },
                        "detail": { "type": "string", "description": "What is wrong, for people." } } } },
            "request_id": { "type": "string", "description": "Id of the request, as in the header `X-Request-Id`; in a stored answer that is \
                given again, the id of the first request." },
        },
    })
}

fn text(says: &str) -> Value {
    json!({ "description": says, "schema": { "type": "string" } })
}

fn number(says: &str) -> Value {
    json!({ "description": says, "schema": { "type": "integer" } })
}

/// The schemes of signatures, for the header `WWW-Authenticate` of a 401: some HTTP clients fail on a 401 without it.
pub const SCHEMES: &str = "FENQI-SM2-SM3, FENQI-RSA-SHA256";

const REQUEST_ID: &str = "Id of this request, also in `request_id` of a problem document that is not given again; quote it when you ask \
                          the platform's operator.";
const SIGNED: &[(&str, &str)] = &[
    ("Fenqi-Timestamp", "When the answer was signed, in seconds since 1970-01-01T00:00:00Z."),
    ("Fenqi-Nonce", "Random text, different for each answer."),
    ("Fenqi-Serial", "Serial number of the platform key that signed the answer; GET /platform-keys has the key."),
    ("Fenqi-Signature", "The platform's signature in base64, over timestamp, nonce and body."),
];
const RATED: &[(&str, &str)] = &[
    ("RateLimit-Limit", "Requests that you may send in a minute."),
    ("RateLimit-Remaining", "Requests that you may still send in the current minute."),
    ("RateLimit-Reset", "Seconds until the current minute ends."),
];
/// Codes of answers to a caller that was not authenticated: no signature, no rate limit headers.
const UNSIGNED: &[&str] =
    &["signature_malformed", "signature_stale", "signature_wrong", "too_many_not_believed", "body_too_large"];
/// Codes of answers to a caller whose call was not counted: no rate limit headers.
const UNRATED: &[&str] = &["nonce_reused", "address_not_allowed"];
/// Codes that may also come before the caller is authenticated: the body did not arrive in time, or authentication itself failed.
const ALSO_UNSIGNED: &[&str] = &["failed", "timed_out"];

/// The headers of an answer to a caller that was authenticated and counted, without our signature's.
pub fn shared_headers() -> Value {
    let mut headers = json!({ "X-Request-Id": text(REQUEST_ID) });
    RATED.iter().for_each(|(name, says)| headers[*name] = number(says));
    headers
}

/// Adds the headers of our signature.
pub fn add_signature(headers: &mut Value) {
    SIGNED.iter().for_each(|(name, says)| headers[*name] = text(says));
}

/// The headers of the answers with a status and these codes. A caller that is not authenticated gets no signature and no rate limit
/// headers: if only some of the codes come with a header, its description says which do not; if none does, the header is left out.
fn headers(status: u16, codes: &[&'static Code]) -> Value {
    let mut headers = json!({ "X-Request-Id": text(REQUEST_ID) });
    let also: Vec<&str> = codes.iter().map(|code| code.code).filter(|code| ALSO_UNSIGNED.contains(code)).collect();
    let also = match also.is_empty() {
        true => String::new(),
        false => format!(" With {} only if the request had been authenticated.", also.join(", ")),
    };
    let mut add = |names: &[(&str, &str)], lacks: &dyn Fn(&str) -> bool, header: fn(&str) -> Value| {
        let (without, with): (Vec<&str>, Vec<&str>) = codes.iter().map(|code| code.code).partition(|code| lacks(code));
        if with.is_empty() {
            return;
        }
        for (name, says) in names {
            let but = if without.is_empty() { String::new() } else { format!(" Absent with {}.", without.join(", ")) };
            headers[*name] = header(&format!("{says}{but}{also}"));
        }
    };
    add(SIGNED, &|code| UNSIGNED.contains(&code), text);
    add(RATED, &|code| UNSIGNED.contains(&code) || UNRATED.contains(&code), number);
    let may_wait = |code: &&Code| matches!(code.code, "idempotency_in_progress" | "file_not_ready");
    match status {
        401 => headers["WWW-Authenticate"] = text("The signature schemes that a request can use."),
        405 => headers["Allow"] = text("The HTTP methods that the path supports."),
        416 => headers["Content-Range"] = text("The size of the file in bytes, as `bytes */600000`."),
        _ => {}
    }
    if status == 429 || codes.iter().any(may_wait) {
        headers["Retry-After"] =
            number("Seconds to wait before the request is repeated; absent where waiting does not help.");
    }
    headers
}
