//! Borrowers are registered, sign agreements, bind cards, and can be erased.

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{BorrowerId, CardId};
use fenqi::borrower::actions::{self, Consents, Signature};
use fenqi::borrower::card::{CardBinding, CardCode, CardStatus};
use fenqi::borrower::card_store::{self, SignedCard};
use fenqi::borrower::{Agreement, BorrowerRefusal, CardRefusal, InTransit, Registration, card_actions, sum_in_transit};
use fenqi::credit::consent_actions::take_back;
use fenqi::credit::{ApplyRefusal, ApplyRequest, actions as credit_actions};
use fenqi::demo::identity;
use fenqi::error::Outcome;
use fenqi::sandbox::{Matcher, Scripted};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::applicant::{bind, ready, registered, registration, request, standard_product, steady};
use crate::house::{self, count};
use crate::town::refused;

async fn holder_of(app: &App, mobile: &str) -> Option<BorrowerId> {
    let hash = app.vault.index(fenqi::vault::Indexed::Mobile, mobile);
    let mut connection = app.pool.acquire().await.unwrap();
    fenqi::borrower::store::find_by_mobile(&mut connection, &hash).await.unwrap()
}

pub(super) async fn led_to_by(app: &App, openid: &str) -> Option<BorrowerId> {
    let hash = app.vault.index(fenqi::vault::Indexed::OpenId, openid);
    fenqi::borrower::openid_store::find(&mut app.pool.acquire().await.unwrap(), &hash).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_person_is_one_account_and_a_mobile_belongs_to_its_last_holder(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let person = registration(&app, 1);
    let first = actions::register(&app, person.clone()).await.unwrap();
    assert_eq!(actions::register(&app, person.clone()).await.unwrap(), first);

    let moved = Registration { mobile: identity::mobile(77), ..person.clone() };
    assert_eq!(actions::register(&app, moved.clone()).await.unwrap(), first);
    assert_eq!(holder_of(&app, person.mobile.reveal()).await, None);
    assert_eq!(holder_of(&app, moved.mobile.reveal()).await, Some(first));

    // The mobile is given to somebody else by the carrier.
    let other = Registration { mobile: moved.mobile.clone(), ..registration(&app, 2) };
    let second = actions::register(&app, other).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(holder_of(&app, moved.mobile.reveal()).await, Some(second));

    let stolen = Registration { name: "赵六".parse().unwrap(), ..person };
    assert_eq!(refused(actions::register(&app, stolen).await), BorrowerRefusal::IdentityMismatch);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn people_who_register_at_the_same_moment_twice_are_one_account(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let people: Vec<Registration> = (1..=20).map(|number| registration(&app, number)).collect();
    let mut backwards = people.clone();
    backwards.reverse();
    let twice = [people.clone(), backwards].concat();
    let (one, two) = tokio::join!(actions::register_many(&app, &twice), actions::register_many(&app, &people));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one[..20], two[..]);
    assert_eq!(one[0], one[39]);
    assert_eq!(count(&app, "select count(*) from borrower").await, 20);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_person_who_registers_with_two_mobiles_in_one_call_holds_the_latter_alone(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let person = registration(&app, 1);
    let with = |mobile: u64| Registration { mobile: identity::mobile(mobile), ..person.clone() };
    let answers = actions::register_many(&app, &[person.clone(), with(77), with(78)]).await.unwrap();
    let borrower_id = *answers[0].as_ref().unwrap();
    assert!(answers.iter().all(|answer| *answer == Ok(borrower_id)));
    for given_up in [&person.mobile, &identity::mobile(77)] {
        assert_eq!(holder_of(&app, given_up.reveal()).await, None);
    }
    assert_eq!(holder_of(&app, identity::mobile(78).reveal()).await, Some(borrower_id));
    // Away from the one that stands, and back to it.
    actions::register_many(&app, &[with(77), with(78)]).await.unwrap();
    assert_eq!(holder_of(&app, identity::mobile(77).reveal()).await, None);
    assert_eq!(holder_of(&app, identity::mobile(78).reveal()).await, Some(borrower_id));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_two_who_swap_mobiles_at_the_same_moment_each_has_the_others(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let [one, two] = [1, 2].map(|number| registration(&app, number));
    actions::register_many(&app, &[one.clone(), two.clone()]).await.unwrap();
    let moved = |who: &Registration, to: &Registration| Registration { mobile: to.mobile.clone(), ..who.clone() };
    let hash = app.vault.index(fenqi::vault::Indexed::Mobile, one.mobile.reveal());
    let mut held = fenqi::database::begin(&app.pool).await.unwrap();
    let lock = "select from borrower_by_mobile where mobile_hash = $1 for update";
    sqlx::query(lock).bind(hash.as_slice()).execute(&mut *held).await.unwrap();
    // The first waits to give up its mobile. The second has given up its own, and waits behind the first for that one: whichever way
    // it goes on, each holds what the other waits for, and the database ends one of the two.
    let (first, second, ()) = tokio::join!(
        actions::register(&app, moved(&one, &two)),
        async {
            house::until_as_many_wait(&app.pool, 1).await;
            actions::register(&app, moved(&two, &one)).await
        },
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held.commit().await.unwrap();
        }
    );
    assert_eq!(holder_of(&app, two.mobile.reveal()).await, Some(first.unwrap()));
    assert_eq!(holder_of(&app, one.mobile.reveal()).await, Some(second.unwrap()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_two_who_say_at_the_same_moment_that_they_are_one_person_one_is_refused(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let person = registration(&app, 1);
    let stranger = Registration { mobile: identity::mobile(77), ..person.clone() };
    // Both look before either writes: nobody can write until both wait.
    let held_up = holding_up(&app, "borrower_by_id_number").await;
    let identify = async |registration| actions::identify(&app, registration, &Consents::default()).await;
    let (one, other, ()) = tokio::join!(identify(person.clone()), identify(stranger.clone()), async {
        house::until_as_many_wait(&app.pool, 2).await;
        held_up.commit().await.unwrap();
    });
    let (winner, loser, kept) = match one {
        Ok(winner) => (winner, other, &person.mobile),
        Err(_) => (other.unwrap(), one, &stranger.mobile),
    };
    assert_eq!(refused(loser), BorrowerRefusal::RegisteredElsewhere);
    assert_eq!(holder_of(&app, kept.reveal()).await, Some(winner), "the account stays with who came first");
    assert_eq!(count(&app, "select count(*) from borrower").await, 1);
    let again = Registration { mobile: kept.clone(), ..person };
    assert_eq!(identify(again).await.unwrap(), winner);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_personal_is_stored_in_clear(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    ready(&app, 1).await;
    app.partners.flush_log().await;
    let person = registration(&app, 1);
    let card = identity::card_number(1, 0);
    let stored: String = sqlx::query_scalar(
        "select coalesce((select string_agg(b::text, '') from borrower b), '')
             || coalesce((select string_agg(c::text, '') from bank_card c), '')
             || coalesce((select string_agg(s::text, '') from card_signing s), '')
             || coalesce((select string_agg(p::text, '') from partner_call p), '')",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert!(stored.contains("start_signing"), "the call was logged");
    let secrets = [person.name.reveal(), person.resident_id.reveal(), person.mobile.reveal(), card.reveal()];
    for secret in secrets {
        let in_hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!stored.contains(secret) && !stored.contains(&in_hex));
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_consent_keeps_the_exact_text_and_an_outdated_one_is_refused(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let rows: Vec<(String, Vec<u8>, String)> = sqlx::query_as(
        "select c.kind, c.text_sha256, t.body from consent c join consent_text t on t.sha256 = c.text_sha256",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), Agreement::ALL.len());
    for (kind, sha256, body) in rows {
        let agreement = Agreement::from_name(&kind).unwrap();
        assert_eq!(sha256, Sha256::digest(&body).to_vec());
        assert_eq!(body, agreement.wording().body);
    }
    let old = Signature { borrower_id, agreement: Agreement::Credit, text_sha256: [0; 32], device: "test".into() };
    assert_eq!(refused(actions::sign(&app, &[old]).await), BorrowerRefusal::AgreementOutdated);
    registered(&app, 1).await;
    let consents = count(&app, "select count(*) from consent").await;
    assert_eq!(consents, 5, "the same text again is not recorded again");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_card_is_bound_by_the_right_code_only(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let unsigned = actions::register(&app, registration(&app, 9)).await.unwrap();
    let binding =
        |borrower_id| CardBinding { borrower_id, number: identity::card_number(1, 0), mobile: identity::mobile(1) };
    assert_eq!(refused(card_actions::start_binding(&app, binding(unsigned)).await), CardRefusal::AgreementMissing);

    let borrower_id = registered(&app, 1).await;
    let card_id = card_actions::start_binding(&app, binding(borrower_id)).await.unwrap();
    let code = |code: &str| CardCode { borrower_id, card_id, code: code.into() };
    assert_eq!(refused(card_actions::confirm_binding(&app, code("999999")).await), CardRefusal::CodeWrong);
    assert_eq!(card_actions::confirm_binding(&app, code("000001")).await.unwrap(), card_id);
    assert_eq!(card_actions::confirm_binding(&app, code("000001")).await.unwrap(), card_id);
    let cards = card_actions::cards(&app, borrower_id).await.unwrap();
    assert_eq!((cards.len(), cards[0].status, cards[0].is_default), (1, CardStatus::Bound, true));
    assert!(cards[0].agreement_number.starts_with("AG-"));
    let again = card_actions::start_binding(&app, binding(borrower_id)).await;
    assert_eq!(refused(again), CardRefusal::AlreadyBound { card_id });

    let second = identity::card_number(1, 1);
    world.script("card_signing", Some(Matcher::new("card", second.reveal())), vec![Scripted::answer("refused")]);
    let foreign = CardBinding { borrower_id, number: second, mobile: identity::mobile(1) };
    let channel_code = "elements_differ".to_owned();
    assert_eq!(refused(card_actions::start_binding(&app, foreign).await), CardRefusal::RefusedByBank { channel_code });
}

/// How often the bank was asked to send a code.
async fn codes_asked(app: &App) -> i64 {
    app.partners.flush_log().await;
    count(app, "select count(*) from partner_call where operation = 'start_signing'").await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_for_a_card_is_sent_once_a_minute_and_ten_times_a_day(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let wish = |nth| CardBinding { borrower_id, number: identity::card_number(1, nth), mobile: identity::mobile(1) };
    let ask = async |binding| card_actions::request_code(&app, binding, None).await;
    let too_many = CardRefusal::TooManyCodes { until: app.clock.now() + TimeDelta::hours(24) };
    let at_once = futures_util::future::join_all((0..5).map(|_| ask(wish(0)))).await;
    assert_eq!(at_once.iter().filter(|answer| answer.is_ok()).count(), 1, "{at_once:?}");
    assert_eq!(codes_asked(&app).await, 1, "who is too soon does not come to the bank");
    ask(wish(1)).await.unwrap();
    assert_eq!(refused(ask(wish(1)).await), CardRefusal::CodeTooSoon);
    for _ in 2..10 {
        app.clock.set(app.clock.now() + TimeDelta::minutes(1));
        ask(wish(0)).await.unwrap();
    }
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    assert_eq!(refused(ask(wish(0)).await), too_many);
    assert_eq!(refused(ask(wish(2)).await), too_many, "another card is of the same borrower");
    let elsewhere = CardBinding { mobile: identity::mobile(9), ..wish(2) };
    assert_eq!(refused(ask(elsewhere).await), too_many);
    // Nor is the telephone rung by somebody else.
    let other = CardBinding { borrower_id: registered(&app, 2).await, ..wish(3) };
    assert_eq!(refused(ask(other.clone()).await), too_many);
    ask(CardBinding { mobile: identity::mobile(2), ..other }).await.unwrap();
    assert_eq!(codes_asked(&app).await, 11);
    app.clock.set(app.clock.now() + TimeDelta::hours(24));
    ask(wish(0)).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn from_one_address_the_bank_is_asked_sixty_times_an_hour(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let ask = async |borrower_id, (person, nth)| {
        let binding =
            CardBinding { borrower_id, number: identity::card_number(person, nth), mobile: identity::mobile(person) };
        card_actions::request_code(&app, binding, Some("203.0.113.7")).await
    };
    for person in 1..=6 {
        let borrower_id = registered(&app, person).await;
        for nth in 0..10 {
            ask(borrower_id, (person, nth)).await.unwrap();
        }
    }
    let last = registered(&app, 7).await;
    let too_many = CardRefusal::TooManyCodes { until: app.clock.now() + TimeDelta::hours(1) };
    assert_eq!(refused(ask(last, (7, 0)).await), too_many);
    app.clock.set(app.clock.now() + TimeDelta::hours(1));
    ask(last, (7, 0)).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn five_wrong_codes_end_a_signing(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let binding = CardBinding { borrower_id, number: identity::card_number(1, 0), mobile: identity::mobile(1) };
    let card_id = card_actions::start_binding(&app, binding).await.unwrap();
    let code = |code: &str| CardCode { borrower_id, card_id, code: code.into() };
    for _ in 0..5 {
        assert_eq!(refused(card_actions::confirm_binding(&app, code("999999")).await), CardRefusal::CodeWrong);
    }
    assert_eq!(refused(card_actions::confirm_binding(&app, code("000001")).await), CardRefusal::SigningEnded);
    let silent = house::with_partners(&app, &[]);
    let binding = CardBinding { borrower_id, number: identity::card_number(1, 0), mobile: identity::mobile(1) };
    assert_eq!(refused(card_actions::start_binding(&silent, binding).await), CardRefusal::BankSilent);
}

async fn put(app: &App, (borrower_id, card_id): (BorrowerId, CardId), code: &str) -> Outcome<CardId, CardRefusal> {
    card_actions::confirm_binding(app, CardCode { borrower_id, card_id, code: code.into() }).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn five_codes_are_put_to_the_bank_even_when_many_come_at_once_and_none_after_ten_minutes(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let start = async || {
        let binding = CardBinding { borrower_id, number: identity::card_number(1, 0), mobile: identity::mobile(1) };
        card_actions::start_binding(&app, binding).await.unwrap()
    };
    let card = (borrower_id, start().await);
    // What no bank has looked at is no try, however often it is put.
    let silent = house::with_partners(&app, &[]);
    for _ in 0..6 {
        assert_eq!(refused(put(&silent, card, "000001").await), CardRefusal::BankSilent);
    }
    let answers = futures_util::future::join_all((0..12).map(|_| put(&app, card, "999999"))).await;
    let wrong = answers.into_iter().map(refused).filter(|refusal| *refusal == CardRefusal::CodeWrong).count();
    app.partners.flush_log().await;
    let asked = count(&app, "select count(*) from partner_call where operation = 'confirm_signing'").await;
    assert_eq!((wrong, asked), (5, 5));
    assert_eq!(refused(put(&app, card, "000001").await), CardRefusal::SigningEnded);
    // Another signing of the card is tried anew, for ten minutes; what was signed stays so.
    let late = start().await;
    app.clock.set(app.clock.now() + TimeDelta::minutes(10));
    assert_eq!(refused(put(&app, (borrower_id, late), "000001").await), CardRefusal::SigningEnded);
    let signed = start().await;
    assert_eq!(put(&app, (borrower_id, signed), "000001").await.unwrap(), signed);
    app.clock.set(app.clock.now() + TimeDelta::minutes(10));
    assert_eq!(put(&app, (borrower_id, signed), "000001").await.unwrap(), signed);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_two_first_cards_at_once_both_are_bound_and_one_is_the_default(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let start = async |nth| {
        let binding = CardBinding { borrower_id, number: identity::card_number(1, nth), mobile: identity::mobile(1) };
        (borrower_id, card_actions::start_binding(&app, binding).await.unwrap())
    };
    let (first, second) = (start(0).await, start(1).await);
    let held_up = holding_up(&app, "bank_card").await;
    let (one, other, ()) = tokio::join!(put(&app, first, "000001"), put(&app, second, "000001"), async {
        house::until_as_many_wait(&app.pool, 2).await;
        held_up.commit().await.unwrap();
    });
    assert_eq!((one.unwrap(), other.unwrap()), (first.1, second.1));
    let cards = card_actions::cards(&app, borrower_id).await.unwrap();
    let defaults = cards.iter().filter(|card| card.is_default).count();
    assert_eq!((cards.len(), defaults), (2, 1));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_is_kept_of_a_card_whose_holder_is_erased_while_the_bank_is_asked(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let binding = CardBinding { borrower_id, number: identity::card_number(1, 0), mobile: identity::mobile(1) };
    let mut erasing = fenqi::database::begin(&app.pool).await.unwrap();
    actions::erase(&mut erasing, &app, borrower_id).await.unwrap();
    let (asked, ()) = tokio::join!(card_actions::start_binding(&app, binding), async {
        house::until_as_many_wait(&app.pool, 1).await;
        erasing.commit().await.unwrap();
    });
    assert_eq!(refused(put(&app, (borrower_id, asked.unwrap()), "000001").await), CardRefusal::CardUnknown);
    let kept = "select (select count(*) from card_signing) + (select count(*) from bank_card)";
    assert_eq!(count(&app, kept).await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_last_card_stays_while_money_is_owed(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let first = card_actions::cards(&app, borrower_id).await.unwrap()[0].card_id;
    credit_actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();
    sqlx::query("update credit_line set used_fen = 5").execute(&app.pool).await.unwrap();
    assert_eq!(refused(card_actions::unbind(&app, borrower_id, first).await), CardRefusal::LastCardWhileOwing);

    let second = bind(&app, borrower_id, identity::card_number(1, 1), identity::mobile(1)).await;
    card_actions::unbind(&app, borrower_id, first).await.unwrap();
    card_actions::unbind(&app, borrower_id, first).await.unwrap();
    let cards = card_actions::cards(&app, borrower_id).await.unwrap();
    let default = cards.iter().find(|card| card.is_default).unwrap();
    assert_eq!(default.card_id, second);
    assert_eq!(refused(card_actions::set_default(&app, borrower_id, first).await), CardRefusal::NotChargeable);
    // The same card again is a new binding.
    let third = bind(&app, borrower_id, identity::card_number(1, 0), identity::mobile(1)).await;
    assert_ne!(third, first);
    card_actions::set_default(&app, borrower_id, third).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_card_that_is_bound_while_the_default_one_is_given_up_takes_its_place(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = ready(&app, 1).await;
    let first = card_actions::cards(&app, borrower_id).await.unwrap()[0].card_id;
    let binding = CardBinding { borrower_id, number: identity::card_number(1, 1), mobile: identity::mobile(1) };
    let second = card_actions::start_binding(&app, binding).await.unwrap();
    // As `confirm_binding` does once the bank has said yes.
    let mut bound = fenqi::database::begin(&app.pool).await.unwrap();
    card_store::lock_cards_of(&mut bound, &[borrower_id]).await.unwrap();
    let (agreement_number, signed_at) = ("AG-1".to_owned(), app.clock.now());
    let signed = SignedCard { borrower_id, card_id: second, agreement_number, signed_at };
    card_store::bind_signed(&mut bound, &[signed]).await.unwrap();
    let (unbound, ()) = tokio::join!(card_actions::unbind(&app, borrower_id, first), async {
        house::until_as_many_wait(&app.pool, 1).await;
        bound.commit().await.unwrap();
    });
    unbound.unwrap();
    let cards = card_actions::cards(&app, borrower_id).await.unwrap();
    let default = cards.iter().find(|card| card.is_default);
    assert_eq!(default.map(|card| card.card_id), Some(second));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_erased_person_cannot_be_read_or_found(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let application =
        ApplyRequest { limit_requested: Some(Fen::new(100_000)), ..request(borrower_id, product, Some(steady())) };
    credit_actions::apply(&app, application).await.unwrap();
    assert_eq!(refused(house::erase(&app, borrower_id).await), BorrowerRefusal::StillOwing);
    sqlx::query("update credit_line set status = 'closed'").execute(&app.pool).await.unwrap();
    // Whoever is erased cannot be paid.
    let owed_back = "insert into payout (payout_id, kind, source_id, beneficiary_id, line_id, funder_id, amount_fen, status, pay_on,
                                          created_at)
                     select gen_random_uuid(), 'borrower', gen_random_uuid(), borrower_id, line_id, funder_id, 1200, 'created',
                            '2026-01-05', now()
                     from credit_line";
    sqlx::query(owed_back).execute(&app.pool).await.unwrap();
    assert_eq!(refused(house::erase(&app, borrower_id).await), BorrowerRefusal::MoneyInTransit);
    // Nor can whoever was paid as the channel denies.
    let denied = "update payout set status = 'succeeded', bank_reference = 'B1', contradicted_attempt = 1,
                                    contradiction = 'we_succeeded_they_failed', contradicted_on = '2026-01-05'";
    sqlx::query(denied).execute(&app.pool).await.unwrap();
    assert_eq!(refused(house::erase(&app, borrower_id).await), BorrowerRefusal::MoneyInTransit);
    let in_transit = sum_in_transit(&mut app.pool.acquire().await.unwrap(), borrower_id).await.unwrap();
    assert_eq!(in_transit, InTransit { in_flight: Fen::ZERO, owed_back: Fen::new(1_200), in_question: Fen::ZERO });
    sqlx::query("delete from payout").execute(&app.pool).await.unwrap();
    let signed_in = "insert into session (token_hash, kind, session_id, subject_id, device, created_at, last_seen_at, expires_at)
                     select sha256('token'), 'borrower', gen_random_uuid(), borrower_id, 'test', now(), now(), 'infinity'
                     from borrower";
    sqlx::query(signed_in).execute(&app.pool).await.unwrap();
    let charged = "select count(*) from bank_card where status <> 'unbound' or is_default";
    assert_eq!(count(&app, charged).await, 1);
    house::erase(&app, borrower_id).await.unwrap();

    assert_eq!(count(&app, charged).await, 0, "nobody could be told that a card was charged");
    let card = app.vault.index(fenqi::vault::Indexed::CardNumber, identity::card_number(1, 0).reveal());
    let found = "select (select count(*) from bank_card where number_hash = $1) + (select count(*) from card_signing)
                        + (select count(*) from session)";
    assert_eq!(sqlx::query_scalar::<_, i64>(found).bind(card.as_slice()).fetch_one(&app.pool).await.unwrap(), 0);
    // The region and the day of birth are most of an ID number.
    let left = "select count(person_key_sealed) + count(birth_on) + count(region_code) from borrower";
    assert_eq!(count(&app, left).await, 0);
    assert_eq!(holder_of(&app, identity::mobile(1).reveal()).await, None);
    assert_eq!(refused(house::erase(&app, borrower_id).await), BorrowerRefusal::BorrowerUnknown);
    assert_ne!(actions::register(&app, registration(&app, 1)).await.unwrap(), borrower_id);
}

/// A transaction in which nobody else writes to a table, which anybody may read.
pub(super) async fn holding_up(app: &App, table: &str) -> sqlx::PgTransaction<'static> {
    let mut transaction = fenqi::database::begin(&app.pool).await.unwrap();
    let lock = format!("lock table {table} in exclusive mode");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *transaction).await.unwrap();
    transaction
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_is_erased_beside_an_application_or_comes_back_half(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    // Who is about to be written as an applicant is not erased.
    let applicant = ready(&app, 1).await;
    let held_up = holding_up(&app, "application").await;
    let (applied, erased, ()) = tokio::join!(
        credit_actions::apply(&app, request(applicant, product, Some(steady()))),
        async {
            house::until_as_many_wait(&app.pool, 1).await;
            house::erase(&app, applicant).await
        },
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    applied.unwrap();
    // What waits for its decision stands against it, and so does the line that a decision has opened meanwhile.
    let refusal = refused(erased);
    assert!(matches!(refusal, BorrowerRefusal::ApplicationOpen | BorrowerRefusal::StillOwing), "{refusal}");
    assert_eq!(actions::profile(&app, applicant).await.unwrap().mobile, identity::mobile(1));

    // Who is about to be erased neither applies nor is found under a new mobile: that is another account.
    let leaving = ready(&app, 2).await;
    let moved = Registration { mobile: identity::mobile(77), ..registration(&app, 2) };
    let held_up = holding_up(&app, "pin").await;
    let (erased, applied, registered, ()) = tokio::join!(
        house::erase(&app, leaving),
        async {
            house::until_as_many_wait(&app.pool, 1).await;
            credit_actions::apply(&app, request(leaving, product, Some(steady()))).await
        },
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            actions::register(&app, moved.clone()).await.unwrap()
        },
        async {
            house::until_as_many_wait(&app.pool, 3).await;
            held_up.commit().await.unwrap();
        }
    );
    erased.unwrap();
    assert_eq!(refused(applied), ApplyRefusal::BorrowerUnknown);
    assert_ne!(registered, leaving);
    assert_eq!(holder_of(&app, moved.mobile.reveal()).await, Some(registered));

    // Nor under an identity in WeChat.
    let leaving = ready(&app, 3).await;
    let held_up = holding_up(&app, "pin").await;
    let (erased, linked, ()) = tokio::join!(
        house::erase(&app, leaving),
        async {
            house::until_as_many_wait(&app.pool, 1).await;
            house::link_openid(&app, leaving, "openid-3").await
        },
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    erased.unwrap();
    assert_eq!(refused(linked), BorrowerRefusal::BorrowerUnknown);
    assert_eq!(led_to_by(&app, "openid-3").await, None);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_card_is_bound_under_an_agreement_that_was_taken_back(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let needed = [Agreement::Withholding, Agreement::PersonalInformation, Agreement::SensitiveInformation];
    for (number, agreement) in (1..).zip(needed) {
        let borrower_id = registered(&app, number).await;
        take_back(&app, borrower_id, agreement).await.unwrap();
        let (mobile, number) = (identity::mobile(number), identity::card_number(number, 0));
        let bound = card_actions::start_binding(&app, CardBinding { borrower_id, number, mobile }).await;
        assert_eq!(refused(bound), CardRefusal::AgreementMissing, "{agreement:?}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_that_is_on_its_way_binds_no_card_once_a_consent_is_taken_back(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let agreement = Agreement::PersonalInformation;
    let binding = |borrower_id, number| {
        let (number, mobile) = (identity::card_number(number, 0), identity::mobile(number));
        card_actions::start_binding(&app, CardBinding { borrower_id, number, mobile })
    };
    let before = registered(&app, 1).await;
    let card_id = binding(before, 1).await.unwrap();
    take_back(&app, before, agreement).await.unwrap();
    assert_eq!(refused(put(&app, (before, card_id), "000001").await), CardRefusal::SigningEnded);

    // While the bank is asked for its code.
    let meanwhile = registered(&app, 2).await;
    let mut taking_back = fenqi::database::begin(&app.pool).await.unwrap();
    fenqi::credit::application_store::hold_applicant(&mut taking_back, meanwhile).await.unwrap();
    fenqi::borrower::withdraw(&mut taking_back, meanwhile, agreement, app.clock.now()).await.unwrap();
    let (asked, ()) = tokio::join!(binding(meanwhile, 2), async {
        house::until_as_many_wait(&app.pool, 1).await;
        taking_back.commit().await.unwrap();
    });
    assert_eq!(refused(put(&app, (meanwhile, asked.unwrap()), "000002").await), CardRefusal::CardUnknown);
    assert_eq!(count(&app, "select count(*) from bank_card").await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_agreement_that_is_tapped_twice_is_signed_once(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let agreement = Agreement::Credit;
    take_back(&app, borrower_id, agreement).await.unwrap();
    let signature =
        Signature { borrower_id, agreement, text_sha256: agreement.wording().sha256, device: "test".into() };
    // Both have come to what they write before either has written it.
    let held_up = holding_up(&app, "consent_text").await;
    let (one, other, ()) = tokio::join!(
        actions::sign(&app, std::slice::from_ref(&signature)),
        actions::sign(&app, std::slice::from_ref(&signature)),
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    one.unwrap();
    other.unwrap();
    let signed = actions::signed_agreements(&app, borrower_id).await.unwrap();
    let standing = signed.iter().filter(|one| one.kind == agreement.name() && one.withdrawn_at.is_none()).count();
    assert_eq!(standing, 1);
}
