//! Test helper: the people of a merchant, in their browsers.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::id::{MerchantId, StaffId};
use fenqi::merchant::Role;
use fenqi::merchant::staff_actions::{self, Hiring};
use fenqi::sandbox::World;
use fenqi::sandbox::world::lock;

use crate::browser::{Browser, Shown};

/// The mobile of the owner whom [`hire_owner`] hires.
pub const OWNER: &str = "13900139000";

/// The newest code that the counterfeit SMS partner sent to a mobile.
pub fn code_sent_to(world: &World, mobile: &str) -> String {
    lock(&world.sms).messages_to(mobile).last().unwrap().parameters["code"].clone()
}

/// Lets somebody sign in for a merchant.
pub async fn hire(app: &App, merchant_id: MerchantId, mobile: &str, role: Role) -> StaffId {
    let hiring = Hiring {
        merchant_id,
        name: "王老板".into(),
        mobile: mobile.parse().unwrap(),
        role,
        hired_by: "operator:li".into(),
    };
    staff_actions::hire(app, &hiring).await.unwrap()
}

/// Gives a merchant its first owner, [`OWNER`].
pub async fn hire_owner(app: &App, merchant_id: MerchantId) -> StaffId {
    hire(app, merchant_id, OWNER, Role::Owner).await
}

/// Signs in on the merchants' sign-in page; returns the page that this leads to. A mobile gets one code a minute.
pub async fn sign_in(browser: &mut Browser, world: &Arc<World>, mobile: &str) -> Shown {
    sign_in_from(browser, world, mobile, "/m").await
}

/// As [`sign_in`], from a page that asks for it.
pub async fn sign_in_from(browser: &mut Browser, world: &Arc<World>, mobile: &str, from: &str) -> Shown {
    let page = browser.get(from).await;
    page.is_at("/m/sign-in");
    let sent = browser.submit(&page, "/m/sign-in", &[("mobile", mobile), ("do", "send")]).await;
    sent.shows("The code has been sent");
    let code = code_sent_to(world, mobile);
    let fields = [("mobile", mobile), ("passcode", code.as_str()), ("do", "sign_in")];
    browser.submit(&sent, "/m/sign-in", &fields).await
}

/// Submits a form that a code to `mobile` confirms, a minute later, since a mobile gets one code a minute.
pub async fn confirm(
    (browser, app, world): (&mut Browser, &App, &Arc<World>),
    page: &Shown,
    (action, mobile): (&str, &str),
    fields: &[(&str, &str)],
) -> Shown {
    app.clock.set(app.clock.now() + TimeDelta::seconds(61));
    let mut asking = fields.to_vec();
    asking.push(("do", "send"));
    let sent = browser.submit(page, action, &asking).await;
    sent.has_status(200).shows("The code was sent to");
    let code = code_sent_to(world, mobile);
    let mut confirming = fields.to_vec();
    confirming.extend([("passcode", code.as_str()), ("do", "confirm")]);
    browser.submit(&sent, action, &confirming).await
}
