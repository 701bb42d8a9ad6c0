//! Test helper: a funder's core system with a loan book of its own. It keeps it as `docs/integrate/funder.md` says, once from the events
//! alone and once from the daily files alone; both must say what the house's books say.

mod books;
mod events;
mod files;

use std::collections::BTreeMap;

use sqlx::PgPool;

use events::Told;

/// The parts of an amount, in the order in which a core keeps them; only what is paid has penalty.
const PARTS: [&str; 4] = ["principal", "interest", "fee", "penalty"];

/// What a book says of each line, loan and installment, in words by which two books are compared.
pub type Standing = BTreeMap<String, String>;

/// A core's loan book.
#[derive(Debug, Default)]
pub struct Book {
    /// The limit and the status of each line whose limit is known.
    lines: BTreeMap<String, (i64, String)>,
    loans: BTreeMap<String, Loan>,
    /// What purchases may still use of the reserve.
    available: i64,
}

#[derive(Debug, Default)]
pub struct Loan {
    line_id: String,
    principal: i64,
    /// Principal that fell by refunds.
    fell: i64,
    is_voided: bool,
    version: i64,
    charged_off_on: String,
    rows: Vec<Row>,
}

/// An installment of the newest schedule, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    due_on: String,
    asked: [i64; 3],
    /// What refunds took off it after it was billed.
    fell: [i64; 3],
    paid: [i64; 4],
    /// Interest and fee that refunds gave back of what was paid.
    back: [i64; 2],
}

impl Row {
    fn owed(&self) -> [i64; 3] {
        std::array::from_fn(|part| self.asked[part] - self.paid[part] - self.fell[part])
    }

    fn standing(&self) -> String {
        stands(&self.due_on, &self.owed(), &self.paid, &self.back)
    }
}

/// An installment in words.
fn stands(due_on: &str, owed: &[i64], paid: &[i64], back: &[i64]) -> String {
    format!("due {due_on}: owed {owed:?}, paid {paid:?}, given back {back:?}")
}

impl Loan {
    fn outstanding(&self) -> i64 {
        if self.is_voided {
            return 0;
        }
        self.principal - self.fell - self.rows.iter().map(|row| row.paid[0]).sum::<i64>()
    }

    /// Takes a new version of the schedule; what was paid on each installment stays.
    fn reschedule(&mut self, version: i64, rows: Vec<(String, [i64; 3])>) {
        assert_eq!(version, self.version + 1, "a version is missing: {self:?}");
        self.version = version;
        self.rows.resize(rows.len(), Row::default());
        for (row, (due_on, asked)) in self.rows.iter_mut().zip(rows) {
            (row.due_on, row.asked) = (due_on, asked);
        }
    }

    /// The installment of a period, counted from 1.
    fn row(&mut self, period: i64) -> &mut Row {
        &mut self.rows[usize::try_from(period).unwrap() - 1]
    }
}

impl Book {
    fn standing(&self) -> Standing {
        let mut standing = Standing::from([("the reserve".to_owned(), format!("has {}", self.available))]);
        let mut used: BTreeMap<&str, i64> = BTreeMap::new();
        for (loan_id, loan) in &self.loans {
            *used.entry(&loan.line_id).or_default() += loan.outstanding();
            let Loan { version, charged_off_on, .. } = loan;
            let outstanding = loan.outstanding();
            standing.insert(loan_id.clone(), owes(outstanding, *version, charged_off_on));
            for (period, row) in (1_i64..).zip(loan.rows.iter().filter(|_| !loan.is_voided)) {
                standing.insert(format!("{loan_id} {period}"), row.standing());
            }
        }
        let used = used.into_iter().filter(|(_, fen)| *fen != 0);
        standing.extend(used.map(|(line_id, fen)| (format!("{line_id} used"), fen.to_string())));
        let lines = self.lines.iter();
        standing.extend(lines.map(|(line_id, (limit, status))| (line_id.clone(), format!("{status}, limit {limit}"))));
        standing
    }
}

/// A loan in words.
fn owes(outstanding: i64, version: i64, charged_off_on: &str) -> String {
    format!("owes {outstanding} by version {version}, charged off {charged_off_on:?}")
}

/// Asserts that two books say the same.
fn assert_same(what: &str, found: &Standing, expected: &Standing) {
    let mut differences = Vec::new();
    for (subject, stands) in expected {
        let known = found.get(subject);
        if known != Some(stands) {
            differences.push(format!("{subject}: {known:?} instead of {stands:?}"));
        }
    }
    let more = found.iter().filter(|(subject, _)| !expected.contains_key(*subject));
    differences.extend(more.map(|(subject, stands)| format!("{subject}: {stands:?} instead of nothing")));
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}

/// Asserts that the core of every funder knows from its events what the house's books say, and from the daily files what the events
/// of those days say.
pub async fn assert_cores_know_their_books(pool: &PgPool) {
    let funders: Vec<(uuid::Uuid, String)> =
        sqlx::query_as("select funder_id, code from funder").fetch_all(pool).await.unwrap();
    for (funder_id, code) in funders {
        let house = books::read(pool, funder_id).await;
        let told = Told::read(pool, &code).await;
        let core = told.until(house.today);
        assert_same(&format!("{code} by its events"), &core.book.standing(), &house.standing);
        assert_same(&format!("{code} by its events, in detail"), &core.details(house.today), &house.details);
        let Some((last, book)) = files::read(pool, funder_id).await else { continue };
        let mut by_files = book.standing();
        by_files.retain(|subject, _| !house.untold.contains(subject));
        let by_events = told.until(last).book.standing();
        assert_same(&format!("{code} by its files until {last}"), &by_files, &by_events);
    }
}
