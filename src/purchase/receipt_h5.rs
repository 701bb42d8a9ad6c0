//! Live receipts for the counter: the day's payments, told as they come (server-sent events); a plain list without script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, interval};

use super::live_receipts::{Listener, LiveReceipts, News};
use super::receipt::{DaySums, ReceiptLine};
use super::receipt_actions::{self, Numbered, Today};
use super::sale_actions;
use crate::app::App;
use crate::base::BusinessDay;
use crate::http::Problem;
use crate::merchant::h5::MerchantSignedIn;
use crate::page::Page;

/// How often a keep-alive is sent, so that no proxy closes the connection as idle, and the page notices when it is lost.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How often an open page's session is checked; it is also checked before anything is told.
const SESSION_EVERY: Duration = Duration::from_secs(30);
/// After this time the connection ends, and the page connects again, perhaps to another node.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// When the browser comes back after a connection was lost.
const RETRY: Duration = Duration::from_secs(1);
/// When a page that found no room may try again.
const ROOM_AFTER_SECONDS: u32 = 30;

#[derive(Template, WebTemplate)]
#[template(path = "purchase/receipts.html")]
pub struct ReceiptsPage {
    page: Page,
    signed_in: MerchantSignedIn,
    today: Today,
}

/// `GET /m/receipts`
pub async fn show(State(app): State<App>, page: Page, signed_in: MerchantSignedIn) -> Result<ReceiptsPage, Problem> {
    let today = receipt_actions::today(&app, signed_in.merchant_id).await?;
    Ok(ReceiptsPage { page, signed_in, today })
}

/// One line, as the page has it.
#[derive(Template)]
#[template(path = "purchase/receipt_row.html")]
struct RowPart<'a> {
    page: &'a Page,
    receipt: &'a ReceiptLine,
}

#[derive(Deserialize)]
pub struct Wanted {
    /// The highest number that the page was made with.
    #[serde(default)]
    after: i64,
    /// The business day that the page shows.
    day: Option<BusinessDay>,
}

/// `GET /m/receipts/events`: what comes in after a number. A browser that lost the connection sends the last number itself
/// (`last-event-id`).
pub async fn events(
    State(app): State<App>,
    Extension(live): Extension<LiveReceipts>,
    page: Page,
    signed_in: Result<MerchantSignedIn, Response>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        // A failure on our side is no sign-out: the page stays as it is and tries again.
        Err(failed) if failed.status().is_server_error() => return Ok(failed),
        // A stream cannot redirect to the sign-in page, but the page, loaded anew, does.
        Err(_) => return Ok(Sse::new(stream::iter([Ok::<_, Infallible>(ended())])).into_response()),
    };
    let last_seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<i64>().ok());
    let last_no = last_seen.unwrap_or(wanted.after);
    let Some(listener) = live.listen(signed_in.merchant_id) else {
        let mut problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_open", "Too many pages of this kind are open.");
        problem.retry_after = Some(ROOM_AFTER_SECONDS);
        return Err(problem);
    };
    let mut till = Till { app, page, signed_in, last_no };
    let mut waiting = VecDeque::from([Event::default().retry(RETRY).comment("open")]);
    // Read after listening has begun, so that nothing is missed; what is told twice, the page recognises by its key.
    waiting.extend(till.catch_up(wanted.day).await?);
    let open = Open { till, listener, waiting, look: interval(SESSION_EVERY), ends_at: Instant::now() + LIFE };
    let events = Sse::new(open.into_stream()).keep_alive(alive());
    Ok(([("x-accel-buffering", "no")], events).into_response())
}

/// Tells a page to load itself anew.
fn behind() -> Event {
    Event::default().event("behind").data("-")
}

/// Tells a page that nobody is signed in any more.
fn ended() -> Event {
    Event::default().event("ended").data("-")
}

fn alive() -> KeepAlive {
    KeepAlive::new().interval(ALIVE_EVERY).event(Event::default().event("alive").data("-"))
}

/// Whom an open page belongs to, and what it has been told.
struct Till {
    app: App,
    page: Page,
    signed_in: MerchantSignedIn,
    last_no: i64,
}

impl Till {
    /// What the page has missed of the day that it shows, if anything. One that slept through the night begins the new day by
    /// loading itself anew.
    async fn catch_up(&mut self, shown: Option<BusinessDay>) -> anyhow::Result<Option<Event>> {
        let merchant_id = self.signed_in.merchant_id;
        let today = sale_actions::today(&self.app).await?;
        if shown.is_some_and(|day| day != today) {
            return Ok(Some(behind()));
        }
        let Some(missed) = receipt_actions::load_missed(&self.app, merchant_id, today, self.last_no).await? else {
            return Ok(Some(behind()));
        };
        if missed.is_empty() {
            return Ok(None);
        }
        let sums = receipt_actions::sum_takings_today(&self.app, merchant_id).await?;
        // The day may have ended meanwhile.
        if sums.day == today { self.event(&missed, sums).map(Some) } else { Ok(Some(behind())) }
    }

    /// Lines and sums in the page's language; its number is the highest that was told, whatever came late.
    fn event(&mut self, receipts: &Numbered, DaySums { day, takings }: DaySums) -> anyhow::Result<Event> {
        self.last_no = receipts.iter().map(|(number, _)| *number).fold(self.last_no, i64::max);
        let mut rows = Vec::new();
        for receipt in receipts.iter().flat_map(|(_, lines)| lines) {
            let html = RowPart { page: &self.page, receipt }.render()?;
            let said = self.page.say_of("receipt-said", receipt.what.name());
            let said = said.with("amount", self.page.yuan(&receipt.amount)).to_string();
            rows.push(json!({ "key": receipt.key, "html": html, "said": said, "paid": receipt.what.is_payment() }));
        }
        let data = json!({
            "day": day,
            "rows": rows,
            "count": self.page.say("receipts-count").count("count", &takings.count).to_string(),
            "amount": self.page.yuan(&takings.amount),
            "undone": self.page.yuan(&takings.undone),
        });
        Ok(Event::default().id(self.last_no.to_string()).event("receipts").data(data.to_string()))
    }

    async fn is_signed_in(&self) -> anyhow::Result<bool> {
        self.signed_in.still_holds(&self.app, &self.page.visit).await
    }
}

/// An open page as its events come.
struct Open {
    till: Till,
    listener: Listener,
    waiting: VecDeque<Event>,
    look: Interval,
    ends_at: Instant,
}

/// What an open page waits for.
enum Heard {
    News(Arc<News>),
    TooLate,
    LookAtSession,
}

/// What an open page is sent next.
enum Next {
    Event(Event),
    Last(Event),
    /// The browser comes back by itself.
    Nothing,
}

impl Open {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(Some(self), |open| async move {
            let mut open = open?;
            match open.next().await {
                Next::Event(event) => Some((Ok(event), Some(open))),
                Next::Last(event) => Some((Ok(event), None)),
                Next::Nothing => None,
            }
        })
    }

    /// Waits until there is something to send, or no more.
    async fn next(&mut self) -> Next {
        if let Some(event) = self.waiting.pop_front() {
            return Next::Event(event);
        }
        loop {
            let Some(heard) = self.hear().await else { return Next::Nothing };
            match self.till.is_signed_in().await {
                Ok(true) => {}
                Ok(false) => return Next::Last(ended()),
                // Nothing is told without a session that holds; the browser is told when it connects again.
                Err(error) => {
                    tracing::warn!("a session cannot be looked at: {error:#}");
                    return Next::Nothing;
                }
            }
            match heard {
                Heard::LookAtSession => {}
                Heard::News(news) => return self.tell(&news),
                Heard::TooLate => return Next::Last(behind()),
            }
        }
    }

    fn tell(&mut self, news: &News) -> Next {
        match self.till.event(&news.receipts, news.sums) {
            Ok(event) => Next::Event(event),
            Err(error) => {
                tracing::error!("a receipt cannot be shown: {error:#}");
                Next::Nothing
            }
        }
    }

    /// `None` once the connection is to end.
    async fn hear(&mut self) -> Option<Heard> {
        tokio::select! {
            news = self.listener.news.recv() => match news {
                Ok(news) => Some(Heard::News(news)),
                Err(RecvError::Lagged(_)) => Some(Heard::TooLate),
                Err(RecvError::Closed) => None,
            },
            _ = self.look.tick() => Some(Heard::LookAtSession),
            _ = self.listener.closing.wait_for(|closing| *closing) => None,
            () = tokio::time::sleep_until(self.ends_at) => None,
        }
    }
}
