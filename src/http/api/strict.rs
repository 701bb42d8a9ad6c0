//! Reads JSON strictly: no unknown fields, no duplicate keys, no fractions in amounts of fen, no deep nesting. Start with [`read`].

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use axum::http::StatusCode;
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::base::syntax::describe_value_error;
use crate::http::Problem;
use crate::http::problem::FieldProblem;

/// Levels of objects and lists; no message of ours has as many.
const DEPTH_MAX: usize = 16;

/// Reads `bytes` as a `T`.
///
/// # Errors
/// A 400 whose code says what is wrong, and whose pointer says where.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let refuse = |code, detail: &str| Problem::new(StatusCode::BAD_REQUEST, code, detail);
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("body_not_utf8", "The body is not UTF-8."))?;
    check_shape(text)?;
    if !text.trim_start().starts_with('{') {
        // serde would also accept a list of the fields' values in their order.
        return Err(field_problem(String::new(), "invalid type: expected an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    read.map_err(|error| {
        let pointer = pointer_of(error.path());
        field_problem(pointer, &error.into_inner().to_string())
    })
}

/// Checks syntax, duplicate keys, nesting and NULs, before the body is read into a type.
fn check_shape(text: &str) -> Result<(), Problem> {
    let found = RefCell::new(None);
    let walk = Walk { depth: 0, around: None, found: &found };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walked = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (walked, found.into_inner()) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(problem)) => Err(Problem::of_field(StatusCode::BAD_REQUEST, problem)),
        // The number is too large even for a float, so the parser takes it for a syntax error.
        (Err(error), None) if error.to_string().starts_with("number out of range") => {
            let detail = format!("A {error}.");
            Err(Problem::new(StatusCode::BAD_REQUEST, "number_out_of_range", detail))
        }
        // Never the parser's own limit of depth: ours is much lower.
        (Err(error), None) => {
            let detail = format!("The body is not JSON: {error}.");
            Err(Problem::new(StatusCode::BAD_REQUEST, "body_not_json", detail))
        }
    }
}

/// Walks over a value without keeping it, and leaves the first fault in `found`. The pointer to a value is built only for a fault: if it
/// were built for every value, a long name with a large list under it would be copied for each element.
struct Walk<'a> {
    depth: usize,
    around: Option<(&'a Walk<'a>, Name<'a>)>,
    found: &'a RefCell<Option<FieldProblem>>,
}

/// The place of a value in the one around it: a field's name, or an index.
enum Name<'a> {
    Key(&'a str),
    Place(usize),
}

impl<'a> Walk<'a> {
    fn inside(&'a self, name: Name<'a>) -> Walk<'a> {
        Walk { depth: self.depth + 1, around: Some((self, name)), found: self.found }
    }

    fn pointer(&self) -> String {
        match &self.around {
            None => String::new(),
            Some((around, Name::Place(place))) => format!("{}/{place}", around.pointer()),
            Some((around, Name::Key(key))) => {
                format!("{}/{}", around.pointer(), escaped(key))
            }
        }
    }

    fn refuse<E: serde::de::Error>(&self, code: &'static str, detail: String) -> E {
        *self.found.borrow_mut() = Some(FieldProblem { pointer: self.pointer(), code, detail });
        E::custom(code)
    }

    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth < DEPTH_MAX {
            return Ok(());
        }
        let detail = format!("lists and objects nest at most {DEPTH_MAX} deep");
        Err(self.refuse("nested_too_deep", detail))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            let detail = "a text holds no NUL".to_owned();
            return Err(self.refuse("value_not_allowed", detail));
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut place = 0usize;
        while items.next_element_seed(self.inside(Name::Place(place)))?.is_some() {
            place += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            let inside = self.inside(Name::Key(&name));
            if seen.contains(&name) {
                let detail = "the key stands twice in its object".to_owned();
                return Err(inside.refuse("duplicate_key", detail));
            }
            fields.next_value_seed(inside)?;
            seen.insert(name);
        }
        Ok(())
    }
}

/// A key as a JSON pointer has it.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segments = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => "/?".to_owned(),
    });
    segments.collect()
}

/// What serde says, in our codes. The beginnings of its sentences are stable and held by the tests below.
pub fn field_problem(pointer: String, said: &str) -> Problem {
    let said = said.split(" at line ").next().unwrap_or(said);
    let named = |prefix: &str| said.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('`')?.split('`').next());
    // The pointer to one amount of a list ends in its index: `/…_fen/0`.
    let is_fen = pointer.trim_end_matches(|place: char| place.is_ascii_digit() || place == '/').ends_with("_fen");
    let (pointer, code, detail) = if let Some(name) = named("missing field ") {
        (format!("{pointer}/{name}"), "missing_field", "the field is required".to_owned())
    } else if named("unknown field ").is_some() {
        (pointer, "unknown_field", said.replace('`', ""))
    } else if let Some(name) = named("duplicate field ") {
        (format!("{pointer}/{name}"), "duplicate_key", "the key stands twice".to_owned())
    } else if said.starts_with("invalid type: floating point") && is_huge(said) {
        (pointer, "number_out_of_range", "the number is larger than any that is meant here".to_owned())
    } else if is_fen && said.starts_with("invalid type: floating point") {
        (pointer, "fen_not_integer", "an amount is a whole number of fen, without a fraction".to_owned())
    } else if said.starts_with("invalid value: integer") || said.starts_with("number out of range") {
        (pointer, "number_out_of_range", describe_value_error(said).replace('`', ""))
    } else if said.starts_with("invalid type") {
        (pointer, "wrong_type", describe_value_error(said).replace('`', ""))
    } else if let Some((code, detail)) = super::codes::split(said) {
        // One of our own types has refused the value, as `code: detail`.
        (pointer, code, detail.to_owned())
    } else {
        (pointer, "value_not_allowed", said.replace('`', ""))
    };
    Problem::of_field(StatusCode::BAD_REQUEST, FieldProblem { pointer, code, detail })
}

/// A whole number beyond 64 bits is read as a float, and shown with an exponent.
fn is_huge(said: &str) -> bool {
    let literal = said.split('`').nth(1).unwrap_or_default();
    literal.split_once('e').is_some_and(|(_, exponent)| !exponent.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Wish {
        amount_fen: i64,
        marks_fen: Option<Vec<i64>>,
        parts: Option<Vec<Part>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Part {
        count: u8,
    }

    #[track_caller]
    fn refused(body: &str, code: &str, pointer: &str) {
        let problem = read::<Wish>(body.as_bytes()).unwrap_err();
        let found = problem.errors.first().map_or("", |error| error.pointer.as_str());
        assert_eq!((problem.code, found), (code, pointer), "{problem:?}");
    }

    #[test]
    fn each_fault_has_its_own_code_and_place() {
        assert!(read::<Wish>(br#"{"amount_fen":1}"#).is_ok());
        refused(r#"{"amount_fen":1.5}"#, "fen_not_integer", "/amount_fen");
        refused(r#"{"amount_fen":1.0}"#, "fen_not_integer", "/amount_fen");
        refused(r#"{"amount_fen":1,"marks_fen":[2,1.5]}"#, "fen_not_integer", "/marks_fen/1");
        refused(r#"{"amount_fen":"1"}"#, "wrong_type", "/amount_fen");
        refused(r#"{"amount_fen":1,"amount":2}"#, "unknown_field", "/amount");
        refused(r#"{"amount_fen":1,"amount_fen":1}"#, "duplicate_key", "/amount_fen");
        refused(r#"{"amount_fen":1,"parts":[{"count":1},{"count":1,"count":2}]}"#, "duplicate_key", "/parts/1/count");
        refused(r#"{"amount_fen":1,"parts":[{"count":300}]}"#, "number_out_of_range", "/parts/0/count");
        refused(r#"{"amount_fen":1,"parts":[{"count":-1}]}"#, "number_out_of_range", "/parts/0/count");
        refused(r#"{"parts":[]}"#, "missing_field", "/amount_fen");
        refused(r#"[1]"#, "wrong_type", "");
        refused(r#"{"amount_fen":1"#, "body_not_json", "");
        refused(r#"{"amount_fen":1} x"#, "body_not_json", "");
        refused("", "body_not_json", "");
        refused(r#"{"amount_fen":99999999999999999999999}"#, "number_out_of_range", "/amount_fen");
        refused(&format!(r#"{{"amount_fen":{}}}"#, "9".repeat(400)), "number_out_of_range", "");
        refused(r#"{"amount_fen":1e999}"#, "number_out_of_range", "");
    }

    #[test]
    fn a_value_of_another_type_is_told_in_words_that_are_not_ours_alone() {
        let told = |body: &str| read::<Wish>(body.as_bytes()).unwrap_err().detail;
        let text = told(r#"{"amount_fen":"1"}"#);
        assert_eq!(text, r#"/amount_fen: invalid type: string "1", expected a whole number"#);
        let large = told(r#"{"amount_fen":1,"parts":[{"count":300}]}"#);
        assert_eq!(large, "/parts/0/count: invalid value: integer 300, expected a whole number from 0 to 255");
        let number = told(r#"{"amount_fen":1,"parts":[1]}"#);
        assert_eq!(number, "/parts/0: invalid type: integer 1, expected an object");
        assert_eq!(told("[1]"), "invalid type: expected an object");
    }

    #[test]
    fn a_fault_is_found_at_its_place_under_names_of_any_length_and_kind() {
        refused(r#"{"a/b":[0,{"c~d":"\u0000"}]}"#, "value_not_allowed", "/a~1b/1/c~0d");
        let long = "n".repeat(100_000);
        let body = format!("{{\"{long}\":[{}{{\"x\":1,\"x\":2}}]}}", "1,".repeat(75_000));
        refused(&body, "duplicate_key", &format!("/{long}/75000/x"));
    }

    #[test]
    fn what_nests_too_deep_or_is_not_utf8_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read::<Wish>(deep.as_bytes()).unwrap_err().code, "nested_too_deep");
        assert_eq!(read::<Wish>(b"{\"amount_fen\":\"\xff\"}").unwrap_err().code, "body_not_utf8");
    }
}
