//! Use cases of partners' access: add a partner, add and revoke its keys, change what it may do, rotate our own keys.
//! Each records who asked for it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::address::AddressRange;
use super::directory::{PLATFORM, make_platform_key};
use super::history_store::{self, AccessEventRow, NewAccessEvent};
use super::model::{AccessChange, PartnerKind, Scope, is_same_holder};
use super::store::{self, KeyRow, PartnerRow, PlatformKeyRow};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::code::{CODE_BYTES_MAX, is_code};
use crate::base::id::{self, MerchantId};
use crate::base::typed::is_one_line;
use crate::database;
use crate::error::{Fault, Outcome, Refusal, Step};
use crate::partner::key::{Algorithm, PublicKey};

/// Requests per minute; a core system's nightly fetch needs far fewer.
pub const RATE_PER_MINUTE_DEFAULT: i32 = 6_000;
pub const RATE_PER_MINUTE_MAX: i32 = 6_000_000;
const HOLDER_CHARS_MAX: usize = 64;
const BY_CHARS_MAX: usize = 64;

/// Why access is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessRefusal {
    #[error("there is no partner {0}; `fenqi partner list` shows those that there are")]
    UnknownPartner(String),
    #[error(
        "there is a partner {0} already: `fenqi partner list` shows its terms, and `fenqi partner grant` changes them"
    )]
    PartnerExists(String),
    #[error("a partner's name has 2 to 32 lower-case letters, digits and hyphens")]
    CodeMalformed,
    #[error(
        "a funder's partner is added with its funder's code as owner, a merchant's with the merchant's id, a risk partner without"
    )]
    OwnerMissing,
    #[error("there is no funder or merchant {0}; `fenqi partner owners` lists them")]
    UnknownOwner(String),
    #[error("the scope {0} is not for a partner of this kind")]
    ScopeOfAnotherKind(&'static str),
    #[error("a rate is from 1 to {RATE_PER_MINUTE_MAX} requests a minute")]
    RateOutOfBounds,
    #[error("a serial number has 1 to 64 letters, digits, dots, hyphens and underscores")]
    SerialMalformed,
    #[error("the public key is neither PEM (SM2, or RSA of 2048 bits and more) nor an SM2 point in hexadecimal")]
    KeyMalformed,
    #[error("a key's holder is named in 1 to {HOLDER_CHARS_MAX} characters on one line")]
    HolderMalformed,
    #[error("the serial number {0} was used before; a serial number never names another key")]
    SerialTaken(String),
    #[error("this public key is known as {0}; each serial number names a key of its own")]
    KeyTaken(String),
    #[error(
        "the key {0} is there with another holder or another end, which stay as they are; revoke it when it is to end"
    )]
    KeyDiffers(String),
    #[error(
        "another partner's key with this public half has another holder; what two people do needs two private keys"
    )]
    HeldByAnother,
    #[error("a key whose end is past lets nobody in; name a later one")]
    KeyEnded,
    #[error("there is no key {0} that could be revoked; `fenqi partner list` shows each partner's keys")]
    UnknownKey(String),
    #[error("who changes access is named in 1 to {BY_CHARS_MAX} characters")]
    ByMalformed,
}

impl Refusal for AccessRefusal {
    fn code(&self) -> &'static str {
        match self {
            AccessRefusal::UnknownPartner(_) => "unknown_partner",
            AccessRefusal::PartnerExists(_) => "partner_exists",
            AccessRefusal::CodeMalformed => "partner_code_malformed",
            AccessRefusal::OwnerMissing => "owner_missing",
            AccessRefusal::UnknownOwner(_) => "unknown_owner",
            AccessRefusal::ScopeOfAnotherKind(_) => "scope_of_another_kind",
            AccessRefusal::RateOutOfBounds => "rate_out_of_bounds",
            AccessRefusal::SerialMalformed => "serial_malformed",
            AccessRefusal::KeyMalformed => "key_malformed",
            AccessRefusal::HolderMalformed => "holder_malformed",
            AccessRefusal::SerialTaken(_) => "serial_taken",
            AccessRefusal::KeyTaken(_) => "key_taken",
            AccessRefusal::KeyDiffers(_) => "key_differs",
            AccessRefusal::HeldByAnother => "key_held_by_another",
            AccessRefusal::KeyEnded => "key_ended",
            AccessRefusal::UnknownKey(_) => "unknown_key",
            AccessRefusal::ByMalformed => "by_malformed",
        }
    }
}

/// A partner to be added.
#[derive(Clone, Debug)]
pub struct NewPartner {
    pub code: String,
    pub kind: PartnerKind,
    /// A funder's code or a merchant's id.
    pub owner: Option<String>,
    pub scopes: Vec<Scope>,
    pub addresses: Vec<AddressRange>,
    pub rate_per_minute: i32,
}

/// Adds a partner; it can do nothing before it has a key.
pub async fn add_partner(app: &App, partner: &NewPartner, by: &str) -> Outcome<(), AccessRefusal> {
    check_form(partner).map_err(Fault::Refused)?;
    let by = named(by).map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let now = app.clock.now();
    let mut row = PartnerRow {
        partner_id: id::mint(now),
        code: partner.code.clone(),
        kind: partner.kind,
        funder_id: None,
        merchant_id: None,
        scopes: texts(&partner.scopes),
        addresses: texts(&partner.addresses),
        rate_per_minute: partner.rate_per_minute,
        version: 1,
        disabled_at: None,
    };
    find_owner(&mut transaction, partner, &mut row).await?;
    if !store::insert_partner(&mut transaction, &row, now).await? {
        return Err(Fault::Refused(AccessRefusal::PartnerExists(partner.code.clone())));
    }
    let after = history_store::show_partner(&mut transaction, row.partner_id).await?;
    let what = AccessChange::PartnerAdded;
    let event = NewAccessEvent { what, partner: &row.code, serial_no: None, before: None, after, by, at: now };
    write_down(&mut transaction, app, &event).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether the partner exists already with exactly these terms, so that there is nothing to add.
pub async fn is_there(app: &App, partner: &NewPartner) -> Outcome<bool, AccessRefusal> {
    let mut connection = app.pool.acquire().await?;
    let Some(known) = store::find_partner(&mut connection, &partner.code).await? else { return Ok(false) };
    let mut wanted = PartnerRow { kind: partner.kind, funder_id: None, merchant_id: None, ..known.clone() };
    find_owner(&mut connection, partner, &mut wanted).await?;
    let sorted = |mut texts: Vec<String>| {
        texts.sort();
        texts
    };
    Ok((known.kind, known.funder_id, known.merchant_id) == (wanted.kind, wanted.funder_id, wanted.merchant_id)
        && sorted(known.scopes) == sorted(texts(&partner.scopes))
        && sorted(known.addresses) == sorted(texts(&partner.addresses))
        && known.rate_per_minute == partner.rate_per_minute)
}

/// Records a change in the history of access and in the audit trail. The audit trail gets no key holder, who is a person.
async fn write_down(connection: &mut PgConnection, app: &App, event: &NewAccessEvent<'_>) -> sqlx::Result<()> {
    history_store::insert_event(connection, event).await?;
    let mut after = event.after.clone();
    if let Some(fields) = after.as_object_mut() {
        fields.remove("holder");
    }
    let detail = json!({ "what": event.what, "serial_no": event.serial_no, "after": after });
    audit::record(connection, app, Act::new(Action::AccessChanged, event.partner, detail)).await
}

/// The name of the person who asks for a change, checked.
fn named(by: &str) -> Result<&str, AccessRefusal> {
    let by = by.trim();
    if by.is_empty() || by.chars().count() > BY_CHARS_MAX {
        return Err(AccessRefusal::ByMalformed);
    }
    Ok(by)
}

fn check_form(partner: &NewPartner) -> Result<(), AccessRefusal> {
    if !is_code(&partner.code, CODE_BYTES_MAX) {
        return Err(AccessRefusal::CodeMalformed);
    }
    check_terms(partner.kind, &partner.scopes, partner.rate_per_minute)
}

fn check_terms(kind: PartnerKind, scopes: &[Scope], rate_per_minute: i32) -> Result<(), AccessRefusal> {
    if let Some(scope) = scopes.iter().find(|scope| scope.kind() != kind) {
        return Err(AccessRefusal::ScopeOfAnotherKind(scope.as_str()));
    }
    if !(1..=RATE_PER_MINUTE_MAX).contains(&rate_per_minute) {
        return Err(AccessRefusal::RateOutOfBounds);
    }
    Ok(())
}

async fn find_owner(
    connection: &mut PgConnection,
    partner: &NewPartner,
    row: &mut PartnerRow,
) -> Outcome<(), AccessRefusal> {
    let unknown = |name: &str| Fault::Refused(AccessRefusal::UnknownOwner(name.to_owned()));
    match (partner.kind, partner.owner.as_deref()) {
        (PartnerKind::Risk, None) => {}
        (PartnerKind::Funder, Some(code)) => {
            row.funder_id = Some(store::find_funder(connection, code).await?.ok_or_else(|| unknown(code))?);
        }
        (PartnerKind::Merchant, Some(text)) => {
            let merchant_id: MerchantId = text.parse().map_err(|_| unknown(text))?;
            if !store::has_merchant(connection, merchant_id).await? {
                return Err(unknown(text));
            }
            row.merchant_id = Some(merchant_id);
        }
        _ => return Err(Fault::Refused(AccessRefusal::OwnerMissing)),
    }
    Ok(())
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// A public key that a partner gave us.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub partner: String,
    pub serial_no: String,
    /// PEM, or an SM2 point in hexadecimal.
    pub public_key: String,
    /// The person or system that holds the private half.
    pub holder: String,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Adds a key to those that the partner has. The same key again changes nothing; the same key under another serial number is refused. If
/// other partners have the key too, its holder must be the same there: otherwise the person who has the private key would count as two.
pub async fn add_key(app: &App, new: &NewKey, by: &str) -> Outcome<Step, AccessRefusal> {
    let by = named(by).map_err(Fault::Refused)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=64).contains(&new.serial_no.len()) || !new.serial_no.bytes().all(is_plain) {
        return Err(Fault::Refused(AccessRefusal::SerialMalformed));
    }
    let holder = new.holder.trim();
    if holder.is_empty() || holder.chars().count() > HOLDER_CHARS_MAX || !is_one_line(holder) {
        return Err(Fault::Refused(AccessRefusal::HolderMalformed));
    }
    let public = PublicKey::from_text(&new.public_key).ok_or(Fault::Refused(AccessRefusal::KeyMalformed))?;
    let mut transaction = database::begin(&app.pool).await?;
    let partner = find(&mut transaction, &new.partner).await?;
    let key = KeyRow {
        partner_id: partner.partner_id,
        serial_no: new.serial_no.clone(),
        algorithm: public.algorithm(),
        public_key: public.to_der(),
        holder: holder.to_owned(),
        added_at: app.clock.now(),
        expires_at: new.expires_at,
        revoked_at: None,
    };
    store::lock_keys(&mut transaction).await?;
    if store::insert_key(&mut transaction, &key).await? {
        if key.expires_at.is_some_and(|end| end <= app.access.now()) {
            return Err(Fault::Refused(AccessRefusal::KeyEnded));
        }
        let others = store::list_other_holders(&mut transaction, key.partner_id, &key.public_key).await?;
        if !others.iter().all(|other| is_same_holder(other, &key.holder)) {
            return Err(Fault::Refused(AccessRefusal::HeldByAnother));
        }
        let shown = history_store::show_key(&mut transaction, key.partner_id, &key.serial_no).await?;
        let after = shown.ok_or(sqlx::Error::RowNotFound)?;
        let (what, serial_no, at) = (AccessChange::KeyAdded, Some(key.serial_no.as_str()), key.added_at);
        let event = NewAccessEvent { what, partner: &partner.code, serial_no, before: None, after, by, at };
        write_down(&mut transaction, app, &event).await?;
        transaction.commit().await?;
        return Ok(Step::Applied);
    }
    compare_with_known(store::list_keys(&mut transaction, partner.partner_id).await?, key)
}

/// The outcome for a key whose serial number or public key the partner has already: applied before if it is the same key, else refused.
/// `keys` are the partner's.
fn compare_with_known(keys: Vec<KeyRow>, key: KeyRow) -> Outcome<Step, AccessRefusal> {
    let Some(named) = keys.iter().find(|known| known.serial_no == key.serial_no) else {
        let known =
            keys.into_iter().find(|known| known.public_key == key.public_key).ok_or(sqlx::Error::RowNotFound)?;
        return Err(Fault::Refused(AccessRefusal::KeyTaken(known.serial_no)));
    };
    if named.public_key != key.public_key || named.revoked_at.is_some() {
        return Err(Fault::Refused(AccessRefusal::SerialTaken(key.serial_no)));
    }
    // The database keeps microseconds.
    let end = |key: &KeyRow| key.expires_at.map(|end| end.timestamp_micros());
    if (&named.holder, end(named)) != (&key.holder, end(&key)) {
        return Err(Fault::Refused(AccessRefusal::KeyDiffers(key.serial_no)));
    }
    Ok(Step::AlreadyApplied)
}

/// Revokes a key: from the next request on, no node accepts it. Revoking it again changes nothing, and the first time stays recorded.
pub async fn revoke_key(app: &App, partner: &str, serial_no: &str, by: &str) -> Outcome<Step, AccessRefusal> {
    let by = named(by).map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let PartnerRow { partner_id, code, .. } = find(&mut transaction, partner).await?;
    let at = app.clock.now();
    let before = history_store::show_key(&mut transaction, partner_id, serial_no).await?;
    if before.is_none() {
        return Err(Fault::Refused(AccessRefusal::UnknownKey(serial_no.to_owned())));
    }
    if !store::revoke_key(&mut transaction, partner_id, serial_no, at).await? {
        transaction.rollback().await?;
        return Ok(Step::AlreadyApplied);
    }
    let shown = history_store::show_key(&mut transaction, partner_id, serial_no).await?;
    let after = shown.ok_or(sqlx::Error::RowNotFound)?;
    let (what, serial_no) = (AccessChange::KeyRevoked, Some(serial_no));
    let event = NewAccessEvent { what, partner: &code, serial_no, before, after, by, at };
    write_down(&mut transaction, app, &event).await?;
    transaction.commit().await?;
    Ok(Step::Applied)
}

/// What changes about a partner; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct PartnerChange {
    pub grant: Vec<Scope>,
    pub take_back: Vec<Scope>,
    pub addresses: Option<Vec<AddressRange>>,
    pub rate_per_minute: Option<i32>,
    pub is_disabled: Option<bool>,
}

/// Grants and takes back scopes, sets addresses and rate, switches a partner off and on. Nothing is recorded if nothing changes.
pub async fn change_partner(app: &App, code: &str, change: &PartnerChange, by: &str) -> Outcome<Step, AccessRefusal> {
    let by = named(by).map_err(Fault::Refused)?;
    let at = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let partner_id = find(&mut transaction, code).await?.partner_id;
    let before = Some(history_store::show_partner(&mut transaction, partner_id).await?);
    // Read again under the lock, so that a change made meanwhile is not overwritten.
    let known = find(&mut transaction, code).await?;
    let mut partner = known.clone();
    let rate_per_minute = change.rate_per_minute.unwrap_or(partner.rate_per_minute);
    check_terms(partner.kind, &change.grant, rate_per_minute).map_err(Fault::Refused)?;
    partner.rate_per_minute = rate_per_minute;
    for scope in texts(&change.grant) {
        if !partner.scopes.contains(&scope) {
            partner.scopes.push(scope);
        }
    }
    partner.scopes.retain(|scope| !change.take_back.iter().any(|taken| taken.as_str() == scope));
    if let Some(addresses) = &change.addresses {
        partner.addresses = texts(addresses);
    }
    if let Some(is_disabled) = change.is_disabled {
        partner.disabled_at = if is_disabled { known.disabled_at.or(Some(at)) } else { None };
    }
    if partner == known {
        return database::end(transaction, Ok(Step::AlreadyApplied)).await;
    }
    store::update_partner(&mut transaction, &partner).await?;
    let after = history_store::show_partner(&mut transaction, partner_id).await?;
    let what = AccessChange::GrantChanged;
    let event = NewAccessEvent { what, partner: code, serial_no: None, before, after, by, at };
    write_down(&mut transaction, app, &event).await?;
    transaction.commit().await?;
    Ok(Step::Applied)
}

/// What was changed of a partner, or of our own keys under the platform's name, the oldest first.
pub async fn list_changes(app: &App, code: &str) -> Outcome<Vec<AccessEventRow>, AccessRefusal> {
    let mut connection = app.pool.acquire().await?;
    if code != PLATFORM {
        find(&mut connection, code).await?;
    }
    Ok(history_store::list_events(&mut connection, code).await?)
}

async fn find(connection: &mut PgConnection, code: &str) -> Outcome<PartnerRow, AccessRefusal> {
    let found = store::find_partner(connection, code).await?;
    found.ok_or_else(|| Fault::Refused(AccessRefusal::UnknownPartner(code.to_owned())))
}

/// A new key of ours.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    pub algorithm: Algorithm,
    /// When it begins to sign. It is listed before, so that partners know it by then. At once if it is `None` or in the past.
    pub signs_from: Option<DateTime<Utc>>,
    pub by: &'a str,
}

/// Makes a new key of ours. The older keys of its algorithm sign until it does, and stay listed so that partners can check what they have
/// signed.
///
/// # Errors
/// Nobody is named; failures of the database or of the system's randomness.
pub async fn rotate_platform_key(app: &App, rotation: Rotation<'_>) -> Outcome<PlatformKeyRow, AccessRefusal> {
    let by = named(rotation.by).map_err(Fault::Refused)?;
    if rotation.signs_from.is_some_and(|from| from > app.access.now()) {
        // Makes sure that a key signs until then; otherwise the new one would sign at once.
        app.access.load_signers(rotation.algorithm).await?;
    }
    let (algorithm, now) = (rotation.algorithm, app.access.now());
    let signs_from = rotation.signs_from.map_or(now, |from| from.max(now));
    let made = make_platform_key(&app.vault, algorithm, now)?;
    let mut transaction = database::begin(&app.pool).await?;
    // Of two rotations at once, each would miss the other's new key, and leave it without an end.
    store::lock_platform_keys(&mut transaction).await?;
    let before = Some(show_signing(&store::list_platform_keys(&mut transaction).await?, algorithm, now));
    store::insert_platform_key(&mut transaction, &made).await?;
    store::retire_platform_keys(&mut transaction, algorithm, &made.serial_no, signs_from).await?;
    let mut after = show_signing(&store::list_platform_keys(&mut transaction).await?, algorithm, now);
    if signs_from > now {
        after["from"] = json!(signs_from);
    }
    let (what, serial_no) = (AccessChange::PlatformKeyRotated, Some(made.serial_no.as_str()));
    let event = NewAccessEvent { what, partner: PLATFORM, serial_no, before, after, by, at: now };
    write_down(&mut transaction, app, &event).await?;
    transaction.commit().await?;
    Ok(made)
}

/// For the history: which of our keys of an algorithm signs now, and which will sign next. `keys` are all of our keys, the newest first.
fn show_signing(keys: &[PlatformKeyRow], algorithm: Algorithm, now: DateTime<Utc>) -> Value {
    let live = keys.iter().rev().filter(|key| key.algorithm == algorithm && key.may_sign(now));
    let mut live = live.map(|key| key.serial_no.as_str());
    let signs: Vec<&str> = live.next().into_iter().collect();
    let next: Vec<&str> = live.collect();
    if next.is_empty() { json!({ "signs": signs }) } else { json!({ "signs": signs, "next": next }) }
}
