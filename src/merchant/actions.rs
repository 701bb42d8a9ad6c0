//! Use cases of a merchant's acceptance: apply, decide, change the settlement account.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::agreement::Agreement;
use super::emvco;
use super::join::is_latin;
use super::join_store;
use super::model::{AccountNumber, Category, Decision, MerchantRefusal, MerchantStatus, parse_link, parse_name};
use super::notices;
use super::staff_store;
use super::store::{self, AccountProposal, DecidedChange, MerchantRecord, NewMerchant, SealedAccount};
use crate::access::is_same_holder;
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::MerchantId;
use crate::base::person::{CreditCode, Mobile};
use crate::base::{Rate, When};
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome, Step};
use crate::notice::{self, Notice};
use crate::outbox::{self, Message};
use crate::partner::sms::NAME as SMS;
use crate::vault::Field;

/// What a merchant states when it applies, as typed.
#[derive(Clone)]
pub struct Onboarding {
    /// The company's registered name.
    pub name: String,
    pub credit_code: String,
    /// A [`Category`] code.
    pub category: String,
    pub account_name: String,
    pub account_number: String,
    pub contact_mobile: String,
    /// Name and city in Latin letters, for the EMVCo form of its codes.
    pub latin: Option<LatinLabel>,
    pub discount_rate: Rate,
    pub discount_returned_on_refund: bool,
}

/// Leaves out the account and the mobile.
impl fmt::Debug for Onboarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onboarding")
            .field("name", &self.name)
            .field("credit_code", &self.credit_code)
            .field("category", &self.category)
            .finish_non_exhaustive()
    }
}

/// The merchant's name and city in the EMVCo form of its codes, as typed; [`is_latin`] says what is allowed.
#[derive(Clone, Debug)]
pub struct LatinLabel {
    pub name: String,
    pub city: String,
}

/// An [`Onboarding`] whose every part was checked.
pub(super) struct Checked {
    name: String,
    credit_code: CreditCode,
    category: Category,
    account_name: String,
    account_number: AccountNumber,
    contact_mobile: Mobile,
    latin: Option<LatinLabel>,
    agreement: Agreement,
}

/// Files an application, which waits for [`decide`]. If its company has filed the same particulars before and was not
/// refused, it is that merchant again.
pub async fn onboard(app: &App, onboarding: &Onboarding) -> Outcome<MerchantId, MerchantRefusal> {
    let checked = check(onboarding).map_err(Fault::Refused)?;
    let merchant_id = MerchantId::mint(app.clock.now());
    let merchant = new_merchant(app, merchant_id, &checked);
    let mut transaction = database::begin(&app.pool).await?;
    let company = store::lock_company(&mut transaction, merchant.credit_code, None).await?;
    let is_open = |filed: &&MerchantRecord| filed.status != MerchantStatus::Refused && checked.is_the_same_as(filed);
    for filed in company.iter().filter(is_open) {
        if is_sealed_alike(app, &mut transaction, filed.merchant_id, &checked).await? {
            return database::end(transaction, Ok(filed.merchant_id)).await;
        }
    }
    refuse_if_onboarded(&company, merchant_id).map_err(Fault::Refused)?;
    store::insert_merchant(&mut transaction, &merchant).await?;
    audit::record(&mut transaction, app, Act::new(Action::MerchantAdded, merchant_id, json!({}))).await?;
    transaction.commit().await?;
    Ok(merchant_id)
}

/// Whether the sealed account and mobile of an application that was filed are the same as those stated now. Its record shows
/// only the account's last digits, and two accounts may end alike.
async fn is_sealed_alike(
    app: &App,
    connection: &mut PgConnection,
    filed: MerchantId,
    stated: &Checked,
) -> anyhow::Result<bool> {
    let sealed = store::find_sealed_account(connection, filed).await?;
    let account = app.vault.open_for(filed.uuid(), Field::SettlementAccount, &sealed)?;
    let mobiles = join_store::list_contact_mobiles(connection, &[filed]).await?;
    let mobile = mobiles.first().map(|(_, sealed)| app.vault.open_for(filed.uuid(), Field::ContactMobile, sealed));
    let is_same_mobile = mobile.transpose()?.is_none_or(|mobile| mobile == stated.contact_mobile.reveal());
    Ok(account == stated.account_number.reveal() && is_same_mobile)
}

/// Refuses a second merchant account for a company: once one of its applications was accepted, no other is filed or accepted.
/// Applications that still wait do not count.
pub(super) fn refuse_if_onboarded(company: &[MerchantRecord], own: MerchantId) -> Result<(), MerchantRefusal> {
    let is_taken = company.iter().any(|filed| filed.merchant_id != own && filed.status.is_accepted());
    if is_taken { Err(MerchantRefusal::AlreadyOnboarded) } else { Ok(()) }
}

/// The row to write for an application, with personal data sealed.
pub(super) fn new_merchant<'a>(app: &App, merchant_id: MerchantId, checked: &'a Checked) -> NewMerchant<'a> {
    let owner = merchant_id.uuid();
    NewMerchant {
        merchant_id,
        name: &checked.name,
        credit_code: checked.credit_code.as_str(),
        category: checked.category.code(),
        contact_mobile_sealed: app.vault.seal_for(owner, Field::ContactMobile, checked.contact_mobile.reveal()),
        account_name: &checked.account_name,
        account_sealed: app.vault.seal_for(owner, Field::SettlementAccount, checked.account_number.reveal()),
        account_tail: checked.account_number.tail(),
        latin_name: checked.latin.as_ref().map(|latin| latin.name.as_str()),
        latin_city: checked.latin.as_ref().map(|latin| latin.city.as_str()),
        discount_rate: checked.agreement.discount_rate,
        discount_returned_on_refund: checked.agreement.discount_returned_on_refund,
        created_at: app.clock.now(),
    }
}

/// Holds an application to every rule.
pub(super) fn check(onboarding: &Onboarding) -> Result<Checked, MerchantRefusal> {
    let name = parse_name(&onboarding.name)?;
    let account_name = parse_name(&onboarding.account_name)?;
    if account_name != name {
        // A company is paid to its own account (对公账户) alone.
        return Err(MerchantRefusal::AccountOfAnother { account: account_name, company: name });
    }
    if let Some(latin) = &onboarding.latin
        && !(is_latin(&latin.name, emvco::NAME_CHARS_MAX) && is_latin(&latin.city, emvco::CITY_CHARS_MAX))
    {
        return Err(MerchantRefusal::LatinMalformed);
    }
    Ok(Checked {
        name,
        credit_code: onboarding.credit_code.parse().map_err(MerchantRefusal::CreditCode)?,
        category: onboarding.category.parse()?,
        account_name,
        account_number: onboarding.account_number.parse()?,
        contact_mobile: onboarding.contact_mobile.parse().map_err(MerchantRefusal::ContactMobile)?,
        latin: onboarding.latin.clone(),
        agreement: Agreement::new(onboarding.discount_rate, onboarding.discount_returned_on_refund)?,
    })
}

impl Checked {
    /// Compares all but the personal data, which the record does not hold; [`is_sealed_alike`] compares these.
    fn is_the_same_as(&self, existing: &MerchantRecord) -> bool {
        let latin = self.latin.as_ref().map(|latin| (latin.name.as_str(), latin.city.as_str()));
        self.name == existing.name
            && self.category.code() == existing.category
            && self.account_name == existing.account_name
            && self.account_number.tail() == existing.account_tail
            && latin == existing.latin_name.as_deref().zip(existing.latin_city.as_deref())
            && self.agreement.discount_rate.fraction() == existing.discount_rate
            && self.agreement.discount_returned_on_refund == existing.discount_returned_on_refund
    }
}

/// Who decides about a merchant, and why.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub merchant_id: MerchantId,
    pub decision: Decision,
    pub decided_by: String,
    pub reason: String,
}

/// Accepts, refuses, suspends, resumes or closes a merchant. An acceptance also refuses the other waiting applications of the
/// same company.
pub async fn decide(app: &App, judgement: &Judgement) -> Outcome<Step, MerchantRefusal> {
    if judgement.decided_by.trim().is_empty() || judgement.reason.trim().is_empty() {
        return Err(Fault::Refused(MerchantRefusal::ReasonMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let company = match judgement.decision {
        Decision::Accept => lock_company_of(&mut transaction, judgement.merchant_id).await?,
        Decision::Refuse | Decision::Suspend | Decision::Resume | Decision::Close => Vec::new(),
    };
    let before = store::lock_status(&mut transaction, judgement.merchant_id).await?;
    let before = before.ok_or(Fault::Refused(MerchantRefusal::UnknownMerchant))?;
    let (after, step) = before.decide(judgement.decision).map_err(Fault::Refused)?;
    match step {
        Step::AlreadyApplied => return Ok(step),
        Step::Applied => refuse_if_onboarded(&company, judgement.merchant_id).map_err(Fault::Refused)?,
    }
    let change = DecidedChange {
        merchant_id: judgement.merchant_id,
        decision: judgement.decision,
        before,
        after,
        decided_by: judgement.decided_by.trim(),
        reason: judgement.reason.trim(),
        at: app.clock.now(),
    };
    if !store::update_status(&mut transaction, &change).await? {
        return Err(Fault::Failed(anyhow::anyhow!("a locked merchant changed its status")));
    }
    tell_merchant(&mut transaction, &change).await?;
    let others = refuse_others(&mut transaction, &company, &change).await?;
    let detail = json!({ "before": before.name(), "after": after.name() });
    audit::record(&mut transaction, app, Act::new(Action::MerchantDecided, change.merchant_id, detail)).await?;
    for merchant_id in others {
        let (before, after) = (MerchantStatus::Submitted.name(), MerchantStatus::Refused.name());
        let detail = json!({ "before": before, "after": after, "accepted": change.merchant_id });
        audit::record(&mut transaction, app, Act::new(Action::MerchantDecided, merchant_id, detail)).await?;
    }
    transaction.commit().await?;
    Ok(step)
}

/// All applications of the same company, locked; empty where there is no such application.
///
/// # Errors
/// `CompanyCorrected` where the application came to name another company before it was locked: the other's applications are
/// not locked, and whoever accepts has not seen them.
async fn lock_company_of(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> Outcome<Vec<MerchantRecord>, MerchantRefusal> {
    let Some(merchant) = store::find_merchant(connection, merchant_id).await? else { return Ok(Vec::new()) };
    let company = store::lock_company(connection, &merchant.credit_code, Some(merchant_id)).await?;
    let is_one_company = company.iter().all(|filed| filed.credit_code == merchant.credit_code);
    if is_one_company { Ok(company) } else { Err(Fault::Refused(MerchantRefusal::CompanyCorrected)) }
}

/// Refuses the company's other waiting applications, now that one is accepted, and tells their applicants; returns their ids.
async fn refuse_others(
    connection: &mut PgConnection,
    company: &[MerchantRecord],
    accepted: &DecidedChange<'_>,
) -> sqlx::Result<Vec<MerchantId>> {
    let others = company
        .iter()
        .filter(|filed| filed.status == MerchantStatus::Submitted && filed.merchant_id != accepted.merchant_id);
    let others: Vec<MerchantId> = others.map(|filed| filed.merchant_id).collect();
    if others.is_empty() {
        return Ok(others);
    }
    store::refuse_others(connection, &others, accepted).await?;
    let when = When { business_day: business_day::store::today(connection).await?, at: accepted.at };
    for merchant_id in &others {
        tell(connection, notices::other_accepted(*merchant_id, when), *merchant_id, "merchant_refused").await?;
    }
    Ok(others)
}

/// Tells a merchant of a decision: its applicant why, and by SMS too; its staff only that they can sell again or no more, since
/// the reason for that may name people.
async fn tell_merchant(connection: &mut PgConnection, change: &DecidedChange<'_>) -> sqlx::Result<()> {
    let when = When { business_day: business_day::store::today(connection).await?, at: change.at };
    let to_applicant = |kind| Notice::to_merchant(change.merchant_id, kind, json!({ "because": change.reason }), when);
    let to_staff = |kind| [Notice::to_merchant(change.merchant_id, kind, json!({}), when)];
    match change.decision {
        Decision::Accept => {
            let kind = "merchant_accepted";
            tell(connection, to_applicant(kind), change.merchant_id, kind).await
        }
        Decision::Refuse => {
            let kind = "merchant_refused";
            tell(connection, to_applicant(kind), change.merchant_id, kind).await
        }
        Decision::Suspend => notice::raise(connection, &to_staff("merchant_suspended")).await,
        Decision::Resume => notice::raise(connection, &to_staff("merchant_resumed")).await,
        Decision::Close => notice::raise(connection, &to_staff("merchant_closed")).await,
    }
}

/// Tells the applicant on the pages, and by SMS with the template of that name. A merchant that an operator entered has no
/// staff, and so nobody to be told.
async fn tell(
    connection: &mut PgConnection,
    told: Notice,
    merchant_id: MerchantId,
    template: &'static str,
) -> sqlx::Result<()> {
    if staff_store::list_of_merchant(connection, merchant_id).await?.is_empty() {
        return Ok(());
    }
    let (object_id, created_at) = (merchant_id.uuid(), told.created_at);
    notice::raise(connection, &[told]).await?;
    // The operator's reason may name people, so the SMS leaves it out: it is read on the page.
    let message = Message { partner: SMS.to_owned(), kind: template, object_id, body: json!({}), created_at };
    outbox::store::enqueue(connection, &[message]).await
}

/// A new settlement account, as typed, and the person who states it.
#[derive(Clone, Debug)]
pub struct AccountChange {
    pub merchant_id: MerchantId,
    pub account_number: String,
    pub changed_by: String,
}

/// What the statement of an account led to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum AccountStep {
    /// A second person must state the same.
    Proposed,
    Changed {
        proposed_by: String,
    },
}

/// A proposed account that waits for a second person to state the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedAccount {
    /// The number's last four digits, which may be shown; `None` where it cannot be opened with the configured master keys.
    pub tail: Option<String>,
    pub by: String,
}

/// The account that waits for a second person; `None` where none does, or there is no such merchant.
///
/// # Errors
/// Failures of the database.
pub async fn find_stated_account(app: &App, merchant_id: MerchantId) -> sqlx::Result<Option<StatedAccount>> {
    let proposal = store::find_account_proposal(&mut *app.pool.acquire().await?, merchant_id).await?;
    let Some(AccountProposal { sealed, by }) = proposal else { return Ok(None) };
    let number = app.vault.open_for(merchant_id.uuid(), Field::SettlementAccount, &sealed).ok();
    let number = number.and_then(|number| number.parse::<AccountNumber>().ok());
    Ok(Some(StatedAccount { tail: number.map(|number| number.tail().to_owned()), by }))
}

/// Replaces the settlement account once two people have stated the same new one, since whoever holds it gets all of the
/// merchant's money. Payouts not yet sent, and retries, go to the new one. A statement that differs from the proposal
/// replaces it, and so does any statement where the proposal cannot be opened.
pub async fn change_settlement_account(app: &App, change: &AccountChange) -> Outcome<AccountStep, MerchantRefusal> {
    let (merchant_id, by) = (change.merchant_id, change.changed_by.trim());
    if by.is_empty() {
        return Err(Fault::Refused(MerchantRefusal::ReasonMissing));
    }
    let account: AccountNumber = change.account_number.parse().map_err(Fault::Refused)?;
    let (owner, field) = (merchant_id.uuid(), Field::SettlementAccount);
    let sealed = app.vault.seal_for(owner, field, account.reveal());
    let mut transaction = database::begin(&app.pool).await?;
    let proposal = store::lock_account_proposal(&mut transaction, merchant_id).await?;
    let merchant = store::find_merchant(&mut transaction, merchant_id).await?;
    let merchant = merchant.ok_or(Fault::Refused(MerchantRefusal::UnknownMerchant))?;
    let stated = proposal.as_ref().and_then(|proposal| app.vault.open_for(owner, field, &proposal.sealed).ok());
    let is_stated_again = stated.is_some_and(|number| number == account.reveal());
    if is_stated_again && proposal.as_ref().is_some_and(|proposal| is_same_holder(&proposal.by, by)) {
        return database::end(transaction, Ok(AccountStep::Proposed)).await;
    }
    let confirmed = proposal.filter(|_| is_stated_again);
    let Some(AccountProposal { by: proposed_by, .. }) = confirmed else {
        let proposal = AccountProposal { sealed, by: by.to_owned() };
        store::put_account_proposal(&mut transaction, merchant_id, &proposal).await?;
        audit::record(&mut transaction, app, Act::new(Action::AccountStated, merchant_id, json!({}))).await?;
        transaction.commit().await?;
        return Ok(AccountStep::Proposed);
    };
    let account = SealedAccount { name: &merchant.name, sealed, tail: account.tail() };
    let (both, now) = (format!("{proposed_by} and {by}"), app.clock.now());
    if !store::update_settlement_account(&mut transaction, merchant_id, &account, &both, now).await? {
        return Err(Fault::Refused(MerchantRefusal::UnknownMerchant));
    }
    tell_account_changed(&mut transaction, merchant_id, account.tail, now).await?;
    audit::record(&mut transaction, app, Act::new(Action::AccountChanged, merchant_id, json!({}))).await?;
    transaction.commit().await?;
    Ok(AccountStep::Changed { proposed_by })
}

/// Tells the merchant's staff on their pages, and its contact by SMS, that it is paid to another account: a change that
/// nobody may make must not go unnoticed.
async fn tell_account_changed(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    tail: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let when = When { business_day: business_day::store::today(connection).await?, at };
    let told = notices::account_changed(merchant_id, tail, when);
    let kind = told.kind;
    notice::raise(connection, &[told]).await?;
    if join_store::list_contact_mobiles(connection, &[merchant_id]).await?.is_empty() {
        return Ok(());
    }
    let object_id = merchant_id.uuid();
    let message = Message { partner: SMS.to_owned(), kind, object_id, body: json!({}), created_at: at };
    outbox::store::enqueue(connection, &[message]).await
}

/// Sets the link for people who open the merchant's code in another wallet's app; `None` removes it. Setting the same link
/// again records nothing.
pub async fn set_other_link(app: &App, merchant_id: MerchantId, link: Option<&str>) -> Outcome<(), MerchantRefusal> {
    let link = link.map(parse_link).transpose().map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let locked = store::lock_status(&mut transaction, merchant_id).await?;
    locked.ok_or(Fault::Refused(MerchantRefusal::UnknownMerchant))?;
    if store::find_other_link(&mut transaction, merchant_id).await?.as_deref() == link {
        return database::end(transaction, Ok(())).await;
    }
    store::update_other_link(&mut transaction, merchant_id, link).await?;
    let detail = json!({ "link_sha256": link.map(audit::fingerprint) });
    audit::record(&mut transaction, app, Act::new(Action::LinkSet, merchant_id, detail)).await?;
    transaction.commit().await?;
    Ok(())
}
