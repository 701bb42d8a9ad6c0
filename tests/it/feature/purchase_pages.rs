//! Scan to pay on the pages: amounts, plans, the PIN and results, and everything that may go wrong at a counter.

use fenqi::base::Fen;
use fenqi::base::id::ProductId;
use fenqi::borrower::card_actions;
use fenqi::funder::actions::BankMovement;
use fenqi::merchant::actions::Judgement;
use fenqi::merchant::{self, MerchantRefusal};
use fenqi::purchase::weighing::RiskWord;
use fenqi::purchase::{Authoriser, Decision, PurchaseRefusal};
use sqlx::PgPool;

use crate::house;
use crate::shopper::{PIN, Shopper, sign_in};
use crate::town::{self, LineWish, Town, refused};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_printed_code_is_paid_in_installments(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let keypad = shopper.browser.get(&code).await;
    keypad.has_status(200).shows("上海老王家居有限公司").shows("¥10,000.00 available").shows("See plans");
    let plans = shopper.browser.get(&format!("{code}?amount=1200")).await;
    // Interest-free and subsidised plans come first and say who pays.
    plans.shows("No interest").shows("The merchant pays the interest").shows("The merchant pays part of the interest");
    plans.shows("a year (simple)").shows("(compound, IRR)").hides("handling fee");
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    asking.shows("¥1,200.00").shows("Annual rate (simple)").shows("8.6%").shows("balance ¥1,200.00 × 8.6% a year ÷ 12");
    asking.shows("payment: ¥1,200.00 × 8.6% a year ÷ 12 ÷ (1 − (1 + 8.6% ÷ 12)^−12) = ¥104.72");
    asking.shows("Contract rate a year").shows("8.6%; a twelfth of it each period");
    // When, and from which card, stands beside how much; what is agreed to is read before the PIN is entered.
    asking.shows("Repaid from the card").shows("ending in 0128");
    let order =
        ["Each payment", "First payment due", "Interest in all", "This is a loan", "name=\"pin\"", "Pay ¥1,200.00"];
    let places = order.map(|words| asking.text.find(words).unwrap_or_else(|| panic!("the page does not show {words}")));
    assert!(places.is_sorted(), "{places:?}");
    let action = format!("{code}/confirm");
    let result = shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await;
    result.shows("Paid").shows("¥1,200.00").shows("12 payments").shows("25 March 2026");
    assert!(result.at.starts_with("/purchases/pur_"), "{}", result.at);
    // The result is there whenever it is asked for.
    let again = shopper.browser.get(&result.at).await;
    again.shows("Paid");
    // The same form sent again, and the way back to it, lead to the same purchase.
    assert_eq!(shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await.at, result.at);
    assert_eq!(shopper.browser.get(&asking.at).await.at, result.at);
    assert_eq!(shopper.loans().await, 1);
    shopper.town.assert_whole("after a purchase by the pages").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_first_payment_of_a_purchase_is_what_refunds_have_left_of_it(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let plan = ("harbour-standard", 12);
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, plan);
    let receipt = shopper.town.buy(vec![wish]).await.remove(0);
    let address = format!("/purchases/{}", receipt.purchase_id);
    shopper.browser.get(&address).await.shows("First payment").shows("¥104.72");
    shopper.live_until("2026-03-03").await;
    shopper.town.refund(&receipt, 60_000, "R-1").await;
    let first = "select principal_fen[1] + interest_fen[1] + fee_fen[1] from schedule where version = 2";
    let first = format!("¥{}", Fen::new(shopper.town.fen(first).await));
    shopper.browser.get(&address).await.shows("First payment").shows(&first).hides("¥104.72");
    // Once it is billed, its interest stands.
    shopper.live_until("2026-03-06").await;
    shopper.browser.get(&address).await.shows(&first);
    shopper.town.refund(&receipt, 60_000, "R-2").await;
    let interest = format!("¥{}", Fen::new(shopper.town.fen("select interest_fen from bill_line").await));
    shopper.browser.get(&address).await.shows("First payment").shows(&interest).hides(&first);
    let wish = shopper.town.wish(shopper.line_id, "K-2", 60_000, plan);
    let receipt = shopper.town.buy(vec![wish]).await.remove(0);
    shopper.live_until("2026-03-07").await;
    shopper.town.refund(&receipt, 60_000, "R-3").await;
    let nothing_left = shopper.browser.get(&format!("/purchases/{}", receipt.purchase_id)).await;
    nothing_left.shows("was refunded on 7 March 2026").hides("First payment").hides("25 April 2026");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn amounts_that_are_none_are_refused_beside_the_field_and_kept(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let long = "7".repeat(10_000);
    let cases = [
        ("0", "The amount must be more than 0"),
        ("0.001", "at most two decimals"),
        ("1e9", "digits and a point only"),
        ("1000000000", "too large"),
        ("abc", "digits and a point only"),
        ("%F0%9F%92%B0", "digits and a point only"),
        (long.as_str(), "too large"),
        ("", "Please fill this in"),
        ("5", "too small for installments"),
        ("60000", "more than one purchase may be"),
        ("20000", "more than you have available"),
    ];
    for (typed, words) in cases {
        let page = shopper.browser.get(&format!("{code}?amount={typed}")).await;
        page.has_status(422);
        assert!(page.text.to_lowercase().contains(&words.to_lowercase()), "{typed:.20}: {words}\n{}", page.text);
        page.shows("amount-error\" aria-invalid=\"true\"").shows("<p class=\"error\" id=\"amount-error\"");
    }
    shopper.browser.get(&format!("{code}?amount=1e9")).await.shows("value=\"1e9\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_least_and_the_greatest_purchase_are_named_before_and_when_an_amount_is_refused(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    shopper.browser.get(&code).await.shows("One purchase: ¥10.00 to ¥50,000.00");
    shopper.browser.get(&format!("{code}?amount=5")).await.shows("which begin at ¥10.00");
    shopper.browser.get(&format!("{code}?amount=60000")).await.shows("which is ¥50,000.00");
    for (fen, words) in [(500, "which begin at ¥10.00"), (6_000_000, "which is ¥50,000.00")] {
        let reference = format!("B-{fen}");
        let order = shopper.order(88_000, &reference).await;
        // No order is opened for what is not sold; one may be left that was, when other terms were on sale.
        let left = sqlx::query("update merchant_code set amount_fen = $1 where order_reference = $2");
        left.bind(fen).bind(reference).execute(&shopper.town.app.pool).await.unwrap();
        shopper.browser.get(&order).await.has_status(409).shows(words);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_result_of_a_purchase_out_of_bounds_names_the_bound(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let authoriser = Authoriser::start(shopper.town.app.clone());
    let cases = [
        (500, "which begin at ¥10.00. Raise it", "分期付款的起点 ¥10.00。"),
        (6_000_000, "which is ¥50,000.00. Lower it", "单笔上限 ¥50,000.00。"),
    ];
    for (fen, english, chinese) in cases {
        let wish = shopper.town.wish(shopper.line_id, &format!("K-{fen}"), fen, ("harbour-standard", 12));
        let receipt = authoriser.authorise(wish).await.unwrap();
        let result = shopper.browser.get(&format!("/purchases/{}?lang=en", receipt.purchase_id)).await;
        result.has_status(200).shows("Not paid").shows(english).shows("You owe nothing for this");
        shopper.browser.get(&format!("/purchases/{}?lang=zh-CN", receipt.purchase_id)).await.shows(chinese);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_keypad_types_without_a_script(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let page = shopper.browser.get(&format!("{code}?amount=12&press=.")).await;
    page.has_status(200).shows("value=\"12.\"");
    shopper.browser.get(&format!("{code}?amount=12.&press=5")).await.shows("value=\"12.5\"");
    shopper.browser.get(&format!("{code}?amount=12.5&press=back")).await.shows("value=\"12.\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_is_paid_once_and_until_it_expires(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.order(88_000, "A-1").await;
    let plans = shopper.browser.get(&code).await;
    plans.shows("¥880.00").shows("Please pay before").hides("See plans");
    let (one, other) =
        (shopper.ask(&code, "", "harbour-standard", 6).await, shopper.ask(&code, "", "harbour-standard", 3).await);
    let action = format!("{code}/confirm");
    let paid = shopper.browser.submit(&one, &action, &[("pin", PIN)]).await;
    paid.shows("Paid");
    // A second tab confirms another plan of the same order: it sees what was bought.
    assert_eq!(shopper.browser.submit(&other, &action, &[("pin", PIN)]).await.at, paid.at);
    assert_eq!(shopper.browser.get(&code).await.at, paid.at);
    assert_eq!(shopper.loans().await, 1);
    // Nobody else sees it, nor whose it is.
    let wish = crate::town::LineWish { limit_fen: 100_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let line_id = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let stranger = crate::shopper::owner(&shopper.town, line_id).await;
    let mut elsewhere = crate::browser::Browser::at(&shopper.browser.address);
    sign_in(&mut elsewhere, &shopper.town.app, stranger).await;
    elsewhere.get(&code).await.has_status(409).shows("has been paid already").hides("pur_");
    elsewhere.get(&paid.at).await.has_status(404);

    let late = shopper.order(5_000, "A-2").await;
    let asking = shopper.ask(&late, "", "harbour-standard", 3).await;
    shopper.town.app.clock.set(shopper.town.app.clock.now() + chrono::TimeDelta::minutes(11));
    shopper.browser.submit(&asking, &format!("{late}/confirm"), &[("pin", PIN)]).await.has_status(409).shows("expired");
    shopper.browser.get(&late).await.has_status(409).shows("expired");
    assert_eq!(shopper.loans().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn codes_that_are_none_and_shops_that_are_closed_say_so(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    for wrong in ["/q/nothing", "/q/zzzzzzzzzzzzzzzzzzzzzz", "/q/0000000000000000000000", "/q/%F0%9F%92%B0"] {
        shopper.browser.get(wrong).await.has_status(404).shows("Cannot be paid now").shows("Scan again");
    }
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let suspend = Judgement {
        merchant_id: shopper.town.merchant_id,
        decision: merchant::Decision::Suspend,
        decided_by: "operator:li".into(),
        reason: "complaints".into(),
    };
    let _ = merchant::decide(&shopper.town.app, &suspend).await.unwrap();
    shopper.browser.get(&code).await.has_status(409).shows("上海老王家居有限公司");
    let refused = shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await;
    refused.has_status(409).shows("Cannot be paid now");
    assert_eq!(shopper.loans().await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_wrong_pin_buys_nothing_and_a_missing_one_leads_to_setting_it(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let wrong = shopper.browser.submit(&asking, &action, &[("pin", "161803")]).await;
    wrong.has_status(422).shows("PIN").shows("id=\"pin-error\"").shows("/me/pin/forgotten").hides("161803");
    shopper.browser.submit(&asking, &action, &[("pin", "")]).await.has_status(422).shows("pin-error");
    assert_eq!(shopper.loans().await, 0);
    // The refused page is a form again, with the same key.
    shopper.browser.submit(&wrong, &action, &[("pin", PIN)]).await.shows("Paid");
    sqlx::query("delete from pin").execute(&shopper.town.app.pool).await.unwrap();
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    asking.shows(&format!("/me/pin?next={code}")).hides("name=\"pin\"");
    let unset = shopper.browser.submit(&asking, &action, &[]).await;
    unset.has_status(422).shows(&format!("/me/pin?next={code}"));
    assert_eq!(shopper.loans().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_has_no_card_that_can_be_charged_binds_one_first_and_comes_back_to_the_same_purchase(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let app = shopper.town.app.clone();
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    let words = "Bind a bank card first";
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    asking.shows("name=\"pin\"").hides(words);
    // Nothing is owed, so that the only card can be unbound while the page stands open.
    let card_id = card_actions::cards(&app, shopper.borrower_id).await.unwrap()[0].card_id;
    card_actions::unbind(&app, shopper.borrower_id, card_id).await.unwrap();
    let late = shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await;
    late.has_status(422).shows("There is no card that can be charged").shows("/me/cards/new?next=");
    let without = shopper.browser.get(&asking.at).await;
    without.has_status(200).shows(words).shows("¥100.00").hides("name=\"pin\"");
    assert_eq!(shopper.town.fen("select count(*) from purchase").await, 0, "the key is still free");
    // Whatever asks past the page is refused for good, and its result leads to the cards as well.
    let wish = shopper.town.wish(shopper.line_id, "K-1", 10_000, ("harbour-standard", 3));
    let receipt = Authoriser::start(app.clone()).authorise(wish).await.unwrap();
    assert_eq!(receipt.decision, Decision::Refused(PurchaseRefusal::NoCard));
    let result = shopper.browser.get(&format!("/purchases/{}", receipt.purchase_id)).await;
    result.shows("Not paid").shows(&format!("href=\"/me/cards/new?next={code}\""));

    let new = shopper.browser.get(&without.link("/me/cards/new")).await;
    let fields = [("card_number", "6217000000000014"), ("card_mobile", "13800138000"), ("agree_withholding", "yes")];
    let sent = shopper.browser.submit(&new, "/me/cards/new", &fields).await;
    let bound = shopper.browser.submit(&sent, "/me/cards/code", &[("card_code", "138000"), ("do", "confirm")]).await;
    bound.is_at(&action).shows("The card is bound").shows("¥100.00").shows("name=\"pin\"");
    for name in ["key", "plan", "amount"] {
        assert_eq!(bound.field_of(&action, name), asking.field_of(&action, name), "{name}");
    }
    shopper.browser.submit(&bound, &action, &[("pin", PIN)]).await.shows("Paid");
    assert_eq!(shopper.loans().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_older_than_the_terms_shows_the_new_ones_and_buys_nothing(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    let dearer = include_str!("../../../products/standard.toml").replace("A = 0.086", "A = 0.096");
    fenqi::product::publish(&shopper.town.app, &dearer).await.unwrap();
    let action = format!("{code}/confirm");
    let stale = shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await;
    stale.has_status(409).shows("have just changed").shows("Choose a plan").shows("9.6%");
    // What was chosen is chosen still, under the new terms, and what has become of it is said.
    let product = shopper.town.product("harbour-standard").product_id;
    stale.shows("Your 12 payments were ¥104.72 each at 8.6% a year").shows("each at 9.6% now");
    stale.shows(&format!("value=\"{product}.2.12\" required checked")).shows("name=\"amount\" value=\"1200.00\"");
    shopper.browser.get(&asking.at).await.has_status(409).shows("have just changed");
    assert_eq!(shopper.loans().await, 0);
    // A version that never was is no reason to fall over.
    let forged = asking.at.replace(&format!("{product}.1."), &format!("{product}.77."));
    shopper.browser.get(&forged).await.has_status(409).shows("have just changed").hides("each at 8.6%");
    // Where the plan is gone, that is said.
    let fewer = dearer.replace("11, 12, 13", "11, 13");
    fenqi::product::publish(&shopper.town.app, &fewer).await.unwrap();
    shopper.browser.get(&asking.at).await.has_status(409).shows("Your plan of 12 payments is no longer sold");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_plan_that_is_withdrawn_says_so_and_so_does_a_counter_with_none_left(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    let order = shopper.order(88_000, "W-1").await;
    fenqi::product::withdraw(&shopper.town.app, "harbour-standard", 1).await.unwrap();
    let gone = shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await;
    gone.has_status(409).shows("Your plan of 12 payments is no longer sold").shows("Choose a plan");
    gone.shows("name=\"amount\" value=\"1200.00\"").hides("name=\"pin\"");
    shopper.browser.get(&asking.at).await.has_status(409).shows("Your plan of 12 payments is no longer sold");
    for other in ["harbour-free", "harbour-shared-fee"] {
        fenqi::product::withdraw(&shopper.town.app, other, 1).await.unwrap();
    }
    let words = "not available at the moment. Try again later";
    let typed = shopper.browser.get(&format!("{code}?amount=1200")).await;
    typed.has_status(422).shows(words).shows("value=\"1200.00\"");
    for path in [asking.at.as_str(), order.as_str(), code.as_str()] {
        let closed = shopper.browser.get(path).await;
        closed.has_status(409).shows(words).shows("Cannot be paid now").hides("merchant does not");
    }
    shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await.has_status(409).shows(words);
    shopper.browser.get(&format!("{}&lang=zh-CN", asking.at)).await.has_status(409).shows("目前不开放。请稍后再试");
    assert_eq!(shopper.loans().await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_schedule_that_a_new_day_has_changed_is_shown_again_and_not_agreed_to(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    shopper.live_until("2026-03-04").await;
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    // Before the statement day the first payment falls due in the same month, from that day on in the next one.
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    asking.shows("25 March 2026");
    shopper.live_until("2026-03-05").await;
    let changed = shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await;
    changed.has_status(422).shows("due days or amounts of this plan have changed").hides("25 March 2026");
    changed.shows("25 April 2026");
    assert_eq!(shopper.loans().await, 0);
    shopper.browser.submit(&changed, &action, &[("pin", PIN)]).await.shows("Paid").shows("25 April 2026");
    assert_eq!(shopper.loans().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_goes_on_without_a_plan_is_shown_them_again_for_the_same_amount(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    for plan in ["", "x"] {
        let plans = shopper.browser.get(&format!("{code}/confirm?amount=1200&plan={plan}")).await;
        plans.is_at(&code).shows("Choose a plan").shows("name=\"amount\" value=\"1200.00\"");
    }
    let refused = shopper.browser.get(&format!("{code}/confirm?amount=1e9&plan=")).await;
    refused.has_status(422).shows("id=\"amount-error\"").shows("value=\"1e9\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_paid_all_at_once_is_never_called_one_payments(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let text = include_str!("../../../products/pay-next-bill.toml");
    let product = fenqi::product::publish(&shopper.town.app, text).await.unwrap().product_id;
    let plan = |version: i32| format!("{code}/confirm?amount=100&plan={product}.{version}.1");
    let asking = shopper.browser.get(&plan(1)).await;
    asking.has_status(200).shows("All at once with the next bill");
    shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await.shows("Paid");
    let loans = shopper.browser.get("/loans").await;
    let loan = loans.shows("All at once with the next bill").hides("1 payments").text.split("href=\"/loans/").nth(1);
    let loan = loan.unwrap().split('"').next().unwrap().to_owned();
    let agreement = shopper.browser.get(&format!("/loans/{loan}/agreement")).await;
    agreement.shows("All at once with the next bill").hides("1 payments");
    fenqi::product::publish(&shopper.town.app, &format!("{text}\n# Anew.\n")).await.unwrap();
    let changed = shopper.browser.get(&plan(1)).await;
    changed.has_status(409).shows("To pay all at once was ¥100.00 at").hides("Your 1 payments");
    fenqi::product::withdraw(&shopper.town.app, "harbour-next-bill", 2).await.unwrap();
    shopper.browser.get(&plan(2)).await.has_status(409).shows("Your plan to pay all at once is no longer sold");
    let chinese = shopper.browser.get(&format!("{}&lang=zh-CN", plan(2))).await;
    chinese.has_status(409).shows("您选的一次付清方案不再提供");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refused_purchase_says_why_and_is_tried_again_under_another_key(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=9000", "harbour-standard", 12).await;
    // The reserve runs dry between the page and the confirmation.
    let all =
        BankMovement { funder_id: shopper.town.funder_id, amount: Fen::new(10_000_000_000), reference: "W-1".into() };
    let _ = fenqi::funder::withdraw(&shopper.town.app, all).await.unwrap();
    let refused = shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await;
    refused.shows("Not paid").shows("You owe nothing for this").shows(&format!("href=\"{code}\""));
    let again = shopper.browser.get(&asking.at).await;
    again.is_at(&format!("{code}/confirm"));
    assert_ne!(again.field("key"), asking.field("key"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_plan_than_the_one_that_risk_was_asked_about_is_bought_under_another_key(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let rules = "[purchase_risk]\nask = \"rules\"\namount_per_day_max_fen = 200000\n";
    let text = format!("{}\n{rules}", include_str!("../../../products/standard.toml"));
    fenqi::product::publish(&shopper.town.app, &text).await.unwrap();
    shopper.town = town::find(shopper.town.app.clone()).await;
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    // As it is left where the business day ends, or a batch fails, between the answer and the decision.
    let wish = shopper.town.wish(shopper.line_id, &asking.field("key"), 120_000, ("harbour-standard", 12));
    let weighed = fenqi::purchase::risk_actions::weigh(&shopper.town.app, wish).await.unwrap();
    assert_eq!(weighed.word, RiskWord::Allowed);
    let product = shopper.town.product("harbour-standard");
    let other = format!("{}.{}.6", product.product_id, product.version);
    let other = format!("{action}?key={}&amount=1200&plan={other}", asking.field("key"));
    let other = shopper.browser.get(&other).await;
    assert_eq!(other.field("key"), asking.field("key"));
    let refused = shopper.browser.submit(&other, &action, &[("pin", PIN)]).await;
    refused.has_status(422).shows("check amount and plan and enter your PIN again");
    assert_ne!(refused.field("key"), asking.field("key"));
    assert_eq!(shopper.loans().await, 0);
    shopper.browser.submit(&refused, &action, &[("pin", PIN)]).await.shows("Paid").shows("6 payments");
    assert_eq!(shopper.loans().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn other_apps_are_told_what_to_do_without_signing_in(pool: PgPool) {
    let shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let open_code = async |code: &str, agent: &str| {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let request = client.get(format!("{}{code}", shopper.browser.address)).header("accept-language", "en");
        let answer = request.header("user-agent", agent).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let open = async |agent: &str| open_code(&code, agent).await;
    let alipay = "Mozilla/5.0 (iPhone) AppleWebKit/605 Mobile/15E148 AliApp(AP/10.6) AlipayClient/10.6";
    // A code that nobody can pay is not carried from app to app.
    let order = shopper.order(5_000, "E-1").await;
    assert!(open_code(&order, alipay).await.1.contains("Please do not pay in Alipay"));
    shopper.town.app.clock.set(shopper.town.app.clock.now() + chrono::TimeDelta::minutes(11));
    let (status, text) = open_code(&order, alipay).await;
    assert!(status == 409 && text.contains("This order has expired") && !text.contains("in Alipay"), "{text}");
    let (status, text) = open(alipay).await;
    assert!(status == 200 && text.contains("Please do not pay in Alipay") && text.contains(&code), "{text}");
    assert!(!text.contains("Open the merchant"));
    let merchant_id = shopper.town.merchant_id;
    let app = &shopper.town.app;
    merchant::set_other_link(app, merchant_id, Some("https://pay.example.cn/shop")).await.unwrap();
    assert!(open(alipay).await.1.contains("href=\"https://pay.example.cn/shop\""));
    let in_clear = merchant::set_other_link(app, merchant_id, Some("http://pay.example.cn")).await;
    assert_eq!(refused(in_clear), MerchantRefusal::LinkMalformed);
    // A browser signs in first and comes back.
    assert_eq!(open("Mozilla/5.0 Chrome/130.0").await.0, 303);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_camera_read_leads_to_the_counter_if_it_is_ours(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let page = shopper.browser.get("/scan").await;
    page.shows("Open the camera").shows("<noscript>");
    shopper.browser.submit(&page, "/scan", &[("scanned", &format!("https://x.cn{code}"))]).await.is_at(&code);
    let long = "x".repeat(10_000);
    for wrong in ["https://evil.example/", "💰", long.as_str()] {
        let refused = shopper.browser.submit(&page, "/scan", &[("scanned", wrong)]).await;
        refused.has_status(422).shows("not a code of one of our merchants");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn many_taps_at_once_buy_once(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let hidden = ["csrf", "key", "plan", "amount", "schedule"].map(|name| format!("{name}={}", asking.field(name)));
    let body = format!("{}&pin={PIN}", hidden.join("&"));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let cookie = format!("fenqi={}", shopper.browser.cookies["fenqi"]);
    let address = format!("{}{code}/confirm", shopper.browser.address);
    let taps = (0..8).map(|_| {
        let request = client.post(&address).header("cookie", &cookie).body(body.clone());
        request.header("content-type", "application/x-www-form-urlencoded").send()
    });
    let mut places = std::collections::BTreeSet::new();
    for answer in futures_util::future::join_all(taps).await {
        let answer = answer.unwrap();
        assert!(!answer.status().is_server_error(), "{}", answer.status());
        if let Some(place) = answer.headers().get("location") {
            places.insert(place.to_str().unwrap().to_owned());
        }
    }
    assert_eq!((places.len(), shopper.loans().await), (1, 1), "{places:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_of_two_lines_pays_for_a_visit_though_it_takes_its_time(pool: PgPool) {
    let house = house::open(pool.clone(), "2026-03-02").await;
    let mut shopper = Shopper::in_town(house::with_connections(&house, 16).await).await;
    let app = shopper.town.app.clone();
    let river = fenqi::funder::open_funder(&app, "river-bank", "River Bank").await.unwrap();
    fenqi::product::publish(&app, include_str!("../../scenarios/river-standard.toml")).await.unwrap();
    Town { funder_id: river, ..shopper.town.clone() }.deposit(10_000_000, "D-2").await;
    let wish = LineWish { limit_fen: 500_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let second = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let another = sqlx::query("update credit_line set borrower_id = $1, funder_id = $2 where line_id = $3");
    another.bind(shopper.borrower_id).bind(river).bind(second).execute(&pool).await.unwrap();
    let product: ProductId = sqlx::query_scalar("select product_id from product where code = 'river-standard'")
        .fetch_one(&pool)
        .await
        .unwrap();
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    let other = format!("{action}?key={}&amount=1200&plan={product}.1.12", asking.field("key"));
    let other = shopper.browser.get(&other).await;
    other.shows("name=\"pin\"").shows("River Bank");

    // The first plan is confirmed while somebody holds its line; then the way back leads to a plan of the other line.
    let mut holding = fenqi::database::begin(&pool).await.unwrap();
    let hold = sqlx::query("select from credit_line where line_id = $1 for update").bind(shopper.line_id);
    hold.execute(&mut *holding).await.unwrap();
    let hidden = ["csrf", "key", "plan", "amount", "schedule"].map(|name| format!("{name}={}", asking.field(name)));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let first = client
        .post(format!("{}{action}", shopper.browser.address))
        .header("cookie", format!("fenqi={}", shopper.browser.cookies["fenqi"]))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("{}&pin={PIN}", hidden.join("&")));
    let first = tokio::spawn(first.send());
    house::until_somebody_waits(&pool).await;
    let refused = shopper.browser.submit(&other, &action, &[("pin", PIN)]).await;
    refused.shows("This page was used for another payment already");
    assert_eq!(shopper.loans().await, 0);
    holding.rollback().await.unwrap();
    let paid = first.await.unwrap().unwrap();
    assert!(paid.headers().contains_key("location"), "{}", paid.status());
    assert_eq!(shopper.loans().await, 1);
    // Whoever means both gives the PIN once more, on the page that says so.
    shopper.browser.submit(&refused, &action, &[("pin", PIN)]).await.shows("Paid");
    assert_eq!(shopper.loans().await, 2);
    app.pool.close().await;
}
