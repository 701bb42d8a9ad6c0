//! The job that fetches the channels' daily files and compares them with our orders.

use chrono::{NaiveTime, TimeDelta};

use super::actions::{self, Compared};
use super::notices;
use super::store::{self, FileKey};
use crate::app::App;
use crate::base::{BusinessDay, When};
use crate::business_day;
use crate::notice;
use crate::partner::withholding::{self as channels, ChannelName};

/// How many days back a missing file is still requested.
const DAYS_BACK: u32 = 30;
/// Measured from the beginning of the file's day: a file comes in the night after its day, and is overdue if missing at noon.
const OVERDUE_AFTER: TimeDelta = TimeDelta::hours(36);

/// What one run of the job did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub files: u64,
    pub lines: u64,
    /// Pending orders that a file has ended.
    pub resolved: u64,
    pub breaks: u64,
    /// Files that could not be fetched or did not add up; the next run requests them again.
    pub failed: u64,
}

/// Fetches and compares every channel's file of each ended day that has not been compared yet, and notifies operators of overdue files.
///
/// # Errors
/// The first failure of our own, after all other files have been compared.
pub async fn fetch_channel_files(app: &App) -> anyhow::Result<Reconciled> {
    let today = business_day::store::today(&mut *app.pool.acquire().await?).await?;
    let mut done = Reconciled::default();
    let mut first_failure = None;
    for channel in ChannelName::ALL {
        let from = today.minus_days(DAYS_BACK);
        let days = store::days_without_file(&mut *app.pool.acquire().await?, channel, from, today).await?;
        let mut missing = Vec::new();
        for day in days {
            match fetch_and_compare(app, channel, day).await {
                Ok(Some(compared)) => done.add(&compared),
                Ok(None) => {
                    done.failed += 1;
                    missing.push(day);
                }
                Err(failure) => {
                    tracing::error!(channel = channel.name(), %day, "a daily file could not be compared: {failure:#}");
                    missing.push(day);
                    first_failure.get_or_insert(failure);
                }
            }
        }
        missing.retain(|day| app.clock.now() - day.instant(NaiveTime::MIN) >= OVERDUE_AFTER);
        if let Some(first) = missing.first() {
            let first = FileKey { channel, day: *first };
            let when = When { business_day: today, at: app.clock.now() };
            let told = notices::files_missing(first, missing.len(), when);
            notice::raise(&mut *app.pool.acquire().await?, &[told]).await?;
        }
    }
    match first_failure {
        Some(failure) => Err(failure),
        None => Ok(done),
    }
}

/// `None` if the file could not be fetched: that is the channel's failure, not ours, and the file is requested again later.
async fn fetch_and_compare(app: &App, channel: ChannelName, day: BusinessDay) -> anyhow::Result<Option<Compared>> {
    match channels::daily_file(&app.partners, channel, day).await {
        Ok((bytes, file)) => {
            let compared = actions::take_in(app, FileKey { channel, day }, &bytes, &file).await?;
            Ok(Some(compared))
        }
        Err(error) => {
            tracing::warn!(channel = channel.name(), %day, "a daily file was not taken in: {error:#}");
            Ok(None)
        }
    }
}

impl Reconciled {
    fn add(&mut self, compared: &Compared) {
        self.files += 1;
        self.lines += compared.lines;
        self.resolved += compared.resolved.succeeded + compared.resolved.failed;
        self.breaks += compared.breaks;
    }
}
