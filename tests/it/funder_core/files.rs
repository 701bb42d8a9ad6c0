//! The core that loads daily files alone, in CSV of one day and in JSON lines of the next.

use std::collections::BTreeMap;

use fenqi::base::BusinessDay;
use fenqi::day_file::FileName;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Book, Loan, PARTS};
use crate::feature::day_file::rows;

/// A row of a file by its columns.
type Fields = BTreeMap<String, String>;

/// The book that the files of all days make, and the last of these days; `None` if none were made.
pub async fn read(pool: &PgPool, funder_id: Uuid) -> Option<(BusinessDay, Book)> {
    let days = "select business_day, made_at is not null from funder_day where funder_id = $1 order by business_day";
    let days: Vec<(BusinessDay, bool)> = sqlx::query_as(days).bind(funder_id).fetch_all(pool).await.unwrap();
    let (mut book, mut last, mut used) = (Book::default(), None, BTreeMap::new());
    for (nth, (day, _)) in days.into_iter().take_while(|(_, is_made)| *is_made).enumerate() {
        let form = ["csv", "jsonl"][nth % 2];
        let of = Day { pool, funder_id, day, form };
        book.take_loans(&of).await;
        for row in of.rows("repayment_parts").await {
            let paid = &mut book.loan(&row).row(row.fen("period")).paid;
            paid.iter_mut().zip(PARTS).for_each(|(paid, part)| *paid += row.fen(&format!("{part}_fen")));
        }
        book.take_refunds(&of).await;
        for row in of.rows("lines").await {
            let line_id = row.text("line_id").to_owned();
            used.insert(line_id.clone(), row.fen("used_fen"));
            book.lines.insert(line_id, (row.fen("limit_fen"), row.text("status").to_owned()));
        }
        for row in of.rows("reserve").await {
            book.available += row.fen("available_change_fen");
        }
        // A row says how the loan stood that evening, as far as it was changed that day.
        for row in of.rows("loans").await {
            let loan = book.loan(&row);
            let said = (row.fen("outstanding_fen"), row.fen("schedule_version"));
            assert_eq!((loan.outstanding(), loan.version), said, "{day} {row:?}");
        }
        last = Some(day);
    }
    for (line_id, used_fen) in used {
        let of_line = book.loans.values().filter(|loan| loan.line_id == line_id);
        assert_eq!(of_line.map(Loan::outstanding).sum::<i64>(), used_fen, "what {line_id} uses");
    }
    last.map(|last| (last, book))
}

/// A day's files in one form.
struct Day<'a> {
    pool: &'a PgPool,
    funder_id: Uuid,
    day: BusinessDay,
    form: &'static str,
}

impl Day<'_> {
    async fn rows(&self, table: &str) -> Vec<Fields> {
        let name = format!("{table}.{}.gz", self.form);
        let pieces = "select content from funder_day_chunk where funder_id = $1 and business_day = $2 and name = $3
                      order by chunk_no";
        let pieces = sqlx::query_scalar(pieces).bind(self.funder_id).bind(self.day).bind(&name).fetch_all(self.pool);
        let pieces: Vec<Vec<u8>> = pieces.await.unwrap();
        let name: FileName = name.parse().unwrap_or_else(|()| panic!("{name} is no file"));
        rows(name, &pieces.concat()).into_iter().map(|row| row.into_iter().collect()).collect()
    }
}

trait Columns {
    fn text(&self, column: &str) -> &str;
    fn fen(&self, column: &str) -> i64;
}

impl Columns for Fields {
    fn text(&self, column: &str) -> &str {
        &self[column]
    }

    fn fen(&self, column: &str) -> i64 {
        self[column].parse().unwrap()
    }
}

impl Book {
    fn loan(&mut self, row: &Fields) -> &mut Loan {
        self.loans.get_mut(row.text("loan_id")).unwrap_or_else(|| panic!("{row:?} came before its loan"))
    }

    /// Takes what was made, voided and charged off, and the new schedules.
    async fn take_loans(&mut self, of: &Day<'_>) {
        for row in of.rows("loans").await {
            let loan = self.loans.entry(row.text("loan_id").to_owned()).or_default();
            row.text("line_id").clone_into(&mut loan.line_id);
            loan.principal += row.fen("made_fen");
            loan.is_voided |= row.fen("voided_fen") > 0;
            row.text("charged_off_on").clone_into(&mut loan.charged_off_on);
        }
        let plans = of.rows("plans").await;
        let of_version = |one: &Fields, next: &Fields| {
            ["loan_id", "schedule_version"].iter().all(|column| one[*column] == next[*column])
        };
        for version in plans.chunk_by(of_version) {
            let asked = |row: &Fields| [0, 1, 2].map(|part: usize| row.fen(&format!("{}_fen", PARTS[part])));
            let planned = version.iter().map(|row| (row.text("due_on").to_owned(), asked(row)));
            self.loan(&version[0]).reschedule(version[0].fen("schedule_version"), planned.collect());
        }
    }

    async fn take_refunds(&mut self, of: &Day<'_>) {
        for row in of.rows("refunds").await {
            self.loan(&row).fell += row.fen("principal_fell_fen");
        }
        for part in of.rows("refund_parts").await {
            let row = self.loan(&part).row(part.fen("period"));
            for (place, name) in PARTS[..3].iter().enumerate() {
                row.fell[place] += part.fen(&format!("{name}_fell_fen"));
            }
            row.back[0] += part.fen("interest_back_fen");
            row.back[1] += part.fen("fee_back_fen");
        }
    }
}
