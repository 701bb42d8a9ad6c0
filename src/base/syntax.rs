//! Errors in texts that people and their programs write, in one sentence that gives no secret away.

/// What serde expected, by types of this program, and by what whoever writes the value may know.
const EXPECTED: [(&str, &str); 6] = [
    ("expected u8", "expected a whole number from 0 to 255"),
    ("expected u16", "expected a whole number from 0 to 65535"),
    ("expected u32", "expected a whole number from 0 to 4294967295"),
    ("expected u64", "expected a whole number from 0 on"),
    ("expected i32", "expected a whole number"),
    ("expected i64", "expected a whole number"),
];

/// The number of the wrong line, and what is wrong with it. The error's own display is not used: it repeats the line, which may
/// hold a key.
pub fn describe_toml_error(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message().replace('\n', ", "))
}

/// What serde says of a value that is not of its kind, without the names of types.
pub fn describe_value_error(said: &str) -> String {
    if let Some(number) =
        EXPECTED.iter().find_map(|(theirs, ours)| Some(said.strip_suffix(*theirs)?.to_owned() + *ours))
    {
        return number;
    }
    let is_name = |name: &str| name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    match said.rsplit_once(", expected struct ") {
        Some((before, name)) if is_name(name) => format!("{before}, expected an object"),
        _ => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_without_the_names_of_types() {
        for (said, told) in [
            ("invalid type: string \"1\", expected i64", "invalid type: string \"1\", expected a whole number"),
            (
                "invalid value: integer `300`, expected u8",
                "invalid value: integer `300`, expected a whole number from 0 to 255",
            ),
            ("invalid type: integer `1`, expected struct Terms", "invalid type: integer `1`, expected an object"),
            ("invalid type: string \", expected struct \", expected a boolean", "the same"),
            ("invalid type: null, expected a string", "the same"),
        ] {
            assert_eq!(describe_value_error(said), if told == "the same" { said } else { told });
        }
    }
}
