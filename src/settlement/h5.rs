//! A merchant's pages of its settlements: months, days from gross to payment, the lines behind each figure, and statements.

use std::ops::RangeInclusive;

use askama::Template;
use askama_web::WebTemplate;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::{Stream, TryStreamExt};
use serde::Deserialize;
use uuid::Uuid;

use super::day::{DayLine, Figure, MoneyState, SettledDay};
use super::day_actions::{self, DayState, DayStory, Lines, Month, Piece, days_of_month};
use super::outlook::Outlook;
use crate::app::App;
use crate::base::id::{RefundId, SettlementId};
use crate::base::typed::typed_day;
use crate::base::{BusinessDay, DayOff, DaysOff, Fen};
use crate::http::Problem;
use crate::merchant::{MerchantDay, MerchantSignedIn, Right};
use crate::page::Page;
use crate::page::sheet::{self, Cell, Sheet};

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct MonthAsked {
    /// Such as `2026-03`; today's month if it is not a month.
    month: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "settlement/month.html")]
pub struct MonthPage {
    page: Page,
    signed_in: MerchantSignedIn,
    month: Month,
    earlier: BusinessDay,
    /// `None` for the current month.
    later: Option<BusinessDay>,
}

/// `GET /m/settlements`
pub async fn list(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Query(asked): Query<MonthAsked>,
) -> Result<MonthPage, Problem> {
    signed_in.require(Right::SeeSettlements)?;
    let month = match parse_month(&asked.month) {
        Some(first) => day_actions::month(&app, signed_in.merchant_id, first).await?,
        None => day_actions::this_month(&app, signed_in.merchant_id).await?,
    };
    let earlier = month.first.minus_days(1);
    let later = Some(month.first.plus_months(1)).filter(|first| *first <= month.today);
    Ok(MonthPage { page, signed_in, month, earlier, later })
}

/// The first day of a month in the form `2026-03`.
fn parse_month(text: &str) -> Option<BusinessDay> {
    typed_day(&format!("{text}-01")).ok()
}

impl MonthPage {
    /// Whether the day has ended and its settlement is still being made.
    fn is_over(&self, open: &Outlook) -> bool {
        open.business_day < self.month.today
    }

    fn name(&self, day: &BusinessDay) -> String {
        day.date().format("%Y-%m").to_string()
    }

    fn sum(&self, amount: impl Fn(&SettledDay) -> Fen) -> Fen {
        self.month.days.iter().map(amount).sum()
    }

    fn gross(&self) -> Fen {
        self.sum(|day| day.gross)
    }

    fn taken_off(&self) -> Fen {
        self.sum(|day| day.refunds + day.discount_fee + day.subsidy)
    }

    fn paid(&self) -> Fen {
        self.sum(|day| if day.paid_on.is_some() { day.payable } else { Fen::ZERO })
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "settlement/day.html")]
pub struct DayPage {
    page: Page,
    signed_in: MerchantSignedIn,
    day: BusinessDay,
    story: DayStory,
}

/// `GET /m/settlements/{day}`; a settlement's id redirects to its day.
pub async fn show(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(day): Path<String>,
) -> Result<Response, Problem> {
    signed_in.require(Right::SeeSettlements)?;
    if let Ok(settlement_id) = day.parse::<SettlementId>() {
        let day = day_actions::day_of(&app, signed_in.merchant_id, settlement_id).await?;
        let day = day.ok_or_else(Problem::not_found)?;
        return Ok(Redirect::to(&format!("/m/settlements/{day}")).into_response());
    }
    let day: BusinessDay = typed_day(&day).map_err(|_| Problem::not_found())?;
    let story = day_actions::day(&app, signed_in.merchant_id, day).await?.ok_or_else(Problem::not_found)?;
    Ok(DayPage { page, signed_in, day, story }.into_response())
}

/// The figures of a day, settled or still open.
struct Figures {
    gross: Fen,
    refunds: Fen,
    fee: Fen,
    subsidy: Fen,
    net: Fen,
    carried_in: Fen,
    payable: Fen,
}

impl DayState {
    /// `None` if nothing happened on the day.
    fn figures(&self) -> Option<Figures> {
        match self {
            DayState::Settled { day, .. } => Some(Figures {
                gross: day.gross,
                refunds: day.refunds,
                fee: day.discount_fee,
                subsidy: day.subsidy,
                net: day.net,
                carried_in: day.carried_in,
                payable: day.payable,
            }),
            DayState::Open { outlook, .. } => Some(Figures {
                gross: outlook.gross,
                refunds: outlook.refunds,
                fee: outlook.discount_fee,
                subsidy: outlook.subsidy,
                net: outlook.net,
                carried_in: outlook.carried_in,
                payable: outlook.payable,
            }),
            DayState::Quiet => None,
        }
    }
}

impl DayPage {
    /// Whether the day has ended and its settlement is still being made.
    fn is_being_settled(&self) -> bool {
        matches!(self.story.state, DayState::Open { .. }) && self.day < self.story.today
    }

    /// Earlier days that were carried into this one.
    fn carried(&self) -> &[(BusinessDay, Fen)] {
        match &self.story.state {
            DayState::Settled { carried, .. } => carried,
            DayState::Open { .. } | DayState::Quiet => &[],
        }
    }

    fn settled(&self) -> Option<&SettledDay> {
        match &self.story.state {
            DayState::Settled { day, .. } => Some(day),
            DayState::Open { .. } | DayState::Quiet => None,
        }
    }

    /// Whether nothing is paid for an open day until the merchant's payouts are released.
    fn is_open_and_held(&self) -> bool {
        self.story.is_held && matches!(self.story.state, DayState::Open { .. })
    }

    /// The day on which it is to be paid; `None` if there is nothing to pay, or nobody knows because it is held.
    fn pay_on(&self) -> Option<BusinessDay> {
        match &self.story.state {
            DayState::Settled { day, .. } => {
                Some(day.pay_on).filter(|_| day.payable.is_positive() && day.money() != MoneyState::Held)
            }
            DayState::Open { .. } if self.story.is_held => None,
            DayState::Open { outlook, .. } => outlook.pay_on.filter(|_| outlook.payable.is_positive()),
            DayState::Quiet => None,
        }
    }

    fn days_off(&self) -> &[DaysOff] {
        match &self.story.state {
            DayState::Settled { days_off, .. } | DayState::Open { days_off, .. } => days_off,
            DayState::Quiet => &[],
        }
    }

    /// Whether it was paid, or is still unpaid and not held, after the day on which it should have been.
    fn is_late(&self) -> bool {
        self.settled().is_some_and(|day| {
            let done_on = day.paid_on.unwrap_or(self.story.today);
            day.payable.is_positive() && day.money() != MoneyState::Held && done_on > day.pay_on
        })
    }

    /// Whether the money has not come when it should have, so that somebody may want to call.
    fn is_missed(&self) -> bool {
        self.settled().is_some_and(|day| day.money().is_bad() || (self.is_late() && day.paid_on.is_none()))
    }

    /// Days off in words: `3月7日至3月8日周末`.
    fn why(&self, off: &DaysOff) -> String {
        let why = match &off.why {
            DayOff::Weekend => self.page.say("settle-off-weekend").to_string(),
            DayOff::Holiday(name) => holiday(&self.page, name),
        };
        let first = self.page.day_of_year(&off.first);
        if off.first == off.last {
            return self.page.say("settle-off-day").with("day", first).with("why", why).to_string();
        }
        let last = self.page.day_of_year(&off.last);
        self.page.say("settle-off-days").with("first", first).with("last", last).with("why", why).to_string()
    }
}

/// The public holidays of the State Council's notices, with their message keys; a holiday added by a file keeps its own name.
const HOLIDAYS: [(&str, &str); 7] = [
    ("元旦", "settle-holiday-new_year"),
    ("春节", "settle-holiday-spring_festival"),
    ("清明节", "settle-holiday-qingming"),
    ("劳动节", "settle-holiday-labour_day"),
    ("端午节", "settle-holiday-dragon_boat"),
    ("中秋节", "settle-holiday-mid_autumn"),
    ("国庆节", "settle-holiday-national_day"),
];

fn holiday(page: &Page, name: &str) -> String {
    let word = |one: &str| {
        let known = HOLIDAYS.iter().find(|(name, _)| *name == one);
        known.map_or_else(|| one.to_owned(), |(_, key)| page.say(key).to_string())
    };
    name.split('、').map(word).collect::<Vec<_>>().join(&page.say("settle-holiday-and").to_string())
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct LinesAsked {
    /// The last line of the previous page.
    after: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "settlement/figure.html")]
pub struct FigurePage {
    page: Page,
    signed_in: MerchantSignedIn,
    day: BusinessDay,
    figure: Figure,
    lines: Lines,
    is_first: bool,
    total: Fen,
}

/// `GET /m/settlements/{day}/{figure}`: the purchases and refunds that add up to a figure.
pub async fn figure(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path((day, figure)): Path<(String, String)>,
    Query(asked): Query<LinesAsked>,
) -> Result<FigurePage, Problem> {
    signed_in.require(Right::SeeSettlements)?;
    let day: BusinessDay = typed_day(&day).map_err(|_| Problem::not_found())?;
    let figure = Figure::from_name(&figure).ok_or_else(Problem::not_found)?;
    let story = day_actions::day(&app, signed_in.merchant_id, day).await?.ok_or_else(Problem::not_found)?;
    let after = asked.after.as_deref().and_then(|after| Uuid::try_parse(after).ok());
    let of = MerchantDay { merchant_id: signed_in.merchant_id, day };
    let lines = day_actions::lines(&app, of, figure, after).await?;
    let total = story.state.figures().map_or(Fen::ZERO, |figures| match figure {
        Figure::Gross => figures.gross,
        Figure::Refunds => -figures.refunds,
        Figure::Fee => -figures.fee,
        Figure::Subsidy => -figures.subsidy,
        Figure::Net => figures.net,
    });
    Ok(FigurePage { page, signed_in, day, figure, lines, is_first: after.is_none(), total })
}

/// `GET /m/settlements/{day}/statement`
pub async fn statement_of_day(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(day): Path<String>,
) -> Result<Response, Problem> {
    signed_in.require(Right::SeeSettlements)?;
    let day: BusinessDay = typed_day(&day).map_err(|_| Problem::not_found())?;
    let found = day_actions::day(&app, signed_in.merchant_id, day).await?;
    if !matches!(found, Some(DayStory { state: DayState::Settled { .. }, .. })) {
        return Err(Problem::not_found());
    }
    statement(&app, page, &signed_in, day..=day, &format!("statement-{day}.csv")).await
}

/// `GET /m/settlements/month/{month}/statement`
pub async fn statement_of_month(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(month): Path<String>,
) -> Result<Response, Problem> {
    signed_in.require(Right::SeeSettlements)?;
    let first = parse_month(&month).ok_or_else(Problem::not_found)?;
    statement(&app, page, &signed_in, days_of_month(first), &format!("statement-{month}.csv")).await
}

async fn statement(
    app: &App,
    page: Page,
    signed_in: &MerchantSignedIn,
    days: RangeInclusive<BusinessDay>,
    name: &str,
) -> Result<Response, Problem> {
    signed_in.may_fetch(app).await?;
    let mut sheet = Sheet::begin();
    let columns = [
        "settle-column-day",
        "settle-column-kind",
        "settle-column-number",
        "settle-column-purchase",
        "settle-column-order",
        "settle-column-time",
        "settle-column-amount",
        "settle-column-fee",
        "settle-column-subsidy",
        "settle-column-net",
        "settle-column-carried",
        "settle-column-payable",
        "settle-column-paid_on",
        "settle-column-reference",
    ];
    sheet.row(columns.map(|key| Cell::Text(page.say(key).to_string())))?;
    let pieces = day_actions::statement(app, signed_in.merchant_id, days).await?;
    Ok((sheet::headers(name), Body::from_stream(sent(sheet, page, pieces))).into_response())
}

/// Streams the heading, then each piece as it is read.
fn sent(
    mut sheet: Sheet,
    page: Page,
    pieces: impl Stream<Item = anyhow::Result<Piece>> + Send + 'static,
) -> impl Stream<Item = anyhow::Result<Vec<u8>>> + Send + 'static {
    let heading = sheet.take();
    let rows = pieces.and_then(move |piece| {
        let written = write(&mut sheet, &page, &piece);
        async move { written }
    });
    futures_util::StreamExt::chain(futures_util::stream::iter([heading]), rows)
}

fn write(sheet: &mut Sheet, page: &Page, piece: &Piece) -> anyhow::Result<Vec<u8>> {
    match piece {
        Piece::Lines(day, lines) => {
            for line in lines {
                sheet.row(line_cells(page, *day, line))?;
            }
        }
        Piece::Settled(day) => sheet.row(settled_cells(page, day))?,
    }
    sheet.take()
}

fn line_cells(page: &Page, day: BusinessDay, line: &DayLine) -> Vec<Cell> {
    let (kind, number) = if line.is_refund {
        ("settle-line-refund", RefundId::from_uuid(line.line_id).to_string())
    } else {
        ("settle-line-purchase", line.purchase_id.to_string())
    };
    vec![
        Cell::Day(day),
        Cell::Text(page.say(kind).to_string()),
        Cell::Text(number),
        Cell::Text(line.purchase_id.to_string()),
        Cell::Text(line.order_reference.clone().unwrap_or_default()),
        Cell::Time(line.created_at),
        Cell::Yuan(line.amount),
        Cell::Yuan(line.discount_fee),
        Cell::Yuan(line.subsidy),
        Cell::Yuan(line.net()),
        // What was carried, and what was paid and when, belongs to the whole day: it is in the row that ends the day.
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
    ]
}

fn settled_cells(page: &Page, day: &SettledDay) -> Vec<Cell> {
    vec![
        Cell::Day(day.business_day),
        Cell::Text(page.say("settle-line-settled").to_string()),
        Cell::Text(day.settlement_id.to_string()),
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        Cell::Yuan(day.gross - day.refunds),
        Cell::Yuan(-day.discount_fee),
        Cell::Yuan(-day.subsidy),
        Cell::Yuan(day.net),
        Cell::Yuan(day.carried_in),
        Cell::Yuan(day.payable),
        day.paid_on.map_or(Cell::Empty, Cell::Day),
        Cell::Text(day.bank_reference.clone().unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_four_digits_and_two() {
        assert_eq!(parse_month("2026-03"), Some("2026-03-01".parse().unwrap()));
        for wrong in ["", "2026-13", "2026-3", "+026-03", "2026/03", "0000-01", "💰💰", &"9".repeat(10_000)] {
            assert_eq!(parse_month(wrong), None);
        }
    }
}
