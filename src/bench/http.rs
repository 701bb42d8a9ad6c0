//! `fenqi bench http`: the partner API over HTTP: a signed read against the same one unsigned, that one against the handler
//! alone, and purchases by signed order and confirmation against authorisation in the process. Server and callers share the
//! machine; requests are signed beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use axum::extract::{self, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::figure::{Figure, Latencies, median, rate_per_second};
use super::world::{Book, World};
use crate::access::actions::{NewKey, NewPartner, RATE_PER_MINUTE_MAX};
use crate::access::{self, Admitted, Known, Owner, PartnerKind, Scope};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{CodeId, FunderId, LineId, LoanId, MerchantId, ProductId};
use crate::error::{Attempt, Fault, Refusal};
use crate::http::Problem;
use crate::http::api::gate::{Call, CalledBy, arrive, let_in, write_down};
use crate::http::api::{Caller, Gate};
use crate::loan;
use crate::partner::client::build_http;
use crate::partner::key::{Algorithm, PrivateKey};
use crate::partner::signature::{Identity, Stamp};
use crate::purchase::{Authoriser, Decision, PurchaseRequest};
use crate::router::{api_document, guarded, router};

const PLENTY: Fen = Fen::new(1_000_000_000_000);
const AMOUNT: Fen = Fen::new(23_450);
const PERIODS: u16 = 12;
/// Callers that ask one request after the other.
const CALLERS: usize = 32;

/// What to measure and how often.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub runs: usize,
    pub reads: usize,
    pub purchases: usize,
}

/// Measures all cases; `say` is told each figure as it is known.
pub async fn measure(world: &World, options: Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<Figure> {
    let bench = Bench::open(world).await?;
    let mut figures = Vec::new();
    for case in Case::ALL {
        bench.read(case.baseline(), options.reads / 4).await?;
        bench.read(case.measured(), options.reads / 4).await?;
        let (mut rates, mut baselines, mut p99) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.runs {
            baselines.push(bench.read(case.baseline(), options.reads).await?.0);
            let (rate, slowest) = bench.read(case.measured(), options.reads).await?;
            rates.push(rate);
            p99.push(slowest);
        }
        let mut figure = Figure::new(case.name(), median(rates), "reads/s").against(median(baselines));
        figure.p99_ms = Some(median(p99));
        figure.runs = Some(options.runs);
        say(&figure);
        figures.push(figure);
    }
    let (mut over_http, mut in_process) = (Vec::new(), Vec::new());
    // The first of each warms everything up.
    bench.buy_in_process(0, options.purchases / 4).await?;
    bench.buy_over_http(0, options.purchases / 4).await?;
    for run in 1..=options.runs {
        in_process.push(bench.buy_in_process(run, options.purchases).await?);
        over_http.push(bench.buy_over_http(run, options.purchases).await?);
    }
    let mut figure = Figure::new("http, signed order and confirmation", median(over_http), "purchases/s")
        .against(median(in_process));
    figure.runs = Some(options.runs);
    say(&figure);
    let mut first = figures.remove(0);
    figures.push(figure);
    first.more = figures;
    Ok(first)
}

/// How a read is asked for.
#[derive(Clone, Copy)]
enum Way {
    Signed(Algorithm),
    /// Behind a gate that does the same but for the signatures: it counts calls, remembers nonces and writes calls down.
    Unsigned,
    /// The handler without any gate.
    Bare,
}

/// What is compared.
#[derive(Clone, Copy)]
enum Case {
    Signed(Algorithm),
    Gate,
}

impl Case {
    const ALL: [Case; 3] = [Case::Signed(Algorithm::Sm2Sm3), Case::Signed(Algorithm::RsaSha256), Case::Gate];

    fn name(self) -> &'static str {
        match self {
            Case::Signed(Algorithm::Sm2Sm3) => "http, loan read signed in SM2",
            Case::Signed(Algorithm::RsaSha256) => "http, loan read signed in RSA",
            Case::Gate => "http, loan read unsigned, against its handler alone",
        }
    }

    fn measured(self) -> Way {
        match self {
            Case::Signed(algorithm) => Way::Signed(algorithm),
            Case::Gate => Way::Unsigned,
        }
    }

    fn baseline(self) -> Way {
        match self {
            Case::Signed(_) => Way::Unsigned,
            Case::Gate => Way::Bare,
        }
    }
}

struct Bench {
    http: reqwest::Client,
    /// The API, the same read behind a gate without signatures, and without a gate.
    address: String,
    unsigned_address: String,
    bare_address: String,
    sm2: Identity,
    rsa: Identity,
    cashier: Identity,
    loan_id: LoanId,
    authoriser: Authoriser,
    book: Arc<Book>,
}

impl Bench {
    async fn open(world: &World) -> anyhow::Result<Bench> {
        let app = &world.app;
        let book = Arc::new(world.open_book(PLENTY, 20_000, 10).await?);
        let authoriser = Authoriser::start(app.clone());
        let merchant_id = book.merchants[0];
        let receipt = authoriser.authorise(wish(&book, 0, "bench-first".into(), None)).await.map_err(failed)?;
        let Decision::Authorised { loan_id } = receipt.decision else {
            anyhow::bail!("the first purchase was refused")
        };
        add_partner(app, "bench-core", PartnerKind::Funder, Some("bench-0".into())).await?;
        add_partner(app, "bench-cashier", PartnerKind::Merchant, Some(merchant_id.to_string())).await?;
        let sm2 = add_key(app, "bench-core", "SM2-1", Algorithm::Sm2Sm3).await?;
        let rsa = add_key(app, "bench-core", "RSA-1", Algorithm::RsaSha256).await?;
        let cashier = add_key(app, "bench-cashier", "SM2-1", Algorithm::Sm2Sm3).await?;
        let confirm = Router::new().route("/confirm", post(confirm)).with_state(authoriser.clone());
        let address = serve(router(app.clone()).merge(confirm)).await?;
        let caller = Arc::new(known_core(app, book.funder_id).await?);
        let unsigned_address = serve(unsigned_router(app, caller.clone())).await?;
        let bare_address = serve(bare_router(app, caller)).await?;
        let http = build_http()?;
        Ok(Bench { http, address, unsigned_address, bare_address, sm2, rsa, cashier, loan_id, authoriser, book })
    }

    /// Reads a second, and the slowest but one of a hundred.
    async fn read(&self, way: Way, count: usize) -> anyhow::Result<(Decimal, Decimal)> {
        let path = format!("/api/v1/funder/loans/{}", self.loan_id);
        let (base, identity) = match way {
            Way::Signed(Algorithm::Sm2Sm3) => (&self.address, Some(&self.sm2)),
            Way::Signed(Algorithm::RsaSha256) => (&self.address, Some(&self.rsa)),
            Way::Unsigned => (&self.unsigned_address, None),
            Way::Bare => (&self.bare_address, None),
        };
        let requests = (0..count).map(|_| Request {
            url: format!("{base}{path}"),
            authorization: identity.map(|identity| signed(identity, "GET", &path, b"")),
            key: None,
            body: Vec::new(),
        });
        let shares = shares(requests.collect());
        let started = Instant::now();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let http = self.http.clone();
                tokio::spawn(async move {
                    let mut latencies = Latencies::default();
                    for request in share {
                        let asked = Instant::now();
                        request.send(&http).await?;
                        latencies.push(asked.elapsed());
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        let mut latencies = Latencies::default();
        for task in tasks {
            latencies.append(task.await??);
        }
        let rate = rate_per_second(count as u64, started.elapsed());
        Ok((rate, latencies.percentile_ms(990)))
    }

    async fn buy_in_process(&self, run: usize, count: usize) -> anyhow::Result<Decimal> {
        let wishes = (0..count).map(|number| wish(&self.book, number, format!("in-{run}-{number}"), None));
        let shares = shares(wishes.collect());
        let started = Instant::now();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let authoriser = self.authoriser.clone();
                tokio::spawn(async move {
                    for wish in share {
                        bought(authoriser.authorise(wish).await.map_err(failed)?.decision)?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(rate_per_second(count as u64, started.elapsed()))
    }

    async fn buy_over_http(&self, run: usize, count: usize) -> anyhow::Result<Decimal> {
        let path = "/api/v1/merchant/orders";
        let expires_at = (crate::base::Clock::System.now() + TimeDelta::hours(1)).to_rfc3339();
        let orders = (0..count).map(|number| {
            let body = serde_json::json!({
                "reference": format!("R{run}-{number}"), "amount_fen": AMOUNT, "expires_at": expires_at });
            let body = body.to_string().into_bytes();
            let order = Request {
                url: format!("{}{path}", self.address),
                authorization: Some(signed(&self.cashier, "POST", path, &body)),
                key: Some(format!("order-{run}-{number}")),
                body,
            };
            (order, wish(&self.book, number, format!("out-{run}-{number}"), None))
        });
        let shares = shares(orders.collect());
        let started = Instant::now();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let (http, confirm) = (self.http.clone(), format!("{}/confirm", self.address));
                tokio::spawn(async move {
                    for (order, wish) in share {
                        order_and_confirm(&http, &confirm, order, &wish).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(rate_per_second(count as u64, started.elapsed()))
    }
}

async fn order_and_confirm(
    http: &reqwest::Client,
    confirm: &str,
    order: Request,
    wish: &PurchaseRequest,
) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Made {
        order_id: CodeId,
    }
    let made: Made = serde_json::from_slice(&order.send(http).await?)?;
    let body = serde_json::json!({
        "line_id": wish.line_id, "merchant_id": wish.merchant_id, "order_id": made.order_id,
        "product_id": wish.product_id, "key": wish.idempotency_key });
    let body = body.to_string().into_bytes();
    Request { url: confirm.to_owned(), authorization: None, key: None, body }.send(http).await?;
    Ok(())
}

/// A request that only has to be sent.
struct Request {
    url: String,
    authorization: Option<String>,
    key: Option<String>,
    body: Vec<u8>,
}

impl Request {
    async fn send(self, http: &reqwest::Client) -> anyhow::Result<Vec<u8>> {
        let mut request = if self.body.is_empty() { http.get(&self.url) } else { http.post(&self.url).body(self.body) };
        request = request.header("content-type", "application/json");
        if let Some(authorization) = self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        anyhow::ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body.to_vec())
    }
}

/// A borrower's confirmation, as it comes over HTTP.
#[derive(Deserialize)]
struct Confirmation {
    line_id: LineId,
    merchant_id: MerchantId,
    order_id: CodeId,
    product_id: ProductId,
    key: String,
}

async fn confirm(State(authoriser): State<Authoriser>, Json(confirmed): Json<Confirmation>) -> Result<(), Problem> {
    let request = PurchaseRequest {
        line_id: confirmed.line_id,
        idempotency_key: confirmed.key,
        merchant_id: confirmed.merchant_id,
        order_code: Some(confirmed.order_id),
        product_id: confirmed.product_id,
        product_version: 1,
        periods: PERIODS,
        amount: AMOUNT,
    };
    Ok(bought(authoriser.authorise(request).await?.decision)?)
}

fn bought(decision: Decision) -> anyhow::Result<()> {
    match decision {
        Decision::Authorised { .. } => Ok(()),
        Decision::Refused(refusal) => anyhow::bail!("a purchase of the benchmark was refused: {refusal}"),
    }
}

fn wish(book: &Book, number: usize, key: String, order_code: Option<CodeId>) -> PurchaseRequest {
    PurchaseRequest {
        // A stride prime to the number of lines visits them all in an order that is not that of their ids.
        line_id: book.lines[number.wrapping_mul(7_919) % book.lines.len()],
        idempotency_key: key,
        merchant_id: book.merchants[0],
        order_code,
        product_id: book.product_id,
        product_version: 1,
        periods: PERIODS,
        amount: AMOUNT,
    }
}

fn signed(identity: &Identity, method: &str, path: &str, body: &[u8]) -> String {
    identity.authorization(method, path, &Stamp::fresh(crate::base::Clock::System.now()), body)
}

/// Deals the work out to the callers.
fn shares<T>(work: Vec<T>) -> Vec<Vec<T>> {
    let mut shares: Vec<Vec<T>> = (0..CALLERS).map(|_| Vec::new()).collect();
    for (number, one) in work.into_iter().enumerate() {
        shares[number % CALLERS].push(one);
    }
    shares
}

/// The core as the directory knows it, but for its keys.
async fn known_core(app: &App, funder_id: FunderId) -> anyhow::Result<Known> {
    let mut connection = app.pool.acquire().await?;
    let partner =
        access::store::find_partner(&mut connection, "bench-core").await?.context("a partner that was added")?;
    Ok(Known {
        partner_id: partner.partner_id,
        code: partner.code,
        owner: Owner::Funder(funder_id),
        scopes: Scope::of(PartnerKind::Funder),
        addresses: Vec::new(),
        rate_per_minute: partner.rate_per_minute,
        version: partner.version,
        is_disabled: false,
        keys: std::collections::HashMap::new(),
    })
}

/// The handler behind the same layers and a gate that believes every request to be the core's.
fn unsigned_router(app: &App, core: Arc<Known>) -> Router {
    let gate = Gate::new(app.clone(), api_document().operations);
    guarded(read_route().layer(from_fn_with_state((gate, core), unsigned_gate)), app.clone())
}

fn read_route() -> Router<App> {
    Router::new().route("/api/v1/funder/loans/{loan_id}", get(loan::api::show_loan))
}

/// As the gate does, but for the signatures.
async fn unsigned_gate(
    State((gate, core)): State<(Gate, Arc<Known>)>,
    request: extract::Request,
    next: Next,
) -> Response {
    let (arrived, request) = match arrive(&gate.app, request).await {
        Ok(arrived) => arrived,
        Err((arrived, too_large)) => {
            return write_down(&gate.app, &arrived, CalledBy::Nobody { why: "body_too_large" }, too_large).await;
        }
    };
    let now = gate.app.access.now();
    let counted = match gate.app.access.count(&core, Stamp::fresh(now).nonce, now).await {
        Ok(counted) => counted,
        Err(failure) => return Problem::from(failure).into_response(),
    };
    let admitted = Admitted {
        known: core,
        serial_no: String::new(),
        holder: String::new(),
        algorithm: Algorithm::Sm2Sm3,
        rate: counted.rate,
    };
    let call = Arc::new(Call { gate, arrived, admitted });
    let response = let_in(&call, request, next).await;
    write_down(&call.gate.app, &call.arrived, CalledBy::Partner(&call.admitted.known.code), response).await
}

/// The handler behind the same layers, without any gate.
fn bare_router(app: &App, core: Arc<Known>) -> Router {
    let (serial_no, holder, attempt) = (String::new(), String::new(), Attempt::First);
    let caller = Caller { known: core, serial_no, holder, idempotency_key: None, attempt };
    let let_in = from_fn(move |mut request: extract::Request, next: Next| {
        request.extensions_mut().insert(caller.clone());
        next.run(request)
    });
    guarded(read_route().layer(let_in), app.clone())
}

async fn serve(router: Router) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "the benchmark is not served any more");
        }
    });
    Ok(address)
}

async fn add_partner(app: &App, code: &str, kind: PartnerKind, owner: Option<String>) -> anyhow::Result<()> {
    let partner = NewPartner {
        code: code.to_owned(),
        kind,
        owner,
        scopes: Scope::of(kind),
        addresses: Vec::new(),
        rate_per_minute: RATE_PER_MINUTE_MAX,
    };
    access::add_partner(app, &partner, "bench").await.map_err(failed)
}

async fn add_key(app: &App, partner: &str, serial_no: &str, algorithm: Algorithm) -> anyhow::Result<Identity> {
    let identity = Identity::new(partner, serial_no, PrivateKey::generate(algorithm)?);
    let key = NewKey {
        partner: partner.to_owned(),
        serial_no: serial_no.to_owned(),
        public_key: identity.public_key(),
        holder: "bench".to_owned(),
        expires_at: None,
    };
    let _step = access::add_key(app, &key, "bench").await.map_err(failed)?;
    Ok(identity)
}

fn failed<R: Refusal>(fault: Fault<R>) -> anyhow::Error {
    match fault {
        Fault::Refused(refusal) => refusal.into(),
        Fault::Failed(failure) => failure,
    }
}
