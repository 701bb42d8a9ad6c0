//! Closing an account on the pages: what prevents it, and that the person's data remains until it is possible.

use fenqi::base::Fen;
use fenqi::base::id::PayoutId;
use fenqi::borrower::BorrowerRefusal;
use fenqi::credit::change::{Change, LineRefusal};
use fenqi::credit::closing_actions;
use fenqi::credit::line_actions::{ManualChange, change_line};
use fenqi::error::{Fault as Refused, Step};
use fenqi::purchase::actions::RefundRequest;
use fenqi::purchase::model::AfterSaleRefusal;
use fenqi::repayment::{Proposal, RepayRefusal, Transfer, keep_transfer, propose_taking_back};
use fenqi::sandbox::{Fault, Scripted};
use fenqi::settlement::payout::{Answer, PayoutRefusal, Word};
use fenqi::settlement::payout_actions::PayoutAnswer;
use fenqi::settlement::{Ending, PaidBack, Settling};
use fenqi::{purchase, repayment, settlement};
use sqlx::PgPool;

use super::bill_pages::{billed, billed_twice, submit};
use super::house_command::Program;
use crate::house;
use crate::shopper::{PIN, Shopper};
use crate::town::Town;

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_stays_while_interest_is_owed_though_all_principal_is_paid(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    shopper.browser.get("/home").await.shows("¥104.72").shows("25 March 2026");
    // Payments that went to principal first have left the interest of the first bill.
    let paid = "update bill_line set principal_paid_fen = principal_fen;
                update loan set principal_paid_fen = principal_fen;
                update credit_line set used_fen = 0";
    sqlx::raw_sql(paid).execute(&shopper.town.app.pool).await.unwrap();
    let (app, person) = (&shopper.town.app, shopper.borrower_id);
    assert_eq!(closing_actions::obstacles(app, person).await.unwrap().owed(), Fen::new(860));
    for refused in [closing_actions::close_account(app, person).await, house::erase(app, person).await] {
        assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::StillOwing))), "{refused:?}");
    }
    let (line_id, change) = (shopper.line_id, Change::Close);
    let by_hand = ManualChange { line_id, change, person: "Li Na".into(), reason: "asked for".into() };
    let refused = change_line(app, by_hand).await;
    assert!(matches!(refused, Err(Refused::Refused(LineRefusal::LineInUse))), "{refused:?}");
    // So does whoever owes what no bill has asked for yet, and keeps the line.
    sqlx::query("update bill_line set interest_paid_fen = interest_fen").execute(&app.pool).await.unwrap();
    let obstacles = closing_actions::obstacles(app, person).await.unwrap();
    assert_eq!((obstacles.owed(), obstacles.owes_anything), (Fen::ZERO, true));
    let refused = closing_actions::close_account(app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::StillOwing))), "{refused:?}");
    assert_eq!(shopper.town.fen("select count(*) from credit_line where status = 'active'").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn closing_the_account_names_everything_that_is_owed_either_way(pool: PgPool) {
    let (mut shopper, world) = Shopper::open_in_world(pool).await;
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 12));
    let receipt = shopper.town.buy(vec![wish]).await.remove(0);
    shopper.browser.get("/me/close").await.shows("Principal not billed yet").shows("¥1,200.00 is still unpaid");
    shopper.live_until("2026-03-06").await;
    let billed = shopper.browser.get("/me/close").await;
    billed.shows("Billed and not overdue").shows("¥104.72").shows("¥1,103.88").shows("¥1,208.60 is still unpaid");
    billed.hides("action=\"/me/close\"").hides("Overdue");
    // Money that is on its way stands against it by itself, whatever else is paid.
    world.script("withholding_a", None, vec![Scripted::answer("success").with(Fault::TimeoutAfter)]);
    let page = shopper.browser.get("/bills/pay").await;
    submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    shopper.browser.get("/me/close").await.shows("Being collected, the bank has not said yet");
    shopper.town.live_until("2026-03-08").await;
    let fenqi::purchase::Decision::Authorised { loan_id } = receipt.decision else { panic!("{receipt:?}") };
    let address = format!("/loans/{loan_id}/payoff");
    let page = shopper.browser.get(&address).await;
    submit(&mut shopper, &page, &address, &[]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    shopper.browser.get("/me/close").await.shows("action=\"/me/close\"").hides("cannot be closed yet");
    // What the merchant gives back of a loan that is paid off is owed to the person, and needs the card.
    shopper.town.refund(&receipt, 110_000, "R-1").await;
    let bought = format!("/purchases/{}", receipt.purchase_id);
    let refunded = shopper.browser.get(&bought).await;
    refunded.shows("¥1,100.00 was refunded on 8 March 2026").shows("¥1,100.00 is on its way back to your card");
    let back = shopper.browser.get("/me/close").await;
    back.shows("Owed back to you, not on your card yet").shows("¥1,100.00").hides("action=\"/me/close\"");
    let (app, person) = (&shopper.town.app, shopper.borrower_id);
    // A house that is restored from before the refund pays it under the same key.
    let to_card: uuid::Uuid =
        sqlx::query_scalar("select payout_id from payout where kind = 'borrower'").fetch_one(&app.pool).await.unwrap();
    let key = PaidBack::Refund { purchase_id: receipt.purchase_id, number: 1 }.payout_id();
    assert_eq!(PayoutId::from_uuid(to_card), key);
    let refused = closing_actions::close_account(app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::MoneyInTransit))), "{refused:?}");
    // With the lines closed by themselves the person is not forgotten either.
    let status = "update credit_line set status = $1";
    sqlx::query(status).bind("closed").execute(&app.pool).await.unwrap();
    let refused = house::erase(app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::MoneyInTransit))), "{refused:?}");
    sqlx::query(status).bind("active").execute(&app.pool).await.unwrap();
    assert_eq!(shopper.town.fen("select count(*) from credit_line where status = 'active'").await, 1);
    shopper.town.live_until("2026-03-11").await;
    let sent = "select count(*) from payout where kind = 'borrower' and status = 'succeeded'";
    assert_eq!(shopper.town.fen(sent).await, 1);
    shopper.browser.get(&bought).await.shows("¥1,100.00 was sent back to your card on").hides("on its way back");
    let page = shopper.browser.get("/me/close").await;
    let sent = shopper.browser.submit(&page, "/me/close", &[("do", "send")]).await;
    let code = crate::counter::code_sent_to(&world, "13800138000");
    let fields = [("pin", PIN), ("passcode", code.as_str()), ("do", "close")];
    shopper.browser.submit(&sent, "/me/close", &fields).await.is_at("/sign-in").shows("Your account has been closed");
    // The rest can no longer be sent to a card: it is not owed where nobody could ever pay it.
    let rest = |key: &str, fen| RefundRequest {
        purchase_id: receipt.purchase_id,
        amount: Fen::new(fen),
        idempotency_key: key.to_owned(),
    };
    let refused = purchase::actions::refund(&shopper.town.app, rest("R-2", 10_000)).await;
    assert!(matches!(refused, Err(Refused::Refused(AfterSaleRefusal::CustomerErased))), "{refused:?}");
    purchase::actions::refund(&shopper.town.app, rest("R-1", 110_000)).await.expect("it was made before");
    let (line_id, bank_reference, operator) = (shopper.line_id, "T-1".to_owned(), "Li Na".to_owned());
    let transfer = Transfer { line_id, amount: Fen::new(100), bank_reference, received_on: None, operator };
    let refused = repayment::record_transfer(&shopper.town.app, &transfer).await;
    assert!(matches!(refused, Err(Refused::Refused(RepayRefusal::BorrowerErased))), "{refused:?}");
    shopper.town.assert_whole("after an account was closed").await;
    denied_and_paid_by_hand(&shopper.town).await;
}

/// The channel denies what it had paid to a card that nobody knows any more: two people take it back, and say that it was paid by hand.
async fn denied_and_paid_by_hand(town: &Town) {
    let app = &town.app;
    let to_card = "select payout_id from payout where kind = 'borrower'";
    let payout_id = PayoutId::from_uuid(sqlx::query_scalar(to_card).fetch_one(&app.pool).await.unwrap());
    let word = Word::Failed { failure: "returned".into() };
    let denied = PayoutAnswer { payout_id, answer: Answer { attempt_no: 1, amount: None, word } };
    let settle =
        async |ending: &Ending, by: &str| settlement::settle_payout(app, payout_id, ending.clone(), by).await.unwrap();
    // What is said against a payout that has ended waits for people.
    assert_eq!(settlement::take_callback(app, denied.clone()).await.unwrap(), Step::AlreadyApplied);
    settle(&Ending::Failed, "Li Na").await;
    settle(&Ending::Failed, "Wang Wei").await;
    town.assert_whole("while it is owed again").await;
    let refused = settlement::retry_payout(app, payout_id, "Li Na").await;
    assert!(matches!(refused, Err(Refused::Refused(PayoutRefusal::PayeeForgotten))), "{refused:?}");
    town.live_until("2026-03-16").await;
    town.assert_whole("until the person asks for it").await;
    let by_hand = Ending::Paid { bank_reference: "BRANCH-7".into() };
    assert_eq!(settle(&by_hand, "Li Na").await, Settling::Proposed);
    let listed = Program::on(&app.pool).await.done(&["payout", "list", "--failed"]);
    assert!(listed.contains("paid under BRANCH-7, says Li Na"), "{listed}");
    assert_eq!(settle(&by_hand, "Wang Wei").await, Settling::Confirmed { proposed_by: "Li Na".into() });
    // What the channel says once more of its own attempt is known.
    assert_eq!(settlement::take_callback(app, denied).await.unwrap(), Step::AlreadyApplied);
    let standing =
        "select concat_ws(' ', status, attempt_no, bank_reference, contradiction) from payout where kind = 'borrower'";
    let standing: String = sqlx::query_scalar(standing).fetch_one(&app.pool).await.unwrap();
    assert_eq!(standing, "succeeded 2 BRANCH-7");
    town.assert_whole("after it was paid by hand").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_timetable_has_not_sent_yet_is_not_said_to_be_with_the_bank(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    shopper.live_until("2026-03-25").await;
    let waiting = "select count(*) from withholding where status = 'created' and purpose = 'due' and is_pending";
    assert_eq!(shopper.town.fen(waiting).await, 1, "made when the day began, to be sent at nine");
    shopper.browser.get("/bills/pay").await.shows("All of it, ¥104.72").hides("is being collected");
    shopper.browser.get("/me/close").await.shows("Billed and not overdue").hides("the bank has not said yet");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_with_an_overdue_bill_says_so_when_it_is_to_be_closed(pool: PgPool) {
    let (mut shopper, _world, _) = billed(pool).await;
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    shopper.live_until("2026-04-01").await;
    let obstacles = closing_actions::obstacles(&shopper.town.app, shopper.borrower_id).await.unwrap();
    assert!(obstacles.late > Fen::new(10_472), "penalty is in it: {obstacles:?}");
    shopper.browser.get("/me/close").await.shows("Overdue, with penalty interest until today").shows("¥1,103.88");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_owed_on_a_line_that_is_closed_stands_against_closing_the_account_whole(pool: PgPool) {
    let (mut shopper, second) = billed_twice(pool).await;
    // ¥1,800.00 of principal, of which the bills of both lines ask for ¥144.18 and ¥12.90 of interest.
    let whole = ["¥157.08", "¥1,655.82", "¥1,812.90 is still unpaid"];
    let page = shopper.browser.get("/me/close").await;
    for amount in whole {
        page.shows(amount);
    }
    // A payment on it was taken back after it was closed.
    let close = sqlx::query("update credit_line set status = 'closed' where line_id = $1").bind(second);
    close.execute(&shopper.town.app.pool).await.unwrap();
    let page = shopper.browser.get("/me/close").await;
    for amount in whole {
        page.shows(amount);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_that_its_channel_denies_keeps_the_account_until_people_have_settled_that(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let denied = "insert into withholding (withholding_id, line_id, borrower_id, purpose, idempotency_key, card_id, channel, amount_fen,
                                           collected_fen, partial_allowed, attempt_no, status, business_day, created_at, submit_at)
                  select gen_random_uuid(), line_id, borrower_id, 'button', 'K-1', gen_random_uuid(), 'alpha', 10472, 10472, false, 1,
                         'succeeded', '2026-03-05', now(), now()
                  from credit_line;
                  insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen,
                                                    proposed, proposed_by, owner, status, opened_on)
                  select gen_random_uuid(), channel, business_day, 'we_succeeded_they_failed', withholding_id, 10472, 0,
                         'reverse', 'comparison', 'comparison', 'open', business_day
                  from withholding";
    let (app, person) = (shopper.town.app.clone(), shopper.borrower_id);
    sqlx::raw_sql(denied).execute(&app.pool).await.unwrap();
    // Taken back, it would be owed by somebody whom nobody knows; posted or refunded, it could be paid to no card.
    let refused = closing_actions::close_account(&app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::MoneyInTransit))), "{refused:?}");
    let status = "update credit_line set status = $1";
    sqlx::query(status).bind("closed").execute(&app.pool).await.unwrap();
    let refused = house::erase(&app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::MoneyInTransit))), "{refused:?}");
    sqlx::query(status).bind("active").execute(&app.pool).await.unwrap();
    shopper.browser.get("/me/close").await.shows("the bank has not said yet").shows("¥104.72");
    let account = person.to_string();
    let close = ["borrower", "close", account.as_str(), "--by", "Li Na", "--reason", "asked by letter"];
    let refused = Program::on(&app.pool).await.refused(&close);
    assert!(refused.contains("104.72 yuan being collected or in an open break (`fenqi break list`)"), "{refused}");
    sqlx::query("update reconciliation_break set status = 'dismissed'").execute(&app.pool).await.unwrap();
    closing_actions::close_account(&app, person).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_that_may_be_taken_back_keeps_the_account_until_people_have_settled_that(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let (app, person, line_id) = (shopper.town.app.clone(), shopper.borrower_id, shopper.line_id);
    fenqi::product::publish(&app, include_str!("../../../products/pay-next-bill.toml")).await.unwrap();
    shopper.town.products = app.catalogue.load_on_sale(&mut app.pool.acquire().await.unwrap()).await.unwrap();
    let wish = shopper.town.wish(line_id, "K-1", 10_000, ("harbour-next-bill", 1));
    shopper.town.buy(vec![wish]).await;
    shopper.live_until("2026-03-06").await;
    let amount = Fen::new(10_000);
    let transfer =
        Transfer { line_id, amount, bank_reference: "T-1".into(), operator: "Li Na".into(), received_on: None };
    let paid = repayment::record_transfer(&app, &transfer).await.unwrap();
    assert_eq!(closing_actions::obstacles(&app, person).await.unwrap().check(), Ok(()));
    let proposal = Proposal { by: "Li Na".into(), reason: "somebody else's".into() };
    propose_taking_back(&app, paid.repayment_id, &proposal).await.unwrap();
    // Confirmed afterwards, it would be owed by somebody whom nobody knows.
    let refused = closing_actions::close_account(&app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::MoneyInTransit))), "{refused:?}");
    shopper.browser.get("/me/close").await.shows("still being checked by us").shows("¥100.00");
    let account = person.to_string();
    let close = ["borrower", "close", &account, "--by", "Li Na", "--reason", "asked for it"];
    let told = Program::on(&app.pool).await.refused(&close);
    assert!(told.contains("100.00 yuan by a transfer that may be taken back"), "{told}");
    sqlx::query("update credit_line set status = 'closed'").execute(&app.pool).await.unwrap();
    let refused = house::erase(&app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::MoneyInTransit))), "{refused:?}");
    keep_transfer(&app, paid.repayment_id).await.unwrap();
    house::erase(&app, person).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_that_waits_keeps_the_account_and_its_lines(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let insert = r#"insert into application (application_id, borrower_id, product_id, product_version, idempotency_key,
                                           request_sha256, facts, status, created_at, answer_by, proposed_by,
                                           proposed_limit_fen, grade)
                  select gen_random_uuid(), borrower_id, product_id, product_version, 'A-1',
                         decode(repeat('00', 32), 'hex'),
                         '{"age": 36, "limit_requested_fen": null, "history": null}', 'with_funder', $1, $1, 'scorecard', 100000, 'A'
                  from credit_line"#;
    let (app, person) = (&shopper.town.app, shopper.borrower_id);
    // One that comes after everything was looked at, and before the person is erased.
    let mut applying = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::query("select from borrower for share").execute(&mut *applying).await.unwrap();
    let (refused, ()) = tokio::join!(closing_actions::close_account(app, person), async {
        house::until_as_many_wait(&app.pool, 1).await;
        sqlx::query(insert).bind(app.clock.now()).execute(&mut *applying).await.unwrap();
        applying.commit().await.unwrap();
    });
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::ApplicationOpen))), "{refused:?}");
    assert_eq!(shopper.town.fen("select count(*) from credit_line where status = 'active'").await, 1);
    let refused = closing_actions::close_account(app, person).await;
    assert!(matches!(refused, Err(Refused::Refused(BorrowerRefusal::ApplicationOpen))), "{refused:?}");
    assert_eq!(shopper.town.fen("select count(*) from credit_line where status = 'active'").await, 1);
    shopper.browser.get("/me/close").await.shows("An application waits for its decision");
    // It waits beside a later one for another product, too.
    let later = "insert into application (application_id, borrower_id, product_id, product_version, idempotency_key, request_sha256, facts,
                                          status, refusal, decided_by, decided_at, created_at)
                 select gen_random_uuid(), borrower_id, gen_random_uuid(), 1, 'A-2', request_sha256, facts,
                        'refused', 'score_too_low', 'scorecard', created_at, created_at + interval '1 second'
                 from application";
    sqlx::query(later).execute(&shopper.town.app.pool).await.unwrap();
    shopper.browser.get("/me/close").await.shows("An application waits for its decision");
}
