//! `fenqi merchant set-agreement`: two people state the terms, and earlier purchases keep theirs.

use sqlx::PgPool;

use super::house_command::Program;
use crate::house;
use crate::town::{self, LineWish, Town};

const WISH: LineWish = LineWish { limit_fen: 500_000, statement_day: 10, due_day: 25, expires_on: "2029-03-01" };

/// What stands in the rows of two columns, by purchase.
async fn pairs(pool: &PgPool, query: &'static str) -> Vec<(String, i64)> {
    sqlx::query_as(query).fetch_all(pool).await.unwrap()
}

fn named(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    rows.iter().map(|(name, fen)| ((*name).to_owned(), *fen)).collect()
}

async fn founded(pool: &PgPool) -> Town {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    town::found(app, 10_000_000).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn purchases_before_another_agreement_are_refunded_by_their_own(pool: PgPool) {
    let town = founded(&pool).await;
    let line = town.open_lines(1, WISH).await[0];
    let buy = async |key: &str| {
        let wish = town.wish(line, key, 100_000, ("harbour-standard", 3));
        town.buy(vec![wish]).await.remove(0)
    };
    let fenqi = Program::on(&pool).await;
    let merchant = town.merchant_id.to_string();
    let state = |rate: &'static str, by: &'static str| {
        let stated = ["merchant", "set-agreement", &merchant, "--discount-rate", rate, "--keeps-discount", "--by", by];
        fenqi.done(&stated)
    };
    let before = buy("before").await;
    let stated = state("0.004", "Li Na");
    assert!(stated.contains("pays what was stated once somebody else states the same"), "{stated}");
    assert!(stated.ends_with("    discount fee 0.004, kept on a refund\n"), "{stated}");
    // One name is one person, and another rate another proposal.
    assert!(state("0.004", "li  na").contains("once somebody else"));
    assert!(state("0.005", "Wang Wei").contains("once somebody else"));
    assert!(state("0.004", "Li Na").contains("once somebody else"));
    // Whoever is to be the second finds it without being told which merchant it is.
    let proposed = || fenqi.done(&["merchant", "list", "--proposed"]);
    assert!(proposed().starts_with(&merchant) && proposed().lines().count() == 1, "{}", proposed());
    let meanwhile = buy("meanwhile").await;
    assert!(state("0.004", "Wang Wei").contains("pays what Li Na stated from its next purchase on"));
    assert_eq!(proposed(), "no merchant waits for a second person\n");
    let after = buy("after").await;
    // 0.006 × 100,000, and 0.004 × 100,000.
    let fees = pairs(&pool, "select idempotency_key, discount_fee_fen from purchase order by 1").await;
    assert_eq!(fees, named(&[("after", 400), ("before", 600), ("meanwhile", 600)]));
    // What holds already needs nobody.
    assert!(state("0.004", "Li Na").contains("pays that already; nothing changed"));

    town.live_until("2026-03-03").await;
    town.refund(&before, 100_000, "r-1").await;
    // A quarter of 600, and then the rest of it.
    town.refund(&meanwhile, 25_000, "r-2").await;
    town.refund(&meanwhile, 75_000, "r-3").await;
    town.refund(&after, 100_000, "r-4").await;
    let returned = "select idempotency_key, discount_fee_returned_fen from refund order by 1";
    assert_eq!(pairs(&pool, returned).await, named(&[("r-1", 600), ("r-2", 150), ("r-3", 450), ("r-4", 0)]));
    town.live_until("2026-03-04").await;
    town.assert_whole("after refunds under two agreements").await;

    let shown = fenqi.done(&["merchant", "show", &merchant]);
    assert!(shown.contains("    discount fee 0.004, kept on a refund\n"), "{shown}");
    let change = "agreement by Li Na and Wang Wei: discount fee 0.004, kept on a refund; \
                  before: discount fee 0.006, returned on a refund";
    assert!(shown.contains(change), "{shown}");
    assert_eq!(house::did(&pool, "agreement_stated").await, ["Li Na", "Wang Wei", "Li Na"]);
    assert_eq!(house::did(&pool, "agreement_changed").await, ["Wang Wei"]);
    let told: serde_json::Value =
        sqlx::query_scalar("select detail::jsonb from audit_entry where action = 'agreement_changed'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(
        told,
        serde_json::json!({
            "before": { "discount_rate": "0.006", "discount_returned_on_refund": true },
            "after": { "discount_rate": "0.004", "discount_returned_on_refund": false },
        })
    );
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_agreement_out_of_bounds_or_with_a_merchant_that_is_closed_is_refused(pool: PgPool) {
    let town = founded(&pool).await;
    let fenqi = Program::on(&pool).await;
    let merchant = town.merchant_id.to_string();
    let refused = |merchant: &str, rate: &str| {
        fenqi.refused(&["merchant", "set-agreement", merchant, "--discount-rate", rate, "--by", "Li Na"])
    };
    assert!(refused(&merchant, "0.11").contains("the discount rate is a fraction from 0 to 0.1"));
    let nobody = format!("mer_{}", "0".repeat(32));
    assert!(refused(&nobody, "0.004").contains("there is no such merchant"));
    // What is proposed is dropped where somebody states what holds.
    let state = |rate| fenqi.done(&["merchant", "set-agreement", &merchant, "--discount-rate", rate, "--by", "Li Na"]);
    assert!(state("0.004").contains("once somebody else"));
    // Whoever is to say the same sees what.
    let proposed = "    proposed by Li Na: discount fee 0.004, returned on a refund\n";
    let show = || fenqi.done(&["merchant", "show", &merchant]);
    let told = || -> serde_json::Value {
        serde_json::from_str(&fenqi.done(&["merchant", "show", &merchant, "--json"])).unwrap()
    };
    assert!(show().contains(proposed));
    let agreement = serde_json::json!({ "discount_rate": "0.004", "discount_returned_on_refund": true, "by": "Li Na" });
    assert_eq!(told()["agreement_proposed"], agreement);
    assert!(state("0.006").contains("pays that already"));
    assert!(!show().contains("proposed by"));
    assert_eq!(told()["agreement_proposed"], serde_json::Value::Null);
    fenqi.done(&["merchant", "close", &merchant, "--by", "Li Na", "--reason", "it has moved away"]);
    assert!(refused(&merchant, "0.004").contains("a merchant that is closed"));
}
