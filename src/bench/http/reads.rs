//! Reads: what is read, in which way, and how many reads per second are answered.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::caller::{Caller, written};
use super::{Bench, connect_callers, signed};
use crate::base::id::LoanId;
use crate::bench::figure::{Latencies, rate_per_second};
use crate::partner::key::Algorithm;

/// Rows on a page.
const PAGE_ROWS: usize = 50;
/// How many times to check whether all events can be read, and the pause between two checks.
const CHECKS_MAX: usize = 200;
const CHECK_PAUSE: Duration = Duration::from_millis(25);

/// How a read is requested.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Signed(Algorithm),
    /// Behind a gate that does everything except checking signatures: it counts calls, stores nonces and logs calls.
    Unsigned,
    /// Handlers without a gate.
    Bare,
}

/// What is read.
#[derive(Clone, Copy)]
pub(super) enum Read {
    Loan,
    /// A page of the list, as a core reads it that keeps its own copy.
    Loans,
    /// A page after a cursor, as a core reads it that goes on from its last event.
    Events,
}

impl Read {
    fn name(self) -> String {
        match self {
            Read::Loan => "loan read".to_owned(),
            Read::Loans => format!("page of {PAGE_ROWS} loans"),
            Read::Events => format!("page of {PAGE_ROWS} events"),
        }
    }
}

/// One comparison of two ways.
#[derive(Clone, Copy)]
pub(super) enum Case {
    Signed(Read, Algorithm),
    Gate,
}

impl Case {
    pub(super) const ALL: [Case; 7] = [
        Case::Signed(Read::Loan, Algorithm::Sm2Sm3),
        Case::Signed(Read::Loan, Algorithm::RsaSha256),
        Case::Gate,
        Case::Signed(Read::Loans, Algorithm::Sm2Sm3),
        Case::Signed(Read::Loans, Algorithm::RsaSha256),
        Case::Signed(Read::Events, Algorithm::Sm2Sm3),
        Case::Signed(Read::Events, Algorithm::RsaSha256),
    ];

    pub(super) fn name(self) -> String {
        match self {
            Case::Signed(read, Algorithm::Sm2Sm3) => format!("http, {} signed in SM2", read.name()),
            Case::Signed(read, Algorithm::RsaSha256) => format!("http, {} signed in RSA", read.name()),
            Case::Gate => "http, loan read unsigned, against its handler alone".to_owned(),
        }
    }

    pub(super) fn measured(self) -> Way {
        match self {
            Case::Signed(_, algorithm) => Way::Signed(algorithm),
            Case::Gate => Way::Unsigned,
        }
    }

    pub(super) fn baseline(self) -> Way {
        match self {
            Case::Signed(..) => Way::Unsigned,
            Case::Gate => Way::Bare,
        }
    }
}

/// The path of each read.
pub(super) struct Paths {
    loan: String,
    loans: String,
    events: String,
}

/// The fields of a page that matter here.
#[derive(Deserialize)]
struct Page {
    items: Vec<IgnoredAny>,
    next_cursor: Option<String>,
}

impl Paths {
    /// Finds full pages, using handlers without a gate: events are read after the first one, as soon as all that were written can be
    /// read.
    pub(super) async fn find(caller: &mut Caller, loan_id: LoanId) -> anyhow::Result<Paths> {
        let loan = format!("/api/v1/funder/loans/{loan_id}");
        let loans = format!("/api/v1/funder/loans?limit={PAGE_ROWS}");
        let listed = page(caller, &loans).await?.items.len();
        anyhow::ensure!(listed == PAGE_ROWS, "the page of loans has {listed} rows");
        for _ in 0..CHECKS_MAX {
            if let Some(cursor) = page(caller, "/api/v1/events?limit=1").await?.next_cursor {
                let events = format!("/api/v1/events?limit={PAGE_ROWS}&cursor={cursor}");
                if page(caller, &events).await?.items.len() == PAGE_ROWS {
                    return Ok(Paths { loan, loans, events });
                }
            }
            tokio::time::sleep(CHECK_PAUSE).await;
        }
        anyhow::bail!("no page of {PAGE_ROWS} events can be read")
    }

    pub(super) fn of(&self, case: Case) -> &str {
        match case {
            Case::Signed(Read::Loan, _) | Case::Gate => &self.loan,
            Case::Signed(Read::Loans, _) => &self.loans,
            Case::Signed(Read::Events, _) => &self.events,
        }
    }
}

async fn page(caller: &mut Caller, path: &str) -> anyhow::Result<Page> {
    serde_json::from_slice(caller.ask(&written(path, None, b"")).await?).context("a page of a list")
}

impl Bench {
    /// Reads per second, and the duration of each.
    pub(super) async fn read(&self, path: &str, way: Way, count: usize) -> anyhow::Result<(Decimal, Latencies)> {
        let (address, identity) = match way {
            Way::Signed(Algorithm::Sm2Sm3) => (self.address, Some(&self.sm2)),
            Way::Signed(Algorithm::RsaSha256) => (self.address, Some(&self.rsa)),
            Way::Unsigned => (self.unsigned_address, None),
            Way::Bare => (self.bare_address, None),
        };
        let requests = (0..count).map(|_| {
            let authorization = identity.map(|identity| signed(identity, "GET", path, b""));
            written(path, authorization.as_deref().map(|signed| ("authorization", signed)), b"")
        });
        let shares = connect_callers(address, requests.collect()).await?;
        let started = Instant::now();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|(mut caller, share)| {
                tokio::spawn(async move {
                    let mut latencies = Latencies::default();
                    for request in share {
                        let asked = Instant::now();
                        caller.ask(&request).await?;
                        latencies.push(asked.elapsed());
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        let mut latencies = Latencies::default();
        for task in tasks {
            latencies.append(task.await??);
        }
        Ok((rate_per_second(count as u64, started.elapsed()), latencies))
    }
}
