//! The story, day by day: people apply, buy and change their minds; the house collects, pays and closes. Start with [`live`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{Datelike, NaiveTime};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};

use super::applicants::{self, BATCH, Buyer};
use super::clients::ClientRecord;
use super::purchases::PurchaseRecord;
use super::shopping::{self, After, Market};
use super::shops::{Shop, open_shops};
use crate::app::App;
use crate::base::id::PurchaseId;
use crate::base::{BusinessDay, Fen};
use crate::close::close_day;
use crate::error::Fault;
use crate::funder::actions::{BankMovement, ReserveTerms};
use crate::jobs::worker::run_ready;
use crate::product::ProductVersion;
use crate::purchase::actions::{RefundRequest, refund, void};
use crate::purchase::{Authoriser, Decision, PurchaseRequest};
use crate::sandbox::World;
use crate::sandbox::fault::FaultShares;
use crate::sandbox::world::lock;
use crate::{day_file, funder, outbox, product, reconcile, repayment, settlement};

/// The funder whose products are shipped.
const FUNDER: (&str, &str) = ("harbour-bank", "Harbour Bank");
/// How many purchases are under way at once, as if from as many tills.
const TILLS: usize = 64;
/// Refunds that are under way at once.
const COUNTERS: usize = 8;
/// The product whose line people apply for: the one that every grade can use.
const LINE_PRODUCT: &str = "harbour-standard";
/// In the first 40 per cent of the story's days people apply.
const APPLYING_PER_CENT: usize = 40;
/// For how many months the input tells what each client paid.
const MONTHS: usize = 6;
/// A deposit covers the purchases of so many days.
const DEPOSIT_DAYS: usize = 10;

/// The input of a story.
pub struct Script {
    pub clients: Vec<ClientRecord>,
    pub purchases: Vec<PurchaseRecord>,
    pub first_day: BusinessDay,
    pub days: usize,
    pub seed: u64,
}

/// Where the time of a run went.
#[derive(Clone, Debug, Default)]
pub struct Times(BTreeMap<&'static str, Duration>);

impl Times {
    fn add(&mut self, what: &'static str, since: Instant) {
        *self.0.entry(what).or_default() += since.elapsed();
    }

    pub fn rows(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.0.iter().map(|(what, took)| (*what, *took))
    }
}

/// The house, and the state of the story in it.
struct House<'a> {
    app: &'a App,
    world: &'a World,
    script: &'a Script,
    authoriser: Authoriser,
    shops: Vec<Shop>,
    products: Vec<Arc<ProductVersion>>,
    line_product: Arc<ProductVersion>,
    funder_id: crate::base::id::FunderId,
    buyers: Vec<Buyer>,
    /// Purchases to refund, by the day on which their buyers come back.
    refunds: BTreeMap<BusinessDay, Vec<(PurchaseId, Fen)>>,
    /// Purchases on days on which nobody had a line yet.
    without_buyer: usize,
    times: Times,
}

/// Lives through the whole script and returns where the time went.
pub async fn live(app: &App, world: &World, script: &Script) -> anyhow::Result<Times> {
    app.clock.set(script.first_day.instant(at(6, 0)));
    let mut house = open(app, world, script).await?;
    let bar = ProgressBar::new(script.days as u64);
    bar.set_style(
        ProgressStyle::with_template("{prefix} [{bar:40}] day {pos}/{len} {msg} {elapsed}")?.progress_chars("=> "),
    );
    bar.set_prefix("Living");
    for index in 0..script.days {
        let day = script.first_day.plus_days(u32::try_from(index)?);
        bar.set_message(day.to_string());
        house.live_day(index, day).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    if house.without_buyer > 0 {
        let (left_out, all) = (house.without_buyer, script.purchases.len());
        eprintln!("{left_out} of {all} purchases were not made: nobody had a credit line on their day");
    }
    house.next_morning(script.first_day.plus_days(u32::try_from(script.days)?)).await?;
    Ok(house.times)
}

/// Puts on a buyer's card what the client really paid in that month of the input, so that withholdings can take as much.
fn fill_card(world: &World, buyer: &Buyer, month: usize) {
    lock(&world.withholding).set_balance(&buyer.agreement_number, buyer.paid[month]);
}

/// Which month of the input (from 0) a day of the story corresponds to. Months change with the calendar, when cards are filled; the first
/// is the rest of the month in which the story begins.
fn month_of(first_day: BusinessDay, day: BusinessDay) -> usize {
    let months = |day: BusinessDay| day.date().year() * 12 + day.date().month0() as i32;
    usize::try_from(months(day) - months(first_day)).unwrap_or_default().min(MONTHS - 1)
}

/// How many of `count` people have applied before day `index`, if they apply in equal shares on the first `days` days. At least one applies
/// on the first day, because nobody can buy before.
fn applied_before(index: usize, days: usize, count: usize) -> usize {
    match index {
        0 => 0,
        _ => (count * index.min(days) / days).max(1).min(count),
    }
}

fn at(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day")
}

/// Opens funder, products and shops on the first day.
async fn open<'a>(app: &'a App, world: &'a World, script: &'a Script) -> anyhow::Result<House<'a>> {
    let funder_id = funder::open_funder(app, FUNDER.0, FUNDER.1).await.map_err(Fault::into_error)?;
    let terms = ReserveTerms { advance_limit: Fen::ZERO, low_water: Fen::new(10_000_000) };
    let _step = funder::set_reserve_terms(app, funder_id, terms).await.map_err(Fault::into_error)?;
    for text in product::file::SHIPPED {
        product::actions::publish(app, text).await.map_err(Fault::into_error)?;
    }
    let shops = open_shops(app).await?;
    let mut connection = app.pool.acquire().await?;
    let products = app.catalogue.load_on_sale(&mut connection).await?;
    let line_product = app.catalogue.current(&mut connection, LINE_PRODUCT).await?;
    Ok(House {
        app,
        world,
        script,
        authoriser: Authoriser::start(app.clone()),
        shops,
        products,
        line_product: line_product.ok_or_else(|| anyhow::anyhow!("{LINE_PRODUCT} is not on sale"))?,
        funder_id,
        buyers: Vec::new(),
        refunds: BTreeMap::new(),
        without_buyer: 0,
        times: Times::default(),
    })
}

impl House<'_> {
    async fn live_day(&mut self, index: usize, day: BusinessDay) -> anyhow::Result<()> {
        self.next_morning(day).await?;
        self.fund(index, day).await?;
        self.refill_cards(index, day);
        self.collect(day, at(9, 0)).await?;
        self.take_applications(index, day).await?;
        self.give_back(day).await?;
        self.sell(index, day).await?;
        self.collect(day, at(15, 0)).await?;
        self.collect(day, at(20, 30)).await?;
        self.tell(day).await?;
        let started = Instant::now();
        self.app.clock.set(day.next().instant(at(0, 5)));
        close_day(self.app, day).await?;
        self.times.add("close", started);
        Ok(())
    }

    /// The morning's work: yesterday's channel files, the funders' files, and payouts whose day has come.
    async fn next_morning(&mut self, day: BusinessDay) -> anyhow::Result<()> {
        let started = Instant::now();
        self.app.clock.set(day.instant(at(7, 0)));
        let (fetched, made) =
            tokio::join!(reconcile::fetch_channel_files(self.app), day_file::jobs::make_files(self.app));
        fetched?;
        made?;
        self.times.add("channels' and funders' files", started);
        let started = Instant::now();
        self.app.clock.set(day.instant(at(8, 30)));
        settlement::submit_payouts(self.app).await?;
        self.app.clock.set(day.instant(at(8, 45)));
        settlement::query_payouts(self.app).await?;
        self.times.add("payouts", started);
        Ok(())
    }

    /// The funder deposits what the coming days are going to use.
    async fn fund(&mut self, index: usize, day: BusinessDay) -> anyhow::Result<()> {
        if !index.is_multiple_of(DEPOSIT_DAYS) {
            return Ok(());
        }
        let until = (index + DEPOSIT_DAYS).min(self.script.days);
        let coming = &self.script.purchases[self.purchases_before(index)..self.purchases_before(until)];
        let amount: Fen = coming.iter().map(|purchase| purchase.amount).sum();
        if amount.is_positive() {
            let movement = BankMovement { funder_id: self.funder_id, amount, reference: format!("deposit {day}") };
            let _step = funder::deposit(self.app, movement).await.map_err(Fault::into_error)?;
        }
        Ok(())
    }

    /// At the start of each month a card holds what its client really paid that month.
    fn refill_cards(&self, index: usize, day: BusinessDay) {
        if index == 0 || day.day_of_month() == 1 {
            let month = month_of(self.script.first_day, day);
            for buyer in &self.buyers {
                fill_card(self.world, buyer, month);
            }
        }
    }

    /// Sends orders to the channels, takes their callbacks, and queries what is still unknown.
    async fn collect(&mut self, day: BusinessDay, time: NaiveTime) -> anyhow::Result<()> {
        let started = Instant::now();
        self.app.clock.set(day.instant(time));
        repayment::jobs::retry_withholdings(self.app).await?;
        repayment::jobs::submit_withholdings(self.app).await?;
        self.world.deliver_callbacks().await;
        self.app.clock.set(day.instant(time + chrono::TimeDelta::minutes(45)));
        repayment::jobs::query_unknowns(self.app).await?;
        self.times.add("withholding", started);
        Ok(())
    }

    /// How many purchases are made before day `index`, if they are divided equally over all days.
    fn purchases_before(&self, index: usize) -> usize {
        self.script.purchases.len() * index / self.script.days.max(1)
    }

    async fn take_applications(&mut self, index: usize, day: BusinessDay) -> anyhow::Result<()> {
        let started = Instant::now();
        self.app.clock.set(day.instant(at(10, 0)));
        let days = (self.script.days * APPLYING_PER_CENT / 100).max(1);
        let count = self.script.clients.len();
        let (from, to) = (applied_before(index, days, count), applied_before(index + 1, days, count));
        let month = month_of(self.script.first_day, day);
        let batches = self.script.clients[from..to].chunks(BATCH);
        for pair in batches.collect::<Vec<_>>().chunks(2) {
            let applying = pair.iter().map(|batch| applicants::apply(self.app, &self.line_product, batch, day));
            for approved in futures_util::future::join_all(applying).await {
                let approved = approved?;
                for buyer in &approved {
                    fill_card(self.world, buyer, month);
                }
                self.buyers.extend(approved);
            }
        }
        self.times.add("applications", started);
        Ok(())
    }

    async fn give_back(&mut self, day: BusinessDay) -> anyhow::Result<()> {
        let started = Instant::now();
        self.app.clock.set(day.instant(at(11, 0)));
        let refunds = self.refunds.remove(&day).unwrap_or_default().into_iter().map(|(purchase_id, amount)| {
            refund(self.app, RefundRequest { purchase_id, amount, idempotency_key: "demo".to_owned() })
        });
        let _refunded: Vec<_> =
            stream::iter(refunds).buffered(COUNTERS).try_collect().await.map_err(Fault::into_error)?;
        self.times.add("refunds", started);
        Ok(())
    }

    async fn sell(&mut self, index: usize, day: BusinessDay) -> anyhow::Result<()> {
        let started = Instant::now();
        self.app.clock.set(day.instant(at(12, 0)));
        let (from, to) = (self.purchases_before(index), self.purchases_before(index + 1));
        if self.buyers.is_empty() {
            self.without_buyer += to - from;
        }
        let market = Market { buyers: &self.buyers, shops: &self.shops, products: &self.products };
        let requests: Vec<_> = (from..to)
            .filter_map(|number| {
                let record = &self.script.purchases[number];
                let number = number as u64;
                let wish = shopping::purchase(self.script.seed, number, record, market);
                wish.map(|wish| (number, wish))
            })
            .collect();
        let sales = requests.into_iter().map(|(number, wish)| self.sell_one(number, wish));
        let sold: Vec<_> = stream::iter(sales).buffered(TILLS).try_collect().await?;
        for (number, sold) in sold {
            let After::Refund { days, per_cent } = shopping::after(self.script.seed, number) else { continue };
            let Some((purchase_id, amount)) = sold else { continue };
            let part = amount.share(per_cent, 100);
            if part.is_positive() {
                self.refunds.entry(day.plus_days(days)).or_default().push((purchase_id, part));
            }
        }
        self.times.add("purchases", started);
        Ok(())
    }

    /// Makes one purchase, and voids it at once if its buyer changes their mind. Returns what was bought, unless it was refused.
    async fn sell_one(&self, number: u64, wish: PurchaseRequest) -> anyhow::Result<(u64, Option<(PurchaseId, Fen)>)> {
        let amount = wish.amount;
        let receipt = self.authoriser.authorise(wish).await.map_err(Fault::into_error)?;
        if !matches!(receipt.decision, Decision::Authorised { .. }) {
            return Ok((number, None));
        }
        if let After::Void = shopping::after(self.script.seed, number) {
            let _step = void(self.app, receipt.purchase_id).await.map_err(Fault::into_error)?;
        }
        Ok((number, Some((receipt.purchase_id, amount))))
    }

    /// Does what the day put off, such as to warn the funder of a low reserve, and tells the funder's core what happened today.
    async fn tell(&mut self, day: BusinessDay) -> anyhow::Result<()> {
        let started = Instant::now();
        self.app.clock.set(day.instant(at(21, 45)));
        run_ready(self.app, "demo").await?;
        outbox::jobs::deliver_outbox(self.app).await?;
        self.times.add("messages", started);
        Ok(())
    }
}

/// Sets what goes wrong between the house and its partners, in thousandths of calls or orders.
pub fn set_faults(world: &World) {
    let channel = FaultShares {
        timeout_after: 2,
        timeout_before: 2,
        duplicate_callback: 5,
        late_answer: 20,
        ..FaultShares::default()
    };
    world.set_faults("withholding_a", channel);
    world.set_faults("withholding_b", channel);
    world.set_faults("payout", FaultShares { timeout_after: 5, timeout_before: 5, ..FaultShares::default() });
    world.set_faults("risk", FaultShares { timeout_before: 5, ..FaultShares::default() });
    world.set_faults("funder_core", FaultShares { timeout_after: 10, timeout_before: 10, ..FaultShares::default() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_applies_once_and_the_first_on_the_first_day_however_few_they_are() {
        let of = |days: usize, count: usize| -> Vec<usize> {
            (0..days + 2)
                .map(|index| applied_before(index + 1, days, count) - applied_before(index, days, count))
                .collect()
        };
        assert_eq!(of(4, 1), [1, 0, 0, 0, 0, 0]);
        assert_eq!(of(4, 2), [1, 0, 0, 1, 0, 0]);
        assert_eq!(of(4, 10), [2, 3, 2, 3, 0, 0]);
        assert_eq!(of(1, 300), [300, 0, 0]);
        assert_eq!(of(4, 0), [0; 6]);
    }

    #[test]
    fn each_first_of_a_month_begins_the_next_of_the_input_whatever_day_the_story_began_on() {
        let of = |day: &str| month_of("2026-01-05".parse().unwrap(), day.parse().unwrap());
        assert_eq!([of("2026-01-05"), of("2026-01-31"), of("2026-02-01"), of("2026-02-28")], [0, 0, 1, 1]);
        assert_eq!([of("2026-03-01"), of("2026-06-30"), of("2026-07-01"), of("2027-01-01")], [2, 5, 5, 5]);
    }
}
