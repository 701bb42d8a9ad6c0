//! Every table is classified by how it would be spread over machines, and its keys allow that. What is written once cannot be changed.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, PgPool};

use crate::house;
use crate::town::{self, LineWish};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// Partitioned by credit line: `line_id` is in the primary key and in every unique one.
    ByAccount,
    /// Partitioned by person: `borrower_id` is in the primary key and in every unique one.
    ByBorrower,
    /// Small, and copied to every machine.
    Reference,
    /// Stays on one machine: work lists, house postings, calls.
    Local,
    /// For global uniqueness: partitioned by the value that is unique, with which its primary key begins and which every
    /// unique key holds.
    LookUp,
}

use Spread::{ByAccount, ByBorrower, Local, LookUp, Reference};

const TABLES: &[(&str, Spread)] = &[
    ("bill", ByAccount),
    ("bill_line", ByAccount),
    ("charge_off", ByAccount),
    ("charge_off_look_back", ByAccount),
    ("claim", ByAccount),
    ("credit_line", ByAccount),
    ("line_entry", ByAccount),
    ("loan", ByAccount),
    ("posting", ByAccount),
    ("purchase", ByAccount),
    ("purchase_question", ByAccount),
    ("recourse", ByAccount),
    ("refund", ByAccount),
    ("repayment", ByAccount),
    ("schedule", ByAccount),
    ("withholding", ByAccount),
    ("application", ByBorrower),
    ("bank_card", ByBorrower),
    ("borrower", ByBorrower),
    ("card_signing", ByBorrower),
    ("consent", ByBorrower),
    ("data_export", ByBorrower),
    ("mobile_change", ByBorrower),
    ("pin", ByBorrower),
    ("wechat_identity", ByBorrower),
    ("wechat_subscription", ByBorrower),
    ("business_day", Reference),
    ("consent_text", Reference),
    ("funder", Reference),
    ("hand_order", Reference),
    ("merchant", Reference),
    ("merchant_code", Reference),
    ("merchant_event", Reference),
    ("merchant_staff", Reference),
    ("merchant_staff_event", Reference),
    ("product", Reference),
    ("product_version", Reference),
    ("reserve", Reference),
    ("api_access_event", Reference),
    ("api_key", Reference),
    ("api_partner", Reference),
    ("platform_key", Reference),
    ("product_draft", Reference),
    ("reserve_order", Reference),
    ("reserve_order_refusal", Reference),
    ("api_answer", Local),
    ("audit_entry", Local),
    ("audit_head", Local),
    ("api_rate", Local),
    ("nonce", Local),
    ("channel_file", Local),
    ("channel_file_line", Local),
    ("close_chunk", Local),
    ("close_run", Local),
    ("funder_day", Local),
    ("funder_day_chunk", Local),
    ("funder_day_file", Local),
    ("interest_span", Local),
    ("job", Local),
    ("ledger_day", Local),
    ("notice", Local),
    ("outbox", Local),
    ("outbox_partner", Local),
    ("outbox_horizon", Local),
    ("outbox_action", Local),
    ("outbox_forgotten", Local),
    ("event_template", Reference),
    ("partner_call", Local),
    ("partner_outage", Local),
    ("payout", Local),
    ("payout_event", Local),
    ("payout_hold", Local),
    ("reconciliation_break", Local),
    ("remittance", Local),
    ("onboarding_draft", LookUp),
    ("passcode", LookUp),
    ("session", Local),
    ("throttle", Local),
    ("remittance_part", Local),
    ("reserve_entry", Local),
    ("reserve_slice", Local),
    ("schedule_gate", Local),
    ("settlement", Local),
    ("settlement_part", Local),
    ("borrower_by_id_number", LookUp),
    ("borrower_by_mobile", LookUp),
    ("borrower_by_openid", LookUp),
    ("claim_by_bank_reference", LookUp),
    ("transfer_by_bank_reference", LookUp),
];

/// Unique keys without the partitioning column, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // One line per borrower and funder: the index alone keeps it. A look-up by borrower and funder has to, before lines are spread.
    ("credit_line_one_per_funder", "credit_line"),
];

/// Tables that name a line and are not partitioned by it: an application's and a payout's line is empty at first, and a
/// claim's and a transfer's is what is looked up.
const NAMES_A_LINE: [&str; 4] = ["application", "claim_by_bank_reference", "payout", "transfer_by_bank_reference"];

/// Tables that a batch of purchases writes and that are not partitioned by line, so that they stay on one machine;
/// docs/SCALE.md says what follows.
const WRITTEN_BESIDE: [&str; 4] = ["merchant_code", "notice", "outbox", "reserve_slice"];

const LIST_UNIQUE_KEYS: &str = "
    select c.relname::text as table_name, i.relname::text as key_name, x.indisprimary,
           array_agg(a.attname::text order by array_position(x.indkey::int2[], a.attnum)) as columns
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_index x on x.indrelid = c.oid and x.indisunique
    join pg_class i on i.oid = x.indexrelid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = any((x.indkey::int2[])[0:x.indnkeyatts - 1])
    where n.nspname = 'public' and c.relkind in ('r', 'p')
    group by 1, 2, 3 order by 1, 2";

const LIST_FOREIGN_KEYS: &str = "
    select f.conname::text, c.relname::text, t.relname::text
    from pg_constraint f
    join pg_class c on c.oid = f.conrelid
    join pg_class t on t.oid = f.confrelid
    join pg_namespace n on n.oid = c.relnamespace
    where f.contype = 'f' and n.nspname = 'public' order by 1, 2";

const LIST_TABLES_THAT_NAME_A_LINE: &str = "
    select c.relname::text
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'line_id' and not a.attisdropped
    where n.nspname = 'public' and c.relkind in ('r', 'p') order by 1";

pub const LIST_TABLES: &str = "
    select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> '_sqlx_migrations' order by 1";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_table_is_classified_and_its_keys_hold_the_column_it_is_cut_by(pool: PgPool) {
    let tables: Vec<String> = sqlx::query_scalar(LIST_TABLES).fetch_all(&pool).await.unwrap();
    let keys: Vec<(String, String, bool, Vec<String>)> =
        sqlx::query_as(LIST_UNIQUE_KEYS).fetch_all(&pool).await.unwrap();
    let classes: BTreeMap<&str, Spread> = TABLES.iter().copied().collect();
    let mut wrong = Vec::new();
    for table in &tables {
        match classes.get(table.as_str()) {
            None => wrong.push(format!("{table} is not classified: say in tests/it/tables.rs how it would be spread")),
            Some(_) if !keys.iter().any(|(of, _, is_primary, _)| of == table && *is_primary) => {
                wrong.push(format!("{table} has no primary key"));
            }
            Some(_) => {}
        }
    }
    for (table, _) in TABLES {
        if !tables.iter().any(|found| found == table) {
            wrong.push(format!("{table} is classified but does not exist"));
        }
    }
    if TABLES.len() > classes.len() {
        wrong.push("a table is classified twice".to_owned());
    }
    for (table, key, _, columns) in &keys {
        let cut = match classes.get(table.as_str()) {
            Some(ByAccount) => "line_id",
            Some(ByBorrower) => "borrower_id",
            Some(LookUp) => {
                let primary = keys.iter().find(|(of, _, is_primary, _)| of == table && *is_primary);
                primary.map_or("a primary key", |(.., columns)| columns[0].as_str())
            }
            Some(Reference | Local) | None => continue,
        };
        let is_excepted = EXCEPTIONS.contains(&(key.as_str(), table.as_str()));
        if is_excepted == columns.iter().any(|column| column == cut) {
            let holds = if is_excepted { "is excepted and holds" } else { "lacks" };
            wrong.push(format!("{key} of {table} {holds} {cut}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// If machines hold parts of the book, a foreign key cannot lead to another machine, and a table that is copied everywhere
/// can only refer to others that are. A table that names a line is partitioned by it.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn foreign_keys_lead_to_reference_tables_and_what_names_a_line_is_cut_by_it(pool: PgPool) {
    let classes: BTreeMap<&str, Spread> = TABLES.iter().copied().collect();
    let keys: Vec<(String, String, String)> = sqlx::query_as(LIST_FOREIGN_KEYS).fetch_all(&pool).await.unwrap();
    let mut wrong = Vec::new();
    for (key, from, to) in &keys {
        match (classes.get(from.as_str()), classes.get(to.as_str())) {
            (_, Some(Reference)) | (Some(Local), Some(Local)) => {}
            (of, at) => wrong.push(format!("{key} leads from {from} ({of:?}) to {to} ({at:?})")),
        }
    }
    let with_line: Vec<String> = sqlx::query_scalar(LIST_TABLES_THAT_NAME_A_LINE).fetch_all(&pool).await.unwrap();
    for table in &with_line {
        let is_cut = classes.get(table.as_str()) == Some(&ByAccount);
        if is_cut == NAMES_A_LINE.contains(&table.as_str()) {
            wrong.push(format!("{table} names a line: it is cut by it, or NAMES_A_LINE says that it is not"));
        }
    }
    assert!(!keys.is_empty() && with_line.len() > NAMES_A_LINE.len());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What is written once, and one of its columns.
const WRITTEN_ONCE: [(&str, &str); 4] =
    [("posting", "event"), ("line_entry", "kind"), ("reserve_entry", "kind"), ("schedule", "version")];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn books_journals_and_schedules_are_not_changed_by_any_statement(pool: PgPool) {
    let town = town::found(house::open(pool, "2026-03-02").await, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
    let line_id = town.open_lines(1, wish).await[0];
    town.buy(vec![town.wish(line_id, "sofa", 60_000, ("harbour-standard", 3))]).await;
    for (table, column) in WRITTEN_ONCE {
        for change in [format!("update {table} set {column} = {column}"), format!("delete from {table}")] {
            let refused = sqlx::query(AssertSqlSafe(change.clone())).execute(&town.app.pool).await;
            let refused = refused.map(|done| done.rows_affected()).unwrap_err().to_string();
            assert!(refused.contains(&format!("{table} is append-only")), "{change}: {refused}");
        }
    }
}

#[test]
fn a_purchase_writes_what_is_cut_by_its_line_and_little_else() {
    let words: Vec<&str> = include_str!("../../src/purchase/record_batch.sql").split_whitespace().collect();
    let written: BTreeSet<&str> = words
        .windows(3)
        .filter_map(|words| match words {
            ["insert", "into", table] | ["update", table, "set"] => Some(*table),
            _ => None,
        })
        .collect();
    let is_cut = |table: &&str| TABLES.contains(&(*table, ByAccount));
    let (cut, beside): (Vec<&str>, Vec<&str>) = written.into_iter().partition(is_cut);
    assert_eq!(cut, ["credit_line", "line_entry", "loan", "posting", "purchase", "schedule"]);
    assert_eq!(beside, WRITTEN_BESIDE);
}

#[test]
fn the_document_names_what_is_spread() {
    let document = include_str!("../../docs/SCALE.md");
    let spread = TABLES.iter().filter(|(_, spread)| matches!(spread, ByAccount | ByBorrower | LookUp));
    let named = spread.map(|(table, _)| *table).chain(NAMES_A_LINE).chain(WRITTEN_BESIDE);
    let missing: Vec<&str> = named.filter(|table| !document.contains(&format!("`{table}`"))).collect();
    assert!(missing.is_empty(), "docs/SCALE.md lacks {missing:?}");
}

#[test]
fn every_table_stands_in_the_map_of_tables() {
    let text = std::fs::read_to_string(format!("{}/docs/ARCHITECTURE.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, section) = text.split_once("\n## Tables\n").unwrap();
    let rows = section.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(2));
    let shown: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let tables: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    assert_eq!(shown.iter().copied().collect::<BTreeSet<&str>>(), tables, "docs/ARCHITECTURE.md, Tables");
    assert_eq!(shown.len(), tables.len(), "docs/ARCHITECTURE.md, Tables, names one twice");
}
