//! Where a borrower's messages lead.

use serde_json::Value;

/// The path of the page that a notice is about.
pub fn address(kind: &str, body: &Value) -> String {
    let named = |field: &str| body[field].as_str().unwrap_or_default();
    match kind {
        "application_approved" | "limit_changed" | "line_unfrozen" => "/home".to_owned(),
        "application_refused" | "application_under_review" => "/apply/state".to_owned(),
        "bill_issued" => format!("/bills/{}", named("due_on")),
        "due_soon" | "overdue" => "/bills/pay".to_owned(),
        "withheld" | "withholding_failed" => format!("/repayments/{}", named("withholding")),
        "card_invalid" | "money_delayed" => "/me/cards".to_owned(),
        "no_card" => "/me/cards/new".to_owned(),
        "purchase_voided" | "refund" => format!("/purchases/{}", named("purchase")),
        "pin_changed" | "pin_reset" | "mobile_changed" => "/me/sessions".to_owned(),
        "line_closed" => "/apply".to_owned(),
        // A frozen line, a transfer, money returned or taken back: what is owed shows the rest.
        _ => "/bills".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_leads_to_the_page_that_it_is_about() {
        let body = json!({ "due_on": "2026-02-25", "withholding": "wh_1", "purchase": "pur_1" });
        assert_eq!(address("bill_issued", &body), "/bills/2026-02-25");
        assert_eq!(address("withholding_failed", &body), "/repayments/wh_1");
        assert_eq!(address("refund", &body), "/purchases/pur_1");
        assert_eq!(address("transfer_received", &json!({})), "/bills");
    }
}
