//! `fenqi work`, killed (SIGKILL) while a partner handles its call and started again, pays and collects nothing twice.

use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use fenqi::base::{BusinessDay, Clock};
use fenqi::jobs::JobKind;
use fenqi::repayment::jobs::{query_unknowns, submit_withholdings};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Silence, World};
use fenqi::settlement::{query_payouts, submit_payouts};
use sqlx::PgPool;

use super::{kill, worker};
use crate::house;
use crate::town::{self, LineWish, Town};

const LINES: usize = 5;
const AMOUNT_FEN: i64 = 10_000;
/// Longer than any call of the child lives.
const HELD: Duration = Duration::from_secs(60);

struct Node<'a> {
    town: &'a Town,
    world_at: String,
}

impl Node<'_> {
    /// The program as an operator starts it, against this test's world.
    async fn start(&self) -> Child {
        let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &self.town.database_name().await);
        // What the timetable asked for before is asked for again, as after the next tick.
        sqlx::query("delete from job").execute(&self.town.app.pool).await.unwrap();
        worker(&url, &self.world_at).spawn().unwrap()
    }

    /// Kills a node as soon as `is_taken`, then lets another one do the same work to its end.
    async fn kill_when(&self, work: JobKind, is_taken: impl Fn() -> bool) {
        let mut child = self.start().await;
        let began = Instant::now();
        while !is_taken() && began.elapsed() < house::PATIENCE {
            assert!(child.try_wait().unwrap().is_none(), "the node ended by itself");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        kill(child);
        assert!(is_taken(), "the node never came to {}", work.name());
        let again = self.start().await;
        let done = "select count(*) from job where kind = $1 and status = 'done'";
        house::until("the other node has worked", async || {
            let done: i64 = sqlx::query_scalar(done).bind(work.name()).fetch_one(&self.town.app.pool).await.unwrap();
            done > 0
        })
        .await;
        kill(again);
    }
}

/// The borrowers' buttons were pressed: one order on each line, for all that its only bill asks for.
async fn order(town: &Town, today: BusinessDay) {
    let statements = [
        "insert into loan (loan_id, line_id, purchase_id, funder_id, merchant_id, product_id, product_version, grade, periods,
                           annual_rate, principal_fen, status, statement_day, first_statement_on, last_statement_on, made_on)
         select line_id, line_id, line_id, funder_id, line_id, product_id, product_version, grade, 1, 0, $1, 'open', statement_day,
                $2, $2, $2
         from credit_line",
        "insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status)
         select line_id, $2::date + 10, $2, $1, 0, 0, 'open' from credit_line",
        "insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen)
         select line_id, line_id, 1, $2::date + 10, $1, 0, 0 from credit_line",
        "insert into withholding (withholding_id, line_id, borrower_id, purpose, idempotency_key, card_id, channel,
                                  amount_fen, partial_allowed, attempt_no, status, business_day, created_at, submit_at)
         select gen_random_uuid(), l.line_id, l.borrower_id, 'button', 'b1', c.card_id, 'alpha', $1, false, 1,
                'created', $2, now() - interval '1 day', now() - interval '1 day'
         from credit_line l join bank_card c using (borrower_id)",
    ];
    for statement in statements {
        sqlx::query(statement).bind(AMOUNT_FEN).bind(today).execute(&town.app.pool).await.unwrap();
    }
}

/// Takes away what the orders are for, so that each success makes a payout too.
async fn owe_nothing(town: &Town) {
    for statement in ["delete from bill_line", "delete from bill", "delete from loan"] {
        sqlx::query(statement).execute(&town.app.pool).await.unwrap();
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_node_that_is_killed_in_a_partners_call_neither_collects_nor_pays_twice(pool: PgPool) {
    // The program's own clock is the system's, so that this house lives today.
    let today = house::today_for_long().await;
    let (app, world, world_at) = house::open_in_world_that(pool, &today.to_string(), Silence::Hold(HELD)).await;
    let town = town::found(app, 1_000_000).await;
    // The house opens at nine; before nine, the world would know answers only later than the node asks.
    town.app.clock.set(Clock::System.now());
    let wish = LineWish { limit_fen: 500_000, statement_day: 10, due_day: 28, expires_on: "2099-01-05" };
    town.open_lines(LINES, wish).await;
    order(&town, today).await;
    let node = Node { town: &town, world_at };

    // Every call is worked on, and its answer never arrives.
    let unanswered = FaultShares { timeout_after: 1_000, ..FaultShares::default() };
    world.set_faults("withholding_a", unanswered);
    let taken = |world: &Arc<World>| lock(&world.withholding).taken().0;
    node.kill_when(JobKind::Withhold, || taken(&world) == LINES).await;
    let submitted = "select count(*) from withholding where status = 'submitted'";
    assert_eq!(town.fen(submitted).await, LINES as i64, "what is sent is asked about, never sent again");
    owe_nothing(&town).await;
    world.set_faults("withholding_a", FaultShares::default());
    town.app.clock.set(Clock::System.now() + TimeDelta::minutes(2));
    submit_withholdings(&town.app).await.unwrap();
    assert_eq!(query_unknowns(&town.app).await.unwrap().succeeded, LINES as u64);
    assert_eq!(taken(&world), LINES);
    assert_eq!(town.fen("select sum(amount_fen)::bigint from repayment").await, LINES as i64 * AMOUNT_FEN);

    // Nothing is owed any more: the money goes back to the cards.
    world.set_faults("payout", unanswered);
    let paid = |world: &Arc<World>| lock(&world.payout).payments();
    node.kill_when(JobKind::PayOut, || paid(&world) == LINES as u64).await;
    world.set_faults("payout", FaultShares::default());
    town.app.clock.set(Clock::System.now() + TimeDelta::minutes(4));
    submit_payouts(&town.app).await.unwrap();
    assert_eq!(query_payouts(&town.app).await.unwrap().paid, LINES as u64);
    assert_eq!((paid(&world), lock(&world.payout).repeated()), (LINES as u64, 0));
    assert_eq!(town.fen("select count(*) from payout where status = 'succeeded'").await, LINES as i64);
    town.assert_whole("after both kills").await;
}
