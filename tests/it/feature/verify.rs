//! The identities of `fenqi verify` hold in an empty house, and find what plain SQL has falsified.

use fenqi::verify::store::{IDENTITIES, check};
use fenqi::verify::{Finding, verify};
use sqlx::{Connection, PgPool};

use super::day_file::{LATE, begun};
use crate::town::{self, LineWish, Town};
use crate::{book, house};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_empty_house_satisfies_every_identity(pool: PgPool) {
    assert_eq!(verify(&pool).await.unwrap(), []);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_that_uses_what_no_loan_explains_is_found(pool: PgPool) {
    sqlx::query(
        "insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status, limit_fen,
                                  used_fen, statement_day, due_day, expires_on, opened_at)
         values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'A', 'active', 1000, 1, 1, 21,
                 '2030-01-01', now())",
    )
    .execute(&pool)
    .await
    .unwrap();
    let findings = verify(&pool).await.unwrap();
    let said = findings.iter().map(|finding| {
        let subject = finding.subject.split_once(' ').map_or("", |(_, part)| part);
        (finding.identity, subject, finding.expected, finding.found)
    });
    let said: Vec<(&str, &str, i64, i64)> = said.collect();
    // It has no journal: each part that should stand there is told for itself.
    assert_eq!(
        said,
        [
            ("what a line has used is the unpaid principal of its loans", "", 0, 1),
            ("a line stands where its journal ends", "limit", 0, 1000),
            ("a line stands where its journal ends", "used", 0, 1),
        ]
    );
}

/// Its day is the one in Shanghai, which begins eight hours before the one of the database's sessions.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_of_yesterdays_small_hours_has_not_waited_for_more_than_a_day(pool: PgPool) {
    let _app = house::open(pool.clone(), "2026-03-03").await;
    sqlx::query(
        "insert into application (borrower_id, application_id, product_id, product_version, idempotency_key, request_sha256, facts,
                                  status, created_at)
         values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'k', sha256('k'), '{}', 'submitted',
                 '2026-03-02 01:00:00+08')",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(verify(&pool).await.unwrap(), []);
    sqlx::query("update business_day set today = '2026-03-04'").execute(&pool).await.unwrap();
    let waits = "no application waits for the risk hook for more than a day";
    let found = verify(&pool).await.unwrap();
    let waited: Vec<i64> = found.iter().filter(|one| one.identity == waits).map(|one| one.found).collect();
    assert_eq!(waited, [2]);
}

/// A town whose merchant sold and paid a part of the price of it, took some back, and whose borrower paid yesterday.
async fn lived(pool: PgPool) -> Town {
    let (app, _) = house::open_in_world(pool, "2026-03-02").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 2_000_000, statement_day: 5, due_day: 25, expires_on: "2029-03-01" };
    let line_id = town.open_lines(1, wish).await[0];
    let sofa = town.buy(vec![town.wish(line_id, "sofa", 120_000, ("harbour-shared-fee", 3))]).await.remove(0);
    town.live_until("2026-03-04").await;
    town.refund(&sofa, 20_000, "back").await;
    town.live_until("2026-03-10").await;
    town.buy(vec![town.wish(line_id, "lamp", 90_000, ("harbour-shared-fee", 3))]).await;
    town.live_until("2026-03-26").await;
    assert_eq!(town.fen("select count(*) from settlement where carried_into is not null").await, 1);
    town.assert_whole("before anything is spoilt").await;
    town
}

/// One thing that is spoilt in settlements and remittances, and the identities that speak then, and no other.
const SPOILT: [(&str, &[&str]); 5] = [
    // What was never sold was taken back.
    (
        "with part as (update settlement_part set gross_fen = gross_fen + 1, refunds_fen = refunds_fen + 1
                       where refunds_fen > 0 returning settlement_id)
         update settlement s set gross_fen = gross_fen + 1, refunds_fen = refunds_fen + 1
         from part where s.settlement_id = part.settlement_id",
        &[
            "a settlement's parts are the purchases and refunds of its day",
            "what is cleared, paid in, settled by hand and earned is booked one by one",
        ],
    ),
    // It takes more fee and less subsidy than its parts.
    (
        "update settlement set discount_fee_fen = discount_fee_fen + 1, subsidy_fen = subsidy_fen - 1
         where business_day = '2026-03-10'",
        &["a settlement is the sum of its parts and of what was carried into it"],
    ),
    // It takes in what another one took in.
    (
        "update settlement set carried_into = (select settlement_id from settlement where business_day = '2026-03-02')
         where carried_into is not null",
        &[
            "a settlement is the sum of its parts and of what was carried into it",
            "what is carried into a settlement is what its merchant's days before left, funder by funder",
        ],
    ),
    // A day of repayments is not remitted. What it paid stands alone, too, and goes to nobody that it is owed to.
    (
        "with gone as (delete from remittance_part p using remittance r
                       where r.remittance_id = p.remittance_id and r.business_day = '2026-03-25'
                       returning p.remittance_id)
         delete from remittance where remittance_id in (select remittance_id from gone)",
        &[
            "a day on which a funder's borrowers paid is remitted",
            "what is owed to merchants, funders and cards has one payment of its amount, and is paid when that is",
            "what is paid out goes to whom it is owed",
        ],
    ),
    // No settlement held the subsidy back that is remitted. It was paid, and the books know of no such subsidy and share either.
    (
        "update remittance set subsidy_fen = subsidy_fen + 1, share_fen = share_fen + 1 where business_day = '2026-03-10'",
        &[
            "income, costs and what is on its way to funders are what the events behind them say",
            "the subsidy that is remitted for a day is what its settlements held back",
        ],
    ),
];

/// Of a funder that sold nothing that day, which pays for what was carried; the settlement's own sums are right.
const CARRIED_BY_ANOTHER: &str = "
    with other as (insert into funder (funder_id, code, name, created_at)
                   values (gen_random_uuid(), 'other', 'Other', now()) returning funder_id),
         moved as (update settlement_part p set carried_in_fen = 0
                   from settlement c where c.carried_into = p.settlement_id and p.carried_in_fen <> 0
                   returning p.settlement_id, c.payable_fen)
    insert into settlement_part (settlement_id, funder_id, gross_fen, refunds_fen, discount_fee_fen, discount_returned_fen,
                                 subsidy_fen, subsidy_returned_fen, carried_in_fen)
    select m.settlement_id, o.funder_id, 0, 0, 0, 0, 0, 0, m.payable_fen from moved m cross join other o";

/// How many rows were spoilt, and what is found then; nothing of it stays.
async fn spoil(town: &Town, spoil: &'static str) -> (u64, Vec<Finding>) {
    let mut connection = town.app.pool.acquire().await.unwrap();
    let mut spoilt = connection.begin().await.unwrap();
    let rows = sqlx::query(spoil).execute(&mut *spoilt).await.unwrap().rows_affected();
    let (mut findings, mut booked) = (Vec::new(), None);
    for identity in IDENTITIES {
        findings.extend(check(&mut spoilt, identity, &mut booked).await.unwrap());
    }
    spoilt.rollback().await.unwrap();
    (rows, findings)
}

/// One life for all of them, which takes longer than to look at what each has spoilt.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_spoilt_in_settlements_and_remittances_is_found_by_the_identities_that_it_breaks(pool: PgPool) {
    let town = lived(pool).await;
    for (change, identities) in SPOILT {
        let (rows, findings) = spoil(&town, change).await;
        assert!(rows > 0, "{change}");
        let mut speak: Vec<&str> = findings.iter().map(|finding| finding.identity).collect();
        speak.dedup();
        assert_eq!(speak, identities, "{change}");
    }
    another_funder_that_pays_for_what_was_carried_is_found(&town).await;
    another_share_of_the_subsidy_that_a_refund_in_parts_brings_back_is_found(&town).await;
    town.assert_whole("when all of it was taken back").await;
}

async fn another_funder_that_pays_for_what_was_carried_is_found(town: &Town) {
    let (rows, found) = spoil(town, CARRIED_BY_ANOTHER).await;
    assert_eq!(rows, 1);
    let sentence = "what is carried into a settlement is what its merchant's days before left, funder by funder";
    let carried: Vec<(i64, i64)> =
        found.iter().filter(|one| one.identity == sentence).map(|one| (one.expected, one.found)).collect();
    // Of one funder too much, of the other one nothing; the one that left it is asked for no part of it.
    let left = town.fen("select payable_fen from settlement where carried_into is not null").await;
    assert_eq!(carried.len(), 2);
    assert!(carried.contains(&(left, 0)) && carried.contains(&(0, left)), "{carried:?}");
}

async fn another_share_of_the_subsidy_that_a_refund_in_parts_brings_back_is_found(town: &Town) {
    // All that follows from it says the same: the merchant was given a fen of the subsidy for nothing.
    let (rows, found) = spoil(town, "update refund set subsidy_returned_fen = subsidy_returned_fen + 1").await;
    assert_eq!(rows, 1);
    let sentence = "a merchant gets back of its charges what belongs to what was refunded";
    let of_charges: Vec<i64> =
        found.iter().filter(|one| one.identity == sentence).map(|one| one.found - one.expected).collect();
    assert_eq!(of_charges, [1]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bill_that_says_other_than_what_its_lines_owe_is_found(pool: PgPool) {
    // Each of 1,000: paid and still open; open for the penalty that its late principal has left; paid and owing a fen.
    let bills = "insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status, paid_on) values
                     ('00000000-0000-0000-0000-000000000001', '2026-03-25', '2026-03-05', 900, 100, 0, 'open', null),
                     ('00000000-0000-0000-0000-000000000002', '2026-03-25', '2026-03-05', 900, 100, 0, 'open', null),
                     ('00000000-0000-0000-0000-000000000003', '2026-03-25', '2026-03-05', 900, 100, 0, 'paid', '2026-03-25');
                 insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen, principal_paid_fen,
                                        interest_paid_fen, fen_days, fen_days_to)
                 select line_id, line_id, 1, due_on, 900, 100, 0, paid_fen, 100, fen_days, fen_days_to
                 from bill cross join lateral (values (1, 900, 0, null::date), (2, 900, 9000, '2026-04-04'), (3, 899, 0, null))
                      as line(nth, paid_fen, fen_days, fen_days_to)
                 where right(line_id::text, 1) = nth::text";
    sqlx::raw_sql(bills).execute(&pool).await.unwrap();
    let sentence = "a paid bill owes nothing and an open one something";
    let mut found: Vec<String> = fenqi::verify::verify(&pool)
        .await
        .unwrap()
        .into_iter()
        .filter(|finding| finding.identity == sentence)
        .map(|finding| format!("{}: {} {}", &finding.subject[35..], finding.expected, finding.found))
        .collect();
    found.sort();
    assert_eq!(found, ["1 due 2026-03-25 open: 1 0", "3 due 2026-03-25 paid: 0 1"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bill_that_is_open_for_penalty_alone_is_found_once_that_is_paid_too(pool: PgPool) {
    let book = book::keep(house::open(pool, "2026-02-05").await).await;
    book.live_until("2026-03-02").await;
    let open = async |penalty_paid_fen: i64| {
        // As five days at 0.001 a day on 100,000 of principal have left it: 500.
        let paid = "update bill_line set principal_paid_fen = principal_fen, interest_paid_fen = interest_fen,
                                         fen_days = 500000, fen_days_to = '2026-03-02', penalty_paid_fen = $1";
        sqlx::query(paid).bind(penalty_paid_fen).execute(&book.app.pool).await.unwrap();
        let findings = verify(&book.app.pool).await.unwrap().into_iter();
        let of_bills =
            findings.filter(|finding| finding.identity == "an open bill that owes nothing else owes penalty");
        of_bills.map(|finding| finding.subject).collect::<Vec<String>>()
    };
    assert_eq!(open(499).await, [""; 0]);
    assert_eq!(open(500).await, [format!("{} due 2026-02-25 open", book.line_id.uuid())]);
    // What it owes follows from terms that are not there.
    sqlx::query("update loan set product_version = 99").execute(&book.app.pool).await.unwrap();
    assert_eq!(open(500).await, [""; 0]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bill_that_is_paid_but_for_its_penalty_is_found(pool: PgPool) {
    let book = book::keep(house::open(pool, "2026-02-05").await).await;
    book.live_until("2026-03-02").await;
    // As five days at 0.001 a day on 100,000 of principal have left it: 500.
    let left =
        "update bill_line set principal_paid_fen = principal_fen, interest_paid_fen = interest_fen, fen_days = 500000,
                                     fen_days_to = '2026-03-02'";
    sqlx::query(left).execute(&book.app.pool).await.unwrap();
    let paid = async |penalty_paid_fen: i64, paid_on: &str| {
        let line = "update bill_line set penalty_paid_fen = $1";
        sqlx::query(line).bind(penalty_paid_fen).execute(&book.app.pool).await.unwrap();
        let bill = "update bill set status = 'paid', paid_on = $1::text::date";
        sqlx::query(bill).bind(paid_on).execute(&book.app.pool).await.unwrap();
        let findings = verify(&book.app.pool).await.unwrap().into_iter();
        let of_penalty = findings.filter(|finding| finding.identity == "a paid bill owes no penalty");
        of_penalty.map(|finding| (finding.expected, finding.found)).collect::<Vec<(i64, i64)>>()
    };
    assert_eq!(paid(500, "2026-03-02").await, []);
    assert_eq!(paid(499, "2026-03-02").await, [(500, 499)]);
    // What is settled on a day of grace owes none.
    assert_eq!(paid(0, "2026-02-26").await, []);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn interest_leaves_fen_days_behind_only_where_its_terms_let_it_bear_penalty(pool: PgPool) {
    let book = book::keep(house::open(pool, "2026-02-05").await).await;
    book.live_until("2026-03-02").await;
    let too_many = async |fen_days: i64| {
        let late = "update bill_line set fen_days = $1, fen_days_to = '2026-03-02'";
        sqlx::query(late).bind(fen_days).execute(&book.app.pool).await.unwrap();
        let findings = verify(&book.app.pool).await.unwrap().into_iter();
        let sentence = "penalty is reckoned from no more than all that bears it on every day";
        let found = findings.filter(|finding| finding.identity == sentence);
        found.map(|finding| (finding.expected, finding.found)).collect::<Vec<(i64, i64)>>()
    };
    // 100,000 of principal for five days, and 3,600 of interest.
    assert_eq!(too_many(500_000).await, []);
    assert_eq!(too_many(518_000).await, [(500_000, 518_000)]);
    let on_interest = book::TERMS.replace("basis_days", "base = \"principal_and_interest\"\nbasis_days");
    fenqi::product::publish(&book.app, &on_interest).await.unwrap();
    sqlx::query("update loan set product_version = 2").execute(&book.app.pool).await.unwrap();
    assert_eq!(too_many(518_000).await, []);
    assert_eq!(too_many(518_001).await, [(518_000, 518_001)]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn loans_whose_terms_are_not_there_are_named_and_all_else_is_looked_at(pool: PgPool) {
    // Some of them were late: what their penalty follows from cannot be read.
    let town = begun(pool, LATE).await;
    sqlx::query("update loan set product_version = 99, periods = 1").execute(&town.app.pool).await.unwrap();
    let findings = verify(&town.app.pool).await.unwrap();
    let of_rates = findings.iter().find(|finding| finding.identity == "a loan stands on the rate that its plan names");
    let said = of_rates.map(|finding| finding.subject.as_str()).unwrap_or_default();
    assert!(said.contains(" in 1 period at "), "{findings:?}");
}
