//! `fenqi calls`: searches the interface log, every call to and from a partner, bodies masked.

use std::process::ExitCode;

use chrono::{DateTime, Utc};

use crate::cli::open_house;
use crate::cli::typed::moment;
use crate::partner::risk;
use crate::partner::store::{self, CallSearch, FoundCall};

/// Codes shown of one call; an answer about many objects may have more, which `--json` shows.
const CODES_SHOWN_MAX: usize = 5;

#[derive(clap::Args)]
pub struct Args {
    /// A partner by any of its names, such as harbour-core, harbour-bank, a merchant's id or payout; calls in and out are found
    #[arg(long)]
    partner: Option<String>,
    /// What it was about: any id in our form or a partner's, an order's reference, an event's number, a day, a file, a request's id
    #[arg(long)]
    key: Option<String>,
    /// How it ended: ok, unknown, a status such as 409, or a problem's or partner's code
    #[arg(long)]
    code: Option<String>,
    /// From this time on, such as 2026-03-02T00:00:00+08:00
    #[arg(long, value_parser = moment)]
    from: Option<DateTime<Utc>>,
    /// Before this time
    #[arg(long, value_parser = moment)]
    until: Option<DateTime<Utc>>,
    /// Only calls with lower numbers than this one's, such as the last that was shown: what is older
    #[arg(long)]
    before: Option<i64>,
    /// How many to show at most, the newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// One JSON object a line, with the masked bodies and the hash of the masked request
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = open_house().await?;
    let search = CallSearch {
        partner: args.partner,
        key: args.key,
        code: args.code,
        from: args.from,
        until: args.until,
        risk_code: app.partners.mchid(risk::NAME).map(str::to_owned),
        before_no: args.before,
        limit: args.limit,
    };
    let mut connection = app.pool.acquire().await?;
    let found = store::search_calls(&mut connection, &search).await?;
    for call in &found {
        if args.json {
            println!("{}", serde_json::to_string(call)?);
        } else {
            print(call);
        }
    }
    if let Some(partner) = search.partner
        && found.is_empty()
    {
        // Whoever has mistyped a name at night must not believe that the partner is silent.
        let any =
            CallSearch { partner: Some(partner.clone()), risk_code: search.risk_code, limit: 1, ..Default::default() };
        if store::search_calls(&mut connection, &any).await?.is_empty() {
            eprintln!(
                "the log has no call at all of {partner}; `fenqi partner list`, `fenqi funder list` and the partners file have the names"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(call: &FoundCall) {
    let status = call.http_status.map_or("-".to_owned(), |status| status.to_string());
    let codes = further_codes(call, &status);
    println!(
        "{} {} {} {} {} {} {status}{codes} {} ms {}",
        call.call_no,
        call.called_at.to_rfc3339(),
        call.direction,
        call.partner,
        call.operation,
        call.outcome,
        call.duration_micros / 1_000,
        call.call_key,
    );
}

/// The codes of the answer, without the outcome and the HTTP status, which are shown anyway.
fn further_codes(call: &FoundCall, status: &str) -> String {
    let further = call.codes.iter().filter(|code| **code != call.outcome && *code != status);
    let mut shown: Vec<&str> = further.map(String::as_str).take(CODES_SHOWN_MAX + 1).collect();
    if shown.len() > CODES_SHOWN_MAX {
        shown[CODES_SHOWN_MAX] = "…";
    }
    if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
}
