//! Tables for spreadsheet programs: CSV in UTF-8 with a byte order mark for Excel, in which no text is taken for a formula or a number.

use axum::http::{HeaderName, header};
use chrono::{DateTime, Utc};
use chrono_tz::Asia::Shanghai;

use crate::base::{BusinessDay, Fen};

/// Without it, Excel reads a file in the machine's own encoding.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A sheet that is written row by row, and taken in pieces.
pub struct Sheet {
    writer: csv::Writer<Vec<u8>>,
}

/// The content of a cell.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Any text, also what somebody has typed.
    Text(String),
    /// In yuan with two decimals, without grouping, so that it counts as a number.
    Yuan(Fen),
    Number(i64),
    Day(BusinessDay),
    /// To the second, in Shanghai.
    Time(DateTime<Utc>),
    Empty,
}

/// The headers of a sheet that is downloaded as a file with that name.
pub fn headers(name: &str) -> [(HeaderName, String); 2] {
    [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ]
}

impl Sheet {
    /// A new file.
    pub fn begin() -> Sheet {
        Sheet::over(BYTE_ORDER_MARK.to_vec())
    }

    fn over(bytes: Vec<u8>) -> Sheet {
        let writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            // Rows of headings, lines and sums have different lengths.
            .flexible(true)
            .from_writer(bytes);
        Sheet { writer }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> anyhow::Result<()> {
        self.writer.write_record(cells.into_iter().map(|cell| cell.to_string()))?;
        Ok(())
    }

    /// The bytes since the last call, for a file that is sent while it is written.
    pub fn take(&mut self) -> anyhow::Result<Vec<u8>> {
        let written = std::mem::replace(self, Sheet::over(Vec::new()));
        written.writer.into_inner().map_err(|error| anyhow::Error::new(error.into_error()))
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(&harmless(text)),
            Cell::Yuan(amount) => {
                let sign = if amount.is_negative() { "-" } else { "" };
                let fen = amount.get().unsigned_abs();
                write!(f, "{sign}{}.{:02}", fen / 100, fen % 100)
            }
            Cell::Number(number) => write!(f, "{number}"),
            Cell::Day(day) => write!(f, "{day}"),
            Cell::Time(at) => write!(f, "{}", at.with_timezone(&Shanghai).format("%Y-%m-%d %H:%M:%S")),
            Cell::Empty => Ok(()),
        }
    }
}

/// Significant digits that a spreadsheet keeps of a number; the rest become zeros.
const DIGITS_KEPT: usize = 15;

/// The text in a form that a spreadsheet takes for a text: an apostrophe is put before one that begins like a formula (OWASP, CSV
/// injection), and before one that would be converted into a number or a date.
fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    let runs = |first: char| matches!(first, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    if text.trim_start_matches(' ').starts_with(runs) || is_counted(text) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

/// Whether a spreadsheet would convert it and show something else: a long number, leading zeros, `12E5`, `3-4` and `1.10`.
fn is_counted(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits(text) {
        return text.len() > DIGITS_KEPT || (text.len() > 1 && text.starts_with('0'));
    }
    let is_power = text.split_once(['e', 'E']).is_some_and(|(digits, power)| is_digits(digits) && is_digits(power));
    let pieces: Vec<&str> = text.split(['-', '/', ':', '.']).collect();
    let is_day = (2..=3).contains(&pieces.len()) && pieces.iter().all(|piece| is_digits(piece) && piece.len() <= 4);
    is_power || is_day
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sheet: &mut Sheet) -> String {
        String::from_utf8(sheet.take().unwrap()).unwrap()
    }

    #[test]
    fn a_sheet_begins_with_its_mark_once_and_counts_yuan() {
        let mut sheet = Sheet::begin();
        let at = "2026-03-02T16:30:05Z".parse().unwrap();
        let day = "2026-03-03".parse().unwrap();
        sheet.row([Cell::Text("订单, 一".into()), Cell::Yuan(Fen::new(-5)), Cell::Time(at), Cell::Day(day)]).unwrap();
        assert_eq!(text(&mut sheet), "\u{feff}\"订单, 一\",-0.05,2026-03-03 00:30:05,2026-03-03\r\n");
        sheet.row([Cell::Number(12), Cell::Empty, Cell::Yuan(Fen::new(123_456_789))]).unwrap();
        assert_eq!(text(&mut sheet), "12,,1234567.89\r\n");
        assert_eq!(text(&mut sheet), "");
    }

    #[test]
    fn no_text_is_a_formula() {
        for formula in ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "  =cmd|' /C calc'!A0"] {
            assert!(Cell::Text(formula.into()).to_string().starts_with('\''), "{formula}");
        }
        for plain in ["A-1", "订单", "", "1=1"] {
            assert_eq!(Cell::Text(plain.into()).to_string(), plain);
        }
    }

    #[test]
    fn no_number_of_an_order_or_a_payment_becomes_another_one() {
        for counted in ["20260302123456789012", "000123", "12E5", "9e12", "3-4", "2026/3/2", "12:30", "1.10"] {
            assert_eq!(Cell::Text(counted.into()).to_string(), format!("'{counted}"));
        }
        for kept in ["0", "1001", "202603021234567", "A0001", "20260302-7", "BANK0000000001", "E5", "1-2-3-4"] {
            assert_eq!(Cell::Text(kept.into()).to_string(), kept);
        }
    }
}
