//! `fenqi partner notify`: where a merchant's system hears of payments, set by an operator.

use std::process::ExitCode;

use crate::base::id::MerchantId;
use crate::cli::by::By;
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::error::Fault;
use crate::merchant::notify_actions::{NotifyRefusal, Wanted, set_notify_url};
use crate::partner::key::Algorithm;

#[derive(clap::Args)]
pub struct Args {
    /// By its id in `fenqi merchant list`
    merchant: MerchantId,
    /// The address: https on the open internet
    #[arg(long, required_unless_present = "off")]
    url: Option<String>,
    /// Notify it no more
    #[arg(long, conflicts_with = "url")]
    off: bool,
    /// The algorithm by which we sign
    #[arg(long, default_value = "rsa")]
    algorithm: Algorithm,
    #[command(flatten)]
    by: By,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    let wanted = Wanted { url: args.url.as_deref().filter(|_| !args.off), algorithm: args.algorithm };
    let set = set_notify_url(&app.by(args.by.person()), args.merchant, wanted).await;
    let set = set.map_err(|fault| match fault {
        Fault::Refused(NotifyRefusal::Merchant(_)) => look_at("fenqi merchant list")(fault),
        // No list shows what is wrong with an address.
        Fault::Refused(NotifyRefusal::Url(_) | NotifyRefusal::ChangedSince) | Fault::Failed(_) => fault.into_error(),
    });
    match set?.address {
        Some(address) => println!("{} is notified at {}", args.merchant, address.url),
        None => println!("{} is not notified", args.merchant),
    }
    Ok(ExitCode::SUCCESS)
}
