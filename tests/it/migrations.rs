//! Migrations: on an empty database, on one with rows, by two nodes at once, and refused where a newer program was.

use fenqi::database::{self, Migrated};
use fenqi::partner::store::{CallSearch, search_calls};
use sqlx::PgPool;

use crate::house;

#[sqlx::test(migrations = false)]
async fn an_empty_database_is_brought_to_the_newest_migration_once(pool: PgPool) {
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Never);
    let all = fenqi::MIGRATOR.iter().count();
    assert_eq!(database::migrate(&pool).await.unwrap(), all);
    assert_eq!(database::migrate(&pool).await.unwrap(), 0);
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Fully);
}

#[sqlx::test(migrations = false)]
async fn two_nodes_that_start_at_once_migrate_once(pool: PgPool) {
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

/// A database that stands one migration back, with rows in it, keeps its rows.
#[sqlx::test(migrations = false)]
async fn a_database_with_rows_keeps_them_through_the_newest_migration(pool: PgPool) {
    let versions: Vec<i64> = fenqi::MIGRATOR.iter().map(|migration| migration.version).collect();
    fenqi::MIGRATOR.run_to(versions[versions.len() - 2], &pool).await.unwrap();
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Partly);
    let funder = "insert into funder (funder_id, code, name, created_at)
                  values ('00000000-0000-0000-0000-000000000001', 'first', 'First', now())";
    sqlx::query(funder).execute(&pool).await.unwrap();
    assert_eq!(database::migrate(&pool).await.unwrap(), 1);
    let names: Vec<String> = sqlx::query_scalar("select name from funder").fetch_all(&pool).await.unwrap();
    assert_eq!(names, ["First"]);
}

#[sqlx::test(migrations = false)]
async fn what_a_core_was_told_of_its_reserve_is_found_under_its_funders_code(pool: PgPool) {
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

#[sqlx::test(migrations = false)]
async fn a_call_from_before_is_still_found_under_its_object_and_its_code(pool: PgPool) {
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

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_database_of_a_newer_program_is_refused(pool: PgPool) {
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9000, 'from the future', true, '\\x00', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Newer { version: 9000 });
    let refused = database::migrate(&pool).await.unwrap_err().to_string();
    assert!(refused.starts_with("this database was migrated by a newer fenqi"), "{refused}");
}

#[tokio::test]
async fn a_missing_database_and_a_silent_server_are_named() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let missing = database::connect(&house::other_database(&url, "no_such_database"), 1).await.unwrap_err().to_string();
    assert!(missing.contains("the database no_such_database does not exist"), "{missing}");
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
    assert!(database::connect(&address, 1).await.is_err());
    let dropped = database::Scratch::create(&url, "test", 2).await.unwrap();
    let address = dropped.url();
    drop(dropped);
    assert!(database::connect(&address, 1).await.is_err());
}

#[tokio::test]
async fn a_database_is_lived_in_by_one_process_at_a_time() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let first = database::Claim::take(&url).await.unwrap();
    let refused = database::Claim::take(&url).await.err().unwrap().to_string();
    assert!(refused.starts_with("another fenqi is living through days"), "{refused}");
    drop(first);
}
