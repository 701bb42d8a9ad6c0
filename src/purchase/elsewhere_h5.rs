//! The page for a merchant's code that is opened in the browser of another app: it tells how to pay.

use askama::Template;
use askama_web::WebTemplate;
use axum::response::{IntoResponse, Response};

use super::closed_h5::closed;
use super::counter_actions::{self as counter, Shop};
use crate::app::App;
use crate::base::Fen;
use crate::http::Problem;
use crate::merchant::code::token;
use crate::page::Page;

#[derive(Template, WebTemplate)]
#[template(path = "purchase/elsewhere.html")]
pub struct ElsewherePage {
    page: Page,
    app_name: &'static str,
    merchant_name: String,
    amount: Option<Fen>,
    link: String,
    other_link: Option<String>,
}

/// The page for a browser whose user agent is `agent`; `None` where one can pay in that browser.
pub(super) async fn answer(app: &App, page: &Page, shop: &Shop, agent: &str) -> Result<Option<Response>, Problem> {
    let Some(app_name) = other_app(agent) else { return Ok(None) };
    if let Err(refusal) = counter::check_payable(app, shop) {
        // Told here already, so that nobody opens the code in another app only to be told there.
        return Ok(Some(closed(page.clone(), &refusal, Some(shop))));
    }
    let other_link = counter::other_link(app, shop.merchant.merchant_id).await?;
    let (amount, link) = (shop.amount(), app.site.link(format!("/q/{}", token(shop.code.code_id))));
    let merchant_name = shop.merchant.name.clone();
    let shown = ElsewherePage { page: page.clone(), app_name, merchant_name, amount, link, other_link };
    Ok(Some(shown.into_response()))
}

/// The key of the name of the app whose own browser this is, if it is an app that people scan with and cannot pay us in.
fn other_app(agent: &str) -> Option<&'static str> {
    let marks = [
        ("AlipayClient", "other-app-alipay"),
        ("UnionPay", "other-app-unionpay"),
        ("UPWallet", "other-app-unionpay"),
        ("aweme", "other-app-douyin"),
        ("DingTalk", "other-app-dingtalk"),
        ("jdapp", "other-app-jd"),
        ("Lark", "other-app-feishu"),
        ("MeituanGroup", "other-app-meituan"),
        ("Weibo", "other-app-weibo"),
        ("QQ/", "other-app-qq"),
    ];
    marks.into_iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::other_app;

    #[test]
    fn other_apps_are_told_apart_and_browsers_are_none() {
        let alipay = "Mozilla/5.0 (iPhone) Mobile/15E148 AliApp(AP/10.6) AlipayClient/10.6 Language/zh-Hans";
        assert_eq!(other_app(alipay), Some("other-app-alipay"));
        assert_eq!(other_app("Mozilla/5.0 (Linux; Android 15) Chrome/130.0 Mobile Safari/537.36"), None);
        assert_eq!(other_app("Mozilla/5.0 MicroMessenger/8.0.50"), None);
        // QQ's own browser is a browser.
        assert_eq!(other_app("Mozilla/5.0 Chrome/109 MQQBrowser/15.0"), None);
    }
}
