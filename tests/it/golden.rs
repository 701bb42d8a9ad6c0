//! Test helper: reads the golden files (cases with known answers), which lie beside the project.

use std::path::PathBuf;

/// Reads `golden/<name>` as JSON. A missing file fails the test: a case that was not compared has not passed.
pub fn golden(name: &str) -> serde_json::Value {
    let path = shared().join("golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
}

/// A text of a case.
///
/// # Panics
/// If the case has none of that name.
pub fn text<'a>(case: &'a serde_json::Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {case}"))
}

/// The folder of shared cases and real input: `FENQI_SHARED`, or `../shared` beside the project.
pub fn shared() -> PathBuf {
    match std::env::var_os("FENQI_SHARED") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    }
}
