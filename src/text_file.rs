//! Reads text files that people write by hand. A file in another encoding than UTF-8 is refused, with what to do about it.

use std::io::{Error, ErrorKind};
use std::path::Path;

/// The whole text of a file. Errors do not repeat any of it, because it may hold a secret.
///
/// # Errors
/// Where the file cannot be read, or is not UTF-8; the error then names the first wrong line and what to do.
pub fn read(path: impl AsRef<Path>) -> std::io::Result<String> {
    String::from_utf8(std::fs::read(path)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::new(ErrorKind::InvalidData, format!("line {line} is not text in UTF-8; save the file in UTF-8"))
    })
}

/// The text of a file that should hold a key. Bytes that are not UTF-8, as of a key in binary form (DER), are replaced: the
/// caller then finds no key in the text, and says in which form it must be.
///
/// # Errors
/// Where the file cannot be read.
pub fn read_key(path: impl AsRef<Path>) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_another_encoding_is_refused_by_its_line_with_what_to_do() {
        let path = std::env::temp_dir().join(format!("fenqi-text-{}", std::process::id()));
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).map_err(|error| error.to_string())
        };
        assert_eq!(said("name = \"海港\"\n".as_bytes()), Ok("name = \"海港\"\n".to_owned()));
        let refused = |line| Err(format!("line {line} is not text in UTF-8; save the file in UTF-8"));
        // The same in GBK, and in UTF-16 with its mark.
        assert_eq!(said(b"code = 1\r\nname = \"\xba\xa3\xb8\xdb\"\r\n"), refused(2));
        assert_eq!(said(b"\xff\xfen\0a\0m\0e\0"), refused(1));
        std::fs::remove_file(&path).unwrap();
    }
}
