//! The vault: personal data sealed by field under a key of its own person, and blind indexes to find it again.
//!
//! A person's key is random and stored only sealed under the master key, so that deleting it makes everything sealed under
//! it unreadable. A back-up that was made before holds the sealed key as well: with the master key it can be read until it
//! is removed. A blind index is a keyed hash: equal values have equal indexes, and without the index key nobody can try all
//! eleven-digit mobiles against the table.

use std::fmt;

use aes_gcm::aead::{Aead, Generate, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// First byte of everything sealed: the cipher. One means AES-256-GCM; another cipher (SM4-GCM) takes another number.
const AES_256_GCM: u8 = 1;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

/// Encrypts (seals) and decrypts (opens) personal data. Each node has one, made from its configuration.
pub struct Vault {
    current: MasterKey,
    /// Former master keys, which only open what was sealed under them.
    former: Vec<MasterKey>,
    /// The key of blind indexes.
    index: [u8; KEY_BYTES],
}

/// A master key and the number by which sealed values name it.
#[derive(Clone)]
pub struct MasterKey {
    pub id: u8,
    pub key: [u8; KEY_BYTES],
}

/// One person's key, opened. Lives as long as a use case needs it and is never logged.
pub struct PersonKey(Aes256Gcm);

/// What a sealed value is. It is authenticated with the value, so that a value cannot be moved to another column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Name,
    IdNumber,
    Mobile,
    CardNumber,
    CardMobile,
    SettlementAccount,
    ContactMobile,
    OpenId,
    /// What somebody has typed of an application so far.
    OnboardingDraft,
    /// A private key of ours, by which answers to partners are signed.
    PlatformKey,
}

/// What a blind index finds. Equal texts of different kinds have different indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexed {
    IdNumber,
    Mobile,
    CardNumber,
    OpenId,
    /// A PIN with its owner, or a passcode with its mobile: hashed so that a stolen table cannot be searched for them.
    Pin,
    Passcode,
    /// A network address.
    Address,
}

/// Why a sealed value could not be opened. It says nothing of the content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("a sealed value was cut short or is of a cipher that this version does not know")]
    Malformed,
    #[error("a sealed value names master key {0}, which is not configured")]
    UnknownMasterKey(u8),
    #[error("a sealed value was changed, or was sealed under another key")]
    Tampered,
}

impl Vault {
    pub fn new(current: MasterKey, former: Vec<MasterKey>, index: [u8; KEY_BYTES]) -> Vault {
        Vault { current, former, index }
    }

    /// A vault with one master key (number 1), from which the index key is derived. Before its master key is rotated, a house
    /// must configure that index key by itself, or it finds nobody any more.
    pub fn with_master(master: [u8; KEY_BYTES]) -> Vault {
        let mut derivation = mac(&master);
        derivation.update(b"fenqi blind index key");
        let index = derivation.finalize().into_bytes().into();
        Vault::new(MasterKey { id: 1, key: master }, Vec::new(), index)
    }

    /// A new key for the person `owner`, with the sealed form to store.
    pub fn new_person_key(&self, owner: Uuid) -> (PersonKey, Vec<u8>) {
        let key = Key::<Aes256Gcm>::generate();
        let sealed = self.seal_under_master(&person_key_context(owner), &key);
        (PersonKey(Aes256Gcm::new(&key)), sealed)
    }

    /// Opens the stored key of the person `owner`.
    ///
    /// # Errors
    /// If it was changed, belongs to another person, or names a master key that is not configured.
    pub fn open_person_key(&self, owner: Uuid, sealed: &[u8]) -> Result<PersonKey, VaultError> {
        let key = self.open_under_master(&person_key_context(owner), sealed)?;
        let key: [u8; KEY_BYTES] = key.try_into().map_err(|_| VaultError::Malformed)?;
        Ok(PersonKey(Aes256Gcm::new(&Key::<Aes256Gcm>::from(key))))
    }

    /// Seals a value of an owner that has no key of its own (a merchant) under the master key.
    pub fn seal_for(&self, owner: Uuid, field: Field, text: &str) -> Vec<u8> {
        self.seal_under_master(&owner_context(owner, field), text.as_bytes())
    }

    /// Opens what [`Vault::seal_for`] sealed.
    ///
    /// # Errors
    /// If it was changed, is of another owner or field, or names a master key that is not configured.
    pub fn open_for(&self, owner: Uuid, field: Field, sealed: &[u8]) -> Result<String, VaultError> {
        let text = self.open_under_master(&owner_context(owner, field), sealed)?;
        String::from_utf8(text).map_err(|_| VaultError::Malformed)
    }

    /// The blind index of a value: HMAC-SHA256 under the index key, 32 bytes.
    pub fn index(&self, kind: Indexed, text: &str) -> [u8; 32] {
        let mut index = mac(&self.index);
        index.update(kind.name().as_bytes());
        index.update(b":");
        index.update(text.as_bytes());
        index.finalize().into_bytes().into()
    }

    fn seal_under_master(&self, context: &[u8], value: &[u8]) -> Vec<u8> {
        let mut sealed = vec![AES_256_GCM, self.current.id];
        seal(&cipher(&self.current.key), context, value, &mut sealed);
        sealed
    }

    fn open_under_master(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let [AES_256_GCM, id, rest @ ..] = sealed else { return Err(VaultError::Malformed) };
        let mut keys = std::iter::once(&self.current).chain(&self.former);
        let master = keys.find(|master| master.id == *id).ok_or(VaultError::UnknownMasterKey(*id))?;
        open(&cipher(&master.key), context, rest)
    }
}

impl PersonKey {
    /// Seals a value of this person.
    pub fn seal(&self, field: Field, text: &str) -> Vec<u8> {
        let mut sealed = vec![AES_256_GCM];
        seal(&self.0, field.name().as_bytes(), text.as_bytes(), &mut sealed);
        sealed
    }

    /// Opens a value of this person.
    ///
    /// # Errors
    /// If it was changed, is another field's, or another person's.
    pub fn open(&self, field: Field, sealed: &[u8]) -> Result<String, VaultError> {
        let [AES_256_GCM, rest @ ..] = sealed else { return Err(VaultError::Malformed) };
        let text = open(&self.0, field.name().as_bytes(), rest)?;
        String::from_utf8(text).map_err(|_| VaultError::Malformed)
    }
}

/// Appends nonce and ciphertext to `sealed`. Nonces are random: far fewer than 2³² values are ever sealed under one key.
fn seal(cipher: &Aes256Gcm, context: &[u8], value: &[u8], sealed: &mut Vec<u8>) {
    let nonce = Nonce::generate();
    let ciphertext = cipher.encrypt(&nonce, Payload { msg: value, aad: context });
    sealed.extend_from_slice(&nonce);
    sealed.extend(ciphertext.expect("a field is far below the cipher's limit of 64 GiB"));
}

fn open(cipher: &Aes256Gcm, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES).ok_or(VaultError::Malformed)?;
    let nonce = Nonce::try_from(nonce).map_err(|_| VaultError::Malformed)?;
    cipher.decrypt(&nonce, Payload { msg: ciphertext, aad: context }).map_err(|_| VaultError::Tampered)
}

fn cipher(key: &[u8; KEY_BYTES]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
}

fn mac(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn person_key_context(owner: Uuid) -> Vec<u8> {
    [b"person key:".as_slice(), owner.as_bytes()].concat()
}

fn owner_context(owner: Uuid, field: Field) -> Vec<u8> {
    [field.name().as_bytes(), b":", owner.as_bytes()].concat()
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Field::Name => "name",
            Field::IdNumber => "id_number",
            Field::Mobile => "mobile",
            Field::CardNumber => "card_number",
            Field::CardMobile => "card_mobile",
            Field::SettlementAccount => "settlement_account",
            Field::ContactMobile => "contact_mobile",
            Field::OpenId => "openid",
            Field::OnboardingDraft => "onboarding_draft",
            Field::PlatformKey => "platform_key",
        }
    }
}

impl Indexed {
    const fn name(self) -> &'static str {
        match self {
            Indexed::IdNumber => "id_number",
            Indexed::Mobile => "mobile",
            Indexed::CardNumber => "card_number",
            Indexed::OpenId => "openid",
            Indexed::Pin => "pin",
            Indexed::Passcode => "passcode",
            Indexed::Address => "address",
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("current", &self.current.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Uuid = Uuid::from_u128(7);

    fn vault() -> Vault {
        Vault::with_master([7; 32])
    }

    #[test]
    fn what_was_sealed_opens_again_under_the_stored_key() {
        let (key, stored) = vault().new_person_key(OWNER);
        let sealed = key.seal(Field::Name, "张三");
        let reopened = vault().open_person_key(OWNER, &stored).unwrap();
        assert_eq!(reopened.open(Field::Name, &sealed).unwrap(), "张三");
        assert_ne!(key.seal(Field::Name, "张三"), sealed, "the same name never looks the same twice");
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let (key, _) = vault().new_person_key(OWNER);
        let sealed = key.seal(Field::Mobile, "13800138000");
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key.open(Field::Mobile, &changed).is_err(), "byte {position}");
            assert!(key.open(Field::Mobile, &sealed[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn a_value_does_not_open_as_another_field_or_for_another_person() {
        let (key, stored) = vault().new_person_key(OWNER);
        let sealed = key.seal(Field::Mobile, "13800138000");
        assert_eq!(key.open(Field::CardMobile, &sealed), Err(VaultError::Tampered));
        let (other, _) = vault().new_person_key(Uuid::from_u128(8));
        assert_eq!(other.open(Field::Mobile, &sealed), Err(VaultError::Tampered));
        assert_eq!(vault().open_person_key(Uuid::from_u128(8), &stored).err(), Some(VaultError::Tampered));
    }

    #[test]
    fn another_master_key_opens_nothing() {
        let (_, stored) = vault().new_person_key(OWNER);
        let other = Vault::with_master([8; 32]);
        assert_eq!(other.open_person_key(OWNER, &stored).err(), Some(VaultError::Tampered));
    }

    #[test]
    fn a_rotated_master_key_still_opens_what_the_former_sealed() {
        let former = MasterKey { id: 1, key: [7; 32] };
        let old = Vault::new(former.clone(), Vec::new(), [1; 32]);
        let (key, stored) = old.new_person_key(OWNER);
        let sealed = key.seal(Field::IdNumber, "11010519491231002X");

        let new = Vault::new(MasterKey { id: 2, key: [9; 32] }, vec![former], [1; 32]);
        let reopened = new.open_person_key(OWNER, &stored).unwrap();
        assert_eq!(reopened.open(Field::IdNumber, &sealed).unwrap(), "11010519491231002X");
        let (_, later) = new.new_person_key(OWNER);
        assert_eq!(old.open_person_key(OWNER, &later).err(), Some(VaultError::UnknownMasterKey(2)));
    }

    #[test]
    fn a_merchants_value_is_bound_to_its_owner_and_field() {
        let sealed = vault().seal_for(OWNER, Field::SettlementAccount, "6222020200000000000");
        assert_eq!(vault().open_for(OWNER, Field::SettlementAccount, &sealed).unwrap(), "6222020200000000000");
        assert!(vault().open_for(OWNER, Field::ContactMobile, &sealed).is_err());
        assert!(vault().open_for(Uuid::from_u128(8), Field::SettlementAccount, &sealed).is_err());
    }

    #[test]
    fn a_blind_index_depends_on_kind_value_and_key() {
        let index = vault().index(Indexed::Mobile, "13800138000");
        assert_eq!(index, vault().index(Indexed::Mobile, "13800138000"));
        assert_ne!(index, vault().index(Indexed::IdNumber, "13800138000"));
        assert_ne!(index, vault().index(Indexed::Mobile, "13800138001"));
        assert_ne!(index, Vault::with_master([8; 32]).index(Indexed::Mobile, "13800138000"));
    }
}
