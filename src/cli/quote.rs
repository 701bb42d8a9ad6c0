//! `fenqi quote`: the schedule and true cost of any terms, one on the command line or many from standard input.

pub(super) mod batch;

use std::process::ExitCode;

use anyhow::Context;

use crate::loan::price::in_percent;
use crate::product::inquiry::{Answer, Inquiry, InquiryError};
use crate::product::{Terms, file};
use crate::text_file;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    inquiry: Inquiry,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Say how each row was computed
    #[arg(long)]
    explain: bool,
    /// Read one JSON object of these arguments a line (names with underscores) and write one result a line, in order; none of
    /// them is given beside it
    // The group of all flags of an inquiry bears its name.
    #[arg(long, conflicts_with_all = ["Inquiry", "explain"])]
    batch: bool,
}

/// The exit code of a command with wrong usage, as opposed to one that fails.
const WRONG_USAGE: u8 = 2;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.batch {
        // Blocking work on its own thread, so that Ctrl-C is still heard.
        return tokio::task::spawn_blocking(|| batch::run(std::io::stdin(), std::io::stdout())).await?;
    }
    let terms = args.inquiry.product.as_deref().map(read_terms).transpose()?;
    let mut answer = match args.inquiry.answer(terms.as_ref()) {
        Ok(answer) => answer,
        Err(error) => return wrong_usage(error),
    };
    if args.explain || !args.json {
        answer.add_detail();
    }
    if !args.explain {
        answer.rows.iter_mut().for_each(|row| row.explained = None);
    }
    if args.json {
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        print!("{}", table(&answer));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reports a flag that is missing, misplaced or malformed as wrong usage; a well-formed inquiry that is refused is an ordinary error.
fn wrong_usage(error: InquiryError) -> anyhow::Result<ExitCode> {
    let field = match &error {
        InquiryError::Missing(field) => field,
        InquiryError::Misplaced { field, .. } | InquiryError::Word { field, .. } => field,
        InquiryError::Schedule(_) | InquiryError::Quote(_) => return Err(error.into()),
    };
    let flag = format!("--{}", field.replace('_', "-"));
    eprintln!(
        "error: {}\n\nFor more information, try 'fenqi quote --help'.",
        error.to_string().replacen(field, &flag, 1)
    );
    Ok(ExitCode::from(WRONG_USAGE))
}

/// Parses a product file; the error is its first problem.
fn read_terms(path: &str) -> anyhow::Result<Terms> {
    let text = text_file::read(path).with_context(|| format!("cannot read the product file {path}"))?;
    file::parse(&text).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        let count = problems.len();
        anyhow::anyhow!("{path}: {first} (in all {count}; `fenqi product check {path}` tells each)")
    })
}

fn table(answer: &Answer) -> String {
    let mut text = format!(
        "{:>6}  {:<10}  {:>14}  {:>12}  {:>12}  {:>14}  {:>14}\n",
        "period", "due", "principal", "interest", "fee", "total", "balance"
    );
    for row in &answer.rows {
        text.push_str(&format!(
            "{:>6}  {:<10}  {:>14}  {:>12}  {:>12}  {:>14}  {:>14}\n",
            row.period,
            row.due_date.to_string(),
            row.principal_fen,
            row.interest_fen,
            row.fee_fen,
            row.total_fen,
            row.balance_fen
        ));
        for (name, line) in row.explained.iter().flat_map(|explained| {
            [("principal", &explained.principal), ("interest", &explained.interest), ("fee", &explained.fee)]
        }) {
            if !line.is_empty() {
                text.push_str(&format!("{:>8}{name}: {line}\n", ""));
            }
        }
    }
    text.push_str(&format!("\ntotal {} yuan\n", answer.total_fen));
    let rates = [
        ("a year, nominal (monthly root × 12, 单利)", answer.apr_nominal),
        ("a year, effective (compounded, 复利 IRR)", answer.apr_effective),
        ("a year by date (actual days ÷ 365, compounded)", answer.apr_by_date),
        ("a year with the merchant's subsidy", answer.purchase.as_ref().and_then(|purchase| purchase.apr_with_subsidy)),
    ];
    for (name, rate) in rates {
        if let Some(rate) = rate {
            text.push_str(&format!("{} {name}\n", in_percent(rate, 4)));
        }
    }
    if let Some(purchase) = &answer.purchase {
        text.push_str(&format!("first statement on {}", purchase.first_statement_on));
        text.push_str(&format!(", the merchant pays {} yuan\n", purchase.subsidy_fen));
    }
    text
}
