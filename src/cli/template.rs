//! `fenqi outbox template`: shows and changes how each kind of event is sent to a funder's core.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde_json::json;

use crate::app::App;
use crate::audit::Person;
use crate::base::id::FunderId;
use crate::cli::typed::filled;
use crate::error::Attempt;
use crate::funder::find_funder_by_code;
use crate::outbox::catalogue::{self, Audience};
use crate::outbox::template::{Telling, Template};
use crate::outbox::template_actions::{self, Saving, kind_for_funders};
use crate::outbox::template_store::{self, Version};
use crate::text_file;

#[derive(clap::Args)]
pub struct Args {
    /// The funder's code
    funder: String,
    /// The kind of event; all that anything was saved for if left out
    kind: Option<String>,
    /// Tell it by the template in this file from now on
    #[arg(long, requires_all = ["kind", "by"])]
    file: Option<PathBuf>,
    /// The template's path below the base URL: each event is a call of its own
    #[arg(long, requires = "file")]
    path: Option<String>,
    /// The condition on the core's answer by which it has taken the event, such as "answer.retCode == '0000'"
    #[arg(long, requires = "path")]
    taken_when: Option<String>,
    /// Tell it in our own form from now on
    #[arg(long, requires_all = ["kind", "by"], conflicts_with = "file")]
    own_form: bool,
    /// Do not tell it any more: its events end without a call
    #[arg(long, requires_all = ["kind", "by"], conflicts_with_all = ["file", "own_form"])]
    not_told: bool,
    /// Tell it again as in this older version
    #[arg(long, requires_all = ["kind", "by"], conflicts_with_all = ["file", "own_form", "not_told"])]
    as_version: Option<i32>,
    /// Who changes it
    #[arg(long, value_parser = filled)]
    by: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(app: &App, args: Args) -> anyhow::Result<()> {
    let funder = find_funder_by_code(&mut *app.pool.acquire().await?, &args.funder).await?;
    let no_funder = || format!("there is no funder {}; `fenqi funder list` shows them", args.funder);
    let funder_id = funder.with_context(no_funder)?.funder_id;
    let Some(name) = &args.kind else { return list(app, funder_id, args.json).await };
    let kind =
        kind_for_funders(name).map_err(|refusal| anyhow!("{refusal}: {name}; `fenqi outbox kinds` lists them"))?;
    if let (Some(telling), Some(by)) = (wanted(app, funder_id, &args).await?, &args.by) {
        let newest = template_store::newest(&mut *app.pool.acquire().await?, funder_id, kind.name).await?;
        let after_version = newest.map_or(0, |newest| newest.version);
        let attempt = Attempt::First;
        let saving = Saving { funder_id, kind: kind.name, after_version, attempt, telling: &telling, by };
        template_actions::save(&app.by(Person::typed(by)), saving).await?;
    }
    match template_store::newest(&mut *app.pool.acquire().await?, funder_id, kind.name).await? {
        Some(version) => print(kind.name, &version, args.json),
        None if args.json => {}
        None => println!("{name} is told in our own form"),
    }
    Ok(())
}

/// How the kind is to be told from now on; `None` if nothing is to change.
async fn wanted(app: &App, funder_id: FunderId, args: &Args) -> anyhow::Result<Option<Telling>> {
    if let Some(file) = &args.file {
        let text = text_file::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let template = Template { path: args.path.clone(), text, taken_when: args.taken_when.clone() };
        return Ok(Some(Telling::By(template)));
    }
    if args.own_form {
        return Ok(Some(Telling::Ours));
    }
    if args.not_told {
        return Ok(Some(Telling::NotTold));
    }
    let (Some(number), Some(kind)) = (args.as_version, &args.kind) else { return Ok(None) };
    let mut connection = app.pool.acquire().await?;
    let before = Some(number.saturating_add(1));
    let found = template_store::versions(&mut connection, funder_id, kind, before, 1).await?.pop();
    let found = found.filter(|version| version.version == number);
    Ok(Some(found.with_context(|| format!("{kind} has no version {number}"))?.telling))
}

async fn list(app: &App, funder_id: FunderId, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let mut is_any = false;
    for kind in catalogue::of(Audience::Funder) {
        if let Some(version) = template_store::newest(&mut connection, funder_id, kind.name).await? {
            is_any = true;
            print(kind.name, &version, is_json);
        }
    }
    if !is_any && !is_json {
        println!("every kind is told in our own form");
    }
    Ok(())
}

fn print(kind: &str, version: &Version, is_json: bool) {
    let Version { version: number, telling, saved_by, saved_at } = version;
    if is_json {
        let (template, not_told) = (telling.template(), telling.is_not_told());
        println!(
            "{}",
            json!({ "kind": kind, "version": number, "template": template, "not_told": not_told,
                    "saved_by": saved_by, "saved_at": saved_at })
        );
        return;
    }
    print!("{kind} version {number}, saved by {saved_by} at {saved_at}: ");
    match telling {
        Telling::Ours => println!("told in our own form"),
        Telling::NotTold => println!("not told"),
        Telling::By(Template { path, text, taken_when }) => {
            let path = path.as_ref().map_or(String::new(), |path| format!(", to {path}"));
            let taken = taken_when.as_ref().map_or(String::new(), |taken| format!(", taken when {taken}"));
            println!("told by a template{path}{taken}\n{text}");
        }
    }
}
