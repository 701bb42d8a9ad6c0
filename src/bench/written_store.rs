//! SQL that finds every row written since some moment, in whatever table, and copies these rows plainly.

use sqlx::{AssertSqlSafe, PgConnection};

/// Written rows, set aside in the order of their keys.
pub(super) struct Written {
    pub rows: u64,
    /// Each table, and its columns that are not generated.
    tables: Vec<(String, String)>,
}

/// The number of the next transaction: rows written from here on have it or a later one.
pub(super) async fn next_transaction(connection: &mut PgConnection) -> sqlx::Result<i64> {
    // Rows hold only its lower 32 bits; a scratch database does not live until they wrap around.
    sqlx::query_scalar!(r#"select (pg_snapshot_xmax(pg_current_snapshot())::text::bigint % 4294967296) as "number!""#)
        .fetch_one(connection)
        .await
}

/// A table and its columns, in SQL.
#[derive(sqlx::FromRow)]
struct Table {
    name: String,
    /// The columns of its primary key.
    key: String,
    /// All columns that are not generated.
    columns: String,
}

/// Lists every table, from the catalogue, so that none can be forgotten.
async fn list_tables(connection: &mut PgConnection) -> sqlx::Result<Vec<Table>> {
    sqlx::query_as(
        "select t.relname::text as name, coalesce(string_agg(quote_ident(a.attname), ', ' order by k.place), '1') as key,
                (select string_agg(quote_ident(w.attname), ', ' order by w.attnum) from pg_attribute w
                 where w.attrelid = t.oid and w.attnum > 0 and not w.attisdropped and w.attgenerated = '') as columns
         from pg_class t
         left join pg_constraint c on c.conrelid = t.oid and c.contype = 'p'
         left join lateral unnest(c.conkey) with ordinality as k(number, place) on true
         left join pg_attribute a on a.attrelid = t.oid and a.attnum = k.number
         where t.relkind = 'r' and t.relnamespace = 'public'::regnamespace and t.relname not like 'copy\\_of\\_%'
         group by t.oid, t.relname order by t.relname",
    )
    .fetch_all(connection)
    .await
}

/// Sets aside the rows that transactions from `since` on inserted or changed, and makes for each table an empty copy of the same shape
/// and with the same indexes.
pub(super) async fn set_aside(connection: &mut PgConnection, since: i64) -> sqlx::Result<Written> {
    let mut written = Written { rows: 0, tables: Vec::new() };
    for Table { name: table, key, columns } in list_tables(connection).await? {
        let aside = format!(
            r#"create temporary table "written_{table}" as
               select {columns} from "{table}" where xmin::text::bigint >= {since} order by {key}"#
        );
        sqlx::query(AssertSqlSafe(aside)).execute(&mut *connection).await?;
        let count = format!(r#"select count(*) from "written_{table}""#);
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *connection).await?;
        if rows > 0 {
            let copy = format!(r#"create table "copy_of_{table}" (like "{table}" including all)"#);
            sqlx::query(AssertSqlSafe(copy)).execute(&mut *connection).await?;
            written.rows += rows.unsigned_abs();
            written.tables.push((table, columns));
        }
    }
    Ok(written)
}

/// Copies what was set aside by plain `insert … select` in key order on one connection; returns how many rows.
pub(super) async fn copy(connection: &mut PgConnection, written: &Written) -> sqlx::Result<u64> {
    let mut rows = 0;
    for (table, columns) in &written.tables {
        let copy = format!(
            r#"insert into "copy_of_{table}" ({columns}) overriding system value select {columns} from "written_{table}""#
        );
        rows += sqlx::query(AssertSqlSafe(copy)).execute(&mut *connection).await?.rows_affected();
    }
    Ok(rows)
}
