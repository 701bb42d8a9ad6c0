//! Use cases of a merchant's settlement pages: a month, a day, the lines behind a figure, and statements to download.

use std::ops::RangeInclusive;

use chrono::Datelike;
use futures_util::{Stream, stream};
use sqlx::PgConnection;
use uuid::Uuid;

use super::day::{DayLine, Figure, SettledDay};
use super::outlook::Outlook;
use super::{day_store, hold_store, outlook_actions};
use crate::app::App;
use crate::base::id::{MerchantId, SettlementId};
use crate::base::{BusinessDay, DaysOff, Fen};
use crate::business_day;
use crate::merchant::MerchantDay;

/// Lines on one page of a figure.
pub const PAGE_LINES: i64 = 50;
/// Lines read at once for a statement.
const CHUNK_LINES: i64 = 1_000;

/// One month of a merchant.
#[derive(Clone, Debug)]
pub struct Month {
    pub first: BusinessDay,
    pub today: BusinessDay,
    /// Whether the merchant's payouts are held.
    pub is_held: bool,
    /// Settled days, the newest first.
    pub days: Vec<SettledDay>,
    /// The open day, and the day before if it is not settled yet, as far as they are in this month.
    pub open: Vec<Outlook>,
}

/// The month that contains a day.
pub async fn month(app: &App, merchant_id: MerchantId, day: BusinessDay) -> anyhow::Result<Month> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let month = days_of_month(day);
    let days = day_store::list_days(&mut connection, merchant_id, month.clone()).await?;
    let mut open = Vec::new();
    if month.contains(&today) {
        open.push(outlook_actions::open_day(&mut connection, app, merchant_id, today).await?.outlook());
    }
    let ended = today.minus_days(1);
    if month.contains(&ended) && days.first().is_none_or(|day| day.business_day != ended) {
        open.extend(unsettled(&mut connection, app, merchant_id, ended).await?);
    }
    let is_held = hold_store::is_held(&mut connection, merchant_id).await?;
    Ok(Month { first: *month.start(), today, is_held, days, open })
}

/// A day that has ended and has no settlement yet; `None` if nothing happened on it, because then it never gets one.
async fn unsettled(
    connection: &mut PgConnection,
    app: &App,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<Option<Outlook>> {
    let ended = outlook_actions::open_day(connection, app, merchant_id, day).await?;
    Ok(if ended.parts.is_empty() { None } else { Some(ended.outlook()) })
}

/// The month that contains the business day.
pub async fn this_month(app: &App, merchant_id: MerchantId) -> anyhow::Result<Month> {
    let today = business_day::store::today(&mut *app.pool.acquire().await?).await?;
    month(app, merchant_id, today).await
}

/// The days of the month that contains `day`, both ends included.
pub fn days_of_month(day: BusinessDay) -> RangeInclusive<BusinessDay> {
    let first = day.minus_days(day.date().day0());
    first..=first.plus_months(1).minus_days(1)
}

/// The day of a merchant's settlement; `None` if there is none, or it is another merchant's.
pub async fn day_of(
    app: &App,
    merchant_id: MerchantId,
    settlement_id: SettlementId,
) -> anyhow::Result<Option<BusinessDay>> {
    Ok(day_store::find_day(&mut *app.pool.acquire().await?, merchant_id, settlement_id).await?)
}

/// One day of a merchant, as of `today`.
#[derive(Clone, Debug)]
pub struct DayStory {
    pub today: BusinessDay,
    /// Whether the merchant's payouts are held.
    pub is_held: bool,
    pub state: DayState,
}

/// Whether a day is settled, still open, or without purchases and refunds.
#[derive(Clone, Debug)]
pub enum DayState {
    Settled {
        day: Box<SettledDay>,
        /// The earlier days whose negative amounts were taken into it, with those amounts.
        carried: Vec<(BusinessDay, Fen)>,
        /// The days off because of which it is not paid on the very next day.
        days_off: Vec<DaysOff>,
    },
    /// The day is not over, or its settlement is still being made.
    Open { outlook: Outlook, days_off: Vec<DaysOff> },
    /// Nothing happened on it.
    Quiet,
}

/// A day from gross to payment; `None` for a future day.
pub async fn day(app: &App, merchant_id: MerchantId, day: BusinessDay) -> anyhow::Result<Option<DayStory>> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    if day > today {
        return Ok(None);
    }
    let days_off = |until: BusinessDay| app.calendar.days_off(day, until).unwrap_or_default();
    let open = |outlook: Outlook| {
        let days_off = outlook.pay_on.map(days_off).unwrap_or_default();
        DayState::Open { outlook, days_off }
    };
    let state = if day == today {
        open(outlook_actions::open_day(&mut connection, app, merchant_id, today).await?.outlook())
    } else {
        match day_store::list_days(&mut connection, merchant_id, day..=day).await?.pop() {
            Some(settled) => DayState::Settled {
                carried: day_store::list_carried_into(&mut connection, merchant_id, settled.settlement_id).await?,
                days_off: days_off(settled.pay_on),
                day: Box::new(settled),
            },
            None => unsettled(&mut connection, app, merchant_id, day).await?.map_or(DayState::Quiet, open),
        }
    };
    let is_held = hold_store::is_held(&mut connection, merchant_id).await?;
    Ok(Some(DayStory { today, is_held, state }))
}

/// A page of the lines behind a figure.
#[derive(Clone, Debug)]
pub struct Lines {
    pub rows: Vec<DayLine>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<Uuid>,
}

/// Up to [`PAGE_LINES`] lines behind a figure, those after the line `after`, the oldest first.
pub async fn lines(app: &App, of: MerchantDay, figure: Figure, after: Option<Uuid>) -> anyhow::Result<Lines> {
    read_lines(app, of, figure, after, PAGE_LINES).await
}

async fn read_lines(
    app: &App,
    of: MerchantDay,
    figure: Figure,
    after: Option<Uuid>,
    rows_max: i64,
) -> anyhow::Result<Lines> {
    let mut connection = app.pool.acquire().await?;
    let mut rows = day_store::list_lines(&mut connection, of, figure, after, rows_max + 1).await?;
    let has_more = rows.len() > usize::try_from(rows_max)?;
    rows.truncate(usize::try_from(rows_max)?);
    let next = rows.last().filter(|_| has_more).map(|line| line.line_id);
    Ok(Lines { rows, next })
}

/// A piece of a statement.
#[derive(Clone, Debug)]
pub enum Piece {
    Lines(BusinessDay, Vec<DayLine>),
    /// The day's settlement; comes after its lines.
    Settled(Box<SettledDay>),
}

/// The statement of some days, the oldest first, as a stream: the lines of each day, then its settlement.
pub async fn statement(
    app: &App,
    merchant_id: MerchantId,
    days: RangeInclusive<BusinessDay>,
) -> anyhow::Result<impl Stream<Item = anyhow::Result<Piece>> + Send + use<>> {
    // The newest first, so that the oldest is popped off the end.
    let left = day_store::list_days(&mut *app.pool.acquire().await?, merchant_id, days).await?;
    let begin = (app.clone(), left, Reading::From(None));
    Ok(stream::try_unfold(begin, move |(app, mut left, reading)| async move {
        let Some(settled) = left.last() else { return Ok(None) };
        let day = settled.business_day;
        match reading {
            Reading::From(after) => {
                let lines = read_lines(&app, MerchantDay { merchant_id, day }, Figure::Net, after, CHUNK_LINES).await?;
                let reading = lines.next.map_or(Reading::Done, |next| Reading::From(Some(next)));
                Ok(Some((Piece::Lines(day, lines.rows), (app, left, reading))))
            }
            Reading::Done => {
                let settled = left.pop().map(Box::new);
                Ok(settled.map(|settled| (Piece::Settled(settled), (app, left, Reading::From(None)))))
            }
        }
    }))
}

/// How far the lines of a day have been read.
enum Reading {
    From(Option<Uuid>),
    Done,
}
