//! Secrets as the configuration states them; they are never shown.

use std::fmt;
use std::str::FromStr;

use crate::base::hex::hex_decode;

/// A key of 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone)]
pub struct SecretKey(pub [u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl FromStr for SecretKey {
    /// It says nothing, so that no secret is repeated.
    type Err = ();
    fn from_str(text: &str) -> Result<SecretKey, ()> {
        hex_decode(text).and_then(|bytes| bytes.try_into().ok()).map(SecretKey).ok_or(())
    }
}

/// Former master keys by their numbers, which still open what was sealed under them; written as `number:key` pairs with
/// commas between them.
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
