//! `GET /`: the start page, which leads to everything that this process serves.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::{Problem, store};
use crate::app::App;
use crate::base::{BusinessDay, Fen};

/// The only style sheet, in the binary so that the program is one file.
const STYLE: &str = include_str!("../../web/assets/style.css");

#[derive(Template, WebTemplate)]
#[template(path = "start.html")]
pub struct StartPage {
    version: &'static str,
    business_day: Option<BusinessDay>,
    reserves: Vec<ReserveRow>,
    figures: Vec<(&'static str, i64)>,
}

struct ReserveRow {
    name: String,
    available: Fen,
    held: Fen,
}

pub async fn start(State(app): State<App>) -> Result<StartPage, Problem> {
    let mut connection = app.pool.acquire().await?;
    let waiting = store::count_waiting(&mut connection).await?;
    let reserves = store::list_reserves(&mut connection).await?;
    let row = |reserve: store::FunderReserve| ReserveRow {
        name: reserve.name,
        available: Fen::new(reserve.available_fen),
        held: Fen::new(reserve.held_fen),
    };
    Ok(StartPage {
        version: env!("CARGO_PKG_VERSION"),
        business_day: waiting.business_day.map(BusinessDay::new),
        reserves: reserves.into_iter().map(row).collect(),
        figures: vec![
            ("Withholdings waiting for a bank", waiting.withholdings_pending),
            ("Payouts waiting", waiting.payouts_pending),
            ("Messages to deliver", waiting.outbox_pending),
            ("Jobs that gave up", waiting.jobs_dead),
        ],
    })
}

pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")], STYLE)
}
