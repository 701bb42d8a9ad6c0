//! Making withholding orders for what is due: at the close for the day after, and again at later times of the day.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::account::OpenInstallment;
use super::notices;
use super::store::{self, NewWithholding};
use super::withholding::{Purpose, State, Withholding};
use crate::app::App;
use crate::base::id::{BorrowerId, CardId, LineId, WithholdingId};
use crate::base::{BusinessDay, Fen};
use crate::partner::withholding::ChannelName;
use crate::{bill, notice};

/// Lines whose installments are in memory at once.
const BATCH_LINES: usize = 1_000;

/// A line from which money is to be taken.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub channel: ChannelName,
    pub partial_allowed: bool,
    /// From 1 on each day.
    pub attempt_no: i16,
    pub submit_at: DateTime<Utc>,
}

/// Writes one order a line for everything that is due on it by `day`, penalty of that day included. A line that owes nothing,
/// or from which something is being collected, gets none; one without a card gets a notice. Returns the orders written.
pub async fn create_due_orders(
    connection: &mut PgConnection,
    app: &App,
    candidates: &[Candidate],
    day: BusinessDay,
) -> anyhow::Result<u64> {
    let now = app.clock.now();
    let mut written = 0;
    for batch in candidates.chunks(BATCH_LINES) {
        let line_ids: Vec<Uuid> = batch.iter().map(|candidate| candidate.line_id.uuid()).collect();
        let owed = owed_by_line(connection, app, &line_ids, day).await?;
        let borrower_ids: Vec<Uuid> = batch.iter().map(|candidate| candidate.borrower_id.uuid()).collect();
        let cards = store::load_default_cards(connection, &borrower_ids).await?;
        let (mut orders, mut told) = (Vec::with_capacity(batch.len()), Vec::new());
        for candidate in batch {
            let Some(amount) = owed.get(&candidate.line_id).copied().filter(|owed| owed.is_positive()) else {
                continue;
            };
            match cards.get(&candidate.borrower_id) {
                Some(card_id) => orders.push(candidate.order(*card_id, amount, day, now)),
                None => told.push(notices::no_card(candidate.borrower_id, candidate.line_id, day, now)),
            }
        }
        written += store::insert_withholdings(connection, &orders).await?;
        notice::raise(connection, &told).await?;
    }
    Ok(written)
}

/// What each line owes on `day` on bills that are due by then, penalty included.
pub async fn owed_by_line(
    connection: &mut PgConnection,
    app: &App,
    line_ids: &[Uuid],
    day: BusinessDay,
) -> anyhow::Result<HashMap<LineId, Fen>> {
    let mut owed: HashMap<LineId, Fen> = HashMap::with_capacity(line_ids.len());
    for billed in bill::store::load_open_installments(connection, line_ids).await? {
        if billed.due_on() > day {
            continue;
        }
        let line_id = billed.line_id;
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        *owed.entry(line_id).or_default() += OpenInstallment::new(billed, product).owed_on(day).total();
    }
    Ok(owed)
}

impl Candidate {
    fn order(&self, card_id: CardId, amount: Fen, day: BusinessDay, now: DateTime<Utc>) -> NewWithholding {
        NewWithholding {
            order: Withholding {
                withholding_id: WithholdingId::mint(now),
                line_id: self.line_id,
                borrower_id: self.borrower_id,
                purpose: Purpose::Due,
                card_id,
                channel: self.channel,
                amount,
                partial_allowed: self.partial_allowed,
                attempt_no: self.attempt_no,
                state: State::Created,
                business_day: day,
            },
            idempotency_key: format!("due/{day}/{}", self.attempt_no),
            created_at: now,
            submit_at: self.submit_at,
        }
    }
}
