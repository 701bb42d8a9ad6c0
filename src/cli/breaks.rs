//! `fenqi break`: differences between channels' files and our books, shown to operators and corrected by two of them.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::app::App;
use crate::audit::Person;
use crate::base::counted;
use crate::base::id::BreakId;
use crate::cli::listed::{ASKED_MAX, OLDER, cut, say_cut};
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::cli::typed::one_line;
use crate::error::Step;
use crate::reconcile::list_store::{self, Listed, Wanted};
use crate::reconcile::model::BreakKind;
use crate::reconcile::{self, BreakStatus, Correction};

const LIST: &str = "fenqi break list";

#[derive(clap::Subcommand)]
pub enum Args {
    /// List breaks, newest last, at most five hundred
    List {
        /// Only those that nobody has closed
        #[arg(long)]
        open: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one: what differs, what is proposed, what became of it
    Show {
        /// By its id in `fenqi break list`
        #[arg(value_name = "BREAK")]
        break_id: BreakId,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Look after an open one from now on; what is proposed for it stays as it is
    Take {
        /// By its id in `fenqi break list`
        #[arg(value_name = "BREAK")]
        break_id: BreakId,
        /// Who takes it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// Propose another correction of an open one; whoever does looks after it, and cannot confirm it
    Propose {
        /// By its id in `fenqi break list`
        #[arg(value_name = "BREAK")]
        break_id: BreakId,
        /// What is to be booked; docs/RUNBOOK.md says which is for what
        correction: Correction,
        /// Who proposes it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// Do what is proposed for an open one, and close it; for somebody else than who proposed it
    Confirm {
        /// By its id in `fenqi break list`
        #[arg(value_name = "BREAK")]
        break_id: BreakId,
        /// The proposal that you have seen, by its number in `show`
        #[arg(long, value_name = "N")]
        proposal: i32,
        /// Who confirms it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// Close an open one without booking anything; for somebody else than who proposed its correction
    Dismiss {
        /// By its id in `fenqi break list`
        #[arg(value_name = "BREAK")]
        break_id: BreakId,
        /// Who dismisses it
        #[arg(long, value_parser = one_line)]
        by: String,
        /// Why nothing is to be booked
        #[arg(long, value_parser = one_line)]
        reason: String,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::List { open, json } => list(&app, Wanted { open_only: open, ..Wanted::default() }, json).await?,
        Args::Show { break_id, json } => show(&find(&app, break_id).await?, json)?,
        Args::Take { break_id, by } => {
            let app = app.by(Person::typed(&by));
            let owner = by.trim();
            match reconcile::take_break(&app, break_id, &by).await.map_err(look_at(LIST))? {
                Step::Applied => println!("{break_id} is {owner}'s"),
                Step::AlreadyApplied => println!("{break_id} was {owner}'s already; nothing changed"),
            }
        }
        Args::Propose { break_id, correction, by } => {
            let app = app.by(Person::typed(&by));
            let number = reconcile::propose_correction(&app, break_id, correction, &by).await.map_err(look_at(LIST))?;
            println!("{} is proposal {number} for {break_id}; somebody else confirms it", correction.name());
        }
        Args::Confirm { break_id, proposal, by } => {
            let app = app.by(Person::typed(&by));
            reconcile::confirm_break(&app, break_id, proposal, &by).await.map_err(look_at(LIST))?;
            println!("{break_id} is corrected: {}", find(&app, break_id).await?.proposed.name());
        }
        Args::Dismiss { break_id, by, reason } => {
            let app = app.by(Person::typed(&by));
            reconcile::dismiss_break(&app, break_id, &by, &reason).await.map_err(look_at(LIST))?;
            println!("{break_id} is dismissed; nothing was booked");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(app: &App, break_id: BreakId) -> anyhow::Result<Listed> {
    let wanted = Wanted { break_id: Some(break_id), ..Wanted::default() };
    let found = list_store::list_breaks(&mut *app.pool.acquire().await?, wanted, 1).await?.pop();
    found.with_context(|| format!("there is no break {break_id}; see `fenqi break list`"))
}

async fn list(app: &App, wanted: Wanted, is_json: bool) -> anyhow::Result<()> {
    let mut listed = list_store::list_breaks(&mut *app.pool.acquire().await?, wanted, ASKED_MAX).await?;
    let has_older = cut(&mut listed);
    for found in listed.iter().rev() {
        if is_json {
            println!("{}", serde_json::to_string(found)?);
            continue;
        }
        let (kind, ours, theirs) = (found.kind.name(), found.our_fen, found.their_fen);
        let (proposed, proposed_by, owner) = (found.proposed.name(), &found.proposed_by, &found.owner);
        println!(
            "{}  {}  {:<5}  {kind:<24}  ours {ours} theirs {theirs} yuan  {proposed} by {proposed_by}  {}, {}, owner {owner}",
            found.break_id,
            found.opened_on,
            found.channel,
            found.status.name(),
            counted(found.age_days, "day")
        );
    }
    if has_older {
        say_cut(OLDER, is_json);
    }
    Ok(())
}

fn show(found: &Listed, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        println!("{}", serde_json::to_string(found)?);
        return Ok(());
    }
    let (break_id, proposed) = (found.break_id, found.proposed);
    println!("{break_id} {}, opened {}, {}", found.kind.name(), found.opened_on, counted(found.age_days, "day"));
    println!(
        "    collected by us {} yuan, by {} {} yuan, day {}",
        found.our_fen, found.channel, found.their_fen, found.business_day
    );
    match (found.line_id, &found.order_status) {
        (Some(line_id), Some(status)) => println!("    over {} of {line_id}, {status} now", found.withholding_id),
        _ => println!("    over {}, which is no order of ours", found.withholding_id),
    }
    let number = found.proposal_no;
    println!("    proposal {number}, by {}: {}", found.proposed_by, proposed.name());
    println!("    owner {}", found.owner);
    let person = found.confirmed_by.as_deref().unwrap_or("a later file");
    let ended = found.closed_on.map_or_else(String::new, |day| format!(" {day} by {person}"));
    let note = found.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
    println!("    {}{ended}{note}", found.status.name());
    if found.status == BreakStatus::Open {
        println!("    confirming it {}", does(proposed, found.kind));
        println!("    for a second person: fenqi break confirm {break_id} --proposal {number} --by NAME");
    }
    Ok(())
}

/// What confirming does. If the channel is asked first, what each of its answers leads to.
fn does(correction: Correction, kind: BreakKind) -> &'static str {
    match correction {
        Correction::Post => "books what the channel took; what is not owed any more goes back to the card",
        Correction::Refund => "books what the channel took, all of which goes back to the card, whatever is owed",
        Correction::Reverse => {
            "takes back what we booked, which is owed again; what the channel took, if anything, is booked in its place; what its \
             files pay beyond that is booked as taken back by it: have it do so, and confirm once that has left the bank"
        }
        Correction::AskChannel => match kind {
            BreakKind::MissingHere => {
                "books that the channel has taken its money back: have it do so, and confirm once that has left the bank"
            }
            BreakKind::MissingThere => {
                "books that the channel has paid it by hand: ask it; if it has, confirm, and if it took nothing, propose reverse"
            }
            BreakKind::AmountDiffers => {
                "books that it is settled with the channel by hand, and ends an order that waits as failed: ask which amount is \
                 true; to book the channel's, propose post or reverse"
            }
            BreakKind::WeFailedTheySucceeded => {
                "books that the channel has given the money back: have it do so, and confirm once it has"
            }
            BreakKind::WeSucceededTheyFailed => {
                "books that it is settled with the channel by hand: ask it; if it took nothing, propose reverse, and if it took the \
                 money after all, dismiss"
            }
            BreakKind::NamedTwice => {
                "books that the channel has taken the surplus back: ask it; if it charged the card once, have it do so, and confirm \
                 once that has left the bank; if it charged it twice, propose refund"
            }
            BreakKind::SharedReference => {
                "books nothing: ask for which of its orders the channel took money; if for this one, confirm; if not, have it take \
                 back what it paid for it, and propose reverse"
            }
        },
    }
}
