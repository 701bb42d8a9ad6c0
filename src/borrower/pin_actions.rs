//! Setting the PIN and checking it.

use std::sync::LazyLock;
use std::thread;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde_json::json;

use super::model::BorrowerRefusal;
use super::pin::{Pin, PinRefusal, Tries, mobile_kept_until};
use super::pin_store::{self, NewHash, StoredPin};
use super::store;
use crate::app::App;
use crate::base::id::{BorrowerId, LineId};
use crate::base::{BusinessDay, When};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::heavy_work::HeavyWork;
use crate::notice::{self, Notice};
use crate::page::session;
use crate::page::subject::Subject;
use crate::vault::Indexed;

/// Checks the borrower's PIN, before anything that moves money or changes how money moves. Five wrong ones in a row lock it.
pub async fn check_pin(app: &App, borrower_id: BorrowerId, typed: &str) -> Outcome<(), PinRefusal> {
    check_former(app, borrower_id, typed).await.map(|_| ())
}

/// Records that the PIN was given for a visit to a counter, by the visit's key, to pay on a line. `false` where it was given
/// for the same visit before, to pay on another line: whatever became of that, one visit is not paid twice.
pub async fn keep_visit(app: &App, borrower_id: BorrowerId, key: &str, line_id: LineId) -> sqlx::Result<bool> {
    pin_store::keep_visit(&mut *app.pool.acquire().await?, borrower_id, key, line_id).await
}

/// The stored hash of a PIN that was found right.
pub struct Checked(String);

/// As [`check_pin`], for a PIN that is about to be replaced: returns its stored hash.
pub async fn check_former(app: &App, borrower_id: BorrowerId, typed: &str) -> Outcome<Checked, PinRefusal> {
    let pin = Pin::typed(typed).ok_or(Fault::Refused(PinRefusal::Malformed))?;
    let mut transaction = database::begin(&app.pool).await?;
    let stored = pin_store::lock(&mut transaction, borrower_id).await?;
    let stored = stored.ok_or(Fault::Refused(PinRefusal::NotSet))?;
    let tries = Tries { failures: stored.failures, locked_until: stored.locked_until };
    let tries = tries.count(app.clock.now()).map_err(Fault::Refused)?;
    pin_store::save_tries(&mut transaction, borrower_id, tries).await?;
    transaction.commit().await?;
    let keyed = keyed(app, borrower_id, &pin);
    let hash = stored.hash.clone();
    let is_right = HASHING.run(move || is_hash_of(&hash, &keyed)).await??;
    if !is_right {
        return Err(Fault::Refused(tries.refusal()));
    }
    pin_store::clear_tries(&mut *app.pool.acquire().await?, borrower_id, &stored.hash).await?;
    Ok(Checked(stored.hash))
}

/// Which PIN a new one replaces.
pub enum Replaced {
    /// None: it is the first one.
    Nothing,
    /// The one that was just checked, if it is still set: its owner may have set another one since, perhaps because a thief
    /// knows this one.
    Former(Checked),
    /// Any, or none: a passcode and the ID number have proved who asks.
    Any,
}

impl Replaced {
    /// Whether this PIN, which is set at present, may be replaced.
    fn allows(&self, present: Option<&StoredPin>) -> bool {
        match self {
            Replaced::Nothing => present.is_none(),
            Replaced::Former(Checked(hash)) => present.is_some_and(|present| present.hash == *hash),
            Replaced::Any => true,
        }
    }

    /// Whether the PIN is set anew, by a passcode.
    fn is_reset(&self) -> bool {
        match self {
            Replaced::Nothing | Replaced::Former(_) => false,
            Replaced::Any => true,
        }
    }

    /// Whether it is set by somebody who has not given a former one, so that the mobile is kept for a day.
    fn keeps_mobile(&self) -> bool {
        match self {
            Replaced::Nothing | Replaced::Any => true,
            Replaced::Former(_) => false,
        }
    }
}

/// A PIN to set, and where it was typed.
pub struct NewPin<'a> {
    pub chosen: &'a str,
    /// SHA-256 of the token of the browser in which it was typed, which stays signed in.
    pub token_hash: [u8; 32],
    pub replaced: Replaced,
}

/// Sets the PIN and lifts a lock. The caller has made sure who asks: by the former PIN, by a passcode and the ID number, or for the first
/// one by the ID number alone.
/// If there was a PIN before, or it is set anew, the person is told of that and signed out everywhere else, because somebody
/// who knew the former PIN may be signed in there.
///
/// # Errors
/// Why the PIN is not taken; `Wrong` where the present PIN is not the one to be replaced.
pub async fn set_pin(app: &App, borrower_id: BorrowerId, new: NewPin<'_>) -> Outcome<(), PinRefusal> {
    let mut connection = app.pool.acquire().await?;
    let birth_on = pin_store::find_birth(&mut connection, borrower_id).await?;
    drop(connection);
    let birth_on = birth_on.ok_or_else(|| anyhow::Error::new(BorrowerRefusal::BorrowerUnknown))?;
    let pin = Pin::chosen(new.chosen, birth_on).map_err(Fault::Refused)?;
    let keyed = keyed(app, borrower_id, &pin);
    let hash = HASHING.run(move || hash_of(&keyed)).await??;
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    // The person is locked because there may be no row of a PIN to lock: two first PINs at once would both be set.
    if store::lock_people(&mut transaction, &[borrower_id]).await?.is_empty() {
        return Err(Fault::Failed(anyhow::Error::new(BorrowerRefusal::BorrowerUnknown)));
    }
    let former = pin_store::lock(&mut transaction, borrower_id).await?;
    if !new.replaced.allows(former.as_ref()) {
        return Err(Fault::Refused(PinRefusal::Wrong));
    }
    let reset_at = new.replaced.keeps_mobile().then_some(now);
    pin_store::put(&mut transaction, borrower_id, &NewHash { hash: &hash, set_at: now, reset_at }).await?;
    if former.is_some() || new.replaced.is_reset() {
        session::end_all_but(&mut transaction, Subject::borrower(borrower_id), &new.token_hash).await?;
        let when = When { business_day: business_day::store::today(&mut transaction).await?, at: now };
        let told = match mobile_kept_until(reset_at, now) {
            Some(until) => {
                let body = json!({ "mobile_on": BusinessDay::at(until) });
                Notice::to_borrower(borrower_id, "pin_reset", body, when)
            }
            None => Notice::to_borrower(borrower_id, "pin_changed", json!({}), when),
        };
        notice::raise(&mut transaction, &[told]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Whether a borrower has set a PIN.
pub async fn has_pin(app: &App, borrower_id: BorrowerId) -> anyhow::Result<bool> {
    Ok(pin_store::is_set(&mut *app.pool.acquire().await?, borrower_id).await?)
}

/// The PIN as a keyed hash. Without the key of the house, somebody who has stolen the table could soon try all million PINs.
fn keyed(app: &App, borrower_id: BorrowerId, pin: &Pin) -> [u8; 32] {
    app.vault.index(Indexed::Pin, &format!("{borrower_id}:{}", pin.reveal()))
}

/// Limits how many PINs a node hashes at once to its processors: each hash is slow on purpose and takes a processor and its
/// memory, and Tokio alone would run up to five hundred.
static HASHING: LazyLock<HeavyWork> =
    LazyLock::new(|| HeavyWork::at_most(thread::available_parallelism().map_or(1, usize::from)));

/// Argon2id with 19 MiB and two passes, as OWASP's cheat sheet on password storage asks for; the salt is random.
fn hash_of(keyed: &[u8; 32]) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(keyed);
    Ok(hash.map_err(|error| anyhow::anyhow!("a PIN could not be hashed: {error}"))?.to_string())
}

fn is_hash_of(hash: &str, keyed: &[u8; 32]) -> anyhow::Result<bool> {
    let hash = PasswordHash::new(hash).map_err(|error| anyhow::anyhow!("a stored PIN is no hash: {error}"))?;
    match Argon2::default().verify_password(keyed, &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(anyhow::anyhow!("a PIN could not be compared: {error}")),
    }
}
