//! `fenqi bench pages`: the pages that people wait for, requested in an open loop by signed-in borrowers with real loans and bills,
//! compared with `/healthz` over the same HTTP. Server and callers share the machine.

use std::time::Duration;

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use super::figure::{Figure, Latencies, seconds};
use super::http::serve::serve;
use super::store;
use super::world::{Book, PLENTY, World};
use crate::base::Fen;
use crate::close::close_day;
use crate::error::Fault;
use crate::merchant::code::token;
use crate::merchant::open_static_code;
use crate::page::visit::token_name;
use crate::partner::client::build_http;
use crate::purchase::{Authoriser, Decision, PurchaseRequest};
use crate::router::router;

const AMOUNT: Fen = Fen::new(128_000);
/// The amount as a person types it, in yuan.
const TYPED: &str = "1280";
const PERIODS: u16 = 12;
const LOANS_EACH: usize = 4;
/// Business days after the purchases: by then most people have a bill, but nothing is due yet.
const DAYS: u32 = 20;
/// A page that takes longer counts as an error, not as slow.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests before the first that counts: statements get prepared, and catalogues read.
const WARM_UP: usize = 200;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub people: u16,
    pub per_second: u16,
    pub time: Duration,
}

/// Measures each page at the same rate; `say` gets each figure as soon as it is known. A figure is the 99th percentile of response
/// times, counted from when the request was due, so that a server that falls behind does not look better. Returns the figure of the
/// first page, with the others in `more`.
pub async fn measure(world: &World, options: Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<Figure> {
    let town = Town::open(world, options.people).await?;
    let baseline = town.figure("pages, /healthz", "/healthz", options).await?;
    say(&baseline);
    let confirm = town.confirm_path().await?;
    let counter = format!("/q/{}", town.code);
    let plans = format!("{counter}?amount={TYPED}");
    let pages = [
        ("pages, home", "/home"),
        ("pages, pay: amount", counter.as_str()),
        ("pages, pay: every plan quoted", plans.as_str()),
        ("pages, pay: confirm", confirm.as_str()),
        ("pages, bills", "/bills"),
        ("pages, repay", "/bills/pay"),
    ];
    let mut figures = Vec::new();
    for (name, path) in pages {
        let figure = town.figure(name, path, options).await?.against(baseline.value);
        say(&figure);
        figures.push(figure);
    }
    let mut first = figures.remove(0);
    first.more = figures;
    first.more.push(baseline);
    Ok(first)
}

/// Signed-in borrowers, and the server that they use.
struct Town {
    http: reqwest::Client,
    address: String,
    cookies: Vec<String>,
    /// The content of a shop's static code.
    code: String,
}

impl Town {
    async fn open(world: &World, people: u16) -> anyhow::Result<Town> {
        let app = &world.app;
        let book = world.open_book(PLENTY, i32::from(people), 10).await?;
        buy(world, &book).await?;
        let mut day = world.day();
        for _ in 0..DAYS {
            close_day(app, day).await?;
            day = day.next();
        }
        let tokens: Vec<String> = (0..book.lines.len()).map(|number| format!("{number:064x}")).collect();
        let hashes: Vec<Vec<u8>> = tokens.iter().map(|token| Sha256::digest(token).to_vec()).collect();
        let mut connection = app.pool.acquire().await?;
        store::sign_in(&mut connection, &book.lines, &hashes, app.clock.now()).await?;
        store::settle_down(&mut connection).await?;
        drop(connection);
        let code = open_static_code(app, book.merchants[0]).await.map_err(Fault::into_error)?;
        let name = token_name(app.site.is_encrypted());
        let address = format!("http://{}", serve(router(app.clone())).await?);
        let cookies = tokens.into_iter().map(|token| format!("{name}={token}")).collect();
        Ok(Town { http: build_http()?, address, cookies, code: token(code.code_id) })
    }

    /// Requests a page at a steady rate, whether or not earlier requests have been answered.
    async fn figure(&self, name: &str, path: &str, options: Options) -> anyhow::Result<Figure> {
        self.ask(path, WARM_UP, options.per_second).await?;
        let count = usize::try_from(options.time.as_secs())? * usize::from(options.per_second);
        let mut latencies = self.ask(path, count, options.per_second).await?;
        let mut figure = Figure::new(name, latencies.percentile_ms(990), "ms at the 99th of 100");
        figure.p50_ms = Some(latencies.percentile_ms(500));
        figure.p99_ms = Some(figure.value);
        figure.rows = Some(latencies.count() as u64);
        figure.seconds = Some(seconds(options.time));
        figure.runs = Some(1);
        Ok(figure)
    }

    async fn ask(&self, path: &str, count: usize, per_second: u16) -> anyhow::Result<Latencies> {
        let apart = Duration::from_secs(1) / u32::from(per_second);
        let url = format!("{}{path}", self.address);
        let began = tokio::time::Instant::now();
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..count {
            let due = began + apart * u32::try_from(number)?;
            tokio::time::sleep_until(due).await;
            let (http, url) = (self.http.clone(), url.clone());
            // The stride is prime to the number of people, so all are visited.
            let cookie = self.cookies[number.wrapping_mul(7_919) % self.cookies.len()].clone();
            asking.spawn(async move {
                fetch(&http, &url, &cookie).await?;
                anyhow::Ok(due.elapsed())
            });
        }
        let mut latencies = Latencies::default();
        while let Some(asked) = asking.join_next().await {
            latencies.push(asked??);
        }
        Ok(latencies)
    }

    /// The address of the page that asks for the PIN, for a plan that the page before it offers.
    async fn confirm_path(&self) -> anyhow::Result<String> {
        let url = format!("{}/q/{}?amount={TYPED}", self.address, self.code);
        let page = fetch(&self.http, &url, &self.cookies[0]).await?;
        let plan = page.split("name=\"plan\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let plan = plan.context("the page of plans offers one")?;
        Ok(format!("/q/{}/confirm?amount={TYPED}&plan={plan}", self.code))
    }
}

async fn fetch(http: &reqwest::Client, url: &str, cookie: &str) -> anyhow::Result<String> {
    let asked = http.get(url).header("cookie", cookie).header("accept", "text/html").timeout(PATIENCE);
    let response = asked.send().await?;
    let status = response.status();
    let text = response.text().await?;
    anyhow::ensure!(status.is_success(), "{url} was answered with {status}");
    Ok(text)
}

/// Lets every borrower buy a few times.
async fn buy(world: &World, book: &Book) -> anyhow::Result<()> {
    let authoriser = Authoriser::start(world.app.clone());
    for round in 0..LOANS_EACH {
        let mut buying = tokio::task::JoinSet::new();
        for (number, line_id) in book.lines.iter().enumerate() {
            let request = PurchaseRequest {
                line_id: *line_id,
                idempotency_key: format!("bench-{round}"),
                merchant_id: book.merchants[number % book.merchants.len()],
                order_code: None,
                product_id: book.product_id,
                product_version: 1,
                periods: PERIODS,
                amount: AMOUNT,
            };
            let authoriser = authoriser.clone();
            buying.spawn(async move { authoriser.authorise(request).await.map_err(Fault::into_error) });
        }
        while let Some(bought) = buying.join_next().await {
            let decision = bought??.decision;
            anyhow::ensure!(matches!(decision, Decision::Authorised { .. }), "a purchase was refused: {decision:?}");
        }
    }
    Ok(())
}
