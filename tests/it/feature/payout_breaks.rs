//! If a channel contradicts its earlier answer about a payout, nothing is paid until two people have stated the outcome, and nobody is
//! paid twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::base::Fen;
use fenqi::base::id::PayoutId;
use fenqi::error::{Fault, Step};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Fault as Trouble, Matcher, Scripted, World};
use fenqi::settlement::payout::{Answer, PayoutRefusal, Word};
use fenqi::settlement::payout_actions::{self, PayoutAnswer, Tally};
use fenqi::settlement::{self, Ending, Settling};
use sqlx::PgPool;

use super::house_command::Program;
use crate::house;
use crate::town::{self, LineWish, SHOP_ACCOUNT, Town};

/// A town with one payout, its shop's, which the channel answered so; and that payout.
async fn paid_once(pool: PgPool, scripted: Scripted) -> (Town, Arc<World>, PayoutId) {
    let (app, world) = house::open_in_world(pool, "2026-03-02").await;
    let town = town::found(app, 10_000_000).await;
    let wish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2029-03-02" };
    let lines = town.open_lines(1, wish).await;
    town.buy(vec![town.wish(lines[0], "phone", 120_000, ("harbour-standard", 3))]).await;
    town.live_until("2026-03-03").await;
    world.script("payout", Some(Matcher::new("account", SHOP_ACCOUNT)), vec![scripted]);
    settlement::submit_payouts(&town.app).await.unwrap();
    let payout_id = sqlx::query_scalar("select payout_id from payout").fetch_one(&town.app.pool).await.unwrap();
    (town, world, PayoutId::from_uuid(payout_id))
}

fn paid(reference: &str) -> Word {
    Word::Succeeded { bank_reference: reference.into() }
}

fn returned() -> Word {
    Word::Failed { failure: "returned".into() }
}

/// The channel calls back about the first attempt; nothing is booked on it.
async fn hear(town: &Town, payout_id: PayoutId, word: Word) {
    hear_of(town, payout_id, 1, word).await;
}

async fn hear_of(town: &Town, payout_id: PayoutId, attempt_no: i16, word: Word) {
    let answer = Answer { attempt_no, amount: None, word };
    let heard = settlement::take_callback(&town.app, PayoutAnswer { payout_id, answer }).await;
    assert_eq!(heard.unwrap(), Step::AlreadyApplied);
}

/// What stands on the payout: its status and the kind of break, or `-`.
async fn standing(town: &Town) -> String {
    let standing = "select status || ' ' || coalesce(contradiction, '-') from payout";
    sqlx::query_scalar(standing).fetch_one(&town.app.pool).await.unwrap()
}

async fn settle_by_two(town: &Town, payout_id: PayoutId, ending: &Ending) {
    let settle = async |by: &str| settlement::settle_payout(&town.app, payout_id, ending.clone(), by).await;
    assert_eq!(settle("Li Na").await.unwrap(), Settling::Proposed);
    let own = settle("li na").await;
    assert!(matches!(own, Err(Fault::Refused(PayoutRefusal::OwnProposal))), "{own:?}");
    assert_eq!(settle("Wang Wei").await.unwrap(), Settling::Confirmed { proposed_by: "Li Na".into() });
}

async fn send_second_attempt(town: &Town, world: &Arc<World>, payout_id: PayoutId, scripted: Scripted) -> Tally {
    assert_eq!(settlement::retry_payout(&town.app, payout_id, "Li Na").await.unwrap(), Step::Applied);
    world.script("payout", Some(Matcher::new("account", SHOP_ACCOUNT)), vec![scripted]);
    settlement::submit_payouts(&town.app).await.unwrap()
}

/// 120,000 less the shop's fee, as it left or did not leave the bank.
const PAID: &str = "select coalesce(sum(case when leg.credit = 101 then leg.fen else -leg.fen end), 0)::bigint
                    from posting cross join lateral unnest(debit, credit, amount_fen) as leg(debit, credit, fen)
                    where event in ('settlement_paid', 'payout_reversed') and 101 in (leg.debit, leg.credit)";
const NOTICES: &str = "select count(*) from notice where kind = 'payout_contradiction'";

/// The channel says that the first attempt was paid, over another amount.
fn another_was_paid() -> Answer {
    Answer { attempt_no: 1, amount: Some(Fen::new(1)), word: paid("BANK0000000007") }
}

/// The channel calls back about it; it is not believed.
async fn hear_of_another_amount(town: &Town, payout_id: PayoutId) {
    let called_back = PayoutAnswer { payout_id, answer: another_was_paid() };
    let refused = settlement::take_callback(&town.app, called_back).await;
    assert!(matches!(refused, Err(Fault::Refused(PayoutRefusal::AmountDiffers { .. }))), "{refused:?}");
}

async fn contradict(town: &Town, payout_id: PayoutId) {
    hear(town, payout_id, paid("BANK0000000007")).await;
    assert_eq!(town.fen(NOTICES).await, 1);
}

async fn assert_held_back(town: &Town, world: &Arc<World>, payout_id: PayoutId) {
    let refused = settlement::retry_payout(&town.app, payout_id, "Li Na").await;
    assert!(matches!(refused, Err(Fault::Refused(PayoutRefusal::Contradicted))), "{refused:?}");
    assert_eq!(settlement::submit_payouts(&town.app).await.unwrap(), Tally::default());
    assert_eq!(lock(&world.payout).payments(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_failed_and_then_was_paid_is_not_retried(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    contradict(&town, payout_id).await;
    assert_held_back(&town, &world, payout_id).await;
    // The same again is not told again.
    contradict(&town, payout_id).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_payment_of_an_attempt_that_is_to_be_settled_already_is_told_too(pool: PgPool) {
    let (town, _world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    contradict(&town, payout_id).await;
    let settle = async |by: &str| {
        let ending = Ending::Paid { bank_reference: "BANK0000000007".into() };
        settlement::settle_payout(&town.app, payout_id, ending, by).await.unwrap()
    };
    assert_eq!(settle("Li Na").await, Settling::Proposed);
    for _ in 0..2 {
        hear(&town, payout_id, paid("BANK0000000008")).await;
        assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("failed we_failed_they_succeeded", 2));
    }
    // Whoever has said which payment stays did not know of the other one.
    assert_eq!(settle("Wang Wei").await, Settling::Proposed);
    assert_eq!(settle("Li Na").await, Settling::Confirmed { proposed_by: "Wang Wei".into() });
    hear(&town, payout_id, paid("BANK0000000008")).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded -", 2));
    town.assert_whole("after one of two payments came back").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_retried_is_not_sent_once_its_first_attempt_was_paid(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    assert_eq!(settlement::retry_payout(&town.app, payout_id, "Li Na").await.unwrap(), Step::Applied);
    contradict(&town, payout_id).await;
    assert_held_back(&town, &world, payout_id).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_failed_and_then_was_paid_over_another_amount_is_not_retried(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    hear_of_another_amount(&town, payout_id).await;
    assert_held_back(&town, &world, payout_id).await;
    // It goes on saying so after the bank has taken that payment back, and holds nothing up by it any more.
    settle_by_two(&town, payout_id, &Ending::Failed).await;
    hear_of_another_amount(&town, payout_id).await;
    assert_eq!(standing(&town).await, "failed -");
    assert_eq!(send_second_attempt(&town, &world, payout_id, Scripted::answer("paid")).await.paid, 1);
    hear_of_another_amount(&town, payout_id).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded -", 1));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_contradicted_payout_that_was_paid_is_booked_by_two_operators(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool.clone(), Scripted::answer("account_closed")).await;
    assert_eq!(settlement::retry_payout(&town.app, payout_id, "Li Na").await.unwrap(), Step::Applied);
    contradict(&town, payout_id).await;
    let fenqi = Program::on(&pool).await;
    let id = payout_id.to_string();
    let listed = fenqi.done(&["payout", "list", "--contradicted"]);
    let found = "attempt 1 contradicted: we_failed_they_succeeded, 0 days; paid by the channel; nobody has settled it";
    assert!(listed.starts_with(&id) && listed.contains(found), "{listed}");
    let paid = ["payout", "settle", id.as_str(), "--paid", "BANK0000000007", "--by"];
    let proposed = fenqi.done(&[&paid[..], &["Li Na"]].concat());
    assert!(proposed.contains("once somebody else says the same"), "{proposed}");
    assert!(fenqi.done(&["payout", "list"]).contains("paid under BANK0000000007, says Li Na"));
    assert!(
        fenqi.refused(&[&paid[..], &["li  na"]].concat()).contains("the person who said it first cannot confirm it")
    );
    assert!(fenqi.refused(&[&paid[..], &[" "]].concat()).contains("a name is needed"));
    assert_eq!(town.fen("select count(*) from settlement where status = 'paid'").await, 0);

    let confirmed = fenqi.done(&[&paid[..], &["Wang Wei"]].concat());
    assert!(confirmed.contains("is settled: paid under BANK0000000007"), "{confirmed}");
    assert_eq!(house::did(&pool, "payout_ending_stated").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "payout_settled").await, ["Wang Wei"]);
    assert_eq!(fenqi.done(&["payout", "list", "--contradicted"]), "");
    let booked = "select count(*) from settlement where status = 'paid' and bank_reference = 'BANK0000000007'";
    assert_eq!(town.fen(booked).await, 1);
    assert_eq!(town.fen("select count(*) from notice where kind = 'settlement_paid'").await, 1);
    town.assert_whole("after two people said that it was paid").await;

    // What the channel says again is what is booked now.
    contradict(&town, payout_id).await;
    let refused = settlement::settle_payout(&town.app, payout_id, Ending::Failed, "Li Na").await;
    assert!(matches!(refused, Err(Fault::Refused(PayoutRefusal::NotContradicted))), "{refused:?}");
    assert_eq!(settlement::submit_payouts(&town.app).await.unwrap(), Tally::default());
    assert_eq!(lock(&world.payout).payments(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_first_attempt_that_people_have_booked_as_paid_and_that_comes_back_is_owed_again(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    assert_eq!(settlement::retry_payout(&town.app, payout_id, "Li Na").await.unwrap(), Step::Applied);
    contradict(&town, payout_id).await;
    settle_by_two(&town, payout_id, &Ending::Paid { bank_reference: "BANK0000000007".into() }).await;
    assert_eq!(town.fen(PAID).await, town.fen("select payable_fen from settlement").await);
    // Days later the bank sends it back.
    hear(&town, payout_id, returned()).await;
    assert_eq!(standing(&town).await, "succeeded we_succeeded_they_failed");
    assert_eq!(town.fen(NOTICES).await, 2);
    settle_by_two(&town, payout_id, &Ending::Failed).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(PAID).await), ("failed -", 0));
    town.assert_whole("after what people had booked came back").await;
    assert_eq!(send_second_attempt(&town, &world, payout_id, Scripted::answer("paid")).await.paid, 1);
    assert_eq!(town.fen("select attempt_no::bigint from payout").await, 3);
    // What is booked now is another payment.
    hear(&town, payout_id, returned()).await;
    assert_eq!(standing(&town).await, "succeeded -");
    town.assert_whole("after it was paid again").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_people_have_booked_as_paid_is_asked_about_again_as_well(pool: PgPool) {
    let (town, _world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    contradict(&town, payout_id).await;
    settle_by_two(&town, payout_id, &Ending::Paid { bank_reference: "BANK0000000007".into() }).await;
    // The bank has sent it back, and the callback that tells of it is lost.
    town.live_until("2026-03-05").await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded we_succeeded_they_failed", 2));
    town.assert_whole("while a payment that people have booked is denied").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_channel_says_of_a_cancelled_payout_is_told_once(pool: PgPool) {
    let (town, _world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    // As by a transfer that is taken back.
    sqlx::raw_sql(
        "update payout set status = 'cancelled', failure = null;
         insert into payout_event (payout_id, attempt_no, status, occurred_at)
         select payout_id, attempt_no, status, now() from payout",
    )
    .execute(&town.app.pool)
    .await
    .unwrap();
    contradict(&town, payout_id).await;
    let mut connection = town.app.pool.acquire().await.unwrap();
    let today = town.today().await;
    assert!(fenqi::business_day::store::advance(&mut connection, today).await.unwrap());
    contradict(&town, payout_id).await;
    assert_eq!(standing(&town).await, "cancelled -");
    // Another payment is news.
    hear(&town, payout_id, paid("BANK0000000008")).await;
    assert_eq!(town.fen(NOTICES).await, 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_contradicted_payout_that_was_not_paid_is_retried_and_paid_once(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    assert_eq!(settlement::retry_payout(&town.app, payout_id, "Li Na").await.unwrap(), Step::Applied);
    contradict(&town, payout_id).await;
    let settle = async |by: &str| settlement::settle_payout(&town.app, payout_id, Ending::Failed, by).await;
    assert_eq!(settle("Li Na").await.unwrap(), Settling::Proposed);
    let own = settle("Li Na").await;
    assert!(matches!(own, Err(Fault::Refused(PayoutRefusal::OwnProposal))), "{own:?}");
    assert_eq!(settle("Wang Wei").await.unwrap(), Settling::Confirmed { proposed_by: "Li Na".into() });
    town.assert_whole("after two people said that it was not paid").await;

    // It is sent only when it is asked for.
    assert_eq!(settlement::submit_payouts(&town.app).await.unwrap(), Tally::default());
    assert_eq!(settlement::retry_payout(&town.app, payout_id, "Li Na").await.unwrap(), Step::Applied);
    assert_eq!(settlement::submit_payouts(&town.app).await.unwrap().paid, 1);
    assert_eq!(town.fen("select attempt_no::bigint from payout").await, 3);
    assert_eq!(lock(&world.payout).payments(), 1);
    town.assert_whole("after it was paid").await;
    let told = "select count(*) from payout_event where status in ('contradicted', 'settling_proposed', 'settled')";
    assert_eq!(town.fen(told).await, 3);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_unknown_payout_over_another_amount_is_held_back_and_ended_by_two_people(pool: PgPool) {
    let lost = Scripted::answer("paid").with(Trouble::TimeoutBefore);
    let (town, world, payout_id) = paid_once(pool, lost).await;
    let heard = BTreeMap::from([(payout_id, another_was_paid())]);
    for _ in 0..2 {
        assert_eq!(payout_actions::learn(&town.app, &heard).await.unwrap().unchanged, 1);
    }
    assert_eq!(town.fen(NOTICES).await, 1);
    assert_eq!(town.fen("select count(*) from payout where status = 'unknown'").await, 1);
    // The channel has it no more, but it may have paid: it is not sent again.
    town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(settlement::query_payouts(&town.app).await.unwrap().waiting, 1);
    assert_held_back(&town, &world, payout_id).await;

    let under = |reference: &str| Ending::Paid { bank_reference: reference.into() };
    let settle = async |ending: Ending, by: &str| settlement::settle_payout(&town.app, payout_id, ending, by).await;
    let nothing = settle(under(" "), "Li Na").await;
    assert!(matches!(nothing, Err(Fault::Refused(PayoutRefusal::ReferenceMissing))), "{nothing:?}");
    assert_eq!(settle(Ending::Failed, "Li Na").await.unwrap(), Settling::Proposed);
    // Another word is no confirmation.
    assert_eq!(settle(under("BANK0000000007"), "Wang Wei").await.unwrap(), Settling::Proposed);
    let confirmed = settle(under("BANK0000000007"), "Li Na").await.unwrap();
    assert_eq!(confirmed, Settling::Confirmed { proposed_by: "Wang Wei".into() });
    assert_eq!(town.fen("select count(*) from payout where status = 'succeeded'").await, 1);
    town.assert_whole("after two people said that all of it was paid").await;
    // The same again is what they have settled; over another amount still it is not.
    hear_of_another_amount(&town, payout_id).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded -", 1));
    let less = Answer { amount: Some(Fen::new(2)), ..another_was_paid() };
    payout_actions::learn(&town.app, &BTreeMap::from([(payout_id, less)])).await.unwrap();
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded amount_differs", 2));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_booked_and_is_denied_is_taken_back_by_two_people_and_paid_once_under_a_new_key(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool.clone(), Scripted::answer("denied")).await;
    let payable = town.fen("select payable_fen from settlement").await;
    // No call comes; but the channel is asked again the day after. A week later it is still to be settled.
    town.live_until("2026-03-11").await;
    assert_eq!(standing(&town).await, "succeeded we_succeeded_they_failed");
    for _ in 0..2 {
        hear(&town, payout_id, returned()).await;
        assert_eq!(town.fen(NOTICES).await, 1, "the same again is not told again");
    }
    assert_eq!(standing(&town).await, "succeeded we_succeeded_they_failed");
    assert_eq!(town.fen(PAID).await, payable, "nothing is booked on the channel's word alone");
    assert_held_back(&town, &world, payout_id).await;
    town.assert_whole("while a payment is denied").await;
    let fenqi = Program::on(&pool).await;
    let listed = fenqi.done(&["payout", "list", "--contradicted"]);
    let found =
        "attempt 1 contradicted: we_succeeded_they_failed, 7 days; failed by the channel; nobody has settled it";
    assert!(listed.contains(found), "{listed}");
    let listed = fenqi.done(&["payout", "list", "--contradicted", "--json"]);
    assert!(listed.contains(r#""proposed":"failed""#) && listed.contains(r#""age_days":7"#), "{listed}");

    settle_by_two(&town, payout_id, &Ending::Failed).await;
    assert_eq!(standing(&town).await, "failed -");
    assert_eq!(town.fen(PAID).await, 0);
    let corrected = "select count(*) from posting r join posting p on p.posting_id = r.corrects
                     where r.event = 'payout_reversed' and p.event = 'settlement_paid' and p.source_id = r.source_id
                       and r.amount_fen = p.amount_fen and r.debit = p.credit and r.credit = p.debit";
    assert_eq!(town.fen(corrected).await, 1);
    assert_eq!(town.fen("select count(*) from settlement where status = 'to_pay' and paid_on is null").await, 1);
    assert_eq!(town.fen("select count(*) from notice where kind = 'settlement_reversed'").await, 1);
    assert_eq!(town.fen("select count(*) from outbox where kind = 'settlement_reversed'").await, 1);
    crate::journey::told_as_documented(&town.app.pool).await;
    town.assert_whole("after the payment was taken back").await;

    // It goes out only when it is asked for, under a new key.
    assert_eq!(settlement::submit_payouts(&town.app).await.unwrap(), Tally::default());
    let sent = send_second_attempt(&town, &world, payout_id, Scripted::answer("paid")).await;
    assert_eq!((sent.paid, town.fen("select attempt_no::bigint from payout").await), (1, 2));
    assert_eq!(lock(&world.payout).payments(), 1);
    assert_eq!(town.fen(PAID).await, payable);
    town.assert_whole("after it was paid again").await;

    // Denied once more it is what was settled; paid after all, it was paid twice, and somebody must get one back.
    hear(&town, payout_id, returned()).await;
    assert_eq!(standing(&town).await, "succeeded -");
    hear(&town, payout_id, paid("BANK0000000001")).await;
    assert_eq!(standing(&town).await, "succeeded named_twice");
    settle_by_two(&town, payout_id, &Ending::Paid { bank_reference: "BANK0000000002".into() }).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(PAID).await), ("succeeded -", payable));
    town.live_until("2026-03-14").await;
    town.assert_whole("after days and their files").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_attempt_that_was_paid_beside_the_booked_one_stands_until_people_have_settled_it(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool.clone(), Scripted::answer("account_closed")).await;
    let lost = Scripted::answer("paid").with(Trouble::TimeoutAfter);
    assert_eq!(send_second_attempt(&town, &world, payout_id, lost).await.waiting, 1);
    hear(&town, payout_id, paid("BANK0000000009")).await;
    let early = settlement::settle_payout(&town.app, payout_id, Ending::Failed, "Li Na").await;
    assert!(matches!(early, Err(Fault::Refused(PayoutRefusal::UnderWay { attempt_no: 2 }))), "{early:?}");
    town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(settlement::query_payouts(&town.app).await.unwrap().paid, 1);
    assert_eq!(standing(&town).await, "succeeded named_twice");
    let fenqi = Program::on(&pool).await;
    assert!(
        fenqi.done(&["payout", "list", "--contradicted"]).contains("named_twice, 0 days; ask_channel by the channel")
    );

    settle_by_two(&town, payout_id, &Ending::Paid { bank_reference: "BANK0000000001".into() }).await;
    assert_eq!(standing(&town).await, "succeeded -");
    assert_eq!(town.fen("select count(*) from posting where event = 'settlement_paid'").await, 1);
    town.assert_whole("after one of two payments came back").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_said_of_an_earlier_attempt_is_heard_while_a_later_one_is_to_be_settled(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    assert_eq!(send_second_attempt(&town, &world, payout_id, Scripted::answer("paid")).await.paid, 1);
    hear_of(&town, payout_id, 2, returned()).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded we_succeeded_they_failed", 1));
    assert_eq!(
        settlement::settle_payout(&town.app, payout_id, Ending::Failed, "Li Na").await.unwrap(),
        Settling::Proposed
    );
    // Whoever has said that nothing was paid did not know this.
    hear(&town, payout_id, paid("BANK0000000007")).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded named_twice", 2));
    let proposed = "select count(*) from payout where proposed_by is not null";
    assert_eq!(town.fen(proposed).await, 0);
    // Neither of the two is told again.
    hear(&town, payout_id, paid("BANK0000000007")).await;
    hear_of(&town, payout_id, 2, returned()).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded named_twice", 2));
    settle_by_two(&town, payout_id, &Ending::Paid { bank_reference: "BANK0000000007".into() }).await;
    assert_eq!(town.fen("select count(*) from posting where event = 'settlement_paid'").await, 1);
    // The second one's return is not of what is booked.
    hear_of(&town, payout_id, 2, returned()).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded -", 2));
    town.assert_whole("after the first of two attempts was found to be the one that was paid").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_earlier_attempt_stays_to_be_settled_whatever_amount_of_the_present_one_is_named(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    let lost = Scripted::answer("paid").with(Trouble::TimeoutAfter);
    assert_eq!(send_second_attempt(&town, &world, payout_id, lost).await.waiting, 1);
    let hear_of_amount = async |fen: i64| {
        let differs = Answer { attempt_no: 2, amount: Some(Fen::new(fen)), ..another_was_paid() };
        payout_actions::learn(&town.app, &BTreeMap::from([(payout_id, differs)])).await.unwrap();
        (standing(&town).await, town.fen(NOTICES).await)
    };
    assert_eq!(hear_of_amount(1).await, ("unknown amount_differs".to_owned(), 1));
    hear(&town, payout_id, paid("BANK0000000009")).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("unknown we_failed_they_succeeded", 2));
    // Another amount is told once more, and takes the place of nothing that is to be settled.
    for _ in 0..2 {
        assert_eq!(hear_of_amount(2).await, ("unknown we_failed_they_succeeded".to_owned(), 3));
    }
    town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(settlement::query_payouts(&town.app).await.unwrap().paid, 1);
    assert_eq!(standing(&town).await, "succeeded named_twice");
    town.assert_whole("while an earlier attempt is said to be paid as well").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_is_settled_while_a_later_attempt_that_was_not_received_may_still_arrive(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    let lost = Scripted::answer("paid").with(Trouble::TimeoutBefore);
    assert_eq!(send_second_attempt(&town, &world, payout_id, lost).await.waiting, 1);
    let ask_after = async |minutes: i64| {
        town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(minutes));
        assert_eq!(settlement::query_payouts(&town.app).await.unwrap().waiting, 1);
        standing(&town).await
    };
    assert_eq!(ask_after(2).await, "created -");
    contradict(&town, payout_id).await;
    let too_early = async || {
        let early = settlement::settle_payout(&town.app, payout_id, Ending::Failed, "Li Na").await;
        assert!(matches!(early, Err(Fault::Refused(PayoutRefusal::UnderWay { attempt_no: 2 }))), "{early:?}");
    };
    assert_eq!(standing(&town).await, "unknown we_failed_they_succeeded");
    too_early().await;
    assert_eq!(ask_after(7).await, "unknown we_failed_they_succeeded");
    too_early().await;
    // Once it can arrive no more, and the channel has not received it still.
    assert_eq!(ask_after(20).await, "created we_failed_they_succeeded");
    assert_held_back(&town, &world, payout_id).await;
    settle_by_two(&town, payout_id, &Ending::Failed).await;
    assert_eq!(send_second_attempt(&town, &world, payout_id, Scripted::answer("paid")).await.paid, 1);
    assert_eq!((town.fen("select attempt_no::bigint from payout").await, lock(&world.payout).payments()), (3, 1));
    town.assert_whole("after the third attempt was paid").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_earlier_attempt_over_another_amount_is_heard_while_a_later_one_is_under_way(pool: PgPool) {
    let (town, world, payout_id) = paid_once(pool, Scripted::answer("account_closed")).await;
    let lost = Scripted::answer("paid").with(Trouble::TimeoutAfter);
    assert_eq!(send_second_attempt(&town, &world, payout_id, lost).await.waiting, 1);
    // Nobody asks about the first one any more.
    hear_of_another_amount(&town, payout_id).await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("unknown we_failed_they_succeeded", 1));
    town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(settlement::query_payouts(&town.app).await.unwrap().paid, 1);
    assert_eq!(standing(&town).await, "succeeded named_twice");
    town.assert_whole("while an earlier attempt is said to be paid over another amount").await;
    // People keep the first payment; asked again about the second one, the channel names it as before.
    settle_by_two(&town, payout_id, &Ending::Paid { bank_reference: "BANK0000000007".into() }).await;
    town.live_until("2026-03-10").await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded -", 1));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_reference_of_a_booked_payment_is_put_right_without_a_posting(pool: PgPool) {
    let (town, _world, payout_id) = paid_once(pool, Scripted::answer("paid")).await;
    hear(&town, payout_id, paid("BANK0000000007")).await;
    assert_eq!(standing(&town).await, "succeeded named_twice");
    settle_by_two(&town, payout_id, &Ending::Paid { bank_reference: "BANK0000000007".into() }).await;
    let under = "select count(*) from settlement s join payout p on p.source_id = s.settlement_id
                 where s.status = 'paid' and s.bank_reference = 'BANK0000000007' and p.bank_reference = s.bank_reference";
    assert_eq!(town.fen(under).await, 1);
    assert_eq!(town.fen("select count(*) from posting where event in ('settlement_paid', 'payout_reversed')").await, 1);
    // Asked again, the channel still names the other one.
    town.live_until("2026-03-10").await;
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded -", 1));
    town.assert_whole("after its reference was put right").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_booked_payment_over_another_amount_is_for_people(pool: PgPool) {
    let (town, _, payout_id) = paid_once(pool, Scripted::answer("paid")).await;
    let answer = Answer { attempt_no: 1, amount: Some(Fen::new(1)), word: paid("BANK0000000001") };
    let refused = settlement::take_callback(&town.app, PayoutAnswer { payout_id, answer }).await;
    assert!(matches!(refused, Err(Fault::Refused(PayoutRefusal::AmountDiffers { .. }))), "{refused:?}");
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded amount_differs", 1));
    town.assert_whole("while the channel names another amount").await;
    // It is told of once, so verify tells of it if nobody has settled it for a week.
    let found_after = async |days: i32| {
        let pass = sqlx::query("update business_day set today = today + $1").bind(days);
        pass.execute(&town.app.pool).await.unwrap();
        let findings = fenqi::verify::verify(&town.app.pool).await.unwrap();
        findings.iter().filter(|finding| finding.identity.contains("contradicts itself")).count()
    };
    assert_eq!(found_after(7).await, 0);
    assert_eq!(found_after(1).await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_booked_as_paid_is_asked_about_on_three_days_and_not_denied_by_a_channel_that_forgot_it(pool: PgPool) {
    let (town, world, _) = paid_once(pool, Scripted::answer("paid")).await;
    let times_asked = async || {
        town.app.partners.flush_log().await;
        town.fen("select count(*) from partner_call where partner = 'payout' and operation = 'query'").await
    };
    town.live_until("2026-03-05").await;
    assert_eq!(times_asked().await, 1);
    *lock(&world.payout) = Default::default();
    town.live_until("2026-03-10").await;
    assert_eq!(times_asked().await, 3);
    assert_eq!((standing(&town).await.as_str(), town.fen(NOTICES).await), ("succeeded -", 0));
}
