//! Holding a merchant's payouts, and releasing them.

use serde_json::{Value, json};

use crate::app::App;
use crate::audit::Person;
use crate::base::counted;
use crate::base::id::MerchantId;
use crate::cli::look_at::look_at;
use crate::cli::typed::filled;
use crate::settlement::hold::PayoutHold;
use crate::settlement::{self, HoldStatement, Holding, Releasing};

use super::{LIST, day};

#[derive(clap::Args)]
pub struct Args {
    /// By its id in `fenqi merchant list`
    merchant: MerchantId,
    /// Who says so
    #[arg(long, value_parser = filled)]
    by: String,
    /// Why, in words for colleagues; the merchant does not see them
    #[arg(long, value_parser = filled)]
    reason: String,
}

impl Args {
    fn stated(self, app: &App) -> (App, HoldStatement) {
        let app = app.by(Person::typed(&self.by));
        (app, HoldStatement { merchant_id: self.merchant, by: self.by, reason: self.reason })
    }
}

/// Holds the payouts.
pub async fn hold(app: &App, args: Args) -> anyhow::Result<()> {
    let (app, stated) = args.stated(app);
    let merchant_id = stated.merchant_id;
    match settlement::hold_payouts(&app, &stated).await.map_err(look_at(LIST))? {
        Holding::Held { on_their_way } => {
            println!("{merchant_id} is paid nothing until two people release its payouts");
            if on_their_way > 0 {
                let payouts = counted(on_their_way, "payout");
                println!("{payouts} may have reached the bank before: `fenqi payout list --merchant {merchant_id}`");
            }
        }
        Holding::AlreadyHeld { held_by } => {
            println!("{held_by} holds the payouts of {merchant_id} already, and no release is stated");
        }
    }
    Ok(())
}

/// States that the payouts be released.
pub async fn release(app: &App, args: Args) -> anyhow::Result<()> {
    let (app, stated) = args.stated(app);
    let merchant_id = stated.merchant_id;
    match settlement::release_payouts(&app, &stated).await.map_err(look_at(LIST))? {
        Releasing::Stated => {
            println!("the payouts of {merchant_id} are held until somebody else states their release as well");
        }
        Releasing::Released { stated_by } => {
            println!("{merchant_id} is paid again with the next payouts, as {stated_by} stated");
        }
    }
    Ok(())
}

/// Prints a hold below its merchant, if one stands.
pub fn print(hold: Option<&PayoutHold>) {
    let Some(hold) = hold else { return };
    println!("    payouts held since {} by {}: {}", day(hold.held_at), hold.held_by, hold.reason);
    if let Some(by) = &hold.release_stated_by {
        println!("    their release is stated by {by}");
    }
}

/// The same in JSON; null where nothing is held.
pub fn in_json(hold: Option<&PayoutHold>) -> Value {
    hold.map_or(Value::Null, |hold| {
        json!({ "by": hold.held_by, "reason": hold.reason, "since": hold.held_at, "release_stated_by": hold.release_stated_by })
    })
}
