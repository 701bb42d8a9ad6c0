//! SM2 keys for signing and verifying often: whatever is the same for all messages is precomputed.
//!
//! They give bit by bit the same signatures as the library's keys, whose point multiplication is four to eight times slower.

use std::sync::{LazyLock, OnceLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::ff::PrimeField as _;
use sm2::elliptic_curve::ops::Reduce as _;
use sm2::{FieldBytes, Scalar};
use sm3::{Digest as _, Sm3};

use super::sm2_table::Table;
use crate::base::hex::hex_decode;

/// The identifier that GB/T 35276 prescribes where the parties agreed on no other.
pub(super) const DISTINGUISHING_ID: &str = "1234567812345678";
/// The curve's a and b and its base point, as they go into every signer's hash. Source: GB/T 32918.5.
const CURVE: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC\
                     28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93\
                     32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7\
                     BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0";
static CURVE_BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| hex_decode(CURVE).unwrap_or_default());

/// A public key with its table.
pub struct Sm2Verifier {
    key: VerifyingKey,
    begun: Sm3,
    /// Made when the key is first used: many are only read and shown.
    table: OnceLock<Table>,
}

impl Sm2Verifier {
    pub fn new(key: VerifyingKey) -> Sm2Verifier {
        Sm2Verifier { begun: begin_message(&key), key, table: OnceLock::new() }
    }

    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Whether the key made this signature of the message. Source: GB/T 32918.2, 7.1.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let e = reduced(self.begun.clone().chain_update(message).finalize().into());
        // Both are between zero and the group's order; the type of a signature guarantees it.
        let (r, s) = (*signature.r(), *signature.s());
        let t = r + s;
        if t == Scalar::ZERO {
            return false;
        }
        let (s, t): ([u8; 32], [u8; 32]) = (s.to_repr().into(), t.to_repr().into());
        let point = Table::sum_of_public(&s, (self.table(), &t));
        // Of a right signature x is nearly always this; the few that lie between the group's order and the prime have it as their
        // remainder, and cost as much as wrong ones.
        point.has_x(&(r - e).to_repr().into()) || point.x_bytes().is_some_and(|x| e + reduced(x) == r)
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| {
            let point = self.key.to_sec1_bytes();
            // After the byte that says that both coordinates follow.
            let coordinate = |from: usize| std::array::from_fn(|place| point[from + place]);
            Table::of_point(&coordinate(1), &coordinate(33))
        })
    }
}

/// A private key with what every signature needs of it.
pub struct Sm2Signer {
    key: SigningKey,
    secret: Scalar,
    /// The inverse of (the secret + 1).
    inverse: Scalar,
    begun: Sm3,
    numbers_begun: Hmac<Sm3>,
}

impl Sm2Signer {
    /// `None` for the one secret whose successor has no inverse.
    pub fn new(key: SigningKey) -> Option<Sm2Signer> {
        let secret = **key.as_nonzero_scalar();
        let inverse = (secret + Scalar::ONE).invert().into_option()?;
        let (begun, numbers_begun) = (begin_message(key.verifying_key()), Numbers::begin(&secret));
        Some(Sm2Signer { key, secret, inverse, begun, numbers_begun })
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The hash of a message before its first byte; [`Sm2Signer::sign_hashed`] takes it with all of the message in it.
    pub fn begin(&self) -> Sm3 {
        self.begun.clone()
    }

    /// r and s. The nonce k is derived from key and message. Source: GB/T 32918.2, 6.1.
    pub fn sign_hashed(&self, message: Sm3) -> Signature {
        let e = reduced(message.finalize().into());
        let mut numbers = Numbers::of(self, &e);
        loop {
            if let Some(signature) = self.sign_by(&numbers.draw(), e) {
                return signature;
            }
            numbers.renew();
        }
    }

    /// `None` if the nonce is not below the group's order, or gives no valid signature.
    fn sign_by(&self, number: &[u8; 32], e: Scalar) -> Option<Signature> {
        let k = Scalar::from_repr((*number).into()).into_option()?;
        let r = e + reduced(Table::base().times(number).x_bytes()?);
        if r + k == Scalar::ZERO {
            return None;
        }
        // Refused where r or s is zero.
        Signature::from_scalars(r, self.inverse * (k - r * self.secret)).ok()
    }
}

/// The deterministic nonces for a secret and a hash. The library derives the same ones, but hashes twice as much: it starts each HMAC from
/// the key again, and prepares a next nonce that is hardly ever needed. Source: RFC 6979, 3.2.
struct Numbers {
    key: Hmac<Sm3>,
    value: [u8; 32],
}

impl Numbers {
    const FIRST_VALUE: [u8; 32] = [1; 32];

    /// What goes into the first HMAC before the hash.
    fn begin(secret: &Scalar) -> Hmac<Sm3> {
        keyed(&[0; 32]).chain_update(Numbers::FIRST_VALUE).chain_update([0_u8]).chain_update(secret.to_repr())
    }

    fn of(signer: &Sm2Signer, e: &Scalar) -> Numbers {
        let (secret, hash) = (signer.secret.to_repr(), e.to_repr());
        let key = keyed(&mac_of(signer.numbers_begun.clone().chain_update(hash)));
        let value = mac_of(key.clone().chain_update(Numbers::FIRST_VALUE));
        let key = keyed(&mac_of(key.chain_update(value).chain_update([1_u8]).chain_update(secret).chain_update(hash)));
        let value = mac_of(key.clone().chain_update(value));
        Numbers { key, value }
    }

    /// The next one; it may lie beyond the group's order.
    fn draw(&mut self) -> [u8; 32] {
        self.value = mac_of(self.key.clone().chain_update(self.value));
        self.value
    }

    /// Between one that was of no use and the next.
    fn renew(&mut self) {
        self.key = keyed(&mac_of(self.key.clone().chain_update(self.value).chain_update([0_u8])));
        self.value = mac_of(self.key.clone().chain_update(self.value));
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sm3> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn mac_of(message: Hmac<Sm3>) -> [u8; 32] {
    message.finalize().into_bytes().into()
}

/// The hash of a message up to where the message begins: identifier, curve and key stand before it, hashed.
fn begin_message(key: &VerifyingKey) -> Sm3 {
    let bits = u16::try_from(DISTINGUISHING_ID.len() * 8).unwrap_or(u16::MAX);
    let signer = Sm3::new()
        .chain_update(bits.to_be_bytes())
        .chain_update(DISTINGUISHING_ID)
        .chain_update(&*CURVE_BYTES)
        .chain_update(&key.to_sec1_bytes()[1..])
        .finalize();
    Sm3::new().chain_update(signer)
}

fn reduced(bytes: [u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rfc6979::KGenerator;
    use sm2::dsa::signature::{Signer as _, Verifier as _};
    use sm2::elliptic_curve::Curve as _;
    use sm2::{SecretKey, Sm2, U256};

    use super::*;

    fn key(secret: &[u8; 32]) -> Option<SigningKey> {
        SigningKey::new(DISTINGUISHING_ID, &SecretKey::from_slice(secret).ok()?).ok()
    }

    /// Secrets, and multiples, that lie at the edges: small ones, and the order's neighbours.
    fn edges() -> impl Iterator<Item = [u8; 32]> {
        let order = hex_decode("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123").unwrap();
        let low = (0..=255u8).map(|byte| std::array::from_fn(|place| if place == 31 { byte } else { 0 }));
        let high = (1..=33u8).map(move |less| {
            let mut bytes: [u8; 32] = order.clone().try_into().unwrap();
            bytes[31] -= less;
            bytes
        });
        let bits = (0..256usize)
            .map(|bit| std::array::from_fn(|place| if place == 31 - bit / 8 { 1 << (bit % 8) } else { 0 }));
        low.chain(high).chain(bits)
    }

    #[test]
    fn multiples_at_the_edges_are_the_librarys() {
        use sm2::elliptic_curve::Group as _;
        use sm2::elliptic_curve::point::AffineCoordinates as _;
        let point = sm2::ProjectivePoint::mul_by_generator(&Scalar::from(77_u64));
        let bytes = VerifyingKey::from_affine(DISTINGUISHING_ID, point.to_affine()).unwrap().to_sec1_bytes();
        let coordinate = |from: usize| std::array::from_fn(|place| bytes[from + place]);
        let table = Table::of_point(&coordinate(1), &coordinate(33));
        let mut compared = 0;
        for scalar in edges() {
            let Some(number) = Scalar::from_repr(scalar.into()).into_option() else { continue };
            let (based, other) = (sm2::ProjectivePoint::mul_by_generator(&number), point * number);
            let shown = |point: sm2::ProjectivePoint| {
                (!bool::from(point.is_identity())).then(|| <[u8; 32]>::from(point.to_affine().x()))
            };
            assert_eq!(Table::base().times(&scalar).x_bytes(), shown(based), "{scalar:?}");
            assert_eq!(table.times(&scalar).x_bytes(), shown(other), "{scalar:?}");
            let sum = Table::base().times(&scalar).add(&table.times(&scalar));
            assert_eq!(sum.x_bytes(), shown(based + other), "{scalar:?}");
            let public = Table::sum_of_public(&scalar, (&table, &scalar));
            assert_eq!(public.x_bytes(), shown(based + other), "{scalar:?}");
            assert!(public.x_bytes().is_none_or(|x| public.has_x(&x)) && !public.has_x(&[7; 32]), "{scalar:?}");
            // The same point once more, and what takes it away again.
            let twice = Table::sum_of_public(&scalar, (Table::base(), &scalar));
            assert_eq!(twice.x_bytes(), shown(based + based), "{scalar:?}");
            let opposite: [u8; 32] = (-number).to_repr().into();
            let nothing = Table::sum_of_public(&scalar, (Table::base(), &opposite));
            assert_eq!(nothing.x_bytes(), None, "{scalar:?}");
            compared += 1;
        }
        assert!(compared > 500, "{compared}");
    }

    #[test]
    fn a_key_of_any_size_signs_as_the_library_does() {
        let mut signed = 0;
        for secret in edges() {
            let Some((key, signer)) = key(&secret).and_then(|key| Some((key.clone(), Sm2Signer::new(key)?))) else {
                continue;
            };
            let signature: Signature = key.sign(&secret);
            assert_eq!(
                signer.sign_hashed(signer.begin().chain_update(secret)).to_bytes(),
                signature.to_bytes(),
                "{secret:?}"
            );
            signed += 1;
        }
        assert!(signed > 500, "{signed}");
    }

    #[test]
    fn numbers_are_drawn_as_the_library_draws_them() {
        for secret in edges().step_by(16) {
            let Some(signer) = key(&secret).and_then(Sm2Signer::new) else { continue };
            let e = reduced(Sm3::digest(secret).into());
            let mut expected = KGenerator::<Sm3, U256>::new(&signer.secret.to_repr(), &e.to_repr(), &[], &Sm2::ORDER);
            let mut numbers = Numbers::of(&signer, &e);
            for _ in 0..3 {
                let mut number = FieldBytes::default();
                expected.fill_next_k(&mut number);
                assert_eq!(numbers.draw(), <[u8; 32]>::from(number), "{secret:?}");
                numbers.renew();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn it_signs_and_believes_as_the_library_does(
            secret in any::<[u8; 32]>(),
            message in proptest::collection::vec(any::<u8>(), 0..300),
            flipped in 0..512_usize,
        ) {
            let Some(key) = key(&secret) else { return Ok(()) };
            let signer = Sm2Signer::new(key.clone()).unwrap();
            let verifier = Sm2Verifier::new(key.verifying_key().clone());
            let signature: Signature = key.sign(&message);
            prop_assert_eq!(signer.sign_hashed(signer.begin().chain_update(&message)).to_bytes(), signature.to_bytes());
            prop_assert!(verifier.verifies(&message, &signature));
            let mut other = message.clone();
            other.push(0);
            prop_assert!(!verifier.verifies(&other, &signature));
            let mut bytes = signature.to_bytes();
            bytes[flipped / 8] ^= 1 << (flipped % 8);
            if let Ok(changed) = Signature::from_slice(&bytes) {
                prop_assert!(!verifier.verifies(&message, &changed));
                prop_assert!(key.verifying_key().verify(&message, &changed).is_err());
            }
        }
    }
}
