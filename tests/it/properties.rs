//! Properties under random input: every identity holds through months of random acts in random order, and many purchases at
//! once on two nodes overdraw neither lines nor reserve.

use fenqi::base::Fen;
use fenqi::base::id::{ClaimId, LineId, LoanId, RepaymentId};
use fenqi::claim;
use fenqi::claim::model::{BookedWrongly, Stated};
use fenqi::purchase::{Authoriser, Decision, Receipt};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, World};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::PgPool;
use uuid::Uuid;

use crate::funder_core::assert_cores_know_their_books;
use crate::town::{self, LineWish, Town, unless_failed};
use crate::{acts, house};

/// How many days are lived at random: every line is billed twice, and late bills freeze lines.
const DAYS: u32 = 55;
/// Beside the town's own products: some that return billed interest, or a billed fee a period, with a refund; under one of them a refund
/// falls in proportion, and under another interest bears penalty.
const RETURNING: [&str; 5] = [
    include_str!("../scenarios/interest-falls.toml"),
    include_str!("../scenarios/in-proportion.toml"),
    include_str!("../scenarios/flat-fee.toml"),
    include_str!("../scenarios/guaranteed.toml"),
    include_str!("../scenarios/penalty-on-interest.toml"),
];
/// A product and its periods.
type SoldAs = (&'static str, u16);
/// Interest and a fee at once; on lines of this product a guarantor may be claimed on after days, and loans are written off after weeks.
const GUARANTEED: [SoldAs; 2] = [("harbour-guaranteed", 3), ("harbour-guaranteed", 6)];
/// Refunds of these fall on every unpaid installment.
const IN_PROPORTION: [SoldAs; 2] = [("harbour-in-proportion", 3), ("harbour-in-proportion", 12)];
const PLANS: [SoldAs; 8] = [
    ("harbour-standard", 2),
    ("harbour-standard", 6),
    ("harbour-free", 3),
    ("harbour-shared-fee", 3),
    ("harbour-shared-fee", 12),
    ("harbour-interest-falls", 2),
    ("harbour-on-interest", 6),
    ("harbour-flat-fee", 3),
];

/// A few people who do random things.
struct Crowd<'a> {
    town: &'a Town,
    world: &'a World,
    plans: &'a [SoldAs],
    lines: Vec<LineId>,
    chance: StdRng,
    sold: Vec<Receipt>,
    transferred: Vec<RepaymentId>,
    acts: u32,
    /// Claims that a guarantor was asked to pay.
    claims: u32,
    /// Acts that came through, by kind: purchase, void, refund, transfer, button, payoff, transfer taken back.
    done: [u32; 7],
}

impl Crowd<'_> {
    fn line(&mut self) -> LineId {
        self.lines[self.chance.random_range(0..self.lines.len())]
    }

    fn sale(&mut self) -> Option<Receipt> {
        (!self.sold.is_empty()).then(|| self.sold[self.chance.random_range(0..self.sold.len())])
    }

    /// Does one random thing, which is refused as often as not.
    async fn act(&mut self) {
        self.acts += 1;
        let kind = [0, 0, 0, 1, 2, 2, 3, 3, 4, 5, 6][self.chance.random_range(0..11)];
        let came_through = match kind {
            0 => self.buy().await,
            1 => self.void().await,
            2 => self.refund().await,
            3 => self.transfer().await,
            4 => self.press_the_button().await,
            5 => self.pay_off().await,
            _ => self.take_back().await,
        };
        self.done[kind] += u32::from(came_through);
    }

    async fn buy(&mut self) -> bool {
        let (line_id, plan) = (self.line(), self.plans[self.chance.random_range(0..self.plans.len())]);
        let fen = self.chance.random_range(10_000..200_000);
        let wish = self.town.wish(line_id, &format!("k{}", self.acts), fen, plan);
        let sold = acts::buy(&Authoriser::start(self.town.app.clone()), wish).await;
        self.sold.extend(sold);
        sold.is_some()
    }

    async fn void(&mut self) -> bool {
        // The latest sale is the likeliest to be of today.
        let Some(sale) = self.sold.last() else { return false };
        acts::void(self.town, sale).await
    }

    async fn refund(&mut self) -> bool {
        let Some(sale) = self.sale() else { return false };
        let part = self.chance.random_range(1..=sale.amount.get());
        let all = self.chance.random_bool(0.3);
        let amount = if all { sale.amount } else { Fen::new(part) };
        acts::refund(self.town, &sale, (amount, format!("r{}", self.acts))).await
    }

    async fn transfer(&mut self) -> bool {
        let (line_id, amount) = (self.line(), Fen::new(self.chance.random_range(1..80_000)));
        let recorded = acts::transfer(self.town, line_id, (amount, format!("B{}", self.acts))).await;
        self.transferred.extend(recorded);
        recorded.is_some()
    }

    /// Two people take a transfer back, however long ago it was recorded.
    async fn take_back(&mut self) -> bool {
        if self.transferred.is_empty() {
            return false;
        }
        let repayment_id = self.transferred[self.chance.random_range(0..self.transferred.len())];
        acts::take_back(self.town, repayment_id, "recorded wrongly".into()).await
    }

    async fn press_the_button(&mut self) -> bool {
        let (line_id, amount) = (self.line(), Fen::new(self.chance.random_range(1..30_000)));
        acts::press_the_button(self.town, line_id, (amount, format!("b{}", self.acts))).await
    }

    async fn pay_off(&mut self) -> bool {
        let Some(Receipt { decision: Decision::Authorised { loan_id }, .. }) = self.sale() else { return false };
        let line_id = sqlx::query_scalar("select line_id from loan where loan_id = $1").bind(loan_id);
        let line_id: LineId = line_id.fetch_one(&self.town.app.pool).await.unwrap();
        acts::pay_off(self.town, (line_id, loan_id), format!("p{}", self.acts)).await
    }

    /// The guarantor pays on every loan that is late enough. Every third claim is withdrawn instead, and at every fourth one
    /// the last payment on the loan is taken back first.
    async fn claim(&mut self) {
        let (app, today) = (&self.town.app, self.town.today().await);
        let late =
            "select distinct i.loan_id from bill b join bill_line i on i.line_id = b.line_id and i.due_on = b.due_on
                    where b.status = 'open' and b.due_on < $1 order by i.loan_id";
        let late = sqlx::query_scalar(late).bind(today.minus_days(10).date()).fetch_all(&app.pool).await;
        let late: Vec<LoanId> = late.unwrap();
        for loan_id in late {
            if self.claims.is_multiple_of(4) {
                self.take_claim_back(loan_id).await;
            }
            let Some(asked) = unless_failed(claim::ask(app, loan_id, "Li").await) else { continue };
            self.claims += 1;
            if self.claims.is_multiple_of(3) {
                claim::withdraw(app, asked.claim_id, "Li", "of another day").await.unwrap();
                continue;
            }
            for by in ["Li", "Wang"] {
                let word = Stated { by: by.into(), bank_reference: format!("G{}", self.claims) };
                claim::pay(app, asked.claim_id, &word).await.unwrap();
            }
        }
    }

    /// Takes back the latest paid claim on a loan, with what has come in for it since.
    async fn take_claim_back(&self, loan_id: LoanId) {
        let app = &self.town.app;
        let last = "select claim_id from claim where loan_id = $1 and status = 'paid' order by claim_id desc limit 1";
        let last = sqlx::query_scalar(last).bind(loan_id).fetch_optional(&app.pool).await;
        let last: Option<ClaimId> = last.unwrap();
        let Some(claim_id) = last else { return };
        for by in ["Li", "Wang"] {
            let word = BookedWrongly { by: by.into(), reason: "of another loan".into() };
            claim::take_back(app, claim_id, &word).await.unwrap();
        }
    }

    /// Gives one of the cards another balance.
    fn move_money(&mut self) {
        let (line_id, fen) = (self.line(), self.chance.random_range(0..150_000));
        lock(&self.world.withholding).set_balance(&format!("AG-{}", line_id.uuid()), Fen::new(fen));
    }

    async fn live_a_day(&mut self) {
        for _ in 0..self.chance.random_range(1..6) {
            self.act().await;
        }
        self.move_money();
        let today = self.town.today().await;
        if self.acts.is_multiple_of(3) {
            self.claim().await;
        }
        self.town.work_through(today).await;
        self.act().await;
        self.town.close_today().await;
        let when = format!("after {today}");
        assert_used_is_what_was_lent(self.town, &when).await;
        self.town.assert_whole(&when).await;
    }
}

/// Asserts the line identity, computed from what happened instead of from the loans' own sums.
pub async fn assert_used_is_what_was_lent(town: &Town, when: &str) {
    let wrong: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "select l.line_id, l.used_fen, lent.fen
         from credit_line l cross join lateral (
             select (coalesce((select sum(amount_fen) from purchase p
                               where p.line_id = l.line_id and p.status = 'authorised'), 0)
                   - coalesce((select sum(principal_fell_fen) from refund r where r.line_id = l.line_id), 0)
                   - coalesce((select sum(part) from repayment r cross join lateral unnest(r.principal_fen) as part
                               where r.line_id = l.line_id), 0))::bigint as fen) as lent
         where l.used_fen <> lent.fen",
    )
    .fetch_all(&town.app.pool)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "{when}: used and lent differ: {wrong:?}");
}

/// Lives through random weeks of a seed, with partners that fail, longer until every kind of act came through, and then until nothing is
/// pending. Returns how many claims were asked.
async fn live_at_random(pool: PgPool, seed: u64, lines_of: &str, plans: &[SoldAs]) -> u32 {
    let (app, world) = house::open_in_world(pool, "2026-03-01").await;
    let mut town = town::found(app, 3_000_000).await;
    for text in RETURNING {
        fenqi::product::publish(&town.app, text).await.unwrap();
    }
    let mut connection = town.app.pool.acquire().await.unwrap();
    town.products = town.app.catalogue.load_on_sale(&mut connection).await.unwrap();
    drop(connection);
    let mut lines = Vec::new();
    for (statement_day, due_day) in [(3, 9), (5, 11), (20, 26), (31, 6)] {
        let wish = LineWish { limit_fen: 500_000, statement_day, due_day, expires_on: "2029-03-01" };
        lines.extend(town.open_lines(1, wish).await);
    }
    let product = town.product(lines_of);
    let under = sqlx::query("update credit_line set product_id = $1, product_version = $2");
    under.bind(product.product_id).bind(product.version).execute(&town.app.pool).await.unwrap();
    let faults = FaultShares { timeout_after: 60, timeout_before: 60, late_answer: 60, ..FaultShares::default() };
    for partner in ["withholding_a", "withholding_b", "payout"] {
        world.set_faults(partner, faults);
    }
    let chance = StdRng::seed_from_u64(seed);
    let mut crowd = Crowd {
        town: &town,
        world: &world,
        plans,
        lines,
        chance,
        sold: Vec::new(),
        transferred: Vec::new(),
        acts: 0,
        claims: 0,
        done: [0; 7],
    };
    for day in 0..2 * DAYS {
        if day >= DAYS && crowd.done.iter().all(|times| *times > 0) {
            break;
        }
        crowd.live_a_day().await;
    }
    for partner in ["withholding_a", "withholding_b", "payout"] {
        world.set_faults(partner, FaultShares::default());
    }
    let until = town.today().await.plus_days(4);
    town.live_until(&until.to_string()).await;
    let pending = "select (select count(*) from withholding where status in ('submitted', 'unknown'))
                        + (select count(*) from payout where status in ('submitted', 'unknown'))";
    assert_eq!(town.fen(pending).await, 0);
    town.assert_whole("at the end").await;
    assert_cores_know_their_books(&town.app.pool).await;
    assert!(crowd.done.iter().all(|times| *times > 0), "something never came through: {:?}", crowd.done);
    crowd.claims
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn anything_in_any_order_keeps_every_identity(pool: PgPool) {
    live_at_random(pool, 1, "harbour-standard", &PLANS).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn anything_in_another_order_keeps_every_identity(pool: PgPool) {
    live_at_random(pool, 2, "harbour-standard", &PLANS).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn anything_that_is_done_to_interest_and_a_fee_at_once_keeps_every_identity(pool: PgPool) {
    let claims = live_at_random(pool, 3, "harbour-guaranteed", &GUARANTEED).await;
    assert!(claims > 2, "{claims} claims were asked");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn anything_that_is_done_to_loans_refunded_in_proportion_keeps_every_identity(pool: PgPool) {
    live_at_random(pool, 4, "harbour-in-proportion", &IN_PROPORTION).await;
}

/// 64 tills on two nodes ask for everything at the same time, each purchase twice: once on either node.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn many_at_once_on_two_nodes_overdraw_neither_line_nor_reserve(pool: PgPool) {
    const RESERVE_FEN: i64 = 600_000;
    let app = house::open(pool, "2026-03-02").await;
    let town = town::found(app, RESERVE_FEN).await;
    let wish = LineWish { limit_fen: 100_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
    let lines = town.open_lines(8, wish).await;
    // Connections enough for each node to decide two batches at once.
    let apps = [house::with_connections(&town.app, 8).await, house::with_connections(&town.app, 8).await];
    let nodes = apps.clone().map(Authoriser::start);
    let mut tills = tokio::task::JoinSet::new();
    for till in 0..64_usize {
        let (town, lines, node) = (town.clone(), lines.clone(), nodes[till % 2].clone());
        tills.spawn(async move {
            let mut receipts = Vec::new();
            for nth in 0..8_usize {
                // Both tills of a pair ask for the same; half of all purchases are on one line.
                let number = (till / 2) * 8 + nth;
                let line_id = lines[if number.is_multiple_of(2) { 0 } else { number / 2 % lines.len() }];
                let fen = 1_000 + (number as i64 * 7_919) % 20_000;
                let wish = town.wish(line_id, &format!("k{number}"), fen, ("harbour-standard", 3));
                receipts.push((number, node.authorise(wish).await.unwrap()));
            }
            receipts
        });
    }
    let mut by_number = std::collections::BTreeMap::new();
    while let Some(receipts) = tills.join_next().await {
        for (number, receipt) in receipts.unwrap() {
            let before = by_number.insert(number, receipt);
            assert!(before.is_none_or(|before| before == receipt), "{number} has two outcomes");
        }
    }
    let authorised = by_number.values().filter(|receipt| matches!(receipt.decision, Decision::Authorised { .. }));
    let used: i64 = authorised.map(|receipt| receipt.amount.get()).sum();
    assert_eq!(town.fen("select count(*) from purchase").await, by_number.len() as i64);
    assert_eq!(town.fen("select sum(used_fen)::bigint from credit_line").await, used);
    assert_eq!(town.fen("select count(*) from credit_line where used_fen > limit_fen").await, 0);
    assert_eq!(town.fen("select available_fen from reserve_now").await, RESERVE_FEN - used);
    let refusals =
        "select count(distinct refusal) from purchase where refusal in ('line_exceeded', 'reserve_exhausted')";
    assert_eq!(town.fen(refusals).await, 2, "both the lines and the reserve ran out");
    town.assert_whole("after the rush").await;
    for app in apps {
        app.pool.close().await;
    }
}
