//! The baseline of authorisation: PostgreSQL's own `pgbench`, simple-update, on the same cluster in the same run.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use rust_decimal::Decimal;
use tokio::process::Command;

/// The number of branches in pgbench's tables: enough that 128 clients do not wait for each other's tellers and accounts.
const SCALE: &str = "50";

/// `pgbench` with its tables in a scratch database.
#[derive(Debug)]
pub struct SimpleUpdate {
    program: PathBuf,
    url: String,
}

impl SimpleUpdate {
    /// Fills pgbench's tables in the database of `url`.
    pub async fn prepare(program: PathBuf, url: String) -> anyhow::Result<SimpleUpdate> {
        let simple_update = SimpleUpdate { program, url };
        simple_update.run(&["-i", "-q", "-s", SCALE]).await?;
        Ok(simple_update)
    }

    /// Transactions a second of `pgbench -N` (three rows a transaction) with prepared statements, for `clients` clients over `time`.
    pub async fn measure(&self, clients: usize, time: Duration) -> anyhow::Result<Decimal> {
        let clients = clients.to_string();
        let seconds = time.as_secs().max(1).to_string();
        let output = self.run(&["-n", "-N", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds]).await?;
        let tps = output.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|rest| rest.split_whitespace().next()).context("pgbench printed no tps")?;
        Ok(tps.parse::<Decimal>().context("pgbench printed a strange tps")?.round())
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.program).args(arguments).arg(&self.url).output().await.with_context(|| {
            format!("cannot run {}; it comes with the PostgreSQL server's package", self.program.display())
        })?;
        if !output.status.success() {
            bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
