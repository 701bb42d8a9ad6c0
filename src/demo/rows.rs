//! Reading CSV rows one by one, with an error that names row, column, what was found and what is allowed.

use std::fmt;
use std::io::Read;

/// What of a wrong value is shown.
const SHOWN_MAX: usize = 40;

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// As an editor counts: the header is row 1.
    pub row: u64,
    pub column: &'static str,
    pub found: String,
    pub allowed: String,
    /// The whole row, byte for byte as it was read, for a side file.
    pub line: csv::ByteRecord,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found: String = self.found.chars().take(SHOWN_MAX).collect();
        write!(f, "row {}, column {}: found {found:?}, allowed is {}", self.row, self.column, self.allowed)
    }
}

impl std::error::Error for RowError {}

/// A file whose first row is not the expected header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("the file cannot be read")]
    Unreadable(#[from] csv::Error),
    #[error("row 1: the header lacks the column {missing:?}; expected are {}", expected.join(", "))]
    Missing { missing: &'static str, expected: Vec<&'static str> },
}

/// One row with its columns in the expected order.
pub struct Row<'a> {
    number: u64,
    columns: &'a [&'static str],
    places: &'a [usize],
    bytes: &'a csv::ByteRecord,
    record: &'a csv::StringRecord,
}

/// Reads a file with the expected columns, in any order, others ignored.
pub struct Rows<R> {
    reader: csv::Reader<R>,
    columns: Vec<&'static str>,
    places: Vec<usize>,
    bytes: csv::ByteRecord,
    number: u64,
}

impl<R: Read> Rows<R> {
    /// # Errors
    /// If the header cannot be read or lacks a column.
    pub fn open(source: R, columns: &[&'static str]) -> Result<Rows<R>, HeaderError> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
        let header = reader.headers()?;
        let find = |column: &&'static str| {
            header
                .iter()
                .position(|found| found.trim_start_matches('\u{feff}') == *column)
                .ok_or_else(|| HeaderError::Missing { missing: column, expected: columns.to_vec() })
        };
        let places = columns.iter().map(find).collect::<Result<Vec<usize>, HeaderError>>()?;
        Ok(Rows { reader, columns: columns.to_vec(), places, bytes: csv::ByteRecord::new(), number: 1 })
    }

    /// The header as expected, for a side file.
    pub fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// Reads the next row with `parse`; `None` after the last.
    pub fn next_with<T>(&mut self, parse: impl FnOnce(&Row<'_>) -> Result<T, RowError>) -> Option<Result<T, RowError>> {
        self.number += 1;
        let read = self.reader.read_byte_record(&mut self.bytes);
        let record = csv::StringRecord::from_byte_record_lossy(self.bytes.clone());
        let (columns, places) = (&self.columns, &self.places);
        let row = Row { number: self.number, columns, places, bytes: &self.bytes, record: &record };
        match read {
            Ok(false) => None,
            Ok(true) => Some(row.check_text().and_then(|()| parse(&row))),
            Err(error) => {
                let first = self.columns.first().copied().unwrap_or_default();
                Some(Err(row.refuse(first, "bytes that cannot be read", format!("a readable row ({error})"))))
            }
        }
    }
}

impl Row<'_> {
    /// The text in a column, without blanks around it; empty where the row is too short.
    pub fn text(&self, column: usize) -> &str {
        self.places.get(column).and_then(|place| self.record.get(*place)).unwrap_or_default().trim()
    }

    /// The expected columns hold text; what stands in others is nobody's business.
    fn check_text(&self) -> Result<(), RowError> {
        for (column, (&name, place)) in self.columns.iter().zip(self.places).enumerate() {
            if self.bytes.get(*place).is_some_and(|field| std::str::from_utf8(field).is_err()) {
                return Err(self.refuse(name, self.text(column), "text in UTF-8".to_owned()));
            }
        }
        Ok(())
    }

    /// A whole number within bounds. A trailing `.0`, as statistics programs write it, is no fraction.
    ///
    /// # Errors
    /// Names row and column where it is not.
    pub fn number(&self, column: usize, least: i64, most: i64) -> Result<i64, RowError> {
        let text = self.text(column);
        let whole = text
            .split_once('.')
            .map_or(text, |(whole, fraction)| if fraction.bytes().all(|byte| byte == b'0') { whole } else { text });
        match whole.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            Ok(_) | Err(_) => {
                Err(self.refuse(self.columns[column], text, format!("a whole number from {least} to {most}")))
            }
        }
    }

    /// The error of this row for a column.
    pub fn refuse(&self, column: &'static str, found: &str, allowed: String) -> RowError {
        RowError { row: self.number, column, found: found.to_owned(), allowed, line: self.bytes.clone() }
    }
}
