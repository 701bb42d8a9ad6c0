//! Schemathesis against the served document, with valid signatures: no 5xx, no answer outside the document, and every
//! operation that reads something by name reads it at least once.
//!
//! `./dev test` and `./dev fuzz` install the tool and say where it is. Without it this fails, unless SCHEMATHESIS_SKIPPED says that it is
//! meant to be left out.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use fenqi::access::actions::PartnerChange;
use fenqi::access::{Directory, PartnerKind};
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::partner::key::Algorithm;
use fenqi::router::api_document;
use sqlx::PgPool;

use crate::desk::Desk;
use crate::everything::{self, Names};
use crate::town::{self, Town};
use crate::{desk, house};

/// Cases for each operation and phase, unless FUZZ_EXAMPLES says how many.
const EXAMPLES: &str = "20";
/// From so many cases on this is the long form, which must make so many calls in all.
const EXAMPLES_LONG: u32 = 560;
const REQUESTS_LONG: u64 = 20_000;
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      response_headers_conformance";

/// Adds the partners that call, with their private keys in a directory; returns the desks of merchant and funder.
async fn invite(town: &Town, address: &str, keys: &Path) -> (Desk, Desk) {
    let owners = [
        ("fuzz-merchant", PartnerKind::Merchant, Some(town.merchant_id.to_string())),
        ("fuzz-funder", PartnerKind::Funder, Some("harbour-bank".to_owned())),
        ("fuzz-risk", PartnerKind::Risk, None),
    ];
    let mut desks = HashMap::new();
    for (partner, kind, owner) in owners {
        desk::add_partner(&town.app, partner, kind, owner).await;
        let change = PartnerChange { rate_per_minute: Some(6_000_000), ..Default::default() };
        let _ = fenqi::access::change_partner(&town.app, partner, &change, "operator").await.unwrap();
        for algorithm in Algorithm::ALL {
            let serial = format!("F-{}", algorithm.name());
            let identity = desk::add_key(&town.app, partner, &serial, algorithm).await;
            std::fs::write(keys.join(format!("{partner}.{serial}.pem")), identity.private_key()).unwrap();
            desks.insert(partner, Desk::new(&town.app, address, identity).await);
        }
    }
    (desks["fuzz-merchant"].clone(), desks["fuzz-funder"].clone())
}

/// Lives until there is something of everything to be asked for, today's purchases too; returns what it is called.
async fn live(town: &Town, merchant: &Desk, funder: &Desk) -> Names {
    everything::live(town, merchant).await;
    let lines = town.open_lines(3, everything::WISH).await;
    let wishes = lines
        .iter()
        .enumerate()
        .map(|(number, line_id)| town.wish(*line_id, &format!("today-{number}"), 120_000, ("harbour-standard", 3)));
    town.buy(wishes.collect()).await;
    everything::names(town, funder, merchant).await
}

/// The operations that read something by name and never did, with what they answered instead. `answered` counts answers by
/// route and status.
fn never_read(answered: &HashMap<String, HashMap<String, u64>>) -> Vec<String> {
    let document = api_document().json;
    let routes = document["paths"].as_object().unwrap().iter();
    let reading = routes.filter(|(route, item)| route.contains('{') && item["get"].is_object());
    let reading: Vec<&String> = reading.map(|(route, _)| route).collect();
    assert!(reading.len() >= 20, "only {} operations read by a name", reading.len());
    let was_read = |statuses: &HashMap<String, u64>| statuses.keys().any(|status| status.starts_with('2'));
    let never = reading.into_iter().filter(|route| !answered.get(*route).is_some_and(was_read));
    never.map(|route| format!("GET {route}: {:?}", answered.get(route))).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_call_is_answered_outside_the_document(pool: PgPool) {
    if std::env::var_os("SCHEMATHESIS_SKIPPED").is_some() {
        eprintln!("nothing is called at random: SCHEMATHESIS_SKIPPED says so");
        return;
    }
    let tool = std::env::var("SCHEMATHESIS_PROGRAM");
    let tool = tool
        .expect("SCHEMATHESIS_PROGRAM says where Schemathesis is, as ./dev test does, or SCHEMATHESIS_SKIPPED is set");
    let (app, _) = house::open_in_world(pool.clone(), "2026-01-05").await;
    // Each call comes from another address, as the hooks say: after too many calls without a valid signature an address is
    // refused for a while.
    let directory = Directory::new(pool, app.vault.clone(), Clock::System).behind(vec!["127.0.0.1".parse().unwrap()]);
    let app = App { access: Arc::new(directory), ..app };
    let town = town::found(app, 10_000_000).await;
    let folder = house::directory("fuzz");
    let address = desk::serve(&town.app).await;
    let (merchant, funder) = invite(&town, &address, &folder).await;
    let mut names: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for ((audience, parameter), found) in live(&town, &merchant, &funder).await {
        names.entry(audience).or_default().insert(parameter, found);
    }
    std::fs::write(folder.join("names.json"), serde_json::to_string(&names).unwrap()).unwrap();
    let examples = std::env::var("FUZZ_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    // The hooks sign as the sample client does.
    let hooks =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz:", env!("CARGO_MANIFEST_DIR"), "/docs/integrate/clients");
    let child = tokio::process::Command::new(tool)
        .args(["run", &format!("{address}/api/v1/openapi.json"), "--checks", CHECKS, "--max-examples", &examples])
        .args(["--seed", "1", "--no-color", "--workers", "1", "--continue-on-failure", "--generation-database", "none"])
        .env("FUZZ_FOLDER", &folder)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", hooks)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    let told = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let (signed, answered) = (told("signed.json"), told("answered.json"));
    std::fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}\nsigned: {signed}\nanswered: {answered}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let signed: HashMap<String, u64> = serde_json::from_str(&signed).unwrap();
    assert!(signed.len() == 2 && signed.values().all(|requests| *requests > 100), "{signed:?}");
    if examples.parse::<u32>().unwrap() >= EXAMPLES_LONG {
        assert!(signed.values().sum::<u64>() >= REQUESTS_LONG, "the long form calls {REQUESTS_LONG} times: {signed:?}");
    }
    let never = never_read(&serde_json::from_str(&answered).unwrap());
    assert!(never.is_empty(), "of these nothing was ever read, though there is something:\n{}", never.join("\n"));
    town.assert_whole("after the fuzzing").await;
}
