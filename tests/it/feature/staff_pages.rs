//! A merchant's staff on its pages: hired, given roles and removed, and the merchant always keeps an owner.

use fenqi::merchant::{Role, staff_actions};
use sqlx::PgPool;

use super::house_command::Program;
use crate::counter::hire;
use crate::house;
use crate::shopper::sign_in_as;
use crate::till::{CASHIER, OWNER, Till, neighbour};

const NEW: [(&str, &str); 3] = [("staff_name", "小陈"), ("mobile", "13900139077"), ("role", "cashier")];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_owner_hires_and_the_new_one_signs_in_with_fewer_rights(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let form = till.browser.get("/m/staff/new").await;
    let listed = till.confirm_by_code(&form, "/m/staff/new", &NEW).await;
    listed.is_at("/m/staff").shows("小陈").shows("139****9077").shows("Cashier").hides("13900139077");
    // The same form again, as by a second tap: nobody is let in twice.
    till.browser.submit(&form, "/m/staff/new", &NEW).await.is_at("/m/staff").shows("小陈");
    let other = NEW.map(|(name, value)| (name, if name == "staff_name" { "小李" } else { value }));
    let again = till.confirm_by_code(&form, "/m/staff/new", &other).await;
    again.has_status(422).shows("works here already").shows("value=\"小李\"").shows("id=\"mobile-error\"");
    // The code is not used up by it: with another number it lets somebody in.
    let code = crate::counter::code_sent_to(&till.world, OWNER);
    let mut fields = vec![("staff_name", "小李"), ("mobile", "13900139078"), ("role", "cashier")];
    fields.extend([("passcode", code.as_str()), ("do", "hire")]);
    till.browser.submit(&again, "/m/staff/new", &fields).await.is_at("/m/staff").shows("小李");
    let mut cashier = crate::browser::Browser::at(&till.browser.address);
    crate::counter::sign_in(&mut cashier, &till.world, "13900139077").await.is_at("/m");
    cashier.get("/m/more").await.hides("/m/staff").shows("/m/orders");
    cashier.get("/m/staff").await.has_status(403).shows("Ask the merchant").shows("href=\"/m\"");
    cashier.get("/m/settlements").await.has_status(403);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_is_removed_is_out_at_once(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let merchant_id = till.town.merchant_id;
    let staff_id = hire(&till.town.app, merchant_id, CASHIER, Role::Cashier).await;
    let mut cashier = crate::browser::Browser::at(&till.browser.address);
    sign_in_as(&mut cashier, &till.town.app, "merchant", staff_id.uuid()).await;
    cashier.get("/m/orders/new").await.is_at("/m/orders/new");
    let address = format!("/m/staff/{staff_id}/remove");
    let ask = till.browser.get(&address).await;
    ask.shows("Remove");
    let listed = till.confirm_by_code(&ask, &address, &[]).await;
    listed.is_at("/m/staff").shows("cannot sign in here any more").hides("139****9002");
    cashier.get("/m/orders/new").await.is_at("/m/sign-in");
    let sessions = "select count(*) from session where kind = 'merchant'";
    assert_eq!(till.town.fen(sessions).await, 1, "the owner's alone");
    till.browser.submit(&ask, &address, &[]).await.is_at("/m/staff").hides("139****9002");
    // Hired again, as somebody new.
    hire(&till.town.app, merchant_id, CASHIER, Role::Manager).await;
    assert_eq!(till.town.fen("select count(*) from merchant_staff_event").await, 4);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_operator_takes_an_owner_out_whom_nobody_at_the_merchant_would(pool: PgPool) {
    let mut till = Till::open(pool.clone(), "2026-03-02").await;
    let fenqi = Program::on(&pool).await;
    let merchant = till.town.merchant_id.to_string();
    let shown: serde_json::Value =
        serde_json::from_str(&fenqi.done(&["merchant", "show", &merchant, "--json"])).unwrap();
    let squatter = shown["staff"][0]["staff_id"].as_str().unwrap().to_owned();
    let remove = ["merchant", "remove-staff", &merchant, &squatter, "--by", "Li Na"];
    assert!(fenqi.refused(&remove).contains("never without an owner"));
    let owner = ["--mobile", "13900139055", "--name", "Zhao Liu", "--by", "Li Na"];
    fenqi.done(&[&["merchant", "add-owner", &merchant][..], &owner].concat());
    till.browser.get("/m/staff").await.is_at("/m/staff").shows("Zhao Liu");
    assert!(fenqi.done(&["merchant", "show", &merchant]).contains(&format!("({squatter})")));
    fenqi.done(&remove);
    till.browser.get("/m/staff").await.is_at("/m/sign-in");
    assert_eq!(till.town.fen("select count(*) from session where kind = 'merchant'").await, 0);
    assert_eq!(house::did(&pool, "staff_removed").await, ["Li Na"]);
    let told = "select count(*) from merchant_staff_event where change = 'removed' and changed_by = 'Li Na'";
    assert_eq!(till.town.fen(told).await, 1);
    assert!(fenqi.refused(&remove).contains("nobody of that id works at this merchant"), "who is out already");
    let elsewhere = ["merchant", "remove-staff", "mer_00000000000000000000000000000000", &squatter, "--by", "Li Na"];
    assert!(fenqi.refused(&elsewhere).contains("there is no such merchant"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_role_holds_from_the_next_page_on_and_the_last_owner_stays(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let merchant_id = till.town.merchant_id;
    let people = staff_actions::list_staff(&till.town.app, merchant_id).await.unwrap();
    let own = format!("/m/staff/{}", people[0].staff_id);
    assert_eq!(people[0].mobile.reveal(), OWNER);
    let page = till.browser.get(&own).await;
    let refused = till.confirm_by_code(&page, &own, &[("role", "cashier")]).await;
    refused.has_status(422).shows("never without an owner").shows("id=\"role-error\"");
    let ask = till.browser.get(&format!("{own}/remove")).await;
    till.confirm_by_code(&ask, &format!("{own}/remove"), &[]).await.has_status(422).shows("never without an owner");
    till.browser.submit(&page, &own, &[("role", "emperor")]).await.has_status(422).shows("Choose a role");
    let second = hire(&till.town.app, merchant_id, CASHIER, Role::Cashier).await;
    let address = format!("/m/staff/{second}");
    let page = till.browser.get(&address).await;
    // The code was not used up by what was refused.
    let code = crate::counter::code_sent_to(&till.world, OWNER);
    let fields = [("role", "owner"), ("passcode", code.as_str()), ("do", "change")];
    till.browser.submit(&page, &address, &fields).await.is_at("/m/staff").shows("The role is changed");
    // Now there are two, the first may step down, and has no more business on this list.
    let page = till.browser.get(&own).await;
    till.confirm_by_code(&page, &own, &[("role", "cashier")]).await.is_at("/m");
    till.browser.get("/m/staff").await.has_status(403);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn wrong_particulars_stand_beside_their_fields_and_other_merchants_people_are_not_found(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let form = till.browser.get("/m/staff/new").await;
    let long = "长".repeat(10_000);
    for (field, typed) in
        [("staff_name", ""), ("staff_name", long.as_str()), ("mobile", "12345"), ("mobile", "😀"), ("role", "x")]
    {
        let fields = NEW.map(|(name, value)| (name, if name == field { typed } else { value }));
        let refused = till.browser.submit(&form, "/m/staff/new", &fields).await;
        refused.has_status(422).shows(&format!("id=\"{field}-error\"")).hides("The code was sent to");
    }
    let people = staff_actions::list_staff(&till.town.app, till.town.merchant_id).await.unwrap();
    let mut other = neighbour(&till.town, &till.browser.address).await;
    other.get(&format!("/m/staff/{}", people[0].staff_id)).await.has_status(404);
    other.get("/m/staff/nobody").await.has_status(404);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_left_open_gives_nobody_a_right_without_the_owners_code(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let cashier = hire(&till.town.app, till.town.merchant_id, CASHIER, Role::Cashier).await;
    let (one, remove) = (format!("/m/staff/{cashier}"), format!("/m/staff/{cashier}/remove"));
    let pages = [("/m/staff/new".to_owned(), NEW.to_vec()), (one, vec![("role", "owner")]), (remove, vec![])];
    for (address, fields) in pages {
        let page = till.browser.get(&address).await;
        page.shows("139****9001");
        let missing = till.browser.submit(&page, &address, &fields).await;
        missing.has_status(422).shows("id=\"passcode-error\"");
        let mut guessed = fields.clone();
        guessed.push(("passcode", "000000"));
        till.browser.submit(&page, &address, &guessed).await.has_status(422).shows("Ask for a new one");
    }
    let team = staff_actions::list_staff(&till.town.app, till.town.merchant_id).await.unwrap();
    let role_of = |mobile| team.iter().find(|staff| staff.mobile.reveal() == mobile).map(|staff| staff.role);
    assert_eq!(team.len(), 2);
    assert_eq!((role_of(OWNER), role_of(CASHIER)), (Some(Role::Owner), Some(Role::Cashier)));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_manager_and_a_cashier_reach_no_page_of_the_team(pool: PgPool) {
    let till = Till::open(pool, "2026-03-02").await;
    let merchant_id = till.town.merchant_id;
    let owner = staff_actions::list_staff(&till.town.app, merchant_id).await.unwrap().remove(0).staff_id;
    for (mobile, role) in [(CASHIER, Role::Cashier), ("13900139078", Role::Manager)] {
        let mut browser = crate::browser::Browser::at(&till.browser.address);
        let staff_id = hire(&till.town.app, merchant_id, mobile, role).await;
        sign_in_as(&mut browser, &till.town.app, "merchant", staff_id.uuid()).await;
        let more = browser.get("/m/more").await;
        more.is_at("/m/more").hides("/m/staff");
        let csrf = more.field("csrf");
        for address in ["/m/staff".to_owned(), "/m/staff/new".to_owned(), format!("/m/staff/{owner}")] {
            browser.get(&address).await.has_status(403);
        }
        for address in ["/m/staff/new".to_owned(), format!("/m/staff/{owner}"), format!("/m/staff/{owner}/remove")] {
            browser.post(&address, format!("csrf={csrf}&role=cashier&do=confirm")).await.has_status(403);
        }
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_merchants_owner_changes_and_removes_nobody_though_the_code_is_right(pool: PgPool) {
    let till = Till::open(pool, "2026-03-02").await;
    let cashier = hire(&till.town.app, till.town.merchant_id, CASHIER, Role::Cashier).await;
    let mut other = neighbour(&till.town, &till.browser.address).await;
    let form = other.get("/m/staff/new").await;
    let sent = other.submit(&form, "/m/staff/new", &[("do", "send")]).await;
    sent.has_status(200).shows("The code was sent to");
    let code = crate::counter::code_sent_to(&till.world, "13900139009");
    let csrf = sent.field("csrf");
    let body = format!("csrf={csrf}&passcode={code}&role=owner&do=confirm");
    other.post(&format!("/m/staff/{cashier}"), body.clone()).await.has_status(404);
    let listed = other.post(&format!("/m/staff/{cashier}/remove"), body).await;
    listed.is_at("/m/staff").hides("139****9002").hides("cannot sign in here any more");
    let team = staff_actions::list_staff(&till.town.app, till.town.merchant_id).await.unwrap();
    let role_of = |mobile| team.iter().find(|staff| staff.mobile.reveal() == mobile).map(|staff| staff.role);
    assert_eq!((role_of(OWNER), role_of(CASHIER)), (Some(Role::Owner), Some(Role::Cashier)));
}
