//! The value of each key and where it was found: in the environment, else in the file, else the default.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, bail};

use super::keys::{KEYS, key_named, names};
use crate::base::syntax::describe_toml_error;

/// Environment variables that begin with `FENQI_` but are no configuration keys: others read them.
const NOT_CONFIGURATION: [&str; 2] = ["FENQI_CONFIG", "FENQI_SHARED"];

/// By the name of a key: the text found, and where, as an error says it ("in fenqi.toml", or the name of the variable).
#[derive(Default)]
pub(super) struct Values(BTreeMap<&'static str, (String, String)>);

impl Values {
    pub(super) fn add_file(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let table: toml::Table = text.parse().map_err(|error| {
            anyhow::anyhow!("the configuration file {name} is not TOML: {}", describe_toml_error(text, &error))
        })?;
        for (found, value) in table {
            let Some(key) = KEYS.iter().find(|key| key.name == found) else {
                bail!("{name} has an unknown key `{found}`; allowed are {}", names());
            };
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                other => bail!("`{found}` in {name} is a {}; allowed is {}", other.type_str(), key.allowed),
            };
            self.0.insert(key.name, (text, format!("in {name}")));
        }
        Ok(())
    }

    pub(super) fn add_environment(
        &mut self,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<()> {
        for (name, value) in environment {
            let own = name.strip_prefix("FENQI_").map(str::to_ascii_lowercase);
            let found = match (name.as_str(), &own) {
                // FENQI_DATABASE_URL wins over DATABASE_URL, which other tools read too.
                ("DATABASE_URL", _) if !self.is_set_by("database_url", "FENQI_DATABASE_URL") => "database_url",
                (_, Some(own)) if !NOT_CONFIGURATION.contains(&name.as_str()) => own,
                _ => continue,
            };
            let Some(key) = KEYS.iter().find(|key| key.name == found) else {
                bail!(
                    "the environment has an unknown name {name}; allowed are FENQI_ and a key in capitals: {}",
                    names()
                );
            };
            // An empty variable counts as not set: container tools often pass unset variables on as empty ones.
            if !value.is_empty() {
                self.0.insert(key.name, (value, name));
            }
        }
        Ok(())
    }

    fn is_set_by(&self, key: &str, place: &str) -> bool {
        self.0.get(key).is_some_and(|(_, found)| found == place)
    }

    /// As [`Values::optional`], for a key that must have a value.
    pub(super) fn required<T: FromStr>(&self, name: &'static str, allows: impl Fn(&T) -> bool) -> anyhow::Result<T> {
        let value = self.optional(name, allows)?;
        value.with_context(|| format!("`{name}` is empty; allowed is {}", key_named(name).allowed))
    }

    /// The value or the default; `None` if there is neither. `allows` checks the parsed value.
    ///
    /// # Errors
    /// The value cannot be parsed or is not allowed; the error names the key, where the value was found, and what is allowed.
    pub(super) fn optional<T: FromStr>(
        &self,
        name: &'static str,
        allows: impl Fn(&T) -> bool,
    ) -> anyhow::Result<Option<T>> {
        let key = key_named(name);
        let default = || key.default.map(|default| (default.to_owned(), "the default".to_owned()));
        let Some((text, place)) = self.0.get(name).cloned().filter(|(text, _)| !text.is_empty()).or_else(default)
        else {
            return Ok(None);
        };
        match text.parse().ok().filter(allows) {
            Some(value) => Ok(Some(value)),
            // A wrong key or address may hold a secret, so it is not repeated.
            None if name.contains("key") || ["database_url", "outbound_proxy"].contains(&name) => {
                bail!("`{name}` ({place}) is not what it must be; allowed is {}", key.allowed)
            }
            None => bail!("`{name}` is \"{text}\" ({place}); allowed is {}", key.allowed),
        }
    }
}
