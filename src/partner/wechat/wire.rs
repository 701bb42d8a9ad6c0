//! WeChat's words. Every answer may be a refusal instead: `errcode` that is there and not zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// What a refusal holds; success holds `errcode` 0 or nothing of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Verdict {
    #[serde(default)]
    pub errcode: i64,
    #[serde(default, deserialize_with = "text_or_null")]
    pub errmsg: String,
}

/// A refusal without words is one as well.
fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A code was invalid, expired or used.
pub const CODE_INVALID: i64 = 40_029;
/// Our access token is not the newest one.
pub const TOKEN_OLD: i64 = 40_001;
/// Our access token has ended.
pub const TOKEN_EXPIRED: i64 = 42_001;
/// Our access token is no longer good, for whatever reason: get another.
pub const TOKEN_REFUSED: [i64; 3] = [TOKEN_OLD, 40_014, TOKEN_EXPIRED];
/// The person has not asked for such messages, or not any more.
pub const NOT_SUBSCRIBED: i64 = 43_101;
/// Codes of refusals, as the log has them, after which no call of ours succeeds: WeChat is too busy; our app id or secret is wrong, or our
/// address is not allowed; we call too often; our account is blocked.
pub const SERVES_NOBODY: [&str; 8] = ["-1", "40001", "40013", "40125", "40164", "45009", "45011", "48004"];

/// Whether a refusal is one of those.
pub fn serves_nobody(code: i64) -> bool {
    SERVES_NOBODY.contains(&code.to_string().as_str())
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenIdAnswer {
    pub openid: String,
    pub scope: String,
}

/// The token opens the whole account; never logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    pub access_token: String,
    pub expires_in: i64,
}

/// By the ticket pages are signed; never logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct TicketAnswer {
    pub ticket: String,
    pub expires_in: i64,
}

/// The answer to a subscription message: only `errcode` 0, in so many words, says that it was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SentAnswer {
    pub errcode: i64,
}

/// A subscription message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscribeMessage {
    pub touser: String,
    pub template_id: String,
    /// The page that it opens.
    pub page: String,
    pub data: BTreeMap<String, Keyword>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keyword {
    pub value: String,
}
