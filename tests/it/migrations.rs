//! Migrations: on an empty database, on one with the data of a house that has lived, by two nodes at the same time, and
//! refused on a database of a newer program.

use std::collections::BTreeMap;

use fenqi::base::Fen;
use fenqi::base::id::{BreakId, LineId, PurchaseId};
use fenqi::database::{self, Migrated};
use fenqi::partner::store::{CallSearch, search_calls};
use fenqi::repayment::{Transfer, record_transfer};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Matcher, Scripted};
use fenqi::verify::verify;
use fenqi::{purchase, reconcile};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::house;
use crate::tables::LIST_TABLES;
use crate::town::{self, LineWish};

/// A database as `create database` leaves it elsewhere: where tests run, it may begin with every migration.
async fn emptied(pool: &PgPool) {
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(pool).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn an_empty_database_is_brought_to_the_newest_migration_once(pool: PgPool) {
    emptied(&pool).await;
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Never);
    let all = fenqi::MIGRATOR.iter().count();
    assert_eq!(database::migrate(&pool).await.unwrap(), all);
    assert_eq!(database::migrate(&pool).await.unwrap(), 0);
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Fully);
}

#[sqlx::test(migrations = false)]
async fn two_nodes_that_start_at_once_migrate_once(pool: PgPool) {
    emptied(&pool).await;
    let (first, second) = tokio::join!(database::migrate(&pool), database::migrate(&pool));
    first.unwrap();
    second.unwrap();
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Fully);
}

/// `nulls not distinct` came with PostgreSQL 15: on an older one the migration would fail half-way into a new house.
#[test]
fn the_oldest_postgresql_that_is_let_in_knows_the_migrations_words() {
    let needs = |sql: &str| sql.contains("nulls not distinct");
    let uses = fenqi::MIGRATOR.iter().filter(|migration| needs(migration.sql.as_str())).count();
    assert!(uses == 0 || fenqi::launcher::MAJOR_MIN >= 15, "{uses} migrations need PostgreSQL 15");
}

/// The data of a house that has lived is written into a database of this version, and must survive all later migrations.
const BEFORE: i64 = 19;
/// Columns that a migration fills in another way than the program does since; other tests look at their contents.
const FILLED: &[(&str, &str)] = &[
    ("partner_call", "objects"),
    ("partner_call", "codes"),
    ("partner_call", "request_sha256"),
    ("channel_file_line", "code"),
    ("reserve", "low_water_version"),
    ("merchant", "discount_returned_before"),
    ("purchase", "discount_returned_on_refund"),
];
/// Contents of required columns that were dropped or emptied since, as the program wrote them then.
const DROPPED: &str = r#"{"payload": {}, "request_sha256": "\\x00"}"#;
/// Rows of partners, staff and passcodes, which that house does not write.
const MORE_ROWS: &str = r"
    insert into api_partner (partner_id, code, kind, merchant_id, scopes, addresses, rate_per_minute, created_at)
    select gen_random_uuid(), 'my-cashier', 'merchant', merchant_id, '{}', '{}', 60, now() from merchant;
    insert into api_key (partner_id, serial_no, algorithm, public_key, holder, added_at)
    select partner_id, serial_no, 'sm2_sm3', sha256(convert_to(serial_no, 'UTF8')), 'Li Na', now()
    from api_partner cross join unnest(array['K-1', 'K-2']) as serial_no;
    insert into product_draft (draft_id, funder_id, code, terms_text, status, submitted_by, submitted_at, approved_by, approved_at)
    select gen_random_uuid(), funder_id, 'harbour-new', 'code = 1', 'approved', 'Li Na', now(), 'Wang Wei', now() from funder;
    insert into passcode (mobile_hash, purpose, code_hash, sent_at, expires_at)
    values ('\x01', 'staff_change', '\x02', now(), now());
    insert into merchant_staff (staff_id, merchant_id, mobile_hash, mobile_sealed, name_sealed, role, created_at)
    select gen_random_uuid(), merchant_id, sha256('a'), '\x01', '\x02', 'owner', now() from merchant;
    insert into merchant_code (code_id, merchant_id, kind, amount_fen, order_reference, expires_at, status, created_at)
    select gen_random_uuid(), merchant_id, 'order', 100, 'A-1', now(), 'open', now() from merchant;
    insert into hand_order (merchant_id, code_id, description, opened_by, opened_at)
    select c.merchant_id, c.code_id, 'noodles', s.staff_id, now()
    from merchant_code c join merchant_staff s using (merchant_id) where c.kind = 'order'";

/// A month with purchases, a refund, a break that two people closed, a late bill that was paid by a transfer, and a transfer that nothing
/// was owed for.
async fn live(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app.clone(), 10_000_000).await;
    let wish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2029-01-05" };
    let lines = town.open_lines(2, wish).await;
    let phone = town.wish(lines[0], "phone", 120_000, ("harbour-standard", 3));
    let bag = town.wish(lines[1], "bag", 90_000, ("harbour-free", 3));
    let bought = town.buy(vec![phone, bag]).await;
    town.live_until("2026-01-07").await;
    town.refund(&bought[0], 20_000, "r-0").await;
    let card = |line_id: LineId| format!("AG-{}", line_id.uuid());
    let denies = vec![Scripted::answer("fails_but_collects")];
    world.script("withholding_a", Some(Matcher::new("card", card(lines[0]))), denies);
    lock(&world.withholding).set_balance(&card(lines[1]), Fen::ZERO);
    town.live_until("2026-01-30").await;
    // Five days late: 30,000 × 0.0005 a day × 5.
    for (amount, bank_reference, excess) in [(30_075, "T-1", 0), (5_000, "T-2", 5_000)] {
        let (line_id, amount) = (lines[1], Fen::new(amount));
        let transfer = Transfer {
            line_id,
            amount,
            bank_reference: bank_reference.to_owned(),
            received_on: None,
            operator: "Li Na".to_owned(),
        };
        assert_eq!(record_transfer(&app, &transfer).await.unwrap().excess, Fen::new(excess));
    }
    let found = sqlx::query_scalar("select break_id from reconciliation_break").fetch_one(&app.pool).await.unwrap();
    reconcile::confirm_break(&app, BreakId::from_uuid(found), 1, "Wang Wei").await.unwrap();
    town.live_until("2026-02-02").await;
    sqlx::raw_sql(MORE_ROWS).execute(&app.pool).await.unwrap();
    app.partners.flush_log().await;
    town.assert_whole("before its rows are taken back to an earlier version").await;
}

/// The rows of a table as JSON, sorted.
async fn rows_of(pool: &PgPool, table: &str) -> Vec<String> {
    let filled = FILLED.iter().filter(|(of, _)| *of == table);
    let filled: Vec<String> = filled.map(|(_, column)| (*column).to_owned()).collect();
    let rows = format!("select (to_jsonb(t) - $1::text[])::text from {table} t");
    let mut rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).bind(filled).fetch_all(pool).await.unwrap();
    rows.sort();
    rows
}

/// Writes these rows; columns that this version does not have yet are left out.
async fn put_in(pool: &PgPool, lived: &BTreeMap<String, Vec<String>>) {
    let tables: Vec<&str> = lived.keys().map(String::as_str).collect();
    let emptied = format!("set local session_replication_role = replica; truncate {}", tables.join(", "));
    let mut transaction = database::begin(pool).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(emptied)).execute(&mut *transaction).await.unwrap();
    for (table, rows) in lived {
        let insert = format!(
            "insert into {table} overriding system value
             select t.* from unnest($1::text[]) as lived(line)
             cross join lateral jsonb_populate_record(null::{table}, $2::jsonb || lived.line::jsonb) as t"
        );
        sqlx::query(AssertSqlSafe(insert)).bind(rows).bind(DROPPED).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_house_that_has_lived_comes_to_the_newest_migration_with_every_row(pool: PgPool) {
    emptied(&pool).await;
    let scratch = database::Scratch::create(&std::env::var("DATABASE_URL").unwrap(), "lived", 8).await.unwrap();
    live(scratch.pool.clone()).await;
    fenqi::MIGRATOR.run_to(BEFORE, &pool).await.unwrap();
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Partly);
    let tables: Vec<String> = sqlx::query_scalar(LIST_TABLES).fetch_all(&pool).await.unwrap();
    let mut lived = BTreeMap::new();
    for table in &tables {
        lived.insert(table.clone(), rows_of(&scratch.pool, table).await);
    }
    put_in(&pool, &lived).await;
    let closed = sqlx::query("update hand_order set closed_at = now()").execute(&pool).await.unwrap();
    assert_eq!(closed.rows_affected(), 1);

    let later = fenqi::MIGRATOR.iter().filter(|migration| migration.version > BEFORE).count();
    assert_eq!(database::migrate(&pool).await.unwrap(), later);
    for (table, rows) in &lived {
        assert_eq!(rows_of(&pool, table).await, *rows, "{table}: FILLED names what a migration fills on purpose");
    }
    let with_rows = lived.values().filter(|rows| !rows.is_empty()).count();
    assert!(with_rows > 35, "{with_rows} tables have rows");
    assert_eq!(verify(&pool).await.unwrap(), []);
    scratch.remove().await.unwrap();

    // What later migrations make of rows from before them.
    let count = async |query: &'static str| -> i64 { sqlx::query_scalar(query).fetch_one(&pool).await.unwrap() };
    assert_eq!(count("select count(*) from reserve_slice where leased_fen = 0 and used_fen = 0").await, 8);
    let as_before = "select count(*) from reserve_now n join reserve r using (funder_id)
                     where (n.available_fen, n.held_fen) = (r.available_fen, r.held_fen)";
    assert_eq!(count(as_before).await, 1);
    assert!(count("select count(*) from partner_call").await > 0);
    let unfound = "select count(*) from partner_call where cardinality(objects) <> 1 or cardinality(codes) = 0";
    assert_eq!(count(unfound).await, 0);
    assert_eq!(count("select count(*) from partner_call where request_sha256 <> ''").await, 0, "they were of bodies");
    let transfers: Vec<(String, Option<String>)> =
        sqlx::query_as("select bank_reference, recorded_by from transfer_by_bank_reference order by 1")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(transfers, [("T-1".to_owned(), Some("Li Na".to_owned())), ("T-2".to_owned(), None)]);
}

#[sqlx::test(migrations = false)]
async fn a_break_that_was_closed_under_two_spellings_of_one_name_stays_closed(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(28, &pool).await.unwrap();
    let closed = "insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen,
                                                    proposed, status, owner, confirmed_by, opened_on, closed_on)
                  select gen_random_uuid(), 'alpha', '2026-01-05', 'missing_here', gen_random_uuid(), 0, 100, 'ask_channel', status,
                         'Chen Wei', confirmed_by, '2026-01-06', '2026-01-06'
                  from (values ('corrected', 'chen wei'), ('open', null)) as made(status, confirmed_by)";
    sqlx::query(closed).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let kept: i64 = sqlx::query_scalar("select count(*) from reconciliation_break").fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 2);
    let proposed = "select bool_and(proposed_by = 'Chen Wei' and owner = proposed_by) from reconciliation_break";
    assert!(sqlx::query_scalar::<_, bool>(proposed).fetch_one(&pool).await.unwrap());
    let close = "update reconciliation_break set status = 'corrected', confirmed_by = 'CHEN WEI' where status = 'open'";
    let refused = sqlx::query(close).execute(&pool).await.unwrap_err().to_string();
    assert!(refused.contains("reconciliation_break_two_people"), "{refused}");
}

#[sqlx::test(migrations = false)]
async fn a_purchase_from_before_keeps_what_its_merchants_agreement_says_of_refunds(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(91, &pool).await.unwrap();
    let rows = "with shop as (
                    insert into merchant (merchant_id, name, credit_code, category, settlement_account_name,
                                          settlement_account_sealed, settlement_account_tail, status, discount_rate,
                                          discount_returned_on_refund, created_at)
                    select gen_random_uuid(), code, code, 'home', code, '', '3456', 'active', 0.006, is_returned, now()
                    from (values ('keeps', false), ('returns', true)) as made(code, is_returned)
                    returning merchant_id, name)
                insert into purchase (purchase_id, line_id, idempotency_key, request_sha256, merchant_id, product_id,
                                      product_version, periods, amount_fen, status, loan_id, business_day, created_at)
                select gen_random_uuid(), gen_random_uuid(), name, '', merchant_id, gen_random_uuid(), 1, 3, 100, 'authorised',
                       gen_random_uuid(), '2026-01-05', now()
                from shop";
    sqlx::query(rows).execute(&pool).await.unwrap();
    let written = async || {
        let rows = "select idempotency_key || ' ' || xmin::text, purchase_id from purchase order by 1";
        sqlx::query_as::<_, (String, PurchaseId)>(rows).fetch_all(&pool).await.unwrap()
    };
    let before = written().await;
    database::migrate(&pool).await.unwrap();
    assert_eq!(written().await, before, "no purchase is written anew, however many there are");
    // Another agreement is of the purchases that come.
    let changed = "update merchant set discount_returned_on_refund = not discount_returned_on_refund";
    sqlx::query(changed).execute(&pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    for ((key, purchase_id), is_returned) in before.iter().zip([false, true]) {
        let purchase = purchase::store::lock_purchase(&mut connection, *purchase_id).await.unwrap();
        assert_eq!(purchase.discount_returned_on_refund, is_returned, "{key}");
    }
}

#[sqlx::test(migrations = false)]
async fn what_a_core_was_told_of_its_reserve_is_found_under_its_funders_code(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(17, &pool).await.unwrap();
    let rows = "with bank as (insert into funder (funder_id, code, name, created_at)
                              values ('00000000-0000-0000-0000-000000000001', 'first', 'First', now()) returning funder_id)
                insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
                select partner, 'reserve_deposited', object_id, '{}', now(), now()
                from bank cross join lateral (values ('funder_core', funder_id), ('second', gen_random_uuid())) as m(partner, object_id)";
    sqlx::query(rows).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let partners: Vec<String> =
        sqlx::query_scalar("select partner from outbox order by message_no").fetch_all(&pool).await.unwrap();
    assert_eq!(partners, ["first", "second"]);
}

/// From before these were kept: payouts, of which operators were told what their channel said; lines of a file that was compared and of
/// one that was not; requests, of which one failed.
const BEFORE_THEY_WERE_KEPT: &str = "
    insert into payout (payout_id, kind, source_id, beneficiary_id, amount_fen, status, bank_reference, pay_on, created_at, attempt_no)
    select (repeat('0', 31) || payout)::uuid, 'settlement', gen_random_uuid(), gen_random_uuid(), 100, status, reference, '2026-01-05',
           now(), 3
    from (values (1, 'unknown', null), (2, 'succeeded', 'R-1'), (3, 'unknown', null)) as made(payout, status, reference);
    insert into notice (audience, kind, body, business_day, created_at)
    select 'operator', 'payout_contradiction',
           jsonb_build_object('payout_id', 'pay_' || repeat('0', 31) || payout, 'attempt_no', attempt_no), '2026-01-05', now()
    from (values (1, 1), (1, 2), (2, 1)) as told(payout, attempt_no);
    insert into channel_file (channel, business_day, sha256, lines, amount_fen, cost_fen, compared_at)
    values ('alpha', '2026-01-05', '', 2, 100, 0, now()), ('alpha', '2026-01-06', '', 1, 0, 0, null);
    insert into channel_file_line (channel, business_day, line_no, withholding_id, channel_reference, succeeded, amount_fen, cost_fen)
    select 'alpha', business_day, line_no, gen_random_uuid(), '', succeeded, 100, 0
    from (values (date '2026-01-05', 1, true), (date '2026-01-05', 2, false), (date '2026-01-06', 1, false))
         as said(business_day, line_no, succeeded);
    insert into api_answer (partner_id, idempotency_key, request_sha256, started_at, status)
    select gen_random_uuid(), key, sha256('r'), started_at, status
    from (values ('answered', to_timestamp(0), 200), ('failed', to_timestamp(0), null), ('running', timestamptz '2026-01-05 10:00Z', null))
         as made(key, started_at, status)";

#[sqlx::test(migrations = false)]
async fn what_payouts_files_and_requests_came_to_before_is_known_afterwards(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(33, &pool).await.unwrap();
    sqlx::raw_sql(BEFORE_THEY_WERE_KEPT).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let contradicted = "select contradicted_attempt from payout order by payout_id";
    let contradicted: Vec<Option<i16>> = sqlx::query_scalar(contradicted).fetch_all(&pool).await.unwrap();
    assert_eq!(contradicted, [Some(2), None, None], "the latest of one that is not paid");
    let failures = "select failure from channel_file_line order by business_day, line_no";
    let failures: Vec<Option<String>> = sqlx::query_scalar(failures).fetch_all(&pool).await.unwrap();
    assert_eq!(failures, [None, Some("insufficient_funds".to_owned()), None]);
    let failed = "select failed_at is not null and started_at > now() - interval '1 hour' from api_answer order by idempotency_key";
    let failed: Vec<bool> = sqlx::query_scalar(failed).fetch_all(&pool).await.unwrap();
    assert_eq!(failed, [false, true, false]);
}

#[sqlx::test(migrations = false)]
async fn a_payout_that_was_contradicted_before_is_a_break_with_its_kind_and_day(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(38, &pool).await.unwrap();
    let payouts = "with made as (
                       insert into payout (payout_id, kind, source_id, beneficiary_id, amount_fen, status, failure, pay_on, created_at,
                                           contradicted_attempt)
                       select gen_random_uuid(), 'settlement', gen_random_uuid(), gen_random_uuid(), 100, status, failure, pay_on,
                              now(), contradicted
                       from (values ('unknown', null, date '2026-01-05', 1::smallint), ('failed', 'refused', '2026-01-06', 1),
                                    ('failed', 'refused', '2026-01-07', null))
                            as made(status, failure, pay_on, contradicted)
                       returning payout_id, status, contradicted_attempt)
                   insert into payout_event (payout_id, attempt_no, status, occurred_at)
                   select payout_id, 1, 'contradicted', timestamptz '2026-01-08 20:00Z' from made
                   where status = 'failed' and contradicted_attempt is not null";
    sqlx::query(payouts).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let breaks: Vec<(Option<String>, Option<String>)> =
        sqlx::query_as("select contradiction, contradicted_on::text from payout order by pay_on")
            .fetch_all(&pool)
            .await
            .unwrap();
    let of = |kind: &str, day: &str| (Some(kind.to_owned()), Some(day.to_owned()));
    let expected = [of("amount_differs", "2026-01-05"), of("we_failed_they_succeeded", "2026-01-09"), (None, None)];
    assert_eq!(breaks, expected);
}

#[sqlx::test(migrations = false)]
async fn lines_that_were_late_before_loans_were_written_off_are_looked_at_once(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(44, &pool).await.unwrap();
    let bills = "insert into business_day (today) values ('2026-09-01');
                 insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status, paid_on)
                 select ('00000000-0000-0000-0000-00000000000' || line)::uuid, due_on, due_on - 20, 1, 0, 0,
                        case when paid_on is null then 'open' else 'paid' end, paid_on
                 from (values (1, date '2026-01-25', null::date), (1, '2026-02-25', null), (2, '2026-01-25', '2026-01-25'),
                              (3, '2026-09-25', null)) as made(line, due_on, paid_on)";
    sqlx::raw_sql(bills).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let lines: Vec<String> =
        sqlx::query_scalar("select right(line_id::text, 1) from charge_off_look_back").fetch_all(&pool).await.unwrap();
    assert_eq!(lines, ["1"]);
}

#[sqlx::test(migrations = false)]
async fn of_bills_that_were_late_the_stages_before_they_were_paid_are_told(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(119, &pool).await.unwrap();
    let bills = "insert into business_day (today) values ('2026-09-02');
                 insert into close_run (business_day, started_at) values ('2026-09-01', now());
                 insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status, paid_on)
                 select gen_random_uuid(), due_on, due_on - 20, 1, 0, 0,
                        case when paid_on is null then 'open' else 'paid' end, paid_on
                 from (values (date '2026-01-25', date '2026-01-20'), ('2026-02-25', '2026-03-02'), ('2026-03-25', null),
                              ('2026-08-25', '2026-09-02'), ('2026-09-01', null), ('2026-09-25', null))
                      as made(due_on, paid_on)";
    sqlx::raw_sql(bills).execute(&pool).await.unwrap();
    // One installment of each was paid three days after it was due, and another with the bill.
    let installments = "insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen, principal_paid_fen)
                        select line_id, line_id, period, due_on, 1, 0, 0,
                               case when period = 1 and due_on < '2026-09-01' or paid_on is not null then 1 else 0 end
                        from bill cross join (values (1), (2)) as of_bill(period);
                        insert into repayment (repayment_id, line_id, funder_id, source, source_reference, amount_fen, loan_ids, periods,
                                               principal_fen, interest_fen, fee_fen, penalty_fen, business_day, received_at)
                        select gen_random_uuid(), line_id, gen_random_uuid(), 'transfer', period::text, 1, array[loan_id],
                               array[period], array[1], array[0], array[0], array[0],
                               case when period = 1 then due_on + 3 else paid_on end, now()
                        from bill_line join bill using (line_id, due_on) where principal_paid_fen > 0";
    sqlx::raw_sql(installments).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let told: Vec<Option<String>> =
        sqlx::query_scalar("select told_until::text from bill order by due_on").fetch_all(&pool).await.unwrap();
    // The close of 1 September has not ended, and may have told nothing yet.
    let until = |day: &str| Some(day.to_owned());
    assert_eq!(told, [None, until("2026-03-01"), until("2026-08-31"), until("2026-08-31"), None, None]);
    let told = async |period: i16| -> Vec<Option<String>> {
        let told = "select told_until::text from bill_line where period = $1 order by due_on";
        sqlx::query_scalar(told).bind(period).fetch_all(&pool).await.unwrap()
    };
    let paid_before = [None, until("2026-02-27"), until("2026-03-27"), until("2026-08-27"), None, None];
    assert_eq!(told(1).await, paid_before);
    assert_eq!(told(2).await, [None, until("2026-03-01"), until("2026-08-31"), until("2026-08-31"), None, None]);
}

#[sqlx::test(migrations = false)]
async fn a_call_from_before_is_still_found_under_its_object_and_its_code(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(22, &pool).await.unwrap();
    let calls = r#"insert into partner_call (partner, direction, operation, call_key, request_sha256, outcome, http_status,
                                             duration_micros, request_masked, response_masked, called_at)
                   select 'my-core', 'in', 'GET /x', key, '', 'refused', 404, 1, '', '{"code":"not_found"}', now()
                   from unnest(array['loan_0197f3c2a4b07cc39b1c2d3e4f506172', 'A-1', '']) as key"#;
    sqlx::query(calls).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    for (key, code) in [("0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172", "not_found"), ("A-1", "404"), ("A-1", "refused")] {
        let search =
            CallSearch { key: Some(key.to_owned()), code: Some(code.to_owned()), limit: 9, ..CallSearch::default() };
        assert_eq!(search_calls(&mut connection, &search).await.unwrap().len(), 1, "{key} {code}");
    }
}

#[sqlx::test(migrations = false)]
async fn an_application_from_before_that_was_not_accepted_keeps_nobody_from_applying(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(111, &pool).await.unwrap();
    let file = async |code: &str, status: &str| {
        let filed = "insert into merchant (merchant_id, name, credit_code, category, settlement_account_name, settlement_account_sealed,
                                           settlement_account_tail, status, discount_rate, discount_returned_on_refund, created_at)
                     values (gen_random_uuid(), $1, $1, 'home', $1, '', '3456', $2, 0.006, true, now())";
        sqlx::query(filed).bind(code).bind(status).execute(&pool).await.map_err(|error| error.to_string())
    };
    for status in ["submitted", "refused", "active", "suspended", "closed"] {
        file(status, status).await.unwrap();
        assert!(file(status, "submitted").await.is_err(), "one row a company until now");
    }
    database::migrate(&pool).await.unwrap();
    for code in ["submitted", "refused", "active", "suspended", "closed"] {
        file(code, "submitted").await.unwrap();
        let accepted = file(code, "active").await;
        let is_free = ["submitted", "refused"].contains(&code);
        assert_eq!(accepted.is_ok(), is_free, "{code}");
        assert!(accepted.err().is_none_or(|error| error.contains("merchant_one_of_company")), "{code}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_refusal_that_was_told_before_reviews_is_said_to_be_nobodys_second_look(pool: PgPool) {
    emptied(&pool).await;
    fenqi::MIGRATOR.run_to(101, &pool).await.unwrap();
    let told = r#"insert into notice (audience, recipient_id, kind, body, business_day, created_at)
                  select 'borrower', '00000000-0000-0000-0000-000000000001', kind, '{"reason": "score_too_low"}', '2026-01-05', now()
                  from unnest(array['application_refused', 'application_under_review']) as kind"#;
    sqlx::query(told).execute(&pool).await.unwrap();
    database::migrate(&pool).await.unwrap();
    let reviews: Vec<Option<String>> =
        sqlx::query_scalar("select body->>'review' from notice order by kind").fetch_all(&pool).await.unwrap();
    assert_eq!(reviews, [Some("false".to_owned()), None]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_database_of_a_newer_program_is_refused(pool: PgPool) {
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9000, 'from the future', true, '\\x00', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Newer { version: 9000 });
    let refused = database::migrate(&pool).await.unwrap_err().to_string();
    assert!(refused.starts_with("this database was migrated by a newer fenqi"), "{refused}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_database_of_another_build_is_refused_with_what_to_do(pool: PgPool) {
    // Not newer than ours, but none of ours; and one of ours that was another text.
    let foreign = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                   values (0, 'from another branch', true, '\\x00', 0)";
    let changed = "delete from _sqlx_migrations where version = 0;
                   update _sqlx_migrations set checksum = '\\x00' where version = 1";
    for other in [foreign, changed] {
        sqlx::raw_sql(other).execute(&pool).await.unwrap();
        let refused = database::migrate(&pool).await.unwrap_err().to_string();
        assert!(refused.contains("use the build that made the database"), "{refused}");
    }
}

#[tokio::test]
async fn a_new_database_in_another_encoding_is_refused_with_how_to_make_it_anew() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let name = format!("fenqi_encoded_{}", std::process::id());
    let mut server = PgConnection::connect(&url).await.unwrap();
    for (encoding, is_refused) in [("SQL_ASCII", true), ("LATIN1", true), ("UTF8", false)] {
        let create = format!("create database {name} encoding '{encoding}' locale 'C' template template0");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut server).await.unwrap();
        let pool = database::connect(&house::other_database(&url, &name), 1).await.unwrap();
        let done = database::migrate(&pool).await.map_err(|error| error.to_string());
        let migrated = database::migrated(&pool).await.unwrap();
        pool.close().await;
        sqlx::raw_sql(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&mut server).await.unwrap();
        if is_refused {
            let refused = done.unwrap_err();
            let way = format!("dropdb {name} && createdb --encoding=UTF8 --locale=C --template=template0 {name}");
            assert!(refused.contains(&format!("in the encoding {encoding}")) && refused.ends_with(&way), "{refused}");
            assert_eq!(migrated, Migrated::Never);
        } else {
            done.unwrap();
            assert_eq!(migrated, Migrated::Fully);
        }
    }
}

#[tokio::test]
async fn a_missing_database_and_a_silent_server_are_named() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let missing = database::connect(&house::other_database(&url, "no_such_database"), 1).await.unwrap_err().to_string();
    assert!(missing.contains("the database no_such_database does not exist"), "{missing}");
    let role = format!("postgres://nobody_of_ours@{}", url.split_once('@').unwrap().1);
    let refused = database::connect(&role, 1).await.unwrap_err().to_string();
    assert!(refused.contains("nobody_of_ours") && refused.contains("correct user and password"), "{refused}");
    let silent = database::connect("postgres://nobody@127.0.0.1:1/none", 1).await.unwrap_err().to_string();
    assert!(silent.contains("no PostgreSQL answers at 127.0.0.1:1"), "{silent}");
}

#[tokio::test]
async fn a_scratch_database_is_gone_after_its_run_and_after_a_run_that_was_dropped() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let scratch = database::Scratch::create(&url, "test", 2).await.unwrap();
    let address = scratch.url();
    assert_eq!(database::migrated(&scratch.pool).await.unwrap(), Migrated::Fully);
    scratch.remove().await.unwrap();
    is_gone(&address).await;
    let dropped = database::Scratch::create(&url, "test", 2).await.unwrap();
    let address = dropped.url();
    drop(dropped);
    is_gone(&address).await;
}

/// A run that is killed removes nothing; one that works at this moment on another machine is told by its connections, or by the one that
/// makes its database; on this one by its process.
#[sqlx::test(migrations = false)]
async fn a_scratch_database_of_a_killed_run_is_removed_by_the_next_one_and_one_in_use_is_not(pool: PgPool) {
    // Processes that no machine has: their numbers end before.
    let (left, used) = ("fenqi_killed_99999998_0", "fenqi_killed_99999999_0");
    let begun = format!("fenqi_killed_{}_99", std::os::unix::process::parent_id());
    let others = "fenqi_killed_99999998";
    let made = "fenqi_killed_99999997_0";
    let all = [left, used, made, &begun, others];
    let run = async |command: &str, name: &str| {
        let statement = format!("{command} {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    };
    for name in all {
        run("drop database if exists", name).await;
        run("create database", name).await;
    }
    let url = std::env::var("DATABASE_URL").unwrap();
    let working = database::connect(&house::other_database(&url, used), 1).await.unwrap();
    let mut making = pool.acquire().await.unwrap();
    let bears = "select set_config('application_name', $1, false)";
    sqlx::query(bears).bind(made).execute(&mut *making).await.unwrap();
    let scratch = database::Scratch::create(&url, "killed", 1).await.unwrap();
    let there: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database where datname = any($1) order by datname")
            .bind(all.map(str::to_owned).to_vec())
            .fetch_all(&pool)
            .await
            .unwrap();
    scratch.remove().await.unwrap();
    working.close().await;
    for name in [used, made, &begun, others] {
        run("drop database", name).await;
    }
    let mut kept = [used, made, &begun, others];
    kept.sort_unstable();
    assert_eq!(there, kept);
}

/// # Panics
/// If there is a database, or another reason why nobody comes to it.
async fn is_gone(address: &str) {
    let refused = database::connect(address, 1).await.unwrap_err().to_string();
    assert!(refused.contains("does not exist"), "{refused}");
}

#[tokio::test]
async fn a_database_is_lived_in_by_one_process_at_a_time() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let first = database::Claim::take(&url).await.unwrap();
    let refused = database::Claim::take(&url).await.err().unwrap().to_string();
    assert!(refused.starts_with("another fenqi is living through days"), "{refused}");
    drop(first);
}
