//! Which files a day has, their names, and when they may be fetched.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Asia::Shanghai;

use crate::base::BusinessDay;
use crate::error::Refusal;

/// When files may be fetched, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The time of day in Shanghai, on the calendar day after the business day.
    pub available_at: NaiveTime,
    /// Days for which the bytes are kept; the manifest is kept for good.
    pub kept_days: u32,
}

impl Rules {
    /// The rules of a house that configures none.
    pub const SHIPPED: Rules =
        Rules { available_at: NaiveTime::from_hms_opt(6, 0, 0).expect("a time of day"), kept_days: 400 };

    /// The time from which the files of a day may be fetched.
    pub fn available_from(&self, day: BusinessDay) -> DateTime<Utc> {
        day.next().instant(self.available_at)
    }
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// What a file is about. Each is made in every form.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[$doc])* $name,)*
        }

        impl Table {
            pub const ALL: &[Table] = &[$(Table::$name,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Table::$name => $text,)*
                }
            }

            /// Its file in each form.
            pub fn files(self) -> impl Iterator<Item = FileName> {
                Form::ALL.into_iter().map(move |form| FileName { table: self, form })
            }
        }
    };
}

tables! {
    /// Lines whose limit, used part or status changed, as they stood at the end of the day.
    Lines "lines",
    /// Loans that were made, voided, repaid, returned or charged off, as they stood at the end of the day.
    Loans "loans",
    /// New versions of schedules, installment by installment.
    Plans "plans",
    /// Money received, and repayments taken back.
    Repayments "repayments",
    /// How it was allocated, installment by installment.
    RepaymentParts "repayment_parts",
    /// What merchants gave back of purchases.
    Refunds "refunds",
    /// What left each billed installment by them.
    RefundParts "refund_parts",
    /// The reserve's journal.
    Reserve "reserve",
    /// What is passed on for the day, by product version.
    Remittances "remittances",
    /// The funder's own book, leg by leg.
    Ledger "ledger",
}

/// How a file's rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    Csv,
    JsonLines,
}

impl Form {
    pub const ALL: [Form; 2] = [Form::Csv, Form::JsonLines];

    const fn suffix(self) -> &'static str {
        match self {
            Form::Csv => "csv.gz",
            Form::JsonLines => "jsonl.gz",
        }
    }
}

/// The name of a file, such as `lines.csv.gz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName {
    pub table: Table,
    pub form: Form,
}

impl FileName {
    pub fn all() -> impl Iterator<Item = FileName> {
        Table::ALL.iter().flat_map(|table| table.files())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table.name(), self.form.suffix())
    }
}

impl FromStr for FileName {
    type Err = ();
    fn from_str(text: &str) -> Result<FileName, ()> {
        FileName::all().find(|name| name.to_string() == text).ok_or(())
    }
}

/// Why files cannot be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileRefusal {
    #[error("there is no such day")]
    DayUnknown,
    #[error("the files of this day are not ready before {}", available_from.with_timezone(&Shanghai).to_rfc3339())]
    NotReady { available_from: DateTime<Utc> },
    #[error("the content of this file is no longer kept; the platform's operator can generate it again")]
    Expired,
}

impl Refusal for FileRefusal {
    fn code(&self) -> &'static str {
        match self {
            FileRefusal::DayUnknown => "not_found",
            FileRefusal::NotReady { .. } => "file_not_ready",
            FileRefusal::Expired => "file_expired",
        }
    }
}

/// A range of bytes of a file, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

/// A range that begins beyond the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondEnd;

/// The range that a header `Range` asks for, of a file of `bytes` bytes. `None` means the whole file: as HTTP has it, a header that is
/// not a single range in bytes is ignored.
///
/// # Errors
/// If the range lies beyond the end of the file.
pub fn read_range(header: Option<&str>, bytes: u64) -> Result<Option<Span>, BeyondEnd> {
    let Some(asked) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else { return Ok(None) };
    let Some((from, to)) = asked.split_once('-') else { return Ok(None) };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let span = match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Span { from, to: to.min(bytes.saturating_sub(1)) },
        (Some(from), None) if to.trim().is_empty() => Span { from, to: bytes.saturating_sub(1) },
        (None, Some(last)) if from.trim().is_empty() => {
            Span { from: bytes.saturating_sub(last), to: bytes.saturating_sub(1) }
        }
        _ => return Ok(None),
    };
    if span.from > span.to || span.from >= bytes { Err(BeyondEnd) } else { Ok(Some(span)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_by_its_name_and_no_other_is() {
        assert_eq!(FileName::all().count(), 20);
        for name in FileName::all() {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert_eq!("lines.csv".parse::<FileName>(), Err(()));
    }

    #[test]
    fn files_of_a_day_are_there_on_the_next_morning_in_shanghai() {
        let day: BusinessDay = "2026-03-02".parse().unwrap();
        assert_eq!(Rules::SHIPPED.available_from(day).to_rfc3339(), "2026-03-02T22:00:00+00:00");
    }

    #[test]
    fn a_range_is_one_span_or_the_whole() {
        let span = |from, to| Ok(Some(Span { from, to }));
        assert_eq!(read_range(Some("bytes=0-3"), 10), span(0, 3));
        assert_eq!(read_range(Some("bytes=4-"), 10), span(4, 9));
        assert_eq!(read_range(Some("bytes=-3"), 10), span(7, 9));
        assert_eq!(read_range(Some("bytes=-30"), 10), span(0, 9));
        assert_eq!(read_range(Some("bytes=8-99"), 10), span(8, 9));
        for whole in [None, Some("lines=1-2"), Some("bytes=1-2,4-5"), Some("bytes=x"), Some("bytes=5-2")] {
            assert_eq!(read_range(whole, 10), Ok(None), "{whole:?}");
        }
        assert_eq!(read_range(Some("bytes=10-"), 10), Err(BeyondEnd));
        assert_eq!(read_range(Some("bytes=-0"), 10), Err(BeyondEnd));
    }
}
