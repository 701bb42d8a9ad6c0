//! Test helper: opens every link on a set of pages, as a thorough visitor would.

use std::collections::BTreeMap;

use crate::browser::{Browser, Shown};

/// More than all pages that a test's visitor can reach; a crawl that comes here goes in circles.
const PAGES_MAX: usize = 400;

/// Opens these pages and every page of this site that they lead to, each once; returns them. Downloads and the language
/// switch are left out.
///
/// # Panics
/// If a link leads nowhere.
pub async fn crawl(browser: &mut Browser, from: &[&str]) -> Vec<Shown> {
    let mut seen: BTreeMap<String, Shown> = BTreeMap::new();
    let mut wanted: Vec<String> = from.iter().map(|path| (*path).to_owned()).collect();
    while let Some(path) = wanted.pop() {
        if seen.contains_key(&path) {
            continue;
        }
        assert!(seen.len() < PAGES_MAX, "the pages have no end: {:?}", seen.keys());
        let page = browser.get(&path).await;
        assert!(page.status < 400, "a link leads to {path}, which answers {}", page.status);
        wanted.extend(links(&page));
        seen.insert(path, page);
    }
    seen.into_values().collect()
}

/// The paths of this site that a page leads to.
fn links(page: &Shown) -> Vec<String> {
    let body = page.text.split_once("<body").map_or("", |(_, body)| body);
    let anchors = body.split("<a ").skip(1).filter_map(|anchor| anchor.split('>').next());
    let hrefs =
        anchors.filter_map(|anchor| anchor.split_once("href=\"")).filter_map(|(_, rest)| rest.split('"').next());
    hrefs.map(|href| href.replace("&#38;", "&")).filter(|href| is_page(href)).collect()
}

fn is_page(href: &str) -> bool {
    let path = href.split('?').next().unwrap();
    let is_file = path.ends_with("/statement") || path.ends_with("/table") || path.ends_with(".svg");
    let is_elsewhere =
        ["/api", "/assets", "/sandbox", "/healthz", "/readyz", "/metrics"].iter().any(|other| path.starts_with(other));
    path.starts_with('/') && !is_file && !is_elsewhere && !href.contains("lang=")
}

/// The forms of a page that post, by where they post to, with the hidden fields of each.
pub fn posts(page: &Shown) -> Vec<(String, Vec<(String, String)>)> {
    let attribute = |text: &str, name: &str| {
        text.split_once(&format!("{name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
    };
    let forms = page.text.split("<form").skip(1).map(|form| form.split("</form>").next().unwrap());
    let posting = forms.filter(|form| form.split('>').next().unwrap().contains("method=\"post\""));
    posting
        .map(|form| {
            let action = attribute(form.split('>').next().unwrap(), "action").unwrap();
            let inputs = form.split("<input").skip(1).map(|input| input.split('>').next().unwrap());
            let hidden = inputs.filter(|input| input.contains("type=\"hidden\""));
            let fields = hidden.map(|input| (attribute(input, "name").unwrap(), attribute(input, "value").unwrap()));
            (action, fields.collect())
        })
        .collect()
}

/// What somebody fills in on a form: the names of its fields that are not hidden, with their kinds.
pub fn fields(page: &Shown, action: &str) -> Vec<(String, String)> {
    let form = page.form(action);
    let attribute = |text: &str, name: &str| {
        text.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
    };
    let inputs = ["<input", "<select", "<textarea"].into_iter().flat_map(|tag| form.split(tag).skip(1));
    let mut found = Vec::new();
    for input in inputs.map(|input| input.split('>').next().unwrap()) {
        let kind = attribute(input, "type").unwrap_or_default();
        if let Some(name) = attribute(input, "name").filter(|_| kind != "hidden")
            && !found.iter().any(|(known, _)| *known == name)
        {
            found.push((name, kind));
        }
    }
    found
}
