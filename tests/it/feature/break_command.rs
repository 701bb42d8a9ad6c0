//! `fenqi break`: breaks are listed and shown, one person proposes a correction, and another one confirms or dismisses it.

use chrono::TimeDelta;
use fenqi::reconcile::fetch_channel_files;
use fenqi::sandbox::Scripted;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::house_command::Program;
use super::reconcile::{sent, the_break};
use crate::book::Book;
use crate::house;

/// A book with one break, over a success that we hold for a failure, and the break's id.
pub(super) async fn with_a_break(pool: PgPool) -> (Book, String) {
    let (book, _world) = sent(pool, Scripted::answer("fails_but_collects")).await;
    book.app.clock.set(book.app.clock.now() + TimeDelta::hours(13));
    book.live_until("2026-02-26").await;
    assert_eq!(fetch_channel_files(&book.app).await.unwrap().breaks, 1);
    let (break_id, words) = the_break(&book).await;
    assert_eq!(words, "we_failed_they_succeeded post open");
    (book, break_id.to_string())
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_one_operator_proposes_another_one_confirms(pool: PgPool) {
    let (book, id) = with_a_break(pool.clone()).await;
    let fenqi = Program::on(&pool).await;
    let heard = fenqi.done(&["notices"]);
    assert!(heard.contains("breaks_found") && heard.contains(r#""breaks":1,"channel":"alpha""#), "{heard}");
    let listed = fenqi.done(&["break", "list", "--open"]);
    assert!(listed.starts_with(&id) && listed.contains("ours 0.00 theirs 1,036.00 yuan"), "{listed}");
    let told: Value = serde_json::from_str(&fenqi.done(&["break", "list", "--json"])).unwrap();
    assert_eq!((&told["break_id"], &told["line_id"]), (&json!(id), &json!(book.line_id)));
    assert_eq!((&told["our_fen"], &told["their_fen"]), (&json!(0), &json!(103_600)));
    assert_eq!((&told["kind"], &told["proposed"]), (&json!("we_failed_they_succeeded"), &json!("post")));
    assert_eq!((&told["order_status"], &told["age_days"]), (&json!("failed"), &json!(0)));
    let shown = fenqi.done(&["break", "show", &id]);
    assert!(shown.contains("proposal 1, by comparison: post") && shown.contains("--proposal 1"), "{shown}");

    let proposed = fenqi.done(&["break", "propose", &id, "refund", "--by", "Li Na"]);
    assert!(proposed.contains("refund is proposal 2") && proposed.contains("somebody else confirms it"), "{proposed}");
    let confirm = |proposal, by| ["break", "confirm", &id, "--proposal", proposal, "--by", by];
    let own = fenqi.refused(&confirm("2", "li na"));
    assert!(own.contains("whoever proposed the correction"), "{own}");
    assert!(fenqi.refused(&confirm("2", " ")).contains("a name is needed"));
    // Wang Wei has seen what the comparison proposed, and nothing since.
    let changed = fenqi.refused(&confirm("1", "Wang Wei"));
    assert!(changed.contains("another proposal has taken the place of the one that was shown"), "{changed}");
    let unseen = fenqi.misspelt(&["break", "confirm", &id, "--by", "Wang Wei"]);
    assert!(unseen.contains("not provided:\n  --proposal"), "{unseen}");
    assert!(fenqi.done(&["break", "list", "--open"]).contains("refund by Li Na"));
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [0]);

    let confirmed = fenqi.done(&confirm("2", "Wang Wei"));
    assert_eq!(confirmed.trim_end(), format!("{id} is corrected: refund"));
    assert_eq!(fenqi.done(&["break", "list", "--open"]), "");
    assert!(fenqi.done(&["break", "show", &id]).contains("corrected 2026-02-26 by Wang Wei"));
    assert!(fenqi.refused(&confirm("2", "Wang Wei")).contains("not open any more"));
    assert_eq!(book.words("select source from repayment where line_id = $1").await, ["channel_file"]);
    assert_eq!(house::did(&pool, "correction_proposed").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "break_corrected").await, ["Wang Wei"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_break_is_taken_over_without_another_proposal(pool: PgPool) {
    let (_book, id) = with_a_break(pool.clone()).await;
    let fenqi = Program::on(&pool).await;
    fenqi.done(&["break", "propose", &id, "refund", "--by", "Li Na"]);
    assert!(fenqi.done(&["break", "list", "--open"]).trim_end().ends_with("owner Li Na"));
    let take = |by| ["break", "take", &id, "--by", by];
    assert_eq!(fenqi.done(&take(" Zhao Liu ")).trim_end(), format!("{id} is Zhao Liu's"));
    // Again is no change, and leaves no second entry.
    assert!(fenqi.done(&take("zhao liu")).contains("nothing changed"));
    assert_eq!(house::did(&pool, "break_taken").await, ["Zhao Liu"]);
    let told: Value = serde_json::from_str(&fenqi.done(&["break", "show", &id, "--json"])).unwrap();
    assert_eq!((&told["owner"], &told["proposed_by"]), (&json!("Zhao Liu"), &json!("Li Na")));
    assert_eq!((&told["proposal_no"], &told["proposed"]), (&json!(2), &json!("refund")));
    let shown = fenqi.done(&["break", "show", &id]);
    assert!(shown.contains("proposal 2, by Li Na: refund") && shown.contains("    owner Zhao Liu\n"), "{shown}");
    assert!(
        fenqi.done(&["break", "list", "--open"]).trim_end().ends_with("refund by Li Na  open, 0 days, owner Zhao Liu")
    );

    assert!(fenqi.refused(&take(" ")).contains("a name is needed"));
    let nowhere = format!("brk_{}", "0".repeat(32));
    assert!(fenqi.refused(&["break", "take", &nowhere, "--by", "Zhao Liu"]).contains("there is no such break"));
    // Whoever gave it away is still whom another person confirms; the one who looks after it may.
    let confirm = |by| ["break", "confirm", &id, "--proposal", "2", "--by", by];
    assert!(fenqi.refused(&confirm("Li Na")).contains("whoever proposed the correction"));
    fenqi.done(&confirm("Zhao Liu"));
    assert!(fenqi.refused(&take("Wang Wei")).contains("not open any more"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_break_is_dismissed_by_another_operator_with_the_reason(pool: PgPool) {
    let (book, id) = with_a_break(pool.clone()).await;
    let fenqi = Program::on(&pool).await;
    let post = "confirming it books what the channel took; what is not owed any more goes back to the card";
    assert!(fenqi.done(&["break", "show", &id]).contains(post));
    fenqi.done(&["break", "propose", &id, "ask-channel", "--by", "Li Na"]);
    let asked = "confirming it books that the channel has given the money back: have it do so, and confirm once it has";
    assert!(fenqi.done(&["break", "show", &id]).contains(asked));
    let own = fenqi.refused(&["break", "dismiss", &id, "--by", "Li Na", "--reason", "a mistake of the channel"]);
    assert!(own.contains("whoever proposed the correction"), "{own}");
    let wordless = fenqi.refused(&["break", "dismiss", &id, "--by", "Wang Wei", "--reason", ""]);
    assert!(wordless.contains("dismissed with a reason"), "{wordless}");
    fenqi.done(&["break", "dismiss", &id, "--by", "Wang Wei", "--reason", "a mistake of the channel"]);
    let told: Value = serde_json::from_str(&fenqi.done(&["break", "show", &id, "--json"])).unwrap();
    assert_eq!((&told["status"], &told["proposed"]), (&json!("dismissed"), &json!("ask_channel")));
    assert_eq!((&told["confirmed_by"], &told["note"]), (&json!("Wang Wei"), &json!("a mistake of the channel")));
    assert_eq!(book.fen("select count(*) from repayment where line_id = $1").await, [0]);
    let nowhere = format!("brk_{}", "0".repeat(32));
    let unknown = fenqi.refused(&["break", "confirm", &nowhere, "--proposal", "1", "--by", "Wang Wei"]);
    assert!(unknown.contains("there is no such break"), "{unknown}");
    assert!(fenqi.refused(&["break", "show", &nowhere]).contains("fenqi break list"));
    assert_eq!(house::did(&pool, "break_dismissed").await, ["Wang Wei"]);
}
