//! Compares an event's body with the shape of its kind's example.

use serde_json::Value;

/// Where `found` differs in shape from `example`: a field too many or too few, or a value of another type, each as a JSON
/// pointer with words. A null matches anything. Empty if there is no difference.
pub fn differences(example: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare(example, found, "", &mut differences);
    differences
}

fn compare(example: &Value, found: &Value, at: &str, differences: &mut Vec<String>) {
    match (example, found) {
        (_, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => {}
        (Value::Array(example), Value::Array(found)) => {
            for (place, item) in found.iter().enumerate() {
                example.iter().for_each(|example| compare(example, item, &format!("{at}/{place}"), differences));
            }
        }
        (Value::Object(example), Value::Object(found)) => {
            for (name, value) in found {
                match example.get(name) {
                    Some(example) => compare(example, value, &format!("{at}/{name}"), differences),
                    None => differences.push(format!("{at}/{name} is not in the catalogue")),
                }
            }
            let missing = example.keys().filter(|name| !found.contains_key(*name));
            differences.extend(missing.map(|name| format!("{at}/{name} is missing")));
        }
        _ => differences.push(format!("{at} is of another type")),
    }
}

/// Whether a value is a list without items.
pub fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Adds the JSON pointer of each null below `found`, which itself stands at `at`, to `nulls`.
pub fn find_nulls(found: &Value, at: &str, nulls: &mut Vec<String>) {
    match found {
        Value::Null => nulls.push(at.to_owned()),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                find_nulls(item, &format!("{at}/{place}"), nulls);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                find_nulls(value, &format!("{at}/{name}"), nulls);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_shape_is_told_where_it_differs() {
        let example = json!({ "a": 1, "list": [{ "b": "x" }] });
        assert!(differences(&example, &json!({ "a": null, "list": [] })).is_empty());
        let found = differences(&example, &json!({ "a": "1", "list": [{ "c": "x" }] }));
        assert_eq!(found, ["/a is of another type", "/list/0/c is not in the catalogue", "/list/0/b is missing"]);
    }
}
