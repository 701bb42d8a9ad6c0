//! `fenqi bench authorise`: purchases per second through the real authoriser, compared with pgbench's simple-update.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rust_decimal::Decimal;

use super::baseline::SimpleUpdate;
use super::figure::{Figure, Latencies, median, rate_per_second, seconds};
use super::store;
use super::world::{Book, PLENTY, World};
use crate::base::Fen;
use crate::error::Fault;
use crate::funder;
use crate::purchase::{Authoriser, Decision, PurchaseRefusal, PurchaseRequest};

/// Lines that the purchases are spread over.
const LINES: i32 = 20_000;
const MERCHANTS: i32 = 200;
/// Callers that keep two cores busy, and callers of a quieter hour.
const MANY_CALLERS: usize = 128;
const FEWER_CALLERS: usize = 32;
/// The price of each purchase: a common amount in the real input.
const AMOUNT: Fen = Fen::new(23_450);
/// Added to limits and reserves: what is left at the end, too little for one more purchase.
const HALF: Fen = Fen::new(AMOUNT.get() / 2);
const PERIODS: u16 = 12;

/// What to measure and how often.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub runs: usize,
    pub time: Duration,
}

/// How a run chooses the line of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    Even,
    /// Every second purchase is on the first line.
    HalfOnOneLine,
}

/// How the purchases of a run went.
pub(super) struct Run {
    /// Refusals count as decisions, too.
    decisions_per_second: Decimal,
    pub(super) p50_ms: Decimal,
    pub(super) p99_ms: Decimal,
    counts: Counts,
}

/// The outcomes of purchases.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    authorised: u64,
    /// How many of these were on the first line of the book.
    authorised_on_first: u64,
    refused_by_line: u64,
    refused_by_reserve: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.authorised += other.authorised;
        self.authorised_on_first += other.authorised_on_first;
        self.refused_by_line += other.refused_by_line;
        self.refused_by_reserve += other.refused_by_reserve;
    }
}

/// Measures all cases; `say` gets each figure as soon as it is known.
pub async fn measure(
    world: &World,
    baseline: &SimpleUpdate,
    options: Options,
    say: &mut dyn FnMut(&Figure),
) -> anyhow::Result<Figure> {
    let mut at_many = compare(world, baseline, options, MANY_CALLERS).await?;
    say(&at_many);
    let at_fewer = compare(world, baseline, options, FEWER_CALLERS).await?;
    say(&at_fewer);
    let even = at_many.value;
    let hot = hot_line(world, options).await?.against(even);
    say(&hot);
    let short = short_line(world, options).await?.against(even);
    say(&short);
    let scarce = scarce_reserve(world, options).await?.against(even);
    say(&scarce);
    world.ensure_books_foot().await?;
    at_many.more = vec![at_fewer, hot, short, scarce];
    Ok(at_many)
}

/// Measures ours and the baseline in turn, so that slow changes of the machine affect both.
async fn compare(world: &World, baseline: &SimpleUpdate, options: Options, callers: usize) -> anyhow::Result<Figure> {
    let shop = Shop::open(world, PLENTY).await?;
    shop.run(callers, Duration::from_secs(1), Spread::Even).await?;
    let (mut ours, mut theirs, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs {
        theirs.push(baseline.measure(callers, options.time).await?);
        let run = shop.run(callers, options.time, Spread::Even).await?;
        run.ensure_nothing_refused()?;
        ours.push(run.decisions_per_second);
        p50.push(run.p50_ms);
        p99.push(run.p99_ms);
    }
    let mut figure =
        Figure::new(format!("authorise, {callers} callers"), median(ours), "purchases/s").against(median(theirs));
    figure.p50_ms = Some(median(p50));
    figure.p99_ms = Some(median(p99));
    figure.seconds = Some(seconds(options.time));
    figure.runs = Some(options.runs);
    Ok(figure)
}

impl Run {
    /// The figure of a case that is measured only once, with many callers.
    fn figure(&self, case: &str, unit: &'static str) -> Figure {
        let name = format!("authorise, {case}, {MANY_CALLERS} callers");
        let mut figure = Figure::new(name, self.decisions_per_second, unit);
        figure.p50_ms = Some(self.p50_ms);
        figure.p99_ms = Some(self.p99_ms);
        figure.runs = Some(1);
        figure
    }

    fn ensure_nothing_refused(&self) -> anyhow::Result<()> {
        let Counts { refused_by_line, refused_by_reserve, .. } = self.counts;
        anyhow::ensure!(refused_by_line + refused_by_reserve == 0, "a book of plenty refused: {:?}", self.counts);
        Ok(())
    }
}

/// Callers that buy while something else happens.
pub(super) struct Buying<'a> {
    shop: Shop<'a>,
    callers: usize,
}

impl<'a> Buying<'a> {
    /// Opens a book and warms it up by buying for a second.
    pub(super) async fn open(world: &'a World, callers: usize) -> anyhow::Result<Buying<'a>> {
        let shop = Shop::open(world, PLENTY).await?;
        shop.run(callers, Duration::from_secs(1), Spread::Even).await?;
        Ok(Buying { shop, callers })
    }

    /// Buys while `meanwhile` runs, and returns how those purchases went.
    pub(super) async fn during(&self, meanwhile: impl Future<Output = ()>) -> anyhow::Result<Run> {
        let over = Arc::new(AtomicBool::new(false));
        let until = Until::Told(Arc::clone(&over));
        let (run, ()) = tokio::join!(self.shop.run_until(self.callers, until, Spread::Even), async {
            meanwhile.await;
            over.store(true, Ordering::Relaxed);
        });
        run
    }
}

/// When callers stop asking.
#[derive(Clone)]
enum Until {
    Time(Instant),
    Told(Arc<AtomicBool>),
}

impl Until {
    fn is_over(&self) -> bool {
        match self {
            Until::Time(end) => Instant::now() >= *end,
            Until::Told(over) => over.load(Ordering::Relaxed),
        }
    }
}

async fn hot_line(world: &World, options: Options) -> anyhow::Result<Figure> {
    let shop = Shop::open(world, PLENTY).await?;
    let run = shop.run(MANY_CALLERS, options.time, Spread::HalfOnOneLine).await?;
    run.ensure_nothing_refused()?;
    Ok(run.figure("half on one line", "purchases/s"))
}

fn cost_of(purchases: u64) -> Fen {
    Fen::new(AMOUNT.get() * purchases.cast_signed())
}

/// The limit of the first line allows a thousand purchases, and half of all callers ask for many more at once: exactly as much must be
/// lent as the limit allows.
async fn short_line(world: &World, options: Options) -> anyhow::Result<Figure> {
    let enough_for = 1_000;
    let limit = cost_of(enough_for) + HALF;
    let shop = Shop::open_with_first_line(world, limit).await?;
    let run = shop.run(MANY_CALLERS, options.time, Spread::HalfOnOneLine).await?;
    let line = store::load_line(&mut *world.app.pool.acquire().await?, shop.book.lines[0]).await?;
    let counts = run.counts;
    anyhow::ensure!(
        counts.authorised_on_first == enough_for
            && counts.refused_by_line > 0
            && line.limit == limit
            && line.used == cost_of(enough_for)
            && line.lent == line.used,
        "a line for {enough_for} purchases was asked for {} more and carried {}: {} of {} yuan are used, {} lent",
        counts.refused_by_line,
        counts.authorised_on_first,
        line.used,
        line.limit,
        line.lent
    );
    Ok(run.figure("half on a line that runs out", "decisions/s"))
}

/// The reserve holds the money of 1,500 purchases, and many more are asked for: exactly as much must be lent as it holds.
async fn scarce_reserve(world: &World, options: Options) -> anyhow::Result<Figure> {
    let enough_for = 1_500;
    let shop = Shop::open(world, cost_of(enough_for) + HALF).await?;
    let run = shop.run(MANY_CALLERS, options.time.min(Duration::from_secs(2)), Spread::Even).await?;
    let reserve = shop.reserve_available().await?;
    anyhow::ensure!(
        run.counts.authorised == enough_for && reserve == HALF && run.counts.refused_by_reserve > 0,
        "a reserve for {enough_for} purchases carried {} and is left with {reserve}",
        run.counts.authorised
    );
    Ok(run.figure("reserve nearly empty", "decisions/s"))
}

/// One funder with its product and lines, and the merchants of the world.
struct Shop<'a> {
    world: &'a World,
    authoriser: Authoriser,
    book: Arc<Book>,
    keys: Arc<AtomicU64>,
}

impl<'a> Shop<'a> {
    async fn open(world: &'a World, reserve: Fen) -> anyhow::Result<Shop<'a>> {
        let book = world.open_book(reserve, LINES, MERCHANTS).await?;
        let authoriser = Authoriser::start(world.app.clone());
        Ok(Shop { world, authoriser, book: Arc::new(book), keys: Arc::default() })
    }

    /// With a reserve that is never used up, and a first line of `limit`.
    async fn open_with_first_line(world: &'a World, limit: Fen) -> anyhow::Result<Shop<'a>> {
        let mut book = world.open_book(PLENTY, LINES, MERCHANTS).await?;
        book.lines[0] = world.open_line(&book, limit).await?;
        let authoriser = Authoriser::start(world.app.clone());
        Ok(Shop { world, authoriser, book: Arc::new(book), keys: Arc::default() })
    }

    async fn reserve_available(&self) -> anyhow::Result<Fen> {
        let mut connection = self.world.app.pool.acquire().await?;
        let reserve = funder::store::find_reserve(&mut connection, self.book.funder_id).await?;
        Ok(reserve.map(|reserve| reserve.available).unwrap_or_default())
    }

    /// Runs `callers` tasks, each asking for one purchase after the other until the time is over.
    async fn run(&self, callers: usize, time: Duration, spread: Spread) -> anyhow::Result<Run> {
        self.run_until(callers, Until::Time(Instant::now() + time), spread).await
    }

    async fn run_until(&self, callers: usize, until: Until, spread: Spread) -> anyhow::Result<Run> {
        let started = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (authoriser, book, keys) =
                    (self.authoriser.clone(), Arc::clone(&self.book), Arc::clone(&self.keys));
                let until = until.clone();
                tokio::spawn(async move { buy_until(until, &authoriser, &book, &keys, spread).await })
            })
            .collect();
        let mut latencies = Latencies::default();
        let mut counts = Counts::default();
        for task in tasks {
            let bought = task.await??;
            latencies.append(bought.latencies);
            counts += bought.counts;
        }
        let took = started.elapsed();
        Ok(Run {
            decisions_per_second: rate_per_second(latencies.count() as u64, took),
            p50_ms: latencies.percentile_ms(500),
            p99_ms: latencies.percentile_ms(990),
            counts,
        })
    }
}

#[derive(Default)]
struct Bought {
    latencies: Latencies,
    counts: Counts,
}

async fn buy_until(
    until: Until,
    authoriser: &Authoriser,
    book: &Book,
    keys: &AtomicU64,
    spread: Spread,
) -> anyhow::Result<Bought> {
    let mut bought = Bought::default();
    while !until.is_over() {
        let number = keys.fetch_add(1, Ordering::Relaxed);
        // The stride is prime to the number of lines, so all lines are visited, in another order than that of their ids.
        let line = match spread {
            Spread::HalfOnOneLine if number.is_multiple_of(2) => 0,
            Spread::Even | Spread::HalfOnOneLine => number.wrapping_mul(7_919) as usize % book.lines.len(),
        };
        let request = PurchaseRequest {
            line_id: book.lines[line],
            idempotency_key: format!("bench-{number}"),
            merchant_id: book.merchants[number as usize % book.merchants.len()],
            order_code: None,
            product_id: book.product_id,
            product_version: 1,
            periods: PERIODS,
            amount: AMOUNT,
        };
        let asked = Instant::now();
        let receipt = authoriser.authorise(request).await.map_err(Fault::into_error)?;
        bought.latencies.push(asked.elapsed());
        let counts = &mut bought.counts;
        match receipt.decision {
            Decision::Authorised { .. } => {
                counts.authorised += 1;
                counts.authorised_on_first += u64::from(line == 0);
            }
            Decision::Refused(PurchaseRefusal::LineExceeded) if line == 0 => counts.refused_by_line += 1,
            Decision::Refused(PurchaseRefusal::ReserveExhausted) => counts.refused_by_reserve += 1,
            Decision::Refused(refusal) => anyhow::bail!("a purchase of the benchmark was refused: {refusal}"),
        }
    }
    Ok(bought)
}
