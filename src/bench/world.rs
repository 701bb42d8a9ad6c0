//! The scratch world of a benchmark: an app on a database of its own, and books to measure on.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

use super::book_store::{self, PRINCIPAL, Part};
use super::store::{self, BookOf, IdleLines};
use crate::app::App;
use crate::base::id::{FunderId, LineId, MerchantId, ProductId};
use crate::base::{BusinessDay, Fen, When};
use crate::error::Fault;
use crate::funder::actions::BankMovement;
use crate::funder::reserve::Occasion;
use crate::product::{ProductVersion, Terms};
use crate::verify::verify;
use crate::{business_day, database, funder, product};

/// The shipped product that benchmarks sell; each book has its own code and funder.
const PRODUCT: &str = include_str!("../../products/standard.toml");

/// A fixed day, around which the calendar is known whenever the benchmark runs.
const FIRST_DAY: &str = "2026-03-02";

/// More than a book can use, so that no line or reserve refuses.
pub(super) const PLENTY: Fen = Fen::new(1_000_000_000_000);

/// The days from the statement to the due day of that product.
pub(super) const DAYS_TO_DUE: u32 = 20;

/// How many days a line can be used, unless a benchmark asks for something else.
const LINE_DAYS: u32 = 720;

/// Identities that cannot hold in a benchmark: most benchmarks have no partners, so that payouts stay unpaid and files are not made;
/// and loans are made up without a quote, so that their plans are not those of their product.
const SKIPPED_IDENTITIES: [&str; 3] = [
    "no order to collect or pay is pending for more than three days",
    "the files of a day are made within three days",
    "a loan's first plan is the one that its product names",
];

/// The app of a benchmark, with the books that it has opened.
pub struct World {
    pub app: App,
    day: BusinessDay,
    /// The terms of the product that every book sells.
    terms: Terms,
    books: AtomicU32,
}

/// One funder with a product, lines and merchants.
#[derive(Debug)]
pub struct Book {
    pub funder_id: FunderId,
    pub product_id: ProductId,
    pub lines: Vec<LineId>,
    pub merchants: Vec<MerchantId>,
}

impl World {
    /// Opens the house on its first business day.
    pub async fn open(app: App) -> anyhow::Result<World> {
        let day = FIRST_DAY.parse()?;
        business_day::store::open(&mut *app.pool.acquire().await?, day).await?;
        let (terms, _) = product::check(PRODUCT)?;
        Ok(World { app, day, terms, books: AtomicU32::new(0) })
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The business day on which the house was opened.
    pub fn day(&self) -> BusinessDay {
        self.day
    }

    /// Opens a book: a new funder with `reserve` deposited, `line_count` lines without a practical limit, and merchants.
    pub async fn open_book(&self, reserve: Fen, line_count: i32, merchant_count: i32) -> anyhow::Result<Book> {
        let number = self.books.fetch_add(1, Ordering::Relaxed);
        let app = &self.app;
        let code = format!("bench-{number}");
        let funder_id = funder::open_funder(app, &code, &code).await.map_err(Fault::into_error)?;
        let movement = BankMovement { funder_id, amount: reserve, reference: "bench".into() };
        let _step = funder::deposit(app, movement).await.map_err(Fault::into_error)?;
        let terms = product_text(&code);
        let published = product::actions::publish(app, &terms).await.map_err(Fault::into_error)?;
        self.lift_daily_bound(published.product_id, published.version).await?;
        let book = BookOf { funder_id, product_id: published.product_id, day: self.day, at: app.clock.now() };
        let mut connection = app.pool.acquire().await?;
        let idle = IdleLines { count: line_count, limit: Fen::MAX, expires_on: self.day.plus_days(LINE_DAYS) };
        let lines = store::insert_lines(&mut connection, book, idle).await?;
        let merchants = store::insert_merchants(&mut connection, merchant_count, number.cast_signed(), book.at).await?;
        // Otherwise the checkpoint for the rows just written would happen during the first runs.
        store::settle_down(&mut connection).await?;
        Ok(Book { funder_id, product_id: published.product_id, lines, merchants })
    }

    /// Opens one more line of a book, with the limit `limit`.
    pub(super) async fn open_line(&self, book: &Book, limit: Fen) -> anyhow::Result<LineId> {
        let idle = IdleLines { count: 1, limit, expires_on: self.day.plus_days(LINE_DAYS) };
        let book = self.on(book, self.day);
        let opened = store::insert_lines(&mut *self.app.pool.acquire().await?, book, idle).await?;
        opened.first().copied().context("a line was opened")
    }

    /// Lends loans on `day`, the open business day, from a new funder's reserve, with everything that purchases write except messages.
    /// Returns the book of these loans.
    pub(super) async fn lend(&self, day: BusinessDay, parts: &[Part]) -> anyhow::Result<BookOf> {
        let opened = self.open_book(Fen::MAX, 1, 1).await?;
        let book = self.on(&opened, day);
        let loans: i64 = parts.iter().map(Part::loans).sum();
        let lent = Fen::new(loans * PRINCIPAL.get());
        let mut connection = self.app.pool.acquire().await?;
        book_store::insert_loans(&mut connection, book, opened.merchants[0], parts).await?;
        let mut transaction = database::begin(&self.app.pool).await?;
        let when = When { business_day: day, at: book.at };
        let mut reserve = funder::lock_reserve(&mut transaction, book.funder_id, when).await?;
        let occasion = Occasion { source: "bench".into(), when };
        let entry = reserve.book_use(lent, occasion);
        funder::save_reserve(&mut transaction, &reserve, &[entry]).await?;
        transaction.commit().await?;
        store::settle_down(&mut connection).await?;
        Ok(book)
    }

    fn on(&self, book: &Book, day: BusinessDay) -> BookOf {
        BookOf { funder_id: book.funder_id, product_id: book.product_id, day, at: self.app.clock.now() }
    }

    /// Fails if the books are inconsistent after a measurement: checks all identities but the skipped ones.
    pub(super) async fn ensure_books_foot(&self) -> anyhow::Result<()> {
        let mut findings = verify(&self.app.pool).await?;
        findings.retain(|finding| !SKIPPED_IDENTITIES.contains(&finding.identity));
        anyhow::ensure!(findings.is_empty(), "the books do not foot after the benchmark: {findings:?}");
        Ok(())
    }

    /// Lifts the product's limit on purchases per day: a benchmark buys more often on a line in a second than any product allows in a
    /// day.
    async fn lift_daily_bound(&self, product_id: ProductId, version: i32) -> anyhow::Result<()> {
        let catalogue = &self.app.catalogue;
        let published = catalogue.get(&mut *self.app.pool.acquire().await?, product_id, version).await?;
        let mut lifted = ProductVersion::clone(&published);
        lifted.terms.purchase.per_day_max = u32::MAX;
        catalogue.put(lifted);
        Ok(())
    }
}

/// The text of the shipped product, with the code and funder of a book.
fn product_text(code: &str) -> String {
    PRODUCT
        .lines()
        .map(|line| match line.split_once('=').map(|(key, _)| key.trim()) {
            Some("code") => format!("code = \"{code}\""),
            Some("funder") => format!("funder = \"{code}\""),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::SKIPPED_IDENTITIES;
    use crate::verify::store::IDENTITIES;

    #[test]
    fn what_is_skipped_is_an_identity() {
        for sentence in SKIPPED_IDENTITIES {
            assert!(IDENTITIES.iter().any(|identity| identity.sentence == sentence), "{sentence}");
        }
    }
}
