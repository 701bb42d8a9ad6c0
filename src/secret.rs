//! Secrets as configuration states them, never shown.

use std::fmt;
use std::str::FromStr;

/// 32 bytes that are never shown.
#[derive(Clone)]
pub struct SecretKey(pub [u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl FromStr for SecretKey {
    type Err = ();
    fn from_str(text: &str) -> Result<SecretKey, ()> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| ())?;
        }
        Ok(SecretKey(bytes))
    }
}

/// Keys that still open what was sealed under them, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct FormerKeys(pub Vec<(u8, SecretKey)>);

impl FromStr for FormerKeys {
    type Err = ();
    fn from_str(text: &str) -> Result<FormerKeys, ()> {
        let pair = |pair: &str| {
            let (number, key) = pair.trim().split_once(':')?;
            Some((number.parse().ok()?, key.parse().ok()?))
        };
        text.split(',').map(pair).collect::<Option<Vec<_>>>().map(FormerKeys).ok_or(())
    }
}
