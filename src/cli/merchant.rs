//! `fenqi merchant`: merchants, shown to an operator and decided on, with their accounts, codes and owners.

mod adding;
mod agreeing;
mod holding;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::app::App;
use crate::audit::Person;
use crate::base::Fen;
use crate::base::id::{MerchantId, StaffId};
use crate::base::person::Mobile;
use crate::cli::by::By;
use crate::cli::listed::{cut_at, say_cut};
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::cli::typed::filled;
use crate::error::Step;
use crate::merchant::actions::{AccountChange, Judgement, StatedAccount, find_stated_account};
use crate::merchant::agreement_store;
use crate::merchant::code_actions::{CodeForms, code_forms};
use crate::merchant::join_store::{self, ApplicationRow, Wanted};
use crate::merchant::staff::parse_staff_name;
use crate::merchant::staff_actions::{self, Hiring, StaffChange, StaffShown};
use crate::merchant::{self, AccountStep, Decision, MerchantStatus, Role, picture};
use crate::settlement::hold_store::find_hold;
use crate::settlement::store::{Owed, find_owed};

/// Rows that are listed at most; `--after` shows the next ones.
const LISTED_MAX: usize = 100;
const LIST: &str = "fenqi merchant list";

#[derive(clap::Subcommand)]
pub enum Args {
    /// List merchants in the order in which they applied, at most a hundred
    List {
        /// Only those with this status
        #[arg(long)]
        status: Option<MerchantStatus>,
        /// Only those of which somebody has stated another account or fee, or the release of payouts, and a second person has not
        #[arg(long)]
        proposed: bool,
        /// Only those whose payouts are held
        #[arg(long)]
        held: bool,
        /// Go on after this one
        #[arg(long)]
        after: Option<MerchantId>,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one: what it stated, its people, every decision, and what waits for a second person
    Show {
        /// By its id in `fenqi merchant list`
        merchant: MerchantId,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// File the application of a merchant that has a contract of its own and did not apply on the pages
    Add(adding::Args),
    /// Accept an application; the merchant sells from then on, and what else waits for the same credit code is refused
    Approve(Deciding),
    /// Refuse an application; the reason is shown to the applicant, who may correct it and apply again
    Refuse(Deciding),
    /// Let an active merchant sell no more, for a time; what it sold is paid as usual, unless its payouts are held
    Suspend(Deciding),
    /// Let a suspended merchant sell again
    Resume(Deciding),
    /// End a merchant; what it sold is settled as usual
    Close(Deciding),
    /// Pay a merchant nothing for a time: its days are settled as usual, and no payout is sent
    HoldPayouts(holding::Args),
    /// State that a merchant is to be paid again; it is once somebody else states the same
    ReleasePayouts(holding::Args),
    /// State another settlement account for a merchant; it is paid to that once somebody else states the same
    SetAccount {
        /// By its id in `fenqi merchant list`
        merchant: MerchantId,
        /// The account's number; it is the company's own
        #[arg(long)]
        number: String,
        /// Who states it
        #[arg(long, value_parser = filled)]
        by: String,
    },
    /// State another discount fee for a merchant; its next purchases have it once somebody else states the same
    SetAgreement(agreeing::Args),
    /// Print a code that customers scan: its link, and the EMVCo payload for wallets that read that form
    Code(Coding),
    /// Say where people who open the merchant's code in another wallet's app can pay, such as the merchant's code there
    SetLink {
        /// By its id in `fenqi merchant list`
        merchant: MerchantId,
        /// An https address; without it, they are told what to do instead
        link: Option<String>,
        #[command(flatten)]
        by: By,
    },
    /// Let somebody sign in on a merchant's pages as its owner, such as the first one of a merchant that applied by other ways
    AddOwner {
        /// By its id in `fenqi merchant list`
        merchant: MerchantId,
        /// The mobile by which they sign in
        #[arg(long)]
        mobile: Mobile,
        /// What the merchant's people call them
        #[arg(long)]
        name: String,
        /// Who enters it
        #[arg(long, value_parser = filled)]
        by: String,
    },
    /// Let somebody of a merchant sign in for it no more; whatever they have open ends at once
    RemoveStaff {
        /// By its id in `fenqi merchant list`
        merchant: MerchantId,
        /// By their id in `fenqi merchant show`
        staff: StaffId,
        /// Who removes them
        #[arg(long, value_parser = filled)]
        by: String,
    },
}

#[derive(clap::Args)]
pub struct Deciding {
    /// By its id in `fenqi merchant list`
    merchant: MerchantId,
    /// Who decides
    #[arg(long, value_parser = filled)]
    by: String,
    /// Why, in words for the merchant
    #[arg(long, value_parser = filled)]
    reason: String,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Coding {
    /// By its id in `fenqi merchant list`
    merchant: MerchantId,
    /// The code of the order with this reference, instead of the one for any amount
    #[arg(long)]
    order: Option<String>,
    /// Draw the link into this file too, as SVG
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Draw the EMVCo payload instead of the link
    #[arg(long, requires = "svg")]
    emvco: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::List { status, proposed, held, after, json } => {
            let wanted = Wanted { merchant_id: None, status, proposed_only: proposed, held_only: held, after };
            list(&app, wanted, json).await?;
        }
        Args::Show { merchant, json } => show(&app, merchant, json).await?,
        Args::Add(stated) => adding::add(&app, stated).await?,
        Args::Approve(deciding) => decide(&app, deciding, Decision::Accept).await?,
        Args::Refuse(deciding) => decide(&app, deciding, Decision::Refuse).await?,
        Args::Suspend(deciding) => decide(&app, deciding, Decision::Suspend).await?,
        Args::Resume(deciding) => decide(&app, deciding, Decision::Resume).await?,
        Args::Close(deciding) => decide(&app, deciding, Decision::Close).await?,
        Args::HoldPayouts(stated) => holding::hold(&app, stated).await?,
        Args::ReleasePayouts(stated) => holding::release(&app, stated).await?,
        Args::SetAccount { merchant: merchant_id, number: account_number, by: changed_by } => {
            let app = app.by(Person::typed(&changed_by));
            let change = AccountChange { merchant_id, account_number, changed_by };
            match merchant::change_settlement_account(&app, &change).await.map_err(look_at(LIST))? {
                AccountStep::Proposed => {
                    println!("{merchant_id} is paid to the account that was stated once somebody else states the same");
                }
                AccountStep::Changed { proposed_by } => {
                    println!("{merchant_id} is paid to the account that {proposed_by} stated from now on");
                }
            }
        }
        Args::SetAgreement(stated) => agreeing::state(&app, stated).await?,
        Args::Code(coding) => code(&app, coding).await?,
        Args::SetLink { merchant, link, by } => {
            merchant::set_other_link(&app.by(by.person()), merchant, link.as_deref()).await.map_err(look_at(LIST))?;
            println!("{merchant} {}", link.as_deref().unwrap_or("has no link for other apps"));
        }
        Args::AddOwner { merchant, mobile, name, by } => {
            let name = parse_staff_name(&name)
                .map_err(|_| anyhow::anyhow!("a name has 1 to 40 characters and no control characters"))?;
            let app = app.by(Person::typed(&by));
            let hiring = Hiring { merchant_id: merchant, name, mobile, role: Role::Owner, hired_by: by };
            let staff_id = staff_actions::hire(&app, &hiring).await.map_err(look_at(LIST))?;
            println!("{} owns {merchant} and signs in at {} ({staff_id})", hiring.name, app.site.link("/m"));
        }
        Args::RemoveStaff { merchant: merchant_id, staff: staff_id, by: changed_by } => {
            let app = app.by(Person::typed(&changed_by));
            let change = StaffChange { merchant_id, staff_id, changed_by };
            staff_actions::remove(&app, &change).await.map_err(look_at("fenqi merchant show"))?;
            println!("{staff_id} signs in for {merchant_id} no more");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(app: &App, wanted: Wanted, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let mut rows = join_store::list_applications(&mut connection, wanted, LISTED_MAX as i64 + 1).await?;
    let has_more = cut_at(&mut rows, LISTED_MAX);
    if is_json {
        println!("{}", serde_json::Value::from_iter(rows.iter().map(particulars)));
    } else {
        print_list(&rows, wanted);
    }
    if let Some(last) = rows.last().filter(|_| has_more) {
        say_cut(&format!("there are more; the same with --after {} lists them", last.merchant_id), is_json);
    }
    Ok(())
}

fn print_list(rows: &[ApplicationRow], wanted: Wanted) {
    for row in rows {
        println!(
            "{}  {:<9}  {}  {}  {}",
            row.merchant_id,
            row.status.name(),
            row.credit_code,
            day(row.created_at),
            row.name
        );
    }
    if rows.is_empty() {
        let is = wanted.status.map_or_else(String::new, |status| format!(" is {}", status.name()));
        let waits = if wanted.proposed_only { " waits for a second person" } else { "" };
        println!("no merchant{is}{waits}{}", if wanted.held_only { " has its payouts held" } else { "" });
    }
}

fn particulars(row: &ApplicationRow) -> serde_json::Value {
    json!({
        "merchant_id": row.merchant_id, "name": row.name, "status": row.status.name(), "reason": row.status_reason,
        "credit_code": row.credit_code, "category": row.category, "account_name": row.account_name,
        "account_tail": row.account_tail, "latin_name": row.latin_name, "latin_city": row.latin_city,
        "discount_rate": row.discount_rate, "discount_returned_on_refund": row.discount_returned_on_refund,
        "applied_at": row.created_at, "decided_at": row.decided_at })
}

async fn show(app: &App, merchant_id: MerchantId, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let row = join_store::find_application(&mut connection, merchant_id).await?;
    let row = row.ok_or_else(|| anyhow::anyhow!("there is no merchant {merchant_id}; see `fenqi merchant list`"))?;
    let events = join_store::list_events(&mut connection, merchant_id).await?;
    let proposal = agreement_store::find_proposal(&mut connection, merchant_id).await?;
    let owed = find_owed(&mut connection, merchant_id).await?;
    let hold = find_hold(&mut connection, merchant_id).await?;
    let same_company = join_store::list_same_company(&mut connection, merchant_id).await?;
    drop(connection);
    let people = staff_actions::show_staff(app, merchant_id).await?;
    let stated = find_stated_account(app, merchant_id).await?;
    if is_json {
        let mut shown = particulars(&row);
        shown["staff"] = serde_json::Value::from_iter(people.iter().map(|staff| {
            json!({ "staff_id": staff.staff_id, "name": staff.name, "mobile": staff.mobile.as_ref().map(ToString::to_string),
                    "role": staff.role.name(), "since": staff.created_at })
        }));
        shown["events"] = serde_json::Value::from_iter(events.iter().map(|event| {
            json!({ "decision": event.decision, "by": event.decided_by, "reason": event.reason, "at": event.occurred_at })
        }));
        shown["agreement_proposed"] = proposal.as_ref().map_or(serde_json::Value::Null, |proposal| {
            json!({ "discount_rate": proposal.agreement.discount_rate, "by": proposal.by,
                    "discount_returned_on_refund": proposal.agreement.discount_returned_on_refund })
        });
        shown["account_proposed"] = stated
            .map_or(serde_json::Value::Null, |StatedAccount { tail, by }| json!({ "account_tail": tail, "by": by }));
        shown["owed_fen"] = json!(owed_fen(owed));
        shown["payouts_held"] = holding::in_json(hold.as_ref());
        shown["same_company"] = serde_json::Value::from_iter(
            same_company
                .iter()
                .map(|(merchant_id, status)| json!({ "merchant_id": merchant_id, "status": status.name() })),
        );
        println!("{shown}");
        return Ok(());
    }
    println!("{} {}", row.merchant_id, row.name);
    println!("    {}{}", row.status.name(), row.status_reason.map_or_else(String::new, |reason| format!(": {reason}")));
    println!("    credit code {}, {}", row.credit_code, row.category);
    for (other, status) in &same_company {
        println!("    filed for this credit code too: {other}, which is {}", status.name());
    }
    println!("    account of {} ending in {}", row.account_name, row.account_tail);
    if let Some(StatedAccount { tail, by }) = &stated {
        match tail {
            Some(tail) => println!("    proposed by {by}: account ending in {tail}"),
            None => println!("    proposed by {by}: an account whose number does not open"),
        }
    }
    if let (Some(name), Some(city)) = (&row.latin_name, &row.latin_city) {
        println!("    on its code {name}, {city}");
    }
    let returned = if row.discount_returned_on_refund { "returned on a refund" } else { "kept on a refund" };
    println!("    discount fee {}, {returned}", row.discount_rate);
    if let Some(proposal) = &proposal {
        println!("    proposed by {}: {}", proposal.by, proposal.agreement);
    }
    if let Some(Owed { amount, business_day }) = owed {
        println!("    owes {amount} yuan of {business_day}, which its next settlement takes off");
    }
    holding::print(hold.as_ref());
    print_people(&people);
    println!("    applied {}", day(row.created_at));
    for event in &events {
        println!("    {} {} by {}: {}", day(event.occurred_at), event.decision, event.decided_by, event.reason);
    }
    Ok(())
}

fn print_people(people: &[StaffShown]) {
    for staff in people {
        let name = staff.name.as_deref().unwrap_or("(a name that does not open)");
        let mobile = staff.mobile.as_ref();
        let mobile = mobile.map_or_else(|| "(a mobile that does not open)".to_owned(), ToString::to_string);
        println!("    {} {name} {mobile} since {} ({})", staff.role.name(), day(staff.created_at), staff.staff_id);
    }
}

fn owed_fen(owed: Option<Owed>) -> Fen {
    owed.map_or(Fen::ZERO, |owed| owed.amount)
}

fn day(at: DateTime<Utc>) -> String {
    at.with_timezone(&chrono_tz::Asia::Shanghai).format("%Y-%m-%d %H:%M").to_string()
}

async fn decide(app: &App, deciding: Deciding, decision: Decision) -> anyhow::Result<()> {
    let Deciding { merchant: merchant_id, by: decided_by, reason, json } = deciding;
    let app = app.by(Person::typed(&decided_by));
    let judgement = Judgement { merchant_id, decision, decided_by, reason };
    let step = merchant::decide(&app, &judgement).await.map_err(look_at(LIST))?;
    let mut connection = app.pool.acquire().await?;
    let row = join_store::find_application(&mut connection, merchant_id).await?;
    let status = row.map_or("unknown", |row| row.status.name());
    let owed = find_owed(&mut connection, merchant_id).await?;
    if json {
        let (is_new, owed_fen) = (step == Step::Applied, owed_fen(owed));
        println!(
            "{}",
            json!({ "merchant_id": merchant_id, "status": status, "changed": is_new, "owed_fen": owed_fen })
        );
        return Ok(());
    }
    match step {
        Step::Applied => println!("{merchant_id} is {status} from now on"),
        Step::AlreadyApplied => println!("{merchant_id} was {status} already; nothing changed"),
    }
    if let Some(Owed { amount, business_day }) = owed
        && status != MerchantStatus::Active.name()
    {
        println!("it owes {amount} yuan of {business_day}, which nothing takes off but what it has sold since");
    }
    Ok(())
}

async fn code(app: &App, coding: Coding) -> anyhow::Result<()> {
    let Coding { merchant: merchant_id, order, svg, emvco, json } = coding;
    let CodeForms { link, payload } = code_forms(app, merchant_id, order.as_deref()).await.map_err(look_at(LIST))?;
    let without = "no EMVCo payload: the merchant stated no name and city in Latin letters";
    if let Some(path) = svg {
        let text = if emvco { payload.as_deref().context(without)? } else { link.as_str() };
        let drawn = std::fs::write(&path, picture::svg(text)?);
        drawn.with_context(|| format!("cannot write {}", path.display()))?;
    }
    if json {
        println!("{}", json!({ "link": link, "emvco": payload }));
    } else {
        println!("{link}\n{}", payload.as_deref().unwrap_or(without));
    }
    Ok(())
}
