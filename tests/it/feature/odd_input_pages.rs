//! Odd input in any form gets a clear page that keeps the input, and nothing is lost or done twice.

use fenqi::base::id::LoanId;
use fenqi::merchant::Role;
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::crawl::{crawl, fields, posts};
use crate::newcomer::open;
use crate::shopper::{PIN, Shopper};
use crate::till::Till;

/// What is kept of one field.
const KEPT: usize = 500;
/// Fields that are never sent back: whoever looks over a shoulder reads nothing there.
const SECRET: [&str; 8] =
    ["pin", "pin_former", "pin_new", "pin_again", "passcode", "card_code", "id_last", "account_number"];
/// Posts that end something, and are right without any input.
const ENDS: [&str; 8] = ["/sign-out", "/end", "/end-others", "/unlink-wechat", "/stop", "/again", "/wechat", "/choose"];

fn odd() -> Vec<String> {
    let long = |letter: &str, count: usize| letter.repeat(count);
    let short = [
        "0",
        "0.001",
        "1e9",
        "-5",
        "NaN",
        "abc",
        "😀💰",
        "<b>&\"'</b>",
        "\u{7}\u{202e}x",
        "'; drop table loan; --",
        "\0",
    ];
    let mut odd: Vec<String> = short.map(str::to_owned).to_vec();
    odd.extend([long("7", 10_240), long("长", 3_413), long("😀", 2_560)]);
    odd
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;");
    text.replace('"', "&#34;").replace('\'', "&#39;")
}

/// # Panics
/// If a hint or an error stands on the page that no field is described by: whoever listens to the page is not told it.
fn is_told(page: &Shown) {
    let values = |before: &'static str| page.text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
    let told: Vec<&str> = values("aria-describedby=\"").flat_map(str::split_whitespace).collect();
    for id in values("class=\"hint\" id=\"").chain(values("class=\"error\" id=\"")) {
        assert!(told.contains(&id), "{} has {id}, and fields are described by {told:?}", page.at);
    }
}

/// What was looked at.
#[derive(Default)]
struct Filled {
    answers: usize,
    /// Fields of refused forms that still hold what was typed.
    kept: usize,
}

/// Fills every form that these pages lead to with every odd thing.
async fn fill(browser: &mut Browser, from: &[&str]) -> Filled {
    let mut filled = Filled::default();
    for page in crawl(browser, from).await {
        is_told(&page);
        for (action, hidden) in posts(&page) {
            if ENDS.iter().any(|end| action.ends_with(end))
                || page.text.matches(&format!("action=\"{action}\"")).count() > 1
            {
                continue;
            }
            let fields = fields(&page, &action);
            for odd in odd() {
                let mut body = form_urlencoded::Serializer::new(String::new());
                body.extend_pairs(&hidden);
                body.extend_pairs(fields.iter().map(|(name, _)| (name, &odd)));
                let answer = browser.post(&action, body.finish()).await;
                let shown: String = odd.chars().take(20).collect();
                assert!(answer.status < 500, "{action} answers {} to {shown:?}", answer.status);
                assert!(!answer.text.contains("<b>&"), "{action} shows {shown:?} as it is");
                is_told(&answer);
                filled.answers += 1;
                if answer.status != 422 || !answer.text.contains(&format!("action=\"{action}\"")) {
                    continue;
                }
                let kept: String = odd.trim().chars().take(KEPT).collect();
                for (name, kind) in &fields {
                    let is_text = ["text", "tel", "search", ""].contains(&kind.as_str());
                    let form = answer.form(&action);
                    let has = form.contains(&format!("name=\"{name}\""));
                    let is_chosen = form.contains(&format!("<select class=\"weui-select\" id=\"{name}\""));
                    if is_text && has && !is_chosen && !SECRET.contains(&name.as_str()) {
                        let value = format!("value=\"{}\"", escaped(&kept));
                        assert!(form.contains(&value), "{action} does not keep {shown:?} in {name}:\n{form:.2000}");
                        filled.kept += 1;
                    }
                }
            }
        }
    }
    filled
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_borrowers_forms_take_anything_and_do_nothing_for_it(pool: PgPool) {
    let mut place = open(pool).await;
    assert!(fill(&mut place.browser, &["/sign-in"]).await.answers >= odd().len());
    place.settle().await;
    let filled = fill(&mut place.browser, &["/me", "/scan"]).await;
    assert!(filled.answers > 50 && filled.kept > 0, "{} of {}", filled.kept, filled.answers);
    let unchanged = "select (select count(*) from bank_card where status = 'bound') * 100
                            + (select count(*) from borrower where person_key_sealed is not null) * 10 + (select count(*) from pin)";
    let unchanged: i64 = sqlx::query_scalar(unchanged).fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(unchanged, 111);
}

/// A shopper with one loan, on the morning after its first statement.
async fn billed(pool: PgPool) -> Shopper {
    let mut shopper = Shopper::open(pool).await;
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 3));
    shopper.town.buy(vec![wish]).await;
    shopper.live_until("2026-03-06").await;
    shopper
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn forms_that_move_money_move_none_for_odd_input(pool: PgPool) {
    let mut shopper = billed(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    for odd in odd() {
        let typed: String = form_urlencoded::byte_serialize(odd.as_bytes()).collect();
        let page = shopper.browser.get(&format!("{code}?amount={typed}")).await;
        assert!(page.status == 422 || page.status == 431 || page.status == 414, "{} to {odd:.20}", page.status);
    }
    assert!(fill(&mut shopper.browser, &["/bills/pay", "/loans", &asking.at]).await.answers > 30);
    assert_eq!(shopper.loans().await, 1);
    assert_eq!(shopper.town.fen("select count(*) from withholding where purpose <> 'due'").await, 0);
    shopper.town.assert_whole("after odd input").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_odd_field_beside_the_right_pin_moves_no_money(pool: PgPool) {
    let mut shopper = billed(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let confirm = format!("{code}/confirm");
    let loan = "select loan_id from loan";
    let loan: LoanId = sqlx::query_scalar(loan).fetch_one(&shopper.town.app.pool).await.unwrap();
    let payoff = format!("/loans/{loan}/payoff");
    let quoted = shopper.browser.get(&payoff).await;
    let owed = shopper.browser.get("/bills/pay").await;
    let card = owed.field("card");
    let (pin, card) = (("pin", PIN), ("card", card.as_str()));
    let all = vec![("how", "all"), pin, card];
    // Each form as it is right, and the fields of it that say how much, for what, from where and whether again.
    let forms = [
        (&asking, confirm.as_str(), vec![pin], vec!["amount", "plan", "key", "schedule"]),
        (&owed, "/bills/pay", all.clone(), vec!["owed", "line", "card"]),
        (&owed, "/bills/pay", vec![("how", "part"), ("amount", "10"), pin, card], vec!["amount", "line", "card"]),
        (&quoted, payoff.as_str(), vec![pin, card], vec!["quoted", "card"]),
    ];
    for (page, action, right, names) in &forms {
        for name in names {
            for odd in odd() {
                let others = right.iter().copied().filter(|(other, _)| other != name);
                let fields: Vec<(&str, &str)> = others.chain([(*name, odd.as_str())]).collect();
                let answer = shopper.browser.submit(page, action, &fields).await;
                let shown: String = odd.chars().take(20).collect();
                assert!(answer.status < 500, "{action} answers {} to {shown:?} in {name}", answer.status);
                let orders = shopper.town.fen("select count(*) from withholding where purpose <> 'due'").await;
                assert_eq!((shopper.loans().await, orders), (1, 0), "{action} takes {shown:?} in {name}");
            }
        }
    }
    // Nothing else stood in the way.
    shopper.browser.submit(&asking, &confirm, &[pin]).await.shows("Paid");
    shopper.browser.submit(&owed, "/bills/pay", &all).await.shows("Going to the bank");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchants_forms_take_anything_and_do_nothing_for_it(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, ("harbour-standard", 12)).await;
    till.live_until("2026-03-04").await;
    let from = ["/m", "/m/more", "/m/purchases", "/m/settlements", "/m/staff", "/m/orders/new"];
    let filled = fill(&mut till.browser, &from).await;
    assert!(filled.answers > 30 && filled.kept > 0, "{} of {}", filled.kept, filled.answers);
    till.sign_in(crate::till::CASHIER, Role::Cashier).await;
    assert!(fill(&mut till.browser, &["/m"]).await.answers >= odd().len());
    let count = |query: &'static str| till.town.fen(query);
    assert_eq!(count("select count(*) from refund").await, 0);
    assert_eq!(count("select count(*) from hand_order").await, 0);
    assert_eq!(count("select count(*) from merchant_staff where removed_at is null").await, 2);
    till.town.assert_whole("after odd input").await;
}
