//! Scanning a merchant's code: by WeChat, by the camera, or by the link typed in.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use crate::app::App;
use crate::merchant::code::parse_token;
use crate::merchant::emvco;
use crate::page::session::SignedIn;
use crate::page::shell::page_signature;
use crate::page::{Form, Page, unprocessable};
use crate::partner::wechat::PageSignature;

#[derive(Template, WebTemplate)]
#[template(path = "purchase/scan.html")]
pub struct ScanPage {
    page: Page,
    form: Form,
    /// By which WeChat lets this very address scan.
    wechat: Option<PageSignature>,
}

/// `GET /scan`
pub async fn show(State(app): State<App>, page: Page, _: SignedIn) -> ScanPage {
    ScanPage::of(&app, page, Form::default()).await
}

/// `POST /scan`: what a camera read, or a person typed, leads to the counter if it is a code of ours.
pub async fn read(State(app): State<App>, page: Page, _: SignedIn, mut form: Form) -> Response {
    match form.read("scanned", |text| token_in(text).ok_or("code_not_ours")) {
        Some(token) => Redirect::to(&format!("/q/{token}")).into_response(),
        None => unprocessable(ScanPage::of(&app, page, form).await),
    }
}

impl ScanPage {
    async fn of(app: &App, page: Page, form: Form) -> ScanPage {
        let wechat = if page.visit.in_wechat { page_signature(app, &page).await } else { None };
        ScanPage { page, form, wechat }
    }
}

/// The token of our own code in a scanned text: a link to `/q/…`, a wallet's payload, or the token itself.
fn token_in(text: &str) -> Option<String> {
    let from_link = || {
        let (_, rest) = text.split_once("/q/")?;
        rest.split(['?', '#', '/']).next().map(str::to_owned)
    };
    let token = emvco::our_token(text).or_else(from_link).unwrap_or_else(|| text.to_owned());
    parse_token(&token).map(|_| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_ours_are_read() {
        let token = "00abcdefghijklmnopqrst";
        for text in [token, "https://pay.example.cn/q/00abcdefghijklmnopqrst?x=1", "/q/00abcdefghijklmnopqrst"] {
            assert_eq!(token_in(text).as_deref(), Some(token), "{text}");
        }
        for text in ["https://evil.example/", "/q/", "hello", "💰", "wxp://f2f0abc", "/q/../../etc/passwd"] {
            assert_eq!(token_in(text), None, "{text}");
        }
    }
}
