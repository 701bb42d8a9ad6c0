//! A merchant that did not apply on the pages, with a contract of its own: its application is filed for it.

use crate::app::App;
use crate::base::Rate;
use crate::cli::by::By;
use crate::cli::look_at::look_at;
use crate::merchant::actions::{LatinLabel, Onboarding};
use crate::merchant::join_store;
use crate::merchant::{self, MerchantStatus};

use super::LIST;

#[derive(clap::Args)]
pub struct Args {
    /// The company's registered name, in which its settlement account is too
    #[arg(long)]
    name: String,
    /// Its unified social credit code
    #[arg(long)]
    credit_code: String,
    /// What it sells: the code of a category
    #[arg(long)]
    category: String,
    /// The number of the settlement account
    #[arg(long)]
    account_number: String,
    /// The mobile of its contact, who is told if it is to be paid to another account, and how it was decided if somebody can sign
    /// in for it by then
    #[arg(long)]
    contact_mobile: String,
    /// The discount fee, as a fraction of each purchase, such as 0.006
    #[arg(long)]
    discount_rate: Rate,
    /// A refund does not give the discount fee back
    #[arg(long)]
    keeps_discount: bool,
    /// Its name in Latin letters, for the EMVCo form of its codes
    #[arg(long, requires = "latin_city")]
    latin_name: Option<String>,
    /// Its city in Latin letters
    #[arg(long, requires = "latin_name")]
    latin_city: Option<String>,
    #[command(flatten)]
    by: By,
}

/// Files the application; the same once more is the same merchant. Somebody decides it like any other.
pub async fn add(app: &App, stated: Args) -> anyhow::Result<()> {
    let latin = stated.latin_name.zip(stated.latin_city);
    let onboarding = Onboarding {
        account_name: stated.name.clone(),
        name: stated.name,
        credit_code: stated.credit_code,
        category: stated.category,
        account_number: stated.account_number,
        contact_mobile: stated.contact_mobile,
        latin: latin.map(|(name, city)| LatinLabel { name, city }),
        discount_rate: stated.discount_rate,
        discount_returned_on_refund: !stated.keeps_discount,
    };
    let merchant_id = merchant::onboard(&app.by(stated.by.person()), &onboarding).await.map_err(look_at(LIST))?;
    let row = join_store::find_application(&mut *app.pool.acquire().await?, merchant_id).await?;
    match row.map(|row| row.status) {
        Some(MerchantStatus::Submitted) | None => {
            println!("{merchant_id} is submitted; decide with `fenqi merchant approve` or `fenqi merchant refuse`");
        }
        Some(status) => println!("{merchant_id} is {} already", status.name()),
    }
    Ok(())
}
