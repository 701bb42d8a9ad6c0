//! `fenqi files`: makes funders' daily files, and makes them again to compare.

use std::process::ExitCode;

use crate::app::App;
use crate::base::BusinessDay;
use crate::cli::trial;
use crate::day_file::actions::{Making, check_day, make_day};
use crate::day_file::{DayKey, store};

#[derive(clap::Subcommand)]
pub enum Args {
    /// Make what is not there: files of a closed day, or bytes that are not kept any more
    Make(Which),
    /// Work the files out again from the books, and compare every byte; exit code 1 where anything differs
    Check(Which),
}

#[derive(clap::Args)]
pub struct Which {
    /// A closed business day, such as 2026-03-02
    #[arg(long)]
    day: BusinessDay,
    /// The funder's code; all funders without it
    #[arg(long)]
    funder: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    let mut is_right = true;
    match args {
        Args::Make(which) => {
            for key in find(&app, &which).await? {
                let said = match make_day(&app, &key).await {
                    Ok(Making::Made) => "made".to_owned(),
                    Ok(Making::There) => "there already".to_owned(),
                    Ok(Making::Elsewhere) => "being made by another node".to_owned(),
                    // An error with one funder's files is no reason to leave out another's.
                    Err(error) => {
                        is_right = false;
                        format!("not made: {error:#}")
                    }
                };
                println!("{} {}: {said}", key.funder_code, key.day);
            }
        }
        Args::Check(which) => {
            for key in find(&app, &which).await? {
                let wrong = check_day(&app, &key).await;
                is_right &= wrong.as_ref().is_ok_and(Vec::is_empty);
                let said = match wrong {
                    Ok(wrong) if wrong.is_empty() => "the same bytes".to_owned(),
                    Ok(wrong) => wrong.join("; "),
                    Err(error) => format!("not checked: {error:#}"),
                };
                println!("{} {}: {said}", key.funder_code, key.day);
            }
        }
    }
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn find(app: &App, which: &Which) -> anyhow::Result<Vec<DayKey>> {
    let mut connection = app.pool.acquire().await?;
    let found = store::list_closed(&mut connection, which.day, which.funder.as_deref()).await?;
    anyhow::ensure!(!found.is_empty(), "{} is no closed business day of such a funder", which.day);
    Ok(found)
}
