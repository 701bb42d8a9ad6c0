//! `fenqi reserve`: deposits and withdrawals that funders' systems noted, and whether the money arrived.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use crate::app::App;
use crate::audit::Person;
use crate::base::id::ReserveOrderId;
use crate::cli::listed::{ASKED_MAX, NEWER, cut, say_cut};
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::cli::typed::one_line;
use crate::funder::find_code;
use crate::funder::order::{ReserveOrder, ReserveOrderKind};
use crate::funder::order_actions;
use crate::funder::order_store::{self, WantedOrders};

const LIST: &str = "fenqi reserve list";

#[derive(clap::Subcommand)]
pub enum Args {
    /// Show orders that wait, at most five hundred
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// The money arrived: book the deposit. A withdrawal is confirmed by a second holder of the funder's keys, not here
    Confirm {
        /// By its id in `fenqi reserve list`
        order: ReserveOrderId,
        /// Who says so
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// It never arrived, or must not be paid
    Refuse {
        /// By its id in `fenqi reserve list`
        order: ReserveOrderId,
        /// Who says so
        #[arg(long, value_parser = one_line)]
        by: String,
        /// Why, for the funder
        #[arg(long, value_parser = one_line)]
        reason: String,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::List { json } => {
            let mut connection = app.pool.acquire().await?;
            let wanted = WantedOrders { after: None, waiting_only: true };
            let mut orders = order_store::list_orders(&mut connection, None, wanted, ASKED_MAX).await?;
            let has_newer = cut(&mut orders);
            for order in orders {
                let funder = find_code(&mut connection, order.funder_id).await?;
                if json {
                    let mut shown = serde_json::to_value(&order)?;
                    shown["funder"] = json!(funder);
                    println!("{shown}");
                } else {
                    print(&order, &funder);
                }
            }
            if has_newer {
                say_cut(NEWER, json);
            }
        }
        Args::Confirm { order, by } => {
            let found = order_store::find_order(&mut *app.pool.acquire().await?, order).await?;
            if found.is_some_and(|found| found.kind == ReserveOrderKind::Withdrawal) {
                bail!(
                    "{order} is a withdrawal: a second holder of the funder's keys confirms it through the API; here it can \
                     only be refused"
                );
            }
            let app = app.by(Person::typed(&by));
            let booked = order_actions::confirm_deposit(&app, order, &by).await.map_err(look_at(LIST))?;
            print_decided(&app, &booked).await?;
        }
        Args::Refuse { order, by, reason } => {
            let app = app.by(Person::typed(&by));
            let refused = order_actions::refuse_order(&app, order, &by, &reason).await.map_err(look_at(LIST))?;
            print_decided(&app, &refused).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn print_decided(app: &App, order: &ReserveOrder) -> anyhow::Result<()> {
    let funder = find_code(&mut *app.pool.acquire().await?, order.funder_id).await?;
    print(order, &funder);
    Ok(())
}

/// Prints an order with its funder: references are given by banks, so two funders may have the same one with the same amount.
fn print(order: &ReserveOrder, funder: &str) {
    let ReserveOrder { order_id, kind, amount_fen, reference, status, noted_by, .. } = order;
    println!("{order_id} {kind:?} of {amount_fen} yuan, {reference}, noted by {noted_by} of {funder}: {status:?}");
}
