//! Each payout is paid only once, whatever the channel answers or omits, and a person can retry one that failed.

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::id::{BorrowerId, CardId, LineId, PayoutId, RepaymentId, mint};
use fenqi::base::{BusinessDay, Fen};
use fenqi::error::{Fault, Step};
use fenqi::jobs::worker::run_ready;
use fenqi::merchant;
use fenqi::merchant::actions::AccountChange;
use fenqi::partner::asking::QUERIES_BEFORE_NOTICE;
use fenqi::repayment::{self, Transfer};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Fault as Trouble, Matcher, Scripted};
use fenqi::settlement::payout::{Answer, Cancelling, PayoutRefusal, Word};
use fenqi::settlement::payout_actions::{self, PayoutAnswer, Tally};
use fenqi::settlement::{self, NewPayout, PayoutFor, PayoutStatus};
use fenqi::timetable;
use fenqi::vault::Field;
use sqlx::PgPool;
use uuid::Uuid;

use super::house_command::Program;
use super::settlement::{Street, street};
use crate::house;
use crate::shopper::Shopper;
use crate::town::SHOP_ACCOUNT;

/// A street on the day after its shop has sold for 100 yuan: 99.40 are to be paid.
pub(super) async fn with_a_payout(pool: PgPool) -> Street {
    let street = street(pool, "2026-03-02").await;
    street.sell(10_000, 60, 0).await;
    street.close().await;
    street
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_that_is_lost_is_asked_for_and_never_paid_twice(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("paid").with(Trouble::TimeoutAfter));
    let sent = settlement::submit_payouts(&street.app).await.unwrap();
    assert_eq!((sent.paid, sent.waiting), (0, 1));
    assert_eq!(street.payouts().await[0].1, PayoutStatus::Unknown);
    // Neither another submission nor an early question does anything.
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap(), Default::default());
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap(), Default::default());
    street.wait(2);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(lock(&street.world.payout).payments(), 1);
    assert_eq!(lock(&street.world.payout).paid_to(SHOP_ACCOUNT), 9_940);
    assert_eq!(street.balance(fenqi::ledger::Account::Bank).await, 10_000_000 - 9_940);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_sent_while_the_clock_ran_ahead_is_asked_about_once_it_is_right(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("paid").with(Trouble::TimeoutAfter));
    let now = street.app.clock.now();
    street.app.clock.set(now + TimeDelta::days(1));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().waiting, 1);
    street.app.clock.set(now);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(lock(&street.world.payout).payments(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_paid_while_the_clock_ran_ahead_is_asked_about_again_once_it_is_right(pool: PgPool) {
    let street = with_a_payout(pool).await;
    let now = street.app.clock.now();
    street.app.clock.set(now + TimeDelta::days(2));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
    street.app.clock.set(now);
    settlement::query_payouts(&street.app).await.unwrap();
    let asked: i64 =
        sqlx::query_scalar("select queries::bigint from payout").fetch_one(&street.app.pool).await.unwrap();
    assert_eq!(asked, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_are_told_once_of_a_payout_that_stays_unknown(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("paid").with(Trouble::TimeoutAfter));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().waiting, 1);
    let cut_off = house::with_partners(&street.app, &[]);
    for questions in 1..=QUERIES_BEFORE_NOTICE + 2 {
        street.wait(61);
        assert_eq!(settlement::query_payouts(&cut_off).await.unwrap().waiting, 1);
        let told = told_of_unknown(&street.app).await;
        assert_eq!(told, i64::from(questions >= QUERIES_BEFORE_NOTICE), "after {questions} questions");
    }
    street.wait(61);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().paid, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_never_heard_of_is_sent_again_under_its_key(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("paid").with(Trouble::TimeoutBefore));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().waiting, 1);
    street.wait(2);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().waiting, 1);
    let payouts = street.payouts().await;
    assert_eq!((payouts[0].1, payouts[0].2), (PayoutStatus::Created, 1));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(lock(&street.world.payout).payments(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_are_told_once_of_a_payout_that_the_channel_never_receives(pool: PgPool) {
    let street = with_a_payout(pool).await;
    for questions in 1..=QUERIES_BEFORE_NOTICE + 2 {
        street.script(Scripted::answer("paid").with(Trouble::TimeoutBefore));
        assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().waiting, 1);
        street.wait(2);
        assert_eq!(settlement::query_payouts(&street.app).await.unwrap().waiting, 1);
        assert_eq!(street.payouts().await[0].1, PayoutStatus::Created);
        assert_eq!(told_of_unknown(&street.app).await, i64::from(questions >= QUERIES_BEFORE_NOTICE), "{questions}");
    }
    // Another attempt is another matter.
    street.script(Scripted::answer("account_closed"));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().failed, 1);
    let payout_id = PayoutId::from_uuid(street.payouts().await[0].0);
    assert_eq!(settlement::retry_payout(&street.app, payout_id, "operator:li").await.unwrap(), Step::Applied);
    let asked = "select queries::bigint from payout";
    assert_eq!(sqlx::query_scalar::<_, i64>(asked).fetch_one(&street.app.pool).await.unwrap(), 0);
}

async fn told_of_unknown(app: &App) -> i64 {
    let told = "select count(*) from notice where kind = 'payout_still_unknown'";
    sqlx::query_scalar(told).fetch_one(&app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_failed_payout_is_retried_to_the_new_account(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("account_closed"));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().failed, 1);
    let notices: i64 = sqlx::query_scalar("select count(*) from notice where kind = 'payout_failed'")
        .fetch_one(&street.app.pool)
        .await
        .unwrap();
    assert_eq!(notices, 1);
    let unpaid = street.settlement("2026-03-02").await;
    assert_eq!(unpaid.status, settlement::payable::PayableStatus::ToPay);

    for changed_by in ["Li Na", "Wang Wei"] {
        let change = AccountChange {
            merchant_id: street.merchant_id,
            account_number: "6222021234567890123".into(),
            changed_by: changed_by.into(),
        };
        let _ = merchant::change_settlement_account(&street.app, &change).await.unwrap();
    }
    let payout_id = fenqi::base::id::PayoutId::from_uuid(street.payouts().await[0].0);
    assert_eq!(settlement::retry_payout(&street.app, payout_id, "operator:li").await.unwrap(), Step::Applied);
    assert_eq!(settlement::retry_payout(&street.app, payout_id, "operator:li").await.unwrap(), Step::AlreadyApplied);
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(street.payouts().await[0].2, 2);
    assert_eq!(lock(&street.world.payout).paid_to("6222021234567890123"), 9_940);
    let refused = settlement::retry_payout(&street.app, payout_id, "operator:li").await;
    assert!(matches!(refused, Err(Fault::Refused(PayoutRefusal::NotFailed { .. }))));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn payouts_without_a_result_are_listed_by_themselves_and_page_by_page(pool: PgPool) {
    let street = with_a_payout(pool.clone()).await;
    let fenqi = Program::on(&pool).await;
    let waits = fenqi.done(&["payout", "list", "--pending"]);
    assert!(waits.lines().count() == 1 && waits.contains("  created"), "{waits}");
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(fenqi.done(&["payout", "list", "--pending"]), "");

    let more = "insert into payout (payout_id, kind, source_id, beneficiary_id, amount_fen, status, pay_on, created_at)
                select gen_random_uuid(), kind, gen_random_uuid(), beneficiary_id, 1, 'created', pay_on, created_at
                from payout, generate_series(1, 501)";
    sqlx::query(more).execute(&pool).await.unwrap();
    let newest = fenqi.done(&["payout", "list", "--pending"]);
    assert_eq!(newest.lines().count(), 501);
    let (oldest, told) = (newest.lines().next().unwrap(), newest.lines().last().unwrap());
    let (payout_id, _) = oldest.split_once(' ').unwrap();
    assert_eq!(told, format!("there are older ones; the same with --before {payout_id} lists them"));
    let rest = fenqi.done(&["payout", "list", "--pending", "--before", payout_id]);
    assert!(rest.lines().count() == 1 && !newest.contains(rest.trim_end()), "{rest}");
    // An empty list would say that nothing waits.
    let mistaken = PayoutId::from_uuid(Uuid::from_u128(1)).to_string();
    let refused = fenqi.refused(&["payout", "list", "--pending", "--before", &mistaken]);
    assert!(refused.contains("there is no such payout; see `fenqi payout list`"), "{refused}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_operator_hears_of_a_failed_payout_and_sends_it_again_by_commands(pool: PgPool) {
    let street = with_a_payout(pool.clone()).await;
    street.script(Scripted::answer("account_closed"));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().failed, 1);

    let fenqi = Program::on(&pool).await;
    let payout_id = PayoutId::from_uuid(street.payouts().await[0].0).to_string();
    let told = fenqi.done(&["notices"]);
    assert!(told.lines().last().unwrap().contains("payout_failed") && told.contains(&payout_id), "{told}");
    assert!(fenqi.done(&["notices", "--since", "2026-03-02", "--json"]).contains(&payout_id));
    assert!(!fenqi.done(&["notices", "--since", "2026-03-20"]).contains("payout_failed"));
    let listed = fenqi.done(&["payout", "list", "--failed"]);
    assert!(listed.starts_with(&payout_id) && listed.contains("failed: account_closed"), "{listed}");

    let merchant_id = street.merchant_id.to_string();
    assert!(listed.contains(&format!("  settlement  {merchant_id}  99.40 yuan  ")), "whose account to mend: {listed}");
    let of = |merchant: &str| fenqi.done(&["payout", "list", "--failed", "--merchant", merchant]);
    assert_eq!(of(&merchant_id), listed);
    assert_eq!(of(&format!("mer_{}", "0".repeat(32))), "");
    let account = ["merchant", "set-account", &merchant_id, "--number", "6222021234567890123", "--by"];
    for _ in ["stated", "stated once more, which is nothing new"] {
        assert!(fenqi.done(&[&account[..], &["Li Na"]].concat()).contains("once somebody else states the same"));
    }
    // Whoever is to say the same sees that something waits, and whose word it is.
    let show = || fenqi.done(&["merchant", "show", &merchant_id]);
    let proposed = || -> serde_json::Value {
        let shown = fenqi.done(&["merchant", "show", &merchant_id, "--json"]);
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()["account_proposed"].clone()
    };
    assert!(show().contains("    proposed by Li Na: account ending in 0123\n"));
    assert_eq!(proposed(), serde_json::json!({ "account_tail": "0123", "by": "Li Na" }));
    assert!(fenqi.done(&[&account[..], &["Wang Wei"]].concat()).contains("that Li Na stated from now on"));
    assert!(!show().contains("proposed by"));
    assert_eq!(proposed(), serde_json::Value::Null);
    assert!(
        fenqi.refused(&["merchant", "set-account", &merchant_id, "--number", "1", "--by", "Li Na"]).contains("8 to 32")
    );
    fenqi.done(&["payout", "retry", &payout_id, "--by", "Li Na"]);
    let asked_for: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select max(occurred_at) from payout_event").fetch_one(&pool).await.unwrap();
    let today = fenqi::business_day::store::today(&mut pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(BusinessDay::at(asked_for), today, "the house's day, not the system's");
    assert_eq!(fenqi.done(&["payout", "list", "--failed"]), "");
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
    assert!(fenqi.done(&["payout", "list"]).contains("attempt 2  succeeded"));
    assert_eq!(lock(&street.world.payout).paid_to("6222021234567890123"), 9_940);
    assert!(fenqi.refused(&["payout", "retry", &payout_id, "--by", "Li Na"]).contains("only a payout that failed"));
    assert_eq!(house::did(&pool, "account_stated").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "account_changed").await, ["Wang Wei"]);
    assert_eq!(house::did(&pool, "payout_retried").await, ["Li Na"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_whose_number_does_not_open_is_shown_as_that_and_gives_way(pool: PgPool) {
    let street = street(pool.clone(), "2026-03-02").await;
    let fenqi = Program::on(&pool).await;
    let merchant_id = street.merchant_id.to_string();
    let account = ["merchant", "set-account", &merchant_id, "--number", "6222021234567890123", "--by"];
    let state = |by: &str| fenqi.done(&[&account[..], &[by]].concat());
    assert!(state("Li Na").contains("once somebody else states the same"));
    let cut_short = "update merchant set account_proposed_sealed = substr(account_proposed_sealed, 1, 9)";
    sqlx::query(cut_short).execute(&pool).await.unwrap();
    let shown = fenqi.done(&["merchant", "show", &merchant_id]);
    assert!(shown.contains("    proposed by Li Na: an account whose number does not open\n"), "{shown}");
    let shown: serde_json::Value =
        serde_json::from_str(&fenqi.done(&["merchant", "show", &merchant_id, "--json"])).unwrap();
    assert_eq!(shown["account_proposed"], serde_json::json!({ "account_tail": null, "by": "Li Na" }));
    // Two people state it anew.
    assert!(state("Wang Wei").contains("once somebody else states the same"));
    assert!(state("Li Na").contains("that Wang Wei stated from now on"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_is_booked_once_and_only_for_what_was_sent(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("slow"));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().waiting, 1);
    let payout_id = fenqi::base::id::PayoutId::from_uuid(street.payouts().await[0].0);
    let says = |reference: &str, fen: i64| PayoutAnswer {
        payout_id,
        answer: Answer {
            attempt_no: 1,
            amount: Some(Fen::new(fen)),
            word: Word::Succeeded { bank_reference: reference.into() },
        },
    };
    let wrong = settlement::take_callback(&street.app, says("BANK0000000001", 1)).await;
    assert!(matches!(wrong, Err(Fault::Refused(PayoutRefusal::AmountDiffers { .. }))));
    let right = || settlement::take_callback(&street.app, says("BANK0000000001", 9_940));
    assert_eq!(right().await.unwrap(), Step::Applied);
    assert_eq!(right().await.unwrap(), Step::AlreadyApplied);
    street.wait(5);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap(), Default::default());

    // Another reference for a payment that was made: nothing changes, a person is told.
    let _ = settlement::take_callback(&street.app, says("BANK0000000009", 9_940)).await.unwrap();
    let notices: i64 = sqlx::query_scalar("select count(*) from notice where kind = 'payout_contradiction'")
        .fetch_one(&street.app.pool)
        .await
        .unwrap();
    assert_eq!(notices, 1);
    assert_eq!(street.balance(fenqi::ledger::Account::Bank).await, 10_000_000 - 9_940);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_about_an_attempt_that_was_not_sent_is_not_believed(pool: PgPool) {
    let street = with_a_payout(pool).await;
    let payout_id = fenqi::base::id::PayoutId::from_uuid(street.payouts().await[0].0);
    let refused = async |attempt_no| {
        let word = Word::Succeeded { bank_reference: "BANK0000000001".into() };
        let answer = Answer { attempt_no, amount: Some(Fen::new(9_940)), word };
        let heard = settlement::take_callback(&street.app, PayoutAnswer { payout_id, answer }).await;
        assert!(matches!(heard, Err(Fault::Refused(PayoutRefusal::UnknownPayout))), "{heard:?}");
    };
    refused(1).await;
    // It is sent and paid all the same.
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
    refused(2).await;
    assert_eq!(lock(&street.world.payout).payments(), 1);
    assert_eq!(street.balance(fenqi::ledger::Account::Bank).await, 10_000_000 - 9_940);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payout_after_a_crash_is_asked_about_and_not_sent_as_new(pool: PgPool) {
    let street = with_a_payout(pool).await;
    // A node stands still between marking the payout and the call: what it has is too old to be sent.
    let mut standing = fenqi::database::begin(&street.app.pool).await.unwrap();
    sqlx::query("lock table payout_event in share mode").execute(&mut *standing).await.unwrap();
    let (sent, ()) = tokio::join!(settlement::submit_payouts(&street.app), async {
        house::until_somebody_waits(&street.app.pool).await;
        street.wait(1);
        standing.commit().await.unwrap();
    });
    assert_eq!((sent.unwrap(), lock(&street.world.payout).payments()), (Tally::default(), 0));
    assert_eq!(street.payouts().await[0].1, PayoutStatus::Submitted);
    // The node dies after it marked the payout and before the call: nobody ever answers.
    sqlx::query("update payout set status = 'submitted', query_at = $1")
        .bind(street.app.clock.now())
        .execute(&street.app.pool)
        .await
        .unwrap();
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap(), Default::default());
    // A node stands still while it asks: that the channel has not heard of it says nothing of what another node has sent since.
    let mut standing = fenqi::database::begin(&street.app.pool).await.unwrap();
    sqlx::query("lock table payout in exclusive mode").execute(&mut *standing).await.unwrap();
    let (asked, ()) = tokio::join!(settlement::query_payouts(&street.app), async {
        house::until_somebody_waits(&street.app.pool).await;
        street.wait(3);
        standing.commit().await.unwrap();
    });
    assert_eq!((asked.unwrap(), street.payouts().await[0].1), (Tally::default(), PayoutStatus::Submitted));
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().waiting, 1);
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(lock(&street.world.payout).payments(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_channel_that_is_down_leaves_payouts_to_be_sent(pool: PgPool) {
    let street = with_a_payout(pool).await;
    let cut_off = house::with_partners(&street.app, &[]);
    assert_eq!(settlement::submit_payouts(&cut_off).await.unwrap().waiting, 1);
    assert_eq!(street.payouts().await[0].1, PayoutStatus::Created);
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().paid, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_did_not_take_in_the_evening_leaves_minutes_later_and_not_in_the_morning(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.app.clock.set(street.today().await.instant("20:00:00".parse().unwrap()));
    let work = async |app: &App| {
        timetable::catch_up(app).await.unwrap();
        run_ready(app, "node").await.unwrap();
        street.payouts().await[0].1
    };
    assert_eq!(work(&house::with_partners(&street.app, &[])).await, PayoutStatus::Created);
    street.wait(10);
    assert_eq!(work(&street.app).await, PayoutStatus::Succeeded);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_that_the_channel_does_not_take_holds_up_no_other(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let app = &street.app;
    street.sell(10_000, 60, 0).await;
    street.close().await;
    let now = app.clock.now();
    let mut cards = Vec::new();
    for number in 0..4 {
        let borrower_id = BorrowerId::mint(now);
        let owed =
            owed(&street, Debt { borrower_id, line_id: LineId::mint(now), source_id: mint(now), card_id: None }).await;
        let mut connection = app.pool.acquire().await.unwrap();
        assert_eq!(settlement::insert_payouts(&mut connection, &[owed]).await.unwrap(), 1);
        let card = fenqi::demo::identity::card_number(number, 0);
        bind_card(app, borrower_id, card.reveal()).await;
        cards.push(card);
    }
    // As often as a call with it may be tried until it is alone.
    for _ in 0..4 {
        street.script(Scripted::answer("reject_call"));
    }
    let tally = settlement::submit_payouts(app).await.unwrap();
    assert_eq!((tally.paid, tally.failed), (4, 1));
    for card in &cards {
        assert_eq!(lock(&street.world.payout).paid_to(card.reveal()), 1_200);
    }
    let failure: String =
        sqlx::query_scalar("select failure from payout where status = 'failed' and kind = 'settlement'")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!(failure, "rejected: order_not_accepted");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_that_the_channel_refused_and_nobody_mended_is_found(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("account_closed"));
    assert_eq!(settlement::submit_payouts(&street.app).await.unwrap().failed, 1);
    let found = async |identity: &str| {
        let findings = fenqi::verify::verify(&street.app.pool).await.unwrap();
        findings.iter().filter(|finding| finding.identity.contains(identity)).count()
    };
    let pass_days = async || {
        sqlx::query("update business_day set today = today + 4").execute(&street.app.pool).await.unwrap();
        street.wait(4 * 24 * 60);
    };
    assert_eq!(found("the channel refused").await, 0);
    pass_days().await;
    assert_eq!(found("the channel refused").await, 1);
    // Sent again, it waits for the channel since then.
    let payout_id = PayoutId::from_uuid(street.payouts().await[0].0);
    assert_eq!(settlement::retry_payout(&street.app, payout_id, "operator:li").await.unwrap(), Step::Applied);
    assert_eq!((found("the channel refused").await, found("is pending for more").await), (0, 0));
    pass_days().await;
    assert_eq!(found("is pending for more").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn two_nodes_at_once_pay_each_settlement_once(pool: PgPool) {
    let street = with_a_payout(pool).await;
    let (first, second) =
        tokio::join!(settlement::submit_payouts(&street.app), settlement::submit_payouts(&street.app));
    assert_eq!(first.unwrap().paid + second.unwrap().paid, 1);
    assert_eq!(lock(&street.world.payout).payments(), 1);
    assert_eq!(lock(&street.world.payout).repeated(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_owed_back_goes_to_the_borrowers_default_card_once(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let (app, now) = (&street.app, street.app.clock.now());
    let borrower_id = BorrowerId::mint(now);
    let line_id = LineId::mint(now);
    let card_id = Some(CardId::mint(now));
    let owed = owed(&street, Debt { borrower_id, line_id, source_id: mint(now), card_id }).await;
    let mut connection = app.pool.acquire().await.unwrap();
    assert_eq!(settlement::insert_payouts(&mut connection, &[owed]).await.unwrap(), 1);
    let again = NewPayout { payout_id: PayoutId::mint(now), ..owed };
    assert_eq!(settlement::insert_payouts(&mut connection, &[again]).await.unwrap(), 0);

    // The person has no card yet: a person must look, and nothing is sent.
    assert_eq!(settlement::submit_payouts(app).await.unwrap().failed, 1);
    assert_eq!(lock(&street.world.payout).payments(), 0);
    bind_card(app, borrower_id, "6222021234567890128").await;
    assert_eq!(settlement::retry_payout(app, owed.payout_id, "operator:li").await.unwrap(), Step::Applied);
    assert_eq!(settlement::submit_payouts(app).await.unwrap().paid, 1);
    assert_eq!(lock(&street.world.payout).paid_to("6222021234567890128"), 1_200);
    assert_eq!(street.balance(fenqi::ledger::Account::BorrowerPayable).await, 1_200);
    let keyed_by: Uuid = sqlx::query_scalar("select line_id from posting where event = 'borrower_paid'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(keyed_by, line_id.uuid());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_may_still_arrive_is_not_given_up_when_its_card_is_gone(pool: PgPool) {
    let street = street(pool, "2026-03-02").await;
    let (app, now, number) = (&street.app, street.app.clock.now(), "6222021234567890128");
    let (borrower_id, repayment_id) = (BorrowerId::mint(now), RepaymentId::mint(now));
    let source_id = repayment_id.uuid();
    let owed = owed(&street, Debt { borrower_id, line_id: LineId::mint(now), source_id, card_id: None }).await;
    let mut connection = app.pool.acquire().await.unwrap();
    assert_eq!(settlement::insert_payouts(&mut connection, &[owed]).await.unwrap(), 1);

    // A node stands still after it has found no card: what it says then is nothing against what another node may have sent since.
    let mut standing = fenqi::database::begin(&app.pool).await.unwrap();
    assert!(fenqi::business_day::store::advance(&mut standing, owed.pay_on).await.unwrap());
    let (sent, ()) = tokio::join!(settlement::submit_payouts(app), async {
        house::until_somebody_waits(&app.pool).await;
        street.wait(3);
        standing.rollback().await.unwrap();
    });
    assert_eq!((sent.unwrap(), street.payouts().await[0].1), (Tally::default(), PayoutStatus::Submitted));
    assert_eq!(settlement::query_payouts(app).await.unwrap().waiting, 1);

    bind_card(app, borrower_id, number).await;
    let lost = Scripted::answer("paid").with(Trouble::TimeoutBefore);
    street.world.script("payout", Some(Matcher::new("account", number)), vec![lost]);
    assert_eq!(settlement::submit_payouts(app).await.unwrap().waiting, 1);
    sqlx::query("update bank_card set status = 'unbound', is_default = false").execute(&app.pool).await.unwrap();

    // The request may be on its way: it is asked about as long as it may arrive, and neither cancelled nor retried.
    let under_way = Cancelling::UnderWay { payout_id: owed.payout_id };
    for minutes in (2..=14).step_by(2) {
        street.wait(2);
        assert_eq!(settlement::query_payouts(app).await.unwrap().waiting, 1);
        let cancelled = payout_actions::cancel_left_over(&mut connection, repayment_id, now).await.unwrap();
        assert_eq!(cancelled, under_way, "after {minutes} minutes");
        let held_up = settlement::submit_payouts(app).await.unwrap();
        assert_eq!((held_up.waiting, held_up.failed), (1, 0), "after {minutes} minutes");
        let cancelled = payout_actions::cancel_left_over(&mut connection, repayment_id, now).await.unwrap();
        assert_eq!(cancelled, under_way, "after {minutes} minutes");
    }
    street.wait(2);
    assert_eq!(settlement::query_payouts(app).await.unwrap().waiting, 1);
    assert_eq!(settlement::submit_payouts(app).await.unwrap().failed, 1, "now the channel's word can be believed");
    let cancelled = payout_actions::cancel_left_over(&mut connection, repayment_id, now).await.unwrap();
    assert_eq!((cancelled, lock(&street.world.payout).payments()), (Cancelling::Cancelled, 0));
}

/// What somebody is owed, and for what.
struct Debt {
    borrower_id: BorrowerId,
    line_id: LineId,
    source_id: Uuid,
    /// The card that the money came from.
    card_id: Option<CardId>,
}

/// Twelve yuan that are owed back, to be paid on the street's day.
async fn owed(street: &Street, debt: Debt) -> NewPayout {
    let Debt { borrower_id, line_id, source_id, card_id } = debt;
    let created_at = street.app.clock.now();
    NewPayout {
        payout_id: PayoutId::mint(created_at),
        paid_for: PayoutFor::Borrower { source_id, line_id, funder_id: street.funder_id, borrower_id, card_id },
        amount: Fen::new(1_200),
        pay_on: street.today().await,
        created_at,
    }
}

async fn bind_card(app: &App, borrower_id: BorrowerId, number: &str) {
    let (key, key_sealed) = app.vault.new_person_key(borrower_id.uuid());
    sqlx::query(
        "insert into borrower (borrower_id, person_key_sealed, name_sealed, id_number_sealed, mobile_sealed, birth_on,
                               region_code, created_at)
         values ($1, $2, $3, '', '', '1990-01-01', '310101', $4)",
    )
    .bind(borrower_id)
    .bind(key_sealed)
    .bind(key.seal(Field::Name, "王小明"))
    .bind(app.clock.now())
    .execute(&app.pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                agreement_number, agreement_signed_at, status, is_default)
         values ($1, $2, $3, '', right($4, 4), '', 'A-1', $5, 'bound', true)",
    )
    .bind(borrower_id)
    .bind(CardId::mint(app.clock.now()))
    .bind(key.seal(Field::CardNumber, number))
    .bind(number)
    .bind(app.clock.now())
    .execute(&app.pool)
    .await
    .unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_went_back_to_a_card_is_not_paid_again_where_it_is_entered_again_after_a_restore(pool: PgPool) {
    let (shopper, world) = Shopper::open_in_world(pool).await;
    let app = &shopper.town.app;
    // Nothing is due, so that all of it goes back.
    let record = async |reference: &str| {
        let (line_id, amount) = (shopper.line_id, Fen::new(5_000));
        let transfer =
            Transfer { line_id, amount, bank_reference: reference.into(), received_on: None, operator: "Li Na".into() };
        repayment::record_transfer(app, &transfer).await.unwrap();
        settlement::submit_payouts(app).await.unwrap().paid
    };
    assert_eq!([record("T-1").await, record("T-2").await], [1, 1]);
    assert_eq!(lock(&world.payout).payments(), 2);
    // What a dump from between the two does not have.
    let restored = "delete from payout_event e using payout p, transfer_by_bank_reference t
                    where e.payout_id = p.payout_id and p.source_id = t.repayment_id and t.bank_reference = 'T-2';
                    delete from payout p using transfer_by_bank_reference t
                    where p.source_id = t.repayment_id and t.bank_reference = 'T-2';
                    delete from repayment r using transfer_by_bank_reference t
                    where r.repayment_id = t.repayment_id and t.bank_reference = 'T-2';
                    delete from transfer_by_bank_reference where bank_reference = 'T-2'";
    sqlx::raw_sql(restored).execute(&app.pool).await.unwrap();
    assert_eq!(record("T-2").await, 1);
    let bank = || {
        let bank = lock(&world.payout);
        (bank.payments(), bank.repeated())
    };
    assert_eq!(bank(), (2, 1));
    assert_eq!(record("T-3").await, 1);
    assert_eq!(lock(&world.payout).payments(), 3);
}
