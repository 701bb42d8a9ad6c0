//! Card clients from a file in the format of `credit_clients.csv`: who applies in the demo, and how they pay.

use std::collections::HashSet;

use super::identity;
use super::rows::{HeaderError, Row, RowError, Rows};
use crate::base::Fen;
use crate::credit::model::{AGE_MAX, AGE_MIN};
use crate::credit::{CardHistory, CardMonth};

/// Columns that are read; `sex`, `education`, `marriage` and `defaulted`, by which the scorecard was fitted, are not.
pub const COLUMNS: [&str; 21] = [
    "client",
    "limit",
    "age",
    "repay_status_sep",
    "repay_status_aug",
    "repay_status_jul",
    "repay_status_jun",
    "repay_status_may",
    "repay_status_apr",
    "bill_sep",
    "bill_aug",
    "bill_jul",
    "bill_jun",
    "bill_may",
    "bill_apr",
    "paid_sep",
    "paid_aug",
    "paid_jul",
    "paid_jun",
    "paid_may",
    "paid_apr",
];

/// A hundred million yuan: more than any card of a person.
const YUAN_MAX: i64 = 100_000_000;

/// One client of another bank, who applies here. Amounts in whole dollars are read as yuan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRecord {
    pub client: u64,
    pub age: u32,
    pub history: CardHistory,
}

/// Clients of a file in its order; a row that cannot be used is an error among them.
pub struct Clients<'t> {
    rows: Rows<'t>,
    seen: HashSet<u64>,
}

impl<'t> Clients<'t> {
    /// Begins to read a file.
    ///
    /// # Errors
    /// If the header lacks a column.
    pub fn open(text: &'t [u8]) -> Result<Clients<'t>, HeaderError> {
        Ok(Clients { rows: Rows::open(text, &COLUMNS)?, seen: HashSet::new() })
    }
}

impl Iterator for Clients<'_> {
    type Item = Result<ClientRecord, RowError>;
    fn next(&mut self) -> Option<Self::Item> {
        let Clients { rows, seen } = self;
        rows.next_with(|row| {
            let record = parse(row)?;
            // Each is one person, who applies once.
            if seen.insert(record.client) {
                Ok(record)
            } else {
                Err(row.refuse(COLUMNS[0], row.text(0), "a client that no row before it names".to_owned()))
            }
        })
    }
}

fn parse(row: &Row<'_>) -> Result<ClientRecord, RowError> {
    let client = row.number(0, 1, identity::NUMBER_MAX)?;
    let limit = row.number(1, 1, YUAN_MAX)?;
    let age = row.number(2, AGE_MIN.into(), AGE_MAX.into())?;
    let mut months = [CardMonth { repay_status: 0, bill_fen: Fen::ZERO, paid_fen: Fen::ZERO }; 6];
    for (place, month) in months.iter_mut().enumerate() {
        // The casts lose nothing: a status is a small number, an amount is far below a trillion yuan.
        month.repay_status = row.number(3 + place, -2, 9)? as i8;
        month.bill_fen = Fen::new(row.number(9 + place, -YUAN_MAX, YUAN_MAX)? * 100);
        month.paid_fen = Fen::new(row.number(15 + place, 0, YUAN_MAX)? * 100);
    }
    Ok(ClientRecord {
        client: client.unsigned_abs(),
        age: age as u32,
        history: CardHistory { limit_fen: Fen::new(limit * 100), months },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("sample/clients.csv");

    #[test]
    fn the_shipped_sample_reads_without_an_error() {
        let clients: Result<Vec<ClientRecord>, RowError> = Clients::open(SAMPLE.as_bytes()).unwrap().collect();
        assert_eq!(clients.unwrap().len(), 300);
    }

    #[test]
    fn a_file_that_does_not_say_who_defaulted_is_read() {
        let without = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
        let text = SAMPLE.lines().take(3).map(without).collect::<Vec<_>>().join("\n");
        assert_eq!(Clients::open(text.as_bytes()).unwrap().filter(Result::is_ok).count(), 2);
    }

    #[test]
    fn a_broken_row_is_named_and_the_others_are_read() {
        let mut lines: Vec<&str> = SAMPLE.lines().take(4).collect();
        let broken = lines[2].replacen(',', ",many", 1);
        lines[2] = &broken;
        let read: Vec<_> = Clients::open(lines.join("\n").as_bytes()).unwrap().collect();
        assert!(read[0].is_ok() && read[2].is_ok());
        let error = read[1].as_ref().unwrap_err();
        assert_eq!((error.row, error.column), (3, "limit"));
        assert!(error.to_string().contains("allowed is a whole number from 1 to 100000000"), "{error}");
    }

    #[test]
    fn a_short_row_and_a_fraction_are_refused() {
        let header = SAMPLE.lines().next().unwrap();
        let short = format!("{header}\n1,5000.0\n");
        let error = Clients::open(short.as_bytes()).unwrap().next().unwrap().unwrap_err();
        assert_eq!((error.row, error.column, error.found.as_str()), (2, "age", ""));
        let fraction = format!("{header}\n1,5000.5\n");
        assert!(Clients::open(fraction.as_bytes()).unwrap().next().unwrap().is_err());
    }

    #[test]
    fn a_client_is_read_once_and_has_a_number_that_is_a_person_of_its_own() {
        let lines: Vec<&str> = SAMPLE.lines().take(2).collect();
        let of = |client: &str| lines[1].replacen("1,", &format!("{client},"), 1);
        let text = [lines[0], lines[1], of("4000000").as_str(), of("4000001").as_str(), lines[1]].join("\n");
        let read: Vec<_> = Clients::open(text.as_bytes()).unwrap().collect();
        assert!(read[0].is_ok() && read[1].is_ok());
        let wrong = [&read[2], &read[3]].map(|read| read.as_ref().unwrap_err().to_string());
        assert!(wrong[0].contains("row 4, column client") && wrong[0].contains("from 1 to 4000000"), "{}", wrong[0]);
        assert!(
            wrong[1].contains("row 5, column client") && wrong[1].contains("no row before it names"),
            "{}",
            wrong[1]
        );
    }

    #[test]
    fn a_file_without_the_header_is_refused() {
        let error = Clients::open("1,2,3\n".as_bytes()).err().unwrap();
        assert!(error.to_string().starts_with("row 1: the header lacks the column \"client\""), "{error}");
    }
}
