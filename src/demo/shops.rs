//! The merchants of the story, onboarded through the real use case.

use super::identity;
use crate::app::App;
use crate::base::id::MerchantId;
use crate::error::Fault;
use crate::merchant::actions::{Judgement, LatinLabel, Onboarding};
use crate::merchant::staff::Role;
use crate::merchant::staff_actions::{self, Hiring};
use crate::merchant::{self, Category, Decision};

/// How many merchants the story has.
const SHOPS: u64 = 60;
/// What they pay on each purchase: six in a thousand, a common price of acquiring.
const DISCOUNT_RATE: &str = "0.006";

/// A merchant that sells in the story.
#[derive(Clone, Copy, Debug)]
pub struct Shop {
    pub merchant_id: MerchantId,
    pub category: Category,
}

/// Onboards and accepts the merchants, and lets their people sign in.
pub async fn open_shops(app: &App) -> anyhow::Result<Vec<Shop>> {
    let mut shops = Vec::new();
    for number in 0..SHOPS {
        let category = Category::ALL[(number % Category::ALL.len() as u64) as usize];
        let name = format!("示范商户{:02}号有限公司", number + 1);
        let onboarding = Onboarding {
            name: name.clone(),
            credit_code: identity::credit_code(&format!("91310000{number:08}")).as_str().to_owned(),
            category: category.code().to_owned(),
            account_name: name,
            account_number: format!("95588{number:011}"),
            contact_mobile: format!("138{number:08}"),
            latin: Some(LatinLabel { name: format!("DEMO SHOP {:02}", number + 1), city: "SHANGHAI".into() }),
            discount_rate: DISCOUNT_RATE.parse()?,
            discount_returned_on_refund: number.is_multiple_of(2),
        };
        let merchant_id = merchant::onboard(app, &onboarding).await.map_err(Fault::into_error)?;
        let judgement = Judgement {
            merchant_id,
            decision: Decision::Accept,
            decided_by: "demo".to_owned(),
            reason: "checked by the story".to_owned(),
        };
        let _step = merchant::decide(app, &judgement).await.map_err(Fault::into_error)?;
        let _code = merchant::open_static_code(app, merchant_id).await.map_err(Fault::into_error)?;
        let owner = Person { name: "掌柜", mobile: format!("138{number:08}"), role: Role::Owner };
        hire(app, merchant_id, owner).await?;
        if number == 0 {
            // One shop also has staff with fewer rights, so that one can sign in as them.
            let manager = Person { name: "店长小李", mobile: format!("139{number:08}"), role: Role::Manager };
            let cashier = Person { name: "收银小陈", mobile: format!("137{number:08}"), role: Role::Cashier };
            hire(app, merchant_id, manager).await?;
            hire(app, merchant_id, cashier).await?;
        }
        shops.push(Shop { merchant_id, category });
    }
    Ok(shops)
}

/// Who works in a shop.
struct Person {
    name: &'static str,
    mobile: String,
    role: Role,
}

/// Lets somebody sign in for a shop.
async fn hire(app: &App, merchant_id: MerchantId, person: Person) -> anyhow::Result<()> {
    let Person { name, mobile, role } = person;
    let (name, hired_by) = (name.to_owned(), "demo".to_owned());
    let hiring = Hiring { merchant_id, name, mobile: mobile.parse()?, role, hired_by };
    let _staff_id = staff_actions::hire(app, &hiring).await.map_err(Fault::into_error)?;
    Ok(())
}
