//! Use cases of orders opened by hand.

use chrono::SubsecRound as _;

use super::code::{Code, CodeKind, CodeRefusal, CodeStatus, token};
use super::code_actions::require_active;
use super::order::{HandOrder, Waits};
use super::order_store::{self, NewHandOrder};
use super::{code_store, desk_actions, staff::Staff};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{CodeId, MerchantId};
use crate::database;
use crate::error::{Fault, Outcome, Step};

/// A request by staff at the counter to open an order.
#[derive(Clone, Debug)]
pub struct HandOrderRequest<'a> {
    /// The id that the form was shown with, so that a form sent twice is one order.
    pub code_id: CodeId,
    pub by: &'a Staff,
    pub amount: Fen,
    pub description: Option<String>,
    pub waits: Waits,
}

/// Opens an order. The same form sent twice opens one order.
pub async fn open_by_hand(app: &App, request: &HandOrderRequest<'_>) -> Outcome<CodeId, CodeRefusal> {
    let now = app.clock.now();
    let merchant_id = request.by.merchant_id;
    let mut transaction = database::begin(&app.pool).await?;
    if let Some(known) = order_store::find_hand_order(&mut transaction, merchant_id, request.code_id).await? {
        known.check_same(request.amount, request.description.as_deref()).map_err(Fault::Refused)?;
        return Ok(known.code_id);
    }
    require_active(&mut transaction, merchant_id).await?;
    let code = Code {
        code_id: request.code_id,
        merchant_id,
        kind: CodeKind::Order {
            amount: request.amount,
            // Not likely to be a reference that the merchant's own system chooses.
            reference: format!("H-{}", token(request.code_id)),
            expires_at: (now + request.waits.length()).trunc_subsecs(6),
        },
        status: CodeStatus::Open,
    };
    if !code_store::insert_code(&mut transaction, &code, now).await? {
        // The same form, sent twice, has just been committed.
        drop(transaction);
        let known = find_order(app, merchant_id, request.code_id).await?;
        let known = known.ok_or(Fault::Refused(CodeRefusal::UnknownCode))?;
        known.check_same(request.amount, request.description.as_deref()).map_err(Fault::Refused)?;
        return Ok(known.code_id);
    }
    let order = NewHandOrder {
        merchant_id,
        code_id: request.code_id,
        description: request.description.as_deref(),
        opened_by: request.by.staff_id,
        opened_at: now,
    };
    order_store::insert_hand_order(&mut transaction, &order).await?;
    transaction.commit().await?;
    Ok(request.code_id)
}

/// The least and the greatest amount of one purchase, for each product that is sold at a merchant.
pub async fn amounts_sold(app: &App, merchant_id: MerchantId) -> anyhow::Result<Vec<(Fen, Fen)>> {
    let mut connection = app.pool.acquire().await?;
    desk_actions::amounts_sold(&mut connection, &app.catalogue, merchant_id).await
}

/// A merchant's order that was opened by hand.
pub async fn find_order(app: &App, merchant_id: MerchantId, code_id: CodeId) -> anyhow::Result<Option<HandOrder>> {
    Ok(order_store::find_hand_order(&mut *app.pool.acquire().await?, merchant_id, code_id).await?)
}

/// A merchant's orders before `before`, the newest first.
pub async fn list_orders(
    app: &App,
    merchant_id: MerchantId,
    before: Option<CodeId>,
    limit: i64,
) -> anyhow::Result<Vec<HandOrder>> {
    Ok(order_store::list_hand_orders(&mut *app.pool.acquire().await?, merchant_id, before, limit).await?)
}

/// Closes an order that will not be paid; what was paid meanwhile stays paid.
pub async fn close_order(app: &App, merchant_id: MerchantId, code_id: CodeId) -> Outcome<Step, CodeRefusal> {
    let order = find_order(app, merchant_id, code_id).await?;
    order.ok_or(Fault::Refused(CodeRefusal::UnknownCode))?;
    super::close_code(app, code_id).await
}
