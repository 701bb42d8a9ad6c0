//! Settlement from gross to net: a negative net is carried forward, and collected money is remitted to the funder.

use std::sync::Arc;

use fenqi::app::App;
use fenqi::base::id::{FunderId, LineId, LoanId, MerchantId, PurchaseId, mint};
use fenqi::base::{AccountRange, BusinessDay, Fen, When};
use fenqi::funder::actions::BankMovement;
use fenqi::funder::reserve::{Occasion, ReserveEntryKind};
use fenqi::funder::{self, Reserve};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Matcher, Scripted, World};
use fenqi::settlement::payout_actions::Tally;
use fenqi::settlement::{self, PayoutStatus, queue_store};
use fenqi::{business_day, product};
use futures_util::StreamExt as _;
use sqlx::PgPool;
use uuid::Uuid;

use super::house_command::Program;
use crate::house;
use crate::town::{self, SHOP_ACCOUNT};

/// A shop, a funder with a reserve, and the counterfeit payout channel.
pub(super) struct Street {
    pub(super) app: App,
    pub(super) world: Arc<World>,
    pub(super) funder_id: FunderId,
    pub(super) merchant_id: MerchantId,
    product_id: Uuid,
    version: i32,
}

pub(super) struct Sale {
    purchase_id: PurchaseId,
    loan_id: LoanId,
    line_id: LineId,
}

pub(super) async fn street(pool: PgPool, today: &str) -> Street {
    let (app, world) = house::open_in_world(pool, today).await;
    let funder_id = funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let deposit = BankMovement { funder_id, amount: Fen::new(10_000_000), reference: "D-1".into() };
    let _ = funder::deposit(&app, deposit).await.unwrap();
    let text = include_str!("../../../products/merchant-subsidy.toml");
    let published = product::publish(&app, text).await.unwrap();
    let merchant_id = town::accept_shop(&app).await;
    let (product_id, version) = (published.product_id.uuid(), published.version);
    Street { app, world, funder_id, merchant_id, product_id, version }
}

impl Street {
    pub(super) async fn today(&self) -> BusinessDay {
        business_day::store::today(&mut self.app.pool.acquire().await.unwrap()).await.unwrap()
    }

    async fn reserve(&self) -> Reserve {
        let mut connection = self.app.pool.acquire().await.unwrap();
        funder::store::find_reserve(&mut connection, self.funder_id).await.unwrap().unwrap()
    }

    /// An authorised purchase of today with its loan and hold, as the authoriser leaves it.
    pub(super) async fn sell(&self, fen: i64, fee: i64, subsidy: i64) -> Sale {
        let (today, now) = (self.today().await, self.app.clock.now());
        let sale = Sale { purchase_id: PurchaseId::mint(now), loan_id: LoanId::mint(now), line_id: LineId::mint(now) };
        let mut transaction = fenqi::database::begin(&self.app.pool).await.unwrap();
        sqlx::query(
            "insert into purchase (purchase_id, line_id, idempotency_key, request_sha256, merchant_id, product_id,
                                   product_version, periods, amount_fen, status, loan_id, discount_fee_fen,
                                   discount_returned_on_refund, subsidy_fen, business_day, created_at)
             values ($1, $2, 'k', '\\x00', $3, $4, $5, 3, $6, 'authorised', $7, $8, true, $9, $10, $11)",
        )
        .bind(sale.purchase_id)
        .bind(sale.line_id)
        .bind(self.merchant_id)
        .bind(self.product_id)
        .bind(self.version)
        .bind(fen)
        .bind(sale.loan_id)
        .bind(fee)
        .bind(subsidy)
        .bind(today)
        .bind(now)
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query(
            "insert into loan (loan_id, line_id, purchase_id, funder_id, merchant_id, product_id, product_version, grade,
                               periods, annual_rate, principal_fen, status, statement_day, first_statement_on,
                               last_statement_on, made_on)
             values ($1, $2, $3, $4, $5, $6, $7, 'A', 3, 0, $8, 'open', 1, $9, $9, $9)",
        )
        .bind(sale.loan_id)
        .bind(sale.line_id)
        .bind(sale.purchase_id)
        .bind(self.funder_id)
        .bind(self.merchant_id)
        .bind(self.product_id)
        .bind(self.version)
        .bind(fen)
        .bind(today)
        .execute(&mut *transaction)
        .await
        .unwrap();
        let when = When { business_day: today, at: now };
        let mut reserve = funder::lock_reserve(&mut transaction, self.funder_id, when).await.unwrap();
        reserve.hold(Fen::new(fen), today).unwrap();
        let occasion = Occasion { source: sale.purchase_id.to_string(), when };
        let entry = reserve.record(ReserveEntryKind::Hold, Fen::new(fen), occasion);
        funder::save_reserve(&mut transaction, &reserve, &[entry]).await.unwrap();
        transaction.commit().await.unwrap();
        sale
    }

    /// A refund of today, as its use case leaves it for settlement.
    async fn refund(&self, sale: &Sale, fen: i64, fee_returned: i64, subsidy_returned: i64) {
        sqlx::query(
            "insert into refund (refund_id, line_id, purchase_id, loan_id, merchant_id, funder_id, idempotency_key,
                                 amount_fen, principal_fell_fen, owed_back_fen, interest_waived_fen,
                                 discount_fee_returned_fen, subsidy_returned_fen, schedule_version, business_day, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $8, 0, 0, $9, $10, 2, $11, $12)",
        )
        .bind(mint(self.app.clock.now()))
        .bind(sale.line_id)
        .bind(sale.purchase_id)
        .bind(sale.loan_id)
        .bind(self.merchant_id)
        .bind(self.funder_id)
        .bind(mint(self.app.clock.now()).to_string())
        .bind(fen)
        .bind(fee_returned)
        .bind(subsidy_returned)
        .bind(self.today().await)
        .bind(self.app.clock.now())
        .execute(&self.app.pool)
        .await
        .unwrap();
    }

    async fn repay(&self, sale: &Sale, [principal, interest, fee, penalty]: [i64; 4], excess: i64) {
        sqlx::query(
            "insert into repayment (repayment_id, line_id, funder_id, source, source_reference, amount_fen, loan_ids, periods,
                                    principal_fen, interest_fen, fee_fen, penalty_fen, excess_fen, business_day, received_at)
             values ($1, $2, $3, 'transfer', $1::text, $4, array[$5::uuid], array[1::smallint], array[$6::bigint],
                     array[$7::bigint], array[$8::bigint], array[$9::bigint], $10, $11, $12)",
        )
        .bind(mint(self.app.clock.now()))
        .bind(sale.line_id)
        .bind(self.funder_id)
        .bind(principal + interest + fee + penalty + excess)
        .bind(sale.loan_id)
        .bind(principal)
        .bind(interest)
        .bind(fee)
        .bind(penalty)
        .bind(excess)
        .bind(self.today().await)
        .bind(self.app.clock.now())
        .execute(&self.app.pool)
        .await
        .unwrap();
    }

    /// Ends today: the two steps of the close that this feature has, and the next morning.
    pub(super) async fn close(&self) {
        let day = self.today().await;
        let mut transaction = fenqi::database::begin(&self.app.pool).await.unwrap();
        assert!(business_day::store::advance(&mut transaction, day).await.unwrap());
        transaction.commit().await.unwrap();
        self.run_close_steps(day).await;
        self.app.clock.set(day.next().instant("10:00:00".parse().unwrap()));
    }

    async fn run_close_steps(&self, day: BusinessDay) {
        let mut transaction = fenqi::database::begin(&self.app.pool).await.unwrap();
        settlement::close::run(&mut transaction, &self.app, day, AccountRange::ALL).await.unwrap();
        settlement::remittance_close::run(&mut transaction, &self.app, day, AccountRange::ALL).await.unwrap();
        transaction.commit().await.unwrap();
    }

    pub(super) async fn settlement(&self, day: &str) -> settlement::model::SettlementRecord {
        let mut connection = self.app.pool.acquire().await.unwrap();
        let found = settlement::store::find_settlement(&mut connection, self.merchant_id, day.parse().unwrap()).await;
        found.unwrap().expect("the day has a settlement")
    }

    pub(super) fn wait(&self, minutes: i64) {
        self.app.clock.set(self.app.clock.now() + chrono::TimeDelta::minutes(minutes));
    }

    /// Debits less credits of an account over the whole ledger.
    pub(super) async fn balance(&self, account: fenqi::ledger::Account) -> i64 {
        sqlx::query_scalar(
            "select coalesce(sum(case when d = $1 then f else 0 end - case when c = $1 then f else 0 end), 0)::bigint
             from posting, unnest(debit, credit, amount_fen) as leg(d, c, f)",
        )
        .bind(account.number())
        .fetch_one(&self.app.pool)
        .await
        .unwrap()
    }

    pub(super) async fn payouts(&self) -> Vec<(Uuid, PayoutStatus, i16)> {
        sqlx::query_as("select payout_id, status, attempt_no from payout order by created_at, payout_id")
            .fetch_all(&self.app.pool)
            .await
            .unwrap()
    }

    pub(super) fn script(&self, scripted: Scripted) {
        self.world.script("payout", Some(Matcher::new("account", SHOP_ACCOUNT)), vec![scripted]);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_goes_from_gross_to_net_and_is_paid_on_the_next_working_day(pool: PgPool) {
    let street = street(pool, "2026-03-06").await; // a Friday
    street.sell(10_000, 60, 200).await;
    let second = street.sell(5_000, 30, 0).await;
    street.refund(&second, 2_000, 12, 0).await;
    street.close().await;

    let settled = street.settlement("2026-03-06").await;
    assert_eq!(settled.gross, Fen::new(15_000));
    assert_eq!(settled.refunds, Fen::new(2_000));
    assert_eq!(settled.discount_fee, Fen::new(78));
    assert_eq!(settled.subsidy, Fen::new(200));
    assert_eq!(settled.payable, Fen::new(15_000 - 2_000 - 78 - 200));
    assert_eq!(settled.pay_on, "2026-03-09".parse().unwrap());
    let reserve = street.reserve().await;
    assert_eq!((reserve.held, reserve.paid_out), (Fen::ZERO, Fen::new(15_000)));

    // Saturday and Sunday pay nobody.
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 0);
    street.close().await;
    street.close().await;
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 2);
    let paid = street.settlement("2026-03-06").await;
    assert_eq!(paid.paid_on, Some("2026-03-09".parse().unwrap()));
    assert!(paid.bank_reference.is_some());
    assert_eq!(lock(&street.world.payout).paid_to(SHOP_ACCOUNT), 12_722);

    let pieces = settlement::statement(street.app.clone(), street.merchant_id, "2026-03-06".parse().unwrap());
    let pieces: Vec<_> = pieces.map(|piece| piece.unwrap()).collect().await;
    let text = String::from_utf8(pieces.concat()).unwrap();
    let lines = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    assert_eq!((lines("purchase,"), lines("refund,")), (2, 1));
    let sums = text.lines().last().unwrap().split(',').next_back().unwrap();
    assert_eq!(sums, paid.net.get().to_string(), "{text}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn money_is_paid_after_the_spring_festival(pool: PgPool) {
    let street = street(pool, "2026-02-14").await;
    street.sell(10_000, 60, 0).await;
    street.close().await;
    let calendar = &street.app.calendar;
    let expected = calendar.next_working_day("2026-02-14".parse().unwrap()).unwrap();
    assert_eq!(street.settlement("2026-02-14").await.pay_on, expected);
    assert!(expected > "2026-02-20".parse().unwrap(), "{expected} lies after the holiday");

    // What is sold on the days off is paid with it, and the shop reads at its bank which payment is for which day.
    street.sell(20_000, 120, 0).await;
    while street.today().await < expected {
        street.close().await;
    }
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 2);
    let mut read: Vec<_> =
        lock(&street.world.payout).attempts().into_iter().map(|paid| (paid.remark, paid.amount_fen)).collect();
    read.sort();
    let of_days = [("2026-02-14", 9_940), ("2026-02-15", 19_880)].map(|(day, fen)| (format!("settlement {day}"), fen));
    assert_eq!(read, of_days);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_close_of_a_day_run_twice_settles_it_once(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let sale = street.sell(10_000, 60, 100).await;
    street.repay(&sale, [1_000, 50, 0, 0], 0).await;
    street.close().await;
    street.run_close_steps("2026-03-02".parse().unwrap()).await;
    assert_eq!(street.payouts().await.len(), 2);
    assert_eq!(street.reserve().await.paid_out, Fen::new(10_000));
    assert_eq!(street.balance(fenqi::ledger::Account::MerchantPayable).await, -9_840);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_negative_net_is_carried_into_the_next_settlement_once(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let sale = street.sell(10_000, 60, 0).await;
    street.close().await; // 2 March
    let _ = settlement::submit_payouts(&street.app).await.unwrap();

    street.refund(&sale, 6_000, 36, 0).await;
    street.close().await; // 3 March: −5,964
    let carried = street.settlement("2026-03-03").await;
    assert_eq!(carried.status, settlement::payable::PayableStatus::Carried);
    assert_eq!(carried.payable, Fen::new(-5_964));

    street.close().await; // 4 March: nothing sold, still carried
    street.sell(1_000, 6, 0).await;
    street.close().await; // 5 March: 994 − 5,964
    let second = street.settlement("2026-03-05").await;
    assert_eq!((second.carried_in, second.payable), (Fen::new(-5_964), Fen::new(-4_970)));

    street.sell(10_000, 60, 0).await;
    street.close().await; // 6 March: 9,940 − 4,970
    let third = street.settlement("2026-03-06").await;
    assert_eq!((third.carried_in, third.payable), (Fen::new(-4_970), Fen::new(4_970)));

    street.sell(10_000, 60, 0).await;
    street.close().await; // 7 March: the carry is used up
    assert_eq!(street.settlement("2026-03-07").await.carried_in, Fen::ZERO);
    // Whoever looks at a day while it is being settled sees the same before and after.
    let looks = [("03-03", 0, -5_964), ("03-05", -5_964, -4_970), ("03-06", -4_970, 4_970), ("03-07", 0, 9_940)];
    for (day, carried_in, payable) in looks {
        let (app, day) = (&street.app, format!("2026-{day}").parse().unwrap());
        let mut connection = app.pool.acquire().await.unwrap();
        let open = settlement::open_day(&mut connection, app, street.merchant_id, day).await.unwrap().outlook();
        assert_eq!((open.carried_in, open.payable), (Fen::new(carried_in), Fen::new(payable)), "{day}");
    }

    street.close().await;
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 2);
    // What was refunded was booked by the refund itself, which this test does not make: 6,000 less 36 of fee.
    assert_eq!(street.balance(fenqi::ledger::Account::MerchantPayable).await, -5_964);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_closes_a_merchant_hears_what_it_still_owes(pool: PgPool) {
    let street = street(pool.clone(), "2026-03-02").await;
    let fenqi = Program::on(&pool).await;
    let merchant_id = street.merchant_id.to_string();
    let show = || fenqi.done(&["merchant", "show", &merchant_id]);
    let sale = street.sell(10_000, 60, 0).await;
    street.close().await;
    assert!(!show().contains("owes"), "it was paid, and sells on");
    street.refund(&sale, 1_000, 6, 0).await;
    street.close().await; // 3 March: −994
    street.refund(&sale, 5_000, 30, 0).await;
    street.close().await; // 4 March: −4,970 −994
    assert!(show().contains("    owes 59.64 yuan of 2026-03-04, which its next settlement takes off\n"), "{}", show());
    let close = ["merchant", "close", &merchant_id, "--by", "Li Na", "--reason", "the shop has moved away"];
    let closed = fenqi.done(&close);
    assert!(
        closed.contains("it owes 59.64 yuan of 2026-03-04, which nothing takes off but what it has sold since\n"),
        "{closed}"
    );
    for asked in [&close[..], &["merchant", "show", &merchant_id]] {
        let told: serde_json::Value = serde_json::from_str(&fenqi.done(&[asked, &["--json"]].concat())).unwrap();
        assert_eq!(told["owed_fen"], 5_964);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_came_in_is_passed_on_less_the_platforms_share(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let sale = street.sell(30_000, 180, 500).await;
    street.repay(&sale, [10_000, 105, 205, 5], 300).await;
    street.close().await;
    let remitted: (i64, i64, i64, i64, BusinessDay) =
        sqlx::query_as("select collected_fen, subsidy_fen, share_fen, net_fen, pay_on from remittance")
            .fetch_one(&street.app.pool)
            .await
            .unwrap();
    // Shares of 30 %, 30 %, 30 % and 20 %, each rounded once: 31.5, 61.5, 1.5, 100.
    let share = 32 + 62 + 2 + 100;
    let net = 10_315 + 500 - share;
    assert_eq!(remitted, (10_315, 500, share, net, "2026-03-03".parse().unwrap()));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 2);
    assert_eq!(lock(&street.world.payout).paid_to("harbour-bank"), net);
    let status: String = sqlx::query_scalar("select status from remittance").fetch_one(&street.app.pool).await.unwrap();
    assert_eq!(status, "paid");
    assert_eq!(street.balance(fenqi::ledger::Account::ShareIncome).await, -share);
    assert_eq!(street.balance(fenqi::ledger::Account::Cash).await, net - 10_000_000);
    let told: i64 = sqlx::query_scalar("select count(*) from outbox where kind = 'remittance_paid'")
        .fetch_one(&street.app.pool)
        .await
        .unwrap();
    assert_eq!(told, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_subsidy_given_back_is_carried_into_the_next_remittance(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let sale = street.sell(30_000, 180, 500).await;
    street.close().await; // net 400
    street.refund(&sale, 30_000, 180, 500).await;
    street.close().await; // net −400
    street.close().await; // nothing came in: it waits
    let other = street.sell(30_000, 180, 0).await;
    street.repay(&other, [1_000, 0, 0, 0], 0).await;
    street.close().await;
    let nets: Vec<(i64, i64, String)> =
        sqlx::query_as("select net_fen, payable_fen, status from remittance order by business_day")
            .fetch_all(&street.app.pool)
            .await
            .unwrap();
    let expected = [(400, 400, "to_pay"), (-400, -400, "carried"), (1_000, 600, "to_pay")];
    assert_eq!(nets, expected.map(|(net, payable, status)| (net, payable, status.to_owned())));
    let _ = settlement::submit_payouts(&street.app).await.unwrap();
    assert_eq!(lock(&street.world.payout).paid_to("harbour-bank"), 1_000);
    assert_eq!(street.balance(fenqi::ledger::Account::ShareIncome).await, 0);
    assert_eq!(street.balance(fenqi::ledger::Account::CollectionsPayable).await, 1_000);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_advance_that_is_not_repaid_becomes_overdue_at_the_close_of_the_next_working_day(pool: PgPool) {
    let street = street(pool, "2026-03-06").await; // a Friday
    let terms = funder::actions::ReserveTerms { advance_limit: Fen::new(5_000), low_water: Fen::ZERO };
    let _ = funder::set_reserve_terms(&street.app, street.funder_id, terms).await.unwrap();
    street.sell(10_001_000, 0, 0).await;
    street.close().await; // Friday
    street.close().await; // Saturday
    street.close().await; // Sunday
    assert!(!street.reserve().await.advance_overdue);
    street.close().await; // Monday
    let overdue = street.reserve().await;
    assert!(overdue.advance_overdue);
    assert_eq!(overdue.usable(), Fen::ZERO);
    let told: i64 = sqlx::query_scalar("select count(*) from notice where kind = 'advance_overdue'")
        .fetch_one(&street.app.pool)
        .await
        .unwrap();
    assert_eq!(told, 2);
    let partner: String = sqlx::query_scalar("select partner from outbox where kind = 'advance_overdue'")
        .fetch_one(&street.app.pool)
        .await
        .unwrap();
    assert_eq!(partner, "harbour-bank");
    crate::journey::told_as_documented(&street.app.pool).await;
    let repaid = BankMovement { funder_id: street.funder_id, amount: Fen::new(1_000), reference: "D-2".into() };
    let _ = funder::deposit(&street.app, repaid).await.unwrap();
    assert!(!street.reserve().await.advance_overdue);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_low_reserve_is_told_once_a_crossing_and_day_with_a_forecast(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let terms = funder::actions::ReserveTerms { advance_limit: Fen::ZERO, low_water: Fen::new(5_000_000) };
    let _ = funder::set_reserve_terms(&street.app, street.funder_id, terms).await.unwrap();
    let watch = || funder::jobs::watch_reserves(&street.app);
    assert_eq!(watch().await.unwrap(), 0);
    street.sell(7_000_000, 0, 0).await;
    assert_eq!(watch().await.unwrap(), 1);
    assert_eq!(watch().await.unwrap(), 0);
    street.close().await;
    assert_eq!(watch().await.unwrap(), 1);
    let body: serde_json::Value =
        sqlx::query_scalar("select body from outbox where kind = 'reserve_low' order by message_no desc limit 1")
            .fetch_one(&street.app.pool)
            .await
            .unwrap();
    // 7,000,000 on the one day on which it was used: the 3,000,000 that are left do not last the next one.
    assert_eq!(body["runs_dry_on"], "2026-03-03");
    let deposit = BankMovement { funder_id: street.funder_id, amount: Fen::new(2_000_000), reference: "D-2".into() };
    let _ = funder::deposit(&street.app, deposit).await.unwrap();
    assert_eq!(watch().await.unwrap(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_whose_settlement_comes_to_zero_is_paid_nothing(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let sale = street.sell(10_000, 0, 0).await;
    street.refund(&sale, 10_000, 0, 0).await;
    street.close().await;
    let settled = street.settlement("2026-03-02").await;
    assert_eq!(settled.status, settlement::payable::PayableStatus::Nothing);
    assert!(street.payouts().await.is_empty());
    let tally = Tally::default();
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap(), tally);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payout_that_cannot_be_booked_does_not_hold_up_the_others_of_its_batch(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    for (fen, fee) in [(10_000, 60), (20_000, 120)] {
        street.sell(fen, fee, 0).await;
        street.close().await;
    }
    let spoil = "create function spoil() returns trigger language plpgsql as $$ begin raise exception 'spoiled'; end $$;
                 create trigger spoiled before insert on posting
                     for each row when (new.event = 'settlement_paid' and new.amount_fen[1] > 10000) execute function spoil()";
    sqlx::raw_sql(spoil).execute(&street.app.pool).await.unwrap();
    let failure = settlement::submit_payouts(&street.app).await.unwrap_err();
    assert!(format!("{failure:#}").contains("spoiled"), "{failure:#}");
    let statuses = async || street.payouts().await.into_iter().map(|(_, status, _)| status).collect::<Vec<_>>();
    assert_eq!(statuses().await, [PayoutStatus::Succeeded, PayoutStatus::Submitted]);
    sqlx::raw_sql("drop trigger spoiled on posting").execute(&street.app.pool).await.unwrap();
    street.wait(2);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(statuses().await, [PayoutStatus::Succeeded, PayoutStatus::Succeeded]);
    assert_eq!(lock(&street.world.payout).payments(), 2);
}

/// There are as many as merchants were paid on three days, and each minute somebody looks which of them to ask about.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn payouts_that_are_asked_about_later_are_not_looked_through_for_those_that_are_due(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let now = app.clock.now();
    let mut transaction = fenqi::database::begin(&app.pool).await.unwrap();
    let paid = "insert into payout (payout_id, kind, source_id, beneficiary_id, amount_fen, status, bank_reference, pay_on, created_at,
                                    query_at)
                select gen_random_uuid(), 'settlement', gen_random_uuid(), gen_random_uuid(), 1, 'succeeded', 'B-1', '2026-03-02', $1,
                       $1 + interval '1 hour'
                from generate_series(1, 1000)";
    sqlx::query(paid).bind(now).execute(&mut *transaction).await.unwrap();
    // As a plan is that was made for any time.
    let walk = "set local enable_seqscan = off; set local enable_bitmapscan = off";
    sqlx::raw_sql(walk).execute(&mut *transaction).await.unwrap();
    let due = queue_store::claim_to_ask_again(&mut transaction, now, 100, 3).await.unwrap();
    assert!(due.is_empty());
    let looked_at = "select pg_stat_get_xact_tuples_returned('payout_to_ask_again'::regclass)";
    let looked_at: i64 = sqlx::query_scalar(looked_at).fetch_one(&mut *transaction).await.unwrap();
    assert!(looked_at < 10, "{looked_at} of 1000 were looked at");
}
