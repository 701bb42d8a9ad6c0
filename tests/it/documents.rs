//! The documents agree with the program.

use std::collections::BTreeSet;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fenqi::config::KEYS;
use fenqi::credit::{Freeze, Freezes, LineStatus};
use fenqi::day_file::Table;
use fenqi::day_file::row::columns;
use fenqi::error::Refusal;
use fenqi::http::limits::{BODY_BYTES_MAX, DROPPED_BYTES_MAX};
use fenqi::jobs::JobKind;
use fenqi::ledger::Account;
use fenqi::loan::ScheduleReason;
use fenqi::notice::{TO_BORROWERS, TO_FUNDERS, TO_MERCHANTS, TO_OPERATORS, WECHAT_MESSAGES};
use fenqi::outbox::catalogue::{self, Audience};
use fenqi::partner::PartnerSettings;
use fenqi::partner::breaker::BreakerSettings;
use fenqi::partner::key::{Algorithm, PrivateKey};
use fenqi::partner::signature::{Identity, KeyRing};
use fenqi::partner::wechat::WeChatSettings;
use fenqi::purchase::PurchaseRefusal;
use fenqi::router::api_document;
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, PgPool};

use crate::golden;

/// Of GB/T 32918, by which every library signs unless told otherwise.
const IDENTIFIER: &str = "1234567812345678";

fn document(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What those who run a house read: how it is run, and what to do when something is wrong.
fn for_operators() -> String {
    ["docs/OPERATIONS.md", "docs/RUNBOOK.md"].map(document).concat()
}

/// The file of docs/OPERATIONS.md in TOML that has these words in it.
pub fn toml_of_operations(words: &str) -> String {
    let operations = document("docs/OPERATIONS.md");
    let mut blocks = operations.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains(words)).unwrap().to_owned()
}

/// Otherwise the proxy would answer for the house, in HTML.
#[test]
fn the_proxy_lets_bodies_through_that_a_node_refuses_itself() {
    let operations = document("docs/OPERATIONS.md");
    let (_, size) = operations.split_once("client_max_body_size ").unwrap();
    let mebibytes: usize = size.split_once("m;").unwrap().0.parse().unwrap();
    assert_eq!(mebibytes * 1024 * 1024, DROPPED_BYTES_MAX);
    let told = format!("above {} KiB", BODY_BYTES_MAX / 1024);
    assert!(operations.contains(&told), "{told}");
}

#[test]
fn every_kind_of_event_is_documented_with_its_fields() {
    let document = document("docs/integrate/funder.md");
    let rows = catalogue::of(Audience::Funder).map(|kind| {
        let example = kind.example();
        let fields: Vec<String> = example.as_object().unwrap().keys().map(|name| format!("`{name}`")).collect();
        format!("| `{}` | {} | {} | {} {} |", kind.name, kind.version, kind.object, kind.says, fields.join(", "))
    });
    let missing: Vec<String> = rows.filter(|row| !document.contains(row)).collect();
    assert!(missing.is_empty(), "docs/integrate/funder.md lacks these rows:\n{}", missing.join("\n"));
}

#[test]
fn every_kind_of_event_has_its_example_in_the_document() {
    let document = document("docs/integrate/events.md");
    let sections = catalogue::KINDS.iter().map(|kind| {
        let example = serde_json::to_string_pretty(&kind.example()).unwrap();
        format!(
            "### `{}`\n\n{} About: {}. Version {}.\n\n```json\n{example}\n```\n",
            kind.name, kind.says, kind.object, kind.version
        )
    });
    let missing: Vec<String> = sections.filter(|section| !document.contains(section)).collect();
    assert!(missing.is_empty(), "docs/integrate/events.md lacks:\n{}", missing.join("\n"));
}

#[test]
fn a_signature_in_sm2_is_documented_as_it_is_made() {
    let api = api_document().json;
    let scheme = api["components"]["securitySchemes"]["signature"]["description"].as_str().unwrap();
    for (place, text) in [("the API's document", scheme), ("merchant.md", &document("docs/integrate/merchant.md"))] {
        for told in [IDENTIFIER, "64 bytes", "DER", "8 to 64 printable ASCII characters"] {
            assert!(text.contains(told), "{place} does not say {told}");
        }
    }
    let java = document("docs/integrate/clients/Fenqi.java");
    assert!(java.contains("PlainDSAEncoding") && java.contains(IDENTIFIER));
    let shown = &api["components"]["schemas"]["ManifestSignature"]["properties"];
    let signature = BASE64_STANDARD.decode(shown["signature"]["example"].as_str().unwrap()).unwrap();
    let made = PrivateKey::generate(Algorithm::Sm2Sm3).unwrap().sign(b"a manifest");
    assert_eq!(signature.len(), BASE64_STANDARD.decode(made).unwrap().len(), "r and s, as we make them");
    let serial_no = shown["serial_no"]["example"].as_str().unwrap();
    let parts: Vec<usize> = serial_no.split('-').map(str::len).collect();
    assert_eq!((&parts[..], &serial_no[..6]), (&[5, 8, 8][..], "FENQI-"), "FENQI, the day, what is unlike any other");
}

#[test]
fn what_may_be_null_in_an_event_is_documented() {
    let document = document("docs/integrate/events.md");
    let (_, list) = document.split_once("Only these may be null: ").unwrap();
    let list = list.split_once("\n\n").unwrap().0.replace('\n', " ");
    let kinds = catalogue::KINDS.iter();
    let mut fields: Vec<String> =
        kinds.flat_map(|kind| kind.nullable.iter().map(move |field| format!("`{field}` of `{}`", kind.name))).collect();
    fields.retain(|field| !list.contains(field.as_str()));
    assert!(fields.is_empty(), "docs/integrate/events.md lacks: {}", fields.join(", "));
    let nullable: usize = catalogue::KINDS.iter().map(|kind| kind.nullable.len()).sum();
    assert_eq!(list.matches("` of `").count(), nullable, "the document names more");
}

#[test]
fn what_may_be_empty_in_an_event_is_documented() {
    let document = document("docs/integrate/events.md");
    let (_, list) = document.split_once("Only these lists may be empty: ").unwrap();
    let listed: Vec<&str> = list.split_once(".\n\n").unwrap().0.split(", ").collect();
    let lists = catalogue::KINDS
        .iter()
        .flat_map(|kind| kind.may_be_empty.iter().map(move |field| format!("`{field}` of `{}`", kind.name)));
    assert_eq!(listed, lists.collect::<Vec<String>>());
}

#[test]
fn the_words_of_an_event_are_documented_and_are_those_that_the_program_has() {
    let document = document("docs/integrate/events.md");
    let fields = catalogue::KINDS.iter().flat_map(|kind| kind.words.iter().map(move |words| (kind.name, *words)));
    let rows = fields.map(|(kind, (field, words))| {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        format!("| `{kind}` | `{field}` | {} |", words.join(", "))
    });
    let (_, table) = document.split_once("| kind | field | words |\n| --- | --- | --- |\n").unwrap();
    assert!(table.split_once("\n\n").unwrap().0.lines().eq(rows), "docs/integrate/events.md has other words");
    let words = |kind: &str, wanted: &str| -> BTreeSet<&'static str> {
        let kind = catalogue::find(kind).unwrap();
        let (_, words) = kind.words.iter().find(|(field, _)| *field == wanted).unwrap();
        words.iter().copied().collect()
    };
    // Every choice of reasons, but for none.
    let choices = (1..1_u32 << Freeze::ALL.len()).map(|choice| {
        let chosen = Freeze::ALL.into_iter().enumerate().filter(|(place, _)| (choice >> place) & 1 == 1);
        let mut reasons = chosen.map(|(_, why)| why);
        let first = Freezes::of(reasons.next().unwrap());
        LineStatus::Frozen(reasons.fold(first, Freezes::with)).stored().1.unwrap()
    });
    let choices: Vec<String> = choices.collect();
    let choices: BTreeSet<&str> = choices.iter().map(String::as_str).collect();
    assert_eq!(words("line_changed", "frozen_for"), choices);
    assert_eq!(words("plan_changed", "reason"), BTreeSet::from(ScheduleReason::ALL.map(ScheduleReason::name)));
}

#[test]
fn whoever_integrates_is_told_where_programs_find_the_document() {
    for guide in ["funder", "merchant", "risk"] {
        let text = document(&format!("docs/integrate/{guide}.md"));
        assert!(text.contains("`/api/v1/openapi.json`"), "{guide}.md");
    }
}

#[test]
fn every_configuration_key_is_documented_as_it_is() {
    let operations = document("docs/OPERATIONS.md");
    let row = |key: &fenqi::config::Key| {
        let default = key.default.map_or("–".to_owned(), |default| format!("`{default}`"));
        format!("| `{}` | {default} | {} | {} |", key.name, key.allowed, key.says)
    };
    let missing: Vec<String> = KEYS.iter().map(row).filter(|row| !operations.contains(row)).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md lacks these rows:\n{}", missing.join("\n"));
}

#[test]
fn every_metric_and_every_job_is_documented() {
    let operations = document("docs/OPERATIONS.md");
    let metrics = document("src/http/metrics.rs");
    let names = metrics.split("\"fenqi_").skip(1).filter_map(|rest| rest.split('"').next());
    let missing: Vec<&str> = names.filter(|name| !operations.contains(&format!("`fenqi_{name}"))).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md, Health, lacks fenqi_: {}", missing.join(", "));
    let kinds = JobKind::ALL.map(|kind| format!("\n| `{}` | ", kind.name()));
    let missing: Vec<&str> = kinds.iter().map(String::as_str).filter(|row| !operations.contains(row)).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md, The timetable, lacks: {}", missing.concat());
}

/// Of a metric that is not there an alert hears nothing, for ever.
#[test]
fn every_metric_that_is_documented_is_there() {
    let (shown, metrics) = (for_operators(), document("src/http/metrics.rs"));
    let words = shown.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("fenqi_")).collect();
    assert!(!named.is_empty());
    let unknown: Vec<&str> = named.into_iter().filter(|name| !metrics.contains(&format!("\"{name}\""))).collect();
    assert!(unknown.is_empty(), "OPERATIONS and RUNBOOK name what src/http/metrics.rs lacks: {}", unknown.join(", "));
}

#[test]
fn whoever_is_told_a_thing_by_a_notice_is_documented() {
    let runbook = document("docs/RUNBOOK.md");
    let to_borrowers = TO_BORROWERS.map(|(kind, _)| kind);
    for (recipient, kinds) in [
        ("borrower", &to_borrowers[..]),
        ("merchant", &TO_MERCHANTS[..]),
        ("funder", &TO_FUNDERS[..]),
        ("operator", &TO_OPERATORS[..]),
    ] {
        let begins = format!("| {recipient} | `");
        let row = runbook.lines().find(|line| line.starts_with(&begins)).unwrap();
        let listed: BTreeSet<&str> = row.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, kinds.iter().copied().collect::<BTreeSet<&str>>(), "{recipient}");
    }
}

#[test]
fn what_the_runbook_says_of_a_silent_risk_partner_is_what_the_program_does_and_logs() {
    let runbook = document("docs/RUNBOOK.md");
    let logged = [
        ("src/purchase/risk_actions.rs", "the risk hook is silent about a purchase"),
        ("src/partner/client.rs", "it kept failing and is left alone for a while"),
    ];
    for (source, words) in logged {
        assert!(document(source).contains(words) && runbook.contains(&format!("`{words}`")), "{source}: {words}");
    }
    let BreakerSettings { failures_max, open_for } = BreakerSettings::DEFAULT;
    assert_eq!((failures_max, open_for.num_seconds()), (10, 10));
    for told in ["After ten calls in a row without an answer", "for ten seconds that node asks nothing"] {
        assert!(runbook.contains(told), "{told}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_queries_that_operators_are_shown_are_answered(pool: PgPool) {
    let documents = for_operators();
    let shown = documents.split("psql \"$DATABASE_URL\" -c \"").skip(1);
    let queries: Vec<&str> = shown.filter_map(|rest| rest.split('"').next()).collect();
    assert!(queries.len() >= 4, "{queries:?}");
    for query in queries {
        let answered = sqlx::raw_sql(AssertSqlSafe(query)).execute(&pool).await;
        assert!(answered.is_ok(), "{query}: {answered:?}");
    }
}

#[test]
fn the_partners_file_that_is_shown_is_one_that_is_read() {
    let example = toml_of_operations("[[partner]]");
    let path = std::env::temp_dir().join(format!("fenqi-partners-{}.toml", std::process::id()));
    std::fs::write(&path, example).unwrap();
    let read = PartnerSettings::read(&path);
    std::fs::remove_file(&path).ok();
    let partners = read.unwrap();
    assert_eq!(partners.len(), 1);
    for partner in &partners {
        let ours = Identity::from_text(&partner.mchid, &partner.serial_no, &partner.private_key);
        assert!(ours.is_some(), "the private key is one");
        assert!(partner.base_url.starts_with("https://") && !partner.base_url.ends_with('/'), "{}", partner.base_url);
        assert_eq!(partner.partner_keys.len(), 1);
        for key in &partner.partner_keys {
            let is_key = KeyRing::default().add(&partner.partner_mchid, &key.serial_no, &key.public_key);
            assert!(is_key, "the public key is one");
        }
    }
}

#[test]
fn the_wechat_file_that_is_shown_is_one_that_is_read() {
    let operations = document("docs/OPERATIONS.md");
    let example = toml_of_operations("app_id");
    let path = std::env::temp_dir().join(format!("fenqi-wechat-{}.toml", std::process::id()));
    std::fs::write(&path, example).unwrap();
    let read = WeChatSettings::read(&path, &WECHAT_MESSAGES);
    std::fs::remove_file(&path).ok();
    assert_eq!(read.unwrap().templates["bill_issued"].keywords["date2"], "{due_on}");
    let missing: Vec<&str> =
        WECHAT_MESSAGES.into_iter().filter(|kind| !operations.contains(&format!("`{kind}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_refusal_of_a_purchase_is_documented_in_the_order_of_the_checks() {
    let rows = PurchaseRefusal::ALL.map(|refusal| format!("| `{}` | {refusal} |\n", refusal.code()));
    let table = rows.concat();
    assert!(document("docs/SCENARIOS.md").contains(&table), "docs/SCENARIOS.md lacks:\n{table}");
}

#[test]
fn every_column_of_the_daily_files_is_documented_in_its_order() {
    let text = document("docs/integrate/funder.md");
    for table in Table::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}` |", table.name())));
        let columns: Vec<String> = columns(*table).iter().map(|column| format!("`{column}`")).collect();
        let listed = row.and_then(|row| row.trim_end_matches(" |").rsplit_once("| "));
        assert_eq!(listed.map(|(_, listed)| listed), Some(&*columns.join(", ")), "{}", table.name());
    }
}

const DOCUMENTS: [&str; 16] = [
    "README.md",
    "docs/ARCHITECTURE.md",
    "docs/AUDIT.md",
    "docs/BOOKS.md",
    "docs/GLOSSARY.md",
    "docs/OPERATIONS.md",
    "docs/PAGES.md",
    "docs/PRODUCTS.md",
    "docs/RISK.md",
    "docs/RUNBOOK.md",
    "docs/SCALE.md",
    "docs/SCENARIOS.md",
    "docs/integrate/events.md",
    "docs/integrate/funder.md",
    "docs/integrate/merchant.md",
    "docs/integrate/risk.md",
];

#[test]
fn links_between_documents_lead_somewhere() {
    let mut all = BTreeSet::from(["README.md".to_owned()]);
    for folder in ["docs", "docs/integrate"] {
        all.extend(files(folder, ".md").into_iter().map(|name| format!("{folder}/{name}.md")));
    }
    assert_eq!(BTreeSet::from(DOCUMENTS.map(str::to_owned)), all, "these are looked at, and those are there");
    for path in DOCUMENTS {
        let text = document(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (place, _) in text.match_indices("](") {
            let target = text[place + 2..].split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, section) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.to_owned() } else { format!("{folder}/{file}") };
            let exists = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file.trim_start_matches('/')).exists();
            assert!(exists, "{path} leads to {target}, which does not exist");
            let is_heading = |line: &str| line.starts_with('#') && anchor(line) == section;
            let has_section = section.is_empty() || document(file.trim_start_matches('/')).lines().any(is_heading);
            assert!(has_section, "{path} leads to {target}, where no heading is called so");
        }
    }
}

#[test]
fn every_account_is_documented_in_its_order() {
    let text = document("docs/BOOKS.md");
    let listed = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `"));
    let listed: Vec<String> = listed
        .filter(|(number, _)| number.parse::<i16>().is_ok())
        .map(|(number, rest)| format!("{number} {}", rest.split('`').next().unwrap_or_default()))
        .collect();
    let accounts = Account::ALL.map(|account| format!("{} {}", account.number(), account.name()));
    assert_eq!(listed, accounts);
}

/// By what a heading is reached in an address.
fn anchor(heading: &str) -> String {
    let named = heading.trim_start_matches('#').trim().to_lowercase();
    named.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c)).collect::<String>().replace(' ', "-")
}

/// The files of a folder of ours whose names end so, by name without that ending.
fn files(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

/// Fitted anew on the real clients it is the same, byte for byte; and docs/RISK.md says of it what was measured then.
#[test]
fn the_scorecard_is_what_its_script_fits_and_as_good_as_is_said() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/products/scorecard/fit.py");
    let clients = golden::shared().join("data/credit_clients.csv");
    let fitted = Command::new("python3").arg(script).arg(clients).output().unwrap();
    assert!(fitted.status.success(), "{}", String::from_utf8_lossy(&fitted.stderr));
    let shipped = document("products/scorecard/scorecard.toml");
    assert!(fitted.stdout == shipped.as_bytes(), "{}", String::from_utf8_lossy(&fitted.stdout));

    let measured: Vec<Vec<&str>> = shipped.lines().map(|line| line.split_whitespace().collect()).collect();
    let quality = |clients: &str| {
        let words = measured.iter().find(|words| words.starts_with(&["#", clients, "clients"])).unwrap();
        let after = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
        ["AUC", "Gini", "KS"].map(|name| {
            let figure: Decimal = after(name).trim_end_matches([',', '.']).parse().unwrap();
            figure.round_dp(3).to_string()
        })
    };
    let mut rows = vec![
        format!("| **held out** | **{}** |", quality("Held-out").join("** | **")),
        format!("| training | {} |", quality("Training").join(" | ")),
    ];
    for words in &measured {
        match words[..] {
            ["#", grade, score, share, "%", defaulted, "%"] => {
                rows.push(format!("| {grade} | {score} | {share} % | {defaulted} % |"));
            }
            ["#", "refused", share, "%", defaulted, "%"] => {
                rows.push(format!("| refused | | {share} % | {defaulted} % |"));
            }
            _ => {}
        }
    }
    assert_eq!(rows.len(), 8, "{rows:?}");
    let told = document("docs/RISK.md");
    let missing: Vec<String> = rows.into_iter().filter(|row| !told.contains(row)).collect();
    assert!(missing.is_empty(), "docs/RISK.md lacks\n{}", missing.join("\n"));
}

#[test]
fn the_pictures_of_the_readme_are_those_that_the_browsers_tests_take() {
    let shown = document("README.md");
    let shown = shown.split("src=\"docs/pictures/").skip(1).filter_map(|rest| rest.split(".jpg\"").next());
    let shown: BTreeSet<String> = shown.map(str::to_owned).collect();
    let mut taken = BTreeSet::new();
    for name in files("tests/browser", ".mjs") {
        let text = document(&format!("tests/browser/{name}.mjs"));
        let calls = text.split("poster(").skip(1).filter_map(|rest| rest.split(')').next());
        taken.extend(calls.filter_map(|call| call.split('"').nth(1)).map(str::to_owned));
    }
    assert!(!shown.is_empty());
    assert_eq!(taken, shown, "./dev pictures takes these, and README.md shows those");
    assert_eq!(files("docs/pictures", ".jpg"), shown, "docs/pictures holds these");
}
