//! Reading CSV rows one by one, with an error that names row, column, what was found and what is allowed.

use std::fmt;

/// Characters of a wrong value that are shown.
const SHOWN_MAX: usize = 40;

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The number of the row's first line as an editor shows it, blank lines included.
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
    #[error("row 1: the header cannot be read; save the file as CSV in UTF-8")]
    Unreadable(#[from] csv::Error),
    #[error("row 1: the header names the column {column:?} twice; leave one out")]
    Twice { column: &'static str },
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

/// Reads a file with the expected columns, in any order; other columns are ignored.
pub struct Rows<'t> {
    text: &'t [u8],
    reader: csv::Reader<&'t [u8]>,
    columns: Vec<&'static str>,
    places: Vec<usize>,
    /// Fields of the header.
    count: usize,
    bytes: csv::ByteRecord,
    lines: Lines<'t>,
}

/// Counts the lines up to a place; places must not decrease from call to call.
struct Lines<'t> {
    text: &'t [u8],
    place: usize,
    line: u64,
}

impl<'t> Rows<'t> {
    /// Reads the header.
    ///
    /// # Errors
    /// If the header cannot be read or lacks a column.
    pub fn open(text: &'t [u8], columns: &[&'static str]) -> Result<Rows<'t>, HeaderError> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
        let header = reader.headers()?;
        let find = |column: &&'static str| {
            let is_named = |found: &str| found.trim_start_matches('\u{feff}').trim() == *column;
            let mut found = header.iter().enumerate().filter(|(_, name)| is_named(name)).map(|(place, _)| place);
            match (found.next(), found.next()) {
                (Some(place), None) => Ok(place),
                (Some(_), Some(_)) => Err(HeaderError::Twice { column }),
                (None, _) => Err(HeaderError::Missing { missing: column, expected: columns.to_vec() }),
            }
        };
        let places = columns.iter().map(find).collect::<Result<Vec<usize>, HeaderError>>()?;
        let count = header.len();
        let lines = Lines { text, place: 0, line: 1 };
        Ok(Rows { text, reader, columns: columns.to_vec(), places, count, bytes: csv::ByteRecord::new(), lines })
    }

    /// The header as expected, for a side file.
    pub fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// Reads the next row with `parse`; `None` after the last.
    pub fn next_with<T>(&mut self, parse: impl FnOnce(&Row<'_>) -> Result<T, RowError>) -> Option<Result<T, RowError>> {
        // The CSV reader skips blank lines only when it reads the next row.
        let before = self.place();
        let read = self.reader.read_byte_record(&mut self.bytes);
        let from = before + self.text[before..].iter().take_while(|byte| is_break(**byte)).count();
        let is_closed = closes_its_quotes(self.text.get(from..self.place()).unwrap_or_default());
        let record = csv::StringRecord::from_byte_record_lossy(self.bytes.clone());
        let number = self.lines.number_at(from);
        let row = Row { number, columns: &self.columns, places: &self.places, bytes: &self.bytes, record: &record };
        match read {
            Ok(false) => None,
            Ok(true) if !is_closed => {
                let first = self.columns.first().copied().unwrap_or_default();
                let allowed = "quotes that are closed: from one that is not, all up to the next was taken for this row";
                Some(Err(row.refuse(first, row.text(0), allowed.to_owned())))
            }
            Ok(true) => Some(row.check_count(self.count).and_then(|()| row.check_text()).and_then(|()| parse(&row))),
            Err(error) => {
                let first = self.columns.first().copied().unwrap_or_default();
                Some(Err(row.refuse(first, "bytes that cannot be read", format!("a readable row ({error})"))))
            }
        }
    }
}

impl Rows<'_> {
    /// How far the reader has read.
    fn place(&self) -> usize {
        usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX).min(self.text.len())
    }
}

impl Lines<'_> {
    /// The number of the line at `place`, which must not be before the place of the previous call.
    fn number_at(&mut self, place: usize) -> u64 {
        let passed = &self.text[self.place.min(place)..place];
        let next = |index: usize| self.text.get(self.place + index + 1);
        // `\r\n`, `\r` and `\n` each count as one line break.
        let breaks = passed.iter().enumerate().filter(|(index, byte)| match **byte {
            b'\n' => true,
            b'\r' => next(*index) != Some(&b'\n'),
            _ => false,
        });
        self.line += breaks.count() as u64;
        self.place = place;
        self.line
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Whether the quotes of a row over several lines are balanced. A quote that is opened and never closed would swallow all rows after it.
fn closes_its_quotes(raw: &[u8]) -> bool {
    let row = raw.trim_ascii_end();
    let is_of_one_line = !row.iter().any(|byte| is_break(*byte));
    is_of_one_line || row.iter().filter(|byte| **byte == b'"').count().is_multiple_of(2)
}

impl Row<'_> {
    /// The text in a column, trimmed; empty if the row is too short.
    pub fn text(&self, column: usize) -> &str {
        self.places.get(column).and_then(|place| self.record.get(*place)).unwrap_or_default().trim()
    }

    /// Refuses a row with more fields than the header: an unquoted amount such as `1,234.00` becomes two fields, of which the first would
    /// be read as a wrong amount.
    fn check_count(&self, header: usize) -> Result<(), RowError> {
        let surplus = self.record.iter().skip(header).find(|field| !field.trim().is_empty());
        match surplus {
            None => Ok(()),
            Some(found) => {
                let last = self.columns.last().copied().unwrap_or_default();
                let allowed = format!("{header} fields as in the header; quote a value that has a comma in it");
                Err(self.refuse(last, found, allowed))
            }
        }
    }

    /// Refuses a row whose expected columns are not UTF-8; other columns may contain anything.
    fn check_text(&self) -> Result<(), RowError> {
        for (column, (&name, place)) in self.columns.iter().zip(self.places).enumerate() {
            if self.bytes.get(*place).is_some_and(|field| std::str::from_utf8(field).is_err()) {
                return Err(self.refuse(name, self.text(column), "text in UTF-8".to_owned()));
            }
        }
        Ok(())
    }

    /// A whole number within bounds. A trailing `.0`, as statistics programs write it, is allowed.
    ///
    /// # Errors
    /// It is not such a number; the error names row and column.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `number` says of the rows of a text whose first column is `a`: the value, or the error's row.
    fn read(text: &str) -> Vec<Result<i64, u64>> {
        let mut rows = Rows::open(text.as_bytes(), &["a"]).unwrap();
        let mut read = Vec::new();
        while let Some(row) = rows.next_with(|row| row.number(0, 1, 9)) {
            read.push(row.map_err(|error| error.row));
        }
        read
    }

    #[test]
    fn a_row_is_named_by_the_line_that_an_editor_shows() {
        assert_eq!(read("a,b\n1,\nx,\n"), [Ok(1), Err(3)]);
        assert_eq!(read("\u{feff}a,b\n\n\nx,\n\n2,\nx,"), [Err(4), Ok(2), Err(7)]);
        assert_eq!(read("a,b\r\n\r\nx,\r\nx,\r\n\r\n"), [Err(3), Err(4)]);
        assert_eq!(read("a,b\rx,\r\rx,"), [Err(2), Err(4)]);
        assert_eq!(read("a,b\n1,\"two\nlines\"\nx,\n"), [Ok(1), Err(4)]);
        assert_eq!(read("a,b\n"), []);
    }

    #[test]
    fn blanks_around_names_and_values_are_nobodys() {
        assert_eq!(read("b, a \n1, 2 \nx,\tx\n"), [Ok(2), Err(3)]);
    }

    #[test]
    fn a_header_that_cannot_be_read_or_names_a_column_twice_is_refused() {
        let refused = |text: &[u8]| Rows::open(text, &["a"]).err().unwrap().to_string();
        assert!(refused(b"\xff\xfea\x00,\x00b\x00\n\x00").contains("save the file as CSV in UTF-8"));
        assert!(refused(b"a,b,a\n1,2,3\n").contains("names the column \"a\" twice"));
        assert!(refused(b"").contains("lacks the column \"a\""));
    }

    #[test]
    fn a_row_with_more_fields_than_the_header_is_refused() {
        assert_eq!(read("b,a\n1,2\n1,2,933\n1,2,,\n1,2,\" \"\n1,2,,3\n"), [Ok(2), Err(3), Ok(2), Ok(2), Err(6)]);
        let mut rows = Rows::open(b"b,a\nx,9,933\n", &["a"]).unwrap();
        let refused = rows.next_with(|row| row.number(0, 1, 9)).unwrap().unwrap_err().to_string();
        assert!(refused.starts_with("row 2, column a: found \"933\", allowed is 2 fields"), "{refused}");
    }

    #[test]
    fn rows_behind_a_quote_that_is_not_closed_are_not_lost_in_silence() {
        let text = "a,b\n1,\n2,\"half\n3,\n4,\n";
        assert_eq!(read(text), [Ok(1), Err(3)]);
        let mut rows = Rows::open(text.as_bytes(), &["a"]).unwrap();
        let mut next = || rows.next_with(|row| row.number(0, 1, 9)).unwrap();
        next().unwrap();
        let refused = next().unwrap_err();
        assert!(refused.to_string().contains("allowed is quotes that are closed"), "{refused}");
        assert!(refused.line.iter().any(|field| field == b"half\n3,\n4,\n"), "{:?}", refused.line);
        // A lone quote within a line is text, and one on the last line takes nothing with it.
        assert_eq!(read("a,b\n1,5\" wide\n2,\n3,\"half"), [Ok(1), Ok(2), Ok(3)]);
    }
}
