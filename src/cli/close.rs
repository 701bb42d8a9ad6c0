//! `fenqi close`: ends a business day, or goes on with a close that was interrupted.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::base::{BusinessDay, Clock};
use crate::business_day::store::find_today;
use crate::cli::by::By;
use crate::cli::{progress, trial};
use crate::close::engine::StepDone;
use crate::close::{CHUNK_ROWS, Step, close_day_in_chunks, has_ended};

#[derive(clap::Args)]
pub struct Args {
    /// The business day to close, such as 2026-03-31
    #[arg(long)]
    date: BusinessDay,
    /// Rows of one chunk, which is one transaction; smaller chunks hold locks for a shorter time
    #[arg(long, default_value_t = CHUNK_ROWS, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    chunk_rows: i64,
    /// Close the day before it is over: what is bought from then on belongs to the next one
    #[arg(long)]
    early: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    by: By,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    let is_present = find_today(&mut *app.pool.acquire().await?).await? == Some(args.date);
    // A trial house on a clock of its own ends its days when it likes.
    if is_present && !args.early && matches!(app.clock, Clock::System) {
        check_over(args.date, has_ended(&app, args.date).await?)?;
    }
    let bar = progress::bar("Closing", Step::ALL.len());
    let told = |step: Step, left: u64| {
        bar.set_position(step.place() as u64);
        bar.set_message(format!("{}, {left} chunks left", step.name()));
    };
    let closed = close_day_in_chunks(&app.by(args.by.person()), args.date, args.chunk_rows, &told).await?;
    bar.finish_and_clear();
    if args.json {
        let step = |done: &StepDone| json!({ "step": done.step.name(), "rows": done.rows, "ms": u64::try_from(done.took.as_millis()).ok() });
        let steps: Vec<Value> = closed.steps.iter().map(step).collect();
        println!("{}", json!({ "day": closed.day, "steps": steps }));
        return Ok(ExitCode::SUCCESS);
    }
    for done in closed.steps {
        println!("{:<16} {:>10} rows {:>8} ms", done.step.name(), done.rows, done.took.as_millis());
    }
    println!("{} is closed", closed.day);
    Ok(ExitCode::SUCCESS)
}

/// Refuses to close a day that is not over. A house that is ahead of the calendar stays ahead, because no day is opened again, and what it
/// sells then is paid for a day late.
fn check_over(day: BusinessDay, has_ended: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        has_ended,
        "{day} lasts until midnight in Shanghai, and a day that was closed is not opened again; close it after that, or now \
         with --early"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_lasts_is_closed_only_by_who_says_so() {
        let check = |has_ended| check_over("2026-03-02".parse().unwrap(), has_ended);
        assert!(check(false).unwrap_err().to_string().contains("with --early"));
        assert!(check(true).is_ok());
    }
}
