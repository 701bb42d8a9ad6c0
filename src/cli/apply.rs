//! `fenqi partner apply`: in a trial house, somebody new applies, and a risk partner's own endpoint is asked about it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::app::App;
use crate::base::id::BorrowerId;
use crate::base::{BusinessDay, Clock, Fen};
use crate::borrower::Agreement;
use crate::borrower::actions::{Signature, register, sign};
use crate::borrower::card::{CardBinding, CardCode};
use crate::borrower::card_actions::{confirm_binding, start_binding};
use crate::cli::trial;
use crate::credit::actions::apply;
use crate::credit::{ApplicationState, ApplyRequest, CardHistory, CardMonth, RiskHook};
use crate::demo::identity;
use crate::partner::risk::NAME as RISK;
use crate::partner::{PartnerKey, PartnerSettings, Partners};
use crate::sandbox::{self, Silence, World, WorldSettings};
use crate::text_file;

/// The seed of the counterfeit partners beside the endpoint, which bind the applicant's card.
const SEED: u64 = 1;
/// The numbers of synthetic people that no demo uses.
const PEOPLE: std::ops::Range<u64> = 1_000_000..4_000_000;
const AGE: u32 = 30;
/// The sandbox's signing service sends the last digits of the mobile as its code.
const CODE_DIGITS: usize = 6;
const LIMIT_REQUESTED: Fen = Fen::new(1_000_000);

#[derive(clap::Args)]
pub struct Args {
    /// The endpoint without `/applications`, such as http://127.0.0.1:9400
    url: String,
    /// The file with the trial key, by which your endpoint knows the platform
    #[arg(long)]
    key: PathBuf,
    /// Its serial number
    #[arg(long, default_value = "TRIAL-1")]
    serial: String,
    /// The id by which you know the platform
    #[arg(long, default_value = "fenqi")]
    mchid: String,
    /// The id by which you sign
    #[arg(long, default_value = "risk")]
    partner_mchid: String,
    /// The serial number by which you sign
    #[arg(long, default_value = "RISK-1")]
    partner_serial: String,
    /// The file with your public key
    #[arg(long)]
    partner_public_key: PathBuf,
    /// The product whose line is asked for
    #[arg(long, default_value = "harbour-standard")]
    product: String,
    /// Somebody of whom nothing is known: no card history, no wish
    #[arg(long)]
    unknown: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open().await?;
    let app = asking(&args, app).await?;
    let products = app.catalogue.load_on_sale(&mut *app.pool.acquire().await?).await?;
    let product = products.iter().find(|product| product.terms.code == args.product);
    let product = product.with_context(|| format!("no product {} is on sale", args.product))?;
    let borrower_id = somebody(&app).await?;
    let month = CardMonth { repay_status: -1, bill_fen: Fen::new(300_000), paid_fen: Fen::new(300_000) };
    let history = CardHistory { limit_fen: Fen::new(20_000_000), months: [month; 6] };
    let request = ApplyRequest {
        borrower_id,
        product_id: product.product_id,
        product_version: product.version,
        idempotency_key: format!("trial-{borrower_id}"),
        limit_requested: Some(LIMIT_REQUESTED).filter(|_| !args.unknown),
        history: Some(history).filter(|_| !args.unknown),
    };
    let applied = apply(&app, request).await?;
    app.partners.flush_log().await;
    let said = match applied.state {
        ApplicationState::Submitted => "submitted".to_owned(),
        ApplicationState::WithFunder => "waits for its funder".to_owned(),
        ApplicationState::Referred { reason } => format!("referred, {reason}"),
        ApplicationState::Approved { line_id, limit, .. } => format!("approved, {line_id} of {limit} yuan"),
        ApplicationState::Refused { reason } => format!("refused, {reason}"),
    };
    println!("{borrower_id} {}: {said}", applied.application_id);
    Ok(ExitCode::SUCCESS)
}

/// The same house, but it asks the given endpoint about applications, and a counterfeit world started here about everything else.
async fn asking(args: &Args, app: App) -> anyhow::Result<App> {
    let read = |path: &PathBuf| text_file::read_key(path).with_context(|| format!("cannot read {}", path.display()));
    let endpoint = PartnerSettings {
        name: RISK.to_owned(),
        base_url: args.url.trim_end_matches('/').to_owned(),
        mchid: args.mchid.clone(),
        serial_no: args.serial.clone(),
        private_key: read(&args.key)?,
        partner_mchid: args.partner_mchid.clone(),
        partner_keys: vec![PartnerKey {
            serial_no: args.partner_serial.clone(),
            public_key: read(&args.partner_public_key)?,
        }],
        references_name_batches: false,
        direct: false,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut partners = sandbox::partner_settings(&format!("http://{}", listener.local_addr()?), SEED);
    partners.retain(|partner| partner.name != RISK);
    partners.push(endpoint);
    let settings = WorldSettings {
        seed: SEED,
        clock: app.clock.clone(),
        wire_clock: Clock::System,
        silence: Silence::Drop,
        callback_base: None,
    };
    // It ends with the command.
    tokio::spawn(sandbox::serve(listener, World::new(settings)?));
    let partners = Partners::for_trial(&partners, app.pool.clone(), app.clock.clone())?;
    Ok(App { partners: Arc::new(partners), risk: Arc::new(RiskHook::Partner), ..app })
}

/// Registers, signs and binds a card, as a person would.
async fn somebody(app: &App) -> anyhow::Result<BorrowerId> {
    // A new person each time: the number grows by one each millisecond.
    let milliseconds = u64::try_from(Clock::System.now().timestamp_millis()).unwrap_or_default();
    let number = PEOPLE.start + milliseconds % (PEOPLE.end - PEOPLE.start);
    let today = BusinessDay::at(app.clock.now());
    let borrower_id = register(app, identity::registration(number, AGE, today)).await?;
    let signature = |agreement: Agreement| Signature {
        borrower_id,
        agreement,
        text_sha256: agreement.wording().sha256,
        device: "fenqi partner apply".to_owned(),
    };
    sign(app, &Agreement::ALL.map(signature)).await?;
    let mobile = identity::mobile(number);
    let code = mobile.reveal()[mobile.reveal().len() - CODE_DIGITS..].to_owned();
    let binding = CardBinding { borrower_id, number: identity::card_number(number, 0), mobile };
    let card_id = start_binding(app, binding).await?;
    confirm_binding(app, CardCode { borrower_id, card_id, code }).await?;
    Ok(borrower_id)
}
