//! Authenticates partners' requests, with a cache of what is known of each partner; and holds our own keys, which sign answers. Start with
//! [`Directory::admit`].

use std::collections::{HashMap, HashSet, hash_map};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::address::AddressRange;
use super::admission::{Admission, Counted, Entry, RequestedKey};
use super::answer_store::{Keyed, Wanted};
use super::answers::Answers;
use super::model::{Believed, Denial, Known, KnownKey, Owner, Rate, Scope};
use super::store::{self, PartnerRow, PlatformKeyRow};
use super::strangers::{KeyName, Strangers, UNKNOWN_KEPT};
use crate::base::hex::hex_encode;
use crate::base::{Clock, id};
use crate::database;
use crate::error::{Attempt, Fault, Outcome};
use crate::partner::SignatureError;
use crate::partner::key::{Algorithm, PrivateKey, PublicKey};
use crate::partner::signature::{Authorization, Identity, Received};
use crate::vault::{Field, Vault};

/// Our own id in signatures, as `mchid` is a partner's.
pub const PLATFORM: &str = "fenqi";
/// How long our own keys are cached, so that no answer and no callback asks the database who signs. Other nodes use a key that replaces
/// another at once only so much later, which does no harm: partners believe nothing by the new key until they have it, which takes longer,
/// and whoever has stolen the former one signs by it however soon we stop. A change that was announced earlier is known, and kept to the
/// moment.
const PLATFORM_KEYS_KEPT: TimeDelta = TimeDelta::seconds(30);
/// Partners cached; when there are more, the cache is emptied.
const KNOWN_MAX: usize = 10_000;

/// The nonce of a call that was authenticated, and when it came.
#[derive(Clone, Debug)]
pub struct NonceUse {
    pub nonce: String,
    pub at: DateTime<Utc>,
}

/// A request that was let in: whose it is, and by which key.
#[derive(Clone)]
pub struct Admitted {
    pub known: Arc<Known>,
    pub serial_no: String,
    pub holder: String,
    pub algorithm: Algorithm,
    pub rate: Rate,
    /// The idempotency key that it has taken, if it wanted one and got it.
    pub taken: Option<(Keyed, Attempt)>,
}

/// One for each node. Its cache of a partner is at most one request old: each request that is counted returns the partner's version.
pub struct Directory {
    pool: PgPool,
    vault: Arc<Vault>,
    wire_clock: Clock,
    /// Proxies of ours, which are trusted to tell the caller's address.
    proxies: Vec<AddressRange>,
    admission: Admission,
    answers: Answers,
    known: RwLock<HashMap<String, Arc<Known>>>,
    strangers: Strangers,
    /// Locked while they are read, so that one request reads them for all that wait.
    key_names: tokio::sync::Mutex<Option<KeyNames>>,
    signers: RwLock<Option<Signers>>,
}

/// The names of all keys that may sign.
struct KeyNames {
    all: HashSet<KeyName>,
    read_at: DateTime<Utc>,
}

struct Signers {
    by_algorithm: HashMap<Algorithm, Signer>,
    loaded_at: DateTime<Utc>,
}

/// The key by which we sign, and until when, where its end is known.
pub(super) struct Signer {
    identity: Arc<Identity>,
    retired_at: Option<DateTime<Utc>>,
}

impl Directory {
    /// `wire_clock` is time as partners see it, for signatures and rates.
    pub fn new(pool: PgPool, vault: Arc<Vault>, wire_clock: Clock) -> Directory {
        let admission = Admission::start(pool.clone());
        let answers = Answers::start(pool.clone());
        let (proxies, known, signers) = (Vec::new(), RwLock::default(), RwLock::default());
        let (strangers, key_names) = (Strangers::default(), tokio::sync::Mutex::default());
        Directory { pool, vault, wire_clock, proxies, admission, answers, known, strangers, key_names, signers }
    }

    #[must_use]
    pub fn behind(self, proxies: Vec<AddressRange>) -> Directory {
        Directory { proxies, ..self }
    }

    pub fn proxies(&self) -> &[AddressRange] {
        &self.proxies
    }

    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.wire_clock.now()
    }

    /// Whether a request from this address is looked at. If too many from there were not authenticated, only requests that name an existing
    /// key are, and only until too many of those have failed as well. Nothing but the header `Authorization` needs to be read for this.
    ///
    /// # Errors
    /// `TooManyNotBelieved`.
    pub async fn look(&self, address: IpAddr, authorization: Option<&str>) -> Outcome<(), Denial> {
        let now = self.now();
        if self.strangers.seconds_blocked(address, None, now).is_none() {
            return Ok(());
        }
        let mut known = named(authorization);
        if let Some(name) = known
            && !self.has_key(name, now).await?
        {
            known = None;
        }
        self.check_not_blocked(address, known).map_err(Fault::Refused)
    }

    /// As [`Directory::look`], if it is known already which existing key the request names; `None` if it names none.
    ///
    /// # Errors
    /// `TooManyNotBelieved`.
    pub fn check_not_blocked(&self, address: IpAddr, known: Option<KeyName>) -> Result<(), Denial> {
        let blocked = self.strangers.seconds_blocked(address, known, self.now());
        blocked.map_or(Ok(()), |reset_seconds| Err(Denial::TooManyNotBelieved { reset_seconds }))
    }

    /// Whether a partner has a key with that name, as of a moment ago. All names are read at once and cached, so that made-up names cost
    /// nothing.
    async fn has_key(&self, name: KeyName, now: DateTime<Utc>) -> anyhow::Result<bool> {
        let mut names = self.key_names.lock().await;
        let is_young = names.as_ref().is_some_and(|names| (now - names.read_at).abs() < UNKNOWN_KEPT);
        if !is_young {
            let rows = store::list_key_names(&mut *self.pool.acquire().await?).await?;
            let all = rows.iter().map(|row| KeyName::of(&row.code, &row.serial_no)).collect();
            *names = Some(KeyNames { all, read_at: now });
        }
        Ok(names.as_ref().is_some_and(|names| names.all.contains(&name)))
    }

    /// Counts a request that could not be authenticated, against its address and against the key that it named.
    pub fn count_failure(&self, address: IpAddr, authorization: Option<&str>) {
        self.strangers.count(address, named(authorization), self.now());
    }

    /// The reason that the caller is told when a request is not let in. A stranger must not learn which partners and keys exist: an unknown
    /// key is told as a wrong signature, and once the address has failed too often, every failure is told as that.
    pub fn refusal_to_show(&self, denial: Denial, address: IpAddr) -> Denial {
        if denial.believed().is_some() || !denial.counts_against_address() {
            return denial;
        }
        match (self.check_not_blocked(address, None), denial) {
            (Err(waits), _) => waits,
            (Ok(()), Denial::Signature(SignatureError::UnknownKey)) => Denial::Signature(SignatureError::Wrong),
            (Ok(()), denial) => denial,
        }
    }

    /// Authenticates a request: checks signature, time, address, nonce and rate, and tells whose it is. `requested` is called only once the
    /// signature is right, and names the idempotency key to take; a caller that gets a key must later answer or release it.
    ///
    /// # Errors
    /// Why it is not let in. Only a request with a right signature uses up its nonce.
    pub async fn admit(
        &self,
        received: Received<'_>,
        address: IpAddr,
        requested: impl FnOnce() -> Option<RequestedKey> + Send,
    ) -> Outcome<Admitted, Denial> {
        let now = self.now();
        let admitted = match received.authorization(now) {
            Ok(authorization) => {
                let name = KeyName::of(&authorization.mchid, &authorization.serial_no);
                if self.strangers.is_unknown(name, now) {
                    Err(refused(SignatureError::UnknownKey))
                } else {
                    let judged = self.judge(authorization, received, address, requested).await;
                    if matches!(judged, Err(Fault::Refused(Denial::Signature(SignatureError::UnknownKey)))) {
                        self.strangers.remember_unknown(name, now);
                    }
                    judged
                }
            }
            Err(error) => Err(refused(error)),
        };
        if let Err(Fault::Refused(denial)) = &admitted
            && denial.counts_against_address()
        {
            self.count_failure(address, received.authorization);
        }
        admitted
    }

    async fn judge(
        &self,
        authorization: Authorization,
        received: Received<'_>,
        address: IpAddr,
        requested: impl FnOnce() -> Option<RequestedKey> + Send,
    ) -> Outcome<Admitted, Denial> {
        let now = self.now();
        let unknown = || refused(SignatureError::UnknownKey);
        let mut known = self.find(&authorization.mchid).await?.ok_or_else(unknown)?;
        match check(&known, &authorization, received, now, address) {
            Ok(()) => {}
            // The cache may be older than a key or an address that was added.
            Err(Denial::Signature(SignatureError::UnknownKey) | Denial::AddressNotAllowed(_)) => {
                known = self.load(&authorization.mchid).await?.ok_or_else(unknown)?;
                check(&known, &authorization, received, now, address).map_err(Fault::Refused)?;
            }
            Err(denial) => return Err(Fault::Refused(denial)),
        }
        let wanted = requested().and_then(|key| key.of(&known, now));
        let keyed = wanted.as_ref().map(|wanted| wanted.keyed.clone());
        let used = NonceUse { nonce: authorization.stamp.nonce.clone(), at: now };
        let counted = self.count(&known, used, wanted).await?;
        if !counted.is_fresh {
            return Err(Fault::Refused(Denial::NonceReused(believed(&known, &authorization))));
        }
        if counted.version != known.version {
            // The partner was changed (a key revoked, for example) after it was cached: check again by its present state.
            known = self.load(&authorization.mchid).await?.ok_or_else(unknown)?;
            check(&known, &authorization, received, now, address).map_err(Fault::Refused)?;
        }
        if !counted.is_within_rate {
            let believed = believed(&known, &authorization);
            return Err(Fault::Refused(Denial::RateExceeded(believed, counted.rate)));
        }
        let holder = known.keys.get(&authorization.serial_no).map_or(String::new(), |key| key.holder.clone());
        let Authorization { serial_no, algorithm, .. } = authorization;
        Ok(Admitted { known, serial_no, holder, algorithm, rate: counted.rate, taken: keyed.zip(counted.taken) })
    }

    /// Counts a call that is authenticated already, uses up its nonce, and takes the key that is wanted.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn count(&self, known: &Known, used: NonceUse, wanted: Option<Wanted>) -> anyhow::Result<Counted> {
        let NonceUse { nonce, at } = used;
        let (partner_id, version) = (known.partner_id, known.version);
        let signer = format!("api:{}", known.code);
        self.admission.count(Entry { partner_id, signer, nonce, version, at, wanted }).await
    }

    /// Whether a partner's system has that code, even one that may not call any more.
    ///
    /// # Errors
    /// Failures of the database.
    pub async fn is_partner(&self, code: &str) -> anyhow::Result<bool> {
        Ok(self.find(code).await?.is_some())
    }

    async fn find(&self, code: &str) -> anyhow::Result<Option<Arc<Known>>> {
        let remembered = self.known.read().unwrap_or_else(PoisonError::into_inner).get(code).cloned();
        match remembered {
            Some(known) => Ok(Some(known)),
            None => self.load(code).await,
        }
    }

    async fn load(&self, code: &str) -> anyhow::Result<Option<Arc<Known>>> {
        let mut connection = self.pool.acquire().await?;
        let Some(row) = store::find_partner(&mut connection, code).await? else { return Ok(None) };
        let keys = store::list_keys(&mut connection, row.partner_id).await?;
        drop(connection);
        let known = Arc::new(known_of(row, keys)?);
        let mut remembered = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= KNOWN_MAX {
            remembered.clear();
        }
        remembered.insert(code.to_owned(), known.clone());
        Ok(Some(known))
    }

    /// Our key that signs with an algorithm; the first time, one is made.
    ///
    /// # Errors
    /// Failures of the database, or a key that the vault does not open.
    pub async fn signer(&self, algorithm: Algorithm) -> anyhow::Result<Arc<Identity>> {
        let now = self.now();
        if let Some(identity) = self.remembered_signer(algorithm, now) {
            return Ok(identity);
        }
        let by_algorithm = self.load_signers(algorithm).await?;
        let signer = by_algorithm.get(&algorithm).context("a key that was just made is not there")?;
        let identity = signer.identity.clone();
        *self.signers.write().unwrap_or_else(PoisonError::into_inner) = Some(Signers { by_algorithm, loaded_at: now });
        Ok(identity)
    }

    fn remembered_signer(&self, algorithm: Algorithm, now: DateTime<Utc>) -> Option<Arc<Identity>> {
        let remembered = self.signers.read().unwrap_or_else(PoisonError::into_inner);
        // `abs`, so that a clock that was set back does not keep them in the cache for longer.
        let young = remembered.as_ref().filter(|signers| (now - signers.loaded_at).abs() < PLATFORM_KEYS_KEPT);
        let signer = young.and_then(|signers| signers.by_algorithm.get(&algorithm));
        // After a key's end partners accept nothing that it signs.
        let signer = signer.filter(|signer| signer.retired_at.is_none_or(|end| now < end));
        signer.map(|signer| signer.identity.clone())
    }

    /// The key that signs in each algorithm, read from the database. If there is none for `needed`, one is made.
    pub(super) async fn load_signers(&self, needed: Algorithm) -> anyhow::Result<HashMap<Algorithm, Signer>> {
        let mut rows = store::list_platform_keys(&mut *self.pool.acquire().await?).await?;
        let now = self.now();
        if !has_signer(&rows, needed, now) {
            rows = self.make_signer(needed, now).await?;
        }
        let mut signers = HashMap::new();
        // The oldest that may sign wins: newer ones are listed in advance, so that partners know them.
        for row in rows.into_iter().rev().filter(|row| row.may_sign(now)) {
            if let hash_map::Entry::Vacant(place) = signers.entry(row.algorithm) {
                let key = open_platform_key(&self.vault, &row)?;
                let identity = Arc::new(Identity::new(PLATFORM, &row.serial_no, key));
                place.insert(Signer { identity, retired_at: row.retired_at });
            }
        }
        Ok(signers)
    }

    /// Makes a key of ours, unless another node has just made one. Returns all of our keys, the newest first.
    async fn make_signer(&self, needed: Algorithm, now: DateTime<Utc>) -> anyhow::Result<Vec<PlatformKeyRow>> {
        let mut transaction = database::begin(&self.pool).await?;
        store::lock_platform_keys(&mut transaction).await?;
        let mut rows = store::list_platform_keys(&mut transaction).await?;
        if !has_signer(&rows, needed, now) {
            let made = make_platform_key(&self.vault, needed, now)?;
            store::insert_platform_key(&mut transaction, &made).await?;
            rows.insert(0, made);
        }
        transaction.commit().await?;
        Ok(rows)
    }
}

fn has_signer(keys: &[PlatformKeyRow], algorithm: Algorithm, now: DateTime<Utc>) -> bool {
    keys.iter().any(|key| key.algorithm == algorithm && key.may_sign(now))
}

/// The name of the key that a header names; the key may not exist.
fn named(authorization: Option<&str>) -> Option<KeyName> {
    authorization.and_then(Authorization::parse).map(|parsed| KeyName::of(&parsed.mchid, &parsed.serial_no))
}

fn refused(error: SignatureError) -> Fault<Denial> {
    Fault::Refused(Denial::Signature(error))
}

fn check(
    known: &Known,
    authorization: &Authorization,
    received: Received<'_>,
    now: DateTime<Utc>,
    address: IpAddr,
) -> Result<(), Denial> {
    let key = known.key(&authorization.serial_no, now).ok_or(SignatureError::UnknownKey)?;
    authorization.check(&key.public, received)?;
    if known.allows(address) { Ok(()) } else { Err(Denial::AddressNotAllowed(believed(known, authorization))) }
}

fn believed(known: &Known, authorization: &Authorization) -> Believed {
    Believed { partner: known.code.clone(), algorithm: authorization.algorithm }
}

fn known_of(row: PartnerRow, keys: Vec<store::KeyRow>) -> anyhow::Result<Known> {
    let owner = match (row.funder_id, row.merchant_id) {
        (Some(funder_id), _) => Owner::Funder(funder_id),
        (None, Some(merchant_id)) => Owner::Merchant(merchant_id),
        (None, None) => Owner::Risk,
    };
    let mut known_keys = HashMap::new();
    for key in keys {
        let public = PublicKey::from_der(&key.public_key)
            .with_context(|| format!("key {} of partner {} cannot be read", key.serial_no, row.code))?;
        let known =
            KnownKey { public, holder: key.holder, expires_at: key.expires_at, is_revoked: key.revoked_at.is_some() };
        known_keys.insert(key.serial_no, known);
    }
    // Scopes of a newer version of the program are ignored.
    let scopes = row.scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()).collect();
    let addresses = row.addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    Ok(Known {
        partner_id: row.partner_id,
        code: row.code,
        owner,
        scopes,
        addresses,
        rate_per_minute: row.rate_per_minute,
        version: row.version,
        is_disabled: row.disabled_at.is_some(),
        keys: known_keys,
    })
}

/// A new key of ours, sealed.
///
/// # Errors
/// If the system gives no randomness.
pub fn make_platform_key(vault: &Vault, algorithm: Algorithm, now: DateTime<Utc>) -> anyhow::Result<PlatformKeyRow> {
    let key = PrivateKey::generate(algorithm)?;
    let public_key = key.public_der()?;
    let unlike_any_other = hex_encode(&id::mint(now).as_bytes()[12..]).to_uppercase();
    Ok(PlatformKeyRow {
        serial_no: format!("FENQI-{}-{unlike_any_other}", now.format("%Y%m%d")),
        algorithm,
        private_key_sealed: vault.seal_for(Uuid::nil(), Field::PlatformKey, &key.to_pem()?),
        public_key,
        created_at: now,
        retired_at: None,
    })
}

fn open_platform_key(vault: &Vault, row: &PlatformKeyRow) -> anyhow::Result<PrivateKey> {
    let pem = vault.open_for(Uuid::nil(), Field::PlatformKey, &row.private_key_sealed)?;
    PrivateKey::from_text(&pem).with_context(|| format!("our key {} cannot be read", row.serial_no))
}
