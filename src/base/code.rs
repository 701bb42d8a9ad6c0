//! The form of the codes by which people name funders, partners, products and categories.

/// The longest code of a funder, a partner or a category of merchants.
pub const CODE_BYTES_MAX: usize = 32;

/// Whether a text is a code: 2 to `bytes_max` characters of a-z, 0-9 and -, so that it can stand in commands, addresses and log lines as it
/// is.
pub fn is_code(text: &str, bytes_max: usize) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (2..=bytes_max).contains(&text.len()) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_short_and_plain() {
        assert!(["ab", "a-1", &"x".repeat(32)].into_iter().all(|code| is_code(code, CODE_BYTES_MAX)));
        for other in ["", "a", "Ab", "a b", "a_b", "é1", "银行", &"x".repeat(33)] {
            assert!(!is_code(other, CODE_BYTES_MAX), "{other}");
        }
    }
}
