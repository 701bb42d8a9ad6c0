//! Test helper: a small town to live in, with a funder and its reserve, a shop, products on sale, and lines to buy on. All are made by the
//! real use cases; only lines are written directly, so that a test can choose their days and limits.

use std::sync::Arc;

use fenqi::app::App;
use fenqi::base::id::{BorrowerId, CardId, FunderId, LineId, MerchantId, ProductId};
use fenqi::base::{BusinessDay, Fen};
use fenqi::close::close_day;
use fenqi::error::{Fault, Outcome};
use fenqi::funder::actions::BankMovement;
use fenqi::merchant::actions::{Judgement, Onboarding};
use fenqi::product::ProductVersion;
use fenqi::purchase::{Authoriser, Decision, PurchaseRequest, Receipt};
use fenqi::vault::Field;
use fenqi::{business_day, day_file, funder, merchant, product, purchase, reconcile, repayment, settlement};

/// The shop's settlement account.
pub const SHOP_ACCOUNT: &str = "31001500400050123456";

/// The products on sale: equal installments in 2 to 24 periods, an interest-free one, and one with a flat fee of which the
/// merchant pays half.
const PRODUCTS: [&str; 3] = [
    include_str!("../../products/standard.toml"),
    include_str!("../../products/interest-free.toml"),
    include_str!("../../products/merchant-subsidy.toml"),
];

/// A town; tests read its app and ids directly.
#[derive(Clone)]
pub struct Town {
    pub app: App,
    pub funder_id: FunderId,
    pub merchant_id: MerchantId,
    /// By product code.
    pub products: Vec<Arc<ProductVersion>>,
}

/// A line as a test wants it.
#[derive(Clone, Copy)]
pub struct LineWish {
    pub limit_fen: i64,
    pub statement_day: i16,
    pub due_day: i16,
    pub expires_on: &'static str,
}

/// Founds the town with the shipped products and so much money in the reserve.
pub async fn found(app: App, reserve_fen: i64) -> Town {
    let funder_id = funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    for text in PRODUCTS {
        product::publish(&app, text).await.unwrap();
    }
    let town = open_shop(app, funder_id).await;
    town.deposit(reserve_fen, "D-1").await;
    town
}

/// Opens the shop in a house whose funder and products exist already.
pub async fn open_shop(app: App, funder_id: FunderId) -> Town {
    let merchant_id = accept_shop(&app).await;
    let products = app.catalogue.load_on_sale(&mut app.pool.acquire().await.unwrap()).await.unwrap();
    Town { app, funder_id, merchant_id, products }
}

/// The shop applies, and is accepted.
pub async fn accept_shop(app: &App) -> MerchantId {
    let merchant_id =
        merchant::onboard(app, &stated("上海老王家居有限公司", "91350100M000100Y43", "home")).await.unwrap();
    judge(app, merchant_id, merchant::Decision::Accept).await;
    merchant_id
}

/// Another merchant of the town applies, and waits to be accepted.
pub async fn neighbour_applies(app: &App) -> MerchantId {
    let stated = Onboarding {
        account_number: "9558800000001234567".into(),
        ..stated("上海小李数码有限公司", "91310000000000123W", "electronics")
    };
    merchant::onboard(app, &stated).await.unwrap()
}

/// What a merchant states when it applies, with the shop's account.
fn stated(name: &str, credit_code: &str, category: &str) -> Onboarding {
    Onboarding {
        name: name.into(),
        credit_code: credit_code.into(),
        category: category.into(),
        account_name: name.into(),
        account_number: SHOP_ACCOUNT.into(),
        contact_mobile: "13800138000".into(),
        latin: None,
        discount_rate: "0.006".parse().unwrap(),
        discount_returned_on_refund: true,
    }
}

/// Decides about a merchant, as the operator Li.
pub async fn judge(app: &App, merchant_id: MerchantId, decision: merchant::Decision) {
    let judgement =
        Judgement { merchant_id, decision, decided_by: "operator:li".into(), reason: "papers checked".into() };
    let _ = merchant::decide(app, &judgement).await.unwrap();
}

/// A town that another process has founded, read from its database.
pub async fn find(app: App) -> Town {
    let mut connection = app.pool.acquire().await.unwrap();
    let (funder_id, merchant_id): (FunderId, MerchantId) =
        sqlx::query_as("select funder_id, merchant_id from funder cross join merchant")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    let products = app.catalogue.load_on_sale(&mut connection).await.unwrap();
    drop(connection);
    Town { app, funder_id, merchant_id, products }
}

impl Town {
    /// Books a deposit into the funder's reserve.
    pub async fn deposit(&self, fen: i64, reference: &str) {
        let amount = Fen::new(fen);
        let deposit = BankMovement { funder_id: self.funder_id, amount, reference: reference.into() };
        let _ = funder::deposit(&self.app, deposit).await.unwrap();
    }

    /// The product of that code.
    pub fn product(&self, code: &str) -> &ProductVersion {
        self.products.iter().find(|product| product.terms.code == code).expect("a product of the town")
    }

    /// Inserts lines of grade A, each for a borrower of its own with a bound card whose agreement is `AG-<line>`.
    pub async fn open_lines(&self, count: usize, wish: LineWish) -> Vec<LineId> {
        let standard = self.product("harbour-standard");
        let mut transaction = fenqi::database::begin(&self.app.pool).await.unwrap();
        let mut lines = Vec::with_capacity(count);
        for number in 0..count {
            let now = self.app.clock.now();
            let (line_id, borrower_id) = (LineId::mint(now), BorrowerId::mint(now));
            let (key, key_sealed) = self.app.vault.new_person_key(borrower_id.uuid());
            let statements = [
                "insert into borrower (borrower_id, person_key_sealed, name_sealed, id_number_sealed, mobile_sealed,
                                       birth_on, region_code, created_at)
                 values ($1, $2, $3, $5, $4, '1990-01-01', '310101', now())",
                "insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                        agreement_number, agreement_signed_at, status, is_default)
                 values ($1, $2, $3, '', '0128', '', $4, '2020-01-01', 'bound', true)",
                "insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status,
                                          limit_fen, used_fen, statement_day, due_day, expires_on, last_entry_no, opened_at)
                 values ($1, $2, $3, $4, 1, 'A', 'active', $5, 0, $6, $7, $8, 1, now())",
                "insert into line_entry values ($1, 1, 'opened', 0, $2, 0, $2, null, null, $3, now())",
            ];
            let card_number = format!("62220212345678{number:05}");
            let name = key.seal(Field::Name, "王小明");
            let id_number = key.seal(Field::IdNumber, "11010519491231002X");
            let card = key.seal(Field::CardNumber, &card_number);
            let mobile = key.seal(Field::Mobile, "13800138000");
            let agreement = format!("AG-{}", line_id.uuid());
            let expires_on: BusinessDay = wish.expires_on.parse().unwrap();
            let queries = [
                sqlx::query(statements[0]).bind(borrower_id).bind(key_sealed).bind(name).bind(mobile).bind(id_number),
                sqlx::query(statements[1]).bind(borrower_id).bind(CardId::mint(now)).bind(card).bind(agreement),
                sqlx::query(statements[2])
                    .bind(line_id)
                    .bind(borrower_id)
                    .bind(self.funder_id)
                    .bind(standard.product_id)
                    .bind(wish.limit_fen)
                    .bind(wish.statement_day)
                    .bind(wish.due_day)
                    .bind(expires_on),
                sqlx::query(statements[3]).bind(line_id).bind(wish.limit_fen).bind(BusinessDay::at(now)),
            ];
            for query in queries {
                query.execute(&mut *transaction).await.unwrap();
            }
            lines.push(line_id);
        }
        transaction.commit().await.unwrap();
        lines
    }

    /// A request to buy at the shop, on a line, for so much, with a product's code and a number of periods.
    pub fn wish(&self, line_id: LineId, key: &str, fen: i64, product: (&str, u16)) -> PurchaseRequest {
        let (code, periods) = product;
        let product = self.product(code);
        PurchaseRequest {
            line_id,
            idempotency_key: key.to_owned(),
            merchant_id: self.merchant_id,
            order_code: None,
            product_id: product.product_id,
            product_version: product.version,
            periods,
            amount: Fen::new(fen),
        }
    }

    /// Buys everything at once; each wish must be authorised.
    pub async fn buy(&self, wishes: Vec<PurchaseRequest>) -> Vec<Receipt> {
        let authoriser = Authoriser::start(self.app.clone());
        let asked = wishes.into_iter().map(|wish| authoriser.authorise(wish));
        let mut receipts = Vec::new();
        for answer in futures_util::future::join_all(asked).await {
            let receipt = answer.unwrap();
            assert!(matches!(receipt.decision, Decision::Authorised { .. }), "{receipt:?}");
            receipts.push(receipt);
        }
        receipts
    }

    pub async fn today(&self) -> BusinessDay {
        business_day::store::today(&mut self.app.pool.acquire().await.unwrap()).await.unwrap()
    }

    /// Sets the clock to a time of a day in Shanghai.
    pub fn set_time(&self, day: BusinessDay, time: &str) {
        self.app.clock.set(day.instant(time.parse().unwrap()));
    }

    /// Does what the timetable does from a day's morning to its evening: funders' files, payouts, the channels' files of the
    /// day before, withholding at its times, and asking about unknown results.
    pub async fn work_through(&self, day: BusinessDay) {
        let app = &self.app;
        self.set_time(day, "08:30:00");
        // Making a file fails if its sums are wrong.
        day_file::jobs::make_files(app).await.unwrap();
        settlement::submit_payouts(app).await.unwrap();
        self.set_time(day, "08:45:00");
        settlement::query_payouts(app).await.unwrap();
        // Only a channel's file says for certain that the channel never received an order.
        reconcile::fetch_channel_files(app).await.unwrap();
        for (time, later) in [("09:00:00", "09:45:00"), ("15:00:00", "15:45:00"), ("20:30:00", "21:15:00")] {
            self.set_time(day, time);
            repayment::jobs::retry_withholdings(app).await.unwrap();
            repayment::jobs::submit_withholdings(app).await.unwrap();
            self.set_time(day, later);
            repayment::jobs::query_unknowns(app).await.unwrap();
            settlement::query_payouts(app).await.unwrap();
        }
    }

    /// Closes today; then it is the next morning.
    pub async fn close_today(&self) {
        let day = self.today().await;
        self.set_time(day.next(), "00:05:00");
        close_day(&self.app, day).await.unwrap();
        self.set_time(day.next(), "10:00:00");
    }

    /// Works through days and closes them until it is the morning of `day`.
    pub async fn live_until(&self, day: &str) {
        let until: BusinessDay = day.parse().unwrap();
        while self.today().await < until {
            self.work_through(self.today().await).await;
            self.close_today().await;
        }
    }

    pub async fn refund(&self, receipt: &Receipt, fen: i64, key: &str) {
        let request = purchase::actions::RefundRequest {
            purchase_id: receipt.purchase_id,
            amount: Fen::new(fen),
            idempotency_key: key.to_owned(),
        };
        purchase::actions::refund(&self.app, request).await.unwrap();
    }

    pub async fn void(&self, receipt: &Receipt) {
        let _ = purchase::actions::void(&self.app, receipt.purchase_id).await.unwrap();
    }

    /// The amount or count that a query returns.
    pub async fn fen(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.app.pool).await.unwrap()
    }

    /// What is used of the town's one line.
    pub async fn used(&self) -> i64 {
        self.fen("select used_fen from credit_line").await
    }

    /// The name of the town's database.
    pub async fn database_name(&self) -> String {
        sqlx::query_scalar("select current_database()::text").fetch_one(&self.app.pool).await.unwrap()
    }

    /// Asserts that `fenqi verify` finds nothing wrong; `when` is for the message.
    pub async fn assert_whole(&self, when: &str) {
        let findings = fenqi::verify::verify(&self.app.pool).await.unwrap();
        assert!(findings.is_empty(), "{when}: {findings:#?}");
    }
}

/// A product's id and version, as applications name it.
pub fn named(product: &ProductVersion) -> (ProductId, i32) {
    (product.product_id, product.version)
}

/// The refusal of a use case.
///
/// # Panics
/// If it was not refused.
pub fn refused<T: std::fmt::Debug, R: std::fmt::Debug>(outcome: Outcome<T, R>) -> R {
    match outcome {
        Err(Fault::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// The result of a use case that may be refused; `None` if it was.
///
/// # Panics
/// If it failed.
pub fn unless_failed<T, R: std::fmt::Debug>(outcome: Outcome<T, R>) -> Option<T> {
    match outcome {
        Ok(done) => Some(done),
        Err(Fault::Refused(_)) => None,
        Err(Fault::Failed(failure)) => panic!("{failure:#}"),
    }
}
