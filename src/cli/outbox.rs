//! `fenqi outbox`: messages to partners: lists those that failed, tries or delivers them again, pauses a partner, and shows what a template
//! would send.

use std::path::PathBuf;
use std::process::ExitCode;
use std::slice;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::app::App;
use crate::audit::Person;
use crate::base::counted;
use crate::cli::by::By;
use crate::cli::look_at::look_at;
use crate::cli::typed::{filled, moment};
use crate::cli::{template, trial};
use crate::error::Attempt;
use crate::funder;
use crate::merchant::notification::merchant_of;
use crate::outbox::actions::{self, Asked, Discard, Replay};
use crate::outbox::completion::complete;
use crate::outbox::control_store::{Done, Standing};
use crate::outbox::jobs::{deliver_outbox, deliver_to_one};
use crate::outbox::template::Template;
use crate::outbox::{catalogue, control_store, event_store, template_actions};
use crate::partner::{funder_core, sms, wechat};
use crate::text_file;

/// Failed messages that are read at once; all are shown.
const PAGE_ROWS: usize = 500;
const LIST: &str = "fenqi outbox list";
/// How many of the last actions are shown: enough to see why delivery is paused or failing.
const DONE_MAX: i64 = 10;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Show messages that failed, dead letters first
    List {
        /// Of one partner: a funder's code, merchant:MERCHANT, sms or wechat
        #[arg(long)]
        partner: Option<String>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show a message, what became of it, and who did something to it
    Show {
        /// Its number, as lists, events and calls name it
        message_no: i64,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how delivery to a partner stands, and what was done to its messages last
    Status {
        /// A funder's code, merchant:MERCHANT, sms or wechat; if left out, whoever has messages that wait, is paused, or was
        /// found down
        partner: Option<String>,
        /// Print one line of JSON, of several partners one for each
        #[arg(long)]
        json: bool,
    },
    /// Deliver what is due now, once, as `fenqi work` does all the time
    Deliver {
        /// Only to this partner
        #[arg(long)]
        partner: Option<String>,
        /// The house is a trial, though partners are configured here: it is delivered on its own day
        #[arg(long, requires = "partner")]
        trial: bool,
    },
    /// Try a failed or dead message again at once, or all dead ones, or deliver a range again in order
    Replay(ReplayArgs),
    /// Give a failed message up; what waits behind it goes on
    Discard {
        /// Its number in `fenqi outbox list`
        message_no: i64,
        /// Why, for whoever asks later
        #[arg(long, value_parser = filled)]
        reason: String,
        /// Who does it
        #[arg(long, value_parser = filled)]
        by: String,
    },
    /// Deliver nothing more to a partner until it is resumed
    Pause {
        /// A funder's code, merchant:MERCHANT, sms or wechat
        partner: String,
        /// Who does it
        #[arg(long, value_parser = filled)]
        by: String,
    },
    /// Deliver to a partner again, at once
    Resume {
        /// A funder's code, merchant:MERCHANT, sms or wechat
        partner: String,
        /// Who does it
        #[arg(long, value_parser = filled)]
        by: String,
    },
    /// Show what a funder's core would be sent for a past event, without sending it
    Try {
        /// The event's number
        message_no: i64,
        /// A file with a template; the saved one, else our own form, if left out
        #[arg(long)]
        template: Option<PathBuf>,
        /// The template's path below the base URL
        #[arg(long, requires = "template")]
        path: Option<String>,
    },
    /// Show how a funder's core is told each kind of event, or change it: by a template, in our own form, or not at all
    Template(template::Args),
    /// Show every kind of event, or an example of one
    Kinds {
        /// Show an example of this one; all by their names and meanings if left out
        kind: Option<String>,
    },
}

#[derive(clap::Args)]
pub struct ReplayArgs {
    /// One message
    #[arg(conflicts_with_all = ["from_no", "to_no", "from", "to"])]
    message_no: Option<i64>,
    /// The partner whose messages are delivered again
    #[arg(long, conflicts_with = "message_no")]
    partner: Option<String>,
    /// Every message to the partner that was given up, and no other
    #[arg(long, requires = "partner", conflicts_with_all = ["from_no", "to_no", "from", "to"])]
    dead: bool,
    /// The number of the first message of a range
    #[arg(long, requires = "to_no", requires = "partner")]
    from_no: Option<i64>,
    /// The number of the last message of the range
    #[arg(long, requires = "from_no")]
    to_no: Option<i64>,
    /// Instead of numbers: messages written from this time on, such as 2026-03-02T00:00:00+08:00
    #[arg(long, requires = "to", requires = "partner", conflicts_with = "from_no", value_parser = moment)]
    from: Option<DateTime<Utc>>,
    /// Messages written before this time
    #[arg(long, requires = "from", value_parser = moment)]
    to: Option<DateTime<Utc>>,
    #[command(flatten)]
    by: By,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Args::Kinds { kind } = args {
        return show_kinds(kind.as_deref());
    }
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = match args {
        Args::Deliver { trial: true, .. } => trial::open_as_trial().await?,
        _ => trial::open_any().await?,
    };
    match args {
        Args::List { partner, json } => list(&app, partner.as_deref(), json).await?,
        Args::Show { message_no, json } => show(&app, message_no, json).await?,
        Args::Status { partner: Some(partner), json } => status(&app, &partner, json).await?,
        Args::Status { partner: None, json } => status_of_all(&app, json).await?,
        Args::Deliver { partner, .. } => {
            let summary = match partner {
                Some(partner) => deliver_to_one(&app, &partner).await?,
                None => deliver_outbox(&app).await?,
            };
            println!("{} delivered, {} failed, {} given up", summary.delivered, summary.failed, summary.died);
        }
        Args::Replay(replay) => run_replay(&app, replay).await?,
        Args::Discard { message_no, reason, by } => {
            let partner = partner_of(&app, message_no).await?;
            let (app, asked) = (app.by(Person::typed(&by)), Asked { partner: &partner, by: &by });
            let discard = Discard { message_no, reason: &reason };
            actions::discard(&app, asked, discard, Attempt::First).await.map_err(look_at(LIST))?;
            println!("message {message_no} is discarded");
        }
        Args::Pause { partner, by } => {
            check_name(&app, &partner).await?;
            let _ = actions::pause(&app.by(Person::typed(&by)), Asked { partner: &partner, by: &by }).await?;
            println!("{partner} is paused");
        }
        Args::Resume { partner, by } => {
            check_name(&app, &partner).await?;
            let _ = actions::resume(&app.by(Person::typed(&by)), Asked { partner: &partner, by: &by }).await?;
            println!("{partner} is delivered to");
        }
        Args::Try { message_no, template, path } => try_out(&app, message_no, template, path).await?,
        Args::Template(args) => template::run(&app, args).await?,
        Args::Kinds { .. } => {}
    }
    app.partners.flush_log().await;
    Ok(ExitCode::SUCCESS)
}

fn show_kinds(kind: Option<&str>) -> anyhow::Result<ExitCode> {
    match kind {
        Some(name) => {
            let kind = catalogue::find(name).with_context(|| no_kind(name))?;
            println!("{}", serde_json::to_string_pretty(&kind.example())?);
        }
        None => {
            for kind in catalogue::KINDS {
                println!("{} (version {}, about: {}): {}", kind.name, kind.version, kind.object, kind.says);
                if !kind.nullable.is_empty() {
                    println!("    may be null: {}", kind.nullable.join(", "));
                }
                if !kind.may_be_empty.is_empty() {
                    println!("    may be empty: {}", kind.may_be_empty.join(", "));
                }
                for (field, words) in kind.words {
                    println!("    {field} is one of: {}", words.join("; "));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn no_kind(name: &str) -> String {
    format!("there is no kind {name}; `fenqi outbox kinds` lists them")
}

/// Refuses a misspelt name: otherwise somebody might believe that a partner is paused.
async fn check_name(app: &App, partner: &str) -> anyhow::Result<()> {
    if [sms::NAME, wechat::NAME, funder_core::NAME].contains(&partner) || merchant_of(partner).is_some() {
        return Ok(());
    }
    let funders = funder::store::load_funders(&mut *app.pool.acquire().await?).await?;
    if !funders.iter().any(|funder| funder.code == partner) {
        bail!(
            "no messages go to {partner}: name a funder by its code in `fenqi funder list`, a merchant as merchant:MERCHANT, \
             sms or wechat"
        );
    }
    Ok(())
}

async fn list(app: &App, partner: Option<&str>, is_json: bool) -> anyhow::Result<()> {
    if let Some(partner) = partner {
        check_name(app, partner).await?;
    }
    let mut connection = app.pool.acquire().await?;
    let mut after = (false, 0);
    loop {
        let page = event_store::list_failed(&mut connection, partner, after, PAGE_ROWS as i64).await?;
        for message in &page {
            print_failed(message, is_json)?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => after = (last.dead_at.is_none(), last.message_no),
            _ => return Ok(()),
        }
    }
}

fn print_failed(message: &event_store::FailedMessage, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        println!("{}", serde_json::to_string(message)?);
        return Ok(());
    }
    let state = if message.dead_at.is_some() { "dead" } else { "waiting" };
    let (number, partner, kind) = (message.message_no, &message.partner, &message.kind);
    println!("{number} {state} {partner} {kind} of {} attempts {}", message.object_id, message.attempts);
    if let Some(error) = &message.last_error {
        println!("    {error}");
    }
    Ok(())
}

async fn status_of_all(app: &App, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let partners = control_store::partners_to_look_at(&mut connection).await?;
    for partner in &partners {
        let standing = control_store::standing(&mut connection, partner).await?;
        if is_json {
            println!("{}", json!({ "partner": partner, "standing": standing }));
        } else {
            print_standing(partner, &standing);
        }
    }
    if partners.is_empty() && !is_json {
        println!("nothing waits, and nobody is paused or was found down");
    }
    Ok(())
}

fn print_standing(partner: &str, standing: &Standing) {
    let state = match (standing.paused_at, standing.failures) {
        (Some(at), _) => format!("paused since {at}"),
        (None, 0) => "delivering".to_owned(),
        (None, failures) => format!("left alone after {failures} failed runs"),
    };
    let oldest = standing.oldest_waiting_at.map_or(String::new(), |at| format!(" since {at}"));
    let kept = match standing.kept_after_no {
        0 => String::new(),
        number => format!(", nothing up to {number} is kept"),
    };
    println!("{partner}: {state}, {} waiting{oldest}, {} dead{kept}", standing.waiting, standing.dead);
}

async fn status(app: &App, partner: &str, is_json: bool) -> anyhow::Result<()> {
    check_name(app, partner).await?;
    let mut connection = app.pool.acquire().await?;
    let standing = control_store::standing(&mut connection, partner).await?;
    let done = control_store::list_done(&mut connection, partner, None, DONE_MAX).await?;
    if is_json {
        println!("{}", json!({ "partner": partner, "standing": standing, "done": done }));
        return Ok(());
    }
    print_standing(partner, &standing);
    done.iter().for_each(print_done);
    Ok(())
}

async fn show(app: &App, message_no: i64, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let message = control_store::find_message(&mut connection, message_no).await?;
    let mut message = message.with_context(|| no_message(message_no))?;
    // Its body is shown as it is told.
    if let Some(mut told) = event_store::find(&mut connection, &message.partner, message_no).await? {
        complete(&mut connection, slice::from_mut(&mut told)).await?;
        message.body = serde_json::from_str(&told.body)?;
    }
    let done = control_store::list_done(&mut connection, &message.partner, Some(message_no), DONE_MAX).await?;
    if is_json {
        println!("{}", json!({ "message": message, "done": done }));
        return Ok(());
    }
    let state = match (message.delivered_at, message.dead_at, &message.ending) {
        (Some(at), _, None) => format!("delivered at {at}"),
        (Some(at), _, Some(ending)) => format!("ended at {at}: {ending}"),
        (None, Some(at), _) => format!("dead since {at}"),
        (None, None, _) => format!("waiting, not before {}", message.next_attempt_at),
    };
    let (partner, kind, attempts) = (&message.partner, &message.kind, message.attempts);
    println!("{message_no} to {partner}: {kind} of {}, {state}, attempts {attempts}", message.object_id);
    if let Some(error) = &message.last_error {
        println!("    {error}");
    }
    println!("{}", serde_json::to_string_pretty(&message.body)?);
    done.iter().for_each(print_done);
    Ok(())
}

fn print_done(done: &Done) {
    let range = match (done.from_no, done.to_no) {
        (Some(from_no), Some(to_no)) if from_no == to_no => format!(" of {from_no}"),
        (Some(from_no), Some(to_no)) => format!(" of {from_no} to {to_no}"),
        _ => String::new(),
    };
    let reason = done.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    println!("    {} {}{range} by {}{reason}", done.done_at, done.action, done.done_by);
}

async fn run_replay(app: &App, replay: ReplayArgs) -> anyhow::Result<()> {
    let person = replay.by.person();
    let (app, by) = (&app.by(person.clone()), person.name());
    if let Some(message_no) = replay.message_no {
        let partner = partner_of(app, message_no).await?;
        let asked = Asked { partner: &partner, by };
        actions::retry(app, asked, message_no, Attempt::First).await.map_err(look_at(LIST))?;
        println!("message {message_no} is delivered next");
        return Ok(());
    }
    let Some(partner) = &replay.partner else {
        bail!("name a message, or --partner with --dead, with --from-no and --to-no, or with --from and --to");
    };
    check_name(app, partner).await?;
    if replay.dead {
        let messages = actions::retry_dead(app, Asked { partner, by }).await?;
        println!("delivered next: {} that had been given up", counted(messages, "message"));
        return Ok(());
    }
    let wanted = Replay { from_no: replay.from_no, to_no: replay.to_no, from_at: replay.from, to_at: replay.to };
    let messages = actions::replay(app, Asked { partner, by }, wanted, Attempt::First).await?;
    println!("delivered again: {}", counted(messages, "message"));
    Ok(())
}

async fn try_out(app: &App, event_no: i64, file: Option<PathBuf>, path: Option<String>) -> anyhow::Result<()> {
    let partner = partner_of(app, event_no).await?;
    let template = match file {
        Some(file) => {
            let text = text_file::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Some(Template { path, text, taken_when: None })
        }
        None => None,
    };
    let preview = template_actions::preview(app, &partner, event_no, template.as_ref()).await?;
    println!("POST {}", preview.path);
    println!("{}", preview.body);
    Ok(())
}

async fn partner_of(app: &App, message_no: i64) -> anyhow::Result<String> {
    let found = control_store::find_partner_of(&mut *app.pool.acquire().await?, message_no).await?;
    found.with_context(|| no_message(message_no))
}

fn no_message(message_no: i64) -> String {
    format!(
        "there is no message {message_no}, or it ended longer ago than messages_kept_days says; `{LIST}` shows those that failed"
    )
}
