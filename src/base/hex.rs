//! Bytes as hexadecimal digits.

/// Two lower-case digits for each byte.
pub fn hex_encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` unless the text is pairs of hexadecimal digits, of either case.
pub fn hex_decode(text: &str) -> Option<Vec<u8>> {
    // A sign before a digit would be read as a part of the number.
    let is_pairs = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).ok();
    if is_pairs { (0..text.len()).step_by(2).map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        assert_eq!(hex_encode(&[0, 10, 255]), "000aff");
        assert_eq!(hex_decode("000AFf"), Some(vec![0, 10, 255]));
        assert_eq!(hex_decode(""), Some(Vec::new()));
        for other in ["0", "000", "+f", "-1", "0x", " 0", "００", "é"] {
            assert_eq!(hex_decode(other), None, "{other}");
        }
    }
}
