//! Changing a borrower's mobile, so that whoever holds the former one cannot open the account any more.

use std::collections::HashMap;

use chrono::{DateTime, NaiveTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::actions::{self, Reach};
use super::mobile_store::{self, GivenUp, NewChange};
use super::model::BorrowerRefusal;
use super::pin::mobile_kept_until;
use super::{openid_actions, pin_store, store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::{self, BorrowerId};
use crate::base::person::Mobile;
use crate::base::{BusinessDay, When};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::notice::{self, MOBILE_GIVEN_UP, Notice};
use crate::outbox::{self, Message};
use crate::page::session;
use crate::page::subject::Subject;
use crate::partner::sms::NAME as SMS;
use crate::vault::Field;

/// A borrower's new mobile, and who states it.
pub struct NewMobile {
    pub mobile: Mobile,
    pub stated_by: StatedBy,
}

/// Who states a borrower's new mobile.
pub enum StatedBy {
    /// The borrower, who has proved it by a code sent to it and by the PIN, in a browser that stays signed in.
    Borrower {
        /// SHA-256 of that browser's token.
        token_hash: [u8; 32],
        wechat: OwnWeChat,
    },
    /// An operator, for a borrower who cannot do it: an act by hand, which is audited.
    Operator { person: String, reason: String },
}

/// Whether the linked WeChat identity is surely the borrower's own. Whoever holds the former mobile may have linked theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnWeChat {
    /// The borrower is signed in by it: it stays linked.
    Proved,
    /// It is unlinked. The next one that proves the new mobile is linked in its place.
    Unproved,
}

/// Gives a borrower another mobile. All other browsers are signed out, the former mobile is free for anybody to register
/// with, and both mobiles are told. Cards keep the mobiles that their banks know.
///
/// # Errors
/// Where the borrower is unknown, has this mobile already, or another account has it; and where the borrower states it too soon
/// after the first PIN was set, or another one by a code.
pub async fn change_mobile(app: &App, borrower_id: BorrowerId, new: &NewMobile) -> Outcome<(), BorrowerRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let changed = change_within(&mut transaction, app, borrower_id, new).await;
    database::end(transaction, changed).await
}

/// Until when a borrower cannot change the mobile, because a PIN was set without a former one; `None` where it can be changed now.
///
/// # Errors
/// Failures of the database.
pub async fn kept_until(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Option<DateTime<Utc>>> {
    let reset_at = pin_store::find_reset(&mut *app.pool.acquire().await?, borrower_id).await?;
    Ok(mobile_kept_until(reset_at, app.clock.now()))
}

async fn change_within(
    connection: &mut PgConnection,
    app: &App,
    borrower_id: BorrowerId,
    new: &NewMobile,
) -> Outcome<(), BorrowerRefusal> {
    // Whoever signs in by the former mobile at this moment waits for this lock: then the mobile is given up, or the new
    // session is ended below.
    let people = store::lock_people(connection, &[borrower_id]).await?;
    let person = people.first().ok_or(Fault::Refused(BorrowerRefusal::BorrowerUnknown))?;
    if let StatedBy::Borrower { .. } = new.stated_by {
        // Setting a PIN locks the person as well, so that none is set at this moment.
        let reset_at = pin_store::find_reset(connection, borrower_id).await?;
        if let Some(until) = mobile_kept_until(reset_at, app.clock.now()) {
            return Err(Fault::Refused(BorrowerRefusal::PinResetLately { until }));
        }
    }
    match actions::find_holder(connection, app, &new.mobile).await? {
        Some(holder) if holder == borrower_id => return Err(Fault::Refused(BorrowerRefusal::MobileUnchanged)),
        Some(_) => return Err(Fault::Refused(BorrowerRefusal::MobileOfAnother)),
        None => {}
    }
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed).map_err(anyhow::Error::from)?;
    let former = key.open(Field::Mobile, &person.mobile_sealed).map_err(anyhow::Error::from)?;
    let sealed = key.seal(Field::Mobile, new.mobile.reveal());
    store::update_mobiles(connection, &[(borrower_id, sealed)]).await?;
    // Released before the new one is claimed: both may be the same, where somebody else had taken the mobile meanwhile and
    // has given it up.
    store::release_mobiles(connection, &[(actions::mobile_index(&app.vault, &former), borrower_id)]).await?;
    let taken = [(actions::mobile_index(&app.vault, new.mobile.reveal()), borrower_id)];
    if store::claim_mobiles(connection, &taken).await? < taken.len() {
        return Err(Fault::Refused(BorrowerRefusal::MobileOfAnother));
    }
    sign_out_others(connection, borrower_id, &new.stated_by).await?;
    let change_id = record(connection, app, borrower_id, (person.mobile_sealed.as_slice(), &new.stated_by)).await?;
    let detail = json!({ "change": change_id.to_string() });
    audit::record(connection, app, Act::new(Action::MobileChanged, borrower_id, detail)).await?;
    Ok(())
}

/// Ends the sessions, and where it is needed the WeChat link, by which whoever holds the former mobile may be signed in.
async fn sign_out_others(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    stated_by: &StatedBy,
) -> sqlx::Result<()> {
    let whose = Subject::borrower(borrower_id);
    let wechat = match stated_by {
        StatedBy::Borrower { token_hash, wechat } => {
            session::end_all_but(connection, whose, token_hash).await?;
            *wechat
        }
        StatedBy::Operator { .. } => {
            session::end_all(connection, whose).await?;
            OwnWeChat::Unproved
        }
    };
    if wechat == OwnWeChat::Unproved {
        openid_actions::unlink_within(connection, borrower_id).await?;
    }
    Ok(())
}

/// Records the change, and tells both mobiles of it; returns the id of the change.
async fn record(
    connection: &mut PgConnection,
    app: &App,
    borrower_id: BorrowerId,
    (former_sealed, stated_by): (&[u8], &StatedBy),
) -> sqlx::Result<Uuid> {
    let now = app.clock.now();
    let (changed_by, reason) = match stated_by {
        StatedBy::Borrower { .. } => ("borrower".to_owned(), None),
        StatedBy::Operator { person, reason } => (format!("person:{}", person.trim()), Some(reason.trim())),
    };
    let change_id = id::mint(now);
    let change = NewChange { borrower_id, change_id, former_sealed, changed_by: &changed_by, reason, changed_at: now };
    mobile_store::insert_change(connection, &change).await?;
    let when = When { business_day: business_day::store::today(connection).await?, at: now };
    notice::raise(connection, &[Notice::to_borrower(borrower_id, "mobile_changed", json!({}), when)]).await?;
    let to_former = Message {
        partner: SMS.to_owned(),
        kind: MOBILE_GIVEN_UP,
        object_id: borrower_id.uuid(),
        body: json!({ "change": change_id.to_string(), "changed_on": BusinessDay::at(now).to_string() }),
        created_at: now,
    };
    outbox::store::enqueue(connection, &[to_former]).await?;
    Ok(change_id)
}

/// The mobiles that borrowers had before these changes, by the id of the change; those of erased people are missing.
///
/// # Errors
/// Failures of the database.
pub async fn reach_former(app: &App, changes: &[(BorrowerId, Uuid)]) -> anyhow::Result<HashMap<Uuid, Reach>> {
    if changes.is_empty() {
        return Ok(HashMap::new());
    }
    let sealed = mobile_store::find_formers(&mut *app.pool.acquire().await?, changes).await?;
    let open = |former: &mobile_store::SealedFormer| -> anyhow::Result<Mobile> {
        let key = app.vault.open_person_key(former.borrower_id.uuid(), &former.person_key_sealed)?;
        Ok(key.open(Field::Mobile, &former.former_sealed)?.parse()?)
    };
    Ok(sealed.iter().map(|former| (former.change_id, open(former).map_or(Reach::Sealed, Reach::Mobile))).collect())
}

/// An account that had a mobile until it was given another one.
pub struct Former {
    pub borrower_id: BorrowerId,
    pub until: DateTime<Utc>,
    /// `borrower`, or `person:<name>`.
    pub changed_by: String,
}

/// The accounts that gave up a mobile on a day, oldest first. It is for somebody who was told so by SMS and did not ask for
/// it: they know no other name of the account. Former mobiles are stored sealed, so all changes of that day are opened.
///
/// # Errors
/// Failures of the database, and of what does not open.
pub async fn find_former(app: &App, mobile: &Mobile, day: BusinessDay) -> anyhow::Result<Vec<Former>> {
    let (from, before) = (day.instant(NaiveTime::MIN), day.next().instant(NaiveTime::MIN));
    let given_up = mobile_store::list_given_up(&mut *app.pool.acquire().await?, from, before).await?;
    let mut found = Vec::new();
    for change in given_up {
        let key = app.vault.open_person_key(change.borrower_id.uuid(), &change.person_key_sealed)?;
        if key.open(Field::Mobile, &change.former_sealed)? == mobile.reveal() {
            let GivenUp { borrower_id, changed_by, changed_at, .. } = change;
            found.push(Former { borrower_id, until: changed_at, changed_by });
        }
    }
    Ok(found)
}
