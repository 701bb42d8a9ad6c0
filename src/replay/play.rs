//! Plays a script from its beginning to the first line that fails, or to a clean end.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::books;
use super::books_store as store;
use super::driver::Driver;
use super::expect::Difference;
use super::house::{House, HouseSettings};
use super::script::{Command, Script, Step};
use super::stage::Stage;
use crate::base::{BusinessDay, WorkingCalendar, counted};
use crate::credit::RiskHook;
use crate::notice::{NOT_AT_NIGHT, is_night};
use crate::sandbox::world::lock;
use crate::vault::Vault;
use crate::verify;

/// The seed of the partners' keys; scenarios have no random faults.
const SEED: u64 = 20_260_105;
/// The least time between two runs of a repeated job. In such steps from midnight on, no time of day at which products withhold is missed.
const APART: TimeDelta = TimeDelta::hours(3);
/// How much later each event is than the previous one, so that their order ("the second repayment") is always the same.
const EVENT_LASTS: TimeDelta = TimeDelta::seconds(1);
/// How many findings are shown at most if identities do not hold.
const FINDINGS_SHOWN: usize = 3;

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// Expectations that were met.
    pub met: usize,
    pub failure: Option<Failure>,
}

/// The first line that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub line: usize,
    pub text: String,
    pub expected: String,
    pub found: String,
}

/// Plays `script` in an empty, migrated database. `folder` is the directory with the scenario's own files.
///
/// # Errors
/// The house could not be opened. Whatever fails on a line is returned as that line's failure.
pub async fn play(pool: PgPool, script: &Script, folder: PathBuf) -> anyhow::Result<Played> {
    let settings = HouseSettings {
        site: crate::page::Site::at("http://127.0.0.1"),
        pool,
        vault: Arc::new(Vault::with_master([7; 32])),
        // The shipped calendar, so that a scenario gives the same result everywhere.
        calendar: WorkingCalendar::shipped(),
        risk: Arc::new(RiskHook::Partner),
        today: script.start,
        seed: SEED,
    };
    let mut driver = Driver::new(House::open(settings).await?);
    driver.apart = APART;
    let mut player = Player { stage: Stage::new(driver, folder), refused: None, leaves: Leaves::default(), met: 0 };
    let failure = player.play(script).await;
    player.stage.driver.house.shut().await;
    Ok(Played { met: player.met, failure })
}

/// What may be pending at the end.
#[derive(Default)]
struct Leaves {
    withholdings: i64,
    payouts: i64,
}

struct Player {
    stage: Stage,
    /// The refusal of the last event, until it is expected.
    refused: Option<(Step, &'static str)>,
    leaves: Leaves,
    met: usize,
}

impl Player {
    async fn play(&mut self, script: &Script) -> Option<Failure> {
        for step in &script.steps {
            let failed = match self.take(step).await {
                Ok(difference) => difference,
                Err(failure) => Some(Failure::at(step, "no failure", format!("{failure:#}"))),
            };
            if failed.is_some() {
                return failed;
            }
        }
        if let Some(failure) = self.unexpected_refusal() {
            return Some(failure);
        }
        let last = script.steps.last()?;
        let end = match self.look_at_end().await {
            Ok(None) => return None,
            Ok(Some(difference)) => difference,
            Err(failure) => Difference { expected: "a clean end".to_owned(), found: format!("{failure:#}") },
        };
        Some(Failure {
            line: last.line,
            text: "the scenario's end".to_owned(),
            expected: end.expected,
            found: end.found,
        })
    }

    async fn take(&mut self, step: &Step) -> anyhow::Result<Option<Failure>> {
        if let Some(Command::ExpectRefused(code)) = &step.command {
            let found = self.refused.take().map_or("done", |(_, code)| code);
            self.met += 1;
            return Ok((found != code).then(|| Failure::at(step, &format!("refused {code}"), found.to_owned())));
        }
        if let Some(failure) = self.unexpected_refusal() {
            return Ok(Some(failure));
        }
        if let Some(until) = step.until {
            self.live_until(until).await?;
        }
        let difference = match &step.command {
            None => None,
            Some(Command::Event(event)) => {
                let done = self.stage.happen(event, step.line).await?;
                let clock = &self.stage.app().clock;
                clock.set(clock.now() + EVENT_LASTS);
                self.refused = done.err().map(|code| (step.clone(), code));
                return Ok(None);
            }
            Some(Command::Leaves { withholdings, payouts }) => {
                self.leaves = Leaves { withholdings: *withholdings, payouts: *payouts };
                return Ok(None);
            }
            Some(Command::Expect(expectation)) => {
                let books = books::look(&self.stage, &expectation.subject).await?;
                expectation.compare(books.as_ref())
            }
            Some(Command::ExpectVerify) => self.verify().await?,
            // Handled above.
            Some(Command::ExpectRefused(_)) => None,
        };
        self.met += 1;
        Ok(difference.map(|difference| Failure::at(step, &difference.expected, difference.found)))
    }

    /// Moves time day by day. Each day's jobs start again at midnight, so that they do not depend on the time of day of the previous line.
    async fn live_until(&self, until: DateTime<Utc>) -> anyhow::Result<()> {
        let driver = &self.stage.driver;
        loop {
            let midnight = BusinessDay::at(driver.app().clock.now()).next().instant(NaiveTime::MIN);
            driver.live_until(midnight.min(until)).await?;
            if midnight >= until {
                return Ok(());
            }
        }
    }

    /// The failure for an event that was refused and not expected to be.
    fn unexpected_refusal(&mut self) -> Option<Failure> {
        let (step, code) = self.refused.take()?;
        Some(Failure::at(&step, "done", format!("refused {code}")))
    }

    async fn verify(&self) -> anyhow::Result<Option<Difference>> {
        let findings = verify::verify(&self.stage.app().pool).await?;
        let told: Vec<String> = findings
            .iter()
            .take(FINDINGS_SHOWN)
            .map(|finding| {
                format!("{} ({}): {} instead of {}", finding.identity, finding.subject, finding.found, finding.expected)
            })
            .collect();
        Ok((!told.is_empty())
            .then(|| Difference { expected: "every identity holds".to_owned(), found: told.join("; ") }))
    }

    /// The checks at the end: every identity holds, and nothing is pending except what the scenario has announced.
    async fn look_at_end(&self) -> anyhow::Result<Option<Difference>> {
        self.stage.driver.settle().await?;
        if let Some(difference) = self.verify().await? {
            return Ok(Some(difference));
        }
        let (app, world) = (self.stage.app(), &self.stage.driver.house.world);
        let until_morning: &[&str] = if is_night(app.clock.now()) { &NOT_AT_NIGHT } else { &[] };
        let undone = store::count_undone(&mut *app.pool.acquire().await?, until_morning).await?;
        let left = [
            (("withholding", "pending"), self.leaves.withholdings, undone.withholdings),
            (("payout", "pending"), self.leaves.payouts, undone.payouts),
            (("message", "not delivered"), 0, undone.messages),
            (("message", "in the wrong order"), 0, i64::try_from(lock(&world.funder_core).out_of_order().len())?),
            (("job", "not done"), 0, undone.jobs),
            (("answer", "that nobody asked for"), 0, i64::try_from(world.scripts_left())?),
            (("callback", "on the way"), 0, i64::try_from(world.callbacks_pending())?),
        ];
        let told = |(noun, state): (&str, &str), number: i64| format!("{} {state}", counted(number, noun));
        let wrong = left.into_iter().filter(|(_, expected, found)| expected != found);
        let (expected, found): (Vec<_>, Vec<_>) =
            wrong.map(|(what, expected, found)| (told(what, expected), told(what, found))).unzip();
        Ok((!found.is_empty()).then(|| Difference { expected: expected.join(", "), found: found.join(", ") }))
    }
}

impl Failure {
    fn at(step: &Step, expected: &str, found: String) -> Failure {
        Failure { line: step.line, text: step.text.clone(), expected: expected.to_owned(), found }
    }
}
