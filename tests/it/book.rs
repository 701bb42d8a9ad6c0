//! Test helper: a small book to collect from, which is one line with one loan of three installments, made without a purchase.

use fenqi::app::App;
use fenqi::base::id::{BorrowerId, CardId, FunderId, LineId, LoanId};
use fenqi::base::{AccountRange, BusinessDay, Fen};
use fenqi::{bill, overdue, product, repayment};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The card's agreement, by which the counterfeit channels know it.
pub const AGREEMENT: &str = "AG-1";
/// Statements on the 5th, due on the 25th; penalty 0.36 ÷ 360 a day after 3 days of grace; frozen on day 4.
pub const TERMS: &str = r#"
code = "test-principal"
name = "Test principal"
funder = "test-bank"
valid_from = 2024-01-01
apr_cap = 0.24
[line]
limit_min_fen = 50_000
limit_max_fen = 20_000_000
statement_days = [5]
due_days_after = 20
valid_months = 36
[purchase]
amount_min_fen = 50_000
amount_max_fen = 10_000_000
per_day_max = 20
merchant_categories = []
grades = ["A"]
[[plan]]
periods = [3]
method = "equal_principal"
day_count = "monthly"
prices = { A = 0.144 }
[penalty]
multiple = 1.5
basis_days = 360
grace_days = 3
[early_payoff]
interest = "to_date"
fee_rate = 0.01
[allocation]
order = ["fee", "penalty", "interest", "principal"]
[allocation.after]
days = 90
order = ["principal", "interest", "fee", "penalty"]
[withholding]
times = ["09:00", "15:00"]
days = [0, 1, 3]
partial_allowed = true
[refund]
order = "last_first"
returns_billed_interest = false
[overdue]
freeze_day = 4
claim_day = 80
charge_off_day = 180
[profit_share]
interest = 0.1
fee = 0.1
penalty = 0.1
subsidy = 0.1
"#;

/// The house, its line and its loan.
pub struct Book {
    pub app: App,
    pub line_id: LineId,
    pub loan_id: LoanId,
}

/// Inserts the loan: principal 300,000 fen in three equal parts, interest 3,600, 2,400 and 1,200, due on 25 February, March
/// and April 2026.
pub async fn keep(app: App) -> Book {
    let now = app.clock.now();
    let funder_id = FunderId::mint(now);
    run(
        &app.pool,
        "insert into funder (funder_id, code, name, created_at) values ($1, 'test-bank', 'Test bank', now())",
        &[funder_id.uuid()],
    )
    .await;
    let published = product::publish(&app, TERMS).await.unwrap();
    let (line_id, loan_id) = (LineId::mint(now), LoanId::mint(now));
    let (borrower_id, card_id) = (BorrowerId::mint(now), CardId::mint(now));
    let product_id = published.product_id.uuid();
    let card = "insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                       agreement_number, agreement_signed_at, status, is_default)
                values ($1, $2, '\\x00', '\\x01', '1234', '\\x00', 'AG-1', '2026-01-10', 'bound', true)";
    run(&app.pool, card, &[borrower_id.uuid(), card_id.uuid()]).await;
    let line = "insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status,
                                         limit_fen, used_fen, statement_day, due_day, expires_on, last_entry_no, opened_at)
                values ($1, $2, $3, $4, 1, 'A', 'active', 1000000, 300000, 5, 25, '2029-01-01', 1, now())";
    run(&app.pool, line, &[line_id.uuid(), borrower_id.uuid(), funder_id.uuid(), product_id]).await;
    let entry = "insert into line_entry values ($1, 1, 'opened', 300000, 1000000, 300000, 1000000, null, null, '2026-01-10', now())";
    run(&app.pool, entry, &[line_id.uuid()]).await;
    let loan = "insert into loan (loan_id, line_id, purchase_id, funder_id, merchant_id, product_id, product_version, grade,
                                  periods, annual_rate, principal_fen, status, statement_day, first_statement_on,
                                  last_statement_on, made_on)
                values ($1, $2, $1, $3, $1, $4, 1, 'A', 3, 0.24, 300000, 'open', 5, '2026-02-05', '2026-04-05', '2026-01-25')";
    run(&app.pool, loan, &[loan_id.uuid(), line_id.uuid(), funder_id.uuid(), product_id]).await;
    let schedule = "insert into schedule values ($1, $2, 1, 'made', '{2026-02-25,2026-03-25,2026-04-25}',
                    '{100000,100000,100000}', '{3600,2400,1200}', '{0,0,0}', '2026-01-25')";
    run(&app.pool, schedule, &[loan_id.uuid(), line_id.uuid()]).await;
    let posting = "insert into posting values (gen_random_uuid(), $1, $2, 'purchase', $3, '{201}', '{202}', '{300000}', null, '2026-01-25', now())";
    run(&app.pool, posting, &[line_id.uuid(), funder_id.uuid(), loan_id.uuid()]).await;
    Book { app, line_id, loan_id }
}

impl Book {
    /// Closes days until it is the morning of `day`. Only statements, withholding orders and overdue are run, and only on
    /// days that have any.
    pub async fn live_until(&self, day: &str) {
        let until: BusinessDay = day.parse().unwrap();
        loop {
            let mut transaction = fenqi::database::begin(&self.app.pool).await.unwrap();
            let today = fenqi::business_day::store::today(&mut transaction).await.unwrap();
            if today >= until {
                break;
            }
            assert!(fenqi::business_day::store::advance(&mut transaction, today).await.unwrap());
            if !is_quiet(&mut transaction, today).await {
                let (app, all) = (&self.app, AccountRange::ALL);
                bill::close::run(&mut transaction, app, today, all).await.unwrap();
                repayment::close::run(&mut transaction, app, today, all).await.unwrap();
                overdue::close::run(&mut transaction, app, today, all).await.unwrap();
            }
            transaction.commit().await.unwrap();
        }
        self.set_time(day, "10:00:00");
    }

    /// Sets the clock to a time of a day in Shanghai.
    pub fn set_time(&self, day: &str, time: &str) {
        let day: BusinessDay = day.parse().unwrap();
        self.app.clock.set(day.instant(time.parse().unwrap()));
    }

    /// The amounts that a query returns; `$1` is the line.
    pub async fn fen(&self, query: &'static str) -> Vec<i64> {
        sqlx::query_scalar(query).bind(self.line_id.uuid()).fetch_all(&self.app.pool).await.unwrap()
    }

    /// The texts that a query returns; `$1` is the line.
    pub async fn words(&self, query: &'static str) -> Vec<String> {
        sqlx::query_scalar(query).bind(self.line_id.uuid()).fetch_all(&self.app.pool).await.unwrap()
    }

    /// Each order as `channel status failure amount collected`, in the order in which they were made.
    pub async fn orders(&self) -> Vec<String> {
        self.words(
            "select concat_ws(' ', channel, status, failure, amount_fen, collected_fen) from withholding where line_id = $1
             order by business_day, attempt_no, created_at",
        )
        .await
    }

    pub async fn used(&self) -> Fen {
        Fen::new(self.fen("select used_fen from credit_line where line_id = $1").await[0])
    }

    /// Asserts that `fenqi verify` finds nothing wrong, beside what a book without purchases cannot have right.
    pub async fn assert_whole(&self) {
        let findings = fenqi::verify::verify(&self.app.pool).await.unwrap();
        let of_purchases = ["reference", "no order to collect", "names", "merchant", "interest receivable"];
        let left: Vec<_> = findings
            .into_iter()
            .filter(|finding| !of_purchases.iter().any(|word| finding.identity.contains(word)))
            .collect();
        assert!(left.is_empty(), "{left:#?}");
    }
}

/// Whether closing a day would do nothing: no statement is due, and no open bill is late or due within the three days before
/// which its borrower is reminded. Most tests live twenty days until the first bill is due, of which all but four are quiet.
async fn is_quiet(connection: &mut PgConnection, day: BusinessDay) -> bool {
    let busy = "select exists (select from loan where statement_day = $1)
                    or exists (select from bill where status = 'open' and due_on <= $2)";
    let busy = sqlx::query_scalar(busy).bind(i16::from(day.day_of_month())).bind(day.plus_days(3));
    let busy: bool = busy.fetch_one(connection).await.unwrap();
    // At the end of a month the statements of the days that it lacks are due too.
    !busy && !day.is_month_end()
}

/// Runs a statement with these ids as its parameters.
async fn run(pool: &PgPool, statement: &'static str, ids: &[Uuid]) {
    let mut query = sqlx::query(statement);
    for id in ids {
        query = query.bind(*id);
    }
    query.execute(pool).await.unwrap();
}
