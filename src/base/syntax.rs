//! What is wrong with a text that is not written as it should be, in one sentence.

/// Where a text is not the TOML that it should be, and why: the error's own text would repeat the line, which may hold a key.
pub fn said_of_toml(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message().replace('\n', ", "))
}
