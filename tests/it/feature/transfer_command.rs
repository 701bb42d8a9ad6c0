//! `fenqi transfer`: a bank transfer is booked only once, with the name of whoever recorded it.

use fenqi::demo::identity;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::applicant;
use super::house_command::Program;
use crate::{book, house};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_pays_what_is_due_and_is_booked_once(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    // Five days late: 500 of penalty.
    book.live_until("2026-03-02").await;
    let fenqi = Program::on(&pool).await;
    let line = book.line_id.to_string();
    let record = ["transfer", "record", &line, "--amount-fen", "104200", "--reference", " B-1 ", "--by", "Li Na"];
    let booked = fenqi.done(&record);
    assert!(booked.contains("1,042.00 yuan") && booked.contains("1,041.00 pay what is due, 1.00 go back"), "{booked}");
    assert!(fenqi.refused(&record).contains("a transfer with this reference was booked before"));
    let told: Value = serde_json::from_str(&fenqi.done(&["transfer", "list", "--json"])).unwrap();
    assert_eq!((&told["line_id"], &told["bank_reference"]), (&json!(line), &json!("B-1")));
    assert_eq!((&told["amount_fen"], &told["excess_fen"]), (&json!(104_200), &json!(100)));
    assert_eq!((&told["recorded_by"], &told["business_day"]), (&json!("Li Na"), &json!("2026-03-02")));
    assert!(fenqi.done(&["transfer", "list"]).contains("B-1  1,042.00 yuan, 1.00 back  by Li Na"));
    book.assert_whole().await;

    let nowhere = format!("line_{}", "0".repeat(32));
    // Whoever asks for the rest is told how it stands.
    let of = |line: &str| fenqi.done(&["payout", "list", "--line", line]);
    assert!(of(&line).contains(&format!("  borrower    {line}  1.00 yuan  attempt 1  created\n")), "{}", of(&line));
    assert_eq!(of(&nowhere), "");
    let more = ["--amount-fen", "1", "--reference", "B-2", "--by", "Li Na"];
    let unknown = fenqi.refused(&[&["transfer", "record", nowhere.as_str()][..], &more].concat());
    assert!(unknown.contains("there is no line"), "{unknown}");
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [1]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_that_came_before_today_is_recorded_as_of_its_day(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    book.live_until("2026-03-02").await;
    let fenqi = Program::on(&pool).await;
    let line = book.line_id.to_string();
    let record = |day| {
        let what = ["transfer", "record", &line, "--amount-fen", "103600", "--reference", "B-1", "--by", "Li Na"];
        [&what[..], &["--received-on", day]].concat()
    };
    let never = fenqi.refused(&record("2026-03-03"));
    assert!(never.contains("was received between 2026-01-30 and 2026-03-02"), "{never}");
    let booked = fenqi.done(&record("2026-02-28"));
    assert!(booked.contains("1,036.00 pay what is due, 0.00 go back to the borrower, as of 2026-02-28"), "{booked}");
    let told: Value = serde_json::from_str(&fenqi.done(&["transfer", "list", "--json"])).unwrap();
    assert_eq!((&told["business_day"], &told["received_on"]), (&json!("2026-03-02"), &json!("2026-02-28")));
    assert!(fenqi.done(&["transfer", "list"]).contains("0.00 back  received 2026-02-28  by Li Na"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_that_was_recorded_wrongly_is_taken_back_by_two_operators_and_recorded_again(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    book.live_until("2026-02-25").await;
    let fenqi = Program::on(&pool).await;
    let line = book.line_id.to_string();
    let record = |fen| ["transfer", "record", &line, "--amount-fen", fen, "--reference", "B-1", "--by", "Li Na"];
    fenqi.done(&record("130600"));
    let told: Value = serde_json::from_str(&fenqi.done(&["transfer", "list", "--json"])).unwrap();
    assert_eq!((&told["proposal_no"], &told["reversal_id"]), (&json!(0), &Value::Null));
    let id = told["repayment_id"].as_str().unwrap();
    let confirm = |proposal, by| ["transfer", "confirm", id, "--proposal", proposal, "--by", by];
    assert!(fenqi.refused(&confirm("1", "Wang Wei")).contains("nobody has proposed"));
    let take_back = ["transfer", "take-back", id, "--by", "Li Na", "--reason", "two digits the wrong way round"];
    let proposed = fenqi.done(&take_back);
    assert!(proposed.contains(&format!("fenqi transfer confirm {id} --proposal 1 --by NAME")), "{proposed}");
    let listed = fenqi.done(&["transfer", "list"]);
    assert!(listed.contains("to be taken back, proposal 1 of Li Na: two digits the wrong way round"), "{listed}");
    assert!(fenqi.refused(&confirm("1", "li  na")).contains("whoever proposed to take the transfer back"));
    assert!(fenqi.refused(&confirm("2", "Wang Wei")).contains("another proposal has taken the place"));
    // Withdrawn, it is confirmed no more, and the next one has a number of its own.
    let keep = ["transfer", "keep", id, "--by", "Wang Wei"];
    assert!(fenqi.done(&keep).contains(&format!("{id} stands")));
    assert!(fenqi.refused(&keep).contains("nobody has proposed"));
    assert!(fenqi.refused(&confirm("1", "Wang Wei")).contains("nobody has proposed"));
    assert!(!fenqi.done(&["transfer", "list"]).contains("taken back"));
    assert!(fenqi.done(&take_back).contains(&format!("fenqi transfer confirm {id} --proposal 2 --by NAME")));
    assert!(fenqi.refused(&confirm("1", "Wang Wei")).contains("another proposal has taken the place"));
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [1]);

    let taken_back = fenqi.done(&confirm("2", "Wang Wei"));
    assert!(taken_back.contains("1,036.00 yuan are owed again, 270.00 do not go back"), "{taken_back}");
    assert!(fenqi.refused(&confirm("2", "Wang Wei")).contains("was taken back already"));
    assert!(fenqi.refused(&keep).contains("was taken back already"));
    assert!(fenqi.refused(&take_back).contains("was taken back already"));
    assert!(fenqi.done(&["transfer", "list"]).contains("taken back by Li Na and Wang Wei: two digits"));
    let booked = fenqi.done(&record("103600"));
    assert!(booked.contains("1,036.00 pay what is due, 0.00 go back"), "{booked}");
    assert!(fenqi.refused(&record("103600")).contains("a transfer with this reference was booked before"));
    let nowhere = format!("rep_{}", "0".repeat(32));
    let unknown = fenqi.refused(&["transfer", "take-back", &nowhere, "--by", "Li Na", "--reason", "twice"]);
    assert!(unknown.contains("no transfer was recorded under this id"), "{unknown}");
    assert_eq!(house::did(&pool, "transfer_recorded").await, ["Li Na", "Li Na"]);
    assert_eq!(house::did(&pool, "taking_back_proposed").await, ["Li Na", "Li Na"]);
    assert_eq!(house::did(&pool, "transfer_kept").await, ["Wang Wei"]);
    assert_eq!(house::did(&pool, "transfer_taken_back").await, ["Wang Wei"]);
    book.assert_whole().await;
}

fn record_for(mobile: &str) -> [&str; 10] {
    ["transfer", "record", "--amount-fen", "5000", "--reference", "B-1", "--by", "Li Na", "--mobile", mobile]
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_is_recorded_for_whoever_has_the_mobile(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    let product = applicant::standard_product(&app).await;
    let borrower_id = applicant::ready(&app, 7).await;
    let fenqi = Program::on(&pool).await;
    let mobile = identity::mobile(7).reveal().to_owned();
    assert!(fenqi.refused(&record_for("13000000000")).contains("no borrower has this mobile"));
    assert!(fenqi.refused(&record_for(&mobile)).contains("has no open line"));

    let line_id = applicant::approved(&app, borrower_id, product).await;
    // Nothing is due: all of it goes back.
    let booked = fenqi.done(&record_for(&mobile));
    assert!(booked.contains(&format!("on {line_id}: 0.00 pay what is due, 50.00 go back")), "{booked}");
    let told: Value = serde_json::from_str(&fenqi.done(&["transfer", "list", "--json"])).unwrap();
    assert_eq!((&told["recorded_by"], &told["excess_fen"]), (&json!("Li Na"), &json!(5_000)));
    let payee: uuid::Uuid =
        sqlx::query_scalar("select beneficiary_id from payout where kind = 'borrower' and amount_fen = 5000")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(payee, borrower_id.uuid());
}
