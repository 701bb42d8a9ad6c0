//! `fenqi funder show` explains a reserve's balance, how long it lasts and what is unpaid; `fenqi reserve` lists whose deposit waits.

use fenqi::base::Fen;
use fenqi::funder;
use fenqi::funder::actions::ReserveTerms;
use fenqi::funder::order::ReserveOrderKind;
use fenqi::funder::order_actions::{Noting, note_order};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::house_command::Program;
use crate::house;
use crate::town::{self, LineWish};

const SHOW: [&str; 3] = ["funder", "show", "harbour-bank"];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_funder_is_shown_with_its_advance_its_forecast_and_what_is_unpaid(pool: PgPool) {
    // A Friday.
    let town = town::found(house::open(pool.clone(), "2026-03-06").await, 100_000).await;
    let terms = ReserveTerms { advance_limit: Fen::new(50_000), low_water: Fen::ZERO };
    let _ = funder::set_reserve_terms(&town.app, town.funder_id, terms).await.unwrap();
    let fenqi = Program::on(&pool).await;
    let shown = fenqi.done(&SHOW);
    assert!(shown.starts_with("harbour-bank  ") && shown.contains("  Harbour Bank  on 2026-03-06\n"), "{shown}");
    assert!(shown.contains("an advance of up to 500.00 yuan, none of which is drawn on"), "{shown}");
    assert!(shown.contains("    0.00 yuan of principal outstanding") && shown.ends_with("        none\n"), "{shown}");

    let wish = LineWish { limit_fen: 500_000, statement_day: 8, due_day: 28, expires_on: "2029-01-01" };
    let line_id = town.open_lines(1, wish).await[0];
    town.buy(vec![town.wish(line_id, "sofa", 120_000, ("harbour-free", 3))]).await;
    let shown = fenqi.done(&SHOW);
    let sum = "    -200.00 yuan available = 1,000.00 deposited - 0.00 withdrawn - 1,200.00 held - 0.00 paid out + 0.00 returned\n";
    assert!(shown.contains(sum), "{shown}");
    let drawn = "200.00 of an advance of up to 500.00 yuan are drawn on since 2026-03-06, to be repaid by the end of 2026-03-09\n";
    assert!(shown.contains(drawn), "{shown}");
    // What today uses is no whole day yet.
    assert!(shown.contains("not drawn down in the last 14 days"), "{shown}");

    // The statement of Sunday bills a third of it, and nobody repays the advance by the end of Monday.
    for _ in 0..4 {
        town.close_today().await;
    }
    let shown = fenqi.done(&SHOW);
    assert!(shown.contains("by the end of 2026-03-09: overdue, nothing is lent until it is repaid\n"), "{shown}");
    // 1,200.00 in the four days since the reserve was first used.
    assert!(shown.contains("or since its first use) takes 300.00 yuan: it runs dry on 2026-03-10\n"), "{shown}");
    let is_band = |line: &str| line.split_whitespace().eq(["current", "400.00", "yuan,", "bills:", "1"]);
    assert!(shown.contains("1,200.00 yuan of principal outstanding") && shown.lines().any(is_band), "{shown}");

    let told: Value = serde_json::from_str(&fenqi.done(&[&SHOW[..], &["--json"]].concat())).unwrap();
    assert_eq!((&told["available_fen"], &told["paid_out_fen"]), (&json!(-20_000), &json!(120_000)));
    assert_eq!((&told["usable_fen"], &told["is_advance_overdue"]), (&json!(0), &json!(true)));
    assert_eq!((&told["runs_dry_on"], &told["outstanding_fen"]), (&json!("2026-03-10"), &json!(120_000)));
    let band = json!({ "days_past_due": "current", "bills": 1, "principal_fen": 40_000 });
    assert_eq!(told["unpaid"], json!([band]));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_confirms_a_deposit_reads_whose_it_is(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-02").await;
    let mut orders = Vec::new();
    for (code, name) in [("harbour-bank", "Harbour Bank"), ("river-bank", "River Bank")] {
        let funder_id = funder::open_funder(&app, code, name).await.unwrap();
        // All else is the same: banks number their transfers as they like, and so may two people be called.
        let noting = Noting {
            funder_id,
            kind: ReserveOrderKind::Deposit,
            amount: Fen::new(500_000),
            reference: "20260302-1".into(),
            noted_by: "Chen Wei".into(),
            key: "core/d-1".into(),
        };
        orders.push((note_order(&app, noting).await.unwrap().order_id.to_string(), code));
    }
    let fenqi = Program::on(&pool).await;
    let (listed, told) = (fenqi.done(&["reserve", "list"]), fenqi.done(&["reserve", "list", "--json"]));
    for (order, funder) in &orders {
        let line = format!("{order} Deposit of 5,000.00 yuan, 20260302-1, noted by Chen Wei of {funder}: Noted\n");
        assert!(listed.contains(&line), "{listed}");
        let mut told = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert!(told.any(|one| one["order_id"] == *order && one["funder"] == *funder));
    }
    let confirmed = fenqi.done(&["reserve", "confirm", &orders[1].0, "--by", "Li Na"]);
    assert!(confirmed.contains("of river-bank: Booked"), "{confirmed}");
    assert!(fenqi.done(&["funder", "show", "river-bank"]).contains("= 5,000.00 deposited"));
    assert!(fenqi.done(&SHOW).contains("= 0.00 deposited"));
}
