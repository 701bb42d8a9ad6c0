//! Authorisation survives SIGKILL at any moment, on one node and on two: what was answered is stored, every key has one outcome, and
//! nothing is half-written.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use fenqi::base::id::LineId;
use fenqi::error::Refusal;
use fenqi::purchase::{Authoriser, Decision, PurchaseRequest, Receipt};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::house;
use crate::town::{self, LineWish, Town};

pub(super) const DAY: &str = "2026-03-02";
/// Lines and reserve are small enough that some purchases are refused by the one and some by the other.
pub(super) const LINES: usize = 20;
pub(super) const LIMIT_FEN: i64 = 120_000;
pub(super) const RESERVE_FEN: i64 = 2_000_000;
pub(super) const TILLS: usize = 24;
/// So many purchases cost more than lines and reserve have.
const MORE_THAN_THERE_IS: usize = 600;
/// Purchases that one child would make if it were left alone.
const WISHES_MAX: usize = 5_000;
const KILLS: u64 = 14;
/// Fewer answers prove little.
const ANSWERED_MIN: usize = 100;
/// Children that are held before a table that their batch writes, first to last, and killed there.
const HELD_AT: [&str; 7] = ["purchase", "loan", "posting", "outbox", "line_entry", "reserve_entry", "reserve_slice"];

const CHILD: &str = "journey::kill_authorise::child_that_buys_until_it_is_killed";
const CHILD_URL: &str = "KILLED_CHILD_DATABASE_URL";
const CHILD_FROM: &str = "KILLED_CHILD_FROM";

/// The `number`-th purchase that anybody in this test asks for; always the same under its key.
pub(super) fn wish(town: &Town, lines: &[LineId], number: usize) -> PurchaseRequest {
    let fen = 1_000 + (number as i64 * 7_919) % 9_000;
    town.wish(lines[number % lines.len()], &format!("k{number}"), fen, ("harbour-standard", 6))
}

pub(super) async fn lines_of(town: &Town) -> Vec<LineId> {
    sqlx::query_scalar("select line_id from credit_line order by line_id").fetch_all(&town.app.pool).await.unwrap()
}

/// An answer as one word.
pub(super) fn word(receipt: &Receipt) -> String {
    match receipt.decision {
        Decision::Authorised { loan_id } => format!("{}/{loan_id}", receipt.purchase_id),
        Decision::Refused(refusal) => format!("{}/{}", receipt.purchase_id, refusal.code()),
    }
}

/// Not a test of its own: the process that the test below starts and kills. Without its variables it has nothing to do.
#[tokio::test]
#[ignore = "the process that a_purchase_… starts and kills"]
async fn child_that_buys_until_it_is_killed() {
    let (Ok(url), Ok(from)) = (std::env::var(CHILD_URL), std::env::var(CHILD_FROM)) else { return };
    let pool = PgPool::connect(&url).await.unwrap();
    let town = Arc::new(town::find(house::open(pool, DAY).await).await);
    let lines = Arc::new(lines_of(&town).await);
    let authoriser = Authoriser::start(town.app.clone());
    let next = Arc::new(AtomicUsize::new(from.parse().unwrap()));
    let tills = (0..TILLS).map(|_| {
        let (town, lines, authoriser, next) = (town.clone(), lines.clone(), authoriser.clone(), next.clone());
        async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= WISHES_MAX {
                    return;
                }
                let receipt = authoriser.authorise(wish(&town, &lines, number)).await.unwrap();
                println!("receipt {number} {};", word(&receipt));
            }
        }
    });
    futures_util::future::join_all(tills).await;
}

/// A child at work, and what it says.
struct Tills {
    child: Child,
    first: mpsc::Receiver<()>,
    said: JoinHandle<Vec<String>>,
}

impl Tills {
    fn start(url: &str, from: usize) -> Tills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"])
            .env(CHILD_URL, url)
            .env(CHILD_FROM, from.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, first) = mpsc::channel();
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            for line in output.lines().map_while(Result::ok) {
                // The harness's own words end without a line break, so a receipt may follow them.
                if let Some((_, receipt)) = line.split_once("receipt ") {
                    said.push(receipt.to_owned());
                    let _ = tell.send(());
                }
            }
            said
        });
        Tills { child, first, said }
    }

    fn wait_for_first(&self) {
        self.first.recv_timeout(house::PATIENCE).expect("the child answers nobody");
    }

    /// Kills it, and adds what it had answered to `answered`; the last line may have been cut off. How much that was.
    fn kill(mut self, answered: &mut BTreeMap<usize, String>) -> usize {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let said = self.said.join().unwrap();
        for line in &said {
            let Some((number, word)) = line.strip_suffix(';').and_then(|line| line.split_once(' ')) else { continue };
            let before = answered.insert(number.parse().unwrap(), word.to_owned());
            assert!(before.is_none_or(|before| before == word), "{number} was answered twice, and differently");
        }
        said.len()
    }
}

/// The first purchase that nobody has been answered.
pub(super) fn first_open(answered: &BTreeMap<usize, String>) -> usize {
    (0..).find(|number| !answered.contains_key(number)).unwrap()
}

async fn kill_while_held(url: &str, table: &str, answered: &mut BTreeMap<usize, String>) {
    let mut holder = PgConnection::connect(url).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("lock table {table} in share mode"))).execute(&mut *held).await.unwrap();
    let tills = Tills::start(url, first_open(answered));
    house::until(&format!("a child comes to {table}"), async || house::somebody_waits(&mut held).await).await;
    tills.kill(answered);
    held.rollback().await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_that_was_answered_stands_wherever_the_authoriser_is_killed(pool: PgPool) {
    let app = house::open(pool, DAY).await;
    let town = town::found(app, RESERVE_FEN).await;
    let line = LineWish { limit_fen: LIMIT_FEN, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
    town.open_lines(LINES, line).await;
    let lines = lines_of(&town).await;
    let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &town.database_name().await);
    let mut answered = BTreeMap::new();
    for table in HELD_AT {
        kill_while_held(&url, table, &mut answered).await;
    }
    let (mut attempt, mut by_both): (u64, bool) = (0, false);
    // On a busy machine few more than the first are answered before the kill, and the other node may come too late.
    while attempt < KILLS || answered.len() <= ANSWERED_MIN || !by_both {
        assert!(attempt < 10 * KILLS, "{} purchases were answered, by both nodes at once: {by_both}", answered.len());
        let from = first_open(&answered);
        let node = Tills::start(&url, from);
        // Every third time another node is asked for the same purchases at the same time.
        let other = attempt.is_multiple_of(3).then(|| Tills::start(&url, from));
        node.wait_for_first();
        tokio::time::sleep(Duration::from_millis(attempt * 7 % 40)).await;
        node.kill(&mut answered);
        if let Some(other) = other {
            by_both |= other.kill(&mut answered) > 0;
        }
        attempt += 1;
    }
    assert_one_outcome_each(&town, &lines, &answered).await;
}

/// Asks for everything again under the same keys: what was answered is answered the same, and all of it adds up.
pub(super) async fn assert_one_outcome_each(town: &Town, lines: &[LineId], answered: &BTreeMap<usize, String>) {
    // Beyond the last answer as many may have been decided as there are tills.
    let upto = (answered.keys().max().unwrap() + 2 * TILLS).max(MORE_THAN_THERE_IS);
    let authoriser = Authoriser::start(town.app.clone());
    let asked = (0..upto).map(|number| authoriser.authorise(wish(town, lines, number)));
    let (mut used, mut refused) = (0, 0);
    for (number, receipt) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        let receipt = receipt.unwrap();
        assert!(answered.get(&number).is_none_or(|before| *before == word(&receipt)), "{number} is answered otherwise");
        match receipt.decision {
            Decision::Authorised { .. } => used += receipt.amount.get(),
            Decision::Refused(_) => refused += 1,
        }
    }
    assert!(refused > 0, "the lines were never in danger");
    assert_eq!(town.fen("select count(*) from purchase").await, upto as i64);
    assert_eq!(town.fen("select sum(used_fen)::bigint from credit_line").await, used);
    assert_eq!(town.fen("select count(*) from credit_line where used_fen > limit_fen").await, 0);
    assert_eq!(town.fen("select available_fen from reserve_now").await, RESERVE_FEN - used);
    for written in ["loan", "schedule", "posting where event = 'purchase'", "outbox where kind = 'loan_made'"] {
        let count = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {written}")));
        let count: i64 = count.fetch_one(&town.app.pool).await.unwrap();
        assert_eq!(count, upto as i64 - refused, "{written}");
    }
    town.assert_whole("after the last kill").await;
}
