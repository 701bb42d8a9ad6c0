//! Use cases of a funder: open it, move money in and out of its reserve, set the terms of the reserve.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::forecast::{self, Forecast};
use super::posting::{self, Movement};
use super::reserve::{LowWaterMarks, Occasion, REFERENCE_CHARS_MAX, Reserve, ReserveEntryKind, ReserveRefusal};
use super::slice_actions::lock_reserve;
use super::slice_store;
use super::store::{self, Funder};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::code::{CODE_BYTES_MAX, is_code};
use crate::base::id::{FunderId, mint};
use crate::base::{BusinessDay, Fen, When};
use crate::business_day;
use crate::database;
use crate::error::{Attempt, Fault, Outcome, Refusal, Step};
use crate::ledger;
use crate::outbox::{self, Message};
use crate::partner;

/// Why a funder is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenFunderRefusal {
    #[error("a funder's code has 2 to 32 of a-z, 0-9 and -")]
    CodeMalformed,
    #[error("a partner of the house is called {0}, and what is meant for the funder would go there")]
    CodeReserved(String),
    #[error("the code {code} belongs to {name}")]
    CodeTaken { code: String, name: String },
    #[error("a funder has a name")]
    NameMissing,
}

impl Refusal for OpenFunderRefusal {
    fn code(&self) -> &'static str {
        match self {
            OpenFunderRefusal::CodeMalformed => "funder_code_malformed",
            OpenFunderRefusal::CodeReserved(_) => "funder_code_reserved",
            OpenFunderRefusal::CodeTaken { .. } => "funder_code_taken",
            OpenFunderRefusal::NameMissing => "funder_name_missing",
        }
    }
}

/// Opens a funder with an empty reserve; the same code and name again gives the same funder.
pub async fn open_funder(app: &App, code: &str, name: &str) -> Outcome<FunderId, OpenFunderRefusal> {
    check_code(code).map_err(Fault::Refused)?;
    if name.trim().is_empty() {
        return Err(Fault::Refused(OpenFunderRefusal::NameMissing));
    }
    let now = app.clock.now();
    let funder = Funder { funder_id: FunderId::mint(now), code: code.to_owned(), name: name.trim().to_owned() };
    let mut transaction = database::begin(&app.pool).await?;
    if store::insert_funder(&mut transaction, &funder, now).await? {
        let act = Act::new(Action::FunderOpened, funder.funder_id, json!({ "code": funder.code }));
        audit::record(&mut transaction, app, act).await?;
        transaction.commit().await?;
        return Ok(funder.funder_id);
    }
    let existing = store::find_funder_by_code(&mut transaction, code).await?.ok_or(sqlx::Error::RowNotFound)?;
    if existing.name == funder.name {
        Ok(existing.funder_id)
    } else {
        Err(Fault::Refused(OpenFunderRefusal::CodeTaken { code: existing.code, name: existing.name }))
    }
}

fn check_code(code: &str) -> Result<(), OpenFunderRefusal> {
    if !is_code(code, CODE_BYTES_MAX) {
        return Err(OpenFunderRefusal::CodeMalformed);
    }
    // Messages to a funder's core are addressed by the funder's code.
    if partner::is_name(code) { Err(OpenFunderRefusal::CodeReserved(code.to_owned())) } else { Ok(()) }
}

/// Money between a funder's bank and its reserve, as the bank names it.
#[derive(Clone, Debug)]
pub struct BankMovement {
    pub funder_id: FunderId,
    pub amount: Fen,
    /// The bank's reference: booked once for each kind of movement.
    pub reference: String,
}

/// Books a deposit that arrived. The same reference and amount again changes nothing.
pub async fn deposit(app: &App, movement: BankMovement) -> Outcome<Step, ReserveRefusal> {
    book(app, &movement, Direction::In).await
}

/// Books a withdrawal: money that goes back to the funder, never more than is available without the advance. The same reference
/// and amount again changes nothing.
pub async fn withdraw(app: &App, movement: BankMovement) -> Outcome<Step, ReserveRefusal> {
    book(app, &movement, Direction::Out).await
}

async fn book(app: &App, movement: &BankMovement, direction: Direction) -> Outcome<Step, ReserveRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let step = book_movement(&mut transaction, movement, direction, app.clock.now()).await?;
    transaction.commit().await?;
    Ok(step)
}

/// Which way money goes between a funder's bank and its reserve.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    In,
    Out,
}

impl Direction {
    fn entry_kind(self) -> ReserveEntryKind {
        match self {
            Direction::In => ReserveEntryKind::Deposit,
            Direction::Out => ReserveEntryKind::Withdrawal,
        }
    }
}

/// Books a movement in the caller's transaction. It locks the reserve, so the caller has taken all other locks before.
pub(super) async fn book_movement(
    connection: &mut PgConnection,
    movement: &BankMovement,
    direction: Direction,
    now: DateTime<Utc>,
) -> Outcome<Step, ReserveRefusal> {
    let BankMovement { funder_id, amount, ref reference } = *movement;
    let reference = reference.trim();
    if reference.is_empty() || reference.chars().count() > REFERENCE_CHARS_MAX {
        return Err(Fault::Refused(ReserveRefusal::ReferenceMalformed));
    }
    let when = When { business_day: business_day::store::hold_today(&mut *connection).await?, at: now };
    let mut reserve = lock_known_reserve(&mut *connection, funder_id, when).await?;
    if let Some(booked) =
        store::find_booked_amount(&mut *connection, funder_id, direction.entry_kind(), reference).await?
    {
        if booked == amount {
            return Ok(Step::AlreadyApplied);
        }
        let reference = reference.to_owned();
        return Err(Fault::Refused(ReserveRefusal::ReferenceBookedWithOtherAmount { reference, booked }));
    }
    let occasion = Occasion { source: reference.to_owned(), when };
    let posted = Movement { funder_id, movement_id: mint(now), amount, when };
    let (entry, posting) = match direction {
        Direction::In => (reserve.deposit(amount, occasion), posting::deposit(posted)),
        Direction::Out => (reserve.withdraw(amount, occasion), posting::withdrawal(posted)),
    };
    store::save_reserve(&mut *connection, &reserve, &[entry.map_err(Fault::Refused)?]).await?;
    ledger::store::insert_postings(&mut *connection, &[posting]).await?;
    let partner = store::find_code(&mut *connection, funder_id).await?;
    let told = moved(partner, &reserve, Moved { direction, amount, reference, when });
    outbox::store::enqueue(connection, &[told]).await?;
    Ok(Step::Applied)
}

/// Money that came into a reserve or went out of it.
struct Moved<'a> {
    direction: Direction,
    amount: Fen,
    /// The bank's.
    reference: &'a str,
    when: When,
}

/// The message to the funder's core about a movement.
fn moved(partner: String, reserve: &Reserve, moved: Moved<'_>) -> Message {
    Message {
        partner,
        kind: match moved.direction {
            Direction::In => "reserve_deposited",
            Direction::Out => "reserve_withdrawn",
        },
        object_id: reserve.funder_id.uuid(),
        body: json!({
            "funder_id": reserve.funder_id,
            "amount_fen": moved.amount,
            "reference": moved.reference,
            "available_fen": reserve.available,
            "business_day": moved.when.business_day,
        }),
        created_at: moved.when.at,
    }
}

/// How far a reserve may go below zero, and when its funder is warned.
#[derive(Clone, Copy, Debug)]
pub struct ReserveTerms {
    pub advance_limit: Fen,
    pub low_water: Fen,
}

/// Sets advance limit and highest low-water mark. A limit below the advance in use is refused, and so is a mark that is not above
/// the lower marks.
pub async fn set_reserve_terms(app: &App, funder_id: FunderId, terms: ReserveTerms) -> Outcome<Step, ReserveRefusal> {
    let ReserveTerms { advance_limit, low_water } = terms;
    let change = TermsChange { advance_limit: Some(advance_limit), low_water: Some(low_water), lower_marks: None };
    change_reserve_terms(app, funder_id, change).await.map(|(step, _)| step)
}

/// Which terms of a reserve are to change; `None` leaves one as it is.
#[derive(Clone, Debug)]
pub struct TermsChange {
    pub advance_limit: Option<Fen>,
    pub low_water: Option<Fen>,
    pub lower_marks: Option<Vec<Fen>>,
}

/// Changes those terms of a reserve that the operator names, and leaves the others as they are: the funder may have set them
/// meanwhile.
pub async fn change_reserve_terms(
    app: &App,
    funder_id: FunderId,
    change: TermsChange,
) -> Outcome<(Step, Reserve), ReserveRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let mut reserve = lock_reserve_today(&mut transaction, app, funder_id).await?;
    let advance_limit = change.advance_limit.unwrap_or(reserve.advance_limit);
    let present = reserve.marks();
    let marks = LowWaterMarks {
        first: change.low_water.unwrap_or(present.first),
        lower: change.lower_marks.unwrap_or_else(|| present.lower.clone()),
    };
    if (reserve.advance_limit, &present) == (advance_limit, &marks) {
        return Ok((Step::AlreadyApplied, reserve));
    }
    reserve.set_terms(advance_limit, marks).map_err(Fault::Refused)?;
    save_terms(&mut transaction, &reserve).await?;
    let terms = json!({
        "advance_limit_fen": reserve.advance_limit,
        "low_water_fen": reserve.low_water,
        "lower_marks_fen": reserve.lower_marks,
    });
    audit::record(&mut transaction, app, Act::new(Action::ReserveTermsSet, funder_id, terms)).await?;
    transaction.commit().await?;
    Ok((Step::Applied, reserve))
}

/// Low-water marks that a funder sets instead of those that it has read.
#[derive(Clone, Debug)]
pub struct LowWaterChange {
    /// Of the marks that were read.
    pub version: i32,
    pub marks: LowWaterMarks,
    pub attempt: Attempt,
}

/// Sets the low-water marks if they are still in the version that the funder read. A repeated request that was already carried
/// out changes nothing.
pub async fn change_low_water(
    app: &App,
    funder_id: FunderId,
    change: LowWaterChange,
) -> Outcome<Reserve, ReserveRefusal> {
    let LowWaterChange { version, marks, attempt } = change;
    let mut transaction = database::begin(&app.pool).await?;
    let mut reserve = lock_reserve_today(&mut transaction, app, funder_id).await?;
    let is_done = reserve.low_water_version - 1 == version && reserve.marks() == marks;
    if attempt == Attempt::Again && is_done {
        return Ok(reserve);
    }
    if reserve.low_water_version != version {
        return Err(Fault::Refused(ReserveRefusal::LowWaterChanged));
    }
    reserve.set_marks(marks).map_err(Fault::Refused)?;
    save_terms(&mut transaction, &reserve).await?;
    transaction.commit().await?;
    Ok(reserve)
}

/// Saves new terms and ends all leases of slices. A lease may reach below a new mark, and a mark is only to be crossed by a
/// transaction that has locked the reserve.
async fn save_terms(connection: &mut PgConnection, reserve: &Reserve) -> sqlx::Result<()> {
    store::save_reserve(&mut *connection, reserve, &[]).await?;
    slice_store::lease(connection, reserve.funder_id, Fen::ZERO).await
}

/// When the reserve will be used up if purchases go on as on the last business days before `today`.
///
/// # Errors
/// `RowNotFound` when there is no such funder.
pub async fn forecast_reserve(
    connection: &mut PgConnection,
    app: &App,
    funder_id: FunderId,
    today: BusinessDay,
) -> sqlx::Result<Forecast> {
    let reserve = store::find_reserve(&mut *connection, funder_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let from = today.minus_days(forecast::DAYS);
    let used = store::sum_net_use(connection, funder_id, from, today).await?;
    Ok(forecast::forecast(&reserve, used, today, &app.calendar))
}

/// Enters into the reserve's journal what purchases have used by slices since it was last locked.
pub async fn bring_journal_up_to_date(app: &App, funder_id: FunderId) -> Outcome<(), ReserveRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    lock_reserve_today(&mut transaction, app, funder_id).await?;
    transaction.commit().await?;
    Ok(())
}

/// Holds the business day, and locks the reserve after it.
async fn lock_reserve_today(
    connection: &mut PgConnection,
    app: &App,
    funder_id: FunderId,
) -> Outcome<Reserve, ReserveRefusal> {
    let today = business_day::store::hold_today(&mut *connection).await?;
    lock_known_reserve(connection, funder_id, When { business_day: today, at: app.clock.now() }).await
}

async fn lock_known_reserve(
    connection: &mut PgConnection,
    funder_id: FunderId,
    when: When,
) -> Outcome<Reserve, ReserveRefusal> {
    match lock_reserve(connection, funder_id, when).await {
        Ok(reserve) => Ok(reserve),
        Err(sqlx::Error::RowNotFound) => Err(Fault::Refused(ReserveRefusal::UnknownFunder)),
        Err(failure) => Err(failure.into()),
    }
}
