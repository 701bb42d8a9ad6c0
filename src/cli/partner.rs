//! `fenqi partner`: lets the systems of funders, merchants and risk partners call the API.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::access::actions::{
    NewKey, NewPartner, PartnerChange, RATE_PER_MINUTE_DEFAULT, Rotation, is_there, list_changes, rotate_platform_key,
};
use crate::access::{self, AccessRefusal, AddressRange, PartnerKind, Scope, store};
use crate::app::App;
use crate::audit::Person;
use crate::base::Clock;
use crate::cli::typed::{moment, one_line};
use crate::cli::{Sharing, apply, check_risk, find_database, notify, open_app, pay_order, say_if_no_house, set_up};
use crate::error::{Fault, Step};
use crate::partner::key::{Algorithm, PrivateKey, PublicKey, pem_encode};
use crate::text_file;

/// Funders, and merchants, that are listed at most.
const OWNERS_MAX: i64 = 100;

#[derive(clap::Subcommand)]
pub enum Args {
    /// Add a partner; it may do everything of its kind unless told otherwise, once it has a key. The same again changes nothing
    Add(Add),
    /// Make, add and revoke keys
    #[command(subcommand)]
    Key(Key),
    /// Grant or take back scopes, set addresses and rate, switch a partner off and on
    Grant(Grant),
    /// Show who changed what of a partner's access, and when; under the name `fenqi`, of our own keys
    History {
        /// Its name in `fenqi partner list`, or `fenqi`
        partner: String,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show partners with their keys
    List {
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Our own keys, by which partners verify our answers
    #[command(subcommand)]
    PlatformKey(PlatformKey),
    /// Show funders and merchants that a partner may be added for, at most a hundred of each: what --owner takes, and the name
    Owners {
        /// Only those of this kind
        #[arg(long)]
        kind: Option<PartnerKind>,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the risk contract's checks against an endpoint; exit code 1 and a list where something is wrong
    CheckRisk(check_risk::Args),
    /// Set where a merchant's system hears of payments, voids and refunds
    Notify(notify::Args),
    /// In a trial house: have somebody new apply, and ask a risk partner's endpoint about it
    Apply(apply::Args),
    /// In a trial house: pay an order as a borrower would
    PayOrder(pay_order::Args),
}

#[derive(clap::Args)]
pub struct Add {
    /// Its name, which is the mchid of its signatures
    name: String,
    /// Whose system it is
    #[arg(long)]
    kind: PartnerKind,
    /// The funder's code or the merchant's id whose objects it sees
    #[arg(long)]
    owner: Option<String>,
    /// Scopes with commas; all of its kind if left out
    #[arg(long, value_delimiter = ',')]
    scopes: Option<Vec<Scope>>,
    /// Addresses and networks that it may call from, with commas; any if left out
    #[arg(long, value_delimiter = ',')]
    addresses: Vec<AddressRange>,
    /// Requests that it may make in a minute
    #[arg(long, default_value_t = RATE_PER_MINUTE_DEFAULT)]
    rate_per_minute: i32,
    /// Who does it
    #[arg(long, value_parser = one_line)]
    by: String,
}

#[derive(clap::Subcommand)]
pub enum Key {
    /// Make a key pair: the private key into a file, the public key to standard output
    Generate {
        /// The algorithm by which it signs
        #[arg(long)]
        algorithm: Algorithm,
        /// The file for the private key; one that is there already stays, and its public half is printed
        #[arg(long)]
        out: PathBuf,
    },
    /// Add a partner's public key beside those that it has
    Add {
        /// Its name in `fenqi partner list`
        partner: String,
        /// The key's serial number, as its signatures name it
        #[arg(long)]
        serial: String,
        /// A file with the public key in PEM, or for SM2 its point in hexadecimal
        #[arg(long)]
        public_key: PathBuf,
        /// Who holds the private key; what needs two people needs keys of two holders
        #[arg(long)]
        holder: String,
        /// When the key expires, such as 2027-01-01T00:00:00+08:00
        #[arg(long, value_parser = moment)]
        expires_at: Option<DateTime<Utc>>,
        /// Who does it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
    /// Revoke a key at once, for ever
    Revoke {
        /// Its name in `fenqi partner list`
        partner: String,
        /// The key's serial number
        serial: String,
        /// Who does it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
}

#[derive(clap::Args)]
pub struct Grant {
    /// Its name in `fenqi partner list`
    partner: String,
    #[command(flatten)]
    terms: Terms,
    /// Who does it
    #[arg(long, value_parser = one_line)]
    by: String,
}

// At least one option is required: a command that changes nothing must not be recorded as a change.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct Terms {
    /// Scopes to grant, with commas
    #[arg(long, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// Scopes to take back, with commas
    #[arg(long, value_delimiter = ',')]
    take_back: Vec<Scope>,
    /// The whole list of addresses and networks, with commas; `any` for no list
    #[arg(long)]
    addresses: Option<String>,
    /// Requests that it may make in a minute
    #[arg(long)]
    rate_per_minute: Option<i32>,
    /// Refuse every request of it until --enable
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Let its requests in again
    #[arg(long)]
    enable: bool,
}

#[derive(clap::Subcommand)]
pub enum PlatformKey {
    /// Print our public keys
    List {
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new key, which replaces the older ones of its algorithm
    Rotate {
        /// The algorithm by which it signs
        #[arg(long)]
        algorithm: Algorithm,
        /// When it begins to sign, such as 2026-04-01T00:00:00+08:00: it is listed until then, so that partners know it; at once if left
        /// out, as when others may have the key that it replaces
        #[arg(long, value_parser = moment)]
        signs_from: Option<DateTime<Utc>>,
        /// Who does it
        #[arg(long, value_parser = one_line)]
        by: String,
    },
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let args = match args {
        Args::Key(Key::Generate { algorithm, out }) => {
            generate(algorithm, &out)?;
            return Ok(ExitCode::SUCCESS);
        }
        Args::CheckRisk(check) => return check_risk::run(check).await,
        Args::PayOrder(order) => return pay_order::run(order).await,
        Args::Apply(applicant) => return apply::run(applicant).await,
        Args::Notify(notify) => return notify::run(notify).await,
        other => other,
    };
    let config = set_up()?;
    let database = find_database(&config, Sharing::Shared).await?;
    let app = open_app(&config, &database, Clock::System).await?;
    say_if_no_house(&database, &app.pool).await?;
    match args {
        Args::Add(add) => add_partner(&app, add).await?,
        Args::Key(key) => change_keys(&app, key).await?,
        Args::Grant(grant) => change_grant(&app, grant).await?,
        Args::History { partner, json } => history(&app, &partner, json).await?,
        Args::List { json } => list(&app, json).await?,
        Args::PlatformKey(which) => platform_keys(&app, which).await?,
        Args::Owners { kind, json } => list_owners(&app, kind, json).await?,
        // Done above, without a database.
        Args::CheckRisk(_) | Args::PayOrder(_) | Args::Apply(_) | Args::Notify(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a new key, and prints its public half. A key that is there already is never written over: its public half is printed.
fn generate(algorithm: Algorithm, out: &Path) -> anyhow::Result<()> {
    let shown = out.display();
    let key = if out.exists() {
        let text = text_file::read_key(out).with_context(|| format!("cannot read {shown}"))?;
        let key = PrivateKey::from_text(&text).filter(|key| key.algorithm() == algorithm);
        let key = key.with_context(|| format!("{shown} is there already and is no such key; name another file"))?;
        eprintln!("{shown} is there already and was kept");
        key
    } else {
        // Generated before the file is created, so that an interrupted command leaves no empty file.
        let key = PrivateKey::generate(algorithm)?;
        write_new(out, &key.to_pem()?).with_context(|| format!("cannot write {shown}"))?;
        key
    };
    print!("{}", pem_encode("PUBLIC KEY", &key.public_der()?));
    Ok(())
}

/// Writes a new file that only its owner may read, and syncs it to the disk. If that fails, no file is left.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is useless, and would be in the way of the next attempt.
        std::fs::remove_file(path).ok();
    }
    written
}

async fn add_partner(app: &App, add: Add) -> anyhow::Result<()> {
    let partner = NewPartner {
        code: add.name,
        kind: add.kind,
        owner: add.owner,
        scopes: add.scopes.unwrap_or_else(|| Scope::of(add.kind)),
        addresses: add.addresses,
        rate_per_minute: add.rate_per_minute,
    };
    match access::add_partner(&app.by(Person::typed(&add.by)), &partner, &add.by).await {
        Ok(()) => println!("partner {} is added; give it a key with `fenqi partner key add`", partner.code),
        Err(Fault::Refused(AccessRefusal::PartnerExists(_)))
            if is_there(app, &partner).await.map_err(Fault::into_error)? =>
        {
            println!("partner {} was there already", partner.code);
        }
        Err(fault) => return Err(fault.into_error()),
    }
    Ok(())
}

async fn change_keys(app: &App, key: Key) -> anyhow::Result<()> {
    match key {
        // Done above, without a database.
        Key::Generate { .. } => Ok(()),
        Key::Add { partner, serial, public_key, holder, expires_at, by } => {
            let shown = public_key.display();
            let text = text_file::read_key(&public_key).with_context(|| format!("cannot read {shown}"))?;
            let new = NewKey { partner, serial_no: serial, public_key: text, holder, expires_at };
            match access::add_key(&app.by(Person::typed(&by)), &new, &by).await.map_err(Fault::into_error)? {
                Step::Applied => println!("key {} of {} is believed from now on", new.serial_no, new.partner),
                Step::AlreadyApplied => println!("key {} of {} was there already", new.serial_no, new.partner),
            }
            Ok(())
        }
        Key::Revoke { partner, serial, by } => {
            let by_whom = app.by(Person::typed(&by));
            match access::revoke_key(&by_whom, &partner, &serial, &by).await.map_err(Fault::into_error)? {
                Step::Applied => println!("key {serial} of {partner} is revoked"),
                Step::AlreadyApplied => println!("key {serial} of {partner} was revoked already"),
            }
            Ok(())
        }
    }
}

async fn change_grant(app: &App, grant: Grant) -> anyhow::Result<()> {
    let Grant { partner, terms, by } = grant;
    let addresses = match terms.addresses.as_deref() {
        None => None,
        Some("any") => Some(Vec::new()),
        Some(list) => Some(list.split(',').map(|range| range.trim().parse()).collect::<Result<_, _>>()?),
    };
    let change = PartnerChange {
        grant: terms.scopes,
        take_back: terms.take_back,
        addresses,
        rate_per_minute: terms.rate_per_minute,
        is_disabled: (terms.disable || terms.enable).then_some(terms.disable),
    };
    match access::change_partner(&app.by(Person::typed(&by)), &partner, &change, &by)
        .await
        .map_err(Fault::into_error)?
    {
        Step::Applied => println!("partner {partner} is changed"),
        Step::AlreadyApplied => println!("partner {partner} stood so already; nothing changed"),
    }
    Ok(())
}

async fn history(app: &App, partner: &str, is_json: bool) -> anyhow::Result<()> {
    let events = list_changes(app, partner).await.map_err(Fault::into_error)?;
    if is_json {
        println!("{}", serde_json::to_string(&events)?);
        return Ok(());
    }
    for event in &events {
        let serial_no = event.serial_no.as_deref().unwrap_or("-");
        println!("{}  {}  {serial_no}  by {}", event.occurred_at, event.what.name(), event.changed_by);
        if let Some(before) = &event.before {
            println!("    before {before}");
        }
        println!("    after  {}", event.after);
    }
    Ok(())
}

async fn list(app: &App, is_json: bool) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let mut lines = Vec::new();
    for partner in store::list_partners(&mut connection).await? {
        let keys = store::list_keys(&mut connection, partner.partner_id).await?;
        let owner = partner.funder_id.map(|id| id.to_string()).or(partner.merchant_id.map(|id| id.to_string()));
        if !is_json {
            let state = if partner.disabled_at.is_some() { " (switched off)" } else { "" };
            println!("{}{state}: {:?} {}", partner.code, partner.kind, owner.as_deref().unwrap_or("-"));
            println!("    scopes {}", partner.scopes.join(", "));
            println!("    {} requests a minute, from {}", partner.rate_per_minute, places(&partner.addresses));
        }
        let mut shown = Vec::new();
        for key in &keys {
            let state = match (key.revoked_at, key.expires_at) {
                (Some(at), _) => format!("revoked {at}"),
                (None, Some(at)) => format!("until {at}"),
                (None, None) => "without end".to_owned(),
            };
            if !is_json {
                println!("    key {} ({}) of {}, {state}", key.serial_no, key.algorithm.name(), key.holder);
            }
            shown.push(json!({
                "serial_no": key.serial_no, "algorithm": key.algorithm, "holder": key.holder, "added_at": key.added_at,
                "expires_at": key.expires_at, "revoked_at": key.revoked_at,
                "public_key": PublicKey::from_der(&key.public_key).map(|key| key.to_pem()) }));
        }
        lines.push(json!({
            "partner": partner.code, "kind": format!("{:?}", partner.kind).to_lowercase(), "owner_id": owner,
            "scopes": partner.scopes, "addresses": partner.addresses, "rate_per_minute": partner.rate_per_minute,
            "disabled_at": partner.disabled_at, "keys": shown }));
    }
    if is_json {
        println!("{}", serde_json::Value::from(lines));
    }
    Ok(())
}

fn places(addresses: &[String]) -> String {
    if addresses.is_empty() { "anywhere".to_owned() } else { addresses.join(", ") }
}

async fn list_owners(app: &App, kind: Option<PartnerKind>, is_json: bool) -> anyhow::Result<()> {
    let owners = store::list_owners(&mut *app.pool.acquire().await?, OWNERS_MAX).await?;
    let mut shown = Vec::new();
    for owner in owners.iter().filter(|owner| kind.is_none_or(|kind| owner.kind == kind)) {
        let merchant = owner.merchant_id.map(|id| id.to_string());
        let name = owner.funder_code.as_deref().or(merchant.as_deref()).unwrap_or_default();
        if !is_json {
            println!("{name} {}", owner.name);
        }
        let kind = format!("{:?}", owner.kind).to_lowercase();
        shown.push(json!({ "owner": name, "kind": kind, "name": owner.name }));
    }
    if is_json {
        println!("{}", serde_json::Value::from(shown));
    }
    Ok(())
}

async fn platform_keys(app: &App, which: PlatformKey) -> anyhow::Result<()> {
    match which {
        PlatformKey::Rotate { algorithm, signs_from, by } => {
            let app = app.by(Person::typed(&by));
            let rotation = Rotation { algorithm, signs_from, by: &by };
            let made = rotate_platform_key(&app, rotation).await.map_err(Fault::into_error)?;
            let from =
                signs_from.filter(|from| *from > made.created_at).map_or("now".to_owned(), |from| from.to_rfc3339());
            println!("key {} signs from {from} on, on every node within half a minute", made.serial_no);
        }
        PlatformKey::List { json } => list_platform_keys(app, json).await?,
    }
    Ok(())
}

async fn list_platform_keys(app: &App, is_json: bool) -> anyhow::Result<()> {
    for algorithm in Algorithm::ALL {
        app.access.signer(algorithm).await?;
    }
    let now = app.access.now();
    let keys = store::list_platform_keys(&mut *app.pool.acquire().await?).await?;
    let mut shown = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        // The newest keys come first.
        let waits = keys[at + 1..].iter().any(|older| older.algorithm == key.algorithm && older.may_sign(now));
        let state = match key.may_sign(now) {
            false => "retired",
            true if waits => "next",
            true => "signs",
        };
        let public_key = pem_encode("PUBLIC KEY", &key.public_key);
        if !is_json {
            println!("{} ({}) {state}", key.serial_no, key.algorithm.name());
            print!("{public_key}");
        }
        shown.push(json!({
            "serial_no": key.serial_no, "algorithm": key.algorithm, "state": state, "public_key": public_key,
            "created_at": key.created_at, "retired_at": key.retired_at }));
    }
    if is_json {
        println!("{}", serde_json::Value::from(shown));
    }
    Ok(())
}
