//! `fenqi audit`: what people did by hand, and whether the audit trail is unchanged.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{NaiveTime, SecondsFormat};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::audit::entry::KnownBy;
use crate::audit::{self, Entry, Link, Search, store};
use crate::base::BusinessDay;
use crate::base::hex::{hex_decode, hex_encode};
use crate::cli::typed::filled;
use crate::cli::{Sharing, find_database, say_if_no_house, set_up};
use crate::database;
use crate::verify::store::begin_snapshot;

/// Entries that are read at once; all are shown.
const PAGE_ROWS: usize = 500;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Show what people did by hand, the oldest first
    List(Wanted),
    /// Print the number and the hash of the last entry, to be kept where the database's administrators cannot write
    Head {
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Say whether a head that was kept is still in the trail; exit code 1 where it is not, or where the trail is broken
    Check {
        /// The number that was kept
        #[arg(long)]
        entry_no: i64,
        /// The hash that was kept with it
        #[arg(long, value_parser = hash)]
        hash: Hash,
    },
}

#[derive(clap::Args)]
pub struct Wanted {
    /// What was done to one object, by its id, or to all of a kind, such as `payout`
    #[arg(long, value_parser = filled)]
    object: Option<String>,
    /// What this person did, in capitals or not
    #[arg(long, value_parser = filled)]
    by: Option<String>,
    /// From the beginning of this day on, such as 2026-03-02
    #[arg(long)]
    since: Option<BusinessDay>,
    /// One JSON object a line, with the text of which the hash is made
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
pub struct Hash(Vec<u8>);

fn hash(text: &str) -> Result<Hash, String> {
    let bytes = hex_decode(text.trim()).filter(|bytes| bytes.len() == Link::beginning().hash.len());
    bytes.map(Hash).ok_or_else(|| "a hash has 64 hexadecimal digits".to_owned())
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    // The private PostgreSQL, if it is ours, runs as long as `database` lives.
    let database = find_database(&config, Sharing::Shared).await?;
    let pool = database::open(&database.url, 1).await?;
    say_if_no_house(&database, &pool).await?;
    match args {
        Args::List(wanted) => list(&pool, &wanted).await?,
        Args::Head { json } => head(&pool, json).await?,
        Args::Check { entry_no, hash: Hash(hash) } => check(&pool, Link { entry_no, hash }).await?,
    }
    pool.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn list(pool: &PgPool, wanted: &Wanted) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    let mut search = Search {
        after_no: 0,
        object: wanted.object.as_deref(),
        done_by: wanted.by.as_deref(),
        since: wanted.since.map(|day| day.instant(NaiveTime::MIN)),
    };
    loop {
        let page = store::list(&mut connection, search, PAGE_ROWS as i64).await?;
        for entry in &page {
            if wanted.json {
                println!("{}", as_json(entry)?);
            } else {
                print(entry);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => search.after_no = last.entry_no,
            _ => return Ok(()),
        }
    }
}

fn print(entry: &Entry) {
    let Entry { entry_no, done_by, action, object_kind, object_id, detail, .. } = entry;
    let done_at = entry.done_at.with_timezone(&chrono_tz::Asia::Shanghai).format("%Y-%m-%d %H:%M:%S");
    let is_typed = entry.known_by == KnownBy::Typed.name();
    let known_by = if is_typed { String::new() } else { format!(" ({})", entry.known_by) };
    println!("{entry_no}  {done_at}  {action}  {object_kind} {object_id}  by {done_by}{known_by}  {detail}");
}

fn as_json(entry: &Entry) -> anyhow::Result<Value> {
    let detail: Value = serde_json::from_str(&entry.detail)?;
    Ok(json!({
        "entry_no": entry.entry_no,
        "done_at": entry.done_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "done_by": entry.done_by,
        "known_by": entry.known_by,
        "action": entry.action,
        "object_kind": entry.object_kind,
        "object_id": entry.object_id,
        "detail": detail,
        "text": entry.text(),
        "hash": hex_encode(&entry.hash),
    }))
}

async fn head(pool: &PgPool, is_json: bool) -> anyhow::Result<()> {
    let head = store::find_head(&mut *pool.acquire().await?).await?;
    let Link { entry_no, hash } = head.context("the head of the trail is gone; see `fenqi verify`")?;
    let hash = hex_encode(&hash);
    if is_json {
        println!("{}", json!({ "entry_no": entry_no, "hash": hash }));
    } else {
        println!("{entry_no} {hash}");
    }
    Ok(())
}

async fn check(pool: &PgPool, kept: Link) -> anyhow::Result<()> {
    let mut transaction = database::begin(pool).await?;
    begin_snapshot(&mut transaction).await?;
    let misfit = audit::find_misfit(&mut transaction).await?;
    let is_there = audit::is_in_trail(&mut transaction, &kept).await?;
    transaction.commit().await?;
    let entry_no = kept.entry_no;
    if !is_there {
        bail!(
            "entry {entry_no} of this trail is not the one that was kept: entries were changed or removed since, or an older \
             back-up was restored; change nothing, and compare it with the back-ups"
        );
    }
    if let Some(misfit) = misfit {
        bail!("the trail is broken, change nothing, and compare it with the back-ups: {misfit}");
    }
    println!("entry {entry_no} is the one that was kept, and nothing up to it was changed");
    Ok(())
}
