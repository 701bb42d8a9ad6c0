//! The scratch world of a benchmark: an app on a database of its own, and books to measure on.

use std::sync::atomic::{AtomicU32, Ordering};

use super::store::{self, BookOf};
use crate::app::App;
use crate::base::id::{FunderId, LineId, MerchantId, ProductId};
use crate::base::{BusinessDay, Fen};
use crate::error::Fault;
use crate::funder::actions::BankMovement;
use crate::product::ProductVersion;
use crate::{business_day, funder, product};

/// The shipped product that benchmarks sell, under a code and funder of their own.
const PRODUCT: &str = include_str!("../../products/standard.toml");

/// A day whose working days are known, whenever the benchmark runs.
const FIRST_DAY: &str = "2026-03-02";

pub struct World {
    pub app: App,
    day: BusinessDay,
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
        Ok(World { app, day, books: AtomicU32::new(0) })
    }

    /// The business day on which the house was opened.
    pub fn day(&self) -> BusinessDay {
        self.day
    }

    /// A new funder with `reserve` deposited, `line_count` lines without a practical limit, and merchants.
    pub async fn open_book(&self, reserve: Fen, line_count: i32, merchant_count: i32) -> anyhow::Result<Book> {
        let number = self.books.fetch_add(1, Ordering::Relaxed);
        let app = &self.app;
        let code = format!("bench-{number}");
        let funder_id = funder::open_funder(app, &code, &code).await.map_err(failed)?;
        let movement = BankMovement { funder_id, amount: reserve, reference: "bench".into() };
        let _step = funder::deposit(app, movement).await.map_err(failed)?;
        let terms = product_text(&code);
        let published = product::actions::publish(app, &terms).await.map_err(failed)?;
        self.lift_bound_of_a_day(published.product_id, published.version).await?;
        let book = BookOf { funder_id, product_id: published.product_id, day: self.day, at: app.clock.now() };
        let mut connection = app.pool.acquire().await?;
        let lines = store::insert_lines(&mut connection, book, line_count, Fen::MAX.get()).await?;
        let merchants = store::insert_merchants(&mut connection, merchant_count, number.cast_signed(), book.at).await?;
        // Else the checkpoint of what was just filled in falls into the first runs.
        store::settle_down(&mut connection).await?;
        Ok(Book { funder_id, product_id: published.product_id, lines, merchants })
    }

    /// A benchmark buys on each line more often in a second than any product allows in a day.
    async fn lift_bound_of_a_day(&self, product_id: ProductId, version: i32) -> anyhow::Result<()> {
        let catalogue = &self.app.catalogue;
        let published = catalogue.get(&mut *self.app.pool.acquire().await?, product_id, version).await?;
        let mut lifted = ProductVersion::clone(&published);
        lifted.terms.purchase.per_day_max = u32::MAX;
        catalogue.put(lifted);
        Ok(())
    }
}

/// The shipped text, with the code and funder of a book.
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

fn failed<R: crate::error::Refusal>(fault: Fault<R>) -> anyhow::Error {
    match fault {
        Fault::Refused(refusal) => refusal.into(),
        Fault::Failed(failure) => failure,
    }
}
