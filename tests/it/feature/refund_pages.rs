//! A merchant voids or refunds a sale on its pages: the effects are shown first, and the refund happens only once.

use fenqi::base::Fen;
use fenqi::merchant::actions::Judgement;
use fenqi::merchant::{self, Role};
use fenqi::purchase::Receipt;
use fenqi::purchase::actions::{self, RefundRequest};
use sqlx::PgPool;

use crate::till::{CASHIER, Till};

const STANDARD: (&str, u16) = ("harbour-standard", 12);

/// A shop on the morning after it sold something of ¥1,200 with a subsidy.
async fn morning_after(pool: PgPool) -> (Till, Receipt) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, ("harbour-shared-fee", 6)).await;
    till.live_until("2026-03-03").await;
    (till, receipt)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_shown_first_is_exactly_what_the_refund_does(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    till.sell(30_000, STANDARD).await;
    let asking = till.browser.get(&format!("/m/purchases/{}/refund", receipt.purchase_id)).await;
    asking.shows("value=\"1200.00\"").shows("¥1,200.00 can still be refunded");
    let preview = till.preview(&receipt, "500").await;
    preview.has_status(200).shows("What a refund of ¥500.00 does").shows("Nothing has been refunded yet");
    assert_eq!(till.refunds().await, 0);
    let told = actions::preview(&till.town.app, receipt.purchase_id, Fen::new(50_000)).await.unwrap();
    let done = till.confirm(&preview).await;
    done.has_status(200).shows("Refunded").shows("¥500.00");
    assert!(done.at.contains("/refunds/ref_"), "{}", done.at);
    let row: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select principal_fell_fen, owed_back_fen, interest_waived_fen, discount_fee_returned_fen, subsidy_returned_fen
         from refund",
    )
    .fetch_one(&till.town.app.pool)
    .await
    .unwrap();
    let parts = told.effect.parts;
    let shown = [
        parts.principal_fell,
        parts.owed_back,
        told.effect.interest_waived,
        parts.discount_fee_returned,
        parts.subsidy_returned,
    ];
    assert_eq!(shown.map(Fen::get), [row.0, row.1, row.2, row.3, row.4]);
    for amount in shown {
        preview.shows(&format!("¥{amount}"));
        done.shows(&format!("¥{amount}"));
    }
    assert!(parts.subsidy_returned.is_positive() && parts.discount_fee_returned == Fen::new(300), "{parts:?}");
    // The day's settlement comes out as it was foretold.
    preview.shows(&format!("−¥{}", -told.after.payable)).shows("will be taken off your next settlements");
    assert_eq!(told.before.payable - told.after.payable, -parts.net());
    till.town.close_today().await;
    let settled = till.town.fen("select payable_fen from settlement where business_day = '2026-03-03'").await;
    assert_eq!(settled, told.after.payable.get());
    till.town.assert_whole("after a refund by the pages").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_day_of_payment_is_told_where_a_refund_leaves_nothing_to_pay(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(30_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    till.sell(30_000, STANDARD).await;
    till.preview(&receipt, "299").await.shows("To be paid on 4 March 2026");
    till.preview(&receipt, "300").await.has_status(200).hides("To be paid on").hides("taken off your next settlements");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_customer_has_repaid_goes_back_to_the_card(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-28").await;
    let repaid = till.town.fen("select principal_paid_fen from loan").await;
    assert!(repaid > 0);
    let preview = till.preview(&receipt, "1200").await;
    preview.shows("Goes back to the card").shows(&format!("¥{}", Fen::new(repaid)));
    preview.shows(&format!("¥{}", Fen::new(120_000 - repaid))).shows("Interest that falls away");
    till.confirm(&preview).await.shows("Refunded");
    assert_eq!(till.town.fen("select owed_back_fen from refund").await, repaid);
    let address = format!("/m/purchases/{}", receipt.purchase_id);
    let page = till.browser.get(&address).await;
    page.hides("/refund\"").hides("/void\"").shows("Refunded");
    // Nothing is left to refund: who asks for it is led back to the sale.
    till.browser.get(&format!("{address}/refund")).await.is_at(&address).hides("Amount to refund");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn amounts_that_are_none_are_refused_beside_the_field_and_kept(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let long = "7".repeat(10_000);
    let cases = [
        ("0", "more than 0"),
        ("0.001", "at most two decimals"),
        ("1e9", "digits and a point only"),
        ("1000000000", "too large"),
        ("-5", "digits and a point only"),
        ("abc", "digits and a point only"),
        ("%F0%9F%92%B0", "digits and a point only"),
        (long.as_str(), "too large"),
        ("", "Please fill this in"),
        ("1200.01", "more than can be refunded"),
    ];
    for (typed, words) in cases {
        let page = till.preview(&receipt, typed).await;
        page.has_status(422).shows(words).shows("See what it does").shows("<p class=\"error\" id=\"amount-error\"");
    }
    till.preview(&receipt, "1e9").await.shows("value=\"1e9\"");
    // The same in the place of the hidden field refunds nothing.
    let preview = till.preview(&receipt, "5").await;
    let action = preview.at.split('?').next().unwrap().to_owned();
    for amount in ["0", "0.001", "abc", "💰", "1200.01", long.as_str()] {
        let posted = till.browser.submit(&preview, &action, &[("amount", amount)]).await;
        posted.shows("See what it does").hides("Refunded at");
    }
    assert_eq!(till.refunds().await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_form_that_is_sent_again_refunds_once(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let preview = till.preview(&receipt, "100").await;
    let done = till.confirm(&preview).await;
    assert_eq!(till.confirm(&preview).await.at, done.at);
    assert_eq!(till.refunds().await, 1);
    // The key has refunded ¥100; with another amount it is an old page.
    let action = preview.at.split('?').next().unwrap().to_owned();
    let other = till.browser.submit(&preview, &action, &[("amount", "200.00")]).await;
    other.has_status(409).shows("already sent from this page");
    // Its result is there whenever it is asked for.
    till.browser.get(&done.at).await.shows("Refunded").shows("¥100.00");
    assert_eq!(till.refunds().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn eight_taps_at_once_refund_once(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let preview = till.preview(&receipt, "100").await;
    let body = ["csrf", "key", "amount", "seal"].map(|name| format!("{name}={}", preview.field(name))).join("&");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let address = format!("{}{}", till.browser.address, preview.at.split('?').next().unwrap());
    let cookie = format!("fenqi={}", till.browser.cookies["fenqi"]);
    let taps = (0..8).map(|_| {
        let request = client.post(&address).header("cookie", &cookie).body(body.clone());
        request.header("content-type", "application/x-www-form-urlencoded").send()
    });
    let answers = futures_util::future::join_all(taps).await;
    let place =
        |answer: reqwest::Result<reqwest::Response>| answer.unwrap().headers()["location"].to_str().unwrap().to_owned();
    let places: std::collections::BTreeSet<String> = answers.into_iter().map(place).collect();
    assert_eq!((places.len(), till.refunds().await), (1, 1), "{places:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_second_tab_sees_what_the_first_has_done_before_anything_is_doubled(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let (one, other) = (till.preview(&receipt, "700").await, till.preview(&receipt, "300").await);
    till.confirm(&one).await.shows("Refunded");
    let stale = till.confirm(&other).await;
    stale.has_status(409).shows("Something has changed since").shows("What a refund of ¥300.00 does");
    stale.shows("¥200.00 can still be refunded afterwards");
    assert_eq!(till.refunds().await, 1);
    // Looked at again it may be confirmed; the third does not fit any more.
    let third = till.preview(&receipt, "300").await;
    till.confirm(&stale).await.shows("Refunded");
    assert_eq!(till.refunds().await, 2);
    till.confirm(&third).await.has_status(409).shows("more than can be refunded");
    assert_eq!(till.refunds().await, 2);
    till.town.assert_whole("after two tabs").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_preview_is_stale_when_the_customer_repays_or_the_day_ends(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let preview = till.preview(&receipt, "1200").await;
    till.live_until("2026-03-04").await;
    till.confirm(&preview).await.has_status(409).shows("Something has changed since").shows("4 March");
    let preview = till.preview(&receipt, "1200").await;
    sqlx::query("update purchase set refunded_fen = 100").execute(&till.town.app.pool).await.unwrap();
    till.confirm(&preview).await.has_status(409).shows("more than can be refunded");
    assert_eq!(till.refunds().await, 0);
    let nonsense = till.preview(&receipt, "5").await;
    let action = nonsense.at.split('?').next().unwrap().to_owned();
    for seal in ["", "x", "💰", &"9".repeat(10_000)] {
        let posted = till.browser.submit(&nonsense, &action, &[("seal", seal)]).await;
        posted.has_status(409).shows("Something has changed since");
    }
    let unkeyed = till.browser.submit(&nonsense, &action, &[("key", "")]).await;
    unkeyed.has_status(200).shows("Amount to refund");
    assert_eq!(till.refunds().await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_sale_of_today_is_undone_and_an_older_one_is_refunded(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, STANDARD).await;
    let address = format!("/m/purchases/{}", receipt.purchase_id);
    let asking = till.browser.get(&format!("{address}/refund")).await;
    asking.is_at(&format!("{address}/void"));
    asking.shows("as if it had never been").shows("¥1,200.00").shows("−¥1,192.80");
    let action = format!("{address}/void");
    let undone = till.browser.submit(&asking, &action, &[]).await;
    undone.is_at(&address);
    undone.shows("Undone; the customer owes nothing").shows("Voided").hides("Undo this purchase");
    // Sent again it changes nothing.
    till.browser.submit(&asking, &action, &[]).await.is_at(&address);
    assert_eq!(till.town.fen("select used_fen from credit_line order by used_fen desc limit 1").await, 0);

    let second = till.sell(50_000, STANDARD).await;
    let asking = till.browser.get(&format!("/m/purchases/{}/void", second.purchase_id)).await;
    till.live_until("2026-03-03").await;
    let late = till.browser.submit(&asking, &format!("/m/purchases/{}/void", second.purchase_id), &[]).await;
    late.has_status(409).shows("/refund\"").shows("Refund it instead");
    till.browser.get(&late.at).await.is_at(&format!("/m/purchases/{}/refund", second.purchase_id));
    till.town.assert_whole("after a void by the pages").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_sees_purchases_and_takes_nothing_back(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let preview = till.preview(&receipt, "100").await;
    let action = preview.at.split('?').next().unwrap().to_owned();
    till.sign_in(CASHIER, Role::Cashier).await;
    let address = format!("/m/purchases/{}", receipt.purchase_id);
    till.browser.get("/m/purchases").await.shows("¥1,200.00").hides("/m/settlements");
    let page = till.browser.get(&address).await;
    page.shows("Your role may not refund").hides("/refund\"").hides("/m/settlements");
    for path in ["/refund", "/refund?amount=1", "/void"] {
        till.browser.get(&format!("{address}{path}")).await.has_status(403).shows("Your role may not do this");
    }
    till.browser.submit(&preview, &action, &[]).await.has_status(403);
    for path in [
        "/m/settlements",
        "/m/settlements/2026-03-02",
        "/m/settlements/2026-03-02/fee",
        "/m/settlements/2026-03-02/statement",
    ] {
        till.browser.get(path).await.has_status(403);
    }
    assert_eq!(till.refunds().await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_suspended_shop_still_refunds_and_sees_its_money_but_prints_no_code(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let suspend = Judgement {
        merchant_id: till.town.merchant_id,
        decision: merchant::Decision::Suspend,
        decided_by: "operator:li".into(),
        reason: "complaints".into(),
    };
    let _ = merchant::decide(&till.town.app, &suspend).await.unwrap();
    let preview = till.preview(&receipt, "100").await;
    till.confirm(&preview).await.shows("Refunded");
    till.browser.get("/m/settlements/2026-03-02").await.has_status(200).shows("¥1,200.00");
    // The code could be opened only while the shop takes payments.
    for path in ["/m/poster", "/m/poster.svg"] {
        till.browser.get(path).await.has_status(422).shows("cannot take payments at the moment");
    }
    assert_eq!(till.refunds().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_preview_writes_nothing(pool: PgPool) {
    let (mut till, receipt) = morning_after(pool).await;
    let rows = "select (select count(*) from refund) + (select count(*) from schedule) + (select count(*) from posting)
                     + (select count(*) from outbox) + (select count(*) from notice) + (select count(*) from line_entry)
                     + (select count(*) from payout) + (select coalesce(sum(refunded_fen), 0)::bigint from purchase)";
    let before = till.town.fen(rows).await;
    till.preview(&receipt, "1200").await.has_status(200);
    assert_eq!(till.town.fen(rows).await, before);
    // Through another way the same amount is refunded afterwards, as if nobody had looked.
    let request =
        RefundRequest { purchase_id: receipt.purchase_id, amount: Fen::new(120_000), idempotency_key: "api".into() };
    actions::refund(&till.town.app, request).await.unwrap();
    assert_eq!(till.refunds().await, 1);
}
