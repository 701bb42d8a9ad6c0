//! Test helper: a borrower in a browser, signed in, with a PIN and a credit line, in a town with a shop.

use std::sync::Arc;

use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{BorrowerId, LineId};
use fenqi::merchant::Order;
use fenqi::merchant::code::token;
use fenqi::sandbox::World;
use fenqi::{borrower, merchant};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::house;
use crate::town::{LineWish, Town, found};

pub const PIN: &str = "271828";

/// The borrower, the town, and the browser in which the borrower is signed in.
pub struct Shopper {
    pub town: Town,
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub browser: Browser,
}

impl Shopper {
    /// A shopper in a house that opened on 2 March 2026.
    pub async fn open(pool: PgPool) -> Shopper {
        Shopper::in_town(house::open(pool, "2026-03-02").await).await
    }

    /// As [`Shopper::open`], with a counterfeit world.
    pub async fn open_in_world(pool: PgPool) -> (Shopper, Arc<World>) {
        let (app, world) = house::open_in_world(pool, "2026-03-02").await;
        (Shopper::in_town(app).await, world)
    }

    /// A shopper with a line of ¥10,000, statements on the 5th and due days on the 25th.
    pub async fn in_town(app: App) -> Shopper {
        let town = found(app, 10_000_000_000).await;
        let wish = LineWish { limit_fen: 1_000_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
        let line_id = town.open_lines(1, wish).await.pop().unwrap();
        let borrower_id = owner(&town, line_id).await;
        let pin = borrower::NewPin { chosen: PIN, token_hash: [0; 32], replaced: borrower::Replaced::Nothing };
        borrower::set_pin(&town.app, borrower_id, pin).await.unwrap();
        let mut browser = Browser::open(&town.app).await;
        sign_in(&mut browser, &town.app, borrower_id).await;
        Shopper { town, line_id, borrower_id, browser }
    }

    /// The path of the shop's printed code.
    pub async fn poster(&self) -> String {
        let code = merchant::open_static_code(&self.town.app, self.town.merchant_id).await.unwrap();
        format!("/q/{}", token(code.code_id))
    }

    /// The path of the code of an order that expires in ten minutes.
    pub async fn order(&self, fen: i64, reference: &str) -> String {
        let order = Order {
            merchant_id: self.town.merchant_id,
            reference: reference.to_owned(),
            amount: Fen::new(fen),
            expires_at: self.town.app.clock.now() + chrono::TimeDelta::minutes(10),
        };
        let code = self.town.app.order_desk.open(order, self.town.app.clock.now()).await.unwrap();
        format!("/q/{}", token(code.code_id))
    }

    /// Opens the page that asks for the PIN, after choosing a product's plan of so many periods on the page of a code.
    pub async fn ask(&mut self, code: &str, query: &str, product: &str, periods: u16) -> Shown {
        let plans = self.browser.get(&format!("{code}{query}")).await;
        plans.has_status(200).shows("Choose a plan");
        let product = self.town.product(product);
        let plan = format!("{}.{}.{periods}", product.product_id, product.version);
        plans.shows(&plan);
        let (key, amount) = (plans.field("key"), plans.field("amount"));
        let address = format!("{code}/confirm?key={key}&amount={amount}&plan={plan}");
        self.browser.get(&address).await
    }

    /// Lives until a day, and signs in again, since sessions end meanwhile.
    pub async fn live_until(&mut self, day: &str) {
        self.town.live_until(day).await;
        sign_in(&mut self.browser, &self.town.app, self.borrower_id).await;
    }

    pub async fn loans(&self) -> i64 {
        self.town.fen("select count(*) from loan").await
    }
}

/// The borrower of a line.
pub async fn owner(town: &Town, line_id: LineId) -> BorrowerId {
    let owner = sqlx::query_scalar("select borrower_id from credit_line where line_id = $1").bind(line_id);
    owner.fetch_one(&town.app.pool).await.unwrap()
}

/// Signs a browser in as a borrower without the sign-in page: a session is inserted for its token.
pub async fn sign_in(browser: &mut Browser, app: &App, borrower_id: BorrowerId) {
    sign_in_as(browser, app, "borrower", borrower_id.uuid()).await;
}

/// As [`sign_in`], for a session of either kind: `borrower`, or `merchant` with a member of its staff.
pub async fn sign_in_as(browser: &mut Browser, app: &App, kind: &'static str, subject_id: uuid::Uuid) {
    browser.get("/").await;
    let token_hash: [u8; 32] = Sha256::digest(browser.cookies["fenqi"].as_bytes()).into();
    let now = app.clock.now();
    sqlx::query(
        "insert into session (token_hash, kind, session_id, subject_id, device, created_at, last_seen_at, expires_at)
         values ($1, $5, gen_random_uuid(), $2, 'test', $3, $3, $4)
         on conflict (token_hash, kind) do update set subject_id = excluded.subject_id, expires_at = excluded.expires_at,
                                                     last_seen_at = excluded.last_seen_at",
    )
    .bind(token_hash.as_slice())
    .bind(subject_id)
    .bind(now)
    .bind(now + chrono::TimeDelta::days(30))
    .bind(kind)
    .execute(&app.pool)
    .await
    .unwrap();
}
