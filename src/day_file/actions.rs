//! Makes a day's files, checks made ones against the books, and finds those that may be fetched.

use std::sync::Arc;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::made::{DayKey, MadeFile};
use super::manifest::{self, Manifest};
use super::model::{FileName, FileRefusal, Form, Table};
use super::row::{Row, Sums};
use super::row_store::{self, Of, Rows};
use super::store::{self, ChunkKey, MadeDay, Piece, SignedManifest};
use super::writer::{FileWriter, Hashing};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::FunderId;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::partner::key::Algorithm;

/// The result of making a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    Made,
    /// It was made before, and nothing is missing.
    There,
    /// Another node is making it just now.
    Elsewhere,
}

/// A transaction is committed once it has made this many rows. The small tables of most days share one transaction; of large tables a
/// crash loses only the last one.
const ROWS_COMMITTED: i64 = 20_000;
/// Rows that are packed at once: enough that handing them to other threads costs next to nothing.
const ROWS_PACKED: usize = 1_000;
/// Bytes that are collected for one statement; the last piece may exceed it.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Makes the files of a closed day and their manifest. After a crash, the next call continues with the first table that is not
/// committed. Files whose bytes were forgotten are made again, and must come out the same.
///
/// # Errors
/// If the sums of the files do not agree, or a file made again is not what it was.
pub async fn make_day(app: &App, key: &DayKey) -> anyhow::Result<Making> {
    make_day_in_pieces(app, key, ROWS_COMMITTED).await
}

/// As [`make_day`], committing once tables with about `rows` rows have been made.
///
/// # Errors
/// Those of [`make_day`].
pub async fn make_day_in_pieces(app: &App, key: &DayKey, rows: i64) -> anyhow::Result<Making> {
    let mut reading = app.pool.acquire().await?;
    let mut has_written = false;
    loop {
        match make_tables(app, &mut reading, key, rows).await? {
            Step::Elsewhere => return Ok(Making::Elsewhere),
            Step::There => break,
            Step::Written { is_whole } => {
                has_written = true;
                if is_whole {
                    break;
                }
            }
        }
    }
    drop(reading);
    let is_new = finish_day(app, key).await?;
    Ok(if is_new || has_written { Making::Made } else { Making::There })
}

/// The result of one transaction of [`make_day_in_pieces`].
enum Step {
    Written { is_whole: bool },
    There,
    Elsewhere,
}

/// Makes missing tables in one transaction, until there are `enough` rows to commit. The commit releases the day's lock, so that
/// another node may continue.
async fn make_tables(app: &App, reading: &mut PgConnection, key: &DayKey, enough: i64) -> anyhow::Result<Step> {
    let mut transaction = database::begin(&app.pool).await?;
    let step = make_missing(app, Connections { reading, writing: &mut transaction }, key, enough).await;
    database::end(transaction, step).await
}

/// Two connections: rows are streamed from one while bytes are written to the other.
struct Connections<'c> {
    reading: &'c mut PgConnection,
    writing: &'c mut PgConnection,
}

async fn make_missing(app: &App, on: Connections<'_>, key: &DayKey, enough: i64) -> anyhow::Result<Step> {
    let Connections { reading, writing } = on;
    store::stand_by(writing).await?;
    let is_locked = store::lock_day(writing, key, app.clock.now()).await?;
    let made = store::list_files(writing, key.funder_id, key.day).await?;
    let kept = store::list_kept(writing, key.funder_id, key.day).await?;
    let is_there = |name: FileName| kept.contains(&name.to_string());
    // A signed day keeps the tables that existed when it was signed; none is added later.
    let signed = store::find_day(writing, key.funder_id, key.day).await?.and_then(|day| day.manifest);
    let is_its = |table: &Table| signed.as_ref().is_none_or(|manifest| manifest::tells_of(manifest, *table));
    let its = Table::ALL.iter().copied().filter(is_its);
    let missing: Vec<Table> = its.filter(|table| !table.files().all(is_there)).collect();
    if !is_locked || missing.is_empty() {
        return Ok(if is_locked { Step::There } else { Step::Elsewhere });
    }
    let mut keeper = Keeper { connection: writing, key, waiting: Vec::new(), bytes: 0 };
    let (mut rows, mut left, mut new) = (0, missing.len(), Vec::new());
    for table in missing {
        for file in write_table(reading, key, table, Keep::In(&mut keeper)).await? {
            rows += file.rows;
            match made.iter().find(|made| made.name == file.name) {
                Some(made) => {
                    ensure!(*made == file, "{} of {} is not what it was when it was signed", file.name, key.day);
                }
                None => new.push(file),
            }
        }
        left -= 1;
        if rows >= enough {
            break;
        }
    }
    keeper.flush().await?;
    store::insert_files(keeper.connection, key, &new).await?;
    Ok(Step::Written { is_whole: left == 0 })
}

/// Collects pieces, and writes several of them to the database in one statement.
struct Keeper<'c> {
    connection: &'c mut PgConnection,
    key: &'c DayKey,
    waiting: Vec<Piece>,
    bytes: usize,
}

impl Keeper<'_> {
    async fn put(&mut self, piece: Piece) -> sqlx::Result<()> {
        self.bytes += piece.content.len();
        self.waiting.push(piece);
        if self.bytes >= WAITING_BYTES_MAX { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> sqlx::Result<()> {
        store::insert_chunks(self.connection, self.key, &self.waiting).await?;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Whether the bytes are stored, or only hashed to compare.
enum Keep<'k, 'c> {
    In(&'k mut Keeper<'c>),
    Nowhere,
}

impl Keep<'_, '_> {
    async fn put(&mut self, name: &str, chunks: &mut i32, chunk: Vec<u8>) -> sqlx::Result<()> {
        if let Keep::In(keeper) = self {
            keeper.put(Piece { name: name.to_owned(), chunk_no: *chunks, content: chunk }).await?;
        }
        *chunks += 1;
        Ok(())
    }
}

/// Makes a table's files, in every form at once.
async fn write_table(
    reading: &mut PgConnection,
    key: &DayKey,
    table: Table,
    keep: Keep<'_, '_>,
) -> anyhow::Result<Vec<MadeFile>> {
    let of = Of::new(key.funder_id, key.day);
    match table {
        Table::Lines => write_rows(row_store::lines(reading, of), keep).await,
        Table::Loans => write_rows(row_store::loans(reading, of), keep).await,
        Table::Plans => write_rows(row_store::plans(reading, of), keep).await,
        Table::Repayments => write_rows(row_store::repayments(reading, of), keep).await,
        Table::RepaymentParts => write_rows(row_store::repayment_parts(reading, of), keep).await,
        Table::Refunds => write_rows(row_store::refunds(reading, of), keep).await,
        Table::RefundParts => write_rows(row_store::refund_parts(reading, of), keep).await,
        Table::Reserve => write_rows(row_store::reserve(reading, of), keep).await,
        Table::Remittances => write_rows(row_store::remittances(reading, of), keep).await,
        Table::Ledger => write_rows(row_store::ledger(reading, of), keep).await,
    }
}

/// A file that is being written, and how many of its pieces are stored.
struct Growing {
    name: String,
    writer: FileWriter,
    chunks: i32,
}

async fn write_rows<R: Row>(rows: Rows<'_, R>, mut keep: Keep<'_, '_>) -> anyhow::Result<Vec<MadeFile>> {
    let mut growing = Vec::new();
    for form in Form::ALL {
        let name = FileName { table: R::TABLE, form }.to_string();
        growing.push(Growing { name, writer: FileWriter::new::<R>(form)?, chunks: 0 });
    }
    let (mut sums, mut count) = (Sums::default(), 0);
    let mut batches = rows.try_chunks(ROWS_PACKED);
    let mut batch = batches.try_next().await.map_err(|broken| broken.1)?;
    while let Some(rows) = batch {
        rows.iter().for_each(|row| row.add_to(&mut sums));
        count += rows.len() as i64;
        // The next rows are fetched while these are packed.
        let (packed, next) = tokio::join!(pack(growing, rows), batches.try_next());
        growing = packed?;
        batch = next.map_err(|broken| broken.1)?;
        for file in &mut growing {
            while let Some(chunk) = file.writer.next_chunk() {
                keep.put(&file.name, &mut file.chunks, chunk).await?;
            }
        }
    }
    let mut files = Vec::new();
    for Growing { name, writer, mut chunks } in growing {
        let (last, digests) = writer.finish()?;
        for chunk in last {
            keep.put(&name, &mut chunks, chunk).await?;
        }
        files.push(MadeFile::new(name, R::TABLE.name(), count, digests, &sums));
    }
    Ok(files)
}

/// Writes rows in every form at once, each on a thread for blocking work: packing is most of the cost of a file and keeps a core busy,
/// which must not be one that answers requests.
async fn pack<R: Row>(growing: Vec<Growing>, rows: Vec<R>) -> anyhow::Result<Vec<Growing>> {
    let rows = Arc::new(rows);
    let packing = growing.into_iter().map(|mut file| {
        let rows = rows.clone();
        tokio::task::spawn_blocking(move || {
            for row in rows.iter() {
                file.writer.write(row)?;
            }
            anyhow::Ok(file)
        })
    });
    let mut packed = Vec::with_capacity(Form::ALL.len());
    for file in join_all(packing).await {
        packed.push(file??);
    }
    Ok(packed)
}

/// Writes the manifest, whose sums must agree, and signs it; `false` if that was done before.
async fn finish_day(app: &App, key: &DayKey) -> anyhow::Result<bool> {
    let mut connection = app.pool.acquire().await?;
    let made = store::find_day(&mut connection, key.funder_id, key.day).await?;
    if made.is_some_and(|made| made.made_at.is_some()) {
        return Ok(false);
    }
    let text = write_manifest(&mut connection, key).await?;
    // Signing may have to make a key, which takes a connection of its own.
    drop(connection);
    let mut signatures = Vec::new();
    for algorithm in Algorithm::ALL {
        let signer = app.access.signer(algorithm).await?;
        let signature = signer.sign(text.as_bytes());
        signatures.push(json!({
            "algorithm": algorithm.name(), "serial_no": signer.serial_no, "signature": signature }));
    }
    let sha256 = Sha256::digest(text.as_bytes());
    let mut connection = app.pool.acquire().await?;
    let signatures = serde_json::Value::Array(signatures);
    let manifest = SignedManifest { text: &text, sha256: &sha256, signatures: &signatures };
    Ok(store::finish_day(&mut connection, key, manifest, app.clock.now()).await?)
}

async fn write_manifest(connection: &mut PgConnection, key: &DayKey) -> anyhow::Result<String> {
    let files = store::list_files(&mut *connection, key.funder_id, key.day).await?;
    let accounts = store::load_accounts(connection, key).await?;
    Ok(serde_json::to_string(&Manifest::new(key, &files, &accounts)?)?)
}

/// Makes a day again from the books, and hashes the bytes that are stored. Returns the differences, as sentences.
///
/// # Errors
/// Failures of the database, or if the day is not made.
pub async fn check_day(app: &App, key: &DayKey) -> anyhow::Result<Vec<String>> {
    let mut connection = app.pool.acquire().await?;
    let made = store::find_day(&mut connection, key.funder_id, key.day).await?;
    let manifest = made.and_then(|made| made.manifest).context("the files of this day are not made yet")?;
    let files = store::list_files(&mut connection, key.funder_id, key.day).await?;
    let mut wrong = Vec::new();
    for table in Table::ALL.iter().filter(|table| manifest::tells_of(&manifest, **table)) {
        for file in write_table(&mut connection, key, *table, Keep::Nowhere).await? {
            match files.iter().find(|made| made.name == file.name) {
                None => wrong.push(format!("{} was not made", file.name)),
                Some(made) if *made != file => {
                    wrong.push(format!("{} comes out otherwise than it was made", file.name));
                }
                Some(_) => {}
            }
        }
    }
    for file in &files {
        let kept = hash_kept(&mut connection, key, &file.name).await?;
        // `None` is no difference: the bytes were forgotten as planned.
        if kept.is_some_and(|sha256| sha256 != file.sha256) {
            wrong.push(format!("the bytes of {} are not those that were signed", file.name));
        }
    }
    match write_manifest(&mut connection, key).await {
        Ok(text) if text != manifest => wrong.push("the manifest comes out otherwise than it was signed".to_owned()),
        Ok(_) => {}
        Err(error) => wrong.push(format!("{error:#}")),
    }
    Ok(wrong)
}

async fn hash_kept(connection: &mut PgConnection, key: &DayKey, name: &str) -> sqlx::Result<Option<Vec<u8>>> {
    let mut hashing = Hashing::default();
    for chunk_no in 0.. {
        let place = ChunkKey { funder_id: key.funder_id, day: key.day, name, chunk_no };
        match store::load_chunk(&mut *connection, place).await? {
            Some(chunk) => hashing.take(&chunk),
            None if chunk_no == 0 => return Ok(None),
            None => break,
        }
    }
    Ok(Some(hashing.finish().sha256))
}

/// A day whose files may be fetched.
///
/// # Errors
/// If there is no such day, or its time has not come.
pub async fn find_ready(app: &App, funder_id: FunderId, day: BusinessDay) -> Outcome<MadeDay, FileRefusal> {
    let mut connection = app.pool.acquire().await?;
    let available_from = app.day_files.available_from(day);
    // Asked before the day is looked up, because its close records the day before it ends.
    let is_to_come = day >= crate::business_day::store::today(&mut connection).await?
        || store::is_being_closed(&mut connection, day).await?;
    match store::find_day(&mut connection, funder_id, day).await? {
        Some(made) if is_ready(&made, available_from, app.clock.now()) => Ok(made),
        None if !is_to_come => Err(Fault::Refused(FileRefusal::DayUnknown)),
        Some(_) | None => Err(Fault::Refused(FileRefusal::NotReady { available_from })),
    }
}

/// Whether a day is made and its stated time has come.
pub fn is_ready(made: &MadeDay, available_from: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    made.made_at.is_some() && now >= available_from
}
