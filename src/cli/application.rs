//! `fenqi application`: applications that wait for a person, with what is known of them, and that person's decision.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::app::App;
use crate::audit::Person;
use crate::base::id::ApplicationId;
use crate::base::{BusinessDay, Fen, counted};
use crate::cli::by::Who;
use crate::cli::listed::{ASKED_MAX, NEWER, cut, say_cut};
use crate::cli::look_at::look_at;
use crate::cli::trial;
use crate::credit::actions::{self, PersonDecision, PersonVerdict};
use crate::credit::model::Application;
use crate::credit::{ApplicationState, CardMonth, application_store};
use crate::partner::risk::wire::{REASON_CHARS_MAX, is_reason};
use crate::product::Terms;

#[derive(clap::Subcommand)]
pub enum Args {
    /// List applications that wait for a person, oldest first, at most five hundred
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Approve or refuse one
    #[command(subcommand)]
    Decide(Decide),
}

#[derive(clap::Subcommand)]
pub enum Decide {
    /// Open the line, or put it before the funder where the product gives it the final word
    Approve {
        /// By its id in `fenqi application list`
        application: ApplicationId,
        /// One of the product's grades, which sets the price
        #[arg(long)]
        grade: String,
        /// In fen, within the product's bounds, and not above what was asked for
        #[arg(long, allow_negative_numbers = true)]
        limit_fen: i64,
        #[command(flatten)]
        who: Who,
    },
    /// Refuse it
    Refuse {
        /// By its id in `fenqi application list`
        application: ApplicationId,
        /// What the applicant is told by, in lower-case letters, such as `income_not_proven`
        #[arg(long, value_parser = code)]
        code: String,
        #[command(flatten)]
        who: Who,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (app, _database) = trial::open_any().await?;
    match args {
        Args::List { json } => list(&app, json).await?,
        Args::Decide(Decide::Approve { application, grade, limit_fen, who }) => {
            let verdict = PersonVerdict::Approve { grade, limit: Fen::new(limit_fen) };
            decide(&app, application, verdict, who).await?;
        }
        Args::Decide(Decide::Refuse { application, code, who }) => {
            decide(&app, application, PersonVerdict::Refuse { code }, who).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn decide(app: &App, application_id: ApplicationId, verdict: PersonVerdict, who: Who) -> anyhow::Result<()> {
    let borrower_id = application_store::find_applicant_of(&mut *app.pool.acquire().await?, application_id).await?;
    let borrower_id = borrower_id.with_context(|| format!("there is no application {application_id}"))?;
    let app = app.by(Person::typed(&who.by));
    let decision = PersonDecision { borrower_id, application_id, person: who.by, reason: who.reason, verdict };
    let applied = actions::decide_referred(&app, decision).await.map_err(look_at("fenqi application list"))?;
    match applied.state {
        ApplicationState::Approved { line_id, grade, limit } => {
            println!("{application_id} is approved: {line_id}, grade {grade}, {limit} yuan");
        }
        ApplicationState::Refused { reason } => println!("{application_id} is refused: {reason}"),
        ApplicationState::WithFunder => println!("{application_id} waits for the funder's final word"),
        ApplicationState::Submitted | ApplicationState::Referred { .. } => println!("{application_id} waits as before"),
    }
    Ok(())
}

async fn list(app: &App, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let mut applications = application_store::list_referred(&mut connection, ASKED_MAX).await?;
    let has_newer = cut(&mut applications);
    for application in applications {
        let key = (application.product_id, application.product_version);
        let product = app.catalogue.get(&mut connection, key.0, key.1).await?;
        if is_json {
            println!("{}", as_json(&application, &product.terms));
        } else {
            print(&application, &product.terms);
        }
    }
    if has_newer {
        say_cut(NEWER, is_json);
    }
    Ok(())
}

fn as_json(application: &Application, terms: &Terms) -> Value {
    let review = application.review.as_ref().map(|review| {
        json!({
            "asked_at": review.asked_at,
            "of": review.of,
            "refused_by": review.refused_by,
            "refused_at": review.refused_at,
        })
    });
    json!({
        "application_id": application.application_id,
        "borrower_id": application.borrower_id,
        "product": terms.code,
        "product_version": application.product_version,
        "created_at": application.created_at,
        "referral": application.referral,
        "review": review,
        "score": application.score,
        "facts": application.facts,
        "grades": terms.purchase.grades,
        "limit_min_fen": terms.line.limit_min_fen,
        "limit_max_fen": terms.line.limit_max_fen,
    })
}

fn print(application: &Application, terms: &Terms) {
    let (facts, applied_on) = (&application.facts, BusinessDay::at(application.created_at));
    let referral = application.referral.as_deref().unwrap_or("no reason was kept");
    println!("{} of {}, {applied_on}: {referral}", application.application_id, application.borrower_id);
    if let Some(review) = &application.review {
        let (asked_on, refused_on) = (BusinessDay::at(review.asked_at), BusinessDay::at(review.refused_at));
        println!(
            "    its borrower asked for a person on {asked_on}: refused by {} on {refused_on} for {}",
            review.refused_by, review.of
        );
    }
    let asked = facts.limit_requested_fen.map_or_else(|| "any limit".to_owned(), |limit| format!("{limit} yuan"));
    let score = application.score.map_or_else(String::new, |score| format!(", score {score}"));
    println!("    age {}, asks for {asked}{score}", facts.age);
    match &facts.history {
        Some(history) => {
            println!("    card of {} yuan; months, newest first:", history.limit_fen);
            for CardMonth { repay_status, bill_fen, paid_fen } in &history.months {
                println!("        {}: bill {bill_fen} yuan, paid {paid_fen}", paid(*repay_status));
            }
        }
        None => println!("    no card that a bureau reports"),
    }
    let (least, most) = (terms.line.limit_min_fen, terms.line.limit_max_fen);
    let grades = terms.purchase.grades.join(", ");
    println!("    {} v{}: grades {grades}; {least} to {most} yuan", terms.code, application.product_version);
}

fn paid(repay_status: i8) -> String {
    match repay_status {
        -2 => "not used".to_owned(),
        -1 => "paid in full".to_owned(),
        0 => "revolving".to_owned(),
        months => format!("{} late", counted(i16::from(months), "month")),
    }
}

fn code(text: &str) -> Result<String, String> {
    if is_reason(text) { Ok(text.to_owned()) } else { Err(format!("a code has 1 to {REASON_CHARS_MAX} of a-z and _")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_month_was_paid_is_said_in_words() {
        let said = [-2, -1, 0, 1, 2].map(paid);
        assert_eq!(said, ["not used", "paid in full", "revolving", "1 month late", "2 months late"]);
    }
}
