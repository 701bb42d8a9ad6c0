//! Test helper: a shop with customers and an owner who looks at its sales, refunds and settlements in a browser.

use std::sync::Arc;

use fenqi::base::id::{LineId, MerchantId};
use fenqi::merchant::{Decision, Role};
use fenqi::purchase::Receipt;
use fenqi::sandbox::World;
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::counter::{self, hire};
use crate::house;
use crate::shopper::sign_in_as;
use crate::town::{self, LineWish, Town, found};

pub const OWNER: &str = "13900139001";
pub const CASHIER: &str = "13900139002";

/// The shop, its customers' lines, and the browser.
pub struct Till {
    pub town: Town,
    pub world: Arc<World>,
    pub lines: Vec<LineId>,
    pub browser: Browser,
    keys: usize,
}

impl Till {
    /// Opens the shop on the morning of a day, with three customers whose statements are on the 5th; the owner is signed in.
    pub async fn open(pool: PgPool, today: &str) -> Till {
        let (app, world) = house::open_in_world(pool, today).await;
        let town = found(app, 10_000_000_000).await;
        let wish = LineWish { limit_fen: 10_000_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
        let lines = town.open_lines(3, wish).await;
        let browser = Browser::open(&town.app).await;
        let mut till = Till { town, world, lines, browser, keys: 0 };
        till.sign_in(OWNER, Role::Owner).await;
        till
    }

    /// Signs the browser in as somebody of the shop.
    pub async fn sign_in(&mut self, mobile: &str, role: Role) {
        let merchant_id = self.town.merchant_id;
        sign_in_at(&mut self.browser, &self.town, (merchant_id, mobile, role)).await;
    }

    /// Sells to the first customer.
    pub async fn sell(&mut self, fen: i64, product: (&str, u16)) -> Receipt {
        self.keys += 1;
        let wish = self.town.wish(self.lines[0], &format!("till-{}", self.keys), fen, product);
        self.town.buy(vec![wish]).await.pop().unwrap()
    }

    /// Lives until the morning of a day, and signs the owner in again, whose session may have ended.
    pub async fn live_until(&mut self, day: &str) {
        self.town.live_until(day).await;
        let staff = sqlx::query_scalar("select staff_id from merchant_staff order by created_at, staff_id limit 1");
        let staff_id: uuid::Uuid = staff.fetch_one(&self.town.app.pool).await.unwrap();
        sign_in_as(&mut self.browser, &self.town.app, "merchant", staff_id).await;
    }

    /// Sends a form of the owner's, which a code to their mobile confirms.
    pub async fn confirm_by_code(&mut self, page: &Shown, action: &str, fields: &[(&str, &str)]) -> Shown {
        let at = (&mut self.browser, &self.town.app, &self.world);
        counter::confirm(at, page, (action, OWNER), fields).await
    }

    /// The page that shows what a refund would do.
    pub async fn preview(&mut self, receipt: &Receipt, amount: &str) -> Shown {
        let address = format!("/m/purchases/{}/refund?amount={amount}", receipt.purchase_id);
        self.browser.get(&address).await
    }

    /// Confirms the refund that a preview shows.
    pub async fn confirm(&mut self, preview: &Shown) -> Shown {
        let action = preview.at.split('?').next().unwrap().to_owned();
        self.browser.submit(preview, &action, &[]).await
    }

    pub async fn refunds(&self) -> i64 {
        self.town.fen("select count(*) from refund").await
    }
}

/// Hires somebody and signs a browser in as that person.
pub async fn sign_in_at(browser: &mut Browser, town: &Town, (merchant_id, mobile, role): (MerchantId, &str, Role)) {
    let staff_id = hire(&town.app, merchant_id, mobile, role).await;
    sign_in_as(browser, &town.app, "merchant", staff_id.uuid()).await;
}

/// A second merchant of the town, and a browser of its owner.
pub async fn neighbour(town: &Town, address: &str) -> Browser {
    let merchant_id = town::neighbour_applies(&town.app).await;
    town::judge(&town.app, merchant_id, Decision::Accept).await;
    let mut browser = Browser::at(address);
    sign_in_at(&mut browser, town, (merchant_id, "13900139009", Role::Owner)).await;
    browser
}
