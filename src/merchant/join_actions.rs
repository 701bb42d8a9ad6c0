//! Use cases of an application on the pages: keep a draft, apply with the first owner, apply again after a refusal.

use std::collections::HashMap;

use anyhow::Context as _;
use chrono::TimeDelta;
use sqlx::PgConnection;

use super::actions::{LatinLabel, Onboarding, check, new_merchant, refuse_if_onboarded};
use super::agreement::Agreement;
use super::agreement_actions;
use super::join::Draft;
use super::join_store::{self, DraftRow};
use super::model::{MerchantRefusal, MerchantStatus};
use super::notices;
use super::staff::Role;
use super::staff_actions::{self, Hiring, StaffAt};
use super::staff_store::{self, StaffRow};
use super::store::{self, MerchantRecord};
use crate::app::App;
use crate::base::When;
use crate::base::id::{self, MerchantId, StaffId};
use crate::base::person::Mobile;
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::notice;
use crate::passcode::{self, Window};
use crate::vault::{Field, Indexed};

/// How long a draft is kept after its last change.
const DRAFT_KEPT: TimeDelta = TimeDelta::days(90);
/// How many applications one mobile may send: operators read each of them.
const PER_MOBILE: Window = Window { kind: "merchant_application", length: TimeDelta::hours(24), count_max: 5 };

/// Whoever fills in an application: the holder of a mobile that was proved.
#[derive(Clone, Debug)]
pub struct Applicant {
    pub mobile: Mobile,
    /// Their application that was refused, where they correct that one.
    pub refused: Option<StaffAt>,
}

impl Applicant {
    fn corrects(&self) -> Option<MerchantId> {
        self.refused.as_ref().map(|refused| refused.staff.merchant_id)
    }
}

/// The applicant's draft; empty where there is none, or where it is for another application.
pub async fn load_draft(app: &App, applicant: &Applicant) -> anyhow::Result<Draft> {
    let mobile_hash = app.vault.index(Indexed::Mobile, applicant.mobile.reveal());
    let row = join_store::find_draft(&mut *app.pool.acquire().await?, &mobile_hash).await?;
    let Some(row) = row.filter(|row| row.corrects == applicant.corrects()) else { return Ok(Draft::default()) };
    let fields = app.vault.open_for(row.draft_id, Field::OnboardingDraft, &row.fields_sealed)?;
    Ok(Draft(serde_json::from_str(&fields).context("a stored draft cannot be read")?))
}

/// The agreement under which the applicant applies. An application that is corrected keeps what was agreed before it was
/// refused.
pub async fn price(app: &App, applicant: &Applicant) -> anyhow::Result<Agreement> {
    let Some(merchant_id) = applicant.corrects() else { return Ok(Agreement::standard()) };
    let agreed = agreement_actions::find_agreement(app, merchant_id).await?;
    agreed.context("the merchant of a refused application is missing")
}

/// Stores the draft in place of the mobile's former one.
pub async fn save_draft(app: &App, applicant: &Applicant, draft: &Draft) -> anyhow::Result<()> {
    let now = app.clock.now();
    let draft_id = id::mint(now);
    let fields = serde_json::to_string(&draft.0)?;
    let row = DraftRow {
        draft_id,
        corrects: applicant.corrects(),
        fields_sealed: app.vault.seal_for(draft_id, Field::OnboardingDraft, &fields),
    };
    let mobile_hash = app.vault.index(Indexed::Mobile, applicant.mobile.reveal());
    join_store::put_draft(&mut *app.pool.acquire().await?, &mobile_hash, &row, now).await?;
    Ok(())
}

/// The mobiles of merchants' contacts, for short messages; those that cannot be opened are missing.
///
/// # Errors
/// Failures of the database.
pub async fn reach(app: &App, merchant_ids: &[MerchantId]) -> anyhow::Result<HashMap<MerchantId, Mobile>> {
    let sealed = join_store::list_contact_mobiles(&mut *app.pool.acquire().await?, merchant_ids).await?;
    let open = |(merchant_id, sealed): (MerchantId, Vec<u8>)| {
        let mobile = app.vault.open_for(merchant_id.uuid(), Field::ContactMobile, &sealed).ok()?;
        Some((merchant_id, mobile.parse().ok()?))
    };
    Ok(sealed.into_iter().filter_map(open).collect())
}

/// Deletes drafts that were not changed for long; returns how many.
pub async fn sweep(app: &App) -> anyhow::Result<u64> {
    let before = app.clock.now() - DRAFT_KEPT;
    Ok(join_store::delete_old_drafts(&mut *app.pool.acquire().await?, before).await?)
}

/// Whether a company has a merchant account already, other than `own`; asked as soon as the code is typed. Applications that
/// wait do not count.
pub async fn is_onboarded(app: &App, credit_code: &str, own: Option<MerchantId>) -> anyhow::Result<bool> {
    let mut connection = app.pool.acquire().await?;
    let found = store::find_merchant_of_company(&mut connection, credit_code).await?;
    Ok(found.is_some_and(|merchant| Some(merchant.merchant_id) != own))
}

/// Starts a draft with what a refused application said, without the account's number, which is not shown again.
pub async fn correct(app: &App, refused: StaffAt) -> anyhow::Result<()> {
    let row = join_store::find_application(&mut *app.pool.acquire().await?, refused.staff.merchant_id).await?;
    let row = row.context("the merchant of somebody's staff is missing")?;
    let fields = [
        ("legal_name", Some(row.name)),
        ("credit_code", Some(row.credit_code)),
        ("category", Some(row.category)),
        ("latin_name", row.latin_name),
        ("latin_city", row.latin_city),
        ("account_name", Some(row.account_name)),
        ("contact_name", Some(refused.staff.name.clone())),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let draft = Draft(fields.collect());
    let applicant = Applicant { mobile: refused.staff.mobile.clone(), refused: Some(refused) };
    save_draft(app, &applicant, &draft).await
}

/// A draft as an application under the standard agreement.
fn onboarding(mobile: &Mobile, draft: &Draft) -> Onboarding {
    let price = Agreement::standard();
    let latin = LatinLabel { name: draft.value("latin_name").to_owned(), city: draft.value("latin_city").to_owned() };
    Onboarding {
        name: draft.value("legal_name").to_owned(),
        credit_code: draft.value("credit_code").to_owned(),
        category: draft.value("category").to_owned(),
        account_name: draft.value("account_name").to_owned(),
        account_number: draft.value("account_number").to_owned(),
        contact_mobile: mobile.reveal().to_owned(),
        latin: (!latin.name.is_empty() || !latin.city.is_empty()).then_some(latin),
        discount_rate: price.discount_rate,
        discount_returned_on_refund: price.discount_returned_on_refund,
    }
}

/// Files the application that a draft holds; whoever sends it is the merchant's first owner. Sent twice, it is one application.
pub async fn apply(app: &App, applicant: &Applicant) -> Outcome<StaffId, MerchantRefusal> {
    let (mobile, refused) = (&applicant.mobile, applicant.refused.as_ref());
    let draft = load_draft(app, applicant).await?;
    let checked = check(&onboarding(mobile, &draft)).map_err(Fault::Refused)?;
    if passcode::full_until(app, PER_MOBILE, mobile.reveal()).await?.is_some() {
        return Err(Fault::Refused(MerchantRefusal::TooManyApplications));
    }
    let now = app.clock.now();
    let merchant_id = applicant.corrects().unwrap_or_else(|| MerchantId::mint(now));
    let merchant = new_merchant(app, merchant_id, &checked);
    let mobile_hash = app.vault.index(Indexed::Mobile, mobile.reveal());
    let mut transaction = database::begin(&app.pool).await?;
    // Of a form sent twice, the second request waits here until the first has committed.
    join_store::delete_draft(&mut transaction, &mobile_hash).await?;
    let company = store::lock_company(&mut transaction, merchant.credit_code, applicant.corrects()).await?;
    let sent_before = match refused {
        Some(_) => None,
        None => find_own(&mut transaction, &mobile_hash, &company).await?,
    };
    if let Some(staff_id) = sent_before {
        return database::end(transaction, Ok(staff_id)).await;
    }
    refuse_if_onboarded(&company, merchant_id).map_err(Fault::Refused)?;
    let staff_id = match refused {
        Some(refused) => {
            let staff_id = refused.staff.staff_id;
            if !join_store::resubmit(&mut transaction, &merchant, &staff_id.to_string()).await? {
                // The same form, sent twice, has just done so.
                return database::end(transaction, Ok(staff_id)).await;
            }
            staff_id
        }
        None => {
            store::insert_merchant(&mut transaction, &merchant).await?;
            let (name, mobile) = (draft.value("contact_name").to_owned(), mobile.clone());
            let hired_by = "applicant".to_owned();
            let hiring = Hiring { merchant_id, name, mobile, role: Role::Owner, hired_by };
            staff_actions::insert(app, &mut transaction, &hiring).await?
        }
    };
    let when = When { business_day: business_day::store::today(&mut transaction).await?, at: now };
    let corrections = join_store::count_corrections(&mut transaction, merchant_id).await?;
    notice::raise(&mut transaction, &[notices::applied(merchant_id, corrections, when)]).await?;
    transaction.commit().await?;
    Ok(staff_id)
}

/// The applicant's staff id at a merchant of this company for which they have applied before, if that was not refused: then
/// they apply a second time.
async fn find_own(
    connection: &mut PgConnection,
    mobile_hash: &[u8; 32],
    company: &[MerchantRecord],
) -> sqlx::Result<Option<StaffId>> {
    let places = staff_store::list_by_mobile(connection, mobile_hash).await?;
    let is_own = |place: &StaffRow, filed: &MerchantRecord| {
        filed.merchant_id == place.merchant_id && filed.status != MerchantStatus::Refused && place.role == Role::Owner
    };
    let own = places.into_iter().find(|place| company.iter().any(|filed| is_own(place, filed)));
    Ok(own.map(|own| own.staff_id))
}
