//! The control routes of the counterfeit partners (`fenqi sandbox`) work as an integrator on trial uses them.

use fenqi::base::Clock;
use fenqi::sandbox::{self, Silence, World, WorldSettings};
use serde_json::{Value, json};

/// A world of its own, at this address.
async fn world() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let settings = WorldSettings {
        seed: 1,
        clock: Clock::System,
        wire_clock: Clock::System,
        silence: Silence::Drop,
        callback_base: None,
    };
    tokio::spawn(sandbox::serve(listener, World::new(settings).unwrap()));
    address
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

async fn post(address: &str, path: &str, body: Value) -> (u16, String) {
    let request = client().post(format!("{address}{path}")).header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn get(address: &str, path: &str) -> Value {
    let response = client().get(format!("{address}{path}")).send().await.unwrap();
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_script_is_kept_or_refused_with_what_is_allowed() {
    let address = world().await;
    let script = async |partner: &str, outcome: Value| {
        post(&address, "/script", json!({ "partner": partner, "outcomes": [outcome] })).await
    };
    let (status, said) = script("withholding", json!({ "answer": "success" })).await;
    assert!(status == 422 && said.contains("no partner \"withholding\"") && said.contains("withholding_a"), "{said}");
    // A word that is misspelt is no success.
    let (status, said) = script("withholding_b", json!({ "answer": "insuficient_funds" })).await;
    assert!(status == 422 && said.contains("insufficient_funds"), "{said}");
    for partner in ["sms", "card_signing"] {
        let (status, said) = script(partner, json!({ "answer": "refuse" })).await;
        assert!(status == 422 && said.contains("allowed are success, refused"), "{said}");
    }
    let (status, said) = script("withholding_a", json!({ "answer": "partial" })).await;
    assert!(status == 422 && said.contains("needs amount_fen"), "{said}");
    let matched = json!({ "partner": "payout", "match": { "field": "card", "value": "1" }, "outcomes": [] });
    let (status, said) = post(&address, "/script", matched).await;
    assert!(status == 422 && said.contains("order, account"), "{said}");
    let (status, said) = post(&address, "/script", json!({ "partner": "payout", "outcomes": [] })).await;
    assert!(status == 422 && said.contains("names no answer"), "{said}");
    assert_eq!(get(&address, "/state").await["scripts_left"], 0);
    assert_eq!(script("withholding_a", json!({ "answer": "partial", "amount_fen": 5 })).await.0, 204);
    assert_eq!(script("wechat", json!({ "answer": "openid:anna" })).await.0, 204);
    // As whoever wants the one after it refused says.
    assert_eq!(script("sms", json!({ "answer": "success" })).await.0, 204);
    assert_eq!(get(&address, "/state").await["scripts_left"], 3);
}

#[tokio::test]
async fn faults_are_shares_of_a_partner_that_exists() {
    let address = world().await;
    let faults = async |partner: &str, shares: Value| {
        post(&address, "/faults", json!({ "partner": partner, "shares": shares })).await
    };
    let (status, said) = faults("bank", json!({})).await;
    assert!(status == 422 && said.contains("payout"), "{said}");
    let (status, said) = faults("payout", json!({ "timeout_after": 600, "timeout_before": 401 })).await;
    assert!(status == 422 && said.contains("at most 1000"), "{said}");
    assert_eq!(faults("payout", json!({ "timeout_after": 600, "timeout_before": 400, "refuse": 900 })).await.0, 204);
    assert_eq!(faults("merchant_cashier", json!({ "refuse": 5 })).await.0, 204);
    // Half of a word is another mistake.
    assert_eq!(faults("payout", json!({ "timeout": 5 })).await.0, 422);
}

#[tokio::test]
async fn the_clock_is_moved_and_runs_on_from_there() {
    let address = world().await;
    let (status, _) = post(&address, "/clock", json!({ "now": "2031-02-01T02:00:00Z" })).await;
    assert_eq!(status, 200);
    let now = get(&address, "/clock").await["now"].as_str().unwrap().to_owned();
    assert!(now.starts_with("2031-02-01T02:0"), "{now}");
}
