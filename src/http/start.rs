//! `GET /`: the start page, which leads to everything that this process serves.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;

use super::{Problem, store};
use crate::app::App;
use crate::base::{BusinessDay, Fen};
use crate::page::Page;

#[derive(Template, WebTemplate)]
#[template(path = "start.html")]
pub struct StartPage {
    page: Page,
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

pub async fn start(State(app): State<App>, page: Page) -> Result<StartPage, Problem> {
    let mut connection = app.pool.acquire().await?;
    let waiting = store::count_waiting(&mut connection).await?;
    let reserves = store::list_reserves(&mut connection).await?;
    let row = |reserve: store::FunderReserve| ReserveRow {
        name: reserve.name,
        available: Fen::new(reserve.available_fen),
        held: Fen::new(reserve.held_fen),
    };
    Ok(StartPage {
        page,
        version: env!("CARGO_PKG_VERSION"),
        business_day: waiting.business_day.map(BusinessDay::new),
        reserves: reserves.into_iter().map(row).collect(),
        figures: vec![
            ("start-withholdings", waiting.withholdings_pending),
            ("start-payouts", waiting.payouts_pending),
            ("start-messages", waiting.outbox_pending),
            ("start-jobs-dead", waiting.jobs_dead),
        ],
    })
}
