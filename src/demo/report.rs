//! The report at the end of a story: what a funder would want to know about these months.

use std::fmt;
use std::time::Duration;

use super::store::{self, Count};
use crate::app::App;
use crate::base::{BusinessDay, Fen};
use crate::overdue::bucket::InBucket;
use crate::overdue::{self, by_bucket};

/// Everything the report says; amounts are of the whole story.
#[derive(Debug)]
pub struct Report {
    pub today: BusinessDay,
    pub applications: Vec<Count>,
    pub purchases: Vec<Count>,
    pub refunds: Vec<Count>,
    pub money: store::Money,
    pub reserves: Vec<store::ReserveStanding>,
    pub overdue: Vec<Count>,
    pub withholdings: Vec<Count>,
    pub unknown_withholdings: store::Unknowns,
    pub payouts: Vec<Count>,
    pub unknown_payouts: store::Unknowns,
    pub breaks: Vec<Count>,
}

/// The time and memory that the run took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Of the story alone.
    pub story: Duration,
    /// From the start of the command until the books were verified.
    pub whole: Duration,
    /// The most memory that this process held.
    pub resident_peak_kib: u64,
}

impl Report {
    pub async fn gather(app: &App) -> anyhow::Result<Report> {
        let mut connection = app.pool.acquire().await?;
        let today = crate::business_day::store::today(&mut connection).await?;
        Ok(Report {
            today,
            applications: store::count_applications(&mut connection).await?,
            purchases: store::count_purchases(&mut connection).await?,
            refunds: store::count_refunds(&mut connection).await?,
            money: store::sum_money(&mut connection).await?,
            reserves: store::load_reserves(&mut connection).await?,
            overdue: by_bucket(&overdue::store::list_unpaid(&mut connection, None).await?, today)
                .into_iter()
                .map(counted)
                .collect(),
            withholdings: store::count_withholdings(&mut connection).await?,
            unknown_withholdings: store::count_unknown_withholdings(&mut connection).await?,
            payouts: store::count_payouts(&mut connection).await?,
            unknown_payouts: store::count_unknown_payouts(&mut connection).await?,
            breaks: store::count_breaks(&mut connection).await?,
        })
    }
}

fn counted(band: InBucket) -> Count {
    Count { name: band.bucket.name().to_owned(), count: band.bills, amount: band.principal }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The books on the morning of {} (amounts in yuan)", self.today)?;
        table(f, "Applications", &self.applications)?;
        table(f, "Purchases", &self.purchases)?;
        table(f, "After the sale", &self.refunds)?;
        writeln!(f, "\nReserve")?;
        for reserve in &self.reserves {
            writeln!(
                f,
                "  {:<20} deposited {}, used {} ({} %), held {}, available {}",
                reserve.funder,
                reserve.deposited,
                reserve.used(),
                reserve.used_per_cent(),
                reserve.held,
                reserve.available
            )?;
        }
        writeln!(f, "\nMoney")?;
        for (name, amount) in self.money.rows() {
            writeln!(f, "  {name:<38} {amount:>20}")?;
        }
        table(f, "Withholding orders", &self.withholdings)?;
        unknowns(f, self.unknown_withholdings)?;
        table(f, "Payouts", &self.payouts)?;
        unknowns(f, self.unknown_payouts)?;
        table(f, "Unpaid principal by days past due", &self.overdue)?;
        table(f, "Breaks found against the channels' files", &self.breaks)
    }
}

fn unknowns(f: &mut fmt::Formatter<'_>, unknowns: store::Unknowns) -> fmt::Result {
    writeln!(f, "  {:<38} {:>10}", "unknown results resolved", unknowns.resolved)?;
    writeln!(f, "  {:<38} {:>10}", "unknown results still asked for", unknowns.open)
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, counts: &[Count]) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    if counts.is_empty() {
        writeln!(f, "  none")?;
    }
    for count in counts {
        let amount = if count.amount == Fen::ZERO { String::new() } else { count.amount.to_string() };
        writeln!(f, "  {:<38} {:>10} {:>20}", count.name, count.count, amount)?;
    }
    Ok(())
}

impl Cost {
    /// The peak since the process began (`VmHWM`); zero if the system does not tell it.
    pub fn of(story: Duration, whole: Duration) -> Cost {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|number| number.trim().parse().ok());
        Cost { story, whole, resident_peak_kib: kib.unwrap_or_default() }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |took: Duration| format!("{}.{:01} s", took.as_secs(), took.subsec_millis() / 100);
        write!(
            f,
            "The story took {}, the run until its books were verified {}; at most {} MiB were resident in this process.",
            seconds(self.story),
            seconds(self.whole),
            self.resident_peak_kib / 1_024
        )
    }
}
