//! WeChat's client; translates between our types and WeChat's protocol.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::NAME;
use super::wire::{
    Keyword, OpenIdAnswer, SentAnswer, SubscribeMessage, TOKEN_REFUSED, TicketAnswer, TokenAnswer, Verdict,
};
use crate::base::Clock;
use crate::base::hex::hex_encode;
use crate::base::syntax::describe_toml_error;
use crate::partner::call_log::CallLog;
use crate::partner::call_record::Ended;
use crate::partner::client::{TIME_LIMIT_PERSON, chain, read_whole};
use crate::partner::shape;
use crate::text_file;

/// The largest answer that is read; a token or a verdict takes some hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The most characters of a refusal's message that are kept.
const MESSAGE_CHARS_MAX: usize = 500;
/// How long before their end tokens are renewed.
const EARLY: TimeDelta = TimeDelta::minutes(5);

/// WeChat as configured.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeChatSettings {
    pub app_id: String,
    pub secret: String,
    /// Both without a slash at the end.
    #[serde(default = "api_url")]
    pub api_url: String,
    #[serde(default = "authorize_url")]
    pub authorize_url: String,
    /// The template registered for a kind of notice, such as `bill_issued`.
    #[serde(default)]
    pub templates: BTreeMap<String, Template>,
}

/// A template of subscription messages, as it is registered with WeChat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub id: String,
    /// Its keywords, such as `amount1`, each with its text: `{total}` and the like stand for what the notice says.
    pub keywords: BTreeMap<String, String>,
}

impl Template {
    /// The keywords with what the notice says put in; `None` where the notice does not say it.
    pub fn fill(&self, parameters: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
        self.keywords.iter().map(|(name, text)| Some((name.clone(), fill(text, parameters)?))).collect()
    }
}

fn fill(text: &str, parameters: &BTreeMap<String, String>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(parameters.get(name)?);
        rest = behind;
    }
    filled.push_str(rest);
    Some(filled)
}

fn api_url() -> String {
    "https://api.weixin.qq.com".into()
}

fn authorize_url() -> String {
    "https://open.weixin.qq.com".into()
}

impl WeChatSettings {
    /// Reads a file of these settings; templates may stand for `kinds` of notice.
    ///
    /// # Errors
    /// A sentence that names the file. Its content is not repeated, because it contains the secret.
    pub fn read(path: &Path, kinds: &[&str]) -> anyhow::Result<WeChatSettings> {
        let shown = path.display();
        let text = text_file::read(path).with_context(|| format!("cannot read wechat_file {shown}"))?;
        let read: Result<WeChatSettings, toml::de::Error> = toml::from_str(&text);
        let settings =
            read.map_err(|error| anyhow::anyhow!("wechat_file {shown}, {}", describe_toml_error(&text, &error)))?;
        if let Some(kind) = settings.templates.keys().find(|kind| !kinds.contains(&kind.as_str())) {
            let kinds = kinds.join(", ");
            anyhow::bail!("wechat_file {shown}: no notice is called {kind}; templates may stand for {kinds}");
        }
        Ok(settings)
    }
}

/// Without the secret, so that no log can hold it.
impl std::fmt::Debug for WeChatSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeChatSettings").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

/// Why WeChat did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeChatError {
    #[error("WeChat does not answer, or not in its own words")]
    Silent,
    #[error("WeChat refused: {code} {message}")]
    Refused { code: i64, message: String },
}

/// What a page needs to use the JSSDK (`wx.config`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSignature {
    pub app_id: String,
    pub timestamp: i64,
    pub nonce: String,
    pub signature: String,
}

/// A subscription message to one person.
#[derive(Clone, Debug)]
pub struct Sending<'a> {
    /// Our ids of whom and what it is about, by which the call log finds the call.
    pub about: &'a [String],
    pub openid: &'a str,
    pub template: &'a str,
    /// What it opens.
    pub page: &'a str,
    pub keywords: BTreeMap<String, String>,
}

/// WeChat's client. Its tokens are shared by all calls of this node and are kept in memory; every node gets its own.
pub struct WeChat {
    settings: WeChatSettings,
    http: reqwest::Client,
    log: CallLog,
    clock: Clock,
    token: Mutex<Option<Kept>>,
    ticket: Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    value: String,
    until: DateTime<Utc>,
}

/// What the call log says of a call.
#[derive(Clone, Copy)]
struct Call<'a> {
    operation: &'a str,
    /// Our ids of whom and what it is about.
    about: &'a [String],
}

/// What came of a call.
struct End {
    /// The outcome in the call log.
    outcome: &'static str,
    /// WeChat's code of a refusal.
    errcode: Option<i64>,
    http_status: Option<u16>,
    duration: Duration,
}

impl WeChat {
    pub fn new(settings: WeChatSettings, http: reqwest::Client, log: CallLog, clock: Clock) -> WeChat {
        WeChat { settings, http, log, clock, token: Mutex::default(), ticket: Mutex::default() }
    }

    /// The address to redirect the browser to. WeChat sends it back to `back` with a code and `state`.
    pub fn authorize_address(&self, back: &str, state: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("appid", &self.settings.app_id)
            .append_pair("redirect_uri", back)
            .append_pair("response_type", "code")
            .append_pair("scope", "snsapi_base")
            .append_pair("state", state)
            .finish();
        format!("{}/connect/oauth2/authorize?{query}#wechat_redirect", self.settings.authorize_url)
    }

    /// The openid of the person who came back with a code. A code works once.
    ///
    /// # Errors
    /// As [`WeChatError`] says.
    pub async fn openid(&self, code: &str) -> Result<String, WeChatError> {
        let (app_id, secret) = (self.settings.app_id.as_str(), self.settings.secret.as_str());
        let query = [("appid", app_id), ("secret", secret), ("code", code), ("grant_type", "authorization_code")];
        let answer: OpenIdAnswer = self.get("openid", "/sns/oauth2/access_token", &query).await?;
        usable_openid(answer.openid).ok_or(WeChatError::Silent)
    }

    /// Signs a page for the JSSDK; `address` is the page's whole address as the browser shows it.
    ///
    /// # Errors
    /// As [`WeChatError`] says.
    pub async fn sign_page(&self, address: &str, nonce: &str) -> Result<PageSignature, WeChatError> {
        let ticket = self.ticket().await?;
        let timestamp = self.clock.now().timestamp();
        let address = address.split('#').next().unwrap_or_default();
        Ok(PageSignature {
            app_id: self.settings.app_id.clone(),
            timestamp,
            nonce: nonce.to_owned(),
            signature: page_signature(&ticket, nonce, timestamp, address),
        })
    }

    /// The template of a kind of notice, where one is registered.
    pub fn template(&self, kind: &str) -> Option<&Template> {
        self.settings.templates.get(kind)
    }

    /// Sends a subscription message. WeChat does not recognise repetitions: a message that is sent again because its answer was lost may
    /// arrive twice, if the person allowed two.
    ///
    /// # Errors
    /// As [`WeChatError`] says; it is a refusal if the person does not want messages.
    pub async fn send(&self, sending: Sending<'_>) -> Result<(), WeChatError> {
        let data = sending.keywords.into_iter().map(|(name, value)| (name, Keyword { value })).collect();
        let message = SubscribeMessage {
            touser: sending.openid.to_owned(),
            template_id: sending.template.to_owned(),
            page: sending.page.to_owned(),
            data,
        };
        match self.post_message(sending.about, &message).await {
            // Another node got a token meanwhile, or this one ended early: get a new one, once.
            Err(WeChatError::Refused { code, .. }) if TOKEN_REFUSED.contains(&code) => {
                *self.token.lock().await = None;
                self.post_message(sending.about, &message).await
            }
            sent => sent,
        }
    }

    async fn post_message(&self, about: &[String], message: &SubscribeMessage) -> Result<(), WeChatError> {
        let token = self.token().await?;
        let address = self.address("/cgi-bin/message/subscribe/bizsend", &[("access_token", &token)]);
        let call = Call { operation: "send_message", about };
        let sent = self.call(call, self.http.post(address).json(message)).await?;
        sent.map(|_: SentAnswer| ())
    }

    async fn token(&self) -> Result<String, WeChatError> {
        let mut kept = self.token.lock().await;
        if let Some(token) = self.fresh(kept.as_ref()) {
            return Ok(token);
        }
        let (app_id, secret) = (self.settings.app_id.as_str(), self.settings.secret.as_str());
        let query = [("grant_type", "client_credential"), ("appid", app_id), ("secret", secret)];
        let answer: TokenAnswer = self.get("token", "/cgi-bin/token", &query).await?;
        *kept = Some(self.keep(answer.access_token.clone(), answer.expires_in));
        Ok(answer.access_token)
    }

    async fn ticket(&self) -> Result<String, WeChatError> {
        let mut kept = self.ticket.lock().await;
        if let Some(ticket) = self.fresh(kept.as_ref()) {
            return Ok(ticket);
        }
        let token = self.token().await?;
        let query = [("access_token", token.as_str()), ("type", "jsapi")];
        let answer: TicketAnswer = self.get("ticket", "/cgi-bin/ticket/getticket", &query).await?;
        *kept = Some(self.keep(answer.ticket.clone(), answer.expires_in));
        Ok(answer.ticket)
    }

    fn fresh(&self, kept: Option<&Kept>) -> Option<String> {
        kept.filter(|kept| self.clock.now() + EARLY < kept.until).map(|kept| kept.value.clone())
    }

    fn keep(&self, value: String, seconds: i64) -> Kept {
        Kept { value, until: ends_at(self.clock.now(), seconds) }
    }

    fn address(&self, path: &str, query: &[(&str, &str)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("{}{path}?{query}", self.settings.api_url)
    }

    async fn get<A: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<A, WeChatError> {
        // No objects: whose code it is only the answer tells, and tokens and tickets belong to nobody.
        self.call(Call { operation, about: &[] }, self.http.get(self.address(path, query))).await?
    }

    /// The outer error is that no usable answer came; the inner one is WeChat's refusal.
    async fn call<A: DeserializeOwned>(
        &self,
        call: Call<'_>,
        request: reqwest::RequestBuilder,
    ) -> Result<Result<A, WeChatError>, WeChatError> {
        let began = Instant::now();
        let answered = answer(request).await;
        let http_status = answered.as_ref().map(|(status, _)| *status);
        let heard = answered.as_ref().map_or(Err(WeChatError::Silent), |(status, body)| heard::<A>(*status, body));
        let unheard = if http_status.is_some() { "unknown" } else { "no_answer" };
        let (outcome, errcode) = match &heard {
            Ok(Ok(_)) => ("ok", None),
            Ok(Err(WeChatError::Refused { code, .. })) => ("rejected", Some(*code)),
            Ok(Err(WeChatError::Silent)) | Err(_) => (unheard, None),
        };
        self.record(call, End { outcome, errcode, http_status, duration: began.elapsed() }).await;
        heard
    }

    /// Records the call without query and answer, which both contain secrets; of a refusal only its code.
    async fn record(&self, call: Call<'_>, end: End) {
        let response = end.errcode.map(|errcode| serde_json::json!({ "errcode": errcode }).to_string());
        self.log
            .record(&Ended {
                partner: NAME,
                direction: "out",
                operation: call.operation,
                call_key: call.about.first().map_or("", String::as_str),
                also: call.about,
                request: &[],
                response: response.as_deref().unwrap_or_default().as_bytes(),
                outcome: end.outcome,
                http_status: end.http_status,
                duration: end.duration,
                called_at: self.clock.now(),
            })
            .await;
    }
}

/// The openid, if it is usable: an empty one would be the same for everybody, and PostgreSQL cannot store a NUL.
fn usable_openid(openid: String) -> Option<String> {
    Some(openid).filter(|openid| !openid.is_empty() && !openid.contains('\0'))
}

/// When something ends that is valid for `seconds` from `now` on; `now` if that is beyond the end of the calendar.
fn ends_at(now: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    TimeDelta::try_seconds(seconds).and_then(|delta| now.checked_add_signed(delta)).unwrap_or(now)
}

/// The content of an answer, as [`read`] returns it. WeChat itself refuses with status 200, so any other status counts as no answer.
fn heard<A: DeserializeOwned>(status: u16, body: &[u8]) -> Result<Result<A, WeChatError>, WeChatError> {
    if (200..300).contains(&status) { read(body) } else { Err(WeChatError::Silent) }
}

/// The content of an answer. The outer error is that it cannot be read, the inner one WeChat's refusal.
fn read<A: DeserializeOwned>(body: &[u8]) -> Result<Result<A, WeChatError>, WeChatError> {
    let verdict: Verdict = serde_json::from_slice(body).map_err(|_| WeChatError::Silent)?;
    if verdict.errcode != 0 {
        return Ok(Err(WeChatError::Refused { code: verdict.errcode, message: kept(&verdict.errmsg) }));
    }
    serde_json::from_slice(body).map(Ok).map_err(|_| WeChatError::Silent)
}

/// WeChat's message of a refusal, made fit for the log.
fn kept(message: &str) -> String {
    shape::kept(message).chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Status and body; `None` if no answer comes or it is too large, which is logged.
async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Vec<u8>)> {
    let why = match read_answer(request).await {
        Ok(Some(answer)) => return Some(answer),
        Ok(None) => format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"),
        Err(error) => chain(&error),
    };
    tracing::warn!("WeChat does not answer: {why}");
    None
}

/// Status and body; `None` where the body is larger than [`ANSWER_BYTES_MAX`].
async fn read_answer(request: reqwest::RequestBuilder) -> reqwest::Result<Option<(u16, Vec<u8>)>> {
    let mut response = request.timeout(TIME_LIMIT_PERSON).send().await?;
    let body = read_whole(&mut response, ANSWER_BYTES_MAX).await?;
    Ok(body.map(|body| (response.status().as_u16(), body)))
}

/// SHA-1 in hexadecimal, as WeChat's JSSDK wants it.
pub fn page_signature(ticket: &str, nonce: &str, timestamp: i64, address: &str) -> String {
    let text = format!("jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={address}");
    hex_encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_with_what_the_notice_says_or_not_at_all() {
        let parameters = BTreeMap::from([("total".to_owned(), "1,234.50".to_owned())]);
        assert_eq!(fill("应还{total}元", &parameters).as_deref(), Some("应还1,234.50元"));
        assert_eq!(fill("请备足余额", &parameters).as_deref(), Some("请备足余额"));
        assert_eq!(fill("{due_on}", &parameters), None);
        assert_eq!(fill("{total", &parameters), None);
    }

    #[test]
    fn an_openid_that_cannot_name_a_person_is_not_used() {
        assert_eq!(usable_openid("o-1".into()).as_deref(), Some("o-1"));
        assert_eq!((usable_openid(String::new()), usable_openid("o\0".into())), (None, None));
    }

    #[test]
    fn a_huge_time_to_live_ends_at_once() {
        let now = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        assert_eq!(ends_at(now, 7_200), now + TimeDelta::hours(2));
        for seconds in [i64::MAX, i64::MAX / 1_000, i64::MIN, i64::MIN / 1_000] {
            assert_eq!(ends_at(now, seconds), now, "{seconds}");
        }
    }

    #[test]
    fn an_answer_is_read_with_more_than_we_know_and_never_taken_for_what_it_does_not_say() {
        let sent = |text: &str| read::<SentAnswer>(text.as_bytes());
        assert!(matches!(sent(r#"{"errcode":0,"errmsg":"ok","more":[1]}"#), Ok(Ok(_))));
        let refused = sent(r#"{"errcode":40001,"errmsg":null}"#);
        assert!(matches!(refused, Ok(Err(WeChatError::Refused { code: 40_001, .. }))));
        for malformed in ["{}", r#"{"errcode":null}"#, r#"{"errcode":"0"}"#, r#"{"errcode":1e30}"#, "[]", "null", "ok"]
        {
            assert!(matches!(sent(malformed), Err(WeChatError::Silent)), "{malformed}");
        }
    }

    #[test]
    fn a_refusal_is_kept_without_controls_and_numbers_of_people() {
        let said = |text: &str| match read::<SentAnswer>(text.as_bytes()) {
            Ok(Err(WeChatError::Refused { message, .. })) => message,
            other => panic!("{other:?}"),
        };
        let words = said(r#"{"errcode":40029,"errmsg":"invalid code\nof 138\u00001234\u00005678"}"#);
        assert_eq!(words, "invalid codeof ***5678");
        let endless = format!(r#"{{"errcode":40029,"errmsg":"{}"}}"#, "长".repeat(600));
        assert_eq!(said(&endless).chars().count(), MESSAGE_CHARS_MAX);
    }

    #[test]
    fn an_answer_under_a_status_that_is_no_success_is_not_wechats() {
        let ok = br#"{"errcode":0,"errmsg":"ok"}"#;
        assert!(matches!(heard::<SentAnswer>(200, ok), Ok(Ok(_))));
        for status in [100, 302, 400, 404, 429, 500, 502, 503, 504] {
            assert!(matches!(heard::<SentAnswer>(status, ok), Err(WeChatError::Silent)), "{status}");
            let refused = heard::<SentAnswer>(status, br#"{"errcode":43101}"#);
            assert!(matches!(refused, Err(WeChatError::Silent)), "{status}");
        }
    }

    /// The example in WeChat's own documentation of the JSSDK (appendix 1).
    #[test]
    fn a_page_is_signed_as_wechats_example() {
        let ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
        let signature =
            page_signature(ticket, "Wm3WZYTPz0wzccnW", 1_414_587_457, "http://mp.weixin.qq.com?params=value");
        assert_eq!(signature, "0f9de62fce790f9a083d5c99e95740ceb90c27ed");
    }
}
