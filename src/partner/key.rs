//! Signature keys: SM2-with-SM3 and RSA-SHA256, private and public, in the encodings that integrators have.
//!
//! Sources: GB/T 32918.2 with the usual distinguishing identifier for SM2; PKCS #1 v1.5 with SHA-256 for RSA.

use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize, PublicEncryptingKey};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::TryRngCore as _;
use serde::Deserialize;
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use sm2::{PublicKey as Sm2Point, SecretKey};
use sm3::{Digest as _, Sm3};

use super::sm2_key::{DISTINGUISHING_ID, Sm2Signer, Sm2Verifier};
use crate::base::hex::hex_decode;
use crate::base::words;

/// r and s, 32 bytes each.
const SM2_SIGNATURE_BYTES: usize = 64;
/// The algorithm identifier in the SPKI of an RSA key of 2048 bits or more: its place, and its bytes for PKCS #1 v1.5 (`rsaEncryption` with
/// NULL parameters). Source: RFC 3279, 2.3.1.
const RSA_KIND_PLACE: std::ops::Range<usize> = 4..19;
const RSA_KIND: [u8; 15] = *b"\x30\x0D\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01\x05\x00";

words! {
    /// How a message is signed.
    #[derive(Hash, Deserialize, clap::ValueEnum)]
    #[serde(rename_all = "snake_case")]
    pub enum Algorithm {
        #[value(name = "sm2")]
        Sm2Sm3 = "sm2_sm3",
        #[value(name = "rsa")]
        RsaSha256 = "rsa_sha256",
    }
}

impl Algorithm {
    /// The first word of an `Authorization` header.
    pub fn scheme(self) -> &'static str {
        match self {
            Algorithm::Sm2Sm3 => "FENQI-SM2-SM3",
            Algorithm::RsaSha256 => "FENQI-RSA-SHA256",
        }
    }
}

/// A private key. Its `Debug` shows nothing, so that it never gets into a log.
#[derive(Clone)]
pub enum PrivateKey {
    Sm2(Arc<Sm2Signer>),
    Rsa(Arc<RsaKeyPair>),
}

impl PrivateKey {
    /// A new key from the operating system's randomness; RSA has 2048 bits.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> anyhow::Result<PrivateKey> {
        match algorithm {
            Algorithm::RsaSha256 => {
                let pair =
                    RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow::anyhow!("no RSA key was made"))?;
                Ok(PrivateKey::Rsa(Arc::new(pair)))
            }
            Algorithm::Sm2Sm3 => loop {
                let mut bytes = [0; 32];
                rand::rngs::OsRng.try_fill_bytes(&mut bytes)?;
                // Nearly any 32 bytes are a valid key.
                if let Some(key) = PrivateKey::from_sm2_bytes(&bytes) {
                    return Ok(key);
                }
            },
        }
    }

    /// From 32 bytes, big-endian. `None` if they are not a valid SM2 key.
    pub fn from_sm2_bytes(bytes: &[u8]) -> Option<PrivateKey> {
        PrivateKey::from_sm2_secret(&SecretKey::from_slice(bytes).ok()?)
    }

    fn from_sm2_secret(secret: &SecretKey) -> Option<PrivateKey> {
        let key = SigningKey::new(DISTINGUISHING_ID, secret).ok()?;
        Sm2Signer::new(key).map(|signer| PrivateKey::Sm2(Arc::new(signer)))
    }

    /// PKCS #8 in PEM for either algorithm, or 64 hexadecimal digits for SM2. `None` if it is neither.
    pub fn from_text(text: &str) -> Option<PrivateKey> {
        let text = text.trim();
        if !text.starts_with("-----") {
            return PrivateKey::from_sm2_bytes(&hex_decode(text)?);
        }
        if let Ok(secret) = SecretKey::from_pkcs8_pem(text) {
            return PrivateKey::from_sm2_secret(&secret);
        }
        let der = pem_decode(text, "PRIVATE KEY").or_else(|| pem_decode(text, "RSA PRIVATE KEY"))?;
        let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).ok()?;
        Some(PrivateKey::Rsa(Arc::new(pair)))
    }

    /// PKCS #8 in PEM, as [`PrivateKey::from_text`] takes it.
    ///
    /// # Errors
    /// If the key cannot be encoded.
    pub fn to_pem(&self) -> anyhow::Result<String> {
        let der = match self {
            PrivateKey::Sm2(signer) => {
                let secret = SecretKey::from_slice(&signer.key().to_bytes())?;
                secret.to_pkcs8_der()?.as_bytes().to_vec()
            }
            PrivateKey::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| anyhow::anyhow!("the RSA key has no encoding"))?;
                der.as_ref().to_vec()
            }
        };
        Ok(pem_encode("PRIVATE KEY", &der))
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            PrivateKey::Sm2(_) => Algorithm::Sm2Sm3,
            PrivateKey::Rsa(_) => Algorithm::RsaSha256,
        }
    }

    /// The public half as SPKI in DER.
    ///
    /// # Errors
    /// If the key cannot be encoded.
    pub fn public_der(&self) -> anyhow::Result<Vec<u8>> {
        match self {
            PrivateKey::Sm2(signer) => Ok(signer.key().verifying_key().to_public_key_der()?.as_bytes().to_vec()),
            PrivateKey::Rsa(pair) => {
                let der: PublicKeyX509Der<'_> =
                    pair.public_key().as_der().map_err(|_| anyhow::anyhow!("the RSA key has no encoding"))?;
                Ok(der.as_ref().to_vec())
            }
        }
    }

    /// The signature in base64. For SM2 it is r and s, 64 bytes together.
    ///
    /// # Panics
    /// If the library runs out of memory while signing.
    pub fn sign(&self, message: &[u8]) -> String {
        let mut signing = self.begin();
        signing.add(message);
        signing.finish()
    }

    /// Begins to sign a message that comes in pieces.
    pub fn begin(&self) -> Signing {
        match self {
            PrivateKey::Sm2(signer) => Signing::Sm2(signer.clone(), signer.begin()),
            PrivateKey::Rsa(pair) => Signing::Rsa(pair.clone(), Box::new(digest::Context::new(&digest::SHA256))),
        }
    }
}

/// A signature over a message that is hashed piece by piece, so that it need not be in memory as a whole.
pub enum Signing {
    Sm2(Arc<Sm2Signer>, Sm3),
    Rsa(Arc<RsaKeyPair>, Box<digest::Context>),
}

impl Signing {
    /// The next piece of the message.
    pub fn add(&mut self, piece: &[u8]) {
        match self {
            Signing::Sm2(_, hash) => hash.update(piece),
            Signing::Rsa(_, hash) => hash.update(piece),
        }
    }

    /// The signature in base64. For SM2 it is r and s, 64 bytes together.
    ///
    /// # Panics
    /// If the library runs out of memory while signing.
    pub fn finish(self) -> String {
        match self {
            Signing::Sm2(signer, hash) => BASE64_STANDARD.encode(signer.sign_hashed(hash).to_bytes()),
            Signing::Rsa(pair, hash) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, &hash.finish(), &mut signature)
                    .expect("a whole RSA key signs every message");
                BASE64_STANDARD.encode(signature)
            }
        }
    }
}

/// A public key.
#[derive(Clone)]
pub enum PublicKey {
    Sm2(Arc<Sm2Verifier>),
    Rsa(Arc<ParsedPublicKey>, Arc<[u8]>),
}

impl PublicKey {
    fn of_sm2(key: VerifyingKey) -> PublicKey {
        PublicKey::Sm2(Arc::new(Sm2Verifier::new(key)))
    }

    /// SPKI in PEM for either algorithm, or an uncompressed point in 130 hexadecimal digits for SM2. `None` if it is neither,
    /// or an RSA key of fewer than 2048 bits or more than 8192.
    pub fn from_text(text: &str) -> Option<PublicKey> {
        let text = text.trim();
        if text.starts_with("-----") {
            return match PublicKey::from_der(&pem_decode(text, "PUBLIC KEY")?)? {
                PublicKey::Rsa(_, der) => PublicKey::from_der(&rsa_spki(&der)?),
                sm2 @ PublicKey::Sm2(_) => Some(sm2),
            };
        }
        let key = VerifyingKey::from_sec1_bytes(DISTINGUISHING_ID, &hex_decode(text)?).ok()?;
        Some(PublicKey::of_sm2(key))
    }

    /// SPKI in DER.
    pub fn from_der(der: &[u8]) -> Option<PublicKey> {
        if let Ok(point) = Sm2Point::from_public_key_der(der) {
            return VerifyingKey::new(DISTINGUISHING_ID, point).ok().map(PublicKey::of_sm2);
        }
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).ok()?;
        Some(PublicKey::Rsa(Arc::new(key), der.into()))
    }

    /// SPKI in DER, as [`PublicKey::from_der`] takes it.
    ///
    /// # Panics
    /// If a parsed point has no encoding, which none lacks.
    pub fn to_der(&self) -> Vec<u8> {
        match self {
            PublicKey::Sm2(verifier) => {
                verifier.key().to_public_key_der().expect("a point has an encoding").as_bytes().to_vec()
            }
            PublicKey::Rsa(_, der) => der.to_vec(),
        }
    }

    pub fn to_pem(&self) -> String {
        pem_encode("PUBLIC KEY", &self.to_der())
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            PublicKey::Sm2(_) => Algorithm::Sm2Sm3,
            PublicKey::Rsa(..) => Algorithm::RsaSha256,
        }
    }

    /// Whether this key signed the message. An SM2 signature may be r and s in 64 bytes, or DER, because libraries differ.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            PublicKey::Sm2(verifier) => {
                let parsed = match signature.len() {
                    SM2_SIGNATURE_BYTES => Signature::from_slice(signature).ok(),
                    _ => Signature::from_der(signature).ok(),
                };
                parsed.is_some_and(|signature| verifier.verifies(message, &signature))
            }
            PublicKey::Rsa(key, _) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// The canonical SPKI of an RSA key, so that equal keys have equal bytes; `None` if it has fewer than 2048 bits or is not for PKCS #1 v1.5.
/// The library also reads the same key with trailing bytes, as bare PKCS #1, or for PSS, and checks the size only with a signature.
fn rsa_spki(der: &[u8]) -> Option<Vec<u8>> {
    let spki: PublicKeyX509Der<'_> = PublicEncryptingKey::from_der(der).ok()?.as_der().ok()?;
    let spki: &[u8] = spki.as_ref();
    (spki.get(RSA_KIND_PLACE) == Some(&RSA_KIND[..])).then(|| spki.to_vec())
}

/// PEM with lines of 64 characters.
pub fn pem_encode(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for start in (0..text.len()).step_by(64) {
        pem.push_str(&text[start..text.len().min(start + 64)]);
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

fn pem_decode(text: &str, label: &str) -> Option<Vec<u8>> {
    let inside = text.split_once(&format!("-----BEGIN {label}-----"))?.1;
    let inside = inside.split_once(&format!("-----END {label}-----"))?.0;
    let text: String = inside.chars().filter(|character| !character.is_whitespace()).collect();
    BASE64_STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_survives_its_file_and_signs_for_its_public_half() {
        for algorithm in Algorithm::ALL {
            let key = PrivateKey::generate(algorithm).unwrap();
            let read = PrivateKey::from_text(&key.to_pem().unwrap()).unwrap();
            let public = PublicKey::from_der(&read.public_der().unwrap()).unwrap();
            let public = PublicKey::from_text(&public.to_pem()).unwrap();
            assert_eq!((read.algorithm(), public.algorithm()), (algorithm, algorithm));
            let signature = BASE64_STANDARD.decode(key.sign(b"a message")).unwrap();
            assert!(public.verifies(b"a message", &signature));
            assert!(!public.verifies(b"a messagE", &signature));
            let mut signing = key.begin();
            [&b"a "[..], b"", b"message"].into_iter().for_each(|piece| signing.add(piece));
            assert_eq!(signing.finish(), BASE64_STANDARD.encode(signature), "in pieces it is the same message");
        }
    }

    #[test]
    fn an_sm2_signature_may_be_der() {
        let key = PrivateKey::generate(Algorithm::Sm2Sm3).unwrap();
        let public = PublicKey::from_der(&key.public_der().unwrap()).unwrap();
        let plain = Signature::from_slice(&BASE64_STANDARD.decode(key.sign(b"m")).unwrap()).unwrap();
        assert!(public.verifies(b"m", plain.to_der().as_bytes()));
    }

    #[test]
    fn an_rsa_key_is_large_enough_and_has_one_encoding() {
        let spki = PrivateKey::generate(Algorithm::RsaSha256).unwrap().public_der().unwrap();
        let read = |der: &[u8]| PublicKey::from_text(&pem_encode("PUBLIC KEY", der)).map(|key| key.to_der());
        assert_eq!(read(&spki), Some(spki.clone()));
        assert_eq!(read(&[&spki[..], b"more"].concat()), Some(spki.clone()), "it is known again");
        assert_eq!(read(&spki[24..]), None, "PKCS #1");
        let for_pss = b"\x30\x82\x01\x20\x30\x0B\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x01\x0A";
        assert_eq!(read(&[&for_pss[..], &spki[19..]].concat()), None);
        let of_1024_bits = "-----BEGIN PUBLIC KEY-----\n\
            MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDISipz3Zz/jXSeRTklVTtwnxb7\n\
            X521vO85g4WyaXgtkfx2T8pHrvTCryeXMBs6Mwao7IYpKlzpnd5dkIz9vMujYx3m\n\
            KzMTYOtkyfl49/bhHLZ4l2VwnAH73p0/+XFA+H4x/RFbPouMvrUUh1iym8nJT6Ua\n\
            VhGxSRE4kOwGUfI5DwIDAQAB\n-----END PUBLIC KEY-----\n";
        assert!(PublicKey::from_text(of_1024_bits).is_none());
    }
}
