//! `fenqi replay`: plays scenario files, each in a scratch database of its own, and names the first line that fails.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::base::counted;
use crate::cli::{Sharing, find_database, progress, set_up};
use crate::database::Scratch;
use crate::replay::play::{Failure, Played, play};
use crate::replay::script::{Mistake, Script};
use crate::text_file;

/// Connections for one scenario, which hardly ever needs more at once.
const CONNECTIONS: u32 = 6;

#[derive(clap::Args)]
pub struct Args {
    /// Scenario files; docs/SCENARIOS.md describes them
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

/// A file that could be read.
struct Scenario {
    path: PathBuf,
    script: Script,
}

/// Why a file cannot be played.
enum Unread {
    File(std::io::Error),
    Lines(Vec<Mistake>),
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut scenarios = Vec::new();
    let mut broken = 0;
    // All are read before any is played, so that a mistake in the last is reported at once.
    for path in &args.files {
        match read(path) {
            Ok(script) => scenarios.push(Scenario { path: path.clone(), script }),
            Err(unread) => {
                broken += 1;
                print_unread(path, &unread, args.json);
            }
        }
    }
    if broken > 0 {
        anyhow::bail!("nothing was played, because {broken} of {} files cannot be read", args.files.len());
    }
    let config = set_up()?;
    let database = find_database(&config, Sharing::Shared).await?;
    let mut failed = 0;
    let bar = progress::bar("Playing", scenarios.len());
    for scenario in &scenarios {
        bar.set_message(scenario.path.display().to_string());
        let played = play_one(&database.url, scenario).await?;
        failed += usize::from(played.failure.is_some());
        progress::print_above(&bar, &told(&scenario.path, &played, args.json));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> Result<Script, Unread> {
    let text = text_file::read(path).map_err(Unread::File)?;
    Script::parse(&text).map_err(Unread::Lines)
}

async fn play_one(url: &str, scenario: &Scenario) -> anyhow::Result<Played> {
    let scratch = Scratch::create(url, "replay", CONNECTIONS).await?;
    let folder = scenario.path.parent().unwrap_or(Path::new(".")).to_owned();
    let played = play(scratch.pool.clone(), &scenario.script, folder).await;
    scratch.remove().await?;
    played
}

fn print_unread(path: &Path, unread: &Unread, is_json: bool) {
    // A file's name need not be UTF-8.
    let file = path.display().to_string();
    match unread {
        Unread::Lines(mistakes) => mistakes.iter().for_each(|mistake| print_mistake(&file, mistake, is_json)),
        Unread::File(error) if is_json => {
            println!(
                "{}",
                json!({ "file": file, "passed": false, "mistake": format!("the file cannot be read: {error}") })
            );
        }
        Unread::File(error) => println!("{file}: the file cannot be read: {error}"),
    }
}

fn print_mistake(file: &str, mistake: &Mistake, is_json: bool) {
    let Mistake { line, text, sentence } = mistake;
    if is_json {
        println!("{}", json!({ "file": file, "passed": false, "line": line, "text": text, "mistake": sentence }));
    } else {
        println!("{file}:{line}: {text}\n  {sentence}");
    }
}

/// What became of a scenario.
fn told(path: &Path, played: &Played, is_json: bool) -> String {
    let (file, Played { met, failure }) = (path.display().to_string(), played);
    match failure {
        None if is_json => json!({ "file": file, "passed": true, "expectations": met }).to_string(),
        None => format!("{file}: passed, {}", counted(*met, "expectation")),
        Some(Failure { line, text, expected, found }) if is_json => {
            let failed = json!({
                "file": file, "passed": false, "line": line, "text": text, "expected": expected, "found": found });
            failed.to_string()
        }
        Some(Failure { line, text, expected, found }) => {
            format!("{file}:{line}: {text}\n  expected: {expected}\n  found:    {found}")
        }
    }
}
