//! Another agreement with a merchant, which two people state.

use crate::app::App;
use crate::audit::Person;
use crate::base::Rate;
use crate::base::id::MerchantId;
use crate::cli::look_at::look_at;
use crate::cli::typed::one_line;
use crate::merchant::agreement_actions::AgreementChange;
use crate::merchant::{self, Agreement, AgreementStep};

use super::LIST;

#[derive(clap::Args)]
pub struct Args {
    /// By its id in `fenqi merchant list`
    merchant: MerchantId,
    /// The discount fee, as a fraction of each purchase, such as 0.004
    #[arg(long)]
    discount_rate: Rate,
    /// A refund does not give the discount fee back
    #[arg(long)]
    keeps_discount: bool,
    /// Who states it
    #[arg(long, value_parser = one_line)]
    by: String,
}

/// States it; the second person who states the same makes it hold.
pub async fn state(app: &App, stated: Args) -> anyhow::Result<()> {
    let app = app.by(Person::typed(&stated.by));
    let (merchant_id, discount_rate) = (stated.merchant, stated.discount_rate);
    let discount_returned_on_refund = !stated.keeps_discount;
    let change = AgreementChange { merchant_id, discount_rate, discount_returned_on_refund, stated_by: stated.by };
    match merchant::change_agreement(&app, &change).await.map_err(look_at(LIST))? {
        AgreementStep::Proposed => {
            println!("{merchant_id} pays what was stated once somebody else states the same");
        }
        AgreementStep::Changed { proposed_by } => {
            println!("{merchant_id} pays what {proposed_by} stated from its next purchase on");
        }
        AgreementStep::AlreadyAgreed => {
            println!("{merchant_id} pays that already; nothing changed, and nothing else is proposed");
        }
    }
    // Print the whole agreement: with only another rate stated, refunds give the fee back (again).
    println!("    {}", Agreement { discount_rate, discount_returned_on_refund });
    Ok(())
}
