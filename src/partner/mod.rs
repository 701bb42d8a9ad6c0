//! The partners that we call (channels, the funder's core, the risk partner, SMS, WeChat, merchants' cashiers): one HTTP client for all of
//! them, and one folder for each partner's protocol. Start with [`Partners`], then [`client::Client`].

pub mod client;
mod each;
mod agreed;
mod send_by;
mod proxy;
pub mod asking;
pub mod key;
mod sm2_key;
mod sm2_table;
mod sm2_field;
pub mod signature;
pub mod breaker;
pub mod shape;
pub mod mask;
pub mod mentions;
pub mod call_record;
pub mod call_log;
pub mod store;
pub mod funder_core;
pub mod merchant_cashier;
pub mod risk;
pub mod sms;
pub mod wechat;
pub mod card_signing;
pub mod withholding;
pub mod payout;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use sqlx::PgPool;

use self::breaker::BreakerSettings;
use self::call_log::CallLog;
use self::call_record::Ended;
use self::client::{ClientSettings, Clocks, Shared};
use self::merchant_cashier::Cashiers;
use self::merchant_cashier::address::Reach;
use self::signature::{Authorization, Identity, KeyRing, NONCE_KEPT, Received};
use self::wechat::{WeChat, WeChatSettings};
use self::withholding::ChannelName;
use crate::base::Clock;
use crate::base::syntax::describe_toml_error;
use crate::error::{Fault, Outcome};
use crate::text_file;

pub use self::client::{CallError, Client, Operation};
pub use self::proxy::OutboundProxy;
pub use self::send_by::SendBy;
pub use self::signature::SignatureError;

/// Names that are reserved for our partners: messages are addressed by them, so no other partner may have one.
const NAMES: [&str; 9] = [
    funder_core::NAME,
    merchant_cashier::NAME,
    risk::NAME,
    sms::NAME,
    wechat::NAME,
    card_signing::NAME,
    ChannelName::Alpha.partner(),
    ChannelName::Beta.partner(),
    payout::NAME,
];

/// Whether that name is reserved for one of our partners.
pub fn is_name(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether it is a URL to which the paths of a partner's operations can be appended. Parsing alone would also accept `http:/host`.
pub fn is_base_url(text: &str) -> bool {
    let url = reqwest::Url::parse(text);
    let is_whole = url.is_ok_and(|url| url.has_host() && url.query().is_none() && url.fragment().is_none());
    is_whole && (text.starts_with("http://") || text.starts_with("https://")) && !text.ends_with('/')
}

/// A partner as configured.
#[derive(Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerSettings {
    /// Such as `payout`; withholding channels are `withholding_a`, `withholding_b` and so on.
    pub name: String,
    /// Without a slash at the end.
    pub base_url: String,
    /// The id that the partner gave us, our key's serial number and our private key (PKCS #8 in PEM, or 64
    /// hexadecimal digits for SM2).
    pub mchid: String,
    pub serial_no: String,
    pub private_key: String,
    /// The id by which the partner signs, and its public keys (PEM, or an SM2 point in hexadecimal), several while one
    /// replaces another. The risk partner's is also its name in the API, by which alone its late answers are heard.
    pub partner_mchid: String,
    pub partner_keys: Vec<PartnerKey>,
    /// Of a withholding channel: a reference of its files names a batch, so that it lawfully gives one to several orders.
    #[serde(default)]
    pub references_name_batches: bool,
    /// Called without the house's proxy, where it names one: the partner is on this side of it.
    #[serde(default)]
    pub direct: bool,
}

impl PartnerSettings {
    /// Reads a file with one `[[partner]]` table for each.
    ///
    /// # Errors
    /// A sentence that names the file and, where it is not of that shape, the line.
    pub fn read(path: &Path) -> anyhow::Result<Vec<PartnerSettings>> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            partner: Vec<PartnerSettings>,
        }
        let shown = path.display();
        let text = text_file::read(path).with_context(|| format!("cannot read partners_file {shown}"))?;
        let file: Result<File, toml::de::Error> = toml::from_str(&text);
        file.map(|file| file.partner)
            .map_err(|error| anyhow::anyhow!("partners_file {shown}, {}", describe_toml_error(&text, &error)))
    }
}

/// Without the private key, so that no log can hold it.
impl std::fmt::Debug for PartnerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartnerSettings")
            .field("name", &self.name)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// A public key of a partner, as configured.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerKey {
    pub serial_no: String,
    pub public_key: String,
}

/// A partner that cannot be called as configured.
#[derive(Debug, thiserror::Error)]
pub enum PartnerSettingsError {
    #[error("partner {0}: `private_key` is neither PKCS #8 in PEM nor 64 hexadecimal digits of an SM2 key")]
    PrivateKey(String),
    #[error("partner {0}: the public key {1} is neither in PEM nor 130 hexadecimal digits of an SM2 point")]
    PublicKey(String, String),
    #[error("partner {0}: `base_url` must begin with http:// or https:// and not end with a slash")]
    BaseUrl(String),
    #[error(
        "partner {0}: `base_url` begins with http://, by which personal data would travel in clear; it is taken only on \
         this machine, or in a trial house"
    )]
    InClear(String),
    #[error(
        "wechat_file: `{0}` begins with http://, by which the account's secret or people's codes would travel in clear; it is \
         taken only on this machine, or in a trial house"
    )]
    WeChatInClear(&'static str),
    #[error("partner {0} is configured twice")]
    Twice(String),
    #[error("partner {0}: `references_name_batches` is said of withholding channels alone; leave it out")]
    NoReferences(String),
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
}

/// The clients of all configured partners, and the keys that verify their callbacks.
pub struct Partners {
    clients: HashMap<String, Client>,
    batching: BTreeSet<ChannelName>,
    ring: Arc<KeyRing>,
    pool: PgPool,
    log: CallLog,
    clocks: Clocks,
    wechat: Option<WeChat>,
    http: reqwest::Client,
    cashiers: Cashiers,
    is_trial: bool,
}

impl Partners {
    /// Clients for `settings`. `clock` is business time, for breakers and the call log. Signatures use the system's time, because a
    /// partner's clock is never moved with ours.
    ///
    /// # Errors
    /// The first setting that cannot be used, such as an unencrypted address on another machine.
    pub fn new(settings: &[PartnerSettings], pool: PgPool, clock: Clock) -> Result<Partners, PartnerSettingsError> {
        if let Some(partner) = settings.iter().find(|partner| is_in_clear(&partner.base_url)) {
            return Err(PartnerSettingsError::InClear(partner.name.clone()));
        }
        Partners::build(settings, pool, clock)
    }

    /// As [`Partners::new`], for a trial house. Its partners are counterfeit and know no real person, so they may be reached by plain http,
    /// and merchants' cashiers may run on this machine.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn for_trial(
        settings: &[PartnerSettings],
        pool: PgPool,
        clock: Clock,
    ) -> Result<Partners, PartnerSettingsError> {
        Partners::build(settings, pool, clock)?.in_trial()
    }

    fn build(settings: &[PartnerSettings], pool: PgPool, clock: Clock) -> Result<Partners, PartnerSettingsError> {
        let mut ring = KeyRing::default();
        for partner in settings {
            for key in &partner.partner_keys {
                if !ring.add(&partner.partner_mchid, &key.serial_no, &key.public_key) {
                    return Err(PartnerSettingsError::PublicKey(partner.name.clone(), key.serial_no.clone()));
                }
            }
        }
        let ring = Arc::new(ring);
        let log = CallLog::start(pool.clone());
        let clocks = Clocks { business: clock, wire: Clock::System };
        let http = client::build_http()?;
        let shared = Shared { http: http.clone(), ring: ring.clone(), log: log.clone(), clocks: clocks.clone() };
        let mut clients = HashMap::new();
        for (index, partner) in settings.iter().enumerate() {
            let client = Client::new(client_settings(partner, index as u64)?, shared.clone());
            if clients.insert(partner.name.clone(), client).is_some() {
                return Err(PartnerSettingsError::Twice(partner.name.clone()));
            }
        }
        let cashiers = Cashiers::new(Reach::Internet, log.clone(), clocks.clone())?;
        let batching = batching(settings)?;
        Ok(Partners { clients, batching, ring, pool, log, clocks, wechat: None, http, cashiers, is_trial: false })
    }

    /// The same partners, called through a proxy; WeChat too, if it is added after this. Partners that are `direct` are still called
    /// without it, and so are merchants' cashiers: we must resolve their names ourselves, to keep them from leading into our own network.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn through(self, proxy: OutboundProxy) -> Result<Partners, PartnerSettingsError> {
        let http = client::build_http_through(proxy)?;
        let clients = self.clients.into_iter().map(|(name, client)| (name, client.through(http.clone()))).collect();
        Ok(Partners { clients, http, ..self })
    }

    /// These partners, with WeChat. As for them, plain http is allowed only in a trial house.
    ///
    /// # Errors
    /// An unencrypted address on another machine.
    pub fn with_wechat(self, settings: WeChatSettings) -> Result<Partners, PartnerSettingsError> {
        let addresses = [("api_url", &settings.api_url), ("authorize_url", &settings.authorize_url)];
        let in_clear = addresses.into_iter().find(|(_, url)| !self.is_trial && is_in_clear(url));
        if let Some((name, _)) = in_clear {
            return Err(PartnerSettingsError::WeChatInClear(name));
        }
        let wechat = WeChat::new(settings, self.http.clone(), self.log.clone(), self.clocks.business.clone());
        Ok(Partners { wechat: Some(wechat), ..self })
    }

    /// These partners, marked as counterfeit; merchants' cashiers may then run on this machine, too.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn in_trial(self) -> Result<Partners, PartnerSettingsError> {
        let cashiers = Cashiers::new(Reach::ThisMachineToo, self.log.clone(), self.clocks.clone())?;
        Ok(Partners { cashiers, is_trial: true, ..self })
    }

    /// Whether the partners are simulated: then no real money moves.
    pub fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// Merchants' own systems.
    pub fn cashiers(&self) -> &Cashiers {
        &self.cashiers
    }

    /// WeChat, where it is configured.
    pub fn wechat(&self) -> Option<&WeChat> {
        self.wechat.as_ref()
    }

    /// The client of the partner configured by that name.
    ///
    /// # Errors
    /// `NotSent` if there is none, so that a caller needs no case of its own.
    pub fn client(&self, name: &str) -> Result<&Client, CallError> {
        self.clients.get(name).ok_or_else(|| CallError::NotSent {
            partner: name.to_owned(),
            reason: "no partner is configured by that name".to_owned(),
        })
    }

    /// The id in the signatures of the partner configured by that name.
    pub fn mchid(&self, name: &str) -> Option<&str> {
        self.clients.get(name).map(Client::their_mchid)
    }

    /// The names of configured partners that begin with `prefix`, in order: `withholding_` gives every channel.
    pub fn names(&self, prefix: &str) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.clients.keys().map(String::as_str).filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable();
        names
    }

    /// Whether a reference of the channel's files names a batch of orders, instead of one payment.
    pub fn has_batch_references(&self, channel: ChannelName) -> bool {
        self.batching.contains(&channel)
    }

    /// Verifies that the partner configured as `name` signed a callback, and uses up its nonce. The caller records the callback and its
    /// answer.
    ///
    /// # Errors
    /// Refused with the reason: answer 401 with its code. Failed if the nonce could not be stored: answer 500.
    pub async fn believe(&self, name: &str, received: Received<'_>) -> Outcome<(), SignatureError> {
        let now = self.clocks.wire.now();
        let signed = self.ring.believe(now, received).map_err(Fault::Refused)?;
        let is_theirs = self.mchid(name).is_some_and(|mchid| mchid == signed.mchid);
        if !is_theirs {
            return Err(Fault::Refused(SignatureError::UnknownKey));
        }
        // In the database, because a callback that one node has taken must not be taken again by another.
        let signer = format!("callback:{}", signed.mchid);
        let mut connection = self.pool.acquire().await?;
        let is_new = store::remember_nonce(&mut connection, &signer, &signed.stamp.nonce, now + NONCE_KEPT).await?;
        if is_new { Ok(()) } else { Err(Fault::Refused(SignatureError::NonceReused)) }
    }

    /// The partner id and serial number that the header of a callback names, if there is such a key in the configuration.
    pub fn known_key(&self, authorization: &str) -> Option<(String, String)> {
        let parsed = Authorization::parse(authorization)?;
        self.ring.has(&parsed.mchid, &parsed.serial_no).then_some((parsed.mchid, parsed.serial_no))
    }

    /// Records a call that a partner made to us.
    pub async fn record(&self, call: &Ended<'_>) {
        self.log.record(call).await;
    }

    /// Returns when every call made so far is in the log; part of a normal shutdown.
    pub async fn flush_log(&self) {
        self.log.flush().await;
    }
}

/// The channels whose references name batches of orders.
fn batching(settings: &[PartnerSettings]) -> Result<BTreeSet<ChannelName>, PartnerSettingsError> {
    let named = settings.iter().filter(|partner| partner.references_name_batches);
    named
        .map(|partner| {
            ChannelName::from_partner(&partner.name)
                .ok_or_else(|| PartnerSettingsError::NoReferences(partner.name.clone()))
        })
        .collect()
}

/// Whether it is plain http to another machine, so that what is sent can be read on the way.
fn is_in_clear(base_url: &str) -> bool {
    reqwest::Url::parse(base_url).is_ok_and(|url| url.scheme() != "https" && !proxy::is_here(&url))
}

fn client_settings(partner: &PartnerSettings, jitter_seed: u64) -> Result<ClientSettings, PartnerSettingsError> {
    let name = partner.name.clone();
    if !is_base_url(&partner.base_url) {
        return Err(PartnerSettingsError::BaseUrl(name));
    }
    let identity = Identity::from_text(&partner.mchid, &partner.serial_no, &partner.private_key)
        .ok_or_else(|| PartnerSettingsError::PrivateKey(name.clone()))?;
    Ok(ClientSettings {
        partner: name,
        base_url: partner.base_url.clone(),
        identity,
        their_mchid: partner.partner_mchid.clone(),
        is_direct: partner.direct,
        breaker: BreakerSettings::DEFAULT,
        jitter_seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_is_called_directly_where_its_table_says_so() {
        let table = "name = 'harbour-bank'\nbase_url = 'https://10.1.2.3'\nmchid = 'our-house'\nserial_no = 'HOUSE-1'\n\
                     private_key = ''\npartner_mchid = 'harbour-core'\npartner_keys = []\n";
        let is_direct = |more: &str| toml::from_str::<PartnerSettings>(&format!("{table}{more}")).unwrap().direct;
        assert_eq!(["", "direct = false", "direct = true"].map(is_direct), [false, false, true]);
    }

    #[test]
    fn only_this_machine_is_reached_in_clear() {
        for closed in [
            "https://core.harbour-bank.example/fenqi",
            "https://10.1.2.3:8443",
            "http://127.0.0.1:8090/payout",
            "http://[::1]:8090/payout",
            "http://localhost:8090",
        ] {
            assert!(!is_in_clear(closed), "{closed}");
        }
        for open in [
            "http://core.harbour-bank.example/fenqi",
            "http://10.1.2.3:8090",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com/",
            "http://localhost@bank.example/",
            "http://card-signing",
            "HTTP://bank.example",
        ] {
            assert!(is_in_clear(open), "{open}");
        }
    }
}
