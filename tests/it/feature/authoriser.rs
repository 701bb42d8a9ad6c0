//! The authoriser decides correctly without locking lines and the reserve first if there is plenty of money: changes that happen
//! meanwhile are detected.

use axum::extract::State;
use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{CodeId, LineId, MerchantId};
use fenqi::error::{Fault, Outcome, Refusal};
use fenqi::funder::actions::BankMovement;
use fenqi::http::health;
use fenqi::merchant::{self, CodeRefusal, Order};
use fenqi::product::{self, ProductVersion};
use fenqi::purchase::authoriser::decide_one;
use fenqi::purchase::model::RequestRefusal;
use fenqi::purchase::{Authoriser, Decision, PurchaseRefusal, PurchaseRequest, Receipt, trading_store};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::house;
use crate::town::{self, LineWish, Town};
use crate::wire::Wire;

const RESERVE_FEN: i64 = 1_000_000;
const WISH: LineWish = LineWish { limit_fen: 900_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };

async fn shopping(pool: PgPool) -> Town {
    let app = house::open(pool, "2026-03-02").await;
    town::found(app, RESERVE_FEN).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_reserve_that_was_plentiful_a_moment_ago_is_not_overdrawn(pool: PgPool) {
    let town = shopping(pool).await;
    let lines = town.open_lines(1, WISH).await;
    let authoriser = Authoriser::start(town.app.clone());
    let ask = async |key: &str, fen: i64| {
        let wish = town.wish(lines[0], key, fen, ("harbour-standard", 3));
        authoriser.authorise(wish).await.unwrap().decision
    };
    // The first locks first and sees that there is plenty; the second relies on it.
    assert!(matches!(ask("p-1", 10_000).await, Decision::Authorised { .. }));
    assert!(matches!(ask("p-2", 10_000).await, Decision::Authorised { .. }));
    // The funder takes back all but 15,000 fen, of which the authoriser knows nothing.
    let all_but = BankMovement {
        funder_id: town.funder_id,
        amount: Fen::new(RESERVE_FEN - 20_000 - 15_000),
        reference: "W-1".into(),
    };
    let _ = fenqi::funder::withdraw(&town.app, all_but).await.unwrap();
    assert_eq!(ask("p-3", 15_001).await, Decision::Refused(PurchaseRefusal::ReserveExhausted));
    assert!(matches!(ask("p-4", 15_000).await, Decision::Authorised { .. }));
    assert_eq!(town.fen("select available_fen from reserve_now").await, 0);
    assert_eq!(ask("p-5", 10_000).await, Decision::Refused(PurchaseRefusal::ReserveExhausted));
    town.assert_whole("after the withdrawal").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_that_has_ended_is_refused_by_a_code_of_its_own(pool: PgPool) {
    let town = shopping(pool).await;
    let line = town.open_lines(1, LineWish { expires_on: "2026-03-02", ..WISH }).await[0];
    let authoriser = Authoriser::start(town.app.clone());
    let ask = async |key: &str| {
        let wish = town.wish(line, key, 10_000, ("harbour-standard", 3));
        authoriser.authorise(wish).await.unwrap().decision
    };
    assert!(matches!(ask("on-the-last-day").await, Decision::Authorised { .. }));
    town.close_today().await;
    let ended = Decision::Refused(PurchaseRefusal::LineEnded);
    assert_eq!(ask("on-the-next").await, ended);
    let frozen = "update credit_line set status = 'frozen', frozen_for = 'operator'";
    sqlx::query(frozen).execute(&town.app.pool).await.unwrap();
    assert_eq!(ask("frozen-too").await, ended, "lifting the freeze would not help");
    assert_eq!(ask("on-the-next").await, ended, "one key, one answer");
    assert_eq!(town.fen("select count(*) from purchase where refusal = 'line_ended'").await, 2);
    assert_eq!(town.fen("select count(*) from loan").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_is_lent_that_no_card_can_be_charged_for(pool: PgPool) {
    let town = shopping(pool).await;
    let lines = town.open_lines(2, WISH).await;
    let authoriser = Authoriser::start(town.app.clone());
    let ask = async |line: usize, key: &str| {
        let wish = town.wish(lines[line], key, 10_000, ("harbour-standard", 3));
        authoriser.authorise(wish).await.unwrap().decision
    };
    let now = async |status: &str| {
        let set = "update bank_card set status = $1, is_default = $1 = 'bound'
                   where borrower_id = (select borrower_id from credit_line where line_id = $2)";
        sqlx::query(set).bind(status).bind(lines[0]).execute(&town.app.pool).await.unwrap();
    };
    let refused = Decision::Refused(PurchaseRefusal::NoCard);
    // The first locks first; once anything is bought, the rest is decided without locks.
    now("unbound").await;
    assert_eq!(ask(0, "locked").await, refused);
    assert!(matches!(ask(1, "p-1").await, Decision::Authorised { .. }), "somebody else's card is there");
    assert_eq!(ask(0, "unlocked").await, refused);
    now("invalid").await;
    assert_eq!(ask(0, "invalid").await, refused, "the bank has refused it for good");
    now("bound").await;
    assert!(matches!(ask(0, "p-2").await, Decision::Authorised { .. }));
    assert_eq!(ask(0, "locked").await, refused, "one key, one answer");
    assert_eq!(town.fen("select count(*) from purchase where refusal = 'no_card'").await, 3);
    assert_eq!(town.fen("select count(*) from loan").await, 2);
}

/// Asks for all of these at once, and hears in one word what becomes of each.
async fn heard(authoriser: &Authoriser, asked: Vec<PurchaseRequest>) -> Vec<&'static str> {
    let answers = futures_util::future::join_all(asked.into_iter().map(|wish| authoriser.authorise(wish))).await;
    let word = |answer: Outcome<Receipt, RequestRefusal>| match answer {
        Ok(Receipt { decision: Decision::Authorised { .. }, .. }) => "authorised",
        Ok(Receipt { decision: Decision::Refused(refusal), .. }) => refusal.code(),
        Err(Fault::Refused(refusal)) => refusal.code(),
        Err(Fault::Failed(failure)) => panic!("{failure:#}"),
    };
    answers.into_iter().map(word).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whatever_is_asked_beside_it_each_request_gets_its_own_answer(pool: PgPool) {
    let town = shopping(pool).await;
    let lines = town.open_lines(2, WISH).await;
    let now = town.app.clock.now();
    let (no_line, no_merchant) = (LineId::mint(now), MerchantId::mint(now));
    let wish = |line, key: &str, fen: i64| town.wish(line, key, fen, ("harbour-standard", 3));
    let at_no_merchant = |wish: PurchaseRequest| PurchaseRequest { merchant_id: no_merchant, ..wish };
    // Its terms are known without a look into the database, where it is not, so that it gets into a batch with the others.
    let never_published = ProductVersion { version: 99, ..town.product("harbour-standard").clone() };
    town.app.catalogue.put(never_published);
    let free = || town.wish(lines[1], "p-4", 10_000, ("harbour-free", 3));
    assert!(product::withdraw(&town.app, "harbour-free", free().product_version).await.unwrap());

    let authoriser = Authoriser::start(town.app.clone());
    assert_eq!(heard(&authoriser, vec![wish(no_line, "p-1", 10_000)]).await, ["unknown_line"]);
    let first = authoriser.authorise(wish(lines[0], "p-1", 10_000)).await.unwrap();
    // From now on the authoriser knows that there is plenty, and locks nothing while it decides.
    let asked = vec![
        wish(lines[0], "p-1", 10_000),
        wish(lines[0], "p-1", 10_001),
        wish(lines[1], "p-1", 10_000),
        wish(lines[0], "p-2", 10_000),
        wish(no_line, "p-1", 10_000),
        at_no_merchant(wish(lines[1], "p-3", 10_000)),
        free(),
        PurchaseRequest { product_version: 99, ..wish(lines[1], "p-5", 10_000) },
    ];
    let answers = [
        "authorised",
        "idempotency_key_reused",
        "authorised",
        "authorised",
        "unknown_line",
        "unknown_merchant",
        "product_not_on_sale",
        "unknown_product",
    ];
    assert_eq!(heard(&authoriser, asked).await, answers);
    // The same where nothing is known but the one thing.
    let alone = [
        (wish(no_line, "p-1", 10_000), "unknown_line"),
        (at_no_merchant(wish(lines[1], "p-3", 10_000)), "unknown_merchant"),
        (at_no_merchant(wish(lines[0], "p-1", 10_000)), "idempotency_key_reused"),
        (PurchaseRequest { product_version: 99, ..wish(lines[1], "p-5", 10_000) }, "unknown_product"),
    ];
    for (asked, answer) in alone {
        assert_eq!(heard(&authoriser, vec![asked]).await, [answer]);
    }
    assert_eq!(authoriser.authorise(wish(lines[0], "p-1", 10_000)).await.unwrap(), first);
    // Three are authorised, and one refusal is recorded with its code.
    assert_eq!(town.fen("select count(*) from purchase").await, 4);
    assert_eq!(town.fen("select count(*) from loan").await, 3);
    town.assert_whole("after the odd requests").await;
}

/// Waits until purchases are being made in this database, or no longer.
async fn until_trading(town: &Town, is_going_on: bool) {
    let what = if is_going_on { "purchases are made" } else { "purchases are made no longer" };
    house::until(what, async || {
        let mut connection = town.app.pool.acquire().await.unwrap();
        trading_store::is_going_on(&mut connection).await.unwrap() == is_going_on
    })
    .await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_asks_hears_whether_purchases_are_being_made(pool: PgPool) {
    let town = shopping(pool).await;
    let line = town.open_lines(1, WISH).await[0];
    until_trading(&town, false).await;
    let authoriser = Authoriser::start(town.app.clone());
    let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
    sqlx::query("select from credit_line for update").execute(&mut *transaction).await.unwrap();
    let asked = authoriser.authorise(town.wish(line, "p-1", 10_000, ("harbour-standard", 3)));
    let (asked, ()) = tokio::join!(asked, async {
        until_trading(&town, true).await;
        transaction.commit().await.unwrap();
    });
    assert!(matches!(asked.unwrap().decision, Decision::Authorised { .. }));
    until_trading(&town, false).await;

    // A caller that gives up half-way leaves nothing behind.
    let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
    sqlx::query("select from credit_line for update").execute(&mut *transaction).await.unwrap();
    let app = town.app.clone();
    let wish = town.wish(line, "p-2", 10_000, ("harbour-standard", 3));
    let given_up = tokio::spawn(async move { decide_one(&app, wish).await.is_ok() });
    until_trading(&town, true).await;
    given_up.abort();
    transaction.commit().await.unwrap();
    until_trading(&town, false).await;
}

/// Asks for 10,000 fen while `change` is made but not committed, commits it when the purchase waits for it, and says what was
/// decided.
async fn decided_beside(town: &Town, change: &'static str) -> Decision {
    decided_on_beside(town, None, change).await
}

/// The same by presenting a code.
async fn decided_on_beside(town: &Town, order_code: Option<CodeId>, change: &'static str) -> Decision {
    let line = town.open_lines(1, WISH).await[0];
    let authoriser = Authoriser::start(town.app.clone());
    let wish = |key: &str| town.wish(line, key, 10_000, ("harbour-standard", 3));
    let learning = authoriser.authorise(wish("before")).await.unwrap().decision;
    assert!(matches!(learning, Decision::Authorised { .. }));
    let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
    sqlx::raw_sql(change).execute(&mut *transaction).await.unwrap();
    let asked = authoriser.authorise(PurchaseRequest { order_code, ..wish("beside") });
    let (asked, ()) = tokio::join!(asked, async {
        house::until_somebody_waits(&town.app.pool).await;
        transaction.commit().await.unwrap();
    });
    asked.unwrap().decision
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_batch_that_came_too_late_is_decided_again_on_the_connections_that_it_had(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let town = town::found(house::with_connections(&app, 12).await, RESERVE_FEN).await;
    let line = town.open_lines(1, WISH).await[0];
    let authoriser = Authoriser::start(town.app.clone());
    let ask = async |key: &str| {
        let wish = town.wish(line, key, 10_000, ("harbour-standard", 3));
        authoriser.authorise(wish).await.unwrap().decision
    };
    // The lane learns that there is plenty, so that it decides the next one without locks.
    assert!(matches!(ask("before").await, Decision::Authorised { .. }));
    let mut changing = fenqi::database::begin(&town.app.pool).await.unwrap();
    let change = "update credit_line set last_entry_no = last_entry_no + 1";
    sqlx::query(change).execute(&mut *changing).await.unwrap();
    let (decision, server) = tokio::join!(ask("beside"), async {
        house::until_somebody_waits(&town.app.pool).await;
        let waiting =
            "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let server: i32 = sqlx::query_scalar(waiting).fetch_one(&town.app.pool).await.unwrap();
        changing.commit().await.unwrap();
        server
    });
    assert!(matches!(decision, Decision::Authorised { .. }));
    until_trading(&town, false).await;
    let is_there = "select exists (select from pg_stat_activity where pid = $1)";
    let is_there: bool = sqlx::query_scalar(is_there).bind(server).fetch_one(&town.app.pool).await.unwrap();
    assert!(is_there, "the connection that decided it first was closed");
    drop(authoriser);
    town.app.pool.close().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_waits_for_a_batch_that_waits_for_somebodys_line(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let town = town::found(house::with_connections(&app, 12).await, RESERVE_FEN).await;
    let lines = town.open_lines(2, WISH).await;
    let authoriser = Authoriser::start(town.app.clone());
    let ask = |line: usize, key: &str| {
        let (authoriser, wish) = (authoriser.clone(), town.wish(lines[line], key, 10_000, ("harbour-standard", 3)));
        tokio::spawn(async move { authoriser.authorise(wish).await.unwrap().decision })
    };
    let mut held = fenqi::database::begin(&town.app.pool).await.unwrap();
    let hold = "select from credit_line where line_id = $1 for update";
    sqlx::query(hold).bind(lines[0].uuid()).execute(&mut *held).await.unwrap();
    let kept = ask(0, "kept");
    house::until_somebody_waits(&town.app.pool).await;
    let beside = tokio::time::timeout(house::PATIENCE, ask(1, "beside")).await.expect("it waits for another's line");
    assert!(matches!(beside.unwrap(), Decision::Authorised { .. }));
    assert!(!kept.is_finished());
    held.rollback().await.unwrap();
    assert!(matches!(kept.await.unwrap(), Decision::Authorised { .. }));
    town.assert_whole("after both").await;
    drop(authoriser);
    town.app.pool.close().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_that_a_silent_database_kept_waiting_is_made_once_by_a_process_that_is_started_anew(pool: PgPool) {
    let town = shopping(pool).await;
    let lines = town.open_lines(2, WISH).await;
    let (wire, options) = Wire::lay(&town.app.pool).await;
    let through = PgPoolOptions::new().max_connections(12).test_before_acquire(false).connect_with(options);
    let through = through.await.unwrap();
    let node = App { pool: through.clone(), ..town.app.clone() };
    let ask = async |authoriser: &Authoriser, line: usize, key: &str| {
        authoriser.authorise(town.wish(lines[line], key, 10_000, ("harbour-standard", 3))).await
    };
    let is_authorised =
        |answer: Outcome<Receipt, RequestRefusal>| matches!(answer.unwrap().decision, Decision::Authorised { .. });
    let silenced = Authoriser::start(node.clone());
    assert!(is_authorised(ask(&silenced, 0, "before").await));
    // Others of the pool rest, and are gone with the server as well.
    drop(futures_util::future::join_all((0..6).map(|_| through.acquire())).await);
    house::until("they rest", async || through.num_idle() >= 6).await;

    let mut held = fenqi::database::begin(&town.app.pool).await.unwrap();
    let hold = "select from credit_line where line_id = $1 for update";
    sqlx::query(hold).bind(lines[0].uuid()).execute(&mut *held).await.unwrap();
    let unready = async {
        house::until_somebody_waits(&town.app.pool).await;
        wire.fall_silent();
        health::readyz(State(node.clone())).await
    };
    tokio::select! {
        answered = ask(&silenced, 0, "lost") => panic!("{answered:?}"),
        unready = unready => assert_eq!(unready.unwrap_err().code, "database_unreachable"),
    }
    held.rollback().await.unwrap();
    // As where the process ends: its connections are gone.
    drop((silenced, wire));
    through.close().await;

    let anew = Authoriser::start(town.app.clone());
    assert!(is_authorised(ask(&anew, 1, "next").await));
    // Whether the server had written it or not.
    assert!(is_authorised(ask(&anew, 0, "lost").await));
    assert_eq!(town.fen("select count(*) from purchase where idempotency_key = 'lost'").await, 1);
    assert_eq!(town.fen("select count(*) from loan").await, 3);
    town.assert_whole("after the silence").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_node_of_one_lane_decides_all_who_waited_in_one_batch(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let town = town::found(house::with_connections(&app, 7).await, RESERVE_FEN).await;
    let lines = town.open_lines(2, WISH).await;
    let wish = |line: usize, key: &str| town.wish(lines[line], key, 10_000, ("harbour-standard", 3));
    let authoriser = Authoriser::start(town.app.clone());
    let mut held = fenqi::database::begin(&town.app.pool).await.unwrap();
    let hold = "select from credit_line where line_id = $1 for update";
    sqlx::query(hold).bind(lines[0].uuid()).execute(&mut *held).await.unwrap();
    let (deciding, first) = (authoriser.clone(), wish(0, "first"));
    let first = tokio::spawn(async move { deciding.authorise(first).await.unwrap().decision });
    house::until_somebody_waits(&town.app.pool).await;
    let waiting: Vec<_> = (0..50).map(|number| wish(1, &format!("p-{number}"))).collect();
    let (answers, ()) = tokio::join!(heard(&authoriser, waiting), async {
        // All have asked by now: nothing that they need is looked up.
        tokio::task::yield_now().await;
        held.rollback().await.unwrap();
    });
    assert_eq!(answers, ["authorised"; 50]);
    assert!(matches!(first.await.unwrap(), Decision::Authorised { .. }));
    let batches = "select count(distinct xmin::text) from purchase where idempotency_key <> 'first'";
    assert_eq!(town.fen(batches).await, 1);
    town.assert_whole("after the batch").await;
    drop(authoriser);
    town.app.pool.close().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_that_changes_while_it_is_decided_on_is_read_again(pool: PgPool) {
    let town = shopping(pool).await;
    let lowered = "update credit_line set limit_fen = 19999, last_entry_no = last_entry_no + 1;
                   insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                           limit_after_fen, business_day, occurred_at)
                   select line_id, last_entry_no, 'limit', 0, -880001, used_fen, limit_fen, '2026-03-02', now() from credit_line";
    let decision = decided_beside(&town, lowered).await;
    assert_eq!(decision, Decision::Refused(PurchaseRefusal::LineExceeded));
    town.assert_whole("after the limit was lowered").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_that_waits_for_the_close_belongs_to_the_new_day(pool: PgPool) {
    let town = shopping(pool).await;
    let decision = decided_beside(&town, "select advance_business_day('2026-03-02')").await;
    assert!(matches!(decision, Decision::Authorised { .. }));
    let on_the_new_day = "select count(*) from purchase where business_day = '2026-03-03'";
    assert_eq!(town.fen(on_the_new_day).await, 1);
    assert_eq!(town.fen("select count(*) from loan where made_on = '2026-03-03'").await, 1);
    let held_on_the_new_day =
        "select amount_fen from reserve_entry where kind = 'hold' and business_day = '2026-03-03'";
    assert_eq!(town.fen(held_on_the_new_day).await, 10_000);

    // A schedule that was agreed to as of the day before is not that of today; the key is free until it is shown anew.
    let line = town.open_lines(1, WISH).await[0];
    let authoriser = Authoriser::start(town.app.clone());
    let ask = async |shown_on: &str| {
        let wish = town.wish(line, "shown", 10_000, ("harbour-standard", 3));
        authoriser.authorise_as_shown(wish, shown_on.parse().unwrap()).await
    };
    let stale = ask("2026-03-02").await;
    assert!(matches!(stale, Err(Fault::Refused(RequestRefusal::ScheduleChanged))), "{stale:?}");
    assert_eq!(town.fen("select count(*) from purchase where idempotency_key = 'shown'").await, 0);
    assert!(matches!(ask("2026-03-03").await.unwrap().decision, Decision::Authorised { .. }));
    // What was bought is answered as it was, whatever day is named.
    assert!(matches!(ask("2026-03-02").await.unwrap().decision, Decision::Authorised { .. }));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_reserve_that_shrinks_while_it_is_waited_for_is_not_overdrawn(pool: PgPool) {
    let town = shopping(pool).await;
    let withdrawn = "update reserve_slice set leased_fen = 0;
                     update reserve set available_fen = 9999, withdrawn_fen = withdrawn_fen + available_fen - 9999,
                            last_entry_no = last_entry_no + 1;
                     insert into reserve_entry (funder_id, entry_no, kind, amount_fen, available_after_fen, held_after_fen,
                                                source, business_day, occurred_at)
                     select funder_id, last_entry_no, 'withdrawal', 990000 - 9999, 9999, held_fen, 'W-1', '2026-03-02', now()
                     from reserve";
    let decision = decided_beside(&town, withdrawn).await;
    assert_eq!(decision, Decision::Refused(PurchaseRefusal::ReserveExhausted));
    assert_eq!(town.fen("select available_fen from reserve_now").await, 9_999);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_is_lent_from_an_overdue_advance_of_which_the_authoriser_does_not_know(pool: PgPool) {
    let town = shopping(pool).await;
    let decision = decided_beside(&town, "update reserve_slice set leased_fen = 0;
                      update reserve set advance_limit_fen = 20000, available_fen = -1,
                      withdrawn_fen = withdrawn_fen + available_fen + 1, advance_since = '2026-03-01', advance_overdue = true").await;
    assert_eq!(decision, Decision::Refused(PurchaseRefusal::AdvanceOverdue));
    assert_eq!(town.fen("select count(*) from loan").await, 1);
}

async fn open_order(town: &Town, reference: &str) -> CodeId {
    let order = Order {
        merchant_id: town.merchant_id,
        reference: reference.into(),
        amount: Fen::new(10_000),
        expires_at: town.app.clock.now() + chrono::TimeDelta::minutes(15),
    };
    town.app.order_desk.open(order, town.app.clock.now()).await.unwrap().code_id
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_is_closed_while_it_is_decided_on_is_not_paid(pool: PgPool) {
    let town = shopping(pool).await;
    let order = open_order(&town, "A-1").await;
    let closed = "update merchant_code set status = 'closed' where order_reference = 'A-1'";
    let decision = decided_on_beside(&town, Some(order), closed).await;
    assert_eq!(decision, Decision::Refused(PurchaseRefusal::OrderNotPayable));
    assert_eq!(town.fen("select count(*) from loan").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_is_paid_once_however_many_pay_it_at_two_nodes(pool: PgPool) {
    let town = shopping(pool).await;
    let lines = town.open_lines(6, WISH).await;
    let nodes = [Authoriser::start(town.app.clone()), Authoriser::start(town.app.clone())];
    let wish = |number: usize, key: String| town.wish(lines[number], &key, 10_000, ("harbour-standard", 3));
    for (number, node) in nodes.iter().enumerate() {
        // From now on they know that there is plenty, and lock nothing while they decide.
        let learning = node.authorise(wish(number, "before".into())).await.unwrap();
        assert!(matches!(learning.decision, Decision::Authorised { .. }));
    }
    for round in 0..10 {
        let order = open_order(&town, &format!("A-{round}")).await;
        let asked = (0..lines.len()).map(|number| {
            let wish = PurchaseRequest { order_code: Some(order), ..wish(number, format!("order-{round}")) };
            nodes[number % nodes.len()].authorise(wish)
        });
        let answers = futures_util::future::join_all(asked).await;
        let (paid, refused): (Vec<Decision>, Vec<Decision>) = answers
            .into_iter()
            .map(|answer| answer.unwrap().decision)
            .partition(|decision| matches!(decision, Decision::Authorised { .. }));
        assert_eq!(paid.len(), 1);
        assert!(refused.iter().all(|decision| *decision == Decision::Refused(PurchaseRefusal::OrderNotPayable)));
        let closed = merchant::close_code(&town.app, order).await;
        assert!(matches!(closed, Err(Fault::Refused(CodeRefusal::OrderPaid))), "{closed:?}");
    }
    assert_eq!(
        town.fen("select count(*) from purchase p join merchant_code on p.purchase_id = paid_purchase_id").await,
        10
    );
    town.assert_whole("after the rush").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_printed_code_is_never_used_up(pool: PgPool) {
    let town = shopping(pool).await;
    let lines = town.open_lines(4, WISH).await;
    let printed = merchant::open_static_code(&town.app, town.merchant_id).await.unwrap().code_id;
    for round in ["first", "second"] {
        let wish = |line| PurchaseRequest {
            order_code: Some(printed),
            ..town.wish(line, round, 10_000, ("harbour-standard", 3))
        };
        let receipts = town.buy(lines.iter().copied().map(wish).collect()).await;
        assert_eq!(receipts.len(), 4);
    }
    assert_eq!(town.fen("select count(*) from merchant_code where status = 'open'").await, 1);
}
