//! Background work of credit: deciding applications that a crash or a failure of the database left undecided, and those whose
//! funder has not answered in time.

use chrono::TimeDelta;

use super::actions;
use super::application_store;
use super::model::{ApplicationState, Applied};
use super::word_actions;
use crate::app::App;

/// Applications decided in one transaction.
const BATCH: i64 = 200;
/// How old a submitted application must be before this job decides it: until then whoever took it is still deciding it.
const AGE_MIN: TimeDelta = TimeDelta::seconds(30);

/// What became of applications that were waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub approved: u64,
    pub refused: u64,
    pub referred: u64,
    pub with_funder: u64,
}

impl Summary {
    pub fn count(&mut self, applied: &Applied) {
        match applied.state {
            ApplicationState::Approved { .. } => self.approved += 1,
            ApplicationState::Refused { .. } => self.refused += 1,
            ApplicationState::Referred { .. } => self.referred += 1,
            ApplicationState::WithFunder => self.with_funder += 1,
            ApplicationState::Submitted => {}
        }
    }
}

/// Puts every waiting application to the risk hook.
pub async fn decide_waiting(app: &App) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    loop {
        let before = app.clock.now() - AGE_MIN;
        let mut connection = app.pool.acquire().await?;
        let waiting = application_store::find_waiting(&mut connection, before, BATCH).await?;
        drop(connection);
        if waiting.is_empty() {
            return Ok(summary);
        }
        // A decision leaves nothing submitted, so each round has fewer.
        for applied in actions::decide(app, &waiting).await?.values() {
            summary.count(applied);
        }
    }
}

/// Applies the product's default to every application whose funder has not answered in time.
pub async fn apply_silence(app: &App) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    loop {
        // A default leaves nothing with the funder, so each round has fewer.
        let applied = word_actions::apply_silence(app, BATCH).await?;
        if applied.is_empty() {
            return Ok(summary);
        }
        applied.iter().for_each(|applied| summary.count(applied));
    }
}
