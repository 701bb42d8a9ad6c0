//! SMS passcodes and the PIN: passcodes are throttled and valid once; a PIN is set, checked, and locked after wrong tries.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Request;
use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::id::{BorrowerId, CardId};
use fenqi::borrower::card::{CardBinding, CardCode};
use fenqi::borrower::pin::LOCKED_FOR;
use fenqi::borrower::{
    CardRefusal, NewPin, PinRefusal, Registration, Replaced, card_actions, check_former, check_pin, set_pin,
};
use fenqi::demo::identity;
use fenqi::error::{Fault, Outcome};
use fenqi::page::visit::ClientAddress;
use fenqi::page::{Form, session};
use fenqi::passcode::{self, Asking, PasscodeRefusal, Purpose, SignInStep};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Scripted, World};
use sqlx::PgPool;

use super::applicant::registered;
use crate::{counter, house};

const MOBILE: &str = "13800138000";

fn asking(purpose: Purpose) -> Asking {
    Asking { purpose, mobile: MOBILE.parse().unwrap(), address: Some("192.0.2.1".into()) }
}

/// The code in the last message to the mobile.
fn code_sent(world: &Arc<World>) -> String {
    counter::code_sent_to(world, MOBILE)
}

fn other_than(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

async fn refused(app: &App, code: &str) -> Option<PasscodeRefusal> {
    match passcode::check(app, Purpose::BorrowerSignIn, &MOBILE.parse().unwrap(), code).await {
        Ok(()) => None,
        Err(Fault::Refused(refusal)) => Some(refusal),
        Err(Fault::Failed(failure)) => panic!("{failure:#}"),
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_is_good_once_and_for_its_own_purpose(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    passcode::send(&app, &asking(Purpose::BorrowerSignIn)).await.unwrap();
    let code = code_sent(&world);
    let elsewhere = passcode::check(&app, Purpose::PinReset, &MOBILE.parse().unwrap(), &code).await;
    assert!(matches!(elsewhere, Err(Fault::Refused(PasscodeRefusal::Ended))));
    assert_eq!(refused(&app, other_than(&code)).await, Some(PasscodeRefusal::Wrong));
    assert_eq!(refused(&app, &code).await, None);
    assert_eq!(refused(&app, &code).await, Some(PasscodeRefusal::Ended));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_ends_after_five_wrong_ones_and_after_five_minutes(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    passcode::send(&app, &asking(Purpose::BorrowerSignIn)).await.unwrap();
    let code = code_sent(&world);
    for _ in 0..5 {
        assert_eq!(refused(&app, other_than(&code)).await, Some(PasscodeRefusal::Wrong));
    }
    assert_eq!(refused(&app, &code).await, Some(PasscodeRefusal::Ended));
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    passcode::send(&app, &asking(Purpose::BorrowerSignIn)).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::minutes(5));
    assert_eq!(refused(&app, &code_sent(&world)).await, Some(PasscodeRefusal::Ended));
    // Whoever was refused may still hold it for a moment, and a sweep passes over what is held.
    house::until("the code is swept", async || passcode::sweep(&app).await.unwrap() == 1).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_has_ended_is_swept_without_waiting_for_whoever_holds_it(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-05").await;
    passcode::send(&app, &asking(Purpose::BorrowerSignIn)).await.unwrap();
    let signed_in = "insert into session (token_hash, kind, session_id, device, created_at, last_seen_at, expires_at)
                     values (sha256('a token'), 'borrower', gen_random_uuid(), 'test', $1, $1, $1)";
    sqlx::query(signed_in).bind(app.clock.now()).execute(&pool).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::days(2));
    let mut held = fenqi::database::begin(&pool).await.unwrap();
    sqlx::raw_sql("update throttle set count = count; update session set device = device")
        .execute(&mut *held)
        .await
        .unwrap();
    let sweep = async || {
        let swept = async { (passcode::sweep(&app).await.unwrap(), session::sweep(&app).await.unwrap()) };
        tokio::time::timeout(house::PATIENCE, swept).await.expect("a sweep is kept waiting")
    };
    assert_eq!(sweep().await, (1, 0), "the code alone, which nobody holds");
    held.rollback().await.unwrap();
    assert_eq!(sweep().await, (2, 1), "the windows of the mobile and of the address");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn codes_are_sent_once_a_minute_and_ten_times_a_day(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let send = async || passcode::send(&app, &asking(Purpose::BorrowerSignIn)).await;
    for _ in 0..10 {
        send().await.unwrap();
        assert!(matches!(send().await, Err(Fault::Refused(PasscodeRefusal::TooSoon))));
        app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    }
    assert!(matches!(send().await, Err(Fault::Refused(PasscodeRefusal::TooMany { .. }))));
    assert_eq!(lock(&world.sms).messages_to(MOBILE).len(), 10);
    app.clock.set(app.clock.now() + TimeDelta::hours(24));
    send().await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_eight_who_ask_at_once_one_is_sent_a_code(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let asking = asking(Purpose::BorrowerSignIn);
    let sent = futures_util::future::join_all((0..8).map(|_| passcode::send(&app, &asking))).await;
    let too_soon = |sent: &&Result<(), _>| matches!(sent, Err(Fault::Refused(PasscodeRefusal::TooSoon)));
    assert_eq!((sent.iter().filter(|sent| sent.is_ok()).count(), sent.iter().filter(too_soon).count()), (1, 7));
    assert_eq!(lock(&world.sms).messages_to(MOBILE).len(), 1);
    assert_eq!(refused(&app, &code_sent(&world)).await, None, "the one code that came is the one that is good");
    // Whoever was refused has not used up what may be sent in a day.
    for _ in 0..9 {
        app.clock.set(app.clock.now() + TimeDelta::minutes(1));
        passcode::send(&app, &asking).await.unwrap();
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_has_a_whole_network_of_addresses_is_counted_as_one(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-03-05").await;
    let send = async |mobile: usize, from: &str| {
        let connected = ConnectInfo(format!("[{from}]:443").parse::<SocketAddr>().unwrap());
        let (mut parts, ()) = Request::builder().extension(connected).body(()).unwrap().into_parts();
        let ClientAddress(address) = ClientAddress::from_request_parts(&mut parts, &app).await.unwrap();
        let mobile = format!("138{mobile:08}").parse().unwrap();
        passcode::send(&app, &Asking { purpose: Purpose::MerchantSignIn, mobile, address }).await
    };
    for number in 0..60 {
        send(number, &format!("2001:db8:1:2::{number:x}")).await.unwrap();
    }
    let refused = send(60, "2001:db8:1:2:ffff::1").await;
    assert!(matches!(refused, Err(Fault::Refused(PasscodeRefusal::TooMany { .. }))), "{refused:?}");
    send(61, "2001:db8:1:3::1").await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_an_address_asks_for_beyond_its_window_takes_nothing_of_anybodys_mobile(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let send = async |mobile: &str, address: &str| {
        let (mobile, address) = (mobile.parse().unwrap(), Some(address.to_owned()));
        passcode::send(&app, &Asking { purpose: Purpose::BorrowerSignIn, mobile, address }).await
    };
    for number in 0..60 {
        send(&format!("139{number:08}"), "192.0.2.1").await.unwrap();
    }
    for _ in 0..11 {
        let refused = send(MOBILE, "192.0.2.1").await;
        assert!(matches!(refused, Err(Fault::Refused(PasscodeRefusal::TooMany { .. }))), "{refused:?}");
    }
    send(MOBILE, "192.0.2.2").await.unwrap();
    assert_eq!(lock(&world.sms).messages_to(MOBILE).len(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_mobile_is_asked_for_beyond_its_window_takes_nothing_of_its_address(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let send = async |mobile: &str, address: &str| {
        let (mobile, address) = (mobile.parse().unwrap(), Some(address.to_owned()));
        passcode::send(&app, &Asking { purpose: Purpose::BorrowerSignIn, mobile, address }).await
    };
    for _ in 0..10 {
        send(MOBILE, "192.0.2.1").await.unwrap();
        app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    }
    for _ in 0..61 {
        let refused = send(MOBILE, "192.0.2.2").await;
        assert!(matches!(refused, Err(Fault::Refused(PasscodeRefusal::TooMany { .. }))), "{refused:?}");
    }
    assert_eq!(lock(&world.sms).messages_to(MOBILE).len(), 10);
    send("13900000000", "192.0.2.2").await.unwrap();
}

/// Puts a code in on the page to sign in: whether it was taken, and else why the whole form was not.
async fn put_in(app: &App, address: &str, mobile: &str, code: &str) -> (bool, Option<&'static str>) {
    let [mobile, code, sign_in] = [mobile, code, "sign_in"].map(str::to_owned);
    let mut form = Form::filled([("mobile", mobile), ("passcode", code), ("do", sign_in)]);
    let address = ClientAddress(Some(address.to_owned()));
    let step = passcode::sign_in_step(app, Purpose::BorrowerSignIn, address, &mut form).await.unwrap();
    (matches!(step, SignInStep::Proved(_)), form.refusal())
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_goes_on_guessing_from_one_address_what_others_were_sent(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let send = async || passcode::send(&app, &asking(Purpose::BorrowerSignIn)).await.unwrap();
    send().await;
    // Who signs in by a right one is not counted.
    assert_eq!(put_in(&app, "192.0.2.1", MOBILE, &code_sent(&world)).await, (true, None));
    for number in 0..300 {
        let guessed = put_in(&app, "192.0.2.1", &format!("139{number:08}"), "271828").await;
        assert_eq!(guessed, (false, None), "{number}");
    }
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    send().await;
    let code = code_sent(&world);
    let too_many = (false, Some("passcode_too_many_wrong"));
    assert_eq!(put_in(&app, "192.0.2.1", MOBILE, &code).await, too_many);
    assert_eq!(put_in(&app, "192.0.2.2", MOBILE, &code).await, (true, None));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn those_who_sign_in_use_up_nothing_of_whoever_shares_their_address(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let send = async |number: usize| {
        let (mobile, address) = (format!("139{number:08}").parse().unwrap(), Some("192.0.2.1".to_owned()));
        passcode::send(&app, &Asking { purpose: Purpose::BorrowerSignIn, mobile, address }).await
    };
    let sign_in = async |number: usize| {
        let mobile = format!("139{number:08}");
        let code = counter::code_sent_to(&world, &mobile);
        assert_eq!(put_in(&app, "192.0.2.1", &mobile, &code).await, (true, None), "{number}");
    };
    for number in 0..70 {
        send(number).await.unwrap();
        sign_in(number).await;
    }
    // Many at once: some have to wait, until others have signed in.
    for number in 100..160 {
        send(number).await.unwrap();
    }
    for _ in 0..3 {
        let refused = send(160).await;
        assert!(matches!(refused, Err(Fault::Refused(PasscodeRefusal::TooMany { .. }))), "{refused:?}");
    }
    sign_in(100).await;
    send(160).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whatever_a_right_code_was_for_it_uses_up_nothing_of_its_address(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let purposes = [Purpose::PinReset, Purpose::StaffChange, Purpose::AccountClosing, Purpose::MobileChange];
    for (purpose, first) in purposes.into_iter().zip([100, 200, 300, 400]) {
        for number in first..first + 25 {
            let mobile = format!("139{number:08}");
            let asking = Asking { purpose, mobile: mobile.parse().unwrap(), address: Some("192.0.2.1".to_owned()) };
            passcode::send(&app, &asking).await.unwrap();
            let mut form = Form::filled([("passcode", counter::code_sent_to(&world, &mobile))]);
            assert!(passcode::is_proved(&app, &asking, &mut form).await.unwrap(), "{purpose:?} {number}");
        }
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn those_who_bind_a_card_use_up_nothing_of_whoever_shares_their_address(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-03-05").await;
    let ask = async |borrower_id: BorrowerId, person: u64| {
        let (number, mobile) = (identity::card_number(person, 0), identity::mobile(person));
        card_actions::request_code(&app, CardBinding { borrower_id, number, mobile }, Some("192.0.2.1")).await
    };
    let is_too_many =
        |asked: Outcome<CardId, CardRefusal>| matches!(asked, Err(Fault::Refused(CardRefusal::TooManyCodes { .. })));
    let mut asked = Vec::new();
    for person in 1..=60 {
        let borrower_id = registered(&app, person).await;
        asked.push((borrower_id, ask(borrower_id, person).await.unwrap()));
    }
    let (late, later) = (registered(&app, 61).await, registered(&app, 62).await);
    assert!(is_too_many(ask(late, 61).await));
    let (borrower_id, card_id) = asked[0];
    let confirm = async |code: &str| {
        let code = CardCode { borrower_id, card_id, code: code.to_owned() };
        card_actions::confirm_code(&app, code, Some("192.0.2.1")).await
    };
    assert!(matches!(confirm("999999").await, Err(Fault::Refused(CardRefusal::CodeWrong))));
    assert!(is_too_many(ask(late, 61).await), "a wrong code gives nothing back");
    let right = identity::mobile(1).reveal()[5..].to_owned();
    confirm(&right).await.unwrap();
    ask(late, 61).await.unwrap();
    assert_eq!(confirm(&right).await.unwrap(), card_id, "as by a second tap");
    assert!(is_too_many(ask(later, 62).await), "nor does the same one again");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_silent_sms_partner_is_said_and_a_code_that_came_all_the_same_is_good(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    world.set_faults("sms", FaultShares { timeout_after: 1000, ..FaultShares::default() });
    let sent = passcode::send(&app, &asking(Purpose::BorrowerSignIn)).await;
    assert!(matches!(sent, Err(Fault::Refused(PasscodeRefusal::NotSent))));
    assert_eq!(refused(&app, &code_sent(&world)).await, None);
    world.set_faults("sms", FaultShares::default());
    world.script("sms", None, vec![Scripted::answer("refused")]);
    let refused = passcode::send(&app, &asking(Purpose::PinReset)).await;
    assert!(matches!(refused, Err(Fault::Refused(PasscodeRefusal::NotSent))));
}

async fn register(app: &App) -> BorrowerId {
    let registration = Registration {
        name: "王小明".parse().unwrap(),
        resident_id: fenqi::base::person::ResidentId::parse("11010519491231002X", "2026-03-05".parse().unwrap())
            .unwrap(),
        mobile: MOBILE.parse().unwrap(),
    };
    fenqi::borrower::actions::register(app, registration).await.unwrap()
}

/// A PIN that is set in no browser.
fn nowhere(chosen: &str) -> NewPin<'_> {
    in_the_place_of(Replaced::Any, chosen)
}

fn in_the_place_of(replaced: Replaced, chosen: &str) -> NewPin<'_> {
    NewPin { chosen, token_hash: [0; 32], replaced }
}

async fn pin_refused(app: &App, borrower_id: BorrowerId, pin: &str) -> Option<PinRefusal> {
    match check_pin(app, borrower_id, pin).await {
        Ok(()) => None,
        Err(Fault::Refused(refusal)) => Some(refusal),
        Err(Fault::Failed(failure)) => panic!("{failure:#}"),
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn five_wrong_pins_lock_it_even_when_they_come_at_once(pool: PgPool) {
    let app = house::open(pool, "2026-03-05").await;
    let borrower_id = register(&app).await;
    assert_eq!(pin_refused(&app, borrower_id, "271828").await, Some(PinRefusal::NotSet));
    set_pin(&app, borrower_id, nowhere("271828")).await.unwrap();
    assert_eq!(pin_refused(&app, borrower_id, "314159").await, Some(PinRefusal::Wrong));
    assert_eq!(pin_refused(&app, borrower_id, "271828").await, None);
    let tries = (0..12).map(|_| pin_refused(&app, borrower_id, "314159"));
    let answers = futures_util::future::join_all(tries).await;
    let told_wrong = answers.iter().filter(|answer| !matches!(answer, Some(PinRefusal::Locked { .. }))).count();
    assert_eq!(told_wrong, 4, "{answers:?}");
    assert!(matches!(pin_refused(&app, borrower_id, "271828").await, Some(PinRefusal::Locked { .. })));
    app.clock.set(app.clock.now() + LOCKED_FOR);
    assert_eq!(pin_refused(&app, borrower_id, "271828").await, None);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_pin_that_is_set_anew_lifts_the_lock_and_the_table_holds_no_pin(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-05").await;
    let borrower_id = register(&app).await;
    set_pin(&app, borrower_id, nowhere("271828")).await.unwrap();
    for _ in 0..5 {
        let _ = pin_refused(&app, borrower_id, "314159").await;
    }
    set_pin(&app, borrower_id, nowhere("161803")).await.unwrap();
    assert_eq!(pin_refused(&app, borrower_id, "161803").await, None);
    let hash: String = sqlx::query_scalar("select hash from pin").fetch_one(&pool).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_pin_takes_the_place_of_the_one_that_was_checked_and_of_no_other(pool: PgPool) {
    let app = house::open(pool, "2026-03-05").await;
    let borrower_id = register(&app).await;
    let set = async |replaced, chosen| set_pin(&app, borrower_id, in_the_place_of(replaced, chosen)).await;
    set(Replaced::Nothing, "271828").await.unwrap();
    // A second first one, of somebody who looked before there was any.
    let second = set(Replaced::Nothing, "314159").await;
    assert!(matches!(second, Err(Fault::Refused(PinRefusal::Wrong))), "{second:?}");
    // Whoever knows the PIN has come as far as this when its owner sets another one.
    let stolen = check_former(&app, borrower_id, "271828").await.unwrap();
    set(Replaced::Any, "161803").await.unwrap();
    let late = set(Replaced::Former(stolen), "314159").await;
    assert!(matches!(late, Err(Fault::Refused(PinRefusal::Wrong))), "{late:?}");
    let present = check_former(&app, borrower_id, "161803").await.unwrap();
    set(Replaced::Former(present), "141421").await.unwrap();
    assert_eq!(pin_refused(&app, borrower_id, "141421").await, None);
}
