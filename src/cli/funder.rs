//! `fenqi funder`: opens funders with the terms of their reserves, lists them, and shows how one stands.

mod standing;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::app::App;
use crate::base::Fen;
use crate::cli::by::By;
use crate::cli::typed::one_line;
use crate::cli::{ensure_open, trial};
use crate::error::Fault;
use crate::funder::actions::TermsChange;
use crate::funder::{self, Reserve, ReserveRefusal, store};

#[derive(clap::Subcommand)]
pub enum Args {
    /// Open a funder with an empty reserve, or set the terms of one that is open
    Open {
        /// Its code, by which products and messages name it: 2 to 32 of a-z, 0-9 and -
        code: String,
        /// Its name as people read it
        #[arg(long, value_parser = one_line)]
        name: String,
        /// How far its reserve may go below zero, in fen; left as it is, 0 at first, if left out
        #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..=Fen::MAX.get()))]
        advance_fen: Option<i64>,
        /// Below how much in its reserve it is warned first, in fen; left as it is, 0 at first, if left out
        #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..=Fen::MAX.get()))]
        low_water_fen: Option<i64>,
        /// Below which amounts it is warned again, in fen, falling, such as 30000000,10000000; `none` for none. They stand instead
        /// of those that it or its own system set; left as they are if left out
        #[arg(long, value_parser = lower_marks)]
        lower_marks_fen: Option<LowerMarks>,
        #[command(flatten)]
        by: By,
    },
    /// Show how a funder stands: its reserve and what made it, an advance, when it runs dry, and what its borrowers have not paid by
    /// days past due
    Show {
        /// By its code in `fenqi funder list`
        code: String,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show every funder and its reserve
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Debug)]
pub struct LowerMarks(Vec<Fen>);

fn lower_marks(text: &str) -> Result<LowerMarks, String> {
    if text == "none" {
        return Ok(LowerMarks(Vec::new()));
    }
    let mark =
        |text: &str| text.trim().parse::<i64>().ok().filter(|fen| (1..=Fen::MAX.get()).contains(fen)).map(Fen::new);
    let marks: Option<Vec<Fen>> = text.split(',').map(mark).collect();
    marks.map(LowerMarks).ok_or_else(|| "say whole fen with commas between, the highest first, or none".to_owned())
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::Open { code, name, advance_fen, low_water_fen, lower_marks_fen, by } => {
            ensure_open(&app).await?;
            let change = TermsChange {
                advance_limit: advance_fen.map(Fen::new),
                low_water: low_water_fen.map(Fen::new),
                lower_marks: lower_marks_fen.map(|LowerMarks(marks)| marks),
            };
            open(&app.by(by.person()), &code, &name, change).await?;
        }
        Args::Show { code, json } => standing::show(&app, &code, json).await?,
        Args::List { json } => list(&app, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(app: &App, code: &str, name: &str, change: TermsChange) -> anyhow::Result<()> {
    let funder_id = funder::open_funder(app, code, name).await.map_err(Fault::into_error)?;
    // Setting the same terms again changes nothing.
    let reserve = match funder::change_reserve_terms(app, funder_id, change).await {
        Ok((_, reserve)) => reserve,
        Err(Fault::Refused(refusal @ ReserveRefusal::MarksNotFalling)) => {
            let reserve = store::find_reserve(&mut *app.pool.acquire().await?, funder_id).await?;
            let present = warned_below(&reserve.context("a funder has a reserve")?);
            bail!(
                "{refusal}: {code} is warned below {present} yuan; give --low-water-fen and --lower-marks-fen, or none for these"
            );
        }
        Err(fault) => return Err(fault.into_error()),
    };
    println!(
        "{code} is open ({funder_id}): an advance of up to {} yuan, warned below {} yuan",
        reserve.advance_limit,
        warned_below(&reserve)
    );
    Ok(())
}

fn warned_below(reserve: &Reserve) -> String {
    let marks = std::iter::once(&reserve.low_water).chain(&reserve.lower_marks);
    marks.map(Fen::to_string).collect::<Vec<_>>().join(" and ")
}

async fn list(app: &App, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let funders = store::load_funders(&mut connection).await?;
    for funder in &funders {
        let reserve = store::find_reserve(&mut connection, funder.funder_id).await?;
        let reserve = reserve.context("a funder has a reserve")?;
        let (code, funder_id, name) = (&funder.code, funder.funder_id, &funder.name);
        let (available, held) = (reserve.available, reserve.held);
        let (advance, mark, lower) = (reserve.advance_limit, reserve.low_water, &reserve.lower_marks);
        if is_json {
            println!(
                "{}",
                json!({ "code": code, "funder_id": funder_id, "name": name, "available_fen": available,
                        "held_fen": held, "advance_limit_fen": advance, "low_water_fen": mark, "lower_marks_fen": lower })
            );
            continue;
        }
        println!("{code}  {funder_id}  {name}");
        let below = warned_below(&reserve);
        println!(
            "    {available} yuan available, {held} held, advance up to {advance} yuan, warned below {below} yuan"
        );
    }
    if funders.is_empty() && !is_json {
        println!("no funder is open; open one with `fenqi funder open CODE --name NAME`");
    }
    Ok(())
}
