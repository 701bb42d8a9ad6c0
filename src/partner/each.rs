//! Reads lists in partners' answers element by element: one that cannot be read is left out, and the others are used.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Reads a list, for `deserialize_with`. Elements that cannot be read are left out, as if they were missing, and logged by their index.
///
/// # Errors
/// It is not a list.
pub fn each<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let elements = Vec::<Box<RawValue>>::deserialize(deserializer)?;
    let mut found = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        match read(element.get()) {
            Some(read) => found.push(read),
            // The reason is not logged: the parser's error repeats the text, which may be somebody's number.
            None => tracing::warn!(index, "an element of a partner's answer cannot be read"),
        }
    }
    Ok(found)
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    // PostgreSQL cannot store this character in a text, and one element must not make the statement for all others fail.
    if text.contains(r"\u0000") {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::each;

    #[derive(Deserialize)]
    struct Listed {
        #[serde(deserialize_with = "each")]
        list: Vec<Element>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Element {
        number: i64,
        #[serde(default)]
        word: Option<String>,
    }

    #[test]
    fn an_element_that_cannot_be_read_takes_no_other_with_it() {
        let deep = format!(r#"{{"number":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for malformed in [
            "null",
            "{}",
            "7",
            "[]",
            r#""7""#,
            r#"{"number":null}"#,
            r#"{"number":"7"}"#,
            r#"{"number":7.5}"#,
            r#"{"number":1e400}"#,
            r#"{"number":9223372036854775808}"#,
            r#"{"number":7,"number":8}"#,
            r#"{"number":7,"word":["w"]}"#,
            r#"{"number":7,"word":"w\u0000"}"#,
            deep.as_str(),
        ] {
            let text = format!(r#"{{"more":[1],"list":[{{"number":1,"more":{{}}}},{malformed},{{"number":2}}]}}"#);
            let read: Listed = serde_json::from_str(&text).unwrap();
            let numbers: Vec<i64> = read.list.iter().map(|element| element.number).collect();
            assert_eq!(numbers, [1, 2], "{malformed}");
        }
    }

    #[test]
    fn what_is_no_list_is_no_answer() {
        let malformed = [
            "",
            "null",
            "[]",
            "{}",
            r#"{"list":null}"#,
            r#"{"list":{}}"#,
            r#"{"list":"7"}"#,
            r#"{"list":[{"number":1}"#,
        ];
        for text in malformed.into_iter().chain(["<html>down</html>", r#"{"list":[]}{"list":[]}"#]) {
            assert!(serde_json::from_str::<Listed>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Listed>(r#"{"list":[]}"#).unwrap().list.is_empty());
    }
}
