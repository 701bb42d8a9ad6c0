//! Test helper: a browser without a screen. It keeps cookies, follows redirects and fills in a page's forms, against the real router.

use std::collections::BTreeMap;

use fenqi::app::App;
use fenqi::router::router;
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, COOKIE, HeaderMap, LOCATION, SET_COOKIE, USER_AGENT};

use crate::house;

/// How WeChat's browser names itself.
const WECHAT: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.50";
const PLAIN: &str = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36";
/// The public address of every test's house.
pub const PUBLIC: &str = "http://127.0.0.1:8080";
const REDIRECTS_MAX: usize = 10;

/// One browser with its cookies.
pub struct Browser {
    pub address: String,
    pub language: &'static str,
    agent: &'static str,
    client: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
}

/// The page that the browser shows.
#[derive(Clone, Debug)]
pub struct Shown {
    pub status: u16,
    /// Path and query, after redirects.
    pub at: String,
    pub text: String,
    pub headers: HeaderMap,
}

impl Browser {
    /// Opens a browser on this app. It asks for English, so that tests can be read.
    pub async fn open(app: &App) -> Browser {
        Browser::at(&house::serve(router(app.clone())).await)
    }

    /// A browser on a server that runs at `address`.
    pub fn at(address: &str) -> Browser {
        let client = reqwest::Client::builder()
            .timeout(house::PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Browser { address: address.to_owned(), language: "en", agent: PLAIN, client, cookies: BTreeMap::new() }
    }

    /// The same browser inside WeChat.
    pub fn in_wechat(mut self) -> Browser {
        self.agent = WECHAT;
        self
    }

    /// Opens a path, or an address that a page led to.
    pub async fn get(&mut self, path: &str) -> Shown {
        let request = self.client.get(self.absolute(path));
        self.send(path, request).await
    }

    /// Submits the form of a page that posts to `action`: with its hidden fields, and these.
    ///
    /// # Panics
    /// If the page has no such form, or the form has no field of a name that is filled in.
    pub async fn submit(&mut self, page: &Shown, action: &str, fields: &[(&str, &str)]) -> Shown {
        let form = page.form(action);
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in hidden_fields(form) {
            if !fields.iter().any(|(filled, _)| *filled == name) {
                pairs.append_pair(&name, &value);
            }
        }
        for (name, value) in fields {
            assert!(form.contains(&format!("name=\"{name}\"")), "the form {action} has no field {name}:\n{form}");
            pairs.append_pair(name, value);
        }
        self.post(action, pairs.finish()).await
    }

    /// Posts a body as it is.
    pub async fn post(&mut self, path: &str, body: String) -> Shown {
        let request = self.client.post(self.absolute(path));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        self.send(path, request).await
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.address) }
    }

    async fn send(&mut self, path: &str, first: reqwest::RequestBuilder) -> Shown {
        let (mut path, mut request) = (path.to_owned(), first);
        for _ in 0..REDIRECTS_MAX {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request_now = request
                .header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
                .header(ACCEPT_LANGUAGE, self.language)
                .header(USER_AGENT, self.agent)
                .header(COOKIE, cookies.join("; "));
            let response = request_now.send().await.unwrap();
            // Cookies of other sites are not kept.
            if !path.starts_with("http") || path.starts_with(&self.address) {
                self.keep_cookies(response.headers());
            }
            let Some(location) = response.headers().get(LOCATION) else {
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                let at = path.strip_prefix(&self.address).unwrap_or(&path).to_owned();
                return Shown { status, at, headers, text: response.text().await.unwrap() };
            };
            path = location.to_str().unwrap().to_owned();
            // Links to the site's public address lead to where the test serves it.
            if let Some(own) = path.strip_prefix(PUBLIC) {
                path = own.to_owned();
            }
            request = self.client.get(self.absolute(&path));
        }
        panic!("{path} leads in a circle");
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("HttpOnly") && text.contains("SameSite"), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Shown {
    /// # Panics
    /// If the page does not show this text.
    pub fn shows(&self, text: &str) -> &Shown {
        assert!(self.text.contains(text), "{} ({}) does not show {text:?}:\n{}", self.at, self.status, self.content());
        self
    }

    /// # Panics
    /// If the page shows this text.
    pub fn hides(&self, text: &str) -> &Shown {
        assert!(!self.text.contains(text), "{} ({}) shows {text:?}:\n{}", self.at, self.status, self.content());
        self
    }

    /// # Panics
    /// If the browser is elsewhere.
    pub fn is_at(&self, path: &str) -> &Shown {
        let at = self.at.split('?').next().unwrap();
        assert!(
            at == path && self.status < 400,
            "expected {path}, is at {} ({}):\n{}",
            self.at,
            self.status,
            self.content()
        );
        self
    }

    /// # Panics
    /// If the answer had another status.
    pub fn has_status(&self, status: u16) -> &Shown {
        assert_eq!(self.status, status, "{}:\n{}", self.at, self.content());
        self
    }

    /// The first form that posts to `action`.
    pub fn form(&self, action: &str) -> &str {
        let opening = format!("action=\"{action}\"");
        let forms = self.text.split("<form").skip(1);
        let mut found = forms.filter(|form| form.split('>').next().unwrap().contains(&opening));
        let form = found.next().unwrap_or_else(|| panic!("{} has no form {action}:\n{}", self.at, self.content()));
        form.split("</form>").next().unwrap()
    }

    /// The value of the first field of this name, as it is written in the page.
    pub fn field(&self, name: &str) -> String {
        let held = held_by(&self.text, name);
        held.unwrap_or_else(|| panic!("{} has no field {name}:\n{}", self.at, self.content())).to_owned()
    }

    /// As [`Shown::field`], of the form that posts to `action`.
    pub fn field_of(&self, action: &str, name: &str) -> String {
        let form = self.form(action);
        held_by(form, name).unwrap_or_else(|| panic!("the form {action} has no field {name}:\n{form}")).to_owned()
    }

    /// The first link that begins with `beginning`.
    pub fn link(&self, beginning: &str) -> String {
        let opening = format!("href=\"{beginning}");
        let rest = self.shows(&opening).text.split(&opening).nth(1).unwrap();
        format!("{beginning}{}", rest.split('"').next().unwrap())
    }

    /// The page without its head, for messages.
    fn content(&self) -> &str {
        self.text.split_once("<main").map_or(&self.text, |(_, main)| main)
    }
}

fn held_by<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next()
}

fn hidden_fields(form: &str) -> Vec<(String, String)> {
    let inputs = form.split("<input").skip(1).filter(|input| input.contains("type=\"hidden\""));
    let attribute = |input: &str, name: &str| {
        let start = input.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        input[start..].split('"').next().unwrap().to_owned()
    };
    inputs.map(|input| (attribute(input, "name"), unescaped(&attribute(input, "value")))).collect()
}

/// An attribute's value as a browser reads it.
fn unescaped(value: &str) -> String {
    let escapes = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    escapes.iter().fold(value.to_owned(), |value, (escape, letter)| value.replace(escape, letter))
}
