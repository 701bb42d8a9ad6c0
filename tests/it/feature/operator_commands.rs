//! Operators' commands report misspelt input clearly, and print JSON for programs.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::house_command::Program;
use crate::{house, town};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_whose_name_is_misspelt_is_not_said_to_be_paused(pool: PgPool) {
    let town = town::found(house::open(pool.clone(), "2026-01-05").await, 10_000_000).await;
    let fenqi = Program::on(&pool).await;
    let pause = ["outbox", "pause", "harbor-bank", "--by", "Li Na"];
    for arguments in [
        &pause[..],
        &["outbox", "resume", "harbor-bank", "--by", "Li Na"],
        &["outbox", "status", "payout"],
        &["outbox", "list", "--partner", "harbor-bank"],
        &["outbox", "replay", "--partner", "harbor-bank", "--dead"],
    ] {
        let refused = fenqi.refused(arguments);
        assert!(refused.contains("no messages go to") && refused.contains("fenqi funder list"), "{refused}");
    }
    let paused: i64 = sqlx::query_scalar("select count(*) from outbox_action").fetch_one(&pool).await.unwrap();
    assert_eq!(paused, 0);
    assert!(fenqi.misspelt(&["outbox", "pause", "harbour-bank", "--by", " "]).contains("it must not be empty"));
    let merchant = format!("merchant:{}", town.merchant_id);
    for partner in ["harbour-bank", "sms", "wechat", merchant.as_str()] {
        fenqi.done(&["outbox", "pause", partner, "--by", "Li Na"]);
        let told: Value = serde_json::from_str(&fenqi.done(&["outbox", "status", partner, "--json"])).unwrap();
        assert!(told["partner"] == json!(partner) && told["standing"]["paused_at"].is_string(), "{told}");
        assert_eq!((&told["done"][0]["action"], &told["done"][0]["done_by"]), (&json!("pause"), &json!("Li Na")));
    }
    let all = fenqi.done(&["outbox", "status"]);
    assert!(all.starts_with("harbour-bank: paused since ") && all.lines().count() == 4, "{all}");
    let number = "select message_no from outbox where kind = 'reserve_deposited'";
    let number: i64 = sqlx::query_scalar(number).fetch_one(&pool).await.unwrap();
    let number = number.to_string();
    let show = ["outbox", "show", number.as_str()];
    let shown: Value = serde_json::from_str(&fenqi.done(&[&show[..], &["--json"]].concat())).unwrap();
    let message = &shown["message"];
    assert_eq!((&message["partner"], &message["kind"]), (&json!("harbour-bank"), &json!("reserve_deposited")));
    assert_eq!((&message["body"]["amount_fen"], &shown["done"]), (&json!(10_000_000), &json!([])));
    let dead = "update outbox set attempts = 18, dead_at = created_at, last_error = 'refused: no'";
    sqlx::query(dead).execute(&pool).await.unwrap();
    assert!(fenqi.done(&["outbox", "status", "--json"]).contains(r#""dead":1,"#));
    let dead = ["outbox", "replay", "--partner", "harbour-bank", "--dead", "--by", "Li Na"];
    assert_eq!(fenqi.done(&dead), "delivered next: 1 message that had been given up\n");
    assert!(fenqi.done(&dead).starts_with("delivered next: 0 messages"), "none is left");
    fenqi.done(&["outbox", "discard", &number, "--reason", "entered by hand", "--by", "Li Na"]);
    let told = fenqi.done(&show);
    assert!(told.contains(": discarded, attempts 1") && told.contains("by Li Na: entered by hand"), "{told}");
    assert!(told.contains(&format!("replay of {number} by Li Na")), "{told}");
    // Each sentence is said once, with where to look.
    let not_failed = "error: the event has not failed, or was delivered or discarded; see `fenqi outbox list`\n";
    let number = number.as_str();
    for again in [
        &["outbox", "discard", number, "--reason", "once more", "--by", "Li Na"][..],
        &["outbox", "replay", number, "--by", "Li Na"],
    ] {
        let refused = fenqi.refused(again);
        assert!(refused.ends_with(not_failed), "{refused}");
    }
    let turned_round = ["outbox", "replay", "--partner", "harbour-bank", "--from-no", "2", "--to-no", "1"];
    let refused = fenqi.refused(&turned_round);
    assert_eq!(refused.matches("a range needs two numbers").count(), 1, "{refused}");
    assert_eq!(house::did(&pool, "delivery_changed").await, ["Li Na"; 6], "four pauses, a replay of one, a discard");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_not_there_is_said_with_where_to_look(pool: PgPool) {
    let town = town::found(house::open(pool.clone(), "2026-01-05").await, 10_000_000).await;
    let fenqi = Program::on(&pool).await;
    let zeros = "0".repeat(32);
    let order = format!("{}_{zeros}", fenqi::base::id::ReserveOrderId::PREFIX);
    let (line, merchant) = (format!("line_{zeros}"), town.merchant_id.to_string());
    let nobody = format!("{}_{zeros}", fenqi::base::id::MerchantId::PREFIX);
    let payout = format!("{}_{zeros}", fenqi::base::id::PayoutId::PREFIX);
    let claim = format!("{}_{zeros}", fenqi::base::id::ClaimId::PREFIX);
    for (arguments, hint) in [
        (&["outbox", "kinds", "loan_mad"][..], "fenqi outbox kinds"),
        (&["outbox", "template", "harbour-bank", "loan_mad"][..], "fenqi outbox kinds"),
        (&["outbox", "template", "harbor-bank"][..], "fenqi funder list"),
        (&["outbox", "show", "4711"][..], "fenqi outbox list"),
        (&["outbox", "discard", "4711", "--reason", "gone", "--by", "Li Na"][..], "fenqi outbox list"),
        (&["reserve", "confirm", &order, "--by", "Li Na"][..], "fenqi reserve list"),
        (&["line", "show", &line][..], "--mobile"),
        (&["funder", "show", "harbor-bank"][..], "fenqi funder list"),
        (&["partner", "notify", &nobody, "--off", "--by", "Li Na"][..], "see `fenqi merchant list`"),
    ] {
        let refused = fenqi.refused(arguments);
        assert!(refused.contains(hint), "{refused}");
    }
    // No list shows what is wrong with an address.
    let open = fenqi.refused(&["partner", "notify", &merchant, "--url", "http://pay.example/paid", "--by", "Li Na"]);
    assert!(!open.contains("see `"), "{open}");
    for nameless in [
        &["merchant", "suspend", &merchant, "--by", " ", "--reason", "fraud"][..],
        &["merchant", "suspend", &merchant, "--by", "Li Na", "--reason", " "],
        &["outbox", "discard", "1", "--reason", " ", "--by", "Li Na"],
    ] {
        assert!(fenqi.misspelt(nameless).contains("it must not be empty"), "{nameless:?}");
    }
    // What is listed beside other things, in the audit trail too, is no line of its own, and moves nothing in a terminal.
    for written_over in [
        &["close", "--date", "2026-01-05", "--by", "Li\u{1b}[2KNa"][..],
        &["reserve", "refuse", &order, "--by", "Li\nNa", "--reason", "it never arrived"],
        &["reserve", "refuse", &order, "--by", "Li Na", "--reason", "it never arrived\r1  2026-01-05"],
        &["partner", "key", "revoke", "my-core", "MY-1", "--by", "Li\nNa"],
        &["line", "freeze", &line, "--by", "Li Na", "--reason", "lost\nphone"],
        &["transfer", "record", &line, "--amount-fen", "1", "--reference", "B-1\rB-2", "--by", "Li Na"],
        &["payout", "settle", &payout, "--paid", "B-1\rB-2", "--by", "Li Na"],
        &["claim", "pay", &claim, "--reference", "G-1\rG-2", "--by", "Li Na"],
        &["claim", "withdraw", &claim, "--by", "Li Na", "--reason", "paid\nmeanwhile"],
        &["claim", "take-back", &claim, "--by", "Li Na", "--reason", "booked\ntwice"],
        &["funder", "open", "other-bank", "--name", "Other\nBank", "--by", "Li Na"],
    ] {
        assert!(fenqi.misspelt(written_over).contains("it must stand on one line"), "{written_over:?}");
    }
    how_a_core_is_told_is_changed_by_command(&fenqi, &pool).await;
    let told: Value = serde_json::from_str(&fenqi.done(&["funder", "list", "--json"])).unwrap();
    assert_eq!((&told["code"], &told["available_fen"]), (&json!("harbour-bank"), &json!(10_000_000)));
}

/// As somebody files a merchant at this price.
fn filing(rate: &str) -> Vec<&str> {
    let company = ["merchant", "add", "--name", "上海老王家居有限公司", "--credit-code", "91350100M000100Y43"];
    let account = ["--category", "home", "--account-number", "31001500400050123456", "--contact-mobile", "13800138000"];
    [&company[..], &account, &["--discount-rate", rate, "--keeps-discount"]].concat()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_with_a_contract_of_its_own_is_added_and_decided_by_command(pool: PgPool) {
    let _app = house::open(pool.clone(), "2026-03-02").await;
    let fenqi = Program::on(&pool).await;
    assert!(fenqi.misspelt(&filing("4%")).contains("a rate is a fraction"));
    assert!(fenqi.refused(&filing("0.2")).contains("the discount rate is a fraction from 0 to 0.1"));
    let added = fenqi.done(&filing("0.004"));
    assert!(added.contains("is submitted; decide with `fenqi merchant approve`"), "{added}");
    assert_eq!(fenqi.done(&filing("0.004")), added, "the same once more is the same merchant");
    assert_eq!(house::did(&pool, "merchant_added").await.len(), 1);
    let merchant = added.split_whitespace().next().unwrap();
    assert!(fenqi.done(&["merchant", "show", merchant]).contains("discount fee 0.004, kept on a refund"));
    fenqi.done(&["merchant", "approve", merchant, "--by", "Li Na", "--reason", "contract 17"]);
    assert_eq!(fenqi.done(&filing("0.004")), format!("{merchant} is active already\n"));
    assert!(fenqi.refused(&filing("0.005")).contains("has a merchant account already, with other particulars"));
}

async fn how_a_core_is_told_is_changed_by_command(fenqi: &Program, pool: &PgPool) {
    let number = "select message_no from outbox where kind = 'reserve_deposited'";
    let number: i64 = sqlx::query_scalar(number).fetch_one(pool).await.unwrap();
    let told = ["outbox", "template", "harbour-bank", "reserve_deposited"];
    let change = |how: &[&str]| fenqi.done(&[&told[..], how, &["--by", "Li Na"]].concat());
    assert!(change(&["--not-told"]).contains("version 1, saved by Li Na at "));
    let file = std::env::temp_dir().join(format!("fenqi-template-{}.json", uuid::Uuid::new_v4().simple()));
    std::fs::write(&file, r#"{"sum": {{ body.amount_fen | yuan }}}"#).unwrap();
    change(&["--file", file.to_str().unwrap(), "--path", "/reserve"]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(fenqi.done(&["outbox", "try", &number.to_string()]), "POST /reserve\n{\"sum\": \"100000.00\"}\n");
    change(&["--as-version", "1"]);
    let newest: Value = serde_json::from_str(&fenqi.done(&["outbox", "template", "harbour-bank", "--json"])).unwrap();
    assert_eq!((&newest["version"], &newest["not_told"]), (&json!(3), &json!(true)));
    assert_eq!(house::did(pool, "template_saved").await, ["Li Na"; 3]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_benchmark_writes_its_last_calls_down_tells_a_program_its_figure_and_leaves_no_database(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    for (nothing, allowed) in [
        (["authorise", "--runs", "0"], "0 is not in 1.."),
        (["authorise", "--seconds", "0"], "0 is not in 1.."),
        (["close", "--loans", "0"], "0 is not in 100..=100000000"),
        (["collect", "--lines", "99"], "99 is not in 100..=100000000"),
        (["http", "--reads", "0"], "0 is not in 32.."),
        (["pages", "--seconds", "0"], "0 is not in 1.."),
        (["quote", "--quotes", "0"], "0 is not in 1.."),
    ] {
        let told = fenqi.misspelt(&[&["bench"][..], &nothing].concat());
        assert!(told.contains(allowed), "{told}");
    }
    let few = ["bench", "http", "--runs", "1", "--reads", "64", "--purchases", "64", "--json"];
    assert!(ends_with_figure(&fenqi, &few, &["p50_ms", "p99_ms"]).contains("signed order and confirmation"));
    // So few that the figures mean nothing, but what they count was checked.
    let lines = ["bench", "collect", "--lines", "100", "--json"];
    assert!(ends_with_figure(&fenqi, &lines, &["seconds", "rows"]).starts_with("collect, results posted "));
    let quotes = ["bench", "quote", "--quotes", "500", "--json"];
    assert!(ends_with_figure(&fenqi, &quotes, &["seconds"]).contains("quote --batch, JSON lines in and out"));
    let left = "select datname::text from pg_database where datname like 'fenqi\\_bench\\_%'";
    let left: Vec<String> = sqlx::query_scalar(left).fetch_all(&pool).await.unwrap();
    assert!(left.is_empty(), "{left:?} were made by benchmarks, and are still there");
}

/// What a benchmark tells. Its last line is one figure in JSON, with numbers in these fields besides those that every one has.
fn ends_with_figure(fenqi: &Program, command: &[&str], numbers: &[&str]) -> String {
    let told = fenqi.done_without_error(command);
    let figure: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    for field in ["name", "unit"] {
        assert!(figure[field].is_string(), "{field} is missing in {figure}");
    }
    for field in ["value", "baseline", "ratio", "runs"].iter().chain(numbers) {
        assert!(figure[field].is_number(), "{field} is no number in {figure}");
    }
    told
}
