//! Sends and checks passcodes, and counts tries against windows.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use rand::TryRngCore;

use super::model::{AGAIN_AFTER, Asking, PER_ADDRESS, PER_MOBILE, Passcode, PasscodeRefusal, Purpose, VALID, Window};
use super::store::{self, NewPasscode};
use crate::app::App;
use crate::base::id;
use crate::base::person::Mobile;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::partner::sms::NAME as SMS;
use crate::partner::sms::client::{self as sms_client, Sent, ShortMessage};
use crate::vault::Indexed;

/// The template that every SMS partner of ours has registered: "{code} is your code for {purpose}; it ends in 5 minutes".
const TEMPLATE: &str = "passcode";

/// Sends a code to a mobile, in place of any earlier one for the same purpose.
///
/// # Errors
/// `TooSoon` or `TooMany`, which count nothing, and `NotSent`.
pub async fn send(app: &App, asking: &Asking) -> Outcome<(), PasscodeRefusal> {
    let now = app.clock.now();
    let code = random_code()?;
    let mobile_hash = app.vault.index(Indexed::Mobile, asking.mobile.reveal());
    let mut transaction = database::begin(&app.pool).await?;
    let address = asking.address.as_ref().map(|address| (PER_ADDRESS, app.vault.index(Indexed::Address, address)));
    // The address comes first: what it asks for beyond its own window must not use up the window of anybody's mobile.
    let windows: [Option<(Window, [u8; 32])>; 2] = [address, Some((PER_MOBILE, mobile_hash))];
    let mut refused_until: Option<DateTime<Utc>> = None;
    for (window, key_hash) in windows.into_iter().flatten() {
        let counted = store::count(&mut transaction, window.kind, &key_hash, now, window.length).await?;
        if counted.count > window.count_max {
            refused_until = Some(counted.started_at + window.length);
            break;
        }
    }
    // Counting has locked the mobile's window, so of parallel requests each one finds here the code of the one before.
    if let Some(former) = store::lock(&mut transaction, &mobile_hash, asking.purpose).await? {
        former.may_replace(now).map_err(Fault::Refused)?;
    }
    // What is refused here is not counted anywhere: it would use up what others at the same address give back by signing in.
    if let Some(until) = refused_until {
        transaction.rollback().await?;
        return Err(Fault::Refused(PasscodeRefusal::TooMany { until }));
    }
    let passcode = NewPasscode {
        mobile_hash,
        purpose: asking.purpose,
        code_hash: code_hash(app, asking.purpose, &asking.mobile, &code),
        sent_at: now,
        expires_at: now + VALID,
    };
    store::put(&mut transaction, &passcode).await?;
    transaction.commit().await?;
    hand_over(app, asking, code).await
}

/// Hands the code to the SMS partner.
async fn hand_over(app: &App, asking: &Asking, code: String) -> Outcome<(), PasscodeRefusal> {
    let message = ShortMessage {
        message_id: id::mint(app.clock.now()),
        mobile: asking.mobile.clone(),
        template: TEMPLATE,
        parameters: BTreeMap::from([
            ("code".to_owned(), code),
            ("purpose".to_owned(), asking.purpose.name().to_owned()),
        ]),
        // Whose mobile it is, is not known yet, so the call log names nobody.
        about: Vec::new(),
    };
    let message_id = message.message_id;
    let sent = match app.partners.client(SMS) {
        Ok(client) => sms_client::send(client, vec![message]).await,
        Err(error) => Err(error),
    };
    match sent.map(|sent| sent.get(&message_id).cloned()) {
        Ok(Some(Sent::Sent)) => Ok(()),
        Ok(Some(Sent::Refused { .. }) | None) => Err(Fault::Refused(PasscodeRefusal::NotSent)),
        Err(error) => {
            // It may have been sent nevertheless: then the code is good.
            tracing::warn!(%error, "a passcode could not be handed over");
            Err(Fault::Refused(PasscodeRefusal::NotSent))
        }
    }
}

/// Checks a code. It can be used once.
///
/// # Errors
/// `Wrong`, which counts, or `Ended` where there is no code or no try left.
pub async fn check(app: &App, purpose: Purpose, mobile: &Mobile, code: &str) -> Outcome<(), PasscodeRefusal> {
    let mobile_hash = app.vault.index(Indexed::Mobile, mobile.reveal());
    let mut transaction = database::begin(&app.pool).await?;
    let stored = store::lock(&mut transaction, &mobile_hash, purpose).await?;
    let stored = stored.ok_or(Fault::Refused(PasscodeRefusal::Ended))?;
    stored.may_try(app.clock.now()).map_err(Fault::Refused)?;
    // Comparing in constant time is not needed: these are keyed hashes, and how far two of them agree says nothing of the
    // codes.
    let is_right = stored.code_hash == code_hash(app, purpose, mobile, code);
    if is_right {
        store::delete(&mut transaction, &mobile_hash, purpose).await?;
    } else {
        store::count_wrong_code(&mut transaction, &mobile_hash, purpose).await?;
    }
    transaction.commit().await?;
    if is_right { Ok(()) } else { Err(Fault::Refused(PasscodeRefusal::Wrong)) }
}

/// Counts one more try against a window. `Some` where it is one too many, with the instant from which on it may be tried
/// again.
pub async fn full_until(app: &App, window: Window, key: &str) -> anyhow::Result<Option<DateTime<Utc>>> {
    let mut connection = app.pool.acquire().await?;
    let key_hash = key_hash(app, window, key);
    let counted = store::count(&mut connection, window.kind, &key_hash, app.clock.now(), window.length).await?;
    Ok((counted.count > window.count_max).then(|| counted.started_at + window.length))
}

/// Counts one more try, before it is made, against several windows at once. `Some` names the first window that is full, with
/// the instant from which on it is not; then nothing is counted. Parallel tries under one key wait for each other here, on
/// whichever node they are. A caller must give its windows in the same order every time.
pub async fn count_unless_full(
    app: &App,
    tries: &[(Window, String)],
) -> anyhow::Result<Option<(Window, DateTime<Utc>)>> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    for (window, key) in tries {
        let key_hash = key_hash(app, *window, key);
        let counted = store::count(&mut transaction, window.kind, &key_hash, now, window.length).await?;
        if counted.count > window.count_max {
            return Ok(Some((*window, counted.started_at + window.length)));
        }
    }
    transaction.commit().await?;
    Ok(None)
}

/// Takes back one try that [`full_until`] or [`count_unless_full`] has counted, because it was no failure.
pub async fn take_back(app: &App, window: Window, key: &str) -> anyhow::Result<()> {
    Ok(store::uncount(&mut *app.pool.acquire().await?, window.kind, &key_hash(app, window, key)).await?)
}

/// Takes back one count of a code asked for from an address, because the code was right. So people who prove themselves leave
/// room for others who share the address of a school or a carrier.
pub async fn uncount_asked(app: &App, address: &str) -> anyhow::Result<()> {
    let asked_hash = app.vault.index(Indexed::Address, address);
    Ok(store::uncount(&mut *app.pool.acquire().await?, PER_ADDRESS.kind, &asked_hash).await?)
}

fn key_hash(app: &App, window: Window, key: &str) -> [u8; 32] {
    app.vault.index(Indexed::Passcode, &format!("{}:{key}", window.kind))
}

/// Seconds until another code may be asked for; `None` where it may be asked for now.
pub async fn wait_seconds(app: &App, purpose: Purpose, mobile: &Mobile) -> anyhow::Result<Option<i64>> {
    let stored = find(app, purpose, mobile).await?;
    let left = stored.map(|stored| (stored.sent_at + AGAIN_AFTER - app.clock.now()).num_seconds());
    Ok(left.filter(|left| *left > 0))
}

/// Whether a code was sent that may still be entered.
pub async fn is_awaited(app: &App, purpose: Purpose, mobile: &Mobile) -> anyhow::Result<bool> {
    let stored = find(app, purpose, mobile).await?;
    Ok(stored.is_some_and(|stored| stored.may_try(app.clock.now()).is_ok()))
}

async fn find(app: &App, purpose: Purpose, mobile: &Mobile) -> anyhow::Result<Option<Passcode>> {
    let mobile_hash = app.vault.index(Indexed::Mobile, mobile.reveal());
    Ok(store::find(&mut *app.pool.acquire().await?, &mobile_hash, purpose).await?)
}

/// Deletes expired codes and windows that are over; returns how many.
pub async fn sweep(app: &App) -> anyhow::Result<u64> {
    let now = app.clock.now();
    let mut connection = app.pool.acquire().await?;
    let codes = store::delete_expired(&mut connection, now).await?;
    let longest = PER_MOBILE.length.max(PER_ADDRESS.length);
    Ok(codes + store::delete_throttles(&mut connection, now - longest).await?)
}

fn code_hash(app: &App, purpose: Purpose, mobile: &Mobile, code: &str) -> [u8; 32] {
    app.vault.index(Indexed::Passcode, &format!("{}:{}:{code}", purpose.name(), mobile.reveal()))
}

/// Six digits, each number as likely as any other.
fn random_code() -> anyhow::Result<String> {
    /// The largest multiple of a million that 32 bits hold: numbers above it would favour small codes.
    const FAIR_BELOW: u32 = 4_294_000_000;
    loop {
        let number = rand::rngs::OsRng.try_next_u32().context("the system gives no random numbers")?;
        if number < FAIR_BELOW {
            return Ok(format!("{:06}", number % 1_000_000));
        }
    }
}
