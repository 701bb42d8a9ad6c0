//! Test helper: a new borrower in a browser, and the steps from sign-in to a credit line.

use std::sync::Arc;

use fenqi::app::App;
use fenqi::base::id::BorrowerId;
use fenqi::credit::RiskHook;
use fenqi::sandbox::World;
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::{counter, house, town};

pub const MOBILE: &str = "13800138000";
pub const NAME: &str = "王小明";
pub const ID_NUMBER: &str = "11010519491231002X";
pub const CARD: &str = "6217006343925775";
pub const PIN: &str = "271828";
/// What the page says while it waits for a decision.
const WAITING: [&str; 2] = ["Being decided", "正在审批"];

/// A town with its pages, where the counterfeit risk partner decides.
pub struct Place {
    pub app: App,
    pub world: Arc<World>,
    pub browser: Browser,
}

/// The place on 5 March 2026, before anybody has come.
pub async fn open(pool: PgPool) -> Place {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let app = App { risk: Arc::new(RiskHook::Partner), ..app };
    town::found(app.clone(), 100_000_000).await;
    let browser = Browser::open(&app).await;
    Place { app, world, browser }
}

impl Place {
    /// The newcomer, who is the only borrower.
    pub async fn borrower(&self) -> BorrowerId {
        sqlx::query_scalar("select borrower_id from borrower").fetch_one(&self.app.pool).await.unwrap()
    }

    pub fn code_sent_to(&self, mobile: &str) -> String {
        counter::code_sent_to(&self.world, mobile)
    }

    pub async fn sign_in(&mut self, mobile: &str) -> Shown {
        let page = self.browser.get("/sign-in").await;
        let sent = self.browser.submit(&page, "/sign-in", &[("mobile", mobile), ("do", "send")]).await;
        sent.shows("The code has been sent");
        let code = self.code_sent_to(mobile);
        let fields = [("mobile", mobile), ("passcode", code.as_str()), ("do", "sign_in")];
        self.browser.submit(&sent, "/sign-in", &fields).await
    }

    pub async fn identify(&mut self, page: &Shown) -> Shown {
        self.browser
            .submit(
                page,
                "/apply/identity",
                &[
                    ("name", NAME),
                    ("id_number", ID_NUMBER),
                    ("agree_personal_information", "yes"),
                    ("agree_sensitive_information", "yes"),
                ],
            )
            .await
    }

    pub async fn bind_card(&mut self, page: &Shown) -> Shown {
        let fields = [("card_number", "6217 0063 4392 5775"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
        let code = self.browser.submit(page, "/me/cards/new", &fields).await;
        code.shows("138****8000").shows("5775").hides(CARD);
        self.browser.submit(&code, "/me/cards/code", &[("card_code", "138000"), ("do", "confirm")]).await
    }

    pub async fn agree(&mut self, page: &Shown, name: &str) -> Shown {
        let box_name = format!("agree_{name}");
        self.browser.submit(page, "/apply/agreement", &[(box_name.as_str(), "yes")]).await
    }

    /// Goes through all steps up to the page that submits the application.
    pub async fn come_to_submit(&mut self) -> Shown {
        let identity = self.sign_in(MOBILE).await;
        let card = self.identify(&identity).await;
        let credit = self.bind_card(&card).await;
        let report = self.agree(&credit, "credit").await;
        self.agree(&report, "credit_report").await
    }

    /// Submits the application. On a busy machine the page comes before the decision, and is opened again until that is made.
    pub async fn apply(&mut self, submit: &Shown) -> Shown {
        let mut state = self.browser.submit(submit, "/apply/submit", &[]).await;
        house::until("it is decided", async || {
            let waits = WAITING.iter().any(|words| state.text.contains(*words));
            if waits {
                state = self.browser.get("/apply").await;
            }
            !waits
        })
        .await;
        state
    }

    /// Becomes a borrower with a line and a PIN, signed in.
    pub async fn settle(&mut self) {
        let submit = self.come_to_submit().await;
        self.apply(&submit).await.shows("Your line is open");
        let page = self.browser.get("/me/pin").await;
        let fields = [("id_last", "31002x"), ("pin_new", PIN), ("pin_again", PIN)];
        self.browser.submit(&page, "/me/pin", &fields).await.is_at("/me").shows("The payment PIN is set");
    }
}
