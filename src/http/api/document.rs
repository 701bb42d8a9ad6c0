//! The OpenAPI document: what the handlers declare, completed with what every operation shares. The gate reads from it what each operation
//! needs and answers.

use std::collections::{HashMap, HashSet};

use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use super::example;
use super::problems::{self, PROBLEMS, Responses, Shape};
use crate::access::Scope;
use crate::http::Problem;

/// Marks an operation that takes a body but changes nothing: it needs no idempotency key.
pub const READS: &str = "x-reads-only";
/// Marks an operation whose successful answer has no signature: the caller checks it by a hash that was signed before.
const NOT_SIGNED: &str = "x-not-signed";

/// The whole document, as it is served.
pub struct Document {
    pub json: Value,
    pub operations: Operations,
}

/// What the gate must know of each operation.
#[derive(Default)]
pub struct Operations {
    by_route: HashMap<(Method, String), Operation>,
    problems: HashMap<(Method, String), HashSet<&'static str>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The scope that the partner must have; `None` if every partner may call it.
    pub scope: Option<Scope>,
    pub is_reading: bool,
    pub takes_body: bool,
    pub takes_parameters: bool,
}

impl Operations {
    pub fn find(&self, method: &Method, route: &str) -> Option<Operation> {
        self.by_route.get(&(method.clone(), route.to_owned())).copied()
    }

    /// The answer if there is no such operation: 405 with the methods that the route takes, else 404.
    pub fn refuse(&self, route: &str) -> Response {
        let taken = self.by_route.keys().filter(|(_, known)| known == route).map(|(method, _)| method.as_str());
        let mut taken: Vec<&str> = taken.collect();
        if taken.is_empty() {
            return Problem::not_found().into_response();
        }
        taken.sort_unstable();
        ([(header::ALLOW, taken.join(", "))], Problem::method_not_allowed()).into_response()
    }

    /// Whether the document lists a code for an operation.
    pub fn lists(&self, method: &Method, route: &str, code: &str) -> bool {
        self.problems.get(&(method.clone(), route.to_owned())).is_some_and(|codes| codes.contains(code))
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
/// If a handler declares a scope or a code that does not exist, which a test would meet first.
pub fn complete(declared: &OpenApi) -> Document {
    let mut json = serde_json::to_value(declared).unwrap_or_default();
    json["info"] = info();
    json["components"]["schemas"]["Problem"] = problems::schema();
    json["components"]["securitySchemes"] = json!({ "signature": {
        "type": "apiKey", "in": "header", "name": "Authorization", "description": SIGNATURE } });
    let shared = json.clone();
    let mut operations = Operations::default();
    let mut responses = Responses::default();
    let paths = json["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (name, operation) in item.as_object_mut().into_iter().flatten() {
            let Ok(method) = name.to_uppercase().parse::<Method>() else { continue };
            let is_reading = method == Method::GET || operation.get(READS).is_some();
            let scope = operation["security"][0]["signature"][0].as_str();
            let scope = scope.map(|scope| scope.parse().expect("a handler's scope is one of ours"));
            let shape = Shape::of(operation, path, is_reading);
            let Shape { takes_body, takes_parameters, .. } = shape;
            let known = Operation { scope, is_reading, takes_body, takes_parameters };
            let route = (method.clone(), path.clone());
            operations.by_route.insert(route.clone(), known);
            let codes = problems::of(operation, shape);
            operations.problems.insert(route, codes.iter().map(|code| code.code).collect());
            for (status, response) in responses.of(&codes, shape) {
                operation["responses"][status.to_string()] = response;
            }
            complete_operation(operation, &shared, is_reading);
            if let Some(scope) = scope {
                name_scope(operation, scope);
            }
        }
    }
    json["components"]["responses"] = responses.into_json();
    Document { json, operations }
}

const SIGNATURE: &str = "`FENQI-SM2-SM3` or `FENQI-RSA-SHA256`, then `mchid=\"…\",serial_no=\"…\",nonce_str=\"…\",\
timestamp=\"…\",signature=\"…\"`: the base64 signature over `METHOD\\nURL\\nTIMESTAMP\\nNONCE\\nBODY\\n`, where URL is the path \
with its query. Answers have the headers Fenqi-Timestamp, Fenqi-Nonce, Fenqi-Serial and Fenqi-Signature, a signature over \
`TIMESTAMP\\nNONCE\\nBODY\\n` in the same algorithm. SM2 signs with SM3 under the user id `1234567812345678`; a signature is r and s \
in 64 bytes: the platform always sends it so, and accepts it in DER as well. RSA signs with PKCS #1 v1.5 and SHA-256. TIMESTAMP is in \
seconds since 1970-01-01T00:00:00Z, at most five minutes from the platform's clock; NONCE has 8 to 64 printable ASCII characters \
without space, quote or comma, and is used once. `fenqi sign` prints a signed request.";

fn info() -> Value {
    json!({
        "title": "Fenqi partner API",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "For funders' core systems, merchants' cashier systems and risk partners.\n\n\
            Amounts are whole numbers of fen (0.01 yuan), in fields that end in `_fen`. Rates are fractions in a text: `\"0.14\"` is 14 % a \
            year. Times are RFC 3339 with a time zone; days are calendar days in Asia/Shanghai. Ids begin with a prefix for the kind of \
            object, such as `loan_`.\n\n\
            Lists come in pages: send `next_cursor` as `cursor`, with the same other parameters, until it is null.\n\n\
            Every request that changes something needs an `Idempotency-Key`. Repeated with the same key, body and `If-Match`, it changes \
            nothing more and gets the first answer again, with the header `Idempotent-Replayed: true`. A refusal \
            with 404, 409, 410 or 422 is kept under its key, too, except for `idempotency_in_progress`: another attempt needs a new key. \
            After any other refusal (400, 401, 403, 412, 413, 415, 428, 429), a failure (5xx) or no answer, correct what is wrong, if \
            anything, and send the request again under the same key.\n\n\
            Errors are problem documents (RFC 9457); let programs act on `code`, not on `detail`. An object of another partner is answered \
            with 404, as if it did not exist.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    })
}

fn complete_operation(operation: &mut Value, shared: &Value, is_reading: bool) {
    operation.as_object_mut().map(|fields| fields.remove(PROBLEMS));
    if !is_reading {
        let key = json!({
            "name": "Idempotency-Key", "in": "header", "required": true,
            "description": "Your own unique text for this request, 1 to 64 printable ASCII characters; send the same one when you repeat the \
                request. Answers are kept under it for seven days.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$" },
            "example": "0197f3c2-order-1" });
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(key),
            None => operation["parameters"] = json!([key]),
        }
    }
    add_example(&mut operation["requestBody"], shared);
    let headers = success_headers(operation, is_reading);
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') {
            add_example(response, shared);
            let declared = response["headers"].take();
            response["headers"] = headers.clone();
            for (name, header) in declared.as_object().into_iter().flatten() {
                response["headers"][name.as_str()] = header.clone();
            }
        }
    }
    if operation["requestBody"].is_null() {
        operation.as_object_mut().map(|fields| fields.remove("requestBody"));
    }
}

/// Names the scope in the description, because pages that show the document show no scopes for this kind of security.
fn name_scope(operation: &mut Value, scope: Scope) {
    let needs = format!("Requires the scope `{}`.", scope.as_str());
    let description = match operation["description"].as_str() {
        Some(said) => format!("{said}\n\n{needs}"),
        None => needs,
    };
    operation["description"] = description.into();
}

fn add_example(holder: &mut Value, shared: &Value) {
    // Without JSON there is no schema to make an example from: the operation must give one, and a test checks that.
    let Some(content) = holder.pointer_mut("/content/application~1json") else { return };
    if content.get("example").is_none() && content.get("examples").is_none() {
        let made = example::of(&content["schema"], shared);
        content["example"] = made;
    }
}

fn success_headers(operation: &Value, is_reading: bool) -> Value {
    let mut headers = problems::shared_headers();
    if operation.get(NOT_SIGNED).is_none() {
        problems::add_signature(&mut headers);
    }
    if !is_reading {
        headers["Idempotent-Replayed"] = problems::replayed_header();
    }
    headers
}
