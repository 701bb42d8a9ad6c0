//! `fenqi partner pay-order`: pays an order as some borrower of a trial house would, so that an integrator needs no phone.

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::base::id::{BorrowerId, MerchantId};
use crate::cli::trial;
use crate::credit::store::{self, Payer};
use crate::merchant::{CodeKind, code_store};
use crate::purchase::{Authoriser, Decision, PurchaseRequest};

#[derive(clap::Args)]
pub struct Args {
    /// By its id in `fenqi merchant list`
    merchant: MerchantId,
    /// The order's reference
    reference: String,
    /// Who pays, such as somebody whom `fenqi partner apply` named; anybody with room for it if left out
    #[arg(long)]
    borrower: Option<BorrowerId>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = trial::open().await?;
    let mut connection = app.pool.acquire().await?;
    let code = code_store::find_code_of(&mut connection, args.merchant, Some(&args.reference)).await?;
    let code = code.with_context(|| format!("the merchant has no order {}", args.reference))?;
    let CodeKind::Order { amount, .. } = code.kind else { bail!("{} is no order", args.reference) };
    let payers = store::list_payers(&mut connection, amount, args.borrower).await?;
    let mut found = None;
    for payer in payers {
        let Payer { line_id, product_id, product_version, grade } = payer;
        let product = app.catalogue.get(&mut connection, product_id, product_version).await?;
        let bounds = &product.terms.purchase;
        let fits = (bounds.amount_min_fen..=bounds.amount_max_fen).contains(&amount);
        let mut offered = product.terms.plans.iter().flat_map(|plan| plan.periods.iter().copied());
        let periods = offered.find(|periods| fits && product.terms.plan(*periods, &grade).is_some());
        if let Some(periods) = periods {
            found = Some((line_id, product_id, product_version, periods));
            break;
        }
    }
    drop(connection);
    let (line_id, product_id, product_version, periods) = found.with_context(|| match args.borrower {
        Some(borrower) => {
            format!("{borrower} has no line here that {amount} yuan can be paid on; try a smaller amount")
        }
        None => "no borrower of this house can pay that much; try a smaller amount".to_owned(),
    })?;
    let request = PurchaseRequest {
        line_id,
        idempotency_key: format!("trial-{}", code.code_id.uuid().simple()),
        merchant_id: args.merchant,
        order_code: Some(code.code_id),
        product_id,
        product_version,
        periods,
        amount,
    };
    let receipt = Authoriser::start(app.clone()).authorise(request).await?;
    // The call to the risk partner, if there was one, must be in the log.
    app.partners.flush_log().await;
    match receipt.decision {
        Decision::Authorised { loan_id } => {
            println!("{} paid {amount} yuan in {periods} installments: {loan_id}", receipt.purchase_id);
            Ok(ExitCode::SUCCESS)
        }
        Decision::Refused(refusal) => bail!("{}: {refusal}", receipt.purchase_id),
    }
}
