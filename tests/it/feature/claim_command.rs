//! `fenqi claim`: a claim is made once, paid if two people confirm it, and withdrawn with a reason.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::house_command::Program;
use crate::{book, house};

/// The claim that waits to be paid.
fn asked(fenqi: &Program) -> Value {
    let listed = fenqi.done(&["claim", "list", "--open", "--json"]);
    serde_json::from_str(listed.lines().last().unwrap()).unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_claim_is_asked_by_one_person_and_paid_on_the_word_of_two(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    let fenqi = Program::on(&pool).await;
    let loan = book.loan_id.to_string();
    let ask = ["claim", "ask", &loan, "--by", "Li Na"];
    // Eighty days after the 25th of February; its close is still to come.
    book.live_until("2026-05-16").await;
    assert!(fenqi.refused(&ask).contains("no unpaid installment of this loan has reached its claim day"));
    book.live_until("2026-05-18").await;
    let nowhere = format!("loan_{}", "0".repeat(32));
    assert!(fenqi.refused(&["claim", "ask", &nowhere, "--by", "Li Na"]).contains("there is no such loan"));
    // 100,000, 3,600 of interest, and 100 a day for 82 days. The second installment is 54 days late.
    assert!(fenqi.done(&ask).contains("asks for 1,118.00 yuan"));
    assert!(fenqi.refused(&ask).contains("asks for this loan already"));
    let first = asked(&fenqi);
    let parts = ["principal_fen", "interest_fen", "fee_fen", "penalty_fen"].map(|part| first[part].as_i64().unwrap());
    assert_eq!((parts, &first["status"]), ([100_000, 3_600, 0, 8_200], &json!("asked")));
    let id = first["claim_id"].as_str().unwrap();
    let withdraw = ["claim", "withdraw", id, "--by", "Li Na", "--reason", "of another day"];
    fenqi.done(&withdraw);
    assert!(fenqi.refused(&withdraw).contains("the claim was withdrawn; ask anew"));
    assert!(fenqi.done(&["claim", "list"]).contains("withdrawn by Li Na: of another day"));

    fenqi.done(&ask);
    let second = asked(&fenqi);
    let id = second["claim_id"].as_str().unwrap();
    let pay = |reference, by| ["claim", "pay", id, "--reference", reference, "--by", by];
    let stated = fenqi.done(&pay(" G-1 ", "Li Na"));
    assert!(stated.contains(&format!("fenqi claim pay {id} --reference 'G-1' --by NAME")), "{stated}");
    assert!(fenqi.refused(&pay("G-1", "li  na")).contains("a second person has to say the same"));
    assert!(fenqi.done(&["claim", "list", "--open"]).contains("asked, said to be paid by Li Na, G-1"));
    assert_eq!(book.fen("select claim_paid_fen from loan where line_id = $1").await, [0]);
    assert!(fenqi.done(&pay("G-1", "Wang Wei")).contains("is paid and booked"));
    assert!(fenqi.refused(&pay("G-1", "Wang Wei")).contains("the claim was paid"));
    assert!(fenqi.done(&["claim", "list"]).contains("paid, G-1, by Li Na and Wang Wei; 0.00 recovered"));
    assert_eq!(fenqi.done(&["claim", "list", "--open"]), "");
    assert!(fenqi.refused(&ask).contains("cover all that may be claimed"));
    assert_eq!(book.fen("select claim_paid_fen from loan where line_id = $1").await, [111_800]);

    assert_eq!(house::did(&pool, "claim_asked").await, ["Li Na", "Li Na"]);
    assert_eq!(house::did(&pool, "claim_withdrawn").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "claim_payment_stated").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "claim_paid").await, ["Wang Wei"]);
    book.assert_whole().await;
}

/// What the borrower has paid meanwhile is not claimed; a payment of the guarantor's is one claim's.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_more_is_paid_than_may_be_claimed_and_no_reference_twice(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    book.live_until("2026-05-18").await;
    let fenqi = Program::on(&pool).await;
    let (line, loan) = (book.line_id.to_string(), book.loan_id.to_string());
    let ask = ["claim", "ask", &loan, "--by", "Li Na"];
    fenqi.done(&ask);
    fenqi.done(&["transfer", "record", &line, "--amount-fen", "10000", "--reference", "B-1", "--by", "Li Na"]);
    let id = asked(&fenqi)["claim_id"].as_str().unwrap().to_owned();
    // 1,118.00 less 100.00.
    let less = fenqi.refused(&["claim", "pay", &id, "--reference", "G-1", "--by", "Li Na"]);
    assert!(less.contains("1,018.00 yuan may be claimed of this loan by now"), "{less}");
    fenqi.done(&["claim", "withdraw", &id, "--by", "Li Na", "--reason", "paid in part"]);
    let pay = |id: &str, reference: &str, by: &str| {
        ["claim", "pay", id, "--reference", reference, "--by", by].map(str::to_owned)
    };
    assert!(fenqi.done(&ask).contains("asks for 1,018.00 yuan"));
    let paid = asked(&fenqi)["claim_id"].as_str().unwrap().to_owned();
    for by in ["Li Na", "Wang Wei"] {
        fenqi.done(&pay(&paid, "G-1", by).each_ref().map(String::as_str));
    }
    // The day after, another day's penalty may be claimed.
    book.live_until("2026-05-19").await;
    assert!(fenqi.done(&ask).contains("asks for 1.00 yuan"));
    let next = asked(&fenqi)["claim_id"].as_str().unwrap().to_owned();
    fenqi.done(&pay(&next, "G-1", "Li Na").each_ref().map(String::as_str));
    let twice = fenqi.refused(&pay(&next, "G-1", "Wang Wei").each_ref().map(String::as_str));
    assert!(twice.contains("a claim was booked with this reference of the bank before"), "{twice}");
    book.assert_whole().await;
}

/// What came in for it is the funder's, and its reference is free for the claim that was meant.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_booked_wrongly_is_taken_back_by_two_the_last_one_first(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    book.live_until("2026-05-18").await;
    let fenqi = Program::on(&pool).await;
    let (line, loan) = (book.line_id.to_string(), book.loan_id.to_string());
    let typed = |words: &[&str]| fenqi.done(words);
    let claimed = |reference: &str| {
        typed(&["claim", "ask", &loan, "--by", "Li Na"]);
        let id = asked(&fenqi)["claim_id"].as_str().unwrap().to_owned();
        for by in ["Li Na", "Wang Wei"] {
            typed(&["claim", "pay", &id, "--reference", reference, "--by", by]);
        }
        id
    };
    let first = claimed("G-1");
    typed(&["transfer", "record", &line, "--amount-fen", "10000", "--reference", "B-1", "--by", "Li Na"]);
    // The day after, another day's penalty may be claimed.
    book.live_until("2026-05-19").await;
    let second = claimed("G-2");
    let before = fenqi.refused(&["claim", "take-back", &first, "--by", "Li Na", "--reason", "another loan's"]);
    assert!(before.contains(&format!("{second} was paid after it")), "{before}");
    for id in [&second, &first] {
        let take_back = |by| ["claim", "take-back", id, "--by", by, "--reason", "another loan's"];
        let stated = typed(&take_back("Li Na"));
        assert!(
            stated.contains(&format!(r"fenqi claim take-back {id} --reason 'another loan'\''s' --by NAME")),
            "{stated}"
        );
        // What waits for a second person is open, and a claim that was paid is not.
        let open = typed(&["claim", "list", "--open"]);
        assert!(open.starts_with(id.as_str()) && open.lines().count() == 1, "{open}");
        assert!(open.contains("said to be booked wrongly by Li Na: another loan's"), "{open}");
        assert!(fenqi.refused(&take_back("li  na")).contains("a second person has to say the same"));
        assert!(typed(&take_back("Wang Wei")).contains("is taken back and booked"));
        assert!(fenqi.refused(&take_back("Wang Wei")).contains("the claim was taken back; ask anew"));
        book.assert_whole().await;
    }
    assert!(typed(&["claim", "list"]).contains("paid, G-1; taken back by Li Na and Wang Wei: another loan's"));
    assert_eq!(book.fen("select claim_paid_fen + claim_recovered_fen from loan where line_id = $1").await, [0]);
    let recourse = "select sum(amount_fen)::bigint from recourse where line_id = $1";
    assert_eq!(book.fen(recourse).await, [0]);
    assert_eq!(house::did(&pool, "claim_taking_back_stated").await, ["Li Na", "Li Na"]);
    assert_eq!(house::did(&pool, "claim_taken_back").await, ["Wang Wei", "Wang Wei"]);
    claimed("G-1");
    book.assert_whole().await;
}
