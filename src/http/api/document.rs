//! The OpenAPI document: what the handlers declare, completed by what every operation shares; and what the gate reads in it.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::codes::{CODES, Code};
use super::example;
use crate::access::Scope;

/// Marks an operation that takes a body but changes nothing: it needs no idempotency key.
pub const READS: &str = "x-reads-only";

/// The whole document, as it is served.
pub struct Document {
    pub json: Value,
    pub operations: Operations,
}

/// What the gate must know of each operation.
#[derive(Default)]
pub struct Operations {
    by_route: HashMap<(Method, String), Operation>,
}

#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What must have been granted; nothing where any partner may.
    pub scope: Option<Scope>,
    pub is_reading: bool,
    pub takes_body: bool,
}

impl Operations {
    pub fn find(&self, method: &Method, route: &str) -> Option<Operation> {
        self.by_route.get(&(method.clone(), route.to_owned())).copied()
    }

    /// Every method and route, in order.
    pub fn list(&self) -> Vec<(Method, String)> {
        let mut list: Vec<_> = self.by_route.keys().cloned().collect();
        list.sort_by_key(|(method, route)| (route.clone(), method.to_string()));
        list
    }
}

/// Completes what the handlers declare.
///
/// # Panics
/// If a handler declares a scope that does not exist, which a test would meet first.
pub fn complete(declared: &OpenApi) -> Document {
    let mut json = serde_json::to_value(declared).unwrap_or_default();
    json["info"] = info();
    json["components"]["schemas"]["Problem"] = problem_schema();
    json["components"]["responses"] = problem_responses();
    json["components"]["securitySchemes"] = json!({ "signature": {
        "type": "apiKey", "in": "header", "name": "Authorization", "description": SIGNATURE } });
    let shared = json.clone();
    let mut operations = Operations::default();
    let paths = json["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (name, operation) in item.as_object_mut().into_iter().flatten() {
            let Ok(method) = name.to_uppercase().parse::<Method>() else { continue };
            let is_reading = method == Method::GET || operation.get(READS).is_some();
            let scope = operation["security"][0]["signature"][0].as_str();
            let scope = scope.map(|scope| scope.parse().expect("a handler's scope is one of ours"));
            let takes_body = operation.get("requestBody").is_some();
            let known = Operation { scope, is_reading, takes_body };
            operations.by_route.insert((method.clone(), path.clone()), known);
            complete_operation(operation, &shared, &method, is_reading);
        }
    }
    Document { json, operations }
}

const SIGNATURE: &str = "`FENQI-SM2-SM3` or `FENQI-RSA-SHA256`, then `mchid=\"…\",serial_no=\"…\",nonce_str=\"…\",\
timestamp=\"…\",signature=\"…\"`: the base64 signature over `METHOD\\nURL\\nTIMESTAMP\\nNONCE\\nBODY\\n`, where URL is the path \
with its query. Answers bear Fenqi-Timestamp, Fenqi-Nonce, Fenqi-Serial and Fenqi-Signature over `TIMESTAMP\\nNONCE\\nBODY\\n` in \
the same algorithm. `fenqi sign` prints a signed request.";

fn info() -> Value {
    json!({
        "title": "Fenqi partner API",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "For funders' core systems, merchants' systems and risk partners. Amounts are whole numbers of fen in \
            fields that end in `_fen`; times are RFC 3339 with a zone, days are dates in Asia/Shanghai; ids bear the prefix of \
            their kind. Lists come in pages: give `next_cursor` as `cursor`. A request that changes something bears an \
            `Idempotency-Key`: the same key, body and `If-Match` get the first answer again, with `Idempotent-Replayed: true`; what \
            was refused with 400, 412, 413, 415 or 428 may be mended under its key. Refusals are \
            problem documents (RFC 9457); a program looks at `code`. What belongs to another partner does not exist for you.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = CODES.iter().map(|code| code.code).collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": codes },
            "detail": { "type": "string" },
            "errors": { "type": "array", "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": { "type": "string" }, "code": { "type": "string" }, "detail": { "type": "string" } } } },
            "request_id": { "type": "string" },
        },
    })
}

/// One response for each status, with an example for each code.
fn problem_responses() -> Value {
    let mut responses = Map::new();
    for status in statuses() {
        let codes: Vec<&Code> = CODES.iter().filter(|code| code.status == status).collect();
        let example = |code: &&Code| {
            let document = json!({
                "type": format!("/api/docs/problems#{}", code.code), "title": title(status), "status": status,
                "code": code.code, "detail": code.says, "request_id": "req_0197f3c2a4b07cc39b1c2d3e4f506172" });
            (code.code.to_owned(), json!({ "summary": code.says, "value": document }))
        };
        let examples: Map<String, Value> = codes.iter().map(example).collect();
        let listed: Vec<String> = codes.iter().map(|code| format!("`{}`", code.code)).collect();
        responses.insert(
            format!("Problem{status}"),
            json!({
                "description": format!("{}: {}", title(status), listed.join(", ")),
                "headers": problem_headers(status),
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" }, "examples": examples } },
            }),
        );
    }
    Value::Object(responses)
}

fn statuses() -> Vec<u16> {
    let mut statuses: Vec<u16> = CODES.iter().map(|code| code.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn title(status: u16) -> &'static str {
    axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Refused")
}

fn complete_operation(operation: &mut Value, shared: &Value, method: &Method, is_reading: bool) {
    let guards_edits =
        operation["parameters"].as_array().is_some_and(|list| list.iter().any(|one| one["name"] == "If-Match"));
    let takes_body = operation.get("requestBody").is_some();
    for status in statuses() {
        let applies = match status {
            // Where nothing is changed, these are rare enough for an operation to declare them itself.
            409 | 422 => *method != Method::GET || operation["responses"].get(status.to_string()).is_some(),
            410 | 416 => operation["responses"].get(status.to_string()).is_some(),
            415 => takes_body,
            412 | 428 => guards_edits,
            _ => true,
        };
        if applies {
            operation["responses"][status.to_string()] =
                json!({ "$ref": format!("#/components/responses/Problem{status}") });
        }
    }
    if !is_reading {
        let key = json!({
            "name": "Idempotency-Key", "in": "header", "required": true,
            "description": "One key, one outcome. Kept for seven days.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$" },
            "example": "0197f3c2-order-1" });
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(key),
            None => operation["parameters"] = json!([key]),
        }
    }
    add_example(&mut operation["requestBody"], shared);
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') {
            add_example(response, shared);
            let declared = response["headers"].take();
            response["headers"] = success_headers(is_reading);
            for (name, header) in declared.as_object().into_iter().flatten() {
                response["headers"][name.as_str()] = header.clone();
            }
        }
    }
    if operation["requestBody"].is_null() {
        operation.as_object_mut().map(|fields| fields.remove("requestBody"));
    }
}

fn add_example(holder: &mut Value, shared: &Value) {
    // What is not JSON has no schema to make one of: the operation gives it, and a test looks.
    let Some(content) = holder.pointer_mut("/content/application~1json") else { return };
    if content.get("example").is_none() && content.get("examples").is_none() {
        let made = example::of(&content["schema"], shared);
        content["example"] = made;
    }
}

fn text(says: &str) -> Value {
    json!({ "description": says, "schema": { "type": "string" } })
}

fn number(says: &str) -> Value {
    json!({ "description": says, "schema": { "type": "integer" } })
}

/// What every answer bears to a caller whose signature was believed.
fn shared_headers() -> Value {
    json!({
        "X-Request-Id": text("Names this request in our log and in problems."),
        "Fenqi-Timestamp": text("Seconds since 1970 at which the answer was signed."),
        "Fenqi-Nonce": text("Makes the answer unlike any other."),
        "Fenqi-Serial": text("The serial number of our key; see GET /platform-keys."),
        "Fenqi-Signature": text("In base64, over timestamp, nonce and body."),
        "RateLimit-Limit": number("Requests that your rate allows in a minute."),
        "RateLimit-Remaining": number("Requests left in this minute."),
        "RateLimit-Reset": number("Seconds until the next minute."),
    })
}

fn success_headers(is_reading: bool) -> Value {
    let mut headers = shared_headers();
    if !is_reading {
        headers["Idempotent-Replayed"] = text("`true` where the answer was given before.");
    }
    headers
}

/// Whoever is not believed is answered without signature and rate.
fn problem_headers(status: u16) -> Value {
    let mut headers = shared_headers();
    // A day's files are late, an earlier request still runs, or a minute's requests are used up.
    if matches!(status, 409 | 429) {
        headers["Retry-After"] = number("Seconds after which it is worth asking again, where time helps.");
    }
    headers
}
