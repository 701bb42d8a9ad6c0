//! The examples in the OpenAPI document are valid under their schemas, and example requests are accepted.

use chrono::{DateTime, NaiveDate};
use fenqi::access::PartnerKind;
use fenqi::credit::actions;
use fenqi::router::api_document;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::api_credit::desk_of;
use super::applicant::{ready, request, standard_product};
use crate::house;

/// Where a value is not of its schema, by the words of JSON Schema that the document uses.
struct Reading<'a> {
    document: &'a Value,
    faults: Vec<String>,
}

impl Reading<'_> {
    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(target) => self.resolve(self.document.pointer(target.trim_start_matches('#')).unwrap()),
            None => schema,
        }
    }

    /// Whether the value is of the schema, without a word of it.
    fn is_of(&self, value: &Value, schema: &Value) -> bool {
        let mut apart = Reading { document: self.document, faults: Vec::new() };
        apart.read(value, schema, "");
        apart.faults.is_empty()
    }

    fn read(&mut self, value: &Value, schema: &Value, at: &str) {
        let schema = self.resolve(schema).clone();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.read(value, part, at);
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[choice].as_array()
                && !choices.iter().any(|one| self.is_of(value, one))
            {
                self.faults.push(format!("{at}: {value} is none of what it may be"));
            }
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind.as_str()],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_kind(value, kind)) {
            self.faults.push(format!("{at}: {value} is no {kinds:?}"));
        }
        if schema["enum"].as_array().is_some_and(|words| !value.is_null() && !words.contains(value)) {
            self.faults.push(format!("{at}: {value} is not one of {}", schema["enum"]));
        }
        match value {
            Value::String(text) => self.read_text(text, &schema, at),
            Value::Number(number) => {
                let (number, bound) = (number.as_f64().unwrap(), |name: &str| schema[name].as_f64());
                if bound("minimum").is_some_and(|least| number < least)
                    || bound("maximum").is_some_and(|most| number > most)
                {
                    self.faults.push(format!("{at}: {number} is out of bounds"));
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.read(item, &schema["items"], &format!("{at}/{place}"));
                }
            }
            Value::Object(fields) => {
                for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if !fields.contains_key(name) {
                        self.faults.push(format!("{at}: {name} is missing"));
                    }
                }
                for (name, inside) in fields {
                    match schema["properties"].get(name) {
                        Some(of_field) => self.read(inside, of_field, &format!("{at}/{name}")),
                        None if schema["additionalProperties"] == false => {
                            self.faults.push(format!("{at}: there is no {name}"));
                        }
                        None => {}
                    }
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn read_text(&mut self, text: &str, schema: &Value, at: &str) {
        let length = text.chars().count() as u64;
        let is_too_short = schema["minLength"].as_u64().is_some_and(|least| length < least);
        let is_too_long = schema["maxLength"].as_u64().is_some_and(|most| length > most);
        let is_of_format = match schema["format"].as_str() {
            Some("date") => text.parse::<NaiveDate>().is_ok(),
            Some("date-time") => DateTime::parse_from_rfc3339(text).is_ok(),
            Some("uuid") => Uuid::try_parse(text).is_ok(),
            _ => true,
        };
        if is_too_short || is_too_long || !is_of_format {
            self.faults.push(format!("{at}: {text:?} is not as {schema} wants it"));
        }
    }
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type of JSON Schema"),
    }
}

/// Every example under `content`, with the schema that it is one of.
fn examples(content: &Value) -> Vec<(&Value, &Value)> {
    let mut found = Vec::new();
    for kind in content["content"].as_object().into_iter().flatten().map(|(_, kind)| kind) {
        let named = kind["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
        let alone = Some(&kind["example"]).filter(|example| !example.is_null());
        found.extend(named.chain(alone).map(|example| (example, &kind["schema"])));
    }
    found
}

#[test]
fn every_example_is_of_its_schema() {
    let document = api_document().json;
    let mut reading = Reading { document: &document, faults: Vec::new() };
    let mut read = 0;
    let mut look = |content: &Value, at: &str| {
        for (example, schema) in examples(content) {
            read += 1;
            reading.read(example, schema, at);
        }
    };
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            look(&operation["requestBody"], &format!("{method} {path}"));
            for (status, answer) in operation["responses"].as_object().unwrap() {
                look(answer, &format!("{method} {path} {status}"));
            }
        }
    }
    for (name, answer) in document["components"]["responses"].as_object().unwrap() {
        look(answer, name);
    }
    assert!(read > 150, "only {read} examples");
    assert!(reading.faults.is_empty(), "\n{}\n", reading.faults.join("\n"));
}

#[test]
fn what_is_not_of_a_schema_is_found() {
    let document = api_document().json;
    let schema = &document["components"]["schemas"]["FunderDecision"];
    let faults = |value: Value| {
        let mut reading = Reading { document: &document, faults: Vec::new() };
        reading.read(&value, schema, "");
        reading.faults
    };
    assert_eq!(faults(schema["example"].clone()), [""; 0]);
    for wrong in [
        serde_json::json!({ "decision": "approve" }),
        serde_json::json!({ "decision": "perhaps", "reason": "x" }),
        serde_json::json!({ "decision": "approve", "reason": "x", "limit_fen": 0 }),
        serde_json::json!({ "decision": "approve", "reason": "x", "limit_fen": 1.5 }),
        serde_json::json!({ "decision": "approve", "reason": "x", "amount_fen": 1 }),
        serde_json::json!({ "decision": "approve", "reason": "" }),
    ] {
        assert_eq!(faults(wrong.clone()).len(), 1, "{wrong}");
    }
}

/// A decision has fields of which none of its kinds takes all: an example made of every field would be refused.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_decision_as_the_document_shows_it_is_taken(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let document = api_document().json;
    let shown = |path: &str| {
        let operation = &document["paths"][format!("/api/v1{path}")]["post"];
        operation["requestBody"]["content"]["application/json"]["example"].clone()
    };
    let funder = desk_of(&app, "harbour-core", PartnerKind::Funder, Some("harbour-bank")).await;
    let applied = actions::apply(&app, request(ready(&app, 1).await, product, None)).await.unwrap();
    let path = format!("/funder/applications/{}/decision", applied.application_id);
    let decided = funder.post(&path, "a-1", &shown("/funder/applications/{application_id}/decision")).await.ok();
    assert_eq!(decided["status"], "approved");
    let risk = desk_of(&app, "risk", PartnerKind::Risk, None).await;
    let late = risk.post("/risk/decisions", "l-1", &shown("/risk/decisions")).await;
    assert_eq!(late.problem(), (404, "application_unknown".into()), "its form is right");
    let late = risk.post("/risk/purchase-decisions", "l-2", &shown("/risk/purchase-decisions")).await;
    assert_eq!(late.problem(), (404, "question_unknown".into()), "its form is right");
}
