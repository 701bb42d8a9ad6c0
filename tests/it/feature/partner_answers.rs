//! A money channel's answer that is signed but unreadable counts as unknown, never as success or failure.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::id::WithholdingId;
use fenqi::base::{BusinessDay, Clock, Fen};
use fenqi::partner::payout::client::{PayTo, Payment, Saying, pay};
use fenqi::partner::signature::{Identity, Stamp};
use fenqi::partner::withholding::{Answer, ChannelFailure, ChannelName, Order, Said, submit};
use fenqi::partner::{CallError, PartnerSettings, SendBy};
use sqlx::PgPool;

use crate::house;

/// Signed answers by what stands in the partner's address.
fn answer(signer: &Identity, case: &str) -> Response {
    let (status, body) = match case {
        "empty" => (StatusCode::OK, ""),
        "html" => (StatusCode::OK, "<html><body>down for maintenance</body></html>"),
        "null" => (StatusCode::OK, "null"),
        "cut" => (StatusCode::OK, r#"{"states":[{"order_key":"a-1","state":"failed"#),
        "no_list" => (StatusCode::OK, r#"{"states":null,"results":{}}"#),
        "one" => (
            StatusCode::OK,
            r#"{"states":[{"order_key":"a-1","state":"paid","amount_fen":0.5,"bank_reference":"B1"},
                {"order_key":"b-1","state":"paid","amount_fen":100,"bank_reference":"B2","more":[]}],"more":{}}"#,
        ),
        "twice" => (StatusCode::OK, TWICE),
        "refused" => (StatusCode::UNPROCESSABLE_ENTITY, r#"{"code":"NO_SUCH","message":null,"more":1}"#),
        "refused_empty" => (StatusCode::BAD_REQUEST, ""),
        "refused_html" => (StatusCode::FORBIDDEN, "<html>Forbidden by the gateway</html>"),
        "refused_number" => (StatusCode::UNPROCESSABLE_ENTITY, r#"{"code":7,"message":"no"}"#),
        "refused_nul" => (StatusCode::UNPROCESSABLE_ENTITY, r#"{"code":"\u0000","message":"no"}"#),
        "refused_cut" => (StatusCode::UNPROCESSABLE_ENTITY, r#"{"code":"NO_SUCH""#),
        "refused_other" => (StatusCode::UNAUTHORIZED, r#"{"error":"who are you"}"#),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, r#"{"code":"NO_SUCH","message":"no"}"#),
    };
    (status, signer.response_headers(&Stamp::fresh(Clock::System.now()), body.as_bytes()), body).into_response()
}

/// Order 1 is taken and not taken, order 2 taken and named twice.
const TWICE: &str = r#"{
    "results":[
        {"out_order_no":"00000000000000000000000000000001","code":"SUCCESS","paid_amount":100,"trade_no":"T1"},
        {"out_order_no":"00000000000000000000000000000002","code":"SUCCESS","paid_amount":100,"trade_no":"T2"},
        {"out_order_no":"00000000000000000000000000000002","code":"SUCCESS","paid_amount":100,"trade_no":"T2"},
        {"out_order_no":"00000000000000000000000000000001","code":"BALANCE_LOW"}],
    "rsps":[
        {"reqSn":"00000000000000000000000000000001","retCode":"0000","amtPaid":"1.00","serial":"T1"},
        {"reqSn":"00000000000000000000000000000002","retCode":"0000","amtPaid":"1.00","serial":"T2"},
        {"reqSn":"00000000000000000000000000000002","retCode":"0000","amtPaid":"1.00","serial":"T2"},
        {"reqSn":"00000000000000000000000000000001","retCode":"3008"}]}"#;

const UNREADABLE: [&str; 12] = [
    "empty",
    "html",
    "null",
    "cut",
    "no_list",
    "refused_empty",
    "refused_html",
    "refused_number",
    "refused_nul",
    "refused_cut",
    "refused_other",
    "broken",
];

/// A partner by that name, which answers as the case says.
async fn settings(name: &str, case: &str) -> PartnerSettings {
    let (ours, theirs) = (Identity::from_seed("our-house", 1), Identity::from_seed("a-channel", 1));
    let signer = Arc::new(theirs.clone());
    let answering = post(move |Path(case): Path<String>| {
        let signer = signer.clone();
        async move { answer(&signer, &case) }
    });
    let channel = Router::new().route("/{case}/orders", answering);
    let base_url = format!("{}/{case}", house::serve(channel).await);
    house::partner_at(name, base_url, (&ours, &theirs))
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payout_is_neither_paid_nor_refused_by_what_cannot_be_read(pool: PgPool) {
    let house = house::open(pool, "2026-01-05").await;
    let payment = |key: &str| Payment {
        key: key.to_owned(),
        amount: Fen::new(100),
        pay_to: PayTo::Registered { code: "harbour-bank".into() },
        remark: "remittance".to_owned(),
    };
    for case in UNREADABLE {
        let app = house::with_partners(&house, &[settings("payout", case).await]);
        let paid = pay(app.partners.client("payout").unwrap(), vec![payment("a-1")]).await;
        assert!(matches!(paid, Err(CallError::Unknown { .. })), "{case}: {paid:?}");
    }
    let app = house::with_partners(&house, &[settings("payout", "refused").await]);
    let refused = pay(app.partners.client("payout").unwrap(), vec![payment("a-1")]).await;
    assert!(matches!(&refused, Err(CallError::Rejected { code, .. }) if code == "NO_SUCH"), "{refused:?}");
    let app = house::with_partners(&house, &[settings("payout", "one").await]);
    let heard = pay(app.partners.client("payout").unwrap(), vec![payment("a-1"), payment("b-1")]).await.unwrap();
    let [only] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((only.key.as_str(), only.amount), ("b-1", Some(Fen::new(100))));
    assert_eq!(only.saying, Saying::Paid { bank_reference: "B2".into() });
}

/// The house's clock stands still.
fn at_once(house: &App) -> SendBy<'_> {
    SendBy::new(&house.clock, house.clock.now(), TimeDelta::zero())
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_withholding_is_neither_taken_nor_refused_by_what_cannot_be_read(pool: PgPool) {
    let house = house::open(pool, "2026-01-05").await;
    let order = Order {
        withholding_id: WithholdingId::from_uuid(uuid::Uuid::new_v4()),
        agreement_number: "AGR-1".into(),
        amount: Fen::new(100),
        partial_allowed: false,
        business_day: "2026-01-05".parse::<BusinessDay>().unwrap(),
    };
    let unclear = |answer: &Answer| matches!(answer, Answer::Unclear { .. });
    for channel in ChannelName::ALL {
        for case in UNREADABLE {
            let app = house::with_partners(&house, &[settings(channel.partner(), case).await]);
            let said = submit(&app.partners, channel, std::slice::from_ref(&order), at_once(&house)).await;
            let [Said { answer, .. }] = &said[..] else { panic!("{case}: {said:?}") };
            assert!(unclear(answer), "{channel:?} {case}: {answer:?}");
        }
        let app = house::with_partners(&house, &[settings(channel.partner(), "refused").await]);
        let said = submit(&app.partners, channel, std::slice::from_ref(&order), at_once(&house)).await;
        assert_eq!(said[0].answer, Answer::Rejected { code: "NO_SUCH".into() });
        let app = house::with_partners(&house, &[]);
        let said = submit(&app.partners, channel, std::slice::from_ref(&order), at_once(&house)).await;
        assert_eq!(said[0].answer.failure(), Some(ChannelFailure::ChannelDown), "certainly not sent");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_withholding_of_which_one_answer_says_two_things_stays_unknown(pool: PgPool) {
    let house = house::open(pool, "2026-01-05").await;
    let orders = [1, 2].map(|number| Order {
        withholding_id: WithholdingId::from_uuid(uuid::Uuid::from_u128(number)),
        agreement_number: "AGR-1".into(),
        amount: Fen::new(100),
        partial_allowed: false,
        business_day: "2026-01-05".parse::<BusinessDay>().unwrap(),
    });
    let taken = Answer::Succeeded { collected: Fen::new(100), reference: "T2".into() };
    for channel in ChannelName::ALL {
        let app = house::with_partners(&house, &[settings(channel.partner(), "twice").await]);
        let said = submit(&app.partners, channel, &orders, at_once(&house)).await;
        let answers: Vec<&Answer> = said.iter().map(|said| &said.answer).collect();
        assert_eq!(answers, [&Answer::Unclear { code: "contradictory".into() }, &taken], "{channel:?}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_may_be_held_for_unheard_by_now_is_not_sent_any_more(pool: PgPool) {
    let house = house::open(pool, "2026-01-05").await;
    let order = Order {
        withholding_id: WithholdingId::from_uuid(uuid::Uuid::from_u128(2)),
        agreement_number: "AGR-1".into(),
        amount: Fen::new(100),
        partial_allowed: false,
        business_day: "2026-01-05".parse::<BusinessDay>().unwrap(),
    };
    let too_late = SendBy::new(&house.clock, house.clock.now(), TimeDelta::seconds(-1));
    for channel in ChannelName::ALL {
        let app = house::with_partners(&house, &[settings(channel.partner(), "twice").await]);
        let said = submit(&app.partners, channel, std::slice::from_ref(&order), too_late).await;
        assert_eq!(said[0].answer.failure(), Some(ChannelFailure::ChannelDown), "certainly not sent");
        app.partners.flush_log().await;
    }
    let calls = sqlx::query_scalar::<_, i64>("select count(*) from partner_call").fetch_one(&house.pool).await.unwrap();
    assert_eq!(calls, 0);
}
