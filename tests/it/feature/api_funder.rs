//! The API for a funder's core: loans and their history, the reserve and its orders, and products that two keys publish.

use fenqi::access::actions::NewKey;
use fenqi::base::Fen;
use fenqi::base::id::{ProductDraftId, ReserveOrderId};
use fenqi::error::Fault;
use fenqi::funder::actions::ReserveTerms;
use fenqi::funder::order::{OrderRefusal, ReserveOrderKind, ReserveOrderStatus};
use fenqi::funder::order_actions::Noting;
use fenqi::funder::{self, ReserveRefusal, order_actions};
use fenqi::partner::key::{Algorithm, PrivateKey};
use fenqi::partner::signature::Identity;
use fenqi::product::{self, draft_store};
use fenqi::purchase::Decision;
use fenqi::repayment::jobs::submit_withholdings;
use fenqi::repayment::{PayoffOrder, Transfer, early_payoff, payoff_quote, record_transfer};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 10, due_day: 25, expires_on: "2027-12-31" };

/// The funder's desk with two keys of two holders.
pub(super) async fn open(pool: PgPool) -> (Town, Desk, Desk) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let desk = desk::of_core(&town.app, Algorithm::Sm2Sm3).await;
    let other = desk.with(desk::add_key(&town.app, "harbour-core", "H-2", Algorithm::RsaSha256).await);
    (town, desk, other)
}

/// A further key of the funder's.
async fn key_of(town: &Town, serial_no: &str, holder: &str) -> Identity {
    let identity = Identity::new("harbour-core", serial_no, PrivateKey::generate(Algorithm::Sm2Sm3).unwrap());
    let (partner, public_key) = (identity.mchid.clone(), identity.public_key());
    let (serial_no, holder) = (serial_no.to_owned(), holder.to_owned());
    let key = NewKey { partner, serial_no, public_key, holder, expires_at: None };
    let _ = fenqi::access::add_key(&town.app, &key, "operator").await.unwrap();
    identity
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_reads_a_loan_through_its_life(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let bought = town.buy(vec![town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3))]).await;
    town.live_until("2026-01-26").await;
    town.refund(&bought[0], 30_000, "r-1").await;

    let loans = desk.get("/funder/loans").await.ok();
    let loan = &loans["items"][0];
    assert_eq!((&loan["principal_fen"], &loan["principal_returned_fen"]), (&json!(120_000), &json!(30_000)));
    let loan_path = format!("/funder/loans/{}", loan["loan_id"].as_str().unwrap());
    assert_eq!(&desk.get(&loan_path).await.ok(), loan);
    let by_line = desk.get(&format!("/funder/loans?line_id={line_id}&status=open")).await.ok();
    assert_eq!(by_line["items"], loans["items"]);
    assert_eq!(desk.get("/funder/loans?status=paid").await.ok()["items"], json!([]));
    let plans = desk.get(&format!("{loan_path}/plans")).await.ok();
    let reasons: Vec<&str> =
        plans["items"].as_array().unwrap().iter().map(|plan| plan["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["made", "refund"]);
    let first = desk.get(&format!("{loan_path}/plans?limit=1")).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = desk.get(&format!("{loan_path}/plans?limit=1&cursor={cursor}")).await.ok();
    assert_eq!((&second["items"][0], &second["next_cursor"]), (&plans["items"][1], &Value::Null));
    let installments = desk.get(&format!("{loan_path}/installments")).await.ok();
    let rows = installments["items"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["is_billed"], &rows[2]["is_billed"]), (3, &json!(true), &json!(false)));
    assert!(rows[0]["principal_paid_fen"].as_i64().unwrap() > 0, "it was withheld on the due day");

    let line = desk.get(&format!("/funder/lines/{line_id}")).await.ok();
    assert_eq!(desk.get("/funder/lines").await.ok()["items"], json!([line]));
    let entries = desk.get(&format!("/funder/lines/{line_id}/entries")).await.ok();
    let kinds: Vec<&str> =
        entries["items"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "purchase", "repayment", "refund"]);
    let bills = desk.get(&format!("/funder/bills?line_id={line_id}")).await.ok();
    assert_eq!((&bills["items"][0]["due_on"], &bills["items"][0]["status"]), (&json!("2026-01-25"), &json!("paid")));
    for list in ["repayments", "withholdings", "refunds"] {
        let items = desk.get(&format!("/funder/{list}")).await.ok()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), 1, "{list}");
        let id = items[0][format!("{}_id", &list[..list.len() - 1])].as_str().unwrap();
        assert_eq!(desk.get(&format!("/funder/{list}/{id}")).await.ok(), items[0]);
    }
    let repaid = desk.get("/funder/repayments").await.ok()["items"][0].clone();
    let collected = desk.get("/funder/withholdings").await.ok()["items"][0]["withholding_id"].clone();
    assert_eq!((&repaid["withholding_id"], &repaid["bank_reference"]), (&collected, &Value::Null));
    let remittances = desk.get("/funder/remittances").await.ok();
    let paid = remittances["items"].as_array().unwrap().iter().find(|one| one["collected_fen"] != 0).unwrap();
    let detail = desk.get(&format!("/funder/remittances/{}", paid["remittance_id"].as_str().unwrap())).await.ok();
    assert_eq!((&detail["remittance"], detail["parts"].as_array().unwrap().len()), (paid, 1));
    let of_its_day = format!("/funder/remittances?business_day={}", paid["business_day"].as_str().unwrap());
    assert_eq!(desk.get(&of_its_day).await.ok()["items"], json!([paid]));

    let stranger = desk.stranger(&town.app).await;
    for path in [
        loan_path.clone(),
        format!("{loan_path}/plans"),
        format!("/funder/lines/{line_id}"),
        format!("/funder/lines/{line_id}/entries"),
    ] {
        let (anothers, nobodys) = (stranger.get(&path).await, stranger.get(&desk::absent(&path)).await);
        assert_eq!((anothers.status, anothers.without_its_own()), (404, nobodys.without_its_own()), "{path}");
    }
    for list in ["loans", "lines", "repayments", "withholdings", "refunds", "claims", "remittances", "applications"] {
        assert_eq!(stranger.get(&format!("/funder/{list}")).await.ok()["items"], json!([]), "{list}");
    }
    assert_eq!(stranger.get(&format!("/funder/bills?line_id={line_id}")).await.ok()["items"], json!([]));
}

/// What operators were told of orders about reserves.
async fn told_of_orders(town: &Town) -> Vec<String> {
    let told = "select concat_ws(' ', kind, body ->> 'funder', body ->> 'amount_fen') from notice
                where audience = 'operator' and kind in ('deposit_noted', 'withdrawal_booked') order by notice_no";
    sqlx::query_scalar(told).fetch_all(&town.app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_treasurer_sees_what_is_outstanding_in_all_and_which_loans_are_late(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let lines = town.open_lines(2, WISH).await;
    let wish = |line: usize, key: &str, fen| town.wish(lines[line], key, fen, ("harbour-standard", 3));
    let bought = town.buy(vec![wish(0, "p-1", 120_000), wish(1, "p-2", 90_000), wish(0, "p-3", 60_000)]).await;
    town.void(&bought[2]).await;
    let cardless = "update bank_card set status = 'unbound', is_default = false
                    where borrower_id = (select borrower_id from credit_line where line_id = $1)";
    sqlx::query(cardless).bind(lines[1]).execute(&town.app.pool).await.unwrap();
    let loan = async |place: usize| {
        let Decision::Authorised { loan_id } = bought[place].decision else { panic!("{:?}", bought[place]) };
        desk.get(&format!("/funder/loans/{loan_id}")).await.ok()
    };
    assert_eq!(loan(1).await["oldest_unpaid_due_on"], Value::Null, "nothing is billed yet");
    town.live_until("2026-01-12").await;
    assert_eq!(loan(1).await["oldest_unpaid_due_on"], "2026-01-25", "it is billed, and not late yet");
    assert_eq!(desk.get("/funder/loans?due_before=2026-01-12").await.ok()["items"], json!([]));
    town.live_until("2026-01-26").await;
    let (paid, late, voided) = (loan(0).await, loan(1).await, loan(2).await);
    let fen = |loan: &Value, name: &str| loan[name].as_i64().unwrap();
    assert!(fen(&paid, "principal_paid_fen") > 0, "{paid}");
    assert_eq!(fen(&paid, "outstanding_fen"), 120_000 - fen(&paid, "principal_paid_fen"));
    assert_eq!((fen(&voided, "principal_fen"), fen(&voided, "outstanding_fen")), (60_000, 0));
    let all: i64 = [&paid, &late, &voided].iter().map(|loan| fen(loan, "outstanding_fen")).sum();
    let in_book = "select sum(debit_fen - credit_fen)::bigint from ledger_day where account = 201";
    assert_eq!(all, town.fen(in_book).await);
    assert_eq!(all, town.fen("select sum(used_fen)::bigint from credit_line").await);

    let since = |loan: &Value| loan["oldest_unpaid_due_on"].clone();
    assert_eq!([since(&paid), since(&late), since(&voided)], [Value::Null, json!("2026-01-25"), Value::Null]);
    let listed = async |query: &str| desk.get(&format!("/funder/loans?{query}")).await.ok()["items"].clone();
    assert_eq!(listed("due_before=2026-01-26").await, json!([late]));
    assert_eq!(listed("due_before=2026-01-25").await, json!([]), "it is a day late, and not two");
    assert_eq!(listed(&format!("due_before=2026-01-26&status=open&line_id={}", lines[1])).await, json!([late]));
    assert_eq!(listed(&format!("due_before=2026-01-26&line_id={}", lines[0])).await, json!([]));
    let stranger = desk.stranger(&town.app).await;
    assert_eq!(stranger.get("/funder/loans?due_before=2026-01-26").await.ok()["items"], json!([]));

    let owed = town.fen("select principal_fen + interest_fen + fee_fen from bill where status = 'open'").await;
    let (line_id, amount) = (lines[1], Fen::new(owed));
    let (bank_reference, operator) = ("T-1".to_owned(), "Li Na".to_owned());
    let transfer = Transfer { line_id, amount, bank_reference, received_on: None, operator };
    record_transfer(&town.app, &transfer).await.unwrap();
    let repaid = desk.get(&format!("/funder/repayments?line_id={line_id}")).await.ok()["items"][0].clone();
    assert_eq!((&repaid["bank_reference"], &repaid["withholding_id"]), (&json!("T-1"), &Value::Null));
    assert_eq!((since(&loan(1).await), listed("due_before=2026-01-26").await), (Value::Null, json!([])));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_interest_of_a_loan_is_proved_by_the_text_of_its_product_version(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let line_id = town.open_lines(1, WISH).await[0];
    town.buy(vec![town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3))]).await;
    let loan = desk.get("/funder/loans").await.ok()["items"][0].clone();
    let line = desk.get(&format!("/funder/lines/{line_id}")).await.ok();
    let path = format!("/funder/products/harbour-standard/versions/{}", loan["product_version"]);
    let version = desk.get(&path).await.ok();
    assert_eq!(version["product_id"], loan["product_id"]);
    let asked = json!({
        "terms_text": version["terms_text"], "amount_fen": loan["principal_fen"], "periods": loan["periods"],
        "grade": loan["grade"], "start_on": loan["made_on"], "statement_day": line["statement_day"],
        "due_day": line["due_day"] });
    let proved = desk.send("POST", "/funder/products/simulations", None, &asked.to_string()).await.ok();
    let path = format!("/funder/loans/{}/plans", loan["loan_id"].as_str().unwrap());
    let plan = desk.get(&path).await.ok()["items"][0].clone();
    for (of_row, of_plan) in
        [("due_date", "due_on"), ("principal_fen", "principal_fen"), ("interest_fen", "interest_fen")]
    {
        let rows: Vec<&Value> = proved["rows"].as_array().unwrap().iter().map(|row| &row[of_row]).collect();
        assert_eq!(json!(rows), plan[of_plan], "{of_row}");
    }
    assert!(proved["rows"][0]["explained"]["interest"].is_string(), "{proved}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_subsidies_of_a_remittance_are_found_in_loans_and_refunds(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let wish = |key: &str| town.wish(line_id, key, 120_000, ("harbour-free", 3));
    let bought = town.buy(vec![wish("p-1"), wish("p-2")]).await;
    town.void(&bought[1]).await;
    town.close_today().await;
    town.refund(&bought[0], 30_000, "r-1").await;
    town.close_today().await;
    town.close_today().await;

    let items = async |list: &str| desk.get(&format!("/funder/{list}")).await.ok()["items"].clone();
    // A half of a percent for each of three periods, and nothing of the purchase that was voided.
    for (status, subsidy_fen) in [("open", 1_800), ("voided", 0)] {
        let loans = items(&format!("loans?status={status}")).await;
        assert_eq!((loans.as_array().unwrap().len(), &loans[0]["subsidy_fen"]), (1, &json!(subsidy_fen)), "{status}");
    }
    let refunds = items("refunds").await;
    assert_eq!(refunds[0]["subsidy_returned_fen"], 450);
    let remitted = items("remittances").await;
    let subsidies = [&remitted[0]["subsidy_fen"], &remitted[1]["subsidy_fen"]];
    assert_eq!(subsidies, [&json!(1_800), &json!(-450)]);
    assert_eq!(remitted.as_array().unwrap().len(), 2, "of the third day, on which nothing came in, there is none");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_an_early_payoff_collected_stands_on_no_bill(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let bought = town.buy(vec![town.wish(line_id, "p-1", 120_000, ("harbour-standard", 3))]).await;
    let Decision::Authorised { loan_id } = bought[0].decision else { panic!("{:?}", bought[0]) };
    town.live_until("2026-01-06").await;
    let quoted = payoff_quote(&town.app, line_id, loan_id).await.unwrap().total();
    let order = PayoffOrder { loan_id, line_id, quoted, card_id: None, idempotency_key: "payoff".to_owned() };
    early_payoff(&town.app, &order).await.unwrap();
    submit_withholdings(&town.app).await.unwrap();
    let installments = desk.get(&format!("/funder/loans/{loan_id}/installments")).await.ok();
    let first = &installments["items"][0];
    assert_eq!((&first["principal_paid_fen"], &first["is_billed"]), (&json!(120_000), &json!(false)));
    assert_eq!(desk.get(&format!("/funder/bills?line_id={line_id}")).await.ok()["items"], json!([]));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_deposit_is_booked_when_it_arrived_and_a_withdrawal_by_two_keys(pool: PgPool) {
    let (town, desk, second) = open(pool).await;
    let noted = json!({ "amount_fen": 500_000, "reference": "ICBC-1" });
    let deposit = desk.post("/funder/reserve/deposits", "d-1", &noted).await.ok();
    assert_eq!(deposit["status"], "noted");
    assert_eq!(desk.post("/funder/reserve/deposits", "d-2", &noted).await.ok()["order_id"], deposit["order_id"]);
    let other = desk.post("/funder/reserve/deposits", "d-3", &json!({ "amount_fen": 1, "reference": "ICBC-1" })).await;
    assert_eq!(other.problem(), (409, "reference_booked_with_other_amount".into()));
    assert_eq!(desk.get("/funder/reserve").await.ok()["available_fen"], 10_000_000);
    let deposit_id: ReserveOrderId = deposit["order_id"].as_str().unwrap().parse().unwrap();
    let own_word =
        second.post(&format!("/funder/reserve/withdrawals/{deposit_id}/confirmation"), "x-1", &Value::Null).await;
    assert_eq!(own_word.problem(), (404, "not_found".into()), "whether it arrived is not its sender's to say");
    order_actions::confirm_deposit(&town.app, deposit_id, "operator:li").await.unwrap();
    order_actions::confirm_deposit(&town.app, deposit_id, "operator:li").await.unwrap();
    assert_eq!(desk.get("/funder/reserve").await.ok()["available_fen"], 10_500_000);
    assert_eq!(desk.get(&format!("/funder/reserve/orders/{deposit_id}")).await.ok()["status"], "booked");

    let wanted = json!({ "amount_fen": 200_000, "reference": "W-1" });
    let withdrawal = desk.post("/funder/reserve/withdrawals", "w-1", &wanted).await.ok();
    let confirmation = format!("/funder/reserve/withdrawals/{}/confirmation", withdrawal["order_id"].as_str().unwrap());
    assert_eq!(desk.post(&confirmation, "w-2", &Value::Null).await.problem(), (403, "same_holder".into()));
    let same_person = desk.with(key_of(&town, "H-3", "HOLDER  of h-1").await);
    assert_eq!(same_person.post(&confirmation, "w-2b", &Value::Null).await.problem(), (403, "same_holder".into()));
    let confirmed = second.post(&confirmation, "w-2", &Value::Null).await;
    assert_eq!(confirmed.ok()["status"], "booked", "of another holder's refusal nothing is said to this one");
    assert_eq!(desk.post(&confirmation, "w-2", &Value::Null).await.header("idempotent-replayed"), "true");
    assert_eq!(desk.get("/funder/reserve").await.ok()["available_fen"], 10_300_000);
    let too_much = json!({ "amount_fen": 99_000_000, "reference": "W-2" });
    let withdrawal = desk.post("/funder/reserve/withdrawals", "w-4", &too_much).await.ok();
    let confirmation = format!("/funder/reserve/withdrawals/{}/confirmation", withdrawal["order_id"].as_str().unwrap());
    assert_eq!(second.post(&confirmation, "w-5", &Value::Null).await.problem(), (409, "reserve_not_available".into()));
    let kinds: Vec<String> = desk.get("/funder/reserve/entries").await.ok()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["deposit", "deposit", "withdrawal"]);
    assert_eq!(desk.get("/funder/reserve/orders").await.ok()["items"].as_array().unwrap().len(), 3);
    assert_eq!(desk.get("/funder/reserve/forecast").await.ok()["runs_dry_on"], Value::Null);
    let stranger = desk.stranger(&town.app).await;
    let order = format!("/funder/reserve/orders/{deposit_id}");
    let (anothers, nobodys) = (stranger.get(&order).await, stranger.get(&desk::absent(&order)).await);
    assert_eq!((anothers.status, anothers.without_its_own()), (404, nobodys.without_its_own()));
    let told = ["deposit_noted harbour-bank 500000", "withdrawal_booked harbour-bank 200000"];
    assert_eq!(told_of_orders(&town).await, told, "each once");
    assert_eq!(house::did(&town.app.pool, "reserve_order_noted").await, ["holder of H-1"; 3]);
    assert_eq!(house::did(&town.app.pool, "reserve_order_booked").await, ["holder of H-2"]);
    town.assert_whole("after orders").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_here_pays_a_withdrawal_and_whoever_books_a_deposit_has_a_name(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let noted = async |path: &str, key: &str| -> ReserveOrderId {
        let body = json!({ "amount_fen": 200_000, "reference": key });
        desk.post(path, key, &body).await.ok()["order_id"].as_str().unwrap().parse().unwrap()
    };
    let withdrawal = noted("/funder/reserve/withdrawals", "w-1").await;
    let paid = order_actions::confirm_deposit(&town.app, withdrawal, "operator:li").await;
    assert!(matches!(paid, Err(Fault::Refused(OrderRefusal::UnknownOrder))), "{paid:?}");
    let deposit = noted("/funder/reserve/deposits", "d-1").await;
    for nobody in ["", "  "] {
        let booked = order_actions::confirm_deposit(&town.app, deposit, nobody).await;
        assert!(matches!(booked, Err(Fault::Refused(OrderRefusal::NameMissing))), "{booked:?}");
    }
    assert_eq!(desk.get("/funder/reserve").await.ok()["available_fen"], 10_000_000);
    for order_id in [withdrawal, deposit] {
        assert_eq!(desk.get(&format!("/funder/reserve/orders/{order_id}")).await.ok()["status"], "noted");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_deposit_that_was_refused_by_mistake_is_opened_by_the_same_notice_and_booked(pool: PgPool) {
    let (town, desk, second) = open(pool).await;
    let app = &town.app;
    let noted = json!({ "amount_fen": 500_000, "reference": "ICBC-1" });
    let first = desk.post("/funder/reserve/deposits", "d-1", &noted).await.ok();
    assert_eq!((&first["status"], &first["refused_before"]), (&json!("noted"), &json!(0)));
    let deposit: ReserveOrderId = first["order_id"].as_str().unwrap().parse().unwrap();
    for times in 1..=2 {
        order_actions::refuse_order(app, deposit, " operator:li ", " it never arrived ").await.unwrap();
        let early = order_actions::confirm_deposit(app, deposit, "operator:li").await;
        assert!(matches!(early, Err(Fault::Refused(OrderRefusal::OrderRefused))), "{early:?}");
        let replayed = desk.post("/funder/reserve/deposits", "d-1", &noted).await.ok();
        assert_eq!(replayed, first, "a repetition of the first request is no new notice");
        let other = json!({ "amount_fen": 1, "reference": "ICBC-1" });
        let other = second.post("/funder/reserve/deposits", &format!("o-{times}"), &other).await;
        assert_eq!(other.problem(), (409, "reference_booked_with_other_amount".into()));
        assert_eq!(desk.get(&format!("/funder/reserve/orders/{deposit}")).await.ok()["status"], "refused");
        let again = second.post("/funder/reserve/deposits", &format!("e-{times}"), &noted).await.ok();
        assert_eq!((&again["order_id"], &again["status"]), (&first["order_id"], &json!("noted")));
        assert_eq!((&again["noted_by"], &again["reason"]), (&json!("holder of H-2"), &Value::Null));
        assert_eq!(again["refused_before"], times);
    }
    order_actions::confirm_deposit(app, deposit, "operator:li").await.unwrap();
    assert_eq!(desk.get("/funder/reserve").await.ok()["available_fen"], 10_500_000);
    let kept = "select noted_by, refused_by, reason from reserve_order_refusal where order_id = $1 order by refusal_no";
    let kept: Vec<(String, String, String)> =
        sqlx::query_as(kept).bind(deposit.uuid()).fetch_all(&app.pool).await.unwrap();
    let refusal = |noted_by: &str| (noted_by.to_owned(), "operator:li".to_owned(), "it never arrived".to_owned());
    assert_eq!(kept, [refusal("holder of H-1"), refusal("holder of H-2")]);

    assert_eq!(told_of_orders(&town).await.len(), 3, "of a deposit that is noted again it is told again");

    let wanted = json!({ "amount_fen": 200_000, "reference": "W-1" });
    let withdrawal = desk.post("/funder/reserve/withdrawals", "w-1", &wanted).await.ok();
    let withdrawal: ReserveOrderId = withdrawal["order_id"].as_str().unwrap().parse().unwrap();
    order_actions::refuse_order(app, withdrawal, "operator:li", "not agreed").await.unwrap();
    assert_eq!(desk.post("/funder/reserve/withdrawals", "w-2", &wanted).await.ok()["status"], "refused");
    town.assert_whole("after a deposit that was opened again").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_last_notice_of_a_deposit_sent_once_more_opens_nothing_that_was_refused_after_it(pool: PgPool) {
    let (town, _, _) = open(pool).await;
    let app = &town.app;
    let noted = async |key: &str| {
        let noting = Noting {
            funder_id: town.funder_id,
            kind: ReserveOrderKind::Deposit,
            amount: Fen::new(500_000),
            reference: "ICBC-1".into(),
            noted_by: "holder of H-1".into(),
            key: key.into(),
        };
        order_actions::note_order(app, noting).await.unwrap()
    };
    let deposit = noted("harbour-core/d-1").await.order_id;
    assert_eq!(noted("harbour-core/d-2").await.order_id, deposit);
    order_actions::refuse_order(app, deposit, "operator:li", "it never arrived").await.unwrap();
    // As by a node that died before it had answered.
    assert_eq!(noted("harbour-core/d-2").await.status, ReserveOrderStatus::Refused);
    assert_eq!(noted("harbour-core/d-3").await.status, ReserveOrderStatus::Noted);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_low_water_mark_is_set_by_whoever_read_it_last(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let path = "/funder/reserve/low-water-mark";
    let read = desk.get(path).await;
    let tag = read.header("etag").to_owned();
    let body = json!({ "low_water_fen": 700_000 }).to_string();
    let without = desk.send("PUT", path, Some("l-0"), &body).await;
    assert_eq!(without.problem(), (428, "precondition_required".into()));
    let set = desk.send_with("PUT", path, &[("idempotency-key", "l-1"), ("if-match", &tag)], &body).await;
    assert_eq!(set.ok()["low_water_fen"], 700_000);
    assert_ne!(set.header("etag"), tag);
    let late = desk.send_with("PUT", path, &[("idempotency-key", "l-2"), ("if-match", &tag)], &body).await;
    assert_eq!(late.problem(), (412, "precondition_failed".into()));
    // What was changed and changed back is not what was read.
    let mut tags = vec![set.header("etag").to_owned()];
    for fen in [500_000, 700_000] {
        let (key, body) = (format!("b-{fen}"), json!({ "low_water_fen": fen }).to_string());
        let headers = [("idempotency-key", key.as_str()), ("if-match", tags[tags.len() - 1].as_str())];
        let back = desk.send_with("PUT", path, &headers, &body).await;
        tags.push(back.header("etag").to_owned());
    }
    let body = json!({ "low_water_fen": 600_000 }).to_string();
    let late = desk.send_with("PUT", path, &[("idempotency-key", "l-3"), ("if-match", &tags[0])], &body).await;
    assert_eq!(late.problem(), (412, "precondition_failed".into()));
    // Of many who read the same, one is right, and none takes the rest of the terms back.
    let terms = ReserveTerms { advance_limit: Fen::new(40_000), low_water: Fen::new(700_000) };
    let _ = funder::set_reserve_terms(&town.app, town.funder_id, terms).await.unwrap();
    let asked = (0..8).map(|number| {
        let (desk, tag) = (&desk, tags[2].as_str());
        let (key, body) = (format!("m-{number}"), json!({ "low_water_fen": 800_000 + number }).to_string());
        async move { desk.send_with("PUT", path, &[("idempotency-key", &key), ("if-match", tag)], &body).await.status }
    });
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert_eq!(desk.get("/funder/reserve").await.ok()["advance_limit_fen"], 40_000);
    for (number, fen, status) in [(0, 0, 200), (1, -1, 400)] {
        let tag = desk.get(path).await.header("etag").to_owned();
        let (key, body) = (format!("n-{number}"), json!({ "low_water_fen": fen }).to_string());
        let set = desk.send_with("PUT", path, &[("idempotency-key", &key), ("if-match", &tag)], &body).await;
        assert_eq!(set.status, status, "{fen}");
    }
    assert_eq!(desk.get(path).await.ok()["low_water_fen"], 0, "no mark, as in the beginning");
    // Several marks are set together, and fall from one to the next.
    let tag = desk.get(path).await.header("etag").to_owned();
    let put = async |key: &str, marks: &Value| {
        let headers = [("idempotency-key", key), ("if-match", tag.as_str())];
        desk.send_with("PUT", path, &headers, &marks.to_string()).await
    };
    let marks = json!({ "low_water_fen": 900_000, "lower_marks_fen": [500_000, 100_000] });
    for (key, lower) in
        [("o-1", json!([500_000, 500_000])), ("o-2", json!([900_000])), ("o-3", json!([8, 7, 6, 5, 4, 3, 2, 1]))]
    {
        let wrong = put(key, &json!({ "low_water_fen": 900_000, "lower_marks_fen": lower })).await;
        assert_eq!(wrong.problem(), (422, "low_water_marks_not_falling".into()), "{lower}");
    }
    let float = put("o-4", &json!({ "low_water_fen": 900_000, "lower_marks_fen": [1.5] })).await;
    assert_eq!(float.problem(), (400, "fen_not_integer".into()));
    assert_eq!(put("o-5", &marks).await.ok(), marks);
    assert_eq!(desk.get(path).await.ok(), marks);
    assert_eq!(desk.get("/funder/reserve").await.ok()["lower_marks_fen"], marks["lower_marks_fen"]);
    let too_low =
        funder::set_reserve_terms(&town.app, town.funder_id, ReserveTerms { low_water: Fen::new(1), ..terms }).await;
    assert!(matches!(too_low, Err(Fault::Refused(ReserveRefusal::MarksNotFalling))), "{too_low:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_approves_an_own_edit_that_slipped_in_meanwhile(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let text = include_str!("../../../products/standard.toml").to_owned() + "\n# next year\n";
    let submitted = desk.post("/funder/product-drafts", "d-1", &json!({ "terms_text": text })).await.ok();
    let draft_id: ProductDraftId = submitted["draft_id"].as_str().unwrap().parse().unwrap();
    let submitter = submitted["submitted_by"].as_str().unwrap();
    let mut connection = town.app.pool.acquire().await.unwrap();
    let mut approved = async |edit_no, by: &str| {
        let now = town.app.clock.now();
        draft_store::approve_draft(&mut connection, draft_id, edit_no, by, now).await.unwrap()
    };
    assert!(!approved(1, submitter).await);
    assert!(!approved(1, &submitter.to_uppercase()).await);
    assert!(!approved(2, "Somebody Else").await);
    assert!(approved(1, "Somebody Else").await);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_product_is_published_by_two_keys(pool: PgPool) {
    let (town, desk, second) = open(pool).await;
    let text = include_str!("../../../products/standard.toml").to_owned() + "\n# next year\n";
    let checked =
        desk.send("POST", "/funder/products/checks", None, &json!({ "terms_text": text }).to_string()).await.ok();
    assert_eq!(checked["passed"], true, "{checked}");
    assert_eq!((&checked["problems"], &checked["cases"]), (&json!([]), &json!([])));
    assert!(checked["proof"]["schedules"].as_u64().unwrap() > 100 && checked["proof"]["plans"][0]["periods"].is_u64());
    let broken = json!({ "terms_text": text.replace("code =", "cod =") });
    let found = desk.send("POST", "/funder/products/checks", None, &broken.to_string()).await.ok();
    assert!(found["problems"][0]["line"].is_u64() && found["problems"][0]["allowed"].is_string(), "{found}");
    assert_eq!((&found["passed"], &found["proof"]), (&json!(false), &Value::Null));
    let asked =
        json!({ "terms_text": text, "amount_fen": 120_000, "periods": 12, "grade": "A", "start_on": "2026-01-05" });
    let simulated = desk.send("POST", "/funder/products/simulations", None, &asked.to_string()).await.ok();
    assert_eq!(simulated["rows"].as_array().unwrap().len(), 12);
    let first = &simulated["rows"][0];
    assert!(first["total_fen"].is_i64() && first["explained"]["principal"].is_string(), "{first}");
    assert!(simulated["apr_effective"].is_string() && simulated["first_statement_on"].is_string(), "{simulated}");

    assert_eq!(desk.post("/funder/product-drafts", "f-0", &broken).await.problem(), (422, "product_invalid".into()));
    let submitted = desk.post("/funder/product-drafts", "f-1", &json!({ "terms_text": text })).await;
    assert_eq!(submitted.header("etag"), "\"1\"");
    let path = format!("/funder/product-drafts/{}", submitted.ok()["draft_id"].as_str().unwrap());
    let edited = json!({ "terms_text": format!("{text}# and after\n") }).to_string();
    let edit = desk.send_with("PUT", &path, &[("idempotency-key", "f-2"), ("if-match", "\"1\"")], &edited).await;
    assert_eq!((edit.ok()["edit_no"].as_i64(), edit.header("etag")), (Some(2), "\"2\""));
    let publication = format!("{path}/publication");
    assert_eq!(desk.post(&publication, "f-3", &Value::Null).await.problem(), (409, "draft_not_approved".into()));
    let approval = format!("{path}/approval");
    let own = desk.send_with("POST", &approval, &[("idempotency-key", "f-4"), ("if-match", "\"2\"")], "").await;
    assert_eq!(own.problem(), (403, "same_holder".into()));
    let same_person = desk.with(key_of(&town, "H-3", "HOLDER  of h-1").await);
    let own = same_person.send_with("POST", &approval, &[("idempotency-key", "f-4b"), ("if-match", "\"2\"")], "").await;
    assert_eq!(own.problem(), (403, "same_holder".into()));
    let old = second.send_with("POST", &approval, &[("idempotency-key", "f-5"), ("if-match", "\"1\"")], "").await;
    assert_eq!(old.problem(), (412, "precondition_failed".into()));
    let approved = second.send_with("POST", &approval, &[("idempotency-key", "f-6"), ("if-match", "\"2\"")], "").await;
    assert_eq!(approved.ok()["status"], "approved");
    let other = second.send_with("POST", &approval, &[("idempotency-key", "f-8"), ("if-match", "\"1\"")], "").await;
    assert_eq!(other.problem(), (412, "precondition_failed".into()), "another edit than the approved one was read");
    assert_eq!(desk.post(&publication, "f-7", &Value::Null).await.ok()["published_version"], 2);
    for submitters in ["draft_submitted", "draft_edited", "product_published"] {
        assert_eq!(house::did(&town.app.pool, submitters).await, ["holder of H-1"], "{submitters}");
    }
    assert_eq!(house::did(&town.app.pool, "draft_approved").await, ["holder of H-2"]);
    let versions = desk.get("/funder/products/harbour-standard/versions").await.ok();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    assert!(versions["items"][0]["withdrawn_at"].is_string());
    for (place, number) in [(0_usize, 1), (1, 2)] {
        let one = desk.get(&format!("/funder/products/harbour-standard/versions/{number}")).await.ok();
        assert_eq!(one, versions["items"][place]);
    }
    for none in ["0", "3", "-2147483648", "2147483647", "2147483648", "one"] {
        let nothing = desk.get(&format!("/funder/products/harbour-standard/versions/{none}")).await;
        assert_eq!(nothing.problem(), (404, "not_found".into()), "{none}");
    }
    let products = desk.get("/funder/products?limit=1").await.ok();
    assert!(products["next_cursor"].is_string());
    assert_eq!(desk.get(&path).await.ok()["status"], "published");
    assert_eq!(desk.get("/funder/product-drafts").await.ok()["items"].as_array().unwrap().len(), 1);
    assert_eq!(desk.get("/funder/products/nothing/versions").await.problem(), (404, "not_found".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_product_is_listed_as_on_sale_on_its_days_alone(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let text = include_str!("../../../products/pay-next-bill.toml");
    for (code, days) in [
        ("a-later", "valid_from = 2026-01-06"),
        ("a-over", "valid_from = 2024-01-01\nvalid_until = 2026-01-04"),
        ("a-today", "valid_from = 2024-01-01\nvalid_until = 2026-01-05"),
    ] {
        let dated = text.replace("\"harbour-next-bill\"", &format!("\"{code}\""));
        product::publish(&town.app, &dated.replace("valid_from = 2024-01-01", days)).await.unwrap();
    }
    let on_sale = async || {
        let listed = desk.get("/funder/products?limit=3").await.ok();
        [0, 1, 2].map(|place: usize| listed["items"][place]["version_on_sale"].as_i64())
    };
    assert_eq!(on_sale().await, [None, None, Some(1)]);
    town.close_today().await;
    assert_eq!(on_sale().await, [Some(1), None, None]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn drafts_as_long_as_they_may_be_are_listed_in_pages_that_can_be_signed(pool: PgPool) {
    let (town, desk, _) = open(pool).await;
    let text = format!("{}# {}\n", include_str!("../../../products/standard.toml"), "x".repeat(200_000));
    desk.post("/funder/product-drafts", "d-1", &json!({ "terms_text": text })).await.ok();
    let copies = "insert into product_draft (draft_id, funder_id, code, terms_text, status, submitted_by, submitted_at)
                  select gen_random_uuid(), funder_id, code, terms_text, status, submitted_by, submitted_at
                  from product_draft, generate_series(1, 89)";
    sqlx::query(copies).execute(&town.app.pool).await.unwrap();
    let (mut listed, mut path) = (Vec::new(), "/funder/product-drafts?limit=200".to_owned());
    loop {
        let page = desk.get(&path).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty(), "{path}");
        listed.extend(items.iter().map(|draft| draft["draft_id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/funder/product-drafts?limit=200&cursor={cursor}");
    }
    let in_order: Vec<ProductDraftId> = sqlx::query_scalar("select draft_id from product_draft order by draft_id")
        .fetch_all(&town.app.pool)
        .await
        .unwrap();
    assert_eq!(listed, in_order.iter().map(ToString::to_string).collect::<Vec<String>>());
    assert_eq!(listed.len(), 90);
}
