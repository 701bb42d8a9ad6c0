//! `fenqi product`: checks product files, publishes them, takes products off sale, and lists what is on sale.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use rust_decimal::Decimal;

use crate::base::{BusinessDay, Rate};
use crate::business_day;
use crate::cli::by::By;
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::error::Fault;
use crate::loan::price::in_percent;
use crate::product::{self, ProductRefusal, Proof, Terms};
use crate::text_file;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Parse and prove product files, without a database
    Check(Files),
    /// Check all files, then publish each as its product's next version; nothing is published if any is refused
    Publish(Publishing),
    /// Take a product off sale: nothing is bought under it from then on, and what was goes on under its terms
    Withdraw {
        /// By its code in `fenqi product list`
        code: String,
        /// Which version; the one that is on sale if left out
        #[arg(value_name = "VERSION")]
        version_no: Option<i32>,
        #[command(flatten)]
        by: By,
    },
    /// List the versions that are on sale, and those that are so only on other days
    List {
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Files {
    /// Product files; docs/PRODUCTS.md describes them
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Publishing {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    by: By,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Check(files) => check(&files),
        Action::Publish(publishing) => publish(&publishing).await,
        Action::Withdraw { code, version_no, by } => withdraw(&code, version_no, &by).await,
        Action::List { json } => list(json).await,
    }
}

/// A file that passed.
struct Passed {
    path: String,
    text: String,
    terms: Terms,
    proof: Proof,
}

/// A file that did not, by its path.
type Refused = (String, NotPassed);

/// Why a file did not pass.
enum NotPassed {
    Unread(std::io::Error),
    Refused(ProductRefusal),
}

fn check(files: &Files) -> anyhow::Result<ExitCode> {
    let (passed, refused) = check_all(&files.files);
    if files.json {
        let results: Vec<serde_json::Value> =
            passed.iter().map(passed_json).chain(refused.iter().map(refused_json)).collect();
        println!("{}", serde_json::json!({ "passed": refused.is_empty(), "files": results }));
    } else {
        passed.iter().for_each(print_proof);
        refused.iter().for_each(print_refusal);
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn publish(Publishing { files, by }: &Publishing) -> anyhow::Result<ExitCode> {
    let (passed, refused) = check_all(&files.files);
    if !refused.is_empty() {
        refused.iter().for_each(print_refusal);
        anyhow::bail!("nothing was published, because {} of {} files are refused", refused.len(), files.files.len());
    }
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    let texts: Vec<&str> = passed.iter().map(|file| file.text.as_str()).collect();
    let versions = product::publish_all(&app.by(by.person()), &texts).await.map_err(|fault| match fault {
        Fault::Refused((place, refusal)) => {
            anyhow::anyhow!("nothing was published: {}: {refusal}", passed[place].path)
        }
        Fault::Failed(failure) => failure.context("nothing was published"),
    })?;
    let mut published = Vec::new();
    for (file, version) in passed.iter().zip(&versions) {
        if !files.json {
            let done = if version.already_published { "is on sale already as" } else { "published as" };
            println!("{}: {} {done} version {}", file.path, version.code, version.version);
        }
        published.push(serde_json::json!({
            "code": version.code,
            "product_id": version.product_id,
            "version": version.version,
            "already_published": version.already_published,
        }));
    }
    if files.json {
        println!("{}", serde_json::json!({ "published": published }));
    }
    Ok(ExitCode::SUCCESS)
}

async fn withdraw(code: &str, version_no: Option<i32>, by: &By) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    let current = app.catalogue.current(&mut *app.pool.acquire().await?, code).await?;
    let on_sale = current.map(|current| current.version);
    let version = version_no.or(on_sale);
    let version = version.with_context(|| format!("no version of {code} is on sale; see `fenqi product list`"))?;
    let withdrawn = product::withdraw(&app.by(by.person()), code, version).await;
    let withdrawn = withdrawn.map_err(look_at("fenqi product list"))?;
    let done = if withdrawn { "is off sale" } else { "was off sale already" };
    println!("{code} version {version} {done}");
    Ok(ExitCode::SUCCESS)
}

async fn list(is_json: bool) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    let mut connection = app.pool.acquire().await?;
    let versions = app.catalogue.load_on_sale(&mut connection).await?;
    let today = business_day::store::find_today(&mut connection).await?;
    if is_json {
        let lines = versions.iter().map(|version| {
            serde_json::json!({
                "code": version.terms.code,
                "name": version.terms.name,
                "funder": version.terms.funder,
                "product_id": version.product_id,
                "version": version.version,
                "valid_from": version.terms.valid_from,
                "valid_until": version.terms.valid_until,
            })
        });
        println!("{}", serde_json::Value::from_iter(lines));
    } else {
        for version in &versions {
            let Terms { code, name, funder, .. } = &version.terms;
            println!("{code} version {}: {name}, of {funder}{}", version.version, sold_when(&version.terms, today));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The days on which terms are sold, where these are not all from today on.
fn sold_when(terms: &Terms, today: Option<BusinessDay>) -> String {
    let is_later = today.is_some_and(|today| today.date() < terms.valid_from);
    match terms.valid_until {
        Some(until) if today.is_some_and(|today| until < today.date()) => {
            format!(", off sale since its last day, {until}")
        }
        Some(until) if is_later => format!(", on sale from {} to {until}", terms.valid_from),
        Some(until) => format!(", on sale until {until}"),
        None if is_later => format!(", on sale from {} on", terms.valid_from),
        None => String::new(),
    }
}

fn check_all(files: &[PathBuf]) -> (Vec<Passed>, Vec<Refused>) {
    let (mut passed, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        let path = file.display().to_string();
        match check_one(file) {
            Ok((text, terms, proof)) => passed.push(Passed { path, text, terms, proof }),
            Err(why) => refused.push((path, why)),
        }
    }
    (passed, refused)
}

fn check_one(file: &Path) -> Result<(String, Terms, Proof), NotPassed> {
    let text = text_file::read(file).map_err(NotPassed::Unread)?;
    let (terms, proof) = product::check(&text).map_err(NotPassed::Refused)?;
    Ok((text, terms, proof))
}

fn print_proof(file: &Passed) {
    let Passed { path, terms, proof, .. } = file;
    println!("{path}: {} holds, {} schedules proven", terms.code, proof.schedules);
    for plan in &proof.plans {
        println!(
            "  {:>2} × {:<17} at most {} nominal, {} effective{}{}; last payment differs by up to {} fen: {}",
            plan.periods,
            plan.method,
            percent(plan.apr_nominal_max),
            percent(plan.apr_effective_max),
            guaranteed(plan.guarantee_rate_per_period),
            subsidised(plan.apr_with_subsidy_max, plan.apr_effective_max),
            plan.last_row_difference_fen,
            plan.last_row_reason,
        );
    }
    let of = if terms.penalty.base.has_interest() { " of the principal, as interest bears it too" } else { "" };
    println!("  penalty at most {} a year{of}", percent(proof.penalty_a_year_max));
    for note in &proof.notes {
        println!("  note: {note}");
    }
}

fn guaranteed(rate_per_period: Rate) -> String {
    if rate_per_period.is_zero() {
        return String::new();
    }
    format!(", with a guarantee charge of {} of the amount each period", in_percent(rate_per_period.fraction(), 4))
}

fn subsidised(with_subsidy: Decimal, without: Decimal) -> String {
    if with_subsidy > without {
        format!(", {} with the merchant's subsidy", percent(with_subsidy))
    } else {
        String::new()
    }
}

fn percent(fraction: Decimal) -> String {
    in_percent(fraction, 2)
}

fn print_refusal((path, why): &Refused) {
    match why {
        NotPassed::Unread(error) => eprintln!("{path}: the file cannot be read: {error}"),
        NotPassed::Refused(ProductRefusal::Invalid(problems)) => {
            problems.iter().for_each(|problem| eprintln!("{path}: {problem}"));
        }
        NotPassed::Refused(ProductRefusal::Unproven(problems)) => {
            problems.iter().for_each(|problem| eprintln!("{path}: {problem}"));
        }
        NotPassed::Refused(other) => eprintln!("{path}: {other}"),
    }
}

fn passed_json(file: &Passed) -> serde_json::Value {
    serde_json::json!({ "file": file.path, "passed": true, "code": file.terms.code, "proof": file.proof })
}

fn refused_json((path, why): &Refused) -> serde_json::Value {
    let (problems, cases) = match why {
        NotPassed::Refused(ProductRefusal::Invalid(problems)) => (problems.as_slice(), &[][..]),
        NotPassed::Refused(ProductRefusal::Unproven(cases)) => (&[][..], cases.as_slice()),
        NotPassed::Refused(_) | NotPassed::Unread(_) => (&[][..], &[][..]),
    };
    let error = match why {
        NotPassed::Unread(error) => format!("the file cannot be read: {error}"),
        NotPassed::Refused(refusal) => refusal.to_string(),
    };
    serde_json::json!({ "file": path, "passed": false, "error": error, "problems": problems, "cases": cases })
}
