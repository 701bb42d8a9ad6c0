//! Looks again and again for what operators must be told; every working node does so.

use std::time::Duration;

use chrono::TimeDelta;

use super::model::{
    APPLICATION_WAIT_MAX, CALENDAR_DAYS_BEFORE, CLOSE_TIME_MAX, FAILURES_TOLD, Finding, JOB_TIME_MAX, KEY_DAYS_BEFORE,
    Outage, UNSEEN_MAX, clock_off, is_end_told,
};
use super::{notices, store};
use crate::app::App;
use crate::base::{BusinessDay, Clock, When};
use crate::notice::Notice;
use crate::partner::withholding::ChannelName;
use crate::partner::{payout, wechat};
use crate::{business_day, database, notice};

/// Watches until it is dropped. This is not a job: what keeps jobs from running, such as a wrong clock, must not keep this
/// from running.
pub async fn watch_repeatedly(app: &App, every: Duration) {
    loop {
        if let Err(error) = watch(app).await {
            tracing::error!("it could not be seen what goes wrong: {error:#}");
        }
        tokio::time::sleep(every).await;
    }
}

/// Tells operators of partners that are down or back, of this machine's clock, of what ends soon, and of work that is stuck.
/// It may be repeated, on any number of nodes.
///
/// # Errors
/// Failures of the database.
pub async fn watch(app: &App) -> anyhow::Result<()> {
    let today = business_day::store::find_today(&mut *app.pool.acquire().await?).await?;
    // A house that was not opened yet has no business day on which to tell anything.
    let Some(today) = today else { return Ok(()) };
    let at = app.clock.now();
    // The business day stands still while a close does not go on. What is told once a day is then told once each day of the calendar.
    let when = When { business_day: today.max(BusinessDay::at(at)), at };
    watch_partners(app, when).await?;
    let mut told: Vec<Notice> = check_calendar(app, when).into_iter().collect();
    told.extend(check_clock(app, when).await?);
    told.extend(check_keys(app, when).await?);
    told.extend(check_stuck_work(app, when).await?);
    told.extend(check_missing_partners(app, today, when).await?);
    notice::raise(&mut *app.pool.acquire().await?, &told).await?;
    Ok(())
}

/// Notes outages of partners, and tells when one has lasted long and when it is over.
async fn watch_partners(app: &App, when: When) -> anyhow::Result<()> {
    let mut partners = app.partners.names("");
    partners.extend(app.partners.wechat().map(|_| wechat::NAME));
    let mut transaction = database::begin(&app.pool).await?;
    store::mark_seen(&mut transaction, &partners, when.at).await?;
    let mut told = Vec::new();
    for history in store::load_call_histories(&mut transaction, &partners).await? {
        let outage = |since| Outage { partner: &history.partner, since };
        match history.finding() {
            Finding::Nothing => {}
            Finding::Begun { since } => store::note_outage(&mut transaction, outage(since), when.at).await?,
            Finding::Down { since } => {
                if store::mark_told(&mut transaction, outage(since), when.at).await? {
                    told.push(notices::partner_down(outage(since), when));
                }
            }
            Finding::Over { since, at } => {
                // Whether it was told is read as the outage ends, since another node may have told of it since.
                if store::end_outage(&mut transaction, outage(since)).await? == Some(true) {
                    told.push(notices::partner_back(outage(since), at, when));
                }
            }
        }
    }
    store::delete_unseen_outages(&mut transaction, when.at - UNSEEN_MAX).await?;
    notice::raise(&mut transaction, &told).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether the table of working days ends soon.
fn check_calendar(app: &App, when: When) -> Option<Notice> {
    let last = app.calendar.known_until(when.business_day);
    let is_told = last.is_none_or(|last| is_end_told(when.business_day, last, CALENDAR_DAYS_BEFORE));
    is_told.then(|| notices::calendar_ends(last, when))
}

/// Compares this machine's clock with the database's. A clock that tests or trials move is not compared.
async fn check_clock(app: &App, when: When) -> anyhow::Result<Option<Notice>> {
    if !matches!(app.clock, Clock::System) {
        return Ok(None);
    }
    let mut connection = app.pool.acquire().await?;
    let (database, machine) = (database::time(&mut connection).await?, app.clock.now());
    let off = clock_off(machine, database);
    if off.is_some() {
        tracing::error!(%machine, %database, "this machine's clock and the database's differ; set the one that is wrong");
    }
    Ok(off.map(|machine_is| notices::clocks_differ(machine_is, when)))
}

/// Work that does not go on by itself; it is told again each day until somebody has acted.
async fn check_stuck_work(app: &App, when: When) -> anyhow::Result<Vec<Notice>> {
    let mut connection = app.pool.acquire().await?;
    let failing = store::list_failing_jobs(&mut connection, FAILURES_TOLD).await?;
    let dead = store::list_dead_jobs(&mut connection).await?;
    let waiting_kinds = store::list_waiting_kinds(&mut connection, when.at - JOB_TIME_MAX).await?;
    let partners = store::list_partners_with_dead_letters(&mut connection).await?;
    let stuck = store::find_stuck_close(&mut connection, when.at - CLOSE_TIME_MAX).await?;
    let waiting = store::find_waiting_application(&mut connection, when.at - APPLICATION_WAIT_MAX).await?;
    let failing = failing.iter().map(|job| notices::job_failing(job, when));
    let dead = dead.iter().map(|job| notices::job_dead(job, when));
    let jobs_wait = waiting_kinds.iter().map(|kind| notices::job_waits(kind, when));
    let partners = partners.iter().map(|partner| notices::messages_dead(partner, when));
    let stuck = stuck.map(|day| notices::close_stuck(day, when));
    let waiting = waiting.map(|oldest| notices::application_waits(oldest, when));
    Ok(failing.chain(dead).chain(jobs_wait).chain(partners).chain(stuck).chain(waiting).collect())
}

/// Partners that are not configured though orders or payouts wait for them. Such a partner is never called, so no failed call
/// shows it. Nothing is queried where all are configured.
async fn check_missing_partners(app: &App, today: BusinessDay, when: When) -> anyhow::Result<Vec<Notice>> {
    let is_missing = |partner: &str| app.partners.client(partner).is_err();
    let mut connection = app.pool.acquire().await?;
    let mut missing = Vec::new();
    for channel in ChannelName::ALL.into_iter().filter(|channel| is_missing(channel.partner())) {
        if store::has_orders_due(&mut connection, channel.name(), when.at).await? {
            missing.push(channel.partner());
        }
    }
    if is_missing(payout::NAME) && store::has_payouts_due(&mut connection, today).await? {
        missing.push(payout::NAME);
    }
    Ok(missing.into_iter().map(|partner| notices::partner_missing(partner, when)).collect())
}

/// Partners' keys that end soon.
async fn check_keys(app: &App, when: When) -> anyhow::Result<Vec<Notice>> {
    // The business day may lag behind the clock; a key does not.
    let today = BusinessDay::at(when.at);
    let until = when.at + TimeDelta::days(KEY_DAYS_BEFORE + 1);
    let ending = store::list_ending_keys(&mut *app.pool.acquire().await?, when.at, until).await?;
    let is_told = |key: &&store::EndingKey| is_end_told(today, BusinessDay::at(key.expires_at), KEY_DAYS_BEFORE);
    Ok(ending.iter().filter(is_told).map(|key| notices::key_ends(key, when)).collect())
}
