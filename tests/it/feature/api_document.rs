//! The OpenAPI document describes every operation of the API, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use fenqi::access::{PartnerKind, Scope};
use fenqi::app::App;
use fenqi::http::api::codes::CODES;
use fenqi::partner::key::Algorithm;
use fenqi::partner::mask::masked;
use fenqi::partner::store::{CallSearch, search_calls};
use fenqi::router::api_document;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::desk::{self, Desk};
use crate::house;
use crate::town;

#[test]
fn every_operation_is_documented_with_examples_its_scope_and_its_problems() {
    let document = api_document();
    let mut wrong = Vec::new();
    for (path, item) in document.json["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            let has_example = |content: &Value| {
                let mut kinds = content["content"].as_object().into_iter().flatten();
                kinds.all(|(_, kind)| !kind["example"].is_null() || !kind["examples"].is_null())
            };
            if operation["security"][0]["signature"].is_null() {
                wrong.push(format!("{name} does not say what it needs"));
            }
            let told = operation["description"].as_str().unwrap_or_default();
            if operation["security"][0]["signature"][0].as_str().is_some_and(|scope| !told.contains(scope)) {
                wrong.push(format!("{name} does not name its scope in words"));
            }
            if operation["summary"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{name} has no summary"));
            }
            if !has_example(&operation["requestBody"]) {
                wrong.push(format!("{name}: the body has no example"));
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.starts_with('2') && response["description"].as_str().is_none_or(str::is_empty) {
                    wrong.push(format!("{name}: the answer {status} has no description"));
                }
                if !has_example(response) {
                    wrong.push(format!("{name}: the answer {status} has no example"));
                }
            }
        }
    }
    references(&document.json, &document.json, &mut wrong);
    let codes = document.json["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    for code in CODES {
        assert!(codes.iter().any(|listed| listed == code.code));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// An object of which nothing is said lets every example be right, and tells no integrator what comes.
#[test]
fn every_answer_says_what_it_holds() {
    let document = api_document().json;
    let mut answers = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let schema = &response["content"]["application/json"]["schema"];
                if !status.starts_with('2') || schema.is_null() {
                    continue;
                }
                answers += 1;
                let said = match schema["$ref"].as_str() {
                    Some(target) => document.pointer(target.trim_start_matches('#')).unwrap(),
                    None => schema,
                };
                assert!(said["properties"].is_object() || said["allOf"].is_array(), "{method} {path}: {said}");
            }
        }
    }
    assert!(answers > 50, "{answers} answers");
}

/// OpenAPI has each once, and whoever has a client made from the document gets a method for each.
#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = api_document().json;
    let items = document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let names: Vec<&str> = items.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let mut seen = BTreeSet::new();
    let twice: Vec<&str> = names.into_iter().filter(|name| !seen.insert(*name)).collect();
    assert!(twice.is_empty() && seen.len() > 50, "{twice:?} stand twice");
}

/// Of which the interface log is kept long, and seen by many.
#[test]
fn whoever_did_something_is_masked_where_calls_are_written_down() {
    let document = api_document().json;
    let schemas = document["components"]["schemas"].as_object().unwrap().iter();
    let fields = schemas.flat_map(|(_, schema)| schema["properties"].as_object().into_iter().flatten());
    let people = fields.filter(|(name, field)| name.ends_with("_by") && field["format"] != "date-time");
    let people: BTreeSet<&String> = people.map(|(name, _)| name).collect();
    assert!(people.len() >= 5, "{people:?}");
    for name in people {
        let written = masked(Some(&json!({ name: "Chen Wei" })), 1);
        assert!(!written.contains("Chen"), "{written}");
    }
}

/// Lists that cannot grow.
const LISTS_WITHOUT_PAGES: [&str; 2] = ["/api/v1/events/kinds", "/api/v1/funder/loans/{loan_id}/installments"];

#[test]
fn every_list_comes_in_pages_and_what_two_may_edit_is_guarded() {
    let document = api_document().json;
    let resolve = |schema: &Value| match schema["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).unwrap().clone(),
        None => schema.clone(),
    };
    let (mut lists, mut edits) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = |method: &str| -> Vec<String> {
            let list = item[method]["parameters"].as_array().cloned().unwrap_or_default();
            list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        let answer = resolve(&item["get"]["responses"]["200"]["content"]["application/json"]["schema"]);
        if !answer["properties"]["items"].is_null() && !LISTS_WITHOUT_PAGES.contains(&path.as_str()) {
            lists += 1;
            assert!(!answer["properties"]["next_cursor"].is_null(), "{path} has no next_cursor");
            let taken = parameters("get");
            assert!(["limit", "cursor"].iter().all(|name| taken.iter().any(|one| one == name)), "{path}: {taken:?}");
        }
        if !item["put"].is_null() {
            edits += 1;
            assert!(parameters("put").iter().any(|name| name == "If-Match"), "PUT {path} overwrites blindly");
            assert!(!item["put"]["responses"]["412"].is_null() && !item["put"]["responses"]["428"].is_null());
            assert!(!item["get"].is_null(), "{path} can be read, or nobody has its ETag");
        }
    }
    assert!(lists > 20 && edits > 3, "{lists} lists, {edits} edits");
}

#[test]
fn whatever_if_match_names_is_documented_as_an_etag() {
    let document = api_document().json;
    let mut guarded = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            if !parameters.iter().any(|one| one["name"] == "If-Match") {
                continue;
            }
            guarded += 1;
            // What is approved is the object that the path names before.
            let resource = path.strip_suffix("/approval").unwrap_or(path);
            let read = &document["paths"][resource]["get"]["responses"]["200"]["headers"];
            let changed = &operation["responses"]["200"]["headers"];
            assert!(!read["ETag"].is_null() && !changed["ETag"].is_null(), "{method} {path}");
            assert!(!read["X-Request-Id"].is_null(), "what every answer bears is not lost: {path}");
        }
    }
    assert!(guarded > 4, "{guarded} operations");
}

#[test]
fn a_problem_has_the_headers_that_its_answers_bear() {
    let document = api_document().json;
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        let headers = &response["headers"];
        let (signed, rated) = (&headers["Fenqi-Signature"], &headers["RateLimit-Limit"]);
        let says = |header: &Value, code: &str| header["description"].as_str().unwrap().contains(code);
        assert!(!headers["X-Request-Id"].is_null(), "{name}");
        match &name["Problem".len()..][..3] {
            "401" => {
                assert!(rated.is_null(), "{name}");
                assert!(says(signed, "signature_wrong") && !says(signed, "nonce_reused"), "{signed}");
            }
            "413" => assert!(signed.is_null() && rated.is_null(), "{name}"),
            "429" => {
                assert!(says(signed, "Absent with too_many_not_believed."), "{signed}");
                assert!(says(rated, "Absent with too_many_not_believed."), "{rated}");
            }
            "403" if rated.is_null() => assert!(!signed.is_null(), "{name}"),
            "403" => assert!(!says(signed, "Absent") && says(rated, "Absent with address_not_allowed."), "{name}"),
            status => {
                assert!(!says(signed, "Absent") && !says(rated, "Absent"), "{name}");
                // A body that never comes, or a failure of ours, may end it before that.
                let may_not = " only if the request had been authenticated.";
                let is_early = matches!(status, "500" | "503");
                assert!(says(signed, may_not) == is_early && says(rated, may_not) == is_early, "{name}: {signed}");
            }
        }
        let codes = response["content"]["application/problem+json"]["examples"].as_object().unwrap();
        let may_wait = name.starts_with("Problem429")
            || ["idempotency_in_progress", "file_not_ready"].iter().any(|code| codes.contains_key(*code));
        assert_eq!(!headers["Retry-After"].is_null(), may_wait, "{name}");
        for (header, status) in [("WWW-Authenticate", 401), ("Allow", 405), ("Content-Range", 416)] {
            assert_eq!(!headers[header].is_null(), name.starts_with(&format!("Problem{status}")), "{name}");
        }
    }
}

/// A file comes as it is read; its hash is signed in the manifest.
#[test]
fn only_what_is_not_signed_is_documented_without_a_signature() {
    let document = api_document().json;
    let mut unsigned = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.starts_with('2') && response["headers"]["Fenqi-Signature"].is_null() {
                    unsigned.push(format!("{method} {path} {status}"));
                }
            }
        }
    }
    let file = "get /api/v1/funder/days/{business_day}/files/{name}";
    assert_eq!(unsigned, [format!("{file} 200"), format!("{file} 206")]);
}

/// A change's answer stands under its key, a refusal by a rule, too: given again, it says so.
#[test]
fn whatever_may_be_given_again_is_documented_with_the_header_that_says_so() {
    let document = api_document().json;
    let mut kept = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            let is_change = parameters.any(|one| one["name"] == "Idempotency-Key");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let target = response["$ref"].as_str().map(|target| target.trim_start_matches('#'));
                let response = target.map_or(response, |target| document.pointer(target).unwrap());
                let is_kept = is_change && ["200", "201", "404", "409", "410", "422"].contains(&status.as_str());
                let header = &response["headers"]["Idempotent-Replayed"];
                assert_eq!(!header.is_null(), is_kept, "{method} {path} {status}");
                kept += usize::from(is_kept);
            }
        }
    }
    assert!(kept > 40, "{kept} answers");
}

/// The codes that an operation lists under a status.
fn listed(document: &Value, operation: &Value, status: &str) -> Vec<String> {
    let Some(target) = operation["responses"][status]["$ref"].as_str() else { return Vec::new() };
    let response = document.pointer(target.trim_start_matches('#')).unwrap();
    response["content"]["application/problem+json"]["examples"].as_object().unwrap().keys().cloned().collect()
}

/// Codes of two features' operations.
const OF_TWO: &[(&str, [&str; 2])] = &[
    ("amount_out_of_bounds", ["merchant", "products"]),
    ("same_holder", ["funder", "products"]),
    ("decision_malformed", ["funder", "risk"]),
    ("application_not_referred", ["funder", "risk"]),
    ("unknown_event", ["events", "merchant"]),
    ("event_not_failed", ["events", "merchant"]),
    ("events_not_kept", ["events", "merchant"]),
];

#[test]
fn an_operation_lists_the_codes_that_it_can_answer_and_none_of_another_feature() {
    let document = api_document().json;
    let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["x-problems"].is_null(), "{method} {path}: said by its responses");
            for status in operation["responses"].as_object().unwrap().keys() {
                for code in listed(&document, operation, status) {
                    tags.entry(code).or_default().insert(operation["tags"][0].as_str().unwrap().to_owned());
                }
            }
        }
    }
    // What features refuse for reasons of their own begins with the orders.
    let own = CODES.iter().skip_while(|code| code.code != "merchant_not_active").filter(|code| code.status < 500);
    for code in own {
        let expected = OF_TWO.iter().find(|(two, _)| *two == code.code).map_or(1, |(_, two)| two.len());
        assert_eq!(tags[code.code].len(), expected, "{}: {:?}", code.code, tags[code.code]);
    }
    for (code, two) in OF_TWO {
        assert!(tags[*code].iter().eq(two.iter()), "{code}: {:?}", tags[*code]);
    }
    let unlisted: Vec<&str> = CODES.iter().map(|code| code.code).filter(|code| !tags.contains_key(*code)).collect();
    assert!(unlisted.is_empty(), "answered by no operation: {unlisted:?}");
    // A refund goes through while its loan is being paid off: what is too much then goes back to the card.
    let refunding = &document["paths"]["/api/v1/merchant/purchases/{purchase_id}/refunds"]["post"];
    assert!(!listed(&document, refunding, "409").contains(&"payoff_in_progress".to_owned()));
    let closing = &document["paths"]["/api/v1/merchant/orders/{reference}/closure"]["post"];
    let mut conflicts = listed(&document, closing, "409");
    conflicts.sort();
    assert_eq!(conflicts, ["idempotency_in_progress", "idempotency_key_reused", "order_paid", "order_voided"]);
    assert_eq!(listed(&document, closing, "422"), Vec::<String>::new());
    let reading = &document["paths"]["/api/v1/funder/loans"]["get"];
    assert_eq!(listed(&document, reading, "409"), Vec::<String>::new());
}

/// Every reference leads somewhere.
fn references(value: &Value, document: &Value, wrong: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref")
                && document.pointer(target.trim_start_matches('#')).is_none()
            {
                wrong.push(format!("{target} is nowhere"));
            }
            fields.values().for_each(|inside| references(inside, document, wrong));
        }
        Value::Array(items) => items.iter().for_each(|inside| references(inside, document, wrong)),
        _ => {}
    }
}

/// Where the gate met a call: its method and route, by the interface log.
async fn met(app: &App, answer: &desk::Answer) -> String {
    app.partners.flush_log().await;
    let key = Some(answer.header("x-request-id").to_owned());
    let mut connection = app.pool.acquire().await.unwrap();
    let found = search_calls(&mut connection, &CallSearch { key, limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!(found.len(), 1, "{answer:?}");
    found[0].operation.clone()
}

/// Routes of the API stand in one place, which makes the document too: whatever the document lists is served where it says,
/// behind the gate, and `router.rs` has no other way to serve anything below the prefix.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_document_and_the_routes_are_the_same(pool: PgPool) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let (app, address) = (&town.app, desk::serve(&town.app).await);
    // Whoever lacks the scope is refused before any handler is looked for.
    let mut desks = Vec::new();
    for (kind, owner) in [
        (PartnerKind::Funder, Some("harbour-bank".to_owned())),
        (PartnerKind::Merchant, Some(town.merchant_id.to_string())),
        (PartnerKind::Risk, None),
    ] {
        let code = format!("partner-{}", desks.len());
        desk::add_partner(app, &code, kind, owner).await;
        let identity = desk::add_key(app, &code, "K-1", Algorithm::Sm2Sm3).await;
        desks.push((kind, Desk::new(app, &address, identity).await));
    }
    let desk = &desks[0].1;
    let served: Value =
        desk.http.get(format!("{}/api/v1/openapi.json", desk.address)).send().await.unwrap().json().await.unwrap();
    let document = api_document();
    assert_eq!(served, document.json);
    assert_eq!(served["openapi"], "3.1.0");
    for (number, (method, route)) in document.operations.list().into_iter().enumerate() {
        let kind = document.operations.find(&method, &route).unwrap().scope.map_or(PartnerKind::Funder, Scope::kind);
        let (_, desk) = desks.iter().find(|(one, _)| *one == kind).unwrap();
        let path = route.replace(['{', '}'], "");
        let nobody = desk.send_raw(method.as_str(), &path, "", &[], vec![]).await;
        assert_eq!(nobody.problem(), (401, "signature_malformed".into()), "{method} {route}");
        let path = path.strip_prefix("/api/v1").unwrap();
        let answer = desk.send(method.as_str(), path, Some(&format!("k-{number}")), "").await;
        assert_ne!(answer.status, 403, "{method} {route}");
        assert_ne!(answer.status, 405, "{method} {route} is documented, and no handler takes it");
        let route = route.strip_prefix("/api/v1").unwrap();
        assert_eq!(met(app, &answer).await, format!("{method} {route}"), "it is documented, and served by nobody");
    }
    let nowhere = desk.get("/no-such-path").await;
    assert_eq!(nowhere.problem(), (404, "not_found".into()));
    assert_eq!(met(app, &nowhere).await, "GET /{*path}", "what is not served is met by what catches all");
    for beginning in ["", "/"] {
        assert_eq!(desk.get(beginning).await.problem(), (404, "not_found".into()), "{beginning:?}");
    }
    let page = desk.http.get(format!("{}/api/docs/", desk.address)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("swagger-ui"));
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        let asset = desk.http.get(format!("{}/api/docs/{asset}", desk.address)).send().await.unwrap();
        assert_eq!(asset.status(), 200);
        assert!(!asset.bytes().await.unwrap().is_empty(), "the page's assets are in the program");
    }
    let settings = desk.http.get(format!("{}/api/docs/swagger-initializer.js", desk.address)).send().await.unwrap();
    let settings = settings.text().await.unwrap();
    assert!(settings.contains("\"url\": \"/api/v1/openapi.json\""), "{settings}");
    assert!(settings.contains("\"validatorUrl\": \"none\""), "nobody else is asked about the document: {settings}");
    let problems = desk.http.get(format!("{}/api/docs/problems", desk.address)).send().await.unwrap();
    assert!(problems.text().await.unwrap().contains("signature_stale"));
}

/// Each name of a path alone, beside others that there may be: what is asked for with it is not there, whatever else is wrong.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_nothing_can_be_called_is_not_found_wherever_it_stands_in_a_path(pool: PgPool) {
    let (_town, desk, _) = super::api_funder::open(pool).await;
    let mut walked = 0;
    for (route, item) in api_document().json["paths"].as_object().unwrap() {
        if item["get"].is_null() || !["/api/v1/funder/", "/api/v1/events/"].iter().any(|of| route.starts_with(of)) {
            continue;
        }
        for odd in ["%00", "a%00b", "%FF", "%2F", "%20"] {
            let name = |segment: &str| match segment {
                "{version}" => "1".to_owned(),
                "{business_day}" => "2026-01-05".to_owned(),
                "{name}" => "loans.csv.gz".to_owned(),
                named if named.starts_with('{') => odd.to_owned(),
                other => other.to_owned(),
            };
            let path: Vec<String> = route.trim_start_matches("/api/v1").split('/').map(name).collect();
            let path = path.join("/");
            if path.contains(odd) {
                let answer = desk.get(&path).await;
                assert_eq!(answer.problem().0, 404, "{path}: {answer:?}");
                walked += 1;
            }
        }
    }
    assert!(walked > 50, "only {walked} paths");
}

#[test]
fn no_way_into_the_api_stands_outside_its_operations() {
    let source = include_str!("../../../src/router.rs");
    let lines = |words: &[&str]| -> Vec<&str> {
        source.lines().map(str::trim).filter(|line| words.iter().any(|word| line.contains(word))).collect()
    };
    let outside = lines(&["\"/api/v1", "PREFIX}", "(PREFIX"]);
    let known = [
        "nest(PREFIX, operations())",
        "external_url_unchecked(\"/api/v1/openapi.json\"",
        ".route(PREFIX, nothing())",
        "{PREFIX}/\"), nothing())",
        "{PREFIX}/{{*path}}\"), nothing())",
    ];
    let others: Vec<_> = outside.iter().filter(|line| !known.iter().any(|known| line.contains(known))).collect();
    assert!(others.is_empty(), "only the document itself and what catches all stand outside: {others:?}");
    assert_eq!(outside.len(), 6, "{outside:?}");
    // Within the operations, what `routes!` reads is the only way in.
    let (_, operations) = source.split_once("fn operations() -> OpenApiRouter<Shared> {").unwrap();
    let (operations, _) = operations.split_once("pub fn api_document()").unwrap();
    let is_of_a_function = |line: &str| {
        ["", "}", "OpenApiRouter::new()"].contains(&line) || line.starts_with("///") || line.starts_with("fn ")
    };
    let ways = operations.lines().map(str::trim).filter(|line| !is_of_a_function(line));
    let is_documented = |line: &&str| {
        line.starts_with(".routes(routes!(") || (line.starts_with(".merge(") && line.ends_with("_operations())"))
    };
    let undocumented: Vec<&str> = ways.filter(|line| !is_documented(line)).collect();
    assert!(undocumented.is_empty(), "these would be served and not documented: {undocumented:?}");
}
