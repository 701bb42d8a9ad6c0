//! Words in Chinese and English: Fluent files in `web/locales`, one for each feature.

use std::fmt;
use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use rust_embed::RustEmbed;
use unic_langid::LanguageIdentifier;

#[derive(RustEmbed)]
#[folder = "web/locales/"]
struct Locales;

/// A language that every page speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Chinese,
    English,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::Chinese, Language::English];

    /// The language tag, as in HTML, HTTP and the folders of `web/locales`.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::Chinese => "zh-CN",
            Language::English => "en",
        }
    }

    /// The one that the switch leads to.
    pub const fn other(self) -> Language {
        match self {
            Language::Chinese => Language::English,
            Language::English => Language::Chinese,
        }
    }

    pub fn from_tag(tag: &str) -> Option<Language> {
        match tag.split('-').next()?.to_ascii_lowercase().as_str() {
            "zh" => Some(Language::Chinese),
            "en" => Some(Language::English),
            _ => None,
        }
    }

    /// The best of an `Accept-Language` header (RFC 9110); Chinese if none fits.
    pub fn accepted(header: &str) -> Language {
        let mut best = (Language::Chinese, 0);
        for range in header.split(',').take(16) {
            let mut parts = range.split(';').map(str::trim);
            let language = parts.next().and_then(Language::from_tag);
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, thousandths);
            if let Some(language) = language.filter(|_| weight > best.1) {
                best = (language, weight);
            }
        }
        best.0
    }

    fn bundle(self) -> &'static FluentBundle<FluentResource> {
        static BUNDLES: OnceLock<[FluentBundle<FluentResource>; 2]> = OnceLock::new();
        let [chinese, english] = BUNDLES.get_or_init(|| Language::ALL.map(read_bundle));
        match self {
            Language::Chinese => chinese,
            Language::English => english,
        }
    }

    /// Whether there are words under a key.
    pub fn knows(self, key: &str) -> bool {
        self.bundle().has_message(key)
    }

    /// The words under a key. Without arguments they are complete; see [`Said::with`].
    pub fn say(self, key: impl Into<String>) -> Said {
        Said { language: self, key: key.into(), arguments: FluentArgs::new() }
    }
}

/// A weight such as `0.8` in thousandths; zero if it is malformed.
fn thousandths(weight: &str) -> u16 {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    let padded = format!("{whole}{rest:0<3}");
    padded.get(..4).filter(|_| padded.len() == 4).and_then(|digits| digits.parse().ok()).unwrap_or(0).min(1000)
}

/// # Panics
/// If a file is not Fluent or a key stands twice, which tests find.
fn read_bundle(language: Language) -> FluentBundle<FluentResource> {
    let identifier: LanguageIdentifier = language.tag().parse().expect("our own tags are language identifiers");
    let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
    // No Unicode isolation marks around arguments: they would come between an amount and its sign.
    bundle.set_use_isolating(false);
    for path in Locales::iter().filter(|path| path.starts_with(language.tag())) {
        let file = Locales::get(&path).expect("a listed file is there");
        let text = String::from_utf8(file.data.into_owned()).unwrap_or_default();
        let resource = FluentResource::try_new(text)
            .unwrap_or_else(|(_, errors)| panic!("web/locales/{path} is not Fluent: {errors:?}"));
        if let Err(errors) = bundle.add_resource(resource) {
            panic!("web/locales/{path}: {errors:?}");
        }
    }
    bundle
}

/// Words with their arguments. They are formatted by `Display`, and escaped by the template.
pub struct Said {
    language: Language,
    key: String,
    arguments: FluentArgs<'static>,
}

impl Said {
    /// Puts text into the words in place of `{ $name }`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Said {
        self.arguments.set(name.to_owned(), value.to_string());
        self
    }

    /// Puts a number into the words, which may choose between singular and plural by it.
    #[must_use]
    pub fn count<T: Copy + TryInto<i64>>(mut self, name: &'static str, number: &T) -> Said {
        self.arguments.set(name, (*number).try_into().unwrap_or(i64::MAX));
        self
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bundle = self.language.bundle();
        let Some(pattern) = bundle.get_message(&self.key).and_then(|message| message.value()) else {
            tracing::error!("there are no words under {} in {}", self.key, self.language.tag());
            return f.write_str(&self.key);
        };
        let mut errors = Vec::new();
        let words = bundle.format_pattern(pattern, Some(&self.arguments), &mut errors);
        if !errors.is_empty() {
            tracing::error!("the words under {} in {} are not complete: {errors:?}", self.key, self.language.tag());
        }
        f.write_str(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_with_the_highest_weight_that_we_speak_wins() {
        let cases = [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("fr,de;q=0.9,en;q=0.1", Language::English),
            ("zh;q=0.3, en;q=0.85", Language::English),
            ("fr", Language::Chinese),
            ("", Language::Chinese),
            ("en;q=x", Language::Chinese),
        ];
        for (header, language) in cases {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }
}
