//! `fenqi partner check-risk`: calls a risk partner's endpoint as the platform would, and prints what is wrong. Start with
//! [`Checker::check`].

mod applicants;
mod purchases;
mod late;
mod late_purchases;
mod heard;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::base::{Clock, Fen};
use crate::partner::client::{TIME_LIMIT_PERSON, build_http, chain};
use crate::partner::is_base_url;
use crate::partner::key::PrivateKey;
use crate::partner::risk::wire::{
    APPLICATIONS_MAX, Answer, Application, DecideRequest, Decision, REASON_CHARS_MAX, VERSION, is_reason,
};
use crate::partner::signature::{AnswerHeaders, Identity, KeyRing, Stamp};
use crate::sandbox::PLATFORM;
use crate::text_file;

#[derive(clap::Args)]
pub struct Args {
    /// The endpoint without `/applications` or `/purchases`, such as http://127.0.0.1:8090/risk
    url: String,
    /// Use the keys of a `fenqi sandbox` with this seed, instead of the keys below
    #[arg(long, conflicts_with_all = ["key", "partner_public_key"])]
    sandbox_seed: Option<u64>,
    /// The id by which you know the platform
    #[arg(long, default_value = "fenqi")]
    mchid: String,
    /// The serial number of the platform's trial key, which your endpoint knows
    #[arg(long, default_value = "TRIAL-1")]
    serial: String,
    /// The file with the trial key: PKCS #8 in PEM, or for SM2 64 hexadecimal digits
    #[arg(long, required_unless_present = "sandbox_seed")]
    key: Option<PathBuf>,
    /// The id by which you sign
    #[arg(long, default_value = "risk")]
    partner_mchid: String,
    /// The serial number by which you sign
    #[arg(long, default_value = "RISK-1")]
    partner_serial: String,
    /// The file with your public key
    #[arg(long, required_unless_present = "sandbox_seed")]
    partner_public_key: Option<PathBuf>,
    /// A product's code, as applications name it
    #[arg(long, default_value = "harbour-standard")]
    product: String,
    /// Check applications only, because no product asks you about purchases
    #[arg(long)]
    applications_only: bool,
    /// Check late answers too: where the house's side is played, such as 127.0.0.1:9500, and your endpoint calls back
    #[arg(long)]
    late_at: Option<String>,
    /// With --late-at, check late answers about purchases too: an amount in fen about which your endpoint calls back instead of
    /// answering
    #[arg(long, requires = "late_at", conflicts_with = "applications_only")]
    late_purchase_fen: Option<u32>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let checker = Checker::new(&args)?;
    let desk = match &args.late_at {
        Some(address) => Some(late::Desk::open(address).await?),
        None => None,
    };
    let mut report = Report { wrong: 0 };
    checker.check(&mut report).await;
    if !args.applications_only {
        purchases::check(&checker, &mut report).await;
    }
    if let Some(desk) = desk {
        desk.check(&checker, args.late_purchase_fen.map(i64::from), &mut report).await;
    }
    if report.wrong == 0 {
        println!("The endpoint keeps the contract.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} of the checks failed; docs/integrate/risk.md says what is expected.", report.wrong);
    Ok(ExitCode::FAILURE)
}

const PATH: &str = "/applications";
/// The largest answer that is read, many times what two hundred decisions take: an endpoint may answer without end.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The time after which a call is cut off: most endpoints still work on it then, and it is the shortest time limit of a purchase.
const HUNG_UP_AFTER: Duration = Duration::from_millis(50);

type Checked = (&'static str, Result<(), String>);

/// Prints each check as it ends, because all together take minutes with an endpoint that does not answer.
struct Report {
    wrong: usize,
}

impl Report {
    fn push(&mut self, (what, result): Checked) {
        match result {
            Ok(()) => println!("ok     {what}"),
            Err(why) => {
                self.wrong += 1;
                println!("WRONG  {what}: {why}");
            }
        }
    }
}

struct Checker {
    /// Without a slash at the end.
    url: String,
    /// Where the signed path begins in it.
    path_from: usize,
    identity: Identity,
    /// An identity with the platform's id, but with a key that the endpoint does not know.
    stranger: Identity,
    ring: KeyRing,
    partner_mchid: String,
    product: String,
    http: reqwest::Client,
}

/// An answer as it was received.
struct Came {
    status: u16,
    body: Vec<u8>,
    took: Duration,
    believed: Result<(), String>,
}

/// What is wrong with a request on purpose.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Unsigned,
    Stranger,
    OtherBody,
    OtherPath,
    Stale,
    /// Signed in the future: it would be valid for longer than its nonce is kept.
    Ahead,
}

impl Checker {
    fn new(args: &Args) -> anyhow::Result<Checker> {
        let url = args.url.trim_end_matches('/').to_owned();
        anyhow::ensure!(
            is_base_url(&url),
            "{url} is no address such as http://127.0.0.1:9400, which begins with http:// or https:// and has no query"
        );
        let authority = url.find("://").map_or(0, |at| at + 3);
        let path_from = url[authority..].find('/').map_or(url.len(), |at| authority + at);
        let mut ring = KeyRing::default();
        let read = |path: &Option<PathBuf>| -> anyhow::Result<String> {
            let path = path.as_ref().context("a key file is missing")?;
            text_file::read_key(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let identity = match args.sandbox_seed {
            Some(seed) => {
                ring.add_identity(&Identity::from_seed(&args.partner_mchid, seed));
                Identity::from_seed(PLATFORM, seed)
            }
            None => {
                let public = read(&args.partner_public_key)?;
                anyhow::ensure!(
                    ring.add(&args.partner_mchid, &args.partner_serial, &public),
                    "--partner-public-key holds no public key in PEM"
                );
                let key = Identity::from_text(&args.mchid, &args.serial, &read(&args.key)?);
                key.context("--key holds no private key in PEM")?
            }
        };
        let stranger = Identity::new(&identity.mchid, "STRANGER-1", PrivateKey::generate(identity.algorithm())?);
        let (partner_mchid, product) = (args.partner_mchid.clone(), args.product.clone());
        Ok(Checker { url, path_from, identity, stranger, ring, partner_mchid, product, http: build_http()? })
    }

    async fn check(&self, report: &mut Report) {
        let asked = [self.application_with_history(), self.application_with_history(), self.application()];
        let first = self.send(&asked, Fault::None).await;
        report.push(("an answer comes within five seconds, with status 200", answered(&first)));
        report.push(("the answer bears your signature", first.as_ref().map_err(Clone::clone).and_then(believed)));
        let read = first.as_ref().map_err(Clone::clone).and_then(read);
        report.push((
            "each application is answered once, and no other",
            read.as_ref().map_err(Clone::clone).and_then(|answers| complete(answers, &asked)),
        ));
        report.push((
            "each decision can be used: a limit above zero and a grade, or a reason",
            read.as_ref().map_err(Clone::clone).and_then(|answers| usable(answers)),
        ));
        let mut turned = asked.clone();
        turned.reverse();
        let again = self.send(&turned, Fault::None).await.and_then(|came| read_believed(&came));
        report.push((
            "the same application again is answered as before",
            match (&read, again) {
                (Ok(before), Ok(after)) => same(before, &after),
                (Err(why), _) => Err(why.clone()),
                (_, Err(why)) => Err(why),
            },
        ));
        report
            .push(("applications of every form that the contract allows are answered", self.check_every_form().await));
        report.push((
            "applications whose answer the house did not wait for are answered when they come again",
            self.check_hung_up().await,
        ));
        let many: Vec<Application> = (0..APPLICATIONS_MAX).map(|_| self.application_with_history()).collect();
        let all = self.send(&many, Fault::None).await;
        report.push((
            "two hundred applications in one request are answered in time",
            answered(&all).and_then(|()| read_believed(&all?)).and_then(|answers| complete(&answers, &many)),
        ));
        report.push(("fields that are added to applications later are ignored", self.check_more_fields().await));
        report.push((
            "applications in a version of the contract that you do not know are refused with 400",
            self.check_version(&asked).await,
        ));
        for (what, fault) in [
            ("a request without a signature is refused with 401", Fault::Unsigned),
            ("a request signed by a key that you do not know is refused with 401", Fault::Stranger),
            ("a request whose body was changed is refused with 401", Fault::OtherBody),
            ("a request signed for another address is refused with 401", Fault::OtherPath),
            ("a request signed ten minutes ago is refused with 401", Fault::Stale),
            ("a request signed ten minutes ahead is refused with 401", Fault::Ahead),
        ] {
            report.push((what, refused(self.send(&asked, fault).await)));
        }
        report.push(("a nonce that was used before is refused with 401", self.check_nonce(&asked).await));
    }

    /// Every form of application, each in a request of its own, so that the failing one is known.
    async fn check_every_form(&self) -> Result<(), String> {
        for (form, one) in self.applications_of_every_form() {
            let asked = [one];
            let came = self.send(&asked, Fault::None).await;
            let answers = answered(&came).and_then(|()| read_believed(&came?));
            let is_right = answers.and_then(|answers| complete(&answers, &asked).and_then(|()| usable(&answers)));
            is_right.map_err(|why| format!("{form}: {why}"))?;
        }
        Ok(())
    }

    /// Cuts a call off, and sends the same request twice more at once, as the house does: the answers must agree.
    async fn check_hung_up(&self) -> Result<(), String> {
        let asked = [self.application_with_history(), self.application()];
        let body = body_of(&asked)?;
        let authorization = self.authorization(PATH, &Stamp::fresh(Clock::System.now()), &body);
        let mut said = Vec::new();
        // A very quick endpoint has answered in time.
        if let Ok(came) = self.post_within(HUNG_UP_AFTER, PATH, Some(&authorization), body).await {
            said.push(read_believed(&came)?);
        }
        for _ in 0..2 {
            said.push(read_believed(&self.send(&asked, Fault::None).await?)?);
        }
        said.iter().try_for_each(|answers| complete(answers, &asked).and_then(|()| same(&said[0], answers)))
    }

    async fn check_version(&self, asked: &[Application]) -> Result<(), String> {
        let unknown = DecideRequest { version: 999, applications: asked.to_vec() };
        let body = serde_json::to_vec(&unknown).map_err(|error| error.to_string())?;
        match self.send_body(PATH, body.clone(), body, Fault::None).await?.status {
            400 => Ok(()),
            status => Err(format!("status {status}")),
        }
    }

    async fn check_more_fields(&self) -> Result<(), String> {
        let asked = [self.application_with_history(), self.application()];
        let body = with_more_fields(&DecideRequest { version: VERSION, applications: asked.to_vec() })?;
        let came = self.send_body(PATH, body.clone(), body, Fault::None).await;
        answered(&came)?;
        let answers = read_believed(&came?)?;
        complete(&answers, &asked)?;
        usable(&answers)
    }

    async fn check_nonce(&self, asked: &[Application]) -> Result<(), String> {
        let stamp = Stamp::fresh(Clock::System.now());
        let body = body_of(asked)?;
        let authorization = self.authorization(PATH, &stamp, &body);
        let once = self.post(PATH, Some(&authorization), body.clone()).await?;
        answered(&Ok(once))?;
        refused(self.post(PATH, Some(&authorization), body).await)
    }

    async fn send(&self, asked: &[Application], fault: Fault) -> Result<Came, String> {
        self.send_body(PATH, body_of(asked)?, body_of(&asked[1..])?, fault).await
    }

    /// Sends `body`, signed correctly or with a fault. `other` is what is signed for the fault of a changed body.
    async fn send_body(&self, path: &str, body: Vec<u8>, other: Vec<u8>, fault: Fault) -> Result<Came, String> {
        let age = match fault {
            Fault::Stale => TimeDelta::minutes(10),
            Fault::Ahead => TimeDelta::minutes(-10),
            Fault::None | Fault::Unsigned | Fault::Stranger | Fault::OtherBody | Fault::OtherPath => TimeDelta::zero(),
        };
        let stamp = Stamp::fresh(Clock::System.now() - age);
        let signed = if fault == Fault::OtherBody { &other } else { &body };
        let signed_path = if fault == Fault::OtherPath { "/elsewhere" } else { path };
        let signer = if fault == Fault::Stranger { &self.stranger } else { &self.identity };
        let authorization = signer.authorization("POST", &self.signed_url(signed_path), &stamp, signed);
        self.post(path, (fault != Fault::Unsigned).then_some(&authorization), body).await
    }

    fn authorization(&self, path: &str, stamp: &Stamp, body: &[u8]) -> String {
        self.identity.authorization("POST", &self.signed_url(path), stamp, body)
    }

    fn signed_url(&self, path: &str) -> String {
        format!("{}{path}", &self.url[self.path_from..])
    }

    async fn post(&self, path: &str, authorization: Option<&String>, body: Vec<u8>) -> Result<Came, String> {
        self.post_within(TIME_LIMIT_PERSON, path, authorization, body).await
    }

    /// As `post`, but cuts the call off after the time.
    async fn post_within(
        &self,
        limit: Duration,
        path: &str,
        authorization: Option<&String>,
        body: Vec<u8>,
    ) -> Result<Came, String> {
        let mut request =
            self.http.post(format!("{}{path}", self.url)).header("content-type", "application/json").body(body);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let started = Instant::now();
        let mut sent = request.timeout(limit).send().await.map_err(|error| no_answer(&error, limit))?;
        let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = sent.chunk().await.map_err(|error| no_answer(&error, limit))? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signature = AnswerHeaders {
            timestamp: header("fenqi-timestamp"),
            nonce: header("fenqi-nonce"),
            serial_no: header("fenqi-serial"),
            signature: header("fenqi-signature"),
        };
        let verdict = self.ring.answer(Clock::System.now(), &self.partner_mchid, signature, &body);
        Ok(Came { status, body, took: started.elapsed(), believed: verdict.map_err(|error| error.to_string()) })
    }
}

fn no_answer(error: &reqwest::Error, limit: Duration) -> String {
    match error.is_timeout() {
        true => format!("no answer within {} ms", limit.as_millis()),
        false => format!("no answer: {}", chain(error)),
    }
}

/// The request with an additional unknown field in every object, as a later version of the contract may have.
fn with_more_fields<T: Serialize>(request: &T) -> Result<Vec<u8>, String> {
    let mut body = serde_json::to_value(request).map_err(|error| error.to_string())?;
    add_fields(&mut body);
    serde_json::to_vec(&body).map_err(|error| error.to_string())
}

fn add_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(add_fields);
            fields.insert("added_later".to_owned(), json!({ "to_be": ["ignored"] }));
        }
        Value::Array(items) => items.iter_mut().for_each(add_fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn body_of(asked: &[Application]) -> Result<Vec<u8>, String> {
    serde_json::to_vec(&DecideRequest { version: VERSION, applications: asked.to_vec() })
        .map_err(|error| error.to_string())
}

fn answered(came: &Result<Came, String>) -> Result<(), String> {
    let came = came.as_ref().map_err(Clone::clone)?;
    if came.status != 200 {
        return Err(format!("status {} with {}", came.status, shown(&came.body)));
    }
    if came.took > TIME_LIMIT_PERSON {
        return Err(format!("it took {} ms", came.took.as_millis()));
    }
    Ok(())
}

fn believed(came: &Came) -> Result<(), String> {
    came.believed.clone()
}

fn read(came: &Came) -> Result<Vec<Answer>, String> {
    // Stricter than a house, which ignores single answers that cannot be read.
    #[derive(serde::Deserialize)]
    struct Strict {
        answers: Vec<Answer>,
    }
    let answer: Strict = serde_json::from_slice(&came.body)
        .map_err(|error| format!("the answer cannot be read: {error}, in {}", shown(&came.body)))?;
    Ok(answer.answers)
}

/// As `read`, and checks the answer's signature as a house does.
fn read_believed(came: &Came) -> Result<Vec<Answer>, String> {
    let answers = read(came)?;
    believed(came).map(|()| answers)
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(200).collect()
}

fn complete(answers: &[Answer], asked: &[Application]) -> Result<(), String> {
    let mut counts: HashMap<Uuid, usize> = asked.iter().map(|one| (one.application_id, 0)).collect();
    for answer in answers {
        let Some(count) = counts.get_mut(&answer.application_id) else {
            return Err(format!("{} was not asked about", answer.application_id));
        };
        *count += 1;
    }
    match counts.iter().find(|(_, count)| **count != 1) {
        Some((id, count)) => Err(format!("{id} is answered {count} times")),
        None => Ok(()),
    }
}

fn usable(answers: &[Answer]) -> Result<(), String> {
    for answer in answers {
        let fault = match &answer.decision {
            Decision::Approve { limit_fen, .. } if !(1..=Fen::MAX.get()).contains(limit_fen) => {
                Some(format!("a limit of {limit_fen} fen"))
            }
            Decision::Approve { grade, .. } if grade.trim().is_empty() => {
                Some("an approval without a grade".to_owned())
            }
            Decision::Refuse { reason, .. } | Decision::Refer { reason } => check_reason(reason).err(),
            Decision::Approve { .. } => None,
        };
        if let Some(fault) = fault {
            return Err(format!("{} has {fault}", answer.application_id));
        }
    }
    Ok(())
}

/// Checks a reason as the house does in a late answer.
fn check_reason(reason: &str) -> Result<(), String> {
    if is_reason(reason) {
        return Ok(());
    }
    let given = shown(reason.as_bytes());
    Err(format!("the reason {given:?}, which is no code of 1 to {REASON_CHARS_MAX} lower-case letters and _"))
}

fn same(before: &[Answer], after: &[Answer]) -> Result<(), String> {
    for answer in before {
        let later = after.iter().find(|later| later.application_id == answer.application_id);
        if later.map(|later| &later.decision) != Some(&answer.decision) {
            return Err(format!("{} was {:?}, then {later:?}", answer.application_id, answer.decision));
        }
    }
    Ok(())
}

fn refused(came: Result<Came, String>) -> Result<(), String> {
    match came?.status {
        401 => Ok(()),
        status => Err(format!("status {status}")),
    }
}
