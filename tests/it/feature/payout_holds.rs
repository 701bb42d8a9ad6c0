//! A merchant whose payouts are held is settled as ever and paid nothing, until two people release them; then it is paid once.

use fenqi::app::App;
use fenqi::base::BusinessDay;
use fenqi::base::id::PayoutId;
use fenqi::error::Step;
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Fault as Trouble, Scripted};
use fenqi::settlement::hold::HoldRefusal;
use fenqi::settlement::payable::PayableStatus;
use fenqi::settlement::payout_actions::Tally;
use fenqi::settlement::queue_store::{self, Claim};
use fenqi::settlement::{self, HoldStatement, Holding, PayoutStatus, Releasing, hold_store};
use fenqi::verify::store::{IDENTITIES, check};
use sqlx::PgPool;

use super::house_command::Program;
use super::payout::with_a_payout;
use super::settlement::Street;
use crate::house;
use crate::till::Till;
use crate::town::{SHOP_ACCOUNT, refused};

fn stated(street: &Street, by: &str) -> HoldStatement {
    HoldStatement { merchant_id: street.merchant_id, by: by.to_owned(), reason: "the goods never came".to_owned() }
}

async fn hold(street: &Street, on_their_way: usize) {
    let held = settlement::hold_payouts(&street.app, &stated(street, "Li Na")).await.unwrap();
    assert_eq!(held, Holding::Held { on_their_way });
}

async fn release(street: &Street) {
    assert_eq!(release_by(street, "Li Na").await, Releasing::Stated);
    assert_eq!(release_by(street, "Wang Wei").await, Releasing::Released { stated_by: "Li Na".to_owned() });
}

async fn release_by(street: &Street, by: &str) -> Releasing {
    settlement::release_payouts(&street.app, &stated(street, by)).await.unwrap()
}

async fn submit(app: &App) -> Tally {
    settlement::submit_payouts(app).await.unwrap()
}

async fn status(street: &Street) -> PayoutStatus {
    street.payouts().await[0].1
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_held_is_settled_and_paid_once_two_people_have_released_it(pool: PgPool) {
    let street = with_a_payout(pool).await;
    hold(&street, 0).await;
    let other_node = house::with_connections(&street.app, 4).await;
    assert_eq!(submit(&street.app).await, Tally::default());
    assert_eq!(submit(&other_node).await, Tally::default());
    // The merchant goes on to sell, and its day is settled as ever.
    street.sell(5_000, 30, 0).await;
    street.close().await;
    assert_eq!(submit(&street.app).await, Tally::default());
    for day in ["2026-03-02", "2026-03-03"] {
        assert_eq!(street.settlement(day).await.status, PayableStatus::ToPay);
    }
    assert_eq!(lock(&street.world.payout).payments(), 0);

    // One person alone lets nothing out, however often the same is said, and whoever holds anew takes it back.
    assert_eq!(release_by(&street, "Li Na").await, Releasing::Stated);
    assert_eq!(release_by(&street, "li  na").await, Releasing::Stated);
    assert_eq!(submit(&street.app).await, Tally::default());
    let again = settlement::hold_payouts(&street.app, &stated(&street, "Zhao Min")).await.unwrap();
    assert_eq!(again, Holding::AlreadyHeld { held_by: "Li Na".to_owned() });
    assert_eq!(release_by(&street, "Wang Wei").await, Releasing::Stated);
    assert_eq!(submit(&street.app).await, Tally::default());
    let released = release_by(&street, "Li Na").await;
    assert_eq!(released, Releasing::Released { stated_by: "Wang Wei".to_owned() });

    let (one, other) = tokio::join!(submit(&street.app), submit(&other_node));
    assert_eq!(one.paid + other.paid, 2);
    assert_eq!(submit(&street.app).await, Tally::default());
    assert_eq!(lock(&street.world.payout).payments(), 2);
    assert_eq!(lock(&street.world.payout).paid_to(SHOP_ACCOUNT), 9_940 + 4_970);
    let not_held = settlement::release_payouts(&street.app, &stated(&street, "Li Na")).await;
    assert_eq!(refused(not_held), HoldRefusal::NotHeld);
    other_node.pool.close().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_failed_and_is_retried_waits_for_the_release_too(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("account_closed"));
    assert_eq!(submit(&street.app).await.failed, 1);
    hold(&street, 0).await;
    let payout_id = PayoutId::from_uuid(street.payouts().await[0].0);
    assert_eq!(settlement::retry_payout(&street.app, payout_id, "Li Na").await.unwrap(), Step::Applied);
    assert_eq!(submit(&street.app).await, Tally::default());
    release(&street).await;
    assert_eq!(submit(&street.app).await.paid, 1);
    assert_eq!(lock(&street.world.payout).paid_to(SHOP_ACCOUNT), 9_940);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_on_its_way_is_finished(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("paid").with(Trouble::TimeoutAfter));
    assert_eq!(submit(&street.app).await.waiting, 1);
    hold(&street, 1).await;
    street.wait(2);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().paid, 1);
    assert_eq!(lock(&street.world.payout).payments(), 1);
    assert_eq!(street.settlement("2026-03-02").await.status, PayableStatus::Paid);
}

/// The channel has not received it, but the request may still arrive for a quarter of an hour.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_did_not_arrive_is_asked_about_until_it_cannot_and_is_then_held(pool: PgPool) {
    let street = with_a_payout(pool).await;
    street.script(Scripted::answer("paid").with(Trouble::TimeoutBefore));
    assert_eq!(submit(&street.app).await.waiting, 1);
    street.wait(2);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().waiting, 1);
    assert_eq!(status(&street).await, PayoutStatus::Created);
    hold(&street, 1).await;
    assert_eq!(status(&street).await, PayoutStatus::Unknown);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().waiting, 1);
    assert_eq!(status(&street).await, PayoutStatus::Unknown);
    street.wait(20);
    assert_eq!(settlement::query_payouts(&street.app).await.unwrap().waiting, 1);
    assert_eq!(status(&street).await, PayoutStatus::Created);
    assert_eq!(submit(&street.app).await, Tally::default());
    release(&street).await;
    assert_eq!(submit(&street.app).await.paid, 1);
    assert_eq!((street.payouts().await[0].2, lock(&street.world.payout).payments()), (1, 1));
}

/// A node that is claiming payouts at that moment is waited for, so that whoever holds is told what has left.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_hold_in_the_moment_of_sending_waits_and_tells_what_has_left(pool: PgPool) {
    let street = with_a_payout(pool).await;
    let mut sending = fenqi::database::begin(&street.app.pool).await.unwrap();
    hold_store::keep_holds_out(&mut sending).await.unwrap();
    let now = street.app.clock.now();
    let claim = Claim { today: street.today().await, now, query_at: now, limit: 10 };
    assert_eq!(queue_store::claim_to_submit(&mut sending, claim).await.unwrap().len(), 1);
    let (app, held) = (street.app.clone(), stated(&street, "Li Na"));
    let holding = tokio::spawn(async move { settlement::hold_payouts(&app, &held).await });
    house::until_somebody_waits(&street.app.pool).await;
    sending.commit().await.unwrap();
    assert_eq!(holding.await.unwrap().unwrap(), Holding::Held { on_their_way: 1 });
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn payouts_that_are_to_be_sent_while_somebody_holds_them_stay(pool: PgPool) {
    let street = with_a_payout(pool).await;
    let mut holding = fenqi::database::begin(&street.app.pool).await.unwrap();
    hold_store::insert_hold(&mut holding, &stated(&street, "Li Na"), street.app.clock.now()).await.unwrap();
    let app = street.app.clone();
    let sending = tokio::spawn(async move { submit(&app).await });
    house::until_somebody_waits(&street.app.pool).await;
    holding.commit().await.unwrap();
    assert_eq!(sending.await.unwrap(), Tally::default());
    assert_eq!(lock(&street.world.payout).payments(), 0);
}

/// What one identity finds when it is `today`.
async fn found(street: &Street, sentence: &str, today: &str) -> Vec<i64> {
    let today: BusinessDay = today.parse().unwrap();
    street.app.clock.set(today.instant("10:00:00".parse().unwrap()));
    let mut connection = street.app.pool.acquire().await.unwrap();
    sqlx::query("update business_day set today = $1").bind(today).execute(&mut *connection).await.unwrap();
    let identity = IDENTITIES.iter().find(|identity| identity.sentence == sentence).unwrap();
    let findings = check(&mut connection, identity, &mut None).await.unwrap();
    findings.iter().map(|finding| finding.found).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_held_is_not_late_until_the_hold_itself_is(pool: PgPool) {
    const PENDING: &str = "no order to collect or pay is pending for more than three days";
    const HELD: &str = "no merchant's payouts are held for more than thirty days";
    let street = with_a_payout(pool.clone()).await;
    hold(&street, 0).await;
    assert_eq!(found(&street, PENDING, "2026-03-10").await, [0; 0]);
    // One that is on its way is late, hold or not.
    sqlx::query("update payout set status = 'unknown'").execute(&pool).await.unwrap();
    assert_eq!(found(&street, PENDING, "2026-03-10").await, [7]);
    sqlx::query("update payout set status = 'created'").execute(&pool).await.unwrap();
    assert_eq!(found(&street, HELD, "2026-04-02").await, [0; 0]);
    assert_eq!(found(&street, HELD, "2026-04-03").await, [31]);
    release(&street).await;
    assert_eq!(found(&street, HELD, "2026-04-03").await, [0; 0]);
    // It is to be sent within three days from the release.
    assert_eq!(found(&street, PENDING, "2026-04-06").await, [0; 0]);
    assert_eq!(found(&street, PENDING, "2026-04-07").await, [4]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hold_and_release_by_commands_and_see_what_is_held(pool: PgPool) {
    let street = with_a_payout(pool.clone()).await;
    let fenqi = Program::on(&pool).await;
    let merchant = street.merchant_id.to_string();
    let say = |command: &str, by: &str| {
        fenqi.done(&["merchant", command, &merchant, "--by", by, "--reason", "the goods never came"])
    };
    assert_eq!(fenqi.done(&["merchant", "list", "--held"]), "no merchant has its payouts held\n");
    let held = say("hold-payouts", "Li Na");
    assert_eq!(held, format!("{merchant} is paid nothing until two people release its payouts\n"));
    assert!(fenqi.done(&["merchant", "list", "--held"]).starts_with(&merchant));
    let listed = fenqi.done(&["payout", "list", "--held"]);
    assert!(
        listed.contains("  created  held with its merchant's payouts\n") && listed.lines().count() == 1,
        "{listed}"
    );
    let show = || fenqi.done(&["merchant", "show", &merchant]);
    assert!(show().contains(" by Li Na: the goods never came\n"), "{}", show());

    assert!(say("release-payouts", "Li Na").contains("are held until somebody else states their release as well"));
    assert!(fenqi.done(&["merchant", "list", "--proposed"]).starts_with(&merchant));
    let shown: serde_json::Value =
        serde_json::from_str(&fenqi.done(&["merchant", "show", &merchant, "--json"])).unwrap();
    assert_eq!(shown["payouts_held"]["release_stated_by"], "Li Na");
    assert!(show().contains("    their release is stated by Li Na\n"), "{}", show());
    assert!(say("release-payouts", "Wang Wei").contains("is paid again with the next payouts, as Li Na stated"));
    assert_eq!(fenqi.done(&["payout", "list", "--held"]), "");
    let arguments = ["merchant", "release-payouts", &merchant, "--by", "Li Na", "--reason", "once more"];
    assert!(fenqi.refused(&arguments).contains("the merchant's payouts are not held; see `fenqi merchant list`"));
    for (action, by) in [("payouts_held", "Li Na"), ("release_stated", "Li Na"), ("payouts_released", "Wang Wei")] {
        assert_eq!(house::did(&pool, action).await, [by], "{action}");
    }

    // What is on its way already, and what is retried meanwhile, is told as that.
    street.script(Scripted::answer("account_closed"));
    assert_eq!(submit(&street.app).await.failed, 1);
    let payout = PayoutId::from_uuid(street.payouts().await[0].0).to_string();
    say("hold-payouts", "Li Na");
    let retried = fenqi.done(&["payout", "retry", &payout, "--by", "Li Na"]);
    assert_eq!(retried, format!("{payout} is sent again once its merchant's payouts are released\n"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_merchant_reads_that_its_payouts_are_held_and_the_books_are_whole(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, ("harbour-standard", 12)).await;
    let statement = |by: &str| HoldStatement {
        merchant_id: till.town.merchant_id,
        by: by.to_owned(),
        reason: "the goods never came".to_owned(),
    };
    let [li_na, wang_wei] = ["Li Na", "Wang Wei"].map(statement);
    let _ = settlement::hold_payouts(&till.town.app, &li_na).await.unwrap();
    let open = till.browser.get("/m/settlements/2026-03-02").await;
    open.shows("Today, still open").shows("We hold back what is to be paid").hides("Expected on");
    till.live_until("2026-03-05").await;
    till.town.assert_whole("while payouts are held").await;
    let held = till.browser.get("/m/settlements/2026-03-02").await;
    held.shows("Held back").shows("It stays due to you").hides("Expected on").hides("Later than expected");
    held.hides("goods never came").hides("See your settlement account");
    till.browser.get("/m/settlements").await.shows("We hold back what is to be paid").shows("Held back");
    let told = till.browser.get("/m/messages").await;
    told.shows("is held back from now on").shows("href=\"/m/settlements\"").hides("goods never came");
    till.browser.language = "zh-CN";
    till.browser.get("/m/settlements/2026-03-02").await.shows("暂停打款").shows("暂时停止向您打款");
    till.browser.language = "en";

    let _ = settlement::release_payouts(&till.town.app, &li_na).await.unwrap();
    let _ = settlement::release_payouts(&till.town.app, &wang_wei).await.unwrap();
    till.live_until("2026-03-06").await;
    till.town.assert_whole("after the release").await;
    till.browser.get("/m/settlements/2026-03-02").await.shows("Paid on").shows("5 March 2026").hides("Held back");
    till.browser.get("/m/settlements").await.hides("We hold back");
    till.browser.get("/m/messages").await.shows("You are paid again");
    assert_eq!(lock(&till.world.payout).paid_to(SHOP_ACCOUNT), 119_280);
}
