//! The demo's input files: read and checked as a whole before the story begins; bad rows are reported, or written to a side file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sqlx::PgPool;

use super::clients::{ClientRecord, Clients};
use super::purchases::{PurchaseRecord, Purchases};
use super::rows::RowError;
use crate::base::{BusinessDay, counted};
use crate::business_day;

const SAMPLE_CLIENTS: &str = include_str!("sample/clients.csv");
const SAMPLE_PURCHASES: &str = include_str!("sample/purchases.csv");
/// How many bad rows an error shows; the others are only counted.
const SHOWN_MAX: usize = 5;

/// Where the input is; a part that is not named is the shipped sample.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub clients: Option<PathBuf>,
    pub purchases: Option<PathBuf>,
    /// Write rows that cannot be used to a side file and go on, instead of stopping.
    pub skip_bad: bool,
}

/// Everything that was read.
#[derive(Debug)]
pub struct Input {
    pub clients: Vec<ClientRecord>,
    pub purchases: Vec<PurchaseRecord>,
}

impl Input {
    /// Reads and checks all input.
    ///
    /// # Errors
    /// A file that cannot be read or holds no row that can be used; and the first rows that cannot be used, unless they are to be skipped.
    pub fn read(files: &Files) -> anyhow::Result<Input> {
        let path = files.clients.as_deref();
        let text = text_of(path, SAMPLE_CLIENTS)?;
        let clients = Clients::open(&text).with_context(|| name_of(path))?;
        let clients = ensure_some(sort_out(clients, path, files.skip_bad)?, path)?;
        let path = files.purchases.as_deref();
        let text = text_of(path, SAMPLE_PURCHASES)?;
        let purchases = Purchases::open(&text).with_context(|| name_of(path))?;
        let purchases = ensure_some(sort_out(purchases, path, files.skip_bad)?, path)?;
        Ok(Input { clients, purchases })
    }
}

/// The rows; an error if there are none.
fn ensure_some<T>(rows: Vec<T>, path: Option<&Path>) -> anyhow::Result<Vec<T>> {
    anyhow::ensure!(!rows.is_empty(), "{} holds no row that can be used; name another file", name_of(path));
    Ok(rows)
}

/// The name of the input in errors.
fn name_of(path: Option<&Path>) -> String {
    path.map_or_else(|| "the shipped sample".to_owned(), |path| path.display().to_string())
}

/// Reads the whole file into memory, so that reading cannot fail half-way through the story.
fn text_of(path: Option<&Path>, sample: &'static str) -> anyhow::Result<Cow<'static, [u8]>> {
    let Some(path) = path else { return Ok(Cow::Borrowed(sample.as_bytes())) };
    Ok(Cow::Owned(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?))
}

/// Keeps the good rows. Bad ones stop the run, or go to `FILE.bad.csv`.
fn sort_out<T>(
    rows: impl Iterator<Item = Result<T, RowError>>,
    path: Option<&Path>,
    skip_bad: bool,
) -> anyhow::Result<Vec<T>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for row in rows {
        match row {
            Ok(row) => good.push(row),
            Err(error) => bad.push(error),
        }
    }
    if bad.is_empty() {
        return Ok(good);
    }
    let shown: Vec<String> = bad.iter().take(SHOWN_MAX).map(|error| format!("  {error}")).collect();
    if !skip_bad {
        bail!(
            "{} has {} that cannot be used:\n{}\nmend what is wrong, or leave it out with --skip-bad",
            name_of(path),
            counted(bad.len(), "row"),
            shown.join("\n")
        );
    }
    let side = PathBuf::from(format!("{}.bad.csv", name_of(path)));
    let header = csv::Reader::from_reader(&*text_of(path, "")?).headers()?.clone();
    set_aside(&side, &header, &bad).with_context(|| {
        format!("cannot write {}; copy {} into a folder that you may write to", side.display(), name_of(path))
    })?;
    let left_out = counted(bad.len(), "row");
    eprintln!("left out of {}: {left_out}, with what is wrong in {}", name_of(path), side.display());
    Ok(good)
}

/// Writes bad rows as CSV: the input's header and `reason`, then each row as it was read with what is wrong with it.
fn set_aside(side: &Path, header: &csv::StringRecord, bad: &[RowError]) -> Result<(), csv::Error> {
    let mut file = csv::WriterBuilder::new().flexible(true).from_path(side)?;
    file.write_record(header.iter().chain(["reason"]))?;
    for error in bad {
        let reason = error.to_string();
        file.write_record(error.line.iter().chain([reason.as_bytes()]))?;
    }
    file.flush()?;
    Ok(())
}

/// The business day that was reached, if the database already contains a house.
pub async fn find_reached_day(pool: &PgPool) -> anyhow::Result<Option<BusinessDay>> {
    Ok(business_day::store::find_today(&mut *pool.acquire().await?).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_set_aside_is_read_back_as_it_was() {
        let path = std::env::temp_dir().join(format!("fenqi-input-{}.csv", std::process::id()));
        std::fs::write(&path, "name,amount\n\"Wang, \"\"Li\"\"\",-1\n").unwrap();
        let line = vec!["Wang, \"Li\"".to_owned(), "-1".to_owned()];
        let error = RowError {
            row: 2,
            column: "amount",
            found: "-1".into(),
            allowed: "more than 0".into(),
            line: csv::ByteRecord::from(line.clone()),
        };
        let reason = error.to_string();
        let kept: Vec<()> = sort_out([Err(error)].into_iter(), Some(&path), true).unwrap();
        assert!(kept.is_empty());
        let side = PathBuf::from(format!("{}.bad.csv", path.display()));
        let mut read = csv::Reader::from_path(&side).unwrap();
        assert_eq!(read.headers().unwrap(), vec!["name", "amount", "reason"]);
        let rows: Vec<Vec<String>> =
            read.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(rows, [[line, vec![reason]].concat()]);
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&side).unwrap();
    }

    #[test]
    fn a_file_as_a_spreadsheet_saves_it_is_read_and_one_without_its_columns_is_named() {
        let path = std::env::temp_dir().join(format!("fenqi-sheet-{}.csv", std::process::id()));
        let files = Files { clients: None, purchases: Some(path.clone()), skip_bad: true };
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Input::read(&files).map(|input| input.purchases).map_err(|error| format!("{error:#}"))
        };
        let plain = read("order,sequence,periods,amount_fen\nab1,1,3,900\nab2,1,6,1000\n").unwrap();
        // A mark of the encoding, breaks of another system, a column more, another order, quotes, a blank line at the end.
        let header = "\u{feff}\"periods\",order,remark,amount_fen,sequence";
        let rows = ["3,ab1,,900,1", "6,\"ab2\",\"a, b\",1000.00,1", "\r\n"];
        assert_eq!(read(&[&[header][..], &rows].concat().join("\r\n")).unwrap(), plain);
        // What is wrong with a whole file is not left out row by row.
        for (text, column) in
            [("", "order"), ("\r\n", "order"), ("order,sequence,periods,amount\r\nab1,1,3,900\r\n", "amount_fen")]
        {
            let refused = read(text).unwrap_err();
            let expected =
                format!("{}: row 1: the header lacks the column \"{column}\"; expected are order, ", path.display());
            assert!(refused.starts_with(&expected), "{refused}");
        }
        assert!(!PathBuf::from(format!("{}.bad.csv", path.display())).exists());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_row_that_is_no_text_is_set_aside_byte_for_byte_and_an_empty_file_is_refused() {
        let path = std::env::temp_dir().join(format!("fenqi-bytes-{}.csv", std::process::id()));
        // The second order is named in GBK.
        let rows = b"order,sequence,periods,amount_fen,note\nab1,1,3,900,\xb6\xa9\n\xb6\xa9,1,3,900,\n";
        std::fs::write(&path, rows).unwrap();
        let files = |skip_bad| Files { clients: None, purchases: Some(path.clone()), skip_bad };
        let refused = Input::read(&files(false)).unwrap_err().to_string();
        assert!(refused.contains(" has 1 row that cannot be used:\n"), "{refused}");
        assert!(refused.contains("row 3, column order") && refused.contains("allowed is text in UTF-8"), "{refused}");
        assert_eq!(Input::read(&files(true)).unwrap().purchases.len(), 1);
        let side = PathBuf::from(format!("{}.bad.csv", path.display()));
        let kept = std::fs::read(&side).unwrap();
        std::fs::remove_file(&side).unwrap();
        std::fs::create_dir(&side).unwrap();
        let unkept = format!("{:#}", Input::read(&files(true)).unwrap_err());
        std::fs::remove_dir(&side).unwrap();
        assert!(unkept.contains("cannot write") && unkept.contains("into a folder that you may write to"), "{unkept}");
        assert!(kept.windows(9).any(|part| part == b"\xb6\xa9,1,3,90"), "{}", String::from_utf8_lossy(&kept));
        std::fs::write(&path, "order,sequence,periods,amount_fen\n").unwrap();
        let refused = Input::read(&files(true)).unwrap_err().to_string();
        assert!(refused.contains("holds no row that can be used"), "{refused}");
        std::fs::remove_file(&path).unwrap();
    }
}
