//! One loan as its borrower reads it: every figure with its arithmetic, the terms behind it, and the ledger entries.

use anyhow::Context as _;

use crate::app::App;
use crate::base::id::LoanId;
use crate::base::{Fen, counted};
use crate::bill::own_actions::{self, LoanStory};
use crate::bill::own_store::OwnPayment;
use crate::bill::why::{self, Agreed, Changed, Owed};
use crate::ledger::store::Entry;
use crate::loan::LoanStatus;
use crate::loan::price::in_percent;
use crate::page::{Language, Page, Visit};

/// Decimals of a rate in per cent.
const RATE_DECIMALS: u32 = 2;

#[derive(clap::Args)]
pub struct Args {
    /// By its id in `fenqi line show`
    loan: LoanId,
    /// The language of the arithmetic: `en` or `zh-CN`
    #[arg(long, default_value = "en", value_parser = language)]
    lang: Language,
}

fn language(text: &str) -> Result<Language, String> {
    Language::from_tag(text).ok_or_else(|| "say en or zh-CN".to_owned())
}

pub async fn show(app: &App, wanted: Args) -> anyhow::Result<()> {
    let Args { loan, lang } = wanted;
    let found = own_actions::any_loan(app, loan).await?;
    let story = found.with_context(|| format!("there is no loan {loan}; `fenqi line show` lists those of a line"))?;
    let page = Page::of(Visit::of_nobody(app, lang));
    print_loan(&page, &story);
    for period in 1..=story.current().schedule.installments.len() {
        let payments = own_actions::payments(app, &story.loan, period).await?;
        print_period(&page, &story, period, &payments);
    }
    println!("ledger");
    for Entry { event, debit, credit, amount, business_day, .. } in own_actions::entries(app, &story.loan, None).await?
    {
        let (debit, credit) = (debit.name(), credit.name());
        println!("    {business_day}  {event:<18}  debit {debit:<22}  credit {credit:<22}  {amount:>14}");
    }
    Ok(())
}

fn print_loan(page: &Page, story: &LoanStory) {
    let loan = &story.loan;
    println!(
        "{} of {}: {} yuan bought on {} at {}, in {}",
        loan.loan_id,
        loan.line_id,
        loan.principal,
        loan.made_on,
        loan.merchant_name,
        counted(loan.periods, "period")
    );
    let terms = &story.product.terms;
    println!("    under {} version {}, grade {}", terms.code, loan.product_version, loan.grade);
    if let Some(price) = why::agreed_price(story) {
        let (nominal, effective) =
            (in_percent(price.nominal, RATE_DECIMALS), in_percent(price.effective, RATE_DECIMALS));
        println!("    a year: {nominal} nominal (单利), {effective} effective (复利)");
    }
    let left = if loan.status == LoanStatus::Voided {
        page.yuan(&loan.outstanding())
    } else {
        page.sum(&[loan.principal, -loan.principal_paid, -loan.principal_returned])
    };
    println!("    {}, principal left: {left}", loan.status.name());
}

fn print_period(page: &Page, story: &LoanStory, period: usize, payments: &[OwnPayment]) {
    println!("period {period}, due {}", story.current().schedule.installments[period - 1].due_on);
    if let Some(Agreed { row, balance_why, payment_why }) = why::agreed(page, story, period) {
        println!("    as agreed on {}", story.loan.made_on);
        let principal_why = Some(row.principal_why).filter(|why| !why.is_empty());
        print_part("principal", row.principal, payment_why.into_iter().chain(principal_why));
        print_part("interest", row.interest, balance_why.into_iter().chain(row.interest_why));
        print_guarantee(row.guarantee, Some(row.guarantee_why).filter(|why| !why.is_empty()));
    }
    for changed in why::changes(page, story, period) {
        let Changed { reason, day, principal, charges, principal_why, interest_why, guarantee_why, .. } = changed;
        println!("    changed on {day}: {reason}");
        print_part("principal", principal, principal_why);
        print_part("interest", charges.interest, interest_why);
        print_guarantee(charges.guarantee, guarantee_why);
    }
    let Some(billed) = story.billed(period) else { return };
    let Owed { principal_why, interest_why, guarantee_why, penalty_why } = why::owed(page, story, billed);
    println!("    billed, and as it stands on {}", billed.today);
    print_part("principal", billed.principal(), principal_why);
    print_part("interest", billed.interest(), interest_why);
    print_guarantee(billed.guarantee(), guarantee_why);
    print_part("penalty", billed.penalty(), penalty_why);
    let paid = |payment: &OwnPayment| {
        let since = payment.counts_from().map_or_else(String::new, |day| format!("  counts from {day}"));
        format!("{}  {}  {}{since}", payment.business_day, payment.source, payment.amount)
    };
    print_part("paid", billed.own.billed.paid.total(), payments.iter().map(paid));
    print_part("left", billed.owed.total(), Vec::new());
}

/// Prints the guarantee charge, if the plan has one.
fn print_guarantee(charge: Option<Fen>, why: impl IntoIterator<Item = String>) {
    if let Some(charge) = charge {
        print_part("guarantee", charge, why);
    }
}

/// Prints one figure, and below it, line by line, how it was computed.
fn print_part(name: &str, amount: Fen, why: impl IntoIterator<Item = String>) {
    println!("        {name:<9}  {amount:>14}");
    for line in why {
        println!("            {line}");
    }
}
