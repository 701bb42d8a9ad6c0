//! `GET /`: the start page, which leads to everything that this process serves.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use sqlx::PgConnection;

use super::{Problem, store};
use crate::app::App;
use crate::base::id::{BorrowerId, CodeId, MerchantId};
use crate::base::{BusinessDay, Fen};
use crate::borrower::actions::{Reach, reach};
use crate::business_day;
use crate::merchant::code::token;
use crate::merchant::staff_actions::list_staff;
use crate::page::Page;

#[derive(Template, WebTemplate)]
#[template(path = "start.html")]
pub struct StartPage {
    page: Page,
    version: &'static str,
    business_day: Option<BusinessDay>,
    /// Reserves and counts of what waits; shown in a trial only.
    standing: Option<Standing>,
    /// Whom to sign in as and what to try, in a demo.
    trial: Option<Trial>,
}

struct Standing {
    reserves: Vec<ReserveRow>,
    figures: Vec<(&'static str, i64)>,
}

struct Trial {
    inbox: String,
    /// Borrowers of the story: what there is to see, and the mobile to sign in with.
    people: Vec<(&'static str, String)>,
    /// Where the code of a shop leads.
    shop: Option<String>,
    /// The staff of that shop: role, and the mobile to sign in with.
    staff: Vec<(&'static str, String)>,
    newcomer: Newcomer,
}

/// Made-up numbers that pass their checks, for trying an application.
struct Newcomer {
    mobile: &'static str,
    name: &'static str,
    id_number: &'static str,
    card: &'static str,
}

const NEWCOMER: Newcomer =
    Newcomer { mobile: "13800138000", name: "王小明", id_number: "310115199203164122", card: "6217006343925775" };

struct ReserveRow {
    name: String,
    available: Fen,
    held: Fen,
}

pub async fn start(State(app): State<App>, page: Page) -> Result<StartPage, Problem> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::find_today(&mut connection).await?;
    let standing = match app.partners.is_trial() {
        true => Some(standing(&mut connection).await?),
        false => None,
    };
    let trial = match app.site.sandbox() {
        Some(sandbox) => Some(trial(&app, &mut connection, sandbox).await?),
        None => None,
    };
    Ok(StartPage { page, trial, version: env!("CARGO_PKG_VERSION"), business_day: today, standing })
}

async fn standing(connection: &mut PgConnection) -> Result<Standing, Problem> {
    let waiting = store::count_waiting(connection).await?;
    let row = |reserve: store::FunderReserve| ReserveRow {
        name: reserve.name,
        available: Fen::new(reserve.available_fen),
        held: Fen::new(reserve.held_fen),
    };
    Ok(Standing {
        reserves: store::list_reserves(connection).await?.into_iter().map(row).collect(),
        figures: vec![
            ("start-withholdings", waiting.withholdings_pending),
            ("start-payouts", waiting.payouts_pending),
            ("start-messages", waiting.outbox_pending),
            ("start-jobs-dead", waiting.jobs_dead),
        ],
    })
}

/// Mobiles are shown in a demo only, whose people are made up.
async fn trial(app: &App, connection: &mut PgConnection, sandbox: &str) -> Result<Trial, Problem> {
    let people = store::find_people_to_try(connection).await?;
    let shop_staff_of = people.merchant;
    let shop = people.code.map(|code| format!("/q/{}", token(CodeId::from_uuid(code))));
    let labelled = [("start-billed", people.billed), ("start-late", people.late), ("start-idle", people.idle)];
    let ids: Vec<BorrowerId> = labelled.iter().filter_map(|(_, id)| id.map(BorrowerId::from_uuid)).collect();
    let mobiles = reach(app, &ids).await?;
    let people = labelled.into_iter().filter_map(|(label, id)| match mobiles.get(&BorrowerId::from_uuid(id?)) {
        Some(Reach::Mobile(mobile)) => Some((label, mobile.reveal().to_owned())),
        Some(Reach::Sealed) | None => None,
    });
    let staff = match shop_staff_of {
        Some(merchant_id) => list_staff(app, MerchantId::from_uuid(merchant_id)).await?,
        None => Vec::new(),
    };
    let staff = staff.into_iter().map(|staff| (staff.role.name(), staff.mobile.reveal().to_owned())).collect();
    Ok(Trial { inbox: format!("{sandbox}/inbox"), people: people.collect(), shop, staff, newcomer: NEWCOMER })
}
