//! Use cases of orders about a reserve: note, confirm, refuse.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::actions::{BankMovement, Direction, book_movement};
use super::order::{OrderRefusal, ReserveOrder, ReserveOrderKind, ReserveOrderStatus};
use super::order_store::{self, Decided, NotedAgain};
use super::reserve::{REFERENCE_CHARS_MAX, ReserveRefusal};
use super::{notices, store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::{FunderId, ReserveOrderId};
use crate::base::typed::is_one_line;
use crate::base::{Fen, When};
use crate::error::{Fault, Outcome, Step};
use crate::notice::{self, Notice};
use crate::{business_day, database};

/// What a funder's system notes.
#[derive(Clone, Debug)]
pub struct Noting {
    pub funder_id: FunderId,
    pub kind: ReserveOrderKind,
    pub amount: Fen,
    pub reference: String,
    /// The holder of the key that signed it.
    pub noted_by: String,
    /// The request's idempotency key, as `system/key`.
    pub key: String,
}

/// Notes an order. The same reference and amount again gives the existing order; under another idempotency key, that also opens a
/// refused deposit again.
pub async fn note_order(app: &App, noting: Noting) -> Outcome<ReserveOrder, OrderRefusal> {
    let reference = noting.reference.trim();
    let is_long = reference.chars().count() > REFERENCE_CHARS_MAX;
    // Operators read it beside the amount before they confirm it, also in a terminal.
    if reference.is_empty() || is_long || !is_one_line(reference) {
        return Err(Fault::Refused(OrderRefusal::Reserve(ReserveRefusal::ReferenceMalformed)));
    }
    let now = app.clock.now();
    let order = ReserveOrder {
        order_id: ReserveOrderId::mint(now),
        funder_id: noting.funder_id,
        kind: noting.kind,
        amount_fen: noting.amount,
        reference: reference.to_owned(),
        status: ReserveOrderStatus::Noted,
        noted_by: noting.noted_by,
        noted_at: now,
        noted_key: Some(noting.key),
        decided_by: None,
        reason: None,
        decided_at: None,
        refused_before: 0,
    };
    let mut transaction = database::begin(&app.pool).await?;
    let mut is_told = order_store::insert_order(&mut transaction, &order).await?;
    let stored = order_store::find_order_by_reference(&mut transaction, order.funder_id, order.kind, reference).await?;
    let Some(stored) = stored.filter(|stored| stored.amount_fen == order.amount_fen) else {
        return Err(Fault::Refused(OrderRefusal::ReferenceTaken(order.reference)));
    };
    let key = order.noted_key.as_deref().unwrap_or_default();
    if stored.is_opened_again(key) || stored.is_noted_anew(key) {
        // Locked, so that of two notices at once one opens it, and that it is not refused meanwhile.
        let locked = lock(&mut transaction, stored.order_id).await?;
        if locked.is_opened_again(key) {
            let noted = NotedAgain { order_id: stored.order_id, by: &order.noted_by, key, at: now };
            order_store::reopen_order(&mut transaction, noted).await?;
            is_told = true;
        } else if locked.is_noted_anew(key) {
            order_store::keep_key(&mut transaction, stored.order_id, key).await?;
        }
    }
    if is_told && order.kind == ReserveOrderKind::Deposit {
        let noted = lock(&mut transaction, stored.order_id).await?;
        tell(&mut transaction, &noted, notices::deposit_noted, now).await?;
    }
    if is_told {
        audit::record(&mut transaction, app, act(Action::ReserveOrderNoted, &stored)).await?;
    }
    transaction.commit().await?;
    find(app, stored.order_id).await
}

/// The entry in the audit trail of something that a person did to an order.
fn act(action: Action, order: &ReserveOrder) -> Act {
    let ReserveOrder { order_id, funder_id, kind, amount_fen, .. } = order;
    Act::new(action, order_id, json!({ "funder_id": funder_id, "kind": kind, "amount_fen": amount_fen }))
}

/// Tells operators of an order for which they have something to do.
async fn tell(
    connection: &mut PgConnection,
    order: &ReserveOrder,
    notice_of: fn(&ReserveOrder, &str, When) -> Notice,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let when = When { business_day: business_day::store::today(connection).await?, at: now };
    let funder = store::find_code(connection, order.funder_id).await?;
    notice::raise(connection, &[notice_of(order, &funder, when)]).await
}

/// Confirms a deposit whose money arrived, by the name of who says so, and books it. A withdrawal is not confirmed here: its
/// second holder does that.
pub async fn confirm_deposit(app: &App, order_id: ReserveOrderId, by: &str) -> Outcome<ReserveOrder, OrderRefusal> {
    if by.trim().is_empty() {
        return Err(Fault::Refused(OrderRefusal::NameMissing));
    }
    confirm(app, order_id, ReserveOrderKind::Deposit, by.trim()).await
}

/// Confirms a withdrawal by the holder of a second key, and books it.
pub async fn confirm_withdrawal(
    app: &App,
    order_id: ReserveOrderId,
    holder: &str,
) -> Outcome<ReserveOrder, OrderRefusal> {
    confirm(app, order_id, ReserveOrderKind::Withdrawal, holder).await
}

/// Confirms an order of that kind and books it, in one transaction: it is booked or refused, never both.
async fn confirm(
    app: &App,
    order_id: ReserveOrderId,
    kind: ReserveOrderKind,
    by: &str,
) -> Outcome<ReserveOrder, OrderRefusal> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let order = lock(&mut transaction, order_id).await?;
    if order.kind != kind {
        return Err(Fault::Refused(OrderRefusal::UnknownOrder));
    }
    order.check_confirmation(by).map_err(Fault::Refused)?;
    if order.status == ReserveOrderStatus::Booked {
        return Ok(order);
    }
    let direction = match order.kind {
        ReserveOrderKind::Deposit => Direction::In,
        ReserveOrderKind::Withdrawal => Direction::Out,
    };
    let decided = Decided { order_id, status: ReserveOrderStatus::Booked, by, reason: None, at: now };
    order_store::decide_order(&mut transaction, decided).await?;
    let reference = order.reference.clone();
    let movement = BankMovement { funder_id: order.funder_id, amount: order.amount_fen, reference };
    let booked = book_movement(&mut transaction, &movement, direction, now).await;
    let is_booked_now = match booked.map_err(|fault| fault.map_refusal(OrderRefusal::Reserve))? {
        Step::Applied => true,
        // The bank's reference was booked before without an order; whoever did that has paid it.
        Step::AlreadyApplied => false,
    };
    if is_booked_now && order.kind == ReserveOrderKind::Withdrawal {
        tell(&mut transaction, &order, notices::withdrawal_booked, now).await?;
    }
    audit::record(&mut transaction, app, act(Action::ReserveOrderBooked, &order)).await?;
    transaction.commit().await?;
    find(app, order_id).await
}

/// Refuses an order that waits, such as a deposit that never arrived.
pub async fn refuse_order(
    app: &App,
    order_id: ReserveOrderId,
    by: &str,
    reason: &str,
) -> Outcome<ReserveOrder, OrderRefusal> {
    let (by, reason) = (by.trim(), reason.trim());
    if by.is_empty() || reason.is_empty() {
        return Err(Fault::Refused(OrderRefusal::ReasonMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let order = lock(&mut transaction, order_id).await?;
    match order.status {
        ReserveOrderStatus::Noted => {}
        ReserveOrderStatus::Booked => return Err(Fault::Refused(OrderRefusal::OrderBooked)),
        ReserveOrderStatus::Refused => return Ok(order),
    }
    let decided =
        Decided { order_id, status: ReserveOrderStatus::Refused, by, reason: Some(reason), at: app.clock.now() };
    order_store::decide_order(&mut transaction, decided).await?;
    audit::record(&mut transaction, app, act(Action::ReserveOrderRefused, &order)).await?;
    transaction.commit().await?;
    find(app, order_id).await
}

async fn lock(connection: &mut PgConnection, order_id: ReserveOrderId) -> Outcome<ReserveOrder, OrderRefusal> {
    let locked = order_store::lock_order(connection, order_id).await?;
    locked.ok_or(Fault::Refused(OrderRefusal::UnknownOrder))
}

async fn find(app: &App, order_id: ReserveOrderId) -> Outcome<ReserveOrder, OrderRefusal> {
    let mut connection = app.pool.acquire().await?;
    let found = order_store::find_order(&mut connection, order_id).await?;
    found.ok_or(Fault::Refused(OrderRefusal::UnknownOrder))
}
