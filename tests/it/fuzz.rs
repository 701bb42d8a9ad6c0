//! Schemathesis against the served document with valid signatures: no 5xx, no answer outside the document.
//!
//! `./dev test` and `./dev fuzz` install the tool and say where it is; without it there is nothing to run.

use std::collections::HashMap;
use std::process::Stdio;

use fenqi::access::PartnerKind;
use fenqi::access::actions::PartnerChange;
use fenqi::partner::key::Algorithm;
use sqlx::PgPool;

use crate::town::{self, LineWish, Town};
use crate::{desk, house};

const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2027-12-31" };
/// Cases for each operation and phase of the short form, unless FUZZ_EXAMPLES says how many.
const EXAMPLES: &str = "20";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// A house in which there is something of everything to be asked for.
async fn lived_in(pool: PgPool) -> Town {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let lines = town.open_lines(3, WISH).await;
    let wishes = lines
        .iter()
        .enumerate()
        .map(|(number, line_id)| town.wish(*line_id, &format!("p-{number}"), 120_000, ("harbour-standard", 3)));
    let bought = town.buy(wishes.collect()).await;
    town.live_until("2026-01-26").await;
    town.refund(&bought[0], 30_000, "r-1").await;
    town
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_call_is_answered_outside_the_document(pool: PgPool) {
    let Ok(tool) = std::env::var("SCHEMATHESIS_PROGRAM") else {
        eprintln!("SCHEMATHESIS_PROGRAM does not say where Schemathesis is; ./dev test does");
        return;
    };
    let town = lived_in(pool).await;
    let keys = std::env::temp_dir().join(format!("fenqi-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&keys).unwrap();
    let owners = [
        ("fuzz-merchant", PartnerKind::Merchant, Some(town.merchant_id.to_string())),
        ("fuzz-funder", PartnerKind::Funder, Some("harbour-bank".to_owned())),
        ("fuzz-risk", PartnerKind::Risk, None),
    ];
    for (partner, kind, owner) in owners {
        desk::add_partner(&town.app, partner, kind, owner).await;
        let change = PartnerChange { rate_per_minute: Some(6_000_000), ..Default::default() };
        fenqi::access::change_partner(&town.app, partner, &change).await.unwrap();
        for algorithm in Algorithm::ALL {
            let serial = format!("F-{}", algorithm.as_str());
            let identity = desk::add_key(&town.app, partner, &serial, algorithm).await;
            std::fs::write(keys.join(format!("{partner}.{serial}.pem")), identity.private_key()).unwrap();
        }
    }
    let address = desk::serve(&town.app).await;
    let examples = std::env::var("FUZZ_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    // The hooks sign as the sample client does.
    let hooks =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz:", env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients");
    let child = tokio::process::Command::new(tool)
        .args(["run", &format!("{address}/api/v1/openapi.json"), "--checks", CHECKS, "--max-examples", &examples])
        .args(["--seed", "1", "--no-color", "--workers", "1", "--continue-on-failure", "--generation-database", "none"])
        .env("FUZZ_KEYS", &keys)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", hooks)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    let signed = std::fs::read_to_string(keys.join("signed.json")).unwrap_or_default();
    std::fs::remove_dir_all(&keys).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}\nsigned: {signed}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let signed: HashMap<String, u64> = serde_json::from_str(&signed).unwrap();
    assert!(signed.len() == 2 && signed.values().all(|requests| *requests > 100), "{signed:?}");
    town.assert_whole("after the fuzzing").await;
}
