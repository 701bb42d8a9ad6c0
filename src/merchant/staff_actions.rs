//! Use cases of a merchant's staff: hire, change a role, remove; find who signs in.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::model::MerchantStatus;
use super::staff::{Role, Staff, StaffRefusal, Team};
use super::staff_store::{self, By, NewStaff, RoleChange, StaffRow};
use super::store;
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::{MerchantId, StaffId};
use crate::base::person::Mobile;
use crate::database;
use crate::error::{Fault, Outcome, Step};
use crate::page::session;
use crate::page::subject::Subject;
use crate::vault::{Field, Indexed};

/// Somebody at a merchant, with the merchant.
#[derive(Clone, Debug)]
pub struct StaffAt {
    pub staff: Staff,
    pub merchant_name: String,
    pub merchant_status: MerchantStatus,
}

/// Somebody who works at a merchant, unless they were removed.
pub async fn find_staff(app: &App, staff_id: Uuid) -> anyhow::Result<Option<StaffAt>> {
    let row = staff_store::find_staff(&mut *app.pool.acquire().await?, staff_id).await?;
    row.map(|row| open(app, row)).transpose()
}

/// Every place where somebody with this mobile works.
pub async fn find_by_mobile(app: &App, mobile: &Mobile) -> anyhow::Result<Vec<StaffAt>> {
    let mobile_hash = app.vault.index(Indexed::Mobile, mobile.reveal());
    let rows = staff_store::list_by_mobile(&mut *app.pool.acquire().await?, &mobile_hash).await?;
    rows.into_iter().map(|row| open(app, row)).collect()
}

/// Everybody at a merchant.
pub async fn list_staff(app: &App, merchant_id: MerchantId) -> anyhow::Result<Vec<Staff>> {
    let rows = staff_store::list_of_merchant(&mut *app.pool.acquire().await?, merchant_id).await?;
    rows.into_iter().map(|row| open(app, row).map(|at| at.staff)).collect()
}

/// Somebody at a merchant as an operator is shown them. `None` is what cannot be opened, as where it was sealed under a
/// master key that is not configured.
#[derive(Clone, Debug)]
pub struct StaffShown {
    pub staff_id: StaffId,
    pub name: Option<String>,
    /// Shown masked.
    pub mobile: Option<Mobile>,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// Everybody at a merchant, including those of whom something cannot be opened.
pub async fn show_staff(app: &App, merchant_id: MerchantId) -> sqlx::Result<Vec<StaffShown>> {
    let rows = staff_store::list_of_merchant(&mut *app.pool.acquire().await?, merchant_id).await?;
    let shown = rows.into_iter().map(|row| {
        let opened = |field, sealed: &[u8]| app.vault.open_for(row.staff_id.uuid(), field, sealed).ok();
        StaffShown {
            staff_id: row.staff_id,
            name: opened(Field::Name, &row.name_sealed),
            mobile: opened(Field::Mobile, &row.mobile_sealed).and_then(|mobile| mobile.parse().ok()),
            role: row.role,
            created_at: row.created_at,
        }
    });
    Ok(shown.collect())
}

fn open(app: &App, row: StaffRow) -> anyhow::Result<StaffAt> {
    let owner = row.staff_id.uuid();
    let staff = Staff {
        staff_id: row.staff_id,
        merchant_id: row.merchant_id,
        name: app.vault.open_for(owner, Field::Name, &row.name_sealed)?,
        mobile: app.vault.open_for(owner, Field::Mobile, &row.mobile_sealed)?.parse()?,
        role: row.role,
        created_at: row.created_at,
    };
    Ok(StaffAt { staff, merchant_name: row.merchant_name, merchant_status: row.merchant_status })
}

/// Somebody to be hired, every part checked.
#[derive(Clone, Debug)]
pub struct Hiring {
    pub merchant_id: MerchantId,
    pub name: String,
    pub mobile: Mobile,
    pub role: Role,
    /// A staff id, an operator's name, or `applicant`.
    pub hired_by: String,
}

/// Whether somebody of this name, mobile and role works there already.
pub async fn is_hired(app: &App, hiring: &Hiring) -> anyhow::Result<bool> {
    let people = list_staff(app, hiring.merchant_id).await?;
    let is_it = |staff: &Staff| staff.name == hiring.name && staff.mobile == hiring.mobile && staff.role == hiring.role;
    Ok(people.iter().any(is_it))
}

/// Lets somebody sign in for a merchant.
pub async fn hire(app: &App, hiring: &Hiring) -> Outcome<StaffId, StaffRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let team = lock_team(app, &mut transaction, hiring.merchant_id).await?;
    team.may_hire(&hiring.mobile).map_err(Fault::Refused)?;
    let staff_id = insert(app, &mut transaction, hiring).await?;
    let detail = json!({ "staff_id": staff_id, "role": hiring.role.name() });
    audit::record(&mut transaction, app, Act::new(Action::StaffHired, hiring.merchant_id, detail)).await?;
    transaction.commit().await?;
    Ok(staff_id)
}

/// Writes somebody new in the caller's transaction, which has locked the merchant.
pub(super) async fn insert(app: &App, connection: &mut sqlx::PgConnection, hiring: &Hiring) -> sqlx::Result<StaffId> {
    let now = app.clock.now();
    let staff_id = StaffId::mint(now);
    let owner = staff_id.uuid();
    let staff = NewStaff {
        staff_id,
        merchant_id: hiring.merchant_id,
        mobile_hash: app.vault.index(Indexed::Mobile, hiring.mobile.reveal()),
        mobile_sealed: app.vault.seal_for(owner, Field::Mobile, hiring.mobile.reveal()),
        name_sealed: app.vault.seal_for(owner, Field::Name, &hiring.name),
        role: hiring.role,
    };
    staff_store::insert_staff(connection, &staff, By { name: &hiring.hired_by, at: now }).await?;
    Ok(staff_id)
}

/// A change of one person at a merchant, and who makes it.
#[derive(Clone, Debug)]
pub struct StaffChange {
    pub merchant_id: MerchantId,
    pub staff_id: StaffId,
    pub changed_by: String,
}

/// Gives somebody another role, which counts from their next request on.
pub async fn change_role(app: &App, change: &StaffChange, role: Role) -> Outcome<Step, StaffRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let team = lock_team(app, &mut transaction, change.merchant_id).await?;
    let before = team.may_become(change.staff_id, role).map_err(Fault::Refused)?.role;
    if before == role {
        return Ok(Step::AlreadyApplied);
    }
    let by = By { name: &change.changed_by, at: app.clock.now() };
    let changed = RoleChange { staff_id: change.staff_id, before, after: role };
    if !staff_store::update_role(&mut transaction, changed, by).await? {
        return Err(Fault::Failed(anyhow::anyhow!("a locked team changed")));
    }
    transaction.commit().await?;
    Ok(Step::Applied)
}

/// Removes somebody; their sessions end with that.
pub async fn remove(app: &App, change: &StaffChange) -> Outcome<(), StaffRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let team = lock_team(app, &mut transaction, change.merchant_id).await?;
    let role = team.may_remove(change.staff_id).map_err(Fault::Refused)?.role;
    let by = By { name: &change.changed_by, at: app.clock.now() };
    if !staff_store::remove_staff(&mut transaction, change.staff_id, by).await? {
        return Err(Fault::Failed(anyhow::anyhow!("a locked team changed")));
    }
    session::end_all(&mut transaction, Subject::staff(change.staff_id)).await?;
    let detail = json!({ "staff_id": change.staff_id, "role": role.name() });
    audit::record(&mut transaction, app, Act::new(Action::StaffRemoved, change.merchant_id, detail)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Everybody at a merchant, with the merchant locked, so that concurrent changes of its staff are made one after the other.
async fn lock_team(
    app: &App,
    connection: &mut sqlx::PgConnection,
    merchant_id: MerchantId,
) -> Outcome<Team, StaffRefusal> {
    let status = store::lock_status(connection, merchant_id).await?;
    status.ok_or(Fault::Refused(StaffRefusal::UnknownMerchant))?;
    let rows = staff_store::list_of_merchant(connection, merchant_id).await?;
    let team: anyhow::Result<Vec<Staff>> = rows.into_iter().map(|row| open(app, row).map(|at| at.staff)).collect();
    Ok(Team(team?))
}
