//! Another partner's objects are invisible: every operation that names an object answers for a foreign one as for one that does not
//! exist.

use std::collections::BTreeMap;

use fenqi::access::PartnerKind;
use fenqi::base::id::{LoanId, MerchantId};
use fenqi::partner::key::Algorithm;
use fenqi::router::api_document;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::desk::{self, Answer, Desk};
use crate::town::{self, Town};
use crate::{everything, house};

/// Kinds of events are everybody's, so that these operations name no object.
const OF_EVERYBODY: &str = "/api/v1/events/templates/{kind}";

/// Two funders and two merchants: the first have everything, the others nothing.
struct Place {
    funder: Desk,
    other_funder: Desk,
    merchant: Desk,
    other_merchant: Desk,
    /// What a parameter names, by the audience and the parameter: one of the first's, and one that nobody has.
    names: BTreeMap<(&'static str, String), (String, String)>,
}

const OTHER_MERCHANT: &str =
    "insert into merchant (merchant_id, name, credit_code, category, settlement_account_name, settlement_account_sealed,
                           settlement_account_tail, status, discount_rate, discount_returned_on_refund, created_at)
     select gen_random_uuid(), 'Other', 'X', category, 'Other', '', '0000', status, discount_rate, false, now()
     from merchant returning merchant_id";

/// Of the loan that is asked for: a claim waits for months of lateness otherwise.
const CLAIM: &str =
    "insert into claim (line_id, claim_id, loan_id, funder_id, principal_fen, interest_fen, fee_fen, penalty_fen,
                                        asked_on, asked_by)
     select line_id, gen_random_uuid(), loan_id, funder_id, 1, 0, 0, 0, made_on, 'Li Na' from loan where loan_id = $1";

async fn open(pool: PgPool) -> Place {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let app = &town.app;
    let base = desk::serve(app).await;
    let desk_of = async |partner: &str, kind, owner: String| {
        desk::add_partner(app, partner, kind, Some(owner)).await;
        Desk::new(app, &base, desk::add_key(app, partner, "K-1", Algorithm::Sm2Sm3).await).await
    };
    let funder = desk_of("harbour-core", PartnerKind::Funder, "harbour-bank".to_owned()).await;
    let merchant = desk_of("wang-cashier", PartnerKind::Merchant, town.merchant_id.to_string()).await;
    everything::live(&town, &merchant).await;
    // Only now, so that the days that were closed are none of its own.
    fenqi::funder::open_funder(app, "other-bank", "Other Bank").await.unwrap();
    let other: MerchantId = sqlx::query_scalar(OTHER_MERCHANT).fetch_one(&app.pool).await.unwrap();
    let other_funder = desk_of("other-core", PartnerKind::Funder, "other-bank".to_owned()).await;
    let other_merchant = desk_of("other-cashier", PartnerKind::Merchant, other.to_string()).await;
    let mut place = Place { funder, other_funder, merchant, other_merchant, names: BTreeMap::new() };
    place.name_everything(&town).await;
    let (loan_id, _) = &place.names[&("funder", "loan_id".to_owned())];
    let loan_id: LoanId = loan_id.parse().unwrap();
    sqlx::query(CLAIM).bind(loan_id.uuid()).execute(&app.pool).await.unwrap();
    place
}

impl Place {
    async fn name_everything(&mut self, town: &Town) {
        for ((audience, parameter), found) in everything::names(town, &self.funder, &self.merchant).await {
            let theirs = found[0].clone();
            let unknown = match parameter {
                "event_no" => "999999999".to_owned(),
                "business_day" => "2020-01-01".to_owned(),
                // Every day has the same files, every product a first version, and every funder is told the same kinds.
                "name" | "version" | "kind" => theirs.clone(),
                "code" => "no-such-product".to_owned(),
                "reference" => "no-such-order".to_owned(),
                _ => format!("{}_0197f3c2a4b07cc39b1c2d3e4f506172", theirs.split_once('_').unwrap().0),
            };
            self.names.insert((audience, parameter.to_owned()), (theirs, unknown));
        }
    }

    /// The path with what the parameters name: the first's, and nobody's.
    fn paths(&self, audience: &'static str, route: &str) -> (String, String) {
        let (mut theirs, mut nobodys) = (Vec::new(), Vec::new());
        for segment in route.trim_start_matches("/api/v1").split('/') {
            match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(parameter) => {
                    let named = self.names.get(&(audience, parameter.to_owned()));
                    let (one, nobody) = named.unwrap_or_else(|| panic!("{route}: nobody knows a {parameter}"));
                    theirs.push(one.as_str());
                    nobodys.push(nobody.as_str());
                }
                None => {
                    theirs.push(segment);
                    nobodys.push(segment);
                }
            }
        }
        (theirs.join("/"), nobodys.join("/"))
    }
}

/// Asks as the document's own example does.
async fn ask(desk: &Desk, method: &str, path: &str, operation: &Value) -> Answer {
    let body = &operation["requestBody"]["content"]["application/json"]["example"];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let key = format!("{method} {path}").replace(' ', "-");
    let key = &key[key.len().saturating_sub(64)..];
    let headers = [("idempotency-key", key), ("if-match", "\"1\"")];
    let stamp = fenqi::partner::signature::Stamp::fresh(fenqi::base::Clock::System.now());
    // A file bears no signature, so none is looked at.
    desk.send_stamped(method, path, &stamp, &headers, &body).await
}

/// A problem without what is each request's own: its id, and the names by which `path` differs from `other`.
fn said(answer: &Answer, path: &str, other: &str) -> Value {
    let mut problem = answer.json();
    problem.as_object_mut().unwrap().remove("request_id");
    if let Some(detail) = problem["detail"].as_str() {
        let own = path.split('/').zip(other.split('/')).filter(|(one, other)| one != other);
        problem["detail"] = json!(own.fold(detail.to_owned(), |text, (name, _)| text.replace(name, "…")));
    }
    problem
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whatever_is_anothers_does_not_exist(pool: PgPool) {
    let place = open(pool).await;
    // This only reads; what is done to objects comes after it.
    a_list_that_is_asked_for_by_anothers_object_is_empty(&place).await;
    every_operation_says_of_anothers_object_what_it_says_of_nobodys(&place).await;
}

async fn every_operation_says_of_anothers_object_what_it_says_of_nobodys(place: &Place) {
    let document = api_document().json;
    let mut walked = 0;
    for (route, item) in document["paths"].as_object().unwrap() {
        if !route.contains('{') || route.starts_with(OF_EVERYBODY) {
            continue;
        }
        let is_merchants = route.starts_with("/api/v1/merchant");
        let audience = if is_merchants { "merchant" } else { "funder" };
        let (owner, stranger, of_other_kind) = match is_merchants {
            true => (&place.merchant, &place.other_merchant, &place.other_funder),
            false => (&place.funder, &place.other_funder, &place.other_merchant),
        };
        let (theirs, nobodys) = place.paths(audience, route);
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let name = format!("{method} {route}");
            let (anothers, unknown) =
                (ask(stranger, &method, &theirs, operation).await, ask(stranger, &method, &nobodys, operation).await);
            assert_eq!(anothers.status, 404, "{name}: {anothers:?}");
            anothers.problem();
            assert_eq!(said(&anothers, &theirs, &nobodys), said(&unknown, &nobodys, &theirs), "{name}");
            // Whoever may not ask at all learns no more.
            for path in [&theirs, &nobodys] {
                let refused = ask(of_other_kind, &method, path, operation).await;
                assert_eq!(refused.problem(), (403, "scope_missing".into()), "{name}");
            }
            // It is there.
            let own = ask(owner, &method, &theirs, operation).await;
            assert!(own.status != 404 && own.status < 500, "{name}: {own:?}");
            walked += 1;
        }
    }
    assert!(walked >= 32, "only {walked} operations name an object");
}

async fn a_list_that_is_asked_for_by_anothers_object_is_empty(place: &Place) {
    let document = api_document().json;
    let mut walked = 0;
    for (route, item) in document["paths"].as_object().unwrap() {
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" || !name.ends_with("_id") {
                continue;
            }
            let (theirs, nobodys) = &place.names[&("funder", name.to_owned())];
            let path = route.trim_start_matches("/api/v1");
            let own = place.funder.get(&format!("{path}?{name}={theirs}")).await.ok();
            assert!(!own["items"].as_array().unwrap().is_empty(), "{route} by {name}");
            let anothers = place.other_funder.get(&format!("{path}?{name}={theirs}")).await.ok();
            assert_eq!(anothers["items"], json!([]), "{route} by {name}");
            assert_eq!(anothers, place.other_funder.get(&format!("{path}?{name}={nobodys}")).await.ok());
            walked += 1;
        }
    }
    assert!(walked >= 3, "only {walked} lists are asked for by an object");
}
