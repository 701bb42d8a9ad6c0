//! `fenqi payout`: payments through the channel, shown to an operator, and those that failed sent again; what the channel
//! contradicts itself about, and what was paid by hand, is settled by two people.

use std::process::ExitCode;

use serde_json::json;

use crate::app::App;
use crate::audit::Person;
use crate::base::counted;
use crate::base::id::{LineId, MerchantId, PayoutId};
use crate::cli::listed::{ASKED_MAX, cut, say_cut};
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::cli::typed::one_line;
use crate::error::{Fault, Step};
use crate::settlement::hold_store;
use crate::settlement::payout::{ContradictionKind, PayoutRefusal};
use crate::settlement::payout_store::{self, Listed, Wanted};
use crate::settlement::{self, Ending, Settling};

const LIST: &str = "fenqi payout list";

#[derive(clap::Subcommand)]
pub enum Args {
    /// List payouts, newest last, at most five hundred
    List {
        /// Only those that the channel refused, which wait for `retry`
        #[arg(long)]
        failed: bool,
        /// Only those without a result, which are sent or asked about by themselves
        #[arg(long, conflicts_with = "failed")]
        pending: bool,
        /// Only those that the channel contradicts itself about, which wait for `settle`
        #[arg(long)]
        contradicted: bool,
        /// Only those that are not sent since their merchant's payouts are held
        #[arg(long)]
        held: bool,
        /// Only those of one merchant's settlements
        #[arg(long, value_name = "MERCHANT")]
        merchant: Option<MerchantId>,
        /// Only those that give money of one line back to its borrower's card
        #[arg(long, value_name = "LINE")]
        line: Option<LineId>,
        /// Only those that are older than this one
        #[arg(long, value_name = "PAYOUT")]
        before: Option<PayoutId>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Send a payout that failed again, to whatever account its payee has now
    Retry {
        /// By its id in `fenqi payout list`
        payout: PayoutId,
        /// Who asks for it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// Say what became of a payout that the channel contradicts itself about, or that was paid by hand since its payee's account is closed;
    /// done once somebody else says the same
    Settle {
        /// By its id in `fenqi payout list`
        payout: PayoutId,
        /// It was paid, under this reference of the bank
        #[arg(long, value_name = "REFERENCE", required_unless_present = "failed", conflicts_with = "failed",
            value_parser = one_line)]
        paid: Option<String>,
        /// No attempt was paid: what is booked is taken back, and it can be retried then
        #[arg(long)]
        failed: bool,
        /// Who says so
        #[arg(long, value_parser = one_line)]
        by: String,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::List { failed, pending, contradicted, held, merchant: merchant_id, line: line_id, before, json } => {
            let wanted = Wanted {
                failed_only: failed,
                pending_only: pending,
                contradicted_only: contradicted,
                held_only: held,
                merchant_id,
                line_id,
                before,
            };
            list(&app, wanted, json).await?;
        }
        Args::Retry { payout, by } => {
            let app = app.by(Person::typed(&by));
            match settlement::retry_payout(&app, payout, &by).await.map_err(look_at(LIST))? {
                Step::Applied if is_held(&app, payout).await? => {
                    println!("{payout} is sent again once its merchant's payouts are released");
                }
                Step::Applied => println!("{payout} is sent again with the next payouts"),
                Step::AlreadyApplied => println!("{payout} waits to be sent again already; nothing changed"),
            }
        }
        Args::Settle { payout, paid, by, .. } => {
            let ending = paid.map_or(Ending::Failed, |bank_reference| Ending::Paid { bank_reference });
            let words = ending.words();
            let app = app.by(Person::typed(&by));
            match settlement::settle_payout(&app, payout, ending, &by).await.map_err(look_at(LIST))? {
                Settling::Proposed => println!("{payout}: {words}; it ends so once somebody else says the same"),
                Settling::Confirmed { proposed_by: first } => println!("{payout} is settled: {words}, as {first} said"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn is_held(app: &App, payout_id: PayoutId) -> anyhow::Result<bool> {
    let held = hold_store::load_held(&mut *app.pool.acquire().await?, &[payout_id]).await?;
    Ok(held.contains_key(&payout_id))
}

async fn list(app: &App, wanted: Wanted, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    if let Some(before) = wanted.before
        && !payout_store::has_payout(&mut connection, before).await?
    {
        return Err(look_at(LIST)(Fault::Refused(PayoutRefusal::UnknownPayout)));
    }
    let mut listed = payout_store::list_payouts(&mut connection, wanted, ASKED_MAX).await?;
    let has_older = cut(&mut listed);
    listed.iter().rev().for_each(|payout| print(payout, is_json));
    if let Some(oldest) = listed.last().filter(|_| has_older) {
        say_cut(&format!("there are older ones; the same with --before {} lists them", oldest.payout_id), is_json);
    }
    Ok(())
}

fn print(payout: &Listed, is_json: bool) {
    let Listed { payout_id, kind, amount, status, failure, pay_on, attempt_no, .. } = payout;
    let payee = payee(payout);
    if is_json {
        println!(
            "{}",
            json!({ "payout_id": payout_id, "kind": kind, "payee": payee, "amount_fen": amount, "status": status,
                    "failure": failure, "pay_on": pay_on, "attempt_no": attempt_no, "is_held": payout.is_held,
                    "contradicted_attempt": payout.contradicted_attempt,
                    "contradiction": payout.contradiction.map(ContradictionKind::name), "age_days": payout.contradicted_days,
                    "proposed": proposed(payout), "proposed_reference": payout.proposed_reference,
                    "proposed_by": payout.proposed_by })
        );
        return;
    }
    let why = failure.as_ref().map_or_else(String::new, |failure| format!(": {failure}"));
    let held = if payout.is_held { "  held with its merchant's payouts" } else { "" };
    let said = contradicted(payout);
    println!(
        "{payout_id}  {pay_on}  {kind:<10}  {payee}  {amount} yuan  attempt {attempt_no}  {status}{why}{held}{said}"
    );
}

/// The payee, named as other commands take it: `merchant`, `funder` or `line`.
fn payee(payout: &Listed) -> String {
    let merchant = payout.merchant_id.map(|merchant_id| merchant_id.to_string());
    let funder = || payout.funder.clone();
    let line = || payout.line_id.map(|line_id| line_id.to_string());
    merchant.or_else(funder).or_else(line).unwrap_or_default()
}

/// What the channel contradicts itself about and since when; and what somebody has said about it, or else the channel's last answer.
fn contradicted(payout: &Listed) -> String {
    let said = match (&payout.proposed_by, &payout.proposed_reference, payout.contradiction) {
        (Some(by), Some(reference), _) => format!("paid under {reference}, says {by}"),
        (Some(by), None, _) => format!("failed, says {by}"),
        (None, _, Some(kind)) => format!("{} by the channel; nobody has settled it", kind.proposed()),
        (None, _, None) => return String::new(),
    };
    let (Some(attempt), Some(kind)) = (payout.contradicted_attempt, payout.contradiction) else {
        return format!("  {said}");
    };
    let (kind, days) = (kind.name(), counted(payout.contradicted_days.unwrap_or_default(), "day"));
    format!("  attempt {attempt} contradicted: {kind}, {days}; {said}")
}

/// The correction that waits to be confirmed.
fn proposed(payout: &Listed) -> Option<&'static str> {
    match (&payout.proposed_by, &payout.proposed_reference) {
        (Some(_), Some(_)) => Some("paid"),
        (Some(_), None) => Some("failed"),
        (None, _) => payout.contradiction.map(ContradictionKind::proposed),
    }
}
