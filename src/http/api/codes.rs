//! Every problem code of the API, with its HTTP status. A code that is not listed here is never answered; each handler declares which of
//! them its operation can answer.

pub struct Code {
    pub code: &'static str,
    pub status: u16,
    /// What it means and what to do, in a sentence.
    pub says: &'static str,
}

const fn code(status: u16, code: &'static str, says: &'static str) -> Code {
    Code { code, status, says }
}

pub const CODES: &[Code] = &[
    // The request's form.
    code(400, "body_not_json", "The body is not valid JSON."),
    code(400, "body_not_utf8", "The body is not valid UTF-8."),
    code(400, "body_not_taken", "The operation takes no request body, but one was sent; leave it out."),
    code(400, "duplicate_key", "A key occurs twice in the same JSON object."),
    code(400, "nested_too_deep", "The JSON is nested more deeply than any request of this API."),
    code(400, "unknown_field", "The body has a field that this operation does not know; remove it."),
    code(400, "missing_field", "A required field is missing from the body."),
    code(400, "wrong_type", "A field's value has another JSON type than its schema says."),
    code(400, "fen_not_integer", "An amount must be a whole number of fen; fractions are refused, not rounded."),
    code(400, "number_out_of_range", "A number is below the minimum or above the maximum of its field."),
    code(400, "value_not_allowed", "A text is not one of the values, or not in the format, that its field allows."),
    code(400, "unknown_parameter", "The operation does not know a query parameter that was sent; leave it out."),
    code(400, "missing_parameter", "A required query parameter is missing."),
    code(400, "duplicate_parameter", "A query parameter was sent twice."),
    code(
        400,
        "parameter_malformed",
        "A query parameter's value does not fit its schema; spaces, + and & in a value must be percent-encoded.",
    ),
    code(400, "cursor_malformed", "The cursor is not a next_cursor of this list; start again without a cursor."),
    code(
        400,
        "idempotency_key_missing",
        "The header Idempotency-Key is required for every operation that changes something.",
    ),
    code(
        400,
        "idempotency_key_malformed",
        "Idempotency-Key must be sent once, with 1 to 64 printable ASCII characters and no space.",
    ),
    // Who asks.
    code(401, "signature_malformed", "The header Authorization is missing, or is not in the documented format."),
    code(
        401,
        "signature_stale",
        "The timestamp of the signature is more than five minutes away from the platform's clock; set your clock and sign again.",
    ),
    code(
        401,
        "signature_wrong",
        "The signature does not fit the request (method, URL, timestamp, nonce and body as received), or no valid key has this \
         partner id and serial number.",
    ),
    code(401, "nonce_reused", "The nonce was used before; sign each request with a new nonce."),
    code(
        403,
        "address_not_allowed",
        "The request comes from an IP address that is not on your allow list; ask the platform's operator to add it.",
    ),
    code(
        403,
        "scope_missing",
        "The operation needs a scope that was not granted to you; GET /me lists yours, and the platform's operator grants more.",
    ),
    code(
        403,
        "same_holder",
        "This step needs a second person: sign it with a key of another holder than the one who made the first step.",
    ),
    // What is asked for.
    code(404, "not_found", "There is no such object, or it belongs to another partner."),
    code(405, "method_not_allowed", "The path does not support this HTTP method."),
    code(
        409,
        "idempotency_key_reused",
        "The idempotency key was used for a different request; use a new key for each request.",
    ),
    code(
        409,
        "idempotency_in_progress",
        "The first request under this idempotency key is still running; repeat it under the same key.",
    ),
    code(
        412,
        "precondition_failed",
        "The object was changed after you read it; read it again and send its new ETag as If-Match.",
    ),
    code(413, "body_too_large", "The body is larger than 256 KiB."),
    code(
        415,
        "media_type_not_supported",
        "The body must be sent as application/json in UTF-8, without Content-Encoding.",
    ),
    code(428, "precondition_required", "The header If-Match is missing; send the ETag that you read."),
    code(
        429,
        "rate_exceeded",
        "You have sent more requests in this minute than your rate allows; wait for Retry-After seconds.",
    ),
    code(
        429,
        "too_many_not_believed",
        "Too many requests from this address failed authentication in this minute; sign with a key that was added, or wait for \
         Retry-After seconds.",
    ),
    // Orders, purchases and refunds of merchants.
    code(
        409,
        "merchant_not_active",
        "The merchant is not active and cannot take payments; ask the platform's operator.",
    ),
    code(
        409,
        "order_reference_taken",
        "The reference belongs to an order with another amount or expiry; use a new reference.",
    ),
    code(409, "order_paid", "The order is paid and cannot be closed; void or refund its purchase instead."),
    code(409, "order_voided", "The order was paid and its purchase voided; create a new order for a new sale."),
    code(422, "order_reference_malformed", "An order's reference has 1 to 25 letters, digits, - or _."),
    code(422, "order_expiry_out_of_bounds", "expires_at must be later than now and within 30 days."),
    code(422, "amount_out_of_bounds", "The amount is outside the allowed range."),
    code(
        422,
        "amount_not_sold",
        "The merchant offers no installment plan for this amount, so nobody could pay the order.",
    ),
    code(409, "purchase_was_voided", "The purchase was voided, so nothing is left to refund."),
    code(
        409,
        "past_cut_off",
        "The purchase can be voided only on its own business day, which has ended; refund it instead.",
    ),
    code(
        409,
        "before_cut_off",
        "The purchase was made on the current business day; void it now, or refund it from the next business day on.",
    ),
    code(
        409,
        "repaid_before",
        "The purchase cannot be voided, because a repayment was made on its loan; refund it from the next business day on.",
    ),
    code(409, "payoff_in_progress", "An early payoff of the loan is in progress; try again when its result is known."),
    code(
        422,
        "refund_exceeds_purchase",
        "The refund is larger than what is left of the purchase: amount_fen less refunded_fen of the purchase.",
    ),
    code(
        409,
        "customer_erased",
        "The customer's account was closed and the card erased, so nothing can be paid to the card; refund the customer directly.",
    ),
    // Products.
    code(422, "product_invalid", "The product file has errors; POST /funder/products/checks lists them."),
    code(
        422,
        "product_unproven",
        "Some repayment schedules of the product fail the checks; POST /funder/products/checks lists the cases.",
    ),
    code(422, "product_of_other_funder", "The product file names another funder than you."),
    code(409, "product_code_taken", "Another product has this code; choose a different one."),
    code(
        409,
        "product_text_withdrawn",
        "A version with exactly this text was taken off sale; change the text to publish it as a new version.",
    ),
    code(
        409,
        "product_valid_later",
        "The terms are valid from a later day, and another version is on sale until then; publish them on their first day.",
    ),
    code(
        409,
        "product_expired",
        "The last day on which these terms are valid has passed, and another version is on sale.",
    ),
    code(422, "grade_not_allowed", "The product is not offered to borrowers of this grade."),
    code(422, "periods_not_sold", "The product has no plan with this number of installments."),
    code(422, "schedule_impossible", "No repayment schedule with this number of installments repays this amount."),
    code(422, "simulation_malformed", "statement_day must be from 1 to 28, and due_day from 1 to 31."),
    code(409, "draft_approved_before", "The draft is approved and cannot be edited any more; submit a new draft."),
    code(409, "draft_not_approved", "The draft must be approved with a key of a second holder before it is published."),
    // Applications.
    code(404, "application_unknown", "There is no such application, or it was put to another risk partner."),
    code(
        409,
        "application_not_referred",
        "The application does not wait for your decision: it was decided before, or is with somebody else.",
    ),
    code(
        422,
        "decision_malformed",
        "The fields do not fit the decision: one that it needs is missing or malformed, or one is given that it does not take.",
    ),
    code(422, "grade_unknown", "The product has no such grade."),
    code(
        422,
        "limit_out_of_bounds",
        "The credit limit is outside the product's bounds, or above the limit that the borrower asked for.",
    ),
    code(422, "limit_above_proposal", "The credit limit may not exceed proposed_limit_fen; it can only be lowered."),
    code(422, "grade_differs", "The proposed grade cannot be changed; leave grade out."),
    code(409, "decision_too_late", "answer_by has passed; the product's default decision applies."),
    code(404, "question_unknown", "No purchase was put to you under this line_id and question_id."),
    code(409, "answer_too_late", "The purchase was decided without this answer, or on a different one."),
    // Reserves.
    code(
        409,
        "reserve_order_refused",
        "The withdrawal was refused and cannot be confirmed; request a new one under another reference.",
    ),
    code(
        409,
        "reference_booked_with_other_amount",
        "The bank reference was used before with another amount; compare both with the bank's statement.",
    ),
    code(422, "reference_malformed", "A bank reference has 1 to 128 characters on one line."),
    code(409, "reserve_not_available", "The withdrawal is larger than the available balance of the reserve."),
    code(
        422,
        "low_water_marks_not_falling",
        "Each of the low-water marks must be above zero and below the one before it; up to seven may follow the first.",
    ),
    // Daily files.
    code(
        409,
        "file_not_ready",
        "The files of this business day are not ready yet; detail and Retry-After say when they will be.",
    ),
    code(
        410,
        "file_expired",
        "The file's content is no longer kept; ask the platform's operator to generate it again.",
    ),
    code(416, "range_not_satisfiable", "The requested byte range starts after the end of the file."),
    // Events and notifications.
    code(404, "unknown_event", "There is no such event."),
    code(
        410,
        "events_not_kept",
        "The requested events, or the first of them, have been removed; detail gives the highest removed event number. Read the \
         objects themselves, and continue with the events after that number.",
    ),
    code(404, "unknown_event_kind", "There is no such kind of event; GET /events/kinds lists all kinds."),
    code(
        409,
        "event_not_failed",
        "Only a failed event can be retried or discarded; this one has not failed, or was delivered or discarded.",
    ),
    code(422, "reason_missing", "A reason of 1 to 200 characters on one line is required."),
    code(
        409,
        "event_not_told",
        "Events of this kind are switched off for your core (not_told); give a template in the request to preview one.",
    ),
    code(
        422,
        "event_range_malformed",
        "Give either from_no and to_no or from and to, the start not after the end, for at most a million events.",
    ),
    code(
        422,
        "template_wrong",
        "The template is wrong, or fails on the event for which it is tried; detail says where.",
    ),
    code(422, "template_not_json", "The template's output is not a JSON object."),
    code(422, "template_too_much", "The template's output is too large, or the template runs too long."),
    code(422, "template_path_malformed", "A path starts with one slash and has only letters, digits and -._~/ in it."),
    code(422, "notify_url_malformed", "The URL must be https, not too long, and without user name or fragment."),
    code(
        422,
        "notify_url_private",
        "The URL leads to a private network; notifications are sent to public addresses only.",
    ),
    // Ours.
    code(500, "failed", "An internal error occurred; repeat the request under the same idempotency key."),
    code(503, "house_not_open", "The platform has not opened its first business day yet; try again later."),
    code(
        503,
        "timed_out",
        "The request took too long and its outcome is unknown; repeat it under the same idempotency key.",
    ),
];

pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// Splits `code: detail`, if the code is one of ours.
pub fn split(text: &str) -> Option<(&'static str, &str)> {
    let (first, detail) = text.split_once(": ")?;
    find(first).map(|known| (known.code, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        for (place, code) in CODES.iter().enumerate() {
            assert!(CODES[place + 1..].iter().all(|other| other.code != code.code), "{}", code.code);
        }
    }
}
