//! Another mobile for a borrower: whoever holds the former one opens the account no more.

use std::collections::HashMap;

use chrono::{DateTime, NaiveTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::actions::{self, Reach};
use super::mobile_store::{self, GivenUp, NewChange};
use super::model::BorrowerRefusal;
use super::{openid_actions, store};
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

/// Another mobile, and who says so.
pub struct NewMobile {
    pub mobile: Mobile,
    pub stated_by: StatedBy,
}

/// Who says that a borrower has another mobile.
pub enum StatedBy {
    /// The borrower, who has proved it by a code to the new one and by the PIN, in a browser that stays signed in.
    Borrower {
        /// SHA-256 of that browser's token.
        token_hash: [u8; 32],
        wechat: OwnWeChat,
    },
    /// Somebody else, for a borrower who cannot: that is an act by hand.
    Operator { person: String, reason: String },
}

/// Whether the WeChat identity that is linked is the borrower's own for sure. Whoever holds the former mobile may have linked theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnWeChat {
    /// The borrower came by it, and keeps it.
    Proved,
    /// None signs the borrower in any more; the next one that proves the new mobile is linked anew.
    Unproved,
}

/// Gives a borrower another mobile. All other browsers are signed out, the former mobile is anybody's who signs in with it from then on,
/// and both are told. Cards keep the mobiles that their banks know.
///
/// # Errors
/// Where the borrower is unknown, has this mobile already, or another account has it.
pub async fn change_mobile(app: &App, borrower_id: BorrowerId, new: &NewMobile) -> Outcome<(), BorrowerRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let changed = change_within(&mut transaction, app, borrower_id, new).await;
    database::end(transaction, changed).await
}

async fn change_within(
    connection: &mut PgConnection,
    app: &App,
    borrower_id: BorrowerId,
    new: &NewMobile,
) -> Outcome<(), BorrowerRefusal> {
    // Whoever signs in by the former mobile at this moment waits here, and finds it given up, or is signed out below.
    let people = store::lock_people(connection, &[borrower_id]).await?;
    let person = people.first().ok_or(Fault::Refused(BorrowerRefusal::BorrowerUnknown))?;
    match actions::find_holder(connection, app, &new.mobile).await? {
        Some(holder) if holder == borrower_id => return Err(Fault::Refused(BorrowerRefusal::MobileUnchanged)),
        Some(_) => return Err(Fault::Refused(BorrowerRefusal::MobileOfAnother)),
        None => {}
    }
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed).map_err(anyhow::Error::from)?;
    let former = key.open(Field::Mobile, &person.mobile_sealed).map_err(anyhow::Error::from)?;
    let sealed = key.seal(Field::Mobile, new.mobile.reveal());
    store::update_mobiles(connection, &[(borrower_id, sealed)]).await?;
    // Before the other is taken: of a mobile that somebody else had taken meanwhile and has given up, both are the same.
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

/// Whoever holds the former mobile may sit in any browser that is signed in, or have linked a WeChat.
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

/// Keeps that the mobile was changed, and tells both mobiles of it; returns the number of the change.
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

/// The mobiles that borrowers had until these changes, by the change; of those erased they are missing.
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

/// The accounts that gave up a mobile on a day, oldest first: whoever was told so by SMS, and asked for nothing of the kind, knows no other
/// name of the account. What was given up is sealed, so all of that day is opened.
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
