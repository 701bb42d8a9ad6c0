//! Signing in both directions, in the manner of WeChat Pay API v3, with SM2-with-SM3.
//!
//! A request signs `METHOD\nURL\nTIMESTAMP\nNONCE\nBODY\n` and carries it in one `Authorization` header; an answer signs
//! `TIMESTAMP\nNONCE\nBODY\n` and carries it in four headers. URL is the absolute path with its query, without host;
//! TIMESTAMP is whole seconds since 1970. Source: 微信支付 API v3 签名生成; GB/T 32918.2 for SM2, with the usual
//! distinguishing identifier.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use sm2::SecretKey;
use sm2::dsa::signature::{Signer as _, Verifier as _};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm3::{Digest, Sm3};
use uuid::{NoContext, Timestamp, Uuid};

pub const SCHEME: &str = "FENQI-SM2-SM3";
pub const HEADER_TIMESTAMP: &str = "fenqi-timestamp";
pub const HEADER_NONCE: &str = "fenqi-nonce";
pub const HEADER_SERIAL: &str = "fenqi-serial";
pub const HEADER_SIGNATURE: &str = "fenqi-signature";

/// The identifier that GB/T 35276 prescribes where the parties agreed on no other.
const DISTINGUISHING_ID: &str = "1234567812345678";
/// How far the two clocks may be apart.
const SKEW_MAX: TimeDelta = TimeDelta::minutes(5);
/// Nonces remembered within the time in which one could be replayed; beyond it nothing is accepted until some expire.
const NONCES_MAX: usize = 1_000_000;
/// Longer than any nonce in use, short enough to remember.
const NONCE_LENGTH_MAX: usize = 64;

/// Why a signature is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature's headers are missing or malformed")]
    Malformed,
    #[error("no key is known by that partner id and serial number")]
    UnknownKey,
    #[error("the timestamp is more than five minutes away from ours")]
    Stale,
    #[error("the nonce was used before")]
    NonceReused,
    #[error("too many requests within the time in which nonces are remembered")]
    TooMany,
    #[error("the signature does not match what was received")]
    Wrong,
}

impl SignatureError {
    /// Stable, part of the protocol.
    pub fn code(self) -> &'static str {
        match self {
            SignatureError::Malformed => "signature_malformed",
            SignatureError::UnknownKey => "signature_key_unknown",
            SignatureError::Stale => "signature_stale",
            SignatureError::NonceReused => "nonce_reused",
            SignatureError::TooMany => "too_many_requests",
            SignatureError::Wrong => "signature_wrong",
        }
    }
}

/// What a request signs.
pub fn request_message(method: &str, url: &str, stamp: &Stamp, body: &[u8]) -> Vec<u8> {
    let head = format!("{method}\n{url}\n{}\n{}\n", stamp.timestamp, stamp.nonce);
    [head.as_bytes(), body, b"\n"].concat()
}

/// What an answer signs.
pub fn response_message(stamp: &Stamp, body: &[u8]) -> Vec<u8> {
    let head = format!("{}\n{}\n", stamp.timestamp, stamp.nonce);
    [head.as_bytes(), body, b"\n"].concat()
}

/// When something was signed, and what makes it unlike any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since 1970.
    pub timestamp: i64,
    pub nonce: String,
}

impl Stamp {
    /// A stamp for now with a fresh nonce from the operating system's randomness.
    pub fn fresh(now: DateTime<Utc>) -> Stamp {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let unlike_any_other = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()));
        Stamp { timestamp: now.timestamp(), nonce: unlike_any_other.simple().to_string() }
    }
}

/// Who signs: a partner id, the serial number of its key, and the key.
#[derive(Clone)]
pub struct Identity {
    pub mchid: String,
    pub serial_no: String,
    key: SigningKey,
}

impl Identity {
    /// From a private key of 32 bytes in hexadecimal, as a configuration states it. `None` if it is no SM2 key.
    pub fn from_hex(mchid: &str, serial_no: &str, private_key: &str) -> Option<Identity> {
        let secret = SecretKey::from_slice(&hex_decode(private_key)?).ok()?;
        let key = SigningKey::new(DISTINGUISHING_ID, &secret).ok()?;
        Some(Identity { mchid: mchid.into(), serial_no: serial_no.into(), key })
    }

    /// The same key for the same seed and name: for the sandbox and tests only, never for a real partner.
    pub fn from_seed(mchid: &str, seed: u64) -> Identity {
        (0u8..)
            .find_map(|attempt| {
                let digest = Sm3::digest(format!("fenqi sandbox key {seed} {mchid} {attempt}"));
                let secret = SecretKey::from_slice(&digest).ok()?;
                let key = SigningKey::new(DISTINGUISHING_ID, &secret).ok()?;
                Some(Identity { mchid: mchid.into(), serial_no: format!("{}-1", mchid.to_uppercase()), key })
            })
            .expect("nearly every 32 bytes are an SM2 key")
    }

    /// The public key in uncompressed form, in hexadecimal.
    pub fn public_key(&self) -> String {
        hex_encode(&self.key.verifying_key().to_sec1_bytes())
    }

    /// The private key in hexadecimal, as [`Identity::from_hex`] takes it.
    pub fn private_key(&self) -> String {
        hex_encode(&self.key.to_bytes())
    }

    /// The `Authorization` header of a request.
    pub fn authorization(&self, method: &str, url: &str, stamp: &Stamp, body: &[u8]) -> String {
        let signature = self.sign(&request_message(method, url, stamp, body));
        format!(
            "{SCHEME} mchid=\"{}\",serial_no=\"{}\",nonce_str=\"{}\",timestamp=\"{}\",signature=\"{signature}\"",
            self.mchid, self.serial_no, stamp.nonce, stamp.timestamp
        )
    }

    /// The four headers of an answer, as names and values.
    pub fn response_headers(&self, stamp: &Stamp, body: &[u8]) -> [(&'static str, String); 4] {
        [
            (HEADER_TIMESTAMP, stamp.timestamp.to_string()),
            (HEADER_NONCE, stamp.nonce.clone()),
            (HEADER_SERIAL, self.serial_no.clone()),
            (HEADER_SIGNATURE, self.sign(&response_message(stamp, body))),
        ]
    }

    fn sign(&self, message: &[u8]) -> String {
        let signature: Signature = self.key.sign(message);
        BASE64_STANDARD.encode(signature.to_bytes())
    }
}

/// The keys by which others are believed, by partner id and serial number, several at once while one replaces another.
#[derive(Clone, Default)]
pub struct KeyRing {
    keys: HashMap<(String, String), VerifyingKey>,
}

impl KeyRing {
    /// Adds a public key (SEC1, in hexadecimal). `false` if it is no SM2 key.
    #[must_use]
    pub fn add(&mut self, mchid: &str, serial_no: &str, public_key: &str) -> bool {
        let key =
            hex_decode(public_key).and_then(|bytes| VerifyingKey::from_sec1_bytes(DISTINGUISHING_ID, &bytes).ok());
        key.map(|key| self.keys.insert((mchid.into(), serial_no.into()), key)).is_some()
    }

    pub fn add_identity(&mut self, identity: &Identity) {
        let key = identity.key.verifying_key().clone();
        self.keys.insert((identity.mchid.clone(), identity.serial_no.clone()), key);
    }

    /// `false` if there was no such key.
    pub fn revoke(&mut self, mchid: &str, serial_no: &str) -> bool {
        self.keys.remove(&(mchid.to_owned(), serial_no.to_owned())).is_some()
    }

    /// Whether that key made the signature (64 bytes r and s, in base64) of the message.
    ///
    /// # Errors
    /// `UnknownKey`, `Malformed` or `Wrong`.
    pub fn verify(&self, mchid: &str, serial_no: &str, message: &[u8], signature: &str) -> Result<(), SignatureError> {
        let key = self.keys.get(&(mchid.to_owned(), serial_no.to_owned())).ok_or(SignatureError::UnknownKey)?;
        let bytes = BASE64_STANDARD.decode(signature).map_err(|_| SignatureError::Malformed)?;
        let signature = Signature::from_slice(&bytes).map_err(|_| SignatureError::Wrong)?;
        key.verify(message, &signature).map_err(|_| SignatureError::Wrong)
    }
}

/// An `Authorization` header, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization {
    pub mchid: String,
    pub serial_no: String,
    pub stamp: Stamp,
    pub signature: String,
}

impl Authorization {
    /// `None` unless the scheme is ours and each of the five fields stands there once, in any order.
    pub fn parse(header: &str) -> Option<Authorization> {
        let fields = header.strip_prefix(SCHEME)?.strip_prefix(' ')?;
        let mut found = HashMap::new();
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            if found.insert(name, value).is_some() {
                return None;
            }
        }
        let mut take = |name| found.remove(name).map(str::to_owned);
        let parsed = Authorization {
            mchid: take("mchid")?,
            serial_no: take("serial_no")?,
            stamp: Stamp { nonce: take("nonce_str")?, timestamp: take("timestamp")?.parse().ok()? },
            signature: take("signature")?,
        };
        found.is_empty().then_some(parsed)
    }
}

/// A request as it arrived.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    pub method: &'a str,
    /// Absolute path with query.
    pub url: &'a str,
    pub authorization: Option<&'a str>,
    pub body: &'a [u8],
}

/// The headers of an answer as they arrived.
#[derive(Clone, Copy)]
pub struct AnswerHeaders<'a> {
    pub timestamp: Option<&'a str>,
    pub nonce: Option<&'a str>,
    pub serial_no: Option<&'a str>,
    pub signature: Option<&'a str>,
}

/// Believes requests and answers, or says why not; remembers each request's nonce.
pub struct Verifier {
    ring: KeyRing,
    nonces: Mutex<NonceMemory>,
}

impl Verifier {
    pub fn new(ring: KeyRing) -> Verifier {
        Verifier { ring, nonces: Mutex::default() }
    }

    /// The id of the partner that signed the request.
    ///
    /// # Errors
    /// Whatever makes it unbelievable; a nonce is remembered only when all else holds, so that nobody can burn another's.
    pub fn request(&self, now: DateTime<Utc>, received: Received<'_>) -> Result<String, SignatureError> {
        let header = received.authorization.ok_or(SignatureError::Malformed)?;
        let authorization = Authorization::parse(header).ok_or(SignatureError::Malformed)?;
        let Authorization { mchid, serial_no, stamp, signature } = authorization;
        if stamp.nonce.is_empty() || stamp.nonce.len() > NONCE_LENGTH_MAX {
            return Err(SignatureError::Malformed);
        }
        fresh(now, stamp.timestamp)?;
        let message = request_message(received.method, received.url, &stamp, received.body);
        self.ring.verify(&mchid, &serial_no, &message, &signature)?;
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.remember(now, format!("{mchid}:{}", stamp.nonce))?;
        Ok(mchid)
    }

    /// Whether `mchid` signed this answer.
    ///
    /// # Errors
    /// Whatever makes it unbelievable.
    pub fn answer(
        &self,
        now: DateTime<Utc>,
        mchid: &str,
        headers: AnswerHeaders<'_>,
        body: &[u8],
    ) -> Result<(), SignatureError> {
        let timestamp = headers.timestamp.and_then(|text| text.parse().ok()).ok_or(SignatureError::Malformed)?;
        let nonce = headers.nonce.ok_or(SignatureError::Malformed)?.to_owned();
        let serial_no = headers.serial_no.ok_or(SignatureError::Malformed)?;
        let signature = headers.signature.ok_or(SignatureError::Malformed)?;
        fresh(now, timestamp)?;
        self.ring.verify(mchid, serial_no, &response_message(&Stamp { timestamp, nonce }, body), signature)
    }
}

fn fresh(now: DateTime<Utc>, timestamp: i64) -> Result<(), SignatureError> {
    let apart = now.timestamp().checked_sub(timestamp).ok_or(SignatureError::Stale)?;
    if apart.unsigned_abs() > SKEW_MAX.num_seconds().unsigned_abs() { Err(SignatureError::Stale) } else { Ok(()) }
}

/// Nonces of the last ten minutes at least, in two halves: when the younger one is old enough the older is forgotten.
#[derive(Default)]
struct NonceMemory {
    younger: HashSet<String>,
    older: HashSet<String>,
    younger_since: DateTime<Utc>,
}

impl NonceMemory {
    fn remember(&mut self, now: DateTime<Utc>, nonce: String) -> Result<(), SignatureError> {
        // A timestamp is accepted from five minutes before to five after, so a nonce matters for twice the skew.
        let age = now - self.younger_since;
        if age > SKEW_MAX * 2 {
            self.older = std::mem::take(&mut self.younger);
            if age > SKEW_MAX * 4 {
                self.older.clear();
            }
            self.younger_since = now;
        }
        if self.older.contains(&nonce) || self.younger.contains(&nonce) {
            return Err(SignatureError::NonceReused);
        }
        if self.older.len() + self.younger.len() >= NONCES_MAX {
            return Err(SignatureError::TooMany);
        }
        self.younger.insert(nonce);
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub fn hex_encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` unless the text is pairs of hexadecimal digits.
pub fn hex_decode(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
