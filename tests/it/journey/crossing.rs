//! Events that cross end with right books: a purchase is refunded while its money is being collected, or after it was paid off the same
//! day; a loan is paid off while the close is about to bill it.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::base::id::{LineId, LoanId};
use fenqi::base::{BusinessDay, Fen};
use fenqi::close::close_day;
use fenqi::error::Fault;
use fenqi::purchase::actions::{preview, void};
use fenqi::purchase::model::AfterSaleRefusal;
use fenqi::purchase::{Decision, Receipt};
use fenqi::repayment::jobs::{query_unknowns, submit_withholdings};
use fenqi::repayment::{PayoffOrder, early_payoff, payoff_quote};
use fenqi::sandbox::{self, Scripted, World};
use fenqi::{bill, database};
use sqlx::PgPool;

use crate::house;
use crate::town::{self, LineWish, Town};

const PRICE: i64 = 60_000;

struct Sale {
    town: Town,
    world: Arc<World>,
    line_id: LineId,
    receipt: Receipt,
}

/// A purchase of today and the order that pays its loan off, not yet sent.
async fn bought_and_paying_off(pool: PgPool) -> Sale {
    let (app, world) = house::open_in_world(pool, "2026-03-02").await;
    let town = town::found(app, 1_000_000).await;
    let wish = LineWish { limit_fen: 200_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
    let line_id = town.open_lines(1, wish).await[0];
    let receipt = town.buy(vec![town.wish(line_id, "lamp", PRICE, ("harbour-standard", 6))]).await[0];
    let Decision::Authorised { loan_id } = receipt.decision else { panic!("{receipt:?}") };
    let sale = Sale { town, world, line_id, receipt };
    sale.order_payoff(loan_id).await;
    sale
}

impl Sale {
    async fn order_payoff(&self, loan_id: LoanId) {
        let (app, line_id) = (&self.town.app, self.line_id);
        let quote = payoff_quote(app, line_id, loan_id).await.unwrap();
        assert_eq!(quote.total(), Fen::new(PRICE), "no interest has run yet");
        let idempotency_key = "payoff".to_owned();
        let order = PayoffOrder { loan_id, line_id, quoted: quote.total(), card_id: None, idempotency_key };
        early_payoff(app, &order).await.unwrap();
    }

    async fn assert_all_is_given_back(&self) {
        assert_eq!(self.town.used().await, 0);
        let owed = "select amount_fen from payout where kind = 'borrower'";
        assert_eq!(self.town.fen(owed).await, PRICE);
        self.town.assert_whole("when it was given back").await;
        self.town.live_until("2026-03-05").await;
        assert_eq!(self.town.fen("select count(*) from payout where status <> 'succeeded'").await, 0);
        self.town.assert_whole("when it was paid back").await;
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_is_not_voided_while_its_payoff_is_unanswered(pool: PgPool) {
    let sale = bought_and_paying_off(pool).await;
    sale.world.script("withholding_a", None, vec![Scripted::answer("success").with(sandbox::Fault::TimeoutAfter)]);
    assert_eq!(submit_withholdings(&sale.town.app).await.unwrap().unknown, 1);
    let refused = void(&sale.town.app, sale.receipt.purchase_id).await;
    assert!(matches!(refused, Err(Fault::Refused(AfterSaleRefusal::PayoffInProgress))), "{refused:?}");
    assert_eq!(sale.town.used().await, PRICE);
    sale.town.app.clock.set(sale.town.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(query_unknowns(&sale.town.app).await.unwrap().collected, Fen::new(PRICE));
    sale.town.live_until("2026-03-03").await;
    sale.town.refund(&sale.receipt, PRICE, "back").await;
    sale.assert_all_is_given_back().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_that_was_paid_off_is_refunded_the_next_day_and_not_voided(pool: PgPool) {
    let sale = bought_and_paying_off(pool).await;
    assert_eq!(submit_withholdings(&sale.town.app).await.unwrap().collected, Fen::new(PRICE));
    let refused = void(&sale.town.app, sale.receipt.purchase_id).await;
    assert!(matches!(refused, Err(Fault::Refused(AfterSaleRefusal::RepaidBefore))), "{refused:?}");
    sale.town.live_until("2026-03-03").await;
    sale.town.refund(&sale.receipt, PRICE, "back").await;
    sale.assert_all_is_given_back().await;
}

/// A loan of which the close of the 10th bills the first period.
struct StatementDay {
    town: Town,
    line_id: LineId,
    receipt: Receipt,
    loan_id: LoanId,
    day: BusinessDay,
}

impl StatementDay {
    async fn come(pool: PgPool) -> StatementDay {
        StatementDay::come_with(pool, &["lamp"]).await
    }

    /// With as many loans on the line; the first is looked at.
    async fn come_with(pool: PgPool, bought: &[&str]) -> StatementDay {
        let (app, _) = house::open_in_world(pool, "2026-03-02").await;
        let town = town::found(app, 1_000_000).await;
        let wish = LineWish { limit_fen: 200_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
        let line_id = town.open_lines(1, wish).await[0];
        let wishes = bought.iter().map(|key| town.wish(line_id, key, PRICE, ("harbour-standard", 6)));
        let receipt = town.buy(wishes.collect()).await[0];
        let Decision::Authorised { loan_id } = receipt.decision else { panic!("{receipt:?}") };
        town.live_until("2026-03-10").await;
        let day = town.today().await;
        StatementDay { town, line_id, receipt, loan_id, day }
    }

    /// What a refund has taken off the bill.
    async fn fallen(&self) -> i64 {
        self.town.fen("select sum(principal_returned_fen)::bigint from bill_line").await
    }

    async fn quote(&self) -> Fen {
        payoff_quote(&self.town.app, self.line_id, self.loan_id).await.unwrap().total()
    }

    /// Waits until whoever came waits for the statements to be let through; fails the test where they come past.
    async fn until_somebody_is_at_the_gate<T>(&self, came: &tokio::task::JoinHandle<T>) {
        house::until("somebody waits at the statements' gate", async || {
            assert!(!came.is_finished(), "it cut a statement beside others");
            self.town.fen(AT_THE_GATE).await > 0
        })
        .await;
    }

    /// Closes the day as far as its statements. What becomes of the close, which goes on when `then` has come back.
    async fn come_to_the_statements<T>(&self, then: impl AsyncFnOnce(tokio::task::JoinHandle<()>) -> T) -> T {
        let (app, day) = (self.town.app.clone(), self.day);
        self.town.set_time(day.next(), "00:05:00");
        let mut gate = database::begin(&app.pool).await.unwrap();
        bill::store::enter_schedules(&mut gate).await.unwrap();
        let closing = app.clone();
        let close = tokio::spawn(async move {
            close_day(&closing, day).await.unwrap();
        });
        self.until_somebody_is_at_the_gate(&close).await;
        let gone_on = then(close).await;
        gate.rollback().await.unwrap();
        gone_on
    }

    /// The same, with the payoff ordered before anything becomes of the close. What is quoted comes first.
    async fn pay_off_before_the_statements<T>(
        &self,
        then: impl AsyncFnOnce(tokio::task::JoinHandle<()>) -> T,
    ) -> (Fen, T) {
        let (line_id, loan_id) = (self.line_id, self.loan_id);
        self.come_to_the_statements(async |close| {
            let quoted = self.quote().await;
            let idempotency_key = "payoff".to_owned();
            let order = PayoffOrder { loan_id, line_id, quoted, card_id: None, idempotency_key };
            early_payoff(&self.town.app, &order).await.unwrap();
            (quoted, then(close).await)
        })
        .await
    }

    async fn collect(&self, quoted: Fen) {
        self.town.set_time(self.day.next(), "10:00:00");
        assert_eq!(submit_withholdings(&self.town.app).await.unwrap().collected, quoted);
    }

    /// What was quoted ended the loan, all of it and no more, and nothing of it is billed again.
    async fn assert_ended(&self, quoted: Fen) {
        self.town.assert_whole("when it was paid off").await;
        self.town.live_until("2026-04-12").await;
        for left in [
            "select used_fen from credit_line",
            "select count(*) from loan where status <> 'paid'",
            "select count(*) from bill where status <> 'paid'",
            "select count(*) from payout where kind = 'borrower'",
        ] {
            assert_eq!(self.town.fen(left).await, 0, "{left}");
        }
        assert_eq!(self.town.fen("select sum(amount_fen)::bigint from repayment").await, quoted.get());
        assert_eq!(self.town.fen("select sum(principal_fen)::bigint from bill_line").await, PRICE);
        self.town.assert_whole("a month later").await;
    }
}

async fn die(close: tokio::task::JoinHandle<()>) {
    close.abort();
    assert!(close.await.unwrap_err().is_cancelled(), "it has come to another end by itself");
}

/// How many wait for the statements to be let through.
const AT_THE_GATE: &str = "select count(*) from pg_locks where relation = 'schedule_gate'::regclass and not granted
                           and database = (select oid from pg_database where datname = current_database())";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payoff_that_is_ordered_just_before_the_statement_ends_the_loan_after_it(pool: PgPool) {
    let come = StatementDay::come(pool).await;
    let (quoted, [close]) = come.pay_off_before_the_statements(async |close| [close]).await;
    close.await.unwrap();
    // The bill of the 10th and all other principal; no day after its due day has passed.
    let billed = come.town.fen("select principal_fen + interest_fen + fee_fen from bill").await;
    let of_principal = come.town.fen("select principal_fen from bill").await;
    assert_eq!(quoted, Fen::new(billed + PRICE - of_principal));
    assert_eq!(come.quote().await, quoted, "the same before and after the statement");
    come.collect(quoted).await;
    come.assert_ended(quoted).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payoff_that_is_paid_before_the_statement_leaves_nothing_to_bill(pool: PgPool) {
    let come = StatementDay::come(pool).await;
    let (quoted, ()) = come.pay_off_before_the_statements(die).await;
    come.collect(quoted).await;
    close_day(&come.town.app, come.day).await.unwrap();
    assert_eq!(come.town.fen("select count(*) from bill").await, 0);
    come.assert_ended(quoted).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refund_before_the_statement_of_the_day_before_is_cut_leaves_its_interest_billed(pool: PgPool) {
    let come = StatementDay::come(pool).await;
    come.come_to_the_statements(die).await;
    let of_plan = "select sum(interest)::bigint from schedule cross join lateral unnest(interest_fen) as interest
                   where version = 1";
    let interest = come.town.fen(of_plan).await;
    let shown = preview(&come.town.app, come.receipt.purchase_id, Fen::new(PRICE)).await.unwrap();
    assert_eq!(shown.effect.interest_waived, Fen::new(interest - 430));
    assert_eq!(come.town.fen("select count(*) from bill").await, 0, "nothing is billed by looking");
    come.town.refund(&come.receipt, PRICE / 2, "half").await;
    come.town.refund(&come.receipt, PRICE / 2, "rest").await;
    close_day(&come.town.app, come.day).await.unwrap();
    // A month of 60,000 at 8.6 % a year is 430, which is billed interest and stands, as it would a minute later.
    assert_eq!(come.town.fen("select sum(interest_waived_fen)::bigint from refund").await, interest - 430);
    assert_eq!(come.town.fen("select interest_fen from bill").await, 430);
    assert_eq!(come.town.fen("select principal_fen - principal_returned_fen from bill_line").await, 0);
    assert_eq!(come.town.used().await, 0);
    assert_eq!(come.town.fen("select count(*) from notice where kind = 'bill_issued'").await, 1);
    come.town.assert_whole("when its price was back").await;
    come.town.live_until("2026-04-02").await;
    assert_eq!(come.town.fen("select count(*) from loan where status = 'open'").await, 0);
    assert_eq!(come.town.fen("select sum(amount_fen)::bigint from repayment").await, 430);
    come.town.assert_whole("when that was paid").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refund_bills_its_whole_line_and_the_close_bills_none_of_it_again(pool: PgPool) {
    let come = StatementDay::come_with(pool, &["lamp", "desk"]).await;
    come.come_to_the_statements(die).await;
    come.town.refund(&come.receipt, PRICE, "all").await;
    let asked = "select principal_fen + interest_fen from bill";
    let billed = come.town.fen(asked).await;
    close_day(&come.town.app, come.day).await.unwrap();
    assert_eq!(come.town.fen(asked).await, billed);
    assert_eq!(come.town.fen("select count(*) from bill_line").await, 2);
    assert_eq!(come.town.fen("select sum(interest_fen)::bigint from bill_line").await, 2 * 430);
    assert_eq!(come.town.fen("select count(*) from notice where kind = 'bill_issued'").await, 1);
    come.town.assert_whole("after the close").await;
    // The desk is still to be paid for, but for its first row; of the lamp the bill asks for 430 of interest.
    come.town.live_until("2026-04-02").await;
    assert_eq!(come.town.fen("select count(*) from loan where status = 'open'").await, 1);
    assert_eq!(come.town.fen("select sum(amount_fen)::bigint from repayment").await, billed - come.fallen().await);
    come.town.assert_whole("when that was paid").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_looks_at_a_refund_before_the_statement_waits_for_statements_that_are_being_cut(pool: PgPool) {
    let come = StatementDay::come(pool).await;
    come.come_to_the_statements(die).await;
    let (app, purchase_id) = (come.town.app.clone(), come.receipt.purchase_id);
    let mut chunk = database::begin(&come.town.app.pool).await.unwrap();
    bill::store::hold_schedules(&mut chunk).await.unwrap();
    let looking = tokio::spawn(async move { preview(&app, purchase_id, Fen::new(PRICE)).await.unwrap() });
    come.until_somebody_is_at_the_gate(&looking).await;
    chunk.rollback().await.unwrap();
    assert_eq!(looking.await.unwrap().effect.parts.principal_fell, Fen::new(PRICE));
}
