//! `fenqi funder`: opens funders with the terms of their reserves, and lists them.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use crate::app::App;
use crate::base::Fen;
use crate::cli::trial;
use crate::error::{Fault, Refusal};
use crate::funder::actions::ReserveTerms;
use crate::funder::{self, store};

#[derive(clap::Subcommand)]
pub enum Args {
    /// Open a funder with an empty reserve, or set the terms of one that is open
    Open {
        /// By which products and messages name it: 2 to 32 of a-z, 0-9 and -
        code: String,
        /// As people read it
        #[arg(long)]
        name: String,
        /// How far its reserve may go below zero, in fen; left as it is, 0 at first, if left out
        #[arg(long, value_parser = clap::value_parser!(i64).range(0..=Fen::MAX.get()))]
        advance_fen: Option<i64>,
        /// Below how much in its reserve it is warned first, in fen; left as it is, 0 at first, if left out. Its own system sets
        /// marks below that
        #[arg(long, value_parser = clap::value_parser!(i64).range(0..=Fen::MAX.get()))]
        low_water_fen: Option<i64>,
    },
    /// Show every funder and its reserve
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::Open { code, name, advance_fen, low_water_fen } => {
            open(&app, (&code, &name), (advance_fen.map(Fen::new), low_water_fen.map(Fen::new))).await?;
        }
        Args::List { json } => list(&app, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(
    app: &App,
    (code, name): (&str, &str),
    (advance, low_water): (Option<Fen>, Option<Fen>),
) -> anyhow::Result<()> {
    let funder_id = funder::open_funder(app, code, name).await.map_err(said)?;
    let reserve = store::find_reserve(&mut *app.pool.acquire().await?, funder_id).await?;
    let reserve = reserve.context("a funder has a reserve")?;
    let terms = ReserveTerms {
        advance_limit: advance.unwrap_or(reserve.advance_limit),
        low_water: low_water.unwrap_or(reserve.low_water),
    };
    // The same terms again are no change.
    let _ = funder::set_reserve_terms(app, funder_id, terms).await.map_err(said)?;
    println!(
        "{code} is open ({funder_id}): an advance of up to {} yuan, warned below {} yuan",
        terms.advance_limit, terms.low_water
    );
    Ok(())
}

async fn list(app: &App, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let funders = store::load_funders(&mut connection).await?;
    for funder in &funders {
        let reserve = store::find_reserve(&mut connection, funder.funder_id).await?;
        let reserve = reserve.context("a funder has a reserve")?;
        let (code, funder_id, name) = (&funder.code, funder.funder_id, &funder.name);
        let (available, held) = (reserve.available, reserve.held);
        let (advance, mark, lower) = (reserve.advance_limit, reserve.low_water, reserve.lower_marks);
        if is_json {
            println!(
                "{}",
                json!({ "code": code, "funder_id": funder_id, "name": name, "available_fen": available,
                        "held_fen": held, "advance_limit_fen": advance, "low_water_fen": mark, "lower_marks_fen": lower })
            );
            continue;
        }
        println!("{code}  {funder_id}  {name}");
        let below: Vec<String> = lower.iter().map(|mark| format!(" and {mark}")).collect();
        let below = below.concat();
        println!(
            "    {available} yuan available, {held} held, advance up to {advance} yuan, warned below {mark}{below} yuan"
        );
    }
    if funders.is_empty() && !is_json {
        println!("no funder is open; open one with `fenqi funder open CODE --name NAME`");
    }
    Ok(())
}

fn said<R: Refusal>(fault: Fault<R>) -> anyhow::Error {
    match fault {
        Fault::Refused(refusal) => anyhow::anyhow!("{refusal}"),
        Fault::Failed(failure) => failure,
    }
}
