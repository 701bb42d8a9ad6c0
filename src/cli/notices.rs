//! `fenqi notices`: notices to operators.

use std::process::ExitCode;

use serde_json::json;

use crate::base::BusinessDay;
use crate::cli::open_house;
use crate::notice::{Audience, Raised, store};

#[derive(clap::Args)]
pub struct Args {
    /// From this business day on; the newest hundred if left out
    #[arg(long)]
    since: Option<BusinessDay>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = open_house().await?;
    let mut connection = app.pool.acquire().await?;
    let mut raised: Vec<Raised> = Vec::new();
    let mut before_no = None;
    loop {
        let (page, older) = store::list(&mut connection, Audience::Operator, None, &[], before_no).await?;
        raised.extend(page);
        // They are newest first, and business days never go back, so the last one has the oldest day.
        let last_day = raised.last().map(|last| last.business_day);
        let is_further_back = last_day.zip(args.since).is_some_and(|(day, since)| day >= since);
        if older.is_none() || !is_further_back {
            break;
        }
        before_no = older;
    }
    raised.retain(|notice| args.since.is_none_or(|since| notice.business_day >= since));
    for notice in raised.iter().rev() {
        if args.json {
            println!(
                "{}",
                json!({ "notice_no": notice.notice_no, "kind": notice.kind, "business_day": notice.business_day,
                        "body": notice.body, "at": notice.created_at })
            );
        } else {
            println!("{}  {:<26}  {}", notice.business_day, notice.kind, notice.body);
        }
    }
    Ok(ExitCode::SUCCESS)
}
