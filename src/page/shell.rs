//! The value `page` that every template gets: texts, amounts and dates in the visitor's language, addresses, the CSRF token.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use chrono_tz::Asia::Shanghai;
use rust_decimal::Decimal;
use serde_json::Value;

use super::assets;
use super::back::with_next;
use super::visit::{LANGUAGE_QUERY, Visit};
use super::words::{Language, Said};
use crate::app::App;
use crate::base::{BusinessDay, Fen, id};
use crate::http::Problem;
use crate::partner::wechat::PageSignature;
use crate::product::terms::Terms;

const MINUTE_MICROS: i64 = 60_000_000;

/// What a template needs besides its own content. Its methods are called from the templates.
#[derive(Clone)]
pub struct Page {
    pub visit: Visit,
    pub csrf: String,
}

impl Page {
    pub fn of(visit: Visit) -> Page {
        let csrf = visit.csrf();
        Page { visit, csrf }
    }

    /// The words under a key.
    pub fn say(&self, key: &str) -> Said {
        self.visit.language.say(key)
    }

    /// The words under the key `<kind>-<code>`, such as `refusal-still_owing`.
    pub fn say_of(&self, kind: &str, code: &str) -> Said {
        self.visit.language.say(format!("{kind}-{code}"))
    }

    /// The words under `<kind>-<code>` for a refusal; `{ $until }` in them is the time from when on it may be tried again.
    pub fn say_refused(&self, kind: &str, code: &str, until: Option<DateTime<Utc>>) -> Said {
        let said = self.say_of(kind, code);
        match until {
            Some(at) => said.with("until", self.soon(&at)),
            None => said,
        }
    }

    /// The words under `<kind>-<code>`, for a code that others choose, such as a partner's reason; those under `<kind>-other` if there are
    /// none.
    pub fn say_known(&self, kind: &str, code: &str) -> Said {
        let key = format!("{kind}-{code}");
        let language = self.visit.language;
        if language.knows(&key) { language.say(key) } else { self.say_of(kind, "other") }
    }

    /// The words of a borrower's notice. `$day` is its business day, and the fields of its body are put in: amounts (`…_fen`) as yuan,
    /// rates (`…_rate`) as per cent, days as dates, reasons and failures in words.
    pub fn say_notice(&self, kind: &str, body: &Value, day: &BusinessDay) -> Said {
        self.say_told("notice", kind, body).with("day", self.date(day))
    }

    /// As [`Page::say_notice`], for a merchant's notice.
    pub fn say_merchant_notice(&self, kind: &str, body: &Value, day: &BusinessDay) -> Said {
        self.say_told("merchant-notice", kind, body).with("day", self.date(day))
    }

    fn say_told(&self, family: &str, kind: &str, body: &Value) -> Said {
        let mut said = self.say_known(family, kind);
        for (name, value) in body.as_object().into_iter().flatten() {
            let text = match (name.as_str(), value) {
                (_, Value::Number(fen)) if name.ends_with("_fen") => self.yuan(&Fen::new(fen.as_i64().unwrap_or(0))),
                ("reason" | "failure", Value::String(code)) => self.say_known(name, code).to_string(),
                (_, Value::String(rate)) if name.ends_with("_rate") => {
                    rate.parse::<Decimal>().map_or_else(|_| rate.clone(), |rate| self.percent(&rate))
                }
                (_, Value::String(text)) => {
                    text.parse::<BusinessDay>().map_or_else(|_| text.clone(), |on| self.date(&on))
                }
                (_, other) => other.to_string(),
            };
            said = said.with(name, text);
        }
        said
    }

    /// What a product is called in the visitor's language.
    pub fn product<'a>(&self, terms: &'a Terms) -> &'a str {
        match self.visit.language {
            Language::Chinese => &terms.name,
            Language::English => terms.name_en.as_deref().unwrap_or(&terms.name),
        }
    }

    /// `¥1,234.56`; `−¥1,234.56` if it is negative.
    pub fn yuan(&self, amount: &Fen) -> String {
        if *amount < Fen::ZERO { format!("−¥{}", -*amount) } else { format!("¥{amount}") }
    }

    /// A sum as arithmetic: `¥100.00 + ¥8.60 − ¥50.00 = ¥58.60`. Zeros are left out; if one amount is left, only that is shown.
    pub fn sum(&self, parts: &[Fen]) -> String {
        let total = self.yuan(&parts.iter().copied().sum());
        let mut parts = parts.iter().filter(|part| !part.is_zero());
        let first = parts.next().map(|first| self.yuan(first)).unwrap_or_else(|| total.clone());
        let add = |text: String, part: &Fen| {
            let (sign, amount) = if part.is_negative() { ("−", -*part) } else { ("+", *part) };
            format!("{text} {sign} {}", self.yuan(&amount))
        };
        let text = parts.fold(first, add);
        if text == total { text } else { format!("{text} = {total}") }
    }

    /// `2026年3月5日`, `5 March 2026`.
    pub fn date(&self, day: &BusinessDay) -> String {
        let date = day.date();
        match self.visit.language {
            Language::Chinese => format!("{}年{}月{}日", date.year(), date.month(), date.day()),
            Language::English => date.format("%-d %B %Y").to_string(),
        }
    }

    /// `3月5日`, `5 March`: for places where the year is obvious.
    pub fn day_of_year(&self, day: &BusinessDay) -> String {
        let date = day.date();
        match self.visit.language {
            Language::Chinese => format!("{}月{}日", date.month(), date.day()),
            Language::English => date.format("%-d %B").to_string(),
        }
    }

    /// `2026年3月5日 14:07` in Shanghai.
    pub fn time(&self, at: &DateTime<Utc>) -> String {
        let local = at.with_timezone(&Shanghai);
        format!("{} {}", self.date(&BusinessDay::new(local.date_naive())), local.format("%H:%M"))
    }

    /// `14:07` in Shanghai: for places where the day is obvious.
    pub fn hour(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&Shanghai).format("%H:%M").to_string()
    }

    /// `今天 14:07`, `tomorrow at 14:07`: the time in Shanghai from when on something is possible again, rounded up to the minute, so that
    /// it is never too early.
    pub fn soon(&self, at: &DateTime<Utc>) -> String {
        let begun = at.timestamp_micros().rem_euclid(MINUTE_MICROS);
        let at = if begun == 0 { *at } else { *at + TimeDelta::microseconds(MINUTE_MICROS - begun) };
        let [today, day] = [self.visit.now, at].map(|at| at.with_timezone(&Shanghai).date_naive());
        let said = match (day - today).num_days() {
            0 => self.say("time-today"),
            1 => self.say("time-tomorrow"),
            _ => self.say("time-later").with("day", self.date(&BusinessDay::new(day))),
        };
        said.with("time", self.hour(&at)).to_string()
    }

    /// `14:07:33` in Shanghai: for lists with many entries a minute.
    pub fn moment(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&Shanghai).format("%H:%M:%S").to_string()
    }

    /// `2026年3月`, `March 2026`.
    pub fn month(&self, day: &BusinessDay) -> String {
        let date = day.date();
        match self.visit.language {
            Language::Chinese => format!("{}年{}月", date.year(), date.month()),
            Language::English => date.format("%B %Y").to_string(),
        }
    }

    /// A rate as a share: `0.156` is `15.6%`.
    pub fn percent(&self, rate: &Decimal) -> String {
        format!("{}%", (rate * Decimal::ONE_HUNDRED).normalize())
    }

    /// The initial shown for a name: its first letter, or for a Chinese company the first character after the city.
    pub fn initial(&self, name: &str) -> String {
        let place = ["上海", "北京", "广州", "深圳", "杭州"].into_iter().find_map(|place| name.strip_prefix(place));
        place.unwrap_or(name).chars().take(1).collect()
    }

    /// Another page's address, with the way back to `next`.
    pub fn way(&self, to: &str, next: impl fmt::Display) -> String {
        with_next(to, next)
    }

    pub fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    pub fn language(&self) -> &'static str {
        self.visit.language.tag()
    }

    /// This very page in the other language.
    pub fn other_language(&self) -> OtherLanguage {
        let (path, query) = self.visit.address.split_once('?').unwrap_or((&self.visit.address, ""));
        let other = self.visit.language.other();
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != LANGUAGE_QUERY));
        pairs.append_pair(LANGUAGE_QUERY, other.tag());
        OtherLanguage { tag: other.tag(), address: format!("{path}?{}", pairs.finish()) }
    }
}

/// Signs a page for WeChat's JSSDK; `None` if WeChat does not answer, and the page works without it.
pub async fn page_signature(app: &App, page: &Page) -> Option<PageSignature> {
    let nonce = id::mint(app.clock.now()).simple().to_string();
    let signed = app.partners.wechat()?.sign_page(&app.site.link(&page.visit.address), &nonce).await;
    signed.inspect_err(|error| tracing::warn!("a page was not signed for WeChat: {error}")).ok()
}

/// Where the language switch leads.
pub struct OtherLanguage {
    pub tag: &'static str,
    pub address: String,
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Page, Problem> {
        Visit::from_request_parts(parts, &()).await.map(Page::of)
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visit, Problem> {
        let visit = parts.extensions.get::<Visit>().cloned();
        visit.ok_or_else(|| Problem::from(anyhow::anyhow!("a page was routed outside of page::visit")))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("address", &self.visit.address).finish_non_exhaustive()
    }
}
