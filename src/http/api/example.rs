//! Examples for the OpenAPI document, made from its own schemas, so that they always match them.

use serde_json::{Map, Value, json};

/// Deeper than any schema of ours; stops at a recursive schema.
const DEPTH_MAX: usize = 12;

/// A value that the schema allows: the schema's own example, else one built from the examples of its parts.
pub fn of(schema: &Value, document: &Value) -> Value {
    build(schema, document, "", 0)
}

fn build(schema: &Value, document: &Value, name: &str, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(example) = schema.get("example").or_else(|| schema.get("examples").and_then(|list| list.get(0))) {
        return example.clone();
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        return build(target, document, name, depth + 1);
    }
    if let Some(first) = schema.get("enum").and_then(|list| list.get(0)) {
        return first.clone();
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(fields) = build(part, document, name, depth + 1) {
                whole.extend(fields);
            }
        }
        return Value::Object(whole);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema.get(choice).and_then(Value::as_array) {
            let real = choices.iter().find(|one| one.get("type") != Some(&json!("null")));
            return real.map_or(Value::Null, |one| build(one, document, name, depth + 1));
        }
    }
    plain(schema, document, name, depth)
}

fn plain(schema: &Value, document: &Value, name: &str, depth: usize) -> Value {
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ => "object",
    };
    match kind {
        "object" => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten();
            Value::Object(
                fields.map(|(name, inside)| (name.clone(), build(inside, document, name, depth + 1))).collect(),
            )
        }
        "array" => {
            let item = schema.get("items").map(|items| build(items, document, name, depth + 1));
            Value::Array(item.into_iter().collect())
        }
        "integer" | "number" if name.ends_with("_fen") => json!(128_800),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(true),
        "string" => text(schema, name),
        _ => Value::Null,
    }
}

fn text(schema: &Value, name: &str) -> Value {
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => json!("2026-03-02"),
        Some("date-time") => json!("2026-03-02T10:15:30+08:00"),
        Some("uuid") => json!("0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172"),
        _ => json!(name.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_made_of_its_parts() {
        let document = json!({ "components": { "schemas": {
            "Id": { "type": "string", "example": "loan_1" },
            "Loan": { "type": "object", "properties": {
                "loan_id": { "$ref": "#/components/schemas/Id" },
                "amount_fen": { "type": "integer" },
                "closed_on": { "type": ["string", "null"], "format": "date" },
                "status": { "enum": ["open", "paid"] } } } } } });
        let example = of(&json!({ "type": "array", "items": { "$ref": "#/components/schemas/Loan" } }), &document);
        let expected =
            json!([{ "loan_id": "loan_1", "amount_fen": 128_800, "closed_on": "2026-03-02", "status": "open" }]);
        assert_eq!(example, expected);
    }
}
