//! Test helper: a partner's system that calls the API over HTTP, signs its requests, and accepts only signed answers.

use std::net::SocketAddr;
use std::sync::Arc;

use fenqi::access::actions::{NewKey, NewPartner};
use fenqi::access::{self, PLATFORM, PartnerKind, Scope};
use fenqi::app::App;
use fenqi::base::Clock;
use fenqi::base::id::MerchantId;
use fenqi::partner::key::{Algorithm, PrivateKey};
use fenqi::partner::signature::{AnswerHeaders, Identity, KeyRing, Stamp};
use fenqi::router::router;
use serde_json::Value;

use crate::house;

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{problem}");
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }

    /// The body of an answer that must be a success.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Status, headers and document of a problem, without what differs in every answer: its id, time, signature and rate
    /// limit.
    pub fn without_its_own(&self) -> (u16, Vec<(String, String)>, Value) {
        let own = [
            "date",
            "x-request-id",
            "fenqi-timestamp",
            "fenqi-nonce",
            "fenqi-signature",
            "ratelimit-remaining",
            "ratelimit-reset",
        ];
        let shared = self.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let mut headers: Vec<(String, String)> =
            shared.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        headers.sort();
        let mut problem = self.json();
        problem.as_object_mut().unwrap().remove("request_id");
        (self.status, headers, problem)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The same path with unknown ids: the last digit of each is changed.
pub fn absent(path: &str) -> String {
    let other = |segment: &str| match segment.contains('_') {
        true => format!("{}{}", &segment[..segment.len() - 1], if segment.ends_with('0') { '1' } else { '0' }),
        false => segment.to_owned(),
    };
    path.split('/').map(other).collect::<Vec<String>>().join("/")
}

/// A partner's system that calls one node.
#[derive(Clone)]
pub struct Desk {
    pub address: String,
    pub http: reqwest::Client,
    pub identity: Identity,
    ring: Arc<KeyRing>,
}

/// Serves the API on a free port; returns the base address.
pub async fn serve(app: &App) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}

/// Adds a partner with every scope of its kind.
pub async fn add_partner(app: &App, code: &str, kind: PartnerKind, owner: Option<String>) {
    let partner = NewPartner {
        code: code.to_owned(),
        kind,
        owner,
        scopes: Scope::of(kind),
        addresses: Vec::new(),
        rate_per_minute: 1_000_000,
    };
    access::add_partner(app, &partner, "operator").await.unwrap();
}

/// Adds a key whose holder is named like its serial number; returns who signs with it.
pub async fn add_key(app: &App, partner: &str, serial_no: &str, algorithm: Algorithm) -> Identity {
    let identity = Identity::new(partner, serial_no, PrivateKey::generate(algorithm).unwrap());
    let key = NewKey {
        partner: partner.to_owned(),
        serial_no: serial_no.to_owned(),
        public_key: identity.public_key(),
        holder: format!("holder of {serial_no}"),
        expires_at: None,
    };
    let _ = access::add_key(app, &key, "operator").await.unwrap();
    identity
}

/// The desk of Harbour Bank's core, at a node that is served here.
pub async fn of_core(app: &App, algorithm: Algorithm) -> Desk {
    add_partner(app, "harbour-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let identity = add_key(app, "harbour-core", "H-1", algorithm).await;
    Desk::new(app, &serve(app).await, identity).await
}

/// The desk of a merchant's cashier, at a node that is served here.
pub async fn of_cashier(app: &App, merchant_id: MerchantId) -> Desk {
    add_partner(app, "wang-cashier", PartnerKind::Merchant, Some(merchant_id.to_string())).await;
    let identity = add_key(app, "wang-cashier", "W-1", Algorithm::RsaSha256).await;
    Desk::new(app, &serve(app).await, identity).await
}

impl Desk {
    /// A desk at the node at `address`, which knows our keys as `fenqi partner platform-key list` prints them.
    pub async fn new(app: &App, address: &str, identity: Identity) -> Desk {
        let mut ring = KeyRing::default();
        for algorithm in Algorithm::ALL {
            ring.add_identity(&app.access.signer(algorithm).await.unwrap());
        }
        let http = reqwest::Client::builder().timeout(house::PATIENCE).build().unwrap();
        Desk { address: address.to_owned(), http, identity, ring: Arc::new(ring) }
    }

    /// The same desk, which signs with another key.
    pub fn with(&self, identity: Identity) -> Desk {
        Desk { identity, ..self.clone() }
    }

    /// The desk of another funder's core at the same node.
    pub async fn stranger(&self, app: &App) -> Desk {
        fenqi::funder::open_funder(app, "other-bank", "Other Bank").await.unwrap();
        add_partner(app, "other-core", PartnerKind::Funder, Some("other-bank".into())).await;
        self.with(add_key(app, "other-core", "O-1", Algorithm::Sm2Sm3).await)
    }

    /// The same desk at another node.
    pub fn at(&self, address: String) -> Desk {
        Desk { address, ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, "").await
    }

    /// Posts under an idempotency key; a null body is no body at all.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send("POST", path, Some(key), &body).await
    }

    /// As [`Desk::post`], repeated as long as the answer is that an earlier request under the key is still under way.
    pub async fn post_until_answered(&self, path: &str, key: &str, body: &Value) -> Answer {
        let mut answer = self.post(path, key, body).await;
        house::until("what was begun is answered", async || {
            if answer.status != 409 {
                return true;
            }
            answer = self.post(path, key, body).await;
            false
        })
        .await;
        answer
    }

    /// Signs and sends a request; the answer must be signed in the same algorithm.
    pub async fn send(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> Answer {
        let stamp = Stamp::fresh(Clock::System.now());
        let mut headers = Vec::new();
        if let Some(key) = key {
            headers.push(("idempotency-key", key));
        }
        let answer = self.send_stamped(method, path, &stamp, &headers, body).await;
        self.believe(&answer);
        answer
    }

    /// As [`Desk::send`], with more headers, such as `If-Match`.
    pub async fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.send_stamped(method, path, &Stamp::fresh(Clock::System.now()), headers, body).await;
        self.believe(&answer);
        answer
    }

    /// As [`Desk::send_with`], with the time and nonce given, and without checking the answer's signature.
    pub async fn send_stamped(
        &self,
        method: &str,
        path: &str,
        stamp: &Stamp,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let path = format!("/api/v1{path}");
        let authorization = self.identity.authorization(method, &path, stamp, body.as_bytes());
        self.send_raw(method, &path, &authorization, headers, body.as_bytes().to_vec()).await
    }

    /// Sends a request with this `Authorization` header as it is.
    pub async fn send_raw(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let method: reqwest::Method = method.parse().unwrap();
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.address));
        request = request.header("authorization", authorization);
        let has_type = headers.iter().any(|(name, _)| *name == "content-type");
        if method != reqwest::Method::GET && !has_type {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }

    /// Asserts that an answer is signed by one of our keys.
    pub fn believe(&self, answer: &Answer) {
        let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
        let headers = AnswerHeaders {
            timestamp: header("fenqi-timestamp"),
            nonce: header("fenqi-nonce"),
            serial_no: header("fenqi-serial"),
            signature: header("fenqi-signature"),
        };
        let verdict = self.ring.answer(Clock::System.now(), PLATFORM, headers, &answer.bytes);
        assert_eq!(verdict, Ok(()), "{answer:?}");
    }
}
