//! Notices to merchants: of another settlement account, of another agreement, and of an application that lost to another one
//! of its company; and to operators of an application.

use serde_json::json;

use super::agreement::Agreement;
use crate::base::When;
use crate::base::id::MerchantId;
use crate::notice::Notice;

/// Tells operators that an application waits for them. One that was refused, corrected and sent again is told again, also on the same
/// day: `corrections` counts how often.
pub fn applied(merchant_id: MerchantId, corrections: i64, when: When) -> Notice {
    let body = json!({ "merchant": merchant_id, "corrections": corrections });
    Notice::to_operators("merchant_applied", body, when)
}

/// Tells a merchant that it is paid to another account from now on; `account_tail` is the end of that account's number, which may be shown.
pub fn account_changed(merchant_id: MerchantId, account_tail: &str, when: When) -> Notice {
    let body = json!({ "account_tail": account_tail });
    Notice::to_merchant(merchant_id, "merchant_account_changed", body, when)
}

/// Tells a merchant that it has another agreement, which holds from the next purchase on.
pub fn agreement_changed(merchant_id: MerchantId, agreement: &Agreement, when: When) -> Notice {
    let refund = if agreement.discount_returned_on_refund { "returned" } else { "kept" };
    let body = json!({ "discount_rate": agreement.discount_rate, "refund": refund });
    Notice::to_merchant(merchant_id, "merchant_agreement_changed", body, when)
}

/// The notice to an applicant that another application of the same company was accepted, and theirs therefore refused.
pub fn other_accepted(merchant_id: MerchantId, when: When) -> Notice {
    Notice::to_merchant(merchant_id, "merchant_passed_over", json!({}), when)
}
