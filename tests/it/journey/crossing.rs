//! Events that cross: a purchase is given back while its money is being collected, or after it was paid off the same day.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::base::Fen;
use fenqi::base::id::{LineId, LoanId};
use fenqi::error::Fault;
use fenqi::purchase::actions::void;
use fenqi::purchase::model::AfterSaleRefusal;
use fenqi::purchase::{Decision, Receipt};
use fenqi::repayment::jobs::{query_unknowns, submit_withholdings};
use fenqi::repayment::{PayoffOrder, early_payoff, payoff_quote};
use fenqi::sandbox::{self, Scripted, World};
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

    async fn used(&self) -> i64 {
        self.town.fen("select used_fen from credit_line").await
    }

    async fn assert_all_is_given_back(&self) {
        assert_eq!(self.used().await, 0);
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
    assert_eq!(sale.used().await, PRICE);
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
