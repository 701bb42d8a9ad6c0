//! Bills, loans and repayments on the pages: what is owed and why, payment in whole and in part, and what a pending payment shows.

use std::collections::BTreeSet;
use std::sync::Arc;

use fenqi::base::Fen;
use fenqi::base::id::{CardId, LineId, LoanId, WithholdingId};
use fenqi::credit::closing_actions;
use fenqi::repayment::{self, Transfer};
use fenqi::sandbox::{Fault, Scripted, World};
use sqlx::PgPool;

use super::house_command::Program;
use crate::browser::{Browser, Shown};
use crate::house;
use crate::reckoning;
use crate::shopper::{PIN, Shopper, owner, sign_in};
use crate::town::LineWish;

/// A shopper with one loan of ¥1,200 in 12 periods, on the morning after its first statement.
pub(super) async fn billed(pool: PgPool) -> (Shopper, Arc<World>, String) {
    let (mut shopper, world) = Shopper::open_in_world(pool).await;
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 12));
    let receipts = shopper.town.buy(vec![wish]).await;
    let fenqi::purchase::Decision::Authorised { loan_id } = receipts[0].decision else { panic!("{receipts:?}") };
    shopper.live_until("2026-03-06").await;
    (shopper, world, loan_id.to_string())
}

/// Fills in a form that pays: the card that it offers first, the PIN, and these.
pub(super) async fn submit(shopper: &mut Shopper, page: &Shown, action: &str, fields: &[(&str, &str)]) -> Shown {
    let card = page.field("card");
    let mut filled = vec![("card", card.as_str()), ("pin", PIN)];
    filled.extend_from_slice(fields);
    shopper.browser.submit(page, action, &filled).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bill_shows_its_installments_and_where_each_number_comes_from(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    let bills = shopper.browser.get("/bills").await;
    bills.shows("Owed now").shows("25 March 2026").shows("1 installment").shows("Pay now");
    let bill = shopper.browser.get("/bills/2026-03-25").await;
    bill.shows("上海老王家居有限公司").shows("Payment 1 of 12").shows("¥8.60");
    let why = shopper.browser.get(&format!("/loans/{loan}/periods/1")).await;
    why.shows("balance ¥1,200.00 × 8.6% a year ÷ 12 = ¥8.60").shows("version 1").shows("Ledger entries");
    why.shows("Debit reserve, available, credit reserve, held")
        .shows("Debit loan principal, credit funding in transit");
    shopper.browser.get(&format!("/loans/{loan}/periods/13")).await.has_status(404);
    shopper.browser.get("/bills/2026-04-25").await.has_status(404);
    shopper.browser.get("/bills/never").await.has_status(404);
    let loans = shopper.browser.get("/loans").await;
    loans.shows(&loan).shows("Being repaid");
    let shown = shopper.browser.get(&format!("/loans/{loan}")).await;
    shown.shows("To pay").shows("Not billed yet").shows("Pay off early").shows("25 February 2027");
    let agreement = shopper.browser.get(&format!("/loans/{loan}/agreement")).await;
    agreement
        .shows("8.6%; a twelfth of it each period")
        .shows("1.3 times the contract rate")
        .shows("3 days")
        .shows("interest to the day of the payoff");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_owed_on_a_bill_is_told_however_many_are_later(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    let later =
        "insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status, paid_on)
                 select line_id, due_on + n, due_on + n, 100, 0, 0, 'paid', due_on + n
                 from bill cross join generate_series(1, 130) as n";
    sqlx::query(later).execute(&shopper.town.app.pool).await.unwrap();
    shopper.browser.get("/bills").await.shows("Pay now").shows("¥104.72").shows("/bills/2026-03-25");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_next_bill_is_foretold_for_the_statement_that_asks_for_something(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    shopper.live_until("2026-03-05").await;
    shopper.browser.get("/bills").await.shows("Nothing is owed now").hides("The next bill comes");
    // Bought on the day of a statement, which has nothing of it.
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 12));
    shopper.town.buy(vec![wish]).await;
    shopper.browser.get("/bills").await.shows("The next bill comes on 5 April 2026");
    shopper.live_until("2026-03-06").await;
    shopper.browser.get("/bills").await.shows("The next bill comes on 5 April 2026");
    shopper.live_until("2026-04-05").await;
    shopper.browser.get("/bills").await.shows("The next bill comes on 5 April 2026");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bill_of_the_past_shows_what_was_paid_and_not_what_a_refund_took_off(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let plan = ("harbour-standard", 12);
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, plan);
    let receipt = shopper.town.buy(vec![wish]).await.remove(0);
    shopper.live_until("2026-03-06").await;
    shopper.town.refund(&receipt, 120_000, "R-1").await;
    // The interest that was billed stands.
    let page = shopper.browser.get("/bills/pay").await;
    submit(&mut shopper, page.shows("All of it, ¥8.60"), "/bills/pay", &[("how", "all")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    let bills = shopper.browser.get("/bills").await;
    bills.shows("Paid on 6 March 2026").shows("¥8.60").hides("¥104.72");
    // Where nothing was paid of it at all, it is not said to be.
    let taken_off = "update bill_line set interest_paid_fen = 0, interest_returned_fen = interest_fen";
    sqlx::query(taken_off).execute(&shopper.town.app.pool).await.unwrap();
    for path in ["/bills", "/bills/2026-03-25"] {
        shopper.browser.get(path).await.shows("Nothing to pay").hides("Paid on").hides(">Paid</span>");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_by_the_button_is_there_with_the_job_that_sends_it_or_not_at_all(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool.clone()).await;
    let page = shopper.browser.get("/bills/pay").await;
    let mut held_up = fenqi::database::begin(&pool).await.unwrap();
    sqlx::raw_sql("lock table job in exclusive mode").execute(&mut *held_up).await.unwrap();
    let orders = async || -> i64 {
        let ordered = "select count(*) from withholding where purpose = 'button'";
        sqlx::query_scalar(ordered).fetch_one(&pool).await.unwrap()
    };
    let all = [("how", "all")];
    let (shown, ()) = tokio::join!(submit(&mut shopper, &page, "/bills/pay", &all), async {
        house::until_somebody_waits(&pool).await;
        assert_eq!(orders().await, 0, "whoever hangs up now leaves nothing half done");
        held_up.commit().await.unwrap();
    });
    shown.shows("Going to the bank");
    assert_eq!(orders().await, 1);
    assert_eq!(shopper.town.fen("select count(*) from job where kind = 'withhold'").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_part_is_paid_and_then_the_rest(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    let page = shopper.browser.get("/bills/pay").await;
    page.has_status(200).shows("All of it").shows("ending in 0128");
    for (typed, words) in
        [("0", "more than 0"), ("0.001", "two decimals"), ("x", "digits"), ("5000", "more than is owed")]
    {
        let refused = submit(&mut shopper, &page, "/bills/pay", &[("how", "part"), ("amount", typed)]).await;
        refused.has_status(422).shows(words).shows(&format!("value=\"{typed}\"")).shows("id=\"amount-error\"");
    }
    // All of what a page showed that is older than what is owed now: there is nothing to lower, but another sum to look at.
    let stale = submit(&mut shopper, &page, "/bills/pay", &[("how", "all"), ("owed", "20000")]).await;
    stale.has_status(422).shows("The amount has just changed").shows("All of it, ¥104.72").hides("Lower the amount");
    // An amount beside the choice of all, as where an old browser shows the field all the time, is not overridden by it.
    let both = submit(&mut shopper, &page, "/bills/pay", &[("how", "all"), ("amount", "50")]).await;
    both.has_status(422).shows("Nothing was charged").shows("value=\"50\"").shows("value=\"part\" checked");
    let other = shopper.browser.get("/bills/pay").await;
    let ordered = submit(&mut shopper, &page, "/bills/pay", &[("how", "part"), ("amount", "50")]).await;
    ordered.shows("Going to the bank").shows("¥50.00").shows("http-equiv=\"refresh\"");
    assert!(ordered.at.starts_with("/repayments/"), "{}", ordered.at);
    // The same form again is the same order; another one waits until this is known.
    let again = submit(&mut shopper, &page, "/bills/pay", &[("how", "part"), ("amount", "50")]).await;
    assert_eq!(again.at, ordered.at);
    // With another amount it is another wish, and must not pass for the first.
    let changed = submit(&mut shopper, &page, "/bills/pay", &[("how", "part"), ("amount", "40")]).await;
    changed.has_status(422).shows("Something else was already sent from this page");
    shopper.browser.get("/bills/pay").await.shows("is being collected").hides("name=\"pin\"");
    let refused = submit(&mut shopper, &other, "/bills/pay", &[("how", "all")]).await;
    refused.has_status(422).shows("is being collected").hides("name=\"pin\"");
    assert_eq!(shopper.town.fen("select count(*) from job where kind = 'withhold'").await, 1);
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    // Only the principal in it is used no more; whether that can be spent again, the line says.
    let paid = shopper.browser.get(&ordered.at).await;
    paid.shows("Paid").shows("¥50.00").hides("http-equiv").shows("The principal in it no longer counts as used");
    shopper.browser.get("/bills/2026-03-25").await.shows("Paid").shows("Left");
    let page = shopper.browser.get("/bills/pay").await;
    let rest = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    shopper.browser.get(&rest.at).await.shows("Paid");
    shopper.browser.get("/bills").await.shows("No bill is to be paid").shows("Paid on 6 March 2026");
    shopper.browser.get("/bills/pay").await.shows("Nothing is owed now");
    shopper.browser.get(&format!("/loans/{loan}/periods/1")).await.shows("Repayment");
    shopper.town.assert_whole("after paying by the pages").await;
}

/// Makes a line a second one of the shopper's, of another funder.
async fn take_over(shopper: &Shopper, second: LineId) {
    let pool = &shopper.town.app.pool;
    let funder_id = fenqi::funder::open_funder(&shopper.town.app, "second-bank", "Second Bank").await.unwrap();
    let moved = "update credit_line set borrower_id = $1, funder_id = $2 where line_id = $3";
    let moved = sqlx::query(moved).bind(shopper.borrower_id).bind(funder_id).bind(second);
    moved.execute(pool).await.unwrap();
}

/// A shopper with ¥104.72 billed on one line and ¥52.36 on another.
pub(super) async fn billed_twice(pool: PgPool) -> (Shopper, LineId) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let second = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let wishes = [(shopper.line_id, "K-1", 120_000), (second, "K-2", 60_000)]
        .map(|(line_id, key, fen)| shopper.town.wish(line_id, key, fen, ("harbour-standard", 12)));
    shopper.town.buy(wishes.into()).await;
    shopper.town.live_until("2026-03-06").await;
    take_over(&shopper, second).await;
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
    (shopper, second)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn bills_of_two_lines_that_fall_due_on_one_day_are_one_row_and_one_page(pool: PgPool) {
    let (mut shopper, second) = billed_twice(pool).await;
    let row = "href=\"/bills/2026-03-25\"";
    let bills = shopper.browser.get("/bills").await;
    bills.shows("¥157.08").shows("2 installments");
    assert_eq!(bills.text.matches(row).count(), 1);
    shopper.browser.get("/bills/2026-03-25").await.shows("¥157.08").shows("¥104.72").shows("¥52.36");
    let page = shopper.browser.get(&format!("/bills/pay?line={}", shopper.line_id)).await;
    submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await.shows("Going to the bank");
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    // As long as one line owes some of it, all of it is open.
    let bills = shopper.browser.get("/bills").await;
    bills.shows("¥52.36").hides("Paid on 6 March 2026");
    assert_eq!(bills.text.matches(row).count(), 1);
    let settle =
        "update bill_line set principal_paid_fen = principal_fen, interest_paid_fen = interest_fen where line_id = $1";
    sqlx::query(settle).bind(second).execute(&shopper.town.app.pool).await.unwrap();
    sqlx::query("update bill set paid_on = '2026-03-07' where line_id = $1")
        .bind(second)
        .execute(&shopper.town.app.pool)
        .await
        .unwrap();
    let bills = shopper.browser.get("/bills").await;
    bills.shows("No bill is to be paid").shows("Paid on 7 March 2026").shows("¥157.08");
    assert_eq!(bills.text.matches(row).count(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_stale_page_takes_nothing_for_another_line_than_it_showed(pool: PgPool) {
    let (mut shopper, second) = billed_twice(pool).await;
    let first = shopper.line_id;
    let tabs = [
        shopper.browser.get(&format!("/bills/pay?line={first}")).await,
        shopper.browser.get(&format!("/bills/pay?line={first}")).await,
    ];
    submit(&mut shopper, &tabs[0], "/bills/pay", &[("how", "all")]).await.shows("Going to the bank");
    // While the bank has not said what became of it, only this line waits: the other one is paid meanwhile.
    shopper.browser.get(&format!("/bills/pay?line={first}")).await.shows("is being collected").hides("name=\"pin\"");
    let other = shopper.browser.get(&format!("/bills/pay?line={second}")).await;
    other.shows("name=\"pin\"").shows("All of it, ¥52.36").hides("is being collected");
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    for how in [vec![("how", "all")], vec![("how", "part"), ("amount", "50")]] {
        let stale = submit(&mut shopper, &tabs[1], "/bills/pay", &how).await;
        stale.has_status(422).shows("nothing was charged").hides("name=\"pin\"");
        stale.shows(&format!("href=\"/bills/pay?line={second}\"")).shows("Another line owes ¥52.36");
    }
    assert_eq!(shopper.town.fen("select count(*) from withholding where purpose = 'button'").await, 1);
    // Whoever asks for the page anew is shown what is owed.
    shopper.browser.get(&format!("/bills/pay?line={first}")).await.shows("All of it, ¥52.36");
    submit(&mut shopper, &other, "/bills/pay", &[("how", "all")]).await.shows("Going to the bank").shows("¥52.36");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_of_one_line_does_not_keep_a_loan_of_another_from_being_paid_off(pool: PgPool) {
    let (mut shopper, second) = billed_twice(pool).await;
    let page = shopper.browser.get(&format!("/bills/pay?line={}", shopper.line_id)).await;
    submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await.shows("Going to the bank");
    let loans = "select loan_id from loan order by line_id = $1 desc";
    let loans = sqlx::query_scalar::<_, LoanId>(loans).bind(second).fetch_all(&shopper.town.app.pool).await.unwrap();
    shopper.browser.get(&format!("/loans/{}/payoff", loans[0])).await.shows("name=\"pin\"").hides("is being collected");
    shopper.browser.get(&format!("/loans/{}/payoff", loans[1])).await.shows("is being collected").hides("name=\"pin\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn all_of_it_is_what_is_owed_today_and_not_what_a_page_of_yesterday_showed(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    let pool = shopper.town.app.pool.clone();
    let set = "update bank_card set status = $1";
    // Nothing is taken by the timetable, so that the bill stays late.
    sqlx::query(set).bind("invalid").execute(&pool).await.unwrap();
    shopper.town.live_until("2026-03-31").await;
    sqlx::query(set).bind("bound").execute(&pool).await.unwrap();
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
    let yesterday = shopper.browser.get("/bills/pay").await;
    sqlx::query(set).bind("invalid").execute(&pool).await.unwrap();
    shopper.town.live_until("2026-04-01").await;
    sqlx::query(set).bind("bound").execute(&pool).await.unwrap();
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
    let refused = submit(&mut shopper, &yesterday, "/bills/pay", &[("how", "all")]).await;
    refused.has_status(422).shows("The amount has just changed");
    assert_eq!(shopper.town.fen("select count(*) from withholding where purpose = 'button'").await, 0);
    submit(&mut shopper, &refused, "/bills/pay", &[("how", "all")]).await.shows("Going to the bank");
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    shopper.browser.get("/bills/pay").await.shows("Nothing is owed now");
    shopper.town.assert_whole("after a late bill was paid in full").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_silent_bank_is_told_of_honestly(pool: PgPool) {
    let (mut shopper, world, _) = billed(pool).await;
    world.script("withholding_a", None, vec![Scripted::answer("success").with(Fault::TimeoutAfter)]);
    let page = shopper.browser.get("/bills/pay").await;
    let ordered = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    let shown = shopper.browser.get(&ordered.at).await;
    shown.shows("The bank has not said yet").shows("Please do not pay again");
    // Wherever the money is said to be owed still, it is said that it is on its way, and where that is followed.
    for path in ["/home", "/bills", "/bills/pay"] {
        let page = shopper.browser.get(path).await;
        page.shows("¥104.72 is being collected").shows(&format!("href=\"{}\"", ordered.at));
    }
    shopper.town.app.clock.set(shopper.town.app.clock.now() + chrono::TimeDelta::minutes(2));
    assert_eq!(repayment::jobs::query_unknowns(&shopper.town.app).await.unwrap().succeeded, 1);
    for path in ["/home", "/bills", "/bills/pay"] {
        shopper.browser.get(path).await.is_at(path).hides("is being collected");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_part_of_a_payment_is_sent_again_only_when_something_has_changed(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    let page = shopper.browser.get("/bills/pay").await;
    let ordered = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    ordered.shows("hx-vals='{\"seen\":\"created\"}'");
    let address = format!("{}{}", shopper.browser.address, ordered.at);
    let cookie = format!("fenqi={}", shopper.browser.cookies["fenqi"]);
    let client = fenqi::partner::client::build_http().unwrap();
    let ask = async |seen: &str| {
        let asked = client.get(format!("{address}?seen={seen}")).header("hx-request", "true");
        let answer = asked.header("accept-language", "en").header("cookie", &cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("created").await, (204, String::new()));
    assert!(ask("").await.1.contains("Going to the bank"));
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    let (status, text) = ask("created").await;
    assert!(status == 200 && text.contains("Paid") && !text.contains("hx-get"), "{text}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_of_which_the_banks_daily_account_says_otherwise_is_told_as_it_is_booked(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    let app = shopper.town.app.clone();
    let page = shopper.browser.get("/bills/pay").await;
    let paid = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    repayment::jobs::submit_withholdings(&app).await.unwrap();
    shopper.browser.get(&paid.at).await.shows("Paid").shows("What the money settled");
    let order_id: WithholdingId = paid.at.strip_prefix("/repayments/").unwrap().parse().unwrap();
    let mut transaction = fenqi::database::begin(&app.pool).await.unwrap();
    let order = repayment::load_withholdings(&mut transaction, &[order_id.uuid()]).await.unwrap().pop().unwrap();
    repayment::take_back(&mut transaction, &app, &order, "wang").await.unwrap();
    transaction.commit().await.unwrap();
    let taken_back = shopper.browser.get(&paid.at).await;
    taken_back.shows("This payment did not arrive").shows("is owed again").shows(">Try again<");
    taken_back.hides("Not charged").hides("What the money settled");
    let mut transaction = fenqi::database::begin(&app.pool).await.unwrap();
    assert!(repayment::receive_from_file(&mut transaction, &app, &order, Fen::new(6_000)).await.unwrap());
    transaction.commit().await.unwrap();
    let found = shopper.browser.get(&paid.at).await;
    found.shows("Paid after all").shows("¥60.00").shows("What the money settled");
    found.hides(">Try again<").hides("Not charged").hides("is owed again");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_that_was_booked_in_two_parts_shows_the_entries_of_both(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    let app = shopper.town.app.clone();
    let page = shopper.browser.get("/bills/pay").await;
    let paid = submit(&mut shopper, &page, "/bills/pay", &[("how", "part"), ("amount", "50")]).await;
    repayment::jobs::submit_withholdings(&app).await.unwrap();
    let order_id: WithholdingId = paid.at.strip_prefix("/repayments/").unwrap().parse().unwrap();
    let mut transaction = fenqi::database::begin(&app.pool).await.unwrap();
    let order = repayment::load_withholdings(&mut transaction, &[order_id.uuid()]).await.unwrap().pop().unwrap();
    assert!(repayment::receive_from_file(&mut transaction, &app, &order, Fen::new(1_000)).await.unwrap());
    transaction.commit().await.unwrap();
    let whole = shopper.browser.get(&paid.at).await;
    whole.shows("Paid").shows("¥60.00");
    let postings = "select distinct p.posting_id::text from posting p join repayment r on r.repayment_id = p.source_id";
    let postings: Vec<String> = sqlx::query_scalar(postings).fetch_all(&app.pool).await.unwrap();
    assert!(postings.len() >= 2, "{postings:?}");
    for posting in postings {
        whole.shows(&posting);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_card_that_is_gone_is_told_beside_the_cards_and_a_failed_payment_is_tried_again_on_its_line(pool: PgPool) {
    let (mut shopper, world, loan) = billed(pool).await;
    let pool = shopper.town.app.pool.clone();
    let second = "insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                         agreement_number, agreement_signed_at, status, is_default)
                  select borrower_id, gen_random_uuid(), number_sealed, decode('01', 'hex'), '7777', mobile_sealed,
                         'AG-second', agreement_signed_at, 'bound', false
                  from bank_card where borrower_id = $1 returning card_id";
    let second: CardId = sqlx::query_scalar(second).bind(shopper.borrower_id).fetch_one(&pool).await.unwrap();
    let set = "update bank_card set status = $2 where card_id = $1";
    let payoff = format!("/loans/{loan}/payoff");
    for address in ["/bills/pay", payoff.as_str()] {
        let page = shopper.browser.get(address).await;
        page.shows("ending in 7777").hides("id=\"card-error\"");
        sqlx::query(set).bind(second).bind("unbound").execute(&pool).await.unwrap();
        let chosen = second.to_string();
        let gone = shopper.browser.submit(&page, address, &[("card", chosen.as_str()), ("pin", PIN)]).await;
        gone.has_status(422).shows("id=\"card-error\"").shows("Use another one").hides("There is no card that can be");
        gone.shows("ending in 0128").hides("ending in 7777");
        sqlx::query(set).bind(second).bind("bound").execute(&pool).await.unwrap();
    }
    world.script("withholding_a", None, vec![Scripted::answer("insufficient_funds")]);
    let page = shopper.browser.get("/bills/pay").await;
    let ordered = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    let failed = shopper.browser.get(&ordered.at).await;
    failed.shows("Not charged").shows(&format!("href=\"/bills/pay?line={}\"", shopper.line_id));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_that_the_next_bank_channel_takes_is_followed_there(pool: PgPool) {
    let (mut shopper, world, _) = billed(pool).await;
    world.script("withholding_a", None, vec![Scripted::answer("channel_down")]);
    world.script("withholding_b", None, vec![Scripted::answer("processing")]);
    let page = shopper.browser.get("/bills/pay").await;
    let ordered = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    let waiting = shopper.browser.get(&ordered.at).await;
    waiting.shows("http-equiv=\"refresh\"").hides("Not charged");
    let app = &shopper.town.app;
    app.clock.set(app.clock.now() + chrono::TimeDelta::minutes(2));
    assert_eq!(repayment::jobs::query_unknowns(app).await.unwrap().succeeded, 1);
    let paid = shopper.browser.get(&ordered.at).await;
    paid.shows("Paid").shows("¥104.72").hides("http-equiv");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_loan_is_paid_off_for_what_was_quoted(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    let address = format!("/loans/{loan}/payoff");
    let page = shopper.browser.get(&address).await;
    page.shows("To pay off today").shows("a year × 0 days since 25 March 2026 ÷ 365").shows("Holds on 6 March 2026");
    shopper.browser.submit(&page, &address, &[("pin", "161803")]).await.has_status(422).shows("PIN");
    let forged = submit(&mut shopper, &page, &address, &[("quoted", "1")]).await;
    forged.has_status(422).shows("The amount has just changed");
    let ordered = submit(&mut shopper, &page, &address, &[]).await;
    assert_eq!(submit(&mut shopper, &page, &address, &[]).await.at, ordered.at);
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    shopper.browser.get(&ordered.at).await.shows("Paid").shows("Paying off early");
    shopper.browser.get(&format!("/loans/{loan}")).await.shows("Paid off").hides("Pay off early");
    shopper.browser.get(&address).await.shows("Paid off");
    shopper.browser.get(&format!("/loans/{loan}/periods/5")).await.shows("Changed since").shows("Paid off early");
    shopper.town.assert_whole("after a payoff by the pages").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payoff_is_explained_as_it_is_quoted_while_a_statement_is_being_cut(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    shopper.live_until("2026-04-05").await;
    // The close has begun, and not come to the statements yet.
    let today = shopper.town.today().await;
    let mut transaction = fenqi::database::begin(&shopper.town.app.pool).await.unwrap();
    assert!(fenqi::business_day::store::advance(&mut transaction, today).await.unwrap());
    transaction.commit().await.unwrap();
    let page = shopper.browser.get(&format!("/loans/{loan}/payoff")).await;
    let sums = reckoning::sums(&page);
    // The second payment counts as billed, and the principal of the ten after it does not.
    assert_eq!((sums[0].as_str(), sums[1].matches('+').count()), ("¥104.72", 9), "{sums:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_period_that_was_billed_before_its_payoff_was_told_of_is_no_sum_of_those_after_it(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    // Of the first period's interest a part had left it before the rest was waived; the second one took all that was not billed.
    let late = "insert into schedule
                select loan_id, line_id, 2, 'payoff', due_on,
                       array[principal_fen[1], (select sum(p) from unnest(principal_fen[2:]) as p)::bigint] || rest.fen,
                       array[200, 150]::bigint[] || rest.fen, fee_fen, '2026-03-06'
                from schedule cross join (select array_fill(0::bigint, array[10]) as fen) rest";
    sqlx::query(late).execute(&shopper.town.app.pool).await.unwrap();
    let why = shopper.browser.get(&format!("/loans/{loan}/periods/1")).await;
    why.shows("Paid off early")
        .shows("¥2.00")
        .shows("interest that is not billed is not charged")
        .hides("¥96.12 + ¥96.81");
    shopper.browser.get(&format!("/loans/{loan}/periods/2")).await.shows("= ¥1,103.88");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_sees_anothers_loans_bills_or_payments(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    let page = shopper.browser.get("/bills/pay").await;
    let ordered = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    let wish = LineWish { limit_fen: 100_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let line_id = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let stranger = owner(&shopper.town, line_id).await;
    let mut elsewhere = Browser::at(&shopper.browser.address);
    sign_in(&mut elsewhere, &shopper.town.app, stranger).await;
    for address in [
        format!("/loans/{loan}"),
        format!("/loans/{loan}/agreement"),
        format!("/loans/{loan}/periods/1"),
        format!("/loans/{loan}/payoff"),
        "/bills/2026-03-25".to_owned(),
        ordered.at,
    ] {
        elsewhere.get(&address).await.has_status(404);
    }
    elsewhere.get("/bills").await.shows("Nothing is owed now").shows("No bill is to be paid");
    elsewhere.get("/loans").await.shows("No loans yet");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_late_says_so_with_its_penalty(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    shopper.live_until("2026-04-01").await;
    shopper.browser.get("/bills").await.shows("of it is late").shows("Late");
    shopper.browser.get("/bills/2026-03-25").await.shows("Penalty interest");
    let why = shopper.browser.get(&format!("/loans/{loan}/periods/1")).await;
    why.shows("overdue principal ¥").shows("yuan-days × 11.18% a year ÷ 360 =").shows("3 days of grace");
    shopper.browser.get("/bills/pay").await.shows("Bind a bank card");
    // What ran until the bank had a transfer, and what has run since, can only be followed from that day.
    let (bank_reference, received_on) = ("T-1".to_owned(), Some("2026-03-30".parse().unwrap()));
    let (line_id, amount, operator) = (shopper.line_id, Fen::new(5_000), "Li Na".to_owned());
    let transfer = Transfer { line_id, amount, bank_reference, received_on, operator };
    repayment::record_transfer(&shopper.town.app, &transfer).await.unwrap();
    let why = shopper.browser.get(&format!("/loans/{loan}/periods/1")).await;
    why.shows("By bank transfer · 1 April 2026 · ¥50.00 · counts from 30 March 2026").shows("since 30 March 2026");
    let shown = Program::on(&shopper.town.app.pool).await.done(&["line", "loan", &loan]);
    assert!(shown.contains("2026-04-01  transfer  50.00  counts from 2026-03-30"), "{shown}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_left_of_a_payment_that_was_made_in_part_is_said_when_it_is_late_too(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    let page = shopper.browser.get("/bills/pay").await;
    submit(&mut shopper, &page, "/bills/pay", &[("how", "part"), ("amount", "50")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    let address = format!("/loans/{loan}");
    shopper.browser.get(&address).await.shows("Paid in part").shows("¥54.72 left");
    // Nor do messages name a day of taking, which the product decides, or say that all is done.
    let told = shopper.browser.get("/me/messages").await;
    told.shows("¥104.72 falls due on 25 March 2026").shows("¥50.00 was taken from your card. Your bills say whether");
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    for (day, state) in [("2026-03-27", ">In grace<"), ("2026-04-01", ">Late<")] {
        shopper.live_until(day).await;
        let owed = closing_actions::obstacles(&shopper.town.app, shopper.borrower_id).await.unwrap();
        let left = owed.late + owed.billed;
        shopper.browser.get(&address).await.shows(state).shows(&format!("¥{left} left"));
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn home_says_what_is_late_and_what_comes_on_a_line_that_is_closed(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    let pool = shopper.town.app.pool.clone();
    let close = "update credit_line set status = 'closed', frozen_for = null";
    sqlx::query(close).execute(&pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    home.shows("¥104.72").shows("due 25 March 2026").hides("Overdue").hides("href=\"/home/line");
    let unpaid = "update credit_line set status = 'active'; update bank_card set status = 'invalid'";
    sqlx::raw_sql(unpaid).execute(&pool).await.unwrap();
    shopper.town.live_until("2026-04-01").await;
    sqlx::query(close).execute(&pool).await.unwrap();
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
    let home = shopper.browser.get("/home").await;
    home.shows("Overdue").shows("href=\"/bills/pay\"").shows("Expected to be due on 25 April 2026");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_loan_is_listed_and_makes_up_what_is_used_however_many_there_are(pool: PgPool) {
    let (mut shopper, _world, loan) = billed(pool).await;
    // As many again of the one loan, each with a purchase of its own.
    let more = "insert into purchase select (jsonb_populate_record(p, jsonb_build_object(
                    'purchase_id', md5('purchase' || n)::uuid, 'loan_id', md5('loan' || n)::uuid,
                    'idempotency_key', 'M-' || n))).*
                from purchase p, generate_series(1, 229) n;
                insert into loan select (jsonb_populate_record(l, jsonb_build_object(
                    'loan_id', md5('loan' || n)::uuid, 'purchase_id', md5('purchase' || n)::uuid))).*
                from loan l, generate_series(1, 229) n";
    sqlx::raw_sql(more).execute(&shopper.town.app.pool).await.unwrap();
    let mut found = BTreeSet::new();
    let mut address = "/loans".to_owned();
    for _ in 0..5 {
        let page = shopper.browser.get(&address).await;
        let links = page.has_status(200).text.split("href=\"/loans/").skip(1);
        let listed: Vec<String> = links.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        assert!(!listed.is_empty(), "{address} lists nothing");
        found.extend(listed);
        let after = page.text.split("href=\"/loans?before=").skip(1).map(|rest| rest.split('"').next().unwrap());
        // The switch of the language leads to this page again.
        let Some(after) = after.filter(|after| !after.contains("lang=")).last() else { break };
        address = format!("/loans?before={after}");
    }
    assert_eq!(found.len(), 230);
    assert!(found.contains(&loan));
    shopper.browser.get("/home/line").await.shows("= ¥276,000.00");
    shopper.browser.get("/loans?before=x").await.has_status(400);
}
