//! A merchant's printed code: a page that prints as one A5 sheet, and the sheet as a file.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::code_actions::open_static_code;
use super::h5::MerchantSignedIn;
use super::poster::Poster;
use crate::app::App;
use crate::http::Problem;
use crate::page::{Language, Page};

#[derive(Template, WebTemplate)]
#[template(path = "merchant/poster.html")]
pub struct PosterPage {
    page: Page,
    signed_in: MerchantSignedIn,
    link: String,
}

/// `GET /m/poster`
pub async fn show(State(app): State<App>, page: Page, signed_in: MerchantSignedIn) -> Result<PosterPage, Problem> {
    let link = link(&app, &signed_in).await?;
    Ok(PosterPage { page, signed_in, link })
}

/// `GET /m/poster.svg`
pub async fn picture(State(app): State<App>, signed_in: MerchantSignedIn) -> Result<Response, Problem> {
    let link = link(&app, &signed_in).await?;
    let both = |key: &str| [Language::Chinese, Language::English].map(|language| language.say(key).to_string());
    let poster = Poster {
        merchant_name: &signed_in.merchant_name,
        link: &link,
        headline: both("poster-headline"),
        steps: ["poster-scan", "poster-choose", "poster-confirm"].map(both),
    };
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CONTENT_DISPOSITION, "inline; filename=\"fenqi-code-a5.svg\""),
    ];
    Ok((headers, poster.svg()?).into_response())
}

/// Where the code leads, made the first time it is asked for.
async fn link(app: &App, signed_in: &MerchantSignedIn) -> Result<String, Problem> {
    let code = open_static_code(app, signed_in.merchant_id).await?;
    Ok(code.link(&app.site.link("")))
}
