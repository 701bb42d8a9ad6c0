//! Signing in both directions, in the manner of WeChat Pay API v3, with SM2-with-SM3 or RSA-SHA256.
//!
//! A request signs `METHOD\nURL\nTIMESTAMP\nNONCE\nBODY\n` and carries it in one `Authorization` header; an answer signs
//! `TIMESTAMP\nNONCE\nBODY\n` and carries it in four headers. URL is the absolute path with its query, without host;
//! TIMESTAMP is whole seconds since 1970. Source: 微信支付 API v3 签名生成.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use sm3::{Digest, Sm3};
use uuid::{NoContext, Timestamp, Uuid};

use super::key::{Algorithm, PrivateKey, PublicKey, Signing, pem_encode};

/// The headers of a signed answer. The first is in whole seconds since 1970.
pub const HEADER_TIMESTAMP: &str = "fenqi-timestamp";
pub const HEADER_NONCE: &str = "fenqi-nonce";
pub const HEADER_SERIAL: &str = "fenqi-serial";
pub const HEADER_SIGNATURE: &str = "fenqi-signature";

/// How far the signer's clock and ours may be apart.
pub const SKEW_MAX: TimeDelta = TimeDelta::minutes(5);
/// How long a nonce is kept: as long as its signature could be replayed. That is twice [`SKEW_MAX`] (the first time from the future, the
/// second time from the past), and a minute more, because whole seconds are compared and two nodes' clocks may differ.
pub const NONCE_KEPT: TimeDelta = TimeDelta::minutes(11);
/// Nonces remembered at a time; when there are more, nothing is accepted until some expire.
const NONCES_MAX: usize = 1_000_000;
/// Longer than any nonce in use, but short enough to store.
const NONCE_LENGTH_MAX: usize = 64;
/// With shorter nonces, two requests might have the same one by chance.
const NONCE_LENGTH_MIN: usize = 8;
/// How many fields an `Authorization` header has.
const FIELDS: usize = 5;

/// Why a signature is not accepted.
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
    #[error("no key that is known by that partner id and serial number made this signature of what was received")]
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

/// The message that a request's signature covers.
pub fn request_message(method: &str, url: &str, stamp: &Stamp, body: &[u8]) -> Vec<u8> {
    [format!("{method}\n{url}\n{}", stamp.lines()).as_bytes(), body, b"\n"].concat()
}

/// The message that an answer's signature covers.
fn response_message(stamp: &Stamp, body: &[u8]) -> Vec<u8> {
    [stamp.lines().as_bytes(), body, b"\n"].concat()
}

/// The time and the nonce of a signature.
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

    /// The stamp's lines in the signed message.
    fn lines(&self) -> String {
        format!("{}\n{}\n", self.timestamp, self.nonce)
    }
}

/// Who signs: a partner id, the serial number of its key, and the key.
#[derive(Clone)]
pub struct Identity {
    pub mchid: String,
    pub serial_no: String,
    key: PrivateKey,
}

impl Identity {
    pub fn new(mchid: &str, serial_no: &str, key: PrivateKey) -> Identity {
        Identity { mchid: mchid.into(), serial_no: serial_no.into(), key }
    }

    /// From a private key as a configuration states it: PKCS #8 in PEM, or 64 hexadecimal digits for SM2.
    pub fn from_text(mchid: &str, serial_no: &str, private_key: &str) -> Option<Identity> {
        PrivateKey::from_text(private_key).map(|key| Identity::new(mchid, serial_no, key))
    }

    /// The same SM2 key for the same seed and name: for the sandbox and tests only, never for a real partner.
    pub fn from_seed(mchid: &str, seed: u64) -> Identity {
        (0u8..)
            .find_map(|attempt| {
                let digest = Sm3::digest(format!("fenqi sandbox key {seed} {mchid} {attempt}"));
                let key = PrivateKey::from_sm2_bytes(&digest)?;
                Some(Identity::new(mchid, &format!("{}-1", mchid.to_uppercase()), key))
            })
            .expect("nearly every 32 bytes are an SM2 key")
    }

    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// The public key as SPKI in PEM.
    ///
    /// # Panics
    /// If a key that signs has no public half, which none lacks.
    pub fn public_key(&self) -> String {
        pem_encode("PUBLIC KEY", &self.key.public_der().expect("a private key has a public half"))
    }

    /// The private key as PKCS #8 in PEM, as [`Identity::from_text`] takes it.
    ///
    /// # Panics
    /// If the key has no encoding, which none lacks.
    pub fn private_key(&self) -> String {
        self.key.to_pem().expect("a private key has an encoding")
    }

    /// The `Authorization` header of a request.
    pub fn authorization(&self, method: &str, url: &str, stamp: &Stamp, body: &[u8]) -> String {
        let signature = self.key.sign(&request_message(method, url, stamp, body));
        format!(
            "{} mchid=\"{}\",serial_no=\"{}\",nonce_str=\"{}\",timestamp=\"{}\",signature=\"{signature}\"",
            self.algorithm().scheme(),
            self.mchid,
            self.serial_no,
            stamp.nonce,
            stamp.timestamp
        )
    }

    /// A signature of the message alone, in base64, without a stamp.
    pub fn sign(&self, message: &[u8]) -> String {
        self.key.sign(message)
    }

    /// The four headers of an answer, as names and values.
    pub fn response_headers(&self, stamp: &Stamp, body: &[u8]) -> [(&'static str, String); 4] {
        let mut signing = self.begin_answer(stamp.clone());
        signing.add(body);
        signing.headers()
    }

    /// Begins to sign an answer whose body comes in pieces.
    pub fn begin_answer(&self, stamp: Stamp) -> SigningAnswer {
        let mut signing = self.key.begin();
        signing.add(stamp.lines().as_bytes());
        SigningAnswer { stamp, serial_no: self.serial_no.clone(), signing }
    }
}

/// An answer that is signed as its body is read, so that the body need not be in memory as a whole.
pub struct SigningAnswer {
    stamp: Stamp,
    serial_no: String,
    signing: Signing,
}

impl SigningAnswer {
    /// The next piece of the body.
    pub fn add(&mut self, piece: &[u8]) {
        self.signing.add(piece);
    }

    /// The four headers of the answer, as names and values.
    pub fn headers(mut self) -> [(&'static str, String); 4] {
        self.signing.add(b"\n");
        [
            (HEADER_TIMESTAMP, self.stamp.timestamp.to_string()),
            (HEADER_NONCE, self.stamp.nonce),
            (HEADER_SERIAL, self.serial_no),
            (HEADER_SIGNATURE, self.signing.finish()),
        ]
    }
}

/// The public keys of others, by partner id and serial number. A partner may have several while one replaces another.
#[derive(Clone, Default)]
pub struct KeyRing {
    keys: HashMap<(String, String), PublicKey>,
}

impl KeyRing {
    /// Adds a public key (PEM, or an SM2 point in hexadecimal). `false` if it is no key.
    #[must_use]
    pub fn add(&mut self, mchid: &str, serial_no: &str, public_key: &str) -> bool {
        let key = PublicKey::from_text(public_key);
        key.map(|key| self.keys.insert((mchid.into(), serial_no.into()), key)).is_some()
    }

    pub fn add_identity(&mut self, identity: &Identity) {
        let is_key = self.add(&identity.mchid, &identity.serial_no, &identity.public_key());
        debug_assert!(is_key, "the public half of a key is a key");
    }

    /// Whether there is such a key.
    pub fn has(&self, mchid: &str, serial_no: &str) -> bool {
        self.keys.contains_key(&(mchid.to_owned(), serial_no.to_owned()))
    }

    /// Whether that key made the signature (in base64) of the message.
    ///
    /// # Errors
    /// `UnknownKey`, `Malformed` or `Wrong`.
    pub fn verify(&self, mchid: &str, serial_no: &str, message: &[u8], signature: &str) -> Result<(), SignatureError> {
        let key = self.keys.get(&(mchid.to_owned(), serial_no.to_owned())).ok_or(SignatureError::UnknownKey)?;
        verify(key, message, signature)
    }

    /// Verifies a request, and tells who signed it. The nonce is not checked: the caller must use it up after this has succeeded, and only
    /// then, so that nobody can use up somebody else's.
    ///
    /// # Errors
    /// Why the signature is not accepted.
    pub fn believe(&self, now: DateTime<Utc>, received: Received<'_>) -> Result<Authorization, SignatureError> {
        let authorization = received.authorization(now)?;
        let key = (authorization.mchid.clone(), authorization.serial_no.clone());
        authorization.check(self.keys.get(&key).ok_or(SignatureError::UnknownKey)?, received)?;
        Ok(authorization)
    }

    /// Verifies that `mchid` signed this answer.
    ///
    /// # Errors
    /// Why the signature is not accepted.
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
        self.verify(mchid, serial_no, &response_message(&Stamp { timestamp, nonce }, body), signature)
    }
}

fn verify(key: &PublicKey, message: &[u8], signature: &str) -> Result<(), SignatureError> {
    let signature = BASE64_STANDARD.decode(signature).map_err(|_| SignatureError::Malformed)?;
    if key.verifies(message, &signature) { Ok(()) } else { Err(SignatureError::Wrong) }
}

/// An `Authorization` header, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization {
    pub algorithm: Algorithm,
    pub mchid: String,
    pub serial_no: String,
    pub stamp: Stamp,
    pub signature: String,
}

impl Authorization {
    /// `None` unless the scheme is one of ours and each of the five fields occurs once, in any order.
    pub fn parse(header: &str) -> Option<Authorization> {
        let (scheme, fields) = header.split_once(' ')?;
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.scheme() == scheme)?;
        let mut found: Vec<(&str, &str)> = Vec::with_capacity(FIELDS);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            if found.len() == FIELDS || found.iter().any(|(known, _)| *known == name) {
                return None;
            }
            found.push((name, value));
        }
        let find = |name: &str| found.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        Some(Authorization {
            algorithm,
            mchid: find("mchid")?.to_owned(),
            serial_no: find("serial_no")?.to_owned(),
            stamp: Stamp { nonce: find("nonce_str")?.to_owned(), timestamp: find("timestamp")?.parse().ok()? },
            signature: find("signature")?.to_owned(),
        })
    }

    /// Verifies that `key` signed what was received.
    ///
    /// # Errors
    /// `Malformed` or `Wrong`; also if the header names another algorithm than the key's.
    pub fn check(&self, key: &PublicKey, received: Received<'_>) -> Result<(), SignatureError> {
        if key.algorithm() != self.algorithm {
            return Err(SignatureError::Wrong);
        }
        verify(key, &request_message(received.method, received.url, &self.stamp, received.body), &self.signature)
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

impl Received<'_> {
    /// The parsed header, if it is well-formed and its time is near ours. The signature itself is not checked.
    ///
    /// # Errors
    /// `Malformed` or `Stale`.
    pub fn authorization(&self, now: DateTime<Utc>) -> Result<Authorization, SignatureError> {
        let header = self.authorization.ok_or(SignatureError::Malformed)?;
        let authorization = Authorization::parse(header).ok_or(SignatureError::Malformed)?;
        let nonce = &authorization.stamp.nonce;
        let is_plain = nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if nonce.len() < NONCE_LENGTH_MIN || nonce.len() > NONCE_LENGTH_MAX || !is_plain {
            return Err(SignatureError::Malformed);
        }
        // Checked for unknown keys too; otherwise the answer would tell which keys exist.
        if BASE64_STANDARD.decode(&authorization.signature).is_err() {
            return Err(SignatureError::Malformed);
        }
        fresh(now, authorization.stamp.timestamp)?;
        Ok(authorization)
    }
}

/// The headers of an answer as they arrived.
#[derive(Clone, Copy)]
pub struct AnswerHeaders<'a> {
    pub timestamp: Option<&'a str>,
    pub nonce: Option<&'a str>,
    pub serial_no: Option<&'a str>,
    pub signature: Option<&'a str>,
}

/// Verifies requests, and remembers their nonces in this process: enough for the sandbox, which is a single process.
pub struct Verifier {
    ring: KeyRing,
    nonces: Mutex<NonceMemory>,
}

impl Verifier {
    pub fn new(ring: KeyRing) -> Verifier {
        Verifier { ring, nonces: Mutex::default() }
    }

    /// Verifies a request, and returns the id of the partner that signed it.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn request(&self, now: DateTime<Utc>, received: Received<'_>) -> Result<String, SignatureError> {
        let Authorization { mchid, stamp, .. } = self.ring.believe(now, received)?;
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.remember(now, format!("{mchid}:{}", stamp.nonce))?;
        Ok(mchid)
    }
}

fn fresh(now: DateTime<Utc>, timestamp: i64) -> Result<(), SignatureError> {
    let apart = now.timestamp().checked_sub(timestamp).ok_or(SignatureError::Stale)?;
    if apart.unsigned_abs() > SKEW_MAX.num_seconds().unsigned_abs() { Err(SignatureError::Stale) } else { Ok(()) }
}

/// Nonces of at least the last [`NONCE_KEPT`], in two sets: when the younger set is that old, the older one is dropped.
#[derive(Default)]
struct NonceMemory {
    younger: HashSet<String>,
    older: HashSet<String>,
    younger_since: DateTime<Utc>,
}

impl NonceMemory {
    fn remember(&mut self, now: DateTime<Utc>, nonce: String) -> Result<(), SignatureError> {
        let age = now - self.younger_since;
        if age > NONCE_KEPT {
            self.older = std::mem::take(&mut self.younger);
            if age > NONCE_KEPT * 2 {
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
