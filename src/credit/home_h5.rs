//! The borrower's home: line, next bill, what is late, messages.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;

use super::line::Line;
use super::line_h5::{FROZEN_OVERDUE, why_unusable};
use super::{actions, apply_h5};
use crate::app::App;
use crate::base::{BusinessDay, Fen};
use crate::bill::own_store::{Coming, OwnPending};
use crate::http::Problem;
use crate::notice::{self, Audience};
use crate::page::Page;
use crate::page::session::SignedIn;
use crate::repayment::{self, Outlook};
use crate::{bill, borrower, business_day};

#[derive(Template, WebTemplate)]
#[template(path = "credit/home.html")]
pub struct HomePage {
    page: Page,
    /// The lines, with those that can be used first.
    lines: Vec<LineCard>,
    /// For somebody without a line: whether there was one before, and whether an application is under way.
    has_closed: bool,
    has_applied: bool,
    outlook: Outlook,
    /// Withholdings under way; the amounts count as owed until they succeed.
    pending: Vec<OwnPending>,
    /// Whether what falls due can be taken from any card.
    has_card: bool,
    unread: i64,
}

struct LineCard {
    /// Where its numbers are explained.
    address: String,
    limit: Fen,
    used: Fen,
    available: Fen,
    /// The key of the words that say why nothing can be bought on it.
    unusable: Option<&'static str>,
    has_expired: bool,
    expires_on: BusinessDay,
}

/// `GET /home`
pub async fn home(State(app): State<App>, page: Page, SignedIn(borrower_id): SignedIn) -> Result<HomePage, Problem> {
    let open = actions::open_lines(&app, borrower_id).await?;
    let has_applied = open.is_empty() && apply_h5::has_standing(&app, borrower_id).await?;
    let has_card = borrower::has_bound_card(&app, borrower_id).await?;
    let mut connection = app.pool.acquire().await?;
    // Those that are closed too: what is owed on them is owed still.
    let line_ids = bill::own_store::list_lines(&mut connection, borrower_id).await?;
    let today = business_day::store::today(&mut connection).await?;
    let unread = notice::store::count_unread(&mut connection, Audience::Borrower, Some(borrower_id.uuid())).await?;
    let pending = bill::own_store::list_pending(&mut connection, &line_ids).await?;
    drop(connection);
    let outlook = repayment::outlook(&app, &line_ids).await?;
    let mut lines: Vec<LineCard> = open.iter().map(|line| LineCard::of(line, today)).collect();
    lines.sort_by_key(|line| line.unusable.is_some());
    let has_closed = lines.is_empty() && !line_ids.is_empty();
    Ok(HomePage { page, lines, has_closed, has_applied, outlook, pending, has_card, unread })
}

impl HomePage {
    /// Whether the page tells what falls due next: only if there is a line, or something is still to be paid.
    fn tells_next(&self) -> bool {
        !self.lines.is_empty() || self.outlook.next.is_some() || self.outlook.coming.is_some()
    }

    /// Whether something falls due that no card can be charged for.
    fn needs_card(&self) -> bool {
        let Outlook { late_since, grace_until, next, coming, .. } = &self.outlook;
        let is_due = late_since.is_some() || grace_until.is_some() || next.is_some() || coming.is_some();
        is_due && !self.has_card
    }

    /// Whether somebody who cannot use a line is told whom to call: not where paying what is late, as the page says, is all there is to do.
    fn may_call(&self, line: &LineCard) -> bool {
        self.outlook.late_since.is_none() || line.unusable != Some(FROZEN_OVERDUE)
    }

    fn bill(&self, due_on: &BusinessDay) -> String {
        format!("/bills/{due_on}")
    }

    /// Where what comes is explained: the period of a loan, or the loans.
    fn coming(&self, coming: &Coming) -> String {
        match coming.rows.as_slice() {
            [only] => format!("/loans/{}/periods/{}", only.loan_id, only.period),
            _ => "/loans".to_owned(),
        }
    }
}

impl LineCard {
    fn of(line: &Line, today: BusinessDay) -> LineCard {
        LineCard {
            address: format!("/home/line?line={}", line.line_id),
            limit: line.limit,
            used: line.used,
            available: line.usable_on(today),
            unusable: why_unusable(line, today),
            has_expired: line.has_expired_on(today),
            expires_on: BusinessDay::new(line.expires_on),
        }
    }
}
