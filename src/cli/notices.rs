//! `fenqi notices`: notices to operators.

use std::process::ExitCode;

use serde_json::json;

use crate::base::BusinessDay;
use crate::cli::open_house;
use crate::notice::{Audience, Raised, store};

#[derive(clap::Args)]
pub struct Args {
    /// From this day on, on which they were told; the newest hundred if left out
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
        // They are newest first, so the last one was told on the oldest day.
        let last_day = raised.last().map(told_on);
        let is_further_back = last_day.zip(args.since).is_some_and(|(day, since)| day >= since);
        if older.is_none() || !is_further_back {
            break;
        }
        before_no = older;
    }
    raised.retain(|notice| args.since.is_none_or(|since| told_on(notice) >= since));
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

/// The day on which a notice was told: by the calendar, because the business day stands still while a close does not go on; by the business
/// day where that is ahead, after a day that was ended early.
fn told_on(notice: &Raised) -> BusinessDay {
    notice.business_day.max(BusinessDay::at(notice.created_at))
}
