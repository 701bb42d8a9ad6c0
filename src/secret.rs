//! Secrets as configuration states them, never shown.

use std::fmt;
use std::str::FromStr;

use crate::base::hex::hex_decode;

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
        hex_decode(text).and_then(|bytes| bytes.try_into().ok()).map(SecretKey).ok_or(())
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
