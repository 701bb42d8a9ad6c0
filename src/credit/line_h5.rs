//! Where the numbers of a line come from: limit less used, and every change that led there.

use std::sync::Arc;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::line::Line;
use super::own_store::{self, OwnEntry};
use super::{Freeze, Freezes, LineStatus, actions};
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{BusinessDay, Fen};
use crate::http::Problem;
use crate::page::Page;
use crate::page::session::SignedIn;
use crate::product::ProductVersion;
use crate::product::terms::WithholdingTerms;
use crate::{bill, business_day, funder};

/// The key of the words for a line that is frozen for lateness alone, and usable again once that is paid.
pub(super) const FROZEN_OVERDUE: &str = "line-frozen-overdue";

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    /// Which of several lines; the first where it is left out.
    line: Option<LineId>,
    /// Only changes before this one.
    before: Option<i64>,
}

#[derive(Template, WebTemplate)]
#[template(path = "credit/line.html")]
pub struct LinePage {
    page: Page,
    line: Line,
    /// The terms that it was opened under: by their timetable its bills are taken from the card.
    product: Arc<ProductVersion>,
    lender: String,
    today: BusinessDay,
    others: Vec<LineId>,
    /// The principal left of each loan, which together is what is used.
    outstanding: Vec<Fen>,
    entries: Vec<OwnEntry>,
    older: Option<i64>,
}

/// `GET /home/line`
pub async fn show(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Query(asked): Query<Asked>,
) -> Result<LinePage, Problem> {
    let lines = actions::open_lines(&app, borrower_id).await?;
    let is_asked = |line: &&Line| asked.line.is_none_or(|line_id| line.line_id == line_id);
    let line = lines.iter().find(is_asked).cloned().ok_or_else(Problem::not_found)?;
    let others = lines.iter().map(|line| line.line_id).filter(|line_id| *line_id != line.line_id).collect();
    let mut connection = app.pool.acquire().await?;
    let outstanding = bill::own_store::list_outstanding(&mut connection, line.line_id).await?;
    let product = app.catalogue.get(&mut connection, line.product_id, line.product_version).await?;
    let lender = funder::store::find_name(&mut connection, line.funder_id).await?;
    let today = business_day::store::today(&mut connection).await?;
    let entries = own_store::list_entries(&mut connection, line.line_id, asked.before).await?;
    // Every journal begins with entry 1.
    let older = entries.last().map(|entry| entry.entry_no).filter(|entry_no| *entry_no > 1);
    Ok(LinePage { page, line, product, lender, today, others, outstanding, entries, older })
}

impl LinePage {
    fn usable(&self) -> Fen {
        self.line.usable_on(self.today)
    }

    fn expires_on(&self) -> BusinessDay {
        BusinessDay::new(self.line.expires_on)
    }

    /// On which days and at which times what is due is taken from the card.
    fn withholding(&self) -> String {
        let WithholdingTerms { times, days, partial_allowed } = &self.product.terms.withholding;
        let comma = self.page.say("line-withholding-comma").to_string();
        let times: Vec<String> = times.iter().map(|time| time.format("%H:%M").to_string()).collect();
        let later: Vec<String> = days.iter().filter(|days| **days > 0).map(ToString::to_string).collect();
        let said = match (days.contains(&0), later.is_empty()) {
            (true, true) => self.page.say("line-withholding-due"),
            (true, false) => self.page.say("line-withholding-both").with("days", later.join(&comma)),
            (false, _) => self.page.say("line-withholding-later").with("days", later.join(&comma)),
        };
        let mut said = said.with("times", times.join(&comma)).to_string();
        if *partial_allowed {
            said.push_str(&self.page.say("line-withholding-part").to_string());
        }
        said
    }

    fn has_ended(&self) -> bool {
        self.line.has_expired_on(self.today)
    }

    fn unusable(&self) -> Option<&'static str> {
        why_unusable(&self.line, self.today)
    }
}

/// The key of the words that say why nothing can be bought on a line, with its last day as `{ $day }`, and what to do; `None` of one
/// that can be used.
pub(super) fn why_unusable(line: &Line, today: BusinessDay) -> Option<&'static str> {
    match line.status {
        LineStatus::Closed => Some("line-closed"),
        LineStatus::Active | LineStatus::Frozen(_) if line.has_expired_on(today) => Some("line-expired"),
        LineStatus::Active => None,
        LineStatus::Frozen(reasons) if reasons == Freezes::of(Freeze::Overdue) => Some(FROZEN_OVERDUE),
        // Paying alone will not unfreeze it, so the words must not say that it does.
        LineStatus::Frozen(reasons) if reasons.contains(Freeze::Overdue) => Some("line-frozen-overdue-and-other"),
        LineStatus::Frozen(_) => Some("line-frozen-other"),
    }
}

impl OwnEntry {
    /// The code of the words that name the change.
    fn code(&self) -> &'static str {
        self.kind.name()
    }

    /// What it did to what is available.
    fn available_change(&self) -> Fen {
        self.limit_change - self.used_change
    }

    fn available_after(&self) -> Fen {
        self.limit_after - self.used_after
    }
}
