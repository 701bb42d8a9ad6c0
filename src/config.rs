//! Configuration: a TOML file and the environment, anything wrong refused at start. See [`Config::load`]; `keys.rs` lists every key.

mod keys;
mod values;
mod kept;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::TimeDelta;
use rand::TryRngCore;

use crate::access::AddressRange;
use crate::access::address::AddressList;
use crate::app::Kept;
use crate::base::WorkingCalendar;
use crate::base::hex::hex_encode;
use crate::credit::RiskHook;
use crate::outbox::DeliverySettings;
use crate::page::{Site, Support};
use crate::partner::wechat::WeChatSettings;
use crate::partner::{OutboundProxy, PartnerSettings, risk};
use crate::secret::{FormerKeys, SecretKey};
use crate::vault::{MasterKey, Vault};
use crate::{day_file, launcher, notice, sandbox, text_file};

pub use keys::{KEYS, Key};
use values::Values;

/// Read where `FENQI_CONFIG` names no file.
const FILE: &str = "fenqi.toml";

/// What the program runs with.
#[derive(Clone)]
pub struct Config {
    pub database_url: Option<String>,
    pub database_connections: u32,
    pub var_dir: PathBuf,
    pub pg_bin: Option<PathBuf>,
    pub listen: SocketAddr,
    pub work_listen: Option<SocketAddr>,
    pub public_url: Option<String>,
    pub line_product: String,
    pub review_days: u16,
    pub support: Option<Support>,
    pub log: String,
    pub log_format: LogFormat,
    pub calendar: WorkingCalendar,
    pub day_files: day_file::Rules,
    pub partners: Vec<PartnerSettings>,
    pub outbound_proxy: Option<OutboundProxy>,
    pub wechat: Option<WeChatSettings>,
    /// Whether the partners are counterfeit.
    pub is_trial: bool,
    pub kept: Kept,
    pub delivery: DeliverySettings,
    pub risk_hook: RiskHook,
    pub trusted_proxies: Vec<AddressRange>,
    pub metrics_from: Vec<AddressRange>,
    secrets: Secrets,
}

/// Leaves out the database's address, which may hold a password, and all secret keys.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("var_dir", &self.var_dir)
            .field("partners", &self.partners)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// Reads `FENQI_CONFIG` or `./fenqi.toml`, then the environment.
    pub fn load() -> anyhow::Result<Config> {
        let (path, is_named) = match std::env::var_os("FENQI_CONFIG").filter(|path| !path.is_empty()) {
            Some(path) => (PathBuf::from(path), true),
            None => (PathBuf::from(FILE), false),
        };
        let file = match text_file::read(&path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => None,
            Err(error) => bail!("cannot read the configuration file {}: {error}", path.display()),
        };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        Config::read(file, environment)
    }

    /// Takes every value from a file (its name and text) and environment variables.
    pub fn read(
        file: Option<(String, String)>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Config> {
        let mut values = Values::default();
        if let Some((name, text)) = file {
            values.add_file(&name, &text)?;
        }
        values.add_environment(environment)?;
        let config = Config {
            database_url: values.optional("database_url", |url: &String| url.starts_with("postgres"))?,
            database_connections: values.required("database_connections", |count| (2..=200).contains(count))?,
            var_dir: values.required("var_dir", |_| true)?,
            pg_bin: values.optional("pg_bin", |_| true)?,
            listen: values.required("listen", |_| true)?,
            work_listen: values.optional("work_listen", |_| true)?,
            public_url: values.optional("public_url", |url: &String| is_origin(url))?,
            line_product: values.required("line_product", |_| true)?,
            review_days: values.required("review_days", |days| (1..=365).contains(days))?,
            support: support(&values)?,
            log: values.required("log", |log: &String| log.parse::<tracing_subscriber::filter::Targets>().is_ok())?,
            log_format: values.required("log_format", |_| true)?,
            calendar: calendar(values.optional("calendar_file", |_: &PathBuf| true)?)?,
            day_files: kept::day_files(&values)?,
            kept: kept::others(&values)?,
            partners: partners(&values)?,
            outbound_proxy: values.optional("outbound_proxy", |_| true)?,
            wechat: wechat(&values)?,
            is_trial: values.optional("sandbox_url", |_: &String| true)?.is_some(),
            delivery: DeliverySettings {
                pause: Duration::from_millis(values.required("delivery_pause_ms", |ms| (10..=60_000).contains(ms))?),
                delay_first: TimeDelta::milliseconds(
                    values.required("delivery_retry_ms", |delay| (10..=3_600_000).contains(delay))?,
                ),
                ..DeliverySettings::default()
            },
            risk_hook: RiskHook::configured(&values.required("risk_hook", |hook: &String| RiskHook::is_name(hook))?)?,
            trusted_proxies: values
                .optional("trusted_proxies", |_| true)?
                .map_or(Vec::new(), |list: AddressList| list.0),
            metrics_from: values.required("metrics_from", |_: &AddressList| true)?.0,
            secrets: Secrets {
                master_key: values.optional("master_key", |_| true)?,
                master_key_number: values.required("master_key_number", |number| *number > 0)?,
                former: values.optional("former_master_keys", |_| true)?.unwrap_or_default(),
                index_key: values.optional("index_key", |_| true)?,
            },
        };
        if config.database_url.is_some() && config.secrets.master_key.is_some() && config.secrets.needs_index_key() {
            bail!("index_key is missing (FENQI_INDEX_KEY): with former_master_keys it must be stated");
        }
        Ok(config)
    }

    /// Whether [`Config::vault`] is about to make a new master key, because none is configured or kept in `var_dir`.
    pub fn makes_new_key(&self) -> bool {
        self.secrets.master_key.is_none() && self.database_url.is_none() && !self.var_dir.join(KEY_FILE).exists()
    }

    /// The vault under the configured master key. With the private PostgreSQL a missing key is generated in `var_dir`.
    pub fn vault(&self) -> anyhow::Result<Vault> {
        if self.secrets.master_key.is_none() && self.database_url.is_some() {
            bail!(
                "master_key is missing (FENQI_MASTER_KEY): with a database of your own you must keep it yourself; \
                 make one with: openssl rand -hex 32"
            );
        }
        self.vault_of_trial()
    }

    /// As [`Config::vault`], for a trial with made-up people: a missing key is generated even with a configured database.
    pub fn vault_of_trial(&self) -> anyhow::Result<Vault> {
        let secrets = &self.secrets;
        let master = match &secrets.master_key {
            Some(key) => key.0,
            None => generated_key(&self.var_dir)?.0,
        };
        if secrets.former.0.is_empty() && secrets.index_key.is_none() && secrets.master_key_number == 1 {
            return Ok(Vault::with_master(master));
        }
        let index = secrets.index_key.as_ref().context(
            "index_key is missing (FENQI_INDEX_KEY): state it before the master key is rotated, or nobody is found again",
        )?;
        if let Some(number) = secrets.duplicate_number() {
            bail!(
                "two master keys have number {number}, and what one of them sealed cannot be opened: each rotation raises \
                 master_key_number, and each key in former_master_keys keeps the number that it had"
            );
        }
        let current = MasterKey { id: secrets.master_key_number, key: master };
        let former = secrets.former.0.iter().map(|(id, key)| MasterKey { id: *id, key: key.0 }).collect();
        Ok(Vault::new(current, former, index.0))
    }

    /// Checks that the risk partner is configured if the risk hook needs one. Without it, every application would wait for a person.
    ///
    /// # Errors
    /// The hook is `partner`, and no partner is named `risk`.
    pub fn check_risk_partner(&self) -> anyhow::Result<()> {
        let is_configured = self.partners.iter().any(|partner| partner.name == risk::NAME);
        if matches!(self.risk_hook, RiskHook::Partner) && !is_configured {
            bail!(
                "risk_hook is \"partner\", but no partner is named {:?}; add it to partners_file, or set risk_hook to scorecard",
                risk::NAME
            );
        }
        Ok(())
    }

    /// The public address of the pages, with the product and the support that they name.
    pub fn site(&self) -> Site {
        Site::at(&self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen)))
            .offering(&self.line_product)
            .reviewing_for(self.review_days)
            .answered_by(self.support.clone())
    }

    /// The private PostgreSQL of this configuration, with durable settings.
    pub fn private_postgres(&self) -> launcher::Options {
        launcher::Options {
            home: self.var_dir.join("pg"),
            bin: self.pg_bin.clone(),
            durability: launcher::Durability::Full,
        }
    }
}

/// Where the generated master key lies in `var_dir`.
const KEY_FILE: &str = "master.key";

#[derive(Clone, Debug)]
struct Secrets {
    master_key: Option<SecretKey>,
    master_key_number: u8,
    former: FormerKeys,
    index_key: Option<SecretKey>,
}

impl Secrets {
    fn needs_index_key(&self) -> bool {
        !self.former.0.is_empty() && self.index_key.is_none()
    }

    /// A number that two master keys share, if there is one. Sealed values name their key by its number, so each needs its own.
    fn duplicate_number(&self) -> Option<u8> {
        let mut numbers = HashSet::from([self.master_key_number]);
        self.former.0.iter().map(|(number, _)| *number).find(|number| !numbers.insert(*number))
    }
}

impl FromStr for LogFormat {
    type Err = ();
    fn from_str(text: &str) -> Result<LogFormat, ()> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(()),
        }
    }
}

/// Whether this is a scheme and a host without a path: the pages have fixed paths of their own.
fn is_origin(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|host| {
        !host.trim_end_matches('/').is_empty() && !host.trim_end_matches('/').contains(['/', '?', '#'])
    })
}

fn calendar(file: Option<PathBuf>) -> anyhow::Result<WorkingCalendar> {
    let shipped = WorkingCalendar::shipped();
    let Some(path) = file else { return Ok(shipped) };
    let shown = path.display();
    let table = text_file::read(&path).with_context(|| format!("cannot read calendar_file {shown}"))?;
    shipped.with_years(&table).with_context(|| format!("calendar_file {shown} is refused"))
}

fn support(values: &Values) -> anyhow::Result<Option<Support>> {
    let phone = values.optional("support_phone", |_| true)?;
    match (phone, values.optional("support_hours", |_| true)?) {
        (Some(phone), hours) => Ok(Some(Support::at(phone, hours))),
        (None, Some(_)) => bail!("support_hours is set without support_phone; state the number too"),
        (None, None) => Ok(None),
    }
}

fn partners(values: &Values) -> anyhow::Result<Vec<PartnerSettings>> {
    let file: Option<PathBuf> = values.optional("partners_file", |_| true)?;
    let sandbox: Option<String> = values.optional("sandbox_url", |url: &String| url.starts_with("http"))?;
    let seed: u64 = values.required("sandbox_seed", |_| true)?;
    match (file, sandbox) {
        (Some(_), Some(_)) => bail!("partners_file and sandbox_url are both set; keep one"),
        (Some(file), None) => PartnerSettings::read(&file),
        (None, Some(url)) => Ok(sandbox::partner_settings(url.trim_end_matches('/'), seed)),
        (None, None) => Ok(Vec::new()),
    }
}

fn wechat(values: &Values) -> anyhow::Result<Option<WeChatSettings>> {
    let file: Option<PathBuf> = values.optional("wechat_file", |_| true)?;
    let sandbox: Option<String> = values.optional("sandbox_url", |_| true)?;
    match (file, sandbox) {
        (Some(file), _) => WeChatSettings::read(&file, &notice::WECHAT_MESSAGES).map(Some),
        (None, Some(url)) => Ok(Some(sandbox::wechat_settings(url.trim_end_matches('/')))),
        (None, None) => Ok(None),
    }
}

/// The key in `master.key` of the directory, made on first use and readable by its owner only.
fn generated_key(var_dir: &Path) -> anyhow::Result<SecretKey> {
    let path = var_dir.join(KEY_FILE);
    let shown = path.display();
    if !path.exists() {
        std::fs::create_dir_all(var_dir).with_context(|| {
            format!("cannot create the directory {shown}; name another in FENQI_VAR_DIR", shown = var_dir.display())
        })?;
        let mut bytes = [0; 40];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).context("the system gives no random bytes")?;
        let text = hex_encode(&bytes);
        let (key, name) = text.split_at(64);
        keep_key(var_dir, key, name).with_context(|| {
            format!("cannot write the master key to {shown}; name a directory that can be written to in FENQI_VAR_DIR")
        })?;
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read the master key in {shown}"))?;
    match text.trim().parse() {
        Ok(key) => Ok(key),
        Err(()) => bail!("{shown} does not hold 64 hexadecimal digits; restore it from your back-up"),
    }
}

/// Writes a new key to a temporary file, syncs it, and only then links it to its final name, so that a crash leaves either no key or a
/// whole one. If several processes do this at once, the first one's key stays.
fn keep_key(var_dir: &Path, key: &str, name: &str) -> std::io::Result<()> {
    let unfinished = var_dir.join(format!("{KEY_FILE}.{name}"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    std::io::Write::write_all(&mut file, key.as_bytes())?;
    file.sync_all()?;
    let kept = std::fs::hard_link(&unfinished, var_dir.join(KEY_FILE));
    std::fs::remove_file(&unfinished)?;
    match kept {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => std::fs::File::open(var_dir)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let file = ("fenqi.toml".to_owned(), file.to_owned());
        Config::read(Some(file), environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
        format!("{:#}", read(file, environment).unwrap_err())
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let config = read("listen = '0.0.0.0:80'\ndatabase_connections = 9", &[("FENQI_LISTEN", "[::1]:81")]).unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:81");
        assert_eq!(config.database_connections, 9);
        assert_eq!(config.var_dir, PathBuf::from("var"));
    }

    #[test]
    fn our_own_name_of_the_database_wins_over_the_common_one() {
        let names = [("FENQI_DATABASE_URL", "postgres://a"), ("DATABASE_URL", "postgres://b")];
        assert_eq!(read("", &names).unwrap().database_url.unwrap(), "postgres://a");
        let turned = [names[1], names[0]];
        assert_eq!(read("", &turned).unwrap().database_url.unwrap(), "postgres://a");
    }

    #[test]
    fn a_variable_that_is_empty_says_nothing() {
        let file = "listen = '0.0.0.0:80'\ndatabase_url = 'postgres://a'";
        let config = read(file, &[("FENQI_LISTEN", ""), ("DATABASE_URL", "")]).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:80");
        assert_eq!(config.database_url.unwrap(), "postgres://a");
        let names = [("FENQI_DATABASE_URL", ""), ("DATABASE_URL", "postgres://b")];
        assert_eq!(read("", &names).unwrap().database_url.unwrap(), "postgres://b");
    }

    #[test]
    fn a_wrong_value_is_refused_with_key_place_and_what_is_allowed() {
        let refused = refusal("", &[("FENQI_LISTEN", "8080")]);
        assert_eq!(
            refused,
            "`listen` is \"8080\" (FENQI_LISTEN); allowed is an address and port such as 127.0.0.1:8080"
        );
        assert!(
            refusal("database_connections = 0", &[])
                .contains("(in fenqi.toml); allowed is a whole number from 2 to 200")
        );
        assert!(refusal("listen = true", &[]).contains("`listen` in fenqi.toml is a boolean"));
    }

    #[test]
    fn whom_people_call_is_a_telephone_number_with_its_hours_or_nobody() {
        assert_eq!(read("", &[]).unwrap().support, None);
        let stated = "support_phone = '400-820-8820'\nsupport_hours = '09:00-21:00'";
        let support = read(stated, &[]).unwrap().support.unwrap();
        assert_eq!(support.phone(), "400-820-8820");
        assert_eq!(support.hours().unwrap().to_string(), "09:00–21:00");
        let refused = refusal("support_phone = 'the front desk'", &[]);
        assert!(refused.contains("allowed is a telephone number such as 400-820-8820"), "{refused}");
        assert!(refusal("support_hours = '09:00-21:00'", &[]).contains("without support_phone"));
        assert!(refusal("", &[("FENQI_SUPPORT_HOURS", "mornings")]).contains("two times of day in Shanghai"));
    }

    #[test]
    fn an_unknown_key_is_refused_wherever_it_stands() {
        assert!(refusal("listn = ''", &[]).contains("unknown key `listn`"));
        assert!(refusal("", &[("FENQI_LISTN", "")]).contains("unknown name FENQI_LISTN"));
    }

    #[test]
    fn a_secret_is_never_repeated() {
        let refused = refusal("", &[("FENQI_MASTER_KEY", "5ec2e7")]);
        assert!(!refused.contains("5ec2e7"), "{refused}");
        let refused = refusal("listen = '[::1]:81'\nmaster_key = '5ec2e7", &[]);
        assert!(refused.contains("is not TOML: line 2: ") && !refused.contains("5ec2e7"), "{refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
        let config = read(&format!("master_key = '{}'", "ab".repeat(32)), &[]).unwrap();
        assert!(!format!("{config:?}").contains("abab"));
        let refused = refusal("outbound_proxy = 'fenqi:5ec2e7@proxy'", &[]);
        assert!(
            refused.contains("allowed is an address such as http://proxy") && !refused.contains("5ec2e7"),
            "{refused}"
        );
        let proxy = "outbound_proxy = 'http://fenqi:5ec2e7@proxy:3128'";
        let config = read(&format!("database_url = 'postgres://fenqi:5ec2e7@db/fenqi'\n{proxy}"), &[]).unwrap();
        assert!(!format!("{config:?}").contains("5ec2e7"));
    }

    #[test]
    fn a_database_of_ones_own_needs_a_master_key_of_ones_own() {
        let config = read("", &[("DATABASE_URL", "postgres://localhost/fenqi")]).unwrap();
        assert!(format!("{:#}", config.vault().err().unwrap()).contains("FENQI_MASTER_KEY"));
    }

    #[test]
    fn all_who_start_at_once_have_the_one_master_key_that_was_made() {
        let place = std::env::temp_dir().join(format!("fenqi-key-{}", std::process::id()));
        // What a test that was killed has left.
        std::fs::remove_dir_all(&place).ok();
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16).map(|_| scope.spawn(|| generated_key(&place).unwrap().0)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1, "something unfinished was left");
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_master_key_that_cannot_be_kept_is_told_with_where_else() {
        let refused = format!("{:#}", generated_key(Path::new("/proc/nowhere")).err().unwrap());
        let expected = "cannot create the directory /proc/nowhere; name another in FENQI_VAR_DIR: ";
        assert!(refused.starts_with(expected), "{refused}");
    }

    #[test]
    fn a_risk_hook_that_asks_a_partner_needs_one() {
        let refused = read("risk_hook = 'partner'", &[]).unwrap().check_risk_partner().unwrap_err().to_string();
        assert!(refused.contains("add it to partners_file, or set risk_hook to scorecard"), "{refused}");
        let trial = "risk_hook = 'partner'\nsandbox_url = 'http://127.0.0.1:8090'";
        assert!(read(trial, &[]).unwrap().check_risk_partner().is_ok());
        assert!(read("", &[]).unwrap().check_risk_partner().is_ok());
    }

    #[test]
    fn a_rotated_master_key_needs_the_index_key_stated() {
        let keys = format!("master_key = '{0}'\nmaster_key_number = 2\nformer_master_keys = '1:{0}'", "ab".repeat(32));
        let config = read(&keys, &[]).unwrap();
        assert!(format!("{:#}", config.vault().err().unwrap()).contains("index_key"));
        assert!(read(&format!("{keys}\nindex_key = '{}'", "cd".repeat(32)), &[]).unwrap().vault().is_ok());
    }

    #[test]
    fn no_two_master_keys_have_one_number() {
        let [new, old, index] = ["ab", "cd", "ef"].map(|pair| pair.repeat(32));
        let numbered = |number: u8, former: &str| {
            let keys = format!("master_key = '{new}'\nmaster_key_number = {number}\nindex_key = '{index}'");
            read(&format!("{keys}\nformer_master_keys = '{former}'"), &[]).unwrap().vault()
        };
        let (first, twice) = (format!("1:{old}"), format!("1:{old},1:{index}"));
        for (number, former) in [(1, &first), (2, &twice)] {
            let refused = format!("{:#}", numbered(number, former).err().unwrap());
            assert!(refused.contains("two master keys have number 1"), "{refused}");
        }
        assert!(numbered(2, &first).is_ok());
    }
}
