//! Syntax errors in texts that people write, in one sentence that gives no secret away.

/// The line of a TOML error, and why the text is no TOML. The error's own text is not used: it repeats the line, which may hold a key.
pub fn describe_toml_error(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message().replace('\n', ", "))
}
