//! `fenqi bench http`: the partner API over HTTP. Signed reads (a loan, a page of loans, a page of events) are compared with the same
//! reads unsigned, unsigned reads with the bare handler, and purchases by signed order and confirmation with authorisation in the
//! process. Server and callers share the machine; requests are signed beforehand.

mod caller;
mod orders;
mod reads;
pub(super) mod serve;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::routing::post;

use super::figure::{Figure, median};
use super::store::settle_down;
use super::world::{Book, PLENTY, World};
use crate::access::PartnerKind;
use crate::base::id::LoanId;
use crate::error::Fault;
use crate::merchant::OrderDesk;
use crate::partner::key::Algorithm;
use crate::partner::signature::{Identity, Stamp};
use crate::purchase::{Authoriser, Decision};
use crate::router::router;
use caller::Caller;
use orders::{CONFIRM, confirm, purchase_request};
use reads::{Case, Paths};
use serve::{add_key, add_partner, bare_router, known_core, serve, unsigned_router};

/// Purchases that are made before anything is read: more than one page holds.
const FIRST_PURCHASES: usize = 64;
/// Concurrent callers, each of which sends one request after the other.
const CALLERS: usize = 32;

/// What to measure and how often.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub runs: usize,
    pub reads: usize,
    pub purchases: usize,
}

/// Measures all cases; `say` gets each figure as soon as it is known.
pub async fn measure(world: &World, options: Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<Figure> {
    let bench = Bench::open(world).await?;
    let mut figures = Vec::new();
    for case in Case::ALL {
        let path = bench.paths.of(case);
        bench.read(path, case.baseline(), options.reads / 4).await?;
        bench.read(path, case.measured(), options.reads / 4).await?;
        let (mut rates, mut baselines, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.runs {
            baselines.push(bench.read(path, case.baseline(), options.reads).await?.0);
            let (rate, mut latencies) = bench.read(path, case.measured(), options.reads).await?;
            rates.push(rate);
            p50.push(latencies.percentile_ms(500));
            p99.push(latencies.percentile_ms(990));
        }
        let mut figure = Figure::new(case.name(), median(rates), "reads/s").against(median(baselines));
        figure.p50_ms = Some(median(p50));
        figure.p99_ms = Some(median(p99));
        figure.runs = Some(options.runs);
        say(&figure);
        figures.push(figure);
    }
    for figure in bench.compare_purchases(world, options).await? {
        say(&figure);
        figures.push(figure);
    }
    let mut first = figures.remove(0);
    first.more = figures;
    Ok(first)
}

struct Bench {
    /// The API; the next two addresses serve the same reads behind a gate without signatures, and without a gate.
    address: SocketAddr,
    unsigned_address: SocketAddr,
    bare_address: SocketAddr,
    sm2: Identity,
    rsa: Identity,
    cashier: Identity,
    paths: Paths,
    authoriser: Authoriser,
    desk: OrderDesk,
    book: Arc<Book>,
}

impl Bench {
    async fn open(world: &World) -> anyhow::Result<Bench> {
        let app = &world.app;
        let book = Arc::new(world.open_book(PLENTY, 20_000, 10).await?);
        let authoriser = Authoriser::start(app.clone());
        let merchant_id = book.merchants[0];
        let loan_id = buy_first(&authoriser, &book).await?;
        add_partner(app, "bench-core", PartnerKind::Funder, Some("bench-0".into())).await?;
        add_partner(app, "bench-cashier", PartnerKind::Merchant, Some(merchant_id.to_string())).await?;
        let sm2 = add_key(app, "bench-core", "SM2-1", Algorithm::Sm2Sm3).await?;
        let rsa = add_key(app, "bench-core", "RSA-1", Algorithm::RsaSha256).await?;
        let cashier = add_key(app, "bench-cashier", "SM2-1", Algorithm::Sm2Sm3).await?;
        let confirm = Router::new().route(CONFIRM, post(confirm)).with_state(authoriser.clone());
        let address = serve(router(app.clone()).merge(confirm)).await?;
        let caller = Arc::new(known_core(app, book.funder_id).await?);
        let unsigned_address = serve(unsigned_router(app, caller.clone())).await?;
        let bare_address = serve(bare_router(app, caller)).await?;
        let paths = Paths::find(&mut Caller::connect(bare_address).await?, loan_id).await?;
        Ok(Bench {
            address,
            unsigned_address,
            bare_address,
            sm2,
            rsa,
            cashier,
            paths,
            authoriser,
            desk: app.order_desk.clone(),
            book,
        })
    }

    /// Compares purchases by signed order over HTTP with authorisation alone in the process, and with order and authorisation in the
    /// process.
    async fn compare_purchases(&self, world: &World, options: Options) -> anyhow::Result<[Figure; 2]> {
        let Options { runs, purchases, .. } = options;
        // The first round of each warms everything up.
        self.buy_in_process(0, purchases / 4).await?;
        self.order_and_buy_in_process(0, purchases / 4).await?;
        self.buy_over_http(0, purchases / 4).await?;
        // Statements that were planned while their tables were empty are planned again, as in a house that has run for a while.
        settle_down(&mut *world.app.pool.acquire().await?).await?;
        let (mut over_http, mut in_process, mut to_order) = (Vec::new(), Vec::new(), Vec::new());
        for run in 1..=runs {
            in_process.push(self.buy_in_process(run, purchases).await?);
            to_order.push(self.order_and_buy_in_process(run, purchases).await?);
            over_http.push(self.buy_over_http(run, purchases).await?);
        }
        let over_http = median(over_http);
        let figure = |name: &str, baseline| {
            let figure = Figure::new(name, over_http, "purchases/s").against(median(baseline));
            Figure { runs: Some(runs), ..figure }
        };
        Ok([
            figure("http, signed order and confirmation", in_process),
            figure("http, the same, against order and purchase", to_order),
        ])
    }
}

/// Makes the rows that are read; returns one of the loans.
async fn buy_first(authoriser: &Authoriser, book: &Book) -> anyhow::Result<LoanId> {
    let mut first = None;
    for number in 0..FIRST_PURCHASES {
        let request = purchase_request(book, number, format!("bench-first-{number}"), None);
        match authoriser.authorise(request).await.map_err(Fault::into_error)?.decision {
            Decision::Authorised { loan_id } => first = first.or(Some(loan_id)),
            Decision::Refused(refusal) => anyhow::bail!("one of the first purchases was refused: {refusal}"),
        }
    }
    first.context("a purchase was made")
}

fn signed(identity: &Identity, method: &str, path: &str, body: &[u8]) -> String {
    identity.authorization(method, path, &Stamp::fresh(crate::base::Clock::System.now()), body)
}

/// Distributes the work to callers, each with a connection of its own.
async fn connect_callers<T>(address: SocketAddr, work: Vec<T>) -> anyhow::Result<Vec<(Caller, Vec<T>)>> {
    let mut callers = Vec::with_capacity(CALLERS);
    for share in dealt(work) {
        callers.push((Caller::connect(address).await?, share));
    }
    Ok(callers)
}

fn dealt<T>(work: Vec<T>) -> Vec<Vec<T>> {
    let mut shares: Vec<Vec<T>> = (0..CALLERS).map(|_| Vec::new()).collect();
    for (number, one) in work.into_iter().enumerate() {
        shares[number % CALLERS].push(one);
    }
    shares
}
