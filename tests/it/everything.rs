//! Test helper: a house that contains one of each object that an operation of the API can name, and the names of these objects.

use std::collections::BTreeMap;

use fenqi::credit::actions;
use fenqi::day_file::{FileName, jobs};
use fenqi::purchase::PurchaseRequest;
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::feature::applicant::{ready, request};
use crate::town::{self, LineWish, Town};

pub const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2027-12-31" };

/// By audience (`funder` or `merchant`) and path parameter: all values it may have, at least one, the oldest first.
pub type Names = BTreeMap<(&'static str, &'static str), Vec<String>>;

/// Where the names are listed: the audience, the list, and the field of its items, which is called as the path parameter.
const LISTS: [(&str, &str, &str); 18] = [
    ("funder", "/funder/applications", "application_id"),
    ("funder", "/funder/days", "business_day"),
    ("funder", "/funder/lines", "line_id"),
    ("funder", "/funder/loans", "loan_id"),
    ("funder", "/funder/product-drafts", "draft_id"),
    ("funder", "/funder/products", "code"),
    ("funder", "/funder/refunds", "refund_id"),
    ("funder", "/funder/remittances", "remittance_id"),
    ("funder", "/funder/repayments", "repayment_id"),
    ("funder", "/funder/reserve/orders", "order_id"),
    ("funder", "/funder/withholdings", "withholding_id"),
    ("funder", "/events", "event_no"),
    ("funder", "/events/kinds", "kind"),
    ("merchant", "/merchant/orders", "reference"),
    ("merchant", "/merchant/purchases?business_day=2026-01-05", "purchase_id"),
    ("merchant", "/merchant/purchases?business_day=2026-01-27", "purchase_id"),
    ("merchant", "/merchant/refunds?business_day=2026-01-27", "refund_id"),
    ("merchant", "/merchant/settlements", "settlement_id"),
];

/// Lives three weeks from 5 to 27 January 2026: an order is paid, withheld for, and refunded in part, somebody waits for a
/// decision, and the files of each day are made.
pub async fn live(town: &Town, merchant: &Desk) {
    let product = town::named(town.product("harbour-standard"));
    actions::apply(&town.app, request(ready(&town.app, 1).await, product, None)).await.unwrap();
    let notify = json!({ "url": "http://127.0.0.1:9/fenqi/notify" }).to_string();
    let headers = [("idempotency-key", "u-1"), ("if-match", "\"0\"")];
    merchant.send_with("PUT", "/merchant/notify-url", &headers, &notify).await.ok();
    let order = json!({ "reference": "A-1", "amount_fen": 120_000, "expires_at": "2026-01-05T20:00:00+08:00" });
    let order = merchant.post("/merchant/orders", "o-1", &order).await.ok();
    let line_id = town.open_lines(1, WISH).await[0];
    let wish = town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3));
    let order_code = Some(order["order_id"].as_str().unwrap().parse().unwrap());
    let bought = town.buy(vec![PurchaseRequest { order_code, ..wish }]).await;
    town.live_until("2026-01-27").await;
    town.refund(&bought[0], 30_000, "r-1").await;
    jobs::make_files(&town.app).await.unwrap();
}

/// The names of everything, as its owner lists it; a draft and a withdrawal are made first.
pub async fn names(town: &Town, funder: &Desk, merchant: &Desk) -> Names {
    let text = include_str!("../../products/standard.toml").to_owned() + "\n# next year\n";
    funder.post("/funder/product-drafts", "f-1", &json!({ "terms_text": text })).await.ok();
    let wanted = json!({ "amount_fen": 1_000, "reference": "W-1" });
    funder.post("/funder/reserve/withdrawals", "w-1", &wanted).await.ok();
    let mut names = Names::new();
    for (audience, list, field) in LISTS {
        let desk = if audience == "merchant" { merchant } else { funder };
        let listed = desk.get(list).await.ok();
        let found = listed["items"].as_array().unwrap().iter().map(|item| match &item[field] {
            Value::String(name) => name.clone(),
            Value::Number(number) => number.to_string(),
            other => panic!("{list} names its {field} {other}"),
        });
        names.entry((audience, field)).or_default().extend(found);
    }
    let told = "select message_no::text from outbox where partner like 'merchant:%' order by message_no";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_all(&town.app.pool).await.unwrap();
    names.insert(("merchant", "event_no"), told);
    // Of whichever product.
    names.insert(("funder", "version"), vec!["1".to_owned()]);
    names.insert(("funder", "name"), FileName::all().map(|name| name.to_string()).collect());
    for (what, found) in &names {
        assert!(!found.is_empty(), "there is nothing of {what:?}");
    }
    names
}
