//! What all pages have in common: languages, error pages, headers, cookies, and the refusal of cross-site posts.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Html;
use axum::routing::get;
use fenqi::page::{Form, Page, visit};
use fenqi::router::guarded;
use sqlx::PgPool;

use crate::browser::Browser;
use crate::house;

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_speaks_the_language_that_the_browser_asks_for_and_keeps_the_one_that_was_chosen(pool: PgPool) {
    let mut browser = Browser::open(&house::open(pool, "2026-03-05").await).await;
    let page = browser.get("/").await;
    page.shows("<html lang=\"en\">").shows("5 March 2026").shows("中文");
    browser.language = "zh-CN,zh;q=0.9";
    browser.get("/").await.shows("<html lang=\"zh-CN\">").shows("2026年3月5日");
    browser.get("/?lang=en").await.shows("<html lang=\"en\">");
    browser.get("/").await.shows("<html lang=\"en\">");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_browser_gets_a_page_with_a_way_back_and_a_program_a_problem_document(pool: PgPool) {
    let mut browser = Browser::open(&house::open(pool, "2026-03-05").await).await;
    let page = browser.get("/nowhere?lang=zh-CN").await;
    page.has_status(404).shows("这个地址没有页面").shows("href=\"/home\"");
    let address = format!("{}/nowhere", browser.address);
    let answer = reqwest::get(address).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_borrower_is_led_home_a_shop_to_its_own_and_only_the_operator_to_the_start_page(pool: PgPool) {
    let mut browser = Browser::open(&house::open(pool, "2026-03-05").await).await;
    let pages = [
        ("/", "/"),
        ("/sign-in", "/home"),
        ("/nowhere", "/home"),
        ("/q/nothing", "/home"),
        ("/merchants", "/home"),
        ("/m/sign-in", "/m"),
        ("/m/nowhere", "/m"),
    ];
    for (path, home) in pages {
        let page = browser.get(path).await;
        page.shows(&format!("<a class=\"brand\" href=\"{home}\">"));
        if home != "/" {
            page.hides("href=\"/\"");
        }
    }
    // Nobody is signed in, and both homes lead to their sign-ins.
    browser.get("/home").await.has_status(200).is_at("/sign-in");
    browser.get("/m").await.has_status(200).is_at("/m/sign-in");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn pages_forbid_scripts_from_elsewhere_and_are_not_kept(pool: PgPool) {
    let mut browser = Browser::open(&house::open(pool, "2026-03-05").await).await;
    let page = browser.get("/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
}

/// A page with one field; what was posted is said back.
async fn ask(page: Page) -> Html<String> {
    let place = if page.visit.in_wechat { "in WeChat" } else { "elsewhere" };
    let field = "<input name=\"word\">";
    let csrf = &page.csrf;
    Html(format!(
        "<main>{place}<form method=\"post\" action=\"/ask\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">{field}</form>"
    ))
}

async fn answer(page: Page, mut form: Form) -> Html<String> {
    let word = form.read("word", |word| Ok(word.to_owned()));
    Html(format!("<main>{word:?} {:?} {}", form.error("word"), page.language()))
}

async fn asking(pool: PgPool) -> Browser {
    let app = house::open(pool, "2026-03-05").await;
    let routes =
        Router::new().route("/ask", get(ask).post(answer)).layer(from_fn_with_state(app.clone(), visit::visit));
    Browser::at(&house::serve(guarded(routes, app)).await)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_form_of_ours_is_taken_and_a_post_from_elsewhere_is_not(pool: PgPool) {
    let mut browser = asking(pool).await;
    let page = browser.get("/ask").await;
    browser.submit(&page, "/ask", &[("word", "yes")]).await.is_at("/ask").shows("Some(\"yes\") None").hides("missing");
    browser.submit(&page, "/ask", &[]).await.shows("None Some(\"missing\")");
    browser.post("/ask", "word=yes".into()).await.has_status(403).shows("opened too long ago, or elsewhere");
    let forged = format!("word=yes&csrf={}", "0".repeat(128));
    browser.post("/ask", forged).await.has_status(403);
    // The word of one browser is nothing in another.
    browser.cookies.clear();
    browser.submit(&page, "/ask", &[("word", "yes")]).await.has_status(403);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn wechats_browser_is_told_from_others(pool: PgPool) {
    let mut browser = asking(pool).await;
    browser.get("/ask").await.shows("elsewhere");
    browser.in_wechat().get("/ask").await.shows("in WeChat");
}
