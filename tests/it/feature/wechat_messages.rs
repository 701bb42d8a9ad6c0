//! WeChat subscription messages: consent is given on the messages page, each consent allows one message, and the access token is cached.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::When;
use fenqi::base::id::BorrowerId;
use fenqi::borrower::{openid_actions, subscription_actions};
use fenqi::notice::{self, Notice};
use fenqi::outbox::DeliverySettings;
use fenqi::outbox::actions::{self, Asked};
use fenqi::outbox::jobs::{Summary, deliver_outbox, deliver_until};
use fenqi::partner::store::{CallSearch, search_calls};
use fenqi::partner::wechat::client::page_signature;
use fenqi::partner::wechat::wire::SubscribeMessage;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Scripted, World};
use serde_json::json;
use sqlx::PgPool;

use super::applicant;
use crate::browser::{Browser, Shown};
use crate::{house, town};

const OPENID: &str = "o-wang";

/// A house with a person who is known in WeChat.
struct Place {
    app: App,
    world: Arc<World>,
    borrower_id: BorrowerId,
}

async fn open(pool: PgPool) -> Place {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    town::found(app.clone(), 1_000_000).await;
    let borrower_id = applicant::ready(&app, 1).await;
    house::link_openid(&app, borrower_id, OPENID).await.unwrap();
    deliver_outbox(&app).await.unwrap();
    Place { app, world, borrower_id }
}

impl Place {
    async fn browser(&self) -> Browser {
        self.world.script("wechat", None, vec![Scripted::answer(&format!("openid:{OPENID}"))]);
        Browser::open(&self.app).await.in_wechat()
    }

    async fn allow(&self, times: usize) {
        for _ in 0..times {
            subscription_actions::allow(&self.app, self.borrower_id, &["template-withheld"]).await.unwrap();
        }
    }

    async fn allowed(&self, kind: &str) -> (bool, i16) {
        let choices = subscription_actions::choices(&self.app, self.borrower_id).await.unwrap();
        let choice = choices.into_iter().find(|choice| choice.kind == kind).unwrap();
        (choice.wanted, choice.allowed)
    }

    async fn raise(&self, kind: &'static str) {
        let body = json!({
            "line": "line_1",
            "due_on": "2026-03-28",
            "total_fen": 123_456,
            "owed_fen": 123_456,
            "amount_fen": 5_000,
            "withholding": "wh_1",
        });
        let when = When { business_day: "2026-03-05".parse().unwrap(), at: self.app.clock.now() };
        let notice = Notice::to_borrower(self.borrower_id, kind, body, when);
        notice::raise(&mut self.app.pool.acquire().await.unwrap(), &[notice]).await.unwrap();
    }

    fn told(&self) -> Vec<SubscribeMessage> {
        lock(&self.world.wechat).messages_to(OPENID).into_iter().cloned().collect()
    }

    async fn waiting(&self) -> i64 {
        sqlx::query_scalar("select count(*) from outbox where partner = 'wechat' and delivered_at is null")
            .fetch_one(&self.app.pool)
            .await
            .unwrap()
    }
}

/// # Panics
/// If the page is not signed for WeChat's script under the address that a browser shows for it.
fn is_signed(page: &Shown) {
    let value = |name: &str| {
        let rest = page.shows(&format!("data-{name}=\"")).text.split(&format!("data-{name}=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let address = format!("{}{}", crate::browser::PUBLIC, page.at);
    let timestamp = value("timestamp").parse().unwrap();
    let signature = page_signature("counterfeit-ticket", &value("nonce"), timestamp, &address);
    assert_eq!(value("signature"), signature, "{address}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn pages_that_use_wechats_script_are_signed_for_their_own_address(pool: PgPool) {
    let place = open(pool).await;
    let mut browser = place.browser().await;
    for path in ["/me/messages", "/me/messages?before=5", "/scan", "/scan?lang=en"] {
        let page = browser.get(path).await;
        assert_eq!(page.at, path);
        is_signed(&page);
    }
    // After a code that is none of ours, WeChat scans again.
    let page = browser.get("/scan?lang=en").await;
    let refused = browser.submit(&page, "/scan", &[("scanned", "wxp://f2f0abc")]).await;
    is_signed(refused.has_status(422).shows("not a code of one of our merchants"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_consent_on_the_messages_page_is_good_for_one_message_and_can_be_taken_back(pool: PgPool) {
    let place = open(pool).await;
    let mut browser = place.browser().await;
    let page = browser.get("/me/messages").await;
    page.is_at("/me/messages")
        .shows("Messages in WeChat")
        .shows("template-bill_issued,template-due_soon,template-overdue");
    let templates = "template-bill_issued,template-due_soon,not-ours";
    let allowed = browser.submit(&page, "/me/messages/wechat", &[("templates", templates)]).await;
    allowed.is_at("/me/messages").shows("Noted: WeChat will tell you").shows("1 more");
    place.raise("bill_issued").await;
    // One SMS and one message in WeChat.
    assert_eq!(deliver_outbox(&place.app).await.unwrap().delivered, 2);
    let told = place.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].template_id, "template-bill_issued");
    assert_eq!(
        (told[0].data["amount1"].value.as_str(), told[0].data["date2"].value.as_str()),
        ("1,234.56元", "2026年3月28日")
    );
    assert!(told[0].page.ends_with("/bills/2026-03-28"), "{}", told[0].page);
    browser.get("/me/messages").await.shows("Used up, agree again").shows("/bills/2026-03-28");
    place.raise("bill_issued").await;
    assert_eq!(deliver_outbox(&place.app).await.unwrap().delivered, 1, "by SMS alone");
    let stopped = browser.submit(&allowed, "/me/messages/wechat/stop", &[]).await;
    stopped.shows("You get no more messages in WeChat").hides("1 more");
    assert_eq!(place.allowed("due_soon").await, (false, 1));
    place.raise("due_soon").await;
    assert_eq!(deliver_outbox(&place.app).await.unwrap().delivered, 1);
    assert_eq!(place.told().len(), 1);
    let mut elsewhere = Browser::at(&browser.address);
    elsewhere.cookies = browser.cookies.clone();
    elsewhere.get("/me/messages").await.shows("Open this page in WeChat").hides("data-wechat");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_token_is_used_again_and_renewed_once_where_wechat_refuses_it(pool: PgPool) {
    let place = open(pool).await;
    place.allow(4).await;
    for _ in 0..3 {
        place.raise("withheld").await;
    }
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!((place.told().len(), lock(&place.world.wechat).tokens()), (3, 1));
    place.world.script("wechat", None, vec![Scripted::answer("token_old")]);
    place.raise("withheld").await;
    assert_eq!(deliver_outbox(&place.app).await.unwrap(), Summary { delivered: 1, failed: 0, died: 0 });
    assert_eq!((place.told().len(), lock(&place.world.wechat).tokens()), (4, 2));
    assert_eq!(place.allowed("withheld").await, (true, 0));
    // Refused twice in a row it is no matter of the token: the message waits, and is not to blame.
    place.allow(1).await;
    place.world.script("wechat", None, vec![Scripted::answer("token_old"), Scripted::answer("token_old")]);
    place.raise("withheld").await;
    assert_eq!(deliver_outbox(&place.app).await.unwrap(), Summary::default());
    let left_alone = "select count(*) from outbox o join outbox_partner p using (partner)
                      where partner = 'wechat' and o.attempts = 0 and o.delivered_at is null and p.failures = 1";
    assert_eq!(sqlx::query_scalar::<_, i64>(left_alone).fetch_one(&place.app.pool).await.unwrap(), 1);
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(1));
    assert_eq!(deliver_outbox(&place.app).await.unwrap().delivered, 1);
    assert_eq!(place.told().len(), 5);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_wechat_will_not_take_is_not_tried_for_ever_and_its_silence_loses_nothing(pool: PgPool) {
    let place = open(pool).await;
    place.allow(3).await;
    place.world.script("wechat", None, vec![Scripted::answer("not_subscribed")]);
    place.raise("withheld").await;
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!((place.told().len(), place.waiting().await), (0, 0));
    assert_eq!(place.allowed("withheld").await, (true, 0), "WeChat keeps the count itself");
    place.allow(2).await;
    place.world.set_faults("wechat", FaultShares { timeout_before: 1000, ..FaultShares::default() });
    place.raise("withheld").await;
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!((place.told().len(), place.waiting().await), (0, 1));
    place.world.set_faults("wechat", FaultShares::default());
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(1));
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!((place.told().len(), place.waiting().await), (1, 0));
    // Another WeChat identity begins without consents; an erased person is nobody to write to.
    house::link_openid(&place.app, place.borrower_id, "o-other").await.unwrap();
    assert_eq!(place.allowed("withheld").await, (true, 0));
    place.allow(1).await;
    place.raise("withheld").await;
    crate::house::erase(&place.app, place.borrower_id).await.unwrap();
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!(place.waiting().await, 0);
    assert!(lock(&place.world.wechat).messages_to("o-other").is_empty());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_pause_ends_a_batch_between_two_messages(pool: PgPool) {
    let place = open(pool).await;
    place.allow(1).await;
    for _ in 0..200 {
        place.raise("withheld").await;
    }
    let delivery = DeliverySettings { pause: Duration::from_millis(5), ..DeliverySettings::default() };
    let app = App { delivery, ..place.app.clone() };
    let (delivered, ()) = tokio::join!(deliver_outbox(&app), async {
        house::until("the first is told", async || !place.told().is_empty()).await;
        let _ = actions::pause(&app, Asked { partner: "wechat", by: "li" }).await.unwrap();
    });
    assert_eq!(delivered.unwrap().failed, 0);
    let (told, waiting) = (i64::try_from(place.told().len()).unwrap(), place.waiting().await);
    assert!(waiting > 0 && told + waiting == 200, "{told} are told, {waiting} wait");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_run_does_not_end_with_its_turn_while_it_looks_for_what_wechat_is_silent_about(pool: PgPool) {
    let place = open(pool).await;
    place.allow(1).await;
    for _ in 0..20 {
        place.raise("withheld").await;
    }
    place.world.set_faults("wechat", FaultShares { timeout_before: 1000, ..FaultShares::default() });
    let (pause, turn) = (Duration::from_millis(10), Duration::ZERO);
    let app = App { delivery: DeliverySettings { pause, turn, ..DeliverySettings::default() }, ..place.app.clone() };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let delivering = tokio::spawn(async move { deliver_until(&app, stopped).await });
    // Begun anew each time, all twenty would be tried again and again, and people who get what WeChat does not answer for as often.
    let blamed = "select count(*) from outbox where partner = 'wechat' and attempts > 0";
    house::until("a message stands alone and is put off", async || house::count(&place.app, blamed).await == 1).await;
    stop.send(true).unwrap();
    delivering.await.unwrap();
    assert_eq!(place.waiting().await, 20);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_comes_by_an_identity_as_it_is_unlinked_is_not_signed_in(pool: PgPool) {
    let place = open(pool).await;
    let mut browser = place.browser().await;
    let mut held_up = fenqi::database::begin(&place.app.pool).await.unwrap();
    sqlx::raw_sql("lock table wechat_identity in exclusive mode").execute(&mut *held_up).await.unwrap();
    let (unlinked, came, ()) = tokio::join!(
        openid_actions::unlink_openid(&place.app, place.borrower_id),
        async {
            house::until_as_many_wait(&place.app.pool, 1).await;
            browser.get("/me").await
        },
        async {
            house::until_as_many_wait(&place.app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    unlinked.unwrap();
    assert!(came.at.starts_with("/sign-in"), "{} is led to {}", came.status, came.at);
    let signed_in = sqlx::query_scalar::<_, i64>("select count(*) from session where subject_id is not null");
    assert_eq!(signed_in.fetch_one(&place.app.pool).await.unwrap(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_messages_took_is_counted_beside_whoever_agrees_to_more_in_any_order(pool: PgPool) {
    let place = open(pool).await;
    let (app, borrower_id) = (&place.app, place.borrower_id);
    let templates = ["template-bill_issued", "template-withheld"];
    for [first, then] in [["bill_issued", "withheld"], ["withheld", "bill_issued"]] {
        subscription_actions::allow(app, borrower_id, &templates).await.unwrap();
        let mut agreeing = fenqi::database::begin(&app.pool).await.unwrap();
        let agree = "update wechat_subscription set allowed = allowed + 1 where kind = $1";
        sqlx::query(agree).bind(first).execute(&mut *agreeing).await.unwrap();
        let sent = [(borrower_id, "bill_issued"), (borrower_id, "withheld")];
        let (spent, ()) = tokio::join!(subscription_actions::spend(app, &sent, &[]), async {
            house::until_as_many_wait(&app.pool, 1).await;
            sqlx::query(agree).bind(then).execute(&mut *agreeing).await.unwrap();
            agreeing.commit().await.unwrap();
        });
        spent.unwrap();
    }
    // In each turn two consents came, and one was taken.
    assert_eq!((place.allowed("bill_issued").await, place.allowed("withheld").await), ((true, 2), (true, 2)));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_was_told_is_not_told_again_because_it_could_not_be_counted(pool: PgPool) {
    let place = open(pool).await;
    place.allow(2).await;
    place.raise("withheld").await;
    let uncounted = "create function refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
                     create trigger refuse before update on wechat_subscription for each row execute function refuse()";
    sqlx::raw_sql(uncounted).execute(&place.app.pool).await.unwrap();
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!((place.told().len(), place.waiting().await), (1, 0));
    assert_eq!(place.allowed("withheld").await, (true, 2));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_message_is_found_among_the_calls_by_whom_it_concerns(pool: PgPool) {
    let place = open(pool).await;
    place.allow(1).await;
    place.raise("withheld").await;
    deliver_outbox(&place.app).await.unwrap();
    place.app.partners.flush_log().await;
    let search = async |key: Option<String>| {
        let search = CallSearch { partner: Some("wechat".to_owned()), key, limit: 10, ..Default::default() };
        let found = search_calls(&mut place.app.pool.acquire().await.unwrap(), &search).await.unwrap();
        found.into_iter().map(|call| call.operation).collect::<Vec<String>>()
    };
    assert_eq!(search(None).await, ["send_message", "token"]);
    assert_eq!(search(Some(place.borrower_id.to_string())).await, ["send_message"]);
    let message_no: i64 = sqlx::query_scalar("select max(message_no) from outbox where partner = 'wechat'")
        .fetch_one(&place.app.pool)
        .await
        .unwrap();
    assert_eq!(search(Some(message_no.to_string())).await, ["send_message"], "and by its own number");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refusal_by_wechat_is_found_among_the_calls_by_its_code(pool: PgPool) {
    let place = open(pool).await;
    place.allow(1).await;
    place.world.script("wechat", None, vec![Scripted::answer("not_subscribed")]);
    place.raise("withheld").await;
    deliver_outbox(&place.app).await.unwrap();
    place.app.partners.flush_log().await;
    let refused = CallSearch { code: Some("43101".to_owned()), limit: 10, ..Default::default() };
    let found = search_calls(&mut place.app.pool.acquire().await.unwrap(), &refused).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].operation, &*found[0].outcome), ("send_message", "rejected"));
    assert_eq!(found[0].http_status, Some(200));
    assert_eq!(found[0].response_masked, r#"{"errcode":43101}"#);
}
