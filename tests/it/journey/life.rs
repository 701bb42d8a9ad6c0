//! One borrower's life is right to the fen, from the application to the last refund, over holidays, lateness and cure.

use std::sync::Arc;

use fenqi::base::id::{LineId, LoanId};
use fenqi::base::{BusinessDay, Fen};
use fenqi::credit::LineStatus;
use fenqi::demo::identity;
use fenqi::purchase::{Authoriser, Decision, PurchaseRefusal, Receipt};
use fenqi::repayment::jobs::submit_withholdings;
use fenqi::repayment::{PayoffOrder, RepayRequest, early_payoff, payoff_quote, repay};
use fenqi::sandbox::World;
use fenqi::sandbox::world::lock;
use fenqi::{funder, outbox, product};
use sqlx::PgPool;

use super::day;
use crate::feature::applicant;
use crate::town::{self, SHOP_ACCOUNT, Town};
use crate::{book, house};

/// The terms of [`book::TERMS`]: three equal parts of principal, 1.2 % a month, statements on the 5th, due on the 25th.
const PLAN: (&str, u16) = ("test-principal", 3);
const BUYER: u64 = 7;

struct Life {
    town: Town,
    world: Arc<World>,
    line_id: LineId,
    /// The card's agreement, by which the counterfeit bank knows its balance.
    agreement: String,
}

/// A person whose application is approved, in a house that opened today.
async fn begin(pool: PgPool, today: &str) -> Life {
    let (app, world) = house::open_in_world(pool, today).await;
    let funder_id = funder::open_funder(&app, "test-bank", "Test bank").await.unwrap();
    product::publish(&app, book::TERMS).await.unwrap();
    let town = town::open_shop(app, funder_id).await;
    town.deposit(2_000_000, "D-1").await;
    let borrower_id = applicant::ready(&town.app, BUYER).await;
    let product = town::named(town.product(PLAN.0));
    let line_id = applicant::approved(&town.app, borrower_id, product).await;
    let agreement =
        sqlx::query_scalar("select agreement_number from bank_card").fetch_one(&town.app.pool).await.unwrap();
    Life { town, world, line_id, agreement }
}

impl Life {
    async fn buy(&self, key: &str, fen: i64) -> Receipt {
        self.town.buy(vec![self.town.wish(self.line_id, key, fen, PLAN)]).await.remove(0)
    }

    async fn status(&self) -> LineStatus {
        let mut connection = self.town.app.pool.acquire().await.unwrap();
        fenqi::credit::store::find_line(&mut connection, self.line_id).await.unwrap().unwrap().status
    }

    /// What the bank has on the borrower's card from now on.
    fn fill_card(&self, fen: i64) {
        lock(&self.world.withholding).set_balance(&self.agreement, Fen::new(fen));
    }

    /// The settlement of a day: payable, when it was to be paid and when it was.
    async fn settled(&self, day: &str) -> (i64, BusinessDay, Option<BusinessDay>) {
        let day: BusinessDay = day.parse().unwrap();
        sqlx::query_as("select payable_fen, pay_on, paid_on from settlement where business_day = $1")
            .bind(day)
            .fetch_one(&self.town.app.pool)
            .await
            .unwrap()
    }

    /// Each bill as due day, amount as cut, and status.
    async fn bills(&self) -> Vec<(String, i64, String)> {
        sqlx::query_as("select due_on::text, principal_fen + interest_fen + fee_fen, status from bill order by due_on")
            .fetch_all(&self.town.app.pool)
            .await
            .unwrap()
    }

    /// Live on to a morning, and hold every identity.
    async fn live_until(&self, day: &str) {
        self.town.live_until(day).await;
        self.town.assert_whole(day).await;
    }

    async fn pay_by_button(&self, fen: i64) {
        let request = RepayRequest {
            line_id: self.line_id,
            amount: Fen::new(fen),
            card_id: None,
            idempotency_key: "button".to_owned(),
        };
        repay(&self.town.app, &request).await.unwrap();
        assert_eq!(submit_withholdings(&self.town.app).await.unwrap().collected, Fen::new(fen));
    }

    async fn pay_off(&self, loan_id: LoanId, expected_fen: i64) {
        let (app, line_id) = (&self.town.app, self.line_id);
        let quote = payoff_quote(app, line_id, loan_id).await.unwrap();
        assert_eq!(quote.total(), Fen::new(expected_fen), "{quote:?}");
        let order = PayoffOrder {
            loan_id,
            line_id,
            quoted: quote.total(),
            card_id: None,
            idempotency_key: "payoff".to_owned(),
        };
        early_payoff(app, &order).await.unwrap();
        assert_eq!(submit_withholdings(app).await.unwrap().collected, quote.total());
    }

    /// Nothing is left to do, everyone was told once and in order, and the books hold.
    async fn assert_clean(&self) {
        outbox::jobs::deliver_outbox(&self.town.app).await.unwrap();
        for left in [
            "select count(*) from job where status <> 'done'",
            "select count(*) from withholding where status in ('created', 'submitted', 'unknown')",
            "select count(*) from payout where status <> 'succeeded'",
            "select count(*) from settlement where status = 'to_pay'",
            "select count(*) from remittance where status = 'to_pay'",
            "select count(*) from outbox where delivered_at is null",
            "select count(*) from close_run where finished_at is null",
            "select count(*) from reconciliation_break",
            "select count(*) from channel_file where compared_at is null",
        ] {
            assert_eq!(self.town.fen(left).await, 0, "{left}");
        }
        let told = self.town.fen("select count(*) from outbox where partner <> 'sms'").await;
        // What asks for a bill that is paid by now is not sent any more.
        let short = self.town.fen("select count(*) from outbox where partner = 'sms' and ending is null").await;
        assert_eq!(lock(&self.world.sms).sent() as i64, short);
        {
            let core = lock(&self.world.funder_core);
            assert_eq!(core.accepted() as i64, told);
            assert_eq!((core.summary()["duplicates"].as_i64(), core.out_of_order().len()), (Some(0), 0));
        }
        self.town.assert_whole("at the end").await;
    }
}

fn loan_of(receipt: &Receipt) -> LoanId {
    match receipt.decision {
        Decision::Authorised { loan_id } => loan_id,
        Decision::Refused(refusal) => panic!("{refusal}"),
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_life_from_application_to_the_last_refund_ends_clean(pool: PgPool) {
    let life = begin(pool, "2026-01-25").await;
    let sofa = two_purchases_and_the_first_bill(&life).await;
    let lamp = late_and_cured(&life).await;
    pays_the_rest(&life, &lamp).await;
    refunds_after_the_end(&life, &sofa).await;

    // 103,600 + 50,000 + 94,284 + 81,084 + 101,200 collected, less a tenth of interest, penalty and fee, rounded by day:
    // 360, 240, 144 + 44, 28 + 80, 120.
    assert_eq!(lock(&life.world.payout).paid_to("test-bank"), 430_168 - 1_016);
    life.assert_clean().await;
}

/// A sofa of 3,000 yuan, a lamp of 1,200 before the Spring Festival, and the sofa's first part withheld on its due day.
async fn two_purchases_and_the_first_bill(life: &Life) -> Receipt {
    let sofa = life.buy("sofa", 300_000).await;
    life.live_until("2026-02-06").await;
    assert_eq!(life.bills().await, [("2026-02-25".into(), 103_600, "open".into())]);
    // A Sunday's sales are paid on Monday: 300,000 less six in a thousand.
    assert_eq!(life.settled("2026-01-25").await, (298_200, day("2026-01-26"), Some(day("2026-01-26"))));

    life.live_until("2026-02-14").await;
    life.buy("lamp", 120_000).await;
    assert_eq!(life.town.used().await, 420_000);
    life.live_until("2026-02-24").await;
    assert_eq!(life.settled("2026-02-14").await, (119_280, day("2026-02-24"), None), "the holiday ends on the 23rd");
    life.live_until("2026-02-26").await;
    assert_eq!(life.settled("2026-02-14").await.2, Some(day("2026-02-24")));
    assert_eq!(lock(&life.world.payout).paid_to(SHOP_ACCOUNT), 298_200 + 119_280);
    assert_eq!(life.town.used().await, 320_000, "withheld on the 25th");
    sofa
}

/// The second bill is paid in part on its day; the rest is late, frozen for, and paid with penalty. Returns the lamp's loan.
async fn late_and_cured(life: &Life) -> LoanId {
    life.live_until("2026-03-25").await;
    // Sofa 100,000 + 2,400, lamp 40,000 + 1,440.
    assert_eq!(life.bills().await[1], ("2026-03-25".into(), 143_840, "open".into()));
    life.fill_card(50_000);
    life.live_until("2026-03-26").await;
    assert_eq!(life.town.used().await, 320_000 - (50_000 - 2_400), "interest first, then the older loan's principal");
    life.live_until("2026-03-29").await;
    assert_eq!(life.status().await, LineStatus::Active, "three days of grace");
    life.live_until("2026-03-30").await;
    assert_ne!(life.status().await, LineStatus::Active);
    let wish = life.town.wish(life.line_id, "vase", 60_000, PLAN);
    let refused = Authoriser::start(life.town.app.clone()).authorise(wish).await.unwrap();
    assert_eq!(refused.decision, Decision::Refused(PurchaseRefusal::LineNotActive));

    life.live_until("2026-04-02").await;
    life.fill_card(10_000_000);
    // Eight days at 0.0006 a day on 52,400 and 40,000 of principal: 251.52 and 192.
    life.pay_by_button(143_840 - 50_000 + 252 + 192).await;
    assert_eq!(life.status().await, LineStatus::Active);
    assert_eq!(life.town.used().await, 180_000);
    assert_eq!(life.town.fen("select sum(penalty_paid_fen)::bigint from bill_line").await, 444);
    let lamp = sqlx::query_scalar("select loan_id from loan where principal_fen = 120000");
    LoanId::from_uuid(lamp.fetch_one(&life.town.app.pool).await.unwrap())
}

/// The lamp is paid off early; the sofa's last part is withheld.
async fn pays_the_rest(life: &Life, lamp: &LoanId) {
    life.live_until("2026-04-03").await;
    // 80,000 of principal, nine days of 14.4 % a year on it (284.05), one in a hundred for ending early.
    life.pay_off(*lamp, 80_000 + 284 + 800).await;
    assert_eq!(life.town.used().await, 100_000);
    life.live_until("2026-04-26").await;
    assert_eq!(life.bills().await[2], ("2026-04-25".into(), 101_200, "paid".into()));
    assert_eq!(life.town.used().await, 0);
    assert_eq!(life.town.fen("select count(*) from loan where status = 'paid'").await, 2);
}

/// The sofa goes back after it was paid: its price to the card; a desk in part before any of it was paid: off the loan.
async fn refunds_after_the_end(life: &Life, sofa: &Receipt) {
    life.live_until("2026-04-27").await;
    let desk = life.buy("desk", 400_000).await;
    let reserve_before = life.town.fen("select available_fen from reserve_now").await;
    life.town.refund(sofa, 300_000, "back").await;
    assert_eq!(
        life.town.fen("select available_fen from reserve_now").await,
        reserve_before,
        "nothing was owed any more"
    );
    life.live_until("2026-04-28").await;
    // 400,000 − 300,000 − (2,400 − 1,800 of discount fee).
    assert_eq!(life.settled("2026-04-27").await.0, 99_400);

    life.buy("chair", 200_000).await;
    life.town.refund(&desk, 100_000, "part").await;
    assert_eq!(life.town.used().await, 500_000);
    let parts: Vec<i64> =
        sqlx::query_scalar("select unnest(principal_fen) from schedule where loan_id = $1 and version = 2")
            .bind(loan_of(&desk))
            .fetch_all(&life.town.app.pool)
            .await
            .unwrap();
    assert_eq!(parts, [133_333, 133_333, 33_334]);
    life.live_until("2026-04-29").await;
    // 200,000 − 100,000 − (1,200 − 600).
    assert_eq!(life.settled("2026-04-28").await.0, 99_400);
    life.town.work_through(day("2026-04-29")).await;
    let card = identity::card_number(BUYER, 0);
    assert_eq!(lock(&life.world.payout).paid_to(card.reveal()), 300_000);
    assert_eq!(lock(&life.world.payout).paid_to(SHOP_ACCOUNT), 298_200 + 119_280 + 99_400 + 99_400);
    // Deposited, less what was cleared to the shop, and what came back of the desk.
    assert_eq!(
        life.town.fen("select available_fen from reserve_now").await,
        2_000_000 - 300_000 - 120_000 - 400_000 - 200_000 + 100_000
    );
}
