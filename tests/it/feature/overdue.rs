//! Penalty agrees with the golden cases, a bill that is paid while the close looks for late ones freezes nothing, and a late loan is
//! charged off once.

use fenqi::base::id::LoanId;
use fenqi::base::{AccountRange, BusinessDay, Fen, Rate};
use fenqi::bill::{Parts, load_recovered};
use fenqi::ledger::Account;
use fenqi::overdue::{OverdueSpan, PenaltyRule};
use fenqi::product::terms::{PenaltyBase, PenaltyRate, PenaltyTerms};

use sqlx::PgPool;
use uuid::Uuid;

use crate::book;
use crate::golden::{golden, text};
use crate::house;
use crate::town::{self, LineWish};

fn rate(percent: &str) -> Rate {
    let percent: rust_decimal::Decimal = percent.parse().unwrap();
    Rate::from_fraction(percent / rust_decimal::Decimal::ONE_HUNDRED).unwrap()
}

#[test]
fn the_golden_penalties_hold_in_one_span_and_in_parts() {
    let file = golden("penalty_interest.json");
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let terms = PenaltyTerms {
            rate: PenaltyRate::Multiple(text(case, "multiplier").parse().unwrap()),
            base: PenaltyBase::Principal,
            basis_days: case["day_basis"].as_u64().unwrap() as u16,
            grace_days: 0,
        };
        let rule = PenaltyRule::new(&terms, rate(text(case, "contract_annual_rate_percent")));
        let principal = Fen::new(case["overdue_principal_fen"].as_i64().unwrap());
        let days = case["overdue_days"].as_u64().unwrap() as u32;
        let expected = Fen::new(case["penalty_fen"].as_i64().unwrap());

        let due_on: BusinessDay = "2026-01-31".parse().unwrap();
        let mut span = OverdueSpan::new(due_on);
        let end = due_on.plus_days(days);
        assert_eq!(span.penalty_on(&rule, principal, end), expected, "{case}");
        // Noting the principal in the middle splits the span; one rounding at the end keeps the sum.
        span.base_changes_on(&rule, principal, due_on.plus_days(days / 2));
        assert_eq!(span.penalty_on(&rule, principal, end), expected, "in parts: {case}");
    }
    assert_eq!(cases.len(), 7);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bill_that_is_paid_while_the_close_looks_for_late_ones_freezes_nothing(pool: PgPool) {
    let town = town::found(house::open(pool, "2026-03-02").await, 10_000_000).await;
    let wish = LineWish { limit_fen: 900_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
    let line = town.open_lines(1, wish).await[0];
    town.buy(vec![town.wish(line, "p-1", 9_000, ("harbour-standard", 3))]).await;
    let billed = "insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status)
                  select line_id, '2026-03-30', '2026-03-10', 3000, 0, 0, 'open' from loan;
                  insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen)
                  select line_id, loan_id, 1, '2026-03-30', 3000, 0, 0 from loan";
    sqlx::raw_sql(billed).execute(&town.app.pool).await.unwrap();
    // The day on whose close the bill freezes its line.
    let close_overdue = async || {
        let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
        let day = "2026-04-03".parse().unwrap();
        fenqi::overdue::close::run(&mut transaction, &town.app, day, AccountRange::ALL).await.unwrap();
        transaction.commit().await.unwrap();
    };
    let mut paying = fenqi::database::begin(&town.app.pool).await.unwrap();
    let paid = "select from credit_line for update;
                update bill_line set principal_paid_fen = 3000;
                update bill set status = 'paid', paid_on = '2026-04-03'";
    sqlx::raw_sql(paid).execute(&mut *paying).await.unwrap();
    tokio::join!(close_overdue(), async {
        house::until_somebody_waits(&town.app.pool).await;
        paying.commit().await.unwrap();
    });
    assert_eq!(town.fen("select count(*) from credit_line where status = 'active'").await, 1);
    assert_eq!(town.fen("select count(*) from outbox where kind in ('overdue', 'line_changed')").await, 0);

    let unpaid = "update bill_line set principal_paid_fen = 0; update bill set status = 'open', paid_on = null";
    sqlx::raw_sql(unpaid).execute(&town.app.pool).await.unwrap();
    close_overdue().await;
    assert_eq!(town.fen("select count(*) from credit_line where status = 'frozen'").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_loan_that_was_too_late_before_loans_were_written_off_is_written_off_once(pool: PgPool) {
    let book = book::keep(house::open(pool, "2026-02-05").await).await;
    book.live_until("2026-03-02").await;
    let close_overdue = async |day: &str| {
        let mut transaction = fenqi::database::begin(&book.app.pool).await.unwrap();
        let day = day.parse().unwrap();
        fenqi::overdue::close::run(&mut transaction, &book.app, day, AccountRange::ALL).await.unwrap();
        transaction.commit().await.unwrap();
        book.fen("select principal_fen + interest_fen from charge_off where line_id = $1").await
    };
    let look_back = async || {
        let lines = "insert into charge_off_look_back select line_id from credit_line";
        sqlx::query(lines).execute(&book.app.pool).await.unwrap();
    };
    // The bill of 25 February is written off on 24 August, by its own close; a day that went by is not looked at again.
    look_back().await;
    assert_eq!(close_overdue("2026-08-23").await, [0_i64; 0]);
    assert_eq!(close_overdue("2026-11-30").await, [0_i64; 0]);
    look_back().await;
    // All that is lent, and the interest of three rows that have fallen due.
    assert_eq!(close_overdue("2026-12-01").await, [307_200]);
    assert_eq!(close_overdue("2026-12-02").await, [307_200]);
    let told = "select count(*) from outbox where kind = 'charge_off' and $1::uuid is not null";
    assert_eq!(book.fen(told).await, [1]);
    assert_eq!(book.fen("select count(*) from charge_off_look_back where line_id = $1").await, [0]);

    // Another loan of the line is lost a day later, after a payment of that day came for both: it recovered nothing of that one.
    let (line_id, other, payment) = (book.line_id.uuid(), LoanId::from_uuid(Uuid::from_u128(7)), Uuid::from_u128(8));
    let lost = "insert into charge_off select line_id, $2, funder_id, '2026-12-02', 1, 50, 5, 0, gen_random_uuid()
                from credit_line where line_id = $1";
    sqlx::query(lost).bind(line_id).bind(other.uuid()).execute(&book.app.pool).await.unwrap();
    let paid = "insert into repayment (repayment_id, line_id, funder_id, source, source_reference, amount_fen, loan_ids, periods,
                                       principal_fen, interest_fen, fee_fen, penalty_fen, business_day, received_at)
                select $2, line_id, funder_id, 'transfer', 'T-1', 165, array[$3, $4], '{1,1}', '{100,50}', '{10,5}', '{0,0}',
                       '{0,0}', '2026-12-02', now()
                from credit_line where line_id = $1";
    let loans = (book.loan_id.uuid(), other.uuid());
    let query = sqlx::query(paid).bind(line_id).bind(payment).bind(loans.0).bind(loans.1);
    query.execute(&book.app.pool).await.unwrap();
    let posted =
        "insert into posting select $2, line_id, funder_id, 'repayment', $2, array[$3], array[$4], '{110}', null,
                                             '2026-12-02', now()
                  from credit_line where line_id = $1";
    let legs = (Account::ChargedOff.number(), Account::RecoveryIncome.number());
    let query = sqlx::query(posted).bind(line_id).bind(payment).bind(legs.0).bind(legs.1);
    query.execute(&book.app.pool).await.unwrap();
    let mut connection = book.app.pool.acquire().await.unwrap();
    let interest = Parts { interest: Fen::new(10), ..Parts::default() };
    assert_eq!(load_recovered(&mut connection, book.line_id, book.loan_id).await.unwrap(), [(1_i16, interest)]);
    assert!(load_recovered(&mut connection, book.line_id, other).await.unwrap().is_empty());
}
