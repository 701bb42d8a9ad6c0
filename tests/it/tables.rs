//! Every table is classified by how it would be spread over machines, and its keys allow that.

use std::collections::BTreeMap;

use sqlx::PgPool;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// Cut by the credit line: `line_id` is in the primary key and in every unique one.
    ByAccount,
    /// Cut by the person: `borrower_id` is in the primary key and in every unique one.
    ByBorrower,
    /// Small, the same everywhere.
    Reference,
    /// Stays on one machine: work lists, house postings, calls.
    Local,
    /// Global uniqueness, keyed by the value that is unique.
    LookUp,
}

use Spread::{ByAccount, ByBorrower, Local, LookUp, Reference};

const TABLES: &[(&str, Spread)] = &[
    ("bill", ByAccount),
    ("bill_line", ByAccount),
    ("charge_off", ByAccount),
    ("charge_off_look_back", ByAccount),
    ("credit_line", ByAccount),
    ("line_entry", ByAccount),
    ("loan", ByAccount),
    ("posting", ByAccount),
    ("purchase", ByAccount),
    ("purchase_question", ByAccount),
    ("refund", ByAccount),
    ("repayment", ByAccount),
    ("schedule", ByAccount),
    ("withholding", ByAccount),
    ("application", ByBorrower),
    ("bank_card", ByBorrower),
    ("card_signing", ByBorrower),
    ("borrower", ByBorrower),
    ("card_signing", ByBorrower),
    ("consent", ByBorrower),
    ("data_export", ByBorrower),
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
    ("event_template", Reference),
    ("partner_call", Local),
    ("payout", Local),
    ("payout_event", Local),
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
    ("transfer_by_bank_reference", LookUp),
];

/// Unique keys that lack the cut column and say why.
const EXCEPTIONS: &[(&str, &str)] = &[
    // One line per borrower and funder: kept by the application's transaction, which locks the borrower.
    ("credit_line_one_per_funder", "credit_line"),
];

const LIST_UNIQUE_KEYS: &str = "
    select c.relname::text as table_name, i.relname::text as key_name, x.indisprimary,
           array_agg(a.attname::text order by array_position(x.indkey::int2[], a.attnum)) as columns
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_index x on x.indrelid = c.oid and x.indisunique
    join pg_class i on i.oid = x.indexrelid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = any(x.indkey::int2[])
    where n.nspname = 'public' and c.relkind = 'r'
    group by 1, 2, 3 order by 1, 2";

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
    for (table, key, _, columns) in &keys {
        let cut = match classes.get(table.as_str()) {
            Some(ByAccount) => "line_id",
            Some(ByBorrower) => "borrower_id",
            _ => continue,
        };
        let is_excepted = EXCEPTIONS.contains(&(key.as_str(), table.as_str()));
        if !is_excepted && !columns.iter().any(|column| column == cut) {
            wrong.push(format!("{key} of {table} lacks {cut}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
